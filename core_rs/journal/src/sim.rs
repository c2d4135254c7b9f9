//! A disk in memory that loses power, for tests: what is written and what is durable are kept apart, per sector and
//! per name.
//!
//! On a loss of power every sector that was not flushed is old, new, or torn, by chance; every name that was not made
//! durable may be missing (in order, as a journaling file system keeps it). A flush that fails marks its sectors clean
//! without writing them, as Linux does: they are seen until the power is lost, and flushing again changes nothing.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

mod files;
mod stepped;

pub use stepped::Stepped;

const SECTOR: usize = 512;

/// What goes wrong, and at which operation (counted from 1 since the disk was made; reading does not count).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before it.
    DieBefore(u64),
    /// The process dies in it: a write is done in part.
    DieWithin(u64),
    /// The process dies after it, without having seen the result.
    DieAfter(u64),
    /// It fails with EIO; later ones work.
    Fail(u64),
    /// No file may grow any more from here on.
    Full(u64),
}

#[derive(Debug, Default)]
struct Node {
    written: Vec<u8>,
    synced: Vec<u8>,
    dirty: BTreeSet<usize>,
    page: Option<Arc<Vec<AtomicU64>>>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Set(PathBuf, usize),
    Remove(PathBuf),
}

#[derive(Debug, Default)]
struct State {
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Not durable yet, in order.
    changes: Vec<NameChange>,
    locked: BTreeSet<PathBuf>,
    operations: u64,
    sync_delay: Duration,
    lying: bool,
    /// Bytes that all files together may have; `None` is no bound.
    capacity: Option<u64>,
    fault: Option<Fault>,
    dead: bool,
}

/// The disk; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

/// What an operation is to do.
enum Verdict {
    Go,
    Partly,
    Fail,
    DoAndDie,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// Plans a fault.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.0.lock().fault = fault;
    }

    /// Bounds the bytes of all files together.
    pub fn set_capacity(&self, bytes: u64) {
        self.0.lock().capacity = Some(bytes);
    }

    /// Makes every flush of a file take this long.
    pub fn set_sync_delay(&self, delay: Duration) {
        self.0.lock().sync_delay = delay;
    }

    /// From now on flushes, of names too, report success and do nothing: the control of the tests that lose power.
    pub fn set_lying(&self, lying: bool) {
        self.0.lock().lying = lying;
    }

    /// Writing operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// The disk as the next process finds it after this one was killed: nothing is lost, locks are free. This handle
    /// is dead.
    #[must_use]
    pub fn kill(&self) -> SimDisk {
        let mut state = self.0.lock();
        state.dead = true;
        let nodes = state.nodes.iter().map(Node::copy).collect();
        let (names, durable_names) = (state.names.clone(), state.durable_names.clone());
        let changes = state.changes.clone();
        SimDisk(Arc::new(Mutex::new(State {
            nodes,
            names,
            durable_names,
            changes,
            ..State::default()
        })))
    }

    /// The disk after a loss of power; `seed` decides what of the rest had reached it. This handle is dead.
    #[must_use]
    pub fn lose_power(&self, seed: u64) -> SimDisk {
        self.0.lock().dead = true;
        self.lose_power_copy(seed)
    }

    /// As [`SimDisk::lose_power`], as a what-if: this handle lives on.
    #[must_use]
    pub fn lose_power_copy(&self, seed: u64) -> SimDisk {
        let mut chance = Chance(seed);
        let state = self.0.lock();
        let mut names = state.durable_names.clone();
        let kept = chance.below(state.changes.len() as u64 + 1);
        for change in state.changes.iter().take(usize::try_from(kept).unwrap_or(0)) {
            change.apply(&mut names);
        }
        let nodes = state
            .nodes
            .iter()
            .map(|node| node.copy().after_power_loss(&mut chance))
            .collect();
        let state = State {
            nodes,
            names: names.clone(),
            durable_names: names,
            ..State::default()
        };
        SimDisk(Arc::new(Mutex::new(state)))
    }

    /// Names of all files.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.0.lock().names.keys().cloned().collect()
    }

    /// A file's bytes.
    #[must_use]
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.0.lock();
        let node = *state.names.get(path)?;
        Some(state.nodes[node].copy().written)
    }

    /// Bytes of a file whose last write is not flushed yet.
    #[must_use]
    pub fn unflushed(&self, path: &Path) -> Option<usize> {
        let state = self.0.lock();
        let node = *state.names.get(path)?;
        Some(state.nodes[node].dirty.len() * SECTOR)
    }

    /// Replaces a file's bytes, durably: damage, or a restored backup.
    pub fn set_contents(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.0.lock();
        let node = state.nodes.len();
        state.nodes.push(Node {
            written: bytes.to_vec(),
            synced: bytes.to_vec(),
            ..Node::default()
        });
        state.names.insert(path.to_owned(), node);
        state.durable_names.insert(path.to_owned(), node);
    }

    /// Removes a file, durably.
    pub fn lose(&self, path: &Path) {
        let mut state = self.0.lock();
        state.names.remove(path);
        state.durable_names.remove(path);
    }

    fn verdict(state: &mut State) -> io::Result<Verdict> {
        if state.dead {
            return Err(io::Error::other("the process is dead"));
        }
        state.operations += 1;
        let now = state.operations;
        let verdict = match state.fault {
            Some(Fault::DieBefore(at)) if at == now => {
                state.dead = true;
                return Err(io::Error::other("the process dies"));
            }
            Some(Fault::DieWithin(at)) if at == now => Verdict::Partly,
            Some(Fault::DieAfter(at)) if at == now => Verdict::DoAndDie,
            Some(Fault::Fail(at)) if at == now => Verdict::Fail,
            _ => Verdict::Go,
        };
        state.dead = matches!(verdict, Verdict::Partly | Verdict::DoAndDie);
        Ok(verdict)
    }

    fn result(verdict: &Verdict) -> io::Result<()> {
        match verdict {
            Verdict::Go => Ok(()),
            Verdict::Fail => Err(io::Error::from_raw_os_error(5)),
            Verdict::Partly | Verdict::DoAndDie => Err(io::Error::other("the process died")),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State) -> io::Result<Vec<NameChange>>) -> io::Result<()> {
        let mut state = self.0.lock();
        let verdict = SimDisk::verdict(&mut state)?;
        if matches!(verdict, Verdict::Go | Verdict::DoAndDie) {
            for change in change(&mut state)? {
                change.apply(&mut state.names);
                state.changes.push(change);
            }
        }
        SimDisk::result(&verdict)
    }

    fn sync_node(&self, node: usize) -> io::Result<()> {
        let mut state = self.0.lock();
        let delay = state.sync_delay;
        if !delay.is_zero() {
            drop(state);
            std::thread::sleep(delay);
            state = self.0.lock();
        }
        let verdict = SimDisk::verdict(&mut state)?;
        if state.lying {
            return SimDisk::result(&verdict);
        }
        let node = &mut state.nodes[node];
        node.load_page();
        match verdict {
            Verdict::Go | Verdict::DoAndDie => {
                node.synced.resize(node.written.len(), 0);
                for sector in std::mem::take(&mut node.dirty) {
                    let end = (sector * SECTOR + SECTOR).min(node.written.len());
                    let span = (sector * SECTOR).min(end)..end;
                    node.synced[span.clone()].copy_from_slice(&node.written[span]);
                }
            }
            Verdict::Fail => node.dirty.clear(),
            Verdict::Partly => {}
        }
        SimDisk::result(&verdict)
    }

    fn alive(&self) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let state = self.0.lock();
        if state.dead {
            Err(io::Error::other("the process is dead"))
        } else {
            Ok(state)
        }
    }
}

