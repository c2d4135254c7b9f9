//! Stories of clients: placing, repeating and canceling orders.

use crate::support::*;
use ordergate_core::engine::Submitted;
use ordergate_core::limits::LimitKind;
use ordergate_core::number::Amount;
use ordergate_core::record::Record;
use ordergate_core::report::{OrderReport, Report};
use ordergate_core::snapshot;
use ordergate_core::state::State;
use ordergate_core::terms::{KillScope, Mode, OrdStatus, RejectedBy};

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
fn the_oldest_answer_is_that_of_the_oldest_key_that_is_kept() {
    let (mut world, ..) = World::connected();
    let oldest = |world: &World| world.engine.state().oldest_answer();
    assert_eq!(oldest(&world), None);
    let first = world.buy(Mode::Paper, "2", "50");
    world.wait(3_600_000);
    let second = world.buy(Mode::Paper, "2", "50");
    assert_eq!(oldest(&world), Some(first), "an answer is in the order's own record");
    world.wait(23 * 3_600_000 - 1);
    world.buy(Mode::Paper, "2", "50");
    assert_eq!(oldest(&world), Some(first));
    // The record after a day lets the key go; until then a follower keeps it, which is the safe side.
    world.wait(1);
    assert_eq!(oldest(&world), Some(first));
    world.buy(Mode::Paper, "2", "50");
    assert_eq!(oldest(&world), Some(second));
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
    world.set_limit(
        "account",
        "desk",
        LimitKind::MaxOrderQty,
        Amount::parse("10").unwrap().0,
    );
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
fn of_two_orders_that_work_under_one_id_the_older_is_found_before_and_after_a_restart() {
    let (mut world, paper, _) = World::connected();
    let named = limit(Mode::Paper, "BUY", "1", "50").replace('}', r#","clientOrderId":"mine"}"#);
    let older = world.place(&named);
    world.report(paper, older, OrderReport::Absent { text: "looked" });
    let newer = world.place(&named);
    let found = |state: &State| state.working(0, "mine").unwrap().id;
    assert_eq!(found(world.engine.state()), newer);
    // Late evidence: the older one works after all, beside the other that took its id meanwhile.
    world.fill(paper, older, "1", "0.5", "50");
    let bytes = snapshot::encode(world.engine.state()).unwrap();
    let restored = snapshot::decode(&bytes).unwrap();
    assert_eq!([found(world.engine.state()), found(&restored)], [older, older]);
    world.report(paper, older, OrderReport::Canceled(cause("", "")));
    assert_eq!(found(world.engine.state()), newer);
    world.check();
}
