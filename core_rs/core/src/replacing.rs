//! New terms for an order: changed in place where that only makes it smaller, else canceled and placed anew.
//!
//! A new order is placed only once it is known what became of the old one, and for no more than the new quantity less
//! what has traded: there are never two orders at the venue for one, and together they never ask for more than was
//! wanted. What was asked for stands in the old order, so that a start between the two halves goes on with the second.

use crate::account::Account;
use crate::admission::{Submitted, answer_of};
use crate::engine::{Caller, Decided, Engine};
use crate::facts;
use crate::lifecycle::{self, Change, Effect, Event, Row};
use crate::limits::LimitKind;
use crate::number::{Amount, Price, Qty};
use crate::order::Order;
use crate::record::{Anew, Record, ReplaceAsked, ReplaceTerms, RequestKey};
use crate::refusal::{self, FieldError, Refusal};
use crate::render;
use crate::request::{self, NewOrder, NewTerms};
use crate::risk::{self, Check};
use crate::state::State;
use crate::terms::{Nanos, OrdStatus, OrderId, Seq, Side};

/// Most changes of one order in place, as the exchange allows: from then on it is canceled and placed anew.
pub const MAX_AMENDS: u32 = 10;
impl Engine {
    /// Changes an order: `PATCH /orders/{id}`. The answer shows the order as it stands then; a new order that takes over
    /// is named by it later.
    ///
    /// # Errors
    /// As [`Engine::order_of`]; `not_replaceable`, `already_filled`, `already_ended`; what [`Engine::submit`] refuses
    /// before the checks; `order_rejected` for checks that look at the order alone. The rest of the ladder decides the new
    /// order when it is placed.
    #[allow(clippy::too_many_arguments, reason = "the parts of the request")]
    pub fn replace(
        &mut self,
        caller: Caller,
        idempotency_key: Option<&str>,
        id: OrderId,
        body: &[u8],
        now: Nanos,
        durable_seq: Seq,
    ) -> Decided<Submitted> {
        self.check_poison()?;
        let now = now.max(self.state.last_ts());
        match self.judge_replace(caller, idempotency_key, id, body, now, durable_seq) {
            Err(refusal) => Ok(Err(refusal)),
            Ok(Judged::Repeat(seq)) => Ok(Ok(Submitted::Repeat { seq })),
            Ok(Judged::Asked(asked)) => {
                let record = Record::ReplaceAsked(*asked);
                let seq = self.commit_kept(&record, now)?;
                self.pursue_replaced(id, now)?;
                let (status, body) = answer_of(record);
                Ok(Ok(Submitted::Stored { seq, status, body }))
            }
        }
    }

    fn judge_replace(
        &mut self,
        caller: Caller,
        idempotency_key: Option<&str>,
        id: OrderId,
        body: &[u8],
        now: Nanos,
        durable_seq: Seq,
    ) -> Result<Judged, Refusal> {
        let asked = request::decode_new_terms(body)?;
        let key = request::check_idempotency_key(idempotency_key)?;
        let unknown = || Refusal::new(refusal::UNAUTHORIZED, "The account is not known.");
        let account = self.state.account(caller.account).ok_or_else(unknown)?;
        let fingerprint = request::replace_fingerprint(id, &asked);
        if let Some(seq) = self.known_request(account, key, fingerprint, now, durable_seq)? {
            return Ok(Judged::Repeat(seq));
        }
        let order = self.order_of(caller, id)?;
        let terms = self.new_terms(caller, account, order, &asked, now)?;
        let change = Change::ReplaceRequested(&terms);
        let mut after = order.clone();
        // Out of range is nothing that new terms can be: no trade is booked.
        let _ = facts::turn(&mut after, &change, lifecycle::resolve(order, &change).effect, now);
        after.updated_at = now;
        let more = after.hold_due().checked_sub(order.held).unwrap_or(Amount::ZERO);
        let free = self
            .state
            .free(account, order.terms.mode, order.terms.instrument, order.terms.side);
        if more > Amount::ZERO && more > free {
            let code = Check::Balance.code();
            let message = format!("needs {more} more, and {free} is free ({code})");
            return Err(Refusal::field(refusal::ORDER_REJECTED, "quantity", message));
        }
        if terms.anew.is_some() {
            let order_terms = order.terms.clone();
            self.take_cancel_rates(&order_terms, now)?;
        }
        let mut answer = String::with_capacity(512);
        render::order_json(&mut answer, &self.state.view(&after));
        Ok(Judged::Asked(Box::new(ReplaceAsked {
            terms,
            request: RequestKey {
                key: key.into(),
                fingerprint: fingerprint.0,
                fingerprint2: fingerprint.1,
            },
            answer_status: 202,
            answer,
        })))
    }

