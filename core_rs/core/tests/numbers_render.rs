//! Rendered answers: literal bytes for the shape, and a JSON parser for anything that text can hold.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::record::CheckResult;
use ordergate_core::refusal::CODES;
use ordergate_core::render::{
    BalanceView, OrderView, PositionView, denied_json, order_json, portfolio_json, push_text, push_time,
};
use ordergate_core::terms::{Mode, OrdStatus, OrdType, RejectedBy, Side, TimeInForce};
use proptest::prelude::*;
use serde_json::Value;

/// 2026-11-24T07:00:00.123456Z and 789 ns.
const NOW: i64 = 1_795_503_600_123_456_789;

fn fresh() -> OrderView<'static> {
    OrderView {
        id: 1042,
        client_order_id: None,
        symbol: "BTCUSDT",
        side: Side::Buy,
        ord_type: OrdType::Limit,
        time_in_force: TimeInForce::Gtc,
        qty: Some(Qty(100_000)),
        price: Some(Price(4_000_000_000_000)),
        stop_price: None,
        quote_qty: None,
        expire_at: None,
        replaces: None,
        replaced_by: None,
        status: OrdStatus::PendingNew,
        filled_qty: Amount::ZERO,
        avg_fill_price: None,
        mode: Mode::Paper,
        strategy_id: None,
        rejected_by: None,
        reason: None,
        venue_order_id: None,
        received_at: NOW,
        durable_at: None,
        sent_at: None,
        acked_at: None,
        updated_at: NOW,
        external: false,
    }
}

fn rendered(order: &OrderView<'_>) -> String {
    let mut out = String::new();
    order_json(&mut out, order);
    out
}

#[test]
fn a_fresh_order() {
    let expected = concat!(
        r#"{"id":"1042","clientOrderId":null,"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTC","#,
        r#""quantity":"0.001","price":"40000","stopPrice":null,"quoteOrderQty":null,"expireAt":null,"status":"PENDING_NEW","filledQuantity":"0","avgFillPrice":null,"#,
        r#""mode":"PAPER","strategyId":null,"rejectedBy":null,"reason":null,"venueOrderId":null,"#,
        r#""replaces":null,"replacedBy":null,"#,
        r#""receivedAt":"2026-11-24T07:00:00.123456Z","durableAt":null,"sentAt":null,"ackedAt":null,"#,
        r#""updatedAt":"2026-11-24T07:00:00.123456Z","origin":"GATEWAY"}"#,
    );
    assert_eq!(rendered(&fresh()), expected);
}

#[test]
fn an_order_with_everything() {
    let order = OrderView {
        client_order_id: Some("entry-7"),
        side: Side::Sell,
        ord_type: OrdType::Market,
        time_in_force: TimeInForce::Ioc,
        price: None,
        status: OrdStatus::Rejected,
        filled_qty: Amount(50_000),
        avg_fill_price: Some(Amount(4_000_066_666_667)),
        mode: Mode::Live,
        strategy_id: Some("mm-1"),
        external: true,
        rejected_by: Some(RejectedBy::Venue),
        reason: Some("-2010 \"no\""),
        venue_order_id: Some("99"),
        durable_at: Some(NOW + 1_000),
        sent_at: Some(NOW + 2_000),
        acked_at: Some(NOW + 3_000),
        updated_at: NOW + 4_000,
        ..fresh()
    };
    let expected = concat!(
        r#"{"id":"1042","clientOrderId":"entry-7","symbol":"BTCUSDT","side":"SELL","type":"MARKET","timeInForce":"IOC","#,
        r#""quantity":"0.001","price":null,"stopPrice":null,"quoteOrderQty":null,"expireAt":null,"status":"REJECTED","filledQuantity":"0.0005","avgFillPrice":"40000.66666667","#,
        r#""mode":"LIVE","strategyId":"mm-1","rejectedBy":"VENUE","reason":"-2010 \"no\"","venueOrderId":"99","#,
        r#""replaces":null,"replacedBy":null,"#,
        r#""receivedAt":"2026-11-24T07:00:00.123456Z","durableAt":"2026-11-24T07:00:00.123457Z","#,
        r#""sentAt":"2026-11-24T07:00:00.123458Z","ackedAt":"2026-11-24T07:00:00.123459Z","#,
        r#""updatedAt":"2026-11-24T07:00:00.123460Z","origin":"EXTERNAL"}"#,
    );
    assert_eq!(rendered(&order), expected);
}

