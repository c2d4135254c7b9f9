//! The audit trail's text: each record that concerns one order, as a JSON object with decimals and words.
//!
//! The hash chain of `execution.order_events` covers this text, so its form never changes for a record that exists:
//! new members are only ever appended, and only for new record versions.

use crate::limits::owners;
use crate::record::{CheckResult, Decision, DecisionInputs, ExternalOrder, Fill, OrderEvent, Record, Terms};
use crate::render::push_text;
use crate::risk::Kinds;
use crate::terms::OrderId;
use std::fmt::{Display, Write as _};

/// One JSON object being written.
struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    fn name(&mut self, name: &str) -> &mut String {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        push_text(self.out, name);
        self.out.push(':');
        self.out
    }

    fn text(&mut self, name: &str, value: impl Display) -> &mut Self {
        let value = value.to_string();
        push_text(self.name(name), &value);
        self
    }

    /// Writes nothing when there is nothing to say.
    fn maybe(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// A bare integer or boolean.
    fn bare(&mut self, name: &str, value: impl Display) -> &mut Self {
        let _ = write!(self.name(name), "{value}");
        self
    }

    fn close(&mut self) {
        self.out.push('}');
    }
}

fn terms(object: &mut Object<'_>, terms: &Terms, symbol: &str) {
    object
        .text("mode", terms.mode)
        .text("symbol", symbol)
        .text("side", terms.side)
        .text("type", terms.ord_type)
        .text("timeInForce", terms.time_in_force)
        .text("quantity", terms.qty)
        .maybe("price", terms.price)
        .maybe("clientOrderId", terms.client_order_id.as_deref())
        .maybe("strategyId", terms.strategy_id.as_deref())
        .bare("key", terms.key);
    // Appended only where there is one, so that the text of every order from before stays as it was.
    object
        .maybe("stopPrice", terms.stop_price())
        .maybe("quoteOrderQty", terms.quote_qty())
        .maybe("expireAtNs", terms.expire_at())
        .maybe("replaces", terms.replaces());
}

fn check(out: &mut String, check: &CheckResult) {
    Object::open(out)
        .text("code", &check.code)
        .text("value", &check.value)
        .text("limit", &check.limit)
        .text("headroom", &check.headroom)
        .maybe("scope", non_empty(&check.scope))
        .maybe("target", non_empty(&check.target))
        .maybe("symbol", non_empty(&check.symbol))
        .close();
}

fn kinds_json(out: &mut String, kinds: Kinds) {
    out.push('[');
    for (index, kind) in kinds.iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        push_text(out, kind.as_str());
    }
    out.push(']');
}

fn inputs(out: &mut String, inputs: &DecisionInputs) {
    let mut object = Object::open(out);
    if let Some((bid, ask, last)) = inputs.mark {
        object.text("bid", bid).text("ask", ask).text("last", last);
    }
    object
        .maybe("referenceTwice", inputs.reference_twice)
        .text("free", inputs.free)
        .maybe("fx", inputs.fx)
        .bare("reduceOnly", inputs.reduce_only)
        .maybe("bestOwnOpposite", inputs.opposite)
        .maybe("equity", inputs.equity)
        .maybe("drawdown", inputs.drawdown)
        .maybe("oldestDoubtAgeNs", inputs.doubt_age_ns)
        .maybe("depth", inputs.depth)
        .maybe("volume", inputs.volume)
        .maybe("baseTotal", inputs.base_total)
        .bare("duplicates1s", inputs.duplicates.0)
        .bare("duplicates10s", inputs.duplicates.1)
        .bare("journalWaitMs", inputs.journal.0)
        .bare("journalBacklog", inputs.journal.1);
    let out = object.name("ratesTaken");
    out.push_str(&format!("{:?}", inputs.rates).replace(' ', ""));
    let out = object.name("tallies");
    out.push('[');
    for (index, tally) in inputs.tallies.iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        let mut object = Object::open(out);
        object
            .text("owner", owners::word(tally.owner))
            .text("position", tally.position)
            .text("openBuy", tally.open_buy)
            .text("openSell", tally.open_sell)
            .text("openNotional", tally.open_notional)
            .bare("openOrders", tally.open_orders)
            .bare("ordersToday", tally.day.0)
            .bare("cancelsToday", tally.day.1)
            .bare("fillsToday", tally.day.2);
        if let Some(others) = &tally.others {
            let mut others_object = Object::open(object.name("others"));
            others_object
                .bare("openOrders", others.open_orders)
                .text("openNotional", others.open_notional)
                .text("gross", others.gross)
                .text("long", others.long)
                .text("short", others.short)
                .text("turnover", others.turnover)
                .bare("ordersToday", others.orders)
                .bare("cancelsToday", others.cancels)
                .bare("fillsToday", others.fills)
                .maybe("dayResult", others.day_result)
                .close();
        }
        object.close();
    }
    out.push(']');
    if let Some(venue) = inputs.venue {
        object
            .bare("drift", venue.drift)
            .bare("inDoubt", venue.in_doubt)
            .maybe("venueOrdersLeft", venue.orders_left);
    }
    object.close();
}

