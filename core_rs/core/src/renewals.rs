//! From an order that was replaced to the one that takes over, and what late news of the first do to the second.

use crate::account::index;
use crate::admission::Asked;
use crate::engine::{Caller, Engine};
use crate::facts::{GTD, REPLACED};
use crate::lifecycle::Change;
use crate::number::{Amount, Qty};
use crate::order::{End, Order};
use crate::record::{OrderEvent, Record, ReplaceAsked, ReplaceTerms, RequestKey, Terms};
use crate::refusal::{self, Refusal};
use crate::replacing::new_order;
use crate::state::{Applied, Broken, State};
use crate::terms::{Mode, Nanos, OrderId};
use serde::{Deserialize, Serialize};

/// Reason of an order that took over from one of which more had traded than was known.
pub const OVER_TARGET: &str = "OVER_TARGET";
/// How long after a cancel an order that must not work, and still does, is canceled again.
const AGAIN_NS: Nanos = 1_000_000_000;
/// How long a new order waits for what will pass by itself.
const PATIENCE_NS: Nanos = 2_000_000_000;
/// Refusals that pass by themselves.
const PASSING: [&str; 4] = [
    refusal::KILL_SWITCH_STALE,
    refusal::VENUE_UNAVAILABLE,
    refusal::JOURNAL_FULL,
    refusal::OVERLOADED,
];

/// What replaces made of an order. Few have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changes {
    /// How often it was changed in place at the venue.
    pub amends: u32,
    /// The order that took over what was left.
    pub replaced_by: Option<OrderId>,
    /// Quantity that this order and the one that took over may trade together.
    pub target: Qty,
}

impl Order {
    /// New terms for which a new order is to be placed once this one has ended.
    #[must_use]
    pub fn renewal(&self) -> Option<&ReplaceTerms> {
        self.replace.as_deref().filter(|new| new.anew.is_some())
    }

    /// The new quantity of a change in place whose answer is still out.
    #[must_use]
    pub fn amending(&self) -> Option<Qty> {
        let asked = self.replace.as_deref().filter(|new| new.anew.is_none())?;
        self.is_open().then_some(asked.qty)
    }

    /// True when the old order has ended and the new one is still to be placed.
    #[must_use]
    pub fn awaits_renewal(&self) -> bool {
        self.end == Some(End::Canceled) && self.renewal().is_some()
    }

    /// The order that took over what was left of this one.
    #[must_use]
    pub fn replaced_by(&self) -> Option<OrderId> {
        self.changes.as_ref()?.replaced_by
    }

    /// How often it was changed in place at the venue.
    #[must_use]
    pub fn amends(&self) -> u32 {
        self.changes.as_ref().map_or(0, |changes| changes.amends)
    }

    /// What replaces made of it, if anything.
    #[must_use]
    pub fn changes(&self) -> Option<&Changes> {
        self.changes.as_deref()
    }

    pub(crate) fn changes_mut(&mut self) -> &mut Changes {
        self.changes.get_or_insert_default()
    }
}

impl State {
    /// REPLACE_ASKED: its answer is stored, and the old order turns.
    pub(crate) fn replace_asked(&mut self, body: &ReplaceAsked) -> Result<Applied, Broken> {
        let id = body.terms.order;
        let Some(account) = self.order(id).map(|order| order.terms.account) else {
            return Broken::at(self.last_seq, format_args!("unknown order {id}"));
        };
        self.store_request(account, &body.request)?;
        self.turn(id, &Change::ReplaceRequested(&body.terms))
    }

    /// REPLACE_DROPPED: no new order comes.
    pub(crate) fn replace_dropped(&mut self, body: &OrderEvent) -> Result<Applied, Broken> {
        let (moved, ()) = self.change(body.order, |order| {
            order.replace.take_if(|asked| asked.anew.is_some());
        })?;
        self.follow(&moved)?;
        Ok(Applied {
            order: Some(body.order),
            alarm: None,
        })
    }

