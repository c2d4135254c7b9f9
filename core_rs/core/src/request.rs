//! From bytes to a decoded order: strict, exact digits, every wrong member named.

use crate::instant;
use crate::instrument::is_symbol;
use crate::members::{Member, Wrong, digits, read_members, text, word, wrong};
use crate::number::{Amount, NumberError, Price, Qty, UNIT, parse_decimal};
use crate::refusal::{self, Refusal};
use crate::terms::{Mode, Nanos, OrdType, Seq, Side, TimeInForce};
use std::borrow::Cow;
use std::sync::Arc;

pub use crate::fingerprint::{fingerprint, replace_fingerprint};

/// Longest `clientOrderId`.
pub const MAX_CLIENT_ORDER_ID: usize = 36;
/// Longest `strategyId`.
pub const MAX_STRATEGY_ID: usize = 64;
/// Longest wait that `validForMs` may ask for.
pub const MAX_VALID_FOR_MS: u32 = 60_000;
/// Longest `Idempotency-Key`.
pub const MAX_IDEMPOTENCY_KEY: usize = 255;

/// An order as asked for, with its defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// PAPER or LIVE.
    pub mode: Mode,
    /// For example `BTCUSDT`.
    pub symbol: String,
    /// BUY or SELL.
    pub side: Side,
    /// LIMIT, MARKET, …
    pub ord_type: OrdType,
    /// GTC when the order does not say; always IOC for MARKET.
    pub time_in_force: TimeInForce,
    /// Quantity of base, greater than zero; zero exactly where `quote_qty` is asked for, until the engine has said what
    /// that may come to at most.
    pub qty: Qty,
    /// Limit price, greater than zero; see [`OrdType::has_price`].
    pub price: Option<Price>,
    /// Greater than zero; see [`OrdType::has_stop`].
    pub stop_price: Option<Price>,
    /// Quote to spend or to bring in, greater than zero: MARKET only.
    pub quote_qty: Option<Amount>,
    /// Journal time at which a GTD order is canceled.
    pub expire_at: Option<Nanos>,
    /// The client's own id.
    pub client_order_id: Option<Arc<str>>,
    /// Name of the strategy.
    pub strategy_id: Option<Arc<str>>,
    /// How long the order may wait to be sent, in milliseconds.
    pub valid_for_ms: Option<u32>,
    /// The override that excuses the order from checks.
    pub override_id: Option<Seq>,
}

/// New terms of an order as asked for: at least one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewTerms {
    /// Total quantity, what has traded included.
    pub qty: Option<Qty>,
    /// Limit price.
    pub price: Option<Price>,
    /// Stop price.
    pub stop_price: Option<Price>,
}

/// True for 1 to `longest` characters of `[A-Za-z0-9._:/-]`: safe in URLs, headers, file names and at venues.
#[must_use]
pub fn is_client_id(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte))
}

fn client_id(raw: &str, longest: usize, message: &'static str) -> Result<Arc<str>, Wrong> {
    let id = text(raw)?;
    if is_client_id(&id, longest) {
        Ok(id.into())
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

/// A time as ISO 8601 text, or as milliseconds since 1970.
fn expire_at(raw: &str) -> Result<Nanos, Wrong> {
    const MESSAGE: &str = "must be a time as 2026-11-24T07:00:00Z, or whole milliseconds since 1970";
    let at = if raw.starts_with('"') {
        instant::parse_iso(&text(raw)?)
    } else {
        raw.parse().ok().and_then(instant::of_millis)
    };
    at.ok_or(Wrong(Cow::Borrowed(MESSAGE)))
}

/// An amount of quote, above zero.
fn quote_amount(raw: &str) -> Result<Amount, Wrong> {
    let amount = Amount::parse(&digits(raw)?)?;
    if amount <= Amount::ZERO {
        return Err(NumberError::NotPositive.into());
    }
    // As wide as a quantity: what it buys is one.
    i64::try_from(amount.0)
        .map(|_| amount)
        .map_err(|_| NumberError::Range.into())
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
    let in_quote = ord_type == Some(OrdType::Market) && !members.is_absent(Member::QuoteOrderQty);
    let qty = if in_quote {
        Some(Qty::default())
    } else {
        members.required(Member::Quantity, |raw| Ok(Qty::parse(&digits(raw)?)?))
    };
    let price = members.optional(Member::Price, |raw| Ok(Price::parse(&digits(raw)?)?));
    let stop_price = members.optional(Member::StopPrice, |raw| Ok(Price::parse(&digits(raw)?)?));
    let quote_qty = members.optional(Member::QuoteOrderQty, quote_amount);
    let expire_at = members.optional(Member::ExpireAt, expire_at);
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
    if let Some(ord_type) = ord_type {
        members.fit_type(ord_type, time_in_force);
    }
    match (mode, symbol, side, ord_type, qty) {
        (Some(mode), Some(symbol), Some(side), Some(ord_type), Some(qty)) if members.errors.is_empty() => {
            let time_in_force = time_in_force.unwrap_or(ord_type.times_in_force()[0]);
            Ok(NewOrder {
                mode,
                symbol,
                side,
                ord_type,
                time_in_force,
                qty,
                price,
                stop_price,
                quote_qty,
                expire_at,
                client_order_id,
                strategy_id,
                valid_for_ms,
                override_id,
            })
        }
        _ => Err(Refusal::fields(refusal::INVALID_FIELD, members.errors)),
    }
}

/// Decodes the body of `PATCH /api/v1/orders/{id}`.
///
/// # Errors
/// As [`decode_new_order`]; a body that asks for nothing, too.
pub fn decode_new_terms(body: &[u8]) -> Result<NewTerms, Refusal> {
    let mut members = read_members(body)?;
    let (qty, price, stop_price) = (
        members.optional(Member::Quantity, |raw| Ok(Qty::parse(&digits(raw)?)?)),
        members.optional(Member::Price, |raw| Ok(Price::parse(&digits(raw)?)?)),
        members.optional(Member::StopPrice, |raw| Ok(Price::parse(&digits(raw)?)?)),
    );
    let of_terms = [Member::Quantity, Member::Price, Member::StopPrice].map(Member::name);
    for name in Member::NAMES {
        let place = Member::parse(name).map_or(0, |member| member as usize);
        if members.raw[place].is_some() && !of_terms.contains(name) {
            members.wrong(name, "cannot be changed");
        }
    }
    let asked = NewTerms { qty, price, stop_price };
    if asked == NewTerms::default() && members.errors.is_empty() {
        members.wrong(Member::Quantity.name(), "or price or stopPrice is required");
    }
    if members.errors.is_empty() {
        return Ok(asked);
    }
    Err(Refusal::fields(refusal::INVALID_FIELD, members.errors))
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
