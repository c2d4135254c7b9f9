//! The next segment file, made before it is needed: zero-filled and flushed in the background.
//!
//! Zeros, and not only reserved blocks: the first write to a reserved block changes the file's metadata, and flushing
//! that costs many times the flush of an overwrite.

use crate::disk::{Disk, DiskFile, SharedPage};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Name of the prepared file until it becomes a segment.
pub(crate) const SPARE: &str = "spare.new";
/// Written and flushed at once, so that a flush of the journal never waits behind a whole segment of zeros.
const SLICE: usize = 1 << 20;
const RETRY: Duration = Duration::from_secs(1);

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
    state: Mutex<State>,
    changed: Condvar,
}

impl Ahead {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, bytes: u64) -> Ahead {
        let state = Mutex::new(State {
            wanted: true,
            ..State::default()
        });
        Ahead {
            disk,
            dir: dir.to_owned(),
            bytes,
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
            while !state.stop && !state.wanted {
                self.changed.wait(&mut state);
            }
            if state.stop {
                return;
            }
            drop(state);
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
        let made = commit.sync().and_then(|()| self.make());
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
