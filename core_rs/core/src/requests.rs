//! The request keys of one account: exact, kept for 24 hours, never evicted early.
//!
//! The table is cut into many small ones, so that growing costs microseconds each time and never a pause.

use crate::digest::Mix;
use crate::terms::{AccountId, Nanos, Seq};
use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

/// How long a key is kept.
pub const KEEP_NS: Nanos = 24 * 3600 * 1_000_000_000;
/// Most keys that one account may hold.
pub const QUOTA: usize = 2_000_000;

const PARTS: usize = 256;

/// What is known of a request key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Fingerprint of the decoded request.
    pub fingerprint: (u64, u64),
    /// The record with the stored answer: the order's id.
    pub seq: Seq,
    /// When it was stored.
    pub at: Nanos,
}

impl Request {
    /// True while the key is kept.
    #[must_use]
    pub const fn is_kept(&self, now: Nanos) -> bool {
        now < self.at.saturating_add(KEEP_NS)
    }

    pub(crate) fn digest(&self, account: AccountId, key: &str) -> u128 {
        let mix = Mix::new(5)
            .word(account.into())
            .text(key)
            .word(self.fingerprint.0)
            .word(self.fingerprint.1);
        mix.word(self.seq).int(self.at).finish()
    }
}

/// A request key and when it was stored: what must be known of it to let it go, since its order may leave before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Expiry {
    /// The record with the stored answer.
    pub seq: Seq,
    /// Whose.
    pub account: AccountId,
    /// When it was stored.
    pub at: Nanos,
    /// Its text, shared with the table and the order.
    pub key: Arc<str>,
}

impl Expiry {
    /// True when the key has been kept long enough.
    pub const fn is_due(&self, now: Nanos) -> bool {
        now >= self.at.saturating_add(KEEP_NS)
    }
}

/// The table.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    parts: Vec<HashMap<Arc<str>, Request, FixedState>>,
    len: usize,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            parts: (0..PARTS)
                .map(|_| HashMap::with_hasher(FixedState::default()))
                .collect(),
            len: 0,
        }
    }
}

impl Requests {
    fn part(key: &str) -> usize {
        // Another seed than the parts' own, or each part would see only a slice of the hash values.
        (FixedState::with_seed(1).hash_one(key) >> 17) as usize % PARTS
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn find(&self, key: &str) -> Option<&Request> {
        self.parts[Self::part(key)].get(key)
    }

    /// Puts a key in; the one that it replaces, if any.
    pub fn insert(&mut self, key: Arc<str>, request: Request) -> Option<Request> {
        let old = self.parts[Self::part(&key)].insert(key, request);
        self.len += usize::from(old.is_none());
        old
    }

    /// Takes a key out if it still belongs to this record.
    pub fn remove(&mut self, key: &str, seq: Seq) -> Option<Request> {
        let part = &mut self.parts[Self::part(key)];
        if part.get(key)?.seq != seq {
            return None;
        }
        self.len -= 1;
        part.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_replaced_and_removed_only_by_its_owner() {
        let mut requests = Requests::default();
        let request = |seq| Request {
            fingerprint: (1, 2),
            seq,
            at: 5,
        };
        for seq in 0..5_000 {
            assert!(requests.insert(format!("key-{seq}").into(), request(seq)).is_none());
        }
        assert_eq!(requests.len(), 5_000);
        assert_eq!(requests.find("key-77"), Some(&request(77)));
        assert_eq!(requests.insert("key-77".into(), request(9_000)), Some(request(77)));
        assert_eq!(requests.remove("key-77", 77), None);
        assert_eq!(requests.remove("key-77", 9_000), Some(request(9_000)));
        assert_eq!((requests.find("key-77"), requests.len()), (None, 4_999));
        assert!(requests.parts.iter().all(|part| part.len() > 2));
    }

    #[test]
    fn a_key_is_kept_for_exactly_a_day() {
        let request = Request {
            fingerprint: (0, 0),
            seq: 1,
            at: 10,
        };
        assert!(request.is_kept(10 + KEEP_NS - 1));
        assert!(!request.is_kept(10 + KEEP_NS));
    }
}
