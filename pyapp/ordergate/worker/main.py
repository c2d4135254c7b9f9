"""The worker process: its lock, its signals, its tasks and its exit code."""

import asyncio
import fcntl
import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import uvloop

from ordergate.observability.log import configure
from ordergate.persistence.connection import describe, watch
from ordergate.persistence.watermark import NOTHING_YET
from ordergate.persistence.write_behind import Writer
from ordergate.portfolio import outbox
from ordergate.worker.follow import Follower, OpenFollower, follow
from ordergate.worker.progress import Progress, keep_status, write_status
from ordergate.worker.retention import retain

if TYPE_CHECKING:
    from ordergate.config import Paths, Settings

EXIT_OK: Final = 0
EXIT_USAGE: Final = 2
EXIT_BROKEN: Final = 70

_log: Final = structlog.get_logger("worker")


def run(settings: "Settings", paths: "Paths") -> int:
    """Runs until SIGTERM or SIGINT; the exit code: 0 stopped, 2 locked or not configured, 70 the histories do not fit.

    Waits while Postgres is down or refuses, also at the start.
    """
    configure(settings.log.level)
    if settings.postgres.url is None:
        _log.error("no Postgres is configured: set DATABASE_URL, or start with `ordergate up`")
        return EXIT_USAGE
    lock = take_lock(paths.worker_lock)
    if lock is None:
        _log.error("another worker is running for this data directory", lock=str(paths.worker_lock))
        return EXIT_USAGE
    try:
        open_follower = partial(_open_follower, archive=paths.archive)
        work = work_until_signal(settings.postgres.url, paths, settings.archive.keep_days, open_follower)
        return uvloop.run(work)
    finally:
        os.close(lock)


def take_lock(file: Path) -> int | None:
    """The descriptor that holds the lock until it is closed, or None when another process has it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


async def work_until_signal(dsn: str, paths: "Paths", keep_days: int, open_follower: OpenFollower) -> int:
    """All tasks of the worker; the exit code. SIGTERM and SIGINT end it in order."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    writer, portfolio, progress = Writer(dsn, NOTHING_YET), outbox.Portfolio(), Progress()
    written = asyncio.Event()

    def on_frozen(detail: str) -> None:
        _log.error("Postgres is frozen", detail=detail)
        writer.drop_connection()
        portfolio.drop_connection()

    async def project() -> None:
        try:
            await follow(
                writer,
                progress,
                stop,
                journal=paths.journal,
                snapshots=paths.snapshots,
                anchors=paths.anchors,
                open_follower=open_follower,
            )
        finally:
            written.set()

    code = EXIT_OK
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(project())
            group.create_task(outbox.run(dsn, portfolio, written))
            group.create_task(watch(dsn, on_frozen, written))
            group.create_task(keep_status(paths.worker_status, progress, portfolio, written))
            group.create_task(retain(paths.journal, paths.snapshots, paths.archive, keep_days, progress, stop))
    except* Exception as errors:
        progress.error = "; ".join(describe(error) for error in errors.exceptions)
        _log.error("the worker stops", detail=progress.error)
        code = EXIT_BROKEN
    writer.drop_connection()
    portfolio.drop_connection()
    write_status(paths.worker_status, progress, portfolio)
    return code


def _open_follower(journal: Path, snapshots: Path, from_seq: int, archive: Path) -> Follower:
    from ordergate._core import Follower as CoreFollower

    # A database from an old backup may lack what has left the journal since.
    return CoreFollower(str(journal), str(snapshots), from_seq=from_seq, archive_dir=str(archive))
