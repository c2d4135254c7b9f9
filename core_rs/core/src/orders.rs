//! Folding what concerns one order: it enters, it changes, and everything that follows from its facts changes with it.

use crate::account::{Label, Place, index};
use crate::digest::Digest;
use crate::exposure::Open;
use crate::facts;
use crate::lifecycle::{self, Change, Effect, Event};
use crate::number::Amount;
use crate::order::Order;
use crate::record::{OrderAccepted, OrderDenied, OrderEvent, RequestKey, SubmitStarted, Terms};
use crate::requests::{Expiry, Request};
use crate::risk::Hold;
use crate::state::{Applied, Broken, State};
use crate::terms::{AccountId, Nanos, OrderId, Seq, Side};
use std::sync::Arc;

/// Most request keys that one record lets expire: idle days must not end in one long pause.
const EXPIRIES_A_RECORD: usize = 64;

impl State {
    pub(crate) fn accept(&mut self, body: &OrderAccepted) -> Result<Applied, Broken> {
        let hold = Hold::replayed(body.hold);
        self.counters.accepted += 1;
        self.use_override(body.decision.override_id)?;
        // A stop order without a limit counts at no less than its stop price.
        let reference = body.decision.reference_price.max(body.terms.stop_price());
        let applied = self.enter(&body.terms, &body.request, |id, at, terms, key| Order {
            reference,
            ..Order::accepted(id, at, terms, key, &hold)
        })?;
        self.take_over(&body.terms)?;
        Ok(applied)
    }

    pub(crate) fn deny(&mut self, body: &OrderDenied) -> Result<Applied, Broken> {
        let reason = body.decision.failed.first().map_or("RISK", |check| check.code.as_str());
        self.counters.denied += 1;
        let applied = self.enter(&body.terms, &body.request, |id, at, terms, key| {
            Order::denied(id, at, terms, key, reason)
        })?;
        self.take_over(&body.terms)?;
        Ok(applied)
    }

    fn enter(
        &mut self,
        terms: &Terms,
        request: &RequestKey,
        build: impl FnOnce(OrderId, Nanos, Terms, Arc<str>) -> Order,
    ) -> Result<Applied, Broken> {
        let (id, at) = (self.last_seq, self.last_ts);
        let known = (terms.account as usize) < self.accounts.len()
            && (terms.instrument as usize) < self.listed.len()
            && self.placed_by_known_key(terms.key);
        if !known {
            return Broken::at(id, "order of an unknown account, key or instrument");
        }
        let key = self.store_request(terms.account, request)?;
        self.accounts[terms.account as usize].orders.insert(id);
        let mut order = Box::new(build(id, at, terms.clone(), key));
        order.strategy = terms.strategy_id.as_deref().map(|name| self.sums.strategy(name));
        order.held = order.hold_due();
        order.mark = order.digest();
        self.digest.add(order.mark);
        let (label, now) = (Label::of(&order), Place::of(&order));
        self.hold(&label, order.held)?;
        self.sum(&label, None, Open::of(&order))?;
        self.place(&label, order.client_id_hash(), Place::default(), now);
        if now.open {
            self.count_today(&label, |day| &mut day.orders);
        } else {
            self.retention.note(id, id, at);
        }
        self.orders.insert(id, order);
        Ok(Applied {
            order: Some(id),
            alarm: None,
        })
    }

    /// The last record holds the answer of this request: its key is kept for a day.
    pub(crate) fn store_request(&mut self, owner: AccountId, request: &RequestKey) -> Result<Arc<str>, Broken> {
        let (seq, at) = (self.last_seq, self.last_ts);
        let key = Arc::clone(&request.key);
        let entry = Request {
            fingerprint: (request.fingerprint, request.fingerprint2),
            seq,
            at,
        };
        let account = &mut self.accounts[owner as usize];
        self.digest.add(entry.digest(owner, &key));
        if let Some(old) = account.requests.insert(Arc::clone(&key), entry) {
            self.digest.remove(old.digest(owner, &key));
            if old.is_kept(at) {
                return Broken::at(seq, "request key stored twice within a day");
            }
        }
        self.expiries.push_back(Expiry {
            seq,
            account: owner,
            at,
            key: Arc::clone(&key),
        });
        Ok(key)
    }

