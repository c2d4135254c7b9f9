//! The life cycle: which event does what to an order, in one table of 12 rows × 18 events.
//!
//! A row is what the order looks like, an event is what happened, a cell is the effect on the facts. Fills have no
//! illegal cell: an exchange's trade counts whatever we believed. An illegal event is recorded and counted, and never
//! raised at a client.

use crate::order::Order;
use crate::terms::{OrdStatus, RejectedBy};

pub use crate::turns::{Change, is_news, resolve};

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
    /// The venue says that all that was asked for has traded.
    Done,
}

impl Event {
    /// Every event with its name in the audit trail, in the table's order.
    pub const ALL: [(Self, &'static str); 18] = [
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
        (Self::Done, "DONE"),
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
    /// A cancel is under way, and a new order follows it.
    AskRenewal,
    /// Never sent, and ended for a new order.
    Withdraw,
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
    /// All that was asked for has traded.
    Done,
    /// [`Effect::Done`] of an order by amount of quote that has traded. Of any other its quantity tells: a trade is
    /// missing when that is not reached.
    DoneIfByQuote,
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
pub(crate) const fn c(effect: Effect) -> Cell {
    Cell { effect, alarm: false }
}

/// A cell with an alarm.
const fn a(effect: Effect) -> Cell {
    Cell { effect, alarm: true }
}

const X: Cell = c(Effect::Illegal);
pub(crate) const S: Cell = c(Effect::Same);
pub(crate) const ALARM: Cell = a(Effect::Same);

#[rustfmt::skip]
const TABLE: [[Cell; 18]; 12] = {
    use Effect::*;
    [
        // SUBMIT_STARTED, ACKED, REJECTED, IN_DOUBT, NOT_SENT, FILL, FILL_SEEN,
        // CANCEL_REQUESTED, CANCELED, CANCEL_REJECTED, CANCEL_IN_DOUBT,
        // REPLACE_REQUESTED, REPLACED, REPLACE_REJECTED, EXPIRED, FOUND_AT_VENUE, ABSENT_AT_VENUE, DONE
        /* PENDING_NEW */
        [c(Start), c(Ack), c(Reject), c(Doubt), c(NotSent), a(Book), S,
         c(Cancel), c(Cancel), X, X,
         c(Replace), X, X, c(Expire), c(Adopt), c(NeverSent), a(DoneIfByQuote)],
        /* SUBMITTED: a second SUBMIT_STARTED would be a second send */
        [X, c(Ack), c(Reject), c(Doubt), c(NotSent), c(Book), S,
         c(AskCancel), c(Cancel), S, c(Doubt),
         X, X, X, c(Expire), c(Adopt), c(Absent), c(DoneIfByQuote)],
        /* IN_DOUBT: a refused cancel proves nothing */
        [X, c(Ack), c(RejectUnlessAcked), S, c(NotSentUnlessAcked), c(Book), S,
         c(WantCancel), c(Cancel), S, S,
         X, X, X, c(Expire), c(Adopt), c(AbsentUnlessAcked), c(DoneIfByQuote)],
        /* NEW */
        [X, S, a(Reject), S, X, c(Book), S,
         c(AskCancel), c(Cancel), S, c(CancelDoubt),
         c(AskReplace), ALARM, S, c(Expire), c(Adopt), ALARM, c(DoneIfByQuote)],
        /* PARTIALLY_FILLED */
        [X, S, ALARM, S, X, c(Book), S,
         c(AskCancel), c(Cancel), S, c(CancelDoubt),
         c(AskReplace), ALARM, S, c(Expire), c(Adopt), ALARM, c(DoneIfByQuote)],
        /* PENDING_CANCEL: perhaps before any answer to the send, so that its outcome may still be any */
        [X, c(Ack), c(RejectUnlessAcked), c(DoubtUnlessAcked), c(NotSentUnlessAcked), c(Book), S,
         S, c(Cancel), c(CancelLost), c(CancelDoubt),
         X, c(Replace), c(ReplaceLost), c(Expire), c(Adopt), c(AbsentUnlessAcked), c(DoneIfByQuote)],
        /* PENDING_REPLACE: of one to be placed anew, CANCEL_REJECTED and CANCEL_IN_DOUBT speak of its cancel */
        [X, S, X, S, S, c(Book), S,
         c(AskCancel), c(Cancel), S, S,
         X, c(Replace), c(ReplaceLost), c(Expire), c(Adopt), ALARM, c(DoneIfByQuote)],
        /* FILLED */
        [X, S, X, S, X, a(Book), S,
         X, S, S, S,
         X, S, S, S, S, S, S],
        /* CANCELED */
        [X, S, S, S, X, a(Book), S,
         S, S, S, S,
         X, S, S, S, a(Reopen), S, S],
        /* EXPIRED */
        [X, S, S, S, X, a(Book), S,
         S, S, S, S,
         X, S, S, S, a(Reopen), S, S],
        /* REJECTED by VENUE */
        [X, a(Ack), S, S, X, a(Book), S,
         X, S, S, S,
         X, S, S, S, a(Reopen), S, S],
        /* REJECTED by GATEWAY */
        [X, a(Effect::Illegal), X, X, X, a(Book), S,
         X, S, S, S,
         X, X, X, X, ALARM, S, X],
    ]
};

/// The cell of a row and an event.
#[must_use]
pub const fn cell(row: Row, event: Event) -> Cell {
    TABLE[row as usize][event as usize]
}
