//! Segment files: a header in the first sector, then chunks, then the zeros that were written ahead.
//!
//! ```text
//! header, 64 bytes, little-endian
//!  0 magic "OGJS"      16 first_seq u64
//!  4 crc32c of 8..64   24 created_ns i64
//!  8 format u16        32 prev_hash [16]
//! 10 zero u16          48 zero [16]
//! 12 epoch u32
//! ```
//!
//! A file gets its name, `<first_seq>.seg` in twenty digits, after its header and first chunk are durable. Its
//! capacity is its length: a chunk that does not fit starts the next segment.

use crate::chunk::{self, Defect, Hash, Header, SECTOR, u16_at, u32_at, u64_at};
use crate::disk::{Disk, DiskFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of the header's fields; the rest of its sector is zero.
pub const HEADER: usize = 64;

const MAGIC: u32 = u32::from_le_bytes(*b"OGJS");
const FORMAT: u16 = 1;
const SUFFIX: &str = ".seg";
/// How much is read at once.
const WINDOW: usize = 1 << 20;
/// How much of a segment's end is looked at first.
const TAIL: u64 = 64 << 10;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The writer's start that made it.
    pub epoch: u32,
    /// Its first record.
    pub first_seq: u64,
    /// Journal time of its making.
    pub created_ns: i64,
    /// Hash of the last chunk of the segment before, zero for the first of all.
    pub prev_hash: Hash,
}

