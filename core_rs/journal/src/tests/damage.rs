//! Whatever happens to the bytes: a start refuses, or holds every acknowledged record and only true ones.

use super::support::{DIR, Small, append_durably, commit_path, open_sim, refusal, small};
use crate::chunk::{Hash, align};
use crate::commit::Publisher;
use crate::journal::{OpenError, Postgres};
use crate::segment;
use crate::sim::SimDisk;
use std::path::{Path, PathBuf};

/// Opens, expecting a refusal or at least `acknowledged` true records; then goes on writing and starts again.
fn survives(disk: &SimDisk, postgres: Postgres, acknowledged: u64, what: &str) -> Option<u64> {
    let last = match open_sim(disk, postgres, 0) {
        Err(OpenError::Refused { .. }) => return None,
        Err(other) => panic!("{what}: {other}"),
        Ok(replayed) => {
            assert!(
                replayed.last >= acknowledged,
                "{what}: {} < {acknowledged}",
                replayed.last
            );
            let last = append_durably(&replayed.journal, 2).unwrap();
            replayed.journal.close().unwrap();
            last
        }
    };
    let again = open_sim(&disk.lose_power(last), Postgres::Unreadable, 0).unwrap();
    assert_eq!(again.last, last, "{what}");
    Some(last - 2)
}

/// Truncates every segment at every `step`-th byte.
fn truncations(
    small: &Small,
    step: usize,
    make: impl Fn() -> SimDisk,
    postgres: Postgres,
    acknowledged: u64,
) -> [u64; 2] {
    let mut outcomes = [0, 0];
    for place in 0..small.segments.len() {
        let bytes = small.disk.contents(&small.path(place)).unwrap();
        for len in (0..bytes.len()).step_by(step) {
            let disk = make();
            disk.set_contents(&small.path(place), &bytes[..len]);
            let started = survives(&disk, postgres, acknowledged, &format!("segment {place} cut to {len}"));
            outcomes[usize::from(started.is_some())] += 1;
        }
    }
    outcomes
}

#[test]
fn truncation_anywhere_with_everything_committed() {
    let small = small();
    let make = || small.disk.kill();
    let [refused, started] = truncations(&small, 23, make, Postgres::Unreadable, small.last);
    // Only what was zeros anyway may go.
    assert!(refused > 100 && started > 10, "{refused} {started}");
}

#[test]
fn truncation_anywhere_with_an_older_commit() {
    let small = small();
    for chunk in [3, 9] {
        let make = || small.committed_to(Some(chunk));
        let acknowledged = small.chunks[chunk].last_seq;
        let [refused, started] = truncations(&small, 97, make, Postgres::Empty, acknowledged);
        assert!(refused > 10 && started > 10, "{refused} {started}");
    }
}

#[test]
fn truncation_anywhere_with_only_postgres() {
    let small = small();
    let make = || small.without_commit();
    let postgres = small.postgres(10);
    let [refused, started] = truncations(&small, 97, make, postgres, small.chunks[10].last_seq);
    assert!(refused > 10 && started > 10, "{refused} {started}");
    let [refused, started] = truncations(&small, 997, make, Postgres::Unreadable, 0);
    assert!(refused > 5 && started == 0, "{refused} {started}");
}

#[test]
fn a_flipped_bit_anywhere() {
    let small = small();
    let mut outcomes = [0, 0];
    for place in 0..small.segments.len() {
        let bytes = small.disk.contents(&small.path(place)).unwrap();
        for at in (0..bytes.len()).step_by(11) {
            for (chunk, postgres) in [(Some(11), Postgres::Unreadable), (None, small.postgres(6))] {
                let disk = small.committed_to(chunk);
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                disk.set_contents(&small.path(place), &flipped);
                let acknowledged = if chunk.is_some() {
                    small.last
                } else {
                    small.chunks[6].last_seq
                };
                let started = survives(&disk, postgres, acknowledged, &format!("segment {place} byte {at}"));
                outcomes[usize::from(started.is_some())] += 1;
            }
        }
    }
    assert!(outcomes[0] > 200 && outcomes[1] > 200, "{outcomes:?}");
}

