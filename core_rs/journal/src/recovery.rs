//! The one decision at start: go on, cut a torn tail, or refuse. A pure function of what was seen; `startup` sees and
//! does.
//!
//! A tail may be cut only where nothing can have been acknowledged: the writer flushes one chunk at a time, so a crash
//! leaves at most one unfinished chunk, the last. Everything else is damage or a mix-up, and a person decides.

/// What ends the run of chunks that verify and continue each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Zeros to the end of the last segment, or no segment at all.
    Clean,
    /// Bytes that are no whole chunk.
    Bad,
    /// A whole chunk or segment header that does not continue what stands before it.
    Gap,
    /// An undamaged chunk or header of a format that this release does not know.
    Foreign,
}

/// What `commit` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitSeen {
    /// There is no such file.
    Missing,
    /// There is one, and both slots are damaged.
    Unreadable,
    /// At or below the last good chunk.
    Within,
    /// Above it.
    Beyond,
    /// No chunk with that hash ends there.
    Differs,
}

/// What Postgres says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostgresSeen {
    /// Not reachable.
    Unreadable,
    /// Behind the oldest segment: it cannot vouch for this journal, and the worker will need the archive.
    Before,
    /// At or below the last good chunk.
    Within,
    /// Above it.
    Beyond,
    /// No chunk with that hash ends there.
    Differs,
}

/// How the snapshot to start from fits (none is a snapshot of sequence 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotSeen {
    /// The records after it are there.
    Within,
    /// Records between it and the oldest segment are missing.
    Short,
    /// It is above the last good chunk.
    Beyond,
    /// No chunk with its hash ends there.
    Differs,
}

/// Everything that the decision looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// What ends the good chunks.
    pub tail: Tail,
    /// An undamaged later chunk or segment header follows the bad place.
    pub later: bool,
    /// True when there is any segment file.
    pub segments: bool,
    /// `commit`.
    pub commit: CommitSeen,
    /// Postgres's watermark.
    pub postgres: PostgresSeen,
    /// The snapshot.
    pub snapshot: SnapshotSeen,
}

/// Why the journal does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Written by a newer release.
    Foreign,
    /// Records are missing between two good places.
    Gap,
    /// Damage with good chunks after it.
    MidLog,
    /// Postgres holds other records.
    PostgresDiffers,
    /// `commit` tells of other records.
    CommitDiffers,
    /// The snapshot was made from other records.
    SnapshotDiffers,
    /// Postgres holds more.
    BehindPostgres,
    /// More was acknowledged.
    BehindCommit,
    /// The snapshot holds more.
    BehindSnapshot,
    /// The journal does not reach back to the snapshot.
    SnapshotShort,
    /// Nothing says what was acknowledged.
    NoEvidence,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go on after the last good chunk.
    Start,
    /// Keep a copy of what follows the last good chunk, zero it, go on.
    Cut,
    /// Touch nothing.
    Refuse(Refusal),
}

/// The table. The first row that applies decides; the exhaustive test states it a second time.
#[must_use]
pub const fn decide(seen: &Evidence) -> Decision {
    use Decision::Refuse;
    match *seen {
        Evidence {
            tail: Tail::Foreign, ..
        } => Refuse(Refusal::Foreign),
        Evidence { tail: Tail::Gap, .. } => Refuse(Refusal::Gap),
        Evidence {
            tail: Tail::Bad,
            later: true,
            ..
        } => Refuse(Refusal::MidLog),
        Evidence {
            postgres: PostgresSeen::Differs,
            ..
        } => Refuse(Refusal::PostgresDiffers),
        Evidence {
            commit: CommitSeen::Differs,
            ..
        } => Refuse(Refusal::CommitDiffers),
        Evidence {
            snapshot: SnapshotSeen::Differs,
            ..
        } => Refuse(Refusal::SnapshotDiffers),
        Evidence {
            postgres: PostgresSeen::Beyond,
            ..
        } => Refuse(Refusal::BehindPostgres),
        Evidence {
            commit: CommitSeen::Beyond,
            ..
        } => Refuse(Refusal::BehindCommit),
        Evidence {
            snapshot: SnapshotSeen::Beyond,
            ..
        } => Refuse(Refusal::BehindSnapshot),
        Evidence {
            snapshot: SnapshotSeen::Short,
            ..
        } => Refuse(Refusal::SnapshotShort),
        // A first start has neither; a file that is there and cannot be read is no first start.
        Evidence {
            segments: false,
            commit: CommitSeen::Missing,
            ..
        } => Decision::Start,
        Evidence {
            commit: CommitSeen::Missing | CommitSeen::Unreadable,
            postgres: PostgresSeen::Unreadable | PostgresSeen::Before,
            ..
        } => Refuse(Refusal::NoEvidence),
        Evidence { tail: Tail::Bad, .. } => Decision::Cut,
        Evidence { tail: Tail::Clean, .. } => Decision::Start,
    }
}

impl Refusal {
    /// What is wrong, in words for the operator.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Refusal::Foreign => "undamaged data in a format that this release does not know",
            Refusal::Gap => "records are missing here: what follows does not continue what stands before",
            Refusal::MidLog => "damaged data, and undamaged chunks follow it",
            Refusal::PostgresDiffers => "Postgres holds other records than this journal at its watermark",
            Refusal::CommitDiffers => "the commit file tells of other records than this journal holds",
            Refusal::SnapshotDiffers => "the snapshot was made from other records than this journal holds",
            Refusal::BehindPostgres => "the journal ends here, and Postgres already holds later records",
            Refusal::BehindCommit => "the journal ends here, and later records were acknowledged",
            Refusal::BehindSnapshot => "the journal ends here, and the snapshot holds later records",
            Refusal::SnapshotShort => "the oldest segment starts here, and no snapshot covers the records before it",
            Refusal::NoEvidence => "neither the commit file nor Postgres can say what was acknowledged",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Refusal::Foreign => "Start the release that wrote it, or a newer one",
            Refusal::Gap => {
                "Put the missing segments back (zstd -d takes them out of the archive; else a backup), then start again"
            }
            Refusal::MidLog => {
                "Copy the journal, then restore this segment from a backup: acknowledged orders are in it"
            }
            Refusal::PostgresDiffers => "Check that the database and the data directory belong together",
            Refusal::CommitDiffers | Refusal::BehindCommit => {
                "Copy the journal, then restore segments and commit from the same backup or disk"
            }
            Refusal::SnapshotDiffers | Refusal::BehindSnapshot => {
                "Check that snapshots and journal belong together; a snapshot from elsewhere can be moved away"
            }
            Refusal::BehindPostgres => "Restore the missing end of the journal, or rebuild it from Postgres",
            Refusal::SnapshotShort => {
                "Put a snapshot back, or the older segments (zstd -d takes them out of the archive; docs/archive.md)"
            }
            Refusal::NoEvidence => {
                "Make Postgres reachable and start again, or restore the commit file, or see ordergate journal repair --help"
            }
        }
    }
}
