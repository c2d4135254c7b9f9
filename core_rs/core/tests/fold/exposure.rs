//! Sums, days, groups and trading states as commands and reports move them.

use crate::support::{MS, World, cause, limit, stored};
use ordergate_core::engine::Submitted;
use ordergate_core::exposure::Tally;
use ordergate_core::limits::Owner;
use ordergate_core::number::{Amount, Money, Price};
use ordergate_core::record::{Record, TradingStateSet};
use ordergate_core::report::OrderReport;
use ordergate_core::terms::{KillScope, Mode, Side, TradingState};

const HOUR: i64 = 3_600_000 * MS;
const DAY: i64 = 24 * HOUR;

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

fn tally(world: &World, owner: &Owner) -> Tally {
    world
        .engine
        .state()
        .tally(owner, Mode::Paper, 0)
        .copied()
        .unwrap_or_default()
}

fn grid(mode: Mode, side: &str, qty: &str, price: &str) -> String {
    limit(mode, side, qty, price).replace('{', r#"{"strategyId":"grid","#)
}

fn states(world: &mut World, scope: KillScope, target: &str, mode: Option<Mode>, state: TradingState) -> bool {
    let words = |word: &str| word.to_owned();
    let set = TradingStateSet {
        scope,
        target: words(target),
        mode,
        state,
        reason: words("test"),
        by: words("ann"),
        source: words("cli"),
        flatten: false,
    };
    let done = world.engine.set_trading_state(set, world.now).unwrap();
    world.collect();
    done.unwrap().is_some()
}

fn days(world: &World) -> Vec<i64> {
    let decoded = world
        .journal
        .iter()
        .map(|record| Record::decode(record.kind, 1, &record.body).unwrap());
    decoded
        .filter_map(|record| match record {
            Record::DayStarted(body) => Some(body.day),
            _ => None,
        })
        .collect()
}

#[test]
fn an_order_counts_for_firm_account_and_strategy_until_it_ends() {
    let (mut world, paper, _) = World::connected();
    world.run_strategy("grid");
    let order = world.place(&grid(Mode::Paper, "BUY", "2", "50"));
    world.place(&limit(Mode::Paper, "SELL", "1", "70"));
    let owners = [Owner::Firm, Owner::Account(0), Owner::Strategy("grid".into())];
    let open = owners.clone().map(|owner| tally(&world, &owner));
    assert_eq!(
        open.map(|tally| (tally.open_orders, tally.day.orders)),
        [(2, 2), (2, 2), (1, 1)]
    );
    assert_eq!(open.map(|tally| tally.open_buy), [amount("2"); 3]);
    assert_eq!(
        open.map(|tally| tally.open_notional),
        [amount("170"), amount("170"), amount("100")]
    );
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v1" });
    world.fill(paper, order, "1", "0.5", "49");
    let part = tally(&world, &owners[2]);
    assert_eq!(
        (part.open_buy, part.open_notional, part.position()),
        (amount("1.5"), amount("75"), Some(amount("0.5")))
    );
    assert_eq!(
        (part.worst_long(), part.last_price),
        (Some(amount("2")), Some(Price::parse("49").unwrap()))
    );
    assert_eq!((part.day.fills, part.day.turnover), (1, Money(245_000_000_000_000_000)));
    world.cancel(order).unwrap();
    world.report(paper, order, OrderReport::Canceled(cause("USER", "")));
    let ended = tally(&world, &owners[2]);
    assert_eq!(
        (ended.open_orders, ended.open_buy, ended.open_notional),
        (0, Amount::ZERO, Amount::ZERO)
    );
    assert_eq!((ended.day.cancels, ended.position()), (1, Some(amount("0.5"))));
    assert_eq!(tally(&world, &Owner::Firm).open_orders, 1);
    world.check();
}

#[test]
fn a_day_starts_by_the_wall_clock_and_never_again() {
    let (mut world, paper, _) = World::connected();
    world.run_strategy("grid");
    world.engine.tick(world.now, world.now).unwrap();
    let order = world.place(&grid(Mode::Paper, "BUY", "2", "50"));
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v1" });
    world.fill(paper, order, "1", "0.5", "49");
    world.collect();
    let first = days(&world)[0];
    assert_eq!(first, world.now / DAY);
    // The wall clock goes an hour forward and back, around midnight: the day is counted once.
    world.now += DAY - world.now % DAY - HOUR / 2;
    for step in [0, HOUR, 0, -HOUR, HOUR] {
        world.engine.tick(world.now, world.now + step).unwrap();
        world.collect();
    }
    assert_eq!(days(&world), [first, first + 1]);
    let day = tally(&world, &Owner::Account(0)).day;
    assert_eq!((day.orders, day.fills, day.turnover), (0, 0, Money::ZERO));
    assert_eq!(day.opening.quantity(), Some(amount("0.5")));
    assert_eq!(
        day.opening_mark, None,
        "no price was told: that of the last trade is none of today's"
    );
    assert_eq!(tally(&world, &Owner::Account(0)).open_orders, 1);
    world.now += DAY + HOUR;
    world.engine.tick(world.now, world.now).unwrap();
    world.collect();
    assert_eq!(days(&world).len(), 3);
    world.check();
}

#[test]
fn the_boldest_order_of_the_group_is_found() {
    let (mut world, paper, _) = World::connected();
    let best = |world: &World, side| world.engine.state().best_own_opposite(0, Mode::Paper, 0, side, true);
    let price = |text: &str| Price::parse(text).unwrap();
    let high = world.place(&limit(Mode::Paper, "SELL", "1", "70"));
    let low = world.place(&limit(Mode::Paper, "SELL", "1", "60"));
    world.place(&limit(Mode::Paper, "SELL", "1", "60"));
    assert_eq!(
        (best(&world, Side::Buy), best(&world, Side::Sell)),
        (Some((price("60"), low)), None)
    );
    let lab = world.caller(1);
    let submitted = world
        .submit_as(lab, "lab-1", &limit(Mode::Paper, "SELL", "1", "55"))
        .unwrap();
    let (other, ..) = stored(submitted);
    assert_eq!(best(&world, Side::Buy), Some((price("60"), low)));
    for account in ["desk", "lab"] {
        let set = world
            .engine
            .set_stp_group(account, "house", "ann", "one book", world.now)
            .unwrap();
        assert!(set.unwrap().is_some());
        let again = world
            .engine
            .set_stp_group(account, "house", "ann", "one book", world.now)
            .unwrap();
        assert!(again.unwrap().is_none());
    }
    world.collect();
    assert_eq!(best(&world, Side::Buy), Some((price("55"), other)));
    assert!(
        world
            .engine
            .set_stp_group("nobody", "house", "ann", "x", world.now)
            .unwrap()
            .is_err()
    );
    assert!(
        world
            .engine
            .set_stp_group("desk", "No", "ann", "x", world.now)
            .unwrap()
            .is_err()
    );
    world
        .engine
        .set_stp_group("lab", "", "ann", "apart", world.now)
        .unwrap()
        .unwrap();
    world.collect();
    assert_eq!(best(&world, Side::Buy), Some((price("60"), low)));
    for order in [low, high] {
        world.report(paper, order, OrderReport::Canceled(cause("USER", "")));
    }
    let left = best(&world, Side::Buy).unwrap();
    assert_eq!(left.0, price("60"));
    world.check();
}

#[test]
fn the_strictest_state_of_an_orders_scopes_binds_it() {
    let (mut world, ..) = World::connected();
    world.run_strategy("grid");
    let state = |world: &World, mode| {
        world
            .engine
            .state()
            .trading_state(mode, "desk", Some("grid"), "BTCUSDT")
    };
    assert_eq!(state(&world, Mode::Live), TradingState::Active);
    let free = world.place(&limit(Mode::Paper, "BUY", "1", "50"));
    assert!(states(
        &mut world,
        KillScope::Account,
        "desk",
        Some(Mode::Paper),
        TradingState::ReduceOnly
    ));
    assert!(!states(
        &mut world,
        KillScope::Account,
        "desk",
        Some(Mode::Paper),
        TradingState::ReduceOnly
    ));
    assert!(states(
        &mut world,
        KillScope::Symbol,
        "ETHUSDT",
        None,
        TradingState::Halted
    ));
    assert_eq!(
        [Mode::Paper, Mode::Live].map(|mode| state(&world, mode)),
        [TradingState::ReduceOnly, TradingState::Active]
    );
    assert!(states(
        &mut world,
        KillScope::Strategy,
        "grid",
        None,
        TradingState::Halted
    ));
    assert_eq!(
        [Mode::Paper, Mode::Live].map(|mode| state(&world, mode)),
        [TradingState::Halted; 2]
    );
    let refused = world.submit(&grid(Mode::Paper, "BUY", "1", "50")).unwrap_err();
    assert_eq!((refused.code, refused.status()), ("halted", 503));
    let denied = world.submit(&limit(Mode::Paper, "BUY", "1", "50")).unwrap();
    assert!(matches!(&denied, Submitted::Stored { status: 422, body, .. } if body.contains("Failed: REDUCE_ONLY")));
    assert!(states(&mut world, KillScope::Global, "", None, TradingState::Halted));
    assert!(world.submit(&limit(Mode::Paper, "BUY", "1", "50")).is_err());
    world.cancel(free).unwrap();
    for (scope, target) in [
        (KillScope::Global, ""),
        (KillScope::Strategy, "grid"),
        (KillScope::Account, "desk"),
    ] {
        assert!(states(&mut world, scope, target, None, TradingState::Active));
    }
    assert_eq!(state(&world, Mode::Paper), TradingState::Active);
    assert_eq!(world.engine.state().trading_states().count(), 2);
    world.check();
}

#[test]
fn windows_count_and_are_the_same_after_a_start() {
    use ordergate_core::engine::Engine;
    use ordergate_core::windows::same_order;
    let (mut world, paper, _) = World::connected();
    world.run_strategy("grid");
    let body = grid(Mode::Paper, "BUY", "2", "50");
    let order = world.place(&body);
    world.now += 2_000 * MS;
    world.engine.kill_reading(world.now);
    let second = world.place(&body);
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v1" });
    world.fill(paper, order, "1", "0.5", "49");
    world.fill(paper, order, "2", "0.5", "49");
    world.report(paper, second, OrderReport::Reject(cause("NO", "")));
    world.submit(&grid(Mode::Paper, "SELL", "2000", "50")).unwrap();
    world.collect();
    let hash = same_order(&world.order(order).terms);
    let counts = |engine: &Engine, now| {
        let windows = [1_000, 10_000].map(|ms| engine.duplicates(hash, ms * MS, now));
        (
            windows,
            engine.executions("grid", 0, Side::Buy, now),
            engine.rejects("grid", now),
        )
    };
    assert_eq!(counts(&world.engine, world.now), ([1, 2], 2, 2));
    let again = Engine::new(world.engine.state().clone());
    assert_eq!(counts(&again, world.now), ([1, 2], 2, 2));
    assert_eq!(counts(&again, world.now + 60_000 * MS), ([0, 0], 0, 0));
    world.check();
}
