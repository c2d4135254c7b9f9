"""What leaves the journal for the archive, and the archive in the end: a task beside the write-behind."""

import asyncio
import time
from pathlib import Path
from typing import Final

import structlog

from ordergate.persistence.connection import describe, pause
from ordergate.worker.progress import Progress

LOOK_EVERY_S: Final = 30.0
FIRST_LOOK_S: Final = 0.5
DAY_S: Final = 86_400.0

_log: Final = structlog.get_logger("worker")


async def retain(
    journal: Path,
    snapshots: Path,
    archive: Path,
    keep_days: int,
    progress: Progress,
    stop: asyncio.Event,
    *,
    look_every_s: float = LOOK_EVERY_S,
) -> None:
    """Archives what nothing needs any more, and removes what was archived longer than `keep_days` ago (0: nothing).

    Until `stop`, one segment at a time in a thread. A disk in trouble is waited out: the segment is then still there.
    """
    while not stop.is_set():
        try:
            while not stop.is_set() and await asyncio.to_thread(archive_one, journal, snapshots, archive, progress):
                pass
            for file in await asyncio.to_thread(remove_old, archive, keep_days):
                _log.info("archived segment removed", file=file.name, keep_days=keep_days)
            progress.archived_seq = archived_seq(journal)
            progress.archive_error = None
        except OSError as error:
            if progress.archive_error != describe(error):
                _log.error("archiving waits", detail=describe(error))
            progress.archive_error = describe(error)
        # Nothing is known to be in Postgres yet: what a stopped worker has left to do should not wait for long.
        await pause(stop, look_every_s if progress.last_seq else min(look_every_s, FIRST_LOOK_S))


def archived_seq(journal: Path) -> int:
    """Everything up to here has left the journal."""
    return min((int(segment.stem) for segment in journal.glob("*.seg")), default=1) - 1


def remove_old(archive: Path, keep_days: int) -> list[Path]:
    """Removes the segments that were archived too long ago, the oldest first and never one before an older one."""
    oldest = time.time() - keep_days * DAY_S
    removed: list[Path] = []
    for file in sorted(archive.glob("*.seg.zst")) if keep_days else ():
        if file.stat().st_mtime >= oldest:
            break
        file.unlink()
        removed.append(file)
    return removed


def archive_one(journal: Path, snapshots: Path, archive: Path, progress: Progress) -> bool:
    """Moves the oldest segment if nothing needs it any more; whether it did. Raises OSError."""
    from ordergate._core import archive_segment

    moved = archive_segment(
        str(journal),
        str(snapshots),
        str(archive),
        postgres_seq=progress.last_seq,
        unpinned_seq=progress.unpinned_seq,
    )
    if moved is None:
        return False
    first_seq, last_seq, taken, packed = moved
    progress.archived_segments += 1
    _log.info("segment archived", first_seq=first_seq, last_seq=last_seq, bytes=taken, packed_bytes=packed)
    return True
