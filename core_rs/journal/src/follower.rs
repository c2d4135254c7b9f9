//! Reading the journal up to `commit`, from another process or thread. A follower never writes.

use crate::archive::{self, Unpacked};
use crate::chunk::{self, ChunkInfo, Header};
use crate::commit::{self, Position, Reader};
use crate::disk::{Disk, DiskFile, RealDisk};
use crate::journal::Visit;
use crate::segment::{self, Chain, Found, Scanner, SegmentHeader};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a follower stopped.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// There is no journal yet: wait for the writer's first start.
    #[error("there is no journal in {0} yet")]
    NoJournal(String),
    /// The segment of the next record has left the journal: restart from a snapshot.
    #[error("record {0} has left the journal: restart from a snapshot")]
    Gone(u64),
    /// Committed bytes do not verify, or the start is beyond what is committed.
    #[error("{place}: {reason}")]
    Corrupt {
        /// File and offset.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The visitor refused a record: the follower is of no further use.
    #[error("{0}")]
    Visitor(String),
    /// The disk.
    #[error("{place}: {error}")]
    Io {
        /// Which file.
        place: String,
        /// What the system said.
        error: io::Error,
    },
}

/// A reader of committed chunks, in order.
pub struct Follower {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Where segments are read from that have left the journal.
    archive: Option<PathBuf>,
    commit: Reader,
    /// Records up to here are not visited.
    after_seq: u64,
    /// Set with the first segment.
    chain: Chain,
    open: Option<Open>,
}

struct Open {
    first_seq: u64,
    path: PathBuf,
    scanner: Scanner,
}

enum Step {
    Visited(usize),
    /// Nothing more to read, or the next chunk is too large for what is left.
    Wait,
    NextSegment,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower")
            .field("dir", &self.dir)
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

impl Follower {
    /// Starts after record `after_seq` (0: from the first). It should end a chunk: if it does not, the rest of its
    /// chunk is visited first.
    ///
    /// # Errors
    /// [`FollowError::NoJournal`] before the first start of the writer; `Corrupt` when `after_seq` is not committed.
    pub fn open(dir: &Path, after_seq: u64) -> Result<Follower, FollowError> {
        Follower::open_on(Arc::new(RealDisk), dir, after_seq)
    }

    /// As [`Follower::open`], on a given disk.
    ///
    /// # Errors
    /// As [`Follower::open`].
    pub fn open_on(disk: Arc<dyn Disk>, dir: &Path, after_seq: u64) -> Result<Follower, FollowError> {
        let path = dir.join(commit::NAME);
        let commit = match Reader::open(disk.as_ref(), &path) {
            Ok(commit) => commit,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(FollowError::NoJournal(dir.display().to_string()));
            }
            Err(error) => return Err(io_at(&path, error)),
        };
        let follower = Follower {
            disk,
            dir: dir.to_owned(),
            archive: None,
            commit,
            after_seq,
            chain: Chain::default(),
            open: None,
        };
        let committed = follower.read_commit()?.last_seq;
        if after_seq > committed {
            return Err(FollowError::Corrupt {
                place: path.display().to_string(),
                reason: format!("asked to start after record {after_seq}, and only {committed} are committed"),
            });
        }
        Ok(follower)
    }

    /// Also reads the segments that have left the journal for this directory.
    #[must_use]
    pub fn with_archive(mut self, dir: &Path) -> Follower {
        self.archive = Some(dir.to_owned());
        self
    }

    /// Visits whole chunks up to `commit`: as many as hold at most `max_records` records, but at least one chunk.
    /// Returns the records visited, 0 when there is nothing new.
    ///
    /// # Errors
    /// See [`FollowError`]. After `Visitor` a part of a chunk was visited: drop the follower and its state.
    pub fn poll(&mut self, max_records: usize, visit: Visit<'_>) -> Result<usize, FollowError> {
        let commit = self.read_commit()?;
        let mut visited = 0;
        while self.position() < commit.last_seq && visited < max_records.max(1) {
            match self.step(&commit, visited, max_records, visit)? {
                Step::Visited(records) => visited += records,
                Step::Wait => break,
                Step::NextSegment => self.open = None,
            }
        }
        Ok(visited)
    }

