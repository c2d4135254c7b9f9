//! One order of the reference model: its facts, what each report does to them, and the status that follows.
//!
//! Written from the rules (`reference/mission.md` §2), fact by fact, and not as the core's table of rows and events.

use ordergate_core::terms::{Mode, Nanos, OrderId, SessionId};
use std::collections::BTreeMap;

pub const UNIT: i128 = 100_000_000;

/// How an order ended, with the two kinds of refusal apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Canceled,
    Expired,
    RejectedByVenue,
    RejectedByGateway,
}

/// What the status is a function of.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    pub end: Option<End>,
    pub ordered: i128,
    pub traded: i128,
    pub in_doubt: bool,
    pub cancel_pending: bool,
    pub acked: bool,
    pub submitted: bool,
}

/// Status by precedence: the first row that holds.
type Row = (&'static str, fn(&Facts) -> bool);
#[rustfmt::skip]
const STATUS: [Row; 11] = [
    ("REJECTED", |f| f.end == Some(End::RejectedByGateway)),
    ("FILLED", |f| f.traded >= f.ordered),
    ("CANCELED", |f| f.end == Some(End::Canceled)),
    ("EXPIRED", |f| f.end == Some(End::Expired)),
    ("REJECTED", |f| f.end == Some(End::RejectedByVenue)),
    ("IN_DOUBT", |f| f.in_doubt),
    ("PENDING_CANCEL", |f| f.cancel_pending),
    ("PARTIALLY_FILLED", |f| f.traded > 0),
    ("NEW", |f| f.acked),
    ("SUBMITTED", |f| f.submitted),
    ("PENDING_NEW", |_| true),
];

impl Facts {
    pub fn status(&self) -> &'static str {
        STATUS.iter().find(|(_, holds)| holds(self)).unwrap().0
    }
}

/// The digits of a trade: scaled by 10⁸.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    pub price: i128,
    pub qty: i128,
    pub quote: i128,
    pub fee: i128,
    pub fee_asset: &'static str,
}

