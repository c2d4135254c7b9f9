//! Every cell of the life cycle, with what is expected written out: 12 rows × 18 events.

use crate::expected::EXPECTED;
use crate::support::START;
use ordergate_core::lifecycle::{Effect, Event, Row, cell};
use ordergate_core::number::{Amount, Price, Qty};
use ordergate_core::order::Order;
use ordergate_core::record::*;
use ordergate_core::state::{Applied, State};
use ordergate_core::terms::{Mode, OrdStatus, OrdType, OrderId, RejectedBy, Seq, Side, TimeInForce};

struct Fold {
    state: State,
    seq: Seq,
    order: OrderId,
    session: u64,
}

impl Fold {
    fn apply(&mut self, record: &Record) -> Applied {
        self.seq += 1;
        self.state.apply(self.seq, START + self.seq as i64, record).unwrap()
    }

    fn order(&self) -> &Order {
        self.state.order(self.order).unwrap()
    }

    fn shown(&self) -> String {
        format!("{} {}", self.order().status(), self.order().held)
    }

    /// Balance of USDT: (total, held).
    fn balance(&self) -> (String, String) {
        crate::support::balance_of(&self.state, 0, Mode::Live, "USDT")
    }

    fn happen(&mut self, event: Event) -> Applied {
        let trade = format!("t{}", self.order().fill_count() + 1);
        let record = match event {
            Event::FillSeen => self.record(Event::Fill, "t1"),
            other => self.record(other, &trade),
        };
        self.apply(&record)
    }

    fn record(&self, event: Event, trade_id: &str) -> Record {
        let order = self.order;
        let body = OrderEvent {
            order,
            reason: "WHY".into(),
            text: String::new(),
            venue_order_id: None,
        };
        let (qty, price) = (Qty::parse("3").unwrap(), Some(Price::parse("50").unwrap()));
        let terms = ReplaceTerms {
            order,
            qty,
            price,
            hold: Amount::parse("150").unwrap(),
            anew: None,
        };
        match event {
            Event::SubmitStarted => Record::SubmitStarted(SubmitStarted {
                order,
                session: self.session,
            }),
            Event::Acked => Record::Acked(body),
            Event::Rejected => Record::VenueRejected(body),
            Event::InDoubt => Record::InDoubt(body),
            Event::NotSent => Record::NotSent(body),
            Event::Fill | Event::FillSeen => Record::Fill(Fill {
                order,
                trade_id: trade_id.into(),
                price: Price::parse("50").unwrap(),
                qty: Qty::parse("1").unwrap(),
                quote_qty: Amount::parse("50").unwrap(),
                fee: Amount::ZERO,
                fee_asset: "USDT".into(),
                maker: true,
                venue_ns: 1,
                fee_value: None,
            }),
            Event::CancelRequested => Record::CancelRequested(body),
            Event::Canceled => Record::Canceled(body),
            Event::CancelRejected => Record::CancelRejected(body),
            Event::CancelInDoubt => Record::CancelInDoubt(body),
            Event::ReplaceRequested => Record::ReplaceRequested(terms),
            Event::Replaced => Record::Replaced(terms),
            Event::ReplaceRejected => Record::ReplaceRejected(body),
            Event::Expired => Record::Expired(body),
            Event::FoundAtVenue => Record::FoundAtVenue(VenueSnapshot {
                order,
                venue_order_id: Some("v1".into()),
                working: true,
                cum_qty: Qty(0),
            }),
            Event::AbsentAtVenue => Record::AbsentAtVenue(body),
            Event::Done => Record::Done(body),
        }
    }
}

fn terms() -> Terms {
    Terms {
        account: 0,
        key: 0,
        mode: Mode::Live,
        instrument: 0,
        side: Side::Buy,
        ord_type: OrdType::Limit,
        time_in_force: TimeInForce::Gtc,
        qty: Qty::parse("2").unwrap(),
        price: Some(Price::parse("50").unwrap()),
        client_order_id: Some("mine".into()),
        strategy_id: None,
        valid_for_ms: None,
        conditions: None,
    }
}

fn request() -> RequestKey {
    RequestKey {
        key: "k".into(),
        fingerprint: 1,
        fingerprint2: 2,
    }
}

