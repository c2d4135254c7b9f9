//! What the effects of the life cycle do to an order's facts.
//!
//! The hold, the indexes and the balances follow from the facts: [`crate::state`] keeps them.

use crate::lifecycle::{Change, Effect};
use crate::number::{Amount, Money};
use crate::order::{End, Order, Submit};
use crate::record::Fill;
use crate::terms::{Nanos, RejectedBy};

/// Reason of an order that could not be sent in time or whose venue proved that it sent nothing.
pub const NOT_SENT: &str = "NOT_SENT";
/// Reason of an order that was killed before it was sent.
pub const KILLED: &str = "KILLED";
/// Reason of an order that the venue proved not to have.
pub const NOT_AT_VENUE: &str = "NOT_AT_VENUE";
/// Reason of an order that was never sent and is absent, as it should be.
pub const NEVER_SENT: &str = "NEVER_SENT";
/// Reason of an order that its client canceled.
pub const CLIENT_CANCEL: &str = "CLIENT_CANCEL";
/// Reason of an order whose own time had come.
pub const GTD: &str = "GTD";
/// Reason of an order that another one takes over from.
pub const REPLACED: &str = "REPLACED";

/// Sums after a trade; `None` when out of range.
#[must_use]
pub fn sums_after(order: &Order, fill: &Fill) -> Option<(Amount, Amount, Money)> {
    Some((
        order.cum_qty.checked_add(fill.qty.into())?,
        order.cum_quote.checked_add(fill.quote_qty)?,
        order.cum_money.checked_add(fill.price.times(fill.qty))?,
    ))
}

/// Applies a resolved cell to the facts. `None` when a sum is out of range: nothing changed then.
#[must_use]
pub(crate) fn turn(order: &mut Order, change: &Change<'_>, effect: Effect, at: Nanos) -> Option<()> {
    if effect == Effect::Book {
        let Change::Fill(fill) = change else { return None };
        book(order, fill, at)?;
    }
    if change.is_report() && order.submit.is_some() {
        order.answered = true;
    }
    if order.venue_order_id.is_none() {
        order.venue_order_id = change.venue_order_id().map(Into::into);
    }
    match effect {
        Effect::Start => {
            if let Change::SubmitStarted(session) = change {
                order.submit = Some(Submit { session: *session, at });
            }
        }
        Effect::Ack => {
            know(order, at);
            order.in_doubt = false;
            reopen(order);
        }
        Effect::Adopt => {
            know(order, at);
            if matches!(change, Change::FoundAtVenue(found) if found.working) {
                order.in_doubt = false;
            }
        }
        Effect::Reopen => {
            know(order, at);
            reopen(order);
        }
        Effect::Doubt => {
            order.in_doubt = true;
            order.cancel_wanted |= order.cancel_pending;
            order.cancel_pending = false;
            order.cancel_in_doubt = false;
        }
        Effect::AskCancel => {
            order.cancel_pending = true;
            order.cancel_wanted = false;
            order.reason = change.reason().into();
            // Who wants it gone wants no other in its place.
            order.replace.take_if(|new| new.anew.is_some());
        }
        Effect::WantCancel => {
            order.cancel_wanted = true;
            order.reason = change.reason().into();
        }
        Effect::CancelDoubt => {
            order.cancel_pending = true;
            order.cancel_in_doubt = true;
        }
        Effect::CancelLost => {
            order.cancel_pending = false;
            order.cancel_in_doubt = false;
            order.reason = "".into();
            order.replace.take_if(|new| new.anew.is_some());
        }
        Effect::AskReplace | Effect::Replace => renew(order, change, effect),
        Effect::AskRenewal => {
            renew(order, change, Effect::AskReplace);
            (order.cancel_pending, order.cancel_wanted) = (true, false);
            order.reason = REPLACED.into();
        }
        Effect::Withdraw => {
            finish(order, End::Canceled, REPLACED);
            renew(order, change, Effect::AskReplace);
        }
        Effect::ReplaceLost => order.replace = None,
        Effect::Reject => finish(order, End::Rejected(RejectedBy::Venue), change.reason()),
        Effect::NotSent => {
            // Once in doubt, later evidence may still re-open it: only what was never handed over is final.
            let by = if order.in_doubt {
                RejectedBy::Venue
            } else {
                RejectedBy::Gateway
            };
            finish(order, End::Rejected(by), NOT_SENT);
        }
        Effect::Cancel => {
            let reason = cancel_reason(order, change);
            let renewal = order.replace.take_if(|new| new.anew.is_some());
            finish(
                order,
                if &*reason == GTD { End::Expired } else { End::Canceled },
                &reason,
            );
            order.replace = renewal.filter(|_| !order.is_complete());
        }
        Effect::Done => finish(order, End::Done, ""),
        Effect::Expire => finish(order, End::Expired, change.reason()),
        Effect::Absent => finish(order, End::Rejected(RejectedBy::Venue), NOT_AT_VENUE),
        Effect::NeverSent => finish(order, End::Canceled, NEVER_SENT),
        Effect::Illegal
        | Effect::Same
        | Effect::Book
        | Effect::RejectUnlessAcked
        | Effect::DoubtUnlessAcked
        | Effect::DoneIfByQuote
        | Effect::NotSentUnlessAcked
        | Effect::AbsentUnlessAcked => {}
    }
    order.doubt_since = order.in_doubt.then(|| order.doubt_since.unwrap_or(at));
    Some(())
}

