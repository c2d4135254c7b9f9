//! Ended orders leave memory; trades that come after wait, are booked once, and are never lost.

use crate::support::{MS, World, cause, code, fill, instrument, limit, replay};
use ordergate_core::number::Money;
use ordergate_core::order::Order;
use ordergate_core::record::Record;
use ordergate_core::report::{OrderReport, RawFill, Report};
use ordergate_core::retention::{KEEP_ENDED, KEEP_ENDED_NS, LATE_FILLS_MAX, TOGETHER, facts_of};
use ordergate_core::snapshot;
use ordergate_core::terms::{Mode, OrdStatus, OrderId, SessionId};

const HOUR: i64 = KEEP_ENDED_NS / MS;

/// An order that traded 1 of 2 and was canceled.
fn canceled(world: &mut World, live: SessionId) -> OrderId {
    let order = world.buy(Mode::Live, "2", "50");
    world.report(live, order, OrderReport::Ack { venue_order_id: "v1" });
    world.fill(live, order, "1", "1", "50");
    world.report(live, order, OrderReport::Canceled(cause("USER", "")));
    order
}

/// Such an order that has left, and what its row in Postgres would hold.
fn left() -> (World, SessionId, OrderId, Vec<u8>) {
    let (mut world, _, live) = World::connected();
    let order = canceled(&mut world, live);
    let facts = facts_of(world.order(order));
    world.wait(HOUR);
    world.any_record();
    assert!(world.engine.state().order(order).is_none());
    (world, live, order, facts)
}

impl World {
    /// Any record: what is due leaves with it.
    fn any_record(&mut self) {
        let state_hash = self.engine.state_hash_record(self.now).unwrap();
        assert!(state_hash > 0);
    }

    fn reload(&mut self, order: OrderId, facts: Option<&[u8]>) -> Result<(), String> {
        self.engine.reload(order, facts, self.now).unwrap()
    }
}

#[test]
fn the_fee_of_a_late_trade_is_worth_what_it_is_when_the_trade_is_booked() {
    let (mut world, live, order, facts) = left();
    let listed = instrument("BNBUSDT", "BNB");
    world.engine.set_instrument(listed, world.now).unwrap().unwrap();
    let late = RawFill {
        fee: "0.001",
        fee_asset: "BNB",
        ..fill("late")
    };
    world.report(live, order, OrderReport::Fill(late));
    let price = Report::Price {
        symbol: "BNBUSDT",
        bid: "600",
        ask: "602",
        last: "601",
        venue_ns: 1,
    };
    world.engine.report(live, &price, world.now).unwrap();
    world.collect();
    world.reload(order, Some(&facts)).unwrap();
    let booked = world.collect().into_iter().find_map(|record| match record {
        Record::Fill(fill) => Some(fill.fee_value),
        _ => None,
    });
    assert_eq!(booked, Some(Some(Money(601 * 10_i128.pow(13)))), "0.601");
    assert_eq!(world.engine.state().late_fill_count(), 0);
    world.check();
}

#[test]
fn an_ended_order_leaves_an_hour_after_its_last_change_and_an_open_one_never() {
    let (mut world, _, live) = World::connected();
    let (order, open) = (canceled(&mut world, live), world.buy(Mode::Live, "1", "50"));
    world.report(live, open, OrderReport::Ack { venue_order_id: "v2" });
    world.wait(HOUR / 2);
    world.fill(live, order, "2", "0.5", "50");
    world.wait(HOUR - 1);
    world.any_record();
    assert_eq!(
        world.status(order),
        OrdStatus::Canceled,
        "it changed less than an hour ago"
    );
    world.wait(1);
    world.any_record();
    assert!(world.engine.state().order(order).is_none());
    assert_eq!(
        world
            .engine
            .state()
            .just_left()
            .iter()
            .map(|order| order.id)
            .collect::<Vec<_>>(),
        [order]
    );
    assert_eq!(
        (world.status(open), world.engine.state().counters().left),
        (OrdStatus::New, 1)
    );
    assert_eq!(
        world
            .engine
            .state()
            .orders_of(0, None)
            .map(|order| order.id)
            .collect::<Vec<_>>(),
        [open]
    );
    world.check();
}

