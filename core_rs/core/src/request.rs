//! From bytes to a decoded order: strict, exact digits, every wrong member named.

use crate::instrument::is_symbol;
use crate::number::{NumberError, Price, Qty, UNIT, parse_decimal};
use crate::refusal::{self, FieldError, Refusal};
use crate::terms::{Mode, OrdType, Seq, Side, TimeInForce};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

pub use crate::fingerprint::fingerprint;

/// Longest `clientOrderId`.
pub const MAX_CLIENT_ORDER_ID: usize = 36;
/// Longest `strategyId`.
pub const MAX_STRATEGY_ID: usize = 64;
/// Longest wait that `validForMs` may ask for.
pub const MAX_VALID_FOR_MS: u32 = 60_000;
/// Longest `Idempotency-Key`.
pub const MAX_IDEMPOTENCY_KEY: usize = 255;
/// No more wrong members than this are named: a refusal stays small whatever the body.
const MAX_FIELD_ERRORS: usize = 16;
/// No more of an unknown member's name than this is repeated, in characters.
const MAX_ECHO: usize = 64;

/// An order as asked for, with its defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// PAPER or LIVE.
    pub mode: Mode,
    /// For example `BTCUSDT`.
    pub symbol: String,
    /// BUY or SELL.
    pub side: Side,
    /// LIMIT or MARKET.
    pub ord_type: OrdType,
    /// GTC when a LIMIT order does not say; always IOC for MARKET.
    pub time_in_force: TimeInForce,
    /// Quantity of base, greater than zero.
    pub qty: Qty,
    /// Limit price, greater than zero; `None` exactly for MARKET.
    pub price: Option<Price>,
    /// The client's own id.
    pub client_order_id: Option<String>,
    /// Name of the strategy.
    pub strategy_id: Option<String>,
    /// How long the order may wait to be sent, in milliseconds.
    pub valid_for_ms: Option<u32>,
    /// The override that excuses the order from checks.
    pub override_id: Option<Seq>,
}

/// Declares the members of the body: their place in [`Members::raw`] and their names on the wire.
macro_rules! members {
    ($($name:ident = $text:literal),+ $(,)?) => {
        #[derive(Clone, Copy)]
        enum Member { $($name),+ }
        impl Member {
            const NAMES: &'static [&'static str] = &[$($text),+];
            fn parse(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)+ _ => None }
            }
            const fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }
    };
}

members! {
    Symbol = "symbol", Side = "side", Type = "type", TimeInForce = "timeInForce", Quantity = "quantity", Price = "price",
    Mode = "mode", ClientOrderId = "clientOrderId", StrategyId = "strategyId", ValidForMs = "validForMs",
    OverrideId = "overrideId",
}

/// The members as they stand in the body, and what is wrong with them so far.
#[derive(Default)]
struct Members<'a> {
    raw: [Option<&'a RawValue>; Member::NAMES.len()],
    errors: Vec<FieldError>,
}

/// A member's name: one of ours, or the beginning of a stranger's.
enum Name {
    Known(Member),
    Unknown(String),
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }
            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match Member::parse(name) {
                    Some(member) => Name::Known(member),
                    None => Name::Unknown(name.chars().take(MAX_ECHO).collect()),
                })
            }
        }
        deserializer.deserialize_identifier(NameVisitor)
    }
}

impl<'de> DeserializeSeed<'de> for &mut Members<'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Members<'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Name>()? {
            // Kept as text: numbers keep their digits, and nesting is skipped without recursion.
            let value = map.next_value::<&RawValue>()?;
            match name {
                Name::Unknown(name) => self.wrong(&name, "is not a known member"),
                Name::Known(member) if self.raw[member as usize].is_some() => {
                    self.wrong(member.name(), "is given twice");
                }
                Name::Known(member) => self.raw[member as usize] = Some(value),
            }
        }
        Ok(())
    }
}

impl<'a> Members<'a> {
    fn wrong(&mut self, field: &str, message: impl Into<String>) {
        if self.errors.len() < MAX_FIELD_ERRORS {
            self.errors.push(FieldError {
                field: field.to_owned(),
                message: message.into(),
            });
        }
    }

