//! Which ended orders stay in memory, and what becomes of trades whose order has left.
//!
//! Leaving is part of the fold: every process lets go of the same order at the same record, whatever Postgres does. A
//! trade of an order that has left waits (LATE_FILL) until Postgres holds everything that the order was; then the order
//! comes back (ORDER_RELOADED), the trade is booked like any other, and the order leaves again (ORDER_LEFT) once
//! Postgres holds that, too.

use crate::digest::Mix;
use crate::external::venue_key;
use crate::order::Order;
use crate::record::{LateFill, LateFillClosed};
use crate::state::{Applied, Broken, State};
use crate::terms::{Nanos, OrderId, Seq};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// An ended order leaves this long after its last change.
pub const KEEP_ENDED_NS: Nanos = 3600 * 1_000_000_000;
/// Or when this many ended later, give or take [`TOGETHER`].
pub const KEEP_ENDED: usize = 100_000;
/// Most orders that leave with one record, and as many as leave together when too many have ended: they lie side by
/// side in memory, so that sixty-four cost a fraction of sixty-four times one, and still no pause.
pub const TOGETHER: usize = 64;
/// Most trades that wait for their orders; further ones are parked.
pub const LATE_FILLS_MAX: usize = 10_000;

/// Journals of older folds have records about orders that this rule would have let go.
const FIRST_VERSION: u32 = 2;
/// First byte of [`facts_of`].
const FACTS_VERSION: u8 = 1;

/// Ended orders on their way out, and those that came back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Retention {
    /// Orders in the order of their ends, each with its last record then and that record's time: one that changed since
    /// has a later entry.
    pub ended: VecDeque<(OrderId, Seq, Nanos)>,
    /// Orders that came back and stay until they are released.
    pub reloaded: BTreeSet<OrderId>,
    /// Trades that wait for their orders.
    pub late: BTreeMap<OrderId, Vec<LateFill>>,
    /// The newest record about the trades that wait for an order.
    pub late_seqs: BTreeMap<OrderId, Seq>,
    /// Orders that left with the last record.
    just_left: Vec<Order>,
}

impl Retention {
    /// Notes the end of an order, or a change after it.
    pub fn note(&mut self, id: OrderId, seq: Seq, at: Nanos) {
        self.ended.push_back((id, seq, at));
    }

    /// Its part of the state's hash; the orders themselves have theirs.
    pub fn mix(&self, mut mix: Mix) -> Mix {
        mix = mix.word(self.ended.len() as u64);
        for id in &self.reloaded {
            mix = mix.word(*id);
        }
        for late in self.late.values().flatten() {
            let fill = &late.fill;
            mix = mix
                .word(fill.order)
                .word(u64::from(late.mode as u8))
                .text(&fill.trade_id);
            mix = mix
                .int(fill.price.0)
                .int(fill.qty.0)
                .wide(fill.quote_qty.0)
                .wide(fill.fee.0);
        }
        mix
    }
}

impl State {
    /// The orders that left with the last record, as they were.
    #[must_use]
    pub fn just_left(&self) -> &[Order] {
        &self.retention.just_left
    }

    /// Whether this may be the id of an order that is not in memory any more; who does not remember cannot tell.
    pub(crate) fn may_have_left(&self, id: OrderId) -> bool {
        self.counters.left > 0 && 0 < id && id <= self.last_seq && !self.orders.contains_key(&id)
    }

    /// Orders that came back for a late trade and are still here.
    pub fn reloaded(&self) -> impl Iterator<Item = &Order> {
        self.retention.reloaded.iter().filter_map(|id| self.order(*id))
    }

