//! The format of a chunk: what one flush commits.
//!
//! ```text
//! header, 64 bytes, little-endian                      frame, 16 bytes + body
//!  0 magic "OGJC"      24 first_seq u64                 0 body_len u32
//!  4 crc32c of 8..end  32 sealed_ns i64                 4 kind u8
//!  8 version u16       40 prev_hash [16]                5 version u8
//! 10 zero u16          56 zero u64                      6 zero u16
//! 12 body_len u32      64 frames                        8 ts i64
//! 16 epoch u32                                         16 body
//! 20 count u32
//! ```
//!
//! A frame's sequence is `first_seq` plus its place. Chunks start at multiples of [`SECTOR`], so that no write ever
//! touches a sector that holds acknowledged bytes; the gap stays zero as the segment was made. The checksum finds
//! damage; the hash, over header (with the hash of the chunk before) and body, finds everything that was replaced.

use sha2::{Digest, Sha256};

/// First 16 bytes of SHA-256 over a chunk's header and body; the header holds the hash before, hence a chain.
pub type Hash = [u8; 16];

/// Alignment of chunks: the unit that a disk writes as a whole.
pub const SECTOR: u64 = 512;
/// Bytes of a chunk's header.
pub const HEADER: usize = 64;
/// Bytes of a frame before its body.
pub const FRAME: usize = 16;
/// Largest chunk, header included.
pub const MAX_CHUNK: usize = 8 << 20;
/// Largest body of one record.
pub const MAX_BODY: usize = 1 << 20;
/// The chunk format that this release writes.
pub const FORMAT: u16 = 1;

const MAGIC: u32 = u32::from_le_bytes(*b"OGJC");

/// One record, borrowed from its chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Place in the journal, from 1, without gaps.
    pub seq: u64,
    /// Journal time in nanoseconds.
    pub ts: i64,
    /// What it is; the journal does not care.
    pub kind: u8,
    /// Version of the body's encoding.
    pub version: u8,
    /// The encoded record.
    pub body: &'a [u8],
}

/// One record, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedFrame {
    /// Place in the journal.
    pub seq: u64,
    /// Journal time in nanoseconds.
    pub ts: i64,
    /// What it is.
    pub kind: u8,
    /// Version of the body's encoding.
    pub version: u8,
    /// The encoded record.
    pub body: Vec<u8>,
    /// Journal time at which its chunk was sealed for the flush.
    pub sealed_ns: i64,
}

/// The chunk around a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkInfo {
    /// The writer's start that wrote it.
    pub epoch: u32,
    /// First record.
    pub first_seq: u64,
    /// Last record.
    pub last_seq: u64,
    /// Journal time of the seal, in nanoseconds.
    pub sealed_ns: i64,
    /// Hash of this chunk, chained.
    pub hash: Hash,
}

/// A chunk's header, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of all frames.
    pub body_len: u32,
    /// The writer's start.
    pub epoch: u32,
    /// Records, at least one.
    pub count: u32,
    /// First record.
    pub first_seq: u64,
    /// Journal time of the seal.
    pub sealed_ns: i64,
    /// Hash of the chunk before, zero for the first of all.
    pub prev_hash: Hash,
}

impl Header {
    /// Last record.
    #[must_use]
    pub const fn last_seq(&self) -> u64 {
        self.first_seq + self.count as u64 - 1
    }

    /// Bytes of header and frames.
    #[must_use]
    pub const fn len(&self) -> usize {
        HEADER + self.body_len as usize
    }

    /// Never: a chunk has at least its header.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// With the hash that [`hash_of`] computed.
    #[must_use]
    pub const fn info(&self, hash: Hash) -> ChunkInfo {
        ChunkInfo {
            epoch: self.epoch,
            first_seq: self.first_seq,
            last_seq: self.last_seq(),
            sealed_ns: self.sealed_ns,
            hash,
        }
    }
}

/// Why bytes are not a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Not a whole, undamaged chunk: torn, overwritten, never written.
    Bad,
    /// Undamaged, but of a format that this release does not know.
    Foreign,
}

/// Appends one frame to `out`. `body` may not be larger than [`MAX_BODY`]: the append would be refused.
pub fn encode_frame(out: &mut Vec<u8>, ts: i64, kind: u8, version: u8, body: &[u8]) {
    // Over 4 GiB the length is clamped to what every append refuses.
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[kind, version, 0, 0]);
    out.extend_from_slice(&ts.to_le_bytes());
    out.extend_from_slice(body);
}

/// Length of the frame at the start of `bytes`, or `None` when it is not whole or larger than allowed.
#[must_use]
pub fn frame_len(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..FRAME)?;
    let body = u32_at(head, 0) as usize;
    let zero = head[6] == 0 && head[7] == 0;
    (zero && body <= MAX_BODY && bytes.len() - FRAME >= body).then_some(FRAME + body)
}

