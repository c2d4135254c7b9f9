//! `verify` and `repair`: they see what a start sees, and do no more than it.

use super::support::{DIR, append, append_durably, commit_path, open_on, open_sim, small};
use crate::commit::{Position, Publisher, Reader};
use crate::journal::{OpenError, Options, Postgres};
use crate::sim::SimDisk;
use crate::verify::{Commit, Outcome, Repaired, Report, dump_on, repair_on, verify_on};
use crate::{Place, disk::Disk};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

fn verify(disk: &SimDisk, postgres: Postgres, after: u64) -> Report {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    verify_on(&disk, Path::new(DIR), postgres, (after, None), &mut |_, _| Ok(())).unwrap()
}

fn repair(disk: &SimDisk, postgres: Postgres, operator: Option<u64>, act: bool) -> Result<Repaired, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    repair_on(&disk, Path::new(DIR), postgres, (0, None), operator, act)
}

fn reason(result: Result<Repaired, OpenError>) -> String {
    match result {
        Err(OpenError::Refused { reason, .. }) => reason,
        other => panic!("not a refusal: {other:?}"),
    }
}

fn all_files(disk: &SimDisk) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let files = disk.files().into_iter();
    files.map(|path| (path.clone(), disk.contents(&path))).collect()
}

/// What a start does, in the words of `verify`.
fn started(disk: &SimDisk, postgres: Postgres, after: u64) -> (&'static str, Option<(Place, String)>) {
    match open_sim(disk, postgres, after) {
        Ok(replayed) if replayed.journal.recovered().torn.is_some() => ("cut", None),
        Ok(_) => ("start", None),
        Err(OpenError::Refused { place, reason, .. }) => ("refused", Some((place, reason))),
        Err(other) => panic!("{other}"),
    }
}

fn told(outcome: &Outcome) -> (&'static str, Option<(Place, String)>) {
    match outcome {
        Outcome::Start => ("start", None),
        Outcome::Cut(_) => ("cut", None),
        Outcome::Refused { place, reason, .. } => ("refused", Some((place.clone(), reason.clone()))),
    }
}

#[test]
fn verify_says_what_a_start_does_and_touches_nothing() {
    let small = small();
    let mut seen = BTreeMap::new();
    for place in 0..small.segments.len() {
        let path = small.path(place);
        let bytes = small.disk.contents(&path).unwrap();
        for at in (0..bytes.len()).step_by(61) {
            for (commit, postgres, after) in [
                (Some(9), Postgres::Unreadable, 0),
                (None, small.postgres(10), 0),
                (Some(11), small.postgres(3), small.chunks[8].last_seq),
            ] {
                let disk = small.committed_to(commit);
                let mut damaged = bytes.clone();
                if at % 2 == 0 {
                    damaged.truncate(at);
                } else {
                    damaged[at] ^= 4;
                }
                disk.set_contents(&path, &damaged);
                let before = all_files(&disk);
                let report = verify(&disk, postgres, after);
                assert_eq!(all_files(&disk), before);
                let start = started(&disk, postgres, after);
                assert_eq!(told(&report.start), start, "{} {at}", path.display());
                // Whoever reads less can only miss damage, never find more.
                assert!(start.0 != "refused" || !report.is_good());
                *seen.entry((start.0, report.is_good())).or_insert(0) += 1;
            }
        }
    }
    // Damage that a snapshot spares a start is found all the same.
    let kinds = [("cut", true), ("refused", false), ("start", true), ("start", false)];
    assert!(kinds.iter().all(|kind| seen.get(kind) > Some(&5)), "{seen:?}");
}

#[test]
fn a_good_journal_is_described_segment_by_segment() {
    let small = small();
    let report = verify(&small.disk.kill(), Postgres::Unreadable, 0);
    assert!(report.is_good() && !report.running);
    assert_eq!((report.last_seq, report.hash), (small.last, small.chunks[11].hash));
    let firsts: Vec<u64> = report.segments.iter().map(|segment| segment.first_seq).collect();
    assert_eq!(firsts, small.segments);
    assert_eq!(report.segments.iter().map(|segment| segment.chunks).sum::<u64>(), 12);
    for pair in report.segments.windows(2) {
        assert_eq!(pair[0].last_seq + 1, pair[1].first_seq);
    }
    assert!(report.segments.iter().all(|segment| segment.epochs == (1, 1)));
    // Nothing was above `commit`: it was closed in order.
    assert_eq!(report.unproven_chunks, 0);
    let older = verify(&small.committed_to(Some(7)), Postgres::Unreadable, 0);
    assert_eq!((older.unproven_chunks, older.is_good()), (4, true));
}

