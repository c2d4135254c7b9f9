//! The journal as its one writer sees it.

use crate::ahead::Ahead;
use crate::chunk::{self, ChunkInfo, Frame, Hash, OwnedFrame};
use crate::clock::boottime_ns;
use crate::disk::{DirLock, Disk, RealDisk, SharedPage};
use crate::judgement::Place;
use crate::open;
use crate::space::{Marks, Space};
use crate::writer::{MAX_PENDING, Pending, Shared};
use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Called with each record in order; an `Err` stops the reading and is passed on.
pub type Visit<'a> = &'a mut dyn FnMut(&ChunkInfo, &Frame<'_>) -> Result<(), String>;

/// How a journal is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a new segment file, at least 4,096; rounded up to whole sectors. Also bounds a record.
    pub segment_bytes: u64,
    /// What free space on the disk means.
    pub marks: Marks,
    /// Chunk hash of the snapshot that covers `after_seq`: evidence like Postgres's. `None` checks the sequence only.
    pub snapshot_hash: Option<Hash>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            marks: Marks::NONE,
            snapshot_hash: None,
        }
    }
}

/// What Postgres knows about this journal: its watermark always ends a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Postgres {
    /// Not reachable now: the check is owed.
    Unreadable,
    /// Readable, and holds nothing.
    Empty,
    /// Holds everything up to `seq`.
    At {
        /// Last record held.
        seq: u64,
        /// Hash of the chunk that ends there.
        hash: Hash,
    },
}

/// Why the journal did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("another process holds the journal")]
    Locked,
    /// Starting could lose something acknowledged, or run on something that is not ours.
    #[error("{place}: {reason}. {advice}.")]
    Refused {
        /// File and offset.
        place: Place,
        /// What is wrong.
        reason: String,
        /// What to do.
        advice: String,
    },
    /// The disk.
    #[error("{place}: {error}")]
    Io {
        /// Which file.
        place: String,
        /// What the system said.
        error: io::Error,
    },
}

/// Why an append was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The pending buffer is full: the disk does not keep up. Nothing was taken; it may be tried again.
    #[error("the journal's buffer is full")]
    Full,
    /// A write or flush failed, or the journal was halted or closed.
    #[error("{0}")]
    Failed(String),
    /// The frames are not what the arguments say, or one is too large: a bug of the caller.
    #[error("{0}")]
    Misuse(String),
}

/// What start-up found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Last record of the journal, 0 for none.
    pub last_seq: u64,
    /// Time of the last record that was read, 0 when the snapshot covers all.
    pub last_ts: i64,
    /// Hash of the last chunk.
    pub chunk_hash: Hash,
    /// Chunks above every mark that were written and flushed again.
    pub rewritten_chunks: u64,
    /// Where a copy of the torn tail is, when one was cut.
    pub torn: Option<PathBuf>,
}

/// An open journal. Any thread may call it; appends must come in the order of their sequences.
pub struct Journal {
    pub(crate) shared: Arc<Shared>,
    pub(crate) ahead: Arc<Ahead>,
    pub(crate) page: Arc<dyn SharedPage>,
    pub(crate) threads: Mutex<Option<Threads>>,
    pub(crate) recovered: Recovered,
    pub(crate) epoch: u32,
    pub(crate) max_body: usize,
}

/// What ends with the journal.
pub(crate) struct Threads {
    pub(crate) writer: JoinHandle<()>,
    pub(crate) ahead: JoinHandle<()>,
    /// Released when both have ended.
    pub(crate) _lock: Box<dyn DirLock>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (last_seq, durable_seq) = (self.last_seq(), self.durable_seq());
        f.debug_struct("Journal")
            .field("epoch", &self.epoch)
            .field("last_seq", &last_seq)
            .field("durable_seq", &durable_seq)
            .finish()
    }
}

impl Journal {
    /// Takes the lock, decides (see [`crate::recovery`]), replays the records after `after_seq` (what a snapshot
    /// covers, 0 for none), repairs, and starts the journal thread.
    ///
    /// # Errors
    /// [`OpenError::Locked`]; [`OpenError::Refused`] with nothing changed on the disk; [`OpenError::Io`]. `replay` may
    /// have been called before: drop what it built.
    pub fn open(
        dir: &Path,
        options: Options,
        postgres: Postgres,
        after_seq: u64,
        replay: Visit<'_>,
    ) -> Result<Journal, OpenError> {
        Journal::open_on(Arc::new(RealDisk), dir, &options, postgres, after_seq, replay)
    }

