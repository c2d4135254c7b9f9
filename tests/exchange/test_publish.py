"""Who hears what, in which order, and the faults of events."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ordergate.exchange.config import DEFAULT
from ordergate.exchange.publish import Subscriber
from ordergate.exchange.server import Server, opened
from ordergate.exchange.state import Event


def run(check: Callable[[Server, Subscriber], Awaitable[None]], most: int = 100) -> None:
    async def go() -> None:
        server = opened(DEFAULT, None)
        await server.execute("quote", {"symbol": "BTCUSDT", "bids": [["59990", "1"]], "asks": [["60010", "1"]]})
        queue: Subscriber = asyncio.Queue(most)
        server.hub.subscribe("alpha", queue)
        await check(server, queue)

    asyncio.run(go())


async def bought(server: Server, quantity: str = "0.1") -> None:
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": quantity}
    await server.execute("place", {"account": "alpha", "params": params})


def rule(
    server: Server, kind: str, match: dict[str, Any], phase: str = "event", times: int | None = 1, **more: Any
) -> None:
    added = server.faults.add({"match": match, "phase": phase, "times": times, "action": {"kind": kind, **more}})
    assert not isinstance(added, str), added


def heard(queue: Subscriber) -> list[str]:
    found = []
    while not queue.empty():
        event = queue.get_nowait()
        found.append("cut" if event is None else event.body.get("x", event.kind))
    return found


USUAL = ["NEW", "TRADE", "outboundAccountPosition"]


def test_events_come_in_order_and_only_to_their_account() -> None:
    async def check(server: Server, queue: Subscriber) -> None:
        other: Subscriber = asyncio.Queue(10)
        trades: Subscriber = asyncio.Queue(10)
        server.hub.subscribe("beta", other)
        server.hub.subscribe_market("btcusdt@trade", trades)
        await bought(server)
        assert heard(queue) == USUAL
        assert heard(other) == []
        assert heard(trades) == ["trade"]
        server.hub.unsubscribe(queue)
        await bought(server)
        assert heard(queue) == []

    run(check)


def test_lost_doubled_and_swapped_events() -> None:
    async def check(server: Server, queue: Subscriber) -> None:
        rule(server, "drop", {"execution": "TRADE", "account": "alpha"})
        await bought(server)
        assert heard(queue) == ["NEW", "outboundAccountPosition"]
        rule(server, "duplicate", {"execution": "TRADE"}, last=2)
        await bought(server)
        assert heard(queue) == ["NEW", "TRADE", "NEW", "TRADE", "outboundAccountPosition"]
        rule(server, "swap", {"execution": "NEW"})
        await bought(server)
        assert heard(queue) == ["TRADE", "NEW", "outboundAccountPosition"]
        rule(server, "swap", {"execution": "NEW"}, past=2)
        await bought(server)
        assert heard(queue) == ["TRADE", "outboundAccountPosition", "NEW"]
        rule(server, "drop", {"event": "outboundAccountPosition"}, times=None)
        await bought(server)
        await bought(server)
        assert heard(queue) == ["NEW", "TRADE"] * 2

    run(check)


def test_a_repeated_event_keeps_its_ids_or_gets_a_new_one() -> None:
    async def check(server: Server, queue: Subscriber) -> None:
        for renumber in (False, True):
            rule(server, "duplicate", {"execution": "TRADE"}, renumber=renumber)
            await bought(server)
            found: list[Event] = [event for event in list(queue._queue) if event.body.get("x") == "TRADE"]  # type: ignore[attr-defined]
            assert found[0].body["t"] == found[1].body["t"]
            assert (found[0].body["I"] == found[1].body["I"]) is not renumber
            heard(queue)

    run(check)


def test_delayed_events_come_after_others() -> None:
    async def check(server: Server, queue: Subscriber) -> None:
        rule(server, "delay", {"execution": "TRADE"}, ms=50)
        await bought(server)
        assert heard(queue) == ["NEW", "outboundAccountPosition"]
        last = await asyncio.wait_for(queue.get(), 10)
        assert last is not None and last.body["x"] == "TRADE"

    run(check)


def test_a_swapped_event_without_a_next_one_comes_by_itself() -> None:
    async def check(server: Server, queue: Subscriber) -> None:
        rule(server, "swap", {"event": "outboundAccountPosition"})
        await bought(server)
        assert heard(queue) == ["NEW", "TRADE"]
        last = await asyncio.wait_for(queue.get(), 10)
        assert last is not None and last.kind == "outboundAccountPosition"

    run(check)


def test_who_is_too_slow_is_cut_off() -> None:
    async def check(server: Server, queue: Subscriber) -> None:
        await bought(server)
        await bought(server)
        assert heard(queue) == ["cut"]
        await bought(server)
        assert heard(queue) == []

    run(check, most=4)


def test_market_streams_have_faults_of_their_own() -> None:
    async def check(server: Server, queue: Subscriber) -> None:
        trades: Subscriber = asyncio.Queue(10)
        server.hub.subscribe_market("btcusdt@trade", trades)
        rule(server, "drop", {"symbol": "BTCUSDT"}, phase="stream", times=None)
        await bought(server)
        assert heard(trades) == [] and heard(queue) == USUAL

    run(check)
