//! Stories of venues: sessions, reports, trades, and what is not known.

use crate::support::*;
use ordergate_core::engine::window;
use ordergate_core::record::Record;
use ordergate_core::report::{OrderReport, RawFill};
use ordergate_core::terms::{Mode, OrdStatus, RejectedBy};

#[test]
fn an_order_lives_from_acceptance_to_its_last_fill() {
    let (mut world, paper, _) = World::connected();
    world.collect();
    let order = world.buy(Mode::Paper, "2", "50");
    assert_eq!(
        world.names(),
        ["ORDER_ACCEPTED", "SUBMIT_STARTED"],
        "intent and send share a flush"
    );
    assert_eq!(world.status(order), OrdStatus::Submitted);
    assert_eq!(world.balance(Mode::Paper, "USDT"), ("1000000".into(), "100".into()));
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v1" });
    world.fill(paper, order, "1", "0.5", "49");
    assert_eq!(world.status(order), OrdStatus::PartiallyFilled);
    assert_eq!(world.balance(Mode::Paper, "USDT"), ("999975.5".into(), "75".into()));
    world.fill(paper, order, "2", "1.5", "50");
    assert_eq!(world.status(order), OrdStatus::Filled);
    assert_eq!(world.balance(Mode::Paper, "USDT"), ("999900.5".into(), "0".into()));
    assert_eq!(world.balance(Mode::Paper, "BTC"), ("102".into(), "0".into()));
    assert_eq!(
        world.balance(Mode::Live, "USDT"),
        ("1000000".into(), "0".into()),
        "PAPER never touches LIVE"
    );
    assert_eq!(world.order(order).average_price().unwrap().to_string(), "49.75");
    assert_eq!(world.names(), ["ACKED", "FILL", "FILL"]);
    world.check();
}

#[test]
fn a_fee_in_base_in_quote_or_in_a_third_asset_is_booked_where_it_was_taken() {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "3", "50");
    for (trade_id, fee, fee_asset) in [("1", "0.001", "BTC"), ("2", "0.05", "USDT"), ("3", "0.0001", "BNB")] {
        world.report(
            paper,
            order,
            OrderReport::Fill(RawFill {
                fee,
                fee_asset,
                ..fill(trade_id)
            }),
        );
    }
    assert_eq!(world.balance(Mode::Paper, "BTC").0, "102.999");
    assert_eq!(world.balance(Mode::Paper, "USDT").0, "999849.95");
    assert_eq!(world.balance(Mode::Paper, "BNB").0, "-0.0001");
    let position = world.engine.state().positions(0).next().unwrap();
    assert_eq!(
        (position.quantity.to_string(), position.bought_quote.to_string()),
        ("2.999".into(), "150".into())
    );
    world.check();
}

#[test]
fn the_window_bounds_what_is_sent_and_each_answer_starts_the_next() {
    let (mut world, _, live) = World::connected();
    let orders: Vec<_> = (0..window(Mode::Live) + 3)
        .map(|_| world.buy(Mode::Live, "1", "50"))
        .collect();
    let submitted = |world: &World| {
        orders
            .iter()
            .filter(|id| world.status(**id) == OrdStatus::Submitted)
            .count()
    };
    assert_eq!((submitted(&world), world.engine.state().unsent_count()), (8, 3));
    world.collect();
    world.report(live, orders[3], OrderReport::Unknown(cause("TIMEOUT", "no answer")));
    assert_eq!(
        world.names(),
        ["IN_DOUBT", "SUBMIT_STARTED"],
        "even an unknown outcome frees the slot"
    );
    assert_eq!(world.status(orders[8]), OrdStatus::Submitted, "the oldest first");
    world.report(live, orders[3], OrderReport::Ack { venue_order_id: "v" });
    assert_eq!(world.names(), ["ACKED"], "the second answer frees nothing");
    world.report(live, orders[0], OrderReport::Reject(cause("-1013", "filter")));
    world.report(live, orders[1], OrderReport::ReplaceReject(cause("?", "nonsense")));
    assert_eq!(
        world.names(),
        ["REJECTED", "SUBMIT_STARTED", "ILLEGAL_EVENT", "SUBMIT_STARTED"]
    );
    world.check();
}