/// An order in this row.
fn order_in(row: Row) -> Fold {
    let mut fold = Fold {
        state: State::default(),
        seq: 0,
        order: 0,
        session: 0,
    };
    fold.apply(&Record::AccountCreated(AccountCreated {
        account: 0,
        name: "desk".into(),
    }));
    fold.apply(&Record::KeyCreated(KeyCreated {
        key: 0,
        account: 0,
        owner: "ann".into(),
        name: "k".into(),
        token_sha256: [1; 32],
        scopes: 2,
        rate_per_second: 0,
        expires_at: None,
        symbols: vec![],
        ip_allow: vec![],
    }));
    fold.apply(&Record::InstrumentSet(crate::support::instrument("BTCUSDT", "BTC")));
    fold.apply(&Record::SessionOpened(SessionOpened {
        venue: "binance".into(),
        mode: Mode::Live,
        pid: 1,
    }));
    fold.session = fold.seq;
    fold.order = fold.seq + 1;
    let decision = Decision {
        limits_version: 0,
        reference_price: None,
        reference_age_ns: None,
        failed: vec![],
        tightest: None,
        ..Decision::default()
    };
    let answer = String::from("{}");
    if row == Row::Denied {
        let denied = OrderDenied {
            terms: terms(),
            request: request(),
            decision,
            answer_status: 422,
            answer,
        };
        fold.apply(&Record::OrderDenied(denied));
        return fold;
    }
    let hold = Amount::parse("100").unwrap();
    let accepted = OrderAccepted {
        terms: terms(),
        hold,
        request: request(),
        decision,
        answer_status: 201,
        answer,
    };
    fold.apply(&Record::OrderAccepted(accepted));
    let (submitted, new) = ([Event::SubmitStarted], [Event::SubmitStarted, Event::Acked]);
    let (before, last) = match row {
        Row::PendingNew | Row::Denied => (&[][..], None),
        Row::Submitted => (&submitted[..], None),
        Row::InDoubt => (&submitted[..], Some(Event::InDoubt)),
        Row::Rejected => (&submitted[..], Some(Event::Rejected)),
        Row::New => (&new[..], None),
        Row::PartiallyFilled => (&new[..], Some(Event::Fill)),
        Row::PendingCancel => (&new[..], Some(Event::CancelRequested)),
        Row::PendingReplace => (&new[..], Some(Event::ReplaceRequested)),
        Row::Canceled => (&new[..], Some(Event::Canceled)),
        Row::Expired => (&new[..], Some(Event::Expired)),
        Row::Filled => (
            &[Event::SubmitStarted, Event::Acked, Event::Fill][..],
            Some(Event::Fill),
        ),
    };
    for event in before.iter().chain(&last) {
        fold.happen(*event);
    }
    assert_eq!(Row::of(fold.order()), row);
    fold
}

