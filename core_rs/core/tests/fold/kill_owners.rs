//! Whose a kill is, and what it costs to keep one up.

use crate::support::*;
use ordergate_core::engine::CHANGES_AT_ONCE;
use ordergate_core::record::{KillOn, Record};
use ordergate_core::report::{OrderReport, Report};
use ordergate_core::terms::{KillCause, KillScope, Mode, OrdStatus};
use std::time::Instant;

const DESK: (KillScope, &str) = (KillScope::Account, "desk");

fn kill(world: &mut World, level: u8, by: &str, source: &str) -> u64 {
    let kill = KillOn {
        scope: DESK.0,
        target: DESK.1.into(),
        level,
        reason: format!("{by}'s"),
        by: by.into(),
        source: source.into(),
        cause: Some(KillCause::Asked),
    };
    world.engine.kill_on(kill, world.now).unwrap().unwrap()
}

fn in_force(world: &World) -> (u8, String, String, String) {
    let kill = world.engine.state().kill(DESK.0, DESK.1).unwrap();
    (kill.level, kill.by.clone(), kill.source.clone(), kill.reason.clone())
}

#[test]
fn a_client_and_its_silence_raise_an_operators_kill_and_do_not_take_it_over() {
    for (source, by) in [("admin", "bob"), ("redis", "operator"), ("limit", "gateway")] {
        let (mut world, ..) = World::connected();
        let own = |level| (level, by.to_owned(), source.to_owned(), format!("{by}'s"));
        let first = kill(&mut world, 1, by, source);
        assert_eq!(
            kill(&mut world, 1, "ann", "api"),
            first,
            "nothing new: nothing journaled"
        );
        assert_eq!(in_force(&world), own(1));
        for (level, client) in [(2, "heartbeat"), (3, "api")] {
            kill(&mut world, level, "ann", client);
            assert_eq!(in_force(&world), own(level), "{client}");
            assert_eq!(code(world.engine.may_clear(DESK.0, DESK.1)), "forbidden");
        }
        assert_eq!(world.engine.state().kill(DESK.0, DESK.1).unwrap().seq, first);
        world.check();
    }
}

#[test]
fn an_operators_kill_takes_over_a_clients_and_keeps_its_level() {
    let (mut world, ..) = World::connected();
    kill(&mut world, 2, "ann", "api");
    assert_eq!(world.engine.may_clear(DESK.0, DESK.1), Ok(()));
    kill(&mut world, 1, "bob", "admin");
    assert_eq!(in_force(&world), (2, "bob".into(), "admin".into(), "bob's".into()));
    assert_eq!(code(world.engine.may_clear(DESK.0, DESK.1)), "forbidden");
    world.check();
}

#[test]
fn a_kill_that_says_nothing_new_is_not_journaled() {
    let (mut world, ..) = World::connected();
    let seq = kill(&mut world, 2, "ann", "api");
    world.collect();
    for (level, by, source) in [(2, "ann", "api"), (1, "eve", "api"), (2, "gateway", "heartbeat")] {
        assert_eq!(kill(&mut world, level, by, source), seq);
    }
    assert_eq!(world.names(), Vec::<&str>::new());
    kill(&mut world, 1, "bob", "admin");
    kill(&mut world, 1, "bob", "admin");
    kill(&mut world, 1, "eve", "admin");
    assert_eq!(world.names(), ["KILL_ON", "KILL_ON"], "an operator's words are told");
    world.check();
}

#[test]
fn whether_a_kill_lets_flatten_pass_is_its_cause_and_not_its_words() {
    let (mut world, ..) = World::connected();
    for (cause, reason, passes) in [
        (Some(KillCause::Asked), "unreadable", true),
        (Some(KillCause::Asked), "redis_maintenance", true),
        (Some(KillCause::Lost), "stop", false),
        (Some(KillCause::Unreadable), "stop", false),
        (None, "redis_restarted", false),
        (None, "unreadable", false),
        (None, "stop", true),
    ] {
        let (scope, target) = (DESK.0, DESK.1.into());
        let (by, source) = ("bob".into(), "admin".into());
        let reason = reason.to_owned();
        let kill = KillOn {
            scope,
            target,
            level: 3,
            reason,
            by,
            source,
            cause,
        };
        let record = Record::KillOn(kill.clone());
        let mut body = Vec::new();
        record.encode(&mut body).unwrap();
        assert_eq!(Record::decode(record.kind(), Record::VERSION, &body).unwrap(), record);
        world.engine.kill_on(kill, world.now).unwrap().unwrap();
        let kill = world.engine.state().kill(DESK.0, DESK.1).unwrap();
        assert_eq!(kill.lets_flatten(), passes, "{cause:?} {}", kill.reason);
    }
    world.check();
}

