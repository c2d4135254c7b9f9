//! Stories of kills: what each level ends, what a restart takes up again, and who falls silent.

use crate::support::*;
use ordergate_core::engine::{Caller, Engine};
use ordergate_core::heartbeat::MAX_HEARTBEATS;
use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::order::Order;
use ordergate_core::record::{KillOff, KillOn, Record, ReplaceTerms};
use ordergate_core::report::{OrderReport, RawFill, Report};
use ordergate_core::terms::{GATEWAY_KEY, KillScope, Mode, Nanos, OrdStatus, OrderId, Scope, SessionId};

const GLOBAL: KillScope = KillScope::Global;

fn price(world: &mut World, session: SessionId, bid: &str) {
    let price = Report::Price {
        symbol: "BTCUSDT",
        bid,
        ask: "51",
        last: "50",
        venue_ns: 1,
    };
    world.engine.report(session, &price, world.now).unwrap();
}

/// Buys and gets it: a position of the first account.
fn hold(world: &mut World, session: SessionId, qty: &str) {
    let order = world.buy(Mode::Paper, qty, "50");
    let quote = format!("{}", qty.parse::<u64>().unwrap() * 50);
    let trade = format!("buy-{order}");
    let fill = RawFill {
        qty,
        quote_qty: &quote,
        ..fill(&trade)
    };
    world.report(session, order, OrderReport::Fill(fill));
    assert_eq!(world.status(order), OrdStatus::Filled);
}

fn own_orders(world: &World) -> Vec<&Order> {
    let all = world.engine.state().orders();
    all.filter(|order| order.terms.key == GATEWAY_KEY).collect()
}

fn left(world: &World) -> Vec<(String, &'static str)> {
    let left = world.engine.not_flat();
    left.map(|one| (one.quantity.to_string(), one.why)).collect()
}

fn off(world: &mut World, scope: KillScope, target: &str) {
    let (target, by, source) = (target.into(), "ann".into(), "cli".into());
    let off = KillOff {
        scope,
        target,
        by,
        source,
    };
    world.engine.kill_off(off, world.now).unwrap().unwrap();
}

fn redis_kill(world: &mut World) {
    let kill = KillOn {
        scope: GLOBAL,
        target: String::new(),
        level: 1,
        reason: "redis_state_lost".into(),
        by: "gateway".into(),
        source: "redis".into(),
        cause: None,
    };
    world.engine.kill_on(kill, world.now).unwrap().unwrap();
}

#[test]
fn level_two_reaches_orders_of_a_venue_that_is_down_or_in_doubt() {
    let (mut world, paper, live) = World::connected();
    let working = world.buy(Mode::Paper, "1", "50");
    world.report(paper, working, OrderReport::Ack { venue_order_id: "v" });
    let doubt = world.buy(Mode::Live, "1", "50");
    world.report(live, doubt, OrderReport::Unknown(cause("TIMEOUT", "")));
    world.engine.close_session(paper);
    world.kill(GLOBAL, "", 2);
    world.wait(50);
    assert_eq!(
        world.status(working),
        OrdStatus::PendingCancel,
        "the next session takes it over"
    );
    assert_eq!(world.status(doubt), OrdStatus::InDoubt, "a kill ends no doubt");
    world.report(live, doubt, OrderReport::Ack { venue_order_id: "w" });
    world.wait(50);
    world.wait(1_000);
    assert_eq!(
        world.status(doubt),
        OrdStatus::PendingCancel,
        "canceled as soon as it is known"
    );
    world.check();
}

#[test]
fn a_start_takes_up_the_cancels_that_a_kill_had_not_asked_for_yet() {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "1", "50");
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v" });
    world.kill(KillScope::Symbol, "BTCUSDT", 2);
    world.collect();
    // Killed before the tick that would have asked.
    let mut engine = Engine::new(replay(&world.journal));
    engine.start(2, "otherone", 1, 0, world.now).unwrap();
    assert_eq!(engine.state().order(order).unwrap().status(), OrdStatus::New);
    engine.tick(world.now, world.now).unwrap();
    assert_eq!(engine.state().order(order).unwrap().status(), OrdStatus::PendingCancel);
}

