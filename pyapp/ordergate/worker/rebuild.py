"""Everything in Postgres anew, from archive and journal: what the worker does, from record 1 and at once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ordergate.persistence.connection import close, connect
from ordergate.persistence.reset import begin_rebuild, finish_rebuild
from ordergate.persistence.watermark import NOTHING_YET, fetch_watermark
from ordergate.persistence.write_behind import Writer, write
from ordergate.portfolio import outbox
from ordergate.worker.follow import BATCH_RECORDS

if TYPE_CHECKING:
    from ordergate.config import Paths

CHECKED_AT_ONCE: Final = 200_000

Tell = Callable[[str, int, int], None]
"""(what is being done, records done, records in all)."""


async def rebuild(dsn: str, paths: "Paths", tell: Tell) -> int:
    """Drops what is in Postgres and writes all of it again; the last record written. The worker must not run.

    Everything is read once before anything is dropped. Interrupted, it goes on when it is called again. Raises
    FollowerStopped when archive and journal do not hold every record, MigrationRefused, OutboxGap, Fenced, OSError, or
    one of `connection.TROUBLE`.
    """
    from ordergate._core import Follower

    follower = Follower(str(paths.journal), archive_dir=str(paths.archive))
    goal = follower.committed_seq()
    while follower.seq < goal:
        follower.catch_up(min(follower.seq + CHECKED_AT_ONCE, goal))
        tell("read", follower.seq, goal)
    fresh = await begin_rebuild(dsn)
    writer = Writer(dsn, NOTHING_YET)
    try:
        connection = await connect(dsn, "rebuild")
        try:
            writer.watermark = await fetch_watermark(connection) or NOTHING_YET
        finally:
            await close(connection)
        found = writer.watermark
        if not fresh:
            tell("were written before it was interrupted", found.last_seq, goal)
        follower = Follower(
            str(paths.journal), str(paths.snapshots), from_seq=found.last_seq, archive_dir=str(paths.archive)
        )
        follower.start_rows(found.last_seq, found.chunk_hash, found.event_hash)
        while follower.seq < goal and (batch := follower.poll_rows(BATCH_RECORDS)) is not None:
            await write(writer, batch)
            tell("written", batch.last_seq, goal)
    finally:
        writer.drop_connection()
    portfolio = outbox.Portfolio()
    try:
        await outbox.run_once(dsn, portfolio)
    finally:
        portfolio.drop_connection()
    tell("applied to the portfolio", portfolio.cursor, goal)
    await finish_rebuild(dsn)
    return writer.watermark.last_seq
