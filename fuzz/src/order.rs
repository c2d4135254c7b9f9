//! The body of `POST /api/v1/orders`.

use crate::json::{Value, members};
use ordergate_core::refusal::CODES;
use ordergate_core::render::push_time;
use ordergate_core::request::{NewOrder, check_idempotency_key, decode_new_order, fingerprint};
use ordergate_core::terms::{OrdType, TimeInForce};
use std::collections::BTreeMap;

/// Whatever the bytes: nothing panics, a refusal has a known code, and what is accepted says to a second reader
/// exactly what it says to us.
pub fn check(body: &[u8]) -> bool {
    let _ = check_idempotency_key(std::str::from_utf8(body).ok());
    match decode_new_order(body) {
        Ok(order) => {
            compare(&order, body);
            let again = decode_new_order(rewritten(&order).as_bytes()).unwrap();
            assert_eq!((&again, fingerprint(&again)), (&order, fingerprint(&order)));
            true
        }
        Err(refusal) => {
            assert!(CODES.contains(&(refusal.code, 400)), "{}", refusal.code);
            assert!(refusal.errors.len() <= 16 && refusal.detail.len() < 1_000);
            false
        }
    }
}

fn compare(order: &NewOrder, body: &[u8]) {
    let read = members(body).expect("an accepted body is a flat JSON object");
    let given: BTreeMap<&str, &Value> = read.iter().map(|(name, value)| (name.as_str(), value)).collect();
    assert_eq!(given.len(), read.len(), "no member twice");
    let word = |name: &str| {
        given.get(name).map(|value| {
            assert!(value.quoted);
            value.text.as_str()
        })
    };
    let figure = |name: &str| given.get(name).map(|value| scaled(&value.text));
    assert_eq!(word("mode"), Some(order.mode.as_str()));
    assert_eq!(word("symbol"), Some(order.symbol.as_str()));
    assert_eq!(word("side"), Some(order.side.as_str()));
    assert_eq!(word("type"), Some(order.ord_type.as_str()));
    let usual = match order.ord_type {
        OrdType::Market => TimeInForce::Ioc,
        _ => TimeInForce::Gtc,
    };
    assert_eq!(
        word("timeInForce").unwrap_or(usual.as_str()),
        order.time_in_force.as_str()
    );
    assert_eq!(word("clientOrderId"), order.client_order_id.as_deref());
    assert_eq!(word("strategyId"), order.strategy_id.as_deref());
    let by_quote = order.quote_qty.is_some();
    assert_eq!(figure("quantity"), (!by_quote).then_some(order.qty.0.into()));
    assert_eq!(figure("stopPrice"), order.stop_price.map(|price| price.0.into()));
    assert_eq!(figure("quoteOrderQty"), order.quote_qty.map(|quote| quote.0));
    assert_eq!(given.contains_key("expireAt"), order.expire_at.is_some());
    assert_eq!(order.expire_at.is_some(), order.time_in_force == TimeInForce::Gtd);
    if let Some(value) = given.get("expireAt").filter(|value| !value.quoted) {
        assert_eq!(
            value.text.parse::<i64>().map(|millis| millis * 1_000_000),
            Ok(order.expire_at.unwrap())
        );
    }
    assert_eq!(figure("price"), order.price.map(|price| price.0.into()));
    assert_eq!(
        figure("validForMs"),
        order.valid_for_ms.map(|ms| i128::from(ms) * 100_000_000)
    );
    let id = order.override_id.map(|id| id.to_string());
    assert_eq!(word("overrideId"), id.as_deref());
    let known = [
        "mode",
        "symbol",
        "side",
        "type",
        "timeInForce",
        "clientOrderId",
        "strategyId",
        "quantity",
        "price",
        "validForMs",
        "overrideId",
        "stopPrice",
        "quoteOrderQty",
        "expireAt",
    ];
    assert!(given.keys().all(|name| known.contains(name)));
    use OrdType::{Limit, LimitMaker, Market, StopLossLimit, TakeProfitLimit};
    let priced = [Limit, LimitMaker, StopLossLimit, TakeProfitLimit].contains(&order.ord_type);
    assert_eq!(order.price.is_some(), priced);
    assert_eq!(
        order.stop_price.is_none(),
        [Limit, LimitMaker, Market].contains(&order.ord_type)
    );
    assert!(order.qty.0 > 0 || (by_quote && order.ord_type == Market && order.qty.0 == 0));
    let figures = [order.price, order.stop_price];
    assert!(figures.into_iter().flatten().all(|price| price.0 > 0));
}

/// The number times 10⁸, digit by digit: shifting the point of a string.
fn scaled(text: &str) -> i128 {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let shift = exponent.parse::<i64>().unwrap() + 8 - decimals.len() as i64;
    let mut digits = format!("{whole}{decimals}");
    for _ in 0..shift {
        digits.push('0');
    }
    for _ in shift..0 {
        assert_eq!(digits.pop().unwrap_or('0'), '0', "{text} has more than 8 decimals");
    }
    if digits.is_empty() { 0 } else { digits.parse().unwrap() }
}

/// The order in another spelling.
fn rewritten(order: &NewOrder) -> String {
    let mut members = vec![
        format!(r#""timeInForce":"{}""#, order.time_in_force),
        format!(r#""type":"{}""#, order.ord_type),
        format!(r#""side":"{}""#, order.side),
        format!(r#""symbol":"{}""#, order.symbol),
        format!(r#""mode":"{}""#, order.mode),
    ];
    match order.quote_qty {
        Some(quote) => members.push(format!(r#""quoteOrderQty":"{}e-8""#, quote.0)),
        None => members.push(format!(r#""quantity":"{}e-8""#, order.qty.0)),
    }
    members.extend(order.stop_price.map(|price| format!(r#""stopPrice":"{}e-8""#, price.0)));
    members.extend(order.expire_at.map(|at| {
        let mut text = String::new();
        push_time(&mut text, at);
        // What is below a microsecond follows.
        format!(r#""expireAt":"{}{:03}Z""#, text.trim_end_matches('Z'), at % 1_000)
    }));
    members.extend(order.price.map(|price| format!(r#""price":{}E-8"#, price.0)));
    members.extend(
        order
            .client_order_id
            .iter()
            .map(|id| format!(r#""clientOrderId":"{id}""#)),
    );
    members.extend(order.strategy_id.iter().map(|name| format!(r#""strategyId":"{name}""#)));
    members.extend(order.valid_for_ms.map(|ms| format!(r#""validForMs":{ms}"#)));
    members.extend(order.override_id.map(|id| format!(r#""overrideId":"{id}""#)));
    format!("\n{{ {} }}\t", members.join(" , "))
}
