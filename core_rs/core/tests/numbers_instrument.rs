//! Filters of instruments: each boundary from both sides, every violated filter named.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use ordergate_core::instrument::{Instrument, is_symbol, unknown_symbol};
use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::record::MarketFilters;
use ordergate_core::request::NewOrder;
use ordergate_core::terms::{Mode, OrdType, Side, TimeInForce};

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
        market: MarketFilters::default(),
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
        stop_price: None,
        quote_qty: None,
        expire_at: None,
        client_order_id: None,
        strategy_id: None,
        valid_for_ms: None,
        override_id: None,
    }
}

#[track_caller]
fn assert_filter(order: &NewOrder, reference: Option<Price>, code: &str, messages: &[(&str, &str)]) {
    let refusal = btc().check_filters(order, reference).unwrap_err();
    assert_eq!(refusal.code, code);
    assert_eq!(refusal.status(), 422);
    let found: Vec<_> = refusal
        .errors
        .iter()
        .map(|error| (error.field.as_str(), error.message.as_str()))
        .collect();
    assert_eq!(found, messages);
}

#[test]
fn price_filter() {
    for good in ["0.01", "1000000", "40000.01"] {
        let quantity = if good == "0.01" { "500" } else { "0.001" };
        assert_eq!(
            btc().check_filters(&order(Side::Buy, quantity, Some(good)), None),
            Ok(()),
            "{good}"
        );
    }
    let cases = [
        ("0.001", "0.001 is below the minimum of 0.01 (PRICE_FILTER)"),
        (
            "1000000.01",
            "1000000.01 is above the maximum of 1000000 (PRICE_FILTER)",
        ),
        (
            "40000.005",
            "40000.005 is not a multiple of the tick size 0.01 (PRICE_FILTER)",
        ),
    ];
    for (bad, message) in cases {
        let refusal = btc()
            .check_filters(&order(Side::Sell, "9", Some(bad)), None)
            .unwrap_err();
        assert_eq!(refusal.code, "invalid_price");
        assert_eq!(
            (refusal.errors[0].field.as_str(), refusal.errors[0].message.as_str()),
            ("price", message)
        );
        assert_eq!(refusal.detail, format!("price {message}"));
    }
}

#[test]
fn lot_size() {
    for good in ["0.00013", "9000"] {
        let limit = if good == "9000" { "1000" } else { "40000" };
        assert_eq!(
            btc().check_filters(&order(Side::Sell, good, Some(limit)), None),
            Ok(()),
            "{good}"
        );
    }
    let above = [("quantity", "9000.00001 is above the maximum of 9000 (LOT_SIZE)")];
    assert_filter(
        &order(Side::Buy, "9000.00001", Some("100")),
        None,
        "invalid_quantity",
        &above,
    );
    let step = [(
        "quantity",
        "0.000135 is not a multiple of the step size 0.00001 (LOT_SIZE)",
    )];
    assert_filter(
        &order(Side::Buy, "0.000135", Some("40000")),
        None,
        "invalid_quantity",
        &step,
    );
    let below = [
        ("quantity", "0.000005 is below the minimum of 0.00001 (LOT_SIZE)"),
        step_of("0.000005"),
    ];
    let mut free = btc();
    free.min_notional = Amount::ZERO;
    let refusal = free
        .check_filters(&order(Side::Buy, "0.000005", Some("40000")), None)
        .unwrap_err();
    let found: Vec<_> = refusal
        .errors
        .iter()
        .map(|error| (error.field.as_str(), error.message.as_str()))
        .collect();
    assert_eq!(found, below);
}

fn step_of(quantity: &str) -> (&'static str, &'static str) {
    assert_eq!(quantity, "0.000005");
    (
        "quantity",
        "0.000005 is not a multiple of the step size 0.00001 (LOT_SIZE)",
    )
}

#[test]
fn market_lot_size_is_for_market_only() {
    assert_eq!(btc().check_filters(&order(Side::Buy, "100", None), None), Ok(()));
    let above = [("quantity", "100.00001 is above the maximum of 100 (MARKET_LOT_SIZE)")];
    assert_filter(&order(Side::Buy, "100.00001", None), None, "invalid_quantity", &above);
    assert_eq!(
        btc().check_filters(&order(Side::Buy, "100.00001", Some("40000")), None),
        Ok(())
    );
}

#[test]
fn notional_is_exact_and_uses_the_reference_for_market() {
    assert_eq!(
        btc().check_filters(&order(Side::Buy, "0.001", Some("5000")), None),
        Ok(())
    );
    let below = [(
        "quantity",
        "makes a notional of 4.99999, below the minimum of 5 (NOTIONAL)",
    )];
    assert_filter(
        &order(Side::Buy, "0.001", Some("4999.99")),
        None,
        "invalid_notional",
        &below,
    );
    assert_eq!(
        btc().check_filters(&order(Side::Buy, "9000", Some("1000")), None),
        Ok(())
    );
    let above = [(
        "quantity",
        "makes a notional of 9000090, above the maximum of 9000000 (NOTIONAL)",
    )];
    assert_filter(
        &order(Side::Buy, "9000", Some("1000.01")),
        None,
        "invalid_notional",
        &above,
    );

    let small = order(Side::Sell, "0.0001", None);
    assert_eq!(
        btc().check_filters(&small, None),
        Ok(()),
        "no reference: not checked here"
    );
    assert_eq!(btc().check_filters(&small, Some(price("50000"))), Ok(()));
    let below = [("quantity", "makes a notional of 4.9, below the minimum of 5 (NOTIONAL)")];
    assert_filter(&small, Some(price("49000")), "invalid_notional", &below);
}