#[test]
fn commit_is_read_as_a_start_reads_it() {
    let small = small();
    let disk = small.committed_to(None);
    let at = |chunk: usize| Position {
        last_seq: small.chunks[chunk].last_seq,
        segment: small.segments[0],
        end: 0,
        epoch: 1,
        hash: small.chunks[chunk].hash,
    };
    // Two slots, the newer of them damaged, and a checkpoint between the two.
    let (mut publisher, _) = Publisher::open(&disk, &commit_path()).unwrap();
    publisher.publish(&at(4));
    publisher.publish(&at(5));
    publisher.checkpoint();
    publisher.publish(&at(6));
    publisher.publish(&at(7));
    publisher.page().sync().unwrap();
    let bytes = disk.contents(&commit_path()).unwrap();
    let slot = |n: usize| u64::from_le_bytes(bytes[n * 512..n * 512 + 8].try_into().unwrap());
    let newest = usize::from(slot(1) > slot(0));
    for (damaged, expected) in [(vec![], 7), (vec![newest], 6), (vec![0, 1], 5)] {
        let disk = disk.kill();
        let mut bytes = bytes.clone();
        for slot in damaged {
            bytes[slot * 512 + 20] ^= 1;
        }
        disk.set_contents(&commit_path(), &bytes);
        let start = Publisher::open(&disk, &commit_path()).unwrap().1;
        assert_eq!(start, Some(at(expected)));
        assert_eq!(Reader::open(&disk, &commit_path()).unwrap().read(), start);
        assert_eq!(
            verify(&disk, Postgres::Unreadable, 0).commit,
            Commit::At(start.unwrap())
        );
    }
    // An old slot that survived alone is not believed before a newer checkpoint.
    let mut bytes = bytes.clone();
    let stale = {
        let (mut publisher, _) = Publisher::open(&small.committed_to(None), &commit_path()).unwrap();
        publisher.publish(&at(1));
        publisher.page()
    };
    let stale: Vec<u8> = stale.words()[..64]
        .iter()
        .flat_map(|word| word.load(std::sync::atomic::Ordering::SeqCst).to_ne_bytes())
        .collect();
    bytes[..512].copy_from_slice(&stale);
    bytes[512] ^= 1;
    let disk = disk.kill();
    disk.set_contents(&commit_path(), &bytes);
    let start = Publisher::open(&disk, &commit_path()).unwrap().1;
    assert_eq!(start, Some(at(5)));
    assert_eq!(Reader::open(&disk, &commit_path()).unwrap().read(), start);
}

#[test]
fn beside_a_writer_nothing_beyond_commit_is_looked_at() {
    let disk = SimDisk::new();
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    let last = append_durably(&journal, 3).unwrap();
    // A flush under way: bytes beyond `commit` that are not acknowledged.
    disk.set_sync_delay(Duration::from_millis(300));
    append(&journal, 2);
    let segment = crate::segment::path(Path::new(DIR), 1);
    while disk.unflushed(&segment) == Some(0) {
        std::thread::yield_now();
    }
    let report = verify(&disk, Postgres::Unreadable, 0);
    assert!(report.running && report.is_good());
    assert_eq!(report.last_seq, last);
    disk.set_sync_delay(Duration::ZERO);
    journal.wait_durable(last + 2, Duration::from_secs(20)).unwrap();
    // Damage at or below `commit` is found beside a writer, too.
    let mut bytes = disk.contents(&segment).unwrap();
    bytes[512 + 70] ^= 1;
    disk.set_contents(&segment, &bytes);
    let report = verify(&disk, Postgres::Unreadable, 0);
    assert!(report.running && !report.is_good());
    let Outcome::Refused { place, .. } = &report.everything else {
        panic!("{report:?}");
    };
    assert_eq!(
        (&place.path, place.offset, place.after_seq),
        (&segment, Some(512), Some(0))
    );
    assert!(matches!(
        repair(&disk, Postgres::Unreadable, None, true),
        Err(OpenError::Locked)
    ));
}

