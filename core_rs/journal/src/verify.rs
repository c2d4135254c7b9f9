//! For operators: what stands in the journal, what a start would do with it, and the one thing that may be done by hand.

use crate::chunk::Hash;
use crate::commit::Position;
use crate::disk::{Disk, RealDisk};
use crate::journal::{OpenError, Postgres, Visit};
use crate::judgement::{Extent, Judgement, Place, START, Scope, judge, read_commit};
use crate::marks::{Claims, CommitWord};
use crate::open::{self, settle};
use crate::recovery::{Decision, Refusal};
use crate::repair::{self, Torn};
use crate::segment;
use crate::startup::io_at;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How often a journal is looked at again that a starting or archiving gateway changes meanwhile.
const LOOKS: u32 = 5;

/// A snapshot to start from: its last record (0 for none) and the hash of the chunk that ends there.
pub type Snapshot = (u64, Option<Hash>);

/// One segment as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentReport {
    /// The file.
    pub path: PathBuf,
    /// Its first record.
    pub first_seq: u64,
    /// Its last good record; `first_seq - 1` when it has none.
    pub last_seq: u64,
    /// Good chunks.
    pub chunks: u64,
    /// Epochs of the first and the last of them.
    pub epochs: (u32, u32),
    /// Offset after the last of them.
    pub end: u64,
}

/// What a start makes of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on after the last good chunk.
    Start,
    /// It cuts this unfinished write, which nobody was told of, and goes on.
    Cut(Vec<Torn>),
    /// It changes nothing.
    Refused {
        /// Where.
        place: Place,
        /// What is wrong.
        reason: String,
        /// What to do.
        advice: String,
    },
}

/// What `commit` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// There is no such file.
    Missing,
    /// No whole value is in it.
    Unreadable,
    /// This is acknowledged.
    At(Position),
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// A gateway runs on it: it was read up to `commit`, beyond which chunks are being written.
    pub running: bool,
    /// In order.
    pub segments: Vec<SegmentReport>,
    /// Last good record, 0 for none.
    pub last_seq: u64,
    /// Its chunk's epoch.
    pub epoch: u32,
    /// Its chunk's hash.
    pub hash: Hash,
    /// Good chunks above every mark: a start writes them again.
    pub unproven_chunks: u64,
    /// `commit`.
    pub commit: Commit,
    /// What a start would do.
    pub start: Outcome,
    /// The same with every segment read, also those that a snapshot spares a start.
    pub everything: Outcome,
}

impl Report {
    /// True when nothing is damaged. The unfinished write of a crash is no damage.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let refused = |outcome: &Outcome| matches!(outcome, Outcome::Refused { .. });
        !refused(&self.start) && !refused(&self.everything)
    }
}

/// Reads all segments, changing nothing, beside a running gateway or without one. What a start would replay goes to
/// `replay`, perhaps more than once from its beginning.
///
/// # Errors
/// [`OpenError::Refused`] when the directory itself proves nothing; [`OpenError::Io`].
pub fn verify(dir: &Path, postgres: Postgres, snapshot: Snapshot, replay: Visit<'_>) -> Result<Report, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    verify_on(&disk, dir, postgres, snapshot, replay)
}

/// As [`verify()`], on a given disk.
///
/// # Errors
/// As [`verify()`].
pub fn verify_on(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    postgres: Postgres,
    snapshot: Snapshot,
    replay: Visit<'_>,
) -> Result<Report, OpenError> {
    let mut looks = 1..=LOOKS;
    loop {
        looks.next();
        let live = open::is_locked(disk.as_ref(), dir)?;
        let commit = read_commit(disk.as_ref(), dir)?;
        let claims = Claims {
            commit,
            postgres,
            snapshot,
        };
        let report = look(disk, dir, &claims, live, replay);
        let archived = matches!(&report, Err(OpenError::Io { error, .. }) if error.kind() == ErrorKind::NotFound);
        let still = live || (!open::is_locked(disk.as_ref(), dir)? && read_commit(disk.as_ref(), dir)? == commit);
        if (still && !archived) || looks.is_empty() {
            return report;
        }
    }
}

fn look(disk: &Arc<dyn Disk>, dir: &Path, claims: &Claims, live: bool, replay: Visit<'_>) -> Result<Report, OpenError> {
    let scope = |extent| Scope { extent, live };
    let whole = judge(disk, dir, claims, scope(Extent::Everything), &mut |_, _| Ok(()))?;
    let start = match judge(disk, dir, claims, scope(Extent::NeededAtStart), replay) {
        Ok(judgement) => outcome(&judgement, dir)?,
        Err(OpenError::Refused { place, reason, advice }) => Outcome::Refused { place, reason, advice },
        Err(error) => return Err(error),
    };
    let reading = &whole.reading;
    let segments = reading.parts.iter().map(|part| SegmentReport {
        path: segment::path(dir, part.first_seq),
        first_seq: part.first_seq,
        last_seq: part.last_seq.max(part.first_seq - 1),
        chunks: part.chunks,
        epochs: part.epochs,
        end: part.end,
    });
    Ok(Report {
        running: live,
        segments: segments.collect(),
        last_seq: reading.chain.last_seq,
        epoch: reading.chain.epoch,
        hash: reading.chain.hash,
        unproven_chunks: reading.unproven_chunks,
        commit: match claims.commit {
            CommitWord::At(position) => Commit::At(position),
            CommitWord::Missing => Commit::Missing,
            CommitWord::Unreadable | CommitWord::Operator(_) => Commit::Unreadable,
        },
        start,
        everything: outcome(&whole, dir)?,
    })
}

