//! Snapshot files: a folded state, so that a start does not read the whole journal.
//!
//! ```text
//! <seq>.snap in twenty digits; header, 72 bytes, little-endian
//!  0 magic "OGSNAP\r\n"   16 fold_version u32   40 chunk_hash [16]
//!  8 crc32c of 12..end    20 zero u32           56 state_hash [16]
//! 12 format u16           24 seq u64            72 body
//! 14 zero u16             32 body_len u64
//! ```

use crate::chunk::{Hash, u16_at, u32_at, u64_at};
use crate::disk::{Disk, RealDisk};
use std::io;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"OGSNAP\r\n";
const HEADER: usize = 72;
const FORMAT: u16 = 1;
const SUFFIX: &str = ".snap";
const TEMPORARY: &str = "snapshot.tmp";

/// A folded state, as bytes, with what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Last folded record; it ends a chunk.
    pub seq: u64,
    /// Version of the fold that made it.
    pub fold_version: u32,
    /// Hash of the chunk that ends at `seq`.
    pub chunk_hash: Hash,
    /// State hash, as the fold computes it.
    pub state_hash: [u8; 16],
    /// The encoded state.
    pub body: Vec<u8>,
}

/// What [`newest`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Newest {
    /// The newest that verifies.
    pub snapshot: Option<Snapshot>,
    /// Newer files that do not, with the reason: worth a warning.
    pub rejected: Vec<(PathBuf, String)>,
}

/// Writes a snapshot, durably, and removes all older ones but the newest of them; its path.
///
/// # Errors
/// What the disk says; the older snapshots are then all still there.
pub fn write(dir: &Path, snapshot: &Snapshot) -> io::Result<PathBuf> {
    write_on(&RealDisk, dir, snapshot)
}

/// As [`write()`], on a given disk.
///
/// # Errors
/// As [`write()`].
pub fn write_on(disk: &dyn Disk, dir: &Path, snapshot: &Snapshot) -> io::Result<PathBuf> {
    disk.make_dir(dir)?;
    let (temporary, path) = (dir.join(TEMPORARY), dir.join(name(snapshot.seq)));
    let file = disk.create(&temporary)?;
    let mut head = header(snapshot);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[12..]), &snapshot.body);
    head[8..12].copy_from_slice(&crc.to_le_bytes());
    file.write_at(&head, 0)?;
    file.write_at(&snapshot.body, HEADER as u64)?;
    file.sync()?;
    disk.rename(&temporary, &path)?;
    disk.sync_dir(dir)?;
    // Newer ones are left alone: what they are worth is decided when they are read.
    let older: Vec<u64> = list(disk, dir)?.into_iter().filter(|seq| *seq < snapshot.seq).collect();
    for seq in older.iter().rev().skip(1) {
        disk.remove(&dir.join(name(*seq)))?;
    }
    Ok(path)
}

/// The newest snapshot that verifies, not after record `not_after`, made by `fold_version` or its predecessor (the
/// only ones that a release reads). With no directory there is none.
///
/// # Errors
/// What the disk says about the directory; a file that cannot be read is rejected and the older one is taken.
pub fn newest(dir: &Path, fold_version: u32, not_after: u64) -> io::Result<Newest> {
    newest_on(&RealDisk, dir, fold_version, not_after)
}

/// As [`newest`], on a given disk.
///
/// # Errors
/// As [`newest`].
pub fn newest_on(disk: &dyn Disk, dir: &Path, fold_version: u32, not_after: u64) -> io::Result<Newest> {
    let mut found = Newest::default();
    let seqs = match list(disk, dir) {
        Ok(seqs) => seqs,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for seq in seqs.into_iter().rev().filter(|seq| *seq <= not_after) {
        let path = dir.join(name(seq));
        match read(disk, &path, seq, fold_version) {
            Ok(snapshot) => {
                found.snapshot = Some(snapshot);
                break;
            }
            Err(reason) => found.rejected.push((path, reason)),
        }
    }
    Ok(found)
}

/// True when two snapshots that verify, and that `fold_version` reads, both cover record `seq`: with either of them lost
/// a start still needs nothing up to there.
///
/// # Errors
/// What the disk says about the directory; a file that cannot be read does not count.
pub fn two_cover(disk: &dyn Disk, dir: &Path, fold_version: u32, seq: u64) -> io::Result<bool> {
    let seqs = match list(disk, dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        seqs => seqs?,
    };
    let covering = seqs.into_iter().rev().take_while(|at| *at >= seq);
    let good = covering.filter(|at| read(disk, &dir.join(name(*at)), *at, fold_version).is_ok());
    Ok(good.take(2).count() == 2)
}

fn read(disk: &dyn Disk, path: &Path, seq: u64, fold_version: u32) -> Result<Snapshot, String> {
    let file = disk.open(path, false).map_err(|error| error.to_string())?;
    let len = file.len().map_err(|error| error.to_string())?;
    let len = usize::try_from(len).map_err(|error| error.to_string())?;
    let mut bytes = vec![0; len];
    let got = file.read_at(&mut bytes, 0).map_err(|error| error.to_string())?;
    bytes.truncate(got);
    decode(bytes, seq, fold_version)
}

fn decode(mut bytes: Vec<u8>, seq: u64, fold_version: u32) -> Result<Snapshot, String> {
    if bytes.len() < HEADER || &bytes[..8] != MAGIC {
        return Err("not a snapshot".into());
    }
    if crc32c::crc32c(&bytes[12..]) != u32_at(&bytes, 8) {
        return Err("damaged".into());
    }
    let (format, made_by) = (u16_at(&bytes, 12), u32_at(&bytes, 16));
    if format != FORMAT {
        return Err(format!("format {format} is unknown"));
    }
    if made_by != fold_version && made_by.checked_add(1) != Some(fold_version) {
        return Err(format!("made by fold version {made_by}"));
    }
    if u64_at(&bytes, 24) != seq || u64_at(&bytes, 32) != (bytes.len() - HEADER) as u64 {
        return Err("the file name or length is not the one it was written with".into());
    }
    let hash_at = |at: usize| {
        let mut hash = [0; 16];
        hash.copy_from_slice(&bytes[at..at + 16]);
        hash
    };
    let (chunk_hash, state_hash) = (hash_at(40), hash_at(56));
    bytes.drain(..HEADER);
    Ok(Snapshot {
        seq,
        fold_version: made_by,
        chunk_hash,
        state_hash,
        body: bytes,
    })
}

fn header(snapshot: &Snapshot) -> [u8; HEADER] {
    let mut head = [0; HEADER];
    head[..8].copy_from_slice(MAGIC);
    head[12..14].copy_from_slice(&FORMAT.to_le_bytes());
    head[16..20].copy_from_slice(&snapshot.fold_version.to_le_bytes());
    head[24..32].copy_from_slice(&snapshot.seq.to_le_bytes());
    head[32..40].copy_from_slice(&(snapshot.body.len() as u64).to_le_bytes());
    head[40..56].copy_from_slice(&snapshot.chunk_hash);
    head[56..72].copy_from_slice(&snapshot.state_hash);
    head
}

fn name(seq: u64) -> String {
    format!("{seq:020}{SUFFIX}")
}

fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let parse = |file: String| {
        file.strip_suffix(SUFFIX)
            .filter(|digits| digits.len() == 20)?
            .parse::<u64>()
            .ok()
    };
    let mut found: Vec<u64> = disk.list(dir)?.into_iter().filter_map(parse).collect();
    found.sort_unstable();
    Ok(found)
}
