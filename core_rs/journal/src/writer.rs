//! Group commit: while one flush runs, the next batch gathers. No timer; the flush itself is the pace, and one yield
//! before it lets whoever shares the processor hand over what it has ready.

use crate::ahead::{self, Ahead};
use crate::chunk::{self, SECTOR};
use crate::clock::boottime_ns;
use crate::commit::{Position, Publisher};
use crate::disk::{Disk, DiskFile};
use crate::index::Index;
use crate::segment::{self, Chain, SegmentHeader};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Bound of what waits for the running flush.
pub(crate) const MAX_PENDING: usize = 64 << 20;
/// A buffer that grew beyond this in a burst is given back.
const KEEP_BUFFER: usize = 16 << 20;

/// What appends leave for the journal thread.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Room for a chunk's header, then frames.
    pub(crate) buf: Vec<u8>,
    /// Last appended record.
    pub(crate) last_seq: u64,
    /// Journal time − CLOCK_BOOTTIME.
    pub(crate) offset_ns: i64,
    /// Bytes that the journal thread has taken and not flushed yet.
    pub(crate) in_flight: usize,
    pub(crate) closing: bool,
}

impl Pending {
    fn new(last_seq: u64) -> Pending {
        Pending {
            buf: vec![0; chunk::HEADER],
            last_seq,
            offset_ns: 0,
            in_flight: 0,
            closing: false,
        }
    }

    /// Bytes of frames that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.buf.len() - chunk::HEADER
    }
}

/// Between the appending threads and the journal thread.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pending: Mutex<Pending>,
    pub(crate) work: Condvar,
    pub(crate) done: Condvar,
    pub(crate) durable: AtomicU64,
    /// Set once; nothing is written or acknowledged after it.
    pub(crate) failure: OnceLock<String>,
    pub(crate) index: Mutex<Index>,
    pub(crate) wake: OwnedFd,
}

impl Shared {
    pub(crate) fn new(last_seq: u64, index: Index, wake: OwnedFd) -> Shared {
        Shared {
            pending: Mutex::new(Pending::new(last_seq)),
            work: Condvar::new(),
            done: Condvar::new(),
            durable: AtomicU64::new(last_seq),
            failure: OnceLock::new(),
            index: Mutex::new(index),
            wake,
        }
    }

    /// Ends everything: the first reason stays, everybody who waits is told.
    pub(crate) fn fail(&self, reason: String) {
        let _ = self.failure.set(reason);
        let _guard = self.pending.lock();
        self.work.notify_all();
        self.done.notify_all();
        self.ring();
    }

    fn ring(&self) {
        // The only error is a counter that is full, and then the reader is awake anyway.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

/// The segment that is written.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) first_seq: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the next chunk goes.
    pub(crate) offset: u64,
    /// Length of the file.
    pub(crate) capacity: u64,
}

/// The journal thread's own things.
pub(crate) struct Writer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) shared: Arc<Shared>,
    pub(crate) ahead: Arc<Ahead>,
    pub(crate) publisher: Publisher,
    pub(crate) current: Option<Current>,
    pub(crate) chain: Chain,
    pub(crate) epoch: u32,
    /// Largest chunk that fits a new segment.
    pub(crate) max_chunk: usize,
    pub(crate) sealed_ns: i64,
}

/// One batch: taken at once, flushed as one chunk unless it is too large.
struct Batch {
    buf: Vec<u8>,
    first_seq: u64,
    last_seq: u64,
    offset_ns: i64,
}

/// A panic in the journal thread must not look like a slow disk.
struct Alarm(Arc<Shared>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the journal thread panicked".into());
        }
    }
}

