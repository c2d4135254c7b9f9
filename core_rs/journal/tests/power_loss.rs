//! The power goes at any operation of a random history, or after an error or a kill, also while a start recovers: every
//! acknowledged record is there, nothing is there twice or otherwise than it was written, and what a start shows stays.
//!
//! A history is a function of its seed, and so is everything that the disk loses: unflushed sectors come back old, new
//! or torn, in any combination, and unflushed names are missing. The control is a disk whose flushes do nothing: if
//! these tests did not notice it, they would prove nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use ordergate_journal::disk::Disk;
use ordergate_journal::sim::{Chance, Fault, SimDisk, Stepped};
use ordergate_journal::{ChunkInfo, Marks, OpenError, Options, Postgres, encode_frame};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const DIR: &str = "/j";
/// A build without optimisation, as `cargo test` makes it, takes a part of them; `make exhaustive` takes all.
const CASES: u64 = if cfg!(debug_assertions) { 8_000 } else { 200_000 };
/// Cases of the control.
const CONTROL: u64 = 2_000;
const OPTIONS: Options = Options {
    segment_bytes: 4096,
    snapshot_hash: None,
    marks: Marks::NONE,
};

/// What a gateway does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// So many records in one command; they wait for the flush.
    Append(u64),
    /// Everything that waits becomes one chunk, in a new segment when it does not fit.
    Flush,
    /// The next segment file is made early, not when it is needed.
    Prepare,
    /// The process is killed and starts again; the power stays.
    Restart,
}

/// One history and how it ends.
#[derive(Debug, Clone)]
struct Case {
    steps: Vec<Step>,
    /// It ends at this writing operation, counted from 1.
    at: u64,
    /// Before, within or after it, or because it fails.
    moment: fn(u64) -> Fault,
    /// Only the process ends there: the power goes after the start that follows.
    killed: bool,
    /// The power goes once more at this operation of the start that follows.
    in_recovery: Option<u64>,
    /// Decides what the disk keeps.
    losses: u64,
    /// The control: flushes do nothing.
    lying: bool,
}

const MOMENTS: [fn(u64) -> Fault; 4] = [Fault::DieBefore, Fault::DieWithin, Fault::DieAfter, Fault::Fail];

/// What the clients were told.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    acknowledged: u64,
    appended: u64,
}

fn history(seed: u64) -> Vec<Step> {
    let mut chance = Chance(seed);
    let steps = 4 + chance.below(14);
    let step = |chance: &mut Chance| match chance.below(12) {
        0..=5 => Step::Append(1 + chance.below(5)),
        6..=9 => Step::Flush,
        10 => Step::Prepare,
        _ => Step::Restart,
    };
    (0..steps).map(|_| step(&mut chance)).collect()
}

fn body(seq: u64) -> Vec<u8> {
    let len = 5 + seq * 37 % 300;
    (0..len).map(|at| (seq * 29 + at * 3) as u8).collect()
}

/// Starts, checking everything that it shows; the last record shown.
fn start(disk: &SimDisk) -> Result<(Stepped, u64), String> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (mut last, mut newest) = (0, None::<ChunkInfo>);
    let started = Stepped::open(
        &shared,
        Path::new(DIR),
        &OPTIONS,
        Postgres::Unreadable,
        0,
        &mut |chunk, frame| {
            if frame.seq != last + 1 || frame.body != body(frame.seq) || frame.ts != frame.seq as i64 {
                return Err(format!("record {} after {last}, or another one", frame.seq));
            }
            if newest.as_ref() != Some(chunk) {
                let before = newest.map_or((0, 0), |newest| (newest.last_seq, newest.epoch));
                if chunk.first_seq != before.0 + 1 || chunk.epoch < before.1 {
                    return Err(format!("{chunk:?} after {newest:?}"));
                }
            }
            (last, newest) = (frame.seq, Some(*chunk));
            Ok(())
        },
    );
    match started {
        Ok(started) if started.journal().durable_seq() != last => Err("it shows what it does not replay".into()),
        Ok(started) => Ok((started, last)),
        // The process died in it.
        Err(OpenError::Io { .. }) => Err(String::new()),
        Err(refused) => Err(refused.to_string()),
    }
}

/// A process that lives until the power goes.
struct Gateway {
    disk: SimDisk,
    journal: Stepped,
    told: Told,
    /// Operations of the processes before.
    before: u64,
}

/// Why a step was the last.
enum End {
    /// The power is gone.
    Dark,
    /// The journal is wrong.
    Wrong(String),
}

