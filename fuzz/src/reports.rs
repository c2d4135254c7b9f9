//! Frames from a venue's socket.

use crate::story;
use ordergate_core::account_reports::AccountReport;
use ordergate_core::record::Record;
use ordergate_core::report::{Cause, MAX_FRAME, OrderReport, Report, decode_reports};
use ordergate_core::state::State;
use serde::Serialize;

/// Whatever the bytes: nothing panics, a bad frame changes nothing, and the engine books a good one without breaking,
/// into a state that its records tell again.
pub fn check(frame: &[u8]) -> bool {
    let Ok(reports) = decode_reports(frame) else {
        return false;
    };
    assert!(frame.len() <= MAX_FRAME);
    let again = encode(&reports);
    assert_eq!(
        decode_reports(&again).as_deref(),
        Ok(&*reports),
        "what decodes encodes to the same"
    );

    let mut desk = story::Desk::open();
    let before = desk.engine.state().digest();
    for report in &reports {
        desk.engine.report(desk.session + 1, report, desk.now).unwrap();
    }
    assert_eq!(
        desk.engine.state().digest(),
        before,
        "a session that is not connected changes nothing"
    );
    for report in &reports {
        desk.engine.report(desk.session, report, desk.now).unwrap();
    }
    let mut replayed = State::default();
    for emitted in desk.engine.take_emitted() {
        let record = Record::decode(emitted.kind, Record::VERSION, &emitted.body).unwrap();
        replayed.apply(emitted.seq, emitted.ts, &record).unwrap();
    }
    assert_eq!(replayed.digest(), desk.engine.state().digest());
    true
}

/// The frame that holds these reports.
#[must_use]
pub fn encode(reports: &[Report<'_>]) -> Vec<u8> {
    // An array whose length has 32 bits, whatever it is.
    let mut frame = vec![0xdd];
    frame.extend_from_slice(&(reports.len() as u32).to_be_bytes());
    for report in reports {
        frame.extend(one(report));
    }
    frame
}

fn one(report: &Report<'_>) -> Vec<u8> {
    let (order, what) = match report {
        Report::Heartbeat => return packed(&("HEARTBEAT",)),
        Report::Price {
            symbol,
            bid,
            ask,
            last,
            venue_ns,
        } => return packed(&("PRICE", symbol, bid, ask, last, venue_ns)),
        Report::Depth {
            symbol,
            bid_qty,
            ask_qty,
            volume,
        } => return packed(&("DEPTH", symbol, bid_qty, ask_qty, volume)),
        Report::Instrument(texts) => return packed(&("INSTRUMENT", texts)),
        Report::DoubtSeen(order, text) => return packed(&("DOUBT_SEEN", order, text)),
        Report::Account(account, what) => return about(account, what),
        Report::Order(order, what) => (order, what),
    };
    let because = |name: &str, cause: &Cause<'_>| packed(&(name, order, cause.reason, cause.text));
    match what {
        OrderReport::Ack { venue_order_id } => packed(&("ACK", order, venue_order_id)),
        OrderReport::Reject(cause) => because("REJECT", cause),
        OrderReport::NotSent(cause) => because("NOT_SENT", cause),
        OrderReport::Unknown(cause) => because("UNKNOWN", cause),
        OrderReport::Canceled(cause) => because("CANCELED", cause),
        OrderReport::CancelReject(cause) => because("CANCEL_REJECT", cause),
        OrderReport::CancelUnknown(cause) => because("CANCEL_UNKNOWN", cause),
        OrderReport::Expired(cause) => because("EXPIRED", cause),
        OrderReport::ReplaceReject(cause) => because("REPLACE_REJECT", cause),
        OrderReport::Replaced { qty, price } => packed(&("REPLACED", order, qty, price)),
        OrderReport::Absent { text } => packed(&("ABSENT", order, text)),
        OrderReport::Done => packed(&("DONE", order)),
        OrderReport::Found {
            venue_order_id,
            working,
            cum_qty,
        } => packed(&("FOUND", order, venue_order_id, working, cum_qty)),
        OrderReport::Fill(fill) => packed(&(
            "FILL",
            order,
            fill.trade_id,
            fill.price,
            fill.qty,
            fill.quote_qty,
            fill.fee,
            fill.fee_asset,
            fill.maker,
            fill.venue_ns,
        )),
    }
}

fn about(account: &str, what: &AccountReport<'_>) -> Vec<u8> {
    match what {
        AccountReport::Ready {
            ready,
            reason,
            retry_after_ms,
        } => packed(&("READY", account, ready, reason, retry_after_ms)),
        AccountReport::Budget {
            orders_left,
            retry_after_ms,
        } => packed(&("BUDGET", account, orders_left, retry_after_ms)),
        AccountReport::External(raw) => packed(&(
            "EXTERNAL",
            account,
            raw.symbol,
            raw.venue_order_id,
            raw.client_id,
            raw.side.as_str(),
            raw.ord_type,
            raw.time_in_force,
            raw.qty,
            raw.cum_qty,
            raw.price,
            raw.stop_price,
        )),
        AccountReport::Balance { asset, total } => packed(&("BALANCE", account, asset, total)),
        AccountReport::Drift { symbol, class, detail } => packed(&("DRIFT", account, symbol, class.as_str(), detail)),
        AccountReport::DriftExplained { symbol, class } => {
            packed(&("DRIFT_EXPLAINED", account, symbol, class.as_str()))
        }
        AccountReport::Confirmed { symbol, trade_id } => packed(&("CONFIRMED", account, symbol, trade_id)),
        AccountReport::Reconciled(run) => {
            let named = rmp_serde::to_vec_named(run).unwrap();
            // An array of three, the last of which is a map with names.
            [&[0x93][..], &packed(&"RECONCILED"), &packed(&account), &named].concat()
        }
    }
}

fn packed(report: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(report).unwrap()
}
