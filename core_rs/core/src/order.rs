//! One order: what was asked, and the facts since. Status is computed from the facts, never assigned.

use crate::digest::Mix;
use crate::number::{Amount, Money, Price, Qty};
use crate::record::{Fill, ReplaceTerms, Terms};
use crate::risk::Hold;
use crate::sums::StrategyIndex;
use crate::terms::{Nanos, OrdStatus, OrderId, RejectedBy, Seq, Side};
use crate::trades::Trades;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub use crate::ends::{End, Pending, Submit};
pub use crate::renewals::Changes;
pub use crate::trades::Sighting;

/// How long an order may wait to be sent when it does not say so itself.
pub const DEFAULT_VALID_FOR_MS: u32 = 2_000;

/// An order. Built only with the [`Hold`] of a passed risk check, or as a denied one that holds nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Sequence of the record that accepted or denied it.
    pub id: OrderId,
    /// What was asked; a replace changes quantity and price.
    pub terms: Terms,
    pub(crate) request: Arc<str>,
    /// When it was decided.
    pub received_at: Nanos,
    /// When and for whom SUBMIT_STARTED was journaled.
    pub submit: Option<Submit>,
    /// When the venue's first sign of life was journaled.
    pub acked_at: Option<Nanos>,
    /// When it last changed.
    pub updated_at: Nanos,
    /// The last record that changed it.
    pub last_seq: Seq,
    /// Quantity traded.
    pub cum_qty: Amount,
    /// Quote that changed hands, as the venue booked it.
    pub cum_quote: Amount,
    /// Σ price × quantity, exact.
    pub cum_money: Money,
    /// What remains reserved now.
    pub held: Amount,
    /// What the risk check reserved at entry.
    pub(crate) hold: Amount,
    /// How it ended, if it did.
    pub end: Option<End>,
    /// Stable code of why; empty when there is none.
    pub reason: Box<str>,
    /// The venue's id.
    pub venue_order_id: Option<Box<str>>,
    /// The venue showed or proved that it has the order.
    pub acked: bool,
    /// Some report has answered SUBMIT_STARTED.
    pub answered: bool,
    /// Whether the venue has the order is not known.
    pub in_doubt: bool,
    /// A cancel is under way.
    pub cancel_pending: bool,
    /// The outcome of that cancel is not known.
    pub cancel_in_doubt: bool,
    /// The client wants it canceled as soon as the doubt ends.
    pub cancel_wanted: bool,
    /// A fill came after the order had ended.
    pub late_fill: bool,
    /// New terms whose answer is still out.
    pub(crate) replace: Option<Box<ReplaceTerms>>,
    pub(crate) trades: Trades,
    /// Reference price of the decision: what a MARKET SELL counts at.
    #[serde(default)]
    pub(crate) reference: Option<Price>,
    /// Placed by somebody else: what had traded of it before it was seen, of which no fill is known.
    #[serde(default)]
    pub external: Option<Amount>,
    /// Since when it has been in doubt.
    #[serde(default)]
    pub doubt_since: Option<Nanos>,
    /// What replaces made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) changes: Option<Box<Changes>>,
    /// Index of its strategy among the sums.
    #[serde(skip)]
    pub(crate) strategy: Option<StrategyIndex>,
    /// What the order contributes to the state's hash now.
    #[serde(skip)]
    pub(crate) mark: u128,
}

impl Order {
    /// An order that passed every check.
    #[must_use]
    pub fn accepted(id: OrderId, at: Nanos, terms: Terms, request: Arc<str>, hold: &Hold) -> Self {
        let amount = hold.amount();
        Self {
            hold: amount,
            held: amount,
            ..Self::blank(id, at, terms, request)
        }
    }

    /// An order that a risk check refused: REJECTED by GATEWAY from the start, with nothing held.
    #[must_use]
    pub fn denied(id: OrderId, at: Nanos, terms: Terms, request: Arc<str>, reason: &str) -> Self {
        let end = Some(End::Rejected(RejectedBy::Gateway));
        Self {
            end,
            reason: reason.into(),
            ..Self::blank(id, at, terms, request)
        }
    }

    pub(crate) fn blank(id: OrderId, at: Nanos, terms: Terms, request: Arc<str>) -> Self {
        Self {
            id,
            terms,
            request,
            received_at: at,
            submit: None,
            acked_at: None,
            updated_at: at,
            last_seq: id,
            cum_qty: Amount::ZERO,
            cum_quote: Amount::ZERO,
            cum_money: Money::ZERO,
            held: Amount::ZERO,
            hold: Amount::ZERO,
            end: None,
            reason: "".into(),
            venue_order_id: None,
            acked: false,
            answered: false,
            in_doubt: false,
            cancel_pending: false,
            cancel_in_doubt: false,
            cancel_wanted: false,
            late_fill: false,
            replace: None,
            trades: Trades::default(),
            reference: None,
            external: None,
            doubt_since: None,
            changes: None,
            strategy: None,
            mark: 0,
        }
    }

    /// Status by precedence: a refusal of our own stands; then what traded in full; then how it ended; then what is
    /// not known; then what is under way; then how far it got.
    #[must_use]
    pub fn status(&self) -> OrdStatus {
        if self.end == Some(End::Rejected(RejectedBy::Gateway)) {
            return OrdStatus::Rejected;
        }
        if self.is_complete() {
            return OrdStatus::Filled;
        }
        match self.end {
            Some(End::Done) => return OrdStatus::Filled,
            Some(End::Canceled) => return OrdStatus::Canceled,
            Some(End::Rejected(_)) => return OrdStatus::Rejected,
            Some(End::Expired) => return OrdStatus::Expired,
            None => {}
        }
        if self.in_doubt {
            return OrdStatus::InDoubt;
        }
        match self.pending() {
            Pending::Cancel => return OrdStatus::PendingCancel,
            Pending::Replace => return OrdStatus::PendingReplace,
            Pending::None => {}
        }
        match (self.cum_qty.is_zero(), self.acked, self.submit) {
            (false, ..) => OrdStatus::PartiallyFilled,
            (true, true, _) => OrdStatus::New,
            (true, false, Some(_)) => OrdStatus::Submitted,
            (true, false, None) => OrdStatus::PendingNew,
        }
    }

