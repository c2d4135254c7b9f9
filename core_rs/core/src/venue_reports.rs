//! Reports of venues: each becomes the record of what it means, or of why it could not be booked.

use crate::engine::Engine;
use crate::facts::KILLED;
use crate::lifecycle::{self, Change, Effect, Event};
use crate::number::{Amount, Price, Qty};
use crate::order::{Order, Sighting};
use crate::record::{
    Fill, IllegalEvent, LateFill, LateFillClosed, OrderEvent, OrderLeft, Parked, Record, ReplaceTerms, VenueSnapshot,
};
use crate::report::{OrderReport, RawFill, Report};
use crate::retention::{LATE_FILLS_MAX, order_of_facts};
use crate::state::Broken;
use crate::terms::{Mode, Nanos, OrderId, Seq, SessionId};

/// A figure is out of range.
pub const NUMERIC_RANGE: &str = "NUMERIC_RANGE";
/// The order is not known, or is not that venue's.
pub const UNKNOWN_ORDER: &str = "UNKNOWN_ORDER";
/// A known trade id came with other digits: the first sighting stands.
pub const FILL_CONFLICT: &str = "FILL_CONFLICT";

/// Too many trades wait for orders that have left.
pub const LATE_FILLS_FULL: &str = "LATE_FILLS_FULL";
/// The life cycle does not allow a trade of such an order.
const ILLEGAL_EVENT: &str = "ILLEGAL_EVENT";

pub(crate) const LONGEST_CODE: usize = 64;
pub(crate) const LONGEST_TEXT: usize = 512;
const LONGEST_PARKED: usize = 2_048;
/// Parked reports remembered, so that a venue that repeats one does not fill the journal with it.
const PARKED_KEPT: usize = 10_000;

