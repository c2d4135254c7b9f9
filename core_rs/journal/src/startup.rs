//! Reading the journal at start: what stands there, and what the marks of others say about it.

use crate::chunk::{self, ChunkInfo, Defect, Frame, Hash, Header, SECTOR};
use crate::disk::{Disk, DiskFile};
use crate::index::Index;
use crate::journal::{OpenError, Visit};
use crate::judgement::{Extent, Place, Scope};
use crate::marks::{Claims, CommitWord, Mark};
use crate::recovery::Tail;
use crate::segment::{self, Chain, Found, Scanner, SegmentHeader};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One segment as it was read.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) first_seq: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Last good record in it, its good chunks, and the epochs of the first and the last of them.
    pub(crate) last_seq: u64,
    pub(crate) chunks: u64,
    pub(crate) epochs: (u32, u32),
    /// Offset after the last good chunk, 0 when not even the header is good.
    pub(crate) end: u64,
    /// Where the chunks begin that nobody is known to have flushed.
    pub(crate) unproven: Option<u64>,
}

impl Part {
    const fn new(first_seq: u64, file: Arc<dyn DiskFile>) -> Part {
        Part {
            first_seq,
            file,
            last_seq: 0,
            chunks: 0,
            epochs: (0, 0),
            end: 0,
            unproven: None,
        }
    }
}

/// Everything that was read.
#[derive(Debug)]
pub(crate) struct Reading {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    /// First sequences of all segments.
    pub(crate) names: Vec<u64>,
    pub(crate) parts: Vec<Part>,
    pub(crate) chain: Chain,
    pub(crate) tail: Tail,
    /// Place in `parts` of the bad bytes, which start at that part's `end`.
    pub(crate) bad: Option<usize>,
    pub(crate) later: bool,
    pub(crate) index: Index,
    pub(crate) last_ts: i64,
    pub(crate) unproven_chunks: u64,
    /// See [`Claims::marks`].
    pub(crate) marks: [Mark; 3],
    floor: u64,
    after_seq: u64,
    /// First segment to read.
    start: usize,
    /// Segment and offset beyond which nothing is looked at.
    limit: Option<(u64, u64)>,
    /// First record that was read, less one.
    read_from: u64,
}

const COMMIT: usize = 0;
const POSTGRES: usize = 1;

impl Reading {
    pub(crate) fn new(disk: &Arc<dyn Disk>, dir: &Path, claims: &Claims, scope: Scope) -> Result<Reading, OpenError> {
        let mut names = segment::list(disk.as_ref(), dir).map_err(|error| io_at(dir, error))?;
        let limit = match claims.commit {
            CommitWord::At(position) if scope.live => Some((position.segment, position.end)),
            _ => None,
        };
        names.retain(|first| limit.is_none_or(|(segment, _)| *first <= segment));
        let (marks, after_seq) = (claims.marks(), claims.snapshot.0);
        let from = match (scope.extent, claims.commit) {
            (Extent::Everything, _) => 0,
            // An unknown commit does not call for reading everything that the snapshot covers.
            (Extent::NeededAtStart, CommitWord::Missing | CommitWord::Unreadable) => after_seq,
            (Extent::NeededAtStart, _) => after_seq.min(marks[COMMIT].seq),
        };
        Ok(Reading {
            dir: dir.to_owned(),
            disk: Arc::clone(disk),
            start: segment::place_of(&names, from).unwrap_or(0),
            names,
            parts: Vec::new(),
            chain: Chain::default(),
            tail: Tail::Clean,
            bad: None,
            later: false,
            index: Index::new(Arc::clone(disk), dir.to_owned()),
            last_ts: 0,
            unproven_chunks: 0,
            marks,
            floor: marks.iter().map(|mark| mark.seq).max().unwrap_or(0),
            after_seq,
            limit,
            read_from: 0,
        })
    }

    /// Reads to the end, replaying what follows the snapshot.
    pub(crate) fn read(&mut self, replay: Visit<'_>) -> Result<(), OpenError> {
        let start = self.start;
        for first in self.names[..start].iter().copied() {
            self.index.push_segment(first);
        }
        if self.names.is_empty() {
            self.pass_boundary();
            return Ok(());
        }
        if let Some((place, tail)) = self.break_before(start)? {
            let path = segment::path(&self.dir, self.names[place]);
            let file = self.disk.open(&path, false).map_err(|error| io_at(&path, error))?;
            self.parts.push(Part::new(self.names[place], file));
            self.stop(tail);
            return self.look_behind(place);
        }
        for place in start..self.names.len() {
            if !self.enter(place, place == start)? || !self.read_part(replay)? {
                return self.look_behind(place);
            }
        }
        self.read_tail()
    }

