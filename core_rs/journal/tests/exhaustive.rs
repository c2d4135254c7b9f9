//! Damage at every place: each truncation of a journal of 256 KiB, each flipped bit of one of 64 KiB, every file.
//!
//! For each case an oracle says what must come of it. It knows where each chunk stands (read off the undamaged files by
//! the format's description) and how far `commit` went, and nothing of how the journal recovers: either a start holds
//! exactly the records of the chunks before the damage, none of them acknowledged and lost, or it is refused, with the
//! right place and without a byte changed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod overlay;

use ordergate_journal::commit::{self, Position, Publisher};
use ordergate_journal::disk::Disk;
use ordergate_journal::sim::{SimDisk, Stepped};
use ordergate_journal::{Marks, OpenError, Options, Postgres, encode_frame, segment};
use overlay::{Damage, Image, Overlay};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const DIR: &str = "/j";
const SECTOR: usize = 512;
const SEGMENT_HEADER: usize = 64;
/// A build without optimisation, as `cargo test` makes it, takes one case of so many; `make exhaustive` takes all.
const STRIDE: usize = if cfg!(debug_assertions) { 61 } else { 1 };
/// Cases that a thread takes at once.
const SHARE: usize = 1 << 10;
/// Each so many cases also starts without a snapshot, reading the whole journal.
const WHOLE: usize = 64;

/// A chunk's place: its bytes are `offset..end`, the next begins at the sector after.
struct Chunk {
    segment: usize,
    offset: usize,
    end: usize,
    last_seq: u64,
}

struct Journal {
    image: Arc<Image>,
    /// The segments, in order, and last `commit`.
    files: Vec<PathBuf>,
    chunks: Vec<Chunk>,
    /// Chunks before each segment, and before the end.
    before: Vec<usize>,
    /// Body of each record, from record 1.
    bodies: Vec<Vec<u8>>,
    /// Chunks that were acknowledged; the others lie above `commit`.
    acknowledged: usize,
    options: Options,
}

/// What must come of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// A start holds all records of the first so many chunks; the rest was cut, or there was nothing to cut.
    Holds { chunks: usize, cut: bool },
    /// Refused at this byte of this file, after this record.
    Refused(PathBuf, Option<u64>, Option<u64>),
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn body(seq: u64) -> Vec<u8> {
    let len = 20 + seq * 97 % 331;
    (0..len).map(|at| (seq * 31 + at * 7) as u8).collect()
}

impl Journal {
    /// A journal of at least `bytes` bytes and two starts, whose `commit` is `lag` chunks behind its end.
    fn build(segment_bytes: u64, bytes: usize, in_last: usize, lag: usize) -> Journal {
        let sim = SimDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let options = Options {
            segment_bytes,
            marks: Marks::NONE,
            snapshot_hash: None,
        };
        let dir = Path::new(DIR);
        let (mut last_seq, mut bodies) = (0, Vec::new());
        let mut segments = Vec::new();
        for start in 0..2 {
            let mut journal = Stepped::open(&disk, dir, &options, Postgres::Empty, 0, &mut |_, _| Ok(())).unwrap();
            let mut in_newest = 0;
            while segments.len() * (segment_bytes as usize) < bytes / (2 - start) || in_newest < in_last {
                let (count, mut frames) = (last_seq % 4 + 1, Vec::new());
                for seq in last_seq + 1..=last_seq + count {
                    bodies.push(body(seq));
                    encode_frame(&mut frames, seq as i64, seq as u8, 1, &body(seq));
                }
                let first = last_seq + 1;
                journal.journal().append(&frames, first, count as u32, 0).unwrap();
                journal.prepare().unwrap();
                journal.flush().unwrap();
                last_seq += count;
                let known = segments.len();
                segments = segment::list(&sim, dir).unwrap();
                in_newest = if segments.len() > known { 1 } else { in_newest + 1 };
            }
        }
        let paths: Vec<PathBuf> = segments.iter().map(|first| segment::path(dir, *first)).collect();
        let mut image = Image::new();
        let mut chunks = Vec::new();
        for (place, path) in paths.iter().enumerate() {
            let file = sim.contents(path).unwrap();
            let mut offset = SECTOR;
            while offset + 64 <= file.len() && file[offset..offset + 4] == *b"OGJC" {
                let end = offset + 64 + u32_at(&file, offset + 12);
                let last_seq = u64_at(&file, offset + 24) + u32_at(&file, offset + 20) as u64 - 1;
                chunks.push(Chunk {
                    segment: place,
                    offset,
                    end,
                    last_seq,
                });
                offset = end.next_multiple_of(SECTOR);
            }
            image.insert(path.clone(), Arc::new(file));
        }
        let acknowledged = chunks.len() - lag;
        let commit = dir.join(commit::NAME);
        image.insert(
            commit.clone(),
            Arc::new(commit_of(&chunks[..acknowledged], &segments, &image)),
        );
        let before = |segment| chunks.iter().take_while(|chunk| chunk.segment < segment).count();
        let before = (0..=paths.len()).map(before).collect();
        Journal {
            image: Arc::new(image),
            before,
            files: paths.into_iter().chain([commit]).collect(),
            chunks,
            bodies,
            acknowledged,
            options,
        }
    }