impl Engine {
    /// Applies one report. One of a session that is not connected changes nothing.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn report(&mut self, session: SessionId, report: &Report<'_>, now: Nanos) -> Result<(), Broken> {
        self.check_poison()?;
        let Some(mode) = Mode::ALL
            .iter()
            .copied()
            .find(|mode| self.attached(*mode) == Some(session))
        else {
            self.dropped += 1;
            return Ok(());
        };
        let now = now.max(self.state.last_ts());
        match report {
            Report::Heartbeat => Ok(()),
            Report::Price {
                symbol, bid, ask, last, ..
            } => {
                self.price(mode, symbol, [bid, ask, last], now);
                Ok(())
            }
            Report::Depth {
                symbol,
                bid_qty,
                ask_qty,
                volume,
            } => {
                self.depth(mode, symbol, [bid_qty, ask_qty, volume], now);
                Ok(())
            }
            Report::Account(account, what) => self.account_report(mode, account, what, report, now),
            Report::Instrument(texts) => self.instrument_report(texts, report, now),
            Report::DoubtSeen(id, text) => {
                self.doubt_seen(*id, text, now);
                Ok(())
            }
            Report::Order(id, what) => {
                self.order_report(mode, *id, what, report, now)?;
                self.ask_wanted_cancel(*id, now)?;
                self.pursue_replaced(*id, now)?;
                if let Some(old) = self.state.order(*id).and_then(|order| order.terms.replaces()) {
                    self.pursue_replaced(old, now)?;
                }
                self.start_waiting(mode, now)
            }
        }
    }

    fn order_report(
        &mut self,
        mode: Mode,
        id: OrderId,
        what: &OrderReport<'_>,
        report: &Report<'_>,
        now: Nanos,
    ) -> Result<(), Broken> {
        let Some(order) = self.state.order(id).filter(|order| order.terms.mode == mode) else {
            // A trade of an order that may have left memory is a fact that waits for it.
            return match what {
                OrderReport::Fill(raw) if self.state.may_have_left(id) => self.late_fill(mode, id, raw, report, now),
                _ => self.park(UNKNOWN_ORDER, report, now),
            };
        };
        let Some(mut record) = record_of(order, what) else {
            return self.park_for(id, NUMERIC_RANGE, report, now);
        };
        if let Record::Fill(fill) = &mut record {
            fill.fee_value = self.fee_in_quote(mode, order.terms.instrument, fill, now);
        }
        let Some(change) = change_of(&record) else {
            return Ok(());
        };
        if let Change::Fill(fill) = change {
            match order.sighting(fill) {
                Sighting::Conflict => return self.park_for(id, FILL_CONFLICT, report, now),
                Sighting::New if !self.state.fill_fits(order, fill) => {
                    return self.park_for(id, NUMERIC_RANGE, report, now);
                }
                Sighting::New | Sighting::Same => {}
            }
        }
        let cell = lifecycle::resolve(order, &change);
        if !lifecycle::is_news(order, &change, cell) {
            self.duplicates += 1;
            return Ok(());
        }
        let odd = cell.effect == Effect::Illegal || (cell.effect == Effect::Same && cell.alarm);
        let record = if odd {
            let event = change.event(order).name().to_owned();
            let text = clip(&format!("{} order: {what:?}", order.status()), LONGEST_TEXT);
            let unanswered = order.is_unanswered();
            let illegal = cell.effect == Effect::Illegal;
            if self.is_repeat(&event, &format!("{id} {text}")) && !unanswered {
                return Ok(());
            }
            if illegal {
                Record::Illegal(IllegalEvent { order: id, event, text })
            } else {
                record
            }
        } else {
            record
        };
        self.commit(record, now).map(drop)
    }

    /// Keeps a trade until its order is back.
    fn late_fill(
        &mut self,
        mode: Mode,
        id: OrderId,
        raw: &RawFill<'_>,
        report: &Report<'_>,
        now: Nanos,
    ) -> Result<(), Broken> {
        let Some(fill) = fill_of(id, raw) else {
            return self.park(NUMERIC_RANGE, report, now);
        };
        let waiting = self.state.late_fills(id).iter();
        let known = waiting
            .map(|late| &late.fill)
            .find(|late| late.trade_id == fill.trade_id);
        match known {
            Some(known) if *known == fill => {
                self.duplicates += 1;
                Ok(())
            }
            Some(_) => self.park(FILL_CONFLICT, report, now),
            None if self.state.late_fill_count() >= LATE_FILLS_MAX => self.park(LATE_FILLS_FULL, report, now),
            None => self.commit(Record::LateFill(LateFill { mode, fill }), now).map(drop),
        }
    }

    /// Brings an order back from the facts of its row, or notes that there is none, and books or closes the trades
    /// that waited for it. Postgres must hold the sequence that [`State::awaited_orders`] names. Does nothing when no
    /// trade waits for it.
    ///
    /// # Errors
    /// Outer: [`Broken`]. Inner: the facts do not decode, or are not those of this order; the trades go on waiting.
    pub fn reload(&mut self, id: OrderId, facts: Option<&[u8]>, now: Nanos) -> Result<Result<(), String>, Broken> {
        self.check_poison()?;
        if self.state.late_fills(id).is_empty() || self.state.order(id).is_some() {
            return Ok(Ok(()));
        }
        if let Some(bytes) = facts {
            let order = match order_of_facts(bytes) {
                Ok(order) if order.id == id && !order.is_open() => order,
                Ok(order) => {
                    return Ok(Err(format!(
                        "these are the facts of order {}, {}",
                        order.id,
                        order.status()
                    )));
                }
                Err(why) => return Ok(Err(why)),
            };
            self.commit(Record::OrderReloaded(Box::new(order)), now)?;
        }
        self.book_late(id, now).map(Ok)
    }

    /// Books or closes the trades that waited for this order.
    pub(crate) fn book_late(&mut self, id: OrderId, now: Nanos) -> Result<(), Broken> {
        for LateFill { mode, mut fill } in self.state.late_fills(id).to_vec() {
            let code = match self.state.order(id).filter(|order| order.terms.mode == mode) {
                None => UNKNOWN_ORDER,
                Some(order) => match order.sighting(&fill) {
                    Sighting::Same => "",
                    Sighting::Conflict => FILL_CONFLICT,
                    Sighting::New if !self.state.fill_fits(order, &fill) => NUMERIC_RANGE,
                    Sighting::New if lifecycle::resolve(order, &Change::Fill(&fill)).effect == Effect::Illegal => {
                        ILLEGAL_EVENT
                    }
                    Sighting::New => {
                        fill.fee_value = self.fee_in_quote(mode, order.terms.instrument, &fill, now);
                        self.commit(Record::Fill(fill), now)?;
                        continue;
                    }
                },
            };
            let (order, trade_id, code) = (id, fill.trade_id, code.to_owned());
            self.commit(Record::LateFillClosed(LateFillClosed { order, trade_id, code }), now)?;
        }
        Ok(())
    }

    /// Lets go of orders that had come back, once Postgres holds everything up to `watermark`.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn release(&mut self, watermark: Seq, now: Nanos) -> Result<(), Broken> {
        self.check_poison()?;
        let settled = |order: &&Order| !order.is_open() && order.last_seq <= watermark;
        let done: Vec<OrderId> = self.state.reloaded().filter(settled).map(|order| order.id).collect();
        for order in done {
            self.commit(Record::OrderLeft(OrderLeft { order }), now)?;
        }
        Ok(())
    }

    /// Keeps what could not be booked about a known order. It answers SUBMIT_STARTED all the same: something happened
    /// at the venue, and what is not known.
    fn park_for(&mut self, id: OrderId, code: &str, report: &Report<'_>, now: Nanos) -> Result<(), Broken> {
        self.park(code, report, now)?;
        if !self.state.order(id).is_some_and(Order::is_unanswered) {
            return Ok(());
        }
        let body = OrderEvent {
            order: id,
            reason: code.to_owned(),
            text: "the venue's report could not be booked".to_owned(),
            venue_order_id: None,
        };
        self.commit(Record::InDoubt(body), now).map(drop)
    }

    /// Keeps what could not be booked, once.
    pub(crate) fn park(&mut self, code: &str, report: &Report<'_>, now: Nanos) -> Result<(), Broken> {
        let report = clip(&format!("{report:?}"), LONGEST_PARKED);
        if self.is_repeat(code, &report) {
            return Ok(());
        }
        self.commit(
            Record::Parked(Parked {
                code: code.to_owned(),
                report,
            }),
            now,
        )
        .map(drop)
    }

    /// True when this oddity was journaled before: a venue that repeats itself must not fill the journal.
    fn is_repeat(&mut self, code: &str, text: &str) -> bool {
        let seen = crate::digest::Mix::new(10).text(code).text(text).finish64();
        if self.parked_seen.len() >= PARKED_KEPT {
            self.parked_seen.clear();
        }
        let known = !self.parked_seen.insert(seen);
        self.duplicates += u64::from(known);
        known
    }

    /// A cancel that waited for the end of a doubt goes out now.
    fn ask_wanted_cancel(&mut self, id: OrderId, now: Nanos) -> Result<(), Broken> {
        let Some(order) = self.state.order(id) else {
            return Ok(());
        };
        if order.cancel_wanted && !order.in_doubt && order.is_open() {
            let reason = order.reason.to_string();
            self.request_cancel(id, &reason, now)?;
        }
        Ok(())
    }
}

