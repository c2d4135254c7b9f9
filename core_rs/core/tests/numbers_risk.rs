//! Pre-trade checks: each boundary from both sides, every failure reported.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use ordergate_core::instrument::Instrument;
use ordergate_core::limits::{LimitKind, LimitScope, LimitTable, Owner};
use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::record::CheckResult;
use ordergate_core::request::NewOrder;
use ordergate_core::risk::{Approved, Hold, Limits, Reference, RiskInputs, check};
use ordergate_core::terms::{Mode, OrdType, Side, TimeInForce};
use proptest::prelude::*;

fn btc() -> Instrument {
    Instrument {
        instrument: 0,
        symbol: "BTCUSDT".to_owned(),
        base: "BTC".to_owned(),
        quote: "USDT".to_owned(),
        status: "TRADING".to_owned(),
        min_price: price("0.01"),
        max_price: price("1000000"),
        tick: price("0.01"),
        min_qty: qty("0.00001"),
        max_qty: qty("9000"),
        step: qty("0.00001"),
        market_max_qty: qty("100"),
        min_notional: amount("5"),
        max_notional: amount("9000000"),
    }
}

fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

fn qty(text: &str) -> Qty {
    Qty::parse(text).unwrap()
}

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

fn order(side: Side, quantity: &str, limit: Option<&str>) -> NewOrder {
    let (ord_type, time_in_force) = if limit.is_some() {
        (OrdType::Limit, TimeInForce::Gtc)
    } else {
        (OrdType::Market, TimeInForce::Ioc)
    };
    NewOrder {
        mode: Mode::Paper,
        symbol: "BTCUSDT".to_owned(),
        side,
        ord_type,
        time_in_force,
        qty: qty(quantity),
        price: limit.map(price),
        client_order_id: None,
        strategy_id: None,
        valid_for_ms: None,
        override_id: None,
    }
}

#[test]
fn the_strictest_limit_wins_kind_by_kind() {
    let scope = |owner, instrument| LimitScope { owner, instrument };
    let mut table = LimitTable::default();
    for (scope, kind, value) in [
        (scope(Owner::Firm, None), LimitKind::MaxOrderQty, 10),
        (scope(Owner::Firm, None), LimitKind::MaxOrderNotional, 1_000),
        (scope(Owner::Account(1), None), LimitKind::MaxOrderNotional, 900),
        (scope(Owner::Account(1), None), LimitKind::MaxOpenOrders, 3),
        (scope(Owner::Account(1), Some(2)), LimitKind::MaxOrderQty, 8),
        (
            scope(Owner::Strategy("grid".into()), Some(2)),
            LimitKind::MaxOrderQty,
            7,
        ),
        (scope(Owner::Strategy("grid".into()), None), LimitKind::MaxOpenOrders, 1),
        (scope(Owner::Key(5), None), LimitKind::MaxOrderNotional, 4),
    ] {
        table.set(&scope, kind, Some(value));
    }
    let effective = |account, strategy, key, instrument, excused: &[LimitKind]| {
        let limits = Limits::effective(table.binding(account, strategy, key, instrument), excused);
        let (qty, notional) = (limits.max_order_qty, limits.max_order_notional);
        (
            qty.map(|qty| qty.0),
            notional.map(|most| most.0),
            limits.max_open_orders,
        )
    };
    assert_eq!(effective(0, None, 0, 2, &[]), (Some(10), Some(1_000), None));
    assert_eq!(effective(1, None, 0, 3, &[]), (Some(10), Some(900), Some(3)));
    assert_eq!(effective(1, Some("grid"), 5, 2, &[]), (Some(7), Some(4), Some(3)));
    assert_eq!(
        effective(
            1,
            Some("grid"),
            5,
            2,
            &[LimitKind::MaxOrderQty, LimitKind::MaxOpenOrders]
        ),
        (None, Some(4), None)
    );
    assert!(table.binding(1, Some("grid"), 5, 2).count() <= 8);
}

fn limits() -> Limits {
    Limits {
        max_order_qty: Some(amount("2")),
        max_order_notional: Some(amount("50000")),
        max_open_orders: Some(10),
    }
}

fn inputs<'a>(
    instrument: &'a Instrument,
    free: &str,
    open_orders: u32,
    reference: Option<(&str, i64)>,
) -> RiskInputs<'a> {
    let reference = reference.map(|(text, age_ns)| Reference {
        price: price(text),
        age_ns,
    });
    RiskInputs {
        instrument,
        limits: limits(),
        free: amount(free),
        open_orders,
        reference,
    }
}

fn failed(order: &NewOrder, inputs: &RiskInputs<'_>) -> Vec<(String, String, String, String)> {
    let failed = check(order, inputs).unwrap_err();
    failed
        .into_iter()
        .map(
            |CheckResult {
                 code,
                 value,
                 limit,
                 headroom,
             }| (code, value, limit, headroom),
        )
        .collect()
}

fn row(code: &str, value: &str, limit: &str, headroom: &str) -> (String, String, String, String) {
    (code.to_owned(), value.to_owned(), limit.to_owned(), headroom.to_owned())
}

#[test]
fn holds() {
    let btc = btc();
    let hold = |order: &NewOrder, free: &str, reference| {
        check(order, &inputs(&btc, free, 0, reference)).unwrap().hold.amount()
    };
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
    let btc = btc();
    let with = |open| inputs(&btc, "1000000", open, Some(("25000", 0)));
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
    let unlimited = RiskInputs {
        limits: Limits::default(),
        ..with(4_000_000_000)
    };
    assert!(check(&order(Side::Buy, "30", Some("30000")), &unlimited).is_ok());
}

