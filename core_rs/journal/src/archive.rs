//! Segments that have left the journal: each compressed whole, under its name, so that `zstd -d` gives the file back.
//!
//! A segment leaves when everything that reads the journal has no more use for it ([`Rule`]), the oldest first, so that
//! archive and journal together always hold every record once. It is removed only after its copy is durable and has
//! been read back; a crash in between leaves it in both places, and the next call goes on.

use crate::commit::{self, Reader};
use crate::disk::{Disk, DiskFile, RealDisk};
use crate::segment::{self, Chain, Found, Scanner, SegmentHeader};
use crate::snapshots;
use parking_lot::Mutex;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

const SUFFIX: &str = ".zst";
const TEMPORARY: &str = "segment.tmp";
/// zstd's default: more costs much time and saves little on records that are mostly distinct digits.
const LEVEL: i32 = 3;
/// How much is read at once.
const PIECE: usize = 1 << 20;

/// The directories involved.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Where segments are written.
    pub journal: &'a Path,
    /// Where snapshots are kept.
    pub snapshots: &'a Path,
    /// Where segments go.
    pub archive: &'a Path,
}

/// What decides whether a segment may leave: its last record must be at or below both, and covered by two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Postgres durably holds everything up to here.
    pub postgres_seq: u64,
    /// No live request key points to a record up to here: nobody asks the journal for an answer in it.
    pub unpinned_seq: u64,
    /// Snapshots count only when this fold can read them.
    pub fold_version: u32,
}

/// A segment that was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archived {
    /// Its first record.
    pub first_seq: u64,
    /// Its last record.
    pub last_seq: u64,
    /// Bytes that the journal has given back.
    pub bytes: u64,
    /// Bytes of the archived file.
    pub packed_bytes: u64,
}

/// Why a segment was not moved; it is still in the journal.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Segment or copy do not verify.
    #[error("{place}: {reason}")]
    Damaged {
        /// Which file.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The disk.
    #[error("{place}: {error}")]
    Io {
        /// Which file.
        place: String,
        /// What the system said.
        error: io::Error,
    },
}

/// The path of the archived segment that starts at `first_seq`.
#[must_use]
pub fn path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(segment::name(first_seq) + SUFFIX)
}

/// First sequences of the archived segments, ascending; none when there is no such directory.
///
/// # Errors
/// The disk's.
pub fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let names = match disk.list(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        names => names?,
    };
    let plain = names.iter().filter_map(|name| name.strip_suffix(SUFFIX));
    Ok(segment::first_seqs(plain))
}

/// Moves the oldest segment to the archive if the rule lets it go; `None` when it has to stay.
///
/// # Errors
/// See [`ArchiveError`]. It may be tried again.
pub fn archive_oldest(places: Places<'_>, rule: &Rule) -> Result<Option<Archived>, ArchiveError> {
    archive_oldest_on(&RealDisk, places, rule)
}

/// As [`archive_oldest`], on a given disk.
///
/// # Errors
/// As [`archive_oldest`].
pub fn archive_oldest_on(disk: &dyn Disk, places: Places<'_>, rule: &Rule) -> Result<Option<Archived>, ArchiveError> {
    let names = segment::list(disk, places.journal).map_err(at(places.journal))?;
    let &[first_seq, next, ..] = names.as_slice() else {
        return Ok(None);
    };
    let last_seq = next - 1;
    if last_seq > rule.postgres_seq.min(rule.unpinned_seq) || !is_closed(disk, places.journal, first_seq)? {
        return Ok(None);
    }
    if !snapshots::two_cover(disk, places.snapshots, rule.fold_version, last_seq).map_err(at(places.snapshots))? {
        return Ok(None);
    }
    let source = segment::path(places.journal, first_seq);
    let bytes = disk
        .open(&source, false)
        .and_then(|file| file.len())
        .map_err(at(&source))?;
    let next = header_of(disk, &segment::path(places.journal, next))?;
    // A copy may be there already, from before a crash. What it is worth is seen by reading it.
    let target = path(places.archive, first_seq);
    let packed_bytes = match verify(disk, &target, first_seq, &next) {
        Ok(packed_bytes) => packed_bytes,
        Err(_) => {
            pack(disk, &source, places.archive, &target)?;
            verify(disk, &target, first_seq, &next).inspect_err(|_| {
                // The segment itself is damaged, or the disk: either way this is no copy to be found later.
                let _ = disk.remove(&target);
            })?
        }
    };
    // Also when the copy was found: its name may not have been durable when that process ended.
    disk.sync_dir(places.archive).map_err(at(places.archive))?;
    disk.remove(&source).map_err(at(&source))?;
    disk.sync_dir(places.journal).map_err(at(places.journal))?;
    Ok(Some(Archived {
        first_seq,
        last_seq,
        bytes,
        packed_bytes,
    }))
}

/// True when the writer has left the segment behind, as `commit` tells.
fn is_closed(disk: &dyn Disk, journal: &Path, first_seq: u64) -> Result<bool, ArchiveError> {
    let path = journal.join(commit::NAME);
    let position = Reader::open(disk, &path).map_err(at(&path))?.read();
    Ok(position.is_some_and(|position| first_seq < position.segment))
}

fn header_of(disk: &dyn Disk, path: &Path) -> Result<SegmentHeader, ArchiveError> {
    let file = disk.open(path, false).map_err(at(path))?;
    let header = SegmentHeader::read(file.as_ref()).map_err(at(path))?;
    header.map_err(|_| damaged(path, "the header is damaged"))
}

