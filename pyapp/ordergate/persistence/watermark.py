"""How far Postgres holds the journal: read by the gateway before it opens the journal, compared by the write-behind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from ordergate.persistence.connection import (
    SHORT_S,
    TROUBLE,
    Connection,
    bounded,
    close,
    connect,
    describe,
    run_blocking,
)
from ordergate.persistence.statements import named_statements

EVENT_CHAIN_START: Final = bytes(32)
"""What the first row of execution.order_events names as its predecessor's hash."""

_SQL: Final = named_statements(Path(__file__).with_name("write_behind.sql"))
_UNREADABLE: Final[tuple[type[Exception], ...]] = (*TROUBLE, ValueError)  # ValueError: not even an address


class PostgresUnreadable(Exception):
    """Postgres could not be asked how far it holds the journal; the message says why."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """Everything up to `last_seq` is in Postgres; the hashes tell this history from any other."""

    last_seq: int
    epoch: int
    chunk_hash: bytes
    event_hash: bytes


NOTHING_YET: Final = Watermark(0, 0, b"", EVENT_CHAIN_START)


async def fetch_watermark(connection: Connection) -> Watermark | None:
    """The watermark; None before the first batch, also when the schema is not there yet. Raises one of TROUBLE."""
    try:
        row = await bounded(connection, connection.fetchrow(_SQL["watermark"]), SHORT_S)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return None
    return None if row is None else Watermark(*row)


def read_watermark(dsn: str, timeout_s: float) -> tuple[int, bytes] | None:
    """(last_seq, chunk_hash) as Postgres holds it, None when it holds nothing of any journal.

    Blocks for about `timeout_s` at most; for callers without an event loop. Raises PostgresUnreadable.
    """
    return run_blocking(ask_watermark(dsn, timeout_s))


async def ask_watermark(dsn: str, timeout_s: float) -> tuple[int, bytes] | None:
    """The asynchronous form of `read_watermark`."""
    try:
        connection = await connect(dsn, "watermark", limit_s=timeout_s)
        try:
            found = await bounded(connection, fetch_watermark(connection), timeout_s)
        finally:
            await close(connection)
    except _UNREADABLE as error:
        raise PostgresUnreadable(describe(error)) from error
    return None if found is None else (found.last_seq, found.chunk_hash)
