//! Stories of limits as data, the second person, strategies, restricted symbols, hours and scoped keys.

use crate::support::*;
use ordergate_core::engine::{Changed, Hours, NewKey, NewOverride, REQUEST_KEEP_NS, parse_limit};
use ordergate_core::limits::LimitKind;
use ordergate_core::number::UNIT;
use ordergate_core::record::KillOff;
use ordergate_core::terms::{KillScope, Mode, Scope, StrategyStatus};

fn set(
    world: &mut World,
    scope: (&str, &str, Option<&str>),
    kind: LimitKind,
    value: Option<i128>,
) -> Result<Changed, ordergate_core::refusal::Refusal> {
    let now = world.now;
    let scope = world.engine.state().limit_scope(scope.0, scope.1, scope.2)?;
    world.engine.set_limit(scope, kind, value, "ann", "test", now).unwrap()
}

fn with(member: &str) -> String {
    limit(Mode::Paper, "BUY", "1", "50").replace('{', &format!("{{{member},"))
}

#[test]
fn a_limit_that_cannot_be_is_refused_and_nothing_changes() {
    let mut world = World::new();
    world.set_limit("firm", "", LimitKind::MaxOrderQty, 5 * UNIT);
    world.check();
    let digest = world.engine.state().digest();
    let desk = ("account", "desk", None);
    let qty = LimitKind::MaxOrderQty;
    for (scope, kind, value, code_) in [
        (desk, qty, Some(-1), "invalid_limit"),
        (desk, qty, Some(5 * UNIT + 1), "invalid_limit"),
        (
            ("account", "desk", Some("BTCUSDT")),
            qty,
            Some(6 * UNIT),
            "invalid_limit",
        ),
        (("key", "0", None), qty, Some(6 * UNIT), "invalid_limit"),
        (("key", "0", None), LimitKind::MaxOpenOrders, Some(1), "invalid_limit"),
        (
            ("firm", "", Some("BTCUSDT")),
            LimitKind::NewOrderRate,
            Some(1),
            "invalid_limit",
        ),
        (("account", "nobody", None), qty, Some(1), "not_found"),
        (("galaxy", "", None), qty, Some(1), "not_found"),
        (("firm", "", Some("NOPE")), qty, Some(1), "not_found"),
        (("strategy", "grid", None), qty, Some(1), "not_found"),
    ] {
        assert_eq!(
            code(set(&mut world, scope, kind, value)),
            code_,
            "{scope:?} {kind:?} {value:?}"
        );
    }
    for (kind, text, unit) in [
        (qty, "-1", None),
        (qty, "two", None),
        (qty, "1e40", None),
        (qty, "1", Some("reportingCurrency")),
        (LimitKind::MaxOpenOrders, "1.5", None),
        (LimitKind::MaxOpenOrders, "9999999999", None),
    ] {
        assert_eq!(code(parse_limit(kind, text, unit)), "invalid_limit", "{text}");
    }
    assert_eq!(parse_limit(qty, "1.5", Some("base")), Ok(UNIT * 3 / 2));
    assert_eq!(parse_limit(LimitKind::MaxOpenOrders, "15", None), Ok(15));
    assert_eq!(world.engine.state().digest(), digest);
    assert!(world.collect().is_empty());
}