    fn segments(&self) -> usize {
        self.files.len() - 1
    }

    fn len(&self, file: usize) -> usize {
        self.image[&self.files[file]].len()
    }

    fn bytes(&self) -> usize {
        (0..self.files.len()).map(|file| self.len(file)).sum()
    }

    fn last_seq(&self, chunks: usize) -> u64 {
        chunks.checked_sub(1).map_or(0, |last| self.chunks[last].last_seq)
    }

    /// The oracle.
    fn expected(&self, file: usize, damage: Damage) -> Outcome {
        let path = &self.files[file];
        let whole = Outcome::Holds {
            chunks: self.chunks.len(),
            cut: false,
        };
        if file == self.segments() {
            return match damage {
                // Half a commit file says nothing, and nobody else does.
                Damage::Truncated(_) => Outcome::Refused(path.to_owned(), None, None),
                // Three of its four slots are whole, and none of them says more than was acknowledged.
                Damage::Flipped(..) => whole,
            };
        }
        let (first, end) = (self.before[file], self.before[file + 1]);
        let is_last = end == self.chunks.len();
        let inside = &self.chunks[first..end];
        // Good chunks, and whether bytes that are no chunk stand behind them in this file.
        let (good, header, rest) = match damage {
            Damage::Truncated(len) if len < SEGMENT_HEADER => (first, false, true),
            Damage::Truncated(len) => {
                let kept = inside.iter().take_while(|chunk| chunk.end <= len).count();
                let rest = inside.get(kept).is_some_and(|torn| torn.offset < len);
                (first + kept, true, rest)
            }
            Damage::Flipped(at, _) if at < SEGMENT_HEADER => {
                return Outcome::Refused(path.to_owned(), Some(0), Some(self.last_seq(first)));
            }
            Damage::Flipped(at, _) => match inside.iter().position(|chunk| (chunk.offset..chunk.end).contains(&at)) {
                Some(hit) => (first + hit, true, true),
                // Behind the last chunk there should be zeros, if nothing follows.
                None => (
                    end,
                    true,
                    is_last && at >= inside[inside.len() - 1].end.next_multiple_of(SECTOR),
                ),
            },
        };
        if good == self.chunks.len() {
            return Outcome::Holds {
                chunks: good,
                cut: rest,
            };
        }
        let follows = match damage {
            Damage::Truncated(_) => !is_last && good < end,
            Damage::Flipped(..) => good < end && good + 1 < self.chunks.len(),
        };
        if good == end {
            return whole;
        }
        let at = match (header, good - first) {
            (false, _) => 0,
            (true, 0) => SECTOR,
            (true, kept) => inside[kept - 1].end.next_multiple_of(SECTOR),
        };
        let after = Some(self.last_seq(good));
        if follows && !rest {
            // Cut off between two chunks: what shows is the next segment, which does not continue.
            return Outcome::Refused(self.files[file + 1].clone(), Some(0), after);
        }
        if follows || good < self.acknowledged {
            return Outcome::Refused(path.to_owned(), Some(at as u64), after);
        }
        Outcome::Holds {
            chunks: good,
            cut: rest,
        }
    }