    /// Last committed record.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.commit.read().map_or(self.position(), |position| position.last_seq)
    }

    /// Last visited record, or the start.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.chain.last_seq.max(self.after_seq)
    }

    fn read_commit(&self) -> Result<Position, FollowError> {
        self.commit.read().ok_or_else(|| FollowError::Corrupt {
            place: self.dir.join(commit::NAME).display().to_string(),
            reason: "both slots are damaged".into(),
        })
    }

    fn step(
        &mut self,
        commit: &Position,
        visited: usize,
        max_records: usize,
        visit: Visit<'_>,
    ) -> Result<Step, FollowError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.enter()?,
        };
        // Beyond the committed end bytes are still changing.
        let limit = if open.first_seq == commit.segment {
            commit.end
        } else {
            u64::MAX
        };
        let corrupt = |place: String, reason: &str| FollowError::Corrupt {
            place,
            reason: reason.into(),
        };
        let at = format!("{} at {}", open.path.display(), open.scanner.offset());
        let step = match open.scanner.next(limit).map_err(|error| io_at(&open.path, error))? {
            Found::Chunk { header, .. } if !self.chain.continues(&header) => {
                return Err(corrupt(at, "the chunk does not continue the one before"));
            }
            Found::Chunk { header, .. } if header.last_seq() > commit.last_seq => Step::Wait,
            Found::Chunk { offset, header, bytes } => {
                let records = usize::try_from(header.last_seq() - header.first_seq + 1).unwrap_or(usize::MAX);
                let fresh = header.last_seq() > self.after_seq;
                if fresh && visited > 0 && visited + records > max_records {
                    open.scanner.seek(offset);
                    Step::Wait
                } else {
                    Step::Visited(deliver(&mut self.chain, self.after_seq, &header, bytes, visit)?)
                }
            }
            // Neither where the committed end is, nor at its very start, may a segment have nothing more.
            _ if open.first_seq == commit.segment || open.first_seq == self.chain.last_seq + 1 => {
                return Err(corrupt(at, "a committed chunk is damaged"));
            }
            Found::End | Found::Defect(_) => Step::NextSegment,
        };
        self.open = Some(open);
        Ok(step)
    }

    /// Opens the segment of the next record.
    fn enter(&mut self) -> Result<Open, FollowError> {
        let is_first = self.chain == Chain::default();
        let next = self.position() + 1;
        // A later start needs the segment that begins with the next record, not any that could hold it.
        let holder = |names: &[u64]| {
            let first = segment::place_of(names, next).map(|place| names[place]);
            first.filter(|first| is_first || *first == next)
        };
        let (first_seq, path, file) = self.find(next, holder)?;
        let header = SegmentHeader::read(file.as_ref()).map_err(|error| io_at(&path, error))?;
        let chain = &mut self.chain;
        match header {
            Ok(header) if header.first_seq == first_seq && is_first => *chain = Chain::before(&header),
            Ok(header) if header.first_seq == first_seq && chain.continues_into(&header) => {}
            _ => {
                let reason = "the header is damaged or does not continue the segment before".into();
                return Err(FollowError::Corrupt {
                    place: path.display().to_string(),
                    reason,
                });
            }
        }
        Ok(Open {
            first_seq,
            path,
            scanner: Scanner::new(file, chunk::SECTOR),
        })
    }

    /// The segment that `holder` picks: in the journal, or else in the archive. In this order, since a segment is in the
    /// archive before it leaves the journal.
    fn find(
        &self,
        next: u64,
        holder: impl Fn(&[u64]) -> Option<u64>,
    ) -> Result<(u64, PathBuf, Arc<dyn DiskFile>), FollowError> {
        let names = segment::list(self.disk.as_ref(), &self.dir).map_err(|error| io_at(&self.dir, error))?;
        if let Some(first) = holder(&names) {
            let path = segment::path(&self.dir, first);
            match self.disk.open(&path, false) {
                Ok(file) => return Ok((first, path, file)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(io_at(&path, error)),
            }
        } else if let Some(place) = segment::place_of(&names, next) {
            return Err(missing(&segment::path(&self.dir, names[place]), next));
        }
        let Some(archive) = &self.archive else {
            return Err(FollowError::Gone(next));
        };
        let names = archive::list(self.disk.as_ref(), archive).map_err(|error| io_at(archive, error))?;
        let first = holder(&names).ok_or_else(|| missing(archive, next))?;
        let path = archive::path(archive, first);
        let file = self.disk.open(&path, false).and_then(Unpacked::new);
        let file = file.map_err(|error| io_at(&path, error))?;
        Ok((first, path, Arc::new(file)))
    }
}

/// Visits what is new in a chunk; records visited.
fn deliver(
    chain: &mut Chain,
    after_seq: u64,
    header: &Header,
    bytes: &[u8],
    visit: Visit<'_>,
) -> Result<usize, FollowError> {
    let hash = chunk::hash_of(bytes);
    let info: ChunkInfo = header.info(hash);
    let mut visited = 0;
    if info.last_seq > after_seq {
        for frame in chunk::frames(&bytes[chunk::HEADER..], info.first_seq).filter(|frame| frame.seq > after_seq) {
            visit(&info, &frame).map_err(|reason| FollowError::Visitor(format!("record {}: {reason}", frame.seq)))?;
            visited += 1;
        }
    }
    chain.advance(header, hash);
    Ok(visited)
}

fn missing(place: &Path, next: u64) -> FollowError {
    FollowError::Corrupt {
        place: place.display().to_string(),
        reason: format!("record {next} is committed, and it is not there"),
    }
}

fn io_at(path: &Path, error: io::Error) -> FollowError {
    FollowError::Io {
        place: path.display().to_string(),
        error,
    }
}
