"""What the last hop costs: one order after another to the local exchange, by four clients that do the same.

`python bench/exchange_hop.py [--orders N] [--rounds N]` starts `ordergate exchange` on loopback, without a file, and
prints for each client its own CPU and the time from call to answer. Rounds take turns, so that what else the machine
does meets all of them; the best round of each is shown.

raw      aiohttp and hmac alone: the least that an order over REST can cost here
ours     venues/binance: ccxt builds and signs, we carry, with budget, clock and every answer kept
ccxt     ccxt async, `create_order`, limiter off: builds, signs, carries, reads and parses
ccxt ws  ccxt.pro, `create_order_ws`, limiter off
"""

import argparse
import asyncio
import hmac
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import quantiles
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import ccxt.pro
import yarl

from ordergate.venues.binance import rest
from ordergate.venues.binance.budget import Budget
from ordergate.venues.binance.clock import Clock
from ordergate.venues.binance.credentials import Credential
from ordergate.venues.binance.rest import UrlSet
from ordergate.venues.binance.transport import rewritten

LIMITS: Final = {"weight": 10**9, "ordersTenSeconds": 10**9, "ordersDay": 10**9}
WARM_UP: Final = 50

Place = Callable[[str], Awaitable[Any]]
"""Places one order with that client id; raises when it was not taken."""


def started(directory: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """The exchange and what it says of itself. It ends when its standard input does."""
    config = Path(directory) / "exchange.json"
    config.write_text(json.dumps({"limits": LIMITS}))
    command = [sys.executable, "-m", "ordergate", "exchange", "--tether", "--config", str(config)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said: dict[str, Any] = json.loads(process.stdout.readline())
    return process, said


def terms(client_id: str) -> dict[str, str]:
    """An order that rests far from the market, so that the exchange has as little to do as possible."""
    return {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.00010000",
        "price": "50000.00", "newClientOrderId": client_id, "newOrderRespType": "FULL",
    }  # fmt: skip


async def raw_client(urls: UrlSet, key: str, secret: str, stack: AsyncExitStack) -> Place:
    http = await stack.enter_async_context(aiohttp.ClientSession(headers={"X-MBX-APIKEY": key}))

    async def place(client_id: str) -> None:
        text = urlencode({**terms(client_id), "recvWindow": "2000", "timestamp": time.time_ns() // 1_000_000})
        signature = hmac.digest(secret.encode(), text.encode(), "sha256").hex()
        url = yarl.URL(f"{urls.rest}/api/v3/order?{text}&signature={signature}", encoded=True)
        async with http.post(url) as answer:
            told = json.loads(await answer.read())
            assert told["status"] == "NEW", told

    return place


async def our_client(urls: UrlSet, key: str, secret: str, stack: AsyncExitStack) -> Place:
    clock = Clock()
    asked = rest.open(urls, Credential("alpha", key, secret), clock, Budget(clock.now_ms))
    stack.push_async_callback(asked.close)
    await asked.time()
    await asked.exchange_info()

    async def place(client_id: str) -> None:
        answer = await asked.place(terms(client_id))
        assert answer.status == 200, answer

    return place


def _stock(urls: UrlSet, key: str, secret: str) -> Any:
    client = ccxt.pro.binance({
        "apiKey": key, "secret": secret, "enableRateLimit": False, "number": str,
        "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False},
    })  # fmt: skip
    client.has["fetchCurrencies"] = False
    client.urls["api"] = rewritten(client.urls["api"], urls)
    return client


async def ccxt_client(urls: UrlSet, key: str, secret: str, stack: AsyncExitStack) -> Place:
    client = _stock(urls, key, secret)
    stack.push_async_callback(client.close)
    await client.load_markets()

    async def place(client_id: str) -> None:
        more = {"clientOrderId": client_id}
        order = await client.create_order("BTC/USDT", "limit", "buy", "0.0001", "50000", more)
        assert order["status"] == "open"

    return place


async def ccxt_ws_client(urls: UrlSet, key: str, secret: str, stack: AsyncExitStack) -> Place:
    client = _stock(urls, key, secret)
    stack.push_async_callback(client.close)
    await client.load_markets()

    async def place(client_id: str) -> None:
        more = {"clientOrderId": client_id}
        order = await client.create_order_ws("BTC/USDT", "limit", "buy", "0.0001", "50000", more)
        assert order["status"] == "open"

    return place


CLIENTS: Final = {"raw": raw_client, "ours": our_client, "ccxt": ccxt_client, "ccxt ws": ccxt_ws_client}


async def measured(place: Place, prefix: str, orders: int) -> tuple[float, float, float]:
    """CPU of this process per order, then median and 99th percentile from call to answer; microseconds."""
    took = []
    cpu_ns = time.process_time_ns()
    for number in range(orders):
        began_ns = time.perf_counter_ns()
        await place(f"{prefix}-{number}")
        took.append((time.perf_counter_ns() - began_ns) / 1_000)
    cpu_us = (time.process_time_ns() - cpu_ns) / 1_000 / orders
    cuts = quantiles(took, n=100)
    return cpu_us, cuts[49], cuts[98]


async def compare(said: dict[str, Any], orders: int, rounds: int) -> dict[str, tuple[float, float, float]]:
    """The best round of each client, by its CPU."""
    urls = UrlSet(said["rest"], said["wsApi"], said["streams"], frozenset({"127.0.0.1"}))
    account = said["accounts"][0]
    key, secret = account["apiKey"], account.get("secret") or "demo-alpha-secret".ljust(64, "0")
    found: dict[str, tuple[float, float, float]] = {}
    async with AsyncExitStack() as stack:
        async with aiohttp.ClientSession() as http:
            many = {"symbol": "BTCUSDT", "filters": {"MAX_NUM_ORDERS": {"maxNumOrders": 10**9}}}
            await http.post(f"{said['control']}/symbol", json=many)
            await http.post(
                f"{said['control']}/deposit", json={"account": "alpha", "asset": "USDT", "amount": "1000000000"}
            )
        places = {name: await client(urls, key, secret, stack) for name, client in CLIENTS.items()}
        for turn in range(-1, rounds):
            for name, place in places.items():
                prefix = f"{name.replace(' ', '')}{turn + 1}"
                figures = await measured(place, prefix, WARM_UP if turn < 0 else orders)
                if turn >= 0:
                    found[name] = min(found.get(name, figures), figures)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="What the last hop costs.")
    parser.add_argument("--orders", type=int, default=1_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        process, said = started(directory)
        try:
            found = asyncio.run(compare(said, chosen.orders, chosen.rounds))
        finally:
            process.terminate()
            process.wait()
    print("client    CPU µs/order   p50 µs   p99 µs")
    for name, (cpu_us, median_us, slow_us) in found.items():
        print(f"{name:8}  {cpu_us:12.0f}  {median_us:7.0f}  {slow_us:7.0f}")


if __name__ == "__main__":
    main()
