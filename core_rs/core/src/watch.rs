//! The watch between trades: days begin, losses and drawdowns are judged at the newest prices, breaches act.
//!
//! A position is worth its mark, the middle of bid and ask. One without a fresh mark is valued at the last price known:
//! if that already breaches the limit it is a breach, otherwise the limit cannot be judged until a fresh mark comes,
//! which is told once and refuses new orders there. A result is never rounded in the client's favour.

use crate::account::Position;
use crate::days::day_of;
use crate::decimal::DecimalText;
use crate::engine::{Decided, Engine};
use crate::exposure::Day;
use crate::limits::{LimitKind, LimitScope, Owner};
use crate::number::{Amount, Money, UNIT};
use crate::record::{
    BalanceAdjusted, DayStarted, LimitBreached, LimitWarned, OpeningMarks, PeakSet, Record, TradingStateSet,
};
use crate::refusal::{self, Refusal};
use crate::state::Broken;
use crate::terms::{AccountId, BreachAction, InstrumentId, KillScope, Mode, Nanos, Seq, TradingState};
use crate::valuation::{Judged, REPORTING_CURRENCY};
use std::collections::{BTreeMap, BTreeSet};

/// How often losses are judged.
pub const LOOK_NS: Nanos = 250_000_000;
/// How long a scope, kind and mode is not warned about again.
pub const WARN_AGAIN_NS: Nanos = 60_000_000_000;
/// Share of a limit from which on it is nearly used up, in percent, unless the setting says otherwise.
pub const WARN_PERCENT: u32 = 80;

/// A peak of equity is journaled when it rose by this part of the fall that is allowed.
const PEAK_STEPS: i128 = 100;
/// And at most this often.
const PEAK_AGAIN_NS: Nanos = 60_000_000_000;

/// Kinds that are judged between trades.
pub(crate) const WATCHED: [LimitKind; 2] = [LimitKind::MaxDailyLoss, LimitKind::MaxDrawdown];

/// A limit in force in a mode.
pub(crate) type Watched = (LimitScope, LimitKind, Mode);

/// What the watch remembers; a restart may forget it.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    looked_at: Option<Nanos>,
    /// Highest equity seen: recorded when a day starts and when a limit is warned of or breached.
    peaks: BTreeMap<(AccountId, Mode), Amount>,
    /// When they were last journaled because they rose.
    recorded: BTreeMap<(AccountId, Mode), Nanos>,
    warned: BTreeMap<Watched, Nanos>,
    unjudged: BTreeSet<Watched>,
    /// What a breach does.
    pub action: BreachAction,
    /// Share of a limit, in percent, from which on people are warned.
    pub warn_percent: u32,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            looked_at: None,
            peaks: BTreeMap::new(),
            recorded: BTreeMap::new(),
            warned: BTreeMap::new(),
            unjudged: BTreeSet::new(),
            action: BreachAction::ReduceOnly,
            warn_percent: WARN_PERCENT,
        }
    }
}

impl Watch {
    /// Money put in or taken out is no gain or loss.
    pub fn adjust(&mut self, body: &BalanceAdjusted) {
        if body.asset == REPORTING_CURRENCY
            && let Some(peak) = self.peaks.get_mut(&(body.account, body.mode))
        {
            *peak = peak.checked_add(body.delta).unwrap_or(*peak);
        }
    }
}

impl Engine {
    /// What the breach of a watched limit does from now on.
    pub const fn set_breach_action(&mut self, action: BreachAction) {
        self.watch.action = action;
    }

    /// From how many percent of a limit on people are warned that it is nearly used up.
    pub const fn set_warn_percent(&mut self, percent: u32) {
        self.watch.warn_percent = percent;
    }

