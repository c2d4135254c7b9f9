//! JSON answers written by hand into a `String`: no intermediate values, one growth at most.

use crate::decimal::DecimalText;
use crate::number::{Amount, PLACES, Price, Qty};
use crate::record::CheckResult;
use crate::refusal;
use crate::risk::Check;
use crate::terms::{Mode, Nanos, OrdStatus, OrdType, OrderId, RejectedBy, Seq, Side, TimeInForce};

pub use crate::instant::push_time;

/// What the `type` of a problem document begins with; the code follows.
pub const PROBLEM_TYPE: &str = "urn:ordergate:problem:";

/// An order as clients see it.
#[derive(Debug, Clone, Copy)]
pub struct OrderView<'a> {
    /// Written as a string of decimal digits.
    pub id: OrderId,
    /// The client's own id.
    pub client_order_id: Option<&'a str>,
    /// For example `BTCUSDT`.
    pub symbol: &'a str,
    /// BUY or SELL.
    pub side: Side,
    /// LIMIT, MARKET, …
    pub ord_type: OrdType,
    /// GTC, IOC, FOK, GTD.
    pub time_in_force: TimeInForce,
    /// Ordered; `None` for an amount of quote until it is known what that bought or sold.
    pub qty: Option<Qty>,
    /// Limit price.
    pub price: Option<Price>,
    /// The last price at which it begins to work.
    pub stop_price: Option<Price>,
    /// Amount of quote asked for.
    pub quote_qty: Option<Amount>,
    /// When a GTD order is canceled.
    pub expire_at: Option<Nanos>,
    /// The order whose rest this one took over.
    pub replaces: Option<OrderId>,
    /// The order that took over what was left of this one.
    pub replaced_by: Option<OrderId>,
    /// Computed from facts.
    pub status: OrdStatus,
    /// Sum of the fills.
    pub filled_qty: Amount,
    /// See [`crate::number::Money::average`]; `None` before the first fill.
    pub avg_fill_price: Option<Amount>,
    /// PAPER or LIVE.
    pub mode: Mode,
    /// Name of the strategy.
    pub strategy_id: Option<&'a str>,
    /// Who refused.
    pub rejected_by: Option<RejectedBy>,
    /// Stable code of why; empty counts as absent.
    pub reason: Option<&'a str>,
    /// The venue's id.
    pub venue_order_id: Option<&'a str>,
    /// When the order was decided.
    pub received_at: Nanos,
    /// When its record became durable.
    pub durable_at: Option<Nanos>,
    /// When its SUBMIT_STARTED was journaled.
    pub sent_at: Option<Nanos>,
    /// When the venue's acknowledgement was journaled.
    pub acked_at: Option<Nanos>,
    /// When it last changed.
    pub updated_at: Nanos,
    /// Placed outside the gateway.
    pub external: bool,
}

/// One balance of an account.
#[derive(Debug, Clone, Copy)]
pub struct BalanceView<'a> {
    /// Which book.
    pub mode: Mode,
    /// Asset code.
    pub asset: &'a str,
    /// All of it.
    pub total: Amount,
    /// The part held by open orders; free = total − held.
    pub held: Amount,
}

/// One position of an account: sums of its fills.
#[derive(Debug, Clone, Copy)]
pub struct PositionView<'a> {
    /// Which book.
    pub mode: Mode,
    /// Instrument.
    pub symbol: &'a str,
    /// Bought − sold, less fees taken in base.
    pub quantity: Amount,
    /// Base bought.
    pub bought_quantity: Amount,
    /// Quote paid for it.
    pub bought_quote: Amount,
    /// Base sold.
    pub sold_quantity: Amount,
    /// Quote received for it.
    pub sold_quote: Amount,
}

/// Room for an order without ids: the largest figures and the longest words.
const ORDER_ROOM: usize = 832;
/// Room for one check, balance or position.
const ENTRY_ROOM: usize = 256;