/// Offset and length of the last chunk in its segment.
fn last_chunk(small: &Small) -> (usize, PathBuf, Vec<u8>) {
    let path = small.path(small.segments.len() - 1);
    let bytes = small.disk.contents(&path).unwrap();
    let mut offset = 512;
    loop {
        let len = crate::chunk::claimed_len(&bytes[offset..]).unwrap();
        let next = usize::try_from(align((offset + len) as u64)).unwrap();
        if crate::chunk::claimed_len(&bytes[next..]).is_none() {
            return (offset, path, bytes);
        }
        offset = next;
    }
}

#[test]
fn a_torn_tail_is_cut_and_a_copy_kept() {
    let small = small();
    let (offset, path, bytes) = last_chunk(&small);
    let disk = small.committed_to(Some(10));
    let mut torn = bytes.clone();
    torn[offset + 70] ^= 0xff;
    disk.set_contents(&path, &torn);
    let replayed = open_sim(&disk, Postgres::Unreadable, 0).unwrap();
    assert_eq!(replayed.last, small.chunks[10].last_seq);
    let copy = replayed.journal.recovered().torn.clone().unwrap();
    assert!(copy.starts_with(Path::new(DIR).join("torn")));
    let kept = disk.contents(&copy).unwrap();
    assert_eq!(kept[..], torn[offset..offset + kept.len()]);
    assert!(torn[offset + kept.len()..].iter().all(|byte| *byte == 0));
    // Nothing of it is left on the disk, with or without power.
    for seed in 0..20 {
        let clean = open_sim(&disk.lose_power_copy(seed), Postgres::Unreadable, 0).unwrap();
        assert_eq!(clean.journal.recovered().torn, None);
    }
    // The same records may be written again, and the old bytes do not come back with any loss of power.
    append_durably(&replayed.journal, 1).unwrap();
    replayed.journal.close().unwrap();
    for seed in 0..20 {
        assert_eq!(
            open_sim(&disk.lose_power(seed), Postgres::Unreadable, 0).unwrap().last,
            replayed.last + 1
        );
    }
}

#[test]
fn what_may_not_be_cut_is_refused_with_its_reason() {
    let small = small();
    let (offset, path, bytes) = last_chunk(&small);
    let spoil = |disk: &SimDisk| {
        let mut torn = bytes.clone();
        torn[offset + 70] ^= 0xff;
        disk.set_contents(&path, &torn);
    };
    let disk = small.committed_to(Some(11));
    spoil(&disk);
    assert!(refusal(open_sim(&disk, Postgres::Unreadable, 0)).contains("later records were acknowledged"));
    let disk = small.committed_to(Some(10));
    spoil(&disk);
    assert!(refusal(open_sim(&disk, small.postgres(11), 0)).contains("Postgres already holds later records"));
    assert!(refusal(open_sim(&disk.kill(), Postgres::Unreadable, small.last)).contains("the snapshot holds later"));
    let disk = small.without_commit();
    spoil(&disk);
    assert!(refusal(open_sim(&disk, Postgres::Unreadable, 0)).contains("neither the commit file nor Postgres"));
    // Refusing changes nothing.
    assert_eq!(
        disk.contents(&path).map(|now| now[offset + 70]),
        Some(bytes[offset + 70] ^ 0xff)
    );
    let disk = small.without_commit();
    spoil(&disk);
    assert_eq!(
        open_sim(&disk, small.postgres(10), 0).unwrap().last,
        small.chunks[10].last_seq
    );
}

#[test]
fn damage_with_good_chunks_behind_it_is_refused_even_when_nothing_was_committed() {
    let small = small();
    let disk = small.committed_to(None);
    let path = small.path(0);
    let mut bytes = disk.contents(&path).unwrap();
    bytes[512 + 70] ^= 0xff;
    disk.set_contents(&path, &bytes);
    assert!(refusal(open_sim(&disk, Postgres::Empty, 0)).contains("undamaged chunks follow"));
    // A segment missing in the middle, and one replaced by a copy of another.
    let disk = small.committed_to(None);
    disk.lose(&small.path(1));
    assert!(refusal(open_sim(&disk, Postgres::Empty, 0)).contains("records are missing"));
    let disk = small.committed_to(None);
    disk.set_contents(&small.path(1), &disk.contents(&small.path(0)).unwrap());
    assert!(refusal(open_sim(&disk, Postgres::Empty, 0)).contains("records are missing"));
}