#[test]
fn the_oldest_leave_when_too_many_have_ended() {
    let (mut world, paper, _) = World::connected();
    let open = world.buy(Mode::Paper, "1", "50");
    world.report(paper, open, OrderReport::Ack { venue_order_id: "v" });
    let body = limit(Mode::Paper, "SELL", "2000", "50");
    let first = world.engine.state().last_seq() + 1;
    for _ in 0..KEEP_ENDED + TOGETHER + 10 {
        world.submit(&body).unwrap();
        let _ = world.engine.take_emitted();
    }
    let (state, together) = (world.engine.state(), TOGETHER as u64);
    assert_eq!(
        state.orders().count(),
        KEEP_ENDED + 10 + 1,
        "memory is bounded whatever the rate"
    );
    let gone = |order: u64| state.order(order).is_none();
    assert!(gone(first + together - 1) && !gone(first + together) && !gone(open));
    assert_eq!(
        state.request_key_count(),
        KEEP_ENDED + TOGETHER + 11,
        "request keys are kept for their day"
    );
    let restored = snapshot::decode(&snapshot::encode(state).unwrap()).unwrap();
    assert_eq!(restored.digest(), state.digest());
}

#[test]
fn a_request_key_outlives_its_order() {
    let (mut world, _, live) = World::connected();
    let (caller, body) = (world.caller(0), limit(Mode::Live, "BUY", "1", "50"));
    let first = world.submit_as(caller, "mine", &body).unwrap();
    let (order, ..) = crate::support::stored(first);
    world.report(live, order, OrderReport::Reject(cause("-2010", "no")));
    world.wait(HOUR);
    world.any_record();
    assert!(world.engine.state().order(order).is_none());
    let repeat = ordergate_core::engine::Submitted::Repeat { seq: order };
    assert_eq!(world.submit_as(caller, "mine", &body).unwrap(), repeat);
    assert_eq!(
        code(world.submit_as(caller, "mine", &limit(Mode::Live, "BUY", "2", "50"))),
        "idempotency_key_reused"
    );
    world.check();
    world.wait(23 * HOUR);
    world.any_record();
    assert_eq!(world.engine.state().request_key_count(), 0);
    assert!(matches!(
        world.submit_as(caller, "mine", &body).unwrap(),
        ordergate_core::engine::Submitted::Stored { .. }
    ));
    world.check();
}

#[test]
fn a_late_trade_waits_brings_its_order_back_and_is_booked_once() {
    let (mut world, live, order, facts) = left();
    world.collect();
    world.fill(live, order, "2", "0.5", "40");
    world.fill(live, order, "2", "0.5", "40");
    assert_eq!(world.names(), ["LATE_FILL"], "durable, once");
    let awaited: Vec<_> = world.engine.state().awaited_orders().collect();
    assert_eq!(awaited, [(order, world.engine.state().last_seq())]);
    let before = world.balance(Mode::Live, "BTC");
    world.check();

    world.reload(order, Some(&facts)).unwrap();
    assert_eq!(world.names(), ["ORDER_RELOADED", "FILL"]);
    let back = world.order(order);
    assert_eq!(
        (back.status(), back.cum_qty.to_string(), back.fill_count()),
        (OrdStatus::Canceled, "1.5".into(), 2)
    );
    assert!(back.late_fill);
    assert_eq!(before.0, "101");
    assert_eq!(world.balance(Mode::Live, "BTC").0, "101.5");
    world.fill(live, order, "1", "1", "50");
    world.fill(live, order, "2", "0.5", "40");
    assert!(world.names().is_empty(), "both trades are known again");
    assert_eq!(world.engine.state().awaited_orders().count(), 0);
    world.check();
}

#[test]
fn an_order_that_came_back_leaves_once_postgres_holds_it() {
    let (mut world, live, order, facts) = left();
    world.fill(live, order, "2", "0.5", "40");
    world.reload(order, Some(&facts)).unwrap();
    let last = world.order(order).last_seq;
    world.wait(2 * HOUR);
    world.any_record();
    world.engine.release(last - 1, world.now).unwrap();
    assert_eq!(
        world.order(order).last_seq,
        last,
        "neither time nor an older watermark lets it go"
    );
    world.check();
    world.collect();
    world.engine.release(last, world.now).unwrap();
    assert_eq!(world.names(), ["ORDER_LEFT"]);
    assert!(world.engine.state().order(order).is_none());
    world.check();

    // And again, with what Postgres holds by then.
    let facts = {
        let (mut again, ..) = left();
        again.fill(live, order, "2", "0.5", "40");
        again.reload(order, Some(&facts)).unwrap();
        facts_of(again.order(order))
    };
    world.fill(live, order, "2", "0.5", "40");
    world.fill(live, order, "3", "0.25", "40");
    world.reload(order, Some(&facts)).unwrap();
    assert_eq!(
        world.order(order).cum_qty.to_string(),
        "1.75",
        "the second trade was counted before"
    );
    world.check();
}