    /// Trades that wait for this order.
    #[must_use]
    pub fn late_fills(&self, id: OrderId) -> &[LateFill] {
        self.retention.late.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Orders that trades wait for, each with the sequence that Postgres must hold before the order may come back.
    pub fn awaited_orders(&self) -> impl Iterator<Item = (OrderId, Seq)> {
        let awaited = self.retention.late_seqs.iter().map(|(id, seq)| (*id, *seq));
        awaited.filter(|(id, _)| !self.orders.contains_key(id))
    }

    /// The oldest record that a live request key points to: a repeated request is answered by reading it. `None` while
    /// no key is kept.
    #[must_use]
    pub fn oldest_answer(&self) -> Option<Seq> {
        self.expiries.front().map(|oldest| oldest.seq)
    }

    /// Orders that trades wait for, back or not.
    pub(crate) fn late_orders(&self) -> impl Iterator<Item = OrderId> {
        self.retention.late.keys().copied()
    }

    /// Trades that wait.
    #[must_use]
    pub fn late_fill_count(&self) -> usize {
        self.retention.late.values().map(Vec::len).sum()
    }

    /// After each record: lets go of what has been kept long enough.
    pub(crate) fn let_go(&mut self) -> Result<(), Broken> {
        self.retention.just_left.clear();
        if self.clocks.fold_version < FIRST_VERSION {
            return Ok(());
        }
        let excess = self.retention.ended.len().saturating_sub(KEEP_ENDED);
        let crowded = if excess < TOGETHER { 0 } else { TOGETHER };
        for turn in 0..TOGETHER {
            // Decided by the entry alone: a look at an order this old costs more than the rest of the record.
            let due = |&&(.., at): &&(OrderId, Seq, Nanos)| {
                turn < crowded || self.last_ts >= at.saturating_add(KEEP_ENDED_NS)
            };
            let Some(&(id, seq, _)) = self.retention.ended.front().filter(due) else {
                return Ok(());
            };
            self.retention.ended.pop_front();
            let order = self.orders.get(&id);
            let unchanged = order.is_some_and(|order| order.last_seq == seq && !order.is_open());
            // One that another is to take over from is noted again when that has happened.
            let awaited = order.is_some_and(|order| order.awaits_renewal());
            if unchanged && !awaited && !self.retention.reloaded.contains(&id) {
                self.leave(id)?;
            }
        }
        Ok(())
    }

    /// ORDER_LEFT: an order that had come back leaves again.
    pub(crate) fn order_left(&mut self, id: OrderId) -> Result<Applied, Broken> {
        if !self.retention.reloaded.remove(&id) {
            return Broken::at(self.last_seq, format_args!("order {id} had not come back"));
        }
        // Its row was written by its last change.
        self.leave(id)?;
        Ok(Applied::default())
    }

    fn leave(&mut self, id: OrderId) -> Result<(), Broken> {
        match self.orders.remove(&id) {
            Some(order) if !order.is_open() => {
                self.digest.remove(order.mark);
                self.accounts[order.terms.account as usize].orders.remove(&id);
                if let Some(key) = venue_key(&order) {
                    self.by_venue_id.remove(&key);
                }
                self.counters.left += 1;
                self.retention.just_left.push(*order);
                Ok(())
            }
            _ => Broken::at(
                self.last_seq,
                format_args!("order {id} is unknown or open, and cannot leave"),
            ),
        }
    }

    /// LATE_FILL: a trade waits for its order.
    pub(crate) fn late_fill(&mut self, body: &LateFill) -> Result<Applied, Broken> {
        let id = body.fill.order;
        if self.orders.contains_key(&id) {
            return Broken::at(self.last_seq, format_args!("order {id} has not left"));
        }
        self.retention.late.entry(id).or_default().push(body.clone());
        self.retention.late_seqs.insert(id, self.last_seq);
        Ok(Applied {
            order: Some(id),
            alarm: Some("LATE_FILL"),
        })
    }

    /// LATE_FILL_CLOSED: a trade that waited is not booked.
    pub(crate) fn late_fill_closed(&mut self, body: &LateFillClosed) -> Applied {
        self.settle_late(body.order, &body.trade_id);
        // A trade that had been counted before it came late is no news.
        self.counters.parked += u64::from(!body.code.is_empty());
        Applied {
            order: None,
            alarm: (!body.code.is_empty()).then_some("LATE_FILL_CLOSED"),
        }
    }

    /// A trade is booked or closed: it waits no more.
    pub(crate) fn settle_late(&mut self, id: OrderId, trade_id: &str) {
        let Some(waiting) = self.retention.late.get_mut(&id) else {
            return;
        };
        waiting.retain(|late| late.fill.trade_id != trade_id);
        if waiting.is_empty() {
            self.retention.late.remove(&id);
            self.retention.late_seqs.remove(&id);
        }
    }

    /// ORDER_RELOADED: an order comes back as it was.
    pub(crate) fn reload(&mut self, order: &Order) -> Result<Applied, Broken> {
        let (id, terms) = (order.id, &order.terms);
        let known = (terms.account as usize) < self.accounts.len()
            && (terms.instrument as usize) < self.listed.len()
            && self.placed_by_known_key(terms.key);
        if !known || order.is_open() || !order.held.is_zero() || id >= self.last_seq || self.orders.contains_key(&id) {
            return Broken::at(self.last_seq, format_args!("order {id} cannot come back"));
        }
        let mut order = Box::new(order.clone());
        (order.last_seq, order.updated_at) = (self.last_seq, self.last_ts);
        order.strategy = terms.strategy_id.as_deref().map(|name| self.sums.strategy(name));
        order.mark = order.digest();
        self.digest.add(order.mark);
        self.accounts[terms.account as usize].orders.insert(id);
        self.orders.insert(id, order);
        self.index_venue_id(id);
        self.retention.reloaded.insert(id);
        Ok(Applied {
            order: Some(id),
            alarm: None,
        })
    }
}

/// Everything that an ended order is, for the row that can bring it back.
#[must_use]
pub fn facts_of(order: &Order) -> Vec<u8> {
    let mut bytes = vec![FACTS_VERSION];
    // Never fails in practice: every part encodes, as in a snapshot.
    match rmp_serde::encode::write(&mut bytes, order) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}

/// The order of these bytes.
///
/// # Errors
/// What is wrong with them, in words.
pub fn order_of_facts(bytes: &[u8]) -> Result<Order, String> {
    match bytes.split_first() {
        Some((&FACTS_VERSION, body)) => rmp_serde::from_slice(body).map_err(|error| error.to_string()),
        Some((version, _)) => Err(format!("facts of version {version}, this build reads {FACTS_VERSION}")),
        None => Err("no facts".to_owned()),
    }
}
