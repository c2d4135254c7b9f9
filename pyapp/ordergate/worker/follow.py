"""Journal → Postgres: the loop around the follower and the write-behind.

Postgres being down, frozen, full or refusing is a state, not an end: the journal keeps everything, one batch is kept in
memory, and the loop tries again. Only a history that does not fit (`Fenced`, a stopped follower) ends it.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import structlog

from ordergate.persistence.anchors import append_anchor
from ordergate.persistence.connection import TROUBLE, close, connect, describe, pause
from ordergate.persistence.migrate import MigrationRefused, apply_migrations
from ordergate.persistence.reset import finish_rebuild
from ordergate.persistence.watermark import NOTHING_YET, Watermark, fetch_watermark
from ordergate.persistence.write_behind import Batch, Writer, write
from ordergate.worker.progress import Progress

BATCH_RECORDS: Final = 20_000
"""At most, while catching up: an order is then mostly written once, in its last state."""
IDLE_S: Final = 0.01
"""Between two looks at the journal; also gathers what arrives meanwhile into one transaction."""
RETRY_S: Final = (0.1, 2.0)
"""First and longest wait between tries while Postgres is in trouble."""
DRAIN_S: Final = 2.0
"""How long what the journal already holds is still written after an orderly stop was asked for."""
SNAPSHOT_EVERY_S: Final = 60.0
SNAPSHOT_RECORDS: Final = 50_000

WAITED_OUT: Final[tuple[type[Exception], ...]] = (*TROUBLE, MigrationRefused)
"""A refused migration too: trading goes on without Postgres, and a restored database is found by itself."""

_log: Final = structlog.get_logger("worker")

Result = TypeVar("Result")


class Follower(Protocol):
    """What is used of `_core.Follower`."""

    @property
    def seq(self) -> int: ...
    def catch_up(self, seq: int | None = None) -> int: ...
    def committed_seq(self) -> int: ...
    def start_rows(self, last_seq: int, chunk_hash: bytes, event_hash: bytes) -> None: ...
    def poll_rows(self, max_records: int, *, to_state_hash: bool = False) -> Batch | None: ...
    def hash_agreed_seq(self) -> int: ...
    def unpinned_seq(self) -> int: ...
    def write_snapshot(self, snapshot_dir: str) -> str: ...


OpenFollower = Callable[[Path, Path, int], Follower]
"""(journal, snapshots, sequence that no loaded snapshot may be later than)."""


@dataclass(slots=True)
class SnapshotClock:
    """When the last snapshot was written, and at which sequence."""

    seq: int
    at_s: float


async def follow(
    writer: Writer,
    progress: Progress,
    stop: asyncio.Event,
    *,
    journal: Path,
    snapshots: Path,
    anchors: Path,
    open_follower: OpenFollower,
) -> None:
    """Writes the journal to Postgres until `stop`, then what it holds at that moment for at most two seconds.

    Raises Fenced, and what the follower raises; nothing that Postgres does.
    """
    await _until_it_works(lambda: _migrated(writer.dsn), progress, stop)
    found = await _until_it_works(lambda: _watermark(writer.dsn), progress, stop)
    while not (journal / "commit").exists() and not stop.is_set():
        await pause(stop, 0.1)  # the gateway has not started for the first time yet
    if found is None or stop.is_set():
        return
    writer.watermark = found
    follower = open_follower(journal, snapshots, found.last_seq)
    snapshot = SnapshotClock(follower.seq, time.monotonic())
    progress.snapshot_seq = follower.seq
    progress.committed_seq = follower.committed_seq
    if not await _reach(follower, found.last_seq, progress, stop):
        return
    follower.start_rows(found.last_seq, found.chunk_hash, found.event_hash)
    progress.written(found.last_seq)
    await _write_on(writer, progress, stop, follower=follower, snapshots=snapshots, anchors=anchors, snapshot=snapshot)


async def _write_on(
    writer: Writer,
    progress: Progress,
    stop: asyncio.Event,
    *,
    follower: Follower,
    snapshots: Path,
    anchors: Path,
    snapshot: SnapshotClock,
) -> None:
    stop_by: float | None = None
    while True:
        if stop.is_set():
            stop_by = stop_by or time.monotonic() + DRAIN_S
            if time.monotonic() > stop_by:
                return
        batch = follower.poll_rows(BATCH_RECORDS, to_state_hash=_due(follower, snapshot))
        if batch is not None:
            follower.hash_agreed_seq()  # raises when our fold is not the gateway's: then these rows are not true either
            if not await _written(writer, batch, progress, stop):
                return
        caught_up = progress.written(writer.watermark.last_seq)
        progress.fill_conflicts, progress.parked = writer.fill_conflicts, writer.parked
        progress.unpinned_seq = follower.unpinned_seq()
        if batch is None and stop.is_set():
            return
        if _snapshot_if_due(follower, snapshots, snapshot, progress):
            _anchor(anchors, writer.watermark)
        if batch is None or caught_up:
            await pause(stop, IDLE_S)


async def _written(writer: Writer, batch: Batch, progress: Progress, stop: asyncio.Event) -> bool:
    """Writes the batch, however long Postgres takes to come back; False when `stop` came first."""
    conflicts, parked = writer.fill_conflicts, writer.parked
    wait = RETRY_S[0]
    while True:
        try:
            await write(writer, batch)
        except TROUBLE as error:
            _trouble(progress, describe(error))
            if stop.is_set():
                return False
            await pause(stop, wait)
            wait = min(wait * 2, RETRY_S[1])
            continue
        _well_again(progress)
        progress.batches += 1
        if writer.parked > parked:
            _log.error(
                "rows were refused and are parked",
                code="POISON_RECORD",
                rows=writer.parked - parked,
                first_seq=batch.first_seq,
                last_seq=batch.last_seq,
            )
        if writer.fill_conflicts > conflicts:
            _log.error(
                "fills were stored already",
                code="FILL_CONFLICT",
                fills=writer.fill_conflicts - conflicts,
                first_seq=batch.first_seq,
                last_seq=batch.last_seq,
            )
        return True


async def _until_it_works(
    attempt: Callable[[], Coroutine[Any, Any, Result]], progress: Progress, stop: asyncio.Event
) -> Result | None:
    wait = RETRY_S[0]
    while not stop.is_set():
        try:
            result = await attempt()
        except WAITED_OUT as error:
            _trouble(progress, describe(error))
            await pause(stop, wait)
            wait = min(wait * 2, RETRY_S[1])
        else:
            _well_again(progress)
            return result
    return None


async def _migrated(dsn: str) -> None:
    for name in await apply_migrations(dsn):
        _log.info("migration applied", name=name)
    await finish_rebuild(dsn)


async def _watermark(dsn: str) -> Watermark:
    connection = await connect(dsn, "watermark")
    try:
        return await fetch_watermark(connection) or NOTHING_YET
    finally:
        await close(connection)


async def _reach(follower: Follower, seq: int, progress: Progress, stop: asyncio.Event) -> bool:
    """Folds up to what Postgres holds already; False when `stop` came first.

    After a power loss `commit` may be older than the journal it describes, until the gateway has recovered it. A
    journal that really is behind Postgres is the gateway's to refuse; until then nothing is written.
    """
    while follower.seq < seq:
        follower.catch_up(seq)
        if follower.seq < seq:
            _trouble(
                progress,
                f"the journal ends at record {follower.seq}, Postgres holds it up to {seq}: waiting for "
                "the gateway to recover or refuse it",
            )
            await pause(stop, 0.1)
            if stop.is_set():
                return False
    _well_again(progress)
    return True


def _due(follower: Follower, last: SnapshotClock) -> bool:
    return time.monotonic() - last.at_s >= SNAPSHOT_EVERY_S and follower.seq - last.seq >= SNAPSHOT_RECORDS


def _snapshot_if_due(follower: Follower, snapshots: Path, last: SnapshotClock, progress: Progress) -> bool:
    """Writes a snapshot only where our own state hash has agreed with the gateway's: at that record and no other."""
    if not _due(follower, last) or follower.seq != follower.hash_agreed_seq():
        return False
    last.at_s = time.monotonic()
    try:
        path = follower.write_snapshot(str(snapshots))
    except OSError as error:
        _log.error("snapshot failed", seq=follower.seq, detail=describe(error))
        return False
    last.seq = progress.snapshot_seq = follower.seq
    _log.info("snapshot written", seq=last.seq, path=path)
    return True


def _anchor(anchors: Path, watermark: Watermark) -> None:
    """What is missing from the anchors weakens an audit; it must not stop the write-behind."""
    try:
        append_anchor(anchors, watermark)
    except OSError as error:
        _log.error("anchor failed", seq=watermark.last_seq, detail=describe(error))


def _trouble(progress: Progress, text: str) -> None:
    if progress.error != text:
        _log.error("write-behind waits", detail=text)
    progress.error = text


def _well_again(progress: Progress) -> None:
    if progress.error is not None:
        _log.info("write-behind goes on")
    progress.error = None