/// Twenty accounts are killed beside one with many open orders: neither the kills nor the ticks look at those.
#[test]
fn kills_of_accounts_without_orders_cost_the_same_whatever_others_have_open() {
    let spent = |open: usize| {
        let (mut world, paper, _) = World::connected();
        for _ in 0..open {
            let order = world.buy(Mode::Paper, "1", "20");
            world.report(paper, order, OrderReport::Ack { venue_order_id: "v" });
        }
        world.collect();
        for number in 0..20 {
            world
                .engine
                .create_account(&format!("idle-{number}"), world.now)
                .unwrap()
                .unwrap();
        }
        let began = Instant::now();
        for number in 0..20 {
            world.kill(KillScope::Account, &format!("idle-{number}"), 2);
        }
        for _ in 0..40 {
            world.wait(50);
        }
        let names = world.names();
        assert!(!names.contains(&"CANCEL_REQUESTED"), "{names:?}");
        began.elapsed()
    };
    // A scan of everything took thousands of times as long here; the bound is far from either.
    let (few, many) = (spent(10), spent(20_000));
    assert!(
        many < few * 20 + std::time::Duration::from_millis(5),
        "{few:?} {many:?}"
    );
}

#[test]
fn each_scope_sweeps_its_own_orders_and_no_other() {
    for (scope, target, hit) in [
        (KillScope::Global, "", [true, true, true, true]),
        (KillScope::Account, "desk", [true, true, true, false]),
        (KillScope::Strategy, "grid", [true, false, false, false]),
        (KillScope::Symbol, "BTCUSDT", [true, true, false, true]),
        (KillScope::Account, "nobody", [false; 4]),
        (KillScope::Strategy, "nobody", [false; 4]),
        (KillScope::Symbol, "NOBODY", [false; 4]),
    ] {
        let (mut world, paper, live) = World::connected();
        world.run_strategy("grid");
        let strategic = limit(Mode::Paper, "BUY", "1", "20").replace('{', r#"{"strategyId":"grid","#);
        let other = world.caller(1);
        let orders = [
            world.place(&strategic),
            world.place(&limit(Mode::Live, "BUY", "1", "20")),
            world.place(&limit(Mode::Paper, "SELL", "1", "90").replace("BTC", "ETH")),
            stored(
                world
                    .submit_as(other, "theirs", &limit(Mode::Paper, "SELL", "1", "90"))
                    .unwrap(),
            )
            .0,
        ];
        for (place, order) in orders.iter().enumerate() {
            let session = if place == 1 { live } else { paper };
            world.report(session, *order, OrderReport::Ack { venue_order_id: "v" });
        }
        world.kill(scope, target, 2);
        world.wait(50);
        let ended = orders.map(|order| world.status(order) == OrdStatus::PendingCancel);
        assert_eq!(ended, hit, "{scope} {target}");
        world.check();
    }
}

#[test]
fn unsent_orders_of_a_scope_end_at_once_and_no_others() {
    let mut world = World::new();
    let other = world.caller(1);
    let own = world.buy(Mode::Paper, "1", "20");
    let theirs = stored(
        world
            .submit_as(other, "theirs", &limit(Mode::Paper, "BUY", "1", "20"))
            .unwrap(),
    )
    .0;
    world.kill(DESK.0, DESK.1, 1);
    assert_eq!(world.status(own), OrdStatus::Canceled);
    assert_eq!(world.status(theirs), OrdStatus::PendingNew);
    world.check();
}

#[test]
fn an_order_that_comes_back_to_work_in_a_killed_scope_is_canceled() {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "2", "50");
    world.report(paper, order, OrderReport::Unknown(cause("TIMEOUT", "")));
    world.report(paper, order, OrderReport::Absent { text: "" });
    world.kill(DESK.0, DESK.1, 2);
    world.wait(1_100);
    assert!(!world.order(order).is_open());
    // Late evidence: it works after all.
    let late = Report::Order(order, OrderReport::Ack { venue_order_id: "v" });
    world.engine.report(paper, &late, world.now).unwrap();
    assert!(world.order(order).is_open(), "re-opened");
    world.wait(500);
    assert_ne!(world.status(order), OrdStatus::PendingCancel);
    world.wait(600);
    assert_eq!(world.status(order), OrdStatus::PendingCancel);
    world.check();
}

#[test]
fn a_sale_waits_for_the_cancel_of_our_own_bid_but_not_for_ever() {
    for canceled in [true, false] {
        let (mut world, paper, _) = World::connected();
        let price = Report::Price {
            symbol: "BTCUSDT",
            bid: "49",
            ask: "51",
            last: "50",
            venue_ns: 1,
        };
        let order = world.buy(Mode::Paper, "3", "50");
        world.fill(paper, order, "bought", "3", "50");
        let bid = world.buy(Mode::Paper, "1", "48");
        world.report(paper, bid, OrderReport::Ack { venue_order_id: "v" });
        world.engine.report(paper, &price, world.now).unwrap();
        world.kill(DESK.0, DESK.1, 3);
        let sold = |world: &World| world.engine.state().orders().filter(|order| order.flattens()).count();
        let why = |world: &World| world.engine.not_flat().next().unwrap().why;
        assert_eq!(
            (sold(&world), why(&world)),
            (0, "own_orders"),
            "it would meet our own bid"
        );
        world.wait(50);
        assert_eq!(world.status(bid), OrdStatus::PendingCancel);
        if canceled {
            world.report(paper, bid, OrderReport::Canceled(cause("", "")));
            world.wait(100);
        } else {
            world.wait(800);
            assert_eq!(sold(&world), 0);
            world.wait(200);
        }
        assert_eq!(sold(&world), 1, "{canceled}");
        world.check();
    }
}