    /// Time passed: a day may have begun, and losses are judged now and then.
    pub(crate) fn watch(&mut self, now: Nanos) -> Result<(), Broken> {
        let day = day_of(now, self.state.wall_offset_ns());
        if self.state.day().is_none_or(|known| day > known) {
            self.start_day(day, now)?;
        }
        if self
            .watch
            .looked_at
            .is_some_and(|last| now.saturating_sub(last) < LOOK_NS)
        {
            return Ok(());
        }
        self.watch.looked_at = Some(now);
        self.open_late(now)?;
        let limits = self.state.limit_table().iter();
        let watched: Vec<(LimitScope, LimitKind, i128)> = limits
            .flat_map(|(scope, set)| {
                let kinds = WATCHED.iter().filter_map(|kind| Some((*kind, set.get(*kind)?)));
                kinds.map(|(kind, limit)| (scope.clone(), kind, limit))
            })
            .collect();
        for (scope, kind, limit) in watched {
            for mode in Mode::ALL {
                self.judge((scope.clone(), kind, *mode), limit, now)?;
            }
        }
        Ok(())
    }

    fn start_day(&mut self, day: i64, now: Nanos) -> Result<(), Broken> {
        let instruments = 0..self.state.listed.len() as InstrumentId;
        let places = Mode::ALL
            .iter()
            .flat_map(|mode| instruments.clone().map(|instrument| (*mode, instrument)));
        let marks = places.filter_map(|(mode, of)| Some((mode, of, self.fresh_middle(mode, of, now)?)));
        let body = DayStarted {
            day,
            marks: marks.collect(),
            currency: REPORTING_CURRENCY.to_owned(),
            peaks: self
                .watch
                .peaks
                .iter()
                .map(|(&(account, mode), peak)| (account, mode, *peak))
                .collect(),
        };
        self.commit(Record::DayStarted(body), now).map(drop)
    }

    /// Gives what was held when the day began, without a fresh price then, the first one that is believed.
    fn open_late(&mut self, now: Nanos) -> Result<(), Broken> {
        let modes = Mode::ALL.iter();
        let awaited = modes.flat_map(|mode| {
            let tallies = self.state.tallies(&Owner::Firm, *mode);
            let without = |day: &Day| day.opening_mark.is_none() && day.opening != Position::default();
            tallies
                .filter(move |(_, tally)| without(&tally.day))
                .map(|(instrument, _)| (*mode, instrument))
        });
        let marks: Vec<_> = awaited
            .filter_map(|(mode, of)| Some((mode, of, self.fresh_middle(mode, of, now)?)))
            .collect();
        if marks.is_empty() {
            return Ok(());
        }
        self.commit(Record::OpeningMarks(OpeningMarks { marks }), now).map(drop)
    }

    /// Whether this limit can be judged now: while it cannot, new orders of its scope are refused.
    #[must_use]
    pub fn is_judged(&self, scope: &LimitScope, kind: LimitKind, mode: Mode) -> bool {
        !self.watch.unjudged.contains(&(scope.clone(), kind, mode))
    }

    fn judge(&mut self, watched: Watched, limit: i128, now: Nanos) -> Result<(), Broken> {
        let (loss, fresh, peak) = self.figure_of(&watched, now);
        if let (true, Some(peak), Owner::Account(account)) = (fresh, peak, &watched.0.owner) {
            self.raise_peak(*account, watched.2, peak, limit, now)?;
        }
        match (loss, fresh) {
            (Some(loss), _) if loss > limit => self.breach(&watched, loss, limit, peak, now)?,
            (Some(loss), true) => {
                self.watch.unjudged.remove(&watched);
                self.warn_with_peak(&watched, Some(loss), limit, peak, now)?;
            }
            _ => {
                self.watch.unjudged.insert(watched.clone());
                self.warn_with_peak(&watched, None, limit, peak, now)?;
            }
        }
        Ok(())
    }

    /// What is compared with a watched limit, in its unit: a loss or a fall is positive. Whether every price behind it
    /// was fresh, and the peak of equity where that counts.
    pub(crate) fn figure_of(&self, (scope, kind, mode): &Watched, now: Nanos) -> (Option<i128>, bool, Option<Amount>) {
        let (figure, peak) = match (kind, &scope.owner) {
            (LimitKind::MaxDrawdown, Owner::Account(account)) => self.drawdown(*account, *mode, now),
            _ => (self.result_today(&scope.owner, *mode, now), None),
        };
        let loss = figure.map(|figure| match kind {
            LimitKind::MaxDrawdown => figure.value.0,
            _ => -figure.value.to_amount_floor().0,
        });
        (loss, figure.is_some_and(|figure| figure.fresh), peak)
    }

