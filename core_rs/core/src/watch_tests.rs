//! Losses, drawdowns and throttles, with limits put in directly.
#![allow(clippy::unwrap_used, reason = "a test that fails is told so")]

use super::*;
use crate::engine::{Caller, NewKey};
use crate::number::{Money, Price, UNIT};
use crate::peaks::PEAK_AGAIN_NS;
use crate::record::InstrumentSet;
use crate::report::{OrderReport, RawFill, Report};
use crate::state::State;
use crate::terms::{Scope, SessionId, StrategyStatus};

const NOW: Nanos = 1_700_000_000_000_000_000;

struct Desk {
    engine: Engine,
    now: Nanos,
    session: SessionId,
    caller: Caller,
    trades: u32,
}

fn instrument(text: &str) -> InstrumentSet {
    let (price, qty) = (
        |text| Price::parse(text).unwrap(),
        |text| crate::number::Qty::parse(text).unwrap(),
    );
    InstrumentSet {
        instrument: 0,
        symbol: text.to_owned(),
        base: text[..3].to_owned(),
        quote: text[3..].to_owned(),
        status: "TRADING".to_owned(),
        min_price: price("0.01"),
        max_price: price("1000000"),
        tick: price("0.01"),
        min_qty: qty("0.001"),
        max_qty: qty("9000"),
        step: qty("0.001"),
        market_max_qty: qty("500"),
        min_notional: Amount(1),
        max_notional: Amount(i128::from(i64::MAX)),
        market: Default::default(),
    }
}

impl Desk {
    fn open() -> Self {
        let (mut engine, now) = (Engine::new(State::default()), NOW);
        engine.start(1, "abcdefgh", 5, 0, now).unwrap();
        for symbol in ["BTCUSDT", "ETHBTC"] {
            engine.set_instrument(instrument(symbol), now).unwrap().unwrap();
        }
        engine.create_account("desk", now).unwrap().unwrap();
        let money = Amount(10_000 * UNIT);
        engine
            .adjust_balance("desk", Mode::Paper, "USDT", money, "opening", now)
            .unwrap()
            .unwrap();
        let key = NewKey {
            account: "desk",
            owner: "ann",
            name: "test",
            token_sha256: [7; 32],
            scopes: &[Scope::Trade],
            rate_per_second: 0,
            expires_at: None,
            symbols: &[],
            ip_allow: &[],
        };
        engine.create_key(&key, now).unwrap().unwrap();
        engine
            .create_strategy("grid", "desk", "ann", "test", "new", now)
            .unwrap()
            .unwrap();
        engine
            .start_strategy("grid", "ann", "test", "go", now)
            .unwrap()
            .unwrap()
            .unwrap();
        let session = engine.open_session("paper", Mode::Paper, 1, now).unwrap().unwrap();
        let caller = engine.authorize(&[7; 32], Scope::Trade, now).unwrap();
        Self {
            engine,
            now,
            session,
            caller,
            trades: 0,
        }
    }

    fn limit(&mut self, owner: Owner, kind: LimitKind, value: i128) {
        let scope = LimitScope {
            owner,
            instrument: None,
        };
        self.engine
            .set_limit(scope, kind, Some(value), "ann", "test", self.now)
            .unwrap()
            .unwrap();
    }

    fn mark(&mut self, instrument: InstrumentId, bid: i64, ask: i64) {
        let [bid, ask] = [bid, ask].map(|units| Price(units * UNIT as i64));
        let mark = crate::engine::Mark {
            bid,
            ask,
            last: bid,
            at: self.now,
        };
        self.engine.set_mark(Mode::Paper, instrument, mark);
    }

    fn look(&mut self, ms: i64) -> Vec<&'static str> {
        self.now += ms * 1_000_000;
        self.engine.kill_reading(self.now);
        _ = self.engine.take_emitted();
        self.engine.tick(self.now, self.now).unwrap();
        let told = self.engine.take_emitted();
        let name = |kind: u8| Record::KINDS.iter().find(|(known, _)| *known == kind).unwrap().1;
        told.iter().map(|record| name(record.kind)).collect()
    }

    /// Buys at a price, all of it at once.
    fn buy(&mut self, qty: &str, price: &str) {
        self.engine.kill_reading(self.now);
        self.trades += 1;
        let body = format!(
            r#"{{"strategyId":"grid","mode":"PAPER","symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTC","quantity":{qty},"price":{price}}}"#
        );
        let (key, at) = (format!("key-{}", self.trades), self.engine.state().last_seq() + 1);
        let done = self
            .engine
            .submit(self.caller, Some(&key), "r", body.as_bytes(), self.now, at);
        done.unwrap().unwrap();
        let cost = Price::parse(price)
            .unwrap()
            .times(crate::number::Qty::parse(qty).unwrap());
        let quote = cost.to_amount_ceil().to_string();
        let fill = RawFill {
            trade_id: &key,
            price,
            qty,
            quote_qty: &quote,
            fee: "1",
            fee_asset: "USDT",
            maker: true,
            venue_ns: 1,
        };
        let report = Report::Order(at, OrderReport::Fill(fill));
        self.engine.report(self.session, &report, self.now).unwrap();
    }
}

