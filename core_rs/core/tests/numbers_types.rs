//! The members that order types beside LIMIT and MARKET bring along, new terms of an order, and what filters say of them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::request::{
    NewOrder, NewTerms, decode_new_order, decode_new_terms, fingerprint, replace_fingerprint,
};
use ordergate_core::terms::{OrdType, TimeInForce};
use std::collections::BTreeSet;

/// An order of this type with these members.
fn body(ord_type: &str, members: &str) -> String {
    format!(r#"{{"symbol":"BTCUSDT","side":"BUY","mode":"PAPER","type":"{ord_type}"{members}}}"#)
}

fn decode(ord_type: &str, members: &str) -> NewOrder {
    let body = body(ord_type, members);
    decode_new_order(body.as_bytes()).expect(&body)
}

/// (member, message) of everything that is wrong.
fn wrong(ord_type: &str, members: &str) -> Vec<(String, String)> {
    let body = body(ord_type, members);
    let refusal = decode_new_order(body.as_bytes()).expect_err(&body);
    assert_eq!(refusal.code, "invalid_field");
    let errors = refusal.errors.into_iter();
    errors.map(|error| (error.field, error.message)).collect()
}

fn says(found: &[(String, String)], expected: &[(&str, &str)]) {
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(field, text)| (field.as_str(), text.as_str()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn each_type_has_its_own_members() {
    for (ord_type, members, price, stop_price) in [
        ("LIMIT_MAKER", r#","quantity":1,"price":"40000""#, Some(40_000), None),
        ("STOP_LOSS", r#","quantity":1,"stopPrice":"39000""#, None, Some(39_000)),
        ("TAKE_PROFIT", r#","quantity":1,"stopPrice":39000"#, None, Some(39_000)),
        (
            "STOP_LOSS_LIMIT",
            r#","quantity":1,"stopPrice":39000,"price":38900"#,
            Some(38_900),
            Some(39_000),
        ),
        (
            "TAKE_PROFIT_LIMIT",
            r#","quantity":1,"stopPrice":39000,"price":3.9e4"#,
            Some(39_000),
            Some(39_000),
        ),
    ] {
        let order = decode(ord_type, members);
        let scaled = |price: Option<i64>| price.map(|price| Price(price * 100_000_000));
        assert_eq!(
            (order.price, order.stop_price),
            (scaled(price), scaled(stop_price)),
            "{ord_type}"
        );
        assert_eq!(order.ord_type, OrdType::parse(ord_type).unwrap());
        assert_eq!(
            (order.time_in_force, order.quote_qty, order.expire_at),
            (TimeInForce::Gtc, None, None)
        );
    }
}

#[test]
fn what_a_type_lacks_and_what_it_does_not_admit_is_named() {
    says(
        &wrong("STOP_LOSS_LIMIT", r#","quantity":1"#),
        &[
            ("price", "is required for a STOP_LOSS_LIMIT order"),
            ("stopPrice", "is required for a STOP_LOSS_LIMIT order"),
        ],
    );
    says(
        &wrong(
            "STOP_LOSS",
            r#","quantity":1,"stopPrice":1,"price":1,"timeInForce":"FOK","quoteOrderQty":5"#,
        ),
        &[
            ("price", "must not be given for a STOP_LOSS order"),
            ("quoteOrderQty", "must not be given for a STOP_LOSS order"),
            ("timeInForce", "must be GTC or GTD for a STOP_LOSS order"),
        ],
    );
    says(
        &wrong("LIMIT", r#","quantity":1,"price":1,"stopPrice":"1""#),
        &[("stopPrice", "must not be given for a LIMIT order")],
    );
    says(
        &wrong("LIMIT_MAKER", r#","quantity":1,"price":1,"timeInForce":"IOC""#),
        &[("timeInForce", "must be GTC or GTD for a LIMIT_MAKER order")],
    );
    says(
        &wrong("MARKET", r#","quantity":1,"quoteOrderQty":5,"timeInForce":"GTD""#),
        &[
            ("quantity", "must not be given together with quoteOrderQty"),
            ("timeInForce", "must be IOC for a MARKET order"),
            ("expireAt", "is required for GTD"),
        ],
    );
    says(&wrong("MARKET", ""), &[("quantity", "is required")]);
    for amount in ["0", "-1", "1e-9", "92233720368.54775808", "null", "true"] {
        let found = wrong("MARKET", &format!(r#","quoteOrderQty":{amount}"#));
        assert_eq!(
            found.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(),
            ["quoteOrderQty"],
            "{amount}"
        );
    }
}

#[test]
fn an_amount_of_quote_has_no_quantity_yet() {
    let order = decode("MARKET", r#","quoteOrderQty":"250.5""#);
    assert_eq!((order.qty, order.quote_qty), (Qty(0), Some(Amount(25_050_000_000))));
    assert_eq!(order.time_in_force, TimeInForce::Ioc);
}

#[test]
fn gtd_names_its_time_in_either_form() {
    let at = |expire_at: &str| {
        let members = format!(r#","quantity":1,"price":1,"timeInForce":"GTD","expireAt":{expire_at}"#);
        decode("LIMIT", &members).expire_at
    };
    let expected = Some(1_795_503_600_500_000_000);
    assert_eq!(at(r#""2026-11-24T07:00:00.5Z""#), expected);
    assert_eq!(at(r#""2026-11-24T08:00:00.500+01:00""#), expected);
    assert_eq!(at("1795503600500"), expected);
    says(
        &wrong("LIMIT", r#","quantity":1,"price":1,"expireAt":1795503600500"#),
        &[("expireAt", "must not be given without GTD")],
    );
    for bad in [r#""tomorrow""#, "1.5", "-1", "0", r#""2026-11-24T07:00:00""#, "[]"] {
        let found = wrong(
            "LIMIT",
            &format!(r#","quantity":1,"price":1,"timeInForce":"GTD","expireAt":{bad}"#),
        );
        says(
            &found,
            &[(
                "expireAt",
                "must be a time as 2026-11-24T07:00:00Z, or whole milliseconds since 1970",
            )],
        );
    }
}

#[test]
fn every_new_member_is_part_of_the_fingerprint() {
    let gtd = r#","quantity":1,"price":1,"timeInForce":"GTD","expireAt":"#;
    let orders = [
        decode("LIMIT", r#","quantity":1,"price":1"#),
        decode("LIMIT", r#","quantity":1,"price":1,"overrideId":"7""#),
        decode("LIMIT", &format!("{gtd}1795503600500")),
        decode("LIMIT", &format!("{gtd}1795503600501")),
        decode("LIMIT", &format!(r#"{gtd}1795503600501,"overrideId":"7""#)),
        decode("STOP_LOSS_LIMIT", r#","quantity":1,"price":1,"stopPrice":1"#),
        decode("STOP_LOSS_LIMIT", r#","quantity":1,"price":1,"stopPrice":2"#),
        decode("TAKE_PROFIT_LIMIT", r#","quantity":1,"price":1,"stopPrice":2"#),
        decode("MARKET", r#","quoteOrderQty":1"#),
        decode("MARKET", r#","quoteOrderQty":2"#),
    ];
    let prints: BTreeSet<(u64, u64)> = orders.iter().map(fingerprint).collect();
    assert_eq!(prints.len(), orders.len());
}

#[test]
fn new_terms_are_read_and_every_wrong_member_is_named() {
    let terms = |body: &str| decode_new_terms(body.as_bytes());
    let (qty, price, stop_price) = (
        Some(Qty(50_000_000)),
        Some(Price(200_000_000)),
        Some(Price(300_000_000)),
    );
    let all = NewTerms { qty, price, stop_price };
    assert_eq!(terms(r#"{"quantity":0.5,"price":"2","stopPrice":3}"#), Ok(all));
    let less = NewTerms {
        qty,
        ..NewTerms::default()
    };
    assert_eq!(terms(r#"{"quantity":"0.50"}"#), Ok(less));
    let named = |body: &str| {
        let errors = terms(body).unwrap_err().errors.into_iter();
        errors
            .map(|error| format!("{} {}", error.field, error.message))
            .collect::<Vec<_>>()
    };
    assert_eq!(named("{}"), ["quantity or price or stopPrice is required"]);
    assert_eq!(
        named(r#"{"quantity":0,"side":"SELL","fee":1,"price":null}"#),
        [
            "fee is not a known member",
            "quantity must be greater than 0",
            "price must not be null",
            "side cannot be changed",
        ]
    );
    assert_eq!(terms("[]").unwrap_err().code, "malformed_json");
    // The order is part of the request.
    let prints = [(1, &all), (2, &all), (1, &less)].map(|(order, terms)| replace_fingerprint(order, terms));
    assert_eq!(BTreeSet::from(prints).len(), 3);
    assert_eq!(replace_fingerprint(1, &all), prints[0]);
}
