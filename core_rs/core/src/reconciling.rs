//! What a comparison of the venue with what was booked has told: balances, differences, and how far trades are booked.

use crate::account_reports::{AccountReport, RawRun};
use crate::digest::Mix;
use crate::engine::Engine;
use crate::external::UNKNOWN_SYMBOL;
use crate::instrument::is_asset;
use crate::instrument_fields::instrument_of;
use crate::number::Amount;
use crate::record::{BalanceAdjusted, DriftExplained, DriftFound, ReconciliationRun, Record, TradesConfirmed};
use crate::report::Report;
use crate::state::{Applied, Broken, State};
use crate::terms::{AccountId, DriftClass, InstrumentId, Mode, Nanos, Seq};
use crate::venue_reports::{LONGEST_CODE, LONGEST_TEXT, NUMERIC_RANGE, clip};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Reason of a balance that follows the venue's.
pub const RECONCILIATION: &str = "reconciliation";
/// No account has this name.
const UNKNOWN_ACCOUNT: &str = "UNKNOWN_ACCOUNT";
/// What was told of an instrument cannot be.
const BAD_INSTRUMENT: &str = "BAD_INSTRUMENT";
/// The asset code cannot be.
const BAD_ASSET: &str = "BAD_ASSET";
/// Most kinds of counts that one run tells.
const MOST_COUNTS: usize = 64;

/// A difference that is not explained yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// What was expected and what was found.
    pub detail: String,
    /// Sequence of DRIFT_FOUND.
    pub seq: Seq,
    /// When.
    pub at: Nanos,
}

/// Where a difference is: everywhere without an instrument.
pub(crate) type DriftKey = (Mode, AccountId, Option<InstrumentId>, DriftClass);

/// What reconciliation has told, as far as it lasts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Reconciled {
    pub drifts: BTreeMap<DriftKey, Drift>,
    /// The newest trade up to which all are booked.
    pub confirmed: BTreeMap<(Mode, AccountId, InstrumentId), u64>,
}

impl Reconciled {
    /// Its part of the state's hash.
    pub fn mix(&self, mix: Mix) -> Mix {
        let mix = self
            .drifts
            .iter()
            .fold(mix, |mix, ((mode, account, instrument, class), drift)| {
                let words = u64::from_le_bytes([*mode as u8, *class as u8, 1, 0, 0, 0, 0, 0]);
                let mix = mix.word(words).word((*account).into());
                let mix = mix.maybe(instrument.map(i64::from)).word(drift.seq).int(drift.at);
                mix.text(&drift.detail)
            });
        self.confirmed
            .iter()
            .fold(mix, |mix, ((mode, account, instrument), trade_id)| {
                let words = u64::from_le_bytes([*mode as u8, 0, 2, 0, 0, 0, 0, 0]);
                mix.word(words)
                    .word((*account).into())
                    .word((*instrument).into())
                    .word(*trade_id)
            })
    }
}

impl State {
    pub(crate) fn drift_found(&mut self, body: &DriftFound) -> Result<Applied, Broken> {
        self.check_place(body.account, body.instrument)?;
        let drift = Drift {
            detail: body.detail.clone(),
            seq: self.last_seq,
            at: self.last_ts,
        };
        let key = (body.mode, body.account, body.instrument, body.class);
        self.reconciled.drifts.insert(key, drift);
        self.counters.alarms += 1;
        Ok(Applied {
            order: None,
            alarm: Some(body.class.as_str()),
        })
    }

    pub(crate) fn drift_explained(&mut self, body: &DriftExplained) -> Result<(), Broken> {
        let key = (body.mode, body.account, body.instrument, body.class);
        match self.reconciled.drifts.remove(&key) {
            Some(drift) if drift.seq == body.found => Ok(()),
            _ => Broken::at(self.last_seq, "a difference that nobody found is explained"),
        }
    }

    pub(crate) fn trades_confirmed(&mut self, body: &TradesConfirmed) -> Result<(), Broken> {
        self.check_place(body.account, Some(body.instrument))?;
        let key = (body.mode, body.account, body.instrument);
        let before = self.reconciled.confirmed.insert(key, body.trade_id);
        if before.is_some_and(|before| before >= body.trade_id) {
            return Broken::at(self.last_seq, "what is confirmed only rises");
        }
        Ok(())
    }