    /// What comes of it, after a start that knows the records up to `after` from a snapshot.
    fn start(&self, disk: &Overlay, after: u64) -> (Outcome, Option<PathBuf>) {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut last = after;
        let started = Stepped::open(
            &shared,
            Path::new(DIR),
            &self.options,
            Postgres::Unreadable,
            after,
            &mut |_, frame| {
                last += 1;
                let same = (frame.seq, frame.ts, frame.kind) == (last, last as i64, last as u8)
                    && frame.body == self.bodies[last as usize - 1];
                if same {
                    Ok(())
                } else {
                    Err(format!("record {last} is another"))
                }
            },
        );
        match started {
            Ok(started) => {
                let recovered = started.journal().recovered();
                assert_eq!((recovered.last_seq, started.journal().durable_seq()), (last, last));
                let chunks = self.chunks.partition_point(|chunk| chunk.last_seq <= last);
                assert_eq!(self.last_seq(chunks), last, "not the end of a chunk");
                let cut = recovered.torn.is_some();
                (Outcome::Holds { chunks, cut }, recovered.torn.clone())
            }
            Err(OpenError::Refused { place, .. }) => {
                (Outcome::Refused(place.path, place.offset, place.after_seq), None)
            }
            Err(other) => panic!("{other}"),
        }
    }

    /// One case; what came of it is what had to.
    fn check(&self, file: usize, damage: Damage, also_whole: bool) -> Outcome {
        let (path, expected) = (&self.files[file], self.expected(file, damage));
        if let Outcome::Holds { chunks, .. } = expected {
            assert!(chunks >= self.acknowledged, "the oracle itself would lose something");
        }
        // The segment before the damage is read, those before it are covered by a snapshot.
        let after = self.last_seq(self.before[file.saturating_sub(1)]);
        for after in [Some(after), also_whole.then_some(0)].into_iter().flatten() {
            let disk = Overlay::new(&self.image, path, damage);
            let (outcome, copy) = self.start(&disk, after);
            assert_eq!(outcome, expected, "{} {damage:?}, after {after}", path.display());
            match &outcome {
                Outcome::Refused(..) => assert!(disk.is_untouched(), "{} {damage:?}", path.display()),
                Outcome::Holds { chunks, cut: true } => {
                    self.check_copy(path, damage, &disk.contents(&copy.unwrap()).unwrap());
                    // Started again, it is the same journal, and nothing is left to cut.
                    let again = Outcome::Holds {
                        chunks: *chunks,
                        cut: false,
                    };
                    assert_eq!(self.start(&disk, after).0, again, "{} {damage:?}", path.display());
                }
                Outcome::Holds { .. } => {}
            }
        }
        expected
    }

    /// What was cut is kept: a piece of the damaged file, up to its last byte that is not zero.
    fn check_copy(&self, path: &Path, damage: Damage, copy: &[u8]) {
        let mut file = self.image[path].to_vec();
        match damage {
            Damage::Truncated(len) => file.truncate(len),
            Damage::Flipped(at, bit) => file[at] ^= 1 << bit,
        }
        while file.last() == Some(&0) {
            file.pop();
        }
        assert!(file.ends_with(copy), "{} {damage:?}", path.display());
    }