#[test]
fn a_trade_of_what_never_was_an_order_is_closed_with_an_alarm() {
    let (mut world, live, order, facts) = left();
    let never = order - 1;
    world.fill(live, never, "9", "1", "50");
    assert!(
        world.reload(never, Some(&facts)).is_err(),
        "another order's facts bring nothing back"
    );
    assert_eq!(world.engine.state().late_fills(never).len(), 1);
    world.collect();
    world.reload(never, None).unwrap();
    assert_eq!(world.names(), ["LATE_FILL_CLOSED"]);
    assert_eq!(
        (
            world.engine.state().late_fill_count(),
            world.engine.state().counters().parked
        ),
        (0, 1)
    );
    world.check();
}

#[test]
fn facts_that_do_not_decode_leave_the_trade_waiting() {
    let (mut world, live, order, facts) = left();
    world.fill(live, order, "2", "0.5", "40");
    let mut newer = facts.clone();
    newer[0] += 1;
    for bad in [&[][..], &newer, &facts[..facts.len() - 1]] {
        assert!(world.reload(order, Some(bad)).is_err());
    }
    world.reload(order, Some(&facts)).unwrap();
    assert_eq!(world.order(order).fill_count(), 2);
}

#[test]
fn a_conflict_and_another_mode_are_closed_not_booked() {
    let (mut world, live, order, facts) = left();
    let paper = world.connect("paper", Mode::Paper);
    world.fill(live, order, "1", "0.7", "50");
    world.fill(paper, order, "8", "1", "50");
    world.collect();
    world.reload(order, Some(&facts)).unwrap();
    assert_eq!(
        world.names(),
        ["ORDER_RELOADED", "LATE_FILL_CLOSED", "LATE_FILL_CLOSED"]
    );
    assert_eq!(world.order(order).fill_count(), 1);
    world.check();
}

#[test]
fn a_crash_between_return_and_booking_books_at_the_next_tick() {
    let (mut world, live, order, facts) = left();
    world.fill(live, order, "2", "0.5", "40");
    world.reload(order, Some(&facts)).unwrap();
    world.collect();
    let fill = world.journal.pop().unwrap();
    assert_eq!(
        Record::decode(fill.kind, Record::VERSION, &fill.body).unwrap().name(),
        "FILL"
    );
    let state = replay(&world.journal);
    assert_eq!(state.late_fills(order).len(), 1);
    world.engine = ordergate_core::engine::Engine::new(state);
    world.wait(1);
    assert_eq!(world.names(), ["FILL"]);
    assert_eq!(world.order(order).fill_count(), 2);
    world.check();
}

#[test]
fn waiting_trades_are_bounded() {
    let (mut world, live, order, _) = left();
    for trade in 0..LATE_FILLS_MAX + 5 {
        world.fill(live, order, &format!("t{trade}"), "0.001", "40");
    }
    assert_eq!(world.engine.state().late_fill_count(), LATE_FILLS_MAX);
    assert_eq!(world.engine.state().counters().parked, 5, "kept as text, with an alarm");
}

#[test]
fn journals_of_the_older_fold_keep_every_order() {
    let (mut world, _, live) = World::connected();
    let order = canceled(&mut world, live);
    world.wait(2 * HOUR);
    world.any_record();
    world.collect();
    let mut old = world.journal.clone();
    let Record::Epoch(mut epoch) = Record::decode(old[0].kind, Record::VERSION, &old[0].body).unwrap() else {
        panic!("the first record is an epoch")
    };
    epoch.fold_version = 1;
    old[0].body.clear();
    Record::Epoch(epoch).encode(&mut old[0].body).unwrap();
    assert!(replay(&old).order(order).is_some_and(|order: &Order| !order.is_open()));
    assert!(world.engine.state().order(order).is_none());
}

#[test]
fn a_trade_of_the_wrong_mode_for_an_order_in_memory_is_parked() {
    let (mut world, live, ..) = left();
    let here = world.buy(Mode::Live, "1", "50");
    world.report(live, here, OrderReport::Ack { venue_order_id: "v2" });
    let paper = world.connect("paper", Mode::Paper);
    world.collect();
    world.fill(paper, here, "8", "1", "50");
    assert_eq!(world.names(), ["PARKED"]);
    world.check();
}
