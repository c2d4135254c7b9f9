//! The life cycle: which event does what to an order, in one table of 12 rows × 17 events.
//!
//! A row is what the order looks like, an event is what happened, a cell is the effect on the facts. Fills have no
//! illegal cell: an exchange's trade counts whatever we believed. An illegal event is recorded and counted, and never
//! raised at a client.

use crate::order::{Order, Sighting};
use crate::record::{Fill, OrderEvent, ReplaceTerms, VenueSnapshot};
use crate::terms::{OrdStatus, RejectedBy, SessionId};

/// What the order looks like: its status, with the two kinds of REJECTED apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are those of OrdStatus")]
pub enum Row {
    PendingNew,
    Submitted,
    InDoubt,
    New,
    PartiallyFilled,
    PendingCancel,
    PendingReplace,
    Filled,
    Canceled,
    Expired,
    /// REJECTED by the venue: evidence re-opens it.
    Rejected,
    /// REJECTED by GATEWAY: never sent, never re-opened.
    Denied,
}

impl Row {
    /// Every row, in the table's order.
    pub const ALL: [Self; 12] = [
        Self::PendingNew,
        Self::Submitted,
        Self::InDoubt,
        Self::New,
        Self::PartiallyFilled,
        Self::PendingCancel,
        Self::PendingReplace,
        Self::Filled,
        Self::Canceled,
        Self::Expired,
        Self::Rejected,
        Self::Denied,
    ];

