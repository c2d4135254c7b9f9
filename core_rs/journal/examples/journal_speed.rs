//! Measures the journal on a real disk: `cargo run --release -p ordergate-journal --example journal_speed -- DIR`.
//!
//! Refuses tmpfs, where a flush does nothing. The directory is created below DIR and removed at the end.

use ordergate_journal::{Follower, Journal, Options, Postgres, encode_frame};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const TMPFS: rustix::fs::FsWord = 0x0102_1994;
const BODY: usize = 300;

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args()
        .nth(1)
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    if rustix::fs::statfs(&root)?.f_type == TMPFS {
        return Err("tmpfs: a flush does nothing here".into());
    }
    let dir = root.join(format!("journal-speed-{}", std::process::id()));
    let result = measure(&dir);
    std::fs::remove_dir_all(&dir)?;
    result
}

fn measure(dir: &Path) -> Result<(), Box<dyn Error>> {
    let journal = Journal::open(dir, Options::default(), Postgres::Empty, 0, &mut |_, _| Ok(()))?;
    commit_batch(&journal, 1)?;
    // Let the next segment be ready, so that its zeros do not count.
    std::thread::sleep(Duration::from_secs(2));
    for batch in [1, 16, 128] {
        one_at_a_time(&journal, batch, Duration::from_secs(4))?;
    }
    gathering(&journal, 1_200_000)?;
    let reads = 20_000;
    let start = Instant::now();
    for seq in 1..=reads {
        journal.read(seq)?.ok_or("a durable record is not there")?;
    }
    println!(
        "read one record      {:>9.1} us",
        start.elapsed().as_secs_f64() * 1e6 / reads as f64
    );
    let last = journal.last_seq();
    journal.close()?;
    drop(journal);

    let start = Instant::now();
    let (mut records, mut bytes) = (0_u64, 0_usize);
    let journal = Journal::open(dir, Options::default(), Postgres::Empty, 0, &mut |_, frame| {
        records += 1;
        bytes += frame.body.len();
        Ok(())
    })?;
    report("replay at start", records, bytes, start.elapsed());
    let start = Instant::now();
    let mut follower = Follower::open(dir, 0)?;
    let (mut followed, mut bytes) = (0_u64, 0_usize);
    while follower.poll(10_000, &mut |_, frame| {
        followed += 1;
        bytes += frame.body.len();
        Ok(())
    })? > 0
    {}
    report("follow", followed, bytes, start.elapsed());
    journal.close()?;
    if records == last && followed == last {
        Ok(())
    } else {
        Err("records are missing".into())
    }
}

fn report(what: &str, records: u64, bytes: usize, took: Duration) {
    let seconds = took.as_secs_f64();
    println!(
        "{what:<20} {:>9.0} records/s  {:>6.0} MB/s  ({records} records)",
        records as f64 / seconds,
        bytes as f64 / seconds / 1e6
    );
}

fn batch_of(count: u32) -> Vec<u8> {
    let mut frames = Vec::new();
    for n in 0..count {
        encode_frame(&mut frames, i64::from(n), 1, 1, &[7; BODY]);
    }
    frames
}

fn commit_batch(journal: &Journal, count: u32) -> Result<(), Box<dyn Error>> {
    let first = journal.last_seq() + 1;
    journal.append(&batch_of(count), first, count, 0)?;
    journal.wait_durable(first + u64::from(count) - 1, Duration::from_secs(60))?;
    Ok(())
}

/// Append, wait, append: the latency of a flush.
fn one_at_a_time(journal: &Journal, count: u32, span: Duration) -> Result<(), Box<dyn Error>> {
    let mut took = Vec::new();
    let start = Instant::now();
    while start.elapsed() < span {
        let begin = Instant::now();
        commit_batch(journal, count)?;
        took.push(begin.elapsed());
    }
    took.sort_unstable();
    let at = |share: usize| took[(took.len() * share / 1_000).min(took.len() - 1)].as_secs_f64() * 1e6;
    println!(
        "{count:>4} records a flush  {:>9.0} flushes/s  p50 {:>6.0} us  p99 {:>6.0} us  p99.9 {:>6.0} us  max {:>6.0} us",
        took.len() as f64 / start.elapsed().as_secs_f64(),
        at(500),
        at(990),
        at(999),
        at(1_000)
    );
    Ok(())
}

/// Appends as fast as they are taken: batches form by themselves.
fn gathering(journal: &Journal, records: u64) -> Result<(), Box<dyn Error>> {
    let frames = batch_of(4);
    let begin = journal.last_seq();
    let start = Instant::now();
    while journal.last_seq() < begin + records {
        let first = journal.last_seq() + 1;
        if let Err(full) = journal.append(&frames, first, 4, 0) {
            if journal.failure().is_some() {
                return Err(full.into());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    journal.wait_durable(journal.last_seq(), Duration::from_secs(60))?;
    report(
        "append and flush",
        records,
        usize::try_from(records)? * BODY,
        start.elapsed(),
    );
    Ok(())
}
