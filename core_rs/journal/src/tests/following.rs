//! Followers: up to `commit` and no further, whole chunks, while the writer writes.

use super::support::{DIR, append, append_durably, body, open_real, open_sim};
use crate::chunk::ChunkInfo;
use crate::commit::{self, Position, Publisher, Reader};
use crate::disk::{Disk, RealDisk};
use crate::follower::{FollowError, Follower};
use crate::journal::{Options, Postgres};
use crate::segment;
use crate::sim::SimDisk;
use crate::space::Marks;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Polls once and checks what comes; the last record and the chunks.
fn poll(follower: &mut Follower, max: usize) -> Result<(usize, Vec<ChunkInfo>), FollowError> {
    let mut next = follower.position() + 1;
    let mut chunks: Vec<ChunkInfo> = Vec::new();
    let visited = follower.poll(max, &mut |chunk, frame| {
        assert_eq!(frame.seq, next);
        assert_eq!(frame.body, body(frame.seq));
        next += 1;
        if chunks.last() != Some(chunk) {
            chunks.push(*chunk);
        }
        Ok(())
    })?;
    assert_eq!(follower.position() + 1, next);
    Ok((visited, chunks))
}

fn follow(disk: &SimDisk, after: u64) -> Result<Follower, FollowError> {
    Follower::open_on(Arc::new(disk.clone()), Path::new(DIR), after)
}

#[test]
fn a_follower_sees_whole_committed_chunks_across_segments_and_restarts() {
    let disk = SimDisk::new();
    assert!(matches!(follow(&disk, 0), Err(FollowError::NoJournal(_))));
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    let mut follower = follow(&disk, 0).unwrap();
    assert_eq!(poll(&mut follower, 100).unwrap().0, 0);
    for n in 0..30 {
        let last = append_durably(&journal, n % 4 + 1).unwrap();
        assert_eq!(follower.committed(), last);
        let (visited, chunks) = poll(&mut follower, 100).unwrap();
        assert_eq!((visited as u64, chunks.len()), (n % 4 + 1, 1));
        assert_eq!((chunks[0].last_seq, chunks[0].epoch), (last, 1));
        assert_eq!(poll(&mut follower, 100).unwrap().0, 0);
    }
    journal.close().unwrap();
    drop(journal);
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    let last = append_durably(&journal, 2).unwrap();
    assert_eq!(poll(&mut follower, 100).unwrap().1[0].epoch, 2);
    // Another one reads all of it in pieces of at most seven records.
    let mut late = follow(&disk, 0).unwrap();
    let mut total = 0;
    loop {
        let (visited, chunks) = poll(&mut late, 7).unwrap();
        assert!(visited <= 7);
        assert!(visited == 0 || chunks.last().unwrap().last_seq == late.position());
        total += visited as u64;
        if visited == 0 {
            break;
        }
    }
    assert_eq!((total, late.position()), (last, last));
    // A chunk larger than asked for comes whole.
    append_durably(&journal, 5).unwrap();
    assert_eq!(poll(&mut late, 2).unwrap().0, 5);
    assert_eq!(poll(&mut follow(&disk, last).unwrap(), 100).unwrap().0, 5);
    assert!(matches!(follow(&disk, last + 6), Err(FollowError::Corrupt { .. })));
}

#[test]
fn a_follower_may_start_after_any_record() {
    let disk = SimDisk::new();
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    let mut hashes = Vec::new();
    for n in 0..20 {
        append_durably(&journal, n % 3 + 1).unwrap();
    }
    let last = journal.last_seq();
    let mut all = follow(&disk, 0).unwrap();
    while let (1.., chunks) = poll(&mut all, 1).unwrap() {
        hashes.extend(chunks);
    }
    for after in 0..=last {
        let mut follower = follow(&disk, after).unwrap();
        let (visited, chunks) = poll(&mut follower, usize::MAX).unwrap();
        assert_eq!(visited as u64, last - after);
        let expected: Vec<_> = hashes.iter().filter(|chunk| chunk.last_seq > after).copied().collect();
        assert_eq!(chunks, expected);
    }
}

#[test]
fn uncommitted_chunks_are_invisible() {
    let disk = SimDisk::new();
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    append_durably(&journal, 1).unwrap();
    let mut follower = follow(&disk, 0).unwrap();
    assert_eq!(poll(&mut follower, 10).unwrap().0, 1);
    // The writer is between flush and `commit`: the chunk is in the file and not yet published.
    disk.set_sync_delay(std::time::Duration::from_millis(100));
    let last = append(&journal, 1);
    let path = segment::path(Path::new(DIR), 1);
    let written = || disk.contents(&path).unwrap()[1024..].iter().any(|byte| *byte != 0);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !written() {
        assert!(
            std::time::Instant::now() < deadline,
            "the second chunk is not in its sector"
        );
        std::thread::yield_now();
    }
    if journal.durable_seq() < last {
        assert_eq!(poll(&mut follower, 10).unwrap().0, 0);
    }
    assert!(journal.wait_durable(last, std::time::Duration::from_secs(20)).unwrap());
    assert_eq!(poll(&mut follower, 10).unwrap().0, 1);
}

