"""What has left the gateway's memory, as Postgres holds it: rare questions, one at a time."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ordergate.persistence import limit_history, reconciliations
from ordergate.persistence.connection import SHORT_S, TROUBLE, Connection, bounded, close, connect, describe

WAITING_MAX: Final = 100
"""Questions that wait for the connection; further ones are refused."""

_ORDER: Final = """
SELECT w.last_seq, o.id IS NOT NULL AS found, o.facts,
       (extract(epoch FROM o.durable_at) * 1000000)::bigint * 1000 AS durable_ns
FROM execution.watermark w LEFT JOIN execution.orders o ON o.id = $1
WHERE w.shard = 0
"""
_DECISION: Final = """
SELECT w.last_seq,
       CASE WHEN e.seq IS NOT NULL THEN
       format('{"id":"%s","accepted":%s,"decidedAtNs":%s,"decision":%s}', e.seq, to_json(e.kind = 'ORDER_ACCEPTED'),
              (extract(epoch FROM e.at) * 1000000)::bigint * 1000, e.payload -> 'decision') END AS told
FROM execution.watermark w LEFT JOIN execution.order_events e ON e.seq = $1 AND e.account_id = $2
WHERE w.shard = 0
"""

_UNREADABLE: Final[tuple[type[Exception], ...]] = (*TROUBLE, ValueError)  # ValueError: not even an address


class HistoryUnavailable(Exception):
    """Postgres cannot tell now; the message says why."""


@dataclass(frozen=True, slots=True)
class PastOrder:
    """What an ended order was, as the core encoded it."""

    facts: bytes
    durable_ns: int | None
    """Journal time at which it became durable."""


class _Row(NamedTuple):
    last_seq: int
    found: bool
    facts: bytes | None
    durable_ns: int | None


class PastOrders:
    """Asks Postgres for orders by id."""

    __slots__ = ("_connection", "_dsn", "_turn", "_waiting")

    def __init__(self, dsn: str | None) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def find(self, order_id: int, held_seq: int) -> PastOrder | None:
        """The ended order with this id; None when there is none in Postgres, which must hold the journal to `held_seq`.

        Raises HistoryUnavailable while Postgres is away, behind, or still shows the order as open.
        """
        found = await self._in_turn(_ORDER, order_id)
        row = None if found is None else _Row(*found)
        if row is None or row.last_seq < held_seq:
            raise HistoryUnavailable("Postgres does not hold that part of the journal yet")
        if not row.found:
            return None
        if row.facts is None:
            raise HistoryUnavailable("Postgres does not show the end of the order yet")
        return PastOrder(row.facts, row.durable_ns)

    async def decision(self, order_id: int, account: str) -> bytes | None:
        """JSON of the decision on an order of this account, from the audit trail; its time has microseconds.

        None when there is no such order of the account. Raises HistoryUnavailable, also while Postgres is behind.
        """
        found = await self._in_turn(_DECISION, order_id, account)
        if found is None or found["last_seq"] < order_id:
            raise HistoryUnavailable("Postgres does not hold that part of the journal yet")
        return None if found["told"] is None else str(found["told"]).encode()

    async def watermark(self) -> int:
        """How far Postgres holds the journal. Raises HistoryUnavailable."""
        async with self._turn:
            row = await self._fetch(_ORDER, 0)
        return 0 if row is None else _Row(*row).last_seq

    async def limit_changes(self, wanted: limit_history.Wanted) -> bytes:
        """JSON list of changes of limits, newest first. Raises HistoryUnavailable."""
        row = await self._in_turn(limit_history.QUERY, *wanted.arguments())
        return b"[]" if row is None else str(row[0]).encode()

    async def reconciliations(self, account: str, before: int | None, limit: int) -> bytes:
        """JSON list of the account's comparisons with the exchange, newest first. Raises HistoryUnavailable."""
        row = await self._in_turn(reconciliations.QUERY, account, before, limit)
        return b"[]" if row is None else str(row[0]).encode()

    async def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            await close(self._connection)
            self._connection = None

    async def _in_turn(self, query: str, *arguments: object) -> Any:
        if self._waiting >= WAITING_MAX:
            raise HistoryUnavailable("too many questions about the past are waiting")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._fetch(query, *arguments)
        finally:
            self._waiting -= 1

    async def _fetch(self, query: str, *arguments: object) -> Any:
        if self._dsn is None:
            raise HistoryUnavailable("no Postgres is configured")
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await connect(self._dsn, "past orders")
            row = await bounded(self._connection, self._connection.fetchrow(query, *arguments), SHORT_S)
        except _UNREADABLE as error:
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
            raise HistoryUnavailable(describe(error)) from error
        return row
