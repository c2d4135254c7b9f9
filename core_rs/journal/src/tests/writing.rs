//! The writer: group commit, limits, failures, single records.

use super::support::{DIR, SMALL, append, append_durably, body, frames, open_on, open_real, open_sim};
use crate::chunk::{self, MAX_BODY, encode_frame};
use crate::disk::Disk;
use crate::journal::{AppendError, Journal, OpenError, Options, Postgres};
use crate::sim::{Fault, SimDisk};
use crate::space::Marks;
use crate::{commit, segment};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SECONDS: Duration = Duration::from_secs(20);

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let options = Options {
        segment_bytes: 1 << 16,
        marks: Marks::NONE,
        snapshot_hash: None,
    };
    let first = open_real(&path, &options, Postgres::Unreadable, 0).unwrap();
    assert_eq!((first.last, first.journal.epoch()), (0, 1));
    for n in 1..=50 {
        append(&first.journal, n % 5 + 1);
    }
    let last = first.journal.last_seq();
    first.journal.close().unwrap();
    assert_eq!(first.journal.durable_seq(), last);
    assert!(matches!(
        first.journal.append(&frames(last + 1, 1), last + 1, 1, 0),
        Err(AppendError::Failed(_))
    ));
    drop(first);
    let second = open_real(&path, &options, Postgres::Unreadable, 0).unwrap();
    assert_eq!((second.last, second.journal.epoch()), (last, 2));
    assert_eq!(second.journal.recovered().rewritten_chunks, 0);
    assert_eq!(second.journal.recovered().last_ts, 1_000 + last as i64);
    assert!(second.chunks.iter().all(|chunk| chunk.epoch == 1));
}

#[test]
fn files_are_private_and_others_may_not_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let journal = open_real(&path, &SMALL, Postgres::Empty, 0).unwrap().journal;
    append_durably(&journal, 1).unwrap();
    journal.close().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in std::fs::read_dir(&path).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o720)).unwrap();
    assert!(matches!(
        open_real(&path, &SMALL, Postgres::Empty, 0),
        Err(OpenError::Refused { .. })
    ));
}

#[test]
fn a_second_writer_is_locked_out_until_the_first_closes() {
    let dir = tempfile::tempdir().unwrap();
    let first = open_real(dir.path(), &SMALL, Postgres::Empty, 0).unwrap().journal;
    assert!(matches!(
        open_real(dir.path(), &SMALL, Postgres::Empty, 0),
        Err(OpenError::Locked)
    ));
    first.close().unwrap();
    open_real(dir.path(), &SMALL, Postgres::Empty, 0).unwrap();
}

