//! Fixed-point money: grammar, exactness, rounding; `rust_decimal` is the oracle where its 96 bits reach.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use ordergate_core::number::{Amount, Money, NumberError, Price, Qty, Rate, parse_decimal};
use proptest::prelude::*;
use rust_decimal::{Decimal, RoundingStrategy};
use std::str::FromStr;

#[test]
fn reads_json_numbers_exactly() {
    let cases: &[(&str, i128)] = &[
        ("0", 0),
        ("-0", 0),
        ("0.0", 0),
        ("0e28", 0),
        ("-0.000000000000000e-28", 0),
        ("1", 100_000_000),
        ("-1", -100_000_000),
        ("40000.00", 4_000_000_000_000),
        ("0.00000001", 1),
        ("-0.00000001", -1),
        ("0.000000010000000000000000000000", 1),
        ("1e-8", 1),
        ("1E-8", 1),
        ("100e-10", 1),
        ("100000000000000000000e-28", 1),
        ("1.5e3", 150_000_000_000),
        ("1.5E+3", 150_000_000_000),
        ("0.00000000000000000001e12", 1),
        ("12345678.87654321", 1_234_567_887_654_321),
        ("92233720368.54775807", i128::from(i64::MAX)),
        ("92233720368.54775808", i128::from(i64::MAX) + 1),
        ("1701411834604692317316873037158.84105727", i128::MAX),
        ("-1701411834604692317316873037158.84105727", -i128::MAX),
        ("1e28", 10i128.pow(36)),
        ("99999999999999.9999", 9_999_999_999_999_999_990_000),
        (
            "1000000000000000000000000000000.00000000000000000000000000000",
            10i128.pow(38),
        ),
    ];
    for (text, scaled) in cases {
        assert_eq!(parse_decimal(text), Ok(*scaled), "{text}");
    }
}

#[test]
fn refuses_everything_else() {
    use NumberError::{Decimals, Exponent, Range, Syntax, TooLong};
    let long = format!("1{}", "0".repeat(64));
    let padded = format!("0.1{}", "0".repeat(62));
    let cases: &[(&str, NumberError)] = &[
        ("", Syntax),
        ("-", Syntax),
        ("+1", Syntax),
        (".5", Syntax),
        ("-.5", Syntax),
        ("1.", Syntax),
        ("-1.", Syntax),
        ("1.e5", Syntax),
        ("01", Syntax),
        ("00", Syntax),
        ("-01.5", Syntax),
        ("00.5", Syntax),
        ("1.2.3", Syntax),
        ("1,5", Syntax),
        ("1_000", Syntax),
        (" 1", Syntax),
        ("1 ", Syntax),
        ("1e", Syntax),
        ("1e+", Syntax),
        ("1e1.5", Syntax),
        ("1e1e1", Syntax),
        ("0x10", Syntax),
        ("NaN", Syntax),
        ("Infinity", Syntax),
        ("-Infinity", Syntax),
        ("null", Syntax),
        ("１", Syntax),
        ("1\0", Syntax),
        ("1e29", Exponent),
        ("0e29", Exponent),
        ("1e-29", Exponent),
        ("1e400", Exponent),
        ("1e99999999999999999999", Exponent),
        ("1e-99999999999999999999", Exponent),
        ("0.000000001", Decimals),
        ("1.123456789", Decimals),
        ("40000.000000001", Decimals),
        ("1e-9", Decimals),
        ("11e-9", Decimals),
        ("0.1111111111111111111111111111111111111111111", Decimals),
        ("1701411834604692317316873037158.84105728", Range),
        ("-1701411834604692317316873037158.84105728", Range),
        ("9999999999999999999999999999999999999999999", Range),
        ("10000e28", Range),
        (&long, TooLong),
        (&padded, TooLong),
    ];
    for (text, error) in cases {
        assert_eq!(parse_decimal(text), Err(*error), "{text}");
    }
}

#[test]
fn sixty_four_characters_are_the_most() {
    let text = format!("0.5{}", "0".repeat(61));
    assert_eq!(text.len(), 64);
    assert_eq!(parse_decimal(&text), Ok(50_000_000));
    assert_eq!(parse_decimal(&format!("{text}0")), Err(NumberError::TooLong));
}

#[test]
fn prices_and_quantities_are_positive_and_fit() {
    assert_eq!(Price::parse("40000.5"), Ok(Price(4_000_050_000_000)));
    assert_eq!(Qty::parse("0.00000001"), Ok(Qty(1)));
    assert_eq!(Qty::parse("92233720368.54775807"), Ok(Qty(i64::MAX)));
    assert_eq!(Qty::parse("92233720368.54775808"), Err(NumberError::Range));
    assert_eq!(Price::parse("0"), Err(NumberError::NotPositive));
    assert_eq!(Price::parse("-0.0"), Err(NumberError::NotPositive));
    assert_eq!(Qty::parse("-1"), Err(NumberError::NotPositive));
    assert_eq!(Price::parse_or_zero("0"), Ok(Price(0)));
    assert_eq!(Price::parse_or_zero("-1"), Err(NumberError::Negative));
    assert_eq!(Amount::parse("-5"), Ok(Amount(-500_000_000)));
    assert_eq!(Amount::parse_or_zero("-5"), Err(NumberError::Negative));
    assert_eq!(Qty::try_from(Amount(i128::from(i64::MAX) + 1)), Err(NumberError::Range));
    assert_eq!(Qty::try_from(Amount::from(Qty(7))), Ok(Qty(7)));
}