    /// True when the oldest request key has been kept long enough.
    pub(crate) fn request_key_is_due(&self, now: Nanos) -> bool {
        self.expiries.front().is_some_and(|oldest| oldest.is_due(now))
    }

    pub(crate) fn expire_requests(&mut self, now: Nanos) {
        for _ in 0..EXPIRIES_A_RECORD {
            if !self.request_key_is_due(now) {
                return;
            }
            let Some(Expiry { seq, account, key, .. }) = self.expiries.pop_front() else {
                return;
            };
            if let Some(old) = self.accounts[account as usize].requests.remove(&key, seq) {
                self.digest.remove(old.digest(account, &key));
            }
        }
    }

    pub(crate) fn start(&mut self, body: &SubmitStarted) -> Result<Applied, Broken> {
        let mode = self.orders.get(&body.order).map(|order| order.terms.mode);
        if mode.and_then(|mode| self.lane(mode)).map(|lane| lane.session) != Some(body.session) {
            return Broken::at(
                self.last_seq,
                format_args!("session {} may not send {}", body.session, body.order),
            );
        }
        self.turn(body.order, &Change::SubmitStarted(body.session))
    }

    pub(crate) fn illegal(&mut self, order: OrderId) -> Result<Applied, Broken> {
        self.counters.illegal += 1;
        let applied = Applied {
            order: (order != 0).then_some(order),
            alarm: Some("ILLEGAL_EVENT"),
        };
        if order != 0 {
            // Even a wrong report is a report: it answers SUBMIT_STARTED.
            let (moved, ()) = self.change(order, |order| order.answered |= order.submit.is_some())?;
            self.follow(&moved)?;
        }
        Ok(applied)
    }

    pub(crate) fn other(&mut self, event: Event, body: &OrderEvent) -> Result<Applied, Broken> {
        self.turn(body.order, &Change::Other(event, body))
    }

    /// Applies a change to an order by the table.
    pub(crate) fn turn(&mut self, id: OrderId, change: &Change<'_>) -> Result<Applied, Broken> {
        let Some(order) = self.orders.get_mut(&id) else {
            return Broken::at(self.last_seq, format_args!("unknown order {id}"));
        };
        let cell = lifecycle::resolve(order, change);
        if cell.effect == Effect::Illegal {
            return self.illegal(id);
        }
        let (seq, at) = (self.last_seq, self.last_ts);
        let withdrawn = order.is_unsent() && cell.effect == Effect::Cancel;
        let named = order.venue_order_id.is_none() && change.venue_order_id().is_some();
        let alter = |order: &mut Order| facts::turn(order, change, cell.effect, at);
        let (moved, done) = if let (Effect::Book, Change::Fill(fill)) = (cell.effect, change) {
            self.book_fill(id, fill)?;
            self.counters.fills += 1;
            self.change(id, alter)?
        } else {
            Moved::by(order, &mut self.digest, seq, at, alter)
        };
        self.follow(&moved)?;
        if done.is_none() {
            return Broken::at(seq, format_args!("a sum of order {id} is out of range"));
        }
        if named {
            self.index_venue_id(id);
        }
        let asked = [
            Effect::AskCancel,
            Effect::WantCancel,
            Effect::AskRenewal,
            Effect::Withdraw,
        ];
        if withdrawn || asked.contains(&cell.effect) {
            self.count_today(&moved.label, |day| &mut day.cancels);
        }
        self.counters.alarms += u64::from(cell.alarm);
        Ok(Applied {
            order: Some(id),
            alarm: cell.alarm.then(|| change.name()),
        })
    }

    /// Changes facts of an order by something else than an event of its life.
    pub(crate) fn touch(&mut self, id: OrderId, alter: impl FnOnce(&mut Order)) -> Result<Applied, Broken> {
        let (moved, ()) = self.change(id, alter)?;
        self.follow(&moved)?;
        Ok(Applied {
            order: Some(id),
            alarm: None,
        })
    }

