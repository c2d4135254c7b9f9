//! Segments leave by the rule and no sooner, survive every crash on the way, and are read back as they were.

use super::support::{DIR, Small, append_durably, body, open_sim, refusal, small};
use crate::archive::{self, ArchiveError, Archived, Places, Rule, archive_oldest_on};
use crate::disk::{Disk, DiskFile};
use crate::follower::{FollowError, Follower};
use crate::journal::Postgres;
use crate::segment;
use crate::sim::{Chance, Fault, SimDisk};
use crate::snapshots::{self, Snapshot};
use std::path::Path;
use std::sync::Arc;

const FREE: Rule = Rule {
    postgres_seq: u64::MAX,
    unpinned_seq: u64::MAX,
    fold_version: 1,
};

fn places() -> Places<'static> {
    Places {
        journal: Path::new(DIR),
        snapshots: Path::new("/s"),
        archive: Path::new("/a"),
    }
}

fn snapshot(disk: &SimDisk, seq: u64) {
    let snapshot = Snapshot {
        seq,
        fold_version: 1,
        chunk_hash: [1; 16],
        state_hash: [2; 16],
        body: vec![7; 600],
    };
    snapshots::write_on(disk, places().snapshots, &snapshot).unwrap();
}

/// A closed journal that two snapshots cover to its end.
fn covered() -> Small {
    let small = small();
    snapshot(&small.disk, small.last - 1);
    snapshot(&small.disk, small.last);
    small
}

fn step(disk: &SimDisk, rule: &Rule) -> Result<Option<Archived>, ArchiveError> {
    archive_oldest_on(disk, places(), rule)
}

/// Archives all that may leave; what left.
fn sweep(disk: &SimDisk, rule: &Rule) -> Vec<Archived> {
    std::iter::from_fn(|| step(disk, rule).unwrap()).collect()
}

/// Reads everything from the first record on, from archive and journal; the last record.
fn read_all(disk: &SimDisk, max: usize) -> Result<u64, FollowError> {
    let follower = Follower::open_on(Arc::new(disk.clone()), Path::new(DIR), 0)?;
    let mut follower = follower.with_archive(places().archive);
    let mut next = 1;
    let visit = &mut |_: &_, frame: &crate::Frame<'_>| {
        assert_eq!(
            (frame.seq, frame.body),
            (next, &*body(next)),
            "record {next} is another"
        );
        next += 1;
        Ok(())
    };
    while follower.poll(max, visit)? > 0 {}
    Ok(follower.position())
}

#[test]
fn all_but_the_segment_being_written_leave_and_every_record_is_still_read() {
    let small = covered();
    let moved = sweep(&small.disk, &FREE);
    let closed = small.segments.len() - 1;
    assert_eq!(moved.len(), closed);
    for (place, moved) in moved.iter().enumerate() {
        let (first, next) = (small.segments[place], small.segments[place + 1]);
        assert_eq!((moved.first_seq, moved.last_seq, moved.bytes), (first, next - 1, 4096));
        let packed = small.disk.contents(&archive::path(places().archive, first)).unwrap();
        assert_eq!(moved.packed_bytes, packed.len() as u64);
    }
    assert_eq!(
        segment::list(&small.disk, Path::new(DIR)).unwrap(),
        small.segments[closed..]
    );
    for max in [1, 3, 1_000] {
        assert_eq!(read_all(&small.disk, max).unwrap(), small.last);
    }
    // Without the archive the follower is told to begin at a snapshot, and can.
    let follow = |after| Follower::open_on(Arc::new(small.disk.clone()), Path::new(DIR), after).unwrap();
    assert!(matches!(
        follow(0).poll(1, &mut |_, _| Ok(())),
        Err(FollowError::Gone(1))
    ));
    let after = small.segments[closed] - 1;
    let visited = follow(after).poll(1_000, &mut |_, _| Ok(())).unwrap() as u64;
    assert_eq!(visited, small.last - after);
}

#[test]
fn an_archived_segment_is_the_file_that_it_was() {
    let small = covered();
    let before = small.disk.contents(&small.path(0)).unwrap();
    sweep(&small.disk, &FREE);
    let packed = small.disk.contents(&archive::path(places().archive, 1)).unwrap();
    assert_eq!(zstd::decode_all(&*packed).unwrap(), before);
    // In any order of reading, also backward and beyond the end.
    let file = small.disk.open(&archive::path(places().archive, 1), false).unwrap();
    let file = archive::Unpacked::new(file).unwrap();
    assert_eq!(file.len().unwrap(), before.len() as u64);
    let mut chance = Chance(3);
    for _ in 0..500 {
        let offset = chance.below(before.len() as u64 + 600);
        let mut buf = vec![0; usize::try_from(chance.below(3_000)).unwrap()];
        let got = file.read_at(&mut buf, offset).unwrap();
        let start = usize::try_from(offset).unwrap().min(before.len());
        let end = (start + buf.len()).min(before.len());
        assert_eq!(&buf[..got], &before[start..end], "{} bytes from {offset}", buf.len());
    }
    assert!(file.write_at(&[1], 0).is_err());
}

