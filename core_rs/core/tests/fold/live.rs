//! Stories of LIVE: what the venue takes, what it shows, what differs, and what people do about doubts.

use crate::support::*;
use ordergate_core::account_reports::{AccountReport, RawExternal, RawRun};
use ordergate_core::engine::{Changed, Engine, Submitted};
use ordergate_core::number::Amount;
use ordergate_core::record::Record;
use ordergate_core::refusal::Refusal;
use ordergate_core::report::{OrderReport, Report};
use ordergate_core::terms::{DriftClass, KillScope, Mode, OrdStatus, OrderId, SessionId, Side};

/// An order that somebody else has placed: a GTC LIMIT of 2 at 50.
const OUTSIDE: RawExternal<'_> = RawExternal {
    symbol: "BTCUSDT",
    venue_order_id: "77",
    client_id: "web_1",
    side: Side::Buy,
    ord_type: "LIMIT",
    time_in_force: "GTC",
    qty: "2",
    cum_qty: "0",
    price: Some("50"),
    stop_price: None,
};

fn shown(world: &mut World, live: SessionId, raw: RawExternal<'_>) -> OrderId {
    world.tell(live, "desk", AccountReport::External(raw));
    let state = world.engine.state();
    state.order_by_venue_id(Mode::Live, 0, 0, raw.venue_order_id).unwrap()
}

