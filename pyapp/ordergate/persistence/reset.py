"""Emptying a database for `ordergate db rebuild`: what is a projection of the journal goes, and the empty tables come.

A mark in the database lasts until the rebuild has finished: an interrupted one goes on where its watermark stands. A
worker that starts in between goes on as well, and takes the mark away: the next rebuild then begins anew.
"""

from pathlib import Path
from typing import Final

from ordergate.persistence.connection import SHORT_S, bounded, close, connect
from ordergate.persistence.migrate import FILE_S, apply_migrations, check_database

PROJECTED: Final = ("execution", "portfolio", "identity", "risk", "strategy")
"""Schemas that hold nothing but what the journal says."""

_MARKED: Final = "SELECT to_regclass('ordergate.rebuild') IS NOT NULL"
_EMPTY: Final = f"""
DROP SCHEMA IF EXISTS {", ".join(PROJECTED)} CASCADE;
CREATE SCHEMA IF NOT EXISTS ordergate;
DROP TABLE IF EXISTS ordergate.migrations;
CREATE TABLE ordergate.rebuild AS SELECT now() AS begun_at"""
_FINISH: Final = "DROP TABLE IF EXISTS ordergate.rebuild"


async def begin_rebuild(dsn: str, migrations: Path | None = None) -> bool:
    """Drops the projections and makes their tables anew; False when an interrupted rebuild goes on instead.

    Raises MigrationRefused for a database that a newer build has used, or one of `connection.TROUBLE`: then nothing was
    dropped, or everything was and the mark says so.
    """
    await check_database(dsn, migrations)
    connection = await connect(dsn, "rebuild", statement_s=FILE_S)
    try:
        fresh = not await bounded(connection, connection.fetchval(_MARKED), SHORT_S)
        if fresh:
            async with connection.transaction():
                await bounded(connection, connection.execute(_EMPTY), FILE_S)
    finally:
        await close(connection)
    await apply_migrations(dsn, migrations)
    return fresh


async def finish_rebuild(dsn: str) -> None:
    """Takes the mark away, if there is one. Raises one of `connection.TROUBLE`."""
    connection = await connect(dsn, "rebuild")
    try:
        await bounded(connection, connection.execute(_FINISH), SHORT_S)
    finally:
        await close(connection)