#[test]
fn what_sells_for_a_kill_is_not_canceled_by_clients_while_the_kill_lasts() {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "3", "50");
    world.fill(paper, order, "bought", "3", "50");
    let price = Report::Price {
        symbol: "BTCUSDT",
        bid: "49",
        ask: "51",
        last: "50",
        venue_ns: 1,
    };
    world.engine.report(paper, &price, world.now).unwrap();
    world.kill(DESK.0, DESK.1, 3);
    let mut own = world.engine.state().orders().filter(|order| order.flattens());
    let sale = own.next().unwrap().id;
    drop(own);
    let digest = world.engine.state().digest();
    assert_eq!(code(world.cancel(sale)), "flattening");
    assert_eq!(world.engine.state().digest(), digest);
    let (target, by, source) = (DESK.1.into(), "bob".into(), "cli".into());
    let scope = DESK.0;
    let off = ordergate_core::record::KillOff {
        scope,
        target,
        by,
        source,
    };
    world.engine.kill_off(off, world.now).unwrap().unwrap();
    assert!(world.cancel(sale).is_ok(), "nobody asks for the sale any more");
    world.check();
}

#[test]
fn a_key_that_floods_changes_is_held_up_and_nobody_else() {
    let (mut world, ..) = World::connected();
    let (caller, other) = (world.caller(0), world.caller(1));
    world.collect();
    let beat = |world: &mut World, caller, timeout_ms| {
        let done = world
            .engine
            .heartbeat(caller, KillScope::Account, None, timeout_ms, world.now);
        done.unwrap().map_err(|refusal| refusal.code)
    };
    let asked: Vec<_> = (0..200)
        .map(|number| beat(&mut world, caller, if number % 2 == 0 { 1_000 } else { 2_000 }))
        .collect();
    let taken = asked.iter().filter(|done| done.is_ok()).count();
    assert_eq!(world.names().len(), CHANGES_AT_ONCE as usize, "one burst of changes");
    assert_eq!(
        beat(&mut world, caller, 2_000),
        Ok("desk".into()),
        "a beat changes nothing"
    );
    assert!(taken >= CHANGES_AT_ONCE as usize && asked.contains(&Err("rate_limited")));
    assert_eq!(beat(&mut world, other, 1_000), Ok("lab".into()));
    world.now += 200 * MS;
    assert_eq!(beat(&mut world, caller, 1_000), Ok("desk".into()));
    world.check();
}

#[test]
fn an_operator_ends_a_watch_whose_key_is_gone() {
    let (mut world, ..) = World::connected();
    let caller = world.caller(0);
    let began = world.engine.heartbeat(caller, DESK.0, None, 1_000, world.now);
    began.unwrap().unwrap();
    world.engine.revoke_key(caller.key, world.now).unwrap().unwrap();
    assert_eq!(world.engine.beat_age(DESK.0, DESK.1, world.now), Some(0));
    let ended = |world: &mut World| world.engine.end_heartbeat(DESK.0, DESK.1, "bob", world.now).unwrap();
    assert!(ended(&mut world).unwrap().is_some());
    assert_eq!(ended(&mut world), Ok(None), "nobody watches it");
    for _ in 0..30 {
        world.wait(100);
    }
    assert_eq!(world.engine.state().kills().count(), 0);
    let ended =
        |record: &Record| matches!(record, Record::HeartbeatSet(body) if body.by == "bob" && body.timeout_ms == 0);
    assert!(world.collect().iter().any(ended));
    world.check();
}

#[test]
fn a_trading_state_is_set_for_strategies_that_there_are() {
    let mut world = World::new();
    world.run_strategy("grid");
    for (target, done) in [("grid", Ok(())), ("gird", Err("not_found"))] {
        let set = ordergate_core::record::TradingStateSet {
            scope: KillScope::Strategy,
            target: target.into(),
            mode: None,
            state: ordergate_core::terms::TradingState::Halted,
            reason: "look".into(),
            by: "bob".into(),
            source: "cli".into(),
            flatten: false,
        };
        let set = world.engine.set_trading_state(set, world.now).unwrap();
        assert_eq!(set.map(drop).map_err(|refusal| refusal.code), done, "{target}");
    }
    world.check();
}
