//! What a venue reports: frames of MessagePack, decoded without copying text.
//!
//! A frame is an array of reports, each an array that starts with its name. Numbers stay text here, so that one that
//! is out of range is parked with its digits instead of spoiling its frame.

use crate::account_reports::{AccountReport, about_account, next};
use crate::terms::{Nanos, OrderId};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Largest frame, in bytes.
pub const MAX_FRAME: usize = 1 << 20;

/// Why the sender says so: a stable code and words for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause<'a> {
    /// Stable code, or the venue's own.
    pub reason: &'a str,
    /// Words for people.
    pub text: &'a str,
}

/// A trade, with the venue's own digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFill<'a> {
    /// The venue's trade id.
    pub trade_id: &'a str,
    /// Price.
    pub price: &'a str,
    /// Quantity of base.
    pub qty: &'a str,
    /// Amount of quote.
    pub quote_qty: &'a str,
    /// Fee, positive when paid.
    pub fee: &'a str,
    /// Asset of the fee.
    pub fee_asset: &'a str,
    /// True when the order rested.
    pub maker: bool,
    /// The venue's time of the trade.
    pub venue_ns: Nanos,
}

/// What happened to an order at the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the records; see the life cycle")]
pub enum OrderReport<'a> {
    Ack {
        venue_order_id: &'a str,
    },
    Reject(Cause<'a>),
    NotSent(Cause<'a>),
    Unknown(Cause<'a>),
    Fill(RawFill<'a>),
    Canceled(Cause<'a>),
    CancelReject(Cause<'a>),
    CancelUnknown(Cause<'a>),
    Expired(Cause<'a>),
    Replaced {
        qty: &'a str,
        price: Option<&'a str>,
    },
    ReplaceReject(Cause<'a>),
    Found {
        venue_order_id: Option<&'a str>,
        working: bool,
        cum_qty: &'a str,
    },
    Absent {
        text: &'a str,
    },
    /// All that was asked for has traded.
    Done,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report<'a> {
    /// About one order.
    Order(OrderId, OrderReport<'a>),
    /// About the account with this name.
    Account(&'a str, AccountReport<'a>),
    /// An instrument with its filters, by the names that the administration uses.
    Instrument(BTreeMap<&'a str, &'a str>),
    /// What the last look for an order in doubt has told: not journaled.
    DoubtSeen(OrderId, &'a str),
    /// Best prices of a symbol: not journaled.
    Price {
        /// Instrument.
        symbol: &'a str,
        /// Best bid.
        bid: &'a str,
        /// Best ask.
        ask: &'a str,
        /// Last trade.
        last: &'a str,
        /// The venue's time.
        venue_ns: Nanos,
    },
    /// Quantities behind the best prices, where the venue tells them: not journaled.
    Depth {
        /// Instrument.
        symbol: &'a str,
        /// Visible quantity of the bids.
        bid_qty: &'a str,
        /// Visible quantity of the asks.
        ask_qty: &'a str,
        /// Base traded in the last 24 hours.
        volume: &'a str,
    },
    /// The venue lives.
    Heartbeat,
}

/// A frame that is not what was agreed: its sender is not to be trusted further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad frame of reports: {0}")]
pub struct ReportError(pub String);

/// The reports of one frame.
///
/// # Errors
/// [`ReportError`] for a frame that is too long, does not decode, or holds an unknown report.
pub fn decode_reports(frame: &[u8]) -> Result<Vec<Report<'_>>, ReportError> {
    if frame.len() > MAX_FRAME {
        return Err(ReportError(format!("{} bytes, at most {MAX_FRAME}", frame.len())));
    }
    let mut decoder = rmp_serde::Deserializer::from_read_ref(frame);
    let reports = Vec::deserialize(&mut decoder).map_err(|error| ReportError(error.to_string()))?;
    // Nothing may follow: the next value must fail for want of its first byte.
    match IgnoredAny::deserialize(&mut decoder) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(reports),
        _ => Err(ReportError("bytes after its end".to_owned())),
    }
}

impl<'de> Deserialize<'de> for Report<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ReportVisitor)
    }
}

struct ReportVisitor;

impl<'de> Visitor<'de> for ReportVisitor {
    type Value = Report<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a report: an array that starts with its name")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Report<'de>, A::Error> {
        let name: &str = next(&mut seq)?;
        let report = match name {
            "HEARTBEAT" => Report::Heartbeat,
            "PRICE" => Report::Price {
                symbol: next(&mut seq)?,
                bid: next(&mut seq)?,
                ask: next(&mut seq)?,
                last: next(&mut seq)?,
                venue_ns: next(&mut seq)?,
            },
            "DEPTH" => Report::Depth {
                symbol: next(&mut seq)?,
                bid_qty: next(&mut seq)?,
                ask_qty: next(&mut seq)?,
                volume: next(&mut seq)?,
            },
            "INSTRUMENT" => Report::Instrument(next(&mut seq)?),
            "DOUBT_SEEN" => Report::DoubtSeen(next(&mut seq)?, next(&mut seq)?),
            _ => match about_account(name, &mut seq)? {
                Some((account, report)) => Report::Account(account, report),
                None => Report::Order(next(&mut seq)?, about_order(name, &mut seq)?),
            },
        };
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(report),
            Some(_) => Err(A::Error::custom(format_args!("{name} has too many members"))),
        }
    }
}

fn about_order<'de, A: SeqAccess<'de>>(name: &str, seq: &mut A) -> Result<OrderReport<'de>, A::Error> {
    Ok(match name {
        "ACK" => OrderReport::Ack {
            venue_order_id: next(seq)?,
        },
        "REJECT" => OrderReport::Reject(cause(seq)?),
        "NOT_SENT" => OrderReport::NotSent(cause(seq)?),
        "UNKNOWN" => OrderReport::Unknown(cause(seq)?),
        "FILL" => OrderReport::Fill(RawFill {
            trade_id: next(seq)?,
            price: next(seq)?,
            qty: next(seq)?,
            quote_qty: next(seq)?,
            fee: next(seq)?,
            fee_asset: next(seq)?,
            maker: next(seq)?,
            venue_ns: next(seq)?,
        }),
        "CANCELED" => OrderReport::Canceled(cause(seq)?),
        "CANCEL_REJECT" => OrderReport::CancelReject(cause(seq)?),
        "CANCEL_UNKNOWN" => OrderReport::CancelUnknown(cause(seq)?),
        "EXPIRED" => OrderReport::Expired(cause(seq)?),
        "REPLACED" => OrderReport::Replaced {
            qty: next(seq)?,
            price: next(seq)?,
        },
        "REPLACE_REJECT" => OrderReport::ReplaceReject(cause(seq)?),
        "FOUND" => OrderReport::Found {
            venue_order_id: next(seq)?,
            working: next(seq)?,
            cum_qty: next(seq)?,
        },
        "ABSENT" => OrderReport::Absent { text: next(seq)? },
        "DONE" => OrderReport::Done,
        other => return Err(A::Error::custom(format_args!("unknown report {other}"))),
    })
}

fn cause<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<Cause<'de>, A::Error> {
    Ok(Cause {
        reason: next(seq)?,
        text: next(seq)?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn decode_one<T: serde::Serialize>(report: &T) -> Result<String, ReportError> {
        let frame = rmp_serde::to_vec(&[report]).map_err(|error| ReportError(error.to_string()))?;
        decode_reports(&frame).map(|reports| format!("{:?}", reports[0]))
    }

    #[test]
    fn a_frame_of_different_reports_decodes() {
        let mut frame = vec![0x93];
        frame.extend(rmp_serde::to_vec(&("ACK", 7_u64, "v1")).unwrap());
        frame
            .extend(rmp_serde::to_vec(&("FILL", 7_u64, "t1", "100", "2", "200", "0.1", "USDT", false, 5_i64)).unwrap());
        frame.extend(rmp_serde::to_vec(&("HEARTBEAT",)).unwrap());
        let reports = decode_reports(&frame).unwrap();
        assert_eq!(reports[0], Report::Order(7, OrderReport::Ack { venue_order_id: "v1" }));
        assert!(matches!(
            reports[1],
            Report::Order(
                7,
                OrderReport::Fill(RawFill {
                    qty: "2",
                    maker: false,
                    ..
                })
            )
        ));
        assert_eq!(reports[2], Report::Heartbeat);
    }

    #[test]
    fn every_name_decodes_and_keeps_its_order() {
        for name in [
            "REJECT",
            "NOT_SENT",
            "UNKNOWN",
            "CANCELED",
            "CANCEL_REJECT",
            "CANCEL_UNKNOWN",
            "EXPIRED",
            "REPLACE_REJECT",
        ] {
            let text = decode_one(&(name, 9_u64, "CODE", "words")).unwrap();
            assert!(
                text.starts_with("Order(9, ") && text.contains("\"CODE\"") && text.contains("\"words\""),
                "{text}"
            );
        }
        assert!(
            decode_one(&("REPLACED", 9_u64, "1", None::<&str>))
                .unwrap()
                .contains("price: None")
        );
        assert!(
            decode_one(&("FOUND", 9_u64, Some("v"), true, "0.5"))
                .unwrap()
                .contains("working: true")
        );
        assert!(
            decode_one(&("ABSENT", 9_u64, "looked twice"))
                .unwrap()
                .contains("looked twice")
        );
        assert!(decode_one(&("DONE", 9_u64)).unwrap().contains("Order(9, Done)"));
        assert!(
            decode_one(&("PRICE", "BTCUSDT", "1", "2", "1.5", 3_i64))
                .unwrap()
                .contains("ask: \"2\"")
        );
    }

    #[test]
    fn what_was_not_agreed_is_refused() {
        assert!(decode_one(&("BOUGHT", 9_u64, "x")).is_err());
        assert!(decode_one(&("ACK", 9_u64)).is_err());
        assert!(decode_one(&("ACK", 9_u64, "v", "more")).is_err());
        assert!(decode_one(&("ACK", -1_i64, "v")).is_err());
        assert!(decode_reports(b"\x91").is_err());
        assert!(decode_reports(b"").is_err());
        assert!(decode_reports(b"\x90\x00").is_err());
        assert!(decode_reports(&vec![0x90; MAX_FRAME + 1]).is_err());
    }
}
