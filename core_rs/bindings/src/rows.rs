//! What a batch of records means for Postgres: pure rows, in the column order of `persistence/write_behind.sql`.

use crate::table::{Cell, EventHash, Rows, Table, printable};
use ordergate_core::audit;
use ordergate_core::order::Order;
use ordergate_core::record::{Fill, Record};
use ordergate_core::retention::facts_of;
use ordergate_core::state::{Applied, State};
use ordergate_core::terms::{Mode, Nanos, OrderId, Scope, Seq};
use ordergate_journal::ChunkInfo;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// One record, just folded.
#[derive(Clone, Copy)]
pub struct Folded<'a> {
    /// The state after it.
    pub state: &'a State,
    /// Its chunk.
    pub chunk: &'a ChunkInfo,
    /// Its sequence.
    pub seq: Seq,
    /// Its time.
    pub ts: Nanos,
    /// Itself.
    pub record: &'a Record,
    /// What it did.
    pub applied: Applied,
}

/// Rows of one batch, while it is being folded.
#[derive(Default)]
pub struct Batch {
    tables: BTreeMap<&'static str, Table>,
    touched: BTreeSet<OrderId>,
    durable: BTreeMap<OrderId, Nanos>,
    first_seq: Seq,
    last: Option<ChunkInfo>,
    text: String,
}

impl Batch {
    /// Adds one record that `state` has just folded.
    pub fn add(&mut self, folded: &Folded<'_>, head: &mut EventHash) {
        let Folded {
            state,
            chunk,
            seq,
            ts,
            record,
            applied,
        } = *folded;
        if self.first_seq == 0 {
            self.first_seq = seq;
        }
        for order in state.just_left() {
            if self.touched.remove(&order.id) {
                self.order(state, order);
            }
        }
        self.last = Some(*chunk);
        if let Some(order) = audit::order_of(seq, record).filter(|order| state.order(*order).is_some()) {
            self.order_event(state, seq, ts, order, record, head);
            if order == seq {
                self.durable.insert(order, chunk.sealed_ns);
            }
            self.touched.insert(order);
            // The order that it took over from names it from now on.
            self.touched
                .extend(state.order(seq).and_then(|new| new.terms.replaces()));
        }
        if let (Some(code), false) = (applied.alarm, matches!(record, Record::Illegal(_) | Record::Parked(_))) {
            let [kind, detail] = [record.name(), "an unexpected fact was booked"];
            self.table("alarms").push([
                seq.into(),
                applied.order.into(),
                kind.into(),
                code.into(),
                detail.into(),
                ts.into(),
            ]);
        }
        match record {
            Record::Fill(body) => self.fill(state, seq, ts, body),
            Record::KillOn(_) | Record::KillOff(_) | Record::Illegal(_) | Record::Parked(_) => {
                self.alarm_or_kill(seq, ts, record);
            }
            _ if self.rule(state, seq, ts, record) || self.venue(state, seq, ts, record) => {}
            _ => self.administration(state, seq, ts, record),
        }
    }

    pub(crate) fn table(&mut self, name: &'static str) -> &mut Table {
        self.tables.entry(name).or_default()
    }

    fn order_event(
        &mut self,
        state: &State,
        seq: Seq,
        ts: Nanos,
        order: OrderId,
        record: &Record,
        head: &mut EventHash,
    ) {
        let Some(facts) = state.order(order) else { return };
        let mut payload = std::mem::take(&mut self.text);
        payload.clear();
        audit::payload(&mut payload, record, symbol(state, facts.terms.instrument));
        let prev = *head;
        *head = chain(&prev, seq, record.name(), &payload);
        let account = account(state, facts.terms.account);
        self.table("order_events").push([
            seq.into(),
            order.into(),
            account.into(),
            record.name().into(),
            Cell::Time(ts),
            payload.as_str().into(),
            prev.as_slice().into(),
            head.as_slice().into(),
        ]);
        self.text = payload;
    }

