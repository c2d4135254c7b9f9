//! A follower: the gateway's own fold over what is committed, for the worker and the venues.

use crate::errors::{FollowerStopped, stopped};
use crate::rows::{Batch, Folded};
use crate::start::newest_state;
use crate::table::{EventHash, Rows};
use crate::work::Work;
use ordergate_core::account::Account;
use ordergate_core::record::{DoubtRequery, FOLD_VERSION, Record, VenueIdAttached};
use ordergate_core::render::order_json;
use ordergate_core::snapshot;
use ordergate_core::state::State;
use ordergate_core::terms::{Nanos, OrderId, Seq, SessionId};
use ordergate_journal::{Hash, JournalClock, snapshots};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::path::{Path, PathBuf};

/// Records a plain catch-up folds in one go.
const CATCH_UP: usize = 1 << 16;

/// Folds the journal up to `commit`. Never writes the journal.
#[pyclass(module = "ordergate._core")]
pub struct Follower {
    journal: ordergate_journal::Follower,
    pub(crate) state: State,
    event_hash: EventHash,
    /// Rows begin after this sequence.
    rows_after: Seq,
    hash_agreed: Seq,
    /// Last record and hash of the last chunk folded, or of the snapshot.
    end: Option<(Seq, Hash)>,
}

impl Follower {
    /// Folds at most `max` records (whole chunks), showing each to `see` after it is folded.
    fn fold(&mut self, max: usize, see: &mut dyn FnMut(&Folded<'_>)) -> PyResult<usize> {
        let Self {
            journal,
            state,
            hash_agreed,
            end,
            ..
        } = self;
        journal
            .poll(max, &mut |chunk, frame| {
                let record =
                    Record::decode(frame.kind, frame.version, frame.body).map_err(|error| error.to_string())?;
                if let Record::Epoch(epoch) = &record
                    && epoch.fold_version > FOLD_VERSION
                {
                    return Err(format!(
                        "record {} begins fold version {}, this build folds version {FOLD_VERSION}",
                        frame.seq, epoch.fold_version
                    ));
                }
                let applied = state
                    .apply(frame.seq, frame.ts, &record)
                    .map_err(|broken| broken.to_string())?;
                if matches!(record, Record::StateHash(_)) {
                    // The fold itself refuses a hash that differs.
                    *hash_agreed = frame.seq;
                }
                *end = Some((chunk.last_seq, chunk.hash));
                let (seq, ts, record) = (frame.seq, frame.ts, &record);
                see(&Folded {
                    state,
                    chunk,
                    seq,
                    ts,
                    record,
                    applied,
                });
                Ok(())
            })
            .map_err(stopped)
            .and_then(|records| self.check_version().map(|()| records))
    }

    /// Cancels go out by whoever is connected now, whichever session sent the order.
    fn may_cancel(state: &State, order: OrderId, session: SessionId) -> bool {
        let lane = state.order(order).and_then(|order| state.lane(order.terms.mode));
        lane.is_some_and(|lane| lane.session == session)
    }

    /// Once everything is folded, the writer must fold as we do.
    fn check_version(&self) -> PyResult<()> {
        let written = self.state.fold_version();
        if self.state.last_seq() == self.journal.committed() && written != FOLD_VERSION && self.state.last_seq() > 0 {
            let why =
                format!("the gateway folds version {written}, this build version {FOLD_VERSION}: restart it first");
            return Err(FollowerStopped::new_err(why));
        }
        Ok(())
    }
}

#[pymethods]
impl Follower {
    /// Loads the newest valid snapshot (not later than `from_seq`, when given) and folds on from there, through the
    /// archive as well when that is given.
    #[new]
    #[pyo3(signature = (journal_dir, snapshot_dir=None, *, from_seq=None, archive_dir=None))]
    fn new(
        journal_dir: &str,
        snapshot_dir: Option<&str>,
        from_seq: Option<Seq>,
        archive_dir: Option<&str>,
    ) -> PyResult<Self> {
        let (state, snapshot_hash) = match snapshot_dir {
            Some(dir) => newest_state(Path::new(dir), from_seq.unwrap_or(Seq::MAX))?,
            None => (State::default(), None),
        };
        let end = snapshot_hash.map(|hash| (state.last_seq(), hash));
        let mut journal =
            ordergate_journal::Follower::open(Path::new(journal_dir), state.last_seq()).map_err(stopped)?;
        if let Some(dir) = archive_dir {
            journal = journal.with_archive(Path::new(dir));
        }
        Ok(Self {
            journal,
            state,
            event_hash: [0; 32],
            rows_after: 0,
            hash_agreed: 0,
            end,
        })
    }