    pub(crate) fn change<T>(&mut self, id: OrderId, alter: impl FnOnce(&mut Order) -> T) -> Result<(Moved, T), Broken> {
        match self.orders.get_mut(&id) {
            Some(order) => Ok(Moved::by(order, &mut self.digest, self.last_seq, self.last_ts, alter)),
            None => Broken::at(self.last_seq, format_args!("unknown order {id}")),
        }
    }

    /// What follows from an order's new facts: balance and indexes.
    pub(crate) fn follow(&mut self, moved: &Moved) -> Result<(), Broken> {
        let Some(delta) = moved.due.checked_sub(moved.held) else {
            return Broken::at(self.last_seq, "a hold is out of range");
        };
        self.hold(&moved.label, delta)?;
        self.sum(&moved.label, moved.was_open, moved.is_open)?;
        self.place(&moved.label, moved.client_id, moved.before, moved.now);
        if !moved.now.open {
            self.retention.note(moved.label.id, self.last_seq, self.last_ts);
        }
        Ok(())
    }

    /// Changes what an order holds of its account's balance.
    pub(crate) fn hold(&mut self, label: &Label, delta: Amount) -> Result<(), Broken> {
        if delta.is_zero() {
            return Ok(());
        }
        let listed = &self.listed[label.instrument as usize];
        let asset = if label.side == Side::Buy {
            listed.quote
        } else {
            listed.base
        };
        self.change_balance(label.account, label.mode, asset, Amount::ZERO, delta)
    }

    /// Changes what an order adds to the sums of its owners.
    pub(crate) fn sum(&mut self, label: &Label, before: Option<Open>, now: Option<Open>) -> Result<(), Broken> {
        if before == now {
            return Ok(());
        }
        let place = (label.mode, label.instrument, label.side);
        for holder in label.holders() {
            if self.sums.change_open(holder, place, label.id, before, now).is_none() {
                return Broken::at(self.last_seq, format_args!("a sum of {holder:?} is out of range"));
            }
        }
        Ok(())
    }

    /// Puts an order where its facts say.
    pub(crate) fn place(&mut self, label: &Label, client_id: Option<u64>, before: Place, now: Place) {
        let mode = index(label.mode);
        self.books[mode].place(label, before, now);
        if before.open == now.open {
            return;
        }
        let account = &mut self.accounts[label.account as usize];
        account.open[mode] = if now.open {
            account.open[mode] + 1
        } else {
            account.open[mode] - 1
        };
        if let Some(hash) = client_id {
            if now.open {
                account.working.insert(hash, label.id);
            } else {
                account.working.remove(hash, label.id);
            }
        }
    }
}

/// An order's facts changed: what must follow.
pub(crate) struct Moved {
    label: Label,
    before: Place,
    now: Place,
    /// Hash of the client order id, when the order opened or ended.
    client_id: Option<u64>,
    /// Hold before and now.
    held: Amount,
    due: Amount,
    /// What it adds to sums, before and now.
    was_open: Option<Open>,
    is_open: Option<Open>,
}

impl Moved {
    /// Changes the facts, the hold they imply, and the order's part of the state's hash.
    fn by<T>(
        order: &mut Order,
        digest: &mut Digest,
        seq: Seq,
        at: Nanos,
        alter: impl FnOnce(&mut Order) -> T,
    ) -> (Self, T) {
        let (before, was_open) = (Place::of(order), Open::of(order));
        let result = alter(order);
        (order.last_seq, order.updated_at) = (seq, at);
        let due = order.hold_due();
        let held = std::mem::replace(&mut order.held, due);
        let mark = order.digest();
        digest.replace(std::mem::replace(&mut order.mark, mark), mark);
        let now = Place::of(order);
        let client_id = if before.open == now.open {
            None
        } else {
            order.client_id_hash()
        };
        (
            Self {
                label: Label::of(order),
                before,
                now,
                client_id,
                held,
                due,
                was_open,
                is_open: Open::of(order),
            },
            result,
        )
    }
}
