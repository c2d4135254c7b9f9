//! What people do about orders in doubt that evidence does not end: look again, say which order it is, and, two of them
//! together, declare it absent.

use crate::account::index;
use crate::administration::{check_text, invalid};
use crate::engine::{Changed, Decided, Engine};
use crate::external::venue_key;
use crate::limit_changes::check_words;
use crate::order::Order;
use crate::record::{
    AbsentAsked, Change, ChangeRequested, CleanStop, DoubtRequery, OrderEvent, Record, Resumed, VenueIdAttached,
};
use crate::refusal::{self, Refusal};
use crate::state::{Applied, Broken, State};
use crate::terms::{Mode, Nanos, OrderId, Seq};
use crate::venue_reports::LONGEST_CODE;

/// People are told of an order that has been in doubt for so long.
pub const DOUBT_ALARM_NS: Nanos = 300 * 1_000_000_000;
/// Reason of an order that two people declared absent.
pub const DECLARED_ABSENT: &str = "DECLARED_ABSENT";

impl State {
    /// Orders in doubt of a mode, by id.
    pub fn doubts(&self, mode: Mode) -> impl Iterator<Item = &Order> {
        self.books[index(mode)].in_doubt.iter().filter_map(|id| self.order(*id))
    }

    /// Since when the oldest order in doubt has been so.
    #[must_use]
    pub fn oldest_doubt(&self) -> Option<Nanos> {
        let all = Mode::ALL.iter().flat_map(|mode| self.doubts(*mode));
        all.map(|order| order.doubt_since.unwrap_or(order.updated_at)).min()
    }

    /// DOUBT_REQUERY: part of the order's history, and nothing more.
    pub(crate) fn doubt_requery(&mut self, body: &DoubtRequery) -> Result<Applied, Broken> {
        self.touch(body.order, |_| {})
    }

    /// VENUE_ID_ATTACHED.
    pub(crate) fn attach_venue_id(&mut self, body: &VenueIdAttached) -> Result<Applied, Broken> {
        if let Some(key) = self.order(body.order).and_then(venue_key) {
            self.by_venue_id.remove(&key);
        }
        let applied = self.touch(body.order, |order| {
            order.venue_order_id = Some(body.venue_order_id.as_str().into());
        })?;
        self.index_venue_id(body.order);
        Ok(applied)
    }

    /// The gateway ended as it should.
    pub(crate) fn clean_stop(&mut self, body: &CleanStop) -> Result<(), Broken> {
        if body.epoch != self.clocks.epoch {
            return Broken::at(self.last_seq, format_args!("epoch {} cannot end now", body.epoch));
        }
        self.clocks.clean_stop = true;
        Ok(())
    }

    /// True after a crash, until somebody has let LIVE go on.
    #[must_use]
    pub const fn resume_needed(&self) -> bool {
        self.clocks.resume_needed
    }
}

impl Engine {
    fn doubtful(&self, order: OrderId) -> Result<&Order, Refusal> {
        let found = self.state.order(order);
        let found =
            found.ok_or_else(|| Refusal::field(refusal::NOT_FOUND, "order", format!("there is no order {order}")))?;
        if found.is_open() && found.in_doubt {
            return Ok(found);
        }
        Err(invalid(
            "order",
            format!("order {order} is {}, not IN_DOUBT", found.status()),
        ))
    }

    /// Asks the venue process to look for an order in doubt once more.
    ///
    /// # Errors
    /// `not_found`, `invalid_parameter` when it is not in doubt.
    pub fn requery_doubt(&mut self, order: OrderId, by: &str, now: Nanos) -> Decided<Seq> {
        let record = check_text("by", by).and_then(|()| {
            self.doubtful(order)?;
            let by = by.to_owned();
            Ok(Record::DoubtRequery(DoubtRequery { order, by }))
        });
        self.decide_and_commit(record, now)
    }