/// Appends the order as a JSON object.
pub fn order_json(out: &mut String, order: &OrderView<'_>) {
    let ids = [
        order.client_order_id,
        order.strategy_id,
        order.venue_order_id,
        order.reason,
    ];
    out.reserve(ORDER_ROOM + ids.iter().flatten().map(|id| id.len()).sum::<usize>());
    let reason = order.reason.filter(|reason| !reason.is_empty());
    out.push_str("{\"id\":\"");
    push_integer(out, order.id.into());
    out.push_str("\",\"clientOrderId\":");
    push_text_or_null(out, order.client_order_id);
    out.push_str(",\"symbol\":");
    push_text(out, order.symbol);
    push_word(out, ",\"side\":\"", order.side.as_str());
    push_word(out, ",\"type\":\"", order.ord_type.as_str());
    push_word(out, ",\"timeInForce\":\"", order.time_in_force.as_str());
    out.push_str(",\"quantity\":");
    push_decimal_or_null(out, order.qty.map(|qty| qty.0.into()));
    out.push_str(",\"price\":");
    push_decimal_or_null(out, order.price.map(|price| price.0.into()));
    out.push_str(",\"stopPrice\":");
    push_decimal_or_null(out, order.stop_price.map(|price| price.0.into()));
    out.push_str(",\"quoteOrderQty\":");
    push_decimal_or_null(out, order.quote_qty.map(|quote| quote.0));
    out.push_str(",\"expireAt\":");
    push_time_or_null(out, order.expire_at);
    push_word(out, ",\"status\":\"", order.status.as_str());
    out.push_str(",\"filledQuantity\":");
    push_decimal(out, order.filled_qty.0);
    out.push_str(",\"avgFillPrice\":");
    push_decimal_or_null(out, order.avg_fill_price.map(|price| price.0));
    push_word(out, ",\"mode\":\"", order.mode.as_str());
    out.push_str(",\"strategyId\":");
    push_text_or_null(out, order.strategy_id);
    out.push_str(",\"rejectedBy\":");
    push_text_or_null(out, order.rejected_by.map(RejectedBy::as_str));
    out.push_str(",\"reason\":");
    push_text_or_null(out, reason);
    out.push_str(",\"venueOrderId\":");
    push_text_or_null(out, order.venue_order_id);
    out.push_str(",\"replaces\":");
    push_id_or_null(out, order.replaces);
    out.push_str(",\"replacedBy\":");
    push_id_or_null(out, order.replaced_by);
    out.push_str(",\"receivedAt\":");
    let received_from = out.len();
    push_time_or_null(out, Some(order.received_at));
    let received = received_from..out.len();
    out.push_str(",\"durableAt\":");
    push_time_or_null(out, order.durable_at);
    out.push_str(",\"sentAt\":");
    push_time_or_null(out, order.sent_at);
    out.push_str(",\"ackedAt\":");
    push_time_or_null(out, order.acked_at);
    out.push_str(",\"updatedAt\":");
    if order.updated_at == order.received_at {
        out.extend_from_within(received);
    } else {
        push_time_or_null(out, Some(order.updated_at));
    }
    push_word(
        out,
        ",\"origin\":\"",
        if order.external { "EXTERNAL" } else { "GATEWAY" },
    );
    out.push('}');
}

/// Appends the stored answer of an order refused by risk: an RFC 9457 problem with every failed check.
pub fn denied_json(out: &mut String, request_id: &str, order: OrderId, checks: &[CheckResult]) {
    out.reserve((checks.len() + 2) * ENTRY_ROOM + request_id.len());
    out.push_str("{\"type\":\"");
    out.push_str(PROBLEM_TYPE);
    out.push_str(refusal::ORDER_REJECTED);
    out.push_str("\",\"title\":\"The order was rejected by the risk checks\",\"status\":422");
    out.push_str(",\"detail\":\"Failed: ");
    for (index, check) in checks.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        push_escaped(out, &check.code);
    }
    push_word(out, "\",\"code\":\"", refusal::ORDER_REJECTED);
    out.push_str(",\"requestId\":");
    push_text(out, request_id);
    out.push_str(",\"orderId\":\"");
    push_integer(out, order.into());
    out.push_str("\",\"checks\":[");
    for (index, check) in checks.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        check_json(out, check);
    }
    out.push_str("]}");
}

/// Appends one check: its figures, whose limit it is, and one sentence for people.
pub fn check_json(out: &mut String, check: &CheckResult) {
    out.push_str("{\"code\":");
    push_text(out, &check.code);
    out.push_str(",\"value\":");
    push_text(out, &check.value);
    out.push_str(",\"limit\":");
    push_text(out, &check.limit);
    out.push_str(",\"headroom\":");
    push_text(out, &check.headroom);
    for (name, text) in [
        (",\"scope\":", &check.scope),
        (",\"target\":", &check.target),
        (",\"symbol\":", &check.symbol),
    ] {
        out.push_str(name);
        push_text_or_null(out, Some(text.as_str()).filter(|text| !text.is_empty()));
    }
    let known = Check::parse(&check.code);
    out.push_str(",\"unit\":");
    push_text_or_null(out, known.map(Check::unit));
    out.push_str(",\"message\":\"");
    push_escaped(out, known.map_or("", Check::describe));
    out.push_str(" Value ");
    push_escaped(out, &check.value);
    out.push_str(", limit ");
    push_escaped(out, &check.limit);
    out.push_str(".\"}");
}

