//! Breaches whose action is FLATTEN: the scope halts, its orders are canceled, what it bought is sold.

use crate::support::*;
use ordergate_core::engine::Engine;
use ordergate_core::limits::LimitKind;
use ordergate_core::order::Order;
use ordergate_core::record::{KillOn, Record, TradingStateSet};
use ordergate_core::report::{OrderReport, RawFill, Report};
use ordergate_core::snapshot;
use ordergate_core::terms::{BreachAction, KillScope, Mode, OrdStatus, OrderId, SessionId, TradingState};

fn mark(engine: &mut Engine, session: SessionId, bid: u32, now: i64) {
    let (below, above) = (bid.to_string(), (bid + 2).to_string());
    let price = Report::Price {
        symbol: "BTCUSDT",
        bid: &below,
        ask: &above,
        last: &below,
        venue_ns: 1,
    };
    engine.report(session, &price, now).unwrap();
}

fn price(world: &mut World, session: SessionId, bid: u32) {
    let now = world.now;
    mark(&mut world.engine, session, bid, now);
}

fn bought(world: &mut World, session: SessionId, body: &str, qty: &str) {
    let order = world.place(body);
    let (quote, trade) = (
        (qty.parse::<u32>().unwrap() * 50).to_string(),
        format!("bought-{order}"),
    );
    let fill = RawFill {
        qty,
        quote_qty: &quote,
        ..fill(&trade)
    };
    world.report(session, order, OrderReport::Fill(fill));
    assert_eq!(world.status(order), OrdStatus::Filled);
}

fn own(engine: &Engine) -> Vec<&Order> {
    engine.state().orders().filter(|order| order.flattens()).collect()
}

fn own_quantities(world: &World) -> Vec<String> {
    let own = own(&world.engine);
    own.iter().map(|order| order.terms.qty.to_string()).collect()
}

fn left(engine: &Engine) -> Vec<(String, &'static str)> {
    let left = engine.not_flat();
    left.map(|one| (one.quantity.to_string(), one.why)).collect()
}

fn in_force(world: &World) -> Vec<(TradingState, bool)> {
    let states = world.engine.state().trading_states();
    states
        .map(|(.., standing)| (standing.state, standing.flatten))
        .collect()
}

fn set(world: &mut World, state: TradingState) {
    let set = TradingStateSet {
        scope: KillScope::Account,
        target: "desk".into(),
        mode: None,
        state,
        reason: "seen".into(),
        by: "ann".into(),
        source: "cli".into(),
        flatten: false,
    };
    world.engine.set_trading_state(set, world.now).unwrap().unwrap();
}

/// Ten bought at 50 by the account, which may lose so much a day.
fn exposed_to(loss: i128) -> (World, SessionId, SessionId) {
    let (mut world, paper, live) = World::connected();
    world.engine.set_breach_action(BreachAction::Flatten);
    world.set_limit("account", "desk", LimitKind::MaxDailyLoss, loss * 100_000_000);
    price(&mut world, paper, 49);
    world.wait(0);
    bought(&mut world, paper, &limit(Mode::Paper, "BUY", "10", "50"), "10");
    (world, paper, live)
}

fn exposed() -> (World, SessionId, SessionId) {
    exposed_to(100)
}

/// The price falls, and the watch sees it.
fn fall(world: &mut World, session: SessionId) {
    world.collect();
    price(world, session, 30);
    world.wait(300);
}

#[test]
fn a_breach_cancels_what_works_and_sells_what_was_bought() {
    let (mut world, paper, live) = exposed();
    let resting = world.place(&limit(Mode::Paper, "SELL", "3", "60"));
    world.report(paper, resting, OrderReport::Ack { venue_order_id: "v" });
    let elsewhere = world.place(&limit(Mode::Live, "BUY", "1", "20"));
    world.report(live, elsewhere, OrderReport::Ack { venue_order_id: "w" });
    fall(&mut world, paper);
    let names = world.names();
    assert_eq!(names[..2], ["LIMIT_BREACHED", "TRADING_STATE_SET"]);
    assert_eq!(in_force(&world), [(TradingState::Halted, true)]);
    assert_eq!(
        own_quantities(&world),
        ["7"],
        "the position less what an open order sells"
    );
    assert_eq!(world.status(resting), OrdStatus::PendingCancel);
    assert_eq!(world.status(elsewhere), OrdStatus::New, "the other mode goes on");
    let first = own(&world.engine)[0].id;
    assert_eq!(world.status(first), OrdStatus::Submitted, "HALTED does not bind it");
    let refused = stored_code(&mut world);
    assert_eq!(refused, "halted");
    world.fill(paper, first, "s1", "7", "30");
    world.report(paper, resting, OrderReport::Canceled(cause("", "")));
    price(&mut world, paper, 30);
    world.wait(1_000);
    assert_eq!(own_quantities(&world), ["7", "3"]);
    let second = own(&world.engine)[1].id;
    world.fill(paper, second, "s2", "3", "30");
    price(&mut world, paper, 30);
    world.wait(1_500);
    assert_eq!(own_quantities(&world).len(), 2, "flat");
    assert_eq!(left(&world.engine), []);
    assert_eq!(world.balance(Mode::Paper, "BTC").0, "100", "the opening balance stays");
    world.check();
}