impl State {
    /// What the capacity leaves to the files that have a name.
    fn free(&self) -> u64 {
        let used: usize = self.names.values().map(|node| self.nodes[*node].written.len()).sum();
        self.capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(used as u64))
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameChange::Set(path, node) => names.insert(path.clone(), *node),
            NameChange::Remove(path) => names.remove(path),
        };
    }

    fn is_in(&self, dir: &Path) -> bool {
        let (NameChange::Set(path, _) | NameChange::Remove(path)) = self;
        path.parent() == Some(dir)
    }
}

impl Node {
    fn copy(&self) -> Node {
        let (written, synced, dirty) = (self.written.clone(), self.synced.clone(), self.dirty.clone());
        let mut copy = Node {
            written,
            synced,
            dirty,
            page: self.page.clone(),
        };
        copy.load_page();
        copy.page = None;
        copy
    }

    /// What other processes stored into a mapping is in the page cache at once.
    fn load_page(&mut self) {
        let Some(page) = self.page.clone() else { return };
        for (at, word) in page.iter().enumerate() {
            let bytes = word.load(Ordering::SeqCst).to_ne_bytes();
            let known = &mut self.written[at * 8..at * 8 + 8];
            if known != bytes {
                known.copy_from_slice(&bytes);
                self.dirty.insert(at * 8 / SECTOR);
            }
        }
    }

    fn after_power_loss(mut self, chance: &mut Chance) -> Node {
        let grown = self.written.len() > self.synced.len();
        let len = if grown && chance.below(2) == 0 {
            self.written.len()
        } else {
            self.synced.len()
        };
        let mut bytes = self.synced.clone();
        bytes.resize(len, 0);
        for sector in std::mem::take(&mut self.dirty) {
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(self.written.len()).min(len);
            let span = end.saturating_sub(start) as u64;
            // Old, new, or new up to some byte.
            let keep = match chance.below(3) {
                0 => 0,
                1 => span,
                _ => chance.below(span + 1),
            };
            let keep = start + usize::try_from(keep).unwrap_or(0);
            if start < end {
                bytes[start..keep].copy_from_slice(&self.written[start..keep]);
            }
        }
        Node {
            written: bytes.clone(),
            synced: bytes,
            ..Node::default()
        }
    }
}

/// Small reproducible randomness (SplitMix64), for tests only.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}