#[test]
fn verify_of_real_files_runs_beside_the_writer_and_does_not_disturb_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(crate::disk::RealDisk);
    let look = || verify_on(&disk, dir.path(), Postgres::Unreadable, (0, None), &mut |_, _| Ok(())).unwrap();
    let options = Options {
        segment_bytes: 4096,
        ..Options::default()
    };
    let journal = open_on(Arc::clone(&disk), dir.path(), &options, Postgres::Empty, 0)
        .unwrap()
        .journal;
    for _ in 0..30 {
        let last = append_durably(&journal, 3).unwrap();
        let report = look();
        assert!(report.running && report.is_good(), "{report:?}");
        assert_eq!(report.last_seq, last);
    }
    journal.close().unwrap();
    drop(journal);
    let report = look();
    assert!(!report.running && report.is_good() && report.segments.len() > 3);
}

fn dump(disk: &SimDisk, from: u64, to: u64) -> (Vec<u64>, Outcome) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut seqs = Vec::new();
    let outcome = dump_on(&disk, Path::new(DIR), from, to, &mut |_, frame| {
        assert_eq!(frame.body, super::support::body(frame.seq));
        seqs.push(frame.seq);
        Ok(())
    });
    (seqs, outcome.unwrap())
}

#[test]
fn dump_shows_what_it_is_asked_for_and_all_before_the_damage() {
    let small = small();
    let all: Vec<u64> = (1..=small.last).collect();
    assert_eq!(dump(&small.disk, 0, u64::MAX), (all.clone(), Outcome::Start));
    for (from, to) in [(1, 1), (5, 9), (small.last, small.last), (7, u64::MAX)] {
        let expected: Vec<u64> = (from..=to.min(small.last)).collect();
        assert_eq!(dump(&small.disk, from, to), (expected, Outcome::Start), "{from} {to}");
    }
    assert_eq!(dump(&small.disk, small.last, 3).0, []);
    assert_eq!(dump(&small.disk, small.last + 1, u64::MAX), (vec![], Outcome::Start));
    // The oldest segment has left the journal.
    let disk = small.disk.kill();
    disk.lose(&small.path(0));
    assert_eq!(dump(&disk, 1, u64::MAX).0, all[small.segments[1] as usize - 1..]);
    // Damaged: everything before it, and the place.
    let disk = small.disk.kill();
    let mut bytes = disk.contents(&small.path(1)).unwrap();
    bytes[512 + 70] ^= 1;
    disk.set_contents(&small.path(1), &bytes);
    let (seqs, outcome) = dump(&disk, 1, u64::MAX);
    assert_eq!(seqs, all[..small.segments[1] as usize - 1]);
    assert!(matches!(outcome, Outcome::Refused { place, .. } if place.path == small.path(1)));
    // What is above `commit` and whole is shown too: a start replays it.
    assert_eq!(dump(&small.committed_to(Some(3)), 1, u64::MAX).0, all);
}

#[test]
fn repair_cuts_an_unfinished_write_and_keeps_a_copy() {
    let small = small();
    let disk = small.committed_to(Some(10));
    let path = small.path(small.segments.len() - 1);
    let mut torn = disk.contents(&path).unwrap();
    let end = usize::try_from(
        verify(&small.disk.kill(), Postgres::Unreadable, 0)
            .segments
            .last()
            .unwrap()
            .end,
    )
    .unwrap();
    torn[end - 512] ^= 1;
    disk.set_contents(&path, &torn);
    let before = all_files(&disk);
    let plan = repair(&disk, Postgres::Unreadable, None, false).unwrap();
    assert!(plan.is_needed() && !plan.done && plan.cut[0].copy.is_none());
    assert_eq!(all_files(&disk), before, "asking changes nothing");
    let done = repair(&disk, Postgres::Unreadable, None, true).unwrap();
    assert_eq!((done.done, done.last_seq), (true, small.chunks[10].last_seq));
    let [cut] = &done.cut[..] else { panic!("{done:?}") };
    assert_eq!((&cut.path, cut.bytes), (&plan.cut[0].path, plan.cut[0].bytes));
    let from = usize::try_from(cut.from).unwrap();
    let kept = disk.contents(cut.copy.as_ref().unwrap()).unwrap();
    assert_eq!(kept[..], torn[from..from + kept.len()]);
    // What is left starts without any repair, and a second repair finds nothing.
    assert!(!repair(&disk, Postgres::Unreadable, None, true).unwrap().is_needed());
    let replayed = open_sim(&disk.lose_power(1), Postgres::Unreadable, 0).unwrap();
    assert_eq!(
        (replayed.last, &replayed.journal.recovered().torn),
        (done.last_seq, &None)
    );
}

