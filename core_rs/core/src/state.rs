//! The fold: records in, state out. The gateway and every follower run the same code.
//!
//! Outcomes are folded, checks never run again. What cannot be right in our own records is [`Broken`]: the process
//! halts, since state that is wrong would go on making decisions.

use crate::account::{Account, AssetId, Book, Key};
use crate::days::Days;
use crate::digest::{Digest, halves};
use crate::external::VenueKey;
use crate::heartbeat::Heartbeat;
use crate::instrument::Instrument;
use crate::lifecycle::{Change, Event};
use crate::number::Amount;
use crate::order::Order;
use crate::reconciling::Reconciled;
use crate::record::{AccountCreated, BalanceAdjusted, FOLD_VERSION, InstrumentSet, KeyCreated, Record};
use crate::requests::Expiry;
use crate::retention::Retention;
use crate::rules::Rules;
use crate::standing::Standings;
use crate::sums::Sums;
use crate::terms::{AccountId, InstrumentId, KeyId, KillCause, KillScope, Mode, Nanos, OrderId, Seq, SessionId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// An invariant does not hold: halt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

impl Broken {
    pub(crate) fn at<T>(seq: Seq, what: impl std::fmt::Display) -> Result<T, Self> {
        Err(Self(format!("record {seq}: {what}")))
    }
}

/// What one record did, for those who follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// The order that changed.
    pub order: Option<OrderId>,
    /// Code of an alarm that people should see.
    pub alarm: Option<&'static str>,
}

/// A venue and its newest session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// `paper`, `binance`.
    pub venue: String,
    /// What it trades.
    pub mode: Mode,
    /// The newest session: its record's sequence.
    pub session: SessionId,
    /// Process id of the venue.
    pub pid: u32,
    /// When the session was journaled.
    pub opened_at: Nanos,
}

/// A scope in which trading is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    /// 1 stops new and unsent orders, 2 also cancels, 3 also flattens.
    pub level: u8,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// Through what.
    pub source: String,
    /// Sequence of KILL_ON.
    pub seq: Seq,
    /// When.
    pub at: Nanos,
    /// What stands behind it; the reason tells when that is absent.
    #[serde(default)]
    pub cause: Option<KillCause>,
}

/// How often things happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Orders that passed every check.
    pub accepted: u64,
    /// Orders that a risk check refused.
    pub denied: u64,
    /// Trades booked.
    pub fills: u64,
    /// Events that the life-cycle table does not allow.
    pub illegal: u64,
    /// Facts that could not be booked.
    pub parked: u64,
    /// Cells with an alarm, besides the two above.
    pub alarms: u64,
    /// Ended orders that left memory.
    pub left: u64,
}

/// What the newest EPOCH and CLOCK records say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Clocks {
    pub epoch: u32,
    pub fold_version: u32,
    pub install: String,
    pub journal_ns: Nanos,
    pub boottime_ns: i64,
    pub wall_offset_ns: i64,
    pub redis_bound: bool,
    /// The epoch ended as it should.
    #[serde(default)]
    pub clean_stop: bool,
    /// One before did not, and nobody has let LIVE go on since.
    #[serde(default)]
    pub resume_needed: bool,
}

/// An instrument with its assets.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub instrument: Instrument,
    pub base: AssetId,
    pub quote: AssetId,
}

/// Everything that the journal says.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(crate) last_seq: Seq,
    pub(crate) last_ts: Nanos,
    pub(crate) clocks: Clocks,
    pub(crate) counters: Counters,
    pub(crate) accounts: Vec<Account>,
    pub(crate) account_ids: BTreeMap<String, AccountId>,
    pub(crate) keys: Vec<Key>,
    pub(crate) key_ids: BTreeMap<[u8; 32], KeyId>,
    pub(crate) assets: Vec<String>,
    pub(crate) asset_ids: BTreeMap<String, AssetId>,
    pub(crate) listed: Vec<Listed>,
    pub(crate) instrument_ids: BTreeMap<String, InstrumentId>,
    pub(crate) rules: Rules,
    pub(crate) kills: BTreeMap<KillScope, BTreeMap<String, Kill>>,
    pub(crate) heartbeats: BTreeMap<(KillScope, String), Heartbeat>,
    pub(crate) lanes: BTreeMap<String, Lane>,
    /// By id: a tree, since a table this large would pause to grow.
    pub(crate) orders: BTreeMap<OrderId, Box<Order>>,
    pub(crate) books: [Book; 2],
    /// Request keys, oldest first.
    pub(crate) expiries: VecDeque<Expiry>,
    pub(crate) retention: Retention,
    /// What is traded and open, by whom.
    pub(crate) sums: Sums,
    pub(crate) days: Days,
    /// Scopes that may not trade freely.
    pub(crate) standings: Standings,
    /// Differences from the venue, and how far trades are booked.
    pub(crate) reconciled: Reconciled,
    /// LIVE orders in memory by the venue's id: told by the orders.
    pub(crate) by_venue_id: BTreeSet<VenueKey>,
    pub(crate) digest: Digest,
}