#[test]
fn orders_append_and_empty_reasons_are_absent() {
    let mut out = "[".to_owned();
    order_json(
        &mut out,
        &OrderView {
            reason: Some(""),
            ..fresh()
        },
    );
    assert!(out.starts_with("[{\"id\"") && out.contains("\"reason\":null"));
    let largest = OrderView {
        id: u64::MAX,
        qty: Some(Qty(i64::MAX)),
        price: Some(Price(i64::MAX)),
        ..fresh()
    };
    let value: Value = serde_json::from_str(&rendered(&largest)).unwrap();
    assert_eq!(value["id"], "18446744073709551615");
    assert_eq!(value["quantity"], "92233720368.54775807");
}

#[test]
fn the_longest_order_fits_the_room_it_reserves() {
    let mut out = String::new();
    let order = OrderView {
        id: u64::MAX,
        symbol: "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
        status: OrdStatus::PartiallyFilled,
        qty: Some(Qty(i64::MAX)),
        price: Some(Price(i64::MAX)),
        stop_price: Some(Price(i64::MAX)),
        quote_qty: Some(Amount(i64::MAX.into())),
        expire_at: Some(NOW),
        replaces: Some(u64::MAX),
        replaced_by: Some(u64::MAX),
        filled_qty: Amount(i64::MAX.into()),
        avg_fill_price: Some(Amount(i64::MAX.into())),
        rejected_by: Some(RejectedBy::Gateway),
        durable_at: Some(NOW),
        sent_at: Some(NOW),
        acked_at: Some(NOW),
        ..fresh()
    };
    out.reserve_exact(0);
    order_json(&mut out, &order);
    assert!(out.len() <= 832, "{}", out.len());
    assert_eq!(out.capacity(), 832, "one allocation");
}

#[test]
fn a_denied_order() {
    let check = |code: &str, value: &str| CheckResult {
        code: code.to_owned(),
        value: value.to_owned(),
        limit: "2".to_owned(),
        headroom: "2".to_owned(),
        scope: "account".to_owned(),
        target: "desk".to_owned(),
        symbol: String::new(),
    };
    let mut out = String::new();
    denied_json(
        &mut out,
        "req-1",
        77,
        &[check("MAX_ORDER_QTY", "3"), check("INSUFFICIENT_BALANCE", "4")],
    );
    let expected = concat!(
        r#"{"type":"urn:ordergate:problem:order_rejected","title":"The order was rejected by the risk checks","#,
        r#""status":422,"detail":"Failed: MAX_ORDER_QTY, INSUFFICIENT_BALANCE","code":"order_rejected","#,
        r#""requestId":"req-1","orderId":"77","checks":["#,
        r#"{"code":"MAX_ORDER_QTY","value":"3","limit":"2","headroom":"2","scope":"account","target":"desk","symbol":null,"unit":"base","#,
        r#""message":"Largest quantity of base in one order. Value 3, limit 2."},"#,
        r#"{"code":"INSUFFICIENT_BALANCE","value":"4","limit":"2","headroom":"2","scope":"account","target":"desk","symbol":null,"#,
        r#""unit":"asset","message":"The hold is larger than what is free. Value 4, limit 2."}]}"#,
    );
    assert_eq!(out, expected);
    assert!(CODES.contains(&("order_rejected", 422)));
}

