"""The journal's way into Postgres: one transaction per batch, exactly once by comparing and setting the watermark.

The watermark is set first: its row lock keeps a second writer out until this batch has ended. What became of a commit
whose answer was lost is read from the watermark, never assumed.
"""

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ordergate.persistence.connection import SHORT_S, Connection, bounded, connect, is_data_error
from ordergate.persistence.parking import Columns, Refusal, count_parked, park, sift
from ordergate.persistence.statements import named_statements
from ordergate.persistence.watermark import NOTHING_YET, Watermark, fetch_watermark

BATCH_S: Final = 30.0
"""A slow server may take its time over one batch; a frozen one is found by `connection.watch` in two seconds."""

TABLES: Final = (
    "accounts",
    "api_keys",
    "api_keys_revoked",
    "instruments",
    "limits",
    "change_requests",
    "change_requests_closed",
    "strategies",
    "restrictions",
    "schedules",
    "heartbeats",
    "sessions",
    "kill_switch_events",
    "risk_events",
    "drifts",
    "drifts_explained",
    "reconciliation_runs",
    "order_events",
    "orders",
    "alarms",
    "fills",
    "outbox",
)
"""In the order of writing: a key is created before it is revoked, a duplicate fill adds to the alarm of its record."""

_SQL: Final = named_statements(Path(__file__).with_name("write_behind.sql"))
_FILL_CONFLICT_COLUMNS: Final = (0, 1, 2, 3, 4, 13, 14)

_NAMES: Final = {table: re.findall(r"\w+", re.findall(r"AS r \(([^)]*)\)", _SQL[table])[0]) for table in TABLES}
_COPIED: Final = {
    "order_events": (
        "order_events",
        ["seq", "order_id", "account_id", "kind", "at", "payload", "prev_hash", "hash"],
    ),
    "outbox": ("portfolio_events_outbox", ["seq", "account_id", "mode", "kind", "payload", "created_at"]),
}
"""Table → what its COPY names. COPY halves the cost of a row on both sides; these tables only grow."""


