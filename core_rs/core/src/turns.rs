//! What one event means for one order: its cell in the life cycle, with what depends on the order's facts decided.

use crate::lifecycle::{ALARM, Cell, Effect, Event, Row, S, c, cell};
use crate::order::{Order, Sighting};
use crate::record::{Fill, OrderEvent, ReplaceTerms, VenueSnapshot};
use crate::terms::SessionId;

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
        Effect::DoneIfByQuote => match () {
            () if order.terms.quote_qty().is_some() && !order.cum_qty.is_zero() => Cell {
                effect: Effect::Done,
                ..found
            },
            () => ALARM,
        },
        Effect::Reopen => match change {
            Change::FoundAtVenue(snapshot) if snapshot.working => found,
            _ => S,
        },
        _ if order.renewal().is_some() || is_renewal(change) => renewing(order, change, found),
        _ => found,
    }
}

const fn is_renewal(change: &Change<'_>) -> bool {
    matches!(change, Change::ReplaceRequested(new) if new.anew.is_some())
}

/// The cells of an order that is to be canceled and placed anew, where they differ from those of one that is changed in
/// place: what is under way at the venue is a cancel.
fn renewing(order: &Order, change: &Change<'_>, found: Cell) -> Cell {
    match (found.effect, change.event(order)) {
        (Effect::Replace, Event::ReplaceRequested) => c(Effect::Withdraw),
        (Effect::AskReplace, Event::ReplaceRequested) => c(Effect::AskRenewal),
        (Effect::Replace | Effect::ReplaceLost, _) => ALARM,
        (Effect::Same, Event::CancelRejected) if order.end.is_none() => c(Effect::CancelLost),
        (Effect::Same, Event::CancelInDoubt) if order.end.is_none() => c(Effect::CancelDoubt),
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
