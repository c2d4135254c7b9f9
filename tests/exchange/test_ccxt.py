"""Stock ccxt against the local exchange, with nothing but its URLs changed."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import ccxt
import ccxt.async_support
import pytest

from tests.exchange.running import ALPHA, BETA, Running


def pointed(exchange: Any, running: Running) -> Any:
    """Every address replaced by the local one, its path kept."""
    urls = exchange.urls["api"]
    for name, url in list(urls.items()):
        if isinstance(url, str):
            urls[name] = running.rest + urlsplit(url).path
    return exchange


def keys(key: tuple[str, str]) -> dict[str, str]:
    return {"apiKey": key[0], "secret": key[1]}


def test_sync(exchange: Running) -> None:
    one = pointed(ccxt.binance(keys(ALPHA)), exchange)
    markets = one.load_markets()
    assert set(markets) == {"BTC/USDT", "ETH/USDT", "BNB/USDT"}
    assert (markets["BTC/USDT"]["precision"]["amount"], markets["BTC/USDT"]["precision"]["price"]) == (1e-05, 0.01)
    assert markets["BTC/USDT"]["limits"]["cost"]["min"] == 5
    assert one.fetch_ticker("BTC/USDT")["last"] == 60_000
    assert one.fetch_order_book("BTC/USDT")["bids"][0] == [59_990, 5]
    assert abs(one.fetch_time() - exchange.now()) < 2_000

    placed = one.create_order("BTC/USDT", "limit", "buy", "0.01", "50000", {"clientOrderId": "og1-11"})
    assert (placed["status"], placed["clientOrderId"]) == ("open", "og1-11")
    assert one.fetch_order(None, "BTC/USDT", {"clientOrderId": "og1-11"})["id"] == placed["id"]
    assert [each["id"] for each in one.fetch_open_orders("BTC/USDT")] == [placed["id"]]
    assert one.fetch_balance()["USDT"]["used"] == 500
    assert one.cancel_order(placed["id"], "BTC/USDT")["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        one.cancel_order(placed["id"], "BTC/USDT")
    with pytest.raises(ccxt.OrderNotFound):
        one.fetch_order("999999", "BTC/USDT")
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        one.create_order("BTC/USDT", "limit", "buy", "0.01", "60010", {"postOnly": True})
    with pytest.raises(ccxt.InsufficientFunds):
        one.create_order("BTC/USDT", "limit", "buy", "100", "50000")

    before = one.fetch_balance()
    bought = one.create_order("BTC/USDT", "market", "buy", "0.02")
    assert (bought["status"], bought["average"], bought["filled"]) == ("closed", 60_010, 0.02)
    trades = one.fetch_my_trades("BTC/USDT")
    assert trades[-1]["order"] == bought["id"] and trades[-1]["fee"] == {"cost": 0.00002, "currency": "BTC"}
    after = one.fetch_balance()
    assert after["BTC"]["total"] == pytest.approx(before["BTC"]["total"] + 0.02 - 0.00002, abs=1e-12)
    assert after["USDT"]["total"] == pytest.approx(before["USDT"]["total"] - 0.02 * 60_010, abs=1e-6)
    cost = one.create_order("BTC/USDT", "market", "buy", None, None, {"cost": "100"})
    assert cost["filled"] == 0.00166 and cost["cost"] == pytest.approx(0.00166 * 60_010)
    stop = one.create_order("BTC/USDT", "limit", "sell", "0.01", "55000", {"stopPrice": "56000"})
    assert one.fetch_order(stop["id"], "BTC/USDT")["stopPrice"] == 56_000
    one.cancel_all_orders("BTC/USDT")
    assert one.fetch_open_orders("BTC/USDT") == []
    assert {each["status"] for each in one.fetch_orders("BTC/USDT")} == {"canceled", "closed"}
    assert one.create_order("BTC/USDT", "limit", "buy", "0.01", "50000", {"test": True})["id"] is None
    assert len(one.fetch_ohlcv("BTC/USDT", "1m")) >= 1
    assert one.fetch_trades("BTC/USDT")[-1]["price"] == 60_010


def test_async(exchange: Running) -> None:
    async def go() -> None:
        one = pointed(ccxt.async_support.binance(keys(BETA)), exchange)
        try:
            await one.load_markets()
            orders = [
                one.create_order("ETH/USDT", "limit", "buy", "0.01", str(2000 + n), {"clientOrderId": f"og2-{n}"})
                for n in range(20)
            ]
            placed = await asyncio.gather(*orders)
            assert len({each["id"] for each in placed}) == 20
            assert len(await one.fetch_open_orders("ETH/USDT")) == 20
            assert (await one.fetch_balance())["USDT"]["used"] == pytest.approx(sum(20 + n / 100 for n in range(20)))
            edited = await one.fetch_order(None, "ETH/USDT", {"clientOrderId": "og2-3"})
            assert edited["price"] == 2003
            await asyncio.gather(*(one.cancel_order(each["id"], "ETH/USDT") for each in placed))
            assert (await one.fetch_balance())["USDT"]["used"] == 0
        finally:
            await one.close()

    asyncio.run(go())


def test_a_wrong_secret_is_refused(exchange: Running) -> None:
    one = pointed(ccxt.binance({"apiKey": ALPHA[0], "secret": BETA[1]}), exchange)
    with pytest.raises(ccxt.AuthenticationError, match="-1022"):
        one.fetch_balance()
    assert exchange.see("/ledger")["requests"][-1]["signature"] == "invalid"