#[test]
fn a_refused_cancel_is_asked_for_again_while_the_kill_lasts() {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "1", "50");
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v" });
    world.kill(KillScope::Account, "desk", 2);
    world.wait(50);
    world.report(paper, order, OrderReport::CancelReject(cause("-1", "later")));
    assert_eq!(world.status(order), OrdStatus::New);
    world.wait(500);
    world.wait(600);
    assert_eq!(world.status(order), OrdStatus::PendingCancel);
    world.report(paper, order, OrderReport::CancelReject(cause("-1", "later")));
    off(&mut world, KillScope::Account, "desk");
    world.wait(2_000);
    assert_eq!(world.status(order), OrdStatus::New, "cleared: it works on");
    world.check();
}

#[test]
fn a_cancel_that_is_under_way_is_not_sent_again_until_it_is_refused() {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "1", "50");
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v" });
    world.cancel(order).unwrap();
    world.wait(0);
    world.collect();
    world.kill(GLOBAL, "", 2);
    for _ in 0..30 {
        world.wait(100);
    }
    assert_eq!(world.names(), ["KILL_ON"], "the client's own cancel is under way");
    world.report(paper, order, OrderReport::CancelReject(cause("-1", "later")));
    for _ in 0..11 {
        world.wait(100);
    }
    assert_eq!(world.names(), ["CANCEL_REJECTED", "CANCEL_REQUESTED"], "once");
    assert_eq!(&*world.order(order).reason, "KILLED");
    world.report(paper, order, OrderReport::Canceled(cause("", "")));
    world.wait(2_000);
    assert_eq!(world.names(), ["CANCELED"]);
    world.check();
}

/// No command asks for a replace yet; its records fold.
#[test]
fn a_replace_that_is_under_way_does_not_keep_a_kill_from_canceling() {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "1", "50");
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v" });
    world.collect();
    for answered in [true, false] {
        let (mut engine, session, mut now) = resumed_with_a_replace(&world, order);
        let status = |engine: &Engine| engine.state().order(order).unwrap().status();
        assert_eq!(status(&engine), OrdStatus::PendingReplace);
        let kill = KillOn {
            scope: GLOBAL,
            target: String::new(),
            level: 2,
            reason: "stop".into(),
            by: "ann".into(),
            source: "cli".into(),
            cause: None,
        };
        engine.kill_on(kill, now).unwrap().unwrap();
        let mut pass = |engine: &mut Engine, ms| {
            for _ in 0..ms / 100 {
                now += 100 * MS;
                engine.kill_reading(now);
                engine.tick(now, now).unwrap();
            }
            let emitted = engine.take_emitted();
            let names = emitted
                .iter()
                .map(|one| Record::decode(one.kind, Record::VERSION, &one.body).unwrap().name());
            (names.collect::<Vec<_>>(), now)
        };
        let (names, _) = pass(&mut engine, 100);
        assert_eq!(names.last(), Some(&"CANCEL_REQUESTED"), "{names:?}");
        assert_eq!(status(&engine), OrdStatus::PendingCancel);
        let (names, now) = pass(&mut engine, 3_000);
        assert_eq!(names, Vec::<&str>::new(), "the cancel is under way");
        let refused = if answered {
            OrderReport::Replaced {
                qty: "2",
                price: Some("50"),
            }
        } else {
            OrderReport::CancelReject(cause("-1", "being replaced"))
        };
        engine.report(session, &Report::Order(order, refused), now).unwrap();
        let (names, now) = pass(&mut engine, 1_100);
        if answered {
            assert_eq!(names.len(), 1, "the cancel outlives the replace: {names:?}");
        } else {
            assert_eq!(names, ["CANCEL_REJECTED", "CANCEL_REQUESTED"], "swept again");
        }
        assert_eq!(status(&engine), OrdStatus::PendingCancel);
        let canceled = Report::Order(order, OrderReport::Canceled(cause("", "")));
        engine.report(session, &canceled, now).unwrap();
        assert_eq!(status(&engine), OrdStatus::Canceled);
        check_state(engine.state());
    }
}