    /// When people were last warned about this; a restart forgets it.
    #[must_use]
    pub(crate) fn warned_at(&self, watched: &Watched) -> Option<Nanos> {
        self.watch.warned.get(watched).copied()
    }

    /// Journals that a limit is nearly used up: from [`WARN_PERCENT`] of it, at most once a minute.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn warn_near(&mut self, watched: &Watched, value: i128, limit: i128, now: Nanos) -> Result<(), Broken> {
        self.warn_with_peak(watched, Some(value), limit, None, now)
    }

    fn warn_with_peak(
        &mut self,
        watched: &Watched,
        value: Option<i128>,
        limit: i128,
        peak: Option<Amount>,
        now: Nanos,
    ) -> Result<(), Broken> {
        let percent = i128::from(self.watch.warn_percent);
        let near = |value: i128| value > 0 && value.saturating_mul(100) >= limit.saturating_mul(percent);
        let known = self.watch.warned.get(watched);
        if value.is_some_and(|value| !near(value)) || known.is_some_and(|at| now.saturating_sub(*at) < WARN_AGAIN_NS) {
            return Ok(());
        }
        self.watch.warned.insert(watched.clone(), now);
        let (scope, kind, mode) = watched.clone();
        let text = |figure| DecimalText::new(figure, kind.unit().places()).as_str().to_owned();
        let body = LimitWarned {
            scope,
            mode,
            kind,
            value: value.map(text),
            limit: text(limit),
            peak,
        };
        self.commit(Record::LimitWarned(body), now).map(drop)
    }

    /// Journals a breach and does what is to be done about it, unless that is in force already.
    fn breach(
        &mut self,
        (scope, kind, mode): &Watched,
        value: i128,
        limit: i128,
        peak: Option<Amount>,
        now: Nanos,
    ) -> Result<(), Broken> {
        let (kill_scope, target) = match &scope.owner {
            Owner::Firm => (KillScope::Global, String::new()),
            Owner::Account(id) => {
                let name = self.state.account(*id).map(|account| account.name.clone());
                (KillScope::Account, name.unwrap_or_default())
            }
            Owner::Strategy(name) => (KillScope::Strategy, name.clone()),
            Owner::Key(_) => return Ok(()),
        };
        let action = self.watch.action;
        let state = match action {
            BreachAction::ReduceOnly => TradingState::ReduceOnly,
            BreachAction::Halt | BreachAction::Flatten => TradingState::Halted,
        };
        let flatten = action == BreachAction::Flatten;
        let standing = self.state.standing(kill_scope, &target, *mode);
        if standing.is_some_and(|standing| standing.state >= state && standing.flatten >= flatten) {
            return Ok(());
        }
        let text = |figure| DecimalText::new(figure, kind.unit().places()).as_str().to_owned();
        let body = LimitBreached {
            scope: scope.clone(),
            mode: *mode,
            kind: *kind,
            value: text(value),
            limit: text(limit),
            action,
            peak,
        };
        self.commit(Record::LimitBreached(body), now)?;
        let set = TradingStateSet {
            scope: kill_scope,
            target: target.clone(),
            mode: Some(*mode),
            state,
            reason: kind.as_str().to_owned(),
            by: "ordergate".to_owned(),
            source: "limit".to_owned(),
            flatten,
        };
        self.commit(Record::TradingStateSet(set), now)?;
        if flatten {
            self.end_orders_of(kill_scope, &target, Some(*mode), now)?;
        }
        Ok(())
    }

    /// How far a worth, at fresh prices, is below the account's highest: for an order between two looks.
    pub(crate) fn fallen(&self, account: AccountId, mode: Mode, worth: Amount) -> Option<i128> {
        below(
            self.peak_now(account, mode).map_or(worth, |peak| peak.max(worth)),
            worth,
        )
    }

    /// Highest equity of an account that is known: recorded, or seen since.
    pub(crate) fn peak_now(&self, account: AccountId, mode: Mode) -> Option<Amount> {
        let seen = self.watch.peaks.get(&(account, mode)).copied();
        self.state.peak(account, mode).max(seen)
    }

    /// Remembers a new peak, and journals it once it is worth a hundredth of the fall that the limit allows: a restart
    /// forgives no more than that, and what a minute brought.
    fn raise_peak(
        &mut self,
        account: AccountId,
        mode: Mode,
        peak: Amount,
        limit: i128,
        now: Nanos,
    ) -> Result<(), Broken> {
        let place = (account, mode);
        if self.peak_now(account, mode).is_none_or(|known| peak > known) {
            self.watch.peaks.insert(place, peak);
        }
        let (Some(peak), recorded) = (self.peak_now(account, mode), self.state.peak(account, mode)) else {
            return Ok(());
        };
        let worth_it = recorded.is_none_or(|recorded| {
            let step = peak.0.saturating_mul(limit) / UNIT / PEAK_STEPS;
            peak.0.saturating_sub(recorded.0) > step.max(0)
        });
        let soon = self.watch.recorded.get(&place).copied();
        if !worth_it || soon.is_some_and(|at| now.saturating_sub(at) < PEAK_AGAIN_NS) {
            return Ok(());
        }
        self.watch.recorded.insert(place, now);
        let (by, reason) = ("ordergate".to_owned(), "equity rose".to_owned());
        let body = PeakSet {
            account,
            mode,
            peak,
            by,
            reason,
        };
        self.commit(Record::PeakSet(body), now).map(drop)
    }

    /// A person corrects the peak that drawdowns are measured from; `None` takes the worth of now.
    ///
    /// # Errors
    /// Refused for an unknown account, and without a figure while prices do not tell the worth.
    pub fn set_peak(
        &mut self,
        account: &str,
        mode: Mode,
        peak: Option<Amount>,
        by: &str,
        reason: &str,
        now: Nanos,
    ) -> Decided<Seq> {
        self.check_poison()?;
        let found = self.state.account_named(account).map(|found| found.id);
        let Some(id) = found else {
            return Ok(Err(Refusal::new(
                refusal::NOT_FOUND,
                format!("There is no account {account}."),
            )));
        };
        let worth = || self.equity(id, mode, now).filter(|equity| equity.fresh);
        let Some(peak) = peak.or_else(|| worth().map(|equity| equity.value.to_amount_floor())) else {
            let detail = "The worth of the account cannot be told at fresh prices: give the peak.";
            return Ok(Err(Refusal::new(refusal::INVALID_PARAMETER, detail)));
        };
        self.watch.peaks.remove(&(id, mode));
        let body = PeakSet {
            account: id,
            mode,
            peak,
            by: by.to_owned(),
            reason: reason.to_owned(),
        };
        self.commit(Record::PeakSet(body), now).map(Ok)
    }

    /// How far equity is below its peak, as a ratio scaled by 10⁻⁸ and rounded up, and the peak. A peak is only taken
    /// from fresh prices.
    fn drawdown(&self, account: AccountId, mode: Mode, now: Nanos) -> (Option<Judged>, Option<Amount>) {
        let known = self.peak_now(account, mode);
        let Some(equity) = self.equity(account, mode, now) else {
            return (None, known);
        };
        let worth = equity.value.to_amount_floor();
        let peak = match known {
            Some(known) if !equity.fresh || worth <= known => known,
            _ if equity.fresh => worth,
            _ => return (None, known),
        };
        let judged = below(peak, worth).map(|ratio| Judged {
            value: Money(ratio),
            fresh: equity.fresh,
        });
        (judged, Some(peak))
    }
}

/// (peak − worth) ÷ peak, scaled by 10⁻⁸ and rounded up; nothing is below a peak that is not positive.
fn below(peak: Amount, worth: Amount) -> Option<i128> {
    if peak.0 <= 0 {
        return Some(0);
    }
    let fallen = peak.0.checked_sub(worth.0)?.checked_mul(UNIT)?;
    Some(fallen.div_euclid(peak.0) + i128::from(fallen.rem_euclid(peak.0) != 0))
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