    /// What is under way.
    #[must_use]
    pub const fn pending(&self) -> Pending {
        match (self.cancel_pending, &self.replace) {
            (_, Some(new)) if new.anew.is_some() => Pending::Replace,
            (true, _) => Pending::Cancel,
            (false, Some(_)) => Pending::Replace,
            (false, None) => Pending::None,
        }
    }

    /// True once everything that was asked for has traded. How much of base an amount of quote buys only the venue can
    /// tell, unless all of it is spent.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match self.terms.quote_qty() {
            None => self.cum_qty >= self.terms.qty.into(),
            Some(quote) => self.cum_quote >= quote,
        }
    }

    /// The price that what is left counts at: its own, or what it was taken to meet.
    pub(crate) fn counted_price(&self) -> Option<Price> {
        self.terms.price.or(self.reference)
    }

    /// True until it is filled, canceled, rejected or expired.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.end.is_none() && !self.is_complete()
    }

    /// True while it is open and no session has been told to send it.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.is_open() && self.submit.is_none() && !self.acked && !self.in_doubt
    }

    /// True while a send was started and no report has answered it.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        self.is_open() && self.submit.is_some() && !self.answered
    }

    /// Who refused it, if it was refused.
    #[must_use]
    pub const fn rejected_by(&self) -> Option<RejectedBy> {
        match self.end {
            Some(End::Rejected(by)) => Some(by),
            _ => None,
        }
    }

    /// The request's `Idempotency-Key`.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        &self.request
    }

    /// Quantity that may still trade by the order's terms; never negative.
    #[must_use]
    pub fn leaves(&self) -> Amount {
        remaining(self.terms.qty, self.cum_qty)
    }

    /// Quantity traded beyond what was ordered.
    #[must_use]
    pub fn overfill(&self) -> Amount {
        if self.terms.quote_qty().is_some() {
            return Amount::ZERO;
        }
        Amount((self.cum_qty.0 - i128::from(self.terms.qty.0)).max(0))
    }

    /// Average price of the fills.
    #[must_use]
    pub fn average_price(&self) -> Option<Amount> {
        let seen = self.cum_qty.checked_sub(self.external.unwrap_or_default())?;
        self.cum_money.average(seen)
    }

    /// When an unsent order has waited long enough.
    #[must_use]
    pub fn send_deadline(&self) -> Nanos {
        let wait = i64::from(self.terms.valid_for_ms.unwrap_or(DEFAULT_VALID_FOR_MS)) * 1_000_000;
        self.received_at.saturating_add(wait)
    }

    /// Number of distinct trades counted.
    #[must_use]
    pub fn fill_count(&self) -> usize {
        self.trades.len()
    }

    /// Whether this trade is known.
    #[must_use]
    pub fn sighting(&self, fill: &Fill) -> Sighting {
        self.trades.sighting(fill)
    }

    /// What must be reserved now, from terms and facts alone, so that the order of events does not matter: what the
    /// rest may cost at worst. While a replace is under way, the dearer of old and new terms.
    pub(crate) fn hold_due(&self) -> Amount {
        if !self.is_open() {
            return Amount::ZERO;
        }
        let now = self.hold_for(self.terms.qty, self.terms.price, self.hold);
        match &self.replace {
            Some(new) => now.max(self.hold_for(new.qty, new.price, new.hold)),
            None => now,
        }
    }

    /// What these terms would hold before any trade.
    pub(crate) fn full_hold(&self, qty: Qty, price: Option<Price>) -> Amount {
        match (self.terms.side, price) {
            (Side::Sell, _) => qty.into(),
            (Side::Buy, Some(price)) => price.times(qty).to_amount_ceil(),
            (Side::Buy, None) => self.hold,
        }
    }

    fn hold_for(&self, qty: Qty, price: Option<Price>, whole: Amount) -> Amount {
        let leaves = remaining(qty, self.cum_qty);
        if self.terms.side == Side::Sell {
            return leaves;
        }
        match price {
            // Leaves never exceed an order's quantity, which fits 64 bits; the product of two such always fits.
            Some(price) => Money(i128::from(price.0) * leaves.0).to_amount_ceil(),
            None if leaves.is_zero() && self.terms.quote_qty().is_none() => Amount::ZERO,
            // A BUY at the market has no price of its own: what was reserved, less what was paid.
            _ => Amount((whole.0.saturating_sub(self.cum_quote.0)).max(0)),
        }
    }

    /// Hash of the client order id, for the index of working ones.
    pub(crate) fn client_id_hash(&self) -> Option<u64> {
        self.terms.client_order_id.as_deref().map(client_id_hash)
    }
}

/// Hash of a client order id: what is found by it is verified against the order's own text.
pub(crate) fn client_id_hash(client_order_id: &str) -> u64 {
    Mix::new(8).text(client_order_id).finish64()
}

/// Ordered − traded, never below zero.
pub(crate) fn remaining(qty: Qty, traded: Amount) -> Amount {
    Amount((i128::from(qty.0).saturating_sub(traded.0)).clamp(0, i128::from(i64::MAX)))
}