#[test]
fn a_loss_is_judged_at_the_mark_and_acts_once() {
    let mut desk = Desk::open();
    desk.limit(Owner::Account(0), LimitKind::MaxDailyLoss, 100 * UNIT);
    assert_eq!(desk.look(1), ["DAY_STARTED"]);
    desk.buy("2", "1000");
    desk.mark(0, 999, 1001);
    assert_eq!(desk.look(300), [""; 0]);
    // 2 × (960 − 1000) − 1 of fees: 81 of 100.
    desk.mark(0, 959, 961);
    assert_eq!(desk.look(100), [""; 0], "not looked at so soon");
    assert_eq!(desk.look(200), ["LIMIT_WARNED"]);
    assert_eq!(desk.look(300), [""; 0], "warned of at most once a minute");
    desk.mark(0, 949, 951);
    assert_eq!(desk.look(300), ["LIMIT_BREACHED", "TRADING_STATE_SET"]);
    assert_eq!(desk.look(300), [""; 0]);
    let state = |desk: &Desk, mode| desk.engine.state().trading_state(mode, "desk", None, "BTCUSDT");
    assert_eq!(state(&desk, Mode::Paper), TradingState::ReduceOnly);
    assert_eq!(state(&desk, Mode::Live), TradingState::Active);
    let owner = Owner::Account(0);
    let loss = desk.engine.result_today(&owner, Mode::Paper, desk.now).unwrap();
    assert_eq!(loss.value, Money(-101 * UNIT * UNIT));
    // The next day starts from its opening mark.
    desk.now += 24 * 3_600 * 1_000_000_000;
    desk.mark(0, 949, 951);
    assert_eq!(desk.look(0), ["DAY_STARTED"]);
    assert_eq!(
        desk.engine.result_today(&owner, Mode::Paper, desk.now).unwrap().value,
        Money::ZERO
    );
}

#[test]
fn people_are_warned_from_the_share_that_is_set_and_shown_what_is_judged() {
    let mut desk = Desk::open();
    desk.engine.set_warn_percent(100);
    desk.limit(Owner::Account(0), LimitKind::MaxDailyLoss, 100 * UNIT);
    desk.look(1);
    desk.buy("2", "1000");
    desk.mark(0, 950, 951);
    assert_eq!(desk.look(300), ["LIMIT_WARNED"], "100 of 100");
    desk.engine.set_warn_percent(50);
    desk.mark(0, 974, 976);
    assert_eq!(desk.look(300), [""; 0], "within a minute of the last");
    let warned_at = desk.now - 300_000_000;
    desk.now += WARN_AGAIN_NS;
    desk.mark(0, 974, 976);
    assert_eq!(desk.look(300), ["LIMIT_WARNED"], "51 of 100");
    let shown: Vec<_> = desk.engine.watched_limits(desk.now).collect();
    assert_eq!(shown.len(), 2, "one for each mode");
    let paper = shown.iter().find(|one| one.mode == Mode::Paper).unwrap();
    assert_eq!((paper.value, paper.judged), (Some(51 * UNIT), true));
    assert!(paper.warned_at.is_some_and(|at| at > warned_at));
    let day = desk.engine.day_figures(&Owner::Firm, Mode::Paper, desk.now).unwrap();
    assert_eq!((day.orders, day.fills, day.fresh), (1, 1, true));
    assert_eq!(day.turnover, Some(Amount(2_000 * UNIT)));
    assert_eq!(day.result, Some(Amount(-51 * UNIT)));
    assert_eq!(desk.engine.day_figures(&Owner::Firm, Mode::Live, desk.now), None);
}