impl State {
    /// Folds the next record.
    ///
    /// # Errors
    /// [`Broken`] when the record does not follow on what is here, or breaks an invariant. The state is then unusable.
    pub fn apply(&mut self, seq: Seq, ts: Nanos, record: &Record) -> Result<Applied, Broken> {
        if seq != self.last_seq + 1 {
            return Broken::at(seq, format_args!("expected sequence {}", self.last_seq + 1));
        }
        if ts < self.last_ts {
            return Broken::at(
                seq,
                format_args!("journal time steps back from {} to {ts}", self.last_ts),
            );
        }
        if let Record::StateHash(body) = record
            && self.clocks.fold_version == FOLD_VERSION
            && (body.seq, body.hash) != (self.last_seq, halves(self.digest()))
        {
            return Broken::at(seq, "the state hash disagrees: this fold is not the writer's");
        }
        (self.last_seq, self.last_ts) = (seq, ts);
        self.expire_requests(ts);
        let applied = self.fold(ts, record)?;
        // Afterwards, so that a record always finds the order that it was decided about.
        self.let_go()?;
        Ok(applied)
    }

    fn fold(&mut self, ts: Nanos, record: &Record) -> Result<Applied, Broken> {
        let seq = self.last_seq;
        match record {
            Record::Epoch(body) => self.begin_epoch(body)?,
            Record::Clock(body) => self.clocks.wall_offset_ns = body.wall_offset_ns,
            Record::StateHash(_) => {}
            Record::AccountCreated(body) => self.create_account(body)?,
            Record::BalanceAdjusted(body) => self.adjust(body)?,
            Record::KeyCreated(body) => self.create_key(body)?,
            Record::KeyRevoked(body) => match self.keys.get_mut(body.key as usize) {
                Some(key) => _ = key.revoked_at.get_or_insert(ts),
                None => return Broken::at(seq, format_args!("unknown key {}", body.key)),
            },
            Record::InstrumentSet(body) => self.list(body)?,
            Record::LimitsSet(body) => self.fold_limits_set(body)?,
            Record::LimitChanged(body) => self.fold_limit_changed(body)?,
            Record::ChangeRequested(body) => self.fold_change_requested(body),
            Record::ChangeClosed(body) => self.fold_change_closed(body)?,
            Record::OverrideGranted(body) => self.fold_override_granted(body),
            Record::StrategySet(body) => self.fold_strategy_set(body)?,
            Record::RestrictionSet(body) => self.fold_restriction_set(body),
            Record::ScheduleSet(body) => self.fold_schedule_set(body),
            Record::KillOn(body) => self.kill_on(body),
            Record::KillOff(body) => self.kill_off(body),
            Record::HeartbeatSet(body) => self.set_heartbeat(body)?,
            Record::RedisBound(_) => self.clocks.redis_bound = true,
            Record::TradingStateSet(body) => self.set_trading_state(body),
            Record::DayStarted(body) => self.start_day(body)?,
            Record::OpeningMarks(body) => self.open_at(&body.marks),
            Record::PeakSet(body) => self.set_peak(body),
            Record::LimitBreached(body) => return self.limit_breached(body),
            Record::LimitWarned(body) => return self.limit_warned(body),
            Record::StpGroupSet(body) => self.set_stp_group(body)?,
            Record::SessionOpened(body) => self.open_session(body)?,
            Record::ExternalOrder(body) => return self.external_order(body),
            Record::DriftFound(body) => return self.drift_found(body),
            Record::DriftExplained(body) => self.drift_explained(body)?,
            Record::TradesConfirmed(body) => self.trades_confirmed(body)?,
            Record::ReconciliationRun(_) => {}
            Record::DoubtRequery(body) => return self.doubt_requery(body),
            Record::VenueIdAttached(body) => return self.attach_venue_id(body),
            Record::CleanStop(body) => self.clean_stop(body)?,
            Record::Resumed(_) => self.clocks.resume_needed = false,
            Record::OrderAccepted(body) => return self.accept(body),
            Record::OrderDenied(body) => return self.deny(body),
            Record::SubmitStarted(body) => return self.start(body),
            Record::Fill(body) => {
                self.settle_late(body.order, &body.trade_id);
                return self.turn(body.order, &Change::Fill(body));
            }
            Record::LateFill(body) => return self.late_fill(body),
            Record::LateFillClosed(body) => return Ok(self.late_fill_closed(body)),
            Record::OrderReloaded(order) => return self.reload(order),
            Record::OrderLeft(body) => return self.order_left(body.order),
            Record::ReplaceRequested(body) => return self.turn(body.order, &Change::ReplaceRequested(body)),
            Record::Replaced(body) => return self.turn(body.order, &Change::Replaced(body)),
            Record::FoundAtVenue(body) => return self.turn(body.order, &Change::FoundAtVenue(body)),
            Record::Illegal(body) => return self.illegal(body.order),
            Record::Parked(_) => {
                self.counters.parked += 1;
                return Ok(Applied {
                    order: None,
                    alarm: Some("PARKED"),
                });
            }
            Record::Acked(body) => return self.other(Event::Acked, body),
            Record::VenueRejected(body) => return self.other(Event::Rejected, body),
            Record::InDoubt(body) => return self.other(Event::InDoubt, body),
            Record::NotSent(body) => return self.other(Event::NotSent, body),
            Record::CancelRequested(body) => return self.other(Event::CancelRequested, body),
            Record::Canceled(body) => return self.other(Event::Canceled, body),
            Record::CancelRejected(body) => return self.other(Event::CancelRejected, body),
            Record::CancelInDoubt(body) => return self.other(Event::CancelInDoubt, body),
            Record::ReplaceRejected(body) => return self.other(Event::ReplaceRejected, body),
            Record::Expired(body) => return self.other(Event::Expired, body),
            Record::AbsentAtVenue(body) => return self.other(Event::AbsentAtVenue, body),
            Record::Done(body) => return self.other(Event::Done, body),
            Record::ReplaceAsked(body) => return self.replace_asked(body),
            Record::ReplaceDropped(body) => return self.replace_dropped(body),
        }
        Ok(Applied::default())
    }