    /// Segments that need no reading must still all be there, since stored answers are in them.
    fn break_before(&self, start: usize) -> Result<Option<(usize, Tail)>, OpenError> {
        let unread = &self.names[..=start];
        let found = segment::first_break(self.disk.as_ref(), &self.dir, unread);
        let found = found.map_err(|error| io_at(&self.dir, error))?;
        Ok(found.map(|(place, defect)| match defect {
            Some(Defect::Foreign) => (place, Tail::Foreign),
            Some(Defect::Bad) => (place, Tail::Bad),
            None => (place, Tail::Gap),
        }))
    }

    /// Opens the next segment; false when the chain does not go on into it.
    fn enter(&mut self, place: usize, is_first: bool) -> Result<bool, OpenError> {
        let first_seq = self.names[place];
        let path = segment::path(&self.dir, first_seq);
        let file = self.disk.open(&path, false).map_err(|error| io_at(&path, error))?;
        let header = SegmentHeader::read(file.as_ref()).map_err(|error| io_at(&path, error))?;
        if is_first {
            self.chain.last_seq = first_seq - 1;
            self.read_from = self.chain.last_seq;
        }
        if is_first && first_seq == 1 {
            self.pass_boundary();
        }
        self.parts.push(Part::new(first_seq, file));
        let header = match header {
            Ok(header) => header,
            Err(Defect::Foreign) => return Ok(self.stop(Tail::Foreign)),
            Err(Defect::Bad) => return Ok(self.stop(Tail::Bad)),
        };
        let known = header.first_seq == first_seq && (first_seq > 1 || header.prev_hash == Hash::default());
        if is_first && known {
            self.chain = Chain::before(&header);
            self.pass_boundary();
        } else if !known || !self.chain.continues_into(&header) {
            return Ok(self.stop(Tail::Gap));
        }
        self.index.push_segment(first_seq);
        if let Some(part) = self.parts.last_mut() {
            part.end = SECTOR;
        }
        Ok(true)
    }

    /// Reads the chunks of the newest part; false when reading must not go on with the next segment.
    fn read_part(&mut self, replay: Visit<'_>) -> Result<bool, OpenError> {
        let Some(place) = self.parts.len().checked_sub(1) else {
            return Ok(false);
        };
        let path = segment::path(&self.dir, self.parts[place].first_seq);
        let limit = self.limit_of(place);
        let mut scanner = Scanner::new(Arc::clone(&self.parts[place].file), SECTOR);
        loop {
            match scanner.next(limit).map_err(|error| io_at(&path, error))? {
                Found::Chunk { header, .. } if !self.chain.continues(&header) => return Ok(self.stop(Tail::Gap)),
                Found::Chunk { offset, header, bytes } => {
                    let end = chunk::align(offset + bytes.len() as u64);
                    self.take(place, offset, &header, bytes, replay)
                        .map_err(|reason| OpenError::Refused {
                            place: Place {
                                path: path.clone(),
                                offset: Some(offset),
                                after_seq: Some(self.chain.last_seq),
                            },
                            reason,
                            advice: "The journal itself is whole: start the release that wrote it, or a newer one"
                                .into(),
                        })?;
                    let part = &mut self.parts[place];
                    let first_epoch = if part.chunks == 0 { header.epoch } else { part.epochs.0 };
                    (part.end, part.last_seq, part.epochs) = (end, header.last_seq(), (first_epoch, header.epoch));
                    part.chunks += 1;
                }
                Found::Defect(Defect::Foreign) => return Ok(self.stop(Tail::Foreign)),
                // Whether these bytes matter depends on whether the next segment continues.
                Found::Defect(Defect::Bad) | Found::End => return Ok(true),
            }
        }
    }

    fn take(&mut self, place: usize, at: u64, header: &Header, bytes: &[u8], replay: Visit<'_>) -> Result<(), String> {
        let hash = chunk::hash_of(bytes);
        let info: ChunkInfo = header.info(hash);
        for mark in &mut self.marks {
            mark.pass(info.first_seq, info.last_seq, &hash);
        }
        if info.last_seq > self.after_seq {
            for frame in chunk::frames(&bytes[chunk::HEADER..], info.first_seq) {
                self.visit(&info, &frame, replay)?;
            }
        }
        if info.last_seq > self.floor {
            self.unproven_chunks += 1;
            self.parts[place].unproven.get_or_insert(at);
        }
        self.index.push_chunk(info.first_seq, at);
        self.chain.advance(header, hash);
        Ok(())
    }

    fn visit(&mut self, info: &ChunkInfo, frame: &Frame<'_>, replay: Visit<'_>) -> Result<(), String> {
        self.last_ts = frame.ts;
        // With records missing before the first segment the decision will be to refuse: nobody should fold over a hole.
        if frame.seq <= self.after_seq || self.read_from > self.after_seq {
            return Ok(());
        }
        replay(info, frame).map_err(|reason| format!("record {}: {reason}", frame.seq))
    }

    fn pass_boundary(&mut self) {
        let chain = self.chain;
        for mark in &mut self.marks {
            mark.pass(chain.last_seq + 1, chain.last_seq, &chain.hash);
        }
    }

