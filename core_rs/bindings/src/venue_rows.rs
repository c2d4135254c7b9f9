//! Rows of what a LIVE venue tells: differences and comparisons.

use crate::rows::{Batch, account, symbol};
use ordergate_core::record::Record;
use ordergate_core::state::State;
use ordergate_core::terms::{Nanos, Seq};

impl Batch {
    /// True when the record was one of these.
    pub(crate) fn venue(&mut self, state: &State, seq: Seq, ts: Nanos, record: &Record) -> bool {
        match record {
            Record::DriftFound(body) => self.table("drifts").push([
                seq.into(),
                account(state, body.account).into(),
                body.mode.as_str().into(),
                body.instrument.map(|id| symbol(state, id)).into(),
                body.class.as_str().into(),
                body.detail.as_str().into(),
                ts.into(),
            ]),
            Record::DriftExplained(body) => {
                self.table("drifts_explained")
                    .push([body.found.into(), ts.into(), seq.into()]);
            }
            Record::ReconciliationRun(body) => {
                let counts: serde_json::Value =
                    body.counts.iter().map(|(kind, count)| (kind.clone(), *count)).collect();
                self.table("reconciliation_runs").push([
                    seq.into(),
                    account(state, body.account).into(),
                    body.mode.as_str().into(),
                    body.trigger.as_str().into(),
                    body.started_ns.into(),
                    body.duration_ms.into(),
                    body.complete.into(),
                    body.error.as_deref().into(),
                    counts.to_string().into(),
                ]);
            }
            // The order's history tells the first three; the watermark, a stop and a resume are the journal's alone.
            Record::ExternalOrder(_)
            | Record::DoubtRequery(_)
            | Record::VenueIdAttached(_)
            | Record::TradesConfirmed(_)
            | Record::CleanStop(_)
            | Record::Resumed(_) => {}
            _ => return false,
        }
        true
    }
}