class Batch(Protocol):
    """What one batch of whole chunks means for Postgres: `_core.Rows`."""

    @property
    def first_seq(self) -> int: ...
    @property
    def last_seq(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def chunk_hash(self) -> bytes: ...
    @property
    def event_hash(self) -> bytes: ...
    @property
    def copied(self) -> Mapping[str, bytes]: ...
    @property
    def merged(self) -> Mapping[str, Columns]: ...
    @property
    def tables(self) -> Mapping[str, Columns]: ...


class Fenced(Exception):
    """The history in Postgres is not the one that this batch continues: another writer, or another journal. Stop."""


@dataclass(slots=True)
class Writer:
    """The only writer of one database: what it knows to be there, and its connection while it has one."""

    dsn: str
    watermark: Watermark
    connection: Connection | None = None
    fill_conflicts: int = 0
    """Fills that were stored already; each is an alarm."""
    parked: int = 0
    """Rows in execution.parked_records."""

    def drop_connection(self) -> None:
        """Ends the connection at once; a batch under way fails, and its outcome will be read from the watermark."""
        if self.connection is not None:
            self.connection.terminate()
            self.connection = None


async def write(writer: Writer, batch: Batch) -> None:
    """Makes sure that the batch is in Postgres, once. When this returns it is, and the watermark says so.

    Rows that Postgres refuses for what they hold are parked with an alarm; see `parking`.
    Raises one of `connection.TROUBLE` when that is not known yet: call it again with the same batch, it finds out.
    Raises Fenced when it must not be written here at all.
    """
    target = Watermark(batch.last_seq, batch.epoch, bytes(batch.chunk_hash), bytes(batch.event_hash))
    copied, merged = batch.copied, batch.merged
    if batch.first_seq != writer.watermark.last_seq + 1 or not {*copied, *merged} <= set(TABLES):
        raise Fenced(
            f"records {batch.first_seq} to {batch.last_seq} in {sorted([*copied, *merged])} do not continue the "
            f"watermark {writer.watermark.last_seq} in the tables of this build"
        )
    try:
        if writer.connection is None or writer.connection.is_closed():
            writer.connection = await connect(writer.dsn, "write-behind")
            found = await fetch_watermark(writer.connection) or NOTHING_YET
            writer.parked = await bounded(writer.connection, count_parked(writer.connection), SHORT_S)
            if found == target:  # the commit whose answer was lost had happened
                writer.watermark = target
                return
            if found != writer.watermark:
                raise Fenced(_fenced(writer.watermark, found))
        connection, before, refused = writer.connection, writer.watermark, list[Refusal]()
        try:
            work = _transaction(connection, before, target, copied, merged)
            conflicts = await bounded(connection, work, BATCH_S)
        except Exception as error:
            if not is_data_error(error):
                raise
            work = _sifted_transaction(connection, before, target, batch.tables, refused)
            conflicts = await bounded(connection, work, BATCH_S)
    except Exception:
        # In trouble its state is not known, fenced it is not ours to use.
        writer.drop_connection()
        raise
    writer.watermark = target
    writer.fill_conflicts += conflicts
    writer.parked += len(refused)


async def _transaction(
    connection: Connection,
    before: Watermark,
    target: Watermark,
    copied: Mapping[str, bytes],
    merged: Mapping[str, Columns],
) -> int:
    async with connection.transaction():
        await _advance(connection, before, target)
        conflicts = 0
        for table in TABLES:
            if table in copied:
                await _copy(connection, table, copied[table])
            elif table in merged:
                conflicts += await _merge(connection, table, merged[table])
        return conflicts


async def _sifted_transaction(
    connection: Connection,
    before: Watermark,
    target: Watermark,
    tables: Mapping[str, Columns],
    refused: list[Refusal],
) -> int:
    """The same without the rows that are refused, and without COPY, which fails on a row that is there already."""
    async with connection.transaction():
        await _advance(connection, before, target)
        conflicts = 0
        for table in TABLES:
            if table in tables:
                conflicts += await sift(
                    connection, table, tables[table], names=_NAMES[table], merge=_merge, into=refused
                )
        await park(connection, refused)
        return conflicts


async def _copy(connection: Connection, table: str, file: bytes) -> None:
    relation, columns = _COPIED[table]
    await connection.copy_to_table(
        relation, schema_name="execution", columns=columns, source=io.BytesIO(file), format="binary"
    )
    if table == "outbox":
        await connection.execute(_SQL["outbox_notify"])


async def _merge(connection: Connection, table: str, columns: Columns) -> int:
    """Upserts or adds the rows; how many fills were there already."""
    result = await connection.execute(_SQL[table], *_PREPARE.get(table, _as_they_are)(columns))
    missing = len(columns[0]) - _affected(result)
    if table == "order_events" and missing:
        await _check_hashes(connection, columns)
    elif table == "fills" and missing:
        await connection.execute(_SQL["fill_conflicts"], *(columns[i] for i in _FILL_CONFLICT_COLUMNS))
        return missing
    elif table == "outbox":
        await connection.execute(_SQL["outbox_notify"])
    return 0


async def _advance(connection: Connection, before: Watermark, target: Watermark) -> None:
    after = (target.last_seq, target.epoch, target.chunk_hash, target.event_hash)
    if before == NOTHING_YET:
        result = await connection.execute(_SQL["watermark_first"], *after)
    else:
        expected = (before.last_seq, before.chunk_hash, before.event_hash)
        result = await connection.execute(_SQL["watermark_advance"], *after, *expected)
    if _affected(result) != 1:
        raise Fenced(_fenced(before, None))


async def _check_hashes(connection: Connection, columns: Columns) -> None:
    seq = await connection.fetchval(_SQL["order_events_contradicted"], columns[0], columns[7])
    if seq is not None:
        raise Fenced(f"execution.order_events holds record {seq} with another hash than the journal's")


def _affected(result: str) -> int:
    """The row count at the end of a command tag, for example `INSERT 0 42`."""
    return int(result.rsplit(" ", 1)[1])


def _fenced(ours: Watermark, found: Watermark | None) -> str:
    place = "moved" if found is None else f"at record {found.last_seq} (chunk {found.chunk_hash.hex()[:12]})"
    return (
        f"the watermark in Postgres is {place}, expected record {ours.last_seq} (chunk {ours.chunk_hash.hex()[:12]}): "
        "another worker writes to this database, or the database or the journal was replaced"
    )


def _as_they_are(columns: Columns) -> Columns:
    return columns


def _join_scopes(columns: Columns) -> Columns:
    # Postgres has no array of arrays of different lengths, so a key's scopes travel as one text.
    scopes = [",".join(one) if isinstance(one, list) else one for one in columns[5]]
    return [*columns[:5], scopes, *columns[6:]]


_PREPARE: Final[Mapping[str, Callable[[Columns], Columns]]] = {"api_keys": _join_scopes}
