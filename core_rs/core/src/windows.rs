//! What happened in the last seconds: equal orders, trades and rejects of strategies. Not journaled: rebuilt at a start
//! from the orders in memory, which tell when they came and when they traded. Journal time only, so that a step of the
//! wall clock neither opens nor closes a window.

use crate::digest::Mix;
use crate::engine::Engine;
use crate::limits::{LimitKind, LimitScope, Owner};
use crate::number::{Amount, Price, Qty};
use crate::order::{End, Order};
use crate::record::{Record, Terms};
use crate::request::NewOrder;
use crate::state::{Broken, State};
use crate::sums::StrategyIndex;
use crate::terms::{AccountId, InstrumentId, Mode, Nanos, OrdType, OrderId, RejectedBy, Seq, Side};
use foldhash::fast::FixedState;
use std::collections::{HashMap, VecDeque};

const SECOND_NS: Nanos = 1_000_000_000;
/// How long equal orders are remembered.
pub const DUPLICATES_NS: Nanos = 10_000_000_000;
/// How long trades and rejects of a strategy are remembered.
pub const ACTIVITY_NS: Nanos = 60_000_000_000;
/// Most events of one kind that are remembered: more than a journal can take in that time.
const REMEMBERED: usize = 1 << 20;

/// Times of events by what they are about: all of them oldest first, and each about's own.
#[derive(Debug, Clone)]
struct Recent<K> {
    keep: Nanos,
    all: VecDeque<(Nanos, K)>,
    times: HashMap<K, VecDeque<Nanos>, FixedState>,
}

impl<K: Copy + Eq + std::hash::Hash> Recent<K> {
    fn new(keep: Nanos) -> Self {
        Self {
            keep,
            all: VecDeque::new(),
            times: HashMap::with_hasher(FixedState::default()),
        }
    }

    /// Notes an event and forgets those that are too old.
    fn note(&mut self, key: K, at: Nanos) {
        self.all.push_back((at, key));
        self.times.entry(key).or_default().push_back(at);
        let old = |(first, _): &(Nanos, K), kept: usize| kept > REMEMBERED || at.saturating_sub(*first) >= self.keep;
        while let Some(&(_, gone)) = self.all.front().filter(|first| old(first, self.all.len())) {
            self.all.pop_front();
            if let Some(times) = self.times.get_mut(&gone) {
                times.pop_front();
                if times.is_empty() {
                    self.times.remove(&gone);
                }
            }
        }
    }

    /// Events about this within so many nanoseconds before `now`.
    fn count(&self, key: &K, within: Nanos, now: Nanos) -> u32 {
        self.times.get(key).map_or(0, |times| younger(times, within, now))
    }
}

/// How many times are younger: from the youngest on in steps that double, since few usually are, or all.
fn younger(times: &VecDeque<Nanos>, than: Nanos, now: Nanos) -> u32 {
    let is_old = |at: &Nanos| now.saturating_sub(*at) >= than;
    if times.front().is_none_or(|oldest| !is_old(oldest)) {
        return times.len() as u32;
    }
    let mut step = 1;
    while step < times.len() && !is_old(&times[times.len() - step]) {
        step *= 2;
    }
    // The first that is young lies behind the last that was seen to be old.
    let from = times.len().saturating_sub(step);
    let (mut old, mut young) = (from, times.len());
    while old < young {
        let middle = old + (young - old) / 2;
        if is_old(&times[middle]) {
            old = middle + 1;
        } else {
            young = middle;
        }
    }
    (times.len() - old) as u32
}

/// The windows.
#[derive(Debug, Clone)]
pub(crate) struct Windows {
    orders: Recent<u64>,
    executions: Recent<(StrategyIndex, InstrumentId, Side)>,
    rejects: Recent<StrategyIndex>,
}

/// What makes two orders equal: account, mode, symbol, side, type, prices and quantity.
#[must_use]
pub fn same_order(terms: &Terms) -> u64 {
    let what = What {
        mode: terms.mode,
        side: terms.side,
        ord_type: terms.ord_type,
        qty: terms.qty,
        price: terms.price,
        stop_price: terms.stop_price(),
        quote_qty: terms.quote_qty(),
    };
    equality(terms.account, terms.instrument, &what)
}