#[test]
fn a_segment_stays_while_anything_still_needs_it() {
    let last = covered().segments[1] - 1;
    let stays = |why: &str, rule: &Rule, change: &dyn Fn(&SimDisk)| {
        let small = covered();
        change(&small.disk);
        assert_eq!(step(&small.disk, rule).unwrap(), None, "{why}");
        assert!(
            archive::list(&small.disk, places().archive).unwrap().is_empty(),
            "{why}"
        );
    };
    let nothing = |_: &SimDisk| {};
    let rule = |postgres_seq, unpinned_seq, fold_version| Rule {
        postgres_seq,
        unpinned_seq,
        fold_version,
    };
    stays("Postgres lacks its last record", &rule(last - 1, last, 1), &nothing);
    stays(
        "a live key points to its last record",
        &rule(last, last - 1, 1),
        &nothing,
    );
    stays("no fold reads these snapshots", &rule(last, last, 3), &nothing);
    stays("only the newer snapshot covers it", &FREE, &|disk| {
        snapshot(disk, last - 1);
        let named = |seq: u64| Path::new("/s").join(format!("{seq:020}.snap"));
        let seqs: Vec<u64> = (last..100)
            .filter(|seq| disk.contents(&named(*seq)).is_some())
            .collect();
        disk.lose(&named(seqs[0]));
    });
    stays("one of the two snapshots is damaged", &FREE, &|disk| {
        let path = disk.files().into_iter().find(|path| path.starts_with("/s")).unwrap();
        let mut bytes = disk.contents(&path).unwrap();
        bytes[100] ^= 1;
        disk.set_contents(&path, &bytes);
    });
    stays("there are no snapshots", &FREE, &|disk| {
        for path in disk.files().iter().filter(|path| path.starts_with("/s")) {
            disk.lose(path);
        }
    });
    // The writer may still be in it, as far as `commit` tells.
    let chunk = small().chunks.iter().rposition(|chunk| chunk.last_seq <= last).unwrap();
    let behind = small().committed_to(Some(chunk));
    snapshot(&behind, last);
    snapshot(&behind, last + 1);
    assert_eq!(step(&behind, &FREE).unwrap(), None);
    let small = covered();
    let moved = step(&small.disk, &rule(last, last, 1)).unwrap().unwrap();
    assert_eq!((moved.first_seq, moved.last_seq), (1, last));
    assert_eq!(step(&small.disk, &rule(last, last, 1)).unwrap(), None);
}

#[test]
fn a_segment_that_does_not_verify_stays_and_leaves_no_copy_that_looks_good() {
    let small = covered();
    let mut bytes = small.disk.contents(&small.path(0)).unwrap();
    bytes[512 + 70] ^= 1;
    small.disk.set_contents(&small.path(0), &bytes);
    for _ in 0..2 {
        let refused = step(&small.disk, &FREE).unwrap_err().to_string();
        assert!(refused.contains("does not lead up"), "{refused}");
        assert!(archive::list(&small.disk, places().archive).unwrap().is_empty());
    }
    assert!(small.disk.contents(&small.path(0)).is_some());
}

#[test]
fn a_copy_is_believed_only_after_it_was_read() {
    let small = covered();
    let packed = archive::path(places().archive, 1);
    let moved = small.disk.kill();
    step(&moved, &FREE).unwrap().unwrap();
    let good = moved.contents(&packed).unwrap();
    for at in 0..good.len() {
        let disk = small.disk.kill();
        let mut spoilt = good.clone();
        spoilt[at] ^= 0x10;
        disk.set_contents(&packed, &spoilt);
        step(&disk, &FREE).unwrap().unwrap();
        let left = disk.contents(&packed).unwrap();
        // A flip that changes nothing of what is read may stay (an unused bit of the frame's header).
        assert_eq!(
            zstd::decode_all(&*left).unwrap(),
            zstd::decode_all(&*good).unwrap(),
            "byte {at}"
        );
    }
    // Also the checksum behind a long stretch of zeros, which no reader of chunks ever comes to.
    let mut long = small.disk.contents(&small.path(0)).unwrap();
    long.resize(3 << 20, 0);
    small.disk.set_contents(&small.path(0), &long);
    let moved = small.disk.kill();
    step(&moved, &FREE).unwrap().unwrap();
    let good = moved.contents(&packed).unwrap();
    let mut spoilt = good.clone();
    *spoilt.last_mut().unwrap() ^= 1;
    let disk = small.disk.kill();
    disk.set_contents(&packed, &spoilt);
    step(&disk, &FREE).unwrap().unwrap();
    assert_eq!(disk.contents(&packed).unwrap(), good);
    for len in (0..good.len()).step_by(7) {
        let disk = small.disk.kill();
        disk.set_contents(&packed, &good[..len]);
        step(&disk, &FREE).unwrap().unwrap();
        assert_eq!(disk.contents(&packed).unwrap(), good, "cut to {len}");
    }
}

