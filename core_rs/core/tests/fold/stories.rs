//! Stories: a command or report at a time, as a client and a venue would.

use crate::support::*;
use ordergate_core::engine::{NewKey, Submitted, window};
use ordergate_core::number::Amount;
use ordergate_core::record::{KillOff, Record};
use ordergate_core::refusal::Refusal;
use ordergate_core::report::{OrderReport, RawFill, Report};
use ordergate_core::risk::Limits;
use ordergate_core::terms::{KillScope, Mode, OrdStatus, RejectedBy, Scope};

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> &'static str {
    result.unwrap_err().code
}

fn stored(submitted: Submitted) -> (u64, u16, String) {
    match submitted {
        Submitted::Stored { seq, status, body } => (seq, status, body),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_order_lives_from_acceptance_to_its_last_fill() {
    let (mut world, paper, _) = World::connected();
    world.collect();
    let order = world.buy(Mode::Paper, "2", "50");
    assert_eq!(
        world.names(),
        ["ORDER_ACCEPTED", "SUBMIT_STARTED"],
        "intent and send share a flush"
    );
    assert_eq!(world.status(order), OrdStatus::Submitted);
    assert_eq!(world.balance(Mode::Paper, "USDT"), ("1000000".into(), "100".into()));
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v1" });
    world.fill(paper, order, "1", "0.5", "49");
    assert_eq!(world.status(order), OrdStatus::PartiallyFilled);
    assert_eq!(world.balance(Mode::Paper, "USDT"), ("999975.5".into(), "75".into()));
    world.fill(paper, order, "2", "1.5", "50");
    assert_eq!(world.status(order), OrdStatus::Filled);
    assert_eq!(world.balance(Mode::Paper, "USDT"), ("999900.5".into(), "0".into()));
    assert_eq!(world.balance(Mode::Paper, "BTC"), ("102".into(), "0".into()));
    assert_eq!(
        world.balance(Mode::Live, "USDT"),
        ("1000000".into(), "0".into()),
        "PAPER never touches LIVE"
    );
    assert_eq!(world.order(order).average_price().unwrap().to_string(), "49.75");
    assert_eq!(world.names(), ["ACKED", "FILL", "FILL"]);
    world.check();
}

#[test]
fn a_fee_in_base_in_quote_or_in_a_third_asset_is_booked_where_it_was_taken() {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "3", "50");
    for (trade_id, fee, fee_asset) in [("1", "0.001", "BTC"), ("2", "0.05", "USDT"), ("3", "0.0001", "BNB")] {
        world.report(
            paper,
            order,
            OrderReport::Fill(RawFill {
                fee,
                fee_asset,
                ..fill(trade_id)
            }),
        );
    }
    assert_eq!(world.balance(Mode::Paper, "BTC").0, "102.999");
    assert_eq!(world.balance(Mode::Paper, "USDT").0, "999849.95");
    assert_eq!(world.balance(Mode::Paper, "BNB").0, "-0.0001");
    let position = world.engine.state().positions(0).next().unwrap();
    assert_eq!(
        (position.quantity.to_string(), position.bought_quote.to_string()),
        ("2.999".into(), "150".into())
    );
    world.check();
}

#[test]
fn the_stored_answer_shows_the_order_as_pending_new_without_later_times() {
    let (mut world, ..) = World::connected();
    let (seq, status, body) = stored(world.submit(&limit(Mode::Paper, "BUY", "2", "50")).unwrap());
    assert_eq!(status, 201);
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["id"], seq.to_string());
    assert_eq!(json["status"], "PENDING_NEW");
    for later in ["durableAt", "sentAt", "ackedAt"] {
        assert!(json[later].is_null(), "{later}");
    }
    let records = world.collect();
    let Some(Record::OrderAccepted(accepted)) = records.iter().find(|record| record.name() == "ORDER_ACCEPTED") else {
        panic!("{records:?}")
    };
    assert_eq!((accepted.answer.as_str(), accepted.answer_status), (body.as_str(), 201));
}

