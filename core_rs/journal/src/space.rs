//! Room on the disk: how much is left, what that means, and the reserve for what must never be refused.
//!
//! New orders stop while there is still room for what follows from the old ones: below the hard mark, or while the
//! reserve is not whole. When the next segment does not fit any more, the reserve is given up for it.

use crate::disk::Disk;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Name of the file whose blocks are kept for later.
pub(crate) const RESERVE: &str = "reserve";

/// What the free space means for the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// Enough.
    Ok,
    /// People should make room.
    Soft,
    /// No new orders: what is left is for cancels, reports, fills and kills.
    Hard,
}

impl Space {
    /// The word in status and health.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Space::Ok => "ok",
            Space::Soft => "soft",
            Space::Hard => "hard",
        }
    }
}

/// Where the meaning changes, in bytes; zeros switch it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// Below it [`Space::Soft`].
    pub soft_free_bytes: u64,
    /// Below it [`Space::Hard`].
    pub hard_free_bytes: u64,
    /// Size of the reserve; at least one segment unless zero.
    pub reserve_bytes: u64,
}

impl Marks {
    /// No marks and no reserve.
    pub const NONE: Marks = Marks {
        soft_free_bytes: 0,
        hard_free_bytes: 0,
        reserve_bytes: 0,
    };
}

/// Keeps the reserve and knows what was seen last.
#[derive(Debug)]
pub(crate) struct Keeper {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    marks: Marks,
    free: AtomicU64,
    whole: AtomicBool,
}

impl Keeper {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, marks: Marks, segment_bytes: u64) -> Keeper {
        let least = if marks.reserve_bytes == 0 { 0 } else { segment_bytes };
        let reserve_bytes = marks.reserve_bytes.max(least);
        let keeper = Keeper {
            disk,
            dir: dir.to_owned(),
            marks: Marks { reserve_bytes, ..marks },
            free: AtomicU64::new(0),
            whole: AtomicBool::new(false),
        };
        let known = keeper.disk.open(&keeper.path(), false).and_then(|file| file.len());
        let whole = reserve_bytes == 0 || known.is_ok_and(|len| len >= reserve_bytes);
        keeper.whole.store(whole, Ordering::Relaxed);
        keeper
    }

    fn path(&self) -> PathBuf {
        self.dir.join(RESERVE)
    }

    /// Looks how much is free, and lays the reserve again once that leaves enough. What cannot be read is nothing.
    pub(crate) fn look(&self) {
        let free = || self.disk.free_bytes(&self.dir).unwrap_or(0);
        let mut seen = free();
        let enough = seen >= self.marks.reserve_bytes.saturating_add(self.marks.hard_free_bytes);
        if !self.whole.load(Ordering::Relaxed) && enough {
            let laid = self.disk.reserve(&self.path(), self.marks.reserve_bytes);
            self.whole.store(laid.is_ok(), Ordering::Release);
            seen = free();
        }
        self.free.store(seen, Ordering::Release);
    }

    /// Gives the reserve up for the next segment; false when there was none.
    pub(crate) fn release(&self) -> io::Result<bool> {
        if self.marks.reserve_bytes == 0 {
            return Ok(false);
        }
        self.whole.store(false, Ordering::Release);
        match self.disk.remove(&self.path()) {
            Ok(()) => self.disk.sync_dir(&self.dir).map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        self.free.load(Ordering::Acquire)
    }

    pub(crate) fn space(&self) -> Space {
        let free = self.free_bytes();
        if free < self.marks.hard_free_bytes || !self.whole.load(Ordering::Acquire) {
            Space::Hard
        } else if free < self.marks.soft_free_bytes {
            Space::Soft
        } else {
            Space::Ok
        }
    }
}