/// Moves everything with a fault at each operation, then starts again: nothing is ever in neither place.
fn every_operation(fault: impl Fn(u64) -> Fault, end: impl Fn(&SimDisk, u64) -> SimDisk) {
    let small = covered();
    let whole = small.disk.kill();
    sweep(&whole, &FREE);
    assert!(whole.operations() > 15);
    for at in 1..=whole.operations() {
        let disk = small.disk.kill();
        disk.set_fault(Some(fault(at)));
        while let Ok(Some(_)) = step(&disk, &FREE) {}
        let next = end(&disk, at);
        let what = format!("{:?}", fault(at));
        assert_eq!(read_all(&next, 100).unwrap(), small.last, "{what}");
        // The next start is as good as any, and the next sweep finishes.
        let oldest = segment::list(&next, Path::new(DIR)).unwrap()[0];
        let started = open_sim(&next, Postgres::Unreadable, oldest - 1).unwrap();
        assert_eq!(started.last, small.last, "{what}");
        started.journal.close().unwrap();
        sweep(&next, &FREE);
        let sure = next.lose_power(at);
        assert_eq!(read_all(&sure, 100).unwrap(), small.last, "{what}");
        assert_eq!(segment::list(&sure, Path::new(DIR)).unwrap().len(), 1, "{what}");
        assert_eq!(
            archive::list(&sure, places().archive).unwrap(),
            small.segments[..small.segments.len() - 1]
        );
    }
}

#[test]
fn a_crash_at_any_operation_loses_nothing() {
    every_operation(Fault::DieBefore, |disk, _| disk.kill());
    every_operation(Fault::DieWithin, |disk, _| disk.kill());
    every_operation(Fault::DieAfter, |disk, _| disk.kill());
    every_operation(Fault::Fail, |disk, _| disk.kill());
}

#[test]
fn a_loss_of_power_at_any_operation_loses_nothing() {
    for round in 0..8 {
        every_operation(Fault::DieBefore, |disk, at| disk.lose_power(at * 7 + round));
        every_operation(Fault::DieWithin, |disk, at| disk.lose_power(at * 11 + round));
        every_operation(Fault::DieAfter, |disk, at| disk.lose_power(at * 13 + round));
        every_operation(Fault::Fail, |disk, at| disk.lose_power(at * 17 + round));
    }
}

#[test]
fn a_full_disk_keeps_the_segment_and_no_half_copy() {
    let small = covered();
    small.disk.set_fault(Some(Fault::Full(1)));
    assert!(step(&small.disk, &FREE).is_err());
    assert!(!small.disk.files().iter().any(|path| path.starts_with("/a")));
    small.disk.set_fault(None);
    assert_eq!(sweep(&small.disk, &FREE).len(), small.segments.len() - 1);
}

#[test]
fn the_writer_goes_on_while_its_old_segments_leave() {
    let small = covered();
    let journal = open_sim(&small.disk, Postgres::Empty, 0).unwrap().journal;
    assert!(journal.read(1).unwrap().is_some());
    let held = journal.read(small.segments[1]).unwrap();
    assert!(held.is_some());
    sweep(&small.disk, &FREE);
    let mut last = small.last;
    for _ in 0..12 {
        last = append_durably(&journal, 4).unwrap();
    }
    // A new segment has begun since: what left is forgotten, also by the files that were open.
    assert_eq!(journal.read(1).unwrap(), None);
    assert_eq!(journal.sealed_at(small.segments[1]), None);
    for seq in [*small.segments.last().unwrap(), small.last, last] {
        assert_eq!(journal.read(seq).unwrap().unwrap().body, body(seq));
    }
    assert_eq!(read_all(&small.disk, 100).unwrap(), last);
    journal.close().unwrap();
}

#[test]
fn a_start_needs_every_segment_after_the_first_and_a_snapshot_before_it() {
    let small = covered();
    for covered_to in 0..=small.last {
        for lost in 0..small.segments.len() - 1 {
            let disk = small.disk.kill();
            disk.lose(&small.path(lost));
            let needed = if lost == 0 { small.segments[1] - 1 } else { u64::MAX };
            let opened = open_sim(&disk, Postgres::Unreadable, covered_to);
            if covered_to >= needed {
                assert_eq!(opened.unwrap().last, small.last);
                continue;
            }
            let reason = refusal(opened);
            let expected = if lost == 0 {
                "no snapshot covers"
            } else {
                "records are missing here"
            };
            assert!(
                reason.contains(expected),
                "segment {lost}, snapshot at {covered_to}: {reason}"
            );
        }
    }
    // Nor may two of them be strangers to each other.
    let disk = small.disk.kill();
    let mut bytes = disk.contents(&small.path(1)).unwrap();
    bytes[16] = 3;
    disk.set_contents(&small.path(1), &bytes);
    assert!(refusal(open_sim(&disk, Postgres::Unreadable, small.last)).contains("damaged"));
}
