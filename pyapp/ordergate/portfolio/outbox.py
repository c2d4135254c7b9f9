"""The outbox's reader: events in order of sequence, each applied once, with its cursor in the same transaction.

The cursor says how far events have been looked at. An event that cannot be applied is parked: it stays unprocessed
below the cursor, with an alarm, and so do the later events of its book (account, mode), so that the order within a book
is kept; other books go on. Parked events are tried again at every start and each minute.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from ordergate.persistence.connection import (
    SHORT_S,
    TROUBLE,
    Connection,
    bounded,
    close,
    connect,
    describe,
    is_data_error,
)
from ordergate.persistence.statements import named_statements
from ordergate.portfolio.events import Adjustment, Fill, Poison, balance_changes, decode

POLL_S: Final = 0.5
PAGE: Final = 2000
PAGE_S: Final = 15.0
RETRY_PARKED_S: Final = 60.0
CHANNEL: Final = "portfolio_outbox"

_SQL: Final = named_statements(Path(__file__).with_name("outbox.sql"))
_log: Final = structlog.get_logger("portfolio")

Book = tuple[str, str]


class OutboxGap(Exception):
    """The audit trail has fills that the outbox lacks: nothing after them is applied."""


@dataclass(slots=True)
class Portfolio:
    """What the reader last saw, for health; and its connection while it has one."""

    cursor: int = 0
    held: dict[Book, tuple[int, int]] = field(default_factory=dict)
    """Book → (sequence of the parked event, number of events that wait)."""
    error: str | None = None
    connection: Connection | None = None
    retried_at: float | None = None

    def drop_connection(self) -> None:
        """Ends the connection at once; what it was doing is rolled back, or found done by the cursor."""
        if self.connection is not None:
            self.connection.terminate()
            self.connection = None


async def run(dsn: str, portfolio: Portfolio, stop: asyncio.Event) -> None:
    """Applies what arrives, each half second and on NOTIFY; once more after `stop`. Trouble is waited out."""
    wake = asyncio.Event()
    last_round = False
    while not last_round:
        last_round = stop.is_set()
        try:
            await run_once(dsn, portfolio, wake)
            portfolio.error = None
        except OutboxGap as gap:
            if portfolio.error != str(gap):
                _log.error("portfolio halted", code="OUTBOX_GAP", detail=str(gap))
            portfolio.error = str(gap)
        except TROUBLE as error:
            portfolio.drop_connection()
            portfolio.error = describe(error)
        if not last_round:
            await _pause(wake, stop)
    if portfolio.connection is not None:
        await close(portfolio.connection)


async def run_once(dsn: str, portfolio: Portfolio, wake: asyncio.Event | None = None) -> int:
    """Applies everything that is there; how many events were looked at.

    Raises OutboxGap, or one of `connection.TROUBLE`; either way what was not committed is as before.
    """
    connection = portfolio.connection
    if connection is None or connection.is_closed():
        connection = portfolio.connection = await connect(dsn, "portfolio")
        if wake is not None:
            await bounded(connection, connection.add_listener(CHANNEL, lambda *_: wake.set()), SHORT_S)
        await bounded(connection, connection.execute(_SQL["cursor_create"]), SHORT_S)
    now = asyncio.get_running_loop().time()
    if portfolio.retried_at is None or now - portfolio.retried_at > RETRY_PARKED_S:
        await bounded(connection, _retry_parked(connection), PAGE_S)
        portfolio.retried_at = now
    looked_at = 0
    while True:
        count = await bounded(connection, _page(connection, portfolio), PAGE_S)
        looked_at += count
        if count < PAGE:
            return looked_at


async def _page(connection: Connection, portfolio: Portfolio) -> int:
    written, cursor = await connection.fetchrow(_SQL["progress"])
    if written <= cursor:
        portfolio.cursor = cursor
        portfolio.held = await _held(connection, cursor)
        return 0
    try:
        return await _apply_page(connection, portfolio, written, PAGE)
    except Exception as error:
        if not is_data_error(error):
            raise
    # Some event of the page is refused by the tables themselves: one by one, to find and park it.
    for _ in range(PAGE):
        try:
            count = await _apply_page(connection, portfolio, written, 1)
        except Exception as error:
            if not is_data_error(error):
                raise
            count = await _apply_page(connection, portfolio, written, 1, refusal=describe(error))
        if count == 0:
            return 0
    return PAGE


async def _apply_page(
    connection: Connection, portfolio: Portfolio, written: int, limit: int, refusal: str | None = None
) -> int:
    """One transaction: the next `limit` events up to `written`. With `refusal` they are parked for that reason."""
    async with connection.transaction():
        cursor: int = await connection.fetchval(_SQL["cursor_lock"])
        rows = await connection.fetch(_SQL["page"], cursor, written, limit)
        reached = rows[-1]["seq"] if len(rows) == limit else max(written, cursor)
        await _check_gap(connection, rows, cursor, reached)
        held = await _held(connection, cursor)
        applied, parked = _sort_out([row for row in rows if not row["done"]], held, refusal)
        await _apply(connection, applied)
        for row, reason in parked:
            await connection.execute(_SQL["alarm"], row["seq"], row["kind"], reason)
        await connection.execute(_SQL["cursor_move"], reached)
        held = await _held(connection, reached) if held or parked else {}
    portfolio.cursor, portfolio.held = reached, held
    for row, reason in parked:
        _log.error(
            "portfolio event parked",
            code="OUTBOX_POISON",
            seq=row["seq"],
            account=row["account_id"],
            mode=row["mode"],
            kind=row["kind"],
            detail=reason,
        )
    return len(rows)


async def _check_gap(connection: Connection, rows: Sequence[Any], after: int, reached: int) -> None:
    recorded: int = await connection.fetchval(_SQL["fills_recorded"], after, reached)
    present = sum(row["kind"] == "FILL" for row in rows)
    if recorded > present:
        raise OutboxGap(
            f"between records {after + 1} and {reached} the audit trail has {recorded} fills and the outbox {present}: "
            "rows of execution.portfolio_events_outbox were removed; put them back from execution.fills, or restore"
        )


def _sort_out(
    rows: Sequence[Any], held: Mapping[Book, object], refusal: str | None
) -> tuple[list[tuple[Any, Fill | Adjustment]], list[tuple[Any, str]]]:
    """What can be applied, and what has to be parked; the rest waits behind a parked event of its book."""
    applied: list[tuple[Any, Fill | Adjustment]] = []
    parked: list[tuple[Any, str]] = []
    blocked = set(held)
    for row in rows:
        book = (row["account_id"], row["mode"])
        if book in blocked:
            continue
        event = Poison(refusal) if refusal is not None else decode(row["kind"], row["payload"])
        if isinstance(event, Poison):
            parked.append((row, event.reason))
            blocked.add(book)
        else:
            applied.append((row, event))
    return applied, parked


async def _apply(connection: Connection, events: Sequence[tuple[Any, Fill | Adjustment]]) -> None:
    if not events:
        return
    changes = [
        (row["seq"], row["account_id"], row["mode"], asset, delta)
        for row, event in events
        for asset, delta in balance_changes(event)
    ]
    trades = [
        (
            row["seq"],
            row["account_id"],
            row["mode"],
            event.symbol,
            event.side,
            event.quantity,
            event.quote_quantity,
            event.fee if event.fee_asset == event.base else "0",
        )
        for row, event in events
        if isinstance(event, Fill)
    ]
    await connection.execute(_SQL["balances"], *_columns(changes))
    if trades:
        await connection.execute(_SQL["positions"], *_columns(trades))
    await connection.execute(_SQL["processed"], [row["seq"] for row, _ in events])


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


async def _held(connection: Connection, cursor: int) -> dict[Book, tuple[int, int]]:
    rows = await connection.fetch(_SQL["held"], cursor)
    return {(row["account_id"], row["mode"]): (row["parked_seq"], row["events"]) for row in rows}


async def _retry_parked(connection: Connection) -> None:
    """Applies what has become applicable (a newer build, a mended row), book by book, up to the next poison."""
    _, cursor = await connection.fetchrow(_SQL["progress"])
    for account, mode in await _held(connection, cursor):
        try:
            while await _retry_book(connection, account, mode) == PAGE:
                pass
        except Exception as error:
            if not is_data_error(error):
                raise


async def _retry_book(connection: Connection, account: str, mode: str) -> int:
    async with connection.transaction():
        cursor: int = await connection.fetchval(_SQL["cursor_lock"])
        rows = await connection.fetch(_SQL["held_page"], cursor, account, mode, PAGE)
        applied, _ = _sort_out(rows, {}, None)
        await _apply(connection, applied)
    if applied:
        _log.warning("parked portfolio events applied", account=account, mode=mode, events=len(applied))
    return len(applied)


async def _pause(wake: asyncio.Event, stop: asyncio.Event) -> None:
    """Until NOTIFY, `stop`, or half a second have come."""
    tasks: list[asyncio.Task[bool]] = [asyncio.ensure_future(event.wait()) for event in (wake, stop)]
    await asyncio.wait(tasks, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    wake.clear()
