"""How far the worker is, for health and people: a small file that is replaced as a whole."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from ordergate.persistence.connection import pause
from ordergate.portfolio.outbox import Portfolio

WRITE_EVERY_S: Final = 0.5


@dataclass(slots=True)
class Progress:
    """Sequences are the journal's; times are of the monotonic clock."""

    last_seq: int = 0
    """Postgres holds everything up to here."""
    committed_seq: Callable[[], int] = lambda: 0
    """How far the journal goes, asked anew each time: also while Postgres keeps the loop waiting."""
    caught_up_s: float = field(default_factory=time.monotonic)
    """When Postgres last held all of it."""
    snapshot_seq: int = 0
    unpinned_seq: int = 0
    """No live request key points to a record up to here."""
    archived_seq: int = 0
    """Everything up to here has left the journal."""
    archived_segments: int = 0
    """Moved by this process."""
    archive_error: str | None = None
    """Why nothing is being archived at the moment."""
    fill_conflicts: int = 0
    parked: int = 0
    """Rows that Postgres refused for what they hold."""
    batches: int = 0
    error: str | None = None
    """Why nothing is being written at the moment."""

    def written(self, last_seq: int) -> bool:
        """Postgres holds the journal up to `last_seq`: is that all of it?"""
        self.last_seq = last_seq
        caught_up = last_seq >= self.committed_seq()
        if caught_up:
            self.caught_up_s = time.monotonic()
        return caught_up


def rendered(progress: Progress, portfolio: Portfolio) -> dict[str, object]:
    """The members of the status file. `lagMs` is the time since Postgres last held everything; 0 when it does."""
    committed_seq = progress.committed_seq()
    lag = max(0, committed_seq - progress.last_seq)
    return {
        "pid": os.getpid(),
        "lastSeq": progress.last_seq,
        "committedSeq": committed_seq,
        "lag": lag,
        "lagMs": round((time.monotonic() - progress.caught_up_s) * 1000) if lag else 0,
        "lastError": progress.error or portfolio.error or progress.archive_error,
        "batches": progress.batches,
        "fillConflicts": progress.fill_conflicts,
        "parkedRecords": progress.parked,
        "snapshotSeq": progress.snapshot_seq,
        "unpinnedSeq": progress.unpinned_seq,
        "archivedSeq": progress.archived_seq,
        "archivedSegments": progress.archived_segments,
        "portfolioSeq": portfolio.cursor,
        "portfolioParked": [
            {"account": account, "mode": mode, "seq": seq, "events": events}
            for (account, mode), (seq, events) in portfolio.held.items()
        ],
    }


def write_status(file: Path, progress: Progress, portfolio: Portfolio) -> None:
    """Replaces the file. Its modification time is the worker's sign of life, also on a full disk."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        fresh.write_bytes(orjson.dumps(rendered(progress, portfolio)))
        fresh.replace(file)
    except OSError:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        with suppress(OSError):
            os.utime(file)


async def keep_status(file: Path, progress: Progress, portfolio: Portfolio, stop: asyncio.Event) -> None:
    """Writes the status file twice a second until `stop`."""
    while not stop.is_set():
        write_status(file, progress, portfolio)
        await pause(stop, WRITE_EVERY_S)