fn stored_code(world: &mut World) -> String {
    match world.submit(&limit(Mode::Paper, "BUY", "1", "20")) {
        Err(refusal) => refusal.code.to_owned(),
        Ok(other) => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_sold_without_a_fresh_mark_and_more_once_it_comes() {
    let (mut world, paper, _) = exposed();
    price(&mut world, paper, 30);
    world.wait(2_100);
    assert_eq!(in_force(&world), [(TradingState::Halted, true)], "an old mark breaches");
    assert_eq!(left(&world.engine), [("10".to_owned(), "no_price")]);
    assert_eq!(own_quantities(&world).len(), 0);
    price(&mut world, paper, 30);
    world.wait(100);
    assert_eq!(own_quantities(&world), ["10"]);
    world.check();
}

#[test]
fn a_lost_redis_ends_the_sale_and_active_ends_it_for_good() {
    let (mut world, paper, _) = exposed();
    let kill = KillOn {
        scope: KillScope::Global,
        target: String::new(),
        level: 1,
        reason: "redis_unreachable".into(),
        by: "gateway".into(),
        source: "gateway".into(),
        cause: None,
    };
    world.engine.kill_on(kill, world.now).unwrap().unwrap();
    fall(&mut world, paper);
    assert_eq!(left(&world.engine), [("10".to_owned(), "redis")]);
    set(&mut world, TradingState::Halted);
    assert!(
        in_force(&world).contains(&(TradingState::Halted, true)),
        "halting again takes nothing back"
    );
    set(&mut world, TradingState::Active);
    assert_eq!(in_force(&world), []);
    // Nothing is lost any more: the next look does not breach the limit again.
    price(&mut world, paper, 49);
    world.wait(300);
    assert_eq!((left(&world.engine), own_quantities(&world).len()), (vec![], 0));
    world.check();
}

#[test]
fn a_restart_goes_on_selling_and_nothing_is_sold_twice() {
    let (mut world, paper, _) = exposed();
    let resting = world.place(&limit(Mode::Paper, "SELL", "2", "60"));
    world.report(paper, resting, OrderReport::Ack { venue_order_id: "v" });
    fall(&mut world, paper);
    assert_eq!(own_quantities(&world), ["8"]);
    world.collect();
    let replayed = replay(&world.journal);
    let restored = snapshot::decode(&snapshot::encode(world.engine.state()).unwrap()).unwrap();
    for state in [replayed, restored] {
        // The new process has no settings yet: what is to be flattened is a fact.
        let (mut engine, mut now) = (Engine::new(state), world.now);
        engine.start(2, "otherone", 1, 0, now).unwrap();
        let session = engine.open_session("paper", Mode::Paper, 8, now).unwrap().unwrap();
        let mut pass = |engine: &mut Engine| {
            now += 300 * MS;
            mark(engine, session, 30, now);
            engine.kill_reading(now);
            engine.tick(now, now).unwrap();
            now
        };
        pass(&mut engine);
        assert_eq!(own(&engine).len(), 1, "the first one still works");
        let first = own(&engine)[0].id;
        let now = pass(&mut engine);
        let ended = |order: OrderId, what| Report::Order(order, what);
        engine
            .report(session, &ended(first, OrderReport::Expired(cause("IOC", ""))), now)
            .unwrap();
        for _ in 0..5 {
            pass(&mut engine);
        }
        let quantities: Vec<String> = own(&engine).iter().map(|order| order.terms.qty.to_string()).collect();
        assert_eq!(quantities, ["8", "8"], "under a name that is free");
        check_state(engine.state());
    }
}

#[test]
fn a_scope_that_a_person_halted_is_flattened_by_a_breach_all_the_same() {
    let (mut world, paper, _) = exposed();
    set(&mut world, TradingState::Halted);
    fall(&mut world, paper);
    assert!(in_force(&world).contains(&(TradingState::Halted, true)));
    assert_eq!(own_quantities(&world), ["10"]);
    let breached = |record: &Record| matches!(record, Record::LimitBreached(_));
    world.wait(300);
    assert_eq!(
        world.collect().iter().filter(|record| breached(record)).count(),
        1,
        "once"
    );
    world.check();
}

#[test]
fn a_strategy_sells_its_own_and_two_scopes_together_no_more_than_there_is() {
    let (mut world, paper, _) = exposed_to(99_999);
    world.run_strategy("grid");
    let body = limit(Mode::Paper, "BUY", "4", "50").replace('{', r#"{"strategyId":"grid","#);
    bought(&mut world, paper, &body, "4");
    world.set_limit("strategy", "grid", LimitKind::MaxDailyLoss, 50 * 100_000_000);
    fall(&mut world, paper);
    assert_eq!(own_quantities(&world), ["4"]);
    assert_eq!(own(&world.engine)[0].terms.strategy_id.as_deref(), Some("grid"));
    world.kill(KillScope::Account, "desk", 3);
    assert_eq!(own_quantities(&world), ["4", "10"]);
    let ids: Vec<OrderId> = own(&world.engine).iter().map(|order| order.id).collect();
    for order in ids {
        world.report(paper, order, OrderReport::Expired(cause("IOC", "")));
    }
    // Whoever is first: together never more than the fourteen.
    for _ in 0..20 {
        price(&mut world, paper, 30);
        world.wait(300);
        let open: i128 = own(&world.engine)
            .iter()
            .filter(|order| order.is_open())
            .map(|order| order.leaves().0)
            .sum();
        assert!(open <= 14 * 100_000_000, "{:?}", own_quantities(&world));
    }
    world.check();
}