impl Writer {
    /// The journal thread, until the journal is closed or fails.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _alarm = Alarm(Arc::clone(&shared));
        let mut spare = Vec::with_capacity(chunk::HEADER);
        while let Some(mut batch) = self.next_batch(spare) {
            if let Err(reason) = self.flush(&mut batch) {
                shared.fail(reason);
                return;
            }
            spare = batch.buf;
        }
    }

    /// Waits for frames and swaps the buffers; `None` when there is nothing more to do, ever.
    fn next_batch(&self, spare: Vec<u8>) -> Option<Batch> {
        let mut pending = self.shared.pending.lock();
        pending.in_flight = 0;
        loop {
            if self.shared.failure.get().is_some() {
                return None;
            }
            if pending.waiting() > 0 {
                break;
            }
            if pending.closing {
                return None;
            }
            self.shared.work.wait(&mut pending);
        }
        // On a processor that is shared with the appending thread a woken journal thread would flush the first record
        // of a burst alone. Yielding costs nothing on an idle processor and gathers the burst on a busy one (ADR 0009).
        MutexGuard::unlocked(&mut pending, std::thread::yield_now);
        if self.shared.failure.get().is_some() {
            return None;
        }
        Some(self.take(&mut pending, spare))
    }

    /// Everything that waits, for an empty buffer.
    fn take(&self, pending: &mut Pending, mut spare: Vec<u8>) -> Batch {
        spare.clear();
        spare.shrink_to(KEEP_BUFFER);
        spare.resize(chunk::HEADER, 0);
        pending.in_flight = pending.waiting();
        Batch {
            buf: std::mem::replace(&mut pending.buf, spare),
            first_seq: self.chain.last_seq + 1,
            last_seq: pending.last_seq,
            offset_ns: pending.offset_ns,
        }
    }

    /// One turn of [`Writer::run`] that does not wait: for simulations that must repeat exactly.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn step(&mut self) -> Result<(), String> {
        let shared = Arc::clone(&self.shared);
        if let Some(reason) = shared.failure.get() {
            return Err(reason.clone());
        }
        let mut pending = shared.pending.lock();
        if pending.waiting() == 0 {
            return Ok(());
        }
        let mut batch = self.take(&mut pending, Vec::new());
        drop(pending);
        let flushed = self.flush(&mut batch);
        shared.pending.lock().in_flight = 0;
        flushed.inspect_err(|reason| shared.fail(reason.clone()))
    }

    fn flush(&mut self, batch: &mut Batch) -> Result<(), String> {
        let (mut start, mut first_seq) = (0, batch.first_seq);
        while first_seq <= batch.last_seq {
            if let Some(reason) = self.shared.failure.get() {
                return Err(reason.clone());
            }
            let (end, count) = self.part(&batch.buf, start, batch.last_seq - first_seq + 1)?;
            self.sealed_ns = self.sealed_ns.max(boottime_ns().saturating_add(batch.offset_ns));
            self.write(&mut batch.buf[start..end], first_seq, count)?;
            first_seq += u64::from(count);
            // The next chunk's header goes where bytes stand that are already on the disk.
            start = end - chunk::HEADER;
        }
        Ok(())
    }

    /// End and count of the frames of the next chunk, whose header's room is at `start`.
    fn part(&self, buf: &[u8], start: usize, left: u64) -> Result<(usize, u32), String> {
        let too_many = || "a batch has more records than can be counted".to_string();
        if buf.len() - start <= self.max_chunk {
            return Ok((buf.len(), u32::try_from(left).map_err(|_| too_many())?));
        }
        let (mut end, mut count) = (start + chunk::HEADER, 0);
        while let Some(len) = chunk::frame_len(&buf[end..]).filter(|len| end + len - start <= self.max_chunk) {
            end += len;
            count += 1;
        }
        if count == 0 {
            Err("a record does not fit into a chunk".into())
        } else {
            Ok((end, count))
        }
    }

    /// One chunk: seal, write, flush, `commit`, then everybody may know.
    fn write(&mut self, bytes: &mut [u8], first_seq: u64, count: u32) -> Result<(), String> {
        let hash = chunk::seal(bytes, self.epoch, first_seq, count, self.sealed_ns, &self.chain.hash);
        let end = |offset: u64| chunk::align(offset + bytes.len() as u64);
        let (offset, segment) = match &mut self.current {
            Some(current) if end(current.offset) <= current.capacity => {
                let offset = current.offset;
                let written = current.file.write_at(bytes, offset).and_then(|()| current.file.sync());
                written.map_err(|error| format!("{} at {offset}: {error}", segment::name(current.first_seq)))?;
                current.offset = end(offset);
                (offset, current.first_seq)
            }
            _ => {
                self.roll(bytes, first_seq)?;
                (SECTOR, first_seq)
            }
        };
        let last_seq = first_seq + u64::from(count) - 1;
        self.chain = Chain {
            last_seq,
            hash,
            epoch: self.epoch,
        };
        self.shared.index.lock().push_chunk(first_seq, offset);
        self.publisher.publish(&Position {
            last_seq,
            segment,
            end: end(offset),
            epoch: self.epoch,
            hash,
        });
        self.shared.durable.store(last_seq, Ordering::Release);
        self.shared.ring();
        // Taken and left, so that a waiter between its check and its sleep does not miss this.
        drop(self.shared.pending.lock());
        self.shared.done.notify_all();
        Ok(())
    }

    /// Starts the next segment with its first chunk: both are durable before the file gets its name, the name before
    /// anybody hears of it.
    fn roll(&mut self, bytes: &[u8], first_seq: u64) -> Result<(), String> {
        let path = segment::path(&self.dir, first_seq);
        let file = self.ahead.take()?;
        let header = SegmentHeader {
            epoch: self.epoch,
            first_seq,
            created_ns: self.sealed_ns,
            prev_hash: self.chain.hash,
        };
        let made = file
            .write_at(&header.encode(), 0)
            .and_then(|()| file.write_at(bytes, SECTOR))
            .and_then(|()| file.sync())
            .and_then(|()| self.disk.rename(&self.dir.join(ahead::SPARE), &path))
            .and_then(|()| self.disk.sync_dir(&self.dir))
            .and_then(|()| file.len());
        let capacity = made.map_err(|error| format!("{}: {error}", segment::name(first_seq)))?;
        // Flushed by the background before it makes the file that the next call takes.
        self.publisher.checkpoint();
        self.ahead.again();
        let offset = chunk::align(SECTOR + bytes.len() as u64);
        self.current = Some(Current {
            first_seq,
            file,
            offset,
            capacity,
        });
        self.shared.index.lock().push_segment(first_seq);
        Ok(())
    }
}
