//! Bodies that grew: what earlier releases wrote is read with today's defaults.

use crate::golden::unhex;
use ordergate_core::record::{MarketFilters, Record};

/// Bodies with fewer fields, each as a release wrote it.
const EARLIER: &str = include_str!("../golden/earlier.txt");

#[test]
fn what_earlier_releases_wrote_is_read_with_todays_defaults() {
    for line in EARLIER.lines() {
        let [kind, version, name, body] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let record = Record::decode(kind.parse().unwrap(), version.parse().unwrap(), &unhex(body)).unwrap();
        assert_eq!(record.name(), name);
        match record {
            Record::KeyCreated(key) => assert!(key.symbols.is_empty() && key.ip_allow.is_empty()),
            Record::InstrumentSet(body) => assert_eq!(body.market, MarketFilters::default()),
            Record::OrderAccepted(body) => {
                // One line is of a release that kept no inputs and knew no overrides, one of the next.
                match body.decision.inputs {
                    Some(inputs) => assert_eq!(inputs.venue, None),
                    None => assert_eq!(body.decision.override_id, None),
                }
            }
            Record::OrderDenied(body) => {
                assert_eq!(body.decision.override_id, None);
                assert!(body.decision.failed.iter().all(|failed| failed.scope.is_empty()));
            }
            Record::TradingStateSet(body) => assert!(!body.flatten),
            Record::OrderReloaded(order) => {
                assert_eq!((order.external, order.doubt_since), (None, None));
                assert_eq!((order.amends(), order.replaced_by()), (0, None));
            }
            Record::KillOn(body) => assert_eq!(body.cause, None),
            Record::HeartbeatSet(body) => assert_eq!(body.by, ""),
            Record::Fill(body) => assert_eq!(body.fee_value, None),
            other => panic!("{other:?} has not changed"),
        }
    }
}