    #[getter]
    fn seq(&self) -> Seq {
        self.state.last_seq()
    }

    #[getter]
    fn install(&self) -> String {
        self.state.install().to_owned()
    }

    /// Journal time, computed from the newest EPOCH.
    fn now_ns(&self) -> Nanos {
        let (journal_ns, boottime_ns) = self.state.clock_base();
        JournalClock::of_epoch(journal_ns, boottime_ns).now()
    }

    /// Folds to `commit`, or to `seq` at least when that is committed.
    #[pyo3(signature = (seq=None))]
    fn catch_up(&mut self, seq: Option<Seq>) -> PyResult<Seq> {
        let goal = seq
            .unwrap_or_else(|| self.journal.committed())
            .min(self.journal.committed());
        while self.state.last_seq() < goal {
            // Not further than asked: the worker's rows begin right after its watermark.
            let most = usize::try_from(goal - self.state.last_seq())
                .unwrap_or(CATCH_UP)
                .min(CATCH_UP);
            if self.fold(most, &mut |_| {})? == 0 {
                break;
            }
        }
        Ok(self.state.last_seq())
    }

    fn committed_seq(&self) -> Seq {
        self.journal.committed()
    }

    /// Rows begin after this watermark, which must be on our own chain: Postgres of another history is refused.
    fn start_rows(&mut self, last_seq: Seq, chunk_hash: &[u8], event_hash: &[u8]) -> PyResult<()> {
        if self.state.last_seq() > last_seq {
            return Err(PyValueError::new_err(format!(
                "this follower stands at {}, after the watermark {last_seq}: open it with from_seq",
                self.state.last_seq()
            )));
        }
        self.catch_up(Some(last_seq))?;
        if last_seq > 0 && self.end.map(|(seq, hash)| (seq, hash.to_vec())) != Some((last_seq, chunk_hash.to_vec())) {
            return Err(FollowerStopped::new_err(format!(
                "Postgres holds another history: its watermark {last_seq} is not a chunk of this journal with that hash; \
                 stop trading, find out which of the two was restored, and restore the other to match"
            )));
        }
        self.rows_after = last_seq;
        self.event_hash = event_hash
            .try_into()
            .map_err(|_| PyValueError::new_err("event_hash has 32 bytes"))?;
        Ok(())
    }

    /// The next batch, or None when there is nothing new. With `to_state_hash` it also ends with the first chunk that
    /// ends with a state hash: where a snapshot may be written.
    #[pyo3(signature = (max_records, *, to_state_hash=false))]
    fn poll_rows(&mut self, max_records: usize, to_state_hash: bool) -> PyResult<Option<Rows>> {
        let rows_after = self.rows_after;
        let mut batch = Batch::default();
        let mut head = self.event_hash;
        let (mut records, step) = (0, if to_state_hash { 1 } else { max_records });
        loop {
            let folded = self.fold(step, &mut |folded| {
                if folded.seq > rows_after {
                    batch.add(folded, &mut head);
                }
            })?;
            records += folded;
            if folded == 0 || records >= max_records || self.hash_agreed == self.state.last_seq() || !to_state_hash {
                break;
            }
        }
        self.event_hash = head;
        Ok(batch.finish(&self.state, head))
    }

    fn state_hash(&self) -> String {
        format!("{:032x}", self.state.digest())
    }

    /// Sequence of the last STATE_HASH record that equals our own.
    fn hash_agreed_seq(&self) -> Seq {
        self.hash_agreed
    }

