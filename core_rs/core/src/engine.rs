//! Decisions: commands and venue reports in, records out.
//!
//! The engine is the fold plus what is not journaled: prices, rate limits, which sessions are connected, and when the
//! kill switch was last read. Every command appends records; each is encoded, folded at once by the same code that
//! will replay it, and handed out for the journal. A refusal is a value; a broken invariant poisons the engine.

use crate::digest::halves;
use crate::flatten::Flattening;
use crate::heartbeat::Beats;
use crate::limits::LimitKind;
use crate::prices::Prices;
use crate::pursuit::Sweep;
use crate::rates::Rates;
use crate::readiness::Live;
use crate::record::{Epoch, FOLD_VERSION, Record, StateHash};
use crate::refusal::Refusal;
use crate::risk::{self, JournalHealth};
use crate::state::{Broken, State};
use crate::terms::{AccountId, InstrumentId, KeyId, Mode, Nanos, OrderId, Seq, SessionId};
use crate::throttle::ScopedRates;
use crate::watch::Watch;
use crate::windows::Windows;
use std::collections::{BTreeMap, BTreeSet};

pub use crate::administration::NewKey;
pub use crate::admission::Submitted;
pub use crate::approvals::{NewOverride, OVERRIDE_LONGEST_NS};
pub use crate::doubts::{DECLARED_ABSENT, DOUBT_ALARM_NS};
pub use crate::ending::{CancelAnswer, ended_cancel};
pub use crate::flatten::NotFlat;
pub use crate::limit_changes::{Changed, LOOSEN_PERCENT, MAX_REQUESTS, REQUEST_KEEP_NS, parse_kinds, parse_limit};
pub use crate::prices::{Depth, Mark};
pub use crate::rates::{CHANGES_AT_ONCE, CHANGES_PER_SECOND};
pub use crate::sending::{KILL_READING_MAX_AGE_NS, MAX_UNSENT, window};
pub use crate::trading_rules::Hours;

/// Outer error: the engine is poisoned. Inner error: a refusal, nothing was journaled.
pub type Decided<T> = Result<Result<T, Refusal>, Broken>;

/// A record for the journal; its version is [`Record::VERSION`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    /// Sequence.
    pub seq: Seq,
    /// Journal time.
    pub ts: Nanos,
    /// Kind byte.
    pub kind: u8,
    /// Encoded body.
    pub body: Vec<u8>,
}

/// Who asks, once authorized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The key used.
    pub key: KeyId,
    /// Its account.
    pub account: AccountId,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    pub(crate) state: State,
    pub(crate) prices: Prices,
    /// Places taken in the rates of new orders and of cancels that limits set.
    pub(crate) order_rates: ScopedRates,
    pub(crate) cancel_rates: ScopedRates,
    pub(crate) journal_health: JournalHealth,
    pub(crate) rates: Vec<Option<Rates>>,
    /// Connected session of each mode.
    pub(crate) attached: [Option<SessionId>; 2],
    pub(crate) kill_read_at: Option<Nanos>,
    /// What is left of the disk is for what follows from orders taken before.
    pub(crate) journal_is_full: bool,
    /// Working orders that a kill of level 2 still has to cancel.
    pub(crate) sweep: Sweep,
    /// How often a kill began, changed or ended.
    pub(crate) kill_changes: u64,
    pub(crate) flattening: Flattening,
    /// Orders that must not work since others took over, and when to look at them again.
    pub(crate) unwanted: BTreeMap<OrderId, Nanos>,
    pub(crate) beats: Beats,
    emitted: Vec<Emitted>,
    /// Where records are encoded, reused.
    scratch: Vec<u8>,
    pub(crate) changed: Vec<OrderId>,
    poison: Option<Broken>,
    pub(crate) dropped: u64,
    pub(crate) duplicates: u64,
    /// Hashes of parked reports.
    pub(crate) parked_seen: BTreeSet<u64>,
    pub(crate) loosen_percent: u32,
    pub(crate) windows: Windows,
    pub(crate) watch: Watch,
    pub(crate) live: Live,
}

