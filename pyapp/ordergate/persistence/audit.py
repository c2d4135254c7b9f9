"""The audit trail in Postgres against what the journal says it must be, and against the anchors.

Postgres is read in one repeatable-read transaction up to the watermark found at its start, batch by batch as the
journal is folded: the system may go on meanwhile, and nothing is held in memory but one batch.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from ordergate.persistence.anchors import Anchor
from ordergate.persistence.connection import Connection, bounded, close, connect
from ordergate.persistence.statements import named_statements
from ordergate.persistence.watermark import NOTHING_YET, Watermark, fetch_watermark

BATCH_RECORDS: Final = 5000
BATCH_S: Final = 30.0
SHOWN: Final = 80
SHOWN_BEFORE: Final = 30
"""Characters of a value that are shown, and how many of them before the first that differs."""
TABLE: Final = "execution.order_events"
COLUMNS: Final = ("seq", "order_id", "account_id", "kind", "at", "payload", "prev_hash", "hash")

_SQL: Final = named_statements(Path(__file__).with_name("audit.sql"))

Row = tuple[Any, ...]


class Batch(Protocol):
    """What is used of `_core.Rows`."""

    @property
    def last_seq(self) -> int: ...
    @property
    def chunk_hash(self) -> bytes: ...
    @property
    def event_hash(self) -> bytes: ...
    @property
    def tables(self) -> Mapping[str, Sequence[Sequence[Any]]]: ...


class Journal(Protocol):
    """What is used of `_core.Follower`, opened at record 0 with the archive."""

    @property
    def seq(self) -> int: ...
    def committed_seq(self) -> int: ...
    def poll_rows(self, max_records: int) -> Batch | None: ...


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that is not as it must be; `text` says it in a line."""

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was compared: up to which record, how many rows and anchors; and what differs first, if anything."""

    last_seq: int
    rows: int
    anchors: int
    difference: Difference | None


Tell = Callable[[int, int], None]
"""(records compared, records in all)."""


async def verify_trail(dsn: str, journal: Journal, anchors: Sequence[Anchor], tell: Tell) -> Verdict:
    """Compares row by row. Raises what the journal raises when it cannot be read, or one of `connection.TROUBLE`."""
    connection = await connect(dsn, "audit")
    try:
        await bounded(connection, connection.execute(_SQL["begin"]), BATCH_S)
        watermark = await fetch_watermark(connection) or NOTHING_YET
        return await _compare(connection, journal, watermark, anchors, tell)
    finally:
        await close(connection)


async def _compare(
    connection: Connection, journal: Journal, watermark: Watermark, anchors: Sequence[Anchor], tell: Tell
) -> Verdict:
    due = [anchor for anchor in anchors if anchor.seq <= watermark.last_seq]
    rows = checked = reached = 0

    def verdict(difference: Difference | None) -> Verdict:
        return Verdict(reached, rows, checked, difference)

    if journal.committed_seq() < watermark.last_seq:
        text = f"the journal ends at record {journal.committed_seq()}, Postgres holds it up to {watermark.last_seq}"
        return verdict(Difference(journal.committed_seq() + 1, text))
    while reached < watermark.last_seq:
        # An anchor was taken at the end of a batch, so batches have to end there too.
        stop = due[checked].seq if checked < len(due) else watermark.last_seq
        batch = journal.poll_rows(min(BATCH_RECORDS, stop - reached))
        if batch is None:
            return verdict(Difference(reached + 1, f"record {reached + 1} cannot be read from the journal"))
        stored = await bounded(connection, connection.fetch(_SQL["rows"], reached, batch.last_seq), BATCH_S)
        parked = await bounded(connection, connection.fetch(_SQL["parked"], reached, batch.last_seq), BATCH_S)
        expected = _written(_expected(batch), {row["seq"]: row["hash"] for row in parked})
        if (difference := first_difference(expected, [tuple(row) for row in stored])) is not None:
            return verdict(difference)
        reached, rows = batch.last_seq, rows + len(expected)
        while checked < len(due) and due[checked].seq <= reached:
            if (difference := _against(due[checked], batch)) is not None:
                return verdict(difference)
            checked += 1
        tell(reached, watermark.last_seq)
        if reached >= watermark.last_seq and _mark(batch) != _mark(watermark):
            text = f"execution.watermark at record {watermark.last_seq} has other hashes than the journal"
            return verdict(Difference(watermark.last_seq, text))
        await asyncio.sleep(0)
    beyond = await bounded(connection, connection.fetchrow(_SQL["outside"], watermark.last_seq), BATCH_S)
    if beyond is not None:
        return verdict(_extra(tuple(beyond)))
    if len(due) < len(anchors):
        ahead = anchors[len(due)]
        text = f"the anchor of {ahead.at:%Y-%m-%d %H:%M:%S} says that Postgres held record {ahead.seq}, now it ends at "
        return verdict(Difference(ahead.seq, f"{text}{watermark.last_seq}: rows have gone, or a rebuild is under way"))
    return verdict(None)


def first_difference(expected: Sequence[Row], stored: Sequence[Row]) -> Difference | None:
    """The first difference between rows in the order of their sequences, in words."""
    for ours, found in zip(expected, stored, strict=False):
        if found[0] > ours[0]:
            return _missing(ours)
        if found[0] < ours[0]:
            return _extra(found)
        for name, want, got in zip(COLUMNS, ours, found, strict=True):
            if want != got:
                is_, must = _unlike(got, want)
                return Difference(ours[0], f"{TABLE} seq {ours[0]} (order {ours[1]}): {name} is {is_}, must be {must}")
    if len(stored) > len(expected):
        return _extra(stored[len(expected)])
    if len(stored) < len(expected):
        return _missing(expected[len(stored)])
    return None


def _mark(of: Batch | Watermark) -> tuple[int, bytes, bytes]:
    return of.last_seq, bytes(of.chunk_hash), bytes(of.event_hash)


def _expected(batch: Batch) -> list[Row]:
    """The rows of a batch as Postgres shows them: whole microseconds."""
    columns = batch.tables.get("order_events")
    return [(*row[:4], row[4] // 1000, *row[5:]) for row in zip(*columns, strict=True)] if columns else []


def _written(rows: list[Row], parked: Mapping[int, str]) -> list[Row]:
    """Without those that Postgres had to park, as long as what it parked is what the journal says."""
    return [row for row in rows if parked.get(row[0]) != "\\x" + bytes(row[7]).hex()] if parked else rows


def _against(anchor: Anchor, batch: Batch) -> Difference | None:
    found = (batch.last_seq, batch.event_hash.hex(), batch.chunk_hash.hex())
    if found == (anchor.seq, anchor.event_hash, anchor.chunk_hash):
        return None
    place = f"the anchor of {anchor.at:%Y-%m-%d %H:%M:%S} at record {anchor.seq}"
    return Difference(anchor.seq, f"{place} has other hashes: journal and Postgres agree, and are not what they were")


def _missing(row: Row) -> Difference:
    return Difference(row[0], f"{TABLE} seq {row[0]} (order {row[1]}): the row is missing ({row[3]})")


def _extra(row: Row) -> Difference:
    return Difference(row[0], f"{TABLE} seq {row[0]} (order {row[1]}): the row must not be there ({row[3]})")


def _unlike(got: object, want: object) -> list[str]:
    """Both values as text from shortly before where they part, without what a terminal would take for commands."""
    texts = [bytes(one).hex() if isinstance(one, bytes) else str(one) for one in (got, want)]
    alike = next((place for place, (one, other) in enumerate(zip(*texts, strict=False)) if one != other), 0)
    start = max(0, alike - SHOWN_BEFORE)
    ends = ["..." if len(text) > start + SHOWN else "" for text in texts]
    cuts = ["..." * (start > 0) + text[start : start + SHOWN] + end for text, end in zip(texts, ends, strict=True)]
    return ["".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in cut) for cut in cuts]
