//! Where the chunks are: for reading single records of the live segments.
//!
//! The two newest segments have an entry for every chunk; older ones keep one for about every 64 KiB and are walked
//! from there, header by header. A segment that was not read at start has none and earns them when it is asked.

use crate::chunk::{self, Header, SECTOR};
use crate::disk::{Disk, DiskFile};
use crate::segment;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Distance of the entries of an older segment, and how much a walk reads at once.
const STRIDE: u64 = 64 << 10;
/// Segment files kept open for reading.
const OPEN_FILES: usize = 4;

#[derive(Debug, Clone, Copy)]
struct Entry {
    first_seq: u64,
    offset: u64,
}

#[derive(Debug)]
struct Segment {
    first_seq: u64,
    entries: Vec<Entry>,
}

/// Chunks of the live segments, by sequence.
#[derive(Debug)]
pub(crate) struct Index {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segments: Vec<Segment>,
    open: Vec<(u64, Arc<dyn DiskFile>)>,
}

/// Where to start looking for a record.
#[derive(Debug)]
pub(crate) struct Lead {
    file: Arc<dyn DiskFile>,
    segment: u64,
    offset: u64,
}

/// A record's chunk.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) offset: u64,
    pub(crate) header: Header,
    segment: u64,
    passed: Vec<Entry>,
}

impl Index {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Index {
        Index {
            disk,
            dir,
            segments: Vec::new(),
            open: Vec::new(),
        }
    }

    /// A further segment: the one before the last is thinned out.
    pub(crate) fn push_segment(&mut self, first_seq: u64) {
        // One without a chunk yet may be replaced by a longer file of the same name.
        if self.segments.last().is_some_and(|last| last.first_seq == first_seq) {
            self.open.retain(|(open, _)| *open != first_seq);
            return;
        }
        if let Some(old) = self
            .segments
            .len()
            .checked_sub(2)
            .and_then(|place| self.segments.get_mut(place))
        {
            let mut next = 0;
            old.entries.retain(|entry| {
                let keep = entry.offset >= next;
                next = if keep { entry.offset + STRIDE } else { next };
                keep
            });
            old.entries.shrink_to_fit();
        }
        self.forget_departed();
        self.segments.push(Segment {
            first_seq,
            entries: Vec::new(),
        });
    }

    /// Segments leave the journal from the oldest on; their entries and open files would be kept for ever.
    fn forget_departed(&mut self) {
        let departed = |segment: &Segment| {
            let opened = self.disk.open(&segment::path(&self.dir, segment.first_seq), false);
            opened.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let gone = self.segments.iter().take_while(|segment| departed(segment)).count();
        self.segments.drain(..gone);
        let oldest = self.segments.first().map_or(u64::MAX, |segment| segment.first_seq);
        self.open.retain(|(segment, _)| *segment >= oldest);
    }

    /// A further chunk of the last segment.
    pub(crate) fn push_chunk(&mut self, first_seq: u64, offset: u64) {
        if let Some(last) = self.segments.last_mut() {
            last.entries.push(Entry { first_seq, offset });
        }
    }

    /// Where to look for `seq`; `None` when its segment has left the journal. Cheap: to be called under the lock.
    pub(crate) fn lead(&mut self, seq: u64) -> io::Result<Option<Lead>> {
        let place = self
            .segments
            .partition_point(|segment| segment.first_seq <= seq)
            .checked_sub(1);
        let Some(found) = place.and_then(|place| self.segments.get(place)) else {
            return Ok(None);
        };
        let before = found
            .entries
            .partition_point(|entry| entry.first_seq <= seq)
            .checked_sub(1);
        let offset = before.map_or(SECTOR, |at| found.entries[at].offset);
        let segment = found.first_seq;
        Ok(self.file(segment)?.map(|file| Lead { file, segment, offset }))
    }

    /// Remembers what a walk passed, so that the next one is shorter.
    pub(crate) fn learn(&mut self, hit: &Hit) {
        let Ok(place) = self
            .segments
            .binary_search_by_key(&hit.segment, |segment| segment.first_seq)
        else {
            return;
        };
        let entries = &mut self.segments[place].entries;
        for entry in &hit.passed {
            let at = entries.partition_point(|known| known.first_seq < entry.first_seq);
            if entries.get(at).is_none_or(|known| known.first_seq != entry.first_seq) {
                entries.insert(at, *entry);
            }
        }
    }

    fn file(&mut self, segment: u64) -> io::Result<Option<Arc<dyn DiskFile>>> {
        if let Some((_, file)) = self.open.iter().find(|(first, _)| *first == segment) {
            return Ok(Some(Arc::clone(file)));
        }
        let file = match self.disk.open(&segment::path(&self.dir, segment), false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if self.open.len() == OPEN_FILES {
            self.open.remove(0);
        }
        self.open.push((segment, Arc::clone(&file)));
        Ok(Some(file))
    }
}

impl Lead {
    /// Walks from the lead to the chunk that holds `seq`, which must be durable. Reads the disk: not under the lock.
    pub(crate) fn follow(self, seq: u64) -> io::Result<Hit> {
        let mut window = vec![0; chunk::HEADER];
        let (mut window_at, mut at) = (self.offset, self.offset);
        let mut got = self.file.read_at(&mut window, at)?;
        let mut passed: Vec<Entry> = Vec::new();
        loop {
            if at + chunk::HEADER as u64 > window_at + got as u64 {
                window.resize(usize::try_from(STRIDE).unwrap_or(chunk::HEADER), 0);
                got = self.file.read_at(&mut window, at)?;
                window_at = at;
            }
            let start = usize::try_from(at - window_at).unwrap_or(usize::MAX).min(got);
            let Some(len) = chunk::claimed_len(&window[start..got]) else {
                return Err(damaged(self.segment, at));
            };
            let header = chunk::read_header(&window[start..got]);
            if header.first_seq > seq {
                return Err(damaged(self.segment, at));
            }
            if seq <= header.last_seq() {
                return Ok(Hit {
                    file: self.file,
                    offset: at,
                    header,
                    segment: self.segment,
                    passed,
                });
            }
            if at >= passed.last().map_or(self.offset, |entry| entry.offset) + STRIDE {
                passed.push(Entry {
                    first_seq: header.first_seq,
                    offset: at,
                });
            }
            at = chunk::align(at + len as u64);
        }
    }
}

impl Hit {
    /// True when there is something to [`Index::learn`].
    pub(crate) fn is_lesson(&self) -> bool {
        !self.passed.is_empty()
    }

    /// The whole chunk, verified.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.header.len().min(chunk::MAX_CHUNK)];
        self.file.read_at(&mut bytes, self.offset)?;
        match chunk::decode(&bytes) {
            Ok(header) if header == self.header => Ok(bytes),
            _ => Err(damaged(self.segment, self.offset)),
        }
    }
}

fn damaged(segment: u64, offset: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{} at {offset}: damaged", segment::name(segment)),
    )
}
