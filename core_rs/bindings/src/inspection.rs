//! `ordergate journal verify|dump|repair`: what the journal's own functions say, as JSON.

use crate::start::{fold_again, newest_state, postgres, refused};
use ordergate_core::record::Record;
use ordergate_core::render::{push_text, push_time};
use ordergate_core::terms::Seq;
use ordergate_journal::verify::{self, Commit, Outcome, Report};
use ordergate_journal::{Frame, Torn};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;

/// Bytes of a dump that are handed over at once.
const PIECE: usize = 1 << 16;
/// Records read between two looks for Ctrl-C and two words of progress.
const LOOK: u64 = 1 << 14;

/// Puts the functions into the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(journal_verify, module)?)?;
    module.add_function(wrap_pyfunction!(journal_dump, module)?)?;
    module.add_function(wrap_pyfunction!(journal_repair, module)?)?;
    Ok(())
}

#[pyfunction]
#[pyo3(signature = (journal_dir, snapshot_dir, *, watermark=None, postgres_read=false))]
fn journal_verify(
    py: Python<'_>,
    journal_dir: &str,
    snapshot_dir: &str,
    watermark: Option<(Seq, Vec<u8>)>,
    postgres_read: bool,
) -> PyResult<Vec<u8>> {
    let (state, hash) = newest_state(Path::new(snapshot_dir), Seq::MAX)?;
    let (snapshot, postgres) = ((state.last_seq(), hash), postgres(watermark, postgres_read)?);
    let report = py.detach(|| verify::verify(Path::new(journal_dir), postgres, snapshot, &mut fold_again(state)));
    let report = report.map_err(|error| refused(error, journal_dir))?;
    let mut shown = report_json(&report);
    shown["snapshotSeq"] = json!(snapshot.0);
    Ok(shown.to_string().into_bytes())
}

/// `write` gets (lines, last record read): whole lines, and empty ones now and then as a sign of life.
#[pyfunction]
fn journal_dump(
    py: Python<'_>,
    journal_dir: &str,
    from_seq: Seq,
    to_seq: Seq,
    kinds: Vec<String>,
    write: &Bound<'_, PyAny>,
) -> PyResult<Vec<u8>> {
    let kinds = kinds
        .iter()
        .map(|name| kind_byte(name))
        .collect::<PyResult<Vec<u8>>>()?;
    let (mut lines, mut last, mut failed) = (Vec::new(), 0, None);
    let outcome = verify::dump(Path::new(journal_dir), from_seq, to_seq, &mut |_, frame| {
        last = frame.seq;
        if kinds.is_empty() || kinds.contains(&frame.kind) {
            line(&mut lines, frame)?;
        }
        if lines.len() < PIECE && last % LOOK != 0 {
            return Ok(());
        }
        let handed = py.check_signals().and_then(|()| write.call1((&lines[..], last)));
        lines.clear();
        handed.map(|_| ()).map_err(|error| {
            failed = Some(error);
            "the reader of the dump has ended".into()
        })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let outcome = outcome.map_err(|error| refused(error, journal_dir))?;
    write.call1((&lines[..], last))?;
    Ok(outcome_json(&outcome).to_string().into_bytes())
}

#[pyfunction]
#[pyo3(signature = (journal_dir, snapshot_dir, *, watermark=None, postgres_read=false, last_acknowledged=None, act=false))]
fn journal_repair(
    py: Python<'_>,
    journal_dir: &str,
    snapshot_dir: &str,
    watermark: Option<(Seq, Vec<u8>)>,
    postgres_read: bool,
    last_acknowledged: Option<Seq>,
    act: bool,
) -> PyResult<Vec<u8>> {
    let (state, hash) = newest_state(Path::new(snapshot_dir), Seq::MAX)?;
    let (snapshot, postgres) = ((state.last_seq(), hash), postgres(watermark, postgres_read)?);
    let dir = Path::new(journal_dir);
    let repaired = py.detach(|| verify::repair(dir, postgres, snapshot, last_acknowledged, act));
    let repaired = repaired.map_err(|error| refused(error, journal_dir))?;
    let shown = json!({
        "needed": repaired.is_needed(),
        "done": repaired.done,
        "torn": repaired.cut.iter().map(torn_json).collect::<Vec<_>>(),
        "commit": repaired.commit,
        "commitCopy": repaired.commit_copy,
        "lastSeq": repaired.last_seq,
    });
    Ok(shown.to_string().into_bytes())
}

fn kind_byte(name: &str) -> PyResult<u8> {
    let found = Record::KINDS.iter().find(|(_, known)| *known == name);
    found.map(|(kind, _)| *kind).ok_or_else(|| {
        let known: Vec<&str> = Record::KINDS.iter().map(|(_, name)| *name).collect();
        PyValueError::new_err(format!("{name} is no kind of record; there are {}", known.join(", ")))
    })
}

/// One record as one line. What this build does not know is shown as bytes: a dump is for looking at damage, too.
fn line(out: &mut Vec<u8>, frame: &Frame<'_>) -> Result<(), String> {
    let mut head = format!("{{\"seq\":{},\"time\":\"", frame.seq);
    push_time(&mut head, frame.ts);
    head.push_str(&format!("\",\"timeNs\":{},\"kind\":", frame.ts));
    let record = Record::decode(frame.kind, frame.version, frame.body);
    match &record {
        Ok(record) => push_text(&mut head, record.name()),
        Err(_) => head.push_str(&format!("{},\"version\":{}", frame.kind, frame.version)),
    }
    out.extend_from_slice(head.as_bytes());
    match record {
        Ok(record) => {
            out.extend_from_slice(b",\"body\":");
            record.write_json(out).map_err(|error| error.to_string())?;
        }
        Err(error) => {
            let mut rest = format!(",\"bytes\":\"{}\",\"error\":", hex(frame.body));
            push_text(&mut rest, &error.to_string());
            out.extend_from_slice(rest.as_bytes());
        }
    }
    out.write_all(b"}\n").map_err(|error| error.to_string())
}

fn report_json(report: &Report) -> Value {
    let segments = report.segments.iter().map(|segment| {
        json!({
            "file": segment.path,
            "firstSeq": segment.first_seq,
            "lastSeq": segment.last_seq,
            "chunks": segment.chunks,
            "epochs": segment.epochs,
            "end": segment.end,
        })
    });
    json!({
        "good": report.is_good(),
        "running": report.running,
        "segments": segments.collect::<Vec<_>>(),
        "lastSeq": report.last_seq,
        "epoch": report.epoch,
        "hash": hex(&report.hash),
        "unprovenChunks": report.unproven_chunks,
        "commit": match report.commit {
            Commit::Missing => json!({"state": "missing"}),
            Commit::Unreadable => json!({"state": "unreadable"}),
            Commit::At(position) => json!({"state": "read", "seq": position.last_seq, "epoch": position.epoch}),
        },
        "start": outcome_json(&report.start),
        "everything": outcome_json(&report.everything),
    })
}

fn outcome_json(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Start => json!({"decision": "start"}),
        Outcome::Cut(torn) => json!({"decision": "cut", "torn": torn.iter().map(torn_json).collect::<Vec<_>>()}),
        Outcome::Refused { place, reason, advice } => json!({
            "decision": "refuse",
            "file": place.path,
            "offset": place.offset,
            "afterSeq": place.after_seq,
            "reason": reason,
            "advice": advice,
        }),
    }
}

fn torn_json(torn: &Torn) -> Value {
    json!({"file": torn.path, "from": torn.from, "bytes": torn.bytes, "copy": torn.copy})
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
