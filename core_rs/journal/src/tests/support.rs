//! Records for tests: record n has a body that depends on n alone, so that any mix-up shows.

use crate::chunk::{ChunkInfo, encode_frame};
use crate::commit::{self, Position, Publisher};
use crate::disk::Disk;
use crate::journal::{Journal, OpenError, Options, Postgres};
use crate::segment;
use crate::sim::SimDisk;
use crate::space::Marks;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub const DIR: &str = "/j";
pub const SMALL: Options = Options {
    segment_bytes: 4096,
    marks: Marks::NONE,
    snapshot_hash: None,
};
const PATIENCE: Duration = Duration::from_secs(20);

/// The body of record `seq`.
pub fn body(seq: u64) -> Vec<u8> {
    let len = usize::try_from(seq * 37 % 400).unwrap();
    (0..len)
        .map(|i| u8::try_from((seq as usize * 31 + i * 7) % 255).unwrap() + 1)
        .collect()
}

pub fn frames(first: u64, count: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for seq in first..first + count {
        encode_frame(
            &mut out,
            1_000 + i64::try_from(seq).unwrap(),
            u8::try_from(seq % 200).unwrap(),
            1,
            &body(seq),
        );
    }
    out
}

/// Appends the next `count` records as one batch; their last.
pub fn append(journal: &Journal, count: u64) -> u64 {
    let first = journal.last_seq() + 1;
    journal
        .append(&frames(first, count), first, u32::try_from(count).unwrap(), 5_000)
        .unwrap();
    first + count - 1
}

/// Appends and waits: each call is one chunk.
pub fn append_durably(journal: &Journal, count: u64) -> Result<u64, String> {
    let first = journal.last_seq() + 1;
    journal
        .append(&frames(first, count), first, u32::try_from(count).unwrap(), 5_000)
        .map_err(|error| error.to_string())?;
    assert!(
        journal.wait_durable(first + count - 1, PATIENCE)?,
        "flush takes for ever"
    );
    Ok(first + count - 1)
}

/// What a start replays: sequences, checked against what was written, and the chunks.
pub struct Replayed {
    pub journal: Journal,
    pub last: u64,
    pub chunks: Vec<ChunkInfo>,
}

pub fn open_real(dir: &Path, options: &Options, postgres: Postgres, after: u64) -> Result<Replayed, OpenError> {
    open_on(Arc::new(crate::disk::RealDisk), dir, options, postgres, after)
}

pub fn open_sim(disk: &SimDisk, postgres: Postgres, after: u64) -> Result<Replayed, OpenError> {
    open_on(Arc::new(disk.clone()), Path::new(DIR), &SMALL, postgres, after)
}

pub fn open_on(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: &Options,
    postgres: Postgres,
    after: u64,
) -> Result<Replayed, OpenError> {
    let mut last = after;
    let mut chunks: Vec<ChunkInfo> = Vec::new();
    let journal = Journal::open_on(disk, dir, options, postgres, after, &mut |chunk, frame| {
        assert_eq!(frame.seq, last + 1, "out of order");
        assert_eq!(frame.body, body(frame.seq), "record {} is another", frame.seq);
        assert_eq!(
            (frame.kind, frame.ts),
            ((frame.seq % 200) as u8, 1_000 + frame.seq as i64)
        );
        assert!((chunk.first_seq..=chunk.last_seq).contains(&frame.seq));
        if chunks.last() != Some(chunk) {
            chunks.push(*chunk);
        }
        last = frame.seq;
        Ok(())
    })?;
    assert_eq!(journal.last_seq(), last);
    assert_eq!(journal.durable_seq(), last);
    Ok(Replayed { journal, last, chunks })
}

pub fn refusal(result: Result<Replayed, OpenError>) -> String {
    match result {
        Err(OpenError::Refused { reason, place, advice }) => {
            assert!(!place.to_string().is_empty() && !advice.is_empty());
            reason
        }
        Err(other) => panic!("not a refusal: {other}"),
        Ok(replayed) => panic!("started with {} records", replayed.last),
    }
}

/// A closed journal of several segments.
pub struct Small {
    pub disk: SimDisk,
    pub chunks: Vec<ChunkInfo>,
    pub last: u64,
    /// First sequences.
    pub segments: Vec<u64>,
}

pub fn small() -> Small {
    let disk = SimDisk::new();
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    for n in 0..12 {
        append_durably(&journal, n % 4 + 1).unwrap();
    }
    journal.close().unwrap();
    drop(journal);
    let replayed = open_sim(&disk, Postgres::Empty, 0).unwrap();
    let (chunks, last) = (replayed.chunks, replayed.last);
    replayed.journal.close().unwrap();
    let segments = segment::list(&disk, Path::new(DIR)).unwrap();
    assert!(segments.len() >= 3 && chunks.len() == 12, "{segments:?}");
    Small {
        disk,
        chunks,
        last,
        segments,
    }
}

impl Small {
    pub fn path(&self, place: usize) -> PathBuf {
        segment::path(Path::new(DIR), self.segments[place])
    }

    /// A copy with `commit` at chunk `n` (counted from 0), `None` for nothing committed.
    pub fn committed_to(&self, chunk: Option<usize>) -> SimDisk {
        let disk = self.disk.kill();
        let (mut publisher, _) = Publisher::open(&disk, &commit_path()).unwrap();
        let position = chunk.map_or(Position::default(), |chunk| {
            let info = &self.chunks[chunk];
            let segment = self.segments[segment::place_of(&self.segments, info.first_seq).unwrap()];
            Position {
                last_seq: info.last_seq,
                segment,
                end: 0,
                epoch: 1,
                hash: info.hash,
            }
        });
        publisher.publish(&position);
        publisher.page().sync().unwrap();
        disk.kill()
    }

    pub fn without_commit(&self) -> SimDisk {
        let disk = self.disk.kill();
        disk.lose(&commit_path());
        disk
    }

    pub fn postgres(&self, chunk: usize) -> Postgres {
        Postgres::At {
            seq: self.chunks[chunk].last_seq,
            hash: self.chunks[chunk].hash,
        }
    }
}

pub fn commit_path() -> PathBuf {
    Path::new(DIR).join(commit::NAME)
}
