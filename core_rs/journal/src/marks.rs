//! What others say the journal holds: `commit`, Postgres, the snapshot.

use crate::chunk::Hash;
use crate::commit::Position;

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
#[derive(Debug, Clone, Copy)]
pub(crate) enum CommitWord {
    Missing,
    Unreadable,
    At(Position),
}
