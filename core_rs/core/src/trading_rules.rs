//! Who may trade what, and when: restricted symbols, trading hours, and what a new order must meet of them.

use crate::account::Account;
use crate::administration::invalid;
use crate::engine::{Caller, Decided, Engine};
use crate::instrument::Instrument;
use crate::limit_changes::{check_words, named_account, named_instrument};
use crate::record::{Record, RestrictionSet, ScheduleSet};
use crate::refusal::{self, Refusal};
use crate::request::NewOrder;
use crate::rules::{DAY_MINUTES, EVERY_DAY};
use crate::terms::{Nanos, Seq, StrategyStatus};

/// Hours in which new orders are taken, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// See [`ScheduleSet::weekdays`].
    pub weekdays: u8,
    /// See [`ScheduleSet::from_minute`].
    pub from_minute: u16,
    /// See [`ScheduleSet::to_minute`].
    pub to_minute: u16,
}

impl Hours {
    /// Every minute of every day: takes a schedule away.
    pub const ALWAYS: Self = Self {
        weekdays: EVERY_DAY,
        from_minute: 0,
        to_minute: DAY_MINUTES,
    };
}

impl Engine {
    /// Refuses new orders in a symbol, for an account or for everybody, or no longer; `None` when it was so already.
    ///
    /// # Errors
    /// `not_found` for an unknown account or symbol, `invalid_parameter` for bad texts.
    pub fn restrict(
        &mut self,
        account: Option<&str>,
        symbol: &str,
        restricted: bool,
        by: &str,
        reason: &str,
        now: Nanos,
    ) -> Decided<Option<Seq>> {
        self.check_poison()?;
        let record = check_words(by, reason).and_then(|()| {
            Ok(RestrictionSet {
                account: account.map(|name| named_account(&self.state, name)).transpose()?,
                instrument: named_instrument(&self.state, symbol)?,
                restricted,
                by: by.to_owned(),
                reason: reason.to_owned(),
            })
        });
        match record {
            Ok(set) => {
                let of = (set.account, set.instrument);
                if self.state.rules.restrictions.contains_key(&of) == restricted {
                    return Ok(Ok(None));
                }
                let seq = self.commit(Record::RestrictionSet(set), now)?;
                Ok(Ok(Some(seq)))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Sets the trading hours of an account, or everybody's; an order must be inside both.
    ///
    /// # Errors
    /// `not_found` for an unknown account, `invalid_parameter` for hours that cannot be, or bad texts.
    pub fn set_schedule(
        &mut self,
        account: Option<&str>,
        hours: Hours,
        by: &str,
        reason: &str,
        now: Nanos,
    ) -> Decided<Seq> {
        self.check_poison()?;
        let record = check_words(by, reason).and_then(|()| {
            if hours.weekdays == 0 || hours.weekdays > EVERY_DAY {
                return Err(invalid("weekdays", "must name at least one day"));
            }
            if hours.from_minute >= DAY_MINUTES {
                return Err(invalid("from", "must be 00:00 to 23:59"));
            }
            if !(1..=DAY_MINUTES).contains(&hours.to_minute) || hours.from_minute == hours.to_minute {
                return Err(invalid("to", "must be 00:01 to 24:00 and another minute than from"));
            }
            Ok(ScheduleSet {
                account: account.map(|name| named_account(&self.state, name)).transpose()?,
                weekdays: hours.weekdays,
                from_minute: hours.from_minute,
                to_minute: hours.to_minute,
                by: by.to_owned(),
                reason: reason.to_owned(),
            })
        });
        match record {
            Ok(set) => self.commit(Record::ScheduleSet(set), now).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// What people allow: the key's symbols, the strategy, restricted symbols, hours, and the override that is named.
    /// Part of the trading state, so that a refusal leaves the request key free.
    pub(crate) fn check_rules(
        &self,
        caller: Caller,
        account: &Account,
        instrument: &Instrument,
        order: &NewOrder,
        now: Nanos,
    ) -> Result<(), Refusal> {
        let (state, id) = (&self.state, instrument.instrument);
        if state.key(caller.key).is_some_and(|key| !key.may_trade(id)) {
            let message = format!("{} is not among the symbols of this key", order.symbol);
            return Err(Refusal::field(refusal::SYMBOL_NOT_ALLOWED, "symbol", message));
        }
        if let Some(name) = &order.strategy_id {
            let own = state.strategy(name).filter(|strategy| strategy.account == account.id);
            if own.is_none_or(|strategy| strategy.status != StrategyStatus::Running) {
                let status = own.map_or("not a strategy of this account", |strategy| strategy.status.as_str());
                let message = format!("{name} is {status}");
                return Err(Refusal::field(refusal::STRATEGY_NOT_RUNNING, "strategyId", message));
            }
        }
        for of in [None, Some(account.id)] {
            if let Some(note) = state.rules.restrictions.get(&(of, id)) {
                let message = format!("{} is restricted: {}", order.symbol, note.reason);
                return Err(Refusal::field(refusal::RESTRICTED_SYMBOL, "symbol", message));
            }
            let wall_ns = now.saturating_add(state.wall_offset_ns());
            let hours = state.rules.schedules.get(&of);
            if hours.is_some_and(|hours| !hours.is_open(wall_ns)) {
                let detail = "New orders are taken in trading hours only.";
                return Err(Refusal::new(refusal::OUTSIDE_SCHEDULE, detail));
            }
        }
        self.check_override(account.id, id, order, now)
    }
}
