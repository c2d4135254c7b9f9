//! A small world to test in: two accounts with money, two instruments, two venues.

use ordergate_core::account_reports::AccountReport;
use ordergate_core::engine::{Caller, CancelAnswer, Changed, Emitted, Engine, NewKey, Submitted};
use ordergate_core::limits::LimitKind;
use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::order::Order;
use ordergate_core::record::{InstrumentSet, MarketFilters, Record};
use ordergate_core::refusal::Refusal;
use ordergate_core::report::{Cause, OrderReport, RawFill, Report};
use ordergate_core::snapshot;
use ordergate_core::state::State;
use ordergate_core::terms::{Mode, Nanos, OrdStatus, OrderId, Scope, Seq, SessionId, Side};
use std::collections::BTreeMap;

pub const MS: Nanos = 1_000_000;
pub const START: Nanos = 1_700_000_000_000_000_000;

pub struct World {
    pub engine: Engine,
    pub now: Nanos,
    /// Everything emitted so far.
    pub journal: Vec<Emitted>,
    requests: u64,
}

pub fn instrument(symbol: &str, base: &str) -> InstrumentSet {
    InstrumentSet {
        instrument: 0,
        symbol: symbol.into(),
        base: base.into(),
        quote: "USDT".into(),
        status: "TRADING".into(),
        min_price: Price::parse("0.01").unwrap(),
        max_price: Price::parse("1000000").unwrap(),
        tick: Price::parse("0.01").unwrap(),
        min_qty: Qty::parse("0.001").unwrap(),
        max_qty: Qty::parse("9000").unwrap(),
        step: Qty::parse("0.001").unwrap(),
        market_max_qty: Qty::parse("500").unwrap(),
        min_notional: Amount::parse("5").unwrap(),
        max_notional: Amount::parse("9000000").unwrap(),
        market: MarketFilters::default(),
    }
}

pub fn token(key: u8) -> [u8; 32] {
    [key; 32]
}

impl World {
    pub fn new() -> Self {
        let mut world = Self {
            engine: Engine::new(State::default()),
            now: START,
            journal: Vec::new(),
            requests: 0,
        };
        let (engine, now) = (&mut world.engine, START);
        engine.start(1, "abcdefgh", 55, 0, now).unwrap();
        engine
            .set_instrument(instrument("BTCUSDT", "BTC"), now)
            .unwrap()
            .unwrap();
        engine
            .set_instrument(instrument("ETHUSDT", "ETH"), now)
            .unwrap()
            .unwrap();
        for (account, key) in [("desk", 0), ("lab", 1)] {
            engine.create_account(account, now).unwrap().unwrap();
            for mode in [Mode::Paper, Mode::Live] {
                for (asset, amount) in [("USDT", "1000000"), ("BTC", "100"), ("ETH", "100")] {
                    let amount = Amount::parse(amount).unwrap();
                    engine
                        .adjust_balance(account, mode, asset, amount, "opening", now)
                        .unwrap()
                        .unwrap();
                }
            }
            let scopes = [Scope::Read, Scope::Trade];
            let (owner, name, rate_per_second, expires_at) = ("ann", "test", 0, None);
            let token_sha256 = token(key);
            let key = NewKey {
                account,
                owner,
                name,
                token_sha256,
                scopes: &scopes,
                rate_per_second,
                expires_at,
                symbols: &[],
                ip_allow: &[],
            };
            engine.create_key(&key, now).unwrap().unwrap();
        }
        engine.kill_reading(now);
        world.collect();
        world
    }

    /// With both venues connected.
    pub fn connected() -> (Self, SessionId, SessionId) {
        let mut world = Self::new();
        let paper = world.connect("paper", Mode::Paper);
        let live = world.connect("binance", Mode::Live);
        (world, paper, live)
    }

    /// Creates a strategy of the first account and starts it.
    pub fn run_strategy(&mut self, name: &str) {
        let (engine, now) = (&mut self.engine, self.now);
        engine
            .create_strategy(name, "desk", "ann", "cli", "test", now)
            .unwrap()
            .unwrap();
        engine.start_strategy(name, "ann", "cli", "test", now).unwrap().unwrap();
    }

    /// Sets a limit that needs nobody else.
    pub fn set_limit(&mut self, scope: &str, target: &str, kind: LimitKind, value: i128) {
        let scope = self.engine.state().limit_scope(scope, target, None).unwrap();
        let changed = self
            .engine
            .set_limit(scope, kind, Some(value), "ann", "test", self.now)
            .unwrap()
            .unwrap();
        assert!(matches!(changed, Changed::InForce(_)), "{changed:?}");
    }