fn drift(symbol: &'static str, class: DriftClass) -> AccountReport<'static> {
    AccountReport::Drift {
        symbol,
        class,
        detail: "0.5 more there",
    }
}

/// The codes of the failed checks of an order that is stored as refused.
fn failed(submitted: Result<Submitted, Refusal>) -> Vec<String> {
    let (_, status, body) = stored(submitted.unwrap());
    assert_eq!(status, 422, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let checks = body["checks"].as_array().unwrap().iter();
    checks.map(|check| check["code"].as_str().unwrap().to_owned()).collect()
}

/// An order of the first account in doubt.
fn doubtful(world: &mut World, live: SessionId) -> OrderId {
    let order = world.buy(Mode::Live, "1", "50");
    world.report(live, order, OrderReport::Unknown(cause("TIMEOUT", "no answer")));
    assert_eq!(world.status(order), OrdStatus::InDoubt);
    order
}

#[test]
fn an_order_from_outside_counts_like_our_own_and_is_never_canceled_by_us() {
    let (mut world, _, live) = World::connected();
    world.collect();
    let id = shown(
        &mut world,
        live,
        RawExternal {
            cum_qty: "0.5",
            ..OUTSIDE
        },
    );
    assert_eq!(world.names(), ["EXTERNAL_ORDER"]);
    let order = world.order(id);
    assert!(order.is_external() && !order.flattens());
    assert_eq!(
        (
            order.status(),
            order.terms.client_order_id.as_deref(),
            order.fill_count()
        ),
        (OrdStatus::PartiallyFilled, Some("web_1"), 0)
    );
    assert_eq!(world.balance(Mode::Live, "USDT"), ("1000000".into(), "75".into()));
    assert_eq!(world.engine.state().client_id_at_venue(order), "web_1");
    // Shown again it is known, whatever it looks like now.
    world.tell(
        live,
        "desk",
        AccountReport::External(RawExternal {
            cum_qty: "1",
            ..OUTSIDE
        }),
    );
    assert_eq!((world.names().len(), world.engine.duplicate_reports()), (0, 1));
    // Its trades count from here on; what had traded before is in the balance already.
    world.fill(live, id, "5", "0.5", "49");
    assert_eq!(world.balance(Mode::Live, "USDT"), ("999975.5".into(), "50".into()));
    assert_eq!(world.order(id).average_price().unwrap().to_string(), "49");
    // A kill of level 2 cancels what is ours, and nothing else; whoever owns the account may.
    world.names();
    world.kill(KillScope::Global, "", 2);
    world.wait(50);
    world.wait(1_100);
    let records = world.collect();
    assert!(
        !records
            .iter()
            .any(|record| matches!(record, Record::CancelRequested(_))),
        "{records:?}"
    );
    assert_eq!(world.cancel(id).unwrap().status, 202);
    world.report(live, id, OrderReport::Canceled(cause("", "")));
    assert_eq!(world.status(id), OrdStatus::Canceled);
    assert_eq!(world.balance(Mode::Live, "USDT").1, "0");
    world.check();
}

#[test]
fn an_order_from_outside_may_hold_more_than_there_is() {
    let (mut world, _, live) = World::connected();
    let dear = RawExternal {
        qty: "9000",
        price: Some("900000"),
        ..OUTSIDE
    };
    shown(&mut world, live, dear);
    assert_eq!(world.balance(Mode::Live, "USDT").1, "8100000000");
    assert_eq!(
        failed(world.submit(&limit(Mode::Live, "BUY", "1", "50"))),
        ["INSUFFICIENT_BALANCE"]
    );
    // Without a price a BUY holds what the mark tells, and nothing when nothing tells; a SELL its quantity.
    let market = RawExternal {
        venue_order_id: "78",
        ord_type: "TRAILING",
        price: None,
        ..OUTSIDE
    };
    let order = shown(&mut world, live, market);
    assert_eq!(
        (world.order(order).held, world.order(order).status()),
        (Amount::ZERO, OrdStatus::New)
    );
    let price = Report::Price {
        symbol: "BTCUSDT",
        bid: "40",
        ask: "41",
        last: "40",
        venue_ns: 1,
    };
    world.engine.report(live, &price, world.now).unwrap();
    let order = shown(
        &mut world,
        live,
        RawExternal {
            venue_order_id: "79",
            ..market
        },
    );
    assert_eq!(world.order(order).held.to_string(), "86.1");
    let sell = RawExternal {
        venue_order_id: "80",
        side: Side::Sell,
        cum_qty: "0.5",
        ..market
    };
    let order = shown(&mut world, live, sell);
    assert_eq!(world.order(order).held.to_string(), "1.5");
    world.check();
}

#[test]
fn what_makes_no_order_from_outside_is_parked_once() {
    let (mut world, _, live) = World::connected();
    world.collect();
    let bad = [
        RawExternal {
            symbol: "NOPE",
            ..OUTSIDE
        },
        RawExternal {
            qty: "1e400",
            ..OUTSIDE
        },
        RawExternal {
            venue_order_id: "",
            ..OUTSIDE
        },
    ];
    for raw in bad {
        for _ in 0..2 {
            world.tell(live, "desk", AccountReport::External(raw));
        }
        assert_eq!(world.names(), ["PARKED"], "{raw:?}");
    }
    world.tell(live, "nobody", AccountReport::External(OUTSIDE));
    assert_eq!(world.names(), ["PARKED"]);
    world.check();
}

#[test]
fn orders_wait_and_are_refused_until_the_venue_takes_those_of_their_account() {
    let (mut world, _, live) = World::connected();
    world.ready(live, "desk", false);
    let refused = world.submit(&limit(Mode::Live, "BUY", "1", "50")).unwrap_err();
    assert_eq!((refused.code, refused.retry_after_ms), ("venue_unavailable", Some(700)));
    assert!(refused.detail.contains("RATE_LIMITED"), "{}", refused.detail);
    // Others are not concerned, and PAPER never.
    let lab = world.caller(1);
    let theirs = world.submit_as(lab, "lab-1", &limit(Mode::Live, "BUY", "1", "50"));
    assert_eq!(stored(theirs.unwrap()).1, 201);
    world.buy(Mode::Paper, "1", "50");
    world.ready(live, "desk", true);
    let sent = world.buy(Mode::Live, "1", "50");
    assert_eq!(world.status(sent), OrdStatus::Submitted);
    // What the session told ends with it.
    let live = world
        .engine
        .open_session("binance", Mode::Live, 8, world.now)
        .unwrap()
        .unwrap();
    assert_eq!(
        code(world.submit(&limit(Mode::Live, "BUY", "1", "51"))),
        "venue_unavailable"
    );
    world.ready(live, "desk", true);
    world.engine.close_session(live);
    assert_eq!(
        code(world.submit(&limit(Mode::Live, "BUY", "1", "51"))),
        "venue_unavailable"
    );
    assert_eq!(world.engine.live_accounts().count(), 0);
    world.check();
}

#[test]
fn an_accepted_order_waits_for_its_account_and_others_pass_it() {
    let (mut world, _, live) = World::connected();
    let fill_window =
        |world: &mut World| -> Vec<OrderId> { (0..8).map(|_| world.buy(Mode::Live, "1", "50")).collect() };
    let sent = fill_window(&mut world);
    let waits = world.buy(Mode::Live, "1", "50");
    let lab = world.caller(1);
    let (theirs, ..) = stored(
        world
            .submit_as(lab, "lab-1", &limit(Mode::Live, "BUY", "1", "50"))
            .unwrap(),
    );
    world.ready(live, "desk", false);
    world.report(live, sent[0], OrderReport::Ack { venue_order_id: "v" });
    assert_eq!(
        (world.status(waits), world.status(theirs)),
        (OrdStatus::PendingNew, OrdStatus::Submitted)
    );
    // Nobody knows how long: it waits no longer than any other, and was never sent.
    world.wait(2_001);
    assert_eq!(
        (world.status(waits), &*world.order(waits).reason),
        (OrdStatus::Rejected, "NOT_SENT")
    );
    world.check();
}

#[test]
fn what_differs_leaves_only_reducing_orders_until_it_is_explained() {
    let (mut world, _, live) = World::connected();
    let bought = world.buy(Mode::Live, "2", "50");
    world.fill(live, bought, "1", "2", "50");
    world.collect();
    world.tell(live, "desk", drift("BTCUSDT", DriftClass::MissingFill));
    world.tell(live, "desk", drift("BTCUSDT", DriftClass::MissingFill));
    assert_eq!(world.names(), ["DRIFT_FOUND"]);
    assert_eq!(
        failed(world.submit(&limit(Mode::Live, "BUY", "1", "50"))),
        ["UNEXPLAINED_DRIFT"]
    );
    assert_eq!(
        failed(world.submit(&limit(Mode::Live, "SELL", "3", "60"))),
        ["UNEXPLAINED_DRIFT"]
    );
    world.place(&limit(Mode::Live, "SELL", "1", "60"));
    // Neither PAPER nor another symbol is concerned, unless the difference is everywhere.
    world.buy(Mode::Paper, "1", "50");
    let other = limit(Mode::Live, "BUY", "1", "50").replace("BTC", "ETH");
    world.place(&other);
    world.tell(live, "desk", drift("", DriftClass::Balance));
    assert_eq!(failed(world.submit(&other)), ["UNEXPLAINED_DRIFT"]);
    world.check();
    let explained = |symbol, class| AccountReport::DriftExplained { symbol, class };
    world.tell(live, "desk", explained("", DriftClass::Balance));
    world.tell(live, "desk", explained("BTCUSDT", DriftClass::External));
    assert_eq!(
        failed(world.submit(&limit(Mode::Live, "BUY", "1", "51"))),
        ["UNEXPLAINED_DRIFT"]
    );
    world.tell(live, "desk", explained("BTCUSDT", DriftClass::MissingFill));
    assert_eq!(world.engine.state().drifts().count(), 0);
    world.place(&limit(Mode::Live, "BUY", "1", "52"));
    world.check();
}

#[test]
fn an_order_in_doubt_leaves_only_reducing_orders_in_its_symbol() {
    let (mut world, _, live) = World::connected();
    let order = doubtful(&mut world, live);
    assert_eq!(
        failed(world.submit(&limit(Mode::Live, "BUY", "1", "50"))),
        ["ORDER_IN_DOUBT"]
    );
    world.place(&limit(Mode::Live, "BUY", "1", "50").replace("BTC", "ETH"));
    world.buy(Mode::Paper, "1", "50");
    world.engine.set_doubt_reduces(false);
    world.buy(Mode::Live, "1", "50");
    world.engine.set_doubt_reduces(true);
    world.report(live, order, OrderReport::Ack { venue_order_id: "v" });
    world.buy(Mode::Live, "1", "50");
    world.check();
}

#[test]
fn a_budget_that_is_used_up_takes_no_orders_until_there_is_room() {
    let (mut world, _, live) = World::connected();
    let budget = AccountReport::Budget {
        orders_left: 2,
        retry_after_ms: 1_000,
    };
    world.tell(live, "desk", budget);
    world.buy(Mode::Live, "1", "50");
    world.buy(Mode::Live, "1", "50");
    assert_eq!(
        failed(world.submit(&limit(Mode::Live, "BUY", "1", "50"))),
        ["VENUE_BUDGET"]
    );
    world.buy(Mode::Paper, "1", "50");
    world.wait(1_000);
    world.buy(Mode::Live, "1", "50");
    world.check();
}

#[test]
fn balances_follow_the_venue_and_what_is_confirmed_only_rises() {
    let (mut world, _, live) = World::connected();
    world.collect();
    let total = |asset, total| AccountReport::Balance { asset, total };
    world.tell(live, "desk", total("USDT", "1000000"));
    world.tell(live, "desk", total("USDT", "12.5"));
    world.tell(live, "desk", total("DOGE", "3"));
    assert_eq!(world.names(), ["BALANCE_ADJUSTED", "BALANCE_ADJUSTED"]);
    assert_eq!(world.balance(Mode::Live, "USDT").0, "12.5");
    assert_eq!(world.balance(Mode::Paper, "USDT").0, "1000000");
    assert_eq!(world.balance(Mode::Live, "DOGE").0, "3");
    world.tell(live, "desk", total("USDT", "lots"));
    world.tell(live, "desk", total("us dollars", "3"));
    assert_eq!(world.names(), ["PARKED", "PARKED"]);
    for (trade_id, records) in [(9, 1), (9, 0), (8, 0), (u64::MAX, 1)] {
        let symbol = "BTCUSDT";
        world.tell(live, "desk", AccountReport::Confirmed { symbol, trade_id });
        assert_eq!(world.names().len(), records, "{trade_id}");
    }
    let state = world.engine.state();
    assert_eq!(
        (
            state.confirmed_trade(Mode::Live, 0, 0),
            state.confirmed_trade(Mode::Live, 1, 0)
        ),
        (u64::MAX, 0)
    );
    let run = RawRun {
        trigger: "start",
        started_ns: world.now,
        duration_ms: 7,
        complete: true,
        error: None,
        counts: [("orders", 3)].into(),
    };
    world.tell(live, "desk", AccountReport::Reconciled(run));
    assert_eq!(world.names(), ["RECONCILIATION_RUN"]);
    world.check();
}

#[test]
fn an_instrument_that_the_venue_tells_is_journaled_when_it_changes() {
    let (mut world, _, live) = World::connected();
    world.collect();
    let told = instrument("BTCUSDT", "BTC");
    let (tick, step) = (told.tick.to_string(), told.step.to_string());
    let mut texts: std::collections::BTreeMap<&str, &str> = [
        ("symbol", "SOLUSDT"),
        ("base", "SOL"),
        ("quote", "USDT"),
        ("status", "TRADING"),
        ("minPrice", "0.01"),
        ("maxPrice", "1000000"),
        ("tickSize", &tick),
        ("minQty", "0.001"),
        ("maxQty", "9000"),
        ("stepSize", &step),
        ("marketMaxQty", "500"),
        ("minNotional", "5"),
        ("maxNotional", "9000000"),
    ]
    .into();
    for (status, names) in [
        ("TRADING", vec!["INSTRUMENT_SET"]),
        ("TRADING", vec![]),
        ("BREAK", vec!["INSTRUMENT_SET"]),
    ] {
        texts.insert("status", status);
        let report = Report::Instrument(texts.clone());
        world.engine.report(live, &report, world.now).unwrap();
        assert_eq!(world.names(), names, "{status}");
    }
    texts.insert("tickSize", "0");
    world
        .engine
        .report(live, &Report::Instrument(texts), world.now)
        .unwrap();
    assert_eq!(world.names(), ["PARKED"]);
    world.check();
}

#[test]
fn two_people_together_declare_an_order_absent_and_late_evidence_still_counts() {
    let (mut world, _, live) = World::connected();
    let order = doubtful(&mut world, live);
    world.wait(60_000);
    world.collect();
    let now = world.now;
    let engine = &mut world.engine;
    assert_eq!(engine.state().oldest_doubt(), Some(now - 60_000 * MS));
    engine.requery_doubt(order, "ann", now).unwrap().unwrap();
    engine.report(live, &Report::DoubtSeen(order, "HTTP 500"), now).unwrap();
    assert_eq!(engine.last_look(order), Some(("HTTP 500", now)));
    let Changed::Waits(request) = engine.request_absent(order, "ann", "asked them", now).unwrap().unwrap() else {
        panic!("nobody else is asked")
    };
    assert_eq!(
        code(engine.approve(request, "Ann", now).unwrap()),
        "second_person_needed"
    );
    assert_eq!(
        engine.state().oldest_doubt(),
        Some(now - 60_000 * MS),
        "looking ends no doubt"
    );
    engine.approve(request, "bob", now).unwrap().unwrap();
    let records = world.collect();
    let names: Vec<_> = records.iter().map(Record::name).collect();
    assert_eq!(
        names,
        ["DOUBT_REQUERY", "CHANGE_REQUESTED", "ABSENT_AT_VENUE", "CHANGE_CLOSED"]
    );
    let Record::AbsentAtVenue(told) = &records[2] else {
        panic!()
    };
    assert_eq!(told.text, "declared absent by ann and bob: asked them");
    assert_eq!(
        (world.status(order), world.balance(Mode::Live, "USDT").1.as_str()),
        (OrdStatus::Rejected, "0")
    );
    world.fill(live, order, "1", "0.25", "50");
    assert_eq!(world.status(order), OrdStatus::PartiallyFilled);
    world.check();
}

#[test]
fn what_the_venue_has_shown_is_not_declared_absent() {
    let (mut world, _, live) = World::connected();
    let order = doubtful(&mut world, live);
    let now = world.now;
    let Changed::Waits(request) = world
        .engine
        .request_absent(order, "ann", "asked", now)
        .unwrap()
        .unwrap()
    else {
        panic!("nobody else is asked")
    };
    world.report(live, order, OrderReport::Ack { venue_order_id: "9" });
    let digest = world.engine.state().digest();
    assert_eq!(
        code(world.engine.approve(request, "bob", now).unwrap()),
        "invalid_parameter"
    );
    for refused in [
        world
            .engine
            .request_absent(order, "ann", "asked", now)
            .unwrap()
            .map(|_| 0),
        world.engine.requery_doubt(order, "ann", now).unwrap(),
        world.engine.attach_venue_id(order, "8", "ann", "seen", now).unwrap(),
    ] {
        assert_eq!(code(refused), "invalid_parameter");
    }
    assert_eq!(
        code(world.engine.requery_doubt(7_777, "ann", now).unwrap()),
        "not_found"
    );
    assert_eq!(world.engine.state().digest(), digest);
    world.check();
}

#[test]
fn an_attached_id_names_the_order_and_proves_nothing() {
    let (mut world, _, live) = World::connected();
    let outside = shown(&mut world, live, OUTSIDE);
    let order = doubtful(&mut world, live);
    let now = world.now;
    for bad in ["77", "", "9\n"] {
        let refused = world.engine.attach_venue_id(order, bad, "ann", "seen", now).unwrap();
        assert_eq!(code(refused), "invalid_parameter", "{bad:?}");
    }
    for id in ["91", "92"] {
        world
            .engine
            .attach_venue_id(order, id, "ann", "seen there", now)
            .unwrap()
            .unwrap();
    }
    let of = |world: &World, id: &str| world.engine.state().order_by_venue_id(Mode::Live, 0, 0, id);
    assert_eq!(
        (of(&world, "91"), of(&world, "92"), of(&world, "77")),
        (None, Some(order), Some(outside))
    );
    assert_eq!(world.status(order), OrdStatus::InDoubt);
    // The venue's own id stands from the first acknowledgement on; ours is corrected by nobody but a person.
    world.report(live, order, OrderReport::Ack { venue_order_id: "92" });
    assert_eq!(world.status(order), OrdStatus::New);
    world.check();
}

#[test]
fn after_a_crash_live_waits_for_a_person_where_the_settings_say_so() {
    let (mut world, ..) = World::connected();
    let restart = |world: &mut World, epoch| {
        world.collect();
        world.engine = Engine::new(replay(&world.journal));
        world.engine.start(epoch, "abcdefgh", 55, 0, world.now).unwrap();
        world.engine.set_resume_manual(true);
        world.engine.kill_reading(world.now);
        world.connect("binance", Mode::Live);
    };
    world.engine.stop(world.now).unwrap();
    restart(&mut world, 2);
    assert!(!world.engine.waits_for_resume(), "it ended as it should");
    restart(&mut world, 3);
    let refused = world.submit(&limit(Mode::Live, "BUY", "1", "50")).unwrap_err();
    assert_eq!((refused.code, refused.retry_after_ms), ("venue_unavailable", None));
    assert!(refused.detail.contains("ordergate resume"), "{}", refused.detail);
    // Stopping as it should is no resume.
    world.engine.stop(world.now).unwrap();
    restart(&mut world, 4);
    assert!(world.engine.waits_for_resume());
    world.engine.set_resume_manual(false);
    world.buy(Mode::Live, "1", "50");
    world.engine.set_resume_manual(true);
    let now = world.now;
    assert!(world.engine.resume("ann", "looked", now).unwrap().unwrap().is_some());
    assert_eq!(world.engine.resume("ann", "again", now).unwrap().unwrap(), None);
    world.buy(Mode::Live, "1", "50");
    world.check();
}
