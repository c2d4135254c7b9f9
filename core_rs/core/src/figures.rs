//! What people are shown of the day and of the watch. Nothing is decided here, and nothing kept.

use crate::engine::Engine;
use crate::limits::{LimitKind, LimitScope, Owner};
use crate::number::{Amount, Money};
use crate::terms::{Mode, Nanos};
use crate::valuation::Judged;
use crate::watch::WATCHED;

/// What an owner did since the UTC day began, in one mode. Amounts are in the reporting currency, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayFigures {
    /// Orders accepted.
    pub orders: u32,
    /// Cancels asked for.
    pub cancels: u32,
    /// Trades.
    pub fills: u32,
    /// Price × quantity traded; `None` when it cannot be converted.
    pub turnover: Option<Amount>,
    /// Won or lost, fees taken off; `None` when it cannot be known.
    pub result: Option<Amount>,
    /// Whether every price behind the result was fresh.
    pub fresh: bool,
}

/// A limit that is judged between trades, as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedLimit<'a> {
    /// Whose.
    pub scope: &'a LimitScope,
    /// Of what.
    pub kind: LimitKind,
    /// In which mode.
    pub mode: Mode,
    /// The limit, in its unit.
    pub limit: i128,
    /// The loss or fall, in the same unit; negative is a win, `None` cannot be known.
    pub value: Option<i128>,
    /// Whether it can be judged: every price behind it is fresh.
    pub judged: bool,
    /// When people were last warned, since the start of the gateway.
    pub warned_at: Option<Nanos>,
}

impl Engine {
    /// The day of an owner in a mode; `None` when nothing of it was ever counted.
    #[must_use]
    pub fn day_figures(&self, owner: &Owner, mode: Mode, now: Nanos) -> Option<DayFigures> {
        let mut figures = DayFigures {
            orders: 0,
            cancels: 0,
            fills: 0,
            turnover: None,
            result: None,
            fresh: false,
        };
        let (mut any, mut turnover) = (false, Some(Money::ZERO));
        for (instrument, tally) in self.state().tallies(owner, mode) {
            any = true;
            figures.orders = figures.orders.saturating_add(tally.day.orders);
            figures.cancels = figures.cancels.saturating_add(tally.day.cancels);
            figures.fills = figures.fills.saturating_add(tally.day.fills);
            let quote = self.state().instrument(instrument).map(|listed| listed.quote.as_str());
            let converted = quote.and_then(|quote| self.in_reporting(mode, quote, tally.day.turnover, now));
            turnover = turnover
                .zip(converted)
                .and_then(|(sum, part)| sum.checked_add(part.value));
        }
        let result = self.result_today(owner, mode, now);
        figures.turnover = turnover.map(Money::to_amount_floor);
        figures.result = result.map(|result| result.value.to_amount_floor());
        figures.fresh = result.is_some_and(|Judged { fresh, .. }| fresh);
        any.then_some(figures)
    }

    /// Every limit that is judged between trades, by scope.
    pub fn watched_limits(&self, now: Nanos) -> impl Iterator<Item = WatchedLimit<'_>> {
        self.state().limit_table().iter().flat_map(move |(scope, set)| {
            let kinds = WATCHED.iter().filter_map(|kind| Some((*kind, set.get(*kind)?)));
            kinds.flat_map(move |(kind, limit)| {
                Mode::ALL.iter().map(move |mode| {
                    let watched = (scope.clone(), kind, *mode);
                    let (value, judged, _) = self.figure_of(&watched, now);
                    WatchedLimit {
                        scope,
                        kind,
                        mode: *mode,
                        limit,
                        value,
                        judged,
                        warned_at: self.warned_at(&watched),
                    }
                })
            })
        })
    }
}
