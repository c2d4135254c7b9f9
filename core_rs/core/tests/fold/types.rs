//! Stops, amounts of quote, times of an order's own, and cancels of a whole symbol.

use crate::support::{MS, START, World, cause, code, limit, stored};
use ordergate_core::report::OrderReport;
use ordergate_core::terms::{Mode, OrdStatus, SessionId};

const ACK: OrderReport<'_> = OrderReport::Ack { venue_order_id: "v1" };
const CANCELED: OrderReport<'_> = OrderReport::Canceled(cause("", ""));

fn desk() -> (World, SessionId) {
    let (mut world, paper, _) = World::connected();
    world.prices(paper, "49", "50");
    (world, paper)
}

fn body(side: &str, ord_type: &str, members: &str) -> String {
    format!(r#"{{"mode":"PAPER","symbol":"BTCUSDT","side":"{side}","type":"{ord_type}",{members}}}"#)
}

fn held(world: &World, asset: &str) -> String {
    world.balance(Mode::Paper, asset).1
}

#[test]
fn a_stop_is_reserved_at_its_limit_or_at_its_stop_price_with_room() {
    let (mut world, paper) = desk();
    let order = world.place(&body(
        "BUY",
        "STOP_LOSS_LIMIT",
        r#""quantity":1,"stopPrice":60,"price":61"#,
    ));
    assert_eq!(held(&world, "USDT"), "61");
    world.cancel(order).unwrap();
    world.report(paper, order, CANCELED);
    // Above the market it counts at its stop price, below at the market: 5 % more of it.
    for (stop, hold) in [("60", "63"), ("40", "52.5")] {
        let order = world.place(&body(
            "BUY",
            "STOP_LOSS",
            &format!(r#""quantity":1,"stopPrice":{stop}"#),
        ));
        assert_eq!(held(&world, "USDT"), hold);
        world.report(paper, order, ACK);
        world.fill(paper, order, &format!("t{stop}"), "1", "51");
        assert_eq!(
            (world.status(order), held(&world, "USDT")),
            (OrdStatus::Filled, "0".to_owned())
        );
    }
    let order = world.place(&body("SELL", "TAKE_PROFIT", r#""quantity":2,"stopPrice":60"#));
    assert_eq!(held(&world, "BTC"), "2");
    // It waits outside the book: an order on the other side does not meet it, nor it one that is there.
    world.place(&limit(Mode::Paper, "BUY", "1", "70"));
    world.place(&body(
        "SELL",
        "STOP_LOSS_LIMIT",
        r#""quantity":1,"stopPrice":40,"price":39"#,
    ));
    assert_eq!(world.order(order).terms.stop_price().unwrap().to_string(), "60");
    let refused = world
        .submit(&body("SELL", "STOP_LOSS", r#""quantity":1,"stopPrice":"40.001""#))
        .unwrap_err();
    assert_eq!(
        (refused.code, refused.errors[0].field.as_str()),
        ("invalid_price", "stopPrice")
    );
    let refused = world
        .submit(&body("SELL", "STOP_LOSS", r#""quantity":501,"stopPrice":"40""#))
        .unwrap_err();
    assert!(refused.detail.contains("MARKET_LOT_SIZE"), "{refused:?}");
    world.check();
}

#[test]
fn another_stop_price_places_a_stop_anew() {
    let (mut world, paper) = desk();
    let order = world.place(&body("BUY", "STOP_LOSS", r#""quantity":1,"stopPrice":60"#));
    world.report(paper, order, ACK);
    stored(world.replace(order, r#"{"stopPrice":80}"#).unwrap());
    assert_eq!(held(&world, "USDT"), "84");
    world.report(paper, order, CANCELED);
    let new = world.order(order).replaced_by().unwrap();
    assert_eq!(world.order(new).terms.stop_price().unwrap().to_string(), "80");
    assert_eq!(held(&world, "USDT"), "84");
    // Fewer of the same are changed in place.
    world.report(paper, new, ACK);
    stored(world.replace(new, r#"{"quantity":"0.5"}"#).unwrap());
    assert!(world.order(new).amending().is_some());
    world.check();
}

#[test]
fn an_amount_of_quote_is_filled_when_the_venue_says_so() {
    let (mut world, paper) = desk();
    let order = world.place(&body("BUY", "MARKET", r#""quoteOrderQty":"100""#));
    let shown = |world: &World| {
        let mut out = String::new();
        ordergate_core::render::order_json(&mut out, &world.engine.state().view(world.order(order)));
        out
    };
    assert!(shown(&world).contains(r#""quantity":null,"price":null,"stopPrice":null,"quoteOrderQty":"100""#));
    assert_eq!(held(&world, "USDT"), "100");
    world.report(paper, order, ACK);
    world.fill(paper, order, "t1", "1", "50");
    world.fill(paper, order, "t2", "0.9", "51");
    assert_eq!(
        (world.status(order), held(&world, "USDT")),
        (OrdStatus::PartiallyFilled, "4.1".to_owned())
    );
    // A price that falls further than was thought ends nothing either.
    world.fill(paper, order, "t3", "0.4", "1");
    assert_eq!(world.status(order), OrdStatus::PartiallyFilled);
    world.report(paper, order, OrderReport::Done);
    assert_eq!(
        (world.status(order), held(&world, "USDT")),
        (OrdStatus::Filled, "0".to_owned())
    );
    assert!(shown(&world).contains(r#""quantity":"2.3""#));
    world.report(paper, order, OrderReport::Done);
    assert_eq!(world.engine.state().counters().alarms, 0);
    // Spent to the last digit it is filled without being told.
    let order = world.place(&body("BUY", "MARKET", r#""quoteOrderQty":"100""#));
    world.report(paper, order, ACK);
    world.fill(paper, order, "t4", "2", "50");
    assert_eq!(world.status(order), OrdStatus::Filled);
    // A SELL holds the base that it may come to, and more when nothing has traded.
    let order = world.place(&body("SELL", "MARKET", r#""quoteOrderQty":"93.1""#));
    assert_eq!(held(&world, "BTC"), "2");
    world.report(paper, order, ACK);
    world.report(paper, order, OrderReport::Done);
    assert_eq!(
        (world.status(order), world.engine.state().counters().alarms),
        (OrdStatus::New, 1)
    );
    world.report(paper, order, OrderReport::Expired(cause("NO_LIQUIDITY", "")));
    assert_eq!(held(&world, "BTC"), "0");
    world.check();
}

#[test]
fn an_amount_of_quote_meets_filters_and_limits() {
    let (mut world, _) = desk();
    for (amount, expected) in [
        ("4.9", "invalid_quantity"),
        ("0.04", "invalid_quantity"),
        ("26000", "invalid_quantity"),
    ] {
        let got = code(world.submit(&body("BUY", "MARKET", &format!(r#""quoteOrderQty":"{amount}""#))));
        let expected = if amount == "4.9" { "invalid_notional" } else { expected };
        assert_eq!(got, expected, "{amount}");
    }
    let (_, status, answer) = stored(
        world
            .submit(&body("SELL", "MARKET", r#""quoteOrderQty":"4800""#))
            .unwrap(),
    );
    assert!(status == 422 && answer.contains("INSUFFICIENT_BALANCE"), "{answer}");
    world.now += 3_000 * MS;
    world.engine.kill_reading(world.now);
    let (_, status, answer) = stored(
        world
            .submit(&body("BUY", "MARKET", r#""quoteOrderQty":"100""#))
            .unwrap(),
    );
    assert!(status == 422 && answer.contains("NO_REFERENCE_PRICE"), "{answer}");
    world.check();
}

#[test]
fn an_order_ends_at_its_own_time() {
    let (mut world, paper) = desk();
    let at = START / MS + 1_000;
    let gtd = |price: &str, at: i64| {
        body(
            "BUY",
            "LIMIT",
            &format!(r#""quantity":1,"price":{price},"timeInForce":"GTD","expireAt":{at}"#),
        )
    };
    assert_eq!(code(world.submit(&gtd("48", START / MS))), "invalid_field");
    let working = world.place(&gtd("48", at));
    world.report(paper, working, ACK);
    world.wait(999);
    assert_eq!(world.status(working), OrdStatus::New);
    world.collect();
    world.wait(1);
    assert_eq!(world.names(), ["CANCEL_REQUESTED"]);
    // The venue could not: asked again, but not at once.
    world.report(paper, working, OrderReport::CancelReject(cause("BUSY", "")));
    world.collect();
    world.wait(990);
    assert_eq!(world.names(), [""; 0]);
    world.wait(10);
    assert_eq!(world.names(), ["CANCEL_REQUESTED"]);
    world.report(paper, working, OrderReport::Canceled(cause("USER", "")));
    assert_eq!(
        (world.status(working), &*world.order(working).reason),
        (OrdStatus::Expired, "GTD")
    );
    // Replaced shortly before, nothing takes over after its time.
    let replaced = world.place(&gtd("48", at + 1_100));
    world.report(paper, replaced, ACK);
    stored(world.replace(replaced, r#"{"price":47}"#).unwrap());
    world.wait(200);
    world.collect();
    world.report(paper, replaced, CANCELED);
    assert_eq!(world.names(), ["CANCELED", "REPLACE_DROPPED"]);
    // Unsent, it ends at once.
    world.engine.close_session(paper);
    let unsent = world.place(&gtd("48", at + 2_000));
    world.wait(1_500);
    assert_eq!(
        (world.status(unsent), &*world.order(unsent).reason),
        (OrdStatus::Expired, "GTD")
    );
    assert_eq!(held(&world, "USDT"), "0");
    world.check();
}

#[test]
fn every_open_order_of_a_symbol_is_canceled() {
    let (mut world, paper) = desk();
    let eth = limit(Mode::Paper, "BUY", "1", "48").replace("BTC", "ETH");
    let (first, other) = (world.buy(Mode::Paper, "1", "48"), world.place(&eth));
    let live = world.buy(Mode::Live, "1", "48");
    let theirs = world.caller(1);
    stored(
        world
            .submit_as(theirs, "k", &limit(Mode::Paper, "BUY", "1", "48"))
            .unwrap(),
    );
    world.report(paper, first, ACK);
    world.kill(ordergate_core::terms::KillScope::Global, "", 1);
    let caller = world.caller(0);
    let canceled = world.engine.cancel_all(caller, "BTCUSDT", world.now).unwrap().unwrap();
    assert_eq!((canceled.orders, canceled.more), (vec![first, live], false));
    assert_eq!(
        (world.status(first), world.status(other)),
        (OrdStatus::PendingCancel, OrdStatus::Submitted)
    );
    let again = world.engine.cancel_all(caller, "BTCUSDT", world.now).unwrap().unwrap();
    assert_eq!(
        again.orders,
        [first, live],
        "they are open still, and nothing is asked twice"
    );
    assert_eq!(
        code(world.engine.cancel_all(caller, "NOPE", world.now).unwrap()),
        "unknown_symbol"
    );
    world.check();
}
