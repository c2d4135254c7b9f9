//! What may be sent: connected sessions, the window of unanswered sends, the age of the kill switch's reading, time.

use crate::account::index;
use crate::engine::{Decided, Engine};
use crate::facts::NOT_SENT;
use crate::record::{Clock, OrderEvent, Record, SessionOpened, SubmitStarted};
use crate::refusal::{self, Refusal};
use crate::state::{Broken, Lane};
use crate::terms::{Mode, Nanos, OrderId, Seq, SessionId};

/// Admission and sending need a reading of the kill switch at most this old.
pub const KILL_READING_MAX_AGE_NS: Nanos = 300_000_000;
/// Most orders that may wait to be sent.
pub const MAX_UNSENT: usize = 100_000;
/// A step of the wall clock smaller than this is drift and is not journaled.
const WALL_STEP_NS: i64 = 1_000_000_000;
/// Most orders that one tick ends or cancels: a tick must stay short.
pub(crate) const TICK_BOUND: usize = 2_000;
/// Most SUBMIT_STARTED without any report.
#[must_use]
pub const fn window(mode: Mode) -> usize {
    match mode {
        Mode::Paper => 256,
        Mode::Live => 8,
    }
}

impl Engine {
    /// A venue connected: journals its new session, which ends every older one, and starts what waits.
    ///
    /// # Errors
    /// Refused when the mode belongs to another venue.
    pub fn open_session(&mut self, venue: &str, mode: Mode, pid: u32, now: Nanos) -> Decided<SessionId> {
        self.check_poison()?;
        let clash = self
            .state
            .lanes()
            .find(|lane| (lane.mode == mode) != (lane.venue == venue));
        if let Some(Lane {
            venue: other,
            mode: theirs,
            ..
        }) = clash
        {
            let detail = format!("Venue {venue} cannot trade {mode}: {other} trades {theirs}.");
            return Ok(Err(Refusal::new(refusal::INVALID_PARAMETER, detail)));
        }
        let session = self.commit(
            Record::SessionOpened(SessionOpened {
                venue: venue.to_owned(),
                mode,
                pid,
            }),
            now,
        )?;
        self.attached[index(mode)] = Some(session);
        if mode == Mode::Live {
            self.live.forget();
            let book = &self.state.books[index(mode)];
            let lost: Vec<OrderId> = book.without_outcome.union(&book.unanswered).copied().collect();
            for order in lost {
                let (reason, text) = ("SESSION_LOST".to_owned(), String::new());
                let body = OrderEvent {
                    order,
                    reason,
                    text,
                    venue_order_id: None,
                };
                self.commit(Record::InDoubt(body), now)?;
            }
        }
        self.start_waiting(mode, now)?;
        Ok(Ok(session))
    }

    /// A venue's socket is gone: nothing more is started for its session.
    pub fn close_session(&mut self, session: SessionId) {
        for attached in &mut self.attached {
            if *attached == Some(session) {
                *attached = None;
            }
        }
        if self.attached(Mode::Live).is_none() {
            self.live.forget();
        }
    }

    /// The connected session of a venue.
    #[must_use]
    pub fn session(&self, venue: &str) -> Option<SessionId> {
        let lane = self.state.lanes().find(|lane| lane.venue == venue)?;
        self.attached(lane.mode)
    }

    /// The connected session of a mode.
    #[must_use]
    pub const fn attached(&self, mode: Mode) -> Option<SessionId> {
        self.attached[index(mode)]
    }

    /// A good reading of the kill switch was begun at this time: what it tells may be that old.
    pub fn kill_reading(&mut self, began: Nanos) {
        self.kill_read_at = Some(self.kill_read_at.map_or(began, |last| last.max(began)));
    }

    /// Whether the journal has room for new orders. Nothing else is refused for want of it.
    pub const fn journal_is_full(&mut self, full: bool) {
        self.journal_is_full = full;
    }

    /// Age of the last good reading.
    #[must_use]
    pub fn kill_reading_age(&self, now: Nanos) -> Option<Nanos> {
        self.kill_read_at.map(|at| now.saturating_sub(at))
    }

    pub(crate) fn kill_reading_is_fresh(&self, now: Nanos) -> bool {
        self.kill_reading_age(now)
            .is_some_and(|age| age <= KILL_READING_MAX_AGE_NS)
    }

    /// Starts waiting orders while the venue is connected and takes orders of their account, its window has room, and the
    /// kill switch was just read.
    pub(crate) fn start_waiting(&mut self, mode: Mode, now: Nanos) -> Result<(), Broken> {
        let Some(session) = self.attached(mode) else {
            return Ok(());
        };
        while self.kill_reading_is_fresh(now) {
            let book = &self.state.books[index(mode)];
            let sendable = |id: &&OrderId| {
                let order = self.state.order(**id);
                order.is_some_and(|order| self.can_send(mode, order.terms.account))
            };
            let Some(&order) = book.unsent.iter().find(sendable) else {
                break;
            };
            if book.unanswered.len() >= window(mode) {
                break;
            }
            let late = self
                .state
                .order(order)
                .is_some_and(|order| order.send_deadline() <= now);
            if late {
                self.not_sent(order, now)?;
            } else {
                self.commit(Record::SubmitStarted(SubmitStarted { order, session }), now)?;
            }
        }
        Ok(())
    }

    fn not_sent(&mut self, order: OrderId, now: Nanos) -> Result<Seq, Broken> {
        let text = "not sent in time".to_owned();
        let body = OrderEvent {
            order,
            reason: NOT_SENT.to_owned(),
            text,
            venue_order_id: None,
        };
        self.commit(Record::NotSent(body), now)
    }

    /// Time passed: ends unsent orders that waited long enough, starts others, notes a step of the wall clock.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn tick(&mut self, now: Nanos, wall_ns: i64) -> Result<(), Broken> {
        self.check_poison()?;
        let now = now.max(self.state.last_ts());
        let wall_offset_ns = wall_ns.saturating_sub(now);
        if wall_offset_ns
            .saturating_sub(self.state.wall_offset_ns())
            .saturating_abs()
            > WALL_STEP_NS
        {
            self.commit(Record::Clock(Clock { wall_offset_ns }), now)?;
        }
        self.watch(now)?;
        for mode in Mode::ALL {
            for _ in 0..TICK_BOUND {
                match self.state.books[index(*mode)].deadlines.first() {
                    Some(&(deadline, order)) if deadline <= now => _ = self.not_sent(order, now)?,
                    _ => break,
                }
            }
            self.start_waiting(*mode, now)?;
        }
        self.end_expired(now)?;
        self.place_renewals(now)?;
        self.look_again(now)?;
        self.expire_requests(now)?;
        // A crash may have come between an order's return and its trades.
        let returned = self.state.late_orders().find(|id| self.state.order(*id).is_some());
        if let Some(order) = returned {
            self.book_late(order, now)?;
        }
        self.watch_heartbeats(now)?;
        self.cancel_pursued(TICK_BOUND, now)?;
        self.pursue_kills(now)
    }
}
