//! The wall clock steps an hour forward and back: days follow it once, everything that is a length of time does not
//! notice, since journal time only rises.

use crate::support::{MS, World, code, limit, replay, stored};
use ordergate_core::engine::{Engine, Submitted};
use ordergate_core::record::Record;
use ordergate_core::report::OrderReport;
use ordergate_core::terms::{KillScope, Mode, OrdStatus, Side};
use ordergate_core::windows::same_order;

const SECOND: i64 = 1_000 * MS;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
const STEPS: [i64; 5] = [HOUR, -HOUR, 0, -2 * HOUR, HOUR];

/// A tick, with the wall clock so far from journal time.
fn tick(world: &mut World, step: i64) {
    world.engine.kill_reading(world.now);
    world.engine.tick(world.now, world.now + step).unwrap();
}

/// (day, journal time) of each day that began.
fn days(world: &World) -> Vec<(i64, i64)> {
    let started = world.journal.iter().filter_map(|emitted| {
        match Record::decode(emitted.kind, Record::VERSION, &emitted.body).unwrap() {
            Record::DayStarted(body) => Some((body.day, emitted.ts)),
            _ => None,
        }
    });
    started.collect()
}

#[test]
fn windows_of_equal_orders_trades_and_rejects_do_not_notice() {
    let (mut world, paper, _) = World::connected();
    world.run_strategy("grid");
    let body = limit(Mode::Paper, "BUY", "1", "50").replace('{', r#"{"strategyId":"grid","#);
    let order = world.place(&body);
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v1" });
    world.fill(paper, order, "1", "0.5", "49");
    let hash = same_order(&world.order(order).terms);
    let seen = |world: &World| {
        let engine = &world.engine;
        let (executions, rejects) = (
            engine.executions("grid", 0, Side::Buy, world.now),
            engine.rejects("grid", world.now),
        );
        (
            engine.duplicates(hash, SECOND, world.now),
            engine.duplicates(hash, 10 * SECOND, world.now),
            executions,
            rejects,
        )
    };
    world.now += SECOND / 2;
    for step in STEPS {
        tick(&mut world, step);
        assert_eq!(seen(&world), (1, 1, 1, 0), "step {step}");
    }
    world.now += SECOND / 2;
    tick(&mut world, HOUR);
    assert_eq!(seen(&world), (0, 1, 1, 0), "a second of journal time has passed");
    world.now += 9 * SECOND;
    tick(&mut world, -HOUR);
    assert_eq!(seen(&world), (0, 0, 1, 0));
    world.now += 50 * SECOND;
    tick(&mut world, 0);
    assert_eq!(seen(&world), (0, 0, 0, 0));
    // A start on this journal rebuilds the same windows, whatever the wall clock says then.
    world.place(&body);
    world.collect();
    let mut engine = Engine::new(replay(&world.journal));
    engine.start(2, "abcdefgh", 1, -HOUR, world.now).unwrap();
    assert_eq!(engine.duplicates(hash, SECOND, world.now), 1);
    world.check();
}

#[test]
fn days_rise_by_the_wall_clock_and_each_begins_once() {
    let (mut world, ..) = World::connected();
    world.collect();
    let midnight = world.now + DAY - world.now % DAY;
    let today = midnight / DAY - 1;
    // Half an hour before midnight to half an hour after the next but one, a step every quarter of an hour.
    world.now = midnight - HOUR / 2;
    let mut steps = STEPS.into_iter().cycle();
    while world.now < midnight + DAY + HOUR / 2 {
        tick(&mut world, steps.next().unwrap());
        world.collect();
        world.now += HOUR / 4;
    }
    let began = days(&world);
    let numbers: Vec<i64> = began.iter().map(|(day, _)| *day).collect();
    assert_eq!(numbers, [today + 1, today + 2]);
    // Each began at most the hour of the largest step before its midnight, and not after a tick that saw it.
    for (day, at) in began {
        assert!((day * DAY - HOUR..=day * DAY + HOUR / 2).contains(&at), "{day} at {at}");
    }
    assert_eq!(world.engine.state().day(), Some(today + 2));
    world.check();
}

#[test]
fn a_start_with_a_wall_clock_that_went_back_opens_no_day_again() {
    let (mut world, ..) = World::connected();
    world.now += DAY - world.now % DAY + SECOND;
    tick(&mut world, 0);
    world.collect();
    let day = world.engine.state().day().unwrap();
    for offset in [-HOUR, HOUR, 0] {
        let mut engine = Engine::new(replay(&world.journal));
        engine.start(2, "abcdefgh", 1, offset, world.now).unwrap();
        engine.kill_reading(world.now);
        engine.tick(world.now, world.now + offset).unwrap();
        assert_eq!(engine.state().day(), Some(day), "offset {offset}");
        assert_eq!(engine.state().wall_offset_ns(), offset);
    }
}

#[test]
fn a_step_misses_no_heartbeat_and_ends_no_order() {
    let (mut world, paper, live) = World::connected();
    let caller = world.caller(0);
    let beat = world
        .engine
        .heartbeat(caller, KillScope::Account, None, 60_000, world.now);
    beat.unwrap().unwrap();
    let orders = [Mode::Paper, Mode::Live].map(|mode| world.buy(mode, "1", "50"));
    world.report(paper, orders[0], OrderReport::Ack { venue_order_id: "v1" });
    world.report(live, orders[1], OrderReport::Ack { venue_order_id: "v2" });
    let body = limit(Mode::Paper, "BUY", "2", "50");
    let (first, ..) = stored(world.submit_as(caller, "the key", &body).unwrap());
    world.collect();
    for step in STEPS {
        world.now += SECOND / 10;
        tick(&mut world, step);
        let changed = world.names();
        let told = |name: &&str| !["CLOCK", "DAY_STARTED"].contains(name);
        assert!(!changed.iter().any(told), "{step}: {changed:?}");
        assert!(
            world.engine.state().kill(KillScope::Account, "desk").is_none(),
            "{step}"
        );
        assert_eq!(orders.map(|order| world.status(order)), [OrdStatus::New; 2]);
        let again = world.submit_as(caller, "the key", &body).unwrap();
        assert!(matches!(again, Submitted::Repeat { seq } if seq == first), "{again:?}");
    }
    // Silence is counted in journal time: a minute of it.
    for _ in 0..602 {
        world.now += SECOND / 10;
        tick(&mut world, -HOUR);
    }
    assert!(world.engine.state().kill(KillScope::Account, "desk").is_some());
    world.check();
}

#[test]
fn a_step_makes_no_reading_of_the_kill_switch_older_or_fresher() {
    let (mut world, ..) = World::connected();
    let body = limit(Mode::Paper, "BUY", "1", "50");
    world.engine.kill_reading(world.now);
    for step in STEPS {
        world.engine.tick(world.now, world.now + step).unwrap();
        world.submit(&body).unwrap();
    }
    world.now += SECOND / 2;
    for step in STEPS {
        world.engine.tick(world.now, world.now + step).unwrap();
        assert_eq!(code(world.submit(&body)), "kill_switch_stale", "step {step}");
    }
    world.check();
}
