//! The gateway's one object: the engine and its journal, called straight from the event loop's thread.
//!
//! Each command appends its records to the journal before it returns; what it answers may leave only once the
//! sequence it names is durable. A broken invariant or a panic poisons the object: what that command emitted never
//! reaches the journal, and every later call raises.

use crate::errors::{EnginePoisoned, JournalFailed, JournalRefused};
use crate::start::{self, newest_state};
use ordergate_core::engine::{Emitted, Engine};
use ordergate_core::record::Record;
use ordergate_core::state::Broken;
use ordergate_core::terms::{Nanos, Seq};
use ordergate_journal::{AppendError, Journal, JournalClock, Marks, Options, clock, encode_frame};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

/// How long a close waits for the last flush.
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// The engine and its journal: the only writer.
#[pyclass(module = "ordergate._core")]
pub struct Gateway {
    pub(crate) engine: Engine,
    pub(crate) journal: Journal,
    pub(crate) clock: JournalClock,
    frames: Vec<u8>,
    poisoned: bool,
    /// A record that was not durable when it was appended, and when that was: tells how long a flush takes.
    waiting: (Seq, Nanos),
    state_hash_every: Seq,
    last_state_hash: Seq,
}

impl Gateway {
    /// Runs one command and appends what it emitted. A panic or a broken invariant leaves the object poisoned.
    pub(crate) fn command<T>(&mut self, run: impl FnOnce(&mut Engine, Nanos) -> Result<T, Broken>) -> PyResult<T> {
        if self.poisoned {
            return Err(EnginePoisoned::new_err(
                "the engine is poisoned: exit, and read the log for the first cause",
            ));
        }
        let now = self.clock.now();
        // Stays set when `run` panics.
        self.poisoned = true;
        match run(&mut self.engine, now) {
            Ok(value) => {
                self.append(now)?;
                self.poisoned = false;
                Ok(value)
            }
            Err(broken) => {
                let reason = format!("an invariant broke: {broken}");
                self.journal.halt(&reason);
                Err(EnginePoisoned::new_err(reason))
            }
        }
    }

    fn append(&mut self, now: Nanos) -> PyResult<()> {
        let emitted = self.engine.take_emitted();
        let Some(first) = emitted.first().map(|record| record.seq) else {
            return Ok(());
        };
        self.frames.clear();
        for Emitted { ts, kind, body, .. } in &emitted {
            encode_frame(&mut self.frames, *ts, *kind, Record::VERSION, body);
        }
        let count = u32::try_from(emitted.len()).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        self.journal
            .append(&self.frames, first, count, now)
            .map_err(|error| match error {
                AppendError::Full => JournalFailed::new_err("the journal's buffer is full: the disk does not keep up"),
                AppendError::Failed(reason) | AppendError::Misuse(reason) => JournalFailed::new_err(reason),
            })?;
        if self.waiting.0 <= self.journal.durable_seq() {
            self.waiting = (first + u64::from(count) - 1, now);
        }
        Ok(())
    }

    /// How long a record has waited for its flush, in milliseconds; 0 when none waits.
    pub(crate) fn flush_wait_ms(&self, durable: Seq) -> u32 {
        let (seq, since) = self.waiting;
        let wait = if seq > durable { self.clock.now() - since } else { 0 };
        u32::try_from(wait / 1_000_000).unwrap_or(u32::MAX)
    }

    /// A bad argument of our own callers.
    pub(crate) fn misuse(message: impl Into<String>) -> PyErr {
        PyValueError::new_err(message.into())
    }
}