#[test]
fn an_operators_word_counts_only_where_nobody_else_can_say() {
    let small = small();
    let path = small.path(small.segments.len() - 1);
    let mut torn = small.disk.contents(&path).unwrap();
    let end = usize::try_from(
        verify(&small.disk.kill(), Postgres::Unreadable, 0)
            .segments
            .last()
            .unwrap()
            .end,
    )
    .unwrap();
    torn[end - 512] ^= 1;
    let sure = small.chunks[10].last_seq;
    let without = || {
        let disk = small.without_commit();
        disk.set_contents(&path, &torn);
        disk
    };
    let disk = without();
    assert!(reason(repair(&disk, Postgres::Unreadable, None, true)).contains("neither the commit file nor Postgres"));
    // More was acknowledged than is left.
    let before = all_files(&disk);
    assert!(reason(repair(&disk, Postgres::Unreadable, Some(sure + 1), true)).contains("later records"));
    assert_eq!(all_files(&disk), before);
    let done = repair(&disk, Postgres::Unreadable, Some(sure), true).unwrap();
    assert_eq!((done.done, done.commit, done.last_seq), (true, true, sure));
    assert_eq!(
        open_sim(&disk.lose_power(5), Postgres::Unreadable, 0).unwrap().last,
        sure
    );
    // An undamaged journal without `commit` needs the word, too, and nothing is cut.
    let disk = small.without_commit();
    let done = repair(&disk, Postgres::Unreadable, Some(0), true).unwrap();
    assert_eq!((done.commit, done.cut.len(), done.last_seq), (true, 0, small.last));
    assert_eq!(open_sim(&disk, Postgres::Unreadable, 0).unwrap().last, small.last);
    // A damaged `commit` is kept, like everything that is replaced.
    let disk = small.disk.kill();
    disk.set_contents(&commit_path(), &[7; 4096]);
    let done = repair(&disk, Postgres::Unreadable, Some(0), true).unwrap();
    assert_eq!(disk.contents(&done.commit_copy.unwrap()), Some(vec![7; 4096]));
    assert_eq!(open_sim(&disk, Postgres::Unreadable, 0).unwrap().last, small.last);
    // Where `commit` or Postgres can say it, the word is not taken.
    let not_needed = "an operator's word for it is not taken";
    assert!(reason(repair(&without(), small.postgres(10), Some(0), true)).contains(not_needed));
    let disk = small.committed_to(Some(11));
    assert!(reason(repair(&disk, Postgres::Unreadable, Some(0), true)).contains(not_needed));
    disk.set_contents(&path, &torn);
    assert!(reason(repair(&disk, Postgres::Unreadable, Some(0), true)).contains("later records were acknowledged"));
}

#[test]
fn repair_refuses_what_is_more_than_an_unfinished_write() {
    let small = small();
    let disk = small.committed_to(None);
    let mut bytes = disk.contents(&small.path(0)).unwrap();
    bytes[512 + 70] ^= 1;
    disk.set_contents(&small.path(0), &bytes);
    let before = all_files(&disk);
    assert!(reason(repair(&disk, Postgres::Unreadable, None, true)).contains("undamaged chunks follow"));
    disk.lose(&commit_path());
    assert!(reason(repair(&disk, Postgres::Unreadable, Some(0), true)).contains("undamaged chunks follow"));
    let disk = small.committed_to(None);
    disk.lose(&small.path(1));
    assert!(reason(repair(&disk, Postgres::Unreadable, None, true)).contains("records are missing"));
    let disk = small.disk.kill();
    assert!(!repair(&disk, Postgres::Unreadable, None, true).unwrap().is_needed());
    assert_eq!(all_files(&disk).len(), before.len());
}