#[test]
fn without_a_fresh_mark_a_limit_is_not_judged_unless_it_is_breached_anyway() {
    let mut desk = Desk::open();
    let scope = LimitScope {
        owner: Owner::Firm,
        instrument: None,
    };
    desk.limit(Owner::Firm, LimitKind::MaxDailyLoss, 100 * UNIT);
    desk.look(1);
    desk.buy("2", "1000");
    assert_eq!(desk.look(300), ["LIMIT_WARNED"]);
    assert!(!desk.engine.is_judged(&scope, LimitKind::MaxDailyLoss, Mode::Paper));
    assert!(desk.engine.is_judged(&scope, LimitKind::MaxDailyLoss, Mode::Live));
    desk.mark(0, 999, 1001);
    assert_eq!(desk.look(300), [""; 0]);
    assert!(desk.engine.is_judged(&scope, LimitKind::MaxDailyLoss, Mode::Paper));
    desk.mark(0, 899, 901);
    desk.now += FRESH;
    assert_eq!(desk.look(300), ["LIMIT_BREACHED", "TRADING_STATE_SET"]);
}
const FRESH: Nanos = crate::valuation::FRESH_NS;

#[test]
fn a_fall_from_the_peak_halts_cancels_and_sells() {
    let mut desk = Desk::open();
    desk.engine.set_breach_action(BreachAction::Flatten);
    desk.limit(Owner::Account(0), LimitKind::MaxDrawdown, UNIT / 10);
    desk.mark(0, 999, 1001);
    desk.look(1);
    desk.buy("5", "1000");
    desk.mark(0, 1999, 2001);
    desk.look(300);
    // Money that is taken out is no fall.
    let out = Amount(-1_000 * UNIT);
    desk.engine
        .adjust_balance("desk", Mode::Paper, "USDT", out, "out", desk.now)
        .unwrap()
        .unwrap();
    desk.look(300);
    assert_eq!(desk.engine.state().trading_states().count(), 0);
    let body = r#"{"mode":"PAPER","symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTC","quantity":1,"price":10}"#;
    let order = desk.engine.state().last_seq() + 1;
    let done = desk
        .engine
        .submit(desk.caller, Some("rest"), "r", body.as_bytes(), desk.now, order);
    done.unwrap().unwrap();
    // Equity was 13,999 and is 11,999 now: more than a tenth below.
    desk.mark(0, 1599, 1601);
    let told = desk.look(300);
    assert_eq!(told[..2], ["LIMIT_BREACHED", "TRADING_STATE_SET"]);
    assert_eq!(told[2..], ["CANCEL_REQUESTED"], "the sale would meet our own bid");
    desk.mark(0, 1599, 1601);
    assert_eq!(
        desk.look(1_000),
        ["ORDER_ACCEPTED", "SUBMIT_STARTED"],
        "but waits a second at most"
    );
    let standing = desk
        .engine
        .state()
        .standing(KillScope::Account, "desk", Mode::Paper)
        .unwrap();
    assert_eq!(
        (standing.state, &*standing.reason),
        (TradingState::Halted, "MAX_DRAWDOWN")
    );
    assert_eq!(desk.engine.state().peak(0, Mode::Paper), Some(Amount(13_999 * UNIT)));
}

#[test]
fn a_strategy_that_trades_too_often_stops() {
    let mut desk = Desk::open();
    desk.limit(Owner::Strategy("grid".to_owned()), LimitKind::ExecutionsInMinute, 2);
    for _ in 0..2 {
        desk.buy("0.1", "1000");
    }
    let status = |desk: &Desk| desk.engine.state().strategy("grid").unwrap().status;
    assert_eq!(status(&desk), StrategyStatus::Running);
    desk.buy("0.1", "1000");
    assert_eq!(status(&desk), StrategyStatus::Stopped);
}

#[test]
fn a_strategy_that_is_refused_too_often_stops() {
    let mut desk = Desk::open();
    desk.limit(Owner::Strategy("grid".to_owned()), LimitKind::RejectsInMinute, 2);
    let status = |desk: &Desk| desk.engine.state().strategy("grid").unwrap().status;
    for key in ["too-much-1", "too-much-2", "too-much-3"] {
        assert_eq!(status(&desk), StrategyStatus::Running);
        desk.engine.kill_reading(desk.now);
        let body = r#"{"strategyId":"grid","mode":"PAPER","symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTC","quantity":9,"price":9000}"#;
        let at = desk.engine.state().last_seq();
        let done = desk
            .engine
            .submit(desk.caller, Some(key), "r", body.as_bytes(), desk.now, at);
        let stored = done.unwrap().unwrap();
        assert!(
            matches!(stored, crate::engine::Submitted::Stored { status: 422, .. }),
            "{stored:?}"
        );
    }
    assert_eq!(status(&desk), StrategyStatus::Stopped);
}

#[path = "believed_tests.rs"]
mod believed;