    /// As [`Journal::open`], on a given disk.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: &Options,
        postgres: Postgres,
        after_seq: u64,
        replay: Visit<'_>,
    ) -> Result<Journal, OpenError> {
        open::open(&disk, dir, options, postgres, after_seq, replay)
    }

    /// Last appended record, durable or not.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.shared.pending.lock().last_seq
    }

    /// Number of this start: the last chunk's epoch + 1. Every chunk written from now on carries it.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What start-up found.
    #[must_use]
    pub const fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Queues `count` encoded frames whose first is record `first_seq`, at journal time `now_ns`. Never waits.
    ///
    /// # Errors
    /// See [`AppendError`]; then nothing was taken.
    pub fn append(&self, frames: &[u8], first_seq: u64, count: u32, now_ns: i64) -> Result<(), AppendError> {
        self.check(frames, count)?;
        let offset_ns = now_ns.saturating_sub(boottime_ns());
        let mut pending = self.accepting()?;
        if first_seq != pending.last_seq + 1 {
            let expected = pending.last_seq + 1;
            return Err(AppendError::Misuse(format!(
                "record {first_seq} appended where {expected} comes next"
            )));
        }
        if pending.waiting() + frames.len() > MAX_PENDING {
            return Err(AppendError::Full);
        }
        let was_idle = pending.waiting() == 0;
        pending.buf.extend_from_slice(frames);
        pending.last_seq += u64::from(count);
        pending.offset_ns = offset_ns;
        drop(pending);
        if was_idle {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    /// A frame that does not add up would make the chunk unreadable for ever.
    fn check(&self, frames: &[u8], count: u32) -> Result<(), AppendError> {
        let (mut at, mut counted) = (0, 0_u32);
        while at < frames.len() {
            let Some(len) = chunk::frame_len(&frames[at..]).filter(|len| len - chunk::FRAME <= self.max_body) else {
                return Err(AppendError::Misuse(format!(
                    "the frame at byte {at} is malformed or too large"
                )));
            };
            at += len;
            counted = counted.saturating_add(1);
        }
        if counted == count && count > 0 {
            Ok(())
        } else {
            Err(AppendError::Misuse(format!("{counted} frames appended as {count}")))
        }
    }

    fn accepting(&self) -> Result<MutexGuard<'_, Pending>, AppendError> {
        let pending = self.shared.pending.lock();
        match self.shared.failure.get() {
            Some(reason) => Err(AppendError::Failed(reason.clone())),
            None if pending.closing => Err(AppendError::Failed("the journal is closed".into())),
            None => Ok(pending),
        }
    }

    /// Last record that survives a loss of power; everything up to it may be answered.
    #[must_use]
    pub fn durable_seq(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// An eventfd that becomes readable after each flush and on failure.
    #[must_use]
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }

    /// Makes the eventfd unreadable until the next flush. Call it before [`Journal::durable_seq`].
    pub fn acknowledge_wake(&self) {
        let mut count = [0; 8];
        // The only error is that there is nothing to acknowledge.
        let _ = rustix::io::read(&self.shared.wake, &mut count);
    }

    /// Why nothing more will ever become durable; never retried.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.failure.get().cloned()
    }

    /// What will become a failure when the current segment is full: the next one cannot be prepared.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        self.ahead.warning()
    }

    /// What the room on the disk allows, as seen about a second ago.
    #[must_use]
    pub fn space(&self) -> Space {
        self.ahead.keeper.space()
    }

    /// Bytes that were free then; 0 also when that cannot be read.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.ahead.keeper.free_bytes()
    }

    /// One durable record; `None` when it is not durable (yet) or its segment has left the journal.
    ///
    /// # Errors
    /// The disk's; `InvalidData` when its chunk no longer verifies.
    pub fn read(&self, seq: u64) -> io::Result<Option<OwnedFrame>> {
        let Some(hit) = self.find(seq)? else { return Ok(None) };
        let bytes = hit.read()?;
        let mut frames = chunk::frames(&bytes[chunk::HEADER..], hit.header.first_seq);
        Ok(frames.find(|frame| frame.seq == seq).map(|frame| OwnedFrame {
            seq,
            ts: frame.ts,
            kind: frame.kind,
            version: frame.version,
            body: frame.body.to_vec(),
            sealed_ns: hit.header.sealed_ns,
        }))
    }

    /// Journal time at which the chunk of a durable record was sealed; `None` as in [`Journal::read`], or when the
    /// disk cannot be read.
    #[must_use]
    pub fn sealed_at(&self, seq: u64) -> Option<i64> {
        self.find(seq).ok().flatten().map(|hit| hit.header.sealed_ns)
    }

    fn find(&self, seq: u64) -> io::Result<Option<crate::index::Hit>> {
        if seq == 0 || seq > self.durable_seq() {
            return Ok(None);
        }
        let lead = self.shared.index.lock().lead(seq)?;
        let Some(lead) = lead else { return Ok(None) };
        let hit = lead.follow(seq)?;
        if hit.is_lesson() {
            self.shared.index.lock().learn(&hit);
        }
        Ok(Some(hit))
    }

    /// Bytes appended and not durable yet.
    #[must_use]
    pub fn backlog_bytes(&self) -> u64 {
        let pending = self.shared.pending.lock();
        (pending.waiting() + pending.in_flight) as u64
    }

    /// Blocks until `seq` is durable; false after `timeout`. For tools and tests: a server has the eventfd.
    ///
    /// # Errors
    /// The failure.
    pub fn wait_durable(&self, seq: u64, timeout: Duration) -> Result<bool, String> {
        let until = Instant::now() + timeout;
        let mut pending = self.shared.pending.lock();
        loop {
            if self.durable_seq() >= seq {
                return Ok(true);
            }
            if let Some(reason) = self.shared.failure.get() {
                return Err(reason.clone());
            }
            if self.shared.done.wait_until(&mut pending, until).timed_out() {
                return Ok(self.durable_seq() >= seq);
            }
        }
    }

    /// Stops at once: what is not flushed is dropped. For a broken invariant, whose records must not be replayed.
    pub fn halt(&self, reason: &str) {
        self.shared.fail(format!("halted: {reason}"));
    }

    /// Flushes what is pending, ends the threads and releases the lock. Later calls do nothing.
    ///
    /// # Errors
    /// The failure, when not everything that was appended became durable.
    pub fn close(&self) -> Result<(), String> {
        let Some(threads) = self.threads.lock().take() else {
            return Ok(());
        };
        self.shared.pending.lock().closing = true;
        self.shared.work.notify_all();
        let writer = threads.writer.join();
        self.ahead.stop();
        let ahead = threads.ahead.join();
        if let Some(reason) = self.failure() {
            return Err(reason);
        }
        if writer.is_err() || ahead.is_err() {
            return Err("a thread of the journal panicked".into());
        }
        // Not needed for durability: it spares the next start from writing chunks again.
        self.page.sync().map_err(|error| format!("commit: {error}"))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`.
        let _ = self.close();
    }
}