#[test]
fn a_new_live_session_puts_orders_without_an_outcome_in_doubt_and_hears_the_old_one_no_more() {
    let (mut world, _, old) = World::connected();
    let (sent, acked) = (world.buy(Mode::Live, "1", "50"), world.buy(Mode::Live, "1", "50"));
    world.report(old, acked, OrderReport::Ack { venue_order_id: "v" });
    let new = world.connect("binance", Mode::Live);
    assert_eq!(
        (world.status(sent), world.status(acked)),
        (OrdStatus::InDoubt, OrdStatus::New)
    );
    assert_eq!(world.engine.state().unanswered_count(), 0);
    let digest = world.engine.state().digest();
    world.report(old, sent, OrderReport::Reject(cause("x", "stale")));
    world.fill(old, acked, "1", "1", "50");
    assert_eq!(
        (world.engine.state().digest(), world.engine.dropped_reports()),
        (digest, 2)
    );
    // The hold stays while the outcome is unknown; only evidence ends it, however long it takes.
    world.wait(3_600_000);
    assert_eq!(
        (world.status(sent), world.balance(Mode::Live, "USDT").1),
        (OrdStatus::InDoubt, "100".into())
    );
    world.report(
        new,
        sent,
        OrderReport::Absent {
            text: "looked three times",
        },
    );
    assert_eq!(
        (world.status(sent), &*world.order(sent).reason),
        (OrdStatus::Rejected, "NOT_AT_VENUE")
    );
    // We were wrong: the late evidence re-opens it and takes the hold again.
    world.fill(new, sent, "9", "0.4", "50");
    assert_eq!(
        (world.status(sent), world.order(sent).held.to_string()),
        (OrdStatus::PartiallyFilled, "30".into())
    );
    world.check();
}

#[test]
fn paper_orders_are_handed_over_to_the_new_session() {
    let (mut world, old, _) = World::connected();
    let (sent, acked) = (world.buy(Mode::Paper, "1", "50"), world.buy(Mode::Paper, "1", "50"));
    world.report(old, acked, OrderReport::Ack { venue_order_id: "v" });
    let new = world.connect("paper", Mode::Paper);
    let state = world.engine.state();
    for order in [sent, acked] {
        assert_eq!(state.session_of(state.order(order).unwrap()), Some(new));
    }
    assert_eq!(
        (world.status(sent), world.engine.state().unanswered_count()),
        (OrdStatus::Submitted, 1)
    );
    world.report(new, sent, OrderReport::Ack { venue_order_id: "w" });
    assert_eq!(world.status(sent), OrdStatus::New);
    world.check();
}

#[test]
fn a_mode_belongs_to_one_venue() {
    let (mut world, ..) = World::connected();
    assert!(
        world
            .engine
            .open_session("kraken", Mode::Live, 1, world.now)
            .unwrap()
            .is_err()
    );
    assert!(
        world
            .engine
            .open_session("paper", Mode::Live, 1, world.now)
            .unwrap()
            .is_err()
    );
    assert!(world.engine.poisoned().is_none());
}

#[test]
fn a_cancel_of_an_order_in_doubt_goes_out_when_the_doubt_ends() {
    let (mut world, _, live) = World::connected();
    let order = world.buy(Mode::Live, "1", "50");
    world.report(live, order, OrderReport::Unknown(cause("TIMEOUT", "")));
    world.collect();
    assert_eq!(world.cancel(order).unwrap().status, 202);
    assert_eq!(world.cancel(order).unwrap().status, 202);
    assert_eq!(
        (world.status(order), world.names()),
        (OrdStatus::InDoubt, vec!["CANCEL_REQUESTED"])
    );
    let found = OrderReport::Found {
        venue_order_id: Some("v"),
        working: true,
        cum_qty: "0",
    };
    world.report(live, order, found);
    assert_eq!(world.names(), ["FOUND_AT_VENUE", "CANCEL_REQUESTED"]);
    assert_eq!(world.status(order), OrdStatus::PendingCancel);
    world.report(live, order, OrderReport::CancelUnknown(cause("TIMEOUT", "")));
    assert_eq!(world.status(order), OrdStatus::PendingCancel);
    world.report(live, order, OrderReport::CancelReject(cause("-2011", "too late")));
    assert_eq!(world.status(order), OrdStatus::New);
    world.check();
}

