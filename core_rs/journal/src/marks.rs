//! What others say the journal holds: `commit`, Postgres, the snapshot.

use crate::chunk::Hash;
use crate::commit::Position;
use crate::journal::Postgres;

/// Someone's word that the journal holds `seq`, and the hash of the chunk that ends there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) seq: u64,
    pub(crate) hash: Option<Hash>,
    /// Set when the reading passes `seq`: true when the hash agrees.
    pub(crate) agrees: Option<bool>,
}

impl Mark {
    pub(crate) const fn new(seq: u64, hash: Option<Hash>) -> Mark {
        Mark {
            seq,
            hash,
            agrees: None,
        }
    }

    /// The reading passed the records `first..=last` of one chunk (or stands at `last`, with `first` after it).
    pub(crate) fn pass(&mut self, first: u64, last: u64, hash: &Hash) {
        if last == self.seq {
            self.agrees = Some(self.hash.is_none_or(|mine| mine == *hash));
        } else if first <= self.seq && self.seq < last {
            // Inside a chunk: whoever names a hash names the end of one.
            self.agrees = Some(self.hash.is_none());
        }
    }
}

/// What `commit` says, before the journal was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitWord {
    Missing,
    Unreadable,
    At(Position),
    /// In its place, the word of an operator: no record above this one was acknowledged.
    Operator(u64),
}

impl CommitWord {
    /// The writer's start that it tells of.
    pub(crate) const fn epoch(self) -> u32 {
        match self {
            CommitWord::At(position) => position.epoch,
            CommitWord::Missing | CommitWord::Unreadable | CommitWord::Operator(_) => 0,
        }
    }
}

/// What everybody says the journal holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claims {
    pub(crate) commit: CommitWord,
    pub(crate) postgres: Postgres,
    /// Last record that the snapshot covers (0 for no snapshot), and the hash of the chunk that ends there.
    pub(crate) snapshot: (u64, Option<Hash>),
}

impl Claims {
    /// In the order commit, Postgres, snapshot.
    pub(crate) fn marks(&self) -> [Mark; 3] {
        let commit = match self.commit {
            CommitWord::At(position) => Mark::new(position.last_seq, Some(position.hash)),
            CommitWord::Operator(seq) => Mark::new(seq, None),
            CommitWord::Missing | CommitWord::Unreadable => Mark::new(0, None),
        };
        let postgres = match self.postgres {
            Postgres::At { seq, hash } => Mark::new(seq, Some(hash)),
            Postgres::Empty | Postgres::Unreadable => Mark::new(0, None),
        };
        [commit, postgres, Mark::new(self.snapshot.0, self.snapshot.1)]
    }
}
