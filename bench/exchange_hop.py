"""What the last hop costs us: an order built, signed, sent and answered, against the bare wire; see bench/README.md."""

import argparse
import asyncio
import hashlib
import hmac
import json
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

import aiohttp  # noqa: E402

from ordergate.venues.binance import outcomes, rest  # noqa: E402
from ordergate.venues.binance.budget import Budget  # noqa: E402
from ordergate.venues.binance.clock import Clock  # noqa: E402
from ordergate.venues.binance.credentials import Credential  # noqa: E402
from ordergate.venues.binance.rest import UrlSet  # noqa: E402

ROUNDS = 5
ORDERS = 2_000
WARM = 200
KEY = Credential("bench", "benchkey0", "benchsecret")
CLIENT_ID = "og1-1"
TERMS = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.00100000",
    "price": "40000.00", "newClientOrderId": CLIENT_ID, "newOrderRespType": "FULL",
}  # fmt: skip
PLACED = json.dumps(TERMS | {"orderId": 28, "clientOrderId": CLIENT_ID, "status": "NEW", "fills": []}).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-MBX-USED-WEIGHT-1M: 1\r\nX-MBX-ORDER-COUNT-10S: 1\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(PLACED), PLACED)
)

Ask = Callable[[], Awaitable[None]]
Cost = tuple[float, float, float]
"""Per order, in microseconds: median and 99th percentile by the clock, and of our processor."""


async def answer_everything() -> None:
    """The other side: reads a request, says the same answer. In a process of its own."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def timed(ask: Ask, orders: int) -> Cost:
    """One after the other: what is measured is an order's own cost, not what many at once can share."""
    for _ in range(WARM):
        await ask()
    took: list[float] = []
    used = processor_s()
    for _ in range(orders):
        began = time.perf_counter()
        await ask()
        took.append(time.perf_counter() - began)
    used = processor_s() - used
    took.sort()
    return median(took) * 1e6, took[len(took) * 99 // 100] * 1e6, used / orders * 1e6


def processor_s() -> float:
    """User and system time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure(port: int, orders: int) -> dict[str, Cost]:
    """Our hop, and the least that a client on the same HTTP library can do: build, sign, send, read."""
    place = f"http://127.0.0.1:{port}"
    clock = Clock()
    clock.heard(clock.local_ns(), clock.local_ns(), int(time.time() * 1_000))
    asked = rest.open(
        UrlSet(place, "ws://127.0.0.1", "ws://127.0.0.1", frozenset({"127.0.0.1"})), KEY, clock, Budget(clock.now_ms)
    )

    async def ours() -> None:
        answer = await asked.place(TERMS)
        assert outcomes.of_place(answer, CLIENT_ID).kind == "ACK", answer

    async with aiohttp.ClientSession() as http:

        async def bare() -> None:
            query = urlencode(TERMS | {"timestamp": str(int(time.time() * 1_000)), "recvWindow": "2000"})
            signature = hmac.new(KEY.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
            headers = {"X-MBX-APIKEY": KEY.api_key, "Content-Type": "application/x-www-form-urlencoded"}
            body = f"{query}&signature={signature}"
            async with http.post(f"{place}/api/v3/order", data=body, headers=headers) as response:
                assert json.loads(await response.read())["clientOrderId"] == CLIENT_ID

        try:
            return {"bare": await timed(bare, orders), "ours": await timed(ours, orders)}
        finally:
            await asked.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--orders", type=int, default=ORDERS, help="in each round")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(answer_everything())
        return
    command = [sys.executable, str(Path(__file__)), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        try:
            rounds = [asyncio.run(measure(port, chosen.orders)) for _ in range(chosen.rounds)]
        finally:
            other.kill()
    middle = {name: tuple(median(one[name][part] for one in rounds) for part in range(3)) for name in ("bare", "ours")}
    for name, (half, late, used) in middle.items():
        print(f"{name:<6} p50 {half:7.0f} µs   p99 {late:7.0f} µs   processor {used:7.0f} µs")
    ratio = [ours / bare for ours, bare in zip(middle["ours"], middle["bare"], strict=True)]
    print(f"ratio  p50 {ratio[0]:7.2f}      p99 {ratio[1]:7.2f}      processor {ratio[2]:7.2f}")
    print(f"our own share of an order: {middle['ours'][2] - middle['bare'][2]:.0f} µs of a processor")


if __name__ == "__main__":
    main()
