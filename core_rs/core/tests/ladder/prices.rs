//! Reference price, collars, and the exchange's bands.

use crate::desk::{ACCOUNT, Desk, amount, buy, desk, order, price, quoted, row, sell};
use ordergate_core::limits::{LimitKind, Owner};
use ordergate_core::number::Rate;
use ordergate_core::request::NewOrder;
use ordergate_core::risk::base_for_quote;
use ordergate_core::terms::{OrdType, Side, TimeInForce};

const SECOND: i64 = 1_000_000_000;

fn collared() -> Desk {
    desk()
        .limit(ACCOUNT, LimitKind::CollarUp, "0.05")
        .limit(ACCOUNT, LimitKind::CollarDown, "0.1")
        .limit(ACCOUNT, LimitKind::CollarFar, "0.5")
}

#[test]
fn collars_from_both_sides() {
    let desk = collared();
    assert!(desk.check(&buy("1", "42000")).is_ok() && desk.check(&buy("1", "20000")).is_ok());
    assert_eq!(
        desk.failed(&buy("1", "42000.01")),
        [row("PRICE_COLLAR_UP", "0.05000025", "0.05", "0.05")]
    );
    assert_eq!(
        desk.failed(&buy("1", "19999.99")),
        [row("PRICE_COLLAR_FAR", "0.50000025", "0.5", "0.5")]
    );
    let desk = Desk {
        free: amount("10"),
        ..desk
    };
    assert!(desk.check(&sell("1", "36000")).is_ok() && desk.check(&sell("1", "60000")).is_ok());
    assert_eq!(desk.codes(&sell("1", "35999.99")), ["PRICE_COLLAR_DOWN"]);
    assert_eq!(desk.codes(&sell("1", "60000.01")), ["PRICE_COLLAR_FAR"]);
    assert!(
        desk.check(&order(Side::Sell, "1", None)).is_ok(),
        "a MARKET order at what it meets"
    );
}

#[test]
fn the_collar_is_that_of_the_strictest_scope() {
    let desk = collared().limit(Owner::Key(3), LimitKind::CollarUp, "0.01");
    let failed = desk.check(&buy("1", "40400.01")).unwrap_err();
    assert_eq!((failed[0].scope.as_str(), failed[0].target.as_str()), ("key", "3"));
    assert!(desk.check(&buy("1", "40400")).is_ok());
}

#[test]
fn without_a_fresh_price_limits_stay_inside_the_last_good_collar_and_market_orders_are_refused() {
    let mut desk = collared();
    desk.market.age_ns = 3 * SECOND;
    assert_eq!(
        desk.codes(&buy("1", "40000")),
        ["NO_REFERENCE_PRICE"],
        "none was ever believed"
    );
    desk.market.last_good_twice = Some(2 * i128::from(price("30000").0));
    assert_eq!(desk.codes(&buy("1", "40000")), ["PRICE_COLLAR_UP"]);
    assert!(desk.check(&buy("1", "31500")).is_ok());
    assert_eq!(desk.codes(&order(Side::Buy, "1", None)), ["NO_REFERENCE_PRICE"]);
    let mut free = crate::desk::desk();
    free.market.mark = None;
    assert!(free.check(&buy("1", "40000")).is_ok(), "no collar, no reference needed");
    let patient = desk.limit(Owner::Firm, LimitKind::MaxPriceAge, "3000");
    assert!(patient.check(&buy("1", "40000")).is_ok());
}

#[test]
fn prices_that_make_no_sense_are_not_believed() {
    let strict = |market| Desk {
        market,
        ..collared().limit(Owner::Firm, LimitKind::MaxSpread, "0.01").limit(
            Owner::Firm,
            LimitKind::MaxLastDeviation,
            "0.02",
        )
    };
    let market = order(Side::Buy, "1", None);
    assert!(strict(quoted("39800", "40200", "40000")).check(&market).is_ok());
    let wide = strict(quoted("39799.99", "40200.01", "40000"));
    assert_eq!(wide.codes(&market), ["NO_REFERENCE_PRICE", "MAX_SPREAD"]);
    assert_eq!(wide.codes(&buy("1", "40000")), ["NO_REFERENCE_PRICE"]);
    let far = strict(quoted("39990", "40010", "39000"));
    assert_eq!(far.codes(&market), ["NO_REFERENCE_PRICE", "MAX_LAST_DEVIATION"]);
}

