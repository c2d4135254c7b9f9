//! Every target over its corpus, and over mutations of it: the same ones every time. `FUZZ_CASES` asks for more, and
//! `FUZZ_SEED` for others.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use ordergate_core::record::Record;
use ordergate_fuzz::journal::RECORD;
use ordergate_fuzz::mutation::Chance;
use ordergate_fuzz::{TARGETS, Target};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

fn asked(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect()
}

/// Runs one input; a failure is told with the bytes that caused it.
fn run(check: Target, name: &str, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| check(input))).unwrap_or_else(|panic| {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("target {name} failed on {} bytes: {hex}", input.len());
        resume_unwind(panic)
    })
}

/// Every seed of the corpus and so many mutations; at least one in `taken` of these must decode to the end, or only
/// the outermost checks were tried.
fn fuzz(name: &str, cases: u64, taken: u64) {
    let (_, check) = TARGETS.iter().copied().find(|(target, _)| *target == name).unwrap();
    let corpus = corpus(name);
    for (_, input) in &corpus {
        run(check, name, input);
    }
    let mut chance = Chance(asked("FUZZ_SEED", 1));
    let cases = asked("FUZZ_CASES", cases);
    let mut through = 0;
    for _ in 0..cases {
        let [one, other] = [0, 0].map(|_: u8| &corpus[chance.below(corpus.len())].1);
        through += u64::from(run(check, name, &chance.mutate(one, other)));
    }
    println!("{name}: {through} of {cases} mutations decode");
    assert!(through >= cases / taken, "{through} of {cases}");
}

#[test]
fn the_journals_decoders_take_anything() {
    fuzz("journal", 200_000, 10);
}

#[test]
fn the_order_decoder_takes_anything() {
    fuzz("order", 400_000, 100);
}

#[test]
fn the_venue_socket_takes_anything() {
    fuzz("reports", 200_000, 50);
}

/// A corpus of refusals would prove nothing, and a large one would be a burden.
#[test]
fn the_corpus_is_small_and_decodes() {
    for (name, check) in TARGETS {
        let corpus = corpus(name);
        let taken = corpus.iter().filter(|(_, input)| check(input)).count();
        assert!(2 * taken >= corpus.len() - 6, "{name}: {taken} of {}", corpus.len());
        let size: usize = corpus.iter().map(|(_, input)| input.len()).sum();
        assert!(size < 100 << 10, "{name}: {size} bytes");
    }
}

#[test]
fn every_kind_of_record_is_in_the_corpus() {
    let kinds: BTreeSet<u8> = corpus("journal")
        .iter()
        .filter(|(_, input)| input[0] == RECORD)
        .map(|(_, input)| input[1])
        .collect();
    assert_eq!(kinds, Record::KINDS.iter().map(|(kind, _)| *kind).collect());
}