#[test]
fn the_same_request_again_finds_its_answer_even_while_killed() {
    let (mut world, ..) = World::connected();
    let caller = world.caller(0);
    let body = limit(Mode::Paper, "BUY", "2", "50");
    let (seq, ..) = stored(world.submit_as(caller, "k", &body).unwrap());
    let digest = world.engine.state().digest();
    // The first answer is not durable yet.
    let again = world
        .engine
        .submit(caller, Some("k"), "r", body.as_bytes(), world.now, seq - 1)
        .unwrap();
    assert_eq!(code(again), "request_in_progress");
    world.kill(KillScope::Global, "", 1);
    let same = body.replace("\"2\"", "2.000");
    assert_eq!(world.submit_as(caller, "k", &same).unwrap(), Submitted::Repeat { seq });
    assert_eq!(
        code(world.submit_as(caller, "k", &limit(Mode::Paper, "BUY", "3", "50"))),
        "idempotency_key_reused"
    );
    assert_eq!(code(world.submit_as(caller, "k2", &body)), "killed");
    // Another account's same key is another key.
    let other = world.caller(1);
    assert_eq!(code(world.submit_as(other, "k", &body)), "killed");
    assert_ne!(digest, world.engine.state().digest());
    world.check();
}

#[test]
fn a_request_key_is_forgotten_after_a_day_and_can_then_be_used_again() {
    let (mut world, ..) = World::connected();
    let (caller, body) = (world.caller(0), limit(Mode::Paper, "BUY", "2", "50"));
    let (first, ..) = stored(world.submit_as(caller, "k", &body).unwrap());
    world.wait(24 * 3_600_000 - 1);
    assert_eq!(
        world.submit_as(caller, "k", &body).unwrap(),
        Submitted::Repeat { seq: first }
    );
    world.wait(1);
    let (second, ..) = stored(
        world
            .submit_as(caller, "k", &limit(Mode::Paper, "BUY", "3", "50"))
            .unwrap(),
    );
    assert!(second > first);
    assert_eq!(world.engine.state().request_key_count(), 1);
    world.check();
}

#[test]
fn refusals_come_in_the_agreed_order_and_change_nothing() {
    let (mut world, ..) = World::connected();
    world.collect();
    let digest = world.engine.state().digest();
    let caller = world.caller(0);
    let good = limit(Mode::Paper, "BUY", "2", "50");
    let submit = |world: &mut World, key: Option<&str>, body: &str| {
        let (now, durable) = (world.now, world.engine.state().last_seq());
        code(
            world
                .engine
                .submit(caller, key, "r", body.as_bytes(), now, durable)
                .unwrap(),
        )
    };
    assert_eq!(submit(&mut world, Some("k"), "{"), "malformed_json");
    assert_eq!(submit(&mut world, None, &good), "idempotency_key_missing");
    assert_eq!(
        submit(&mut world, Some("k"), &good.replace("BTCUSDT", "XRPUSDT")),
        "unknown_symbol"
    );
    assert_eq!(
        submit(&mut world, Some("k"), &good.replace("\"50\"", "50.001")),
        "invalid_price"
    );
    // Nothing read for 0.3 s: not even a good order passes, but a wrong one is still told what is wrong.
    world.now += 301 * MS;
    assert_eq!(submit(&mut world, Some("k"), &good), "kill_switch_stale");
    assert_eq!(
        submit(&mut world, Some("k"), &good.replace("\"50\"", "50.001")),
        "invalid_price"
    );
    assert_eq!(world.engine.state().digest(), digest);
    assert!(world.collect().is_empty());
}

#[test]
fn a_failed_risk_check_is_stored_as_a_rejected_order_and_repeated() {
    let (mut world, ..) = World::connected();
    let limits = Limits {
        max_order_qty: Some(Amount::parse("10").unwrap()),
        ..Limits::default()
    };
    world
        .engine
        .set_limits(Some("desk"), limits, "ann", "test", world.now)
        .unwrap()
        .unwrap();
    world.collect();
    let caller = world.caller(0);
    let body = limit(Mode::Paper, "BUY", "11", "100000");
    let (seq, status, answer) = stored(world.submit_as(caller, "k", &body).unwrap());
    assert_eq!(status, 422);
    assert!(
        answer.contains("MAX_ORDER_QTY") && answer.contains("INSUFFICIENT_BALANCE"),
        "all failures: {answer}"
    );
    assert_eq!(world.names(), ["ORDER_DENIED"]);
    assert_eq!(world.status(seq), OrdStatus::Rejected);
    assert_eq!(world.order(seq).rejected_by(), Some(RejectedBy::Gateway));
    assert_eq!(world.balance(Mode::Paper, "USDT").1, "0");
    assert_eq!(world.submit_as(caller, "k", &body).unwrap(), Submitted::Repeat { seq });
    assert_eq!(code(world.cancel(seq)), "already_ended");
    world.check();
}