    fn create_account(&mut self, body: &AccountCreated) -> Result<(), Broken> {
        if body.account as usize != self.accounts.len() || self.account_ids.contains_key(&body.name) {
            return Broken::at(
                self.last_seq,
                format_args!("account {} {} is out of turn", body.account, body.name),
            );
        }
        let account = Account {
            id: body.account,
            name: body.name.clone(),
            created_at: self.last_ts,
            ..Account::default()
        };
        self.account_ids.insert(body.name.clone(), body.account);
        self.accounts.push(account);
        Ok(())
    }

    fn create_key(&mut self, body: &KeyCreated) -> Result<(), Broken> {
        let known = self.key_ids.contains_key(&body.token_sha256) || self.account(body.account).is_none();
        if body.key as usize != self.keys.len() || known {
            return Broken::at(self.last_seq, format_args!("key {} is out of turn", body.key));
        }
        self.key_ids.insert(body.token_sha256, body.key);
        let Some(allowed) = self.allowed(body) else {
            return Broken::at(
                self.last_seq,
                format_args!("key {} has a bad symbol or network", body.key),
            );
        };
        self.keys.push(Key {
            created: body.clone(),
            created_at: self.last_ts,
            revoked_at: None,
            allowed,
        });
        Ok(())
    }

    fn list(&mut self, body: &InstrumentSet) -> Result<(), Broken> {
        let (base, quote) = (self.asset(&body.base), self.asset(&body.quote));
        let listed = Listed {
            instrument: body.clone(),
            base,
            quote,
        };
        let (place, next) = (body.instrument as usize, self.listed.len());
        let out_of_turn = match self.listed.get(place) {
            Some(old) => old.instrument.symbol != body.symbol || (old.base, old.quote) != (base, quote),
            None => place != next || self.instrument_ids.contains_key(&body.symbol),
        };
        if out_of_turn {
            let (id, symbol) = (body.instrument, &body.symbol);
            return Broken::at(self.last_seq, format_args!("instrument {id} {symbol} is out of turn"));
        }
        if place == next {
            self.instrument_ids.insert(body.symbol.clone(), body.instrument);
            self.listed.push(listed);
        } else {
            self.listed[place] = listed;
        }
        Ok(())
    }

    fn adjust(&mut self, body: &BalanceAdjusted) -> Result<(), Broken> {
        if self.account(body.account).is_none() {
            return Broken::at(self.last_seq, format_args!("unknown account {}", body.account));
        }
        self.days.adjust(body);
        let asset = self.asset(&body.asset);
        self.change_balance(body.account, body.mode, asset, body.delta, Amount::ZERO)
    }
}
