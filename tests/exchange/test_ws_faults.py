"""How WebSockets of the local exchange fail on demand: each way once."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.exchange.ws_parts import LIMIT, Local, Wire, exchange, run, signed, wire

REPORTS = {"event": "executionReport"}


async def subscribed(api: Wire) -> None:
    assert (await api.ask("userDataStream.subscribe.signature", signed()))["status"] == 200


async def place(local: Local, name: str, price: str = "50000") -> Any:
    """An order by another connection."""
    async with wire(local) as api:
        params = signed({**LIMIT, "price": price, "newClientOrderId": name})
        return await api.ask("order.place", params)


async def heard(api: Wire, count: int) -> list[tuple[str, str | None]]:
    """What each of the next events says: its name, and of a report what happened to which order."""
    found = []
    for _ in range(count):
        event = (await api.hear())["event"]
        found.append((event["e"], f"{event['C'] or event['c']} {event['x']}" if "x" in event else None))
    return found


@pytest.mark.parametrize(("action", "code"), [("close", 1001), ("reset", 1006)])
def test_a_connection_ends_at_an_event(action: str, code: int) -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as api, wire(local, "/ws/btcusdt@trade") as market:
            await subscribed(api)
            await local.rule("event", action, match={"clientOrderId": "b"})
            await place(local, "a")
            await place(local, "b")
            assert await heard(api, 2) == [("executionReport", "a NEW"), ("outboundAccountPosition", None)]
            assert await api.ended() == code, "in place of the event, not after it"
            await local.rule("stream", action, match={"event": "trade"})
            await local.act("trade", symbol="BTCUSDT", price="60000", quantity="1")
            assert await market.ended() == code

    run(scenario)


def test_half_open_nothing_is_said_and_no_ping_answered() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local, autoping=False) as api:
            await subscribed(api)
            await local.rule("event", "half_open", match={"clientOrderId": "b"})
            await place(local, "a")
            await place(local, "b")
            assert await heard(api, 2) == [("executionReport", "a NEW"), ("outboundAccountPosition", None)]
            assert [one["halfOpen"] for one in await (await local.http.get(f"{local.control}/ws")).json()] == [True]
            await api.socket.ping(b"?")
            await api.socket.send_str('{"id":1,"method":"time"}')
            with pytest.raises(TimeoutError):
                await api.hear(within_s=0.3)

    run(scenario)


def test_a_ping_is_answered_with_its_own_words() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local, autoping=False) as api:
            await api.socket.ping(b"hello")
            message = await api.socket.receive(5)
            assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PONG, b"hello")

    run(scenario)


def test_pings_come_and_who_does_not_answer_is_cut() -> None:
    async def scenario() -> None:
        async with exchange() as local:
            await local.act("ws", do="terms", pingSeconds=0.05, pongSeconds=0.12)
            async with wire(local) as answers, wire(local, autoping=False) as silent:

                async def go_on() -> None:
                    # A client answers pings while it receives.
                    while (await answers.ask("time"))["status"] == 200:
                        await asyncio.sleep(0.02)

                going = asyncio.create_task(go_on())
                message = await silent.socket.receive(5)
                assert message.type == aiohttp.WSMsgType.PING
                assert await silent.ended() == 1006
                assert not going.done(), "who answers stays"
                going.cancel()

    run(scenario)


def test_a_connection_lives_so_long() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as api, wire(local, "/ws") as market:
            await local.act("ws", do="terms", lifeSeconds=0.1)
            assert (await api.ended(), await market.ended()) == (1001, 1001)

    run(scenario)


def test_a_shutdown_is_announced() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as api, wire(local, "/ws/btcusdt@trade") as market:
            told = await local.act("ws", do="shutdown", closeAfterMs=10)
            assert [one["path"] for one in told] == ["ws-api", "stream"]
            assert (await api.hear())["event"]["e"] == (await market.hear())["e"] == "serverShutdown"
            assert (await api.ended(), await market.ended()) == (1001, 1001)

    run(scenario)


def test_subscribing_fails() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as api:
            method = {"method": "userDataStream.subscribe.signature"}
            await local.rule("pre_auth", "error", match=method, status=400, code=-1022)
            await local.rule("pre_engine", "error", match=method, status=429, code=-1003, retryAfter=3)
            assert (await api.ask(method["method"], signed()))["error"]["code"] == -1022
            limited = await api.ask(method["method"], signed())
            assert (limited["status"], limited["error"]["code"]) == (429, -1003)
            assert limited["error"]["data"]["retryAfter"] - limited["error"]["data"]["serverTime"] == 3_000
            assert (await api.ask("session.subscriptions"))["result"] == []
            await subscribed(api)

    run(scenario)


def test_a_subscription_ends_by_itself_or_is_there_twice() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as api:
            await subscribed(api)
            await local.act("ws", do="resubscribe", account="alpha")
            await place(local, "a")
            told = [await api.hear() for _ in range(4)]
            assert sorted((one["subscriptionId"], one["event"]["e"]) for one in told) == [
                (0, "executionReport"), (0, "outboundAccountPosition"),
                (1, "executionReport"), (1, "outboundAccountPosition"),
            ]  # fmt: skip
            await local.act("ws", do="terminate", account="alpha")
            assert [(await api.hear())["event"]["e"] for _ in range(2)] == ["eventStreamTerminated"] * 2
            assert (await api.ask("session.subscriptions"))["result"] == []

    run(scenario)


def test_events_are_lost_repeated_and_change_places() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as api:
            await local.book()
            await subscribed(api)
            await local.rule("event", "drop", match=REPORTS | {"clientOrderId": "a"})
            await local.rule("event", "duplicate", match=REPORTS | {"clientOrderId": "b"})
            await local.rule("event", "swap", match=REPORTS | {"clientOrderId": "c", "execution": "NEW"})
            position = ("outboundAccountPosition", None)
            await place(local, "a")
            assert await heard(api, 1) == [position]
            await place(local, "b")
            assert await heard(api, 3) == [("executionReport", "b NEW"), ("executionReport", "b NEW"), position]
            await place(local, "c", price="60001")
            assert await heard(api, 3) == [("executionReport", "c TRADE"), ("executionReport", "c NEW"), position]

    run(scenario)


@pytest.mark.parametrize(
    ("action", "more", "ends"),
    [("close", {}, 1001), ("reset", {}, 1006), ("half", {}, 1006), ("hang", {}, None), ("truncate", {}, None)],
)
def test_an_answer_is_lost_after_the_order_was_taken(action: str, more: Any, ends: int | None) -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as api:
            await local.rule("post_commit", action, match={"method": "order.place", "transport": "WS"}, **more)
            params = signed({**LIMIT, "newClientOrderId": "og1-9"})
            with pytest.raises((TimeoutError, EOFError, ValueError)):
                await asyncio.wait_for(api.ask("order.place", params), 0.5)
            if ends is not None:
                assert api.socket.close_code == ends or await api.ended() == ends
            async with wire(local) as again:
                found = await again.ask("order.status", signed({"symbol": "BTCUSDT", "origClientOrderId": "og1-9"}))
                assert found["result"]["status"] == "NEW"
            (row,) = (await (await local.http.get(f"{local.control}/ledger?clientOrderId=og1-9")).json())["requests"][
                :1
            ]
            assert row["commit"] and row["answer"].startswith("lost"), row

    run(scenario)


def test_who_does_not_read_is_cut() -> None:
    async def scenario() -> None:
        async with exchange() as local:
            await local.act("ws", do="terms", queuedFrames=4)
            async with wire(local, "/ws/btcusdt@trade") as market:
                (socket,) = local.server.websockets.doors.sockets.open.values()  # type: ignore[union-attr]
                writing = asyncio.Event()

                async def stuck(_: str) -> None:
                    writing.set()
                    await asyncio.Event().wait()

                socket.response.send_str = stuck
                for number in range(7):
                    await local.act("trade", symbol="BTCUSDT", price=str(60_000 + number), quantity="1")
                assert await market.ended() == 1006

    run(scenario)


def test_an_address_connects_only_so_often() -> None:
    async def scenario() -> None:
        async with exchange() as local:
            await local.act("ws", do="terms", connections=2)
            async with wire(local), wire(local, "/ws"):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await local.http.ws_connect(local.ws + "/ws")
                assert refused.value.status == 429

    run(scenario)


def test_a_control_request_must_be_one_that_there_is() -> None:
    async def scenario() -> None:
        async with exchange() as local:
            for body, words in (({}, "do: one of"), ({"do": "close", "path": "rest"}, "path: ws-api or stream")):
                async with local.http.post(f"{local.control}/ws", json=body) as answer:
                    assert answer.status == 400 and words in (await answer.json())["error"]

    run(scenario)


def test_what_was_asked_is_done_though_the_client_is_gone() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as listening:
            await subscribed(listening)
            await local.rule("pre_engine", "delay", match={"method": "order.place"}, ms=100)
            async with wire(local) as gone:
                params = signed({**LIMIT, "newClientOrderId": "og1-3"})
                await gone.socket.send_json({"id": 1, "method": "order.place", "params": params})
                while local.server.faults.rules:
                    await asyncio.sleep(0.001)
                await local.act("ws", do="reset")
                assert await gone.ended() == 1006
            async with wire(local) as api:
                while True:
                    found = await api.ask("order.status", signed({"symbol": "BTCUSDT", "origClientOrderId": "og1-3"}))
                    if found["status"] == 200:
                        break
                    await asyncio.sleep(0.01)
            rows = (await (await local.http.get(f"{local.control}/ledger?clientOrderId=og1-3")).json())["requests"]
            assert [row["method"] for row in rows][-1] == "order.status"
            assert "order.place" in [row["method"] for row in rows], "and it is in the log"

    run(scenario)