    pub fn collect(&mut self) -> Vec<Record> {
        let emitted = self.engine.take_emitted();
        let records = emitted
            .iter()
            .map(|e| Record::decode(e.kind, Record::VERSION, &e.body).unwrap())
            .collect();
        self.journal.extend(emitted);
        records
    }

    pub fn names(&mut self) -> Vec<&'static str> {
        self.collect().iter().map(Record::name).collect()
    }

    pub fn connect(&mut self, venue: &str, mode: Mode) -> SessionId {
        let session = self.engine.open_session(venue, mode, 7, self.now).unwrap().unwrap();
        if mode == Mode::Live {
            self.ready(session, "desk", true);
            self.ready(session, "lab", true);
        }
        session
    }

    /// The venue tells whether it takes orders of an account.
    pub fn ready(&mut self, session: SessionId, account: &str, ready: bool) {
        let (reason, retry_after_ms) = (if ready { "" } else { "RATE_LIMITED" }, 700);
        let ready = AccountReport::Ready {
            ready,
            reason,
            retry_after_ms,
        };
        self.tell(session, account, ready);
    }

    /// The venue reports about an account.
    pub fn tell(&mut self, session: SessionId, account: &str, what: AccountReport<'_>) {
        self.engine
            .report(session, &Report::Account(account, what), self.now)
            .unwrap();
    }

    pub fn caller(&mut self, key: u8) -> Caller {
        self.engine.authorize(&token(key), Scope::Trade, self.now).unwrap()
    }

    /// Time passes with the kill switch read.
    pub fn wait(&mut self, ms: i64) {
        self.now += ms * MS;
        self.engine.kill_reading(self.now);
        self.engine.tick(self.now, self.now).unwrap();
    }

    pub fn submit_as(&mut self, caller: Caller, key: &str, body: &str) -> Result<Submitted, Refusal> {
        let durable = self.engine.state().last_seq();
        self.engine
            .submit(caller, Some(key), "req-1", body.as_bytes(), self.now, durable)
            .unwrap()
    }

    pub fn submit(&mut self, body: &str) -> Result<Submitted, Refusal> {
        self.requests += 1;
        let (caller, key) = (self.caller(0), format!("key-{}", self.requests));
        self.submit_as(caller, &key, body)
    }

    /// Places an order that must be accepted.
    pub fn place(&mut self, body: &str) -> OrderId {
        match self.submit(body).unwrap() {
            Submitted::Stored { seq, status: 201, .. } => seq,
            other => panic!("{other:?}"),
        }
    }

    pub fn buy(&mut self, mode: Mode, qty: &str, price: &str) -> OrderId {
        self.place(&limit(mode, "BUY", qty, price))
    }

    pub fn cancel(&mut self, order: OrderId) -> Result<CancelAnswer, Refusal> {
        let caller = self.caller(0);
        self.engine.cancel(caller, order, self.now).unwrap()
    }

    /// New terms for an order.
    pub fn replace(&mut self, order: OrderId, body: &str) -> Result<Submitted, Refusal> {
        self.requests += 1;
        let (caller, key) = (self.caller(0), format!("change-{}", self.requests));
        let durable = self.engine.state().last_seq();
        self.engine
            .replace(caller, Some(&key), order, body.as_bytes(), self.now, durable)
            .unwrap()
    }

    /// Best prices of BTCUSDT as a venue tells them.
    pub fn prices(&mut self, session: SessionId, bid: &str, ask: &str) {
        let (symbol, venue_ns) = ("BTCUSDT", 1);
        let price = Report::Price {
            symbol,
            bid,
            ask,
            last: bid,
            venue_ns,
        };
        self.engine.report(session, &price, self.now).unwrap();
    }

    pub fn report(&mut self, session: SessionId, order: OrderId, what: OrderReport<'_>) {
        self.engine
            .report(session, &Report::Order(order, what), self.now)
            .unwrap();
    }

    pub fn fill(&mut self, session: SessionId, order: OrderId, trade_id: &str, qty: &str, price: &str) {
        let quote = Price::parse(price)
            .unwrap()
            .times(Qty::parse(qty).unwrap())
            .to_amount_half_even()
            .to_string();
        let fill = RawFill {
            price,
            qty,
            quote_qty: &quote,
            ..fill(trade_id)
        };
        self.report(session, order, OrderReport::Fill(fill));
    }

    pub fn order(&self, order: OrderId) -> &Order {
        self.engine.state().order(order).unwrap()
    }

    pub fn status(&self, order: OrderId) -> OrdStatus {
        self.order(order).status()
    }

    /// (total, held) of the first account.
    pub fn balance(&self, mode: Mode, asset: &str) -> (String, String) {
        balance_of(self.engine.state(), 0, mode, asset)
    }

    pub fn kill(&mut self, scope: ordergate_core::terms::KillScope, target: &str, level: u8) -> Seq {
        let (target, reason, by, source) = (target.into(), "stop".into(), "ann".into(), "cli".into());
        let kill = ordergate_core::record::KillOn {
            scope,
            target,
            level,
            reason,
            by,
            source,
            cause: None,
        };
        self.engine.kill_on(kill, self.now).unwrap().unwrap()
    }

    /// Everything that must hold at any time; the journal is replayed.
    pub fn check(&mut self) {
        self.collect();
        check_state(self.engine.state());
        let replayed = replay(&self.journal);
        assert_eq!(
            replayed.digest(),
            self.engine.state().digest(),
            "replay ends in another state"
        );
    }
}

