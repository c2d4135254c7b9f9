"""Many orders on one socket while four others listen: nobody misses an event, and all hear the same."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from tests.exchange.running import Running
from tests.exchange.ws_parts import LIMIT, signed

ORDERS = 4_000
SUBSCRIBERS = 4
AT_ONCE = 32


def params(number: int) -> dict[str, Any]:
    """Two in three rest, every third trades with the house at once."""
    price = "60001" if number % 3 == 0 else str(50_000 + number % 500)
    return signed({**LIMIT, "quantity": "0.0002", "price": price, "newClientOrderId": f"load-{number}"})


async def listen(socket: aiohttp.ClientWebSocketResponse, until: str) -> list[dict[str, Any]]:
    """Every event up to the deposit that says that all is done."""
    found: list[dict[str, Any]] = []
    async for message in socket:
        event = json.loads(message.data)["event"]
        if event["e"] == "balanceUpdate" and event["d"] == until:
            return found
        found.append(event)
    raise AssertionError(f"the connection ended: {socket.close_code}")


async def load(exchange: Running) -> list[list[dict[str, Any]]]:
    async with aiohttp.ClientSession() as http:
        listening = []
        for _ in range(SUBSCRIBERS):
            socket = await http.ws_connect(exchange.ws_api)
            request = {"id": 1, "method": "userDataStream.subscribe.signature", "params": signed()}
            await socket.send_json(request)
            assert (await socket.receive_json())["status"] == 200
            listening.append(asyncio.create_task(listen(socket, "7.00000000")))
        placing = await http.ws_connect(exchange.ws_api)
        room, answered = asyncio.Semaphore(AT_ONCE), 0

        async def answers() -> None:
            nonlocal answered
            while answered < ORDERS:
                told = await placing.receive_json()
                assert told["status"] == 200, told
                answered += 1
                room.release()

        async def orders() -> None:
            for number in range(ORDERS):
                await room.acquire()
                await placing.send_json({"id": number, "method": "order.place", "params": params(number)})

        async with asyncio.TaskGroup() as group:
            group.create_task(answers())
            group.create_task(orders())
        async with http.post(
            f"{exchange.control}/deposit", json={"account": "alpha", "asset": "USDT", "amount": "7"}
        ) as done:
            assert done.status == 200
        return await asyncio.gather(*listening)


def test_no_subscriber_misses_an_event(tmp_path: Path) -> None:
    config = tmp_path / "exchange.json"
    config.write_text(json.dumps({"limits": {"weight": 10**6, "ordersTenSeconds": 10**6, "ordersDay": 10**6}}))
    with Running(ledger=tmp_path / "ledger", config=config) as exchange:
        for _ in range(2):
            exchange.tell("/book", {"symbol": "BTCUSDT", "bids": [["59000", "9"]], "asks": [["60001", "9"]]})
        exchange.tell("/trade", {"symbol": "BTCUSDT", "price": "60000", "quantity": "1"})
        exchange.tell("/symbol", {"symbol": "BTCUSDT", "filters": {"MAX_NUM_ORDERS": {"maxNumOrders": 10**6}}})
        heard = asyncio.run(load(exchange))
        state = exchange.see("/state")["accounts"]["alpha"]

    first = heard[0]
    assert all(other == first for other in heard[1:]), "all hear the same, in the same order"
    reports = [event for event in first if event["e"] == "executionReport"]
    executions = [report["I"] for report in reports]
    assert executions == sorted(set(executions)), "once each, in the order in which they happened"
    assert sorted(report["c"] for report in reports if report["x"] == "NEW") == sorted(
        order["clientOrderId"] for order in state["orders"]
    )
    assert len(state["orders"]) == ORDERS
    trades = {report["t"]: (report["i"], report["L"], report["l"]) for report in reports if report["x"] == "TRADE"}
    assert trades == {one["id"]: (one["orderId"], one["price"], one["qty"]) for one in state["trades"]}
    assert len(trades) == sum(1 for number in range(ORDERS) if number % 3 == 0)
    last = {report["i"]: report["X"] for report in reports}
    assert last == {order["orderId"]: order["status"] for order in state["orders"]}
    balances = {one["a"]: (one["f"], one["l"]) for event in first if "B" in event for one in event["B"]}
    usdt = state["balances"]["USDT"]
    assert balances["BTC"] == (state["balances"]["BTC"]["free"], state["balances"]["BTC"]["locked"])
    assert Decimal(balances["USDT"][0]) + 7 == Decimal(usdt["free"]) and balances["USDT"][1] == usdt["locked"]
