//! Exact fixed-point money. Every operation is checked; overflow is a refusal, never a wrap.
//!
//! Scales: [`Price`], [`Qty`], [`Amount`] and [`Rate`] count 10⁻⁸, [`Money`] counts 10⁻¹⁶. A product of price and
//! quantity is exact; a multiplication by a rate or a division rounds once, half to even. In the journal they are
//! integers, in text for people decimals.

pub use crate::decimal::{MAX_NUMBER_TEXT, NumberError, PLACES, UNIT, parse_decimal};

use crate::decimal::{by_unit, write_decimal};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Price of one unit of base, in quote, scaled by 10⁻⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Deserialize)]
pub struct Price(pub i64);

/// Quantity of base in one order, scaled by 10⁻⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Deserialize)]
pub struct Qty(pub i64);

/// A rate (a fee, a haircut), scaled by 10⁻⁸: `Rate(100_000)` is 0.001.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Deserialize)]
pub struct Rate(pub i64);

/// Balances, holds, limits, sums of quantity, quote amounts that are facts: scaled by 10⁻⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Amount(pub i128);

/// Products price × quantity and their sums: scaled by 10⁻¹⁶, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Money(pub i128);

fn positive(scaled: i128) -> Result<i64, NumberError> {
    if scaled <= 0 {
        Err(NumberError::NotPositive)
    } else {
        i64::try_from(scaled).map_err(|_| NumberError::Range)
    }
}

fn not_negative(scaled: i128) -> Result<i64, NumberError> {
    if scaled < 0 {
        Err(NumberError::Negative)
    } else {
        i64::try_from(scaled).map_err(|_| NumberError::Range)
    }
}

/// What [`Price`], [`Qty`] and [`Rate`] have in common.
macro_rules! narrow {
    ($($name:ident),+) => { $(
        impl $name {
            /// The text's number, greater than zero.
            ///
            /// # Errors
            /// [`NumberError`], with [`NumberError::NotPositive`] for zero and below.
            pub fn parse(text: &str) -> Result<Self, NumberError> {
                positive(parse_decimal(text)?).map(Self)
            }
            /// The text's number, zero allowed (a filter that is switched off).
            ///
            /// # Errors
            /// [`NumberError`], with [`NumberError::Negative`] below zero.
            pub fn parse_or_zero(text: &str) -> Result<Self, NumberError> {
                not_negative(parse_decimal(text)?).map(Self)
            }
            /// True for zero: in filters, "switched off".
            #[must_use]
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_newtype_struct(stringify!($name), &self.0)
                }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_decimal(f, self.0.into(), PLACES)
            }
        }
    )+ };
}
narrow!(Price, Qty, Rate);

impl Price {
    /// Price × quantity, exact: two 64-bit factors always fit.
    #[must_use]
    pub const fn times(self, qty: Qty) -> Money {
        Money(self.0 as i128 * qty.0 as i128)
    }
}

impl std::ops::Mul<Qty> for Price {
    type Output = Money;
    fn mul(self, qty: Qty) -> Money {
        self.times(qty)
    }
}

impl From<Qty> for Amount {
    fn from(qty: Qty) -> Self {
        Self(qty.0.into())
    }
}

