//! New terms for an order: in place where that only makes it smaller, else canceled and placed anew.

use crate::support::{World, cause, code, limit, replay, stored};
use ordergate_core::engine::{Engine, Submitted};
use ordergate_core::limits::LimitKind;
use ordergate_core::number::{Amount, Qty};
use ordergate_core::record::Record;
use ordergate_core::report::OrderReport;
use ordergate_core::terms::{KillScope, Mode, OrdStatus, OrderId, SessionId};

const ACK: OrderReport<'_> = OrderReport::Ack { venue_order_id: "v1" };
const CANCELED: OrderReport<'_> = OrderReport::Canceled(cause("", ""));

fn qty(text: &str) -> Qty {
    Qty::parse(text).unwrap()
}

/// A BUY of 2 at 50 that works at the PAPER venue.
fn working() -> (World, SessionId, OrderId) {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "2", "50");
    world.report(paper, order, ACK);
    world.wait(1);
    world.collect();
    (world, paper, order)
}

fn held(world: &World) -> String {
    world.balance(Mode::Paper, "USDT").1
}

/// The order that took over from this one.
fn heir(world: &World, order: OrderId) -> OrderId {
    world.order(order).replaced_by().expect("nothing took over")
}

#[test]
fn fewer_of_the_same_price_are_changed_in_place() {
    let (mut world, paper, order) = working();
    let (_, status, body) = stored(world.replace(order, r#"{"quantity":"1.5"}"#).unwrap());
    assert!(status == 202 && body.contains("\"status\":\"PENDING_REPLACE\"") && body.contains("\"quantity\":\"2\""));
    assert_eq!(world.names(), ["REPLACE_ASKED"]);
    assert_eq!(world.order(order).amending(), Some(qty("1.5")));
    assert_eq!(held(&world), "100", "the larger of old and new");
    assert_eq!(code(world.replace(order, r#"{"quantity":"1"}"#)), "not_replaceable");
    let replaced = OrderReport::Replaced {
        qty: "1.5",
        price: Some("50"),
    };
    world.report(paper, order, replaced);
    assert_eq!((world.status(order), held(&world)), (OrdStatus::New, "75".to_owned()));
    assert_eq!(
        (world.order(order).terms.qty, world.order(order).amends()),
        (qty("1.5"), 1)
    );
    // Refused by the venue, the old terms stay.
    world.replace(order, r#"{"quantity":"1"}"#).unwrap();
    world.report(paper, order, OrderReport::ReplaceReject(cause("X", "")));
    assert_eq!((world.status(order), held(&world)), (OrdStatus::New, "75".to_owned()));
    // Filled meanwhile, the change came too late.
    world.replace(order, r#"{"quantity":"1"}"#).unwrap();
    world.fill(paper, order, "t1", "1.5", "50");
    assert_eq!((world.status(order), held(&world)), (OrdStatus::Filled, "0".to_owned()));
    assert_eq!(code(world.replace(order, r#"{"quantity":"1"}"#)), "already_filled");
    world.check();
}

#[test]
fn an_unsent_order_is_made_smaller_at_once() {
    let mut world = World::new();
    let order = world.buy(Mode::Paper, "2", "50");
    let (_, _, body) = stored(world.replace(order, r#"{"quantity":1}"#).unwrap());
    assert!(body.contains("\"status\":\"PENDING_NEW\"") && body.contains("\"quantity\":\"1\""));
    assert_eq!(
        (world.order(order).terms.qty, held(&world)),
        (qty("1"), "50".to_owned())
    );
    assert_eq!(world.order(order).amends(), 0, "no venue was asked");
    world.check();
}

#[test]
fn after_ten_changes_in_place_it_is_placed_anew() {
    let (mut world, paper, order) = working();
    for number in 1..=10 {
        let total = format!("1.{}", 99 - number);
        world.replace(order, &format!(r#"{{"quantity":"{total}"}}"#)).unwrap();
        let replaced = OrderReport::Replaced {
            qty: &total,
            price: Some("50"),
        };
        world.report(paper, order, replaced);
        assert_eq!(world.order(order).amends(), number);
    }
    world.replace(order, r#"{"quantity":"1"}"#).unwrap();
    assert_eq!(world.order(order).amending(), None);
    world.report(paper, order, CANCELED);
    assert_eq!(world.order(heir(&world, order)).terms.qty, qty("1"));
    world.check();
}

#[test]
fn another_price_cancels_and_places_what_is_left_of_the_new_quantity() {
    let (mut world, paper, order) = working();
    world.run_strategy("grid");
    world.collect();
    let (_, status, body) = stored(world.replace(order, r#"{"price":"60","quantity":"3"}"#).unwrap());
    assert!(status == 202 && body.contains("\"status\":\"PENDING_REPLACE\"") && body.contains("\"replacedBy\":null"));
    assert_eq!(world.names(), ["REPLACE_ASKED"]);
    assert!(world.order(order).cancel_pending, "the venue is asked to cancel");
    assert_eq!(held(&world), "180", "while both may come, the dearer counts");
    world.fill(paper, order, "t1", "0.5", "50");
    assert_eq!(
        (world.status(order), held(&world)),
        (OrdStatus::PendingReplace, "150".to_owned())
    );
    world.collect();
    world.report(paper, order, CANCELED);
    assert_eq!(world.names(), ["CANCELED", "ORDER_ACCEPTED", "SUBMIT_STARTED"]);
    let new = heir(&world, order);
    let (old, placed) = (world.order(order), world.order(new));
    assert_eq!((old.status(), &*old.reason), (OrdStatus::Canceled, "REPLACED"));
    assert_eq!((placed.terms.qty, placed.terms.replaces()), (qty("2.5"), Some(order)));
    assert_eq!(
        (placed.terms.key, placed.terms.price),
        (old.terms.key, Some(ordergate_core::number::Price(6_000_000_000)))
    );
    assert_eq!(held(&world), "150");
    // The client's own id moves on, and the new order can be replaced in its turn.
    world.report(paper, new, ACK);
    world.replace(new, r#"{"price":"55"}"#).unwrap();
    world.report(paper, new, CANCELED);
    assert_eq!(world.order(heir(&world, new)).terms.qty, qty("2.5"));
    world.check();
}

#[test]
fn an_unsent_order_is_placed_anew_at_once_with_its_own_id() {
    let mut world = World::new();
    let body = limit(Mode::Paper, "BUY", "2", "50").replace('{', r#"{"clientOrderId":"mine","#);
    let order = world.place(&body);
    world.collect();
    world.replace(order, r#"{"price":49}"#).unwrap();
    assert_eq!(world.names(), ["REPLACE_ASKED", "ORDER_ACCEPTED"]);
    let new = heir(&world, order);
    assert_eq!(
        (world.status(order), world.status(new)),
        (OrdStatus::Canceled, OrdStatus::PendingNew)
    );
    assert_eq!(world.engine.state().working(0, "mine").unwrap().id, new);
    assert_eq!(held(&world), "98");
    world.check();
}

#[test]
fn a_request_is_decided_once() {
    let (mut world, _, order) = working();
    let caller = world.caller(0);
    let ask = |world: &mut World, body: &str| {
        let durable = world.engine.state().last_seq();
        world
            .engine
            .replace(caller, Some("k"), order, body.as_bytes(), world.now, durable)
            .unwrap()
    };
    let (seq, ..) = stored(ask(&mut world, r#"{"price":"60"}"#).unwrap());
    assert_eq!(ask(&mut world, r#"{"price":6e1}"#), Ok(Submitted::Repeat { seq }));
    assert_eq!(code(ask(&mut world, r#"{"price":"61"}"#)), "idempotency_key_reused");
    // A key is one request's, whatever it asked for.
    let durable = world.engine.state().last_seq();
    let placed = world.engine.submit(
        caller,
        Some("k"),
        "r",
        limit(Mode::Paper, "BUY", "1", "50").as_bytes(),
        world.now,
        durable,
    );
    assert_eq!(code(placed.unwrap()), "idempotency_key_reused");
    assert_eq!(world.names(), ["REPLACE_ASKED"]);
    world.check();
}

#[test]
fn nothing_is_placed_where_the_old_order_stays_or_has_traded() {
    // The cancel did not work.
    let (mut world, paper, order) = working();
    world.replace(order, r#"{"price":"60"}"#).unwrap();
    world.report(paper, order, OrderReport::CancelUnknown(cause("", "")));
    assert!(world.order(order).cancel_in_doubt);
    world.report(paper, order, OrderReport::CancelReject(cause("UNKNOWN_ORDER", "")));
    assert_eq!((world.status(order), held(&world)), (OrdStatus::New, "100".to_owned()));
    assert_eq!(world.order(order).renewal(), None);
    // It traded in full first: the change is void.
    world.replace(order, r#"{"price":"60","quantity":"5"}"#).unwrap();
    world.fill(paper, order, "t1", "2", "50");
    world.report(paper, order, CANCELED);
    assert_eq!(
        (world.status(order), world.order(order).replaced_by()),
        (OrdStatus::Filled, None)
    );
    // The client takes the order back.
    let order = world.buy(Mode::Paper, "2", "50");
    world.report(paper, order, ACK);
    world.replace(order, r#"{"price":"60"}"#).unwrap();
    world.cancel(order).unwrap();
    assert_eq!(world.status(order), OrdStatus::PendingCancel);
    world.report(paper, order, CANCELED);
    assert_eq!(
        (&*world.order(order).reason, world.order(order).replaced_by()),
        ("CLIENT_CANCEL", None)
    );
    // The venue ended it by its own rules: what became of it is not what was asked.
    let order = world.buy(Mode::Paper, "2", "50");
    world.report(paper, order, ACK);
    world.replace(order, r#"{"price":"60"}"#).unwrap();
    world.report(paper, order, OrderReport::Expired(cause("STP", "")));
    assert_eq!(
        (world.status(order), world.order(order).replaced_by()),
        (OrdStatus::Expired, None)
    );
    // More had traded than the new quantity asks for.
    let order = world.buy(Mode::Paper, "2", "50");
    world.report(paper, order, ACK);
    world.replace(order, r#"{"price":"60","quantity":"1"}"#).unwrap();
    world.fill(paper, order, "t2", "1.5", "50");
    world.collect();
    world.report(paper, order, CANCELED);
    assert_eq!(world.names(), ["CANCELED", "REPLACE_DROPPED"]);
    assert_eq!(held(&world), "0");
    world.check();
}

#[test]
fn a_kill_between_the_halves_places_nothing() {
    for level in [1, 2] {
        let (mut world, paper, order) = working();
        world.replace(order, r#"{"price":"60"}"#).unwrap();
        world.kill(KillScope::Global, "", level);
        world.wait(50);
        world.collect();
        world.report(paper, order, CANCELED);
        let names = world.names();
        if level == 1 {
            assert_eq!(names, ["CANCELED", "REPLACE_DROPPED"]);
        } else {
            // The sweep of working orders took the change back itself.
            assert_eq!(names, ["CANCELED"]);
        }
        assert_eq!(
            (world.status(order), world.order(order).replaced_by()),
            (OrdStatus::Canceled, None)
        );
        assert_eq!((held(&world), world.engine.state().open_count()), ("0".to_owned(), 0));
        world.check();
    }
}

#[test]
fn the_whole_ladder_judges_the_new_order_when_it_is_placed() {
    let (mut world, paper, order) = working();
    world.replace(order, r#"{"price":"60"}"#).unwrap();
    world.set_limit("account", "desk", LimitKind::MaxOrderQty, Amount::parse("1").unwrap().0);
    world.collect();
    world.report(paper, order, CANCELED);
    assert_eq!(world.names(), ["CANCELED", "ORDER_DENIED"]);
    let new = heir(&world, order);
    assert_eq!(
        (world.status(order), world.status(new)),
        (OrdStatus::Canceled, OrdStatus::Rejected)
    );
    assert_eq!(
        (&*world.order(new).reason, world.order(new).terms.replaces()),
        ("MAX_ORDER_QTY", Some(order))
    );
    assert_eq!(held(&world), "0");
    // What looks at the order alone is told at once, and what it was stays.
    let order = world.buy(Mode::Paper, "1", "50");
    world.report(paper, order, ACK);
    let refused = world.replace(order, r#"{"quantity":"2"}"#).unwrap_err();
    assert_eq!(
        (refused.code, refused.errors[0].field.as_str()),
        ("order_rejected", "MAX_ORDER_QTY")
    );
    assert_eq!(world.status(order), OrdStatus::New);
    world.check();
}

#[test]
fn what_passes_by_itself_is_waited_for() {
    let (mut world, paper, order) = working();
    world.replace(order, r#"{"price":"60"}"#).unwrap();
    world.now += 400_000_000;
    world.collect();
    world.report(paper, order, CANCELED);
    assert_eq!(world.names(), ["CANCELED"], "the kill switch was not read");
    assert!(world.order(order).awaits_renewal());
    world.wait(10);
    assert_eq!(world.names(), ["ORDER_ACCEPTED", "SUBMIT_STARTED"]);
    let new = heir(&world, order);
    world.report(paper, new, ACK);
    world.replace(new, r#"{"price":"61"}"#).unwrap();
    world.engine.journal_is_full(true);
    world.report(paper, new, CANCELED);
    world.collect();
    for _ in 0..10 {
        world.wait(190);
    }
    assert_eq!(world.names(), [""; 0]);
    world.wait(190);
    assert_eq!(world.names(), ["REPLACE_DROPPED"]);
    world.check();
}

#[test]
fn a_start_between_the_halves_goes_on_with_the_second() {
    let (mut world, paper, order) = working();
    world.replace(order, r#"{"price":"60"}"#).unwrap();
    world.now += 400_000_000;
    world.report(paper, order, CANCELED);
    world.check();
    let mut engine = Engine::new(replay(&world.journal));
    engine.start(2, "otherone", 1, 0, world.now).unwrap();
    engine
        .open_session("paper", Mode::Paper, 8, world.now)
        .unwrap()
        .unwrap();
    engine.kill_reading(world.now);
    engine.tick(world.now, world.now).unwrap();
    let new = engine.state().order(order).unwrap().replaced_by().unwrap();
    assert_eq!(engine.state().order(new).unwrap().terms.qty, qty("2"));
    crate::support::check_state(engine.state());
}

#[test]
fn a_late_trade_takes_from_what_took_over() {
    // Not sent yet, it is made smaller.
    let (mut world, paper, order) = working();
    world.replace(order, r#"{"price":"60"}"#).unwrap();
    world.engine.close_session(paper);
    let paper = world.connect("paper", Mode::Paper);
    world.now += 400_000_000;
    world.report(paper, order, CANCELED);
    world.engine.kill_reading(world.now);
    world.engine.close_session(paper);
    world.engine.tick(world.now, world.now).unwrap();
    let new = heir(&world, order);
    let paper = {
        world.now += 400_000_000;
        world.connect("paper", Mode::Paper)
    };
    assert_eq!(world.status(new), OrdStatus::PendingNew);
    world.fill(paper, order, "t1", "0.5", "50");
    assert_eq!(
        (world.order(new).terms.qty, world.order(order).late_fill),
        (qty("1.5"), true)
    );
    assert_eq!(held(&world), "90");
    world.fill(paper, order, "t2", "1.5", "50");
    assert_eq!(
        (world.status(new), &*world.order(new).reason),
        (OrdStatus::Canceled, "OVER_TARGET")
    );
    world.check();
    // At the venue, it is canceled, and so is what took over from it.
    let (mut world, paper, order) = working();
    world.replace(order, r#"{"price":"60"}"#).unwrap();
    world.report(paper, order, CANCELED);
    let second = heir(&world, order);
    world.report(paper, second, ACK);
    world.replace(second, r#"{"price":"61"}"#).unwrap();
    world.report(paper, second, CANCELED);
    let third = heir(&world, second);
    world.report(paper, third, ACK);
    world.fill(paper, order, "t1", "0.5", "50");
    assert_eq!(
        (world.status(third), &*world.order(third).reason),
        (OrdStatus::PendingCancel, "OVER_TARGET")
    );
    world.check();
}

#[test]
fn an_old_order_that_is_not_gone_after_all_is_canceled_again() {
    let (mut world, paper, order) = working();
    world.replace(order, r#"{"price":"60"}"#).unwrap();
    world.report(paper, order, CANCELED);
    let found = OrderReport::Found {
        venue_order_id: Some("v1"),
        working: true,
        cum_qty: "0",
    };
    world.report(paper, order, found);
    assert_eq!(
        (world.status(order), &*world.order(order).reason),
        (OrdStatus::PendingCancel, "REPLACED")
    );
    assert_eq!(held(&world), "220");
    world.report(paper, order, CANCELED);
    assert_eq!(held(&world), "120");
    assert_eq!(world.engine.state().open_count(), 1, "nothing takes over twice");
    world.check();
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let (mut world, paper, order) = working();
    world.fill(paper, order, "t1", "0.5", "50");
    let market = world.place(r#"{"mode":"PAPER","symbol":"BTCUSDT","side":"SELL","type":"LIMIT","quantity":"1","price":"55","timeInForce":"IOC"}"#);
    let sent = world.buy(Mode::Paper, "1", "50");
    world.check();
    let before = world.engine.state().digest();
    let cases = [
        (order, "{}", "invalid_field"),
        (order, r#"{"quantity":"2","price":"50"}"#, "invalid_field"),
        (order, r#"{"stopPrice":"50"}"#, "invalid_field"),
        (order, r#"{"quantity":"0.5"}"#, "invalid_quantity"),
        (order, r#"{"quantity":"1.9995"}"#, "invalid_quantity"),
        (order, r#"{"price":"50.001"}"#, "invalid_price"),
        (order, r#"{"quantity":"0.51","price":51}"#, "invalid_notional"),
        (order, r#"{"price":"999999"}"#, "order_rejected"),
        (market, r#"{"quantity":"0.5"}"#, "not_replaceable"),
        (sent, r#"{"price":"51"}"#, "not_replaceable"),
        (999, r#"{"price":"51"}"#, "not_found"),
    ];
    for (order, body, expected) in cases {
        assert_eq!(code(world.replace(order, body)), expected, "{body}");
    }
    let stranger = world.caller(1);
    let durable = world.engine.state().last_seq();
    let body = br#"{"price":"51"}"#;
    assert_eq!(
        code(
            world
                .engine
                .replace(stranger, Some("k"), order, body, world.now, durable)
                .unwrap()
        ),
        "not_found"
    );
    assert_eq!(
        code(
            world
                .engine
                .replace(stranger, None, order, body, world.now, durable)
                .unwrap()
        ),
        "idempotency_key_missing"
    );
    world.kill(KillScope::Symbol, "BTCUSDT", 1);
    world.collect();
    assert_eq!(code(world.replace(order, r#"{"price":"51"}"#)), "killed");
    assert_eq!(world.names(), [""; 0]);
    // What only makes it smaller passes a kill.
    stored(world.replace(order, r#"{"quantity":"1"}"#).unwrap());
    assert_ne!(world.engine.state().digest(), before);
    world.check();
}

#[test]
fn the_answer_of_a_change_is_found_again_in_its_record() {
    let (mut world, _, order) = working();
    let (seq, _, body) = stored(world.replace(order, r#"{"price":"60"}"#).unwrap());
    world.check();
    let emitted = world.journal.iter().find(|emitted| emitted.seq == seq).unwrap();
    match Record::decode(emitted.kind, Record::VERSION, &emitted.body).unwrap() {
        Record::ReplaceAsked(asked) => assert_eq!((asked.answer, asked.answer_status), (body, 202)),
        other => panic!("{other:?}"),
    }
}
