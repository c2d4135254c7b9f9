//! The one judgement. A start, `verify` and `repair` all ask here, so that none of them can see it another way.

use crate::commit::{self, Position, Reader};
use crate::disk::Disk;
use crate::journal::{OpenError, Postgres, Visit};
use crate::marks::{Claims, CommitWord, Mark};
use crate::recovery::{CommitSeen, Decision, Evidence, PostgresSeen, Refusal, SnapshotSeen, decide};
use crate::segment;
use crate::startup::{Reading, io_at};
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much of the journal is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) extent: Extent,
    /// A writer is at work: what stands beyond `commit` changes while it is looked at, and is left out.
    pub(crate) live: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// From the older of snapshot and `commit` on.
    NeededAtStart,
    /// Every segment.
    Everything,
}

/// What a start needs, and nobody else writes.
pub(crate) const START: Scope = Scope {
    extent: Extent::NeededAtStart,
    live: false,
};

/// Where something is, for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// File, or directory.
    pub path: PathBuf,
    /// Byte in that file.
    pub offset: Option<u64>,
    /// The last record that is good, 0 for none.
    pub after_seq: Option<u64>,
}

impl Place {
    pub(crate) fn of(path: &Path) -> Place {
        Place {
            path: path.to_owned(),
            offset: None,
            after_seq: None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        self.after_seq.map_or(Ok(()), |seq| write!(f, ", after record {seq}"))
    }
}

/// What was read, and what follows from it.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) reading: Reading,
    pub(crate) decision: Decision,
}

/// Reads, looks at what everybody says, and decides. Changes nothing.
pub(crate) fn judge(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    claims: &Claims,
    scope: Scope,
    replay: Visit<'_>,
) -> Result<Judgement, OpenError> {
    if disk.writable_by_others(dir).map_err(|error| io_at(dir, error))? {
        return Err(OpenError::Refused {
            place: Place::of(dir),
            reason: "others may write into this directory, so its records prove nothing".into(),
            advice: format!("Run chmod go-w {}", dir.display()),
        });
    }
    let mut reading = Reading::new(disk, dir, claims, scope)?;
    reading.read(replay)?;
    reading.look_up_postgres()?;
    let last = reading.chain.last_seq;
    let [commit, postgres, snapshot] = &reading.marks;
    let decision = decide(&Evidence {
        tail: reading.tail,
        later: reading.later,
        segments: !reading.names.is_empty(),
        commit: commit_seen(claims.commit, commit, last),
        postgres: postgres_seen(claims.postgres, postgres, last),
        snapshot: snapshot_seen(snapshot, last),
    });
    Ok(Judgement { reading, decision })
}

impl Judgement {
    /// The refusal as an error; `Ok` when a start would go on.
    pub(crate) fn go_on(self, dir: &Path) -> Result<Judgement, OpenError> {
        match self.decision {
            Decision::Refuse(refusal) => Err(OpenError::Refused {
                place: self.place(dir),
                reason: refusal.reason().into(),
                advice: refusal.advice().into(),
            }),
            Decision::Start | Decision::Cut => Ok(self),
        }
    }

    /// Where to look: the end of the good chunks, or `commit` when that is what is missing.
    pub(crate) fn place(&self, dir: &Path) -> Place {
        let reading = &self.reading;
        if self.decision == Decision::Refuse(Refusal::NoEvidence) {
            return Place::of(&dir.join(commit::NAME));
        }
        let last = reading.parts.len().checked_sub(1);
        let part = reading.bad.or(last).and_then(|place| reading.parts.get(place));
        Place {
            path: part.map_or_else(|| dir.to_owned(), |part| segment::path(dir, part.first_seq)),
            offset: part.map(|part| part.end),
            after_seq: Some(reading.chain.last_seq),
        }
    }
}

/// What `commit` says, without touching it.
pub(crate) fn read_commit(disk: &dyn Disk, dir: &Path) -> Result<CommitWord, OpenError> {
    let path = dir.join(commit::NAME);
    commit_word(Reader::open(disk, &path).map(|reader| reader.read())).map_err(|error| io_at(&path, error))
}

/// What it means that `commit` was read, or could not be.
pub(crate) fn commit_word(read: io::Result<Option<Position>>) -> io::Result<CommitWord> {
    match read {
        Ok(Some(position)) => Ok(CommitWord::At(position)),
        Ok(None) => Ok(CommitWord::Unreadable),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(CommitWord::Missing),
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok(CommitWord::Unreadable),
        Err(error) => Err(error),
    }
}

fn commit_seen(word: CommitWord, mark: &Mark, last_seq: u64) -> CommitSeen {
    match word {
        CommitWord::Missing => CommitSeen::Missing,
        CommitWord::Unreadable => CommitSeen::Unreadable,
        CommitWord::At(_) | CommitWord::Operator(_) if mark.seq > last_seq => CommitSeen::Beyond,
        // Not passed: its segment has left the journal, as an old value may outlive it after a loss of power.
        CommitWord::At(_) | CommitWord::Operator(_) if mark.agrees.unwrap_or(true) => CommitSeen::Within,
        CommitWord::At(_) | CommitWord::Operator(_) => CommitSeen::Differs,
    }
}

fn postgres_seen(postgres: Postgres, mark: &Mark, last_seq: u64) -> PostgresSeen {
    match (postgres, mark.agrees) {
        (Postgres::Unreadable, _) => PostgresSeen::Unreadable,
        _ if mark.seq > last_seq => PostgresSeen::Beyond,
        (_, Some(true)) => PostgresSeen::Within,
        (_, Some(false)) => PostgresSeen::Differs,
        (_, None) => PostgresSeen::Before,
    }
}

fn snapshot_seen(mark: &Mark, last_seq: u64) -> SnapshotSeen {
    match mark.agrees {
        _ if mark.seq > last_seq => SnapshotSeen::Beyond,
        Some(true) => SnapshotSeen::Within,
        Some(false) => SnapshotSeen::Differs,
        None => SnapshotSeen::Short,
    }
}