    fn check_place(&self, account: AccountId, instrument: Option<InstrumentId>) -> Result<(), Broken> {
        let known = self.account(account).is_some() && instrument.is_none_or(|id| self.instrument(id).is_some());
        if known {
            return Ok(());
        }
        Broken::at(self.last_seq, "an account or instrument that is not known")
    }

    /// Differences that are not explained yet.
    pub fn drifts(&self) -> impl Iterator<Item = (Mode, AccountId, Option<InstrumentId>, DriftClass, &Drift)> {
        let all = self.reconciled.drifts.iter();
        all.map(|((mode, account, instrument, class), drift)| (*mode, *account, *instrument, *class, drift))
    }

    /// A difference that binds new orders of an account in an instrument, if there is one.
    #[must_use]
    pub fn drift_of(&self, mode: Mode, account: AccountId, instrument: InstrumentId) -> Option<(DriftClass, &Drift)> {
        if self.reconciled.drifts.is_empty() {
            return None;
        }
        [None, Some(instrument)].into_iter().find_map(|at| {
            let from = (mode, account, at, DriftClass::MissingOrder);
            let (key, drift) = self.reconciled.drifts.range(from..).next()?;
            ((key.0, key.1, key.2) == (mode, account, at)).then_some((key.3, drift))
        })
    }

    /// The venue's number of the newest trade up to which all are booked; 0 before the first.
    #[must_use]
    pub fn confirmed_trade(&self, mode: Mode, account: AccountId, instrument: InstrumentId) -> u64 {
        let known = self.reconciled.confirmed.get(&(mode, account, instrument));
        known.copied().unwrap_or_default()
    }

    /// All that an account has of an asset.
    #[must_use]
    pub fn balance_total(&self, account: AccountId, mode: Mode, asset: &str) -> Amount {
        let asset = self.asset_ids.get(asset);
        let balance = asset.and_then(|asset| self.account(account)?.balances.get(&(mode, *asset)));
        balance.map_or(Amount::ZERO, |balance| balance.total)
    }
}

impl Engine {
    /// Applies a report about an account.
    pub(crate) fn account_report(
        &mut self,
        mode: Mode,
        name: &str,
        what: &AccountReport<'_>,
        report: &Report<'_>,
        now: Nanos,
    ) -> Result<(), Broken> {
        let Some(account) = self.state.account_named(name).map(|account| account.id) else {
            return self.park(UNKNOWN_ACCOUNT, report, now);
        };
        let place = |symbol: &str| match symbol {
            "" => Some(None),
            symbol => self
                .state
                .instrument_by_symbol(symbol)
                .map(|found| Some(found.instrument)),
        };
        match what {
            AccountReport::Ready {
                ready,
                reason,
                retry_after_ms,
            } => {
                self.live.ready(account, *ready, reason, *retry_after_ms);
                self.start_waiting(mode, now)
            }
            AccountReport::Budget {
                orders_left,
                retry_after_ms,
            } => {
                self.live.budget(account, *orders_left, *retry_after_ms, now);
                Ok(())
            }
            AccountReport::External(raw) => self.external_report(mode, account, raw, report, now),
            AccountReport::Balance { asset, total } => self.balance_report(mode, account, asset, total, report, now),
            AccountReport::Drift { symbol, class, detail } => match place(symbol) {
                None => self.park(UNKNOWN_SYMBOL, report, now),
                Some(instrument) => self.drift_report((mode, account, instrument, *class), detail, now),
            },
            AccountReport::DriftExplained { symbol, class } => match place(symbol) {
                None => self.park(UNKNOWN_SYMBOL, report, now),
                Some(instrument) => self.explained_report((mode, account, instrument, *class), now),
            },
            AccountReport::Confirmed { symbol, trade_id } => match place(symbol).flatten() {
                None => self.park(UNKNOWN_SYMBOL, report, now),
                Some(instrument) => self.confirmed_report(mode, account, instrument, *trade_id, now),
            },
            AccountReport::Reconciled(run) => {
                let run = run_of(mode, account, run);
                self.commit(Record::ReconciliationRun(run), now).map(drop)
            }
        }
    }