impl Case {
    /// Runs the history until the power goes: the disk, what was told, and the operations.
    fn run(&self) -> Result<(SimDisk, Told, u64), String> {
        let disk = SimDisk::new();
        disk.set_lying(self.lying);
        disk.set_fault(Some((self.moment)(self.at)));
        let journal = match start(&disk) {
            Ok((journal, _)) => journal,
            Err(why) if why.is_empty() => return Ok((disk, Told::default(), 0)),
            Err(why) => return Err(why),
        };
        let told = Told::default();
        let mut gateway = Gateway {
            disk,
            journal,
            told,
            before: 0,
        };
        for step in &self.steps {
            match gateway.step(*step, self) {
                Ok(()) => {}
                Err(End::Dark) => break,
                Err(End::Wrong(why)) => return Err(why),
            }
        }
        let operations = gateway.before + gateway.disk.operations();
        Ok((gateway.disk, gateway.told, operations))
    }

    /// The whole case; `Ok` with the acknowledged records when nothing is wrong.
    fn check(&self) -> Result<u64, String> {
        let (disk, told, _) = self.run()?;
        let mut disk = if self.killed {
            disk.kill()
        } else {
            disk.lose_power(self.losses)
        };
        disk.set_lying(self.lying);
        let mut shown = told.acknowledged;
        if let Some(at) = self.in_recovery {
            disk.set_fault(Some((self.moment)(at)));
            match start(&disk) {
                Ok((_, last)) => shown = shown.max(last),
                Err(why) if why.is_empty() => {}
                Err(why) => return Err(format!("the first start after it: {why}")),
            }
            disk = disk.lose_power(self.losses + 1);
        }
        let (_, last) = start(&disk).map_err(|why| format!("the start after it: {why}"))?;
        if !(shown..=told.appended).contains(&last) {
            return Err(format!(
                "{shown} acknowledged or shown, {} appended, {last} found",
                told.appended
            ));
        }
        // What a start shows survives the next loss of power, has nothing left to cut, and can be written on.
        disk = disk.lose_power(self.losses + 2);
        let (mut journal, again) = start(&disk).map_err(|why| format!("the second start: {why}"))?;
        let recovered = journal.journal().recovered();
        if again != last || recovered.torn.is_some() || recovered.rewritten_chunks > 0 {
            return Err(format!("{last} found, and then {again}: {recovered:?}"));
        }
        let mut told = Told {
            acknowledged: last,
            appended: last,
        };
        append(&journal, &mut told, 2)?;
        flush(&mut journal, &mut told)?;
        drop(journal);
        let (_, further) = start(&disk.lose_power(self.losses + 3)).map_err(|why| format!("written on: {why}"))?;
        if further == last + 2 {
            Ok(told.acknowledged - 2)
        } else {
            Err(format!("{last} found, two more acknowledged, {further} found"))
        }
    }
}

impl Gateway {
    fn step(&mut self, step: Step, case: &Case) -> Result<(), End> {
        let dark = |_| End::Dark;
        match step {
            Step::Append(count) => {
                append(&self.journal, &mut self.told, count).map_err(End::Wrong)?;
                // More would not fit one chunk of a segment as small as this.
                if self.journal.journal().backlog_bytes() > 1_500 {
                    flush(&mut self.journal, &mut self.told).map_err(dark)?;
                }
            }
            Step::Flush => flush(&mut self.journal, &mut self.told).map_err(dark)?,
            Step::Prepare => self.journal.prepare().map_err(|_| End::Dark)?,
            Step::Restart => {
                self.before += self.disk.operations();
                self.disk = self.disk.kill();
                self.disk.set_lying(case.lying);
                self.disk
                    .set_fault(Some((case.moment)(case.at.saturating_sub(self.before))));
                let (journal, last) = start(&self.disk).map_err(|why| match why.is_empty() {
                    true => End::Dark,
                    false => End::Wrong(format!("restarted: {why}")),
                })?;
                if !(self.told.acknowledged..=self.told.appended).contains(&last) {
                    return Err(End::Wrong(format!("restarted: {:?}, {last} found", self.told)));
                }
                self.journal = journal;
                (self.told.acknowledged, self.told.appended) = (last, last);
            }
        }
        Ok(())
    }
}

fn append(journal: &Stepped, told: &mut Told, count: u64) -> Result<(), String> {
    let first = told.appended + 1;
    let mut frames = Vec::new();
    for seq in first..first + count {
        encode_frame(&mut frames, seq as i64, 1, 1, &body(seq));
    }
    let taken = journal.journal().append(&frames, first, count as u32, 0);
    taken.map_err(|error| error.to_string())?;
    told.appended += count;
    Ok(())
}