#[test]
fn a_client_order_id_is_unique_among_working_orders_only() {
    let (mut world, paper, _) = World::connected();
    let body = limit(Mode::Paper, "BUY", "2", "50").replace("{", r#"{"clientOrderId":"mine","#);
    let order = world.place(&body);
    assert_eq!(code(world.submit(&body)), "client_order_id_in_use");
    world.report(paper, order, OrderReport::Canceled(cause("", "")));
    let second = world.place(&body);
    // Evidence re-opens the first: two work under one id, and neither is lost.
    let found = OrderReport::Found {
        venue_order_id: None,
        working: true,
        cum_qty: "0",
    };
    world.report(paper, order, found);
    assert_eq!(
        (world.status(order), world.status(second)),
        (OrdStatus::New, OrdStatus::Submitted)
    );
    world.collect();
    assert_eq!(code(world.submit(&body)), "client_order_id_in_use");
}

#[test]
fn money_is_held_at_entry_and_released_once() {
    let (mut world, paper, _) = World::connected();
    let sell = world.place(&limit(Mode::Paper, "SELL", "60", "50"));
    assert_eq!(world.balance(Mode::Paper, "BTC"), ("100".into(), "60".into()));
    let (_, status, body) = stored(world.submit(&limit(Mode::Paper, "SELL", "41", "50")).unwrap());
    assert_eq!(status, 422);
    assert!(body.contains("INSUFFICIENT_BALANCE"));
    world.report(paper, sell, OrderReport::Canceled(cause("", "")));
    world.report(paper, sell, OrderReport::Canceled(cause("", "")));
    world.report(paper, sell, OrderReport::Expired(cause("", "")));
    assert_eq!(world.balance(Mode::Paper, "BTC"), ("100".into(), "0".into()));
    world.check();
}

#[test]
fn a_market_buy_needs_a_fresh_price_and_holds_five_percent_more() {
    let (mut world, paper, _) = World::connected();
    let body = r#"{"mode":"PAPER","symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":"2"}"#;
    let (_, status, answer) = stored(world.submit(body).unwrap());
    assert!(status == 422 && answer.contains("NO_REFERENCE_PRICE"), "{answer}");
    let price = Report::Price {
        symbol: "BTCUSDT",
        bid: "99",
        ask: "100",
        last: "99.5",
        venue_ns: 1,
    };
    world.engine.report(paper, &price, world.now).unwrap();
    let order = world.place(body);
    assert_eq!(world.order(order).held.to_string(), "210");
    world.fill(paper, order, "1", "1", "104");
    assert_eq!(
        world.order(order).held.to_string(),
        "106",
        "what was reserved, less what was paid"
    );
    world.fill(paper, order, "2", "1", "108");
    assert_eq!(world.balance(Mode::Paper, "USDT"), ("999788".into(), "0".into()));
    world.wait(2_001);
    let (_, status, _) = stored(world.submit(body).unwrap());
    assert_eq!(status, 422, "the price is too old");
    world.check();
}

#[test]
fn the_window_bounds_what_is_sent_and_each_answer_starts_the_next() {
    let (mut world, _, live) = World::connected();
    let orders: Vec<_> = (0..window(Mode::Live) + 3)
        .map(|_| world.buy(Mode::Live, "1", "50"))
        .collect();
    let submitted = |world: &World| {
        orders
            .iter()
            .filter(|id| world.status(**id) == OrdStatus::Submitted)
            .count()
    };
    assert_eq!((submitted(&world), world.engine.state().unsent_count()), (8, 3));
    world.collect();
    world.report(live, orders[3], OrderReport::Unknown(cause("TIMEOUT", "no answer")));
    assert_eq!(
        world.names(),
        ["IN_DOUBT", "SUBMIT_STARTED"],
        "even an unknown outcome frees the slot"
    );
    assert_eq!(world.status(orders[8]), OrdStatus::Submitted, "the oldest first");
    world.report(live, orders[3], OrderReport::Ack { venue_order_id: "v" });
    assert_eq!(world.names(), ["ACKED"], "the second answer frees nothing");
    world.report(live, orders[0], OrderReport::Reject(cause("-1013", "filter")));
    world.report(live, orders[1], OrderReport::ReplaceReject(cause("?", "nonsense")));
    assert_eq!(
        world.names(),
        ["REJECTED", "SUBMIT_STARTED", "ILLEGAL_EVENT", "SUBMIT_STARTED"]
    );
    world.check();
}

#[test]
fn an_order_that_cannot_be_sent_in_time_is_rejected_by_the_gateway() {
    let mut world = World::new();
    let default = world.buy(Mode::Paper, "1", "50");
    let short = world.place(&limit(Mode::Paper, "BUY", "1", "50").replace("{", r#"{"validForMs":50,"#));
    world.wait(49);
    assert_eq!(world.engine.state().unsent_count(), 2);
    world.wait(1);
    assert_eq!(world.status(short), OrdStatus::Rejected);
    assert_eq!(
        (&*world.order(short).reason, world.order(short).rejected_by()),
        ("NOT_SENT", Some(RejectedBy::Gateway))
    );
    world.wait(1_949);
    assert_eq!(world.status(default), OrdStatus::PendingNew);
    world.wait(1);
    assert_eq!(world.status(default), OrdStatus::Rejected);
    assert_eq!(world.balance(Mode::Paper, "USDT").1, "0");
    // A venue that comes too late gets nothing to send.
    world.connect("paper", Mode::Paper);
    assert_eq!(world.engine.state().unanswered_count(), 0);
    world.check();
}

#[test]
fn a_session_that_opens_after_the_deadline_but_before_the_tick_sends_nothing() {
    let mut world = World::new();
    let order = world.buy(Mode::Paper, "1", "50");
    world.now += 2_000 * MS;
    world.engine.kill_reading(world.now);
    world.connect("paper", Mode::Paper);
    assert_eq!(world.status(order), OrdStatus::Rejected);
}

#[test]
fn nothing_is_started_on_an_old_reading_of_the_kill_switch() {
    let mut world = World::new();
    let order = world.buy(Mode::Paper, "1", "50");
    world.now += 301 * MS;
    world.connect("paper", Mode::Paper);
    assert_eq!(world.status(order), OrdStatus::PendingNew);
    world.wait(0);
    assert_eq!(world.status(order), OrdStatus::Submitted);
}

#[test]
fn live_is_refused_while_its_venue_is_away_and_paper_waits() {
    let mut world = World::new();
    assert_eq!(
        code(world.submit(&limit(Mode::Live, "BUY", "1", "50"))),
        "venue_unavailable"
    );
    let order = world.buy(Mode::Paper, "1", "50");
    assert_eq!(world.status(order), OrdStatus::PendingNew);
    world.connect("paper", Mode::Paper);
    assert_eq!(world.status(order), OrdStatus::Submitted);
    let live = world.connect("binance", Mode::Live);
    world.buy(Mode::Live, "1", "50");
    world.engine.close_session(live);
    assert_eq!(
        code(world.submit(&limit(Mode::Live, "BUY", "1", "50"))),
        "venue_unavailable"
    );
    assert_eq!(world.engine.session("binance"), None);
}

#[test]
fn a_new_live_session_puts_orders_without_an_outcome_in_doubt_and_hears_the_old_one_no_more() {
    let (mut world, _, old) = World::connected();
    let (sent, acked) = (world.buy(Mode::Live, "1", "50"), world.buy(Mode::Live, "1", "50"));
    world.report(old, acked, OrderReport::Ack { venue_order_id: "v" });
    let new = world.connect("binance", Mode::Live);
    assert_eq!(
        (world.status(sent), world.status(acked)),
        (OrdStatus::InDoubt, OrdStatus::New)
    );
    assert_eq!(world.engine.state().unanswered_count(), 0);
    let digest = world.engine.state().digest();
    world.report(old, sent, OrderReport::Reject(cause("x", "stale")));
    world.fill(old, acked, "1", "1", "50");
    assert_eq!(
        (world.engine.state().digest(), world.engine.dropped_reports()),
        (digest, 2)
    );
    // The hold stays while the outcome is unknown; only evidence ends it, however long it takes.
    world.wait(3_600_000);
    assert_eq!(
        (world.status(sent), world.balance(Mode::Live, "USDT").1),
        (OrdStatus::InDoubt, "100".into())
    );
    world.report(
        new,
        sent,
        OrderReport::Absent {
            text: "looked three times",
        },
    );
    assert_eq!(
        (world.status(sent), &*world.order(sent).reason),
        (OrdStatus::Rejected, "NOT_AT_VENUE")
    );
    // We were wrong: the late evidence re-opens it and takes the hold again.
    world.fill(new, sent, "9", "0.4", "50");
    assert_eq!(
        (world.status(sent), world.order(sent).held.to_string()),
        (OrdStatus::PartiallyFilled, "30".into())
    );
    world.check();
}

#[test]
fn paper_orders_are_handed_over_to_the_new_session() {
    let (mut world, old, _) = World::connected();
    let (sent, acked) = (world.buy(Mode::Paper, "1", "50"), world.buy(Mode::Paper, "1", "50"));
    world.report(old, acked, OrderReport::Ack { venue_order_id: "v" });
    let new = world.connect("paper", Mode::Paper);
    let state = world.engine.state();
    for order in [sent, acked] {
        assert_eq!(state.session_of(state.order(order).unwrap()), Some(new));
    }
    assert_eq!(
        (world.status(sent), world.engine.state().unanswered_count()),
        (OrdStatus::Submitted, 1)
    );
    world.report(new, sent, OrderReport::Ack { venue_order_id: "w" });
    assert_eq!(world.status(sent), OrdStatus::New);
    world.check();
}

#[test]
fn a_mode_belongs_to_one_venue() {
    let (mut world, ..) = World::connected();
    assert!(
        world
            .engine
            .open_session("kraken", Mode::Live, 1, world.now)
            .unwrap()
            .is_err()
    );
    assert!(
        world
            .engine
            .open_session("paper", Mode::Live, 1, world.now)
            .unwrap()
            .is_err()
    );
    assert!(world.engine.poisoned().is_none());
}

#[test]
fn cancel_answers_by_what_the_order_is() {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "1", "50");
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v" });
    world.collect();
    let first = world.cancel(order).unwrap();
    assert_eq!((first.status, world.names()), (202, vec!["CANCEL_REQUESTED"]));
    let again = world.cancel(order).unwrap();
    assert_eq!(
        (again.status, again.seq, world.names().len()),
        (202, first.seq, 0),
        "asked once"
    );
    world.report(paper, order, OrderReport::Canceled(cause("", "")));
    assert_eq!(&*world.order(order).reason, "CLIENT_CANCEL");
    assert_eq!(world.cancel(order).unwrap().status, 200);
    let filled = world.buy(Mode::Paper, "1", "50");
    world.fill(paper, filled, "1", "1", "50");
    assert_eq!(code(world.cancel(filled)), "already_filled");
    assert_eq!(code(world.cancel(999_999)), "not_found");
    let stranger = world.caller(1);
    assert_eq!(
        code(world.engine.cancel(stranger, order, world.now).unwrap()),
        "not_found"
    );
    world.check();
}

#[test]
fn an_unsent_order_is_canceled_at_once_also_while_killed_and_without_readings() {
    let mut world = World::new();
    let order = world.buy(Mode::Paper, "1", "50");
    world.kill(KillScope::Symbol, "ETHUSDT", 1);
    world.now += 1_000 * MS;
    world.collect();
    assert_eq!(world.cancel(order).unwrap().status, 202);
    assert_eq!(
        (world.status(order), world.names()),
        (OrdStatus::Canceled, vec!["CANCELED"])
    );
    world.connect("paper", Mode::Paper);
    assert_eq!(world.engine.state().unanswered_count(), 0, "never sent");
}

#[test]
fn a_cancel_of_an_order_in_doubt_goes_out_when_the_doubt_ends() {
    let (mut world, _, live) = World::connected();
    let order = world.buy(Mode::Live, "1", "50");
    world.report(live, order, OrderReport::Unknown(cause("TIMEOUT", "")));
    world.collect();
    assert_eq!(world.cancel(order).unwrap().status, 202);
    assert_eq!(world.cancel(order).unwrap().status, 202);
    assert_eq!(
        (world.status(order), world.names()),
        (OrdStatus::InDoubt, vec!["CANCEL_REQUESTED"])
    );
    let found = OrderReport::Found {
        venue_order_id: Some("v"),
        working: true,
        cum_qty: "0",
    };
    world.report(live, order, found);
    assert_eq!(world.names(), ["FOUND_AT_VENUE", "CANCEL_REQUESTED"]);
    assert_eq!(world.status(order), OrdStatus::PendingCancel);
    world.report(live, order, OrderReport::CancelUnknown(cause("TIMEOUT", "")));
    assert_eq!(world.status(order), OrdStatus::PendingCancel);
    world.report(live, order, OrderReport::CancelReject(cause("-2011", "too late")));
    assert_eq!(world.status(order), OrdStatus::New);
    world.check();
}

#[test]
fn a_kill_ends_unsent_orders_of_its_scope_and_blocks_new_ones() {
    let mut world = World::new();
    let with = |what: &str| limit(Mode::Paper, "BUY", "1", "50").replace("{", &format!("{{{what},"));
    let plain = world.buy(Mode::Paper, "1", "50");
    let strategy = world.place(&with(r#""strategyId":"grid""#));
    let eth = world.place(&limit(Mode::Paper, "BUY", "1", "50").replace("BTC", "ETH"));
    let killed = |world: &World| -> Vec<bool> {
        [plain, strategy, eth]
            .iter()
            .map(|id| world.status(*id) == OrdStatus::Canceled)
            .collect()
    };
    world.kill(KillScope::Strategy, "grid", 1);
    assert_eq!(killed(&world), [false, true, false]);
    assert_eq!(
        (&*world.order(strategy).reason, world.order(strategy).rejected_by()),
        ("KILLED", None)
    );
    assert_eq!(code(world.submit(&with(r#""strategyId":"grid""#))), "killed");
    world.kill(KillScope::Symbol, "ETHUSDT", 1);
    assert_eq!(killed(&world), [false, true, true]);
    world.kill(KillScope::Account, "lab", 1);
    assert_eq!(killed(&world), [false, true, true]);
    world.kill(KillScope::Global, "", 1);
    assert_eq!(killed(&world), [true, true, true]);
    let off = KillOff {
        scope: KillScope::Global,
        target: String::new(),
        by: "ann".into(),
        source: "cli".into(),
    };
    world.engine.kill_off(off, world.now).unwrap().unwrap();
    world.buy(Mode::Paper, "1", "50");
    assert_eq!(
        code(world.submit(&with(r#""strategyId":"grid""#))),
        "killed",
        "each scope has its own state"
    );
    world.check();
}

#[test]
fn a_kill_of_level_two_also_cancels_working_orders() {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "1", "50");
    world.report(paper, order, OrderReport::Ack { venue_order_id: "v" });
    world.kill(KillScope::Global, "", 1);
    world.wait(50);
    assert_eq!(world.status(order), OrdStatus::New);
    world.kill(KillScope::Global, "", 2);
    world.wait(50);
    assert_eq!(world.status(order), OrdStatus::PendingCancel);
    world.check();
}

#[test]
fn killed_by_the_venue_right_before_the_send_is_canceled_and_anything_else_not_sent() {
    let (mut world, _, live) = World::connected();
    let (killed, late) = (world.buy(Mode::Live, "1", "50"), world.buy(Mode::Live, "1", "50"));
    world.report(live, killed, OrderReport::NotSent(cause("KILLED", "")));
    world.report(live, late, OrderReport::NotSent(cause("TOO_OLD", "2.1 s")));
    assert_eq!(
        (world.status(killed), &*world.order(killed).reason),
        (OrdStatus::Canceled, "KILLED")
    );
    assert_eq!(
        (world.status(late), &*world.order(late).reason),
        (OrdStatus::Rejected, "NOT_SENT")
    );
    assert_eq!(world.order(late).rejected_by(), Some(RejectedBy::Gateway));
    world.check();
}

#[test]
fn what_cannot_be_booked_is_parked_once_and_changes_no_money() {
    let (mut world, paper, live) = World::connected();
    let order = world.buy(Mode::Live, "1", "50");
    world.fill(live, order, "1", "0.5", "50");
    world.collect();
    let parked = |world: &mut World| -> Vec<String> {
        let code = |record: Record| match record {
            Record::Parked(parked) => parked.code,
            other => panic!("{other:?}"),
        };
        world.collect().into_iter().map(code).collect()
    };
    let money = world.balance(Mode::Live, "USDT");
    world.fill(live, order, "1", "0.5", "50");
    assert!(world.collect().is_empty(), "the same trade again");
    for _ in 0..3 {
        world.fill(live, order, "1", "0.4", "50");
        world.fill(live, 424_242, "1", "0.4", "50");
        world.fill(paper, order, "2", "0.5", "50");
    }
    assert_eq!(parked(&mut world), ["FILL_CONFLICT", "UNKNOWN_ORDER", "UNKNOWN_ORDER"]);
    let huge = RawFill {
        qty: "99999999999999",
        ..fill("3")
    };
    world.report(live, order, OrderReport::Fill(huge));
    let text = RawFill {
        price: "NaN",
        ..fill("4")
    };
    world.report(live, order, OrderReport::Fill(text));
    let most = "1701411834604692317316873037158"; // just below 2^127 × 10⁻⁸: fits alone, not with the balance
    let fee = format!("-{most}");
    let (one, other) = (RawFill { fee: &fee, ..fill("5") }, RawFill { fee: &fee, ..fill("6") });
    world.report(live, order, OrderReport::Fill(one));
    world.report(live, order, OrderReport::Fill(other));
    assert_eq!(parked(&mut world), ["NUMERIC_RANGE"; 4]);
    assert_eq!(world.balance(Mode::Live, "USDT"), money);
    assert_eq!(world.engine.state().counters().parked, 7);
    world.check();
}

#[test]
fn impossible_reports_are_recorded_and_never_stop_anything() {
    let (mut world, paper, _) = World::connected();
    let order = world.buy(Mode::Paper, "1", "50");
    world.fill(paper, order, "1", "1", "50");
    world.collect();
    world.report(paper, order, OrderReport::Reject(cause("x", &"long ".repeat(400))));
    let records = world.collect();
    let [Record::Illegal(illegal)] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!((illegal.order, illegal.event.as_str()), (order, "REJECTED"));
    assert!(illegal.text.starts_with("FILLED order: Reject") && illegal.text.len() <= 512);
    assert_eq!(world.status(order), OrdStatus::Filled);
    world.check();
}

#[test]
fn keys_expire_are_revoked_have_scopes_and_rates_of_their_own() {
    let mut world = World::new();
    let now = world.now;
    let mut key = |id: u8, scopes: &[Scope], rate_per_second, expires_at| {
        let token_sha256 = token(id);
        let key = NewKey {
            account: "desk",
            owner: "bob",
            name: "k",
            token_sha256,
            scopes,
            rate_per_second,
            expires_at,
        };
        world.engine.create_key(&key, now).unwrap().unwrap().0
    };
    let trader = key(10, &[Scope::Trade], 2, None);
    key(11, &[Scope::CancelOnly], 0, None);
    key(12, &[Scope::Trade], 0, Some(now + 5));
    let mut ask = |id: u8, scope, at| world.engine.authorize(&token(id), scope, at).map(|caller| caller.key);
    assert_eq!(ask(10, Scope::Trade, now), Ok(trader));
    assert_eq!(ask(10, Scope::Trade, now), Ok(trader));
    let limited = ask(10, Scope::Trade, now).unwrap_err();
    assert_eq!((limited.code, limited.retry_after_ms), ("rate_limited", Some(501)));
    assert!(
        ask(10, Scope::CancelOnly, now).is_ok(),
        "cancels have a lane of their own"
    );
    assert!(ask(10, Scope::Read, now).is_ok());
    assert!(ask(10, Scope::Trade, now + 501 * MS).is_ok());
    assert_eq!(code(ask(10, Scope::Kill, now)), "forbidden");
    assert_eq!(code(ask(11, Scope::Trade, now)), "forbidden");
    assert!(ask(11, Scope::CancelOnly, now).is_ok());
    assert!(ask(12, Scope::Trade, now + 4).is_ok());
    assert_eq!(code(ask(12, Scope::Trade, now + 5)), "unauthorized");
    assert_eq!(code(ask(99, Scope::Read, now)), "unauthorized");
    world.engine.revoke_key(trader, now).unwrap().unwrap();
    assert_eq!(
        code(world.engine.authorize(&token(10), Scope::Read, now)),
        "unauthorized"
    );
    world.check();
}

#[test]
fn administration_refuses_what_is_wrong_and_journals_only_changes() {
    let mut world = World::new();
    let now = world.now;
    let digest = world.engine.state().digest();
    let engine = &mut world.engine;
    for name in ["desk", "", "Desk", "-x", "a b", &"a".repeat(33)] {
        assert_eq!(
            code(engine.create_account(name, now).unwrap()),
            "invalid_parameter",
            "{name}"
        );
    }
    let amount = |text| Amount::parse(text).unwrap();
    assert_eq!(
        code(
            engine
                .adjust_balance("no", Mode::Paper, "USDT", amount("1"), "x", now)
                .unwrap()
        ),
        "not_found"
    );
    assert_eq!(
        code(
            engine
                .adjust_balance("desk", Mode::Paper, "usdt", amount("1"), "x", now)
                .unwrap()
        ),
        "invalid_parameter"
    );
    let most = Amount(i128::MAX);
    assert_eq!(
        code(
            engine
                .adjust_balance("desk", Mode::Live, "USDT", most, "x", now)
                .unwrap()
        ),
        "invalid_parameter"
    );
    let taken = amount("-1000000.00000001");
    assert_eq!(
        code(
            engine
                .adjust_balance("desk", Mode::Paper, "USDT", taken, "x", now)
                .unwrap()
        ),
        "invalid_parameter"
    );
    assert_eq!(
        engine
            .set_instrument(instrument("BTCUSDT", "BTC"), now)
            .unwrap()
            .unwrap(),
        None,
        "unchanged"
    );
    assert_eq!(
        code(engine.set_instrument(instrument("BTCUSDT", "ETH"), now).unwrap()),
        "invalid_parameter"
    );
    assert_eq!(code(engine.revoke_key(77, now).unwrap()), "not_found");
    assert_eq!(
        code(
            engine
                .set_limits(Some("no"), Limits::default(), "ann", "x", now)
                .unwrap()
        ),
        "not_found"
    );
    assert_eq!(world.engine.state().digest(), digest);
    let mut halted = instrument("BTCUSDT", "BTC");
    halted.status = "HALT".into();
    assert!(world.engine.set_instrument(halted, now).unwrap().unwrap().is_some());
    assert_eq!(
        code(world.submit(&limit(Mode::Paper, "BUY", "1", "50"))),
        "symbol_not_trading"
    );
    world.check();
}

#[test]
fn a_step_of_the_wall_clock_is_journaled_and_drift_is_not() {
    let mut world = World::new();
    world.collect();
    world.engine.tick(world.now, world.now + 900 * MS).unwrap();
    assert!(world.collect().is_empty());
    world.engine.tick(world.now, world.now - 3_600_000 * MS).unwrap();
    assert_eq!(world.names(), ["CLOCK"]);
    assert_eq!(world.engine.state().wall_offset_ns(), -3_600_000 * MS);
    world.engine.tick(world.now, world.now - 3_600_000 * MS).unwrap();
    assert!(world.collect().is_empty());
}

#[test]
fn orders_of_an_account_come_newest_first_in_pages() {
    let mut world = World::new();
    let ids: Vec<_> = (0..5).map(|_| world.buy(Mode::Paper, "1", "50")).collect();
    let page = |before| -> Vec<u64> {
        world
            .engine
            .state()
            .orders_of(0, before)
            .take(2)
            .map(|order| order.id)
            .collect()
    };
    assert_eq!(page(None), [ids[4], ids[3]]);
    assert_eq!(page(Some(ids[3])), [ids[2], ids[1]]);
    assert_eq!(page(Some(ids[1])), [ids[0]]);
    assert!(world.engine.state().orders_of(1, None).next().is_none());
    assert!(world.engine.state().orders_of(9, None).next().is_none());
}

#[test]
fn a_restart_goes_on_where_it_stopped() {
    let (mut world, ..) = World::connected();
    let order = world.buy(Mode::Live, "1", "50");
    world.collect();
    let mut engine = ordergate_core::engine::Engine::new(replay(&world.journal));
    engine.start(2, "otherone", 1, 0, world.now - 5).unwrap();
    assert_eq!(engine.state().install(), "abcdefgh", "the install id stays");
    assert_eq!(engine.session("binance"), None, "nobody is connected yet");
    assert_eq!(engine.state().order(order).unwrap().status(), OrdStatus::Submitted);
    engine
        .open_session("binance", Mode::Live, 1, world.now)
        .unwrap()
        .unwrap();
    assert_eq!(engine.state().order(order).unwrap().status(), OrdStatus::InDoubt);
}