    /// The order's row.
    #[must_use]
    pub fn of(order: &Order) -> Self {
        match order.status() {
            OrdStatus::PendingNew => Self::PendingNew,
            OrdStatus::Submitted => Self::Submitted,
            OrdStatus::InDoubt => Self::InDoubt,
            OrdStatus::New => Self::New,
            OrdStatus::PartiallyFilled => Self::PartiallyFilled,
            OrdStatus::PendingCancel => Self::PendingCancel,
            OrdStatus::PendingReplace => Self::PendingReplace,
            OrdStatus::Filled => Self::Filled,
            OrdStatus::Canceled => Self::Canceled,
            OrdStatus::Expired => Self::Expired,
            OrdStatus::Rejected if order.rejected_by() == Some(RejectedBy::Gateway) => Self::Denied,
            OrdStatus::Rejected => Self::Rejected,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are those of the records")]
pub enum Event {
    SubmitStarted,
    Acked,
    Rejected,
    InDoubt,
    NotSent,
    /// A trade not seen before.
    Fill,
    /// A trade already counted.
    FillSeen,
    CancelRequested,
    Canceled,
    CancelRejected,
    CancelInDoubt,
    ReplaceRequested,
    Replaced,
    ReplaceRejected,
    Expired,
    FoundAtVenue,
    AbsentAtVenue,
}

impl Event {
    /// Every event with its name in the audit trail, in the table's order.
    pub const ALL: [(Self, &'static str); 17] = [
        (Self::SubmitStarted, "SUBMIT_STARTED"),
        (Self::Acked, "ACKED"),
        (Self::Rejected, "REJECTED"),
        (Self::InDoubt, "IN_DOUBT"),
        (Self::NotSent, "NOT_SENT"),
        (Self::Fill, "FILL"),
        (Self::FillSeen, "FILL_SEEN"),
        (Self::CancelRequested, "CANCEL_REQUESTED"),
        (Self::Canceled, "CANCELED"),
        (Self::CancelRejected, "CANCEL_REJECTED"),
        (Self::CancelInDoubt, "CANCEL_IN_DOUBT"),
        (Self::ReplaceRequested, "REPLACE_REQUESTED"),
        (Self::Replaced, "REPLACED"),
        (Self::ReplaceRejected, "REPLACE_REJECTED"),
        (Self::Expired, "EXPIRED"),
        (Self::FoundAtVenue, "FOUND_AT_VENUE"),
        (Self::AbsentAtVenue, "ABSENT_AT_VENUE"),
    ];

    /// Name in the audit trail.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// What an event does to the facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Not possible: recorded and counted, nothing else.
    Illegal,
    /// Nothing but what the event brings along: the venue's id, and that somebody answered.
    Same,
    /// The named session may send.
    Start,
    /// The venue has it; the doubt is over, a refusal was wrong.
    Ack,
    /// Refused by the venue.
    Reject,
    /// [`Effect::Reject`] unless the venue has shown that it has the order.
    RejectUnlessAcked,
    /// Whether the venue has it is not known; a cancel under way becomes a wish.
    Doubt,
    /// [`Effect::Doubt`] unless the venue has shown that it has the order.
    DoubtUnlessAcked,
    /// Proved not sent, and not tried again: refused by GATEWAY.
    NotSent,
    /// [`Effect::NotSent`] unless the venue has shown that it has the order.
    NotSentUnlessAcked,
    /// The trade counts.
    Book,
    /// A cancel is under way.
    AskCancel,
    /// To be canceled once the doubt is over.
    WantCancel,
    /// No longer working, because it was canceled.
    Cancel,
    /// The cancel did not work.
    CancelLost,
    /// A cancel is under way and its outcome is not known.
    CancelDoubt,
    /// New terms are under way.
    AskReplace,
    /// New terms are in force.
    Replace,
    /// The old terms stay.
    ReplaceLost,
    /// No longer working, by the venue's rules.
    Expire,
    /// The venue shows it.
    Adopt,
    /// The venue shows it as working: it had not ended; otherwise nothing.
    Reopen,
    /// Proved absent: the venue never took it.
    Absent,
    /// [`Effect::Absent`] unless the venue has shown that it has the order.
    AbsentUnlessAcked,
    /// Proved absent and never sent.
    NeverSent,
}

/// One cell: the effect, and whether people should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What happens to the facts.
    pub effect: Effect,
    /// True where our picture of the venue was wrong.
    pub alarm: bool,
}

/// An ordinary cell.
const fn c(effect: Effect) -> Cell {
    Cell { effect, alarm: false }
}

/// A cell with an alarm.
const fn a(effect: Effect) -> Cell {
    Cell { effect, alarm: true }
}

const X: Cell = c(Effect::Illegal);
const S: Cell = c(Effect::Same);
const ALARM: Cell = a(Effect::Same);

#[rustfmt::skip]
const TABLE: [[Cell; 17]; 12] = {
    use Effect::*;
    [
        // SUBMIT_STARTED, ACKED, REJECTED, IN_DOUBT, NOT_SENT, FILL, FILL_SEEN,
        // CANCEL_REQUESTED, CANCELED, CANCEL_REJECTED, CANCEL_IN_DOUBT,
        // REPLACE_REQUESTED, REPLACED, REPLACE_REJECTED, EXPIRED, FOUND_AT_VENUE, ABSENT_AT_VENUE
        /* PENDING_NEW */
        [c(Start), c(Ack), c(Reject), c(Doubt), c(NotSent), a(Book), S,
         c(Cancel), c(Cancel), X, X,
         c(Replace), X, X, c(Expire), c(Adopt), c(NeverSent)],
        /* SUBMITTED: a second SUBMIT_STARTED would be a second send */
        [X, c(Ack), c(Reject), c(Doubt), c(NotSent), c(Book), S,
         c(AskCancel), c(Cancel), S, c(Doubt),
         X, X, X, c(Expire), c(Adopt), c(Absent)],
        /* IN_DOUBT: a refused cancel proves nothing */
        [X, c(Ack), c(RejectUnlessAcked), S, c(NotSentUnlessAcked), c(Book), S,
         c(WantCancel), c(Cancel), S, S,
         X, X, X, c(Expire), c(Adopt), c(AbsentUnlessAcked)],
        /* NEW */
        [X, S, a(Reject), S, X, c(Book), S,
         c(AskCancel), c(Cancel), S, c(CancelDoubt),
         c(AskReplace), ALARM, S, c(Expire), c(Adopt), ALARM],
        /* PARTIALLY_FILLED */
        [X, S, ALARM, S, X, c(Book), S,
         c(AskCancel), c(Cancel), S, c(CancelDoubt),
         c(AskReplace), ALARM, S, c(Expire), c(Adopt), ALARM],
        /* PENDING_CANCEL: perhaps before any answer to the send, so that its outcome may still be any */
        [X, c(Ack), c(RejectUnlessAcked), c(DoubtUnlessAcked), c(NotSentUnlessAcked), c(Book), S,
         S, c(Cancel), c(CancelLost), c(CancelDoubt),
         X, c(Replace), c(ReplaceLost), c(Expire), c(Adopt), c(AbsentUnlessAcked)],
        /* PENDING_REPLACE */
        [X, S, X, S, S, c(Book), S,
         c(AskCancel), c(Cancel), S, S,
         X, c(Replace), c(ReplaceLost), c(Expire), c(Adopt), ALARM],
        /* FILLED */
        [X, S, X, S, X, a(Book), S,
         X, S, S, S,
         X, S, S, S, S, S],
        /* CANCELED */
        [X, S, S, S, X, a(Book), S,
         S, S, S, S,
         X, S, S, S, a(Reopen), S],
        /* EXPIRED */
        [X, S, S, S, X, a(Book), S,
         S, S, S, S,
         X, S, S, S, a(Reopen), S],
        /* REJECTED by VENUE */
        [X, a(Ack), S, S, X, a(Book), S,
         X, S, S, S,
         X, S, S, S, a(Reopen), S],
        /* REJECTED by GATEWAY */
        [X, a(Effect::Illegal), X, X, X, a(Book), S,
         X, S, S, S,
         X, X, X, X, ALARM, S],
    ]
};

/// The cell of a row and an event.
#[must_use]
pub const fn cell(row: Row, event: Event) -> Cell {
    TABLE[row as usize][event as usize]
}

/// An event with what it says.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the names are those of the events")]
pub enum Change<'a> {
    SubmitStarted(SessionId),
    Fill(&'a Fill),
    ReplaceRequested(&'a ReplaceTerms),
    Replaced(&'a ReplaceTerms),
    FoundAtVenue(&'a VenueSnapshot),
    /// Any of the others.
    Other(Event, &'a OrderEvent),
}

impl Change<'_> {
    /// Which event it is for this order.
    #[must_use]
    pub fn event(&self, order: &Order) -> Event {
        match self {
            Self::SubmitStarted(_) => Event::SubmitStarted,
            Self::Fill(fill) if order.sighting(fill) == Sighting::New => Event::Fill,
            Self::Fill(_) => Event::FillSeen,
            Self::ReplaceRequested(_) => Event::ReplaceRequested,
            Self::Replaced(_) => Event::Replaced,
            Self::FoundAtVenue(_) => Event::FoundAtVenue,
            Self::Other(event, _) => *event,
        }
    }

    /// Name of the event, a trade being new.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::SubmitStarted(_) => Event::SubmitStarted.name(),
            Self::Fill(_) => Event::Fill.name(),
            Self::ReplaceRequested(_) => Event::ReplaceRequested.name(),
            Self::Replaced(_) => Event::Replaced.name(),
            Self::FoundAtVenue(_) => Event::FoundAtVenue.name(),
            Self::Other(event, _) => event.name(),
        }
    }

    pub(crate) fn venue_order_id(&self) -> Option<&str> {
        match self {
            Self::FoundAtVenue(found) => found.venue_order_id.as_deref(),
            Self::Other(_, event) => event.venue_order_id.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Other(_, event) => &event.reason,
            _ => "",
        }
    }

    /// True for what a venue reports, and so answers SUBMIT_STARTED.
    pub(crate) fn is_report(&self) -> bool {
        match self {
            Self::SubmitStarted(_) | Self::ReplaceRequested(_) => false,
            Self::Other(event, _) => *event != Event::CancelRequested,
            Self::Fill(_) | Self::Replaced(_) | Self::FoundAtVenue(_) => true,
        }
    }
}

/// The cell for this order and change, with the conditional effects decided.
#[must_use]
pub fn resolve(order: &Order, change: &Change<'_>) -> Cell {
    let found = cell(Row::of(order), change.event(order));
    let unless_acked = |effect| if order.acked { ALARM } else { Cell { effect, ..found } };
    match found.effect {
        Effect::RejectUnlessAcked => unless_acked(Effect::Reject),
        Effect::AbsentUnlessAcked => unless_acked(Effect::Absent),
        // Of an order that the venue has, these speak of the cancel that is under way.
        Effect::DoubtUnlessAcked if order.acked => S,
        Effect::NotSentUnlessAcked if order.acked => S,
        Effect::DoubtUnlessAcked => Cell {
            effect: Effect::Doubt,
            ..found
        },
        Effect::NotSentUnlessAcked => Cell {
            effect: Effect::NotSent,
            ..found
        },
        Effect::Reopen => match change {
            Change::FoundAtVenue(snapshot) if snapshot.working => found,
            _ => S,
        },
        _ => found,
    }
}

/// True when the change tells something: a repeat of what is known is not worth a record.
#[must_use]
pub fn is_news(order: &Order, change: &Change<'_>, cell: Cell) -> bool {
    match cell.effect {
        Effect::Illegal => true,
        Effect::Same => cell.alarm || answers(order, change) || brings_id(order, change),
        Effect::Ack => {
            !order.acked || order.in_doubt || order.end.is_some() || answers(order, change) || brings_id(order, change)
        }
        Effect::Adopt => {
            let ends_doubt = order.in_doubt && matches!(change, Change::FoundAtVenue(snapshot) if snapshot.working);
            !order.acked || ends_doubt || answers(order, change) || brings_id(order, change)
        }
        Effect::CancelDoubt => !order.cancel_in_doubt || answers(order, change),
        Effect::WantCancel => !order.cancel_wanted,
        _ => true,
    }
}

fn answers(order: &Order, change: &Change<'_>) -> bool {
    change.is_report() && order.submit.is_some() && !order.answered
}

fn brings_id(order: &Order, change: &Change<'_>) -> bool {
    order.venue_order_id.is_none() && change.venue_order_id().is_some()
}
