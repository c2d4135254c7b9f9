//! A naive model of the engine, and whatever clients, venues, operators and crashes may do to both.
//!
//! The model (`reference`, `orders`) is written from the rules and shares no logic with the core, only its words. After
//! every step the engine, the model, a replay of the journal and a restored snapshot must show the same picture, and
//! every invariant must hold. `PROPTEST_CASES` asks for more cases; a failure is shrunk to the shortest history.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod fills_win;
mod interleavings;
mod invariants;
mod limiting;
mod live;
mod orders;
mod picture;
mod reference;
mod steps;
mod sums;
mod words;
mod world;

use invariants::{INVARIANTS, Moment};
use ordergate_core::terms::Mode;
use orders::Event;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;
use steps::{Step, step};
use world::{Outcome, World};

/// Enough for every day; a long run asks for more.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(128)
}

/// One thing happens, and every invariant is looked at; how it ended, and which statuses changed.
fn watched(
    world: &mut World,
    what: &dyn std::fmt::Debug,
    act: impl FnOnce(&mut World) -> Outcome,
) -> (Outcome, BTreeSet<String>) {
    let (before, was) = (
        world.picture(world.state()),
        (world.state().digest(), world.state().last_seq()),
    );
    let outcome = act(world);
    world.collect();
    let after = world.picture(world.state());
    let moment = Moment {
        world,
        outcome,
        before: &before,
        after: &after,
        was,
    };
    for (name, check) in INVARIANTS {
        if let Err(why) = check(&moment) {
            panic!("{what:?} breaks \"{name}\": {why}");
        }
    }
    let changes = moment.changes_of_status().collect();
    (moment.outcome, changes)
}

/// Every order ends: nothing is held any more.
fn drain(world: &mut World) {
    for mode in Mode::ALL {
        watched(world, &mode, |world| world.go(&Step::Connect { mode: *mode }));
    }
    let open = world.model.orders.values().filter(|order| order.is_open());
    let open: Vec<_> = open.map(|order| (order.id, order.mode)).collect();
    for (id, mode) in open {
        let session = world.model.sessions[&mode];
        watched(world, &id, |world| world.report(session, id, &Event::Canceled("END")));
    }
    sums::are_empty(world).unwrap();
}

/// Tells a world the whole history; what it came past on the way.
fn tell(steps: &[Step]) -> BTreeSet<String> {
    let mut world = World::new();
    let mut passed = BTreeSet::new();
    for (number, step) in steps.iter().enumerate() {
        if let Step::Crash { lose } = step {
            world.die(*lose);
        }
        let (_, changes) = watched(&mut world, &(number, step), |world| world.go(step));
        passed.extend(changes);
    }
    passed.append(&mut world.said);
    drain(&mut world);
    passed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_agrees_with_the_model(steps in proptest::collection::vec(step(), 1..120)) {
        tell(&steps);
    }
}

/// What the random steps must come past, or the histories prove little.
#[rustfmt::skip]
const SIGHTS: [&str; 59] = [
    "accepted", "repeat",
    "invalid_field", "idempotency_key_missing", "idempotency_key_reused", "request_in_progress", "unknown_symbol",
    "symbol_not_trading", "invalid_price", "invalid_quantity", "invalid_notional", "client_order_id_in_use", "killed",
    "kill_switch_stale", "journal_full", "venue_unavailable", "strategy_not_running", "not_found", "already_filled", "already_ended",
    "NO_REFERENCE_PRICE", "MAX_ORDER_QTY", "MAX_ORDER_NOTIONAL", "MAX_OPEN_ORDERS", "INSUFFICIENT_BALANCE",
    "MAX_OPEN_NOTIONAL", "MAX_LONG_POSITION", "MAX_SHORT_POSITION", "MAX_DAILY_ORDERS", "MAX_DUPLICATES_1S", "NEW_ORDER_RATE",
    "UNEXPLAINED_DRIFT", "ORDER_IN_DOUBT", "external", "Requery", "Attach", "DeclareAbsent",
    "PENDING_NEW > SUBMITTED", "PENDING_NEW > CANCELED", "PENDING_NEW > REJECTED", "SUBMITTED > NEW", "SUBMITTED > IN_DOUBT",
    "SUBMITTED > REJECTED", "SUBMITTED > PENDING_CANCEL", "NEW > REJECTED", "NEW > PENDING_CANCEL", "IN_DOUBT > NEW",
    "IN_DOUBT > PENDING_CANCEL", "IN_DOUBT > REJECTED", "PARTIALLY_FILLED > FILLED", "PENDING_CANCEL > CANCELED",
    "PENDING_CANCEL > NEW", "PENDING_CANCEL > PARTIALLY_FILLED", "CANCELED > FILLED", "CANCELED > NEW", "EXPIRED > FILLED",
    "REJECTED > NEW", "REJECTED > PARTIALLY_FILLED", "REJECTED > FILLED",
];

#[test]
fn the_histories_come_past_every_answer_and_every_turn_of_an_order() {
    let mut runner = TestRunner::deterministic();
    let histories = proptest::collection::vec(step(), 80..120);
    let mut passed = BTreeSet::new();
    for _ in 0..400 {
        passed.extend(tell(&histories.new_tree(&mut runner).unwrap().current()));
    }
    let missed: Vec<_> = SIGHTS.iter().filter(|sight| !passed.contains(**sight)).collect();
    assert!(missed.is_empty(), "never seen: {missed:?}; seen: {passed:?}");
}