    /// Says which of the venue's orders an order in doubt is. That proves nothing yet: the venue process looks for it
    /// by that id.
    ///
    /// # Errors
    /// `not_found`, `invalid_parameter` when it is not in doubt, or the id is bad or another order's.
    pub fn attach_venue_id(
        &mut self,
        order: OrderId,
        venue_order_id: &str,
        by: &str,
        reason: &str,
        now: Nanos,
    ) -> Decided<Seq> {
        let record = check_words(by, reason).and_then(|()| {
            let found = self.doubtful(order)?;
            let plain = venue_order_id.bytes().all(|byte| byte.is_ascii_graphic());
            if !plain || !(1..=LONGEST_CODE).contains(&venue_order_id.len()) {
                return Err(invalid(
                    "venueOrderId",
                    format!("must be 1 to {LONGEST_CODE} printable characters"),
                ));
            }
            let terms = &found.terms;
            let known = self
                .state
                .order_by_venue_id(terms.mode, terms.account, terms.instrument, venue_order_id);
            if let Some(other) = known.filter(|other| *other != order) {
                return Err(invalid("venueOrderId", format!("is that of order {other}")));
            }
            Ok(Record::VenueIdAttached(VenueIdAttached {
                order,
                venue_order_id: venue_order_id.to_owned(),
                by: by.to_owned(),
                reason: reason.to_owned(),
            }))
        });
        self.decide_and_commit(record, now)
    }

    /// Asks a second person to declare an order in doubt absent at the venue.
    ///
    /// # Errors
    /// `not_found`, `invalid_parameter` when it is not in doubt or the venue has shown that it has the order,
    /// `change_request_quota`.
    pub fn request_absent(&mut self, order: OrderId, by: &str, reason: &str, now: Nanos) -> Decided<Changed> {
        self.check_poison()?;
        let asked = AbsentAsked { order };
        match check_words(by, reason).and_then(|()| self.check_absent(asked)) {
            Ok(()) => self.request_change(Change::Absent(asked), by, reason, now),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Whether an order can be declared absent: evidence that the venue has it outweighs any word.
    pub(crate) fn check_absent(&self, asked: AbsentAsked) -> Result<(), Refusal> {
        let found = self.doubtful(asked.order)?;
        if found.acked {
            return Err(invalid("order", "the exchange has shown that it has this order"));
        }
        Ok(())
    }

    /// Two people agree: the order ends as absent. Late evidence re-opens it like any other.
    pub(crate) fn declare_absent(
        &mut self,
        order: OrderId,
        asked: &ChangeRequested,
        approved_by: &str,
        now: Nanos,
    ) -> Result<Seq, Broken> {
        let body = OrderEvent {
            order,
            reason: DECLARED_ABSENT.to_owned(),
            text: format!("declared absent by {} and {approved_by}: {}", asked.by, asked.reason),
            venue_order_id: None,
        };
        self.commit(Record::AbsentAtVenue(body), now)
    }

    /// Journals that the gateway ends as it should: nothing may follow in this epoch.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn stop(&mut self, now: Nanos) -> Result<Seq, Broken> {
        let epoch = self.state.epoch();
        self.commit(Record::CleanStop(CleanStop { epoch }), now)
    }

    /// Lets LIVE go on after a crash; `None` when nothing waits for that.
    ///
    /// # Errors
    /// `invalid_parameter` for bad words.
    pub fn resume(&mut self, by: &str, reason: &str, now: Nanos) -> Decided<Option<Seq>> {
        self.check_poison()?;
        if let Err(refusal) = check_words(by, reason) {
            return Ok(Err(refusal));
        }
        if !self.state.resume_needed() {
            return Ok(Ok(None));
        }
        let (by, reason) = (by.to_owned(), reason.to_owned());
        let seq = self.commit(Record::Resumed(Resumed { by, reason }), now)?;
        Ok(Ok(Some(seq)))
    }
}
