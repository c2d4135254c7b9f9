"""A data directory with a past: the real engine on a journal of small segments, and a worker's work over it."""

from __future__ import annotations  # `Answer` exists in the stub only

import asyncio
import hashlib
import json
import time
from pathlib import Path

import msgspec

from ordergate import _core
from ordergate.config import Paths
from ordergate.persistence.connection import close, connect
from ordergate.persistence.migrate import apply_migrations
from ordergate.persistence.watermark import NOTHING_YET, fetch_watermark
from ordergate.persistence.write_behind import Writer, write
from ordergate.portfolio import outbox
from tests.integration.real_journal import BTCUSDT

TOKENS = ("og_alpha", "og_beta")
SEGMENT_BYTES = 1 << 16


def opened(paths: Paths) -> _core.Gateway:
    """The engine; a state hash every hundred records."""
    paths.prepare()
    return _core.Gateway.open(
        str(paths.journal), str(paths.snapshots), segment_bytes=SEGMENT_BYTES, state_hash_every=100
    )


def tick(gateway: _core.Gateway) -> None:
    """Journals the state hash if it is due, and lets a chunk end with it: snapshots are taken there."""
    gateway.tick()
    while gateway.durable_seq() < gateway.last_seq:
        time.sleep(0.001)


def furnish(gateway: _core.Gateway) -> None:
    """Two accounts with money and keys, one instrument, limits, a key and a watch that came and went."""
    for name, token in zip(("alpha", "beta"), TOKENS, strict=True):
        gateway.create_account(name)
        gateway.adjust_balance(name, "PAPER", "USDT", "1000000", "opening")
        gateway.adjust_balance(name, "PAPER", "BTC", "50", "opening")
        digest = hashlib.sha256(token.encode()).digest()
        gateway.create_key(name, "ann", "main", digest, ["read", "trade"], 0, None)
    gateway.set_instrument(BTCUSDT)
    gateway.set_limit("firm", "", None, "MAX_ORDER_QTY", "10", None, "ann", "first")
    gateway.set_limit("firm", "", None, "MAX_OPEN_ORDERS", "100000", None, "ann", "first")
    gateway.revoke_key(gateway.create_key("beta", "bob", "old", b"\x02" * 32, ["read"], 5, gateway.now_ns()))
    for token, timeout_ms in ((TOKENS[0], 600_000), (TOKENS[1], 600_000), (TOKENS[1], 0)):
        assert isinstance(gateway.heartbeat(f"Bearer {token}", "account", None, timeout_ms), str)