impl SegmentHeader {
    /// As the first sector of the file.
    #[must_use]
    pub fn encode(&self) -> [u8; SECTOR as usize] {
        let mut out = [0; SECTOR as usize];
        out[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        out[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        out[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        out[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        out[24..32].copy_from_slice(&self.created_ns.to_le_bytes());
        out[32..48].copy_from_slice(&self.prev_hash);
        let crc = crc32c::crc32c(&out[8..HEADER]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// From the start of a file.
    ///
    /// # Errors
    /// [`Defect::Bad`] when damaged, [`Defect::Foreign`] when whole but of an unknown format.
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, Defect> {
        let head = bytes.get(..HEADER).ok_or(Defect::Bad)?;
        if u32_at(head, 0) != MAGIC || u32_at(head, 4) != crc32c::crc32c(&head[8..]) {
            return Err(Defect::Bad);
        }
        if u16_at(head, 8) != FORMAT {
            return Err(Defect::Foreign);
        }
        let mut prev_hash = [0; 16];
        prev_hash.copy_from_slice(&head[32..48]);
        Ok(SegmentHeader {
            epoch: u32_at(head, 12),
            first_seq: u64_at(head, 16),
            created_ns: chunk::i64_at(head, 24),
            prev_hash,
        })
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// The disk's; the inner result is as in [`SegmentHeader::decode`].
    pub fn read(file: &dyn DiskFile) -> io::Result<Result<SegmentHeader, Defect>> {
        let mut head = [0; HEADER];
        let got = file.read_at(&mut head, 0)?;
        Ok(SegmentHeader::decode(&head[..got]))
    }
}

/// The file name of the segment that starts at `first_seq`.
#[must_use]
pub fn name(first_seq: u64) -> String {
    format!("{first_seq:020}{SUFFIX}")
}

/// The path of the segment that starts at `first_seq`.
#[must_use]
pub fn path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(name(first_seq))
}

/// First sequences of the segments in a directory, ascending.
///
/// # Errors
/// The disk's.
pub fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    Ok(first_seqs(disk.list(dir)?.iter().map(String::as_str)))
}

/// What the names that are segments' say, ascending.
pub(crate) fn first_seqs<'a>(names: impl Iterator<Item = &'a str>) -> Vec<u64> {
    let parse = |file: &str| {
        file.strip_suffix(SUFFIX)
            .filter(|digits| digits.len() == 20)?
            .parse::<u64>()
            .ok()
            .filter(|first| *first > 0)
    };
    let mut found: Vec<u64> = names.filter_map(parse).collect();
    found.sort_unstable();
    found
}

/// The link that the next chunk must continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain {
    /// Last record so far, 0 for none.
    pub last_seq: u64,
    /// Hash of the last chunk, zero for none.
    pub hash: Hash,
    /// Its epoch.
    pub epoch: u32,
}

impl Chain {
    /// True when the chunk is the next one.
    #[must_use]
    pub fn continues(&self, header: &Header) -> bool {
        header.first_seq == self.last_seq + 1 && header.prev_hash == self.hash && header.epoch >= self.epoch
    }

    /// True when the segment is the next one.
    #[must_use]
    pub fn continues_into(&self, header: &SegmentHeader) -> bool {
        header.first_seq == self.last_seq + 1 && header.prev_hash == self.hash && header.epoch >= self.epoch
    }

    /// The link before a segment, as its header tells.
    #[must_use]
    pub const fn before(header: &SegmentHeader) -> Chain {
        // A segment's header may be of a later epoch than the chunk before it; its own chunks are not older.
        Chain {
            last_seq: header.first_seq - 1,
            hash: header.prev_hash,
            epoch: header.epoch,
        }
    }

    /// Goes on over a chunk.
    pub const fn advance(&mut self, header: &Header, hash: Hash) {
        *self = Chain {
            last_seq: header.last_seq(),
            hash,
            epoch: header.epoch,
        };
    }
}

/// What stands at an offset.
#[derive(Debug)]
pub enum Found<'a> {
    /// A whole, undamaged chunk (whether it continues the chain is the reader's question).
    Chunk {
        /// Where it starts.
        offset: u64,
        /// Its header.
        header: Header,
        /// Header and frames.
        bytes: &'a [u8],
    },
    /// Zeros or the end of what may be read.
    End,
    /// Anything else.
    Defect(Defect),
}

/// Reads the chunks of one file in order.
#[derive(Debug)]
pub struct Scanner {
    file: Arc<dyn DiskFile>,
    at: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Scanner {
    /// Starts at an offset, [`SECTOR`] for the first chunk.
    #[must_use]
    pub fn new(file: Arc<dyn DiskFile>, at: u64) -> Scanner {
        Scanner {
            file,
            at,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// Where the next chunk is expected.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.at
    }

    /// The chunk here; goes on behind it. Never looks at bytes from `limit` on: they may still change.
    ///
    /// # Errors
    /// The disk's.
    pub fn next(&mut self, limit: u64) -> io::Result<Found<'_>> {
        let head = self.bytes(chunk::HEADER, limit)?;
        if head.iter().all(|byte| *byte == 0) {
            return Ok(Found::End);
        }
        let Some(len) = chunk::claimed_len(head) else {
            return Ok(Found::Defect(Defect::Bad));
        };
        match chunk::decode(self.bytes(len, limit)?) {
            Ok(header) => {
                let offset = self.at;
                self.at = chunk::align(offset + len as u64);
                let start = usize::try_from(offset - self.window_at).unwrap_or(usize::MAX);
                Ok(Found::Chunk {
                    offset,
                    header,
                    bytes: &self.window[start..start + len],
                })
            }
            Err(defect) => Ok(Found::Defect(defect)),
        }
    }

    /// Goes on at another offset.
    pub const fn seek(&mut self, at: u64) {
        self.at = at;
    }

    /// `need` bytes from here, fewer when file or limit end before.
    fn bytes(&mut self, need: usize, limit: u64) -> io::Result<&[u8]> {
        let room = usize::try_from(limit.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let need = need.min(room);
        let window_end = self.window_at + self.window.len() as u64;
        if self.at < self.window_at || self.at + need as u64 > window_end {
            // As much as there is: small files do not pay for a whole window of zeros.
            let left = usize::try_from(self.file.len()?.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let size = room.min(need.max(WINDOW)).min(left);
            self.window.resize(size, 0);
            let got = self.file.read_at(&mut self.window, self.at)?;
            self.window.truncate(got);
            self.window_at = self.at;
        }
        let start = usize::try_from(self.at - self.window_at)
            .unwrap_or(usize::MAX)
            .min(self.window.len());
        let end = (start + need).min(self.window.len());
        Ok(&self.window[start..end])
    }
}

/// Offset after the last byte that is not zero in `[from, to)`; `from` itself when all are zero.
///
/// # Errors
/// The disk's.
pub fn end_of_data(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<u64> {
    let to = to.min(file.len()?);
    let mut window = vec![0; piece(from, to)];
    let (mut at, mut end) = (from, from);
    while at < to {
        let want = piece(at, to);
        let got = file.read_at(&mut window[..want], at)?;
        if let Some(last) = window[..got].iter().rposition(|byte| *byte != 0) {
            end = at + last as u64 + 1;
        }
        if got == 0 {
            break;
        }
        at += got as u64;
    }
    Ok(end)
}

/// How much of `[from, to)` is read at once.
pub(crate) fn piece(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(WINDOW).min(WINDOW)
}

/// True when any undamaged chunk of a later record than `after_seq` starts in `[from, to)`.
///
/// # Errors
/// The disk's.
pub fn has_later_chunk(file: &Arc<dyn DiskFile>, from: u64, to: u64, after_seq: u64) -> io::Result<bool> {
    let mut scanner = Scanner::new(Arc::clone(file), chunk::align(from));
    while scanner.offset() < to {
        let at = scanner.offset();
        match scanner.next(u64::MAX)? {
            Found::Chunk { header, .. } if header.last_seq() > after_seq => return Ok(true),
            Found::Defect(Defect::Foreign) => return Ok(true),
            Found::Chunk { .. } | Found::Defect(Defect::Bad) | Found::End => {}
        }
        // Chunks start at sectors, whatever the bytes between claim.
        scanner.seek(at + SECTOR);
    }
    Ok(false)
}

/// The first of these neighbours that does not continue the one before it: its place, and what is wrong with its header
/// if anything is. Reads headers and last chunks only.
///
/// # Errors
/// The disk's.
pub fn first_break(disk: &dyn Disk, dir: &Path, segments: &[u64]) -> io::Result<Option<(usize, Option<Defect>)>> {
    for place in 1..segments.len() {
        let [before, after] = [place - 1, place].map(|place| disk.open(&path(dir, segments[place]), false));
        match SegmentHeader::read(after?.as_ref())? {
            Err(defect) => return Ok(Some((place, Some(defect)))),
            Ok(header) if header.first_seq == segments[place] && holds_chunk(before?.as_ref(), &header.prev_hash)? => {}
            Ok(_) => return Ok(Some((place, None))),
        }
    }
    Ok(None)
}

/// True when the file holds the chunk with this hash. Looked for from the end: cheap when it is the last one.
fn holds_chunk(file: &dyn DiskFile, hash: &Hash) -> io::Result<bool> {
    let mut end = chunk::align(file.len()?);
    let mut window = Vec::new();
    while end > SECTOR {
        let start = end.saturating_sub(TAIL).max(SECTOR);
        window.resize(usize::try_from(end - start).unwrap_or(WINDOW), 0);
        let got = file.read_at(&mut window, start)?;
        window.truncate(got);
        for (sector, head) in window.chunks(SECTOR as usize).enumerate().rev() {
            let Some(len) = chunk::claimed_len(head) else { continue };
            let mut bytes = vec![0; len];
            let got = file.read_at(&mut bytes, start + sector as u64 * SECTOR)?;
            if got == len && chunk::decode(&bytes).is_ok() && chunk::hash_of(&bytes) == *hash {
                return Ok(true);
            }
        }
        end = start;
    }
    Ok(false)
}

/// The order in a list of first sequences: place of the segment that holds `seq`, if any can.
#[must_use]
pub fn place_of(segments: &[u64], seq: u64) -> Option<usize> {
    segments.partition_point(|first| *first <= seq).checked_sub(1)
}
