//! Size, open orders, balance and the price of a MARKET order.

use crate::desk::{ACCOUNT, Desk, amount, desk, order, row};
use ordergate_core::engine::Mark;
use ordergate_core::limits::LimitKind;
use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::record::CheckResult;
use ordergate_core::request::NewOrder;
use ordergate_core::risk::{Approved, Hold, Market};
use ordergate_core::terms::Side;
use proptest::prelude::*;

/// Price on both sides and of the last trade, with its age.
fn at(price: Price, age_ns: i64) -> Market {
    let mark = Mark {
        bid: price,
        ask: price,
        last: price,
        at: 0,
    };
    Market {
        mark: Some(mark),
        age_ns,
        ..Market::default()
    }
}

fn unlimited(free: &str, open_orders: u32, reference: Option<(&str, i64)>) -> Desk {
    let mut desk = Desk {
        free: amount(free),
        market: reference.map_or(Market::default(), |(text, age_ns)| at(crate::desk::price(text), age_ns)),
        ..desk()
    };
    desk.bound(ACCOUNT).tally.open_orders = open_orders;
    desk
}

fn inputs(free: &str, open_orders: u32, reference: Option<(&str, i64)>) -> Desk {
    unlimited(free, open_orders, reference)
        .limit(ACCOUNT, LimitKind::MaxOrderQty, "2")
        .limit(ACCOUNT, LimitKind::MaxOrderNotional, "50000")
        .limit(ACCOUNT, LimitKind::MaxOpenOrders, "10")
}

fn check(order: &NewOrder, desk: &Desk) -> Result<Approved, Vec<CheckResult>> {
    desk.check(order)
}

fn failed(order: &NewOrder, desk: &Desk) -> Vec<[String; 4]> {
    desk.failed(order)
}

#[test]
fn holds() {
    let hold =
        |order: &NewOrder, free: &str, reference| check(order, &inputs(free, 0, reference)).unwrap().hold.amount();
    assert_eq!(
        hold(&order(Side::Buy, "0.001", Some("40000")), "100000", None),
        amount("40")
    );
    assert_eq!(
        hold(&order(Side::Buy, "0.00000001", Some("0.00000001")), "1", None),
        Amount(1),
        "rounded up"
    );
    assert_eq!(
        hold(&order(Side::Buy, "0.33333333", Some("0.01")), "1", None),
        Amount(333_334)
    );
    assert_eq!(
        hold(&order(Side::Sell, "1.5", Some("30000")), "1.5", None),
        amount("1.5")
    );
    assert_eq!(
        hold(&order(Side::Sell, "1.5", None), "2", Some(("30000", 0))),
        amount("1.5")
    );
    assert_eq!(
        hold(&order(Side::Buy, "1", None), "100000", Some(("40000", 0))),
        amount("42000")
    );
    assert_eq!(
        hold(&order(Side::Buy, "0.00000003", None), "1", Some(("0.33333333", 0))),
        Amount(2),
        "rounded up once"
    );
    assert_eq!(Hold::replayed(Amount(7)).amount(), Amount(7));
}

#[test]
fn limits_from_both_sides() {
    let with = |open| inputs("1000000", open, Some(("25000", 0)));
    assert!(
        check(&order(Side::Buy, "2", Some("25000")), &with(9)).is_ok(),
        "all three limits exactly reached"
    );
    assert_eq!(
        failed(&order(Side::Buy, "2.00000001", Some("10")), &with(0)),
        [row("MAX_ORDER_QTY", "2.00000001", "2", "2")]
    );
    assert_eq!(
        failed(&order(Side::Buy, "1", Some("50000.00000001")), &with(0)),
        [row("MAX_ORDER_NOTIONAL", "50000.00000001", "50000", "50000")]
    );
    assert_eq!(
        failed(&order(Side::Buy, "1", Some("10")), &with(10)),
        [row("MAX_OPEN_ORDERS", "11", "10", "0")]
    );
    assert_eq!(
        failed(&order(Side::Buy, "1", Some("10")), &with(12)),
        [row("MAX_OPEN_ORDERS", "13", "10", "-2")]
    );
    // A MARKET order's notional: 105 % of the ask for BUY, the bid for SELL.
    assert_eq!(
        failed(&order(Side::Buy, "2", None), &with(0)),
        [row("MAX_ORDER_NOTIONAL", "52500", "50000", "50000")]
    );
    assert!(check(&order(Side::Sell, "2", None), &with(0)).is_ok());
    let unlimited = unlimited("1000000", 4_000_000_000, Some(("25000", 0)));
    assert!(check(&order(Side::Buy, "30", Some("30000")), &unlimited).is_ok());
}

#[test]
fn rounding_is_against_the_client() {
    // 50000 + 10⁻¹⁶ in quote is over a limit of 50000.
    let mut inputs = inputs("1000000", 0, None);
    inputs.bound(ACCOUNT).limits.set(LimitKind::MaxOrderNotional, Some(1));
    assert!(check(&order(Side::Sell, "0.00000001", Some("1")), &inputs).is_ok());
    assert_eq!(
        failed(&order(Side::Sell, "0.00000001", Some("1.00000001")), &inputs),
        [row("MAX_ORDER_NOTIONAL", "0.00000002", "0.00000001", "0.00000001")]
    );
}