impl Engine {
    /// An engine on a folded state, with nothing connected yet.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self {
            windows: Windows::rebuilt(&state),
            watch: Watch::default(),
            live: Live::new(),
            state,
            prices: Prices::default(),
            order_rates: ScopedRates::default(),
            cancel_rates: ScopedRates::default(),
            journal_health: JournalHealth::default(),
            rates: Vec::new(),
            attached: [None, None],
            kill_read_at: None,
            journal_is_full: false,
            sweep: Sweep::default(),
            kill_changes: 0,
            flattening: Flattening::new(),
            unwanted: BTreeMap::new(),
            beats: Beats::new(),
            emitted: Vec::new(),
            scratch: Vec::new(),
            changed: Vec::new(),
            poison: None,
            dropped: 0,
            duplicates: 0,
            parked_seen: BTreeSet::new(),
            loosen_percent: crate::limit_changes::LOOSEN_PERCENT,
        }
    }

    /// Journals the EPOCH of this start: a new install id is used only by the very first.
    ///
    /// # Errors
    /// [`Broken`] when the epoch does not rise.
    pub fn start(
        &mut self,
        epoch: u32,
        new_install: &str,
        boottime_ns: i64,
        wall_offset_ns: i64,
        now: Nanos,
    ) -> Result<Seq, Broken> {
        let known = self.state.install();
        let install = if known.is_empty() { new_install } else { known }.to_owned();
        let journal_ns = now.max(self.state.last_ts());
        let fold_version = FOLD_VERSION;
        let body = Epoch {
            epoch,
            fold_version,
            install,
            journal_ns,
            boottime_ns,
            wall_offset_ns,
        };
        let seq = self.commit(Record::Epoch(body), now)?;
        self.resume_kills(now)?;
        self.resume_replaces(now)?;
        Ok(seq)
    }

    /// The folded state.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The records since the last call: to be appended to the journal after every command, in this order.
    #[must_use]
    pub fn take_emitted(&mut self) -> Vec<Emitted> {
        std::mem::take(&mut self.emitted)
    }

    /// Orders changed since the last call, in order of change; one may come more than once.
    #[must_use]
    pub fn take_changed(&mut self) -> Vec<OrderId> {
        std::mem::take(&mut self.changed)
    }

    /// What broke, if something did: every command fails from then on.
    #[must_use]
    pub const fn poisoned(&self) -> Option<&Broken> {
        self.poison.as_ref()
    }

    /// Reports of sessions that are no longer connected.
    #[must_use]
    pub const fn dropped_reports(&self) -> u64 {
        self.dropped
    }

    /// Reports that told nothing new.
    #[must_use]
    pub const fn duplicate_reports(&self) -> u64 {
        self.duplicates
    }

    /// Appends a record: numbers it, encodes it, folds it.
    pub(crate) fn commit(&mut self, record: Record, now: Nanos) -> Result<Seq, Broken> {
        self.commit_kept(&record, now)
    }

    /// As [`Engine::commit`], for who needs the record afterwards.
    pub(crate) fn commit_kept(&mut self, record: &Record, now: Nanos) -> Result<Seq, Broken> {
        self.check_poison()?;
        let (seq, ts) = (self.state.last_seq() + 1, now.max(self.state.last_ts()));
        self.scratch.clear();
        let fills = self.state.counters().fills;
        let done = match record.encode(&mut self.scratch) {
            Ok(()) => self.state.apply(seq, ts, record),
            Err(error) => Broken::at(seq, error),
        };
        match done {
            Ok(applied) => {
                self.emitted.push(Emitted {
                    seq,
                    ts,
                    kind: record.kind(),
                    body: self.scratch.clone(),
                });
                if let Some(order) = applied.order {
                    if self.changed.last() != Some(&order) {
                        self.changed.push(order);
                    }
                    self.pursue_order(order, ts);
                }
                match record {
                    Record::BalanceAdjusted(body) => self.watch.adjust(body),
                    Record::KillOn(_) | Record::KillOff(_) => self.kill_changes += 1,
                    _ => {}
                }
                let booked = self.state.counters().fills > fills;
                if let Some((order, kind)) = self.windows.note(&self.state, record, seq, booked) {
                    self.throttle(order, kind, ts)?;
                }
                Ok(seq)
            }
            Err(broken) => {
                self.poison = Some(broken.clone());
                Err(broken)
            }
        }
    }

    pub(crate) fn check_poison(&self) -> Result<(), Broken> {
        match &self.poison {
            Some(broken) => Err(broken.clone()),
            None => Ok(()),
        }
    }

    /// Best prices of an instrument, as its venue last told.
    #[must_use]
    pub fn mark(&self, mode: Mode, instrument: InstrumentId) -> Option<&Mark> {
        self.prices.get(mode, instrument)?.mark.as_ref()
    }

    pub(crate) fn set_mark(&mut self, mode: Mode, instrument: InstrumentId, mark: Mark) {
        let firm = |kind| self.state.firm_limit(kind, instrument);
        let limits = (firm(LimitKind::MaxSpread), firm(LimitKind::MaxLastDeviation));
        let believed = risk::reference_twice(&mark, limits.0, limits.1).is_some();
        self.prices.set_mark(mode, instrument, mark, believed);
    }

    /// The newest prices of an instrument that were believed: with MAX_SPREAD or MAX_LAST_DEVIATION of the firm, one tick
    /// out of line is no price.
    pub(crate) fn good_mark(&self, mode: Mode, instrument: InstrumentId) -> Option<&Mark> {
        self.prices.get(mode, instrument)?.good.as_ref()
    }

    /// How the journal keeps up: new orders can be limited by it.
    pub const fn journal_health(&mut self, health: JournalHealth) {
        self.journal_health = health;
    }

    /// Journals the state's hash, for followers to compare with theirs.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn state_hash_record(&mut self, now: Nanos) -> Result<Seq, Broken> {
        let hash = halves(self.state.digest());
        self.commit(
            Record::StateHash(StateHash {
                seq: self.state.last_seq(),
                hash,
            }),
            now,
        )
    }
}
