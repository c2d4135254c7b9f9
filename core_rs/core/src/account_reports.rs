//! What a venue reports about an account: whether it can trade, what it has, and what differs from what was booked.

use crate::terms::{DriftClass, Nanos, Side};
use serde::Deserialize;
use serde::de::{Error, SeqAccess};
use std::collections::BTreeMap;

/// An order that the gateway did not place, with the venue's own digits and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawExternal<'a> {
    /// Where.
    pub symbol: &'a str,
    /// The venue's id.
    pub venue_order_id: &'a str,
    /// The id that whoever placed it gave it; empty when there is none.
    pub client_id: &'a str,
    /// BUY or SELL.
    pub side: Side,
    /// The venue's word for its type.
    pub ord_type: &'a str,
    /// The venue's word for how long it works.
    pub time_in_force: &'a str,
    /// Quantity of base.
    pub qty: &'a str,
    /// What had traded before: it is booked, or lies before the watermark. FILL reports come on top of it.
    pub cum_qty: &'a str,
    /// Limit price.
    pub price: Option<&'a str>,
    /// Trigger price.
    pub stop_price: Option<&'a str>,
}

/// How a comparison of the venue with what was booked has ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawRun<'a> {
    /// Why it ran.
    pub trigger: &'a str,
    /// Journal time when it began.
    pub started_ns: Nanos,
    /// How long it took.
    pub duration_ms: u64,
    /// True when every answer that it needed came.
    pub complete: bool,
    /// What kept it from being complete.
    pub error: Option<&'a str>,
    /// What it looked at and did, by kind.
    #[serde(borrow)]
    pub counts: BTreeMap<&'a str, u64>,
}