fn flush(journal: &mut Stepped, told: &mut Told) -> Result<(), String> {
    journal.prepare().map_err(|error| error.to_string())?;
    journal.flush()?;
    told.acknowledged = journal.journal().durable_seq();
    Ok(())
}

/// Case `number` of a run: a new history every few cases, the power going at another operation each time.
fn case(number: u64, lying: bool) -> Case {
    let mut chance = Chance(number / 8);
    let mut case = Case {
        steps: history(chance.below(u64::MAX)),
        at: u64::MAX,
        moment: MOMENTS[(number % 4) as usize],
        killed: false,
        in_recovery: None,
        losses: number << 3,
        lying,
    };
    let mut chance = Chance(number ^ 0x5eed);
    // 110 operations are more than most histories have: sometimes the power goes when all is done.
    case.at = 1 + chance.below(110);
    case.killed = chance.below(4) == 0;
    case.in_recovery = (chance.below(2) == 0).then(|| 1 + chance.below(16));
    case
}

/// The shortest history that goes wrong in the same way: steps are left out, and the power goes at any operation.
fn shortest(failed: &Case) -> (Case, String) {
    let wrong = |case: &Case| case.check().err();
    let mut best = (failed.clone(), wrong(failed).unwrap_or_default());
    loop {
        let smaller = (0..best.0.steps.len()).find_map(|left_out| {
            let mut case = best.0.clone();
            case.steps.remove(left_out);
            (1..=case.at)
                .flat_map(|at| (0..4).map(move |losses| (at, losses)))
                .find_map(|(at, losses)| {
                    (case.at, case.losses) = (at, losses);
                    wrong(&case).map(|why| (case.clone(), why))
                })
        });
        match smaller {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

fn show(number: u64, case: &Case) -> String {
    let (short, why) = shortest(case);
    let moment = format!("{:?}", (short.moment)(short.at));
    format!(
        "case {number}: {why}\nshortest history: {:?}, {} at {moment}, in recovery {:?}, losses {}",
        short.steps,
        if short.killed { "killed" } else { "power lost" },
        short.in_recovery,
        short.losses
    )
}

#[test]
fn no_loss_of_power_loses_what_was_acknowledged() {
    let since = Instant::now();
    let (next, proven, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= CASES || failed.load(Ordering::Relaxed) != u64::MAX {
                return;
            }
            match case(number, false).check() {
                Ok(acknowledged) => proven.fetch_add(u64::from(acknowledged > 0), Ordering::Relaxed),
                Err(_) => failed.fetch_min(number, Ordering::Relaxed),
            };
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner();
    assert!(failed == u64::MAX, "{}", show(failed, &case(failed, false)));
    let proven = proven.into_inner();
    println!(
        "loss of power: {CASES} cases, in {proven} of them something was there to be lost; {:.1?}",
        since.elapsed()
    );
    assert!(proven * 2 > CASES, "most cases have nothing to lose: {proven}");
}

#[test]
fn a_disk_that_ignores_flushes_is_caught() {
    let (mut told, mut caught, mut example) = (0, 0, None);
    for number in 0..CONTROL {
        let case = case(number, true);
        // A lying disk may also be caught before the power goes for good.
        if !matches!(case.run(), Ok((_, Told { acknowledged: 1.., .. }, _))) {
            continue;
        }
        told += 1;
        if case.check().is_err() {
            caught += 1;
            example.get_or_insert((number, case));
        }
    }
    let (number, example) = example.expect("a disk without flushes went unnoticed");
    println!(
        "a disk that ignores flushes: caught in {caught} of {told} cases\n{}",
        show(number, &example)
    );
    assert!(caught * 10 > told * 9, "caught in {caught} of {told} only");
    // One acknowledged record is enough to be lost.
    assert!(shortest(&example).0.steps.len() <= 2);
}

#[test]
fn a_case_repeats_exactly() {
    for number in 0..200 {
        let run = || {
            let (disk, told, operations) = case(number, false).run().unwrap();
            let files: Vec<_> = disk
                .files()
                .into_iter()
                .map(|path| disk.contents(&path))
                .map(|bytes| bytes.map_or(0, |bytes| bytes.len()))
                .collect();
            (files, told.acknowledged, told.appended, operations)
        };
        assert_eq!(run(), run(), "case {number}");
    }
}
