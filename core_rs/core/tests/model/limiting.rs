//! Limits of the reference model: sums added up from its orders, and the checks that compare them; and the step that
//! sets a limit, loosens it or takes it away.

use crate::orders::Order;
use crate::reference::*;
use crate::world::World;
use ordergate_core::engine::Changed;
use ordergate_core::limits::{LimitKind, LimitScope, Owner};
use ordergate_core::refusal::Refusal;
use ordergate_core::terms::{Mode, Nanos};
use std::collections::BTreeMap;

const SECOND: i128 = 1_000_000_000;

/// Who has sums and limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    Firm,
    Account(u32),
    /// The one strategy, of the first account.
    Grid,
}

pub const EVERYBODY: [Whose; 4] = [Whose::Firm, Whose::Account(0), Whose::Account(1), Whose::Grid];

impl Whose {
    pub fn owner(self) -> Owner {
        match self {
            Self::Firm => Owner::Firm,
            Self::Account(account) => Owner::Account(account),
            Self::Grid => Owner::Strategy("grid".to_owned()),
        }
    }

    /// Whoever's limits may not be looser than whose.
    fn wider(self) -> &'static [Self] {
        match self {
            Self::Firm => &[],
            Self::Account(_) => &[Self::Firm],
            Self::Grid => &[Self::Account(0), Self::Firm],
        }
    }

    pub fn has(self, order: &Order) -> bool {
        match self {
            Self::Firm => true,
            Self::Account(account) => order.account == account,
            Self::Grid => order.strategy.is_some(),
        }
    }
}

pub type Limits = BTreeMap<(Whose, LimitKind), i128>;

/// A bucket that runs out by `rate` places a second: in places × 10⁻⁹.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    rate: i128,
    level: i128,
    at: Nanos,
}

impl Rate {
    fn level(&self, now: Nanos) -> i128 {
        (self.level - i128::from(now - self.at) * self.rate).max(0)
    }
}

/// Sums of somebody in one instrument and mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    pub position: i128,
    pub open_buy: i128,
    pub open_sell: i128,
    pub open_notional: i128,
    pub open_orders: u32,
    pub orders_today: u32,
}

impl Model {
    pub fn sums(&self, whose: Whose, mode: Mode, instrument: usize) -> Sums {
        let mut sums = Sums::default();
        for order in self.of(whose, mode).filter(|order| order.instrument == instrument) {
            sums.position += order.position(SYMBOLS[instrument].1);
            let open = if order.buy {
                &mut sums.open_buy
            } else {
                &mut sums.open_sell
            };
            *open += order.leaves();
            sums.open_notional += order.open_notional();
            sums.open_orders += u32::from(order.is_open());
            sums.orders_today += u32::from(order.day == self.day && !order.denied && order.external.is_none());
        }
        sums
    }

    fn of(&self, whose: Whose, mode: Mode) -> impl Iterator<Item = &Order> {
        self.orders
            .values()
            .filter(move |order| order.mode == mode && whose.has(order))
    }

    /// Whose limits bind an order, the widest first.
    pub fn bound(account: u32, strategy: bool) -> Vec<Whose> {
        let grid = strategy.then_some(Whose::Grid);
        [Whose::Firm, Whose::Account(account)].into_iter().chain(grid).collect()
    }

    pub fn limit(&self, whose: Whose, kind: LimitKind) -> Option<i128> {
        self.limits.get(&(whose, kind)).copied()
    }

