"""A journal with a long past, made by the real engine: PAPER orders, each placed, acknowledged and filled at once."""

from __future__ import annotations  # `Answer` exists in the stub only

import hashlib
import time
from pathlib import Path

import msgspec
import orjson

from ordergate import _core
from ordergate.venues.instruments import shipped_tables

TOKEN = "og_bench"
RECORDS_PER_ORDER = 4
"""ORDER_ACCEPTED, SUBMIT_STARTED, ACKED, FILL."""
WINDOW = 200
"""Orders under way: below the engine's own bound of 256 unanswered sends, which would leave the rest unsent."""
BTCUSDT = {name: value for name, value in shipped_tables()[0].items() if name != "openingPrice"}
"""As it ships, without what only the price generator reads."""

_encode = msgspec.msgpack.Encoder().encode


def created(data: Path) -> _core.Gateway:
    """The engine on a new journal below `data`."""
    for name in ("journal", "snapshots"):
        (data / name).mkdir(parents=True)
    return opened(data)


def opened(data: Path) -> _core.Gateway:
    """The engine on the journal below `data`, from its snapshots when there are any."""
    return _core.Gateway.open(str(data / "journal"), str(data / "snapshots"))


def begin(gateway: _core.Gateway) -> int:
    """One account with money, a key, an instrument and limits; a PAPER session's number."""
    gateway.create_account("bench")
    gateway.adjust_balance("bench", "PAPER", "USDT", "1000000000000", "bench")
    digest = hashlib.sha256(TOKEN.encode()).digest()
    gateway.create_key("bench", "bench", "bench", digest, ["read", "trade"], 0, None)
    gateway.set_instrument(BTCUSDT)
    gateway.set_limit("account", "bench", None, "MAX_ORDER_QTY", "100", None, "bench", "bench")
    gateway.set_limit("account", "bench", None, "MAX_ORDER_NOTIONAL", "5000000", None, "bench", "bench")
    gateway.set_limit("account", "bench", None, "MAX_OPEN_ORDERS", "1000000", None, "bench", "bench")
    return gateway.open_session("paper", "PAPER", 1)[0]


def trade(
    gateway: _core.Gateway, session: int, numbers: range, window: int = WINDOW, *, flush_each: bool = False
) -> None:
    """One order per number, in windows; each window is reported back before the next one begins.

    The journal's chunks are then as large as the disk is slow. `flush_each` waits for the disk after placing and after
    reporting a window, so that each of the two is one chunk.
    """
    authorization = f"Bearer {TOKEN}"
    for first in range(numbers.start, numbers.stop, window):
        gateway.kill_reading()
        orders = [
            _id(gateway.place(authorization, f"key-{number:012}", f"request-{number}", _body(number)))
            for number in range(first, min(first + window, numbers.stop))
        ]
        if flush_each:
            _flush(gateway)
        now = gateway.now_ns()
        reports = [("ACK", order, f"v{order}") for order in orders]
        fills = [
            ("FILL", order, f"{session}-{order}", "39000", "0.001", "39", "0.000001", "BTC", False, now)
            for order in orders
        ]
        gateway.reports(session, _encode([*reports, *fills]))
        gateway.tick()  # journals the state hash when it is due
        if flush_each:
            _flush(gateway)


def _flush(gateway: _core.Gateway) -> None:
    while gateway.durable_seq() < gateway.last_seq:
        time.sleep(0.00005)
        gateway.drain()


def _body(number: int) -> bytes:
    return (
        b'{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":0.001,"price":40000,"mode":"PAPER",'
        b'"clientOrderId":"c%d"}' % number
    )


def _id(answer: _core.Answer | _core.Refusal) -> int:
    if not isinstance(answer, tuple) or answer[0] != 201:
        raise AssertionError(f"an order of the history was refused: {answer}")
    return int(orjson.loads(answer[2])["id"])