#[test]
fn a_good_chunk_behind_a_bad_one_in_the_last_segment_is_enough() {
    let small = small();
    let disk = small.committed_to(None);
    for place in 1..small.segments.len() {
        disk.lose(&small.path(place));
    }
    let mut bytes = disk.contents(&small.path(0)).unwrap();
    bytes[512 + 70] ^= 0xff;
    disk.set_contents(&small.path(0), &bytes);
    assert!(refusal(open_sim(&disk, Postgres::Empty, 0)).contains("undamaged chunks follow"));
}

#[test]
fn a_chunk_of_another_history_breaks_the_chain() {
    let small = small();
    let disk = small.committed_to(None);
    let mut bytes = disk.contents(&small.path(0)).unwrap();
    let len = crate::chunk::claimed_len(&bytes[512..]).unwrap();
    let header = crate::chunk::decode(&bytes[512..]).unwrap();
    // The same records at the same place, sealed at another time: sound in itself.
    let later = header.sealed_ns + 1;
    let _ = crate::chunk::seal(&mut bytes[512..512 + len], 1, 1, header.count, later, &header.prev_hash);
    crate::chunk::decode(&bytes[512..]).unwrap();
    disk.set_contents(&small.path(0), &bytes);
    assert!(refusal(open_sim(&disk, Postgres::Empty, 0)).contains("does not continue"));
}

#[test]
fn a_missing_end_is_refused_by_whoever_knows_better() {
    let small = small();
    let last = small.segments.len() - 1;
    let cut = |disk: &SimDisk| disk.lose(&small.path(last));
    let disk = small.committed_to(Some(11));
    cut(&disk);
    assert!(refusal(open_sim(&disk, Postgres::Unreadable, 0)).contains("later records were acknowledged"));
    let disk = small.without_commit();
    cut(&disk);
    assert!(refusal(open_sim(&disk, small.postgres(11), 0)).contains("Postgres already holds"));
    // Nothing at all.
    let disk = SimDisk::new();
    assert!(refusal(open_sim(&disk, small.postgres(0), 0)).contains("Postgres already holds"));
    assert!(refusal(open_sim(&disk.kill(), Postgres::Empty, 7)).contains("snapshot"));
}

#[test]
fn another_history_is_refused() {
    let small = small();
    let other: Hash = [9; 16];
    let seq = small.chunks[5].last_seq;
    let differs = Postgres::At { seq, hash: other };
    assert!(refusal(open_sim(&small.disk.kill(), differs, 0)).contains("Postgres holds other records"));
    // Not the end of a chunk.
    let inside = Postgres::At {
        seq: seq - 1,
        hash: small.chunks[5].hash,
    };
    assert!(refusal(open_sim(&small.disk.kill(), inside, 0)).contains("Postgres holds other records"));
    // Far behind the snapshot, its chunk is looked up all the same.
    let late = small.chunks[11].last_seq;
    assert!(refusal(open_sim(&small.disk.kill(), differs, late)).contains("Postgres holds other records"));
    for chunk in 0..12 {
        let replayed = open_sim(&small.disk.kill(), small.postgres(chunk), late).unwrap();
        assert_eq!((replayed.last, replayed.chunks.len()), (late, 0));
        let replayed = open_sim(&small.disk.kill(), small.postgres(11), small.chunks[chunk].last_seq).unwrap();
        assert_eq!((replayed.last, replayed.chunks.len()), (late, 11 - chunk));
    }
}

#[test]
fn the_snapshot_is_evidence_too() {
    let small = small();
    let open = |after: usize, hash: Hash| {
        let options = crate::Options {
            snapshot_hash: Some(hash),
            ..super::support::SMALL
        };
        let disk: std::sync::Arc<dyn crate::disk::Disk> = std::sync::Arc::new(small.disk.kill());
        super::support::open_on(
            disk,
            Path::new(DIR),
            &options,
            Postgres::Empty,
            small.chunks[after].last_seq,
        )
    };
    assert_eq!(open(7, small.chunks[7].hash).unwrap().last, small.last);
    assert!(refusal(open(7, small.chunks[8].hash)).contains("the snapshot was made from other records"));
}

