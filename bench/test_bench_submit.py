"""`Gateway.place` through the binding: decode, key, filters, trading state, every risk check, records, stored answer.

The journal's thread writes and flushes in the background, as it does in the gateway. Each call is a new order with a
key and a body of its own; one benchmark round is a batch of them, so figures are also given per order (`us_per_order`).
"""

from __future__ import annotations  # `Answer` exists in the stub only

import hashlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ordergate import _core
from tests.integration.real_journal import BTCUSDT, TOKEN

BATCH = 100
ROUNDS = 100

Request = tuple[str, str, str, bytes]
NUMBERS = itertools.count(1)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[_core.Gateway]:
    """An engine with one account, one key, one instrument and limits, on a journal of its own."""
    engine = _core.Gateway.open(str(tmp_path / "journal"), str(tmp_path / "snapshots"))
    engine.create_account("bench")
    engine.adjust_balance("bench", "PAPER", "USDT", "1000000000", "bench")
    digest = hashlib.sha256(TOKEN.encode()).digest()
    engine.create_key("bench", "bench", "bench", digest, ["read", "trade"], 0, None)
    engine.set_instrument(BTCUSDT)
    engine.set_limit("account", "bench", None, "MAX_ORDER_QTY", "100", None, "bench", "bench")
    engine.set_limit("account", "bench", None, "MAX_ORDER_NOTIONAL", "5000000", None, "bench", "bench")
    engine.set_limit("account", "bench", None, "MAX_OPEN_ORDERS", "1000000", None, "bench", "bench")
    yield engine
    engine.close()


def requests(price: str, more: bytes = b"") -> list[Request]:
    """A batch of requests, each with a key, a request id and a body of its own."""
    return [
        (
            f"Bearer {TOKEN}",
            f"key-{number:012}",
            f"request-{number}",
            b'{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":0.001,"price":%s,"mode":"PAPER",'
            b'"clientOrderId":"c%d"%s}' % (price.encode(), number, more),
        )
        for number in itertools.islice(NUMBERS, BATCH)
    ]


def place_all(gateway: _core.Gateway, batch: list[Request]) -> list[_core.Answer | _core.Refusal]:
    """One call per request."""
    place = gateway.place
    return [place(*request) for request in batch]


def wait_until_durable(gateway: _core.Gateway, answers: list[_core.Answer | _core.Refusal]) -> None:
    """Lets the journal catch up, so that the next round starts with an empty buffer."""
    newest = max((answer[1] for answer in answers if isinstance(answer, tuple)), default=0)
    while gateway.durable_seq() < newest:
        gateway.drain()


def nothing(gateway: _core.Gateway) -> None:
    """Between rounds nothing has to be told."""


def measure(
    benchmark: BenchmarkFixture,
    gateway: _core.Gateway,
    batches: Iterator[list[Request]],
    expected: int,
    between: Callable[[_core.Gateway], None] = nothing,
) -> None:
    """Runs the rounds; fails when any answer is not the expected one."""
    answers: list[_core.Answer | _core.Refusal] = []

    def prepare() -> tuple[tuple[_core.Gateway, list[Request]], dict[str, object]]:
        wait_until_durable(gateway, answers)
        gateway.kill_reading()
        between(gateway)
        return (gateway, next(batches)), {}

    def run(engine: _core.Gateway, batch: list[Request]) -> None:
        answers[:] = place_all(engine, batch)

    benchmark.pedantic(run, setup=prepare, rounds=ROUNDS, warmup_rounds=5)
    assert {answer[0] if isinstance(answer, tuple) else answer.code for answer in answers} == {expected}
    if benchmark.stats is not None:  # None when benchmarks are switched off and the function ran once
        benchmark.extra_info["us_per_order"] = round(benchmark.stats.stats.median / BATCH * 1e6, 3)


def test_new_orders(benchmark: BenchmarkFixture, gateway: _core.Gateway) -> None:
    measure(benchmark, gateway, iter(lambda: requests("39000"), None), 201)


LOOSE = {
    "base": "100000000",
    "reportingCurrency": "100000000",
    "ratio": "0.5",
    "count": "1000000",
    "milliseconds": "60000",
}
"""Unit of a limit -> a value that nothing here reaches."""


def test_new_orders_under_every_limit(benchmark: BenchmarkFixture, gateway: _core.Gateway) -> None:
    """Every kind of limit, set for the firm, the account, a strategy and the key, with prices and depth."""
    gateway.create_strategy("bench", "bench", "bench", "bench", "bench")
    gateway.start_strategy("bench", "bench", "bench", "bench")
    for scope, target in (("firm", ""), ("account", "bench"), ("strategy", "bench"), ("key", "0")):
        for kind, unit, scopes, *_ in _core.LIMIT_KINDS:
            if scope in scopes:
                done = gateway.set_limit(scope, target, None, kind, LOOSE[unit], None, "bench", "bench")
                assert isinstance(done, tuple), (kind, done)
                if done[0] == "WAITING":
                    assert isinstance(gateway.approve(done[1], "another"), int)
    session, _ = gateway.open_session("paper", "PAPER", 1)

    def tell_prices(gateway: _core.Gateway) -> None:
        told = [("PRICE", "BTCUSDT", "39990", "40010", "40000", 0), ("DEPTH", "BTCUSDT", "1000", "1000", "100000")]
        gateway.reports(session, msgspec.msgpack.encode(told))

    strategy = b',"strategyId":"bench"'
    measure(benchmark, gateway, iter(lambda: requests("39000", strategy), None), 201, tell_prices)


def test_orders_that_a_limit_refuses(benchmark: BenchmarkFixture, gateway: _core.Gateway) -> None:
    gateway.set_limit("account", "bench", None, "MAX_ORDER_QTY", "0.0001", None, "bench", "bench")
    measure(benchmark, gateway, iter(lambda: requests("39000"), None), 422)


def test_repeated_requests(benchmark: BenchmarkFixture, gateway: _core.Gateway) -> None:
    batch = requests("39000")
    gateway.kill_reading()
    wait_until_durable(gateway, place_all(gateway, batch))
    measure(benchmark, gateway, itertools.repeat(batch), 201)
