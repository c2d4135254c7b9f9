//! The fold refuses what cannot be right in our own records.

use crate::support::{START, World, replay};
use ordergate_core::engine::Engine;
use ordergate_core::record::*;
use ordergate_core::state::State;
use ordergate_core::terms::Mode;

fn account(account: u32, name: &str) -> Record {
    Record::AccountCreated(AccountCreated {
        account,
        name: name.into(),
    })
}

fn epoch(epoch: u32, install: &str, fold_version: u32) -> Record {
    let install = install.into();
    Record::Epoch(Epoch {
        epoch,
        fold_version,
        install,
        journal_ns: START,
        boottime_ns: 0,
        wall_offset_ns: 0,
    })
}

/// Folds these, the first ones without trouble; the words about the last.
fn broken(records: &[Record]) -> String {
    let mut state = State::default();
    let (last, before) = records.split_last().unwrap();
    for record in before {
        state.apply(state.last_seq() + 1, START, record).unwrap();
    }
    state.apply(state.last_seq() + 1, START, last).unwrap_err().to_string()
}

#[test]
fn a_gap_a_repeat_and_a_step_back_in_time_are_broken() {
    let mut state = State::default();
    assert!(state.apply(2, START, &account(0, "desk")).is_err());
    state.apply(1, START, &account(0, "desk")).unwrap();
    assert!(state.apply(1, START, &account(1, "lab")).is_err());
    assert!(state.apply(3, START, &account(1, "lab")).is_err());
    assert!(
        state
            .apply(2, START - 1, &account(1, "lab"))
            .unwrap_err()
            .to_string()
            .contains("steps back")
    );
    state.apply(2, START, &account(1, "lab")).unwrap();
}

#[test]
fn indexes_come_in_turn_and_names_once() {
    assert!(broken(&[account(1, "desk")]).contains("out of turn"));
    assert!(broken(&[account(0, "desk"), account(1, "desk")]).contains("out of turn"));
    assert!(broken(&[Record::KeyRevoked(KeyRevoked { key: 0 })]).contains("unknown key"));
    let set = |id: u32, symbol: &str, base: &str| {
        Record::InstrumentSet(InstrumentSet {
            instrument: id,
            ..crate::support::instrument(symbol, base)
        })
    };
    assert!(broken(&[set(1, "BTCUSDT", "BTC")]).contains("out of turn"));
    assert!(broken(&[set(0, "BTCUSDT", "BTC"), set(0, "ETHUSDT", "ETH")]).contains("out of turn"));
    assert!(broken(&[set(0, "BTCUSDT", "BTC"), set(0, "BTCUSDT", "ETH")]).contains("out of turn"));
    assert!(broken(&[set(0, "BTCUSDT", "BTC"), set(1, "BTCUSDT", "BTC")]).contains("out of turn"));
}

#[test]
fn epochs_rise_keep_their_install_and_name_this_fold() {
    assert!(broken(&[epoch(1, "abcdefgh", FOLD_VERSION + 1)]).contains("fold version"));
    assert!(broken(&[epoch(2, "abcdefgh", FOLD_VERSION), epoch(2, "abcdefgh", FOLD_VERSION)]).contains("epoch 2"));
    assert!(broken(&[epoch(1, "abcdefgh", FOLD_VERSION), epoch(2, "zzzzzzzz", FOLD_VERSION)]).contains("zzzzzzzz"));
}

#[test]
fn only_the_newest_session_of_the_orders_mode_may_send() {
    let (mut world, paper, live) = World::connected();
    world.engine.close_session(live);
    let order = world.buy(Mode::Paper, "1", "50");
    world.collect();
    let mut state = replay(&world.journal[..world.journal.len() - 1]);
    let ts = state.last_ts();
    let seq = state.last_seq() + 1;
    assert_eq!(seq - 1, order);
    let start = |session| Record::SubmitStarted(SubmitStarted { order, session });
    assert!(state.clone().apply(seq, ts, &start(live)).is_err());
    assert!(state.clone().apply(seq, ts, &start(paper - 1)).is_err());
    state.apply(seq, ts, &start(paper)).unwrap();
}

#[test]
fn a_state_hash_that_disagrees_is_broken() {
    let mut world = World::new();
    world.engine.state_hash_record(world.now).unwrap();
    world.check();
    let last = world.journal.last().unwrap().clone();
    let mut state = replay(&world.journal[..world.journal.len() - 1]);
    let Record::StateHash(mut hash) = Record::decode(last.kind, 1, &last.body).unwrap() else {
        panic!()
    };
    hash.hash.1 ^= 1;
    assert!(
        state
            .apply(last.seq, last.ts, &Record::StateHash(hash))
            .unwrap_err()
            .to_string()
            .contains("disagrees")
    );
}

#[test]
fn a_broken_engine_stays_broken_and_emits_nothing_of_the_failing_command() {
    let mut world = World::new();
    let mut engine = Engine::new(replay(&world.journal));
    assert!(
        engine.start(1, "abcdefgh", 0, 0, world.now).is_err(),
        "the epoch must rise"
    );
    assert!(engine.poisoned().is_some());
    assert!(engine.take_emitted().is_empty());
    assert!(engine.tick(world.now, world.now).is_err());
    assert!(engine.create_account("new", world.now).is_err());
    assert!(engine.bind_redis(world.now).is_err());
    world.check();
}

#[test]
fn a_request_key_stored_twice_within_a_day_is_broken() {
    let mut world = World::new();
    world.buy(Mode::Paper, "1", "50");
    world.collect();
    let accepted = world.journal.last().unwrap().clone();
    let record = Record::decode(accepted.kind, 1, &accepted.body).unwrap();
    let state = replay(&world.journal);
    let again = |later| state.clone().apply(accepted.seq + 1, accepted.ts + later, &record);
    let day = 24 * 3_600_000 * crate::support::MS;
    assert!(again(day - 1).unwrap_err().to_string().contains("stored twice"));
    assert!(again(day).is_ok());
}
