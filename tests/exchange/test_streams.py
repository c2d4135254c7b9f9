"""Market streams of the local exchange: the protocol of subscribing, and what each stream says."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.exchange.ws_parts import LIMIT, Local, Wire, exchange, run, signed, wire


async def asked(stream: Wire, method: str, *params: Any, name: Any = 1) -> Any:
    await stream.socket.send_json({"method": method, "params": list(params), "id": name})
    return await stream.hear()


async def until(stream: Wire, wanted: Any) -> Any:
    """The first message for which `wanted` holds."""
    while True:
        told = await stream.hear()
        if wanted(told):
            return told


def test_subscribing() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local, "/ws") as stream:
            assert await asked(stream, "SUBSCRIBE", "btcusdt@bookTicker", "nosuch@trade") == {"result": None, "id": 1}
            listed = await asked(stream, "LIST_SUBSCRIPTIONS", name="two")
            assert listed == {"result": ["btcusdt@bookTicker", "nosuch@trade"], "id": "two"}
            await local.book()
            told = await stream.hear()
            assert {name: told[name] for name in "sbBaA"} == {
                "s": "BTCUSDT", "b": "59999.00000000", "B": "1.00000000", "a": "60001.00000000", "A": "1.00000000",
            }  # fmt: skip
            assert await asked(stream, "UNSUBSCRIBE", "btcusdt@bookTicker", name=None) == {"result": None, "id": None}
            await local.book(bid="59998")
            assert (await asked(stream, "GET_PROPERTY", "combined"))["result"] is False, "nothing before it"

    run(scenario)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("{", 3, "Invalid JSON"),
        ("[]", 2, "expected an object"),
        ('{"id":1}', 2, "missing field `method`"),
        ('{"id":1.5,"method":"SUBSCRIBE"}', 2, "request ID"),
        ('{"id":1,"method":"WHAT"}', 2, "unknown variant `WHAT`"),
        ('{"id":1,"method":"SUBSCRIBE","params":[5]}', 2, "expected a string"),
        ('{"id":1,"method":"SET_PROPERTY","params":["what",true]}', 0, "Unknown property"),
        ('{"id":1,"method":"SET_PROPERTY","params":["combined",1]}', 1, "expected Boolean"),
        ('{"id":1,"method":"GET_PROPERTY"}', 2, "property name must be a string"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, code: int, words: str) -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local, "/ws") as stream:
            await stream.socket.send_str(text)
            told = (await stream.hear())["error"]
            assert told["code"] == code and words in told["msg"]

    run(scenario)


def test_at_most_1024_streams() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local, "/ws") as stream:
            names = [f"coin{number}@trade" for number in range(1_024)]
            assert (await asked(stream, "SUBSCRIBE", *names))["result"] is None
            assert "1024" in (await asked(stream, "SUBSCRIBE", "btcusdt@trade"))["error"]["msg"]

    run(scenario)


def test_more_than_five_messages_a_second_end_the_connection() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local, "/ws") as stream:
            for _ in range(6):
                await stream.socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            assert await stream.ended() == 1008

    run(scenario)


def test_combined_and_raw() -> None:
    async def scenario() -> None:
        async with (
            exchange() as local,
            wire(local, "/stream?streams=btcusdt@trade/ethusdt@trade") as combined,
            wire(local, "/ws/btcusdt@trade") as raw,
        ):
            await local.act("trade", symbol="ETHUSDT", price="3000", quantity="1")
            await local.act("trade", symbol="BTCUSDT", price="60000", quantity="0.5")
            first, second = await combined.hear(), await combined.hear()
            assert (first["stream"], first["data"]["s"]) == ("ethusdt@trade", "ETHUSDT")
            alone = await raw.hear()
            assert second == {"stream": "btcusdt@trade", "data": alone}
            assert (alone["e"], alone["p"], alone["q"], alone["t"]) == ("trade", "60000.00000000", "0.50000000", 1)
            assert await asked(combined, "SET_PROPERTY", "combined", False) == {"result": None, "id": 1}
            await local.act("trade", symbol="ETHUSDT", price="3001", quantity="1")
            assert (await combined.hear())["p"] == "3001.00000000"

    run(scenario)


async def snapshot(local: Local) -> dict[str, Any]:
    async with local.http.get(f"{local.rest}/api/v3/depth?symbol=BTCUSDT") as answer:
        found: dict[str, Any] = await answer.json()
        return found


def test_a_local_book_by_the_documented_rule_is_the_book() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local, "/ws/btcusdt@depth@100ms") as stream, wire(local) as api:
            await local.act("price", symbol="BTCUSDT", price="60000")
            for step in range(10):
                await api.ask("order.place", signed({**LIMIT, "price": str(59_000 + step * 50), "quantity": "0.2"}))
            start = await snapshot(local)
            book = {side: dict(start[side]) for side in ("bids", "asks")}
            last = start["lastUpdateId"]
            for step in range(10):
                await local.act("step", seed=3)
                await api.ask("order.place", signed({**LIMIT, "price": str(59_900 + step * 30), "quantity": "0.1"}))
                await asyncio.sleep(0.02)
            end = await snapshot(local)
            first = True
            while last < end["lastUpdateId"]:
                told = await stream.hear()
                if told["u"] <= last:
                    continue
                assert told["U"] <= last + 1 if first else told["U"] == last + 1
                first, last = False, told["u"]
                for side, name in (("bids", "b"), ("asks", "a")):
                    for price, size in told[name]:
                        if Decimal(size):
                            book[side][price] = size
                        else:
                            book[side].pop(price, None)
            assert book == {side: dict(end[side]) for side in ("bids", "asks")}

    run(scenario)


def test_partial_depth_and_average() -> None:
    async def scenario() -> None:
        async with (
            exchange() as local,
            wire(local, "/stream?streams=btcusdt@depth5@100ms/btcusdt@avgPrice") as stream,
        ):
            await local.act("price", symbol="BTCUSDT", price="60000")
            await local.act("trade", symbol="BTCUSDT", price="60000", quantity="1")
            told = (await until(stream, lambda one: one["stream"] == "btcusdt@depth5@100ms"))["data"]
            whole = await snapshot(local)
            assert told == {"lastUpdateId": whole["lastUpdateId"], "bids": whole["bids"][:5], "asks": whole["asks"][:5]}
            average = (await until(stream, lambda one: one["stream"] == "btcusdt@avgPrice"))["data"]
            assert (average["w"], average["i"]) == ("60000.00000000", "5m")

    run(scenario)


def test_tickers_klines_and_aggregates() -> None:
    async def scenario() -> None:
        names = "btcusdt@ticker/btcusdt@miniTicker/!miniTicker@arr/btcusdt@kline_1s/btcusdt@kline_1m/btcusdt@aggTrade"
        async with exchange() as local, wire(local, f"/stream?streams={names}") as stream:
            await local.book()
            for price, quantity in (("60000", "1"), ("60010", "0.5"), ("59990", "2")):
                await local.act("trade", symbol="BTCUSDT", price=price, quantity=quantity)
            found: dict[str, Any] = {}
            closed: Any = None
            while len(found) < 6 or closed is None:
                told = await stream.hear()
                found.setdefault(told["stream"], told["data"])
                if told["stream"] == "btcusdt@kline_1s" and told["data"]["k"]["x"]:
                    closed = told["data"]["k"]
            ticker = found["btcusdt@ticker"]
            assert (ticker["e"], ticker["o"], ticker["h"], ticker["l"], ticker["c"], ticker["v"], ticker["n"]) == (
                "24hrTicker", "60000.00000000", "60010.00000000", "59990.00000000", "59990.00000000", "3.50000000", 3,
            )  # fmt: skip
            assert (ticker["b"], ticker["a"], ticker["F"], ticker["L"]) == ("59999.00000000", "60001.00000000", 1, 3)
            mini = found["btcusdt@miniTicker"]
            assert (mini["e"], mini["c"], mini["q"]) == ("24hrMiniTicker", "59990.00000000", "209985.00000000")
            assert found["!miniTicker@arr"][0]["s"] == "BTCUSDT"
            minute = found["btcusdt@kline_1m"]["k"]
            assert (minute["i"], minute["o"], minute["n"], minute["x"]) == ("1m", "60000.00000000", 3, False)
            assert closed["i"] == "1s" and closed["T"] - closed["t"] == 999
            aggregate = found["btcusdt@aggTrade"]
            assert (aggregate["e"], aggregate["a"], aggregate["f"], aggregate["l"]) == ("aggTrade", 1, 1, 1)

    run(scenario)


def test_feeds_end_with_their_last_listener() -> None:
    async def scenario() -> None:
        async with exchange() as local:
            async with wire(local, "/ws/btcusdt@trade") as one, wire(local, "/ws/btcusdt@trade") as two:
                await local.act("trade", symbol="BTCUSDT", price="1", quantity="1")
                assert await one.hear() == await two.hear()
            while local.server.hub.markets:
                await asyncio.sleep(0.01)

    run(scenario)


def test_times_in_microseconds() -> None:
    async def scenario() -> None:
        path = "/stream?streams=btcusdt@trade/btcusdt@kline_1s/btcusdt@ticker"
        async with exchange() as local, wire(local, path) as plain, wire(local, path + "&timeUnit=microsecond") as fine:
            await local.act("trade", symbol="BTCUSDT", price="60000", quantity="1")
            for name in ("btcusdt@trade", "btcusdt@kline_1s", "btcusdt@ticker"):
                one, other = [
                    (await until(stream, lambda told, name=name: told["stream"] == name))["data"]
                    for stream in (plain, fine)
                ]
                times = [(one[key], other[key]) for key in ("E", "T", "O", "C") if key in one]
                times += [(one["k"][key], other["k"][key]) for key in ("t", "T") if "k" in one]
                assert times and all(micro == milli * 1000 for milli, micro in times), (one, other)
                assert one.get("t") == other.get("t"), "a trade id is no time"

    run(scenario)
