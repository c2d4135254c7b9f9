//! Opening: lock, read, decide, repair, publish, start the threads.

use crate::ahead::{self, Ahead};
use crate::chunk::{self, SECTOR};
use crate::commit::{self, Position, Publisher};
use crate::disk::{DirLock, Disk};
use crate::journal::{Journal, OpenError, Options, Postgres, Recovered, Threads, Visit};
use crate::judgement::{Judgement, START, judge, read_commit};
use crate::marks::Claims;
use crate::recovery::Decision;
use crate::repair::{self, Torn};
use crate::segment;
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
    let (journal, writer, lock) = assemble(disk, dir, options, postgres, after_seq, replay)?;
    let threads = spawn(writer, &journal.ahead, lock).map_err(|error| io_at(dir, error))?;
    *journal.threads.lock() = Some(threads);
    Ok(journal)
}

/// Everything but the threads.
pub(crate) fn assemble(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    options: &Options,
    postgres: Postgres,
    after_seq: u64,
    replay: Visit<'_>,
) -> Result<(Journal, Writer, Box<dyn DirLock>), OpenError> {
    disk.make_dir(dir).map_err(|error| io_at(dir, error))?;
    let lock = lock(disk.as_ref(), dir)?;
    let claims = Claims {
        commit: read_commit(disk.as_ref(), dir)?,
        postgres,
        snapshot: (after_seq, options.snapshot_hash),
    };
    let judgement = judge(disk, dir, &claims, START, replay)?.go_on(dir)?;
    let settled = settle(disk.as_ref(), dir, &claims, judgement)?;
    let (journal, writer) = join(disk, dir, options, settled)?;
    Ok((journal, writer, lock))
}

/// Keeps every other writer out until it is dropped.
pub(crate) fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn DirLock>, OpenError> {
    let lock = disk.lock(&dir.join(LOCK)).map_err(|error| io_at(dir, error))?;
    lock.ok_or(OpenError::Locked)
}

/// True while a writer has the lock.
pub(crate) fn is_locked(disk: &dyn Disk, dir: &Path) -> Result<bool, OpenError> {
    disk.is_locked(&dir.join(LOCK)).map_err(|error| io_at(dir, error))
}

/// A journal whose disk says what was decided: the next judgement is to start.
pub(crate) struct Settled {
    reading: Reading,
    publisher: Publisher,
    recovered: Recovered,
    pub(crate) cut: Vec<Torn>,
    /// Of the newest start before.
    epoch: u32,
}

/// Carries out the decision, and makes `commit` say so.
pub(crate) fn settle(disk: &dyn Disk, dir: &Path, claims: &Claims, judgement: Judgement) -> Result<Settled, OpenError> {
    let Judgement { mut reading, decision } = judgement;
    let cut = match decision {
        Decision::Cut => repair::cut(disk, dir, &mut reading)?,
        Decision::Start | Decision::Refuse(_) => Vec::new(),
    };
    repair::rewrite(disk, dir, &reading.parts)?;
    // Left by a crash in the middle of making them; never held anything that anybody heard of.
    for name in [ahead::SPARE, "commit.tmp"] {
        match disk.remove(&dir.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io_at(&dir.join(name), error)),
            _ => {}
        }
    }
    disk.sync_dir(dir).map_err(|error| io_at(dir, error))?;
    let chain = reading.chain;
    let last = reading.parts.last();
    let end = Position {
        last_seq: chain.last_seq,
        segment: last.map_or(0, |part| part.first_seq),
        end: last.map_or(0, |part| part.end.max(SECTOR)),
        epoch: chain.epoch,
        hash: chain.hash,
    };
    let publisher = published(disk, dir, &end).map_err(|error| io_at(&dir.join(commit::NAME), error))?;
    let recovered = Recovered {
        last_seq: chain.last_seq,
        last_ts: reading.last_ts,
        chunk_hash: chain.hash,
        rewritten_chunks: reading.unproven_chunks,
        torn: cut.last().and_then(|torn| torn.copy.clone()),
    };
    let epoch = chain.epoch.max(claims.commit.epoch());
    Ok(Settled {
        reading,
        publisher,
        recovered,
        cut,
        epoch,
    })
}

/// Publishes the end of the journal, durably and in two places.
fn published(disk: &dyn Disk, dir: &Path, end: &Position) -> io::Result<Publisher> {
    let mut publisher = match Publisher::open(disk, &dir.join(commit::NAME)) {
        Ok((publisher, _)) => publisher,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
            Publisher::create(disk, dir)?
        }
        Err(error) => return Err(error),
    };
    publisher.publish(end);
    publisher.page().sync()?;
    publisher.checkpoint();
    publisher.page().sync()?;
    Ok(publisher)
}

/// The journal, and the writer behind it.
fn join(disk: &Arc<dyn Disk>, dir: &Path, options: &Options, settled: Settled) -> Result<(Journal, Writer), OpenError> {
    let Settled {
        reading,
        publisher,
        recovered,
        epoch,
        cut: _,
    } = settled;
    let epoch = epoch.saturating_add(1);
    let current = current(disk.as_ref(), &reading, dir)?;
    let chain = reading.chain;
    let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(|error| io_at(dir, error.into()))?;
    let segment_bytes = chunk::align(options.segment_bytes.max(MIN_SEGMENT));
    let max_chunk = max_chunk(segment_bytes);
    let max_body = chunk::MAX_BODY.min(max_chunk - chunk::HEADER - chunk::FRAME);
    let ahead = Arc::new(Ahead::new(Arc::clone(disk), dir, segment_bytes, options.marks));
    let shared = Arc::new(Shared::new(chain.last_seq, reading.index, wake));
    let page = publisher.page();
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
    let journal = Journal {
        shared,
        ahead,
        page,
        threads: Mutex::new(None),
        recovered,
        epoch,
        max_body,
    };
    Ok((journal, writer))
}

/// Where writing goes on: behind the last good chunk.
fn current(disk: &dyn Disk, reading: &Reading, dir: &Path) -> Result<Option<Current>, OpenError> {
    let Some(part) = reading.parts.last() else {
        return Ok(None);
    };
    let path = segment::path(dir, part.first_seq);
    let opened = disk.open(&path, true).and_then(|file| Ok((file.len()?, file)));
    let (capacity, file) = opened.map_err(|error| io_at(&path, error))?;
    Ok(Some(Current {
        first_seq: part.first_seq,
        file,
        offset: part.end.max(SECTOR),
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