#[test]
fn every_cell_is_as_written() {
    let mut wrong = Vec::new();
    for (row, (name, cells)) in Row::ALL.into_iter().zip(EXPECTED) {
        for ((event, event_name), expected) in Event::ALL.into_iter().zip(cells) {
            let mut fold = order_in(row);
            if event == Event::FillSeen && fold.order().fill_count() == 0 {
                // Without a fill there is none to see again: the row is left with the fill, so only the table can tell.
                let found = cell(row, event);
                if found.effect != Effect::Same || found.alarm {
                    wrong.push(format!("{name} × {event_name}: {found:?}"));
                }
                continue;
            }
            let before = (fold.shown(), fold.balance().0, fold.state.counters().illegal);
            let applied = fold.happen(event);
            let shown = if applied.alarm == Some("ILLEGAL_EVENT") {
                "x".to_owned()
            } else if applied.alarm.is_some() {
                format!("{} !", fold.shown())
            } else if fold.shown() == before.0 {
                "=".to_owned()
            } else {
                fold.shown()
            };
            if shown != expected {
                wrong.push(format!("{name} × {event_name}: expected {expected}, is {shown}"));
            }
            if shown == "x" && (fold.shown() != before.0 || fold.state.counters().illegal != before.2 + 1) {
                wrong.push(format!(
                    "{name} × {event_name}: an illegal event changed something or was not counted"
                ));
            }
            if (event == Event::Fill) == (fold.balance().0 == before.1) {
                wrong.push(format!("{name} × {event_name}: fills and only fills change a balance"));
            }
            crate::support::check_state(&fold.state);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_fill_has_no_illegal_cell_and_a_repeat_never_counts() {
    for row in Row::ALL {
        assert_eq!(cell(row, Event::Fill).effect, Effect::Book, "{row:?}");
        let mut fold = order_in(row);
        let fill = fold.record(Event::Fill, "again");
        fold.apply(&fill);
        let after = (fold.shown(), fold.balance(), fold.order().cum_qty);
        fold.apply(&fill);
        assert_eq!((fold.shown(), fold.balance(), fold.order().cum_qty), after, "{row:?}");
    }
}

#[test]
fn who_refused_and_why_is_told() {
    let facts = |row, event| {
        let mut fold = order_in(row);
        fold.happen(event);
        (fold.order().rejected_by(), fold.order().reason.to_string())
    };
    assert_eq!(
        facts(Row::Submitted, Event::Rejected),
        (Some(RejectedBy::Venue), "WHY".into())
    );
    assert_eq!(
        facts(Row::Submitted, Event::NotSent),
        (Some(RejectedBy::Gateway), "NOT_SENT".into())
    );
    assert_eq!(
        facts(Row::PendingNew, Event::NotSent),
        (Some(RejectedBy::Gateway), "NOT_SENT".into())
    );
    assert_eq!(
        facts(Row::InDoubt, Event::NotSent),
        (Some(RejectedBy::Venue), "NOT_SENT".into()),
        "it was in doubt: late evidence may still re-open it"
    );
    assert_eq!(
        facts(Row::InDoubt, Event::AbsentAtVenue),
        (Some(RejectedBy::Venue), "NOT_AT_VENUE".into())
    );
    assert_eq!(
        facts(Row::PendingNew, Event::AbsentAtVenue),
        (None, "NEVER_SENT".into())
    );
    assert_eq!(facts(Row::New, Event::Expired), (None, "WHY".into()));
    assert_eq!(
        facts(Row::Rejected, Event::Acked),
        (None, String::new()),
        "re-opened: no reason is left"
    );
}

#[test]
fn a_cancel_before_any_answer_leaves_every_outcome_open() {
    let after = |event| {
        let mut fold = order_in(Row::Submitted);
        fold.happen(Event::CancelRequested);
        assert_eq!(fold.order().status(), OrdStatus::PendingCancel);
        let alarm = fold.happen(event).alarm;
        (fold.shown(), alarm, fold.order().cancel_wanted)
    };
    assert_eq!(after(Event::Rejected), ("REJECTED 0".into(), None, false));
    assert_eq!(after(Event::NotSent), ("REJECTED 0".into(), None, false));
    assert_eq!(after(Event::AbsentAtVenue), ("REJECTED 0".into(), None, false));
    assert_eq!(
        after(Event::InDoubt),
        ("IN_DOUBT 100".into(), None, true),
        "the cancel becomes a wish"
    );
    assert_eq!(after(Event::Acked), ("PENDING_CANCEL 100".into(), None, false));
    assert_eq!(after(Event::CancelRejected), ("SUBMITTED 100".into(), None, false));
}

#[test]
fn an_order_in_doubt_that_the_venue_showed_as_not_working_stays_in_doubt() {
    let mut fold = order_in(Row::InDoubt);
    let found = VenueSnapshot {
        order: fold.order,
        venue_order_id: Some("v1".into()),
        working: false,
        cum_qty: Qty(0),
    };
    fold.apply(&Record::FoundAtVenue(found));
    assert_eq!(fold.shown(), "IN_DOUBT 100");
    // It was there: it can be neither absent nor refused.
    assert_eq!(fold.happen(Event::AbsentAtVenue).alarm, Some("ABSENT_AT_VENUE"));
    assert_eq!(fold.happen(Event::Rejected).alarm, Some("REJECTED"));
    assert_eq!(fold.shown(), "IN_DOUBT 100");
    fold.happen(Event::Canceled);
    assert_eq!(fold.shown(), "CANCELED 0");
    // A view of an ended order as not working re-opens nothing.
    let found = VenueSnapshot {
        order: fold.order,
        venue_order_id: None,
        working: false,
        cum_qty: Qty(0),
    };
    assert_eq!(fold.apply(&Record::FoundAtVenue(found)).alarm, None);
    assert_eq!(fold.shown(), "CANCELED 0");
}

#[test]
fn late_fills_complete_a_canceled_order_and_overfills_are_booked() {
    let mut fold = order_in(Row::Canceled);
    fold.happen(Event::Fill);
    assert!(fold.order().late_fill);
    fold.happen(Event::Fill);
    assert_eq!(fold.shown(), "FILLED 0");
    assert_eq!(fold.happen(Event::Fill).alarm, Some("FILL"));
    assert_eq!(fold.shown(), "FILLED 0");
    assert_eq!(fold.order().overfill(), Amount::parse("1").unwrap());
    assert_eq!(fold.balance(), ("-150".into(), "0".into()));
}

#[test]
fn a_fill_of_a_denied_order_is_booked_and_re_opens_nothing() {
    let mut fold = order_in(Row::Denied);
    fold.happen(Event::Fill);
    fold.happen(Event::Fill);
    assert_eq!(fold.balance(), ("-100".into(), "0".into()));
    assert_eq!(fold.shown(), "REJECTED 0");
    assert_eq!(fold.order().rejected_by(), Some(RejectedBy::Gateway));
}

#[test]
fn status_takes_precedence_as_written() {
    // A partial fill during a cancel keeps the cancel; its refusal falls back by itself.
    let mut fold = order_in(Row::PendingCancel);
    fold.happen(Event::Fill);
    assert_eq!(fold.order().status(), OrdStatus::PendingCancel);
    fold.happen(Event::CancelRejected);
    assert_eq!(fold.order().status(), OrdStatus::PartiallyFilled);
    // A cancel over a replace: the replace's answer falls through.
    let mut fold = order_in(Row::PendingReplace);
    fold.happen(Event::CancelRequested);
    fold.happen(Event::CancelRejected);
    assert_eq!(fold.shown(), "PENDING_REPLACE 150");
    fold.happen(Event::CancelRequested);
    fold.happen(Event::Replaced);
    assert_eq!(fold.shown(), "PENDING_CANCEL 150");
    fold.happen(Event::CancelRejected);
    assert_eq!(fold.shown(), "NEW 150");
}