    fn fill(&mut self, state: &State, seq: Seq, ts: Nanos, fill: &Fill) {
        let Some(order) = state.order(fill.order) else { return };
        let account = account(state, order.terms.account);
        let Some(instrument) = state.instrument(order.terms.instrument) else {
            return;
        };
        let venue = state.lane(order.terms.mode).map_or("none", |lane| lane.venue.as_str());
        let [price, qty] = [fill.price.to_string(), fill.qty.to_string()];
        let [quote_qty, fee] = [fill.quote_qty.to_string(), fill.fee.to_string()];
        // The asset is the venue's word and the only text here that was not checked before it was journaled.
        let payload = format!(
            r#"{{"symbol":"{}","base":"{}","quote":"{}","side":"{}","price":"{price}","quantity":"{qty}","quoteQuantity":"{quote_qty}","fee":"{fee}","feeAsset":{}}}"#,
            instrument.symbol,
            instrument.base,
            instrument.quote,
            order.terms.side,
            serde_json::Value::from(printable(&fill.fee_asset))
        );
        self.table("fills").push([
            venue.into(),
            account.into(),
            instrument.symbol.as_str().into(),
            fill.trade_id.as_str().into(),
            fill.order.into(),
            order.terms.mode.as_str().into(),
            order.terms.side.as_str().into(),
            price.into(),
            qty.into(),
            quote_qty.into(),
            fee.into(),
            fill.fee_asset.as_str().into(),
            fill.maker.into(),
            fill.venue_ns.into(),
            seq.into(),
        ]);
        self.outbox(seq, ts, account, order.terms.mode.as_str(), "FILL", payload);
    }

    fn outbox(&mut self, seq: Seq, ts: Nanos, account: &str, mode: &str, kind: &str, payload: String) {
        self.table("outbox").push([
            seq.into(),
            account.into(),
            mode.into(),
            kind.into(),
            payload.into(),
            Cell::Time(ts),
        ]);
    }

    fn alarm_or_kill(&mut self, seq: Seq, ts: Nanos, record: &Record) {
        match record {
            Record::Illegal(body) => self.table("alarms").push([
                seq.into(),
                (body.order != 0).then_some(body.order).into(),
                record.name().into(),
                body.event.as_str().into(),
                body.text.as_str().into(),
                ts.into(),
            ]),
            Record::Parked(body) => self.table("alarms").push([
                seq.into(),
                Cell::Null,
                record.name().into(),
                body.code.as_str().into(),
                body.report.as_str().into(),
                ts.into(),
            ]),
            Record::KillOn(body) => self.table("kill_switch_events").push([
                seq.into(),
                body.scope.as_str().into(),
                body.target.as_str().into(),
                true.into(),
                u32::from(body.level).into(),
                body.reason.as_str().into(),
                body.by.as_str().into(),
                body.source.as_str().into(),
                ts.into(),
            ]),
            Record::KillOff(body) => self.table("kill_switch_events").push([
                seq.into(),
                body.scope.as_str().into(),
                body.target.as_str().into(),
                false.into(),
                0_u32.into(),
                "".into(),
                body.by.as_str().into(),
                body.source.as_str().into(),
                ts.into(),
            ]),
            _ => {}
        }
    }