#[test]
fn display_is_canonical() {
    let cases: &[(i128, &str)] = &[
        (0, "0"),
        (1, "0.00000001"),
        (-1, "-0.00000001"),
        (10, "0.0000001"),
        (100_000, "0.001"),
        (100_000_000, "1"),
        (-150_000_000, "-1.5"),
        (1_000_000_000, "10"),
        (4_000_000_000_000, "40000"),
        (4_000_000_100_000, "40000.001"),
        (i128::MAX, "1701411834604692317316873037158.84105727"),
        (i128::MIN, "-1701411834604692317316873037158.84105728"),
    ];
    for (scaled, text) in cases {
        assert_eq!(Amount(*scaled).to_string(), *text);
    }
    assert_eq!(Money(1).to_string(), "0.0000000000000001");
    assert_eq!(
        Money(i128::MIN).to_string(),
        "-17014118346046923173168.7303715884105728"
    );
    assert_eq!(Money(40_000_000_000_000_000).to_string(), "4");
    assert_eq!(
        Rate::parse("0.001").map(|rate| rate.to_string()).as_deref(),
        Ok("0.001")
    );
    assert_eq!(format!("{:>8}|", Qty(150_000_000)), "     1.5|");
}

#[test]
fn products_never_round_or_overflow() {
    assert_eq!(
        Price(i64::MAX).times(Qty(i64::MAX)),
        Money(i128::from(i64::MAX) * i128::from(i64::MAX))
    );
    assert_eq!(Price(1) * Qty(1), Money(1));
    assert_eq!(Price(1).times(Qty(1)).to_amount_ceil(), Amount(1));
    assert_eq!(Price(1).times(Qty(1)).to_amount_floor(), Amount(0));
}

#[test]
fn rounding_of_ties_and_signs() {
    const HALF: i128 = 50_000_000;
    const ONE: i128 = 100_000_000;
    // money, floor, ceil, half-even
    let cases = [
        (0, 0, 0, 0),
        (1, 0, 1, 0),
        (HALF - 1, 0, 1, 0),
        (HALF, 0, 1, 0),
        (HALF + 1, 0, 1, 1),
        (ONE + HALF, 1, 2, 2),
        (2 * ONE + HALF, 2, 3, 2),
        (-1, -1, 0, 0),
        (-HALF, -1, 0, 0),
        (-HALF - 1, -1, 0, -1),
        (-ONE - HALF, -2, -1, -2),
        (-2 * ONE - HALF, -3, -2, -2),
        (3 * ONE, 3, 3, 3),
        (-3 * ONE, -3, -3, -3),
    ];
    for (money, floor, ceil, even) in cases {
        assert_eq!(Money(money).to_amount_floor(), Amount(floor), "floor of {money}");
        assert_eq!(Money(money).to_amount_ceil(), Amount(ceil), "ceil of {money}");
        assert_eq!(Money(money).to_amount_half_even(), Amount(even), "half-even of {money}");
    }
    for end in [i128::MAX, i128::MIN] {
        let _ = (
            Money(end).to_amount_ceil(),
            Money(end).to_amount_floor(),
            Money(end).to_amount_half_even(),
        );
    }
}

#[test]
fn sums_and_rates_out_of_range_are_none() {
    assert_eq!(Amount(i128::MAX).checked_add(Amount(1)), None);
    assert_eq!(Amount(i128::MIN).checked_sub(Amount(1)), None);
    assert_eq!(Amount(i128::MIN).checked_neg(), None);
    assert_eq!(Amount(i128::MAX).to_money(), None);
    assert_eq!(Money(i128::MAX).checked_add(Money(1)), None);
    assert_eq!(Money(i128::MIN).checked_sub(Money(1)), None);
    assert_eq!(Money(i128::MAX).at_rate(Rate(i64::MAX)), None);
    assert_eq!(Money(i128::MAX).at_rate(Rate(100_000_000)), Some(Money(i128::MAX)));
    assert_eq!(Money(i128::MIN).at_rate(Rate(100_000_000)), Some(Money(i128::MIN)));
    assert_eq!(Amount(i128::MAX).at_rate(Rate(2)), None);
}