/// Writes the copy under a temporary name, flushes it, and gives it its name.
fn pack(disk: &dyn Disk, source: &Path, dir: &Path, target: &Path) -> Result<(), ArchiveError> {
    disk.make_dir(dir).map_err(at(dir))?;
    let temporary = dir.join(TEMPORARY);
    let packed = disk.create(&temporary).map_err(at(&temporary))?;
    let written = disk
        .open(source, false)
        .and_then(|file| compress(&file, &packed))
        .and_then(|()| packed.sync())
        .and_then(|()| disk.rename(&temporary, target))
        .and_then(|()| disk.sync_dir(dir));
    if written.is_err() {
        // A full disk should not also carry half a copy; what is left is overwritten by the next attempt.
        let _ = disk.remove(&temporary);
    }
    written.map_err(at(target))
}

fn compress(source: &Arc<dyn DiskFile>, packed: &Arc<dyn DiskFile>) -> io::Result<()> {
    let mut encoder = Encoder::new(Cursor::new(packed), LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(source.len()?))?;
    let mut reader = Cursor::new(source);
    let mut piece = vec![0; PIECE];
    loop {
        let got = reader.read(&mut piece)?;
        if got == 0 {
            return encoder.finish().map(|_| ());
        }
        encoder.write_all(&piece[..got])?;
    }
}

/// Reads an archived segment to its end: its chunks continue each other up to the header of the next segment, and the
/// checksum over all of it is right. Its bytes.
fn verify(disk: &dyn Disk, path: &Path, first_seq: u64, next: &SegmentHeader) -> Result<u64, ArchiveError> {
    let packed = disk.open(path, false).map_err(at(path))?;
    let packed_bytes = packed.len().map_err(at(path))?;
    let file: Arc<dyn DiskFile> = Arc::new(Unpacked::new(packed).map_err(at(path))?);
    let header = SegmentHeader::read(file.as_ref()).map_err(at(path))?;
    let header = header.map_err(|_| damaged(path, "the segment's header is damaged"))?;
    let mut chain = Chain::before(&header);
    let mut scanner = Scanner::new(Arc::clone(&file), crate::chunk::SECTOR);
    while let Found::Chunk { header, bytes, .. } = scanner.next(u64::MAX).map_err(at(path))? {
        if !chain.continues(&header) {
            break;
        }
        chain.advance(&header, crate::chunk::hash_of(bytes));
    }
    if header.first_seq != first_seq || !chain.continues_into(next) {
        return Err(damaged(path, "the segment does not lead up to the one after it"));
    }
    segment::end_of_data(file.as_ref(), scanner.offset(), u64::MAX).map_err(at(path))?;
    Ok(packed_bytes)
}

fn at(path: &Path) -> impl Fn(io::Error) -> ArchiveError {
    let place = path.display().to_string();
    move |error| ArchiveError::Io {
        place: place.clone(),
        error,
    }
}

fn damaged(path: &Path, reason: &str) -> ArchiveError {
    ArchiveError::Damaged {
        place: path.display().to_string(),
        reason: reason.into(),
    }
}

/// Reads or writes a file from its start on.
struct Cursor {
    file: Arc<dyn DiskFile>,
    at: u64,
}

impl Cursor {
    fn new(file: &Arc<dyn DiskFile>) -> Cursor {
        Cursor {
            file: Arc::clone(file),
            at: 0,
        }
    }
}

impl Read for Cursor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(buf, self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

impl Write for Cursor {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write_at(buf, self.at)?;
        self.at += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An archived segment as the file that it was. Reading forward costs one pass; stepping back before the last read
/// starts over.
pub(crate) struct Unpacked {
    packed: Arc<dyn DiskFile>,
    stream: Mutex<Stream>,
}

/// What was decompressed last, and how to go on.
struct Stream {
    decoder: Decoder<'static, BufReader<Cursor>>,
    window: Vec<u8>,
    window_at: u64,
}

impl Unpacked {
    pub(crate) fn new(packed: Arc<dyn DiskFile>) -> io::Result<Unpacked> {
        let stream = Mutex::new(Stream::new(&packed)?);
        Ok(Unpacked { packed, stream })
    }
}

impl std::fmt::Debug for Unpacked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacked")
            .field("packed", &self.packed)
            .finish_non_exhaustive()
    }
}

impl Stream {
    fn new(packed: &Arc<dyn DiskFile>) -> io::Result<Stream> {
        Ok(Stream {
            decoder: Decoder::new(Cursor::new(packed))?,
            window: Vec::new(),
            window_at: 0,
        })
    }

    /// Makes the window begin at `offset` and hold `len` bytes, fewer only at the end.
    fn move_to(&mut self, offset: u64, len: usize) -> io::Result<()> {
        loop {
            let passed = usize::try_from(offset - self.window_at).unwrap_or(usize::MAX);
            let passed = passed.min(self.window.len());
            self.window.drain(..passed);
            self.window_at += passed as u64;
            let missing = len.saturating_sub(self.window.len());
            let want = if self.window_at < offset { PIECE } else { missing };
            let got = (&mut self.decoder).take(want as u64).read_to_end(&mut self.window)?;
            if got == 0 || self.window_at == offset {
                return Ok(());
            }
        }
    }
}

impl DiskFile for Unpacked {
    fn len(&self) -> io::Result<u64> {
        let mut stream = Stream::new(&self.packed)?;
        io::copy(&mut stream.decoder, &mut io::sink())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut stream = self.stream.lock();
        if offset < stream.window_at {
            *stream = Stream::new(&self.packed)?;
        }
        stream.move_to(offset, buf.len())?;
        // Beyond the end there is nothing, and the window may not have come so far.
        let got = if stream.window_at == offset {
            buf.len().min(stream.window.len())
        } else {
            0
        };
        buf[..got].copy_from_slice(&stream.window[..got]);
        Ok(got)
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
