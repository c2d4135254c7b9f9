//! Orders that end because a client, a kill or a clock says so.

use crate::account::index;
use crate::engine::{Caller, Decided, Engine};
use crate::facts::{CLIENT_CANCEL, GTD};
use crate::instrument::unknown_symbol;
use crate::lifecycle::{self, Effect, Event, Row};
use crate::order::Order;
use crate::record::{OrderEvent, Record};
use crate::refusal::{self, Refusal};
use crate::sending::TICK_BOUND;
use crate::state::Broken;
use crate::terms::{Mode, Nanos, OrdStatus, OrderId, Seq};

/// Most orders that one request cancels: it must stay short.
pub const CANCEL_ALL_MOST: usize = 1_000;
/// How long after its last change an order whose time has come is canceled again.
const AGAIN_NS: Nanos = 1_000_000_000;

/// What a cancel of every order of a symbol came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanceledAll {
    /// The orders that were open, oldest first.
    pub orders: Vec<OrderId>,
    /// There are more than one request cancels.
    pub more: bool,
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
    /// Cancels an order: at once while it is unsent, else by asking the venue. Never blocked by a kill.
    ///
    /// # Errors
    /// As [`Engine::order_of`], `already_filled`, `already_ended` (it was rejected), `flattening`,
    /// `rate_limited`.
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
        if self.state.is_being_flattened(found) {
            let detail = "The gateway sells this itself: a kill or a breached limit asks for it.";
            return Ok(Err(Refusal::new(refusal::FLATTENING, detail)));
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

    /// Cancels the caller's open orders in a symbol, in both modes: `DELETE /orders?symbol=`. Never blocked by a kill, and
    /// by no rate but the key's own.
    ///
    /// # Errors
    /// `unknown_symbol`.
    pub fn cancel_all(&mut self, caller: Caller, symbol: &str, now: Nanos) -> Decided<CanceledAll> {
        self.check_poison()?;
        let Some(instrument) = self.state.instrument_by_symbol(symbol) else {
            return Ok(Err(unknown_symbol(symbol)));
        };
        let instrument = instrument.instrument;
        let account = self.state.account(caller.account);
        let mut left: u32 = account.map_or(0, |account| account.open.iter().sum());
        let mut orders: Vec<OrderId> = Vec::new();
        for order in self
            .state
            .orders_of(caller.account, None)
            .filter(|order| order.is_open())
        {
            if order.terms.instrument == instrument {
                orders.push(order.id);
            }
            // Ended orders are many: none is looked at once every open one was seen.
            left -= 1;
            if left == 0 {
                break;
            }
        }
        orders.reverse();
        let more = orders.len() > CANCEL_ALL_MOST;
        orders.truncate(CANCEL_ALL_MOST);
        for order in &orders {
            self.request_cancel(*order, CLIENT_CANCEL, now)?;
        }
        Ok(Ok(CanceledAll { orders, more }))
    }

    /// Cancels orders whose own time has come. One whose cancel did not work is canceled again, but not at once.
    pub(crate) fn end_expired(&mut self, now: Nanos) -> Result<(), Broken> {
        for mode in Mode::ALL {
            let due = self.state.books[index(*mode)].expiring.range(..=(now, OrderId::MAX));
            let again =
                |at: Nanos, order: &Order| order.updated_at < at || now >= order.updated_at.saturating_add(AGAIN_NS);
            let due: Vec<OrderId> = due
                .filter(|(at, id)| self.state.order(*id).is_some_and(|order| again(*at, order)))
                .map(|(_, id)| *id)
                .take(TICK_BOUND)
                .collect();
            for order in due {
                self.request_cancel(order, GTD, now)?;
            }
        }
        Ok(())
    }
}