/// Appends an account's balances and positions.
pub fn portfolio_json<'a>(
    out: &mut String,
    account: &str,
    as_of_seq: Seq,
    balances: impl IntoIterator<Item = BalanceView<'a>>,
    positions: impl IntoIterator<Item = PositionView<'a>>,
) {
    out.push_str("{\"account\":");
    push_text(out, account);
    out.push_str(",\"asOfSeq\":");
    push_integer(out, as_of_seq.into());
    out.push_str(",\"balances\":[");
    for (index, balance) in balances.into_iter().enumerate() {
        out.reserve(ENTRY_ROOM);
        push_word(
            out,
            if index == 0 { "{\"mode\":\"" } else { ",{\"mode\":\"" },
            balance.mode.as_str(),
        );
        out.push_str(",\"asset\":");
        push_text(out, balance.asset);
        out.push_str(",\"total\":");
        push_decimal(out, balance.total.0);
        out.push_str(",\"held\":");
        push_decimal(out, balance.held.0);
        out.push_str(",\"free\":");
        push_decimal(out, balance.total.0.saturating_sub(balance.held.0));
        out.push('}');
    }
    out.push_str("],\"positions\":[");
    for (index, position) in positions.into_iter().enumerate() {
        out.reserve(ENTRY_ROOM);
        push_word(
            out,
            if index == 0 { "{\"mode\":\"" } else { ",{\"mode\":\"" },
            position.mode.as_str(),
        );
        out.push_str(",\"symbol\":");
        push_text(out, position.symbol);
        out.push_str(",\"quantity\":");
        push_decimal(out, position.quantity.0);
        out.push_str(",\"boughtQuantity\":");
        push_decimal(out, position.bought_quantity.0);
        out.push_str(",\"boughtQuote\":");
        push_decimal(out, position.bought_quote.0);
        out.push_str(",\"soldQuantity\":");
        push_decimal(out, position.sold_quantity.0);
        out.push_str(",\"soldQuote\":");
        push_decimal(out, position.sold_quote.0);
        out.push('}');
    }
    out.push_str("]}");
}

/// Appends `opening` (up to and with the value's quote), a word that needs no escaping, and the closing quote.
fn push_word(out: &mut String, opening: &str, word: &str) {
    out.push_str(opening);
    out.push_str(word);
    out.push('"');
}

fn push_text_or_null(out: &mut String, text: Option<&str>) {
    match text {
        Some(text) => push_text(out, text),
        None => out.push_str("null"),
    }
}

/// Appends `text` as a JSON string.
pub fn push_text(out: &mut String, text: &str) {
    out.push('"');
    push_escaped(out, text);
    out.push('"');
}

fn push_escaped(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut done = 0;
    // Every byte that needs an escape is ASCII, so the cuts fall between characters.
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[done..at]);
        done = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => {
                out.push_str("\\u00");
                out.push(HEX[usize::from(control >> 4)] as char);
                out.push(HEX[usize::from(control & 15)] as char);
            }
        }
    }
    out.push_str(&text[done..]);
}

/// An id as text, so that no client loses digits.
fn push_id_or_null(out: &mut String, id: Option<OrderId>) {
    match id {
        Some(id) => {
            out.push('"');
            push_integer(out, id.into());
            out.push('"');
        }
        None => out.push_str("null"),
    }
}

fn push_integer(out: &mut String, value: i128) {
    out.push_str(DecimalText::new(value, 0).as_str());
}

/// Appends a number scaled by 10⁻⁸ as a JSON string.
fn push_decimal(out: &mut String, scaled: i128) {
    out.push('"');
    out.push_str(DecimalText::new(scaled, PLACES).as_str());
    out.push('"');
}

fn push_decimal_or_null(out: &mut String, scaled: Option<i128>) {
    match scaled {
        Some(scaled) => push_decimal(out, scaled),
        None => out.push_str("null"),
    }
}

fn push_time_or_null(out: &mut String, at: Option<Nanos>) {
    match at {
        Some(at) => {
            out.push('"');
            push_time(out, at);
            out.push('"');
        }
        None => out.push_str("null"),
    }
}