#[test]
fn loosening_by_much_takes_a_second_person() {
    let mut world = World::new();
    let (desk, qty) = (("account", "desk", None), LimitKind::MaxOrderQty);
    assert!(matches!(set(&mut world, desk, qty, Some(100)), Ok(Changed::InForce(_))));
    assert!(matches!(set(&mut world, desk, qty, Some(110)), Ok(Changed::InForce(_))));
    assert_eq!(set(&mut world, desk, qty, Some(110)), Ok(Changed::Same));
    let Ok(Changed::Waits(more)) = set(&mut world, desk, qty, Some(122)) else {
        panic!("waits")
    };
    let Ok(Changed::Waits(none)) = set(&mut world, desk, qty, None) else {
        panic!("waits")
    };
    let in_force = |world: &World| {
        let scope = world.engine.state().limit_scope("account", "desk", None).unwrap();
        world.engine.state().limit_table().limit(&scope, qty)
    };
    assert_eq!(in_force(&world), Some(110));
    let now = world.now;
    assert_eq!(
        code(world.engine.approve(more, " ANN ", now).unwrap()),
        "second_person_needed"
    );
    assert_eq!(code(world.engine.approve(7, "bob", now).unwrap()), "not_found");
    world.collect();
    world.engine.approve(more, "bob", now).unwrap().unwrap();
    assert_eq!(world.names(), ["LIMIT_CHANGED", "CHANGE_CLOSED"]);
    assert_eq!(in_force(&world), Some(122));
    assert_eq!(code(world.engine.approve(more, "bob", now).unwrap()), "not_found");
    world.engine.reject(none, "ann", now).unwrap().unwrap();
    // What nobody decides about ends by itself, and cannot be approved from that moment on.
    let Ok(Changed::Waits(late)) = set(&mut world, desk, qty, None) else {
        panic!("waits")
    };
    world.now += REQUEST_KEEP_NS;
    let now = world.now;
    assert_eq!(code(world.engine.approve(late, "bob", now).unwrap()), "not_found");
    world.collect();
    world.wait(0);
    assert_eq!(world.names(), ["DAY_STARTED", "CHANGE_CLOSED"]);
    assert!(world.engine.state().change_requests().next().is_none());
    assert_eq!(in_force(&world), Some(122));
    world.check();
}

#[test]
fn steps_of_one_person_do_not_add_up() {
    let mut world = World::new();
    let (desk, qty) = (("account", "desk", None), LimitKind::MaxOrderQty);
    let mut step = |value: i128| {
        let done = set(&mut world, desk, qty, Some(value));
        world.check();
        matches!(done, Ok(Changed::InForce(_)))
    };
    assert!(step(1_000));
    assert!(step(1_050));
    assert!(step(1_100), "a tenth in all");
    assert!(!step(1_101), "and no more");
    // A tightening that stays above what two people stand for opens nothing.
    assert!(step(1_090));
    assert!(!step(1_150));
    assert!(step(1_100));
    // One below it is the new measure.
    assert!(step(900));
    assert!(!step(1_000));
    assert!(step(990));
    let Ok(Changed::Waits(more)) = set(&mut world, desk, qty, Some(2_000)) else {
        panic!("waits")
    };
    let now = world.now;
    world.engine.approve(more, "bob", now).unwrap().unwrap();
    assert!(matches!(
        set(&mut world, desk, qty, Some(2_200)),
        Ok(Changed::InForce(_))
    ));
    world.check();
}

#[test]
fn what_was_tightened_meanwhile_is_not_loosened_by_an_old_request() {
    let mut world = World::new();
    let (desk, qty) = (("account", "desk", None), LimitKind::MaxOrderQty);
    assert!(matches!(
        set(&mut world, desk, qty, Some(1_000)),
        Ok(Changed::InForce(_))
    ));
    let Ok(Changed::Waits(more)) = set(&mut world, desk, qty, Some(5_000)) else {
        panic!("waits")
    };
    assert!(matches!(set(&mut world, desk, qty, Some(100)), Ok(Changed::InForce(_))));
    let (now, digest) = (world.now, world.engine.state().digest());
    assert_eq!(code(world.engine.approve(more, "bob", now).unwrap()), "limit_changed");
    assert_eq!(world.engine.state().digest(), digest);
    assert!(matches!(set(&mut world, desk, qty, Some(1_000)), Ok(Changed::Waits(_))));
    world.check();
}