    /// Every failed check, in the ladder's sequence.
    pub fn failed_checks(&self, account: u32, request: &Request, hold: Option<i128>) -> Vec<&'static str> {
        let (mode, instrument) = (request.mode, request.instrument);
        let bound = Self::bound(account, request.strategy.is_some());
        let notional = self.worst_notional(request);
        let asset = if request.buy { "USDT" } else { SYMBOLS[instrument].1 };
        let free = self.total(account, mode, asset) - self.held(account, mode, asset);
        let strictest = |kind| bound.iter().filter_map(|whose| self.limit(*whose, kind)).min();
        let most = |kind, value: i128| strictest(kind).is_some_and(|most| value > most);
        let mut failed = Vec::new();
        let mut say = |code, fails| {
            if fails {
                failed.push(code);
            }
        };
        // A limit on a sum is compared with each sum, and each that fails is told.
        let each = |kind: LimitKind, sum: &dyn Fn(Whose) -> Option<i128>| {
            let limits = bound
                .iter()
                .filter_map(|whose| Some((*whose, self.limit(*whose, kind)?)));
            let over = limits.filter(|(whose, most)| sum(*whose).is_none_or(|sum| sum > *most));
            over.map(|_| kind.as_str()).collect::<Vec<_>>()
        };
        let here = |whose| self.sums(whose, mode, instrument);
        let everywhere = |whose, figure: fn(&Sums) -> i128| {
            let all = (0..SYMBOLS.len()).map(|instrument| figure(&self.sums(whose, mode, instrument)));
            all.sum::<i128>()
        };
        say("NO_REFERENCE_PRICE", notional.is_none());
        for code in self.reduce_only_checks(account, request) {
            say(code, true);
        }
        say("MAX_ORDER_QTY", most(LimitKind::MaxOrderQty, request.qty));
        say(
            "MAX_ORDER_NOTIONAL",
            notional.is_some_and(|notional| most(LimitKind::MaxOrderNotional, notional)),
        );
        let positions = if request.buy {
            each(LimitKind::MaxLongPosition, &|whose| {
                let sums = here(whose);
                Some(sums.position + sums.open_buy + request.qty)
            })
        } else {
            each(LimitKind::MaxShortPosition, &|whose| {
                let sums = here(whose);
                Some(sums.open_sell + request.qty - sums.position)
            })
        };
        let open = each(LimitKind::MaxOpenOrders, &|whose| {
            Some(everywhere(whose, |sums| sums.open_orders.into()) + 1)
        });
        let worth = each(LimitKind::MaxOpenNotional, &|whose| {
            let sum = everywhere(whose, |sums| sums.open_notional) + notional?;
            self.is_valued(whose, mode, 1 - instrument).then_some(sum)
        });
        for code in positions.into_iter().chain(open) {
            say(code, true);
        }
        for code in worth {
            say(code, notional.is_some());
        }
        say("INSUFFICIENT_BALANCE", hold.is_some_and(|hold| hold > free));
        let rates = each(LimitKind::NewOrderRate, &|whose| {
            let rate = self.rates.get(&whose);
            let level = rate.map_or(0, |rate| rate.level(self.now));
            Some((level + SECOND - 1) / SECOND + 1)
        });
        for code in rates {
            say(code, true);
        }
        let equal = self.book(account, mode).filter(|order| {
            let same =
                order.instrument == instrument && order.buy == request.buy && !order.denied && order.external.is_none();
            let market = order.market == request.price.is_none();
            let young = self.now - order.received < 1_000 * MS;
            same && market && young && order.asked == (request.qty, request.price)
        });
        say(
            "MAX_DUPLICATES_1S",
            most(LimitKind::DuplicatesInSecond, equal.count() as i128 + 1),
        );
        say("SELF_TRADE", notional.is_some() && self.meets_its_own(account, request));
        let daily = each(LimitKind::MaxDailyOrders, &|whose| {
            Some(everywhere(whose, |sums| sums.orders_today.into()) + 1)
        });
        for code in daily {
            say(code, true);
        }
        failed
    }

    /// Whether what somebody has and has open of an instrument can be valued: at a mark, or at the price of a trade.
    fn is_valued(&self, whose: Whose, mode: Mode, instrument: usize) -> bool {
        let sums = self.sums(whose, mode, instrument);
        let nothing = sums.position + sums.open_buy == 0 && sums.position == sums.open_sell;
        let mut orders = self.of(whose, mode).filter(|order| order.instrument == instrument);
        nothing || self.prices.contains_key(&(mode, instrument)) || orders.any(|order| !order.trades.is_empty())
    }

    /// Whether the order could trade with an open one of the same account.
    fn meets_its_own(&self, account: u32, request: &Request) -> bool {
        let here = |order: &&Order| {
            (order.account, order.mode, order.instrument) == (account, request.mode, request.instrument)
                && order.buy != request.buy
                && order.is_open()
        };
        // The model's LIMIT orders are all GTC: they may rest, MARKET orders only take.
        self.orders
            .values()
            .filter(here)
            .filter(|other| request.price.is_some() || other.price.is_some())
            .any(|other| match (request.price, other.price) {
                (Some(mine), Some(theirs)) if request.buy => mine >= theirs,
                (Some(mine), Some(theirs)) => mine <= theirs,
                _ => true,
            })
    }

    /// An accepted order takes its place in every rate that is set for it.
    pub fn take_rates(&mut self, account: u32, request: &Request) {
        let now = self.now;
        for whose in Self::bound(account, request.strategy.is_some()) {
            let Some(limit) = self.limit(whose, LimitKind::NewOrderRate) else {
                continue;
            };
            let known = self.rates.get(&whose).filter(|known| known.rate == limit);
            let level = known.map_or(0, |known| known.level(now)) + SECOND;
            let (rate, at) = (limit, now);
            self.rates.insert(whose, Rate { rate, level, at });
        }
    }
}

impl World {
    /// Sets one limit; where it takes a second person, he is found. Looser than a wider scope's is refused.
    pub fn limit(&mut self, whose: Whose, kind: LimitKind, value: Option<i128>) {
        let now = self.model.now;
        let scope = LimitScope {
            owner: whose.owner(),
            instrument: None,
        };
        let said = self.both(|engine| {
            let set = engine
                .set_limit(scope.clone(), kind, value, "ann", "test", now)
                .unwrap();
            if let Ok(Changed::Waits(request)) = set {
                let code = |refusal: Refusal| refusal.code;
                assert_eq!(
                    engine.approve(request, "Ann", now).unwrap().map_err(code),
                    Err("second_person_needed")
                );
                engine.approve(request, "bob", now).unwrap().unwrap();
            }
            set.map_err(|refusal| refusal.code)
        });
        let wider = whose.wider().iter();
        let most = wider.filter_map(|wider| self.model.limit(*wider, kind)).min();
        if value.is_some_and(|value| most.is_some_and(|most| value > most)) {
            assert_eq!(said, Err("invalid_limit"));
            return;
        }
        let old = match value {
            Some(value) => self.model.limits.insert((whose, kind), value),
            None => self.model.limits.remove(&(whose, kind)),
        };
        let expected = match (old, value) {
            (old, new) if old == new => "same",
            (Some(_), None) => "waits",
            (Some(old), Some(new)) if 10 * (new - old) > old => "waits",
            _ => "in force",
        };
        let said = match said.unwrap() {
            Changed::Same => "same",
            Changed::Waits(_) => "waits",
            Changed::InForce(_) => "in force",
        };
        assert_eq!(said, expected, "{old:?} to {value:?}");
    }
}