/// The frames of a verified chunk's body, first sequence given. Ends early only at a malformed frame.
pub fn frames(body: &[u8], first_seq: u64) -> impl Iterator<Item = Frame<'_>> {
    let mut rest = body;
    let mut seq = first_seq;
    std::iter::from_fn(move || {
        let len = frame_len(rest)?;
        let (frame, tail) = rest.split_at(len);
        rest = tail;
        let out = Frame {
            seq,
            ts: i64_at(frame, 8),
            kind: frame[4],
            version: frame[5],
            body: &frame[FRAME..],
        };
        seq += 1;
        Some(out)
    })
}

/// Writes the header into the first [`HEADER`] bytes of `chunk`, whose rest is the body, and returns the hash.
///
/// # Panics
/// When `chunk` is shorter than a header.
#[must_use]
pub fn seal(chunk: &mut [u8], epoch: u32, first_seq: u64, count: u32, sealed_ns: i64, prev_hash: &Hash) -> Hash {
    let body_len = u32::try_from(chunk.len() - HEADER).unwrap_or(u32::MAX);
    chunk[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    chunk[8..10].copy_from_slice(&FORMAT.to_le_bytes());
    chunk[10..12].fill(0);
    chunk[12..16].copy_from_slice(&body_len.to_le_bytes());
    chunk[16..20].copy_from_slice(&epoch.to_le_bytes());
    chunk[20..24].copy_from_slice(&count.to_le_bytes());
    chunk[24..32].copy_from_slice(&first_seq.to_le_bytes());
    chunk[32..40].copy_from_slice(&sealed_ns.to_le_bytes());
    chunk[40..56].copy_from_slice(prev_hash);
    chunk[56..64].fill(0);
    let crc = crc32c::crc32c(&chunk[8..]);
    chunk[4..8].copy_from_slice(&crc.to_le_bytes());
    hash_of(chunk)
}

/// The hash of a whole chunk (header and body, without the gap after it).
#[must_use]
pub fn hash_of(chunk: &[u8]) -> Hash {
    let digest = Sha256::digest(chunk);
    let mut hash = [0; 16];
    hash.copy_from_slice(&digest[..16]);
    hash
}

/// Length that a header claims, if it can be one at all: enough to know how much to read. Proves nothing.
#[must_use]
pub fn claimed_len(head: &[u8]) -> Option<usize> {
    let head = head.get(..HEADER)?;
    let len = HEADER + u32_at(head, 12) as usize;
    (u32_at(head, 0) == MAGIC && len <= MAX_CHUNK).then_some(len)
}

/// Verifies the chunk at the start of `bytes`: checksum, format, and frames that add up.
///
/// # Errors
/// [`Defect::Bad`] when it is not a whole undamaged chunk, [`Defect::Foreign`] when its format is unknown.
pub fn decode(bytes: &[u8]) -> Result<Header, Defect> {
    let len = claimed_len(bytes).ok_or(Defect::Bad)?;
    let chunk = bytes.get(..len).ok_or(Defect::Bad)?;
    if crc32c::crc32c(&chunk[8..]) != u32_at(chunk, 4) {
        return Err(Defect::Bad);
    }
    if u16_at(chunk, 8) != FORMAT {
        return Err(Defect::Foreign);
    }
    let header = read_header(chunk);
    let counted =
        frames(&chunk[HEADER..], 0).fold((0_u64, 0_usize), |(n, size), f| (n + 1, size + FRAME + f.body.len()));
    let whole = counted == (u64::from(header.count), header.body_len as usize) && header.count > 0;
    // first_seq 0 does not exist, and the last sequence must be a number.
    let numbered = header.first_seq > 0 && header.first_seq.checked_add(u64::from(header.count)).is_some();
    if whole && numbered {
        Ok(header)
    } else {
        Err(Defect::Foreign)
    }
}

/// The fields of a header that is known to be good.
#[must_use]
pub fn read_header(head: &[u8]) -> Header {
    let mut prev_hash = [0; 16];
    prev_hash.copy_from_slice(&head[40..56]);
    Header {
        body_len: u32_at(head, 12),
        epoch: u32_at(head, 16),
        count: u32_at(head, 20),
        first_seq: u64_at(head, 24),
        sealed_ns: i64_at(head, 32),
        prev_hash,
    }
}

/// `offset` rounded up to the next sector.
#[must_use]
pub const fn align(offset: u64) -> u64 {
    offset.next_multiple_of(SECTOR)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

pub(crate) fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(array(bytes, at))
}