/// The record that a report means; `None` when a figure is out of range.
fn record_of(order: &Order, what: &OrderReport<'_>) -> Option<Record> {
    let id = order.id;
    let event = |reason: &str, text: &str| OrderEvent {
        order: id,
        reason: clip(reason, LONGEST_CODE),
        text: clip(text, LONGEST_TEXT),
        venue_order_id: None,
    };
    Some(match what {
        OrderReport::Ack { venue_order_id } => {
            let venue_order_id = Some(clip(venue_order_id, LONGEST_CODE));
            Record::Acked(OrderEvent {
                venue_order_id,
                ..event("", "")
            })
        }
        OrderReport::Reject(cause) => Record::VenueRejected(event(cause.reason, cause.text)),
        // Killed before the send is a cancel of ours, whoever noticed it.
        OrderReport::NotSent(cause) if cause.reason == KILLED && !order.acked => {
            Record::Canceled(event(KILLED, cause.text))
        }
        OrderReport::NotSent(cause) => Record::NotSent(event(cause.reason, cause.text)),
        OrderReport::Unknown(cause) => Record::InDoubt(event(cause.reason, cause.text)),
        OrderReport::Fill(raw) => Record::Fill(fill_of(id, raw)?),
        OrderReport::Canceled(cause) => Record::Canceled(event(cause.reason, cause.text)),
        OrderReport::CancelReject(cause) => Record::CancelRejected(event(cause.reason, cause.text)),
        OrderReport::CancelUnknown(cause) => Record::CancelInDoubt(event(cause.reason, cause.text)),
        OrderReport::Expired(cause) => Record::Expired(event(cause.reason, cause.text)),
        OrderReport::Replaced { qty, price } => {
            let qty = Qty::parse(qty).ok()?;
            let price = price.map(Price::parse).transpose().ok()?;
            let hold = order.full_hold(qty, price.or(order.terms.price));
            Record::Replaced(ReplaceTerms {
                order: id,
                qty,
                price,
                hold,
                anew: None,
            })
        }
        OrderReport::ReplaceReject(cause) => Record::ReplaceRejected(event(cause.reason, cause.text)),
        OrderReport::Found {
            venue_order_id,
            working,
            cum_qty,
        } => Record::FoundAtVenue(VenueSnapshot {
            order: id,
            venue_order_id: venue_order_id.map(|id| clip(id, LONGEST_CODE)),
            working: *working,
            cum_qty: Qty::parse_or_zero(cum_qty).ok()?,
        }),
        OrderReport::Absent { text } => Record::AbsentAtVenue(event("", text)),
        OrderReport::Done => Record::Done(event("", "")),
    })
}