/// What is compared.
struct What {
    mode: Mode,
    side: Side,
    ord_type: OrdType,
    qty: Qty,
    price: Option<Price>,
    stop_price: Option<Price>,
    quote_qty: Option<Amount>,
}

fn equality(account: AccountId, instrument: InstrumentId, what: &What) -> u64 {
    let words = u32::from_le_bytes([what.mode as u8, what.side as u8, what.ord_type as u8, 0]);
    let mix = Mix::new(12)
        .word(u64::from(account) << 32 | u64::from(instrument))
        .word(words.into())
        .maybe(what.price.map(|price| price.0));
    let mix = match what.quote_qty {
        // Its quantity follows the market and tells nothing.
        Some(quote) => mix.wide(quote.0),
        None => mix.int(what.qty.0),
    };
    mix.maybe(what.stop_price.map(|price| price.0)).finish64()
}

impl Windows {
    /// The windows as the orders in memory tell them.
    pub fn rebuilt(state: &State) -> Self {
        let mut windows = Self {
            orders: Recent::new(DUPLICATES_NS),
            executions: Recent::new(ACTIVITY_NS),
            rejects: Recent::new(ACTIVITY_NS),
        };
        let now = state.last_ts();
        let recent = |at: Nanos, keep: Nanos| now.saturating_sub(at) < keep;
        let (mut orders, mut executions, mut rejects) = (Vec::new(), Vec::new(), Vec::new());
        for order in state.orders().filter(|order| !order.is_external()) {
            // Only a denied order never held anything.
            if recent(order.received_at, DUPLICATES_NS) && !order.hold.is_zero() {
                orders.push((order.received_at, same_order(&order.terms)));
            }
            let Some(strategy) = order.strategy.filter(|_| recent(order.updated_at, ACTIVITY_NS)) else {
                continue;
            };
            let denied = order.hold.is_zero();
            if denied || order.end == Some(End::Rejected(RejectedBy::Venue)) {
                rejects.push((order.updated_at, strategy));
            }
            let place = (strategy, order.terms.instrument, order.terms.side);
            let trades = order.trades.times().filter(|at| recent(*at, ACTIVITY_NS));
            executions.extend(trades.map(|at| (at, place)));
        }
        orders.sort_unstable();
        executions.sort_unstable();
        rejects.sort_unstable();
        orders.into_iter().for_each(|(at, key)| windows.orders.note(key, at));
        executions
            .into_iter()
            .for_each(|(at, key)| windows.executions.note(key, at));
        rejects.into_iter().for_each(|(at, key)| windows.rejects.note(key, at));
        windows
    }

    /// Notes what a record, just folded, was: the strategy whose count rose, with the kind of its limit.
    pub fn note(&mut self, state: &State, record: &Record, seq: Seq, booked: bool) -> Option<(OrderId, LimitKind)> {
        let now = state.last_ts();
        match record {
            Record::OrderAccepted(body) => {
                self.orders.note(same_order(&body.terms), now);
                None
            }
            Record::OrderDenied(_) => self.rejected(state, seq, now),
            Record::VenueRejected(body) => self.rejected(state, body.order, now),
            Record::Fill(body) if booked => {
                let order = state.order(body.order)?;
                let key = (order.strategy?, order.terms.instrument, order.terms.side);
                self.executions.note(key, now);
                Some((body.order, LimitKind::ExecutionsInMinute))
            }
            _ => None,
        }
    }

    fn rejected(&mut self, state: &State, id: OrderId, now: Nanos) -> Option<(OrderId, LimitKind)> {
        self.rejects.note(state.order(id)?.strategy?, now);
        Some((id, LimitKind::RejectsInMinute))
    }
}

impl Engine {
    /// Orders equal to this one by [`same_order`], accepted within so many nanoseconds before `now`: at most the last
    /// ten seconds are known.
    #[must_use]
    pub fn duplicates(&self, hash: u64, within_ns: Nanos, now: Nanos) -> u32 {
        self.windows.orders.count(&hash, within_ns, now)
    }

