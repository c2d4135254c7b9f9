//! Samples of records that a LIVE venue's reports become, of what people do about them, and of what prices become.

use crate::support::START;
use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::record::*;
use ordergate_core::terms::{DriftClass, Mode, OrdType, Side, TimeInForce};

/// One of each kind.
pub fn samples() -> [Record; 12] {
    let (account, mode) = (1, Mode::Live);
    let counts = [("orders".to_owned(), 1_000), ("trades".to_owned(), u64::MAX)];
    [
        Record::StpGroupSet(StpGroupSet {
            account: 1,
            group: "desk".into(),
            by: "ann".into(),
            reason: "one book".into(),
        }),
        Record::OpeningMarks(OpeningMarks {
            marks: vec![(Mode::Live, 2, Price(7))],
        }),
        Record::PeakSet(PeakSet {
            account: 1,
            mode: Mode::Paper,
            peak: Amount(1 << 90),
            by: "ann".into(),
            reason: "a bad tick".into(),
        }),
        Record::ExternalOrder(ExternalOrder {
            account,
            mode,
            instrument: 3,
            venue_order_id: "77".into(),
            client_order_id: Some("web_1".into()),
            side: Side::Sell,
            ord_type: OrdType::Limit,
            time_in_force: TimeInForce::Gtc,
            qty: Qty(123_456_789),
            cum_qty: Qty(7),
            price: Some(Price(4_000_000_000_000)),
            stop_price: None,
            hold: Amount(123_456_789),
            reference: Some(Price(3)),
        }),
        Record::DriftFound(DriftFound {
            account,
            mode,
            instrument: Some(3),
            class: DriftClass::MissingFill,
            detail: "0.5 more".into(),
        }),
        Record::DriftExplained(DriftExplained {
            account,
            mode,
            instrument: None,
            class: DriftClass::Balance,
            found: 300,
        }),
        Record::TradesConfirmed(TradesConfirmed {
            account,
            mode,
            instrument: 3,
            trade_id: u64::MAX,
        }),
        Record::ReconciliationRun(ReconciliationRun {
            account,
            mode,
            trigger: "start".into(),
            started_ns: START,
            duration_ms: 1_234,
            complete: false,
            error: Some("HTTP 500".into()),
            counts: counts.into(),
        }),
        Record::DoubtRequery(DoubtRequery {
            order: 300,
            by: "ann".into(),
        }),
        Record::VenueIdAttached(VenueIdAttached {
            order: 300,
            venue_order_id: "78".into(),
            by: "ann".into(),
            reason: "seen there".into(),
        }),
        Record::CleanStop(CleanStop { epoch: 7 }),
        Record::Resumed(Resumed {
            by: "ann".into(),
            reason: "looked".into(),
        }),
    ]
}