/// The venue has the order.
fn know(order: &mut Order, at: Nanos) {
    order.acked = true;
    order.acked_at.get_or_insert(at);
}

/// It had not ended after all.
fn reopen(order: &mut Order) {
    if order.end.take().is_some() {
        order.reason = "".into();
        order.replace = None;
    }
}

fn finish(order: &mut Order, end: End, reason: &str) {
    order.end = Some(end);
    order.reason = reason.into();
    settle(order);
}

/// Nothing is under way any more.
fn settle(order: &mut Order) {
    order.in_doubt = false;
    order.cancel_pending = false;
    order.cancel_in_doubt = false;
    order.cancel_wanted = false;
    order.replace = None;
}

fn renew(order: &mut Order, change: &Change<'_>, effect: Effect) {
    let (Change::ReplaceRequested(new) | Change::Replaced(new)) = change else {
        return;
    };
    if effect == Effect::AskReplace {
        order.replace = Some(Box::new((*new).clone()));
        return;
    }
    order.terms.qty = new.qty;
    order.terms.price = new.price.or(order.terms.price);
    order.hold = new.hold;
    order.replace = None;
    if order.acked {
        order.changes_mut().amends += 1;
    }
    if order.is_complete() {
        settle(order);
    }
}

/// A trade counts whatever the status: it proves that the venue has the order, and that it was not refused.
fn book(order: &mut Order, fill: &Fill, at: Nanos) -> Option<()> {
    let (qty, quote, money) = sums_after(order, fill)?;
    (order.cum_qty, order.cum_quote, order.cum_money) = (qty, quote, money);
    order.trades.remember(fill, at);
    know(order, at);
    order.in_doubt = false;
    order.late_fill |= order.end.is_some();
    if order.end == Some(End::Rejected(RejectedBy::Venue)) {
        reopen(order);
    }
    if order.is_complete() {
        if order.end.is_none() {
            // What was asked for meanwhile came too late.
            order.reason = "".into();
        }
        settle(order);
    }
    Some(())
}

/// A venue that only confirms has no reason of its own: ours is why the cancel was asked for. What follows from ours
/// (a new order, EXPIRED) does not hang on the venue's words.
fn cancel_reason(order: &Order, change: &Change<'_>) -> Box<str> {
    let asked = order.cancel_pending || order.cancel_wanted;
    match change.reason() {
        "" if asked => order.reason.clone(),
        _ if asked && [GTD, REPLACED].contains(&&*order.reason) => order.reason.clone(),
        told => told.into(),
    }
}