    /// A member decoded by `decode`; what is wrong is noted. A null is no value and does not stand for absence.
    fn optional<T>(&mut self, member: Member, decode: impl FnOnce(&'a str) -> Result<T, Wrong>) -> Option<T> {
        let raw = self.raw[member as usize]?.get();
        match if raw == "null" {
            wrong("must not be null")
        } else {
            decode(raw)
        } {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.wrong(member.name(), wrong.0);
                None
            }
        }
    }

    fn required<T>(&mut self, member: Member, decode: impl FnOnce(&'a str) -> Result<T, Wrong>) -> Option<T> {
        if self.is_absent(member) {
            self.wrong(member.name(), "is required");
        }
        self.optional(member, decode)
    }

    fn is_absent(&self, member: Member) -> bool {
        self.raw[member as usize].is_none()
    }
}

/// What is wrong with one member.
struct Wrong(Cow<'static, str>);

impl From<NumberError> for Wrong {
    fn from(error: NumberError) -> Self {
        Self(error.to_string().into())
    }
}

const fn wrong<T>(message: &'static str) -> Result<T, Wrong> {
    Err(Wrong(Cow::Borrowed(message)))
}

/// The text of a JSON string.
fn text(raw: &str) -> Result<Cow<'_, str>, Wrong> {
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        None => wrong("must be a string"),
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        Some(_) => match serde_json::from_str(raw) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => wrong("is not valid Unicode text"),
        },
    }
}

/// The digits of a JSON number, or of a string that holds one.
fn digits(raw: &str) -> Result<Cow<'_, str>, Wrong> {
    match raw.as_bytes().first() {
        Some(b'0'..=b'9' | b'-') => Ok(Cow::Borrowed(raw)),
        Some(b'"') => text(raw),
        _ => wrong("must be a decimal number or a string holding one"),
    }
}

/// A word of a vocabulary.
fn word<T: Copy>(
    all: &'static [T],
    parse: fn(&str) -> Option<T>,
    as_str: fn(T) -> &'static str,
) -> impl Fn(&str) -> Result<T, Wrong> {
    move |raw| {
        parse(&text(raw)?).ok_or_else(|| {
            let words: Vec<&str> = all.iter().map(|member| as_str(*member)).collect();
            Wrong(format!("must be one of {}", words.join(", ")).into())
        })
    }
}

/// True for 1 to `longest` characters of `[A-Za-z0-9._:/-]`: safe in URLs, headers, file names and at venues.
#[must_use]
pub fn is_client_id(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte))
}

fn client_id(raw: &str, longest: usize, message: &'static str) -> Result<String, Wrong> {
    let id = text(raw)?;
    if is_client_id(&id, longest) {
        Ok(id.into_owned())
    } else {
        wrong(message)
    }
}

fn symbol(raw: &str) -> Result<String, Wrong> {
    let symbol = text(raw)?;
    if is_symbol(&symbol) {
        Ok(symbol.into_owned())
    } else {
        wrong("must be 2 to 32 capital letters or digits")
    }
}

fn valid_for_ms(raw: &str) -> Result<u32, Wrong> {
    const MESSAGE: &str = "must be a whole number from 1 to 60000";
    if !raw.starts_with(|first: char| first.is_ascii_digit()) {
        return wrong(MESSAGE);
    }
    let scaled = parse_decimal(raw).unwrap_or_default();
    match u32::try_from(scaled / UNIT) {
        Ok(millis @ 1..=MAX_VALID_FOR_MS) if scaled % UNIT == 0 => Ok(millis),
        _ => wrong(MESSAGE),
    }
}

/// An id as the API gives it: text, so that no client loses digits.
fn override_id(raw: &str) -> Result<Seq, Wrong> {
    let id = text(raw)?;
    let plain = id.bytes().all(|byte| byte.is_ascii_digit()) && !id.starts_with('0');
    match id.parse() {
        Ok(id) if plain => Ok(id),
        _ => wrong("must be the id of an override, as text"),
    }
}

