"""Stock ccxt.pro against the local exchange: only its addresses are changed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt
import pytest

from tests.exchange.ws_parts import Local, exchange, pro, run

BTC = "BTC/USDT"


@asynccontextmanager
async def both(**config: Any) -> AsyncIterator[tuple[Local, Any]]:
    async with exchange() as local:
        await local.act("price", symbol="BTCUSDT", price="60000")
        # Market orders are worth what the last trades paid.
        await local.act("trade", symbol="BTCUSDT", price="60000", quantity="1")
        client = pro(local, **config)
        try:
            yield local, client
        finally:
            await client.close()


async def watched(watching: Any, doing: Any) -> Any:
    """What a watch gives once something has been done; it is done again until the subscription has come to be."""
    task = asyncio.ensure_future(watching)
    while not task.done():
        await doing()
        await asyncio.wait([task], timeout=0.2)
    return task.result()


def test_orders_are_placed_changed_and_canceled_on_the_socket() -> None:
    async def scenario() -> None:
        async with both() as (_, client):
            order = await client.create_order_ws(BTC, "limit", "buy", 0.01, 50_000, {"clientOrderId": "og1-1"})
            assert (order["status"], order["clientOrderId"], order["amount"]) == ("open", "og1-1", 0.01)
            found = await client.fetch_order_ws(order["id"], BTC)
            assert (found["status"], found["price"]) == ("open", 50_000)
            assert [one["id"] for one in await client.fetch_open_orders_ws(BTC)] == [order["id"]]
            changed = await client.edit_order_ws(order["id"], BTC, "limit", "buy", 0.02, 50_001)
            assert (changed["status"], changed["amount"], changed["price"]) == ("open", 0.02, 50_001)
            gone = await client.cancel_order_ws(changed["id"], BTC)
            assert gone["status"] == "canceled"
            filled = await client.create_order_ws(BTC, "market", "buy", 0.01)
            assert (filled["status"], filled["filled"]) == ("closed", 0.01)
            trades = await client.fetch_my_trades_ws(BTC)
            assert [one["order"] for one in trades] == [filled["id"]]
            balance = await client.fetch_balance_ws()
            # ccxt does not sort what `account.status` answers for spot into currencies.
            assert {"asset": "BTC", "free": "10.00999000", "locked": "0.00000000"} in balance["info"]["balances"]
            await client.create_order_ws(BTC, "limit", "buy", 0.01, 50_000)
            assert [one["status"] for one in await client.cancel_all_orders_ws(BTC)] == ["canceled"]
            with pytest.raises(ccxt.OrderNotFound):
                await client.cancel_order_ws("12345", BTC)

    run(scenario)


def test_own_orders_trades_and_balances_are_watched() -> None:
    async def scenario() -> None:
        async with both() as (_, client):
            watching = [
                asyncio.ensure_future(one)
                for one in (client.watch_orders(BTC), client.watch_my_trades(BTC), client.watch_balance())
            ]
            while not any("subscribe" in str(one) or one == "spot" for one in _subscriptions(client)):
                await asyncio.sleep(0.02)
            order = await client.create_order_ws(BTC, "market", "buy", 0.01)
            orders, trades, balance = await asyncio.gather(*watching)
            assert (orders[-1]["id"], orders[-1]["status"], orders[-1]["filled"]) == (order["id"], "closed", 0.01)
            assert [(one["order"], one["amount"], one["takerOrMaker"]) for one in trades] == [
                (order["id"], 0.01, "taker")
            ]
            assert trades[0]["fee"] == {"cost": 0.00001, "currency": "BTC"}
            assert balance["BTC"]["free"] == pytest.approx(10.00999)
            next_orders = asyncio.ensure_future(client.watch_orders(BTC))
            resting = await client.create_order_ws(BTC, "limit", "buy", 0.01, 50_000)
            assert [(one["id"], one["status"]) for one in await next_orders] == [(resting["id"], "open")]

    run(scenario)


def _subscriptions(client: Any) -> list[Any]:
    return [name for one in (client.clients or {}).values() for name in one.subscriptions]


def test_books_are_watched() -> None:
    async def scenario() -> None:
        async with both() as (local, client):
            book = await watched(client.watch_order_book(BTC), lambda: local.act("step", seed=1))
            assert book["bids"][0][0] < book["asks"][0][0]
            for _ in range(5):
                await local.act("step", seed=1)
                await client.watch_order_book(BTC)
            truth = await client.fetch_order_book(BTC)
            while book["nonce"] < truth["nonce"]:
                await client.watch_order_book(BTC)
            assert (book["bids"], book["asks"]) == (truth["bids"], truth["asks"])

    run(scenario)


def test_prices_trades_and_klines_are_watched() -> None:
    async def scenario() -> None:
        async with both() as (local, client):

            async def move() -> None:
                await local.act("step", seed=1)
                await local.act("trade", symbol="BTCUSDT", price="60005", quantity="0.25")

            quotes = await watched(client.watch_bids_asks([BTC]), move)
            assert quotes[BTC]["bid"] < quotes[BTC]["ask"]
            trades = await watched(client.watch_trades(BTC), move)
            assert {"price", "amount", "side"} <= trades[-1].keys() and trades[-1]["symbol"] == BTC
            ticker = await watched(client.watch_ticker(BTC, {"name": "ticker"}), move)
            assert ticker["last"] > 0 and ticker["bid"] < ticker["ask"]
            candles = await watched(client.watch_ohlcv(BTC, "1m"), move)
            assert candles[-1][2] >= candles[-1][3] > 0

    run(scenario)


@pytest.mark.parametrize("deed", ["close", "reset", "shutdown"])
def test_after_a_lost_connection_it_subscribes_anew(deed: str) -> None:
    async def scenario() -> None:
        async with both() as (local, client):
            watching = asyncio.ensure_future(client.watch_my_trades(BTC))
            while not local.server.hub.users:
                await asyncio.sleep(0.02)
            await local.act("ws", do=deed, closeAfterMs=10)
            with pytest.raises(ccxt.NetworkError):
                await watching
            again = asyncio.ensure_future(client.watch_my_trades(BTC))
            while not local.server.hub.users:
                await asyncio.sleep(0.02)
            order = await client.create_order(BTC, "market", "sell", 0.01)
            assert [one["order"] for one in await again] == [order["id"]]

    run(scenario)


def test_errors_come_as_ccxt_means_them() -> None:
    async def scenario() -> None:
        async with both() as (local, client):
            await client.load_markets()
            for code, status, error in ((-2015, 401, ccxt.AuthenticationError), (-1021, 400, ccxt.InvalidNonce)):
                await local.rule("pre_engine", "error", match={"transport": "WS"}, status=status, code=code)
                with pytest.raises(error):
                    await client.create_order_ws(BTC, "limit", "buy", 0.01, 50_000)
            with pytest.raises(ccxt.InsufficientFunds):
                await client.create_order_ws(BTC, "limit", "sell", 100, 70_000)

    run(scenario)