    /// The last record is the order that takes over from the one that its terms name.
    pub(crate) fn take_over(&mut self, terms: &Terms) -> Result<(), Broken> {
        let Some(old) = terms.replaces() else {
            return Ok(());
        };
        let new = self.last_seq;
        let (moved, ()) = self.change(old, |order| {
            let asked = order.replace.take();
            let target = asked.map_or(order.terms.qty, |asked| asked.qty);
            let changes = order.changes_mut();
            (changes.replaced_by, changes.target) = (Some(new), target);
        })?;
        self.follow(&moved)
    }
}

impl Engine {
    /// What follows from news of an order that is replaced, or was.
    pub(crate) fn pursue_replaced(&mut self, id: OrderId, now: Nanos) -> Result<(), Broken> {
        let Some(order) = self.state.order(id) else {
            return Ok(());
        };
        if order.awaits_renewal() {
            return self.place_renewal(id, now);
        }
        if order.is_open() {
            self.hold_to_targets(id, now)?;
        } else {
            // Should it work again after all, the next cancel need not wait.
            self.unwanted.remove(&id);
        }
        let Some(order) = self.state.order(id) else {
            return Ok(());
        };
        let Some(changes) = order.changes.as_deref().copied() else {
            return Ok(());
        };
        let (Some(new), traded) = (changes.replaced_by, order.cum_qty) else {
            return Ok(());
        };
        // Open, it was not gone after all, and another has its place.
        self.end_unwanted(id, REPLACED, now)?;
        let allowed = Amount(i128::from(changes.target.0).saturating_sub(traded.0).max(0));
        self.hold_to_target(new, allowed, now)
    }

    /// One that took over, and works again although it had ended, keeps to what those before it left of their targets.
    fn hold_to_targets(&mut self, id: OrderId, now: Nanos) -> Result<(), Broken> {
        let mut next = id;
        while let Some(old) = self.state.order(next).and_then(|order| order.terms.replaces()) {
            let before = self.state.order(old);
            if let Some((order, changes)) = before.and_then(|order| Some((order, order.changes.as_deref()?))) {
                let allowed = Amount(i128::from(changes.target.0).saturating_sub(order.cum_qty.0).max(0));
                self.hold_to_target(next, allowed, now)?;
            }
            next = old;
        }
        Ok(())
    }

    /// An order that took over may trade no more than this: a late trade of the old one takes from it. Unsent it is made
    /// smaller, else canceled; what took over from it in its turn is canceled, too.
    fn hold_to_target(&mut self, new: OrderId, allowed: Amount, now: Nanos) -> Result<(), Broken> {
        let Some(order) = self
            .state
            .order(new)
            .filter(|order| Amount::from(order.terms.qty) > allowed)
        else {
            return Ok(());
        };
        let minimum = self
            .state
            .instrument(order.terms.instrument)
            .map_or(Qty(1), |listed| listed.min_qty);
        if let Some(qty) = Qty::try_from(allowed).ok().filter(|qty| qty.0 > 0 && *qty >= minimum)
            && order.is_unsent()
        {
            let (price, hold) = (order.terms.price, order.full_hold(qty, order.terms.price));
            let order = new;
            let smaller = ReplaceTerms {
                order,
                qty,
                price,
                hold,
                anew: None,
            };
            return self.commit(Record::ReplaceRequested(smaller), now).map(drop);
        }
        let mut last = order;
        while let Some(next) = last.replaced_by().and_then(|next| self.state.order(next)) {
            last = next;
        }
        let last_id = last.id;
        if last.awaits_renewal() {
            return self.drop_renewal(last_id, OVER_TARGET, "more had traded than was known", now);
        }
        self.end_unwanted(last_id, OVER_TARGET, now)
    }

    /// Cancels an order that must not work; again only after a while, when the venue could not.
    fn end_unwanted(&mut self, id: OrderId, reason: &str, now: Nanos) -> Result<(), Broken> {
        let works = |order: &Order| order.is_open() && !order.cancel_pending && !order.cancel_wanted;
        let lately = self.unwanted.get(&id).is_some_and(|again_at| now < *again_at);
        if lately || !self.state.order(id).is_some_and(works) {
            return Ok(());
        }
        self.unwanted.insert(id, now.saturating_add(AGAIN_NS));
        self.request_cancel(id, reason, now).map(drop)
    }

