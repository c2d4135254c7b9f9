//! The process dies, or the power goes, at every operation: what was acknowledged is there, and nothing untrue is.

use super::support::{append, append_durably, open_sim};
use crate::journal::{OpenError, Postgres};
use crate::sim::{Chance, Fault, SimDisk};
use std::time::Duration;

/// Writes batches until the disk's fault ends it; (acknowledged, appended).
fn work(disk: &SimDisk, seed: u64) -> (u64, u64) {
    let mut chance = Chance(seed);
    let journal = match open_sim(disk, Postgres::Unreadable, 0) {
        Ok(replayed) => replayed.journal,
        Err(OpenError::Io { .. }) => return (0, 0),
        Err(other) => panic!("{other}"),
    };
    for _ in 0..12 {
        // Sometimes several appends meet in one flush, or in two.
        for _ in 0..chance.below(3) {
            let first = journal.last_seq() + 1;
            if journal.append(&super::support::frames(first, 1), first, 1, 0).is_err() {
                break;
            }
        }
        if append_durably(&journal, chance.below(4) + 1).is_err() {
            break;
        }
    }
    let outcome = (journal.durable_seq(), journal.last_seq());
    // Not closed: the process is gone.
    journal.halt("the process is dead");
    outcome
}

/// Every fault at every operation of a short life, then the next start, then another loss of power after it.
fn every_operation(fault: impl Fn(u64) -> Fault, end: impl Fn(&SimDisk, u64) -> SimDisk, step: usize) {
    let whole = SimDisk::new();
    work(&whole, 0);
    let operations = whole.operations();
    assert!(operations > 50);
    for at in (1..=operations).step_by(step) {
        let disk = SimDisk::new();
        disk.set_fault(Some(fault(at)));
        let (acknowledged, appended) = work(&disk, at);
        let next = end(&disk, at);
        let what = format!("{:?}: acknowledged {acknowledged}, appended {appended}", fault(at));
        let replayed = open_sim(&next, Postgres::Unreadable, 0).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(
            (acknowledged..=appended).contains(&replayed.last),
            "{what}, found {}",
            replayed.last
        );
        // What the start shows is durable, and what it goes on to write fits behind it.
        let seen = replayed.last;
        let sure = open_sim(&next.lose_power(at), Postgres::Unreadable, 0).unwrap();
        assert_eq!(sure.last, seen, "{what}");
        let last = append_durably(&sure.journal, 3).unwrap();
        sure.journal.close().unwrap();
        drop(sure);
        assert_eq!(last, seen + 3);
    }
}

#[test]
fn death_before_within_and_after_every_operation() {
    every_operation(Fault::DieBefore, |disk, _| disk.kill(), 1);
    every_operation(Fault::DieWithin, |disk, _| disk.kill(), 1);
    every_operation(Fault::DieAfter, |disk, _| disk.kill(), 1);
}

#[test]
fn loss_of_power_before_within_and_after_every_operation() {
    for round in 0..3 {
        every_operation(Fault::DieBefore, |disk, at| disk.lose_power(at * 7 + round), 1);
        every_operation(Fault::DieWithin, |disk, at| disk.lose_power(at * 11 + round), 1);
        every_operation(Fault::DieAfter, |disk, at| disk.lose_power(at * 13 + round), 1);
    }
}

#[test]
fn an_io_error_at_every_operation_and_then_loss_of_power() {
    every_operation(Fault::Fail, |disk, at| disk.lose_power(at), 1);
    every_operation(Fault::Fail, |disk, _| disk.kill(), 1);
}

#[test]
fn a_start_may_be_cut_short_at_every_operation() {
    // A journal with a torn tail and chunks above `commit`, so that the start has everything to do.
    let prepared = |seed: u64| {
        let disk = SimDisk::new();
        let (mut acknowledged, mut torn) = (0, disk.clone());
        for at in 30.. {
            let fresh = SimDisk::new();
            fresh.set_fault(Some(Fault::DieWithin(at)));
            (acknowledged, _) = work(&fresh, seed);
            torn = fresh.lose_power(seed + at);
            if acknowledged > 5 {
                break;
            }
        }
        (torn, acknowledged)
    };
    for seed in 0..6 {
        let (disk, acknowledged) = prepared(seed);
        for at in 1..40 {
            let mut disk = disk.kill();
            let faults = [
                Fault::DieBefore(at),
                Fault::DieWithin(at),
                Fault::DieAfter(at),
                Fault::Fail(at),
            ];
            disk.set_fault(Some(faults[usize::try_from(at + seed).unwrap() % 4]));
            match open_sim(&disk, Postgres::Unreadable, 0) {
                Ok(replayed) => replayed.journal.halt("dead"),
                Err(OpenError::Io { .. }) => {}
                Err(other) => panic!("seed {seed}, operation {at}: {other}"),
            }
            disk = if at % 2 == 0 { disk.lose_power(at) } else { disk.kill() };
            let replayed = open_sim(&disk, Postgres::Unreadable, 0).unwrap();
            assert!(replayed.last >= acknowledged, "seed {seed}, operation {at}");
        }
    }
}

#[test]
fn acknowledged_means_flushed() {
    // The control: a disk that says it flushed, and did not, must be caught by the tests above.
    let disk = SimDisk::new();
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    append_durably(&journal, 2).unwrap();
    disk.set_lying(true);
    let last = append_durably(&journal, 3).unwrap();
    let mut lost = 0;
    for seed in 0..40 {
        // Losing acknowledged records shows as fewer records, or as a refusal when `commit` reached the disk.
        match open_sim(&disk.lose_power(seed), Postgres::Unreadable, 0) {
            Ok(replayed) => lost += u32::from(replayed.last < last),
            Err(_) => lost += 1,
        }
    }
    assert!(
        lost > 0,
        "forty losses of power, and nothing was lost by a disk that does not flush"
    );
}

#[test]
fn appends_while_the_disk_is_slow_are_not_acknowledged_early() {
    let disk = SimDisk::new();
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    append_durably(&journal, 1).unwrap();
    disk.set_sync_delay(Duration::from_millis(200));
    let last = append(&journal, 1);
    assert!(!journal.wait_durable(last, Duration::from_millis(20)).unwrap());
    assert_eq!(journal.durable_seq(), last - 1);
    assert!(journal.backlog_bytes() > 0);
    assert!(journal.wait_durable(last, Duration::from_secs(20)).unwrap());
}
