//! UTC days, what they reset, and what is compared with them: read and folded here.
//!
//! The day follows the wall clock, all else journal time. It only rises: a clock that steps back opens no day again.

use crate::account::Label;
use crate::digest::Mix;
use crate::exposure::{Day, Tally};
use crate::limits::Owner;
use crate::number::{Amount, Price};
use crate::record::{BalanceAdjusted, DayStarted, LimitBreached, LimitWarned, PeakSet, StpGroupSet};
use crate::state::{Applied, Broken, State};
use crate::sums::Holder;
use crate::terms::{AccountId, InstrumentId, Mode, Nanos, OrderId, Side};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A UTC day.
pub const DAY_NS: i64 = 86_400 * 1_000_000_000;

/// The number of the UTC day at this journal time.
#[must_use]
pub const fn day_of(now: Nanos, wall_offset_ns: i64) -> i64 {
    now.saturating_add(wall_offset_ns).div_euclid(DAY_NS)
}

/// What is kept from one day to the next.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Days {
    /// The day that is counted; `None` before the first.
    pub day: Option<i64>,
    /// Currency of equity.
    pub currency: String,
    /// Highest equity of accounts, as last recorded.
    pub peaks: BTreeMap<(AccountId, Mode), Amount>,
}

impl Days {
    /// Money in or out is no gain or loss: the peak moves with it, where both are of one currency.
    pub fn adjust(&mut self, body: &BalanceAdjusted) {
        if body.asset == self.currency
            && let Some(peak) = self.peaks.get_mut(&(body.account, body.mode))
        {
            *peak = peak.checked_add(body.delta).unwrap_or(*peak);
        }
    }

    /// Its part of the state's hash.
    pub fn mix(&self, mix: Mix) -> Mix {
        let mix = mix.maybe(self.day).text(&self.currency);
        self.peaks.iter().fold(mix, |mix, ((account, mode), peak)| {
            mix.word(u64::from(*account)).word(u64::from(*mode as u8)).wide(peak.0)
        })
    }

    fn raise(&mut self, account: AccountId, mode: Mode, peak: Amount) {
        let known = self.peaks.entry((account, mode)).or_insert(peak);
        *known = peak.max(*known);
    }
}

impl State {
    /// The UTC day that is counted; `None` before the first.
    #[must_use]
    pub const fn day(&self) -> Option<i64> {
        self.days.day
    }

    /// Highest equity of an account in a mode, as last recorded.
    #[must_use]
    pub fn peak(&self, account: AccountId, mode: Mode) -> Option<Amount> {
        self.days.peaks.get(&(account, mode)).copied()
    }

    fn holder(&self, owner: &Owner) -> Option<Holder> {
        match owner {
            Owner::Firm => Some(Holder::Firm),
            Owner::Account(id) => Some(Holder::Account(*id)),
            Owner::Strategy(name) => self.sums.strategy_named(name).map(Holder::Strategy),
            Owner::Key(_) => None,
        }
    }

    /// The sums of an owner in an instrument; `None` when nothing was ever counted there, and for keys.
    #[must_use]
    pub fn tally(&self, owner: &Owner, mode: Mode, instrument: InstrumentId) -> Option<&Tally> {
        self.sums.get(self.holder(owner)?, mode, instrument)
    }

    /// The sums of a strategy in an instrument.
    pub(crate) fn strategy_tally(&self, name: &str, mode: Mode, instrument: InstrumentId) -> Option<&Tally> {
        let index = self.sums.strategy_named(name)?;
        self.sums.get(Holder::Strategy(index), mode, instrument)
    }

    /// The sums of an owner in every instrument where something was counted.
    pub fn tallies(&self, owner: &Owner, mode: Mode) -> impl Iterator<Item = (InstrumentId, &Tally)> {
        let holder = self.holder(owner);
        holder.into_iter().flat_map(move |holder| self.sums.of(holder, mode))
    }