fn outcome(judgement: &Judgement, dir: &Path) -> Result<Outcome, OpenError> {
    Ok(match judgement.decision {
        Decision::Start => Outcome::Start,
        Decision::Cut => Outcome::Cut(Torn::find(&judgement.reading, dir)?),
        Decision::Refuse(refusal) => Outcome::Refused {
            place: judgement.place(dir),
            reason: refusal.reason().into(),
            advice: refusal.advice().into(),
        },
    })
}

/// Shows the records `from..=to` in order, of a running gateway's journal up to `commit`, else up to the last good
/// chunk. Records before the oldest segment have left the journal. `Ok` with what a start would make of what was read:
/// when it is [`Outcome::Refused`], everything before that place was shown.
///
/// # Errors
/// [`OpenError::Refused`] with the visitor's words, or when the directory itself proves nothing; [`OpenError::Io`].
pub fn dump(dir: &Path, from: u64, to: u64, visit: Visit<'_>) -> Result<Outcome, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    dump_on(&disk, dir, from, to, visit)
}

/// As [`dump`], on a given disk.
///
/// # Errors
/// As [`dump`].
pub fn dump_on(disk: &Arc<dyn Disk>, dir: &Path, from: u64, to: u64, visit: Visit<'_>) -> Result<Outcome, OpenError> {
    let live = open::is_locked(disk.as_ref(), dir)?;
    let commit = read_commit(disk.as_ref(), dir)?;
    let segments = segment::list(disk.as_ref(), dir).map_err(|error| io_at(dir, error))?;
    let after = from.max(segments.first().copied().unwrap_or(1)) - 1;
    let claims = Claims {
        commit,
        postgres: Postgres::Unreadable,
        snapshot: (after, None),
    };
    let scope = Scope {
        extent: Extent::NeededAtStart,
        live,
    };
    let mut ended = false;
    let judged = judge(disk, dir, &claims, scope, &mut |chunk, frame| {
        ended = frame.seq > to;
        // The only way to stop reading; nobody reads these words.
        if ended {
            Err("the end".into())
        } else {
            visit(chunk, frame)
        }
    });
    match judged {
        // Asked for records that are not there yet.
        Ok(judgement) if judgement.decision == Decision::Refuse(Refusal::BehindSnapshot) => Ok(Outcome::Start),
        Ok(judgement) => outcome(&judgement, dir),
        Err(OpenError::Refused { .. }) if ended => Ok(Outcome::Start),
        Err(error) => Err(error),
    }
}

/// What [`repair`] did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// False: there was nothing to do, or it was only asked what would be done.
    pub done: bool,
    /// What is cut, with the copies that were kept.
    pub cut: Vec<Torn>,
    /// `commit` is made anew, on the operator's word.
    pub commit: bool,
    /// Where the old one was kept, when there was one.
    pub commit_copy: Option<PathBuf>,
    /// Last record of the journal after it.
    pub last_seq: u64,
}

impl Repaired {
    /// True when there is something to do.
    #[must_use]
    pub const fn is_needed(&self) -> bool {
        !self.cut.is_empty() || self.commit
    }
}

/// Does what a start would do with an unfinished write, by the same decision: cuts it, keeping a copy. Where neither
/// `commit` nor Postgres says what was acknowledged, `operator` may: no record above it was; `commit` is then made anew,
/// a copy kept. Without `act` it only tells.
///
/// # Errors
/// [`OpenError::Locked`] when a gateway runs; [`OpenError::Refused`] for everything that is no unfinished write, with
/// nothing changed; [`OpenError::Io`].
pub fn repair(
    dir: &Path,
    postgres: Postgres,
    snapshot: Snapshot,
    operator: Option<u64>,
    act: bool,
) -> Result<Repaired, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    repair_on(&disk, dir, postgres, snapshot, operator, act)
}

/// As [`repair`], on a given disk.
///
/// # Errors
/// As [`repair`].
pub fn repair_on(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    postgres: Postgres,
    snapshot: Snapshot,
    operator: Option<u64>,
    act: bool,
) -> Result<Repaired, OpenError> {
    let _lock = open::lock(disk.as_ref(), dir)?;
    let commit = read_commit(disk.as_ref(), dir)?;
    let mut claims = Claims {
        commit,
        postgres,
        snapshot,
    };
    let ask = |claims: &Claims| judge(disk, dir, claims, START, &mut |_, _| Ok(()));
    let mut judgement = ask(&claims)?;
    if let Some(seq) = operator {
        if judgement.decision != Decision::Refuse(Refusal::NoEvidence) {
            // A word that is not needed is a misunderstanding: whoever gives it should know what is said without it.
            judgement.go_on(dir)?;
            return Err(OpenError::Refused {
                place: Place::of(dir),
                reason: "what was acknowledged can be read, so an operator's word for it is not taken".into(),
                advice: "Repair without it".into(),
            });
        }
        claims.commit = CommitWord::Operator(seq);
        judgement = ask(&claims)?;
    }
    let judgement = judgement.go_on(dir)?;
    let mut repaired = Repaired {
        done: false,
        cut: Vec::new(),
        commit: operator.is_some(),
        commit_copy: None,
        last_seq: judgement.reading.chain.last_seq,
    };
    if judgement.decision == Decision::Cut {
        repaired.cut = Torn::find(&judgement.reading, dir)?;
    }
    if act && repaired.is_needed() {
        if repaired.commit {
            repaired.commit_copy = repair::keep_commit(disk.as_ref(), dir)?;
        }
        let settled = settle(disk.as_ref(), dir, &claims, judgement)?;
        (repaired.done, repaired.cut) = (true, settled.cut);
    }
    Ok(repaired)
}
