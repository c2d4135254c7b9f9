//! What start-up does to the disk once the decision is made: cut a torn tail, write unproven chunks again.

use crate::chunk::SECTOR;
use crate::disk::{Disk, DiskFile};
use crate::journal::OpenError;
use crate::segment;
use crate::startup::{Part, Reading, io_at};
use std::io;
use std::path::{Path, PathBuf};

/// Where copies of torn tails are kept.
const TORN: &str = "torn";
/// How much is copied at once.
const PIECE: usize = 1 << 20;

/// Cuts what follows the last good chunk, keeping a copy. Durable on return; the copies are, before anything is cut.
pub(crate) fn cut(disk: &dyn Disk, dir: &Path, reading: &mut Reading) -> Result<PathBuf, OpenError> {
    let torn = dir.join(TORN);
    let bad = reading.bad.unwrap_or(reading.parts.len());
    let copied = keep(disk, dir, &torn, &reading.parts[bad..]).map_err(|error| io_at(&torn, error))?;
    for part in &reading.parts[bad..] {
        let path = segment::path(dir, part.first_seq);
        // A segment without a chunk goes whole: files with a name have at least one.
        let done = if part.end <= SECTOR {
            disk.remove(&path)
        } else {
            zero(part.file.as_ref(), part.end)
        };
        done.map_err(|error| io_at(&path, error))?;
    }
    disk.sync_dir(dir).map_err(|error| io_at(dir, error))?;
    reading.parts.retain(|part| part.end > SECTOR);
    Ok(copied)
}

fn keep(disk: &dyn Disk, dir: &Path, torn: &Path, parts: &[Part]) -> io::Result<PathBuf> {
    disk.make_dir(torn)?;
    let taken = disk.list(torn)?;
    let mut copied = torn.to_owned();
    for part in parts {
        let stem = format!("{}-{}", segment::name(part.first_seq), part.end);
        let mut name = stem.clone();
        for n in 2.. {
            if !taken.contains(&name) {
                break;
            }
            name = format!("{stem}-{n}");
        }
        copied = torn.join(name);
        let copy = disk.create(&copied)?;
        let end = segment::end_of_data(part.file.as_ref(), part.end)?;
        for_pieces(part.file.as_ref(), part.end, end, |bytes, at| {
            copy.write_at(bytes, at - part.end)
        })?;
        copy.sync()?;
    }
    disk.sync_dir(torn)?;
    disk.sync_dir(dir)?;
    Ok(copied)
}

fn zero(file: &dyn DiskFile, from: u64) -> io::Result<()> {
    let end = segment::end_of_data(file, from)?;
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
pub(crate) fn rewrite(dir: &Path, parts: &[Part]) -> Result<(), OpenError> {
    for part in parts {
        let Some(from) = part.unproven else { continue };
        // With its first chunk, a segment's header is unproven too.
        let from = if from == SECTOR { 0 } else { from };
        for_pieces(part.file.as_ref(), from, part.end, |bytes, at| {
            part.file.write_at(bytes, at)
        })
        .and_then(|()| part.file.sync())
        .map_err(|error| io_at(&segment::path(dir, part.first_seq), error))?;
    }
    Ok(())
}

fn for_pieces(
    file: &dyn DiskFile,
    from: u64,
    to: u64,
    mut piece: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut window = vec![0; PIECE];
    let mut at = from;
    while at < to {
        let want = usize::try_from(to - at).unwrap_or(PIECE).min(PIECE);
        let got = file.read_at(&mut window[..want], at)?;
        if got == 0 {
            break;
        }
        piece(&mut window[..got], at)?;
        at += got as u64;
    }
    Ok(())
}