    fn administration(&mut self, state: &State, seq: Seq, ts: Nanos, record: &Record) {
        match record {
            Record::SessionOpened(body) => self.table("sessions").push([
                seq.into(),
                body.venue.as_str().into(),
                body.mode.as_str().into(),
                body.pid.into(),
                ts.into(),
            ]),
            Record::AccountCreated(body) => {
                self.table("accounts")
                    .push([body.name.as_str().into(), ts.into(), seq.into()]);
            }
            Record::BalanceAdjusted(body) => {
                let payload = format!(r#"{{"asset":"{}","delta":"{}"}}"#, body.asset, body.delta);
                self.outbox(
                    seq,
                    ts,
                    account(state, body.account),
                    body.mode.as_str(),
                    record.name(),
                    payload,
                );
            }
            Record::KeyCreated(body) => self.table("api_keys").push([
                body.key.into(),
                account(state, body.account).into(),
                body.owner.as_str().into(),
                body.name.as_str().into(),
                body.token_sha256.as_slice().into(),
                scopes(body.scopes).into(),
                body.rate_per_second.into(),
                ts.into(),
                body.expires_at.into(),
                body.symbols.join(",").into(),
                body.ip_allow.join(",").into(),
                seq.into(),
            ]),
            Record::KeyRevoked(body) => {
                self.table("api_keys_revoked")
                    .push([body.key.into(), ts.into(), seq.into()]);
            }
            Record::InstrumentSet(body) => {
                let filters = crate::filters::for_row(body);
                self.table("instruments").push([
                    body.symbol.as_str().into(),
                    body.base.as_str().into(),
                    body.quote.as_str().into(),
                    body.status.as_str().into(),
                    filters.into(),
                    seq.into(),
                ]);
            }
            Record::TradingStateSet(body) => self.risk_event(seq, ts, record, body.mode),
            Record::LimitBreached(body) => self.risk_event(seq, ts, record, Some(body.mode)),
            Record::LimitWarned(body) => self.risk_event(seq, ts, record, Some(body.mode)),
            Record::PeakSet(body) => self.risk_event(seq, ts, record, Some(body.mode)),
            Record::DayStarted(_) | Record::OpeningMarks(_) | Record::StpGroupSet(_) => {
                self.risk_event(seq, ts, record, None);
            }
            _ => {}
        }
    }

    pub(crate) fn risk_event(&mut self, seq: Seq, ts: Nanos, record: &Record, mode: Option<Mode>) {
        let mut body = Vec::new();
        // Never fails in practice: every body serialises.
        let body = record.write_json(&mut body).map_or_else(|_| b"{}".to_vec(), |()| body);
        let (mode, body) = (
            mode.map(|mode| mode.as_str()),
            String::from_utf8_lossy(&body).into_owned(),
        );
        self.table("risk_events")
            .push([seq.into(), record.name().into(), mode.into(), body.into(), ts.into()]);
    }

    /// The row of an order as it stands; an ended one with everything that it takes to bring it back.
    fn order(&mut self, state: &State, order: &Order) {
        let terms = &order.terms;
        let durable_at = self.durable.get(&order.id).copied();
        let facts = (!order.is_open()).then(|| facts_of(order));
        self.table("orders").push([
            order.id.into(),
            account(state, terms.account).into(),
            terms.client_order_id.as_deref().into(),
            order.idempotency_key().into(),
            terms.mode.as_str().into(),
            symbol(state, terms.instrument).into(),
            terms.side.as_str().into(),
            terms.ord_type.as_str().into(),
            terms.time_in_force.as_str().into(),
            state.view(order).qty.map(|qty| qty.to_string()).into(),
            terms.price.map(|price| price.to_string()).into(),
            order.status().as_str().into(),
            order.cum_qty.to_string().into(),
            order.cum_quote.to_string().into(),
            order.average_price().map(|price| price.to_string()).into(),
            order.rejected_by().map(|by| by.as_str()).into(),
            (!order.reason.is_empty()).then_some(&*order.reason).into(),
            terms.strategy_id.as_deref().into(),
            order.venue_order_id.as_deref().into(),
            order.received_at.into(),
            durable_at.into(),
            order.submit.map(|submit| submit.at).into(),
            order.acked_at.into(),
            order.updated_at.into(),
            order.last_seq.into(),
            facts.as_deref().into(),
            order.is_external().into(),
            terms.stop_price().map(|price| price.to_string()).into(),
            terms.quote_qty().map(|quote| quote.to_string()).into(),
            terms.expire_at().into(),
            terms.replaces().into(),
            order.replaced_by().into(),
        ]);
    }

    /// The order rows as the state stands after the batch; `None` when nothing was added.
    pub fn finish(mut self, state: &State, head: EventHash) -> Option<Rows> {
        let last = self.last?;
        for order in std::mem::take(&mut self.touched)
            .into_iter()
            .filter_map(|id| state.order(id))
        {
            self.order(state, order);
        }
        Some(Rows {
            first_seq: self.first_seq,
            last_seq: last.last_seq,
            epoch: last.epoch,
            chunk_hash: last.hash,
            event_hash: head,
            tables: self.tables,
        })
    }
}

/// SHA-256 over the previous head, the sequence (8 bytes, big-endian), the kind, a zero byte, and the payload.
pub fn chain(head: &EventHash, seq: Seq, kind: &str, payload: &str) -> EventHash {
    let mut hash = Sha256::new();
    hash.update(head);
    hash.update(seq.to_be_bytes());
    hash.update(kind.as_bytes());
    hash.update([0]);
    hash.update(payload.as_bytes());
    hash.finalize().into()
}

pub(crate) fn account(state: &State, id: u32) -> &str {
    state.account(id).map_or("", |account| account.name.as_str())
}

pub(crate) fn symbol(state: &State, id: u32) -> &str {
    state.instrument(id).map_or("", |instrument| instrument.symbol.as_str())
}

fn scopes(bits: u32) -> String {
    let words: Vec<_> = Scope::ALL
        .iter()
        .filter(|scope| bits & (1 << **scope as u8) != 0)
        .map(|scope| scope.as_str())
        .collect();
    words.join(",")
}