#[test]
fn one_flush_commits_what_gathered_meanwhile() {
    let disk = SimDisk::new();
    let options = Options {
        segment_bytes: 1 << 17,
        marks: Marks::NONE,
        snapshot_hash: None,
    };
    let open = |disk: &SimDisk| open_on(Arc::new(disk.clone()), Path::new(DIR), &options, Postgres::Empty, 0).unwrap();
    let journal = Arc::new(open(&disk).journal);
    append_durably(&journal, 1).unwrap();
    settle(&disk, &options);
    disk.set_sync_delay(Duration::from_millis(5));
    let turn = Arc::new(parking_lot::Mutex::new(()));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (journal, turn) = (Arc::clone(&journal), Arc::clone(&turn));
            std::thread::spawn(move || {
                for _ in 0..25 {
                    let guard = turn.lock();
                    let seq = append(&journal, 1);
                    drop(guard);
                    assert!(journal.wait_durable(seq, SECONDS).unwrap());
                    assert!(journal.durable_seq() >= seq);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(journal.last_seq(), 201);
    disk.set_sync_delay(Duration::ZERO);
    journal.close().unwrap();
    let chunks = open(&disk).chunks;
    assert_eq!(
        chunks
            .iter()
            .map(|chunk| chunk.last_seq - chunk.first_seq + 1)
            .sum::<u64>(),
        201
    );
    // Eight threads wait for one flush at a time: it should commit for nearly all of them.
    assert!(chunks.len() < 100, "{} flushes for 201 records", chunks.len());
}

#[test]
fn a_batch_larger_than_a_chunk_is_split_between_frames() {
    let disk = SimDisk::new();
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    // One append, far more than a segment of 4 KiB holds.
    append_durably(&journal, 300).unwrap();
    journal.close().unwrap();
    let chunks = open_sim(&disk, Postgres::Empty, 0).unwrap().chunks;
    assert!(chunks.len() > 10);
    assert_eq!(chunks.last().unwrap().last_seq, 300);
}

#[test]
fn misuse_and_overload_take_nothing() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let options = Options::default();
    let journal = open_on(disk, Path::new(DIR), &options, Postgres::Empty, 0)
        .unwrap()
        .journal;
    let misuse = |result: Result<(), AppendError>| assert!(matches!(result, Err(AppendError::Misuse(_))), "{result:?}");
    misuse(journal.append(&frames(1, 2), 1, 1, 0));
    misuse(journal.append(&frames(1, 2), 1, 3, 0));
    misuse(journal.append(&[], 1, 0, 0));
    misuse(journal.append(&frames(2, 1), 2, 1, 0));
    misuse(journal.append(&frames(1, 1)[..20], 1, 1, 0));
    let mut huge = Vec::new();
    encode_frame(&mut huge, 0, 1, 1, &vec![1; MAX_BODY + 1]);
    misuse(journal.append(&huge, 1, 1, 0));
    assert_eq!(journal.last_seq(), 0);
    let mut large = Vec::new();
    encode_frame(&mut large, 0, 1, 1, &vec![1; MAX_BODY]);
    let mut full = 0;
    for _ in 0..400 {
        let next = journal.last_seq() + 1;
        match journal.append(&large, next, 1, 0) {
            Ok(()) => {}
            Err(AppendError::Full) => {
                full += 1;
                assert!(journal.backlog_bytes() > 60 << 20);
                assert_eq!(journal.last_seq(), next - 1);
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(full, 1);
    let last = journal.last_seq();
    assert!(journal.wait_durable(last, SECONDS).unwrap());
    append_after_overload(&journal, &large);
}

fn append_after_overload(journal: &Journal, frame: &[u8]) {
    let next = journal.last_seq() + 1;
    journal.append(frame, next, 1, 0).unwrap();
    assert!(journal.wait_durable(next, SECONDS).unwrap());
    let deadline = Instant::now() + SECONDS;
    while journal.backlog_bytes() > 0 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

#[test]
fn single_records_are_read_from_old_and_new_segments() {
    let disk = SimDisk::new();
    let options = Options {
        segment_bytes: 1 << 17,
        marks: Marks::NONE,
        snapshot_hash: None,
    };
    let open = |after| {
        open_on(Arc::new(disk.clone()), Path::new(DIR), &options, Postgres::Empty, after)
            .unwrap()
            .journal
    };
    let journal = open(0);
    assert!(journal.read(1).unwrap().is_none());
    for n in 0..1_000 {
        append_durably(&journal, n % 3 + 1).unwrap();
    }
    let last = journal.last_seq();
    check_reads(&journal, last);
    journal.close().unwrap();
    let segments = segment::list(&disk, Path::new(DIR)).unwrap();
    assert!(segments.len() > 4, "{segments:?}");
    // A start that reads only the last segment has no entries for the older ones.
    let journal = open(last);
    check_reads(&journal, last);
    check_reads(&journal, last);
    journal.close().unwrap();
    // A segment that left the journal: its records are not found, the others are.
    disk.lose(&segment::path(Path::new(DIR), segments[0]));
    let journal = open(last);
    assert!(journal.read(1).unwrap().is_none());
    assert_eq!(journal.sealed_at(1), None);
    assert_eq!(journal.read(segments[1]).unwrap().unwrap().body, body(segments[1]));
}

fn check_reads(journal: &Journal, last: u64) {
    for seq in (1..=last).rev().step_by(7).chain([1, last]) {
        let frame = journal.read(seq).unwrap().unwrap();
        assert_eq!((frame.seq, frame.ts, frame.version), (seq, 1_000 + seq as i64, 1));
        assert_eq!(frame.body, body(seq));
        assert_eq!(journal.sealed_at(seq), Some(frame.sealed_ns));
        assert!(frame.sealed_ns >= 5_000);
    }
    assert!(journal.read(last + 1).unwrap().is_none());
    assert!(journal.read(0).unwrap().is_none());
}

#[test]
fn the_eventfd_rings_after_durable_and_on_failure() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let disk = SimDisk::new();
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    let readable = |ms: i64| {
        let fd = journal.wake_fd();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        poll(
            &mut fds,
            Some(&Timespec {
                tv_sec: ms / 1_000,
                tv_nsec: ms % 1_000 * 1_000_000,
            }),
        )
        .unwrap()
            == 1
    };
    assert!(!readable(0));
    let last = append(&journal, 1);
    assert!(readable(20_000));
    journal.acknowledge_wake();
    assert_eq!(journal.durable_seq(), last);
    assert!(!readable(0));
    settle(&disk, &SMALL);
    disk.set_fault(Some(Fault::Fail(disk.operations() + 1)));
    append(&journal, 1);
    assert!(readable(20_000));
    assert!(journal.failure().is_some());
}

#[test]
fn a_flush_error_is_final_and_the_next_start_does_not_trust_the_page_cache() {
    for offset in 1..=2 {
        let disk = SimDisk::new();
        let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
        append_durably(&journal, 2).unwrap();
        settle(&disk, &SMALL);
        // The next write, then the next flush.
        disk.set_fault(Some(Fault::Fail(disk.operations() + offset)));
        assert!(append_durably(&journal, 1).is_err());
        assert_eq!(journal.durable_seq(), 2);
        assert!(
            journal.failure().unwrap().contains("00000000000000000001.seg"),
            "{:?}",
            journal.failure()
        );
        assert!(matches!(
            journal.append(&frames(4, 1), 4, 1, 0),
            Err(AppendError::Failed(_))
        ));
        assert!(journal.close().is_err());
        // The process restarts and sees the chunk in the page cache, if it was written. What it starts with must
        // survive a loss of power, whatever the page cache had forgotten to write.
        let disk = disk.kill();
        let again = open_sim(&disk, Postgres::Empty, 0).unwrap();
        assert_eq!(again.last, if offset == 2 { 3 } else { 2 });
        assert_eq!(again.journal.recovered().rewritten_chunks, offset - 1);
        for seed in 0..20 {
            let after = open_sim(&disk.lose_power(seed), Postgres::Empty, 0).unwrap();
            assert_eq!(after.last, again.last);
        }
    }
}

/// Waits until the background has prepared the next segment, so that the operations that follow are the writer's.
fn settle(disk: &SimDisk, options: &Options) {
    let spare = Path::new(DIR).join(crate::ahead::SPARE);
    let deadline = Instant::now() + SECONDS;
    let len = || disk.contents(&spare).map(|bytes| bytes.len() as u64);
    while len() != Some(options.segment_bytes) || disk.unflushed(&spare) != Some(0) {
        assert!(Instant::now() < deadline, "no spare segment");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn halting_drops_what_is_not_flushed() {
    let disk = SimDisk::new();
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    append_durably(&journal, 2).unwrap();
    journal.halt("an invariant broke");
    assert!(matches!(
        journal.append(&frames(3, 1), 3, 1, 0),
        Err(AppendError::Failed(_))
    ));
    assert!(journal.close().unwrap_err().contains("an invariant broke"));
    assert_eq!(open_sim(&disk.kill(), Postgres::Empty, 0).unwrap().last, 2);
}

#[test]
fn a_full_disk_warns_first_and_fails_only_when_the_segment_is_full() {
    let disk = SimDisk::new();
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    settle(&disk, &SMALL);
    disk.set_fault(Some(Fault::Full(0)));
    append_durably(&journal, 1).unwrap();
    let deadline = Instant::now() + SECONDS;
    while journal.warning().is_none() {
        assert!(Instant::now() < deadline, "no warning");
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut done = 1;
    let failed = loop {
        match append_durably(&journal, 1) {
            Ok(last) => done = last,
            Err(reason) => break reason,
        }
    };
    assert!(failed.contains("the next segment cannot be prepared"), "{failed}");
    assert!(done > 3);
    let disk = disk.kill();
    assert_eq!(open_sim(&disk, Postgres::Empty, 0).unwrap().last, done);
}

#[test]
fn the_chunk_format_is_what_the_page_says() {
    let mut bytes = vec![0; chunk::HEADER];
    encode_frame(&mut bytes, 0x0102_0304_0506_0708, 9, 2, b"abc");
    let hash = chunk::seal(&mut bytes, 7, 11, 1, 13, &[5; 16]);
    let header = chunk::decode(&bytes).unwrap();
    assert_eq!(
        (header.epoch, header.first_seq, header.last_seq(), header.sealed_ns),
        (7, 11, 11, 13)
    );
    assert_eq!((header.prev_hash, header.len()), ([5; 16], 64 + 16 + 3));
    assert_eq!(&bytes[..4], b"OGJC");
    assert_eq!(
        bytes[64..],
        [3, 0, 0, 0, 9, 2, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, b'a', b'b', b'c']
    );
    // Golden values: a change of either breaks every journal and Postgres's watermark.
    assert_eq!(hash, chunk::hash_of(&bytes));
    assert_eq!(
        u32::from_le_bytes(bytes[4..8].try_into().unwrap()),
        crc32c::crc32c(&bytes[8..])
    );
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        assert!(chunk::decode(&flipped).is_err(), "byte {at}");
        assert!(chunk::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
    // No write touches a sector that holds acknowledged bytes.
    assert_eq!([1, 512, 513].map(chunk::align), [512, 512, 1024]);
    assert_eq!(commit::BYTES, 4096);
}
