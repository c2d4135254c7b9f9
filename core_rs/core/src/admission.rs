//! Commands of clients: placing and canceling orders.

use crate::account::{Account, index};
use crate::engine::{Caller, Decided, Engine, MAX_UNSENT};
use crate::facts::{CLIENT_CANCEL, KILLED};
use crate::instrument::{Instrument, unknown_symbol};
use crate::lifecycle::{self, Effect, Event, Row};
use crate::lookup::blank_view;
use crate::order::Order;
use crate::record::{OrderAccepted, OrderDenied, OrderEvent, Record, RequestKey, Terms};
use crate::refusal::{self, Refusal};
use crate::render::{self, OrderView};
use crate::request::{self, NewOrder};
use crate::requests::QUOTA;
use crate::risk::Near;
use crate::state::Broken;
use crate::terms::{Mode, Nanos, OrdStatus, OrderId, Seq, Side, TradingState};

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

/// What became of a request to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelAnswer {
    /// 202: on its way, or done before it was sent; 200: the order had ended already.
    pub status: u16,
    /// Must be durable before the answer leaves.
    pub seq: Seq,
    /// The order.
    pub order: OrderId,
}

/// What a cancel of an ended order comes to: nothing is left to do, or a refusal that says how it ended.
///
/// # Errors
/// `already_filled`, `already_ended` (it was rejected).
pub fn ended_cancel(order: &Order) -> Result<(), Refusal> {
    match order.status() {
        OrdStatus::Filled => Err(Refusal::new(refusal::ALREADY_FILLED, "The order is filled.")),
        OrdStatus::Rejected => Err(Refusal::new(refusal::ALREADY_ENDED, "The order was rejected.")),
        _ => Ok(()),
    }
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
        let (order, key) = match decoded {
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
        let instrument = match self.check_before_risk(caller, account, &order, now) {
            Ok(instrument) => instrument,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let request = RequestKey {
            key: key.to_owned(),
            fingerprint: fingerprint.0,
            fingerprint2: fingerprint.1,
        };
        let (mode, id) = (order.mode, self.state.last_seq() + 1);
        let (record, status, body, near) = self.decide(caller, account, instrument, order, request, request_id, now);
        if let Record::OrderAccepted(accepted) = &record {
            self.take_rates(&accepted.terms, now);
        }
        self.commit(record, now)?;
        for near in near {
            let watched = (near.scope, near.kind, mode);
            self.warn_near(&watched, near.value, near.limit, now)?;
        }
        self.start_waiting(mode, now)?;
        Ok(Ok(Submitted::Stored { seq: id, status, body }))
    }

    /// The record with the stored answer, if this request was decided before.
    fn known_request(
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
        let instrument = self.check_instrument(account, order)?;
        self.check_trading_state(account, order, now)?;
        self.check_rules(caller, account, instrument, order, now)?;
        Ok(instrument)
    }

    fn check_instrument(&self, account: &Account, order: &NewOrder) -> Result<&Instrument, Refusal> {
        let Some(instrument) = self.state.instrument_by_symbol(&order.symbol) else {
            return Err(unknown_symbol(&order.symbol));
        };
        if !instrument.is_trading() {
            let message = format!("{} is {}", instrument.symbol, instrument.status);
            return Err(Refusal::field(refusal::SYMBOL_NOT_TRADING, "symbol", message));
        }
        let mark = self.mark(order.mode, instrument.instrument);
        let meets = mark.map(|mark| if order.side == Side::Buy { mark.ask } else { mark.bid });
        instrument.check_filters(order, meets)?;
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
    #[allow(clippy::too_many_arguments, reason = "one caller; each is an input of the decision")]
    fn decide(
        &self,
        caller: Caller,
        account: &Account,
        instrument: &Instrument,
        order: NewOrder,
        request: RequestKey,
        request_id: &str,
        now: Nanos,
    ) -> (Record, u16, String, Vec<Near>) {
        let (checked, mut decision) = self.assess(caller, account, instrument, &order, now);
        let id = self.state.last_seq() + 1;
        let terms = terms_of(caller, instrument, order);
        let mut answer = String::with_capacity(512);
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
                let (hold, body) = (approved.hold.amount(), answer.clone());
                let near = approved.near;
                let accepted = OrderAccepted {
                    terms,
                    hold,
                    request,
                    decision,
                    answer_status: 201,
                    answer,
                };
                (Record::OrderAccepted(accepted), 201, body, near)
            }
            Err(failed) => {
                render::denied_json(&mut answer, request_id, id, &failed);
                decision.failed = failed;
                let body = answer.clone();
                let denied = OrderDenied {
                    terms,
                    request,
                    decision,
                    answer_status: 422,
                    answer,
                };
                (Record::OrderDenied(denied), 422, body, Vec::new())
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

    /// Cancels an order: at once while it is unsent, else by asking the venue. Never blocked by a kill.
    ///
    /// # Errors
    /// As [`Engine::order_of`], `already_filled`, `already_ended` (it was rejected), `rate_limited`.
    pub fn cancel(&mut self, caller: Caller, order: OrderId, now: Nanos) -> Decided<CancelAnswer> {
        self.check_poison()?;
        let found = match self.order_of(caller, order) {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let seq = found.last_seq;
        if !found.is_open() {
            return Ok(ended_cancel(found).map(|()| CancelAnswer {
                status: 200,
                seq,
                order,
            }));
        }
        let terms = found.terms.clone();
        if let Err(refusal) = self.take_cancel_rates(&terms, now) {
            return Ok(Err(refusal));
        }
        let asked = self.request_cancel(order, CLIENT_CANCEL, now)?;
        Ok(Ok(CancelAnswer {
            status: 202,
            seq: asked.unwrap_or(seq),
            order,
        }))
    }

    /// Journals a cancel if the order can still be canceled and none is under way: an unsent order ends at once.
    pub(crate) fn request_cancel(&mut self, id: OrderId, reason: &str, now: Nanos) -> Result<Option<Seq>, Broken> {
        let Some(order) = self.state.order(id) else {
            return Ok(None);
        };
        let body = OrderEvent {
            order: id,
            reason: reason.to_owned(),
            text: String::new(),
            venue_order_id: None,
        };
        let effect = lifecycle::cell(Row::of(order), Event::CancelRequested).effect;
        let record = match effect {
            Effect::Cancel => Record::Canceled(body),
            Effect::AskCancel => Record::CancelRequested(body),
            Effect::WantCancel if !order.cancel_wanted => Record::CancelRequested(body),
            _ => return Ok(None),
        };
        self.commit(record, now).map(Some)
    }

    /// Ends the unsent orders that this holds for, as killed.
    pub(crate) fn kill_unsent(&mut self, now: Nanos, is_in_scope: impl Fn(&Order) -> bool) -> Result<(), Broken> {
        for mode in Mode::ALL {
            let unsent = &self.state.books[index(*mode)].unsent;
            let hit = |id: &&OrderId| self.state.order(**id).is_some_and(&is_in_scope);
            let killed: Vec<OrderId> = unsent.iter().filter(hit).copied().collect();
            for order in killed {
                self.request_cancel(order, KILLED, now)?;
            }
        }
        Ok(())
    }
}

/// What was asked, as journaled.
fn terms_of(caller: Caller, instrument: &Instrument, order: NewOrder) -> Terms {
    Terms {
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