/// The same history with a replace asked for, in a new process.
fn resumed_with_a_replace(world: &World, order: OrderId) -> (Engine, SessionId, Nanos) {
    let mut state = replay(&world.journal);
    let replace = Record::ReplaceRequested(ReplaceTerms {
        order,
        qty: Qty::parse("2").unwrap(),
        price: Some(Price::parse("50").unwrap()),
        hold: Amount::parse("100").unwrap(),
        anew: None,
    });
    state.apply(state.last_seq() + 1, world.now, &replace).unwrap();
    let mut engine = Engine::new(state);
    engine.start(2, "otherone", 1, 0, world.now).unwrap();
    let session = engine
        .open_session("paper", Mode::Paper, 8, world.now)
        .unwrap()
        .unwrap();
    engine.kill_reading(world.now);
    engine.tick(world.now, world.now).unwrap();
    let _ = engine.take_emitted();
    (engine, session, world.now)
}

#[test]
fn level_three_sells_what_was_bought_in_whole_steps_and_no_more() {
    let (mut world, paper, _) = World::connected();
    price(&mut world, paper, "49");
    hold(&mut world, paper, "3");
    let resting = world.place(&limit(Mode::Paper, "SELL", "1", "60"));
    world.report(paper, resting, OrderReport::Ack { venue_order_id: "v" });
    world.kill(KillScope::Account, "desk", 3);
    {
        let own = own_orders(&world);
        assert_eq!(own.len(), 1);
        let (order, request) = (own[0], own[0].idempotency_key());
        assert_eq!(order.terms.qty.to_string(), "2", "one is in an open order already");
        assert_eq!(order.status(), OrdStatus::Submitted, "passes the kill");
        assert!(
            request.starts_with("flatten:") && request.ends_with(":desk:BTCUSDT::1"),
            "{request}"
        );
    }
    let first = own_orders(&world)[0].id;
    world.wait(50);
    assert_eq!(world.status(resting), OrdStatus::PendingCancel);
    world.fill(paper, first, "f1", "2", "49");
    world.report(paper, resting, OrderReport::Canceled(cause("", "")));
    world.wait(50);
    assert_eq!(own_orders(&world).len(), 1, "a second one only after a while");
    price(&mut world, paper, "49");
    world.wait(1_000);
    let second = own_orders(&world)[1].id;
    assert_eq!(own_orders(&world)[1].terms.qty.to_string(), "1");
    world.fill(paper, second, "f2", "1", "49");
    price(&mut world, paper, "49");
    world.wait(1_500);
    assert_eq!(own_orders(&world).len(), 2, "flat: the opening balance stays");
    assert_eq!(left(&world), []);
    assert_eq!(world.balance(Mode::Paper, "BTC").0, "100");
    world.check();
}

#[test]
fn flattening_needs_a_fresh_price_and_a_kill_switch_that_can_be_read() {
    let (mut world, paper, _) = World::connected();
    price(&mut world, paper, "49");
    hold(&mut world, paper, "3");
    world.now += 3_000 * MS;
    world.engine.kill_reading(world.now);
    world.kill(GLOBAL, "", 3);
    assert_eq!(left(&world), [("3".to_owned(), "no_price")]);
    price(&mut world, paper, "1");
    world.wait(200);
    assert_eq!(
        left(&world),
        [("3".to_owned(), "below_minimum")],
        "the venue takes nothing below 5"
    );
    price(&mut world, paper, "49");
    world.now += 400 * MS;
    world.engine.tick(world.now, world.now).unwrap();
    assert_eq!(left(&world), [("3".to_owned(), "kill_switch_stale")]);
    redis_kill(&mut world);
    price(&mut world, paper, "49");
    world.wait(200);
    assert_eq!(
        left(&world),
        [("3".to_owned(), "redis")],
        "what a lost redis wanted is not known"
    );
    assert_eq!(own_orders(&world).len(), 0);
    world.check();
}

#[test]
fn a_redis_kill_ends_what_was_to_flatten_and_an_operators_does_not() {
    let (mut world, paper, _) = World::connected();
    hold(&mut world, paper, "300");
    let busy: Vec<OrderId> = (0..256).map(|_| world.buy(Mode::Paper, "1", "50")).collect();
    price(&mut world, paper, "49");
    world.kill(KillScope::Symbol, "BTCUSDT", 3);
    world.wait(1_000); // for the cancels of what it would meet
    let own = own_orders(&world)[0].id;
    assert_eq!(world.status(own), OrdStatus::PendingNew, "the window is full");
    world.kill(GLOBAL, "", 1);
    assert_eq!(world.status(own), OrdStatus::PendingNew);
    redis_kill(&mut world);
    assert_eq!(world.status(own), OrdStatus::Canceled);
    assert_eq!(busy.len(), 256);
    world.check();
}

