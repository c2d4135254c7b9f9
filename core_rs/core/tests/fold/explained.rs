//! Dry runs change nothing, and say what placing would.

use crate::support::{World, limit, stored};
use ordergate_core::audit;
use ordergate_core::record::Record;
use ordergate_core::terms::Mode;

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_dry_run_says_what_placing_would_and_changes_nothing() {
    let (mut world, ..) = World::connected();
    let caller = world.caller(0);
    for (quantity, accepted) in [("2", true), ("2000", false)] {
        let body = limit(Mode::Paper, "SELL", quantity, "50");
        world.collect();
        let (digest, last) = (world.engine.state().digest(), world.engine.state().last_seq());
        let said = json(&world.engine.preview(caller, body.as_bytes(), world.now).unwrap());
        assert_eq!(said["accepted"], accepted, "{said}");
        assert_eq!(
            (world.engine.state().digest(), world.engine.state().last_seq()),
            (digest, last)
        );
        assert!(world.collect().is_empty(), "nothing for the journal");
        let (_, status, answer) = stored(world.submit(&body).unwrap());
        assert_eq!(status == 201, accepted);
        if !accepted {
            assert_eq!(said["failed"], json(&answer)["checks"]);
        }
    }
    let refused = world.engine.preview(caller, b"{}", world.now).unwrap_err();
    assert_eq!(refused.code, "invalid_field");
}

#[test]
fn headroom_is_what_is_left_without_an_order() {
    let (mut world, ..) = World::connected();
    let caller = world.caller(0);
    world.place(&limit(Mode::Paper, "SELL", "60", "50"));
    let said = json(&world.engine.headroom(caller, "BTCUSDT", world.now).unwrap());
    let left = said["limits"].as_array().unwrap().iter();
    let base = left
        .filter(|left| left["mode"] == "PAPER" && left["side"] == "SELL")
        .find(|left| left["check"]["code"] == "INSUFFICIENT_BALANCE")
        .unwrap();
    assert_eq!(base["check"]["headroom"], "40");
    assert_eq!(
        world.engine.headroom(caller, "NOPE", world.now).unwrap_err().code,
        "unknown_symbol"
    );
}

#[test]
fn the_record_of_an_order_says_why() {
    let (mut world, ..) = World::connected();
    world.collect();
    world.submit(&limit(Mode::Paper, "SELL", "2000", "50")).unwrap();
    let records = world.collect();
    let denied = records
        .iter()
        .find(|record| matches!(record, Record::OrderDenied(_)))
        .unwrap();
    let mut out = String::new();
    assert!(audit::decision_json(&mut out, 7, 9, denied));
    let said = json(&out);
    assert_eq!((&said["id"], &said["accepted"]), (&"7".into(), &false.into()));
    assert_eq!(said["decision"]["failed"][0]["code"], "INSUFFICIENT_BALANCE");
    assert_eq!(said["decision"]["inputs"]["free"], "100");
    let mut other = String::new();
    let cancel = Record::RedisBound(ordergate_core::record::RedisBound { install: String::new() });
    assert!(!audit::decision_json(&mut other, 1, 1, &cancel) && other.is_empty());
}
