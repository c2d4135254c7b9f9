//! Where a fold begins: the newest snapshot that verifies and decodes, or nothing.

use ordergate_core::record::FOLD_VERSION;
use ordergate_core::snapshot;
use ordergate_core::state::State;
use ordergate_core::terms::Seq;
use ordergate_journal::{Hash, snapshots};
use pyo3::exceptions::PyOSError;
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
