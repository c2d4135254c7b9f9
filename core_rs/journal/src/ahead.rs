//! The next segment file, made before it is needed: zero-filled and flushed in the background.
//!
//! Zeros, and not only reserved blocks: the first write to a reserved block changes the file's metadata, and flushing
//! that costs many times the flush of an overwrite.

use crate::disk::{Disk, DiskFile, SharedPage};
use crate::space::{Keeper, Marks};
use parking_lot::{Condvar, Mutex};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Name of the prepared file until it becomes a segment.
pub(crate) const SPARE: &str = "spare.new";
/// Written and flushed at once, so that a flush of the journal never waits behind a whole segment of zeros.
const SLICE: usize = 1 << 20;
const RETRY: Duration = Duration::from_secs(1);
/// How often the free space is looked at.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    ready: Option<Arc<dyn DiskFile>>,
    /// Why the newest attempt failed.
    error: Option<String>,
    wanted: bool,
    stop: bool,
}

struct Alarm<'a>(&'a Ahead);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state.lock().error = Some("preparing the next segment panicked".into());
            self.0.changed.notify_all();
        }
    }
}

/// The prepared file, between its maker and its user.
#[derive(Debug)]
pub(crate) struct Ahead {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    bytes: u64,
    pub(crate) keeper: Keeper,
    state: Mutex<State>,
    changed: Condvar,
}

impl Ahead {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, bytes: u64, marks: Marks) -> Ahead {
        let state = Mutex::new(State {
            wanted: true,
            ..State::default()
        });
        let keeper = Keeper::new(Arc::clone(&disk), dir, marks, bytes);
        keeper.look();
        Ahead {
            disk,
            dir: dir.to_owned(),
            bytes,
            keeper,
            state,
            changed: Condvar::new(),
        }
    }

    /// The maker's thread, until [`Ahead::stop`].
    pub(crate) fn run(&self, commit: &dyn SharedPage) {
        // Whoever waits for a file must hear that none will come.
        let _alarm = Alarm(self);
        loop {
            let mut state = self.state.lock();
            if !state.stop && !state.wanted {
                self.changed.wait_for(&mut state, LOOK);
            }
            if state.stop {
                return;
            }
            let wanted = state.wanted;
            drop(state);
            self.keeper.look();
            if !wanted {
                continue;
            }
            let failed = self.prepare(commit).is_err();
            let mut state = self.state.lock();
            if failed && !state.stop {
                self.changed.wait_for(&mut state, RETRY);
            }
        }
    }

    /// Makes the next file. An error is also told to whoever waits for it.
    pub(crate) fn prepare(&self, commit: &dyn SharedPage) -> io::Result<()> {
        // Once a segment, and always before the next checkpoint: after a loss of power `commit` is readable, and at
        // most about a segment old.
        let made = commit.sync().and_then(|()| self.make_in_any_case());
        let mut state = self.state.lock();
        let done = match made {
            Ok(Some(file)) => {
                (state.ready, state.error, state.wanted) = (Some(file), None, false);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => {
                state.error = Some(format!("the next segment cannot be prepared: {error}"));
                Err(error)
            }
        };
        self.changed.notify_all();
        done
    }

    /// The reserve is for the segment that does not fit any more.
    fn make_in_any_case(&self) -> io::Result<Option<Arc<dyn DiskFile>>> {
        match self.make_if_it_fits() {
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                let released = self.keeper.release()?;
                if released { self.make_if_it_fits() } else { Err(error) }
            }
            made => made,
        }
    }

    /// Looks first: a full disk is not to be filled with the beginning of a segment again and again.
    fn make_if_it_fits(&self) -> io::Result<Option<Arc<dyn DiskFile>>> {
        if self.disk.free_bytes(&self.dir).is_ok_and(|free| free < self.bytes) {
            return Err(ErrorKind::StorageFull.into());
        }
        let made = self.make();
        if made.is_err() {
            // What was written of it is room for somebody else.
            let _ = self.disk.remove(&self.dir.join(SPARE));
        }
        made
    }

    fn make(&self) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let file = self.disk.create(&self.dir.join(SPARE))?;
        let zeros = vec![0; usize::try_from(self.bytes).unwrap_or(SLICE).min(SLICE)];
        let mut at = 0;
        while at < self.bytes {
            if self.state.lock().stop {
                return Ok(None);
            }
            let len = usize::try_from(self.bytes - at).unwrap_or(SLICE).min(SLICE);
            file.write_at(&zeros[..len], at)?;
            file.sync()?;
            at += len as u64;
        }
        Ok(Some(file))
    }

    /// The prepared file; waits for it, but not for a failing disk.
    pub(crate) fn take(&self) -> Result<Arc<dyn DiskFile>, String> {
        let mut state = self.state.lock();
        loop {
            if let Some(file) = state.ready.take() {
                return Ok(file);
            }
            if let Some(error) = &state.error {
                return Err(error.clone());
            }
            if state.stop {
                return Err("the journal is closed".into());
            }
            self.changed.wait(&mut state);
        }
    }

    /// The taken file has its final name: make another.
    pub(crate) fn again(&self) {
        self.state.lock().wanted = true;
        self.changed.notify_all();
    }

    /// True when [`Ahead::prepare`] has something to do.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn is_wanted(&self) -> bool {
        self.state.lock().wanted
    }

    /// Why there is no next segment yet, when making it failed.
    pub(crate) fn warning(&self) -> Option<String> {
        self.state.lock().error.clone()
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_all();
    }
}