#[test]
fn averages() {
    // 1 at 40000 and 2 at 40001: 120002 / 3 = 40000.66666666…
    let money = Money(4_000_000_000_000 * 100_000_000 + 4_000_100_000_000 * 200_000_000);
    assert_eq!(
        money
            .average(Amount(300_000_000))
            .map(|price| price.to_string())
            .as_deref(),
        Some("40000.66666667")
    );
    assert_eq!(Money(5).average(Amount(2)), Some(Amount(2)), "2.5 goes to the even 2");
    assert_eq!(Money(7).average(Amount(2)), Some(Amount(4)), "3.5 goes to the even 4");
    assert_eq!(Money(-5).average(Amount(2)), Some(Amount(-2)));
    assert_eq!(Money(i128::MAX).average(Amount(1)), Some(Amount(i128::MAX)));
    assert_eq!(Money(1).average(Amount(i128::MAX)), Some(Amount(0)));
    assert_eq!(Money(i128::MAX).average(Amount(i128::MAX)), Some(Amount(1)));
    assert_eq!(Money(1).average(Amount(0)), None);
    assert_eq!(Money(1).average(Amount(-1)), None);
}

/// Scaled by 10⁻⁸ as the oracle's number.
fn oracle(scaled: i128, places: u32) -> Decimal {
    Decimal::from_i128_with_scale(scaled, places)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn text_round_trips(scaled in any::<i128>().prop_filter("has no opposite", |scaled| *scaled != i128::MIN)) {
        let text = Amount(scaled).to_string();
        prop_assert_eq!(parse_decimal(&text), Ok(scaled));
        prop_assert!(!text.contains('.') || !text.ends_with('0'));
    }

    #[test]
    fn small_text_round_trips_and_agrees(scaled in any::<i64>()) {
        let text = Amount(scaled.into()).to_string();
        prop_assert_eq!(parse_decimal(&text), Ok(scaled.into()));
        prop_assert_eq!(text, oracle(scaled.into(), 8).normalize().to_string());
    }

    #[test]
    fn parse_agrees_with_the_oracle(
        negative in any::<bool>(), whole in "0|[1-9][0-9]{0,14}", fraction in "[0-9]{0,11}", exponent in -9i32..=9,
    ) {
        let point = if fraction.is_empty() { "" } else { "." };
        let sign = if negative { "-" } else { "" };
        let plain = format!("{sign}{whole}{point}{fraction}");
        let exact = Decimal::from_str(&plain).unwrap();
        let shift = 8 + exponent - exact.scale() as i32;
        let tens = 10i128.pow(shift.unsigned_abs());
        let expected = match shift {
            0.. => Ok(exact.mantissa() * tens),
            _ if exact.mantissa() % tens == 0 => Ok(exact.mantissa() / tens),
            _ => Err(NumberError::Decimals),
        };
        prop_assert_eq!(parse_decimal(&format!("{plain}e{exponent}")), expected);
        if exponent == 0 {
            prop_assert_eq!(parse_decimal(&plain), expected);
        }
    }

    #[test]
    fn never_panics_on_any_text(text in "[-+0-9.eE_ naNI]{0,70}") {
        // What is accepted reads the same for serde_json, which has JSON's grammar.
        if parse_decimal(&text).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Number>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn notional_agrees(price in 1i64..=1_000_000_000_000_000, qty in 1i64..=1_000_000_000_000) {
        let money = Price(price).times(Qty(qty));
        let exact = oracle(price.into(), 8).checked_mul(oracle(qty.into(), 8)).unwrap();
        prop_assert_eq!(money.to_string(), exact.normalize().to_string());
        let rounded = |strategy| exact.round_dp_with_strategy(8, strategy).normalize().to_string();
        prop_assert_eq!(money.to_amount_ceil().to_string(), rounded(RoundingStrategy::ToPositiveInfinity));
        prop_assert_eq!(money.to_amount_floor().to_string(), rounded(RoundingStrategy::ToNegativeInfinity));
        prop_assert_eq!(money.to_amount_half_even().to_string(), rounded(RoundingStrategy::MidpointNearestEven));
    }

    #[test]
    fn rates_agree(money in -1_000_000_000_000_000i128..=1_000_000_000_000_000, rate in -1_000_000_000i64..=1_000_000_000) {
        let exact = money * i128::from(rate);
        let rounded = oracle(exact, 8).round_dp_with_strategy(0, RoundingStrategy::MidpointNearestEven);
        prop_assert_eq!(Money(money).at_rate(Rate(rate)), Some(Money(rounded.mantissa())));
        prop_assert_eq!(Amount(money).at_rate(Rate(rate)), Some(Money(exact)));
    }

    #[test]
    fn averages_are_nearest(money in any::<i128>(), qty in 1i128..=i128::from(u64::MAX)) {
        let Some(Amount(average)) = Money(money).average(Amount(qty)) else { return Err(TestCaseError::fail("none")) };
        let rest = money - average * qty;
        prop_assert!(rest.abs() * 2 < qty || (rest.abs() * 2 == qty && average % 2 == 0), "rest {}", rest);
    }

    #[test]
    fn messagepack_round_trips(wide in any::<i128>(), small in any::<i64>()) {
        for value in [wide, small.into()] {
            let bytes = rmp_serde::to_vec(&(Amount(value), Money(value))).unwrap();
            prop_assert_eq!(rmp_serde::from_slice::<(Amount, Money)>(&bytes).unwrap(), (Amount(value), Money(value)));
        }
    }
}