/// One report about an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountReport<'a> {
    /// Whether its orders can be sent now: not journaled, and over with the session.
    Ready {
        /// True when they can.
        ready: bool,
        /// Why not.
        reason: &'a str,
        /// When trying again may help; 0 when nobody knows.
        retry_after_ms: u32,
    },
    /// What the venue still lets it place: not journaled.
    Budget {
        /// New orders that may be sent now.
        orders_left: u32,
        /// After how long there is room again.
        retry_after_ms: u32,
    },
    /// An order that the gateway did not place.
    External(RawExternal<'a>),
    /// All that it has of an asset.
    Balance {
        /// Asset code.
        asset: &'a str,
        /// Free and locked together.
        total: &'a str,
    },
    /// Something differs.
    Drift {
        /// Where; empty is everywhere.
        symbol: &'a str,
        /// What kind of difference.
        class: DriftClass,
        /// What was expected and what was found.
        detail: &'a str,
    },
    /// It is explained.
    DriftExplained {
        /// Where; empty is everywhere.
        symbol: &'a str,
        /// What kind of difference.
        class: DriftClass,
    },
    /// Every trade in a symbol up to this one was reported.
    Confirmed {
        /// Where.
        symbol: &'a str,
        /// The venue's number of the trade.
        trade_id: u64,
    },
    /// A comparison has ended.
    Reconciled(RawRun<'a>),
}

/// The report with this name; `None` for a name that is not one of these. The account stands before it.
pub(crate) fn about_account<'de, A: SeqAccess<'de>>(
    name: &str,
    seq: &mut A,
) -> Result<Option<(&'de str, AccountReport<'de>)>, A::Error> {
    const NAMES: [&str; 8] = [
        "READY",
        "BUDGET",
        "EXTERNAL",
        "BALANCE",
        "DRIFT",
        "DRIFT_EXPLAINED",
        "CONFIRMED",
        "RECONCILED",
    ];
    if !NAMES.contains(&name) {
        return Ok(None);
    }
    let account = next(seq)?;
    let report = match name {
        "READY" => AccountReport::Ready {
            ready: next(seq)?,
            reason: next(seq)?,
            retry_after_ms: next(seq)?,
        },
        "BUDGET" => AccountReport::Budget {
            orders_left: next(seq)?,
            retry_after_ms: next(seq)?,
        },
        "EXTERNAL" => AccountReport::External(RawExternal {
            symbol: next(seq)?,
            venue_order_id: next(seq)?,
            client_id: next(seq)?,
            side: word(seq, Side::parse)?,
            ord_type: next(seq)?,
            time_in_force: next(seq)?,
            qty: next(seq)?,
            cum_qty: next(seq)?,
            price: next(seq)?,
            stop_price: next(seq)?,
        }),
        "BALANCE" => AccountReport::Balance {
            asset: next(seq)?,
            total: next(seq)?,
        },
        "DRIFT" => AccountReport::Drift {
            symbol: next(seq)?,
            class: word(seq, DriftClass::parse)?,
            detail: next(seq)?,
        },
        "DRIFT_EXPLAINED" => AccountReport::DriftExplained {
            symbol: next(seq)?,
            class: word(seq, DriftClass::parse)?,
        },
        "CONFIRMED" => AccountReport::Confirmed {
            symbol: next(seq)?,
            trade_id: next(seq)?,
        },
        _ => AccountReport::Reconciled(next(seq)?),
    };
    Ok(Some((account, report)))
}

/// The next member of a report.
pub(crate) fn next<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(seq: &mut A) -> Result<T, A::Error> {
    seq.next_element()?
        .ok_or_else(|| A::Error::custom("a report has too few members"))
}

/// The next member, one of a vocabulary's words.
fn word<'de, A: SeqAccess<'de>, T>(seq: &mut A, parse: impl Fn(&str) -> Option<T>) -> Result<T, A::Error> {
    let text: &str = next(seq)?;
    parse(text).ok_or_else(|| A::Error::custom(format_args!("unknown word {text}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::report::{Report, decode_reports};

    fn decode_one<T: serde::Serialize>(report: &T) -> Result<String, String> {
        let frame = rmp_serde::to_vec(&[report]).unwrap();
        let reports = decode_reports(&frame).map_err(|error| error.to_string())?;
        match &reports[0] {
            Report::Account("desk", report) => Ok(format!("{report:?}")),
            other => Ok(format!("{other:?}")),
        }
    }

    #[test]
    fn every_name_decodes_and_keeps_its_members_in_order() {
        let told = decode_one(&("READY", "desk", false, "RECONCILING", 500));
        assert!(told.unwrap().contains("reason: \"RECONCILING\", retry_after_ms: 500"));
        let told = decode_one(&("BUDGET", "desk", 3, 9_000));
        assert_eq!(told.unwrap(), "Budget { orders_left: 3, retry_after_ms: 9000 }");
        let external = (
            "EXTERNAL", "desk", "BTCUSDT", "77", "web", "SELL", "LIMIT", "GTC", "2", "0.5",
        );
        let mut frame = rmp_serde::to_vec(&[external]).unwrap();
        frame[1] = 0x9c;
        frame.extend(rmp_serde::to_vec(&Some("50")).unwrap());
        frame.extend(rmp_serde::to_vec(&None::<&str>).unwrap());
        let reports = decode_reports(&frame).unwrap();
        let Report::Account("desk", AccountReport::External(external)) = &reports[0] else {
            panic!("{reports:?}")
        };
        assert_eq!(
            (external.venue_order_id, external.side, external.qty, external.cum_qty),
            ("77", Side::Sell, "2", "0.5")
        );
        assert_eq!((external.price, external.stop_price), (Some("50"), None));
        let told = decode_one(&("BALANCE", "desk", "USDT", "12.5"));
        assert_eq!(told.unwrap(), "Balance { asset: \"USDT\", total: \"12.5\" }");
        let told = decode_one(&("DRIFT", "desk", "BTCUSDT", "MISSING_FILL", "0.5 more"));
        assert!(told.unwrap().contains("class: MissingFill, detail: \"0.5 more\""));
        let told = decode_one(&("DRIFT_EXPLAINED", "desk", "", "BALANCE"));
        assert_eq!(told.unwrap(), "DriftExplained { symbol: \"\", class: Balance }");
        let told = decode_one(&("CONFIRMED", "desk", "BTCUSDT", u64::MAX));
        assert!(told.unwrap().contains("18446744073709551615"));
        let run = RawRun {
            trigger: "start",
            started_ns: 5,
            duration_ms: 7,
            complete: false,
            error: Some("HTTP 500"),
            counts: [("orders", 3)].into(),
        };
        let mut frame = vec![0x91, 0x93];
        frame.extend(rmp_serde::to_vec("RECONCILED").unwrap());
        frame.extend(rmp_serde::to_vec("desk").unwrap());
        frame.extend(rmp_serde::to_vec_named(&run).unwrap());
        let reports = decode_reports(&frame).unwrap();
        assert_eq!(reports[0], Report::Account("desk", AccountReport::Reconciled(run)));
    }

    #[test]
    fn what_was_not_agreed_is_refused() {
        assert!(decode_one(&("READY", "desk", true, "")).is_err());
        assert!(decode_one(&("READY", "desk", true, "", -1)).is_err());
        assert!(decode_one(&("DRIFT", "desk", "BTCUSDT", "ODD", "")).is_err());
        assert!(decode_one(&("CONFIRMED", "desk", "BTCUSDT", "7")).is_err());
        assert!(decode_one(&("BALANCE", "desk", "USDT", "1", "2")).is_err());
    }
}
