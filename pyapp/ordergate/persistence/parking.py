"""Rows that their table refuses for what they hold: found by halving, and parked instead of stopping everything else.

All of it happens in the transaction of the batch, behind savepoints, so that the watermark passes a parked row exactly
when the row is parked.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ordergate.persistence.connection import Connection, describe, is_data_error
from ordergate.persistence.statements import named_statements

PARKED_AT_MOST: Final = 100
"""Rows of one batch. When more are refused it is the tables that do not fit: that is waited out."""
ERROR_CHARACTERS: Final = 2000

_SQL: Final = named_statements(Path(__file__).with_name("parking.sql"))

Columns = Sequence[Sequence[object]]
Merge = Callable[[Connection, str, Columns], Awaitable[int]]
"""Writes the rows of one table; how many were there already."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row, by column name, and the server's reason."""

    relation: str
    row: Mapping[str, object]
    sqlstate: str
    error: str

    @property
    def seq(self) -> object:
        """The record that made the row. A session's id is its record's sequence."""
        return next(self.row[name] for name in ("seq", "last_seq", "id") if name in self.row)

    @property
    def order_id(self) -> object:
        """The order that the row is about, if it is about one."""
        return self.row["id"] if self.relation == "orders" else self.row.get("order_id")


async def sift(
    connection: Connection, relation: str, columns: Columns, *, names: Sequence[str], merge: Merge, into: list[Refusal]
) -> int:
    """Writes the rows except those that are refused for what they hold, which are added to `into`.

    Raises what is not the rows' fault, and the refusal that is one too many. Returns what `merge` does.
    """
    try:
        async with connection.transaction():  # a savepoint
            return await merge(connection, relation, columns)
    except Exception as error:
        if not is_data_error(error) or len(into) == PARKED_AT_MOST:
            raise
        rows = len(columns[0])
        if rows == 1:
            row = {name: column[0] for name, column in zip(names, columns, strict=True)}
            into.append(Refusal(relation, row, str(getattr(error, "sqlstate", "")), describe(error)))
            return 0
    half = rows // 2
    parts = [[column[:half] for column in columns], [column[half:] for column in columns]]
    return sum([await sift(connection, relation, part, names=names, merge=merge, into=into) for part in parts])


async def park(connection: Connection, refusals: Sequence[Refusal]) -> None:
    """Keeps each row with its reason, and raises an alarm for it."""
    for refusal in refusals:
        error = refusal.error[:ERROR_CHARACTERS]
        body = json.dumps(refusal.row, default=_hexadecimal)  # ASCII, whatever the row holds
        await connection.execute(_SQL["park"], refusal.seq, refusal.relation, body, refusal.sqlstate, error)
        await connection.execute(_SQL["alarm"], refusal.seq, refusal.order_id, refusal.relation, error)


async def count_parked(connection: Connection) -> int:
    """How many rows are parked."""
    count: int = await connection.fetchval(_SQL["count"])
    return count


def _hexadecimal(value: object) -> str:
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(type(value).__name__)
