//! How requests and reports are written down.

use crate::orders::{Event, UNIT, VENUE_ID};
use crate::reference::{Request, SYMBOLS};
use crate::steps::Spelling;
use ordergate_core::report::{Cause, OrderReport, RawFill};

/// Digits as a venue or client would write them.
pub fn text(scaled: i128) -> String {
    let sign = if scaled < 0 { "-" } else { "" };
    format!("{sign}{}.{:08}", scaled.abs() / UNIT, scaled.abs() % UNIT)
}

/// The body of a request to place an order.
pub fn body(request: &Request, spelling: Spelling) -> String {
    let number = |scaled: i128| match spelling {
        Spelling::Numbers => text(scaled),
        Spelling::Strings => format!(r#""{}""#, text(scaled)),
        Spelling::TrailingZeros => format!("{}00e-2", text(scaled * 100)),
    };
    let symbol = SYMBOLS.get(request.instrument).map_or("NOPE", |(symbol, _)| symbol);
    let mut members = vec![
        format!(r#""mode":"{}""#, request.mode),
        format!(r#""symbol":"{symbol}""#),
        format!(r#""side":"{}""#, if request.buy { "BUY" } else { "SELL" }),
        format!(
            r#""type":"{}""#,
            if request.price.is_some() { "LIMIT" } else { "MARKET" }
        ),
        format!(r#""quantity":{}"#, number(request.qty)),
    ];
    members.extend(request.price.map(|price| format!(r#""price":{}"#, number(price))));
    members.extend(request.client_id.iter().map(|id| format!(r#""clientOrderId":"{id}""#)));
    members.extend(request.strategy.iter().map(|name| format!(r#""strategyId":"{name}""#)));
    members.extend(request.valid_for_ms.map(|ms| format!(r#""validForMs":{ms}"#)));
    if matches!(spelling, Spelling::Strings) {
        members.reverse();
    }
    format!("{{{}}}", members.join(","))
}

/// The figures of a report, as text.
#[derive(Default)]
pub struct Figures {
    price: String,
    qty: String,
    quote: String,
    fee: String,
}

impl Figures {
    pub fn of(event: &Event) -> Self {
        match event {
            Event::Trade(_, trade) => Self {
                price: text(trade.price),
                qty: text(trade.qty),
                quote: text(trade.quote),
                fee: text(trade.fee),
            },
            Event::Replaced { qty, price } => Self {
                price: text(*price),
                qty: text(*qty),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }
}

/// The report in the venue's words.
pub fn report<'a>(event: &'a Event, figures: &'a Figures) -> OrderReport<'a> {
    let cause = |reason| Cause { reason, text: "words" };
    let fill = |trade_id, fee_asset| {
        OrderReport::Fill(RawFill {
            trade_id,
            price: &figures.price,
            qty: &figures.qty,
            quote_qty: &figures.quote,
            fee: &figures.fee,
            fee_asset,
            maker: false,
            venue_ns: 1,
        })
    };
    match event {
        Event::Ack(venue_order_id) => OrderReport::Ack { venue_order_id },
        Event::Reject(why) => OrderReport::Reject(cause(why)),
        Event::NotSent(why) => OrderReport::NotSent(cause(why)),
        Event::Unknown => OrderReport::Unknown(cause("TIMEOUT")),
        Event::Trade(id, trade) => fill(id, trade.fee_asset),
        // Without any figures.
        Event::Unreadable => fill("blank", "USDT"),
        Event::Canceled(why) => OrderReport::Canceled(cause(why)),
        Event::CancelReject => OrderReport::CancelReject(cause("-2011")),
        Event::CancelUnknown => OrderReport::CancelUnknown(cause("TIMEOUT")),
        Event::Expired(why) => OrderReport::Expired(cause(why)),
        Event::Replaced { .. } => OrderReport::Replaced {
            qty: &figures.qty,
            price: Some(&figures.price),
        },
        Event::ReplaceReject => OrderReport::ReplaceReject(cause("no")),
        Event::Found { working } => OrderReport::Found {
            venue_order_id: Some(VENUE_ID),
            working: *working,
            cum_qty: "0",
        },
        Event::Absent => OrderReport::Absent { text: "looked" },
    }
}