/// A report about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Ack(&'static str),
    Reject(&'static str),
    NotSent(&'static str),
    Unknown,
    Trade(String, Trade),
    Canceled(&'static str),
    CancelReject,
    CancelUnknown,
    Expired(&'static str),
    Replaced {
        qty: i128,
        price: i128,
    },
    ReplaceReject,
    Found {
        working: bool,
    },
    Absent,
    /// It cannot be booked: a figure is out of range.
    Unreadable,
}

/// The venue's id in every report that carries one.
pub const VENUE_ID: &str = "v";

#[derive(Debug, Clone)]
pub struct Order {
    pub id: OrderId,
    pub account: u32,
    pub mode: Mode,
    pub instrument: usize,
    pub buy: bool,
    pub market: bool,
    pub qty: i128,
    pub price: Option<i128>,
    pub client_id: Option<String>,
    pub strategy: Option<String>,
    /// When it has waited long enough to be sent.
    pub deadline: Nanos,
    /// What the risk check reserved.
    pub entry_hold: i128,
    pub trades: BTreeMap<String, Trade>,
    pub end: Option<End>,
    pub reason: String,
    pub venue_id: Option<String>,
    pub submit: Option<SessionId>,
    pub acked: bool,
    pub answered: bool,
    pub in_doubt: bool,
    pub cancel_pending: bool,
    pub cancel_wanted: bool,
    pub late_fill: bool,
    /// Sold by the gateway itself for a kill of level 3.
    pub flattens: bool,
    /// Placed by somebody else: what had traded of it before.
    pub external: Option<i128>,
    /// The price on the other side when it was decided.
    pub met: Option<i128>,
    /// Quantity and price that make it equal to others; a restart knows only those that it has now.
    pub asked: (i128, Option<i128>),
    /// When it was decided, and on which UTC day.
    pub received: Nanos,
    pub day: Option<i64>,
    /// A check failed.
    pub denied: bool,
}

/// `a × b`, both scaled by 10⁸, rounded up to 8 decimals.
pub fn product_up(a: i128, b: i128) -> i128 {
    (a * b + UNIT - 1) / UNIT
}

/// `money ÷ qty`, to the nearest, a tie to the even one.
fn half_even(money: i128, qty: i128) -> i128 {
    let (low, rest) = (money / qty, money % qty);
    match (2 * rest).cmp(&qty) {
        std::cmp::Ordering::Less => low,
        std::cmp::Ordering::Greater => low + 1,
        std::cmp::Ordering::Equal => low + low % 2,
    }
}

impl Order {
    pub fn facts(&self) -> Facts {
        Facts {
            end: self.end,
            ordered: self.qty,
            traded: self.traded(),
            in_doubt: self.in_doubt,
            cancel_pending: self.cancel_pending,
            acked: self.acked,
            submitted: self.submit.is_some(),
        }
    }

    pub fn status(&self) -> &'static str {
        self.facts().status()
    }

    pub fn traded(&self) -> i128 {
        self.external.unwrap_or(0) + self.booked()
    }

    /// What its known trades add up to.
    pub fn booked(&self) -> i128 {
        self.trades.values().map(|trade| trade.qty).sum()
    }

    pub fn quote(&self) -> i128 {
        self.trades.values().map(|trade| trade.quote).sum()
    }

    pub fn average(&self) -> Option<i128> {
        let money = self.trades.values().map(|trade| trade.price * trade.qty).sum();
        (self.booked() > 0).then(|| half_even(money, self.booked()))
    }

    pub fn is_open(&self) -> bool {
        self.end.is_none() && self.traded() < self.qty
    }

    pub fn is_unsent(&self) -> bool {
        self.status() == "PENDING_NEW"
    }

    /// A send was started and nothing has been heard since.
    pub fn is_unanswered(&self) -> bool {
        self.is_open() && self.submit.is_some() && !self.answered
    }

    /// What the rest may cost at worst: quote for BUY, base for SELL.
    pub fn hold(&self) -> i128 {
        let leaves = self.qty - self.traded();
        match (self.is_open(), self.buy, self.price) {
            (false, ..) => 0,
            (true, false, _) => leaves,
            (true, true, Some(price)) => product_up(price, leaves),
            (true, true, None) => (self.entry_hold - self.quote()).max(0),
        }
    }

    /// Its part of a position, with fees taken in base.
    pub fn position(&self, base: &str) -> i128 {
        let fees = self.trades.values().filter(|trade| trade.fee_asset == base);
        let sign = if self.buy { 1 } else { -1 };
        sign * self.booked() - fees.map(|trade| trade.fee).sum::<i128>()
    }

    pub fn leaves(&self) -> i128 {
        if self.is_open() { self.qty - self.traded() } else { 0 }
    }

    /// What the rest may be worth in quote.
    pub fn open_notional(&self) -> i128 {
        if self.buy {
            return self.hold();
        }
        product_up(self.price.or(self.met).unwrap_or(0), self.leaves())
    }

    /// A report arrives. Whatever it says, it answers the send; what it says counts as far as it can be true.
    pub fn hear(&mut self, event: &Event) {
        let unanswered = self.is_unanswered();
        let (open, status) = (self.is_open(), self.status());
        let refused = self.end == Some(End::RejectedByGateway);
        match event {
            Event::Ack(_) if refused => {}
            Event::Ack(id) => {
                self.venue_id.get_or_insert((*id).to_owned());
                if open || status == "REJECTED" {
                    (self.acked, self.in_doubt) = (true, false);
                    self.reopen();
                }
            }
            // An acknowledged order may be refused only while nothing else happened to it.
            Event::Reject(why) if open && (!self.acked || status == "NEW") => self.finish(End::RejectedByVenue, why),
            Event::NotSent("KILLED") if open && !self.acked => self.finish(End::Canceled, "KILLED"),
            // Once in doubt, later evidence may still re-open it: only what was never handed over is final.
            Event::NotSent(_) if open && !self.acked => {
                let by_venue = self.in_doubt;
                let end = if by_venue {
                    End::RejectedByVenue
                } else {
                    End::RejectedByGateway
                };
                self.finish(end, "NOT_SENT");
            }
            Event::Unknown if open && !self.acked => self.doubt(),
            Event::Unreadable if unanswered && !self.acked => self.doubt(),
            Event::Trade(id, trade) => self.trade(id, trade, unanswered),
            // A venue that only confirms has no reason of its own.
            Event::Canceled("") if open && (self.cancel_pending || self.cancel_wanted) => {
                let ours = self.reason.clone();
                self.finish(End::Canceled, &ours);
            }
            Event::Canceled(why) if open => self.finish(End::Canceled, why),
            Event::CancelReject if status == "PENDING_CANCEL" => {
                self.cancel_pending = false;
                self.reason.clear();
            }
            Event::CancelUnknown => match status {
                "SUBMITTED" => self.doubt(),
                "NEW" | "PARTIALLY_FILLED" => self.cancel_pending = true,
                _ => {}
            },
            Event::Expired(why) if open => self.finish(End::Expired, why),
            Event::Replaced { qty, price } if status == "PENDING_CANCEL" => {
                (self.qty, self.price) = (*qty, Some(*price));
                self.entry_hold = product_up(*qty, *price);
                if !self.is_open() {
                    self.settle();
                }
            }
            Event::Found { working } => {
                self.venue_id.get_or_insert(VENUE_ID.to_owned());
                let ended = !open && !refused && status != "FILLED";
                self.acked |= open || (ended && *working);
                if *working && (open || ended) {
                    self.in_doubt = false;
                    self.reopen();
                }
            }
            Event::Absent if status == "PENDING_NEW" => self.finish(End::Canceled, "NEVER_SENT"),
            Event::Absent if open && !self.acked => self.finish(End::RejectedByVenue, "NOT_AT_VENUE"),
            _ => {}
        }
        self.answered |= self.submit.is_some();
    }

    /// A trade counts once, whatever the order looks like, and proves that the venue took the order.
    fn trade(&mut self, id: &str, trade: &Trade, unanswered: bool) {
        match self.trades.get(id) {
            Some(known) if known != trade && unanswered => self.hear(&Event::Unreadable),
            Some(_) => {}
            None => {
                self.trades.insert(id.to_owned(), trade.clone());
                (self.acked, self.in_doubt) = (true, false);
                self.late_fill |= self.end.is_some();
                if self.end == Some(End::RejectedByVenue) {
                    self.reopen();
                }
                if self.traded() >= self.qty {
                    if self.end.is_none() {
                        self.reason.clear();
                    }
                    self.settle();
                }
            }
        }
    }

    /// We want it canceled: an unsent order ends at once, one in doubt is canceled when the doubt ends.
    pub fn ask_cancel(&mut self, why: &str) {
        match self.status() {
            "PENDING_NEW" => self.finish(End::Canceled, why),
            "SUBMITTED" | "NEW" | "PARTIALLY_FILLED" => {
                (self.cancel_pending, self.cancel_wanted) = (true, false);
                self.reason = why.to_owned();
            }
            "IN_DOUBT" if !self.cancel_wanted => {
                self.cancel_wanted = true;
                self.reason = why.to_owned();
            }
            _ => {}
        }
    }

    pub fn finish(&mut self, end: End, why: &str) {
        self.end = Some(end);
        self.reason = why.to_owned();
        self.settle();
    }

    fn settle(&mut self) {
        (self.in_doubt, self.cancel_pending, self.cancel_wanted) = (false, false, false);
    }

    fn doubt(&mut self) {
        self.in_doubt = true;
        self.cancel_wanted |= self.cancel_pending;
        self.cancel_pending = false;
    }

    fn reopen(&mut self) {
        if self.end.take().is_some() {
            self.reason.clear();
        }
    }
}
