"""Batches as the follower makes them, built by hand: a small consistent history of orders."""

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ordergate.persistence.watermark import EVENT_CHAIN_START
from ordergate.persistence.write_behind import TABLES

START_NS = 1_790_000_000_123_456_789
EPOCH = 3
ACCOUNTS = ("alpha", "beta", "gamma")


@dataclass(frozen=True)
class Rows:
    """The attributes of `_core.Rows`."""

    first_seq: int
    last_seq: int
    epoch: int = EPOCH
    chunk_hash: bytes = b""
    event_hash: bytes = EVENT_CHAIN_START
    tables: Mapping[str, Sequence[Sequence[object]]] = field(default_factory=dict)

    @property
    def copied(self) -> dict[str, bytes]:
        """The tables that only grow, as files for COPY."""
        return {name: copy_file(*self.tables[name], times={"order_events": 4, "outbox": 5}[name])
                for name in ("order_events", "outbox") if name in self.tables}  # fmt: skip

    @property
    def merged(self) -> dict[str, Sequence[Sequence[object]]]:
        """The other tables."""
        return {name: columns for name, columns in self.tables.items() if name not in self.copied}

    def with_table(self, name: str, *rows: Sequence[object]) -> "Rows":
        """The same batch with these rows in one table."""
        return replace(self, tables={**self.tables, name: columns(rows)})


def copy_file(*table: Sequence[object], times: int) -> bytes:
    """Columns as a file for a binary COPY; nanoseconds in the column numbered `times`."""
    parts = [b"PGCOPY\n\xff\r\n\0" + bytes(8)]
    for row in zip(*table, strict=True):
        parts.append(struct.pack(">h", len(row)))
        for position, value in enumerate(row):
            match value:
                case int():
                    whole = value // 1000 - 946_684_800_000_000 if position == times else value
                    field = struct.pack(">q", whole)
                case str():
                    field = value.encode()
                case bytes():
                    field = value
                case _:
                    raise TypeError(value)
            parts.append(struct.pack(">i", len(field)) + field)
    return b"".join([*parts, struct.pack(">h", -1)])


def columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    """Rows, turned."""
    return [list(column) for column in zip(*rows, strict=True)]


def empty(first_seq: int, last_seq: int) -> Rows:
    """A batch without rows for any table."""
    return Rows(first_seq, last_seq, chunk_hash=hashlib.sha256(str(last_seq).encode()).digest()[:16])


def history(orders: int, orders_per_batch: int, first_seq: int = 1) -> Iterator[Rows]:
    """Orders that are accepted, submitted, acknowledged and filled: four records each, the last one a fill."""
    head = EVENT_CHAIN_START
    made = 0
    seq = first_seq
    while made < orders:
        count = min(orders_per_batch, orders - made)
        rows: dict[str, list[Sequence[object]]] = {table: [] for table in TABLES}
        first = seq
        for _ in range(count):
            head = _order(rows, seq, head)
            seq += 4
        made += count
        yield replace(
            empty(first, seq - 1),
            event_hash=head,
            tables={name: columns(table) for name, table in rows.items() if table},
        )


def fill_payload(side: str = "BUY", price: str = "40000.5", quantity: str = "0.01", fee: str = "0.00001") -> str:
    """Payload of a FILL of the outbox in BTCUSDT, its fee taken from what was received."""
    quote = f"{round(float(price) * float(quantity), 8):.8f}"
    return json.dumps({
        "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "side": side, "price": price, "quantity": quantity,
        "quoteQuantity": quote, "fee": fee, "feeAsset": "BTC" if side == "BUY" else "USDT",
    })  # fmt: skip


def _order(rows: dict[str, list[Sequence[object]]], seq: int, head: bytes) -> bytes:
    account, at = ACCOUNTS[seq % len(ACCOUNTS)], START_NS + seq * 1_000_000
    for offset, kind in enumerate(("ORDER_ACCEPTED", "SUBMIT_STARTED", "ACKED", "FILL")):
        payload = json.dumps({"order": str(seq), "event": kind, "text": "as journaled"})
        before, head = head, hashlib.sha256(head + payload.encode()).digest()
        rows["order_events"].append((seq + offset, seq, account, kind, at + offset, payload, before, head))
    rows["orders"].append((
        seq, account, f"c-{seq}", f"key-{seq}", "PAPER", "BTCUSDT", "BUY", "LIMIT", "GTC", "0.01", "40000.5", "FILLED",
        "0.01", "400.005", "40000.5", None, None, None, f"v{seq}", at, at + 1, at + 2, at + 3, at + 4, seq + 3,
        b"f", True, None, None, None, None, None,
    ))  # fmt: skip
    rows["fills"].append((
        "paper", account, "BTCUSDT", f"7-{seq}", seq, "PAPER", "BUY", "40000.5", "0.01", "400.005", "0.00001", "BTC",
        False, at + 3, seq + 3,
    ))  # fmt: skip
    rows["outbox"].append((seq + 3, account, "PAPER", "FILL", fill_payload(), at + 3))
    return head
