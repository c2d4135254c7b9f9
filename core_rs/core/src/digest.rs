//! The state's hash: 128 bits, independent of order, kept up to date as the state changes.
//!
//! Every element (an order, a balance, a position, a request key) contributes one 128-bit number, and the state's hash is their sum:
//! a change subtracts the old number and adds the new one. The mixing is our own and fixed, so that two processes,
//! builds and machines agree. It finds faults; it is no defence against somebody who forges state.

const K0: u64 = 0x9e37_79b9_7f4a_7c15;
const K1: u64 = 0xd6e8_feb8_6659_fd93;
const K2: u64 = 0xa076_1d64_78bd_642f;

/// Hashes one element, word by word.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    high: u64,
    low: u64,
}

const fn folded(left: u64, right: u64) -> u64 {
    let product = (left as u128).wrapping_mul(right as u128);
    (product >> 64) as u64 ^ product as u64
}

impl Mix {
    /// Starts an element of this kind: the same fields under another kind hash differently.
    #[must_use]
    pub const fn new(kind: u64) -> Self {
        Self {
            high: kind ^ K1,
            low: kind.wrapping_mul(K0) ^ K2,
        }
    }

    /// Adds a 64-bit word.
    #[must_use]
    pub const fn word(self, word: u64) -> Self {
        // One multiplication waits for the one before, the other for nothing: words follow each other quickly. Adding
        // the constant keeps zero words from vanishing.
        let low = folded(self.low ^ word.wrapping_add(K0), K1 ^ self.high);
        let high = self.high.rotate_left(23).wrapping_add(word.wrapping_mul(K2) ^ low);
        Self { high, low }
    }

    /// Adds a signed word.
    #[must_use]
    pub const fn int(self, word: i64) -> Self {
        self.word(word as u64)
    }

    /// Adds a 128-bit integer.
    #[must_use]
    pub const fn wide(self, wide: i128) -> Self {
        self.word(wide as u64).word((wide >> 64) as u64)
    }

    /// Adds a 64-bit word that may be absent; absent differs from every present one.
    #[must_use]
    pub const fn maybe(self, word: Option<i64>) -> Self {
        match word {
            Some(word) => self.word(1).int(word),
            None => self.word(0),
        }
    }

    /// Adds a text with its length, so that neighbouring texts do not run together.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Adds bytes with their length.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let mut mix = self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0_u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            mix = mix.word(u64::from_le_bytes(word));
        }
        mix
    }

    /// Adds a text that may be absent.
    #[must_use]
    pub fn maybe_text(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.word(1).text(text),
            None => self.word(0),
        }
    }

    /// The element's number.
    #[must_use]
    pub const fn finish(self) -> u128 {
        let mix = self.word(K2).word(K0);
        (mix.high as u128) << 64 | mix.low as u128
    }

    /// The element's number, short: for marks inside an element and for indexes that verify what they find.
    #[must_use]
    pub const fn finish64(self) -> u64 {
        let wide = self.finish();
        (wide >> 64) as u64 ^ wide as u64
    }
}

/// The running sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest(u128);

impl Digest {
    /// An element is there now.
    pub const fn add(&mut self, element: u128) {
        self.0 = self.0.wrapping_add(element);
    }

    /// An element is no longer there.
    pub const fn remove(&mut self, element: u128) {
        self.0 = self.0.wrapping_sub(element);
    }

    /// An element changed.
    pub const fn replace(&mut self, old: u128, new: u128) {
        self.0 = self.0.wrapping_sub(old).wrapping_add(new);
    }

    /// The sum.
    #[must_use]
    pub const fn value(self) -> u128 {
        self.0
    }
}

/// High and low half, as journaled.
#[must_use]
pub const fn halves(hash: u128) -> (u64, u64) {
    ((hash >> 64) as u64, hash as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_mixing_is_fixed_for_ever() {
        // A change of these figures is a change of the fold version: hashes in old journals would no longer match.
        let hash = Mix::new(7)
            .int(-1)
            .wide(1 << 90)
            .text("BTCUSDT")
            .maybe(None)
            .maybe_text(Some(""))
            .finish();
        assert_eq!(hash, GOLDEN, "{hash:#x}");
    }
    const GOLDEN: u128 = 0x52df_5e3b_9171_19ba_c3aa_f8e4_8d3d_8bc3;

    #[test]
    fn order_of_elements_does_not_matter_and_removal_undoes() {
        let (mut one, mut other) = (Digest::default(), Digest::default());
        let elements: Vec<u128> = (0..50).map(|n| Mix::new(1).word(n).finish()).collect();
        elements.iter().for_each(|element| one.add(*element));
        elements.iter().rev().for_each(|element| other.add(*element));
        assert_eq!(one, other);
        elements.iter().for_each(|element| one.remove(*element));
        assert_eq!(one, Digest::default());
    }

    #[test]
    fn small_changes_give_other_numbers() {
        let mut seen = HashSet::new();
        for kind in 0..4 {
            for word in 0..2_000_u64 {
                assert!(seen.insert(Mix::new(kind).word(word).finish()));
                assert!(seen.insert(Mix::new(kind).word(word).word(0).finish()));
                assert!(seen.insert(Mix::new(kind).word(0).word(word + 1).word(0).finish()));
            }
        }
        assert!(seen.insert(Mix::new(0).text("ab").text("c").finish()));
        assert!(seen.insert(Mix::new(0).text("a").text("bc").finish()));
        assert!(seen.insert(Mix::new(0).text("a\0").finish()));
        assert!(seen.insert(Mix::new(0).text("a").finish()));
    }
}