#[test]
fn balance_from_both_sides() {
    let buy = order(Side::Buy, "1", Some("40000"));
    assert!(check(&buy, &inputs("40000", 0, None)).is_ok());
    assert_eq!(
        failed(&buy, &inputs("39999.99999999", 0, None)),
        [row("INSUFFICIENT_BALANCE", "40000", "39999.99999999", "39999.99999999")]
    );
    let sell = order(Side::Sell, "1", Some("40000"));
    assert!(check(&sell, &inputs("1", 0, None)).is_ok());
    assert_eq!(
        failed(&sell, &inputs("-0.5", 0, None)),
        [row("INSUFFICIENT_BALANCE", "1", "-0.5", "-0.5")]
    );
}

#[test]
fn market_needs_a_fresh_reference() {
    const AGE: i64 = 2_000_000_000;
    let buy = order(Side::Buy, "1", None);
    assert!(check(&buy, &inputs("100000", 0, Some(("40000", AGE)))).is_ok());
    assert_eq!(
        failed(&buy, &inputs("0", 0, Some(("40000", AGE + 1_000_000)))),
        [row("NO_REFERENCE_PRICE", "2001", "2000", "-1")]
    );
    assert_eq!(
        failed(&buy, &inputs("0", 0, None)),
        [row("NO_REFERENCE_PRICE", "none", "2000", "none")]
    );
    // The balance of a SELL needs no price, so it is still checked.
    assert_eq!(
        failed(&order(Side::Sell, "1", None), &inputs("0.5", 0, None)),
        [
            row("NO_REFERENCE_PRICE", "none", "2000", "none"),
            row("INSUFFICIENT_BALANCE", "1", "0.5", "0.5")
        ]
    );
    assert!(
        check(&order(Side::Sell, "1", Some("40000")), &inputs("1", 0, None)).is_ok(),
        "LIMIT needs none"
    );
}

#[test]
fn all_failures_are_reported_in_order() {
    let codes = inputs("1", 10, None).codes(&order(Side::Buy, "3", Some("40000")));
    assert_eq!(
        codes,
        [
            "MAX_ORDER_QTY",
            "MAX_ORDER_NOTIONAL",
            "MAX_OPEN_ORDERS",
            "INSUFFICIENT_BALANCE"
        ]
    );
}

#[test]
fn figures_out_of_range_are_refused() {
    let mut inputs = unlimited("0", 0, None);
    inputs.free = Amount(i128::MIN);
    let found = failed(&order(Side::Sell, "1", Some("1")), &inputs);
    assert_eq!(found[0][0], "NUMERIC_RANGE");
    // The largest order there can be: the hold still fits.
    let mut largest = order(Side::Buy, "1", None);
    largest.qty = Qty(i64::MAX);
    inputs.market = at(Price(i64::MAX), 0);
    inputs.free = Amount(i128::MAX);
    let exact = i128::from(i64::MAX) * i128::from(i64::MAX) / 100_000_000;
    let hold = check(&largest, &inputs).unwrap().hold.amount().0;
    assert!(hold > exact && hold <= exact / 100 * 105 + 106, "{hold}");
}

#[test]
fn the_tightest_check_uses_most_of_its_limit() {
    let tightest = |order: &NewOrder, inputs: &Desk| -> CheckResult {
        let Approved { tightest, .. } = check(order, inputs).unwrap();
        tightest
    };
    let half = order(Side::Buy, "1", Some("1000"));
    // 50 % of the quantity, 2 % of the notional, 10 % of the orders, 1 % of the balance.
    let found = tightest(&half, &inputs("100000", 0, None));
    assert_eq!(
        (found.code.as_str(), found.value.as_str(), found.limit.as_str()),
        ("MAX_ORDER_QTY", "1", "2")
    );
    assert_eq!(tightest(&half, &inputs("1500", 0, None)).code, "INSUFFICIENT_BALANCE");
    let found = tightest(&half, &inputs("100000", 8, None));
    assert_eq!((found.code.as_str(), found.headroom.as_str()), ("MAX_OPEN_ORDERS", "2"));
    let mut unlimited = unlimited("100000", 0, None);
    assert_eq!(tightest(&half, &unlimited).code, "INSUFFICIENT_BALANCE");
    unlimited.free = Amount(i128::MAX);
    unlimited
        .bound(ACCOUNT)
        .limits
        .set(LimitKind::MaxOrderQty, Some(i128::MAX / 3));
    assert_eq!(
        tightest(&half, &unlimited).code,
        "INSUFFICIENT_BALANCE",
        "1000 of 3x against 1 of x"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn an_approved_hold_is_covered_and_enough(
        buy in any::<bool>(), market in any::<bool>(), quantity in 1i64.., limit in 1i64.., free in any::<i128>(),
    ) {
            let mut order = order(if buy { Side::Buy } else { Side::Sell }, "1", (!market).then_some("1"));
        order.qty = Qty(quantity);
        order.price = order.price.map(|_| Price(limit));
        let mut inputs = unlimited("1", 0, None);
        inputs.free = Amount(free);
        inputs.market = at(Price(limit), 0);
        let worst = if buy { Price(limit).times(Qty(quantity)).to_amount_ceil() } else { Qty(quantity).into() };
        match check(&order, &inputs) {
            Ok(approved) => {
                let hold = approved.hold.amount();
                prop_assert!(hold <= Amount(free) && hold >= worst);
                prop_assert!(market || hold == worst);
            }
            Err(failed) => {
                prop_assert_eq!(failed.len(), 1);
                // 5 % more, and one for each rounding.
                prop_assert!(Amount(free) < Amount(worst.0 + worst.0 / 20 + 2));
            }
        }
    }
}