#[pymethods]
impl Gateway {
    /// Takes the lock, recovers, and journals a new EPOCH.
    #[staticmethod]
    #[pyo3(signature = (journal_dir, snapshot_dir, *, watermark=None, postgres_read=false, segment_bytes=64 << 20, state_hash_every=10_000,
        soft_free_bytes=0, hard_free_bytes=0, reserve_bytes=0))]
    #[allow(clippy::too_many_arguments, reason = "keywords, each a setting")]
    fn open(
        journal_dir: &str,
        snapshot_dir: &str,
        watermark: Option<(Seq, Vec<u8>)>,
        postgres_read: bool,
        segment_bytes: u64,
        state_hash_every: Seq,
        soft_free_bytes: u64,
        hard_free_bytes: u64,
        reserve_bytes: u64,
    ) -> PyResult<Self> {
        let postgres = start::postgres(watermark, postgres_read)?;
        let mut options = Options {
            segment_bytes,
            marks: Marks {
                soft_free_bytes,
                hard_free_bytes,
                reserve_bytes,
            },
            ..Options::default()
        };
        let (mut state, hash) = newest_state(Path::new(snapshot_dir), Seq::MAX)?;
        options.snapshot_hash = hash;
        let after = state.last_seq();
        let journal = Journal::open(Path::new(journal_dir), options, postgres, after, &mut |_, frame| {
            start::fold(&mut state, frame)
        })
        .map_err(|error| start::refused(error, journal_dir))?;
        if state.last_seq() != journal.last_seq() {
            return Err(JournalRefused::new_err(format!(
                "the snapshot stands at {} and the journal ends at {}: restore the journal, or move the snapshots away",
                state.last_seq(),
                journal.last_seq()
            )));
        }
        let clock = JournalClock::start(state.last_ts());
        let mut gateway = Self {
            last_state_hash: state.last_seq(),
            engine: Engine::new(state),
            clock,
            frames: Vec::new(),
            poisoned: false,
            waiting: (0, 0),
            state_hash_every,
            journal,
        };
        let (epoch, install) = (gateway.journal.epoch(), new_install()?);
        let (boottime_ns, wall_offset_ns) = (clock::boottime_ns(), clock.wall_offset());
        gateway.command(|engine, now| engine.start(epoch, &install, boottime_ns, wall_offset_ns, now))?;
        Ok(gateway)
    }

    /// Eight characters that name this installation for ever.
    #[getter]
    fn install(&self) -> String {
        self.engine.state().install().to_owned()
    }

    #[getter]
    fn epoch(&self) -> u32 {
        self.engine.state().epoch()
    }

    #[getter]
    fn last_seq(&self) -> Seq {
        self.engine.state().last_seq()
    }

    #[getter]
    fn redis_bound(&self) -> bool {
        self.engine.state().redis_bound()
    }

    fn wake_fd(&self) -> i32 {
        self.journal.wake_fd().as_raw_fd()
    }

    /// Clears the eventfd; the durable sequence.
    fn drain(&self) -> PyResult<Seq> {
        self.journal.acknowledge_wake();
        match self.journal.failure() {
            Some(reason) => Err(JournalFailed::new_err(reason)),
            None => Ok(self.journal.durable_seq()),
        }
    }

    fn durable_seq(&self) -> Seq {
        self.journal.durable_seq()
    }

    fn now_ns(&self) -> Nanos {
        self.clock.now()
    }

    /// Every 50 ms: what time alone changes; ids of the orders that changed.
    fn tick(&mut self) -> PyResult<Vec<u64>> {
        let due = self.engine.state().last_seq() >= self.last_state_hash + self.state_hash_every;
        self.command(|engine, now| {
            engine.tick(now, clock::wall_ns())?;
            if due {
                engine.state_hash_record(now)?;
            }
            Ok(())
        })?;
        if due {
            self.last_state_hash = self.engine.state().last_seq();
        }
        Ok(self.engine.take_changed())
    }

    fn state_hash(&self) -> String {
        format!("{:032x}", self.engine.state().digest())
    }

    /// Journals CLEAN_STOP, flushes what is pending and ends the journal thread.
    fn close(&mut self, py: Python<'_>) -> PyResult<()> {
        if !self.poisoned && self.journal.failure().is_none() {
            self.command(|engine, now| engine.stop(now))?;
        }
        let last = self.engine.state().last_seq();
        let journal = &self.journal;
        py.detach(|| journal.wait_durable(last, CLOSE_WAIT).and_then(|_| journal.close()))
            .map_err(JournalFailed::new_err)
    }
}

/// Draws an install id: 8 characters of `[a-z2-7]`.
fn new_install() -> PyResult<String> {
    let mut bytes = [0_u8; 8];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
            .map_err(|error| PyOSError::new_err(error.to_string()))?;
    }
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    Ok(bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
        .collect())
}
