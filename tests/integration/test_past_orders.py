"""An order's whole way out of memory and back: core, journal, follower, Postgres, all real."""

import asyncio
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import msgspec

from ordergate import _core
from ordergate.gateway import late_fills
from ordergate.persistence.migrate import migrate
from ordergate.persistence.past_orders import HistoryUnavailable, PastOrders
from ordergate.persistence.watermark import NOTHING_YET
from ordergate.persistence.write_behind import Writer, write
from ordergate.supervisor.first_start import packaged_instruments
from tests.integration.test_write_behind import fetch

TOKEN = "x" * 52
BEARER = f"Bearer {TOKEN}"
ORDER = b'{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":2,"price":100,"mode":"PAPER"}'
TOO_LARGE = ORDER.replace(b'"quantity":2', b'"quantity":60')
KEEP_ENDED, TOGETHER = 100_000, 64


def opened(directory: Path) -> _core.Gateway:
    gateway = _core.Gateway.open(str(directory / "journal"), str(directory / "snapshots"))
    gateway.create_account("desk")
    for asset in ("USDT", "BTC"):
        gateway.adjust_balance("desk", "PAPER", asset, "1000000", "opening")
    gateway.create_key("desk", "ann", "ann", hashlib.sha256(TOKEN.encode()).digest(), ["read", "trade"], 0, None)
    for instrument in packaged_instruments():
        gateway.set_instrument(instrument)
    gateway.set_limit("account", "desk", None, "MAX_ORDER_QTY", "50", None, "ann", "test")
    gateway.set_limit("account", "desk", None, "MAX_ORDER_NOTIONAL", "1000000", None, "ann", "test")
    gateway.set_limit("account", "desk", None, "MAX_OPEN_ORDERS", "1000", None, "ann", "test")
    gateway.kill_reading()
    return gateway


def placed(gateway: _core.Gateway, key: str, body: bytes = ORDER) -> Any:
    answer = gateway.place(BEARER, key, "request", body)
    assert isinstance(answer, tuple), answer
    return answer


def told(gateway: _core.Gateway, session: int, *reports: list[object]) -> None:
    gateway.reports(session, msgspec.msgpack.encode(reports))


def fill(order: int, trade_id: str, quantity: str) -> list[object]:
    return ["FILL", order, trade_id, "100", quantity, str(100 * float(quantity)), "0", "USDT", False, 1]


def flush(gateway: _core.Gateway) -> None:
    while gateway.drain() < gateway.last_seq:
        time.sleep(0.001)


def write_everything(gateway: _core.Gateway, directory: Path, writer: Writer) -> None:
    """What the worker does, without its loop."""

    async def scene() -> None:
        follower = _core.Follower(str(directory / "journal"))
        mark = writer.watermark
        follower.start_rows(mark.last_seq, mark.chunk_hash, mark.event_hash)
        while (batch := follower.poll_rows(20_000)) is not None:
            await write(writer, batch)
        writer.drop_connection()

    flush(gateway)
    asyncio.run(scene())


def test_an_order_leaves_memory_is_shown_from_postgres_and_comes_back_for_a_trade(dsn: str, tmp_path: Path) -> None:
    migrate(dsn)
    gateway, writer = opened(tmp_path), Writer(dsn, NOTHING_YET)
    session, _ = gateway.open_session("paper", "PAPER", 1)
    order = int(json.loads(placed(gateway, "mine")[2])["id"])
    told(gateway, session, ["ACK", order, "v1"], fill(order, "1", "0.5"), ["CANCELED", order, "USER", ""])
    flush(gateway)
    before = gateway.order(BEARER, str(order))
    assert isinstance(before, tuple)
    for number in range(KEEP_ENDED + TOGETHER):
        if number % 1_000 == 0:
            gateway.kill_reading()
        gateway.place(BEARER, f"k{number}", "r", TOO_LARGE)
    gone = gateway.order(BEARER, str(order))
    assert isinstance(gone, _core.Refusal) and gone.code == "order_left"
    again = placed(gateway, "mine")
    assert (again[0], json.loads(again[2])["id"]) == (201, str(order)), "its request key is kept for the day"

    async def past() -> Any:
        orders = PastOrders(dsn)
        try:
            return await orders.find(order, order)
        except HistoryUnavailable as unavailable:
            return unavailable
        finally:
            await orders.close()

    assert isinstance(asyncio.run(past()), HistoryUnavailable), "Postgres is behind: nothing is denied"
    write_everything(gateway, tmp_path, writer)
    found = asyncio.run(past())
    shown = gateway.past_order(BEARER, found.facts, found.durable_ns)
    assert isinstance(shown, tuple)
    now, then = json.loads(shown[2]), json.loads(before[2])
    assert now.pop("durableAt")[:23] == then.pop("durableAt")[:23], "Postgres keeps microseconds"
    assert now == then
    stranger = gateway.past_order("Bearer nobody", found.facts, found.durable_ns)
    assert isinstance(stranger, _core.Refusal) and stranger.code == "not_found"

    async def decided(account: str) -> bytes | None:
        orders = PastOrders(dsn)
        try:
            return await orders.decision(order, account)
        finally:
            await orders.close()

    decision = json.loads(asyncio.run(decided("desk")) or b"")
    assert (decision["id"], decision["accepted"]) == (str(order), True)
    assert decision["decision"]["tightest"]["code"] in {"MAX_ORDER_QTY", "MAX_ORDER_NOTIONAL", "MAX_OPEN_ORDERS"}
    assert asyncio.run(decided("somebody")) is None

    told(gateway, session, fill(order, "2", "0.25"), fill(order, "2", "0.25"))
    (awaited,) = gateway.awaited_orders()
    assert awaited == (order, gateway.last_seq)
    orders = PastOrders(dsn)

    async def watched() -> None:
        task = asyncio.create_task(late_fills.watch(gateway, orders))
        await asyncio.sleep(1.2)
        assert gateway.awaited_orders() == [awaited], "not before Postgres holds the journal so far"
        await asyncio.to_thread(write_everything, gateway, tmp_path, writer)
        async with asyncio.timeout(10):
            while not gateway.reloaded_seqs():
                await asyncio.sleep(0.05)
        assert gateway.awaited_orders() == []
        back = gateway.order(BEARER, str(order))
        assert isinstance(back, tuple) and json.loads(back[2])["filledQuantity"] == "0.75"
        await asyncio.to_thread(write_everything, gateway, tmp_path, writer)
        async with asyncio.timeout(10):
            while gateway.reloaded_seqs():
                await asyncio.sleep(0.05)
        task.cancel()
        await orders.close()

    asyncio.run(watched())
    write_everything(gateway, tmp_path, writer)
    (row,) = fetch(dsn, f"SELECT status, filled_quantity::text FROM execution.orders WHERE id = {order}")
    assert row == {"status": "CANCELED", "filled_quantity": "0.75"}
    trades = fetch(dsn, "SELECT exchange_fill_id FROM execution.fills ORDER BY 1")
    assert [trade["exchange_fill_id"] for trade in trades] == ["1", "2"]
    kinds = fetch(dsn, f"SELECT kind FROM execution.order_events WHERE order_id = {order} ORDER BY seq")
    assert [event["kind"] for event in kinds][-2:] == ["ORDER_RELOADED", "FILL"]
    assert [alarm["kind"] for alarm in fetch(dsn, "SELECT kind FROM execution.alarms ORDER BY seq")] == [
        "LATE_FILL",
        "FILL",
    ]
    follower = _core.Follower(str(tmp_path / "journal"))
    follower.catch_up()
    assert follower.state_hash() == gateway.state_hash()
    gateway.close()