/// What was looked at, what failed, what came closest.
fn decision(out: &mut String, decision: &Decision) {
    let mut object = Object::open(out);
    object
        .bare("limitsVersion", decision.limits_version)
        .maybe("referencePrice", decision.reference_price)
        .maybe("referenceAgeNs", decision.reference_age_ns);
    if !decision.failed.is_empty() {
        let out = object.name("failed");
        out.push('[');
        for (index, failed) in decision.failed.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            check(out, failed);
        }
        out.push(']');
    }
    if let Some(tightest) = &decision.tightest {
        check(object.name("tightest"), tightest);
    }
    object.maybe("overrideId", decision.override_id);
    for (name, kinds) in [("overridden", decision.overridden), ("warned", decision.warned)] {
        if !kinds.is_empty() {
            kinds_json(object.name(name), kinds);
        }
    }
    if let Some(looked_at) = &decision.inputs {
        inputs(object.name("inputs"), looked_at);
    }
    object.close();
}

fn fill(object: &mut Object<'_>, fill: &Fill) {
    object
        .text("tradeId", &fill.trade_id)
        .text("price", fill.price)
        .text("quantity", fill.qty)
        .text("quoteQuantity", fill.quote_qty)
        .text("fee", fill.fee)
        .text("feeAsset", &fill.fee_asset)
        .bare("maker", fill.maker)
        .bare("venueNs", fill.venue_ns);
}

fn external(object: &mut Object<'_>, order: &ExternalOrder, symbol: &str) {
    object
        .text("mode", order.mode)
        .text("symbol", symbol)
        .text("side", order.side)
        .text("type", order.ord_type)
        .text("timeInForce", order.time_in_force)
        .text("quantity", order.qty)
        .text("filledBefore", order.cum_qty)
        .maybe("price", order.price)
        .maybe("stopPrice", order.stop_price)
        .text("venueOrderId", &order.venue_order_id)
        .maybe("clientOrderId", order.client_order_id.as_deref())
        .text("hold", order.hold);
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn event(object: &mut Object<'_>, event: &OrderEvent) {
    object
        .maybe("reason", non_empty(&event.reason))
        .maybe("text", non_empty(&event.text))
        .maybe("venueOrderId", event.venue_order_id.as_deref());
}

/// The order a record is about, if it is about one order; `seq` is the record's own sequence.
#[must_use]
pub fn order_of(seq: u64, record: &Record) -> Option<OrderId> {
    match record {
        Record::OrderAccepted(_) | Record::OrderDenied(_) | Record::ExternalOrder(_) => Some(seq),
        Record::DoubtRequery(body) => Some(body.order),
        Record::VenueIdAttached(body) => Some(body.order),
        Record::SubmitStarted(body) => Some(body.order),
        Record::Fill(body) => Some(body.order),
        Record::ReplaceRequested(body) | Record::Replaced(body) => Some(body.order),
        Record::ReplaceAsked(body) => Some(body.terms.order),
        Record::FoundAtVenue(body) => Some(body.order),
        Record::Illegal(body) => (body.order != 0).then_some(body.order),
        Record::OrderReloaded(order) => Some(order.id),
        other => other.order_event().map(|body| body.order),
    }
}

/// Appends what `GET /orders/{id}/decision` answers from the record that decided the order; false for any other record.
pub fn decision_json(out: &mut String, seq: u64, at: i64, record: &Record) -> bool {
    let (accepted, of) = match record {
        Record::OrderAccepted(body) => (true, &body.decision),
        Record::OrderDenied(body) => (false, &body.decision),
        _ => return false,
    };
    let mut object = Object::open(out);
    object
        .text("id", seq)
        .bare("accepted", accepted)
        .bare("decidedAtNs", at);
    decision(object.name("decision"), of);
    object.close();
    true
}

/// Appends the audit text of an order's record; `symbol` is the order's.
pub fn payload(out: &mut String, record: &Record, symbol: &str) {
    let mut object = Object::open(out);
    match record {
        Record::OrderAccepted(body) => {
            terms(&mut object, &body.terms, symbol);
            object.text("hold", body.hold).text("idempotencyKey", &body.request.key);
            decision(object.name("decision"), &body.decision);
        }
        Record::OrderDenied(body) => {
            terms(&mut object, &body.terms, symbol);
            object.text("idempotencyKey", &body.request.key);
            decision(object.name("decision"), &body.decision);
        }
        Record::SubmitStarted(body) => {
            object.bare("session", body.session);
        }
        Record::Fill(body) => fill(&mut object, body),
        Record::ReplaceRequested(body) | Record::Replaced(body) => {
            object
                .text("quantity", body.qty)
                .maybe("price", body.price)
                .text("hold", body.hold);
        }
        Record::ReplaceAsked(body) => {
            let (asked, anew) = (&body.terms, body.terms.anew);
            object
                .text("quantity", asked.qty)
                .maybe("price", asked.price)
                .text("hold", asked.hold)
                .bare("anew", anew.is_some())
                .maybe("stopPrice", anew.and_then(|anew| anew.stop_price))
                .text("idempotencyKey", &body.request.key);
        }
        Record::FoundAtVenue(body) => {
            object
                .maybe("venueOrderId", body.venue_order_id.as_deref())
                .bare("working", body.working)
                .text("filledQuantity", body.cum_qty);
        }
        Record::ExternalOrder(body) => {
            external(&mut object, body, symbol);
        }
        Record::DoubtRequery(body) => {
            object.text("by", &body.by);
        }
        Record::VenueIdAttached(body) => {
            object
                .text("venueOrderId", &body.venue_order_id)
                .text("by", &body.by)
                .text("reason", &body.reason);
        }
        Record::Illegal(body) => {
            object.text("event", &body.event).text("text", &body.text);
        }
        other => _ = other.order_event().map(|body| event(&mut object, body)),
    }
    object.close();
}