#[test]
fn rounding_is_against_the_client() {
    let btc = btc();
    // 50000 + 10⁻¹⁶ in quote is over a limit of 50000.
    let mut inputs = inputs(&btc, "1000000", 0, None);
    inputs.limits.max_order_notional = Some(Amount(1));
    assert!(check(&order(Side::Sell, "0.00000001", Some("1")), &inputs).is_ok());
    assert_eq!(
        failed(&order(Side::Sell, "0.00000001", Some("1.00000001")), &inputs),
        [row("MAX_ORDER_NOTIONAL", "0.00000002", "0.00000001", "0.00000001")]
    );
}

#[test]
fn balance_from_both_sides() {
    let btc = btc();
    let buy = order(Side::Buy, "1", Some("40000"));
    assert!(check(&buy, &inputs(&btc, "40000", 0, None)).is_ok());
    assert_eq!(
        failed(&buy, &inputs(&btc, "39999.99999999", 0, None)),
        [row("INSUFFICIENT_BALANCE", "40000", "39999.99999999", "39999.99999999")]
    );
    let sell = order(Side::Sell, "1", Some("40000"));
    assert!(check(&sell, &inputs(&btc, "1", 0, None)).is_ok());
    assert_eq!(
        failed(&sell, &inputs(&btc, "-0.5", 0, None)),
        [row("INSUFFICIENT_BALANCE", "1", "-0.5", "-0.5")]
    );
}

#[test]
fn market_needs_a_fresh_reference() {
    let btc = btc();
    const AGE: i64 = 2_000_000_000;
    let buy = order(Side::Buy, "1", None);
    assert!(check(&buy, &inputs(&btc, "100000", 0, Some(("40000", AGE)))).is_ok());
    assert_eq!(
        failed(&buy, &inputs(&btc, "0", 0, Some(("40000", AGE + 1_000_000)))),
        [row("NO_REFERENCE_PRICE", "2001", "2000", "-1")]
    );
    assert_eq!(
        failed(&buy, &inputs(&btc, "0", 0, None)),
        [row("NO_REFERENCE_PRICE", "none", "2000", "none")]
    );
    // The balance of a SELL needs no price, so it is still checked.
    assert_eq!(
        failed(&order(Side::Sell, "1", None), &inputs(&btc, "0.5", 0, None)),
        [
            row("NO_REFERENCE_PRICE", "none", "2000", "none"),
            row("INSUFFICIENT_BALANCE", "1", "0.5", "0.5")
        ]
    );
    assert!(
        check(&order(Side::Sell, "1", Some("40000")), &inputs(&btc, "1", 0, None)).is_ok(),
        "LIMIT needs none"
    );
}

#[test]
fn all_failures_are_reported_in_order() {
    let btc = btc();
    let codes: Vec<String> = failed(&order(Side::Buy, "3", Some("40000")), &inputs(&btc, "1", 10, None))
        .into_iter()
        .map(|(code, ..)| code)
        .collect();
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
    let btc = btc();
    let mut inputs = inputs(&btc, "0", 0, None);
    inputs.limits = Limits::default();
    inputs.free = Amount(i128::MIN);
    let found = failed(&order(Side::Sell, "1", Some("1")), &inputs);
    assert_eq!(found[0].0, "NUMERIC_RANGE");
    // The largest order there can be: the hold still fits.
    let mut largest = order(Side::Buy, "1", None);
    largest.qty = Qty(i64::MAX);
    inputs.reference = Some(Reference {
        price: Price(i64::MAX),
        age_ns: 0,
    });
    inputs.free = Amount(i128::MAX);
    let exact = i128::from(i64::MAX) * i128::from(i64::MAX) / 100_000_000;
    let hold = check(&largest, &inputs).unwrap().hold.amount().0;
    assert!(hold > exact && hold <= exact / 100 * 105 + 106, "{hold}");
}

#[test]
fn the_tightest_check_uses_most_of_its_limit() {
    let btc = btc();
    let tightest = |order: &NewOrder, inputs: &RiskInputs<'_>| -> CheckResult {
        let Approved { tightest, .. } = check(order, inputs).unwrap();
        tightest
    };
    let half = order(Side::Buy, "1", Some("1000"));
    // 50 % of the quantity, 2 % of the notional, 10 % of the orders, 1 % of the balance.
    let found = tightest(&half, &inputs(&btc, "100000", 0, None));
    assert_eq!(
        (found.code.as_str(), found.value.as_str(), found.limit.as_str()),
        ("MAX_ORDER_QTY", "1", "2")
    );
    assert_eq!(
        tightest(&half, &inputs(&btc, "1500", 0, None)).code,
        "INSUFFICIENT_BALANCE"
    );
    let found = tightest(&half, &inputs(&btc, "100000", 8, None));
    assert_eq!((found.code.as_str(), found.headroom.as_str()), ("MAX_OPEN_ORDERS", "2"));
    let mut unlimited = inputs(&btc, "100000", 0, None);
    unlimited.limits = Limits::default();
    assert_eq!(tightest(&half, &unlimited).code, "INSUFFICIENT_BALANCE");
    unlimited.free = Amount(i128::MAX);
    unlimited.limits.max_order_qty = Some(Amount(i128::MAX / 3));
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
        let btc = btc();
        let mut order = order(if buy { Side::Buy } else { Side::Sell }, "1", (!market).then_some("1"));
        order.qty = Qty(quantity);
        order.price = order.price.map(|_| Price(limit));
        let reference = Some(Reference { price: Price(limit), age_ns: 0 });
        let inputs = RiskInputs { instrument: &btc, limits: Limits::default(), free: Amount(free), open_orders: 0, reference };
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
