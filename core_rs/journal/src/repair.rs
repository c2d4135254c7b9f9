//! What start-up does to the disk once the decision is made: cut a torn tail, write unproven chunks again.

use crate::chunk::SECTOR;
use crate::commit;
use crate::disk::{Disk, DiskFile};
use crate::journal::OpenError;
use crate::segment;
use crate::startup::{Part, Reading, io_at};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where copies are kept of what was cut or replaced.
const TORN: &str = "torn";

/// Bytes after the last good chunk that are no whole chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The segment.
    pub path: PathBuf,
    /// Where they start.
    pub from: u64,
    /// How many, up to the last that is not zero.
    pub bytes: u64,
    /// Where they were kept, once they are cut.
    pub copy: Option<PathBuf>,
}

impl Torn {
    /// What a cut would take, file by file.
    pub(crate) fn find(reading: &Reading, dir: &Path) -> Result<Vec<Torn>, OpenError> {
        bad_parts(reading)
            .iter()
            .map(|part| {
                let path = segment::path(dir, part.first_seq);
                let end = segment::end_of_data(part.file.as_ref(), part.end, u64::MAX);
                let bytes = end.map_err(|error| io_at(&path, error))? - part.end;
                let (from, copy) = (part.end, None);
                Ok(Torn {
                    path,
                    from,
                    bytes,
                    copy,
                })
            })
            .collect()
    }
}

fn bad_parts(reading: &Reading) -> &[Part] {
    &reading.parts[reading.bad.unwrap_or(reading.parts.len())..]
}

/// Cuts what follows the last good chunk, keeping a copy. Durable on return; the copies are, before anything is cut.
pub(crate) fn cut(disk: &dyn Disk, dir: &Path, reading: &mut Reading) -> Result<Vec<Torn>, OpenError> {
    let kept = dir.join(TORN);
    let mut torn = Torn::find(reading, dir)?;
    keep(disk, dir, &kept, bad_parts(reading), &mut torn).map_err(|error| io_at(&kept, error))?;
    for part in bad_parts(reading) {
        let path = segment::path(dir, part.first_seq);
        // A segment without a chunk goes whole: files with a name have at least one.
        let done = if part.end <= SECTOR {
            disk.remove(&path)
        } else {
            disk.open(&path, true).and_then(|file| zero(file.as_ref(), part.end))
        };
        done.map_err(|error| io_at(&path, error))?;
    }
    disk.sync_dir(dir).map_err(|error| io_at(dir, error))?;
    reading.parts.retain(|part| part.end > SECTOR);
    Ok(torn)
}

fn keep(disk: &dyn Disk, dir: &Path, kept: &Path, parts: &[Part], torn: &mut [Torn]) -> io::Result<()> {
    for (part, torn) in parts.iter().zip(torn) {
        let name = format!("{}-{}", segment::name(part.first_seq), part.end);
        let span = part.end..part.end + torn.bytes;
        torn.copy = Some(copy(disk, kept, &name, part.file.as_ref(), span)?);
    }
    disk.sync_dir(dir)
}

/// Keeps `commit` as it is before it is made anew, when there is one. Durable on return.
pub(crate) fn keep_commit(disk: &dyn Disk, dir: &Path) -> Result<Option<PathBuf>, OpenError> {
    let (path, kept) = (dir.join(commit::NAME), dir.join(TORN));
    let kept = match disk.open(&path, false) {
        Ok(file) => file
            .len()
            .and_then(|len| copy(disk, &kept, commit::NAME, file.as_ref(), 0..len))
            .and_then(|copy| disk.sync_dir(dir).map(|()| Some(copy))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    kept.map_err(|error| io_at(&path, error))
}

/// Copies a piece of a file to a new one of that name, or of that name and a number.
fn copy(disk: &dyn Disk, kept: &Path, stem: &str, file: &dyn DiskFile, span: Range<u64>) -> io::Result<PathBuf> {
    disk.make_dir(kept)?;
    let taken = disk.list(kept)?;
    let mut name = stem.to_owned();
    for n in 2.. {
        if !taken.contains(&name) {
            break;
        }
        name = format!("{stem}-{n}");
    }
    let path = kept.join(name);
    let copy = disk.create(&path)?;
    for_pieces(file, span.start, span.end, |bytes, at| {
        copy.write_at(bytes, at - span.start)
    })?;
    copy.sync()?;
    disk.sync_dir(kept)?;
    Ok(path)
}

fn zero(file: &dyn DiskFile, from: u64) -> io::Result<()> {
    let end = segment::end_of_data(file, from, u64::MAX)?;
    for_pieces(file, from, end, |bytes, at| {
        bytes.fill(0);
        file.write_at(bytes, at)
    })?;
    file.sync()
}

/// Writes the chunks that nobody is known to have flushed again, the same bytes in the same place, and flushes them:
/// after a flush error the page cache may show what the disk does not hold.
///
/// All but the last of them were flushed before the next was begun, so writing them together risks nothing.
pub(crate) fn rewrite(disk: &dyn Disk, dir: &Path, parts: &[Part]) -> Result<(), OpenError> {
    for part in parts {
        let Some(from) = part.unproven else { continue };
        // With its first chunk, a segment's header is unproven too.
        let from = if from == SECTOR { 0 } else { from };
        let path = segment::path(dir, part.first_seq);
        disk.open(&path, true)
            .and_then(|file| {
                for_pieces(file.as_ref(), from, part.end, |bytes, at| file.write_at(bytes, at))?;
                file.sync()
            })
            .map_err(|error| io_at(&path, error))?;
    }
    Ok(())
}

fn for_pieces(
    file: &dyn DiskFile,
    from: u64,
    to: u64,
    mut piece: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut window = vec![0; segment::piece(from, to)];
    let mut at = from;
    while at < to {
        let want = segment::piece(at, to);
        let got = file.read_at(&mut window[..want], at)?;
        if got == 0 {
            break;
        }
        piece(&mut window[..got], at)?;
        at += got as u64;
    }
    Ok(())
}