    /// All cases, on all processors; how many ended how.
    fn check_all(&self, cases: &[(usize, Damage)]) -> BTreeMap<&'static str, usize> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut counts = BTreeMap::new();
            loop {
                let from = next.fetch_add(SHARE, Ordering::Relaxed);
                if from >= cases.len() {
                    return counts;
                }
                for (at, (file, damage)) in cases.iter().enumerate().skip(from).take(SHARE) {
                    let name = match self.check(*file, *damage, at % WHOLE == 0) {
                        Outcome::Holds { chunks, cut: false } if chunks == self.chunks.len() => "whole",
                        Outcome::Holds { cut: false, .. } => "ends earlier",
                        Outcome::Holds { cut: true, .. } => "cut",
                        Outcome::Refused(..) => "refused",
                    };
                    *counts.entry(name).or_insert(0) += 1;
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let mut all = BTreeMap::new();
            for worker in workers {
                for (name, count) in worker.join().expect("a case failed") {
                    *all.entry(name).or_insert(0) += count;
                }
            }
            all
        })
    }
}

/// `commit` as the writer left it when the last of these chunks was flushed: checkpoints at each segment, then slots.
fn commit_of(chunks: &[Chunk], segments: &[u64], image: &Image) -> Vec<u8> {
    let disk = SimDisk::new();
    let mut publisher = Publisher::create(&disk, Path::new(DIR)).unwrap();
    for (at, chunk) in chunks.iter().enumerate() {
        if at > 0 && chunks[at - 1].segment < chunk.segment {
            publisher.page().sync().unwrap();
            publisher.checkpoint();
        }
        let first_seq = segments[chunk.segment];
        let file = &image[&segment::path(Path::new(DIR), first_seq)];
        publisher.publish(&Position {
            last_seq: chunk.last_seq,
            segment: first_seq,
            end: chunk.end.next_multiple_of(SECTOR) as u64,
            epoch: u32_at(file, chunk.offset + 16) as u32,
            hash: ordergate_journal::chunk::hash_of(&file[chunk.offset..chunk.end]),
        });
    }
    publisher.page().sync().unwrap();
    disk.contents(&Path::new(DIR).join(commit::NAME)).unwrap()
}

fn report(what: &str, journal: &Journal, cases: usize, counts: &BTreeMap<&'static str, usize>, since: Instant) {
    println!(
        "{what}: {cases} cases, {counts:?}; journal of {} bytes, {} segments, {} chunks of which {} acknowledged; {:.1?}",
        journal.bytes(),
        journal.segments(),
        journal.chunks.len(),
        journal.acknowledged,
        since.elapsed()
    );
    assert_eq!(counts.values().sum::<usize>(), cases);
}

#[test]
fn every_truncation() {
    let since = Instant::now();
    // `commit` ends in the segment before the last: all of the last may go, its header included.
    let journal = Journal::build(8 << 10, 256 << 10, 3, 5);
    assert!(journal.bytes() >= 256 << 10);
    assert!(journal.before[journal.segments() - 1] > journal.acknowledged);
    let cases: Vec<(usize, Damage)> = (0..journal.files.len())
        .flat_map(|file| (0..journal.len(file)).map(move |len| (file, Damage::Truncated(len))))
        .collect();
    assert_eq!(cases.len(), journal.bytes());
    let cases: Vec<_> = cases.into_iter().step_by(STRIDE).collect();
    let counts = journal.check_all(&cases);
    report("truncations", &journal, cases.len(), &counts, since);
    assert!(
        ["whole", "ends earlier", "cut", "refused"]
            .iter()
            .all(|kind| counts.contains_key(kind))
    );
}

#[test]
fn every_flipped_bit() {
    let since = Instant::now();
    let journal = Journal::build(4 << 10, 64 << 10, 3, 2);
    assert!(journal.bytes() >= 64 << 10 && journal.segments() >= 8);
    let cases: Vec<(usize, Damage)> = (0..journal.files.len())
        .flat_map(|file| (0..journal.len(file) * 8).map(move |bit| (file, Damage::Flipped(bit / 8, (bit % 8) as u8))))
        .collect();
    assert_eq!(cases.len(), journal.bytes() * 8);
    let cases: Vec<_> = cases.into_iter().step_by(STRIDE).collect();
    let counts = journal.check_all(&cases);
    report("flipped bits", &journal, cases.len(), &counts, since);
    assert!(["whole", "cut", "refused"].iter().all(|kind| counts.contains_key(kind)));
}