    fn drift_report(&mut self, key: DriftKey, detail: &str, now: Nanos) -> Result<(), Broken> {
        if self.state.reconciled.drifts.contains_key(&key) {
            self.duplicates += 1;
            return Ok(());
        }
        let (mode, account, instrument, class) = key;
        let detail = clip(detail, LONGEST_TEXT);
        let found = DriftFound {
            account,
            mode,
            instrument,
            class,
            detail,
        };
        self.commit(Record::DriftFound(found), now).map(drop)
    }

    fn explained_report(&mut self, key: DriftKey, now: Nanos) -> Result<(), Broken> {
        let Some(found) = self.state.reconciled.drifts.get(&key).map(|drift| drift.seq) else {
            self.duplicates += 1;
            return Ok(());
        };
        let (mode, account, instrument, class) = key;
        let explained = DriftExplained {
            account,
            mode,
            instrument,
            class,
            found,
        };
        self.commit(Record::DriftExplained(explained), now).map(drop)
    }

    fn confirmed_report(
        &mut self,
        mode: Mode,
        account: AccountId,
        instrument: InstrumentId,
        trade_id: u64,
        now: Nanos,
    ) -> Result<(), Broken> {
        if trade_id <= self.state.confirmed_trade(mode, account, instrument) {
            self.duplicates += 1;
            return Ok(());
        }
        let confirmed = TradesConfirmed {
            account,
            mode,
            instrument,
            trade_id,
        };
        self.commit(Record::TradesConfirmed(confirmed), now).map(drop)
    }

    /// A balance follows the venue's; one that is the same tells nothing.
    fn balance_report(
        &mut self,
        mode: Mode,
        account: AccountId,
        asset: &str,
        total: &str,
        report: &Report<'_>,
        now: Nanos,
    ) -> Result<(), Broken> {
        if !is_asset(asset) {
            return self.park(BAD_ASSET, report, now);
        }
        let before = self.state.balance_total(account, mode, asset);
        let delta = Amount::parse(total).ok().and_then(|total| total.checked_sub(before));
        let fits = |delta: &Amount| self.state.adjustment_fits(account, mode, asset, *delta);
        let Some(delta) = delta.filter(fits) else {
            return self.park(NUMERIC_RANGE, report, now);
        };
        if delta.is_zero() {
            return Ok(());
        }
        let (asset, reason) = (asset.to_owned(), RECONCILIATION.to_owned());
        let adjusted = BalanceAdjusted {
            account,
            mode,
            asset,
            delta,
            reason,
        };
        self.commit(Record::BalanceAdjusted(adjusted), now).map(drop)
    }

    /// An instrument as the venue tells it: journaled when it is new or changed.
    pub(crate) fn instrument_report(
        &mut self,
        texts: &BTreeMap<&str, &str>,
        report: &Report<'_>,
        now: Nanos,
    ) -> Result<(), Broken> {
        let set = match instrument_of(texts.clone()) {
            Ok(set) => self.set_instrument(set, now)?,
            Err(_) => return self.park(BAD_INSTRUMENT, report, now),
        };
        match set {
            Ok(_) => Ok(()),
            Err(_) => self.park(BAD_INSTRUMENT, report, now),
        }
    }
}

fn run_of(mode: Mode, account: AccountId, run: &RawRun<'_>) -> ReconciliationRun {
    let counts = run.counts.iter().take(MOST_COUNTS);
    ReconciliationRun {
        account,
        mode,
        trigger: clip(run.trigger, LONGEST_CODE),
        started_ns: run.started_ns,
        duration_ms: run.duration_ms,
        complete: run.complete,
        error: run.error.map(|error| clip(error, LONGEST_TEXT)),
        counts: counts.map(|(kind, count)| (clip(kind, LONGEST_CODE), *count)).collect(),
    }
}