#[test]
fn killed_by_the_venue_right_before_the_send_is_canceled_and_anything_else_not_sent() {
    let (mut world, _, live) = World::connected();
    let (killed, late) = (world.buy(Mode::Live, "1", "50"), world.buy(Mode::Live, "1", "50"));
    world.report(live, killed, OrderReport::NotSent(cause("KILLED", "")));
    world.report(live, late, OrderReport::NotSent(cause("TOO_OLD", "2.1 s")));
    assert_eq!(
        (world.status(killed), &*world.order(killed).reason),
        (OrdStatus::Canceled, "KILLED")
    );
    assert_eq!(
        (world.status(late), &*world.order(late).reason),
        (OrdStatus::Rejected, "NOT_SENT")
    );
    assert_eq!(world.order(late).rejected_by(), Some(RejectedBy::Gateway));
    world.check();
}

#[test]
fn what_cannot_be_booked_is_parked_once_and_changes_no_money() {
    let (mut world, paper, live) = World::connected();
    let order = world.buy(Mode::Live, "1", "50");
    world.fill(live, order, "1", "0.5", "50");
    world.collect();
    let parked = |world: &mut World| -> Vec<String> {
        let code = |record: Record| match record {
            Record::Parked(parked) => parked.code,
            other => panic!("{other:?}"),
        };
        world.collect().into_iter().map(code).collect()
    };
    let money = world.balance(Mode::Live, "USDT");
    world.fill(live, order, "1", "0.5", "50");
    assert!(world.collect().is_empty(), "the same trade again");
    for _ in 0..3 {
        world.fill(live, order, "1", "0.4", "50");
        world.fill(live, 424_242, "1", "0.4", "50");
        world.fill(paper, order, "2", "0.5", "50");
    }
    assert_eq!(parked(&mut world), ["FILL_CONFLICT", "UNKNOWN_ORDER", "UNKNOWN_ORDER"]);
    let huge = RawFill {
        qty: "99999999999999",
        ..fill("3")
    };
    world.report(live, order, OrderReport::Fill(huge));
    let text = RawFill {
        price: "NaN",
        ..fill("4")
    };
    world.report(live, order, OrderReport::Fill(text));
    let most = "1701411834604692317316873037158"; // just below 2^127 × 10⁻⁸: fits alone, not with the balance
    let fee = format!("-{most}");
    let (one, other) = (RawFill { fee: &fee, ..fill("5") }, RawFill { fee: &fee, ..fill("6") });
    world.report(live, order, OrderReport::Fill(one));
    world.report(live, order, OrderReport::Fill(other));
    assert_eq!(parked(&mut world), ["NUMERIC_RANGE"; 4]);
    assert_eq!(world.balance(Mode::Live, "USDT"), money);
    assert_eq!(world.engine.state().counters().parked, 7);
    world.check();
}

#[test]
fn impossible_reports_are_recorded_and_never_stop_anything() {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "1", "50");
    world.fill(paper, order, "1", "1", "50");
    world.collect();
    world.report(paper, order, OrderReport::Reject(cause("x", &"long ".repeat(400))));
    let records = world.collect();
    let [Record::Illegal(illegal)] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!((illegal.order, illegal.event.as_str()), (order, "REJECTED"));
    assert!(illegal.text.starts_with("FILLED order: Reject") && illegal.text.len() <= 512);
    assert_eq!(world.status(order), OrdStatus::Filled);
    world.check();
}

#[test]
fn a_report_that_changes_no_status_still_answers_and_brings_the_venues_id_once() {
    let (mut world, _, live) = World::connected();
    let order = world.buy(Mode::Live, "1", "50");
    world.report(live, order, OrderReport::CancelReject(cause("-2011", "unknown")));
    assert_eq!(
        (world.status(order), world.engine.state().unanswered_count()),
        (OrdStatus::Submitted, 0)
    );
    world.report(live, order, OrderReport::Canceled(cause("EXCHANGE", "")));
    world.collect();
    // The acknowledgement was late: its id is kept, and told once.
    for _ in 0..2 {
        world.report(live, order, OrderReport::Ack { venue_order_id: "v9" });
    }
    assert_eq!(
        (world.names(), world.status(order)),
        (vec!["ACKED"], OrdStatus::Canceled)
    );
    assert_eq!(world.order(order).venue_order_id.as_deref(), Some("v9"));
    assert_eq!(world.engine.duplicate_reports(), 1);
    // Without an outcome it would be in doubt: a session that ends forgets nothing.
    let second = world.buy(Mode::Live, "1", "50");
    world.report(live, second, OrderReport::CancelReject(cause("-2011", "unknown")));
    world.connect("binance", Mode::Live);
    assert_eq!(world.status(second), OrdStatus::InDoubt);
    world.check();
}
