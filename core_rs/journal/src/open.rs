//! Opening: lock, read, decide, repair, publish, start the threads.

use crate::ahead::{self, Ahead};
use crate::chunk::{self, SECTOR};
use crate::commit::{self, Position, Publisher};
use crate::disk::{DirLock, Disk};
use crate::journal::{Journal, OpenError, Options, Postgres, Recovered, Threads, Visit};
use crate::marks::CommitWord;
use crate::recovery::{Decision, Evidence, decide};
use crate::repair;
use crate::startup::{Reading, io_at};
use crate::writer::{Current, Shared, Writer};
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

const LOCK: &str = "lock";
const MIN_SEGMENT: u64 = 4096;

pub(crate) fn open(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    options: &Options,
    postgres: Postgres,
    after_seq: u64,
    replay: Visit<'_>,
) -> Result<Journal, OpenError> {
    let at_dir = |error| io_at(dir, error);
    disk.make_dir(dir).map_err(at_dir)?;
    if disk.writable_by_others(dir).map_err(at_dir)? {
        return Err(OpenError::Refused {
            place: dir.display().to_string(),
            reason: "others may write into this directory, so its records prove nothing".into(),
            advice: format!("Run chmod go-w {}", dir.display()),
        });
    }
    let lock = disk.lock(&dir.join(LOCK)).map_err(at_dir)?.ok_or(OpenError::Locked)?;
    let (publisher, word) = read_commit(disk.as_ref(), dir)?;
    let mut reading = Reading::new(disk, dir, word, postgres, (after_seq, options.snapshot_hash))?;
    reading.read(matches!(word, CommitWord::At(_)), replay)?;
    reading.look_up_postgres()?;
    let torn = settle(disk.as_ref(), dir, &mut reading, word, postgres)?;
    disk.sync_dir(dir).map_err(at_dir)?;
    let publisher = match publisher {
        Some(publisher) => publisher,
        None => Publisher::create(disk.as_ref(), dir).map_err(|error| io_at(&dir.join(commit::NAME), error))?,
    };
    let recovered = Recovered {
        last_seq: reading.chain.last_seq,
        last_ts: reading.last_ts,
        chunk_hash: reading.chain.hash,
        rewritten_chunks: reading.unproven_chunks,
        torn,
    };
    let committed_epoch = if let CommitWord::At(position) = word {
        position.epoch
    } else {
        0
    };
    let epoch = reading.chain.epoch.max(committed_epoch).saturating_add(1);
    start(disk, dir, options, reading, publisher, recovered, (epoch, lock))
}

/// Publishes what was found, and starts the threads.
fn start(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    options: &Options,
    reading: Reading,
    mut publisher: Publisher,
    recovered: Recovered,
    (epoch, lock): (u32, Box<dyn DirLock>),
) -> Result<Journal, OpenError> {
    let current = current(&reading, dir)?;
    let chain = reading.chain;
    publisher.publish(&Position {
        last_seq: chain.last_seq,
        segment: current.as_ref().map_or(0, |current| current.first_seq),
        end: current.as_ref().map_or(0, |current| current.offset),
        epoch: chain.epoch,
        hash: chain.hash,
    });
    let page = publisher.page();
    let at_commit = |error| io_at(&dir.join(commit::NAME), error);
    page.sync().map_err(at_commit)?;
    publisher.checkpoint();
    page.sync().map_err(at_commit)?;
    let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(|error| io_at(dir, error.into()))?;
    let segment_bytes = chunk::align(options.segment_bytes.max(MIN_SEGMENT));
    let max_chunk = max_chunk(segment_bytes);
    let max_body = chunk::MAX_BODY.min(max_chunk - chunk::HEADER - chunk::FRAME);
    let ahead = Arc::new(Ahead::new(Arc::clone(disk), dir, segment_bytes));
    let shared = Arc::new(Shared::new(chain.last_seq, reading.index, wake));
    let writer = Writer {
        disk: Arc::clone(disk),
        dir: dir.to_owned(),
        shared: Arc::clone(&shared),
        ahead: Arc::clone(&ahead),
        publisher,
        current,
        chain,
        epoch,
        max_chunk,
        sealed_ns: 0,
    };
    let threads = Mutex::new(Some(spawn(writer, &ahead, lock).map_err(|error| io_at(dir, error))?));
    Ok(Journal {
        shared,
        ahead,
        page,
        threads,
        recovered,
        epoch,
        max_body,
    })
}

fn read_commit(disk: &dyn Disk, dir: &Path) -> Result<(Option<Publisher>, CommitWord), OpenError> {
    let path = dir.join(commit::NAME);
    match Publisher::open(disk, &path) {
        Ok((publisher, Some(position))) => Ok((Some(publisher), CommitWord::At(position))),
        Ok((publisher, None)) => Ok((Some(publisher), CommitWord::Unreadable)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((None, CommitWord::Missing)),
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok((None, CommitWord::Unreadable)),
        Err(error) => Err(io_at(&path, error)),
    }
}

/// Decides and repairs; where a torn tail was kept.
fn settle(
    disk: &dyn Disk,
    dir: &Path,
    reading: &mut Reading,
    word: CommitWord,
    postgres: Postgres,
) -> Result<Option<std::path::PathBuf>, OpenError> {
    let seen = Evidence {
        tail: reading.tail,
        later: reading.later,
        segments: !reading.names.is_empty(),
        commit: reading.commit_seen(word),
        postgres: reading.postgres_seen(postgres),
        snapshot: reading.snapshot_seen(),
    };
    let torn = match decide(&seen) {
        Decision::Start => None,
        Decision::Cut => Some(repair::cut(disk, dir, reading)?),
        Decision::Refuse(refusal) => {
            return Err(OpenError::Refused {
                place: reading.place(),
                reason: refusal.reason().into(),
                advice: refusal.advice().into(),
            });
        }
    };
    repair::rewrite(dir, &reading.parts)?;
    // Left by a crash in the middle of making them; never held anything that anybody heard of.
    for name in [ahead::SPARE, "commit.tmp"] {
        match disk.remove(&dir.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io_at(&dir.join(name), error)),
            _ => {}
        }
    }
    Ok(torn)
}

/// Where writing goes on: behind the last good chunk.
fn current(reading: &Reading, dir: &Path) -> Result<Option<Current>, OpenError> {
    let Some(part) = reading.parts.last() else {
        return Ok(None);
    };
    let capacity = part.file.len().map_err(|error| io_at(dir, error))?;
    let offset = part.end.max(SECTOR);
    Ok(Some(Current {
        first_seq: part.first_seq,
        file: Arc::clone(&part.file),
        offset,
        capacity,
    }))
}

fn max_chunk(segment_bytes: u64) -> usize {
    usize::try_from(segment_bytes - SECTOR)
        .unwrap_or(chunk::MAX_CHUNK)
        .min(chunk::MAX_CHUNK)
}

fn spawn(writer: Writer, ahead: &Arc<Ahead>, lock: Box<dyn DirLock>) -> io::Result<Threads> {
    let maker = Arc::clone(ahead);
    let page = writer.publisher.page();
    let making = std::thread::Builder::new()
        .name("journal-ahead".into())
        .spawn(move || maker.run(page.as_ref()))?;
    match std::thread::Builder::new()
        .name("journal".into())
        .spawn(move || writer.run())
    {
        Ok(writer) => Ok(Threads {
            writer,
            ahead: making,
            _lock: lock,
        }),
        Err(error) => {
            ahead.stop();
            let _ = making.join();
            Err(error)
        }
    }
}
