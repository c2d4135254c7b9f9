//! Commands of clients: placing orders.

use crate::account::Account;
use crate::engine::{Caller, Decided, Engine, MAX_UNSENT};
use crate::instrument::{Instrument, unknown_symbol};
use crate::lookup::blank_view;
use crate::number::Price;
use crate::order::Order;
use crate::record::{Conditions, OrderAccepted, OrderDenied, Record, RequestKey, Terms};
use crate::refusal::{self, Refusal};
use crate::render::{self, OrderView};
use crate::request::{self, NewOrder};
use crate::requests::QUOTA;
use crate::risk::{Near, base_for_quote};
use crate::state::Broken;
use crate::terms::{Nanos, OrderId, Seq, Side, TradingState};

/// What became of a request to place an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// Decided now: the answer may leave once `seq` is durable.
    Stored {
        /// The record with this answer: the order's id.
        seq: Seq,
        /// HTTP status: 201, or 422 when a risk check failed.
        status: u16,
        /// JSON.
        body: String,
    },
    /// Decided before: the record with this sequence, durable, holds the answer.
    Repeat {
        /// See above.
        seq: Seq,
    },
}

impl Engine {
    /// Places an order: decode and shape → request key → instrument and filters → trading state → all risk checks.
    ///
    /// # Errors
    /// Refused as in PROTOCOLS §5; a failed risk check is stored and no refusal.
    pub fn submit(
        &mut self,
        caller: Caller,
        idempotency_key: Option<&str>,
        request_id: &str,
        body: &[u8],
        now: Nanos,
        durable_seq: Seq,
    ) -> Decided<Submitted> {
        self.check_poison()?;
        let now = now.max(self.state.last_ts());
        let decoded = request::decode_new_order(body)
            .and_then(|order| Ok((order, request::check_idempotency_key(idempotency_key)?)));
        let (mut order, key) = match decoded {
            Ok(decoded) => decoded,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(account) = self.state.account(caller.account) else {
            return Ok(Err(Refusal::new(refusal::UNAUTHORIZED, "The account is not known.")));
        };
        let fingerprint = request::fingerprint(&order);
        match self.known_request(account, key, fingerprint, now, durable_seq) {
            Ok(None) => {}
            Ok(Some(seq)) => return Ok(Ok(Submitted::Repeat { seq })),
            Err(refusal) => return Ok(Err(refusal)),
        }
        let checked = self
            .bound_quote(&mut order)
            .and_then(|()| self.check_before_risk(caller, account, &order, now));
        let instrument = match checked {
            Ok(instrument) => instrument,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let request = RequestKey {
            key: key.into(),
            fingerprint: fingerprint.0,
            fingerprint2: fingerprint.1,
        };
        let asked = Asked {
            order,
            request,
            request_id,
            replaces: None,
        };
        let (record, near) = self.decide(caller, account, instrument, asked, now);
        let seq = self.enter(&record, near, now)?;
        let (status, body) = answer_of(record);
        Ok(Ok(Submitted::Stored { seq, status, body }))
    }

    /// Journals a decision, with what follows from it.
    pub(crate) fn enter(&mut self, record: &Record, near: Vec<Near>, now: Nanos) -> Result<Seq, Broken> {
        let mode = match record {
            Record::OrderAccepted(body) => {
                self.take_rates(&body.terms, now);
                Some(body.terms.mode)
            }
            Record::OrderDenied(body) => Some(body.terms.mode),
            _ => None,
        };
        let seq = self.commit_kept(record, now)?;
        let Some(mode) = mode else { return Ok(seq) };
        for near in near {
            let watched = (near.scope, near.kind, mode);
            self.warn_near(&watched, near.value, near.limit, now)?;
        }
        self.start_waiting(mode, now)?;
        Ok(seq)
    }

    /// The record with the stored answer, if this request was decided before.
    pub(crate) fn known_request(
        &self,
        account: &Account,
        key: &str,
        fingerprint: (u64, u64),
        now: Nanos,
        durable_seq: Seq,
    ) -> Result<Option<Seq>, Refusal> {
        let Some(known) = self.state.request(account.id, key, now) else {
            // Keys that are due are dropped by the next record, which this order may be.
            if account.request_keys() >= QUOTA && !self.state.request_key_is_due(now) {
                let detail = format!("The account holds {QUOTA} request keys; each is kept for 24 hours.");
                return Err(Refusal::new(refusal::REQUEST_KEY_QUOTA, detail));
            }
            return Ok(None);
        };
        if known.fingerprint != fingerprint {
            let detail = "The Idempotency-Key was used with another request.";
            return Err(Refusal::new(refusal::IDEMPOTENCY_KEY_REUSED, detail));
        }
        if known.seq > durable_seq {
            let detail = "The first request with this Idempotency-Key is still being stored.";
            return Err(Refusal::new(refusal::REQUEST_IN_PROGRESS, detail).retry_after_ms(100));
        }
        Ok(Some(known.seq))
    }

    /// What refuses an order before the risk checks: instrument and filters, trading state, the rules of its key,
    /// strategy and symbol.
    pub(crate) fn check_before_risk(
        &self,
        caller: Caller,
        account: &Account,
        order: &NewOrder,
        now: Nanos,
    ) -> Result<&Instrument, Refusal> {
        let instrument = self.check_instrument(account, order, now)?;
        self.check_trading_state(account, order, now)?;
        self.check_rules(caller, account, instrument, order, now)?;
        Ok(instrument)
    }

    pub(crate) fn check_instrument(
        &self,
        account: &Account,
        order: &NewOrder,
        now: Nanos,
    ) -> Result<&Instrument, Refusal> {
        let Some(instrument) = self.state.instrument_by_symbol(&order.symbol) else {
            return Err(unknown_symbol(&order.symbol));
        };
        if !instrument.is_trading() {
            let message = format!("{} is {}", instrument.symbol, instrument.status);
            return Err(Refusal::field(refusal::SYMBOL_NOT_TRADING, "symbol", message));
        }
        instrument.check_filters(order, self.meets(order, instrument))?;
        if order.expire_at.is_some_and(|at| at <= now) {
            return Err(Refusal::field(
                refusal::INVALID_FIELD,
                "expireAt",
                "must lie in the future",
            ));
        }
        let working = order
            .client_order_id
            .as_deref()
            .and_then(|id| self.state.working(account.id, id));
        match working {
            None => Ok(instrument),
            Some(other) => {
                let message = format!("belongs to the working order {}", other.id);
                Err(Refusal::field(
                    refusal::CLIENT_ORDER_ID_IN_USE,
                    "clientOrderId",
                    message,
                ))
            }
        }
    }

    /// The price of the other side, as last told.
    fn meets(&self, order: &NewOrder, instrument: &Instrument) -> Option<Price> {
        let mark = self.mark(order.mode, instrument.instrument)?;
        Some(if order.side == Side::Buy { mark.ask } else { mark.bid })
    }

    /// An amount of quote counts as the most that it may come to: everything that looks at quantities can then judge it.
    ///
    /// # Errors
    /// `invalid_quantity` when that cannot be represented.
    pub(crate) fn bound_quote(&self, order: &mut NewOrder) -> Result<(), Refusal> {
        let Some(quote) = order.quote_qty else {
            return Ok(());
        };
        let instrument = self.state.instrument_by_symbol(&order.symbol);
        // Without a price the checks refuse it.
        if let Some(price) = instrument.and_then(|instrument| self.meets(order, instrument)) {
            let out_of_range = || Refusal::field(refusal::INVALID_QUANTITY, "quoteOrderQty", "is out of range");
            order.qty = base_for_quote(quote, price).ok_or_else(out_of_range)?;
        }
        Ok(())
    }

    fn check_trading_state(&self, account: &Account, order: &NewOrder, now: Nanos) -> Result<(), Refusal> {
        let strategy = order.strategy_id.as_deref();
        if let Some((scope, target, kill)) = self.state.kill_for(&account.name, strategy, &order.symbol) {
            let of = if target.is_empty() {
                String::new()
            } else {
                format!(" {target}")
            };
            let detail = format!("Trading is stopped for {scope}{of}: {}.", kill.reason);
            return Err(Refusal::new(refusal::KILLED, detail));
        }
        let standing = self
            .state
            .standing_for(order.mode, &account.name, strategy, &order.symbol);
        if let Some((scope, target, standing)) =
            standing.filter(|(.., standing)| standing.state == TradingState::Halted)
        {
            let of = if target.is_empty() { "" } else { " " };
            let detail = format!("{scope}{of}{target} is HALTED: {}.", standing.reason);
            return Err(Refusal::new(refusal::HALTED, detail));
        }
        if !self.kill_reading_is_fresh(now) {
            let detail = "The kill switch was not read within 0.3 s.";
            return Err(Refusal::new(refusal::KILL_SWITCH_STALE, detail).retry_after_ms(1_000));
        }
        if self.journal_is_full {
            let detail = "The disk is nearly full: what is left is for the orders that were taken.";
            return Err(Refusal::new(refusal::JOURNAL_FULL, detail).retry_after_ms(10_000));
        }
        self.check_venue(order.mode, account)?;
        if self.state.unsent_count() >= MAX_UNSENT {
            let detail = format!("{MAX_UNSENT} orders wait to be sent.");
            return Err(Refusal::new(refusal::OVERLOADED, detail).retry_after_ms(1_000));
        }
        Ok(())
    }

    /// The decision with the answer that will be replayed byte for byte.
    pub(crate) fn decide(
        &self,
        caller: Caller,
        account: &Account,
        instrument: &Instrument,
        asked: Asked<'_>,
        now: Nanos,
    ) -> (Record, Vec<Near>) {
        let Asked {
            order,
            request,
            request_id,
            replaces,
        } = asked;
        let (checked, mut decision) = self.assess(caller, account, instrument, &order, now);
        let id = self.state.last_seq() + 1;
        let terms = terms_of(caller, instrument, order, replaces);
        let mut answer = String::new();
        match checked {
            Ok(approved) => {
                let blank = blank_view(&terms, &instrument.symbol);
                render::order_json(
                    &mut answer,
                    &OrderView {
                        id,
                        received_at: now,
                        updated_at: now,
                        ..blank
                    },
                );
                let (hold, near) = (approved.hold.amount(), approved.near);
                let accepted = OrderAccepted {
                    terms,
                    hold,
                    request,
                    decision,
                    answer_status: 201,
                    answer,
                };
                (Record::OrderAccepted(accepted), near)
            }
            Err(failed) => {
                render::denied_json(&mut answer, request_id, id, &failed);
                decision.failed = failed;
                let denied = OrderDenied {
                    terms,
                    request,
                    decision,
                    answer_status: 422,
                    answer,
                };
                (Record::OrderDenied(denied), Vec::new())
            }
        }
    }

    /// The caller's order.
    ///
    /// # Errors
    /// `not_found`, also for somebody else's; `order_left` when only Postgres can tell.
    pub fn order_of(&self, caller: Caller, order: OrderId) -> Result<&Order, Refusal> {
        let own = |found: &&Order| found.terms.account == caller.account;
        match self.state.order(order) {
            None if self.state.may_have_left(order) => {
                Err(Refusal::new(refusal::ORDER_LEFT, "There is no such order in memory."))
            }
            found => found
                .filter(own)
                .ok_or_else(|| Refusal::new(refusal::NOT_FOUND, "There is no such order.")),
        }
    }
}

/// An order to be decided, with the identity of its request.
pub(crate) struct Asked<'a> {
    pub order: NewOrder,
    pub request: RequestKey,
    /// Of the answer, for people.
    pub request_id: &'a str,
    /// The order that it takes over from.
    pub replaces: Option<OrderId>,
}

/// The stored answer of a decision: HTTP status and body.
pub(crate) fn answer_of(record: Record) -> (u16, String) {
    match record {
        Record::OrderAccepted(accepted) => (accepted.answer_status, accepted.answer),
        Record::OrderDenied(denied) => (denied.answer_status, denied.answer),
        Record::ReplaceAsked(asked) => (asked.answer_status, asked.answer),
        _ => (0, String::new()),
    }
}

/// What was asked, as journaled.
fn terms_of(caller: Caller, instrument: &Instrument, order: NewOrder, replaces: Option<OrderId>) -> Terms {
    let conditions = Conditions {
        stop_price: order.stop_price,
        quote_qty: order.quote_qty,
        expire_at: order.expire_at,
        replaces,
    };
    Terms {
        conditions: (conditions != Conditions::default()).then(|| Box::new(conditions)),
        account: caller.account,
        key: caller.key,
        mode: order.mode,
        instrument: instrument.instrument,
        side: order.side,
        ord_type: order.ord_type,
        time_in_force: order.time_in_force,
        qty: order.qty,
        price: order.price,
        client_order_id: order.client_order_id,
        strategy_id: order.strategy_id,
        valid_for_ms: order.valid_for_ms,
    }
}