    /// What is asked comes to, for this order as it stands.
    fn new_terms(
        &self,
        caller: Caller,
        account: &Account,
        order: &Order,
        asked: &NewTerms,
        now: Nanos,
    ) -> Result<ReplaceTerms, Refusal> {
        check_replaceable(order)?;
        check_members(order, asked)?;
        let terms = &order.terms;
        let (qty, price) = (asked.qty.unwrap_or(terms.qty), asked.price.or(terms.price));
        let stop_price = asked.stop_price.or(terms.stop_price());
        if (qty, price, stop_price) == (terms.qty, terms.price, terms.stop_price()) {
            return Err(Refusal::field(
                refusal::INVALID_FIELD,
                "quantity",
                "is what it was: nothing would change",
            ));
        }
        let rest = Qty::try_from(Amount(i128::from(qty.0).saturating_sub(order.cum_qty.0)));
        let rest = rest.ok().filter(|rest| rest.0 > 0).ok_or_else(|| {
            let message = format!("must be above the {} that has traded", order.cum_qty);
            Refusal::field(refusal::INVALID_QUANTITY, "quantity", message)
        })?;
        let smaller = qty < terms.qty && price == terms.price && stop_price == terms.stop_price();
        if smaller && order.amends() < MAX_AMENDS {
            // It can only take from what may happen: no state of trading forbids that.
            let mut in_place = new_order(&self.state, order, qty, price, stop_price);
            (in_place.client_order_id, in_place.expire_at) = (None, None);
            self.check_instrument(account, &in_place, now)?;
            return Ok(ReplaceTerms {
                order: order.id,
                qty,
                price,
                hold: order.full_hold(qty, price),
                anew: None,
            });
        }
        let mut renewed = new_order(&self.state, order, rest, price, stop_price);
        // The old order has it still.
        renewed.client_order_id = None;
        let instrument = self.check_before_risk(caller, account, &renewed, now)?;
        let checked = self.weigh(caller, account, instrument, &renewed, now, |inputs, _| {
            risk::check(&renewed, inputs)
        });
        // Sums count the old order as well, which is not there any more by then: they decide when it is placed.
        let failed = checked.err().unwrap_or_default().into_iter();
        let own: Vec<FieldError> = failed
            .filter(|failed| is_of_order_alone(&failed.code))
            .map(|failed| FieldError {
                field: failed.code,
                message: format!("{} is not within {}", failed.value, failed.limit),
            })
            .collect();
        if !own.is_empty() {
            return Err(Refusal::fields(refusal::ORDER_REJECTED, own));
        }
        let ask = self.mark(terms.mode, terms.instrument).map(|mark| mark.ask);
        let hold = match (terms.side, price, stop_price.max(ask)) {
            (Side::Buy, None, Some(worst)) => risk::with_slippage(worst.times(qty)),
            _ => order.full_hold(qty, price),
        };
        let key = caller.key;
        Ok(ReplaceTerms {
            order: order.id,
            qty,
            price,
            hold,
            anew: Some(Anew { stop_price, key }),
        })
    }
}

/// What became of a request for new terms.
enum Judged {
    Repeat(Seq),
    Asked(Box<ReplaceAsked>),
}

/// The order again, with other terms.
pub(crate) fn new_order(
    state: &State,
    order: &Order,
    qty: Qty,
    price: Option<Price>,
    stop_price: Option<Price>,
) -> NewOrder {
    let terms = &order.terms;
    NewOrder {
        mode: terms.mode,
        symbol: state
            .instrument(terms.instrument)
            .map_or_else(String::new, |instrument| instrument.symbol.clone()),
        side: terms.side,
        ord_type: terms.ord_type,
        time_in_force: terms.time_in_force,
        qty,
        price,
        stop_price,
        quote_qty: None,
        expire_at: terms.expire_at(),
        client_order_id: terms.client_order_id.clone(),
        strategy_id: terms.strategy_id.clone(),
        valid_for_ms: terms.valid_for_ms,
        override_id: None,
    }
}

fn check_replaceable(order: &Order) -> Result<(), Refusal> {
    let status = order.status();
    match status {
        OrdStatus::Filled => return Err(Refusal::new(refusal::ALREADY_FILLED, "The order is filled.")),
        OrdStatus::Canceled | OrdStatus::Expired | OrdStatus::Rejected => {
            let detail = format!("The order is {status}.");
            return Err(Refusal::new(refusal::ALREADY_ENDED, detail));
        }
        _ => {}
    }
    if lifecycle::cell(Row::of(order), Event::ReplaceRequested).effect == Effect::Illegal {
        let detail = format!("The order is {status}: try again once the exchange has answered.");
        return Err(Refusal::new(refusal::NOT_REPLACEABLE, detail));
    }
    if order.flattens() || !order.terms.time_in_force.rests() {
        let detail = "Only an order that may rest can be changed.";
        return Err(Refusal::new(refusal::NOT_REPLACEABLE, detail));
    }
    Ok(())
}

fn check_members(order: &Order, asked: &NewTerms) -> Result<(), Refusal> {
    let ord_type = order.terms.ord_type;
    let members = [
        ("price", asked.price, ord_type.has_price()),
        ("stopPrice", asked.stop_price, ord_type.has_stop()),
    ];
    let wrong = members.into_iter().filter(|(_, given, has)| given.is_some() && !has);
    let errors: Vec<FieldError> = wrong
        .map(|(field, ..)| FieldError {
            field: field.to_owned(),
            message: format!("must not be given for a {ord_type} order"),
        })
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Refusal::fields(refusal::INVALID_FIELD, errors))
}

/// Whether a check looks at one order by itself: what it says does not hang on others being open.
fn is_of_order_alone(code: &str) -> bool {
    let kinds = [
        LimitKind::MaxOrderQty,
        LimitKind::MaxOrderNotional,
        LimitKind::CollarUp,
        LimitKind::CollarDown,
        LimitKind::CollarFar,
        LimitKind::MaxDepthShare,
        LimitKind::MaxVolumeShare,
    ];
    let own = [
        Check::PercentPrice,
        Check::MaxAssetBase,
        Check::MaxAssetQuote,
        Check::Reference,
        Check::NumericRange,
    ];
    kinds.iter().any(|kind| kind.as_str() == code) || own.iter().any(|check| check.code() == code)
}