#[test]
fn the_exchanges_bands() {
    let mut desk = desk();
    desk.instrument.market.bid_up = Rate::parse("1.2").unwrap();
    desk.instrument.market.bid_down = Rate::parse("0.8").unwrap();
    desk.instrument.market.ask_up = Rate::parse("5").unwrap();
    desk.instrument.market.range_up = Rate::parse("1.01").unwrap();
    assert!(desk.check(&buy("1", "48000")).is_ok() && desk.check(&buy("1", "32000")).is_ok());
    assert_eq!(desk.codes(&buy("1", "48000.01")), ["PERCENT_PRICE_BY_SIDE"]);
    assert_eq!(desk.codes(&buy("1", "31999.99")), ["PERCENT_PRICE_BY_SIDE"]);
    assert!(desk.check(&sell("1", "48000.01")).is_ok());
    let seen = desk.usage(&buy("1", "41000"));
    let range = seen.iter().find(|check| check.code == "PRICE_RANGE").unwrap();
    assert_eq!(
        (range.value.as_str(), range.limit.as_str()),
        ("1.025", "1.01"),
        "told, not refused"
    );
}

/// A stop order of this type, with or without a limit.
fn stop(side: Side, ord_type: OrdType, at: &str, limit: Option<&str>) -> NewOrder {
    NewOrder {
        ord_type,
        time_in_force: TimeInForce::Gtc,
        stop_price: Some(price(at)),
        ..order(side, "1", limit)
    }
}

#[test]
fn a_stop_orders_limit_is_judged_by_its_stop_price_and_its_distance_by_nobody() {
    use OrdType::{StopLoss, StopLossLimit, TakeProfit};
    let mut desk = collared();
    desk.free = amount("1000000");
    assert!(
        desk.check(&stop(Side::Sell, StopLossLimit, "30000", Some("27000")))
            .is_ok()
    );
    assert_eq!(
        desk.codes(&stop(Side::Sell, StopLossLimit, "30000", Some("26999"))),
        ["PRICE_COLLAR_DOWN"]
    );
    assert_eq!(
        desk.codes(&stop(Side::Buy, StopLossLimit, "90000", Some("94500.01"))),
        ["PRICE_COLLAR_UP"]
    );
    for (side, ord_type, at) in [
        (Side::Sell, StopLoss, "9"),
        (Side::Buy, StopLoss, "400000"),
        (Side::Buy, TakeProfit, "9"),
    ] {
        assert!(desk.check(&stop(side, ord_type, at, None)).is_ok(), "{ord_type} {at}");
    }
    // Without a limit it is reserved at the market or at its stop price, whichever is higher, with room.
    let held = |order: &NewOrder| desk.check(order).unwrap().hold.amount();
    assert_eq!(held(&stop(Side::Buy, StopLoss, "50000", None)), amount("52500"));
    assert_eq!(held(&stop(Side::Buy, TakeProfit, "9", None)), amount("42010.5"));
    // The group's own offer is nothing to it: it is not in the book.
    let desk = Desk {
        opposite: Some(price("40010")),
        ..desk
    };
    assert!(desk.check(&stop(Side::Buy, StopLoss, "50000", None)).is_ok());
    assert_eq!(desk.codes(&order(Side::Buy, "1", None)), ["SELF_TRADE"]);
}

#[test]
fn an_amount_of_quote_counts_as_itself_and_as_the_most_that_it_may_come_to() {
    let quote = Some(amount("4001"));
    let most = base_for_quote(amount("4001"), price("40010")).unwrap();
    assert_eq!(most.to_string(), "0.10526316", "4001 at 95 % of 40010, rounded up");
    let order = NewOrder {
        quote_qty: quote,
        qty: most,
        ..order(Side::Buy, "1", None)
    };
    let desk = desk().limit(ACCOUNT, LimitKind::MaxOrderNotional, "4001");
    assert_eq!(desk.check(&order).unwrap().hold.amount(), amount("4001"));
    let desk = desk.limit(ACCOUNT, LimitKind::MaxOrderQty, "0.105");
    assert_eq!(desk.codes(&order), ["MAX_ORDER_QTY"]);
    assert_eq!(base_for_quote(amount("92233720368"), price("0.00000001")), None);
}
