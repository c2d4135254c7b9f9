//! Moving segments out of the journal, for the worker.

use crate::follower::Follower;
use ordergate_core::record::FOLD_VERSION;
use ordergate_core::terms::Seq;
use ordergate_journal::archive::{Places, Rule, archive_oldest};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use std::path::Path;

/// Moves the oldest segment to the archive if nothing needs it any more; (first, last, bytes, packed bytes). Takes its
/// time over a large one, without the GIL.
#[pyfunction]
#[pyo3(signature = (journal_dir, snapshot_dir, archive_dir, *, postgres_seq, unpinned_seq))]
pub fn archive_segment(
    py: Python<'_>,
    journal_dir: &str,
    snapshot_dir: &str,
    archive_dir: &str,
    postgres_seq: Seq,
    unpinned_seq: Seq,
) -> PyResult<Option<(Seq, Seq, u64, u64)>> {
    let places = Places {
        journal: Path::new(journal_dir),
        snapshots: Path::new(snapshot_dir),
        archive: Path::new(archive_dir),
    };
    let rule = Rule {
        postgres_seq,
        unpinned_seq,
        fold_version: FOLD_VERSION,
    };
    let moved = py.detach(|| archive_oldest(places, &rule));
    let moved = moved.map_err(|error| PyOSError::new_err(error.to_string()))?;
    Ok(moved.map(|moved| (moved.first_seq, moved.last_seq, moved.bytes, moved.packed_bytes)))
}

#[pymethods]
impl Follower {
    /// No live request key points to a record up to here.
    fn unpinned_seq(&self) -> Seq {
        let oldest = self.state.oldest_answer();
        oldest.map_or(self.state.last_seq(), |oldest| oldest - 1)
    }
}