    fn stop(&mut self, tail: Tail) -> bool {
        self.tail = tail;
        false
    }

    /// The last segment was read to its last good chunk: is the rest zero?
    fn read_tail(&mut self) -> Result<(), OpenError> {
        let Some(place) = self.parts.len().checked_sub(1) else {
            return Ok(());
        };
        if self.has_rest(place)? {
            self.tail = Tail::Bad;
            self.bad = Some(place);
            self.later = self.undamaged_after(place)?;
        }
        Ok(())
    }

    /// Reading stopped in the newest part: what stands before that place, and what after?
    fn look_behind(&mut self, name_place: usize) -> Result<(), OpenError> {
        let Some(newest) = self.parts.len().checked_sub(1) else {
            return Ok(());
        };
        let stopped_at_header = self.parts[newest].end == 0;
        // A segment that does not continue, behind one that ends in bad bytes: the damage is the cause.
        if stopped_at_header && newest > 0 && self.has_rest(newest - 1)? {
            self.bad = Some(newest - 1);
            self.later = self.tail != Tail::Bad;
            self.tail = if self.tail == Tail::Foreign {
                Tail::Foreign
            } else {
                Tail::Bad
            };
        } else {
            self.bad = Some(newest);
            self.later = self.tail != Tail::Bad;
        }
        for first_seq in self.names[name_place + 1..].iter().copied() {
            let path = segment::path(&self.dir, first_seq);
            let file = self.disk.open(&path, false).map_err(|error| io_at(&path, error))?;
            let header = SegmentHeader::read(file.as_ref()).map_err(|error| io_at(&path, error))?;
            self.later |= !matches!(header, Err(Defect::Bad));
            self.parts.push(Part::new(first_seq, file));
        }
        for place in self.bad.unwrap_or(newest)..self.parts.len() {
            self.later = self.later || self.undamaged_after(place)?;
        }
        Ok(())
    }

    fn limit_of(&self, place: usize) -> u64 {
        match self.limit {
            Some((segment, end)) if segment == self.parts[place].first_seq => end,
            _ => u64::MAX,
        }
    }

    fn has_rest(&self, place: usize) -> Result<bool, OpenError> {
        let part = &self.parts[place];
        let end = segment::end_of_data(part.file.as_ref(), part.end, self.limit_of(place));
        Ok(end.map_err(|error| io_at(&segment::path(&self.dir, part.first_seq), error))? > part.end)
    }

    fn undamaged_after(&self, place: usize) -> Result<bool, OpenError> {
        let part = &self.parts[place];
        let end = part.file.len().map(|len| len.min(self.limit_of(place)));
        end.and_then(|end| segment::has_later_chunk(&part.file, part.end.max(SECTOR), end, self.chain.last_seq))
            .map_err(|error| io_at(&segment::path(&self.dir, part.first_seq), error))
    }

    /// Postgres may be far behind the snapshot: its chunk is then looked up in its own segment only.
    pub(crate) fn look_up_postgres(&mut self) -> Result<(), OpenError> {
        let mark = self.marks[POSTGRES];
        let oldest = self.names.first().copied().unwrap_or(0);
        if mark.agrees.is_some() || mark.seq >= self.read_from || mark.seq < oldest {
            return self.look_up_boundary(oldest);
        }
        let Some(place) = segment::place_of(&self.names, mark.seq) else {
            return Ok(());
        };
        let path = segment::path(&self.dir, self.names[place]);
        let file = self.disk.open(&path, false).map_err(|error| io_at(&path, error))?;
        let mut scanner = Scanner::new(file, SECTOR);
        while let Found::Chunk { header, bytes, .. } = scanner.next(u64::MAX).map_err(|error| io_at(&path, error))? {
            if header.last_seq() >= mark.seq {
                let hash = chunk::hash_of(bytes);
                self.marks[POSTGRES].pass(header.first_seq, header.last_seq(), &hash);
                break;
            }
        }
        self.marks[POSTGRES].agrees.get_or_insert(false);
        Ok(())
    }

    /// Postgres stands exactly before the oldest segment, which was not read.
    fn look_up_boundary(&mut self, oldest: u64) -> Result<(), OpenError> {
        let mark = &mut self.marks[POSTGRES];
        if mark.agrees.is_none() && oldest > 0 && mark.seq == oldest - 1 && mark.seq < self.read_from {
            let path = segment::path(&self.dir, oldest);
            let file = self.disk.open(&path, false).map_err(|error| io_at(&path, error))?;
            let header = SegmentHeader::read(file.as_ref()).map_err(|error| io_at(&path, error))?;
            mark.agrees = Some(header.is_ok_and(|header| mark.hash.is_none_or(|hash| hash == header.prev_hash)));
        }
        Ok(())
    }
}

pub(crate) fn io_at(path: &Path, error: io::Error) -> OpenError {
    OpenError::Io {
        place: path.display().to_string(),
        error,
    }
}
