//! Exact fixed-point money. Every operation is checked; overflow is a refusal, never a wrap.

use serde::{Deserialize, Serialize};

/// Price of one unit of base, in quote, scaled by 10⁻⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Price(pub i64);

/// Quantity of base in one order, scaled by 10⁻⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Qty(pub i64);

/// Balances, holds, limits, sums of quantity, quote amounts that are facts: scaled by 10⁻⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Amount(pub i128);

/// Products price × quantity and their sums: scaled by 10⁻¹⁶, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Money(pub i128);

/// i128 in MessagePack: an integer while it fits 64 bits, else 16 bytes, big-endian.
macro_rules! wide {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match i64::try_from(self.0) {
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
                        let wide = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
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