    /// Writes a snapshot at the current sequence and removes all but the two newest; its path.
    fn write_snapshot(&self, snapshot_dir: &str) -> PyResult<String> {
        let (_, chunk_hash) = self
            .end
            .ok_or_else(|| PyValueError::new_err("nothing was folded yet"))?;
        let body = snapshot::encode(&self.state).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let snapshot = snapshots::Snapshot {
            seq: self.state.last_seq(),
            fold_version: FOLD_VERSION,
            chunk_hash,
            state_hash: self.state.digest().to_be_bytes(),
            body,
        };
        let path: PathBuf = snapshots::write(Path::new(snapshot_dir), &snapshot)
            .map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(path.display().to_string())
    }

    /// Orders handed over to this session at its start, as SUBMIT items, then pending cancels as CANCEL items and changes
    /// in place as AMEND items.
    fn open_work<'py>(&self, py: Python<'py>, venue: &str, session: SessionId) -> PyResult<Bound<'py, PyList>> {
        let Some(lane) = self.state.lanes().find(|lane| lane.venue == venue) else {
            return Ok(PyList::empty(py));
        };
        let mut works = Vec::new();
        let mut cancels = Vec::new();
        for order in self.state.open_orders(lane.mode).filter(|order| order.submit.is_some()) {
            if self.state.session_of(order) == Some(session) {
                works.push(Work::Submit(order.id));
            }
            if lane.session != session {
                continue;
            }
            if order.cancel_pending || order.cancel_wanted {
                cancels.push(Work::Cancel(order.id, order.updated_at));
            }
            if order.amending().is_some() {
                cancels.push(Work::Amend(order.id, order.updated_at));
            }
        }
        works.append(&mut cancels);
        self.items(py, &works)
    }

    /// SUBMIT, CANCEL and AMEND items of this session among the next records.
    fn poll_work<'py>(
        &mut self,
        py: Python<'py>,
        venue: &str,
        session: SessionId,
        max_records: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut works = Vec::new();
        let mut newer = None;
        self.fold(max_records, &mut |folded| match folded.record {
            Record::SubmitStarted(body) if body.session == session => works.push(Work::Submit(body.order)),
            Record::CancelRequested(body) if Self::may_cancel(folded.state, body.order, session) => {
                works.push(Work::Cancel(body.order, folded.ts));
            }
            Record::ExternalOrder(_) if Self::may_cancel(folded.state, folded.seq, session) => {
                works.push(Work::External(folded.seq));
            }
            Record::DoubtRequery(DoubtRequery { order, .. })
            | Record::VenueIdAttached(VenueIdAttached { order, .. })
                if Self::may_cancel(folded.state, *order, session) =>
            {
                works.push(Work::Query(*order, folded.ts));
            }
            Record::ReplaceAsked(body) if Self::may_cancel(folded.state, body.terms.order, session) => {
                let id = body.terms.order;
                match folded
                    .state
                    .order(id)
                    .filter(|order| order.is_open() && order.submit.is_some())
                {
                    Some(order) if order.amending().is_some() => works.push(Work::Amend(id, folded.ts)),
                    Some(order) if order.cancel_pending => works.push(Work::Cancel(id, folded.ts)),
                    _ => {}
                }
            }
            Record::SessionOpened(body) if body.venue == venue && folded.seq > session => newer = Some(folded.seq),
            _ => {}
        })?;
        match newer {
            Some(seq) => Err(FollowerStopped::new_err(format!(
                "session {seq} of {venue} has ended session {session}"
            ))),
            None => self.items(py, &works),
        }
    }

    /// JSON list of every order in memory, oldest first.
    fn orders(&self) -> Vec<u8> {
        let mut out = String::from("[");
        for order in self.state.orders() {
            if out.len() > 1 {
                out.push(',');
            }
            order_json(&mut out, &self.state.view(order));
        }
        out.push(']');
        out.into_bytes()
    }

    /// (account, mode, asset, total, held).
    fn balances(&self) -> Vec<(String, &'static str, String, String, String)> {
        let of = |account: &Account| {
            let name = account.name.clone();
            self.state.balances(account.id).map(move |view| {
                (
                    name.clone(),
                    view.mode.as_str(),
                    view.asset.to_owned(),
                    view.total.to_string(),
                    view.held.to_string(),
                )
            })
        };
        self.state.accounts().iter().flat_map(of).collect()
    }
}