    /// The boldest price of working orders on the side opposite to `side` among the accounts of this account's group,
    /// and one order that has it: an order that reaches it would trade with its own. A working MARKET order reaches
    /// everything: it counts as a SELL at 0 or a BUY at the highest price there is. An order that cannot rest itself can
    /// only meet those that may.
    #[must_use]
    pub fn best_own_opposite(
        &self,
        account: AccountId,
        mode: Mode,
        instrument: InstrumentId,
        side: Side,
        rests: bool,
    ) -> Option<(Price, OrderId)> {
        let opposite = match side {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        };
        let bolder = |one: (Price, OrderId), other: (Price, OrderId)| match opposite {
            Side::Sell => one.min(other),
            Side::Buy if (other.0, one.1) > (one.0, other.1) => other,
            Side::Buy => one,
        };
        let kinds: &[bool] = if rests { &[true, false] } else { &[true] };
        let boldest = |account: AccountId| {
            let each = |rests: &bool| self.sums.boldest(account, mode, instrument, opposite, *rests);
            kinds.iter().filter_map(each).reduce(bolder)
        };
        let group = self.account(account).map_or("", |account| &account.stp_group);
        if group.is_empty() {
            return boldest(account);
        }
        let members = self.accounts.iter().filter(|other| other.stp_group == group);
        members.filter_map(|member| boldest(member.id)).reduce(bolder)
    }

    pub(crate) fn set_stp_group(&mut self, body: &StpGroupSet) -> Result<(), Broken> {
        match self.accounts.get_mut(body.account as usize) {
            Some(account) => account.stp_group.clone_from(&body.group),
            None => return Broken::at(self.last_seq, format_args!("unknown account {}", body.account)),
        }
        Ok(())
    }

    pub(crate) fn start_day(&mut self, body: &DayStarted) -> Result<(), Broken> {
        if self.days.day.is_some_and(|day| body.day <= day) {
            return Broken::at(self.last_seq, format_args!("day {} again", body.day));
        }
        self.mark_every_tally(&body.marks, Tally::with_new_day);
        self.days.day = Some(body.day);
        if self.days.currency != body.currency {
            self.days.currency.clone_from(&body.currency);
            self.days.peaks.clear();
        }
        for (account, mode, peak) in &body.peaks {
            self.days.raise(*account, *mode, *peak);
        }
        Ok(())
    }

    /// What was held when the day began, and had no price then, counts from these.
    pub(crate) fn open_at(&mut self, marks: &[(Mode, InstrumentId, Price)]) {
        self.mark_every_tally(marks, |tally, mark| {
            let mut tally = *tally;
            tally.day.opening_mark = tally.day.opening_mark.or(mark);
            tally
        });
    }

    fn mark_every_tally(
        &mut self,
        marks: &[(Mode, InstrumentId, Price)],
        marked: impl Fn(&Tally, Option<Price>) -> Tally,
    ) {
        let marks: BTreeMap<(Mode, InstrumentId), Price> = marks
            .iter()
            .map(|(mode, instrument, mark)| ((*mode, *instrument), *mark))
            .collect();
        let places: Vec<_> = self
            .sums
            .all()
            .map(|(holder, mode, instrument, _)| (holder, mode, instrument))
            .collect();
        for (holder, mode, instrument) in places {
            let mark = marks.get(&(mode, instrument)).copied();
            let renewed = self.sums.change(&mut self.digest, holder, mode, instrument, |tally| {
                Some(marked(tally, mark))
            });
            debug_assert!(renewed.is_some(), "a mark is always in range");
        }
    }

    pub(crate) fn set_peak(&mut self, body: &PeakSet) {
        self.days.peaks.insert((body.account, body.mode), body.peak);
    }

    pub(crate) fn limit_breached(&mut self, body: &LimitBreached) -> Result<Applied, Broken> {
        self.note_peak(&body.scope.owner, body.mode, body.peak);
        self.counters.alarms += 1;
        Ok(Applied {
            order: None,
            alarm: Some("LIMIT_BREACHED"),
        })
    }

    pub(crate) fn limit_warned(&mut self, body: &LimitWarned) -> Result<Applied, Broken> {
        self.note_peak(&body.scope.owner, body.mode, body.peak);
        Ok(Applied {
            order: None,
            alarm: Some("LIMIT_WARNED"),
        })
    }

    fn note_peak(&mut self, owner: &Owner, mode: Mode, peak: Option<Amount>) {
        if let (Owner::Account(account), Some(peak)) = (owner, peak) {
            self.days.raise(*account, mode, peak);
        }
    }

    /// Counts something that an order did today, for each of its owners.
    pub(crate) fn count_today(&mut self, label: &Label, count: impl Fn(&mut Day) -> &mut u32) {
        let (mode, instrument) = (label.mode, label.instrument);
        for holder in label.holders() {
            self.sums.count(&mut self.digest, holder, mode, instrument, &count);
        }
    }
}