def trade(gateway: _core.Gateway, orders: range) -> None:
    """Orders of every fate: filled in one or two, canceled, rejected, expired, denied, killed, in doubt; alarms too."""
    session = gateway.open_session("paper", "PAPER", 7)[0]
    for number in orders:
        gateway.kill_reading()
        fate, token = number % 9, TOKENS[number % 2]
        quantity = "11" if fate == 0 else "0.5"  # above the limit: denied
        side = "BUY" if number % 4 < 2 else "SELL"
        price = "100.5" if side == "BUY" else "101.5"  # never against its own
        body = {"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "quantity": quantity, "price": price,
                "mode": "PAPER", "clientOrderId": f"c{number}"}  # fmt: skip
        answer = gateway.place(f"Bearer {token}", f"key-{number}", f"request-{number}", json.dumps(body).encode())
        assert isinstance(answer, tuple), answer
        if fate == 0:
            assert answer[0] == 422
            continue
        order = int(json.loads(answer[2])["id"])
        fill = ("FILL", order, f"{session}-{order}", "100.5", "0.5", "50.25", "0.0005", "BTC", False, gateway.now_ns())
        half = (*fill[:2], f"{session}-{order}h", "100.25", "0.25", "25.0625", "0.01", "USDT", True, fill[-1])
        ack = ("ACK", order, f"v{order}")
        story: list[list[tuple[object, ...]]] = [
            [],
            [[ack, fill]],
            [[ack, half], [(*half[:2], half[2] + "2", *half[3:])]],
            [[ack, half], [("CANCELED", order, "CLIENT", "as asked")]],
            [[("REJECT", order, "VENUE", "no")], [half], [("REPLACED", order, "1", "100")]],
            [[ack], [("EXPIRED", order, "VENUE", "day")]],
            [[("UNKNOWN", order, "TIMEOUT", "silence")], [ack, fill]],
            [[fill], [fill], [("FILL", 2**40, *fill[2:])], [ack]],
            [[ack]],
        ][fate]  # type: ignore[assignment]
        for reports in story:
            gateway.reports(session, msgspec.msgpack.encode(reports))
        if fate == 3:
            tick(gateway)
    gateway.kill_on("account", "beta", 1, 'drill ✓ "quoted" \\', "ann", "cli")
    gateway.kill_off("account", "beta", "ann", "cli")
    gateway.adjust_balance("beta", "PAPER", "USDT", "-12.5", "fees")
    gateway.set_limit("account", "alpha", None, "MAX_ORDER_QTY", "9", None, "ann", "second")
    gateway.set_limit("account", "alpha", None, "MAX_ORDER_NOTIONAL", "5000000", None, "ann", "second")
    gateway.set_limit("account", "alpha", None, "MAX_OPEN_ORDERS", "9000", None, "ann", "second")
    tick(gateway)


async def write_all(dsn: str, paths: Paths, per_batch: int = 700) -> int:
    """What the worker does with what is durable, archive included; the last record written."""
    await apply_migrations(dsn)
    connection = await connect(dsn, "test")
    found = await fetch_watermark(connection) or NOTHING_YET
    await close(connection)
    writer, portfolio = Writer(dsn, found), outbox.Portfolio()
    follower = _core.Follower(
        str(paths.journal), str(paths.snapshots), from_seq=found.last_seq, archive_dir=str(paths.archive)
    )
    follower.start_rows(found.last_seq, found.chunk_hash, found.event_hash)
    while (batch := follower.poll_rows(per_batch)) is not None:
        await write(writer, batch)
    await outbox.run_once(dsn, portfolio)
    writer.drop_connection()
    portfolio.drop_connection()
    return writer.watermark.last_seq


def snapshot_twice(paths: Paths) -> None:
    """Two snapshots as the worker writes them; they cover all segments but the newest."""
    follower = _core.Follower(str(paths.journal), archive_dir=str(paths.archive))
    newest = max(int(file.stem) for file in paths.journal.glob("*.seg"))
    for goal in (newest - 1, None):
        follower.catch_up(goal)
        follower.write_snapshot(str(paths.snapshots))


def archive_all(paths: Paths, unpinned_seq: int) -> list[tuple[int, int, int, int]]:
    """Moves what may leave when no key points to a record up to `unpinned_seq` and Postgres holds all."""
    moved = []
    while (one := archive_one(paths, 2**62, unpinned_seq)) is not None:
        moved.append(one)
    return moved


def archive_one(paths: Paths, postgres_seq: int, unpinned_seq: int) -> tuple[int, int, int, int] | None:
    """One step of the worker's retention."""
    return _core.archive_segment(
        str(paths.journal),
        str(paths.snapshots),
        str(paths.archive),
        postgres_seq=postgres_seq,
        unpinned_seq=unpinned_seq,
    )


def traded(data: Path, orders: int = 900) -> Paths:
    """A stopped installation with two starts behind it."""
    paths = Paths(data)
    for part in (range(orders // 2), range(orders // 2, orders)):
        gateway = opened(paths)
        if part.start == 0:
            furnish(gateway)
        trade(gateway, part)
        gateway.close()
    return paths


def run_worker(dsn: str, paths: Paths) -> int:
    """`write_all`, for tests without a loop."""
    return asyncio.run(write_all(dsn, paths))