#[test]
fn flattening_goes_on_after_a_restart_without_selling_twice() {
    let (mut world, paper, _) = World::connected();
    price(&mut world, paper, "49");
    hold(&mut world, paper, "3");
    world.kill(GLOBAL, "", 3);
    assert_eq!(own_orders(&world).len(), 1);
    world.collect();
    let mut engine = Engine::new(replay(&world.journal));
    let now = world.now;
    engine.start(2, "otherone", 1, 0, now).unwrap();
    let session = engine.open_session("paper", Mode::Paper, 8, now).unwrap().unwrap();
    let mark = |engine: &mut Engine, now| {
        let price = Report::Price {
            symbol: "BTCUSDT",
            bid: "49",
            ask: "51",
            last: "50",
            venue_ns: 1,
        };
        engine.report(session, &price, now).unwrap();
        engine.kill_reading(now);
        engine.tick(now, now).unwrap();
    };
    let own = |engine: &Engine| -> Vec<OrderId> {
        let all = engine.state().orders().filter(|order| order.terms.key == GATEWAY_KEY);
        all.map(|order| order.id).collect()
    };
    mark(&mut engine, now + 200 * MS);
    assert_eq!(own(&engine).len(), 1, "the first one still works");
    let expired = Report::Order(own(&engine)[0], OrderReport::Expired(cause("IOC", "")));
    engine.report(session, &expired, now + 201 * MS).unwrap();
    mark(&mut engine, now + 400 * MS);
    assert_eq!(own(&engine).len(), 2, "under a name that is free");
    check_state(engine.state());
}

// --- heartbeats -----------------------------------------------------------------------------------------------------

fn beat(world: &mut World, caller: Caller, timeout_ms: u32) -> Result<String, &'static str> {
    let done = world
        .engine
        .heartbeat(caller, KillScope::Account, None, timeout_ms, world.now);
    done.unwrap().map_err(|refusal| refusal.code)
}

#[test]
fn who_falls_silent_is_killed_at_level_two_and_only_an_operator_ends_it() {
    let (mut world, paper, _) = World::connected();
    let caller = world.caller(0);
    // The day begins.
    world.wait(0);
    let order = world.buy(Mode::Paper, "1", "50");
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v" });
    world.collect();
    assert_eq!(beat(&mut world, caller, 1_000), Ok("desk".into()));
    assert_eq!(world.names(), ["HEARTBEAT_SET"]);
    for _ in 0..5 {
        for _ in 0..9 {
            world.wait(100);
        }
        assert_eq!(beat(&mut world, caller, 1_000), Ok("desk".into()));
    }
    assert_eq!(world.collect(), [], "beats are not journaled");
    for _ in 0..11 {
        world.wait(100);
    }
    let kill = world.engine.state().kill(KillScope::Account, "desk").unwrap();
    assert_eq!(
        (kill.level, &*kill.reason, &*kill.source),
        (2, "heartbeat_missed", "heartbeat")
    );
    world.wait(50);
    assert_eq!(world.status(order), OrdStatus::PendingCancel);
    world.collect();
    for _ in 0..30 {
        world.wait(100);
    }
    let again = |record: &Record| matches!(record, Record::KillOn(_));
    assert!(!world.collect().iter().any(again), "once is enough");
    assert_eq!(beat(&mut world, caller, 1_000), Ok("desk".into()));
    assert_eq!(code(world.submit(&limit(Mode::Paper, "BUY", "1", "50"))), "killed");
    off(&mut world, KillScope::Account, "desk");
    assert_eq!(beat(&mut world, caller, 0), Ok("desk".into()));
    for _ in 0..30 {
        world.wait(100);
    }
    assert!(
        world.engine.state().kill(KillScope::Account, "desk").is_none(),
        "nobody watches now"
    );
    world.check();
}