#[test]
fn old_segments_may_leave_once_a_snapshot_covers_them() {
    let small = small();
    let disk = small.disk.kill();
    disk.lose(&small.path(0));
    assert!(refusal(open_sim(&disk, Postgres::Unreadable, 0)).contains("no snapshot covers"));
    let after = small.segments[1] - 1;
    assert_eq!(open_sim(&disk, Postgres::Unreadable, after).unwrap().last, small.last);
    // Postgres exactly there, and before the archive's end: the worker's problem, not a reason to stop trading.
    let before = small.chunks.iter().position(|chunk| chunk.last_seq == after).unwrap();
    assert_eq!(
        open_sim(&disk.kill(), small.postgres(before), after).unwrap().last,
        small.last
    );
    assert_eq!(
        open_sim(&disk.kill(), small.postgres(0), after).unwrap().last,
        small.last
    );
    let differs = Postgres::At {
        seq: after,
        hash: [9; 16],
    };
    assert!(refusal(open_sim(&disk.kill(), differs, after)).contains("Postgres holds other records"));
    assert!(refusal(open_sim(&disk.kill(), differs, small.last)).contains("Postgres holds other records"));
}

#[test]
fn every_byte_of_commit_may_be_damaged() {
    let small = small();
    let bytes = small.disk.contents(&commit_path()).unwrap();
    let mut unreadable = 0;
    for at in 0..512 {
        // One whole slot is enough, whichever it is: the others are older, or the same.
        for whole in 0..=4 {
            let disk = small.disk.kill();
            let mut flipped = bytes.clone();
            for slot in (0..4).filter(|slot| *slot != whole) {
                flipped[slot * 512 + at] ^= 0x40;
            }
            disk.set_contents(&commit_path(), &flipped);
            match open_sim(&disk, Postgres::Unreadable, 0) {
                Ok(replayed) => assert_eq!(replayed.last, small.last),
                Err(OpenError::Refused { .. }) if whole == 4 => unreadable += 1,
                Err(other) => panic!("byte {at}: {other}"),
            }
            assert_eq!(open_sim(&disk.kill(), small.postgres(11), 0).unwrap().last, small.last);
        }
    }
    assert_eq!(unreadable, 64, "all slots of 64 bytes");
    for len in [0, 100, 4095] {
        let disk = small.disk.kill();
        disk.set_contents(&commit_path(), &bytes[..len]);
        assert!(refusal(open_sim(&disk, Postgres::Unreadable, 0)).contains("neither"));
        assert_eq!(open_sim(&disk, Postgres::Empty, 0).unwrap().last, small.last);
    }
}

#[test]
fn with_both_slots_torn_commit_is_about_a_segment_old() {
    let disk = SimDisk::new();
    let journal = open_sim(&disk, Postgres::Empty, 0).unwrap().journal;
    for _ in 0..40 {
        append_durably(&journal, 2).unwrap();
    }
    let segments = segment::list(&disk, Path::new(DIR)).unwrap();
    // The page was flushed before the last segment began, at the latest: so much survives any loss of power.
    for seed in 0..40 {
        let disk = disk.lose_power_copy(seed);
        let mut bytes = disk.contents(&commit_path()).unwrap();
        bytes[..1024].fill(0xff);
        disk.set_contents(&commit_path(), &bytes);
        let position = Publisher::open(&disk, &commit_path()).unwrap().1.unwrap();
        let floor = segments[segments.len() - 3];
        assert!(position.last_seq >= floor, "{} of {segments:?}", position.last_seq);
        assert_eq!(open_sim(&disk, Postgres::Unreadable, 0).unwrap().last, 80);
    }
}

#[test]
fn a_newer_format_is_named_and_never_cut() {
    let small = small();
    let (offset, path, bytes) = last_chunk(&small);
    let disk = small.committed_to(Some(10));
    let mut newer = bytes;
    newer[offset + 8] = 2;
    let len = crate::chunk::claimed_len(&newer[offset..]).unwrap();
    let crc = crc32c::crc32c(&newer[offset + 8..offset + len]);
    newer[offset + 4..offset + 8].copy_from_slice(&crc.to_le_bytes());
    disk.set_contents(&path, &newer);
    assert!(refusal(open_sim(&disk, Postgres::Empty, 0)).contains("format"));
}
