//! The watch between trades: days begin, losses and drawdowns are judged at the newest prices, breaches act.
//!
//! A position is worth its mark, the middle of bid and ask. One without a fresh mark is valued at the last price known:
//! if that already breaches the limit it is a breach, otherwise the limit cannot be judged until a fresh mark comes,
//! which is told once and refuses new orders there. A result is never rounded in the client's favour.

use crate::account::Position;
use crate::days::day_of;
use crate::decimal::DecimalText;
use crate::engine::Engine;
use crate::exposure::Day;
use crate::limits::{LimitKind, LimitScope, Owner};
use crate::number::Amount;
use crate::record::{BalanceAdjusted, DayStarted, LimitBreached, LimitWarned, OpeningMarks, Record, TradingStateSet};
use crate::state::Broken;
use crate::terms::{AccountId, BreachAction, InstrumentId, KillScope, Mode, Nanos, TradingState};
use crate::valuation::REPORTING_CURRENCY;
use std::collections::{BTreeMap, BTreeSet};

/// How often losses are judged.
pub const LOOK_NS: Nanos = 250_000_000;
/// How long a scope, kind and mode is not warned about again.
pub const WARN_AGAIN_NS: Nanos = 60_000_000_000;
/// Share of a limit from which on it is nearly used up, in percent, unless the setting says otherwise.
pub const WARN_PERCENT: u32 = 80;

/// Kinds that are judged between trades.
pub(crate) const WATCHED: [LimitKind; 2] = [LimitKind::MaxDailyLoss, LimitKind::MaxDrawdown];

/// A limit in force in a mode.
pub(crate) type Watched = (LimitScope, LimitKind, Mode);

/// What the watch remembers; a restart may forget it.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    looked_at: Option<Nanos>,
    /// Highest equity seen: recorded when a day starts and when a limit is warned of or breached.
    pub peaks: BTreeMap<(AccountId, Mode), Amount>,
    /// When they were last journaled because they rose.
    pub recorded: BTreeMap<(AccountId, Mode), Nanos>,
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
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
