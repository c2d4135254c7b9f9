//! Where a fold begins: the newest snapshot that verifies and decodes, or nothing. What `verify` shares with a start.

use crate::errors::{JournalLocked, JournalRefused};
use ordergate_core::record::{FOLD_VERSION, Record};
use ordergate_core::snapshot;
use ordergate_core::state::State;
use ordergate_core::terms::Seq;
use ordergate_journal::{ChunkInfo, Frame, Hash, OpenError, Postgres, snapshots};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use std::path::Path;

/// The state of the newest usable snapshot at or before `not_after`, with the hash of the chunk that ends there. One
/// that does not decode is passed over: the older one, or the whole journal, leads to the same state.
pub fn newest_state(dir: &Path, not_after: Seq) -> PyResult<(State, Option<Hash>)> {
    let mut not_after = not_after;
    while dir.is_dir() {
        let newest = snapshots::newest(dir, FOLD_VERSION, not_after);
        let Some(found) = newest.map_err(|error| PyOSError::new_err(error.to_string()))?.snapshot else {
            break;
        };
        match snapshot::decode(&found.body) {
            Ok(state) => return Ok((state, Some(found.chunk_hash))),
            Err(_) if found.seq > 0 => not_after = found.seq - 1,
            Err(_) => break,
        }
    }
    Ok((State::default(), None))
}

/// What Postgres knows: its watermark, that it was read and has none, or nothing.
pub fn postgres(watermark: Option<(Seq, Vec<u8>)>, read: bool) -> PyResult<Postgres> {
    let Some((seq, hash)) = watermark else {
        return Ok(if read { Postgres::Empty } else { Postgres::Unreadable });
    };
    let hash = hash.try_into();
    let hash = hash.map_err(|_| PyValueError::new_err("watermark: a chunk hash has 16 bytes"))?;
    Ok(Postgres::At { seq, hash })
}

/// Folds one record of the replay.
pub fn fold(state: &mut State, frame: &Frame<'_>) -> Result<(), String> {
    let record = Record::decode(frame.kind, frame.version, frame.body).map_err(|error| error.to_string())?;
    let applied = state.apply(frame.seq, frame.ts, &record);
    applied.map(|_| ()).map_err(|broken| broken.to_string())
}

/// As [`fold`], for a replay that may begin again after `base`.
pub fn fold_again(base: State) -> impl FnMut(&ChunkInfo, &Frame<'_>) -> Result<(), String> {
    let mut state = State::default();
    move |_, frame| {
        if frame.seq == base.last_seq() + 1 {
            state = base.clone();
        }
        fold(&mut state, frame)
    }
}

/// Why a journal cannot be opened, or looked at.
pub fn refused(error: OpenError, dir: &str) -> PyErr {
    match error {
        OpenError::Locked => JournalLocked::new_err(format!("another gateway holds the journal in {dir}")),
        OpenError::Refused { .. } => JournalRefused::new_err(error.to_string()),
        OpenError::Io { .. } => PyOSError::new_err(error.to_string()),
    }
}