#[test]
fn notional_compares_beyond_eight_decimals() {
    let mut fine = btc();
    (fine.tick, fine.step, fine.min_price, fine.min_qty) = (Price(1), Qty(1), Price(1), Qty(1));
    fine.min_notional = amount("1");
    // 0.99999999 × 1.00000001 = 0.9999999999999999: below 1, though it rounds to 1 at 8 decimals.
    let refusal = fine
        .check_filters(&order(Side::Buy, "1.00000001", Some("0.99999999")), None)
        .unwrap_err();
    assert_eq!(
        refusal.errors[0].message,
        "makes a notional of 0.9999999999999999, below the minimum of 1 (NOTIONAL)"
    );
    (fine.min_notional, fine.max_notional) = (Amount::ZERO, amount("1"));
    // 1.00000001 × 1.00000001 is above by less than one unit of 8 decimals … and 1 × 1 is not.
    assert!(
        fine.check_filters(&order(Side::Buy, "1.00000001", Some("1.00000001")), None)
            .is_err()
    );
    assert_eq!(fine.check_filters(&order(Side::Buy, "1", Some("1")), None), Ok(()));
}

#[test]
fn a_zero_switches_a_filter_off() {
    let mut open = btc();
    (open.min_price, open.max_price) = (Price(0), Price(0));
    (open.min_qty, open.max_qty, open.market_max_qty) = (Qty(0), Qty(0), Qty(0));
    (open.min_notional, open.max_notional) = (Amount::ZERO, Amount::ZERO);
    assert_eq!(open.validate(), Ok(()));
    assert_eq!(
        open.check_filters(&order(Side::Buy, "80000000000", Some("80000000000")), None),
        Ok(())
    );
    assert_eq!(
        open.check_filters(&order(Side::Buy, "0.00001", None), Some(Price(1))),
        Ok(())
    );
    (open.tick, open.step) = (Price(0), Qty(0));
    assert_eq!(
        open.check_filters(&order(Side::Buy, "0.00000001", Some("0.00000001")), None),
        Ok(()),
        "no division by 0"
    );
}

#[test]
fn every_violated_filter_is_named() {
    let messages = [
        ("price", "0.005 is below the minimum of 0.01 (PRICE_FILTER)"),
        ("price", "0.005 is not a multiple of the tick size 0.01 (PRICE_FILTER)"),
        ("quantity", "9000.000001 is above the maximum of 9000 (LOT_SIZE)"),
        (
            "quantity",
            "9000.000001 is not a multiple of the step size 0.00001 (LOT_SIZE)",
        ),
    ];
    assert_filter(
        &order(Side::Buy, "9000.000001", Some("0.005")),
        None,
        "invalid_price",
        &messages,
    );
}

#[test]
fn symbols_that_do_not_trade() {
    let mut halted = btc();
    halted.status = "BREAK".to_owned();
    let refusal = halted
        .check_filters(&order(Side::Buy, "1", Some("40000")), None)
        .unwrap_err();
    assert_eq!(
        (refusal.code, refusal.detail.as_str()),
        ("symbol_not_trading", "BTCUSDT is not trading: its status is BREAK")
    );
    assert_eq!(unknown_symbol("NOPE").code, "unknown_symbol");
    assert_eq!(unknown_symbol("NOPE").errors[0].field, "symbol");
    assert!(is_symbol("1000SATSUSDT") && !is_symbol("A") && !is_symbol("btc") && !is_symbol(&"A".repeat(33)));
}

#[test]
fn insane_instruments() {
    type Change = fn(&mut Instrument);
    let cases: &[(Change, &str)] = &[
        (|it| it.tick = Price(0), "tickSize"),
        (|it| it.tick = Price(-1), "tickSize"),
        (|it| it.step = Qty(0), "stepSize"),
        (|it| it.min_price = Price(it.max_price.0 + 1), "minPrice"),
        (|it| it.min_price = Price(-1), "minPrice"),
        (|it| it.max_price = Price(-1), "maxPrice"),
        (|it| it.min_qty = Qty(it.max_qty.0 + 1), "minQty"),
        (|it| it.market_max_qty = Qty(1), "marketMaxQty"),
        (|it| it.min_notional = Amount(it.max_notional.0 + 1), "minNotional"),
        (|it| it.max_notional = Amount(-1), "maxNotional"),
        (|it| it.symbol = "btc".to_owned(), "symbol"),
        (|it| it.base = String::new(), "base"),
        (|it| it.quote = "US DT".to_owned(), "quote"),
        (|it| it.quote.clone_from(&it.base), "quote"),
        (|it| it.status.clear(), "status"),
    ];
    assert_eq!(btc().validate(), Ok(()));
    for (change, field) in cases {
        let mut instrument = btc();
        change(&mut instrument);
        let errors = instrument.validate().unwrap_err();
        assert!(errors.iter().any(|error| error.field == *field), "{field}: {errors:?}");
    }
}
