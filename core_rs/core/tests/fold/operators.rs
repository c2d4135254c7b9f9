//! Stories of operators: kills, keys, limits, clocks, restarts.

use crate::support::*;
use ordergate_core::engine::NewKey;
use ordergate_core::number::Amount;
use ordergate_core::record::KillOff;
use ordergate_core::report::OrderReport;
use ordergate_core::terms::{KillScope, Mode, OrdStatus, Scope};

#[test]
fn nothing_is_started_on_an_old_reading_of_the_kill_switch() {
    let mut world = World::new();
    let order = world.buy(Mode::Paper, "1", "50");
    world.now += 301 * MS;
    world.connect("paper", Mode::Paper);
    assert_eq!(world.status(order), OrdStatus::PendingNew);
    world.wait(0);
    assert_eq!(world.status(order), OrdStatus::Submitted);
}

#[test]
fn a_kill_ends_unsent_orders_of_its_scope_and_blocks_new_ones() {
    let mut world = World::new();
    let with = |what: &str| limit(Mode::Paper, "BUY", "1", "50").replace("{", &format!("{{{what},"));
    let plain = world.buy(Mode::Paper, "1", "50");
    world.run_strategy("grid");
    let strategy = world.place(&with(r#""strategyId":"grid""#));
    let eth = world.place(&limit(Mode::Paper, "BUY", "1", "50").replace("BTC", "ETH"));
    let killed = |world: &World| -> Vec<bool> {
        [plain, strategy, eth]
            .iter()
            .map(|id| world.status(*id) == OrdStatus::Canceled)
            .collect()
    };
    world.kill(KillScope::Strategy, "grid", 1);
    assert_eq!(killed(&world), [false, true, false]);
    assert_eq!(
        (&*world.order(strategy).reason, world.order(strategy).rejected_by()),
        ("KILLED", None)
    );
    assert_eq!(code(world.submit(&with(r#""strategyId":"grid""#))), "killed");
    world.kill(KillScope::Symbol, "ETHUSDT", 1);
    assert_eq!(killed(&world), [false, true, true]);
    world.kill(KillScope::Account, "lab", 1);
    assert_eq!(killed(&world), [false, true, true]);
    world.kill(KillScope::Global, "", 1);
    assert_eq!(killed(&world), [true, true, true]);
    let off = KillOff {
        scope: KillScope::Global,
        target: String::new(),
        by: "ann".into(),
        source: "cli".into(),
    };
    world.engine.kill_off(off, world.now).unwrap().unwrap();
    world.buy(Mode::Paper, "1", "50");
    assert_eq!(
        code(world.submit(&with(r#""strategyId":"grid""#))),
        "killed",
        "each scope has its own state"
    );
    world.check();
}

#[test]
fn a_kill_of_level_two_also_cancels_working_orders() {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "1", "50");
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v" });
    world.kill(KillScope::Global, "", 1);
    world.wait(50);
    assert_eq!(world.status(order), OrdStatus::New);
    world.kill(KillScope::Global, "", 2);
    world.wait(50);
    assert_eq!(world.status(order), OrdStatus::PendingCancel);
    world.report(paper, order, OrderReport::Canceled(cause("", "")));
    assert_eq!(
        (world.status(order), &*world.order(order).reason),
        (OrdStatus::Canceled, "KILLED")
    );
    world.check();
}

#[test]
fn keys_expire_are_revoked_have_scopes_and_rates_of_their_own() {
    let mut world = World::new();
    let now = world.now;
    let mut key = |id: u8, scopes: &[Scope], rate_per_second, expires_at| {
        let token_sha256 = token(id);
        let key = NewKey {
            account: "desk",
            owner: "bob",
            name: "k",
            token_sha256,
            scopes,
            rate_per_second,
            expires_at,
            symbols: &[],
            ip_allow: &[],
        };
        world.engine.create_key(&key, now).unwrap().unwrap().0
    };
    let trader = key(10, &[Scope::Trade], 2, None);
    key(11, &[Scope::CancelOnly], 0, None);
    key(12, &[Scope::Trade], 0, Some(now + 5));
    let mut ask = |id: u8, scope, at| world.engine.authorize(&token(id), scope, at).map(|caller| caller.key);
    assert_eq!(ask(10, Scope::Trade, now), Ok(trader));
    assert_eq!(ask(10, Scope::Trade, now), Ok(trader));
    let limited = ask(10, Scope::Trade, now).unwrap_err();
    assert_eq!((limited.code, limited.retry_after_ms), ("rate_limited", Some(501)));
    assert!(
        ask(10, Scope::CancelOnly, now).is_ok(),
        "cancels have a lane of their own"
    );
    for _ in 0..8 {
        assert!(
            ask(10, Scope::Read, now).is_ok(),
            "reads too, four times the key's rate"
        );
    }
    assert_eq!(code(ask(10, Scope::Read, now)), "rate_limited");
    assert!(ask(10, Scope::Trade, now + 501 * MS).is_ok());
    assert_eq!(code(ask(10, Scope::Kill, now)), "forbidden");
    assert_eq!(code(ask(11, Scope::Trade, now)), "forbidden");
    assert!(ask(11, Scope::CancelOnly, now).is_ok());
    assert!(ask(12, Scope::Trade, now + 4).is_ok());
    assert_eq!(code(ask(12, Scope::Trade, now + 5)), "unauthorized");
    assert_eq!(code(ask(99, Scope::Read, now)), "unauthorized");
    world.engine.revoke_key(trader, now).unwrap().unwrap();
    assert_eq!(
        code(world.engine.authorize(&token(10), Scope::Read, now)),
        "unauthorized"
    );
    world.check();
}

#[test]
fn administration_refuses_what_is_wrong_and_journals_only_changes() {
    let mut world = World::new();
    let now = world.now;
    let digest = world.engine.state().digest();
    let engine = &mut world.engine;
    for name in ["desk", "", "Desk", "-x", "a b", &"a".repeat(33)] {
        assert_eq!(
            code(engine.create_account(name, now).unwrap()),
            "invalid_parameter",
            "{name}"
        );
    }
    let amount = |text| Amount::parse(text).unwrap();
    assert_eq!(
        code(
            engine
                .adjust_balance("no", Mode::Paper, "USDT", amount("1"), "x", now)
                .unwrap()
        ),
        "not_found"
    );
    assert_eq!(
        code(
            engine
                .adjust_balance("desk", Mode::Paper, "usdt", amount("1"), "x", now)
                .unwrap()
        ),
        "invalid_parameter"
    );
    let most = Amount(i128::MAX);
    assert_eq!(
        code(
            engine
                .adjust_balance("desk", Mode::Live, "USDT", most, "x", now)
                .unwrap()
        ),
        "invalid_parameter"
    );
    let taken = amount("-1000000.00000001");
    assert_eq!(
        code(
            engine
                .adjust_balance("desk", Mode::Paper, "USDT", taken, "x", now)
                .unwrap()
        ),
        "invalid_parameter"
    );
    assert_eq!(
        engine
            .set_instrument(instrument("BTCUSDT", "BTC"), now)
            .unwrap()
            .unwrap(),
        None,
        "unchanged"
    );
    assert_eq!(
        code(engine.set_instrument(instrument("BTCUSDT", "ETH"), now).unwrap()),
        "invalid_parameter"
    );
    assert_eq!(code(engine.revoke_key(77, now).unwrap()), "not_found");
    assert_eq!(world.engine.state().digest(), digest);
    let mut halted = instrument("BTCUSDT", "BTC");
    halted.status = "HALT".into();
    assert!(world.engine.set_instrument(halted, now).unwrap().unwrap().is_some());
    assert_eq!(
        code(world.submit(&limit(Mode::Paper, "BUY", "1", "50"))),
        "symbol_not_trading"
    );
    world.check();
}

#[test]
fn a_step_of_the_wall_clock_is_journaled_and_drift_is_not() {
    let mut world = World::new();
    world.collect();
    world.engine.tick(world.now, world.now + 900 * MS).unwrap();
    assert_eq!(world.names(), ["DAY_STARTED"]);
    world.engine.tick(world.now, world.now - 3_600_000 * MS).unwrap();
    assert_eq!(world.names(), ["CLOCK"]);
    assert_eq!(world.engine.state().wall_offset_ns(), -3_600_000 * MS);
    world.engine.tick(world.now, world.now - 3_600_000 * MS).unwrap();
    assert!(world.collect().is_empty());
}

#[test]
fn orders_of_an_account_come_newest_first_in_pages() {
    let mut world = World::new();
    let ids: Vec<_> = (0..5).map(|_| world.buy(Mode::Paper, "1", "50")).collect();
    let page = |before| -> Vec<u64> {
        world
            .engine
            .state()
            .orders_of(0, before)
            .take(2)
            .map(|order| order.id)
            .collect()
    };
    assert_eq!(page(None), [ids[4], ids[3]]);
    assert_eq!(page(Some(ids[3])), [ids[2], ids[1]]);
    assert_eq!(page(Some(ids[1])), [ids[0]]);
    assert!(world.engine.state().orders_of(1, None).next().is_none());
    assert!(world.engine.state().orders_of(9, None).next().is_none());
}

#[test]
fn a_restart_goes_on_where_it_stopped() {
    let (mut world, ..) = World::connected();
    let order = world.buy(Mode::Live, "1", "50");
    world.collect();
    let mut engine = ordergate_core::engine::Engine::new(replay(&world.journal));
    engine.start(2, "otherone", 1, 0, world.now - 5).unwrap();
    assert_eq!(engine.state().install(), "abcdefgh", "the install id stays");
    assert_eq!(engine.session("binance"), None, "nobody is connected yet");
    assert_eq!(engine.state().order(order).unwrap().status(), OrdStatus::Submitted);
    engine
        .open_session("binance", Mode::Live, 1, world.now)
        .unwrap()
        .unwrap();
    assert_eq!(engine.state().order(order).unwrap().status(), OrdStatus::InDoubt);
}