#[test]
fn an_override_lets_one_order_pass_once() {
    let mut world = World::new();
    world.set_limit("firm", "", LimitKind::MaxOrderQty, UNIT / 2);
    let ask = |world: &mut World, symbol: Option<&str>| {
        let asked = NewOverride {
            account: "desk",
            symbol,
            kinds: &[LimitKind::MaxOrderQty],
            valid_for_ns: 1_000 * MS,
        };
        let now = world.now;
        match world.engine.request_override(&asked, "ann", "once", now).unwrap() {
            Ok(Changed::Waits(request)) => {
                world.engine.approve(request, "bob", now).unwrap().unwrap();
                request
            }
            other => panic!("{other:?}"),
        }
    };
    let naming = |id: u64| with(&format!(r#""overrideId":"{id}""#));
    let (_, status, _) = stored(world.submit(&with(r#""clientOrderId":"a""#)).unwrap());
    assert_eq!(status, 422);
    assert_eq!(code(world.submit(&naming(1))), "override_invalid");
    let used = ask(&mut world, Some("BTCUSDT"));
    assert_eq!(
        code(world.submit(&naming(used).replace("BTC", "ETH"))),
        "override_invalid"
    );
    let lab = world.caller(1);
    assert_eq!(code(world.submit_as(lab, "k", &naming(used))), "override_invalid");
    // A denied order does not use it up: it excuses no lack of money.
    let dear = naming(used)
        .replace(r#""quantity":"1""#, r#""quantity":"100""#)
        .replace(r#""50""#, r#""90000""#);
    let (_, status, body) = stored(world.submit(&dear).unwrap());
    assert!(
        status == 422 && body.contains("INSUFFICIENT_BALANCE") && !body.contains("MAX_ORDER_QTY"),
        "{body}"
    );
    world.place(&naming(used));
    assert_eq!(code(world.submit(&naming(used))), "override_invalid");
    let old = ask(&mut world, None);
    world.wait(1_000);
    assert_eq!(code(world.submit(&naming(old))), "override_invalid");
    world.check();
}

#[test]
fn only_a_running_strategy_of_the_account_places_orders_and_a_kill_stops_it() {
    let mut world = World::new();
    let now = world.now;
    let grid = with(r#""strategyId":"grid""#);
    assert_eq!(code(world.submit(&grid)), "strategy_not_running");
    let create = |world: &mut World, name: &str| {
        let engine = &mut world.engine;
        engine.create_strategy(name, "desk", "ann", "cli", "test", now).unwrap()
    };
    create(&mut world, "grid").unwrap();
    assert_eq!(code(create(&mut world, "grid")), "strategy_exists");
    assert_eq!(code(create(&mut world, "a/b")), "invalid_parameter");
    assert_eq!(code(world.submit(&grid)), "strategy_not_running");
    let start = |world: &mut World| world.engine.start_strategy("grid", "ann", "cli", "test", now).unwrap();
    assert!(start(&mut world).unwrap().is_some());
    assert_eq!(start(&mut world), Ok(None));
    world.place(&grid);
    let lab = world.caller(1);
    assert_eq!(code(world.submit_as(lab, "k", &grid)), "strategy_not_running");
    let status = |world: &World| world.engine.state().strategy("grid").unwrap().status;
    for (scope, target, stops) in [
        (KillScope::Symbol, "BTCUSDT", false),
        (KillScope::Account, "lab", false),
        (KillScope::Strategy, "grid", true),
        (KillScope::Account, "desk", true),
        (KillScope::Global, "", true),
    ] {
        world.kill(scope, target, 1);
        assert_eq!(status(&world) == StrategyStatus::Stopped, stops, "{scope}");
        if stops {
            assert_eq!(code(start(&mut world)), "killed");
        }
        let off = KillOff {
            scope,
            target: target.into(),
            by: "ann".into(),
            source: "cli".into(),
        };
        world.engine.kill_off(off, now).unwrap().unwrap();
        assert_eq!(
            status(&world) == StrategyStatus::Stopped,
            stops,
            "clearing starts nothing"
        );
        start(&mut world).unwrap();
    }
    world.check();
}

#[test]
fn restricted_symbols_and_hours_refuse_new_orders_by_the_wall_clock() {
    let mut world = World::new();
    let (now, order) = (world.now, limit(Mode::Paper, "BUY", "1", "50"));
    let restrict = |world: &mut World, account, on| {
        let engine = &mut world.engine;
        engine
            .restrict(account, "BTCUSDT", on, "ann", "delisting", now)
            .unwrap()
            .unwrap()
    };
    assert!(restrict(&mut world, Some("lab"), true).is_some());
    world.place(&order);
    assert!(restrict(&mut world, None, true).is_some() && restrict(&mut world, None, true).is_none());
    assert_eq!(code(world.submit(&order)), "restricted_symbol");
    restrict(&mut world, None, false);
    // The world begins on a Tuesday at 22:13 UTC. What runs past midnight belongs to the day before.
    let mut hours = |weekdays: u8, from_minute, to_minute| {
        let hours = Hours {
            weekdays,
            from_minute,
            to_minute,
        };
        world
            .engine
            .set_schedule(None, hours, "ann", "test", now)
            .unwrap()
            .unwrap();
        let said = world.submit(&order);
        said.map_err(|refusal| refusal.code).map(|_| ())
    };
    let closed = Err("outside_schedule");
    assert_eq!(hours(0b10, 22 * 60, 23 * 60), Ok(()));
    assert_eq!(hours(0b01, 22 * 60, 23 * 60), closed);
    assert_eq!(hours(0b10, 22 * 60 + 13, 22 * 60 + 14), Ok(()));
    assert_eq!(hours(0b10, 22 * 60 + 14, 23 * 60), closed);
    assert_eq!(hours(0b10, 22 * 60, 60), Ok(()));
    assert_eq!(hours(0b01, 23 * 60, 22 * 60 + 14), Ok(()));
    assert_eq!(hours(0b01, 23 * 60, 22 * 60 + 13), closed);
    assert_eq!(hours(0b111_1111, 0, 1_440), Ok(()));
    assert!(
        world.engine.state().schedules().next().is_none(),
        "always is no schedule"
    );
    // An hour's step of the wall clock moves the hours, not journal time.
    let ten = Hours {
        weekdays: 0b10,
        from_minute: 22 * 60,
        to_minute: 23 * 60,
    };
    world
        .engine
        .set_schedule(Some("desk"), ten, "ann", "test", now)
        .unwrap()
        .unwrap();
    world.engine.tick(now, now + 3_600_000 * MS).unwrap();
    assert_eq!(code(world.submit(&order)), "outside_schedule");
    world.check();
}

#[test]
fn a_key_may_be_bound_to_symbols_and_networks() {
    let mut world = World::new();
    let now = world.now;
    let mut key = |id: u8, symbols: &[&str], ip_allow: &[&str]| {
        let key = NewKey {
            account: "desk",
            owner: "ann",
            name: "bound",
            token_sha256: token(id),
            scopes: &[Scope::Trade],
            rate_per_second: 0,
            expires_at: None,
            symbols,
            ip_allow,
        };
        world.engine.create_key(&key, now).unwrap()
    };
    assert_eq!(code(key(20, &["NOPE"], &[])), "invalid_parameter");
    assert_eq!(code(key(20, &[], &["10.0.0.7/8"])), "invalid_parameter");
    key(20, &["ETHUSDT"], &["10.0.0.0/8"]).unwrap();
    let mut from = |peer| {
        let asked = world.engine.authorize_from(&token(20), Scope::Trade, peer, now);
        asked.map_err(|refusal| refusal.code)
    };
    assert_eq!(from(None), Err("ip_not_allowed"));
    assert_eq!(from(Some("11.0.0.1:5")), Err("ip_not_allowed"));
    let caller = from(Some("10.0.0.1:5")).unwrap();
    let order = limit(Mode::Paper, "BUY", "1", "50");
    assert_eq!(code(world.submit_as(caller, "k", &order)), "symbol_not_allowed");
    assert_eq!(
        stored(world.submit_as(caller, "k", &order.replace("BTC", "ETH")).unwrap()).1,
        201
    );
    world.check();
}