fn fill_of(order: OrderId, raw: &RawFill<'_>) -> Option<Fill> {
    let identified = (1..=LONGEST_CODE).contains(&raw.trade_id.len()) && !raw.trade_id.contains('\0');
    let priced = (1..=LONGEST_CODE).contains(&raw.fee_asset.len()) && !raw.fee_asset.contains('\0');
    (identified && priced).then_some(())?;
    Some(Fill {
        order,
        trade_id: raw.trade_id.to_owned(),
        price: Price::parse(raw.price).ok()?,
        qty: Qty::parse(raw.qty).ok()?,
        quote_qty: Amount::parse_or_zero(raw.quote_qty).ok()?,
        fee: Amount::parse(raw.fee).ok()?,
        fee_asset: raw.fee_asset.to_owned(),
        maker: raw.maker,
        venue_ns: raw.venue_ns,
        fee_value: None,
    })
}

/// The life cycle's change in a record that a report became.
fn change_of(record: &Record) -> Option<Change<'_>> {
    Some(match record {
        Record::Fill(body) => Change::Fill(body),
        Record::Replaced(body) => Change::Replaced(body),
        Record::FoundAtVenue(body) => Change::FoundAtVenue(body),
        Record::Acked(body) => Change::Other(Event::Acked, body),
        Record::VenueRejected(body) => Change::Other(Event::Rejected, body),
        Record::InDoubt(body) => Change::Other(Event::InDoubt, body),
        Record::NotSent(body) => Change::Other(Event::NotSent, body),
        Record::Canceled(body) => Change::Other(Event::Canceled, body),
        Record::CancelRejected(body) => Change::Other(Event::CancelRejected, body),
        Record::CancelInDoubt(body) => Change::Other(Event::CancelInDoubt, body),
        Record::ReplaceRejected(body) => Change::Other(Event::ReplaceRejected, body),
        Record::Expired(body) => Change::Other(Event::Expired, body),
        Record::AbsentAtVenue(body) => Change::Other(Event::AbsentAtVenue, body),
        Record::Done(body) => Change::Other(Event::Done, body),
        _ => return None,
    })
}

/// At most so many bytes, and no NUL: PostgreSQL's text admits none.
pub(crate) fn clip(text: &str, longest: usize) -> String {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace('\0', "\u{fffd}")
}