    /// Looks again at orders that must not work and whose cancel was asked for a while ago.
    pub(crate) fn look_again(&mut self, now: Nanos) -> Result<(), Broken> {
        let due = self.unwanted.iter().filter(|(_, again_at)| now >= **again_at);
        let due: Vec<OrderId> = due.map(|(id, _)| *id).collect();
        for id in due {
            self.unwanted.remove(&id);
            if !self.state.order(id).is_some_and(Order::is_open) {
                continue;
            }
            // Whichever of those before it has traded more than was known.
            let mut next = Some(id);
            while let Some(of) = next {
                self.pursue_replaced(of, now)?;
                next = self.state.order(of).and_then(|order| order.terms.replaces());
            }
            // Until it has ended: a cancel that is under way may still fail.
            self.unwanted.entry(id).or_insert(now.saturating_add(AGAIN_NS));
        }
        Ok(())
    }

    /// After a start: what was under way goes on.
    pub(crate) fn resume_replaces(&mut self, now: Nanos) -> Result<(), Broken> {
        let replaced: Vec<OrderId> = self
            .state
            .orders()
            .filter(|order| order.replaced_by().is_some())
            .map(|order| order.id)
            .collect();
        for order in replaced {
            self.pursue_replaced(order, now)?;
        }
        Ok(())
    }

    /// Places every new order that waits.
    pub(crate) fn place_renewals(&mut self, now: Nanos) -> Result<(), Broken> {
        for mode in Mode::ALL {
            let waiting: Vec<OrderId> = self.state.books[index(*mode)].renewals.iter().copied().collect();
            for order in waiting {
                self.place_renewal(order, now)?;
            }
        }
        Ok(())
    }

    fn place_renewal(&mut self, id: OrderId, now: Nanos) -> Result<(), Broken> {
        let Some((order, asked)) = self
            .state
            .order(id)
            .and_then(|order| Some((order, order.renewal()?.clone())))
        else {
            return Ok(());
        };
        let Some(anew) = asked.anew else { return Ok(()) };
        let rest = i128::from(asked.qty.0).saturating_sub(order.cum_qty.0);
        let Some(rest) = Qty::try_from(Amount(rest)).ok().filter(|rest| rest.0 > 0) else {
            return self.drop_renewal(id, "FILLED", "all of the new quantity has traded", now);
        };
        if order.terms.expire_at().is_some_and(|at| at <= now) {
            return self.drop_renewal(id, GTD, "its own time had come", now);
        }
        let caller = Caller {
            key: anew.key,
            account: order.terms.account,
        };
        let ended_at = order.updated_at;
        let new = new_order(&self.state, order, rest, asked.price, anew.stop_price);
        let Some(account) = self.state.account(caller.account) else {
            return Ok(());
        };
        let valid = self.state.key(anew.key).is_some_and(|key| key.is_valid(now));
        let checked = if valid {
            self.check_before_risk(caller, account, &new, now)
        } else {
            Err(Refusal::new(
                refusal::UNAUTHORIZED,
                "The key that asked is no longer valid.",
            ))
        };
        let instrument = match checked {
            Ok(instrument) => instrument,
            Err(refused) if PASSING.contains(&refused.code) && now < ended_at.saturating_add(PATIENCE_NS) => {
                return Ok(());
            }
            Err(refused) => return self.drop_renewal(id, &refused.code.to_uppercase(), &refused.detail, now),
        };
        // A client may have used the name: the next number is free some time.
        let mut tries = 0_u32;
        let key = loop {
            tries += 1;
            let key = format!("replace:{id}:{tries}");
            if self.state.request(caller.account, &key, now).is_none() {
                break key;
            }
        };
        let asked = Asked {
            order: new,
            request: RequestKey {
                key: key.into(),
                fingerprint: 0,
                fingerprint2: 0,
            },
            request_id: "replace",
            replaces: Some(id),
        };
        let (record, near) = self.decide(caller, account, instrument, asked, now);
        self.enter(&record, near, now)?;
        self.changed.push(id);
        Ok(())
    }

    fn drop_renewal(&mut self, order: OrderId, reason: &str, text: &str, now: Nanos) -> Result<(), Broken> {
        let body = OrderEvent {
            order,
            reason: reason.to_owned(),
            text: text.to_owned(),
            venue_order_id: None,
        };
        self.commit(Record::ReplaceDropped(body), now).map(drop)
    }
}