#[test]
fn a_portfolio() {
    let balances = [
        BalanceView {
            mode: Mode::Paper,
            asset: "BTC",
            total: Amount(150_000_000),
            held: Amount(50_000_000),
        },
        BalanceView {
            mode: Mode::Live,
            asset: "USDT",
            total: Amount(-1),
            held: Amount::ZERO,
        },
    ];
    let positions = [PositionView {
        mode: Mode::Paper,
        symbol: "BTCUSDT",
        quantity: Amount(99_900_000),
        bought_quantity: Amount(200_000_000),
        bought_quote: Amount(8_000_000_000_000),
        sold_quantity: Amount(100_000_000),
        sold_quote: Amount(4_100_000_000_000),
    }];
    let mut out = String::new();
    portfolio_json(&mut out, "demo", 12, balances, positions);
    let expected = concat!(
        r#"{"account":"demo","asOfSeq":12,"balances":["#,
        r#"{"mode":"PAPER","asset":"BTC","total":"1.5","held":"0.5","free":"1"},"#,
        r#"{"mode":"LIVE","asset":"USDT","total":"-0.00000001","held":"0","free":"-0.00000001"}],"positions":["#,
        r#"{"mode":"PAPER","symbol":"BTCUSDT","quantity":"0.999","boughtQuantity":"2","boughtQuote":"80000","#,
        r#""soldQuantity":"1","soldQuote":"41000"}]}"#,
    );
    assert_eq!(out, expected);
    out.clear();
    portfolio_json(&mut out, "none", 0, [], []);
    assert_eq!(out, r#"{"account":"none","asOfSeq":0,"balances":[],"positions":[]}"#);
}

#[test]
fn times() {
    let cases = [
        (0, "1970-01-01T00:00:00.000000Z"),
        (999, "1970-01-01T00:00:00.000000Z"),
        (1_000, "1970-01-01T00:00:00.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (86_399_999_999_999, "1970-01-01T23:59:59.999999Z"),
        (951_782_400_000_000_000, "2000-02-29T00:00:00.000000Z"),
        (951_868_800_000_000_000, "2000-03-01T00:00:00.000000Z"),
        (1_709_164_800_000_000_000, "2024-02-29T00:00:00.000000Z"),
        (1_735_689_599_999_999_999, "2024-12-31T23:59:59.999999Z"),
        (NOW, "2026-11-24T07:00:00.123456Z"),
        (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000Z"),
        (4_107_456_000_000_000_000, "2100-02-28T00:00:00.000000Z"),
        (i64::MAX, "2262-04-11T23:47:16.854775Z"),
        (i64::MIN, "1677-09-21T00:12:43.145224Z"),
    ];
    for (at, expected) in cases {
        let mut out = String::new();
        push_time(&mut out, at);
        assert_eq!(out, expected, "{at}");
    }
}

/// Every day from 1678 to 2261, counted by hand.
#[test]
fn every_day_of_the_calendar() {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut day = (1678..1970)
        .map(|year| if leap(year) { -366 } else { -365 })
        .sum::<i64>();
    let mut out = String::new();
    for year in 1678..=2261 {
        let february = if leap(year) { 29 } else { 28 };
        for (month, days) in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            .into_iter()
            .enumerate()
        {
            for day_of_month in 1..=days {
                out.clear();
                push_time(&mut out, day * 86_400_000_000_000);
                assert_eq!(out[..10], format!("{year:04}-{:02}-{day_of_month:02}", month + 1));
                day += 1;
            }
        }
    }
}

#[test]
fn escapes() {
    let mut out = String::new();
    push_text(&mut out, "a\"b\\c\nd\re\tf\u{0}g\u{1f}h\u{7f}é😀/");
    assert_eq!(out, "\"a\\\"b\\\\c\\nd\\re\\tf\\u0000g\\u001fh\u{7f}é😀/\"");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn any_text_reads_back(text in any::<String>(), reason in "[\\x00-\\x7f]{1,20}") {
        let order = OrderView { venue_order_id: Some(&text), reason: Some(&reason), ..fresh() };
        let value: Value = serde_json::from_str(&rendered(&order)).unwrap();
        prop_assert_eq!(value["venueOrderId"].as_str(), Some(text.as_str()));
        prop_assert_eq!(value["reason"].as_str(), Some(reason.as_str()));
        prop_assert_eq!(value.as_object().unwrap().len(), 27);
        let mut out = String::new();
        denied_json(&mut out, &text, 1, &[]);
        let value: Value = serde_json::from_str(&out).unwrap();
        prop_assert_eq!(value["requestId"].as_str(), Some(text.as_str()));
    }
}
