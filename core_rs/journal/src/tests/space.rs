//! A disk that fills up: marks, the reserve, and what is acknowledged meanwhile.

use super::support::{DIR, SMALL, append_durably, open_on, open_sim};
use crate::journal::{Journal, Options, Postgres};
use crate::segment;
use crate::sim::SimDisk;
use crate::space::{Marks, RESERVE, Space};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SEGMENT: u64 = SMALL.segment_bytes;
const MARKED: Options = Options {
    marks: Marks {
        soft_free_bytes: 6 * SEGMENT,
        hard_free_bytes: 4 * SEGMENT,
        reserve_bytes: 2 * SEGMENT,
    },
    ..SMALL
};

fn open(disk: &SimDisk) -> Journal {
    let opened = open_on(Arc::new(disk.clone()), Path::new(DIR), &MARKED, Postgres::Empty, 0);
    opened.unwrap().journal
}

fn used(disk: &SimDisk) -> u64 {
    let sizes = disk.files().into_iter().filter_map(|path| disk.contents(&path));
    sizes.map(|bytes| bytes.len() as u64).sum()
}

fn reserve(disk: &SimDisk) -> Option<u64> {
    disk.contents(&Path::new(DIR).join(RESERVE))
        .map(|bytes| bytes.len() as u64)
}

fn wait_for(journal: &Journal, space: Space) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while journal.space() != space {
        assert!(
            Instant::now() < deadline,
            "{:?} with {} free",
            journal.space(),
            journal.free_bytes()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The first segment is in use and the next one prepared.
fn settled(disk: &SimDisk) -> Journal {
    let journal = open(disk);
    append_durably(&journal, 1).unwrap();
    let spare = Path::new(DIR).join(crate::ahead::SPARE);
    let deadline = Instant::now() + Duration::from_secs(20);
    while disk.contents(&spare).map(|bytes| bytes.len() as u64) != Some(SEGMENT) {
        assert!(Instant::now() < deadline, "no spare segment");
        std::thread::sleep(Duration::from_millis(1));
    }
    journal
}

#[test]
fn the_marks_say_what_the_free_space_means() {
    let disk = SimDisk::new();
    let journal = settled(&disk);
    assert_eq!((journal.space(), reserve(&disk)), (Space::Ok, Some(2 * SEGMENT)));
    for (free, space) in [
        (6, Space::Ok),
        (5, Space::Soft),
        (4, Space::Soft),
        (3, Space::Hard),
        (4, Space::Soft),
        (6, Space::Ok),
    ] {
        disk.set_capacity(used(&disk) + free * SEGMENT);
        wait_for(&journal, space);
    }
    assert_eq!(reserve(&disk), Some(2 * SEGMENT), "marks alone touch nothing");
}

#[test]
fn without_room_for_a_reserve_there_are_no_new_orders_from_the_start() {
    let disk = SimDisk::new();
    disk.set_capacity(5 * SEGMENT);
    let journal = open(&disk);
    assert_eq!((journal.space(), reserve(&disk)), (Space::Hard, None));
    append_durably(&journal, 1).unwrap();
    disk.set_capacity(40 * SEGMENT);
    wait_for(&journal, Space::Ok);
    assert_eq!(reserve(&disk), Some(2 * SEGMENT), "laid as soon as there is room");
}

#[test]
fn a_reserve_holds_at_least_a_segment() {
    let disk = SimDisk::new();
    let marks = Marks {
        reserve_bytes: 1,
        ..Marks::NONE
    };
    let options = Options { marks, ..SMALL };
    let opened = open_on(Arc::new(disk.clone()), Path::new(DIR), &options, Postgres::Empty, 0).unwrap();
    assert_eq!((opened.journal.space(), reserve(&disk)), (Space::Ok, Some(SEGMENT)));
}

#[test]
fn the_reserve_carries_the_journal_on_when_the_disk_is_full() {
    let disk = SimDisk::new();
    let journal = settled(&disk);
    disk.set_capacity(used(&disk));
    wait_for(&journal, Space::Hard);
    let mut done = 1;
    let failed = loop {
        match append_durably(&journal, 1) {
            Ok(last) => done = last,
            Err(reason) => break reason,
        }
        assert_eq!(journal.space(), Space::Hard);
    };
    assert!(failed.contains("the next segment cannot be prepared"), "{failed}");
    let segments = segment::list(&disk, Path::new(DIR)).unwrap().len();
    assert_eq!(segments, 4, "the one in use, the prepared one, two from the reserve");
    assert_eq!((reserve(&disk), journal.durable_seq()), (None, done));

    let later = disk.kill();
    assert_eq!(
        open_sim(&later, Postgres::Empty, 0).unwrap().last,
        done,
        "what was acknowledged, and no more"
    );
}

#[test]
fn room_that_is_made_lays_the_reserve_again() {
    let disk = SimDisk::new();
    let journal = settled(&disk);
    disk.set_capacity(used(&disk));
    while reserve(&disk).is_some() {
        append_durably(&journal, 1).unwrap();
    }
    disk.set_capacity(used(&disk) + 5 * SEGMENT);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(
        (journal.space(), reserve(&disk)),
        (Space::Hard, None),
        "not at the cost of the hard mark"
    );
    disk.set_capacity(used(&disk) + 20 * SEGMENT);
    wait_for(&journal, Space::Ok);
    assert_eq!(reserve(&disk), Some(2 * SEGMENT));
    for _ in 0..40 {
        append_durably(&journal, 2).unwrap();
    }
    assert_eq!(journal.warning(), None);
}
