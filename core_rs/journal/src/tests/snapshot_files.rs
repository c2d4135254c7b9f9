//! Snapshot files: the newest that verifies; two are kept; a crash while writing loses nothing.

use crate::sim::{Fault, SimDisk};
use crate::snapshots;
use std::path::Path;

#[test]
fn snapshots_fall_back_to_the_older_one_and_two_are_kept() {
    let disk = SimDisk::new();
    let dir = Path::new("/s");
    assert_eq!(
        snapshots::newest_on(&disk, dir, 1, u64::MAX).unwrap(),
        snapshots::Newest::default()
    );
    let make = |seq: u64| snapshots::Snapshot {
        seq,
        fold_version: 1,
        chunk_hash: [1; 16],
        state_hash: [2; 16],
        body: vec![u8::try_from(seq).unwrap(); 700],
    };
    for seq in [10, 20, 30] {
        snapshots::write_on(&disk, dir, &make(seq)).unwrap();
    }
    assert_eq!(disk.files().len(), 2);
    let newest = |disk: &SimDisk, version, not_after| snapshots::newest_on(disk, dir, version, not_after).unwrap();
    assert_eq!(newest(&disk, 1, u64::MAX).snapshot, Some(make(30)));
    assert_eq!(
        newest(&disk, 2, u64::MAX).snapshot,
        Some(make(30)),
        "the predecessor's is read"
    );
    assert_eq!(newest(&disk, 3, u64::MAX).snapshot, None);
    assert_eq!(newest(&disk, 1, 29).snapshot, Some(make(20)));
    let path = dir.join(format!("{:020}.snap", 30));
    let bytes = disk.contents(&path).unwrap();
    for at in 0..bytes.len() {
        let mut spoilt = bytes.clone();
        spoilt[at] ^= 1;
        disk.set_contents(&path, &spoilt);
        let found = newest(&disk, 1, u64::MAX);
        assert_eq!(found.snapshot, Some(make(20)), "byte {at}");
        assert_eq!(found.rejected.len(), 1);
        disk.set_contents(&path, &bytes[..at]);
        assert_eq!(newest(&disk, 1, u64::MAX).snapshot, Some(make(20)), "cut to {at}");
    }
}

#[test]
fn a_crash_while_writing_leaves_the_older_one() {
    let dir = Path::new("/s");
    let make = |seq: u64| snapshots::Snapshot {
        seq,
        fold_version: 1,
        chunk_hash: [3; 16],
        state_hash: [4; 16],
        body: vec![9; 2_000],
    };
    for at in 1..20 {
        let disk = SimDisk::new();
        snapshots::write_on(&disk, dir, &make(10)).unwrap();
        snapshots::write_on(&disk, dir, &make(20)).unwrap();
        disk.set_fault(Some(Fault::DieWithin(disk.operations() + at)));
        let written = snapshots::write_on(&disk, dir, &make(30)).is_ok();
        for seed in 0..10 {
            let found = snapshots::newest_on(&disk.lose_power(seed), dir, 1, u64::MAX)
                .unwrap()
                .snapshot
                .unwrap();
            assert!(
                found == make(30) || (!written && found == make(20)),
                "operation {at}: {}",
                found.seq
            );
        }
    }
}
