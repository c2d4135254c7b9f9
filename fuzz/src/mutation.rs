//! Mutations of an input, the same ones for the same seed.

use std::ops::Range;

/// Reproducible randomness (SplitMix64).
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

/// Figures at the edges of every width.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];
const LONGEST: usize = 64 << 10;

impl Chance {
    /// A number below `bound`, 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % (bound.max(1) as u64)) as usize
    }

    fn span(&mut self, len: usize) -> Range<usize> {
        let start = self.below(len);
        start..(start + 1 + self.below(16)).min(len)
    }

    /// One to three changes; pieces of `other` may come in.
    #[must_use]
    pub fn mutate(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(3) {
            self.change(&mut bytes, other);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    /// Another number in place of the digits that follow.
    fn figure(&mut self, bytes: &mut Vec<u8>, at: usize) {
        const FIGURES: [&str; 10] = [
            "0",
            "1",
            "0.00000001",
            "0.000000001",
            "92233720368.54775807",
            "92233720368.54775808",
            "10.50e-1",
            "1E+3",
            "170141183460469231731687303715884105727e-28",
            "-1",
        ];
        let Some(start) = (at..bytes.len()).find(|place| bytes[*place].is_ascii_digit()) else {
            return;
        };
        let digits = bytes[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit() || **byte == b'.')
            .count();
        let figure = match self.below(2) {
            0 => FIGURES[self.below(FIGURES.len())].to_owned(),
            _ => format!("{}.{}", self.below(1 << 30), self.below(100_000_000)),
        };
        bytes.splice(start..start + digits, figure.into_bytes());
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len());
        let span = self.span(bytes.len());
        match self.below(11) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[at] = self.below(256) as u8,
            2 => {
                let edge = EDGES[self.below(EDGES.len())].to_le_bytes();
                let width = 1 << self.below(4);
                let mut edge = edge[..width].to_vec();
                if self.below(2) == 0 {
                    edge.reverse();
                }
                let end = (at + width).min(bytes.len());
                bytes.splice(at..end, edge);
            }
            3 => drop(bytes.drain(span)),
            4 => {
                let piece = bytes[span].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => {
                let piece = other[self.span(other.len())].to_vec();
                bytes.splice(span, piece);
            }
            6 => bytes.truncate(at),
            7 | 8 => self.figure(bytes, at),
            kind => {
                // Another character where text stands, or one more.
                const SIGNS: &[u8] = b"0123456789-+.eE\"\\{}[],: ntu";
                let sign = SIGNS[self.below(SIGNS.len())];
                let end = if kind == 9 { at } else { (at + 1).min(bytes.len()) };
                bytes.splice(at..end, [sign]);
            }
        }
    }
}