pub fn replay(journal: &[Emitted]) -> State {
    let mut state = State::default();
    for emitted in journal {
        let record = Record::decode(emitted.kind, Record::VERSION, &emitted.body).unwrap();
        state.apply(emitted.seq, emitted.ts, &record).unwrap();
    }
    state
}

pub fn balance_of(state: &State, account: u32, mode: Mode, asset: &str) -> (String, String) {
    let found = state
        .balances(account)
        .find(|balance| balance.mode == mode && balance.asset == asset);
    found.map_or(("0".into(), "0".into()), |balance| {
        (balance.total.to_string(), balance.held.to_string())
    })
}

/// Holds and counts, added up again from the orders; and the hash, computed again from nothing.
pub fn check_state(state: &State) {
    crate::sums::check(state);
    let mut held: BTreeMap<(u32, Mode, String), i128> = BTreeMap::new();
    let mut open: BTreeMap<(u32, Mode), u32> = BTreeMap::new();
    for order in state.orders() {
        let instrument = state.instrument(order.terms.instrument).unwrap();
        let asset = if order.terms.side == Side::Buy {
            &instrument.quote
        } else {
            &instrument.base
        };
        *held
            .entry((order.terms.account, order.terms.mode, asset.clone()))
            .or_default() += order.held.0;
        if order.is_open() {
            *open.entry((order.terms.account, order.terms.mode)).or_default() += 1;
        } else {
            assert_eq!(order.held, Amount::ZERO, "an ended order holds nothing");
        }
        if let Some(client_order_id) = &order.terms.client_order_id {
            // Two may work under one id once evidence re-opens an order: then either is found.
            let working = state.working(order.terms.account, client_order_id);
            assert!(
                working.is_none_or(Order::is_open),
                "{client_order_id} finds an ended order"
            );
            assert!(
                working.is_some() || !order.is_open(),
                "{client_order_id} does not find {}",
                order.id
            );
        }
    }
    for account in state.accounts() {
        for balance in state.balances(account.id) {
            let expected = held
                .remove(&(account.id, balance.mode, balance.asset.to_owned()))
                .unwrap_or_default();
            assert_eq!(balance.held.0, expected, "held is the sum of the holds");
        }
        for mode in [Mode::Paper, Mode::Live] {
            assert_eq!(
                account.open_orders(mode),
                open.get(&(account.id, mode)).copied().unwrap_or_default()
            );
        }
    }
    assert!(held.values().all(|held| *held == 0), "held without a balance");
    let in_doubt = state.orders().filter(|order| order.is_open() && order.in_doubt).count();
    assert_eq!(state.in_doubt_count(), in_doubt);
    let unsent = state.orders().filter(|order| order.is_unsent()).count();
    assert_eq!(state.unsent_count(), unsent);
    // Decoding rebuilds everything and compares the hash with the running one.
    let bytes = snapshot::encode(state).unwrap();
    let restored = snapshot::decode(&bytes).unwrap();
    assert_eq!(restored.digest(), state.digest());
    assert_eq!(snapshot::encode(&restored).unwrap(), bytes);
}

pub fn limit(mode: Mode, side: &str, qty: &str, price: &str) -> String {
    format!(
        r#"{{"mode":"{mode}","symbol":"BTCUSDT","side":"{side}","type":"LIMIT","quantity":"{qty}","price":"{price}"}}"#
    )
}

pub fn fill(trade_id: &str) -> RawFill<'_> {
    RawFill {
        trade_id,
        price: "50",
        qty: "1",
        quote_qty: "50",
        fee: "0",
        fee_asset: "USDT",
        maker: false,
        venue_ns: 1,
    }
}

pub const fn cause<'a>(reason: &'a str, text: &'a str) -> Cause<'a> {
    Cause { reason, text }
}

pub fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> &'static str {
    result.unwrap_err().code
}

pub fn stored(submitted: Submitted) -> (u64, u16, String) {
    match submitted {
        Submitted::Stored { seq, status, body } => (seq, status, body),
        other => panic!("{other:?}"),
    }
}
