//! Rows of limits, approvals, strategies, restricted symbols, hours and dead man's switches.

use crate::rows::{Batch, account, symbol};
use ordergate_core::limits::{LimitKind, LimitScope, Owner};
use ordergate_core::record::{Change, Record};
use ordergate_core::state::State;
use ordergate_core::terms::{Nanos, Seq};
use serde_json::json;

/// One change of a limit, before it is words.
struct LimitRow<'a> {
    version: u32,
    scope: &'a LimitScope,
    kind: LimitKind,
    old: Option<i128>,
    new: Option<i128>,
    by: &'a str,
    approved_by: Option<&'a str>,
    reason: &'a str,
}

impl Batch {
    fn limit(&mut self, state: &State, seq: Seq, ts: Nanos, row: &LimitRow<'_>) {
        let (scope, target, symbol) = state.scope_words(row.scope);
        let text = |value: Option<i128>| value.map(|value| row.kind.value_text(value));
        self.table("limits").push([
            row.version.into(),
            scope.into(),
            target.as_str().into(),
            symbol.into(),
            row.kind.as_str().into(),
            text(row.old).into(),
            text(row.new).into(),
            row.by.into(),
            row.approved_by.into(),
            row.reason.into(),
            ts.into(),
            seq.into(),
        ]);
    }

    /// True when the record was one of these.
    pub(crate) fn rule(&mut self, state: &State, seq: Seq, ts: Nanos, record: &Record) -> bool {
        match record {
            Record::LimitsSet(body) => {
                let scope = LimitScope {
                    owner: body.account.map_or(Owner::Firm, Owner::Account),
                    instrument: None,
                };
                let limits = [
                    (LimitKind::MaxOrderQty, body.max_order_qty.map(|most| most.0)),
                    (LimitKind::MaxOrderNotional, body.max_order_notional.map(|most| most.0)),
                    (LimitKind::MaxOpenOrders, body.max_open_orders.map(i128::from)),
                ];
                for (kind, new) in limits {
                    let row = LimitRow {
                        version: body.version,
                        scope: &scope,
                        kind,
                        old: None,
                        new,
                        by: &body.by,
                        approved_by: None,
                        reason: &body.reason,
                    };
                    self.limit(state, seq, ts, &row);
                }
            }
            Record::LimitChanged(body) => {
                let row = LimitRow {
                    version: body.version,
                    scope: &body.scope,
                    kind: body.kind,
                    old: body.old,
                    new: body.value,
                    by: &body.by,
                    approved_by: body.approved_by.as_deref(),
                    reason: &body.reason,
                };
                self.limit(state, seq, ts, &row);
            }
            Record::ChangeRequested(body) => self.table("change_requests").push([
                seq.into(),
                change_text(state, &body.change).into(),
                body.by.as_str().into(),
                body.reason.as_str().into(),
                ts.into(),
                body.expires_at.into(),
            ]),
            Record::ChangeClosed(body) => self.table("change_requests_closed").push([
                body.request.into(),
                body.outcome.as_str().into(),
                body.by.as_str().into(),
                ts.into(),
                seq.into(),
            ]),
            // The request's row has it all; the order that used it names it in its decision.
            Record::OverrideGranted(_) => {}
            Record::StrategySet(body) => self.table("strategies").push([
                body.name.as_str().into(),
                account(state, body.account).into(),
                body.status.as_str().into(),
                body.by.as_str().into(),
                body.source.as_str().into(),
                body.reason.as_str().into(),
                ts.into(),
                seq.into(),
            ]),
            Record::RestrictionSet(body) => self.table("restrictions").push([
                seq.into(),
                body.account.map(|id| account(state, id)).into(),
                symbol(state, body.instrument).into(),
                body.restricted.into(),
                body.by.as_str().into(),
                body.reason.as_str().into(),
                ts.into(),
            ]),
            Record::ScheduleSet(body) => self.table("schedules").push([
                seq.into(),
                body.account.map(|id| account(state, id)).into(),
                u32::from(body.weekdays).into(),
                u32::from(body.from_minute).into(),
                u32::from(body.to_minute).into(),
                body.by.as_str().into(),
                body.reason.as_str().into(),
                ts.into(),
            ]),
            Record::HeartbeatSet(body) => {
                self.table("heartbeats").push([
                    seq.into(),
                    body.scope.as_str().into(),
                    body.target.as_str().into(),
                    body.timeout_ms.into(),
                    body.key.into(),
                    ts.into(),
                ]);
                // An operator has no key: who it was stands among the events.
                if !body.by.is_empty() {
                    self.risk_event(seq, ts, record, None);
                }
            }
            _ => return false,
        }
        true
    }
}

fn change_text(state: &State, change: &Change) -> String {
    let told = match change {
        Change::Limit(change) => {
            let (scope, target, symbol) = state.scope_words(&change.scope);
            let value = change.value.map(|value| change.kind.value_text(value));
            json!({"limit": {"scope": scope, "target": target, "symbol": symbol, "kind": change.kind.as_str(),
                "value": value}})
        }
        Change::Override(change) => {
            let kinds: Vec<_> = change.kinds.iter().map(|kind| kind.as_str()).collect();
            let symbol = change.instrument.map(|id| symbol(state, id));
            json!({"override": {"account": account(state, change.account), "symbol": symbol, "kinds": kinds,
                "validForMs": change.valid_for_ns / 1_000_000}})
        }
        Change::Absent(change) => json!({"absent": {"order": change.order.to_string()}}),
    };
    told.to_string()
}
