//! Decoding of new orders: what is taken, what is refused and by which name, and what counts as the same request.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use ordergate_core::number::{Price, Qty};
use ordergate_core::refusal::Refusal;
use ordergate_core::request::{NewOrder, check_idempotency_key, decode_new_order, fingerprint};
use ordergate_core::terms::{Mode, OrdType, Side, TimeInForce};
use proptest::prelude::*;

const LIMIT: &str =
    r#"{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":"0.001","price":"40000","mode":"PAPER"}"#;
const MARKET: &str = r#"{"symbol":"BTCUSDT","side":"SELL","type":"MARKET","quantity":2,"mode":"LIVE"}"#;

fn decode(body: &str) -> Result<NewOrder, Refusal> {
    decode_new_order(body.as_bytes())
}

/// The limit order with `"name":value` appended, or put in place of the member of that name.
fn with(name: &str, value: &str) -> String {
    let mut members: Vec<(String, String)> = [
        ("symbol", r#""BTCUSDT""#),
        ("side", r#""BUY""#),
        ("type", r#""LIMIT""#),
        ("quantity", r#""0.001""#),
        ("price", r#""40000""#),
        ("mode", r#""PAPER""#),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    match members.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value.to_owned(),
        None => members.push((name.to_owned(), value.to_owned())),
    }
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn refused(body: &str) -> (&'static str, Vec<(String, String)>) {
    let refusal = decode(body).expect_err(body);
    let errors = refusal
        .errors
        .into_iter()
        .map(|error| (error.field, error.message))
        .collect();
    (refusal.code, errors)
}

#[track_caller]
fn assert_field(body: &str, field: &str, message: &str) {
    let (code, errors) = refused(body);
    assert_eq!(code, "invalid_field", "{body}");
    assert_eq!(errors, [(field.to_owned(), message.to_owned())], "{body}");
}

#[test]
fn a_limit_order() {
    let order = decode(LIMIT).unwrap();
    let expected = NewOrder {
        mode: Mode::Paper,
        symbol: "BTCUSDT".to_owned(),
        side: Side::Buy,
        ord_type: OrdType::Limit,
        time_in_force: TimeInForce::Gtc,
        qty: Qty(100_000),
        price: Some(Price(4_000_000_000_000)),
        stop_price: None,
        quote_qty: None,
        expire_at: None,
        client_order_id: None,
        strategy_id: None,
        valid_for_ms: None,
        override_id: None,
    };
    assert_eq!(order, expected);
}

#[test]
fn a_market_order_is_ioc() {
    let order = decode(MARKET).unwrap();
    assert_eq!(
        (order.ord_type, order.time_in_force, order.price),
        (OrdType::Market, TimeInForce::Ioc, None)
    );
    assert_eq!(
        (order.mode, order.side, order.qty),
        (Mode::Live, Side::Sell, Qty(200_000_000))
    );
}

#[test]
fn every_member_is_read() {
    let body = r#" { "validForMs" : 1500 , "strategyId":"mm/1", "clientOrderId":"entry-7.a_b:c", "timeInForce":"FOK",
        "mode":"LIVE","price":4.05e4,"quantity":1e-8,"type":"LIMIT","side":"SELL","symbol":"ETHBTC" } "#;
    let order = decode(body).unwrap();
    assert_eq!(order.valid_for_ms, Some(1_500));
    assert_eq!(order.strategy_id.as_deref(), Some("mm/1"));
    assert_eq!(order.client_order_id.as_deref(), Some("entry-7.a_b:c"));
    assert_eq!(order.time_in_force, TimeInForce::Fok);
    assert_eq!((order.qty, order.price), (Qty(1), Some(Price(4_050_000_000_000))));
    assert_eq!(order.symbol, "ETHBTC");
}

#[test]
fn digits_are_exact_beyond_doubles() {
    let order = decode(&with("quantity", "90071992547.40993001")).unwrap();
    assert_eq!(order.qty, Qty(9_007_199_254_740_993_001));
    let order = decode(&with("price", r#""0.30000000""#)).unwrap();
    assert_eq!(order.price, Some(Price(30_000_000)));
}

#[test]
fn escapes_in_names_and_values_are_the_same_text() {
    let order = decode(
        &LIMIT
            .replace("BTCUSDT", "BTC\\u0055SDT")
            .replace("\"side\"", "\"\\u0073ide\""),
    )
    .unwrap();
    assert_eq!(order, decode(LIMIT).unwrap());
    assert_field(
        &with("clientOrderId", r#""a\"b""#),
        "clientOrderId",
        "must be 1 to 36 characters of A-Z a-z 0-9 . _ : / -",
    );
    assert_field(&with("symbol", r#""\ud800""#), "symbol", "is not valid Unicode text");
}

#[test]
fn malformed_bodies() {
    let deep = "[".repeat(60_000);
    let deep_member = with("symbol", &"[".repeat(60_000));
    let cut = &LIMIT[..LIMIT.len() - 1];
    let trailing = format!("{LIMIT} x");
    let twice = format!("{LIMIT}{LIMIT}");
    let bodies = [
        "",
        " ",
        "null",
        "1",
        "\"text\"",
        "[]",
        "{",
        cut,
        &deep,
        &deep_member,
        &trailing,
        &twice,
        "{]",
        "{'a':1}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "\u{feff}{}",
        "{\"symbol\":NaN}",
        "{\"price\":01}",
        "{\"price\":.5}",
        "{\"price\":1.}",
        "{\"price\":+1}",
        "{\"side\":\"a\nb\"}",
        "{\"\\ud800\":1}",
        "{1:2}",
        "// {}",
        "{}//",
    ];
    for body in bodies {
        let (code, errors) = refused(body);
        assert_eq!((code, errors.len()), ("malformed_json", 0), "{:.40}", body);
    }
    for body in [&b"\xff"[..], b"{\"symbol\":\"\xc3\x28\"}", b"{\"\xe2\x82\":1}"] {
        assert_eq!(decode_new_order(body).unwrap_err().detail, "The body is not UTF-8");
    }
    assert_eq!(
        decode("{\"a\":1,\n  x}").unwrap_err().detail,
        "The body is not valid JSON at line 2, column 3"
    );
    assert_eq!(decode("[]").unwrap_err().detail, "The body is not a JSON object");
}

#[test]
fn deep_but_complete_values_do_not_recurse() {
    let bomb = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    assert_field(&with("symbol", &bomb), "symbol", "must be a string");
    assert_field(&with("other", &bomb), "other", "is not a known member");
}

#[test]
fn refusals_repeat_little_of_the_body() {
    let body = with("symbol", &format!("\"{}\"", "A".repeat(60_000)));
    assert!(decode(&body).unwrap_err().detail.len() < 200);
    let body = with(&"é".repeat(10_000), "1");
    assert_eq!(refused(&body).1[0].0.chars().count(), 64);
    let many: String = (0..5_000).map(|number| format!(",\"m{number}\":1")).collect();
    let body = format!("{}{many}}}", &LIMIT[..LIMIT.len() - 1]);
    assert_eq!(refused(&body).1.len(), 16);
    assert!(decode(&format!("\"{}\"", "A".repeat(60_000))).unwrap_err().detail.len() < 200);
}

#[test]
fn unknown_and_duplicate_members() {
    assert_field(&with("quantty", "1"), "quantty", "is not a known member");
    assert_field(&with("Symbol", "1"), "Symbol", "is not a known member");
    let twice = format!("{},\"side\":\"BUY\"}}", &LIMIT[..LIMIT.len() - 1]);
    assert_field(&twice, "side", "is given twice");
    let escaped = format!("{},\"sid\\u0065\":\"SELL\"}}", &LIMIT[..LIMIT.len() - 1]);
    assert_field(&escaped, "side", "is given twice");
}

#[test]
fn every_wrong_member_is_named() {
    let (code, errors) = refused(r#"{"side":"buy","type":"LIMIT","quantity":0,"extra":true}"#);
    assert_eq!(code, "invalid_field");
    let fields: Vec<&str> = errors.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["extra", "symbol", "side", "quantity", "mode", "price"]);
    assert_eq!(refused("{}").1.len(), 5);
    assert_eq!(decode("{}").unwrap_err().detail, "symbol is required");
}

#[test]
fn wrong_values() {
    let decimal = "must be a decimal number or a string holding one";
    let client = "must be 1 to 36 characters of A-Z a-z 0-9 . _ : / -";
    let strategy = "must be 1 to 64 characters of A-Z a-z 0-9 . _ : / -";
    let millis = "must be a whole number from 1 to 60000";
    let symbol = "must be 2 to 32 capital letters or digits";
    let (long_symbol, long_client) = (format!("\"{}\"", "A".repeat(33)), format!("\"{}\"", "a".repeat(37)));
    let long_strategy = format!("\"{}\"", "a".repeat(65));
    let types = "must be one of LIMIT, MARKET, LIMIT_MAKER, STOP_LOSS, STOP_LOSS_LIMIT, TAKE_PROFIT, TAKE_PROFIT_LIMIT";
    let cases = [
        ("symbol", "null", "must not be null"),
        ("symbol", "1", "must be a string"),
        ("symbol", r#""btcusdt""#, symbol),
        ("symbol", r#""BTC/USDT""#, symbol),
        ("symbol", r#""B""#, symbol),
        ("symbol", &long_symbol, symbol),
        ("side", r#""buy""#, "must be one of BUY, SELL"),
        ("side", "true", "must be a string"),
        ("type", r#""STOP""#, types),
        ("timeInForce", r#""DAY""#, "must be one of GTC, IOC, FOK, GTD"),
        ("timeInForce", "null", "must not be null"),
        ("mode", r#""paper""#, "must be one of PAPER, LIVE"),
        ("quantity", "null", "must not be null"),
        ("quantity", "true", decimal),
        ("quantity", "[1]", decimal),
        ("quantity", r#""""#, "is not a decimal number"),
        ("quantity", r#"" 1""#, "is not a decimal number"),
        ("quantity", r#""1,000""#, "is not a decimal number"),
        ("quantity", r#""NaN""#, "is not a decimal number"),
        ("quantity", "0", "must be greater than 0"),
        ("quantity", "-1", "must be greater than 0"),
        ("quantity", "0.000000001", "has more than 8 decimals"),
        ("quantity", "1e400", "has an exponent outside -28..28"),
        ("quantity", "92233720368.54775808", "is out of range"),
        ("price", r#""0""#, "must be greater than 0"),
        ("price", "1.123456789", "has more than 8 decimals"),
        ("clientOrderId", r#""""#, client),
        ("clientOrderId", r#""a b""#, client),
        ("clientOrderId", r#""ü""#, client),
        ("clientOrderId", &long_client, client),
        ("clientOrderId", "7", "must be a string"),
        ("strategyId", &long_strategy, strategy),
        ("validForMs", "0", millis),
        ("validForMs", "60001", millis),
        ("validForMs", "-1", millis),
        ("validForMs", "1.5", millis),
        ("validForMs", "1e28", millis),
        ("validForMs", r#""100""#, millis),
        ("validForMs", "true", millis),
    ];
    for (field, value, message) in cases {
        assert_field(&with(field, value), field, message);
    }
    assert_eq!(decode(&with("validForMs", "6e4")).unwrap().valid_for_ms, Some(60_000));
}

#[test]
fn type_and_price_and_time_in_force_go_together() {
    let no_price = r#"{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":"1","mode":"PAPER"}"#;
    assert_field(no_price, "price", "is required for a LIMIT order");
    assert_field(
        &with("type", "\"MARKET\""),
        "price",
        "must not be given for a MARKET order",
    );
    let market = |tif: &str| format!("{},\"timeInForce\":\"{tif}\"}}", &MARKET[..MARKET.len() - 1]);
    assert_eq!(decode(&market("IOC")).unwrap(), decode(MARKET).unwrap());
    assert_field(&market("GTC"), "timeInForce", "must be IOC for a MARKET order");
    assert_field(&market("FOK"), "timeInForce", "must be IOC for a MARKET order");
}

#[test]
fn the_same_request_in_other_words() {
    let print = |body: &str| fingerprint(&decode(body).unwrap());
    let same = [
        with("quantity", "0.001"),
        with("quantity", "\"0.0010\""),
        with("quantity", "1e-3"),
        with("price", "4E4"),
        with("timeInForce", "\"GTC\""),
        r#"{"mode":"PAPER","price":40000.0,"quantity":0.001,"type":"LIMIT","side":"BUY","symbol":"BTCUSDT"}"#
            .to_owned(),
    ];
    for body in &same {
        assert_eq!(print(body), print(LIMIT), "{body}");
    }
    let other = [
        with("quantity", "0.002"),
        with("price", "40001"),
        with("side", "\"SELL\""),
        with("mode", "\"LIVE\""),
        with("symbol", "\"ETHUSDT\""),
        with("timeInForce", "\"IOC\""),
        with("clientOrderId", "\"a\""),
        with("strategyId", "\"a\""),
        with("validForMs", "1"),
        MARKET.to_owned(),
    ];
    let mut prints: Vec<_> = other.iter().map(|body| print(body)).collect();
    prints.push(print(LIMIT));
    let count = prints.len();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), count);
}

#[test]
fn the_fingerprint_never_changes() {
    // Journaled and compared for 24 hours across releases.
    let order = decode(LIMIT).unwrap();
    assert_eq!(fingerprint(&order), (0x4400bb2fff4631a, 0xf6b39257fa9c9745));
}

#[test]
fn idempotency_keys() {
    assert_eq!(check_idempotency_key(None).unwrap_err().code, "idempotency_key_missing");
    let longest = "k".repeat(255);
    for key in [
        "a",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "\"quoted\"",
        "a b~!",
        &longest,
    ] {
        assert_eq!(check_idempotency_key(Some(key)).unwrap(), key);
    }
    let long = "k".repeat(256);
    for key in ["", " ", " a", "a ", "a\tb", "a\nb", "\u{7f}", "é", "a\0", &long] {
        assert_eq!(
            check_idempotency_key(Some(key)).unwrap_err().code,
            "idempotency_key_invalid",
            "{key:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn any_bytes_give_an_order_or_a_400(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(refusal) = decode_new_order(&body) {
            prop_assert_eq!(refusal.status(), 400);
        }
    }

    #[test]
    fn damaged_orders_never_panic(at in 0usize..95, byte in any::<u8>(), cut in 0usize..95) {
        let mut body = LIMIT.as_bytes().to_vec();
        let at = at.min(body.len() - 1);
        body[at] = byte;
        let _ = decode_new_order(&body);
        body.truncate(cut);
        prop_assert!(decode_new_order(&body).is_err());
    }

    #[test]
    fn digits_survive(price in 1i64.., qty in 1i64.., as_text in any::<bool>()) {
        let quote = if as_text { "\"" } else { "" };
        let body = format!(
            r#"{{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","mode":"PAPER","quantity":{quote}{}{quote},"price":{quote}{}{quote}}}"#,
            Qty(qty), Price(price),
        );
        let order = decode(&body).unwrap();
        prop_assert_eq!((order.qty, order.price), (Qty(qty), Some(Price(price))));
    }
}