/// Decodes the body of `POST /api/v1/orders`.
///
/// # Errors
/// `malformed_json` when it is not one JSON object; `invalid_field` naming every member that is wrong.
pub fn decode_new_order(body: &[u8]) -> Result<NewOrder, Refusal> {
    let mut members = read_members(body)?;
    let symbol = members.required(Member::Symbol, symbol);
    let side = members.required(Member::Side, word(Side::ALL, Side::parse, Side::as_str));
    let ord_type = members.required(Member::Type, word(OrdType::ALL, OrdType::parse, OrdType::as_str));
    let time_in_force = members.optional(
        Member::TimeInForce,
        word(TimeInForce::ALL, TimeInForce::parse, TimeInForce::as_str),
    );
    let qty = members.required(Member::Quantity, |raw| Ok(Qty::parse(&digits(raw)?)?));
    let price = members.optional(Member::Price, |raw| Ok(Price::parse(&digits(raw)?)?));
    let mode = members.required(Member::Mode, word(Mode::ALL, Mode::parse, Mode::as_str));
    let client_order_id = members.optional(Member::ClientOrderId, |raw| {
        client_id(
            raw,
            MAX_CLIENT_ORDER_ID,
            "must be 1 to 36 characters of A-Z a-z 0-9 . _ : / -",
        )
    });
    let strategy_id = members.optional(Member::StrategyId, |raw| {
        client_id(
            raw,
            MAX_STRATEGY_ID,
            "must be 1 to 64 characters of A-Z a-z 0-9 . _ : / -",
        )
    });
    let valid_for_ms = members.optional(Member::ValidForMs, valid_for_ms);
    let override_id = members.optional(Member::OverrideId, override_id);
    match ord_type {
        Some(OrdType::Limit) if members.is_absent(Member::Price) => {
            members.wrong(Member::Price.name(), "is required for a LIMIT order");
        }
        Some(OrdType::Market) if !members.is_absent(Member::Price) => {
            members.wrong(Member::Price.name(), "must not be given for a MARKET order");
        }
        _ => {}
    }
    if ord_type == Some(OrdType::Market) && !matches!(time_in_force, None | Some(TimeInForce::Ioc)) {
        members.wrong(Member::TimeInForce.name(), "must be IOC for a MARKET order");
    }
    match (mode, symbol, side, ord_type, qty) {
        (Some(mode), Some(symbol), Some(side), Some(ord_type), Some(qty)) if members.errors.is_empty() => {
            let usual = if ord_type == OrdType::Market {
                TimeInForce::Ioc
            } else {
                TimeInForce::Gtc
            };
            let time_in_force = time_in_force.unwrap_or(usual);
            Ok(NewOrder {
                mode,
                symbol,
                side,
                ord_type,
                time_in_force,
                qty,
                price,
                client_order_id,
                strategy_id,
                valid_for_ms,
                override_id,
            })
        }
        _ => Err(Refusal::fields(refusal::INVALID_FIELD, members.errors)),
    }
}

/// The members of the one object that `body` must be.
fn read_members(body: &[u8]) -> Result<Members<'_>, Refusal> {
    let malformed = |detail: String| Refusal::new(refusal::MALFORMED_JSON, detail);
    let body = std::str::from_utf8(body).map_err(|_| malformed("The body is not UTF-8".to_owned()))?;
    let mut members = Members::default();
    let mut reader = serde_json::Deserializer::from_str(body);
    // The parser's own message may repeat the body, so only the place is told.
    (&mut members)
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|error| {
            malformed(match error.classify() {
                serde_json::error::Category::Data => "The body is not a JSON object".to_owned(),
                serde_json::error::Category::Eof => "The body is empty or ends too early".to_owned(),
                _ => format!(
                    "The body is not valid JSON at line {}, column {}",
                    error.line(),
                    error.column()
                ),
            })
        })?;
    Ok(members)
}

/// The value of the `Idempotency-Key` header: 1 to 255 printable ASCII characters, no space at either end.
///
/// # Errors
/// `idempotency_key_missing`, `idempotency_key_invalid`.
pub fn check_idempotency_key(header: Option<&str>) -> Result<&str, Refusal> {
    let Some(key) = header else {
        return Err(Refusal::new(
            refusal::IDEMPOTENCY_KEY_MISSING,
            "The Idempotency-Key header is required",
        ));
    };
    let printable = key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()) && printable && key.trim() == key {
        return Ok(key);
    }
    let detail = "The Idempotency-Key header must be 1 to 255 printable ASCII characters";
    Err(Refusal::new(refusal::IDEMPOTENCY_KEY_INVALID, detail))
}