    /// Orders equal to a new one within one and within ten seconds.
    pub(crate) fn equal_orders(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        order: &NewOrder,
        now: Nanos,
    ) -> (u32, u32) {
        let what = What {
            mode: order.mode,
            side: order.side,
            ord_type: order.ord_type,
            qty: order.qty,
            price: order.price,
            stop_price: order.stop_price,
            quote_qty: order.quote_qty,
        };
        let hash = equality(account, instrument, &what);
        let equal = self.windows.orders.times.get(&hash);
        equal.map_or((0, 0), |times| {
            (younger(times, SECOND_NS, now), younger(times, DUPLICATES_NS, now))
        })
    }

    /// Trades of a strategy on one side of an instrument within the last minute.
    #[must_use]
    pub fn executions(&self, strategy: &str, instrument: InstrumentId, side: Side, now: Nanos) -> u32 {
        let strategy = self.state.sums.strategy_named(strategy);
        strategy.map_or(0, |strategy| {
            self.windows
                .executions
                .count(&(strategy, instrument, side), ACTIVITY_NS, now)
        })
    }

    /// Orders of a strategy that were refused by a check or by a venue within the last minute.
    #[must_use]
    pub fn rejects(&self, strategy: &str, now: Nanos) -> u32 {
        let strategy = self.state.sums.strategy_named(strategy);
        strategy.map_or(0, |strategy| self.windows.rejects.count(&strategy, ACTIVITY_NS, now))
    }

    /// Stops a strategy that trades or is refused more often in a minute than its limit allows: only a person starts
    /// it again.
    pub(crate) fn throttle(&mut self, id: OrderId, kind: LimitKind, now: Nanos) -> Result<(), Broken> {
        let Some((name, instrument, side)) = self.state.order(id).and_then(strategy_of) else {
            return Ok(());
        };
        let limit_in = |instrument| {
            let owner = Owner::Strategy(name.clone());
            self.state
                .limit_table()
                .get(&LimitScope { owner, instrument })?
                .get(kind)
        };
        let Some(limit) = [limit_in(None), limit_in(Some(instrument))].into_iter().flatten().min() else {
            return Ok(());
        };
        let count = match kind {
            LimitKind::ExecutionsInMinute => self.executions(&name, instrument, side, now),
            _ => self.rejects(&name, now),
        };
        if i128::from(count) > limit {
            self.stop_strategy(&name, "ordergate", "limit", kind.as_str(), now)?
                .ok();
        }
        Ok(())
    }
}

fn strategy_of(order: &Order) -> Option<(String, InstrumentId, Side)> {
    let terms = &order.terms;
    Some((terms.strategy_id.as_deref()?.to_owned(), terms.instrument, terms.side))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_younger_is_counted_wherever_it_begins() {
        for len in 0..40 {
            let times: VecDeque<Nanos> = (0..len).map(|at| at / 2).collect();
            for now in [0, 5, 19, 40] {
                for than in 1..45 {
                    let plain = times.iter().filter(|at| now - **at < than).count();
                    assert_eq!(younger(&times, than, now), plain as u32, "{len} {now} {than}");
                }
            }
        }
    }

    #[test]
    fn a_window_counts_what_is_younger_and_forgets_the_rest() {
        let mut recent = Recent::new(10);
        for at in [0, 3, 3, 9] {
            recent.note('a', at);
        }
        recent.note('b', 5 + 4);
        assert_eq!(
            (
                recent.count(&'a', 10, 9),
                recent.count(&'a', 6, 9),
                recent.count(&'b', 1, 9)
            ),
            (4, 1, 1)
        );
        assert_eq!(recent.count(&'a', 7, 9), 3);
        recent.note('b', 13);
        assert_eq!(recent.all.len(), 3);
        assert_eq!(
            (
                recent.count(&'a', 10, 13),
                recent.count(&'b', 10, 13),
                recent.count(&'c', 10, 13)
            ),
            (1, 2, 0)
        );
        recent.note('b', 60);
        assert_eq!((recent.all.len(), recent.times.len()), (1, 1));
    }
}
