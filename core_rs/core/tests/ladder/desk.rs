//! Figures to be checked: an account, its strategy, its key, and a market.

use ordergate_core::engine::Mark;
use ordergate_core::exposure::Tally;
use ordergate_core::instrument::Instrument;
use ordergate_core::limits::{LimitKind, LimitScope, LimitSet, Owner};
use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::record::{CheckResult, MarketFilters};
use ordergate_core::request::NewOrder;
use ordergate_core::risk::{Approved, Binding, Inputs, JournalHealth, Market, PAR, Totals, VenueFacts, check, usage};
use ordergate_core::terms::{Mode, OrdType, Side, TimeInForce};

pub fn btc() -> Instrument {
    Instrument {
        instrument: 0,
        symbol: "BTCUSDT".to_owned(),
        base: "BTC".to_owned(),
        quote: "USDT".to_owned(),
        status: "TRADING".to_owned(),
        min_price: price("0.01"),
        max_price: price("1000000"),
        tick: price("0.01"),
        min_qty: qty("0.00001"),
        max_qty: qty("9000"),
        step: qty("0.00001"),
        market_max_qty: qty("100"),
        min_notional: amount("5"),
        max_notional: amount("9000000"),
        market: MarketFilters::default(),
    }
}

pub fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

pub fn qty(text: &str) -> Qty {
    Qty::parse(text).unwrap()
}

pub fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

pub fn order(side: Side, quantity: &str, limit: Option<&str>) -> NewOrder {
    let (ord_type, time_in_force) = if limit.is_some() {
        (OrdType::Limit, TimeInForce::Gtc)
    } else {
        (OrdType::Market, TimeInForce::Ioc)
    };
    NewOrder {
        mode: Mode::Paper,
        symbol: "BTCUSDT".to_owned(),
        side,
        ord_type,
        time_in_force,
        qty: qty(quantity),
        price: limit.map(price),
        stop_price: None,
        quote_qty: None,
        expire_at: None,
        client_order_id: None,
        strategy_id: None,
        valid_for_ms: None,
        override_id: None,
    }
}

pub fn buy(quantity: &str, limit: &str) -> NewOrder {
    order(Side::Buy, quantity, Some(limit))
}

pub fn sell(quantity: &str, limit: &str) -> NewOrder {
    order(Side::Sell, quantity, Some(limit))
}

/// Limits of one scope with the sums of their owner.
#[derive(Clone)]
pub struct Bound {
    pub scope: LimitScope,
    pub limits: LimitSet,
    pub tally: Tally,
    pub others: Totals,
    pub rate_used: u32,
}

#[derive(Clone)]
pub struct Desk {
    pub instrument: Instrument,
    pub bounds: Vec<Bound>,
    pub own: Tally,
    pub strategy: Option<Tally>,
    pub free: Amount,
    pub base_total: Amount,
    pub market: Market,
    pub fx: Option<Price>,
    pub equity: Option<Amount>,
    pub drawdown: Option<i128>,
    pub reduce_only: bool,
    pub opposite: Option<Price>,
    pub duplicates: (u32, u32),
    pub journal: JournalHealth,
    pub doubt_age_ns: Option<i64>,
    pub venue: VenueFacts,
    pub excused: Vec<LimitKind>,
}

/// Nothing is limited, a million is free, the market stands at 40000 within a spread of 20.
pub fn desk() -> Desk {
    Desk {
        instrument: btc(),
        bounds: Vec::new(),
        own: Tally::default(),
        strategy: None,
        free: amount("1000000"),
        base_total: Amount::ZERO,
        market: quoted("39990", "40010", "40000"),
        fx: Some(PAR),
        equity: None,
        drawdown: None,
        reduce_only: false,
        opposite: None,
        duplicates: (0, 0),
        journal: JournalHealth::default(),
        doubt_age_ns: None,
        venue: VenueFacts::default(),
        excused: Vec::new(),
    }
}

pub fn quoted(bid: &str, ask: &str, last: &str) -> Market {
    Market {
        mark: Some(Mark {
            bid: price(bid),
            ask: price(ask),
            last: price(last),
            at: 0,
        }),
        ..Market::default()
    }
}

pub const ACCOUNT: Owner = Owner::Account(0);

impl Desk {
    /// The limits of an owner everywhere, to be changed.
    pub fn bound(&mut self, owner: Owner) -> &mut Bound {
        self.bound_in(owner, None)
    }

    pub fn bound_in(&mut self, owner: Owner, instrument: Option<u32>) -> &mut Bound {
        let scope = LimitScope { owner, instrument };
        let place = self.bounds.iter().position(|bound| bound.scope == scope);
        let place = place.unwrap_or_else(|| {
            self.bounds.push(Bound {
                scope,
                limits: LimitSet::default(),
                tally: Tally::default(),
                others: Totals::default(),
                rate_used: 0,
            });
            self.bounds.len() - 1
        });
        &mut self.bounds[place]
    }

    /// The same desk with one more limit, in the text of its unit.
    pub fn limit(mut self, owner: Owner, kind: LimitKind, value: &str) -> Self {
        let scaled = amount(value).0 / 10_i128.pow(8 - kind.unit().places());
        self.bound(owner).limits.set(kind, Some(scaled));
        self
    }

    pub fn inputs<T>(&self, judge: impl FnOnce(&Inputs<'_>) -> T) -> T {
        let bindings: Vec<_> = self.bounds.iter().map(binding).map(Some).collect();
        judge(&Inputs {
            account: "desk",
            instrument: &self.instrument,
            bindings: &bindings,
            own: Some(&self.own),
            strategy: self.strategy.as_ref().map(Some),
            free: self.free,
            base_total: self.base_total,
            market: self.market,
            fx: self.fx,
            equity: self.equity,
            drawdown: self.drawdown,
            reduce_only: self.reduce_only,
            opposite: self.opposite,
            duplicates: self.duplicates,
            journal: self.journal,
            doubt_age_ns: self.doubt_age_ns,
            venue: self.venue,
            warn_percent: 80,
            excused: &self.excused,
        })
    }

    pub fn check(&self, order: &NewOrder) -> Result<Approved, Vec<CheckResult>> {
        self.inputs(|inputs| check(order, inputs))
    }

    pub fn usage(&self, order: &NewOrder) -> Vec<CheckResult> {
        self.inputs(|inputs| usage(order, inputs))
    }

    /// Code, value, limit and headroom of every failed check.
    pub fn failed(&self, order: &NewOrder) -> Vec<[String; 4]> {
        let failed = self.check(order).expect_err("the order passes");
        let row = |check: CheckResult| [check.code, check.value, check.limit, check.headroom];
        failed.into_iter().map(row).collect()
    }

    /// Passes, or the codes of the failed checks.
    pub fn codes(&self, order: &NewOrder) -> Vec<String> {
        self.check(order).map_or_else(
            |failed| failed.into_iter().map(|check| check.code).collect(),
            |_| Vec::new(),
        )
    }
}

fn binding(bound: &Bound) -> Binding<'_> {
    Binding {
        scope: &bound.scope,
        limits: &bound.limits,
        tally: Some(&bound.tally),
        others: Some(&bound.others),
        rate_used: bound.rate_used,
    }
}

pub fn row(code: &str, value: &str, limit: &str, headroom: &str) -> [String; 4] {
    [code, value, limit, headroom].map(str::to_owned)
}