#[test]
fn a_follower_reports_what_is_gone_and_what_is_damaged() {
    let disk = SimDisk::new();
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    for _ in 0..30 {
        append_durably(&journal, 2).unwrap();
    }
    let segments = segment::list(&disk, Path::new(DIR)).unwrap();
    let spoil = |place: usize| {
        let path = segment::path(Path::new(DIR), segments[place]);
        let mut bytes = disk.contents(&path).unwrap();
        bytes[512 + 80] ^= 1;
        disk.set_contents(&path, &bytes);
    };
    spoil(1);
    let mut follower = follow(&disk, 0).unwrap();
    assert!(matches!(poll(&mut follower, 1_000), Err(FollowError::Corrupt { .. })));
    assert_eq!(follower.position(), segments[1] - 1);
    spoil(segments.len() - 1);
    let mut follower = follow(&disk, segments[segments.len() - 1] - 1).unwrap();
    assert!(matches!(poll(&mut follower, 1_000), Err(FollowError::Corrupt { .. })));
    disk.lose(&segment::path(Path::new(DIR), segments[0]));
    let mut follower = follow(&disk, 0).unwrap();
    assert!(matches!(poll(&mut follower, 1_000), Err(FollowError::Gone(1))));
    let mut follower = follow(&disk, segments[2] - 1).unwrap();
    let failed = follower.poll(10, &mut |_, frame| {
        if frame.seq > segments[2] {
            Err("no".into())
        } else {
            Ok(())
        }
    });
    assert!(matches!(failed, Err(FollowError::Visitor(reason)) if reason.contains("no")));
}

#[test]
fn followers_keep_up_with_a_writer_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        segment_bytes: 1 << 16,
        marks: Marks::NONE,
        snapshot_hash: None,
    };
    let journal = open_real(dir.path(), &options, Postgres::Empty, 0).unwrap().journal;
    let done = Arc::new(AtomicBool::new(false));
    let followers: Vec<_> = (0..2)
        .map(|_| {
            let (path, done) = (dir.path().to_owned(), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut follower = Follower::open(&path, 0).unwrap();
                loop {
                    let ended = done.load(Ordering::Acquire);
                    if poll(&mut follower, 64).unwrap().0 == 0 && ended {
                        return follower.position();
                    }
                }
            })
        })
        .collect();
    for n in 0..150 {
        for m in 0..10 {
            append(&journal, (n + m) % 3 + 1);
        }
        append_durably(&journal, 1).unwrap();
    }
    let last = journal.last_seq();
    done.store(true, Ordering::Release);
    for follower in followers {
        assert_eq!(follower.join().unwrap(), last);
    }
    assert!(segment::list(&RealDisk, dir.path()).unwrap().len() > 3);
}

#[test]
fn readers_of_commit_never_see_a_mixture() {
    let dir = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::create(&RealDisk, dir.path()).unwrap();
    let path = dir.path().join(commit::NAME);
    let position = |seq: u64| Position {
        last_seq: seq,
        segment: seq.wrapping_mul(3),
        end: seq.wrapping_mul(512),
        epoch: u32::try_from(seq % 1_000).unwrap(),
        hash: u128::from(seq).wrapping_mul(0x1_0001_0001).to_le_bytes(),
    };
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let reader = Reader::open(&RealDisk, &path).unwrap();
            std::thread::spawn(move || {
                let (mut newest, mut changes) = (0, 0_u64);
                while newest < 300_000 {
                    let seen = reader.read().unwrap();
                    assert_eq!(seen, position(seen.last_seq));
                    assert!(seen.last_seq >= newest, "went back");
                    changes += u64::from(seen.last_seq > newest);
                    newest = seen.last_seq;
                }
                changes
            })
        })
        .collect();
    for seq in 1..=300_000 {
        publisher.publish(&position(seq));
    }
    for reader in readers {
        assert!(reader.join().unwrap() >= 1);
    }
    assert_eq!(Publisher::open(&RealDisk, &path).unwrap().1, Some(position(300_000)));
}

#[test]
fn a_page_that_is_too_short_is_not_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(commit::NAME);
    std::fs::write(&path, [0; 100]).unwrap();
    assert_eq!(
        RealDisk.map(&path, false).err().unwrap().kind(),
        std::io::ErrorKind::InvalidData
    );
    std::fs::write(&path, [0; commit::BYTES]).unwrap();
    assert_eq!(Reader::open(&RealDisk, &path).unwrap().read(), None);
}
