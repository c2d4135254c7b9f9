//! A journal without threads.

use crate::disk::{DirLock, Disk};
use crate::journal::{Journal, OpenError, Options, Postgres, Visit};
use crate::open;
use crate::writer::Writer;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A journal whose threads are steps: the same writer and the same maker of segments, each run when it is told to, so
/// that a history repeats exactly.
pub struct Stepped {
    journal: Journal,
    writer: Writer,
    _lock: Box<dyn DirLock>,
}

impl Stepped {
    /// As [`Journal::open_on`].
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        options: &Options,
        postgres: Postgres,
        after_seq: u64,
        replay: Visit<'_>,
    ) -> Result<Stepped, OpenError> {
        let (journal, writer, lock) = open::assemble(disk, dir, options, postgres, after_seq, replay)?;
        Ok(Stepped {
            journal,
            writer,
            _lock: lock,
        })
    }

    /// The writer's face. It waits for nothing here: [`Journal::wait_durable`] and [`Journal::close`] have no use.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Makes the next segment file, when one is wanted.
    ///
    /// # Errors
    /// The disk's.
    pub fn prepare(&self) -> io::Result<()> {
        if self.journal.ahead.is_wanted() {
            self.journal.ahead.prepare(self.journal.page.as_ref())
        } else {
            Ok(())
        }
    }

    /// Flushes everything that was appended. The next segment file must have been prepared.
    ///
    /// # Errors
    /// The failure, after which nothing is flushed any more.
    pub fn flush(&mut self) -> Result<(), String> {
        self.writer.step()
    }
}