#[test]
fn deadlines_begin_again_at_a_start_and_wait_for_a_late_gateway() {
    let (mut world, ..) = World::connected();
    let caller = world.caller(0);
    beat(&mut world, caller, 1_000).unwrap();
    world.wait(50);
    world.wait(10_000);
    assert!(
        world.engine.state().kills().next().is_none(),
        "ten seconds in one tick are our own"
    );
    world.collect();
    let mut engine = Engine::new(replay(&world.journal));
    let mut now = world.now + 60_000 * MS;
    engine.start(2, "otherone", 1, 0, now).unwrap();
    for _ in 0..10 {
        engine.tick(now, now).unwrap();
        now += 100 * MS;
    }
    assert!(engine.state().kills().next().is_none());
    for _ in 0..2 {
        engine.tick(now, now).unwrap();
        now += 100 * MS;
    }
    assert!(engine.state().kill(KillScope::Account, "desk").is_some());
    check_state(engine.state());
}

#[test]
fn a_heartbeat_is_for_what_is_ones_own_and_within_bounds() {
    let (mut world, ..) = World::connected();
    let caller = world.caller(0);
    let digest = world.engine.state().digest();
    for timeout_ms in [1, 999, 600_001, u32::MAX] {
        assert_eq!(beat(&mut world, caller, timeout_ms), Err("invalid_parameter"));
    }
    let mut ask = |scope, target| {
        let done = world.engine.heartbeat(caller, scope, target, 1_000, world.now);
        done.unwrap().map_err(|refusal| refusal.code)
    };
    assert_eq!(ask(KillScope::Account, Some("lab")), Err("not_found"));
    assert_eq!(ask(KillScope::Strategy, Some("grid")), Err("not_found"));
    assert_eq!(ask(KillScope::Strategy, None), Err("invalid_parameter"));
    assert_eq!(ask(GLOBAL, None), Err("forbidden"));
    assert_eq!(ask(KillScope::Symbol, Some("BTCUSDT")), Err("forbidden"));
    assert_eq!(world.engine.state().digest(), digest, "refused: nothing changed");
    let body = limit(Mode::Paper, "BUY", "1", "50");
    for number in 0..MAX_HEARTBEATS {
        let name = format!("s{number}");
        world.run_strategy(&name);
        world.place(&body.replace('{', &format!(r#"{{"strategyId":"{name}","#)));
        world.wait(200);
        let done = world
            .engine
            .heartbeat(caller, KillScope::Strategy, Some(&name), 600_000, world.now);
        assert_eq!(done.unwrap().unwrap(), name);
    }
    world.wait(200);
    assert_eq!(beat(&mut world, caller, 1_000), Err("overloaded"));
    let (theirs, now) = (world.caller(1), world.now);
    let other = world.engine.heartbeat(theirs, KillScope::Account, None, 1_000, now);
    assert_eq!(other.unwrap().unwrap(), "lab", "another account's are its own");
    world.check();
}

#[test]
fn a_client_clears_only_what_clients_or_their_silence_began() {
    let mut world = World::new();
    let caller = world.caller(0);
    let engine = &world.engine;
    assert_eq!(code(engine.may_clear(KillScope::Account, "desk")), "not_found");
    assert_eq!(
        engine.own_target(caller, KillScope::Account, Some("desk")),
        Ok("desk".into())
    );
    world.kill(KillScope::Account, "desk", 1);
    assert_eq!(code(world.engine.may_clear(KillScope::Account, "desk")), "forbidden");
    off(&mut world, KillScope::Account, "desk");
    let kill = KillOn {
        scope: KillScope::Account,
        target: "desk".into(),
        level: 2,
        reason: "mine".into(),
        by: "ann".into(),
        source: "api".into(),
        cause: None,
    };
    world.engine.kill_on(kill, world.now).unwrap().unwrap();
    assert_eq!(world.engine.may_clear(KillScope::Account, "desk"), Ok(()));
    let asks = |scopes: &[Scope]| {
        world
            .engine
            .identify(&token(0), scopes, None, world.now)
            .map(|one| one.account)
    };
    assert_eq!(asks(&[Scope::Kill, Scope::Trade]), Ok(0));
    assert_eq!(code(asks(&[Scope::Kill])), "forbidden");
    assert_eq!(
        code(world.engine.identify(&token(9), &[Scope::Read], None, world.now)),
        "unauthorized"
    );
}