impl TryFrom<Amount> for Qty {
    type Error = NumberError;
    fn try_from(amount: Amount) -> Result<Self, NumberError> {
        i64::try_from(amount.0).map(Self).map_err(|_| NumberError::Range)
    }
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The text's number, of any sign.
    ///
    /// # Errors
    /// [`NumberError`].
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        parse_decimal(text).map(Self)
    }

    /// The text's number, zero or more.
    ///
    /// # Errors
    /// [`NumberError`], with [`NumberError::Negative`] below zero.
    pub fn parse_or_zero(text: &str) -> Result<Self, NumberError> {
        let scaled = parse_decimal(text)?;
        if scaled < 0 {
            Err(NumberError::Negative)
        } else {
            Ok(Self(scaled))
        }
    }

    /// Sum; `None` when out of range.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// Difference; `None` when out of range.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// With the other sign; `None` for the one value that has no opposite.
    #[must_use]
    pub const fn checked_neg(self) -> Option<Self> {
        match self.0.checked_neg() {
            Some(opposite) => Some(Self(opposite)),
            None => None,
        }
    }

    /// The same value at the finer scale; `None` when out of range.
    #[must_use]
    pub const fn to_money(self) -> Option<Money> {
        match self.0.checked_mul(UNIT) {
            Some(scaled) => Some(Money(scaled)),
            None => None,
        }
    }

    /// Amount × rate, exact at the finer scale; `None` when out of range.
    #[must_use]
    pub const fn at_rate(self, rate: Rate) -> Option<Money> {
        match self.0.checked_mul(rate.0 as i128) {
            Some(product) => Some(Money(product)),
            None => None,
        }
    }

    /// True for exactly nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// True below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Sum; `None` when out of range.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// Difference; `None` when out of range.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// To 8 decimals, towards +∞.
    #[must_use]
    pub const fn to_amount_ceil(self) -> Amount {
        // The quotient is far from the ends of the range: adding one cannot overflow.
        let (below, rest) = by_unit(self.0);
        Amount(if rest == 0 { below } else { below + 1 })
    }

    /// To 8 decimals, towards −∞.
    #[must_use]
    pub const fn to_amount_floor(self) -> Amount {
        Amount(by_unit(self.0).0)
    }

    /// To 8 decimals, to the nearest, ties to the even neighbour.
    #[must_use]
    pub const fn to_amount_half_even(self) -> Amount {
        let (below, rest) = by_unit(self.0);
        let up = rest * 2 > UNIT || (rest * 2 == UNIT && below % 2 != 0);
        Amount(if up { below + 1 } else { below })
    }

    /// Money × rate, rounded once to 10⁻¹⁶, ties to even; `None` when out of range.
    #[must_use]
    pub const fn at_rate(self, rate: Rate) -> Option<Self> {
        // Whole and rest apart, both towards zero: neither part's product is larger than the exact result.
        let fine = self.0 % UNIT * rate.0 as i128;
        let Some(coarse) = (self.0 / UNIT).checked_mul(rate.0 as i128) else {
            return None;
        };
        let Some(towards_zero) = coarse.checked_add(fine / UNIT) else {
            return None;
        };
        let left = (fine % UNIT).abs();
        let away = left * 2 > UNIT || (left * 2 == UNIT && towards_zero % 2 != 0);
        match towards_zero.checked_add(if away { fine.signum() } else { 0 }) {
            Some(rounded) => Some(Self(rounded)),
            None => None,
        }
    }

    /// Average price of `qty` bought or sold for this money: to 8 decimals, ties to even; `None` for a quantity that
    /// is not positive.
    #[must_use]
    pub const fn average(self, qty: Amount) -> Option<Amount> {
        if qty.0 <= 0 {
            return None;
        }
        let below = self.0.div_euclid(qty.0);
        let rest = self.0.rem_euclid(qty.0);
        // Compares rest × 2 with qty without doubling, which might overflow.
        let other = qty.0 - rest;
        let up = rest > other || (rest == other && below % 2 != 0);
        if !up {
            return Some(Amount(below));
        }
        match below.checked_add(1) {
            Some(above) => Some(Amount(above)),
            None => None,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0, PLACES)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0, 2 * PLACES)
    }
}

/// i128 in MessagePack: an integer while it fits 64 bits, else 16 bytes, big-endian.
macro_rules! wide {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match i64::try_from(self.0) {
                    _ if serializer.is_human_readable() => serializer.collect_str(self),
                    Ok(small) => serializer.serialize_i64(small),
                    Err(_) => serializer.serialize_bytes(&self.0.to_be_bytes()),
                }
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an integer or 16 bytes")
                    }
                    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<$name, E> {
                        Ok($name(value.into()))
                    }
                    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<$name, E> {
                        Ok($name(value.into()))
                    }
                    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<$name, E> {
                        let wide = bytes
                            .try_into()
                            .map_err(|_| E::invalid_length(bytes.len(), &self))?;
                        Ok($name(i128::from_be_bytes(wide)))
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }
    };
}
wide!(Amount);
wide!(Money);
