"""Orders that have left memory: shown from Postgres, and brought back for a late trade."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ordergate.gateway import late_fills
from ordergate.persistence.past_orders import HistoryUnavailable, PastOrder, PastOrders
from tests.unit import fake_core
from tests.unit.http_parts import on_uvloop, running, until


class Past:
    """What Postgres holds, without Postgres."""

    def __init__(self, found: PastOrder | HistoryUnavailable | None) -> None:
        self.found = found
        self.held = 0
        self.asked: list[tuple[int, int]] = []

    async def find(self, order_id: int, held_seq: int) -> PastOrder | None:
        self.asked.append((order_id, held_seq))
        if isinstance(self.found, HistoryUnavailable):
            raise self.found
        return self.found

    async def watermark(self) -> int:
        return self.held


@on_uvloop
async def test_a_past_order_is_answered_from_its_facts_and_needs_postgres_to_hold_its_id() -> None:
    async with running() as server:
        server.gateway.left.add("7")
        server.deps.past_orders = past = Past(PastOrder(b'{"status":"CANCELED"}', 5))
        answer = await server.ask("GET", "/api/v1/orders/7")
        assert (answer.status, answer.json, past.asked) == (200, {"status": "CANCELED"}, [(7, 7)])
        assert answer.headers["cache-control"] == "no-store"
        assert (await server.ask("DELETE", "/api/v1/orders/7")).status == 200
        past.found = PastOrder(b'{"status":"FILLED"}', 5)
        assert (await server.ask("DELETE", "/api/v1/orders/7")).code == "already_filled"


@on_uvloop
async def test_one_that_never_was_is_404_and_one_that_cannot_be_looked_up_503() -> None:
    async with running() as server:
        server.gateway.left.add("7")
        server.deps.past_orders = Past(None)
        assert (await server.ask("GET", "/api/v1/orders/7")).code == "not_found"
        server.deps.past_orders = Past(HistoryUnavailable("Postgres is away"))
        answer = await server.ask("GET", "/api/v1/orders/7")
        assert (answer.status, answer.code) == (503, "history_unavailable")
        assert "Postgres is away" in answer.json["detail"] and answer.headers["retry-after"] == "1"


@on_uvloop
async def test_without_postgres_nothing_is_found_and_nothing_is_denied() -> None:
    with pytest.raises(HistoryUnavailable):
        await PastOrders(None).find(7, 7)


async def watched(gateway: Any, past: Any, enough: Callable[[], bool]) -> None:
    task = asyncio.create_task(late_fills.watch(gateway, past))
    try:
        await until(enough)
    finally:
        task.cancel()


@on_uvloop
async def test_an_order_comes_back_once_postgres_holds_it_and_leaves_once_postgres_holds_it_again() -> None:
    gateway, past = fake_core.Gateway(last_seq=50), Past(HistoryUnavailable("behind"))
    gateway.awaited[7] = 40
    await watched(gateway, past, lambda: len(past.asked) >= 2)
    assert set(past.asked) == {(7, 40)} and not gateway.records
    past.found = PastOrder(b"facts", None)
    await watched(gateway, past, lambda: bool(gateway.reloaded))
    assert gateway.records == [("RELOAD", 7, b"facts")]
    past.held = gateway.last_seq
    await watched(gateway, past, lambda: not gateway.reloaded)
    assert gateway.records[1:] == [("RELEASE", 51)]


@on_uvloop
async def test_what_never_was_an_order_is_told_to_the_core_and_bad_facts_are_tried_again() -> None:
    gateway, past = fake_core.Gateway(), Past(PastOrder(b"bad", None))
    gateway.awaited[7] = 40
    await watched(gateway, past, lambda: len(past.asked) >= 2)
    assert not gateway.records
    past.found = None
    await watched(gateway, past, lambda: bool(gateway.records))
    assert gateway.records == [("RELOAD", 7, None)]
