//! From the hash of a client order id to the working orders that have it.
//!
//! What is found is verified by the caller against the order's own text. The table is cut into many small ones, so
//! that growing costs microseconds each time and never a pause.

use crate::terms::OrderId;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

const PARTS: usize = 256;

/// Passes a hash through.
#[derive(Debug, Clone, Copy, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The table.
#[derive(Debug, Clone)]
pub(crate) struct Working {
    parts: Vec<HashMap<u64, OrderId, BuildHasherDefault<Hashed>>>,
    /// Further orders under a hash: an order that was re-opened while its id was in use again, or a collision.
    twins: BTreeSet<(u64, OrderId)>,
}

impl Default for Working {
    fn default() -> Self {
        Self {
            parts: vec![HashMap::default(); PARTS],
            twins: BTreeSet::new(),
        }
    }
}

impl Working {
    const fn part(hash: u64) -> usize {
        // Bits that the parts themselves hardly look at.
        (hash >> 40) as usize % PARTS
    }

    pub fn insert(&mut self, hash: u64, order: OrderId) {
        let first = *self.parts[Self::part(hash)].entry(hash).or_insert(order);
        if first != order {
            self.twins.insert((hash, order));
        }
    }

    pub fn remove(&mut self, hash: u64, order: OrderId) {
        if self.twins.remove(&(hash, order)) {
            return;
        }
        let twin = self.twins.range((hash, 0)..=(hash, OrderId::MAX)).next().copied();
        let part = &mut self.parts[Self::part(hash)];
        if part.get(&hash) != Some(&order) {
            return;
        }
        match twin {
            Some(twin) => {
                self.twins.remove(&twin);
                part.insert(hash, twin.1);
            }
            None => _ = part.remove(&hash),
        }
    }

    /// Every order under this hash.
    pub fn find(&self, hash: u64) -> impl Iterator<Item = OrderId> {
        let first = self.parts[Self::part(hash)].get(&hash).copied();
        let twins = first.map(|_| self.twins.range((hash, 0)..=(hash, OrderId::MAX)));
        first
            .into_iter()
            .chain(twins.into_iter().flatten().map(|(_, order)| *order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_under_one_hash_are_all_found_until_removed() {
        let mut working = Working::default();
        let found = |working: &Working, hash| working.find(hash).collect::<BTreeSet<_>>();
        for order in [7, 5, 9, 5] {
            working.insert(1 << 41, order);
        }
        working.insert(2, 8);
        assert_eq!(found(&working, 1 << 41), BTreeSet::from([5, 7, 9]));
        working.remove(1 << 41, 7);
        assert_eq!(found(&working, 1 << 41), BTreeSet::from([5, 9]));
        working.remove(1 << 41, 7);
        working.remove(1 << 41, 9);
        working.remove(1 << 41, 5);
        assert_eq!(found(&working, 1 << 41), BTreeSet::new());
        assert_eq!(found(&working, 2), BTreeSet::from([8]));
        assert!(working.twins.is_empty() && working.parts.iter().map(HashMap::len).sum::<usize>() == 1);
    }
}
