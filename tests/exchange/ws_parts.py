"""The local exchange inside a test's own loop: two free ports, and clients that have only their addresses changed."""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from ordergate.exchange import control
from ordergate.exchange.config import DEFAULT, Config
from ordergate.exchange.main import client_app
from ordergate.exchange.server import Server, opened

ALPHA, BETA = (one.keys[0] for one in DEFAULT.accounts)


@dataclass(slots=True)
class Local:
    """A running exchange."""

    server: Server
    rest: str
    ws: str
    control: str
    http: aiohttp.ClientSession

    async def act(self, name: str, **body: Any) -> Any:
        """A control request; its answer."""
        async with self.http.post(f"{self.control}/{name}", json=body) as answer:
            told = await answer.json()
            assert answer.status == 200, told
            return told

    async def rule(self, phase: str, action: str, *, times: int | None = 1, match: Any = None, **more: Any) -> None:
        """A fault rule."""
        tree = {"match": match or {}, "phase": phase, "action": {"kind": action, **more}, "times": times}
        await self.act("rules", **tree)

    async def book(self, symbol: str = "BTCUSDT", bid: str = "59999", ask: str = "60001", size: str = "1") -> None:
        """One level on each side, all of the house."""
        await self.act("book", symbol=symbol, bids=[[bid, size]], asks=[[ask, size]])


@asynccontextmanager
async def exchange(config: Config = DEFAULT) -> AsyncIterator[Local]:
    server = opened(config, None)
    runners = []
    ports = []
    for app in (client_app(server), control.app(server)):
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        ports.append(runner.addresses[0][1])
    async with aiohttp.ClientSession() as http:
        yield Local(
            server, f"http://127.0.0.1:{ports[0]}", f"ws://127.0.0.1:{ports[0]}",
            f"http://127.0.0.1:{ports[1]}/__emu", http,
        )  # fmt: skip
    for task in list(server.tasks):
        task.cancel()
    for runner in runners:
        await runner.cleanup()


@dataclass(slots=True)
class Wire:
    """A plain WebSocket to the exchange: what was said, frame by frame."""

    socket: aiohttp.ClientWebSocketResponse
    asked: int = 0

    async def hear(self, within_s: float = 5.0) -> Any:
        """The next text frame. Raises TimeoutError, or EOFError when the connection has ended."""
        message = await self.socket.receive(within_s)
        if message.type != aiohttp.WSMsgType.TEXT:
            raise EOFError(message.type, self.socket.close_code)
        return json.loads(message.data)

    async def ask(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """A request of the WS-API; the next frame, which must be its answer."""
        self.asked += 1
        await self.socket.send_str(json.dumps({"id": self.asked, "method": method, "params": params or {}}))
        told = await self.hear()
        assert told["id"] == self.asked, told
        return told

    async def ended(self) -> int | None:
        """Waits for the end; the code of the close frame, 1006 when there was none."""
        while True:
            message = await self.socket.receive(5.0)
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
                return self.socket.close_code
            assert message.type != aiohttp.WSMsgType.ERROR or self.socket.close_code == 1006, message


@asynccontextmanager
async def wire(local: Local, path: str = "/ws-api/v3", **options: Any) -> AsyncIterator[Wire]:
    async with local.http.ws_connect(local.ws + path, **options) as socket:
        yield Wire(socket)


def signed(params: dict[str, Any] | None = None, key: Any = ALPHA) -> dict[str, Any]:
    """Parameters with key, time and an HMAC signature over their texts, by name."""
    whole = {**(params or {}), "apiKey": key.api_key, "timestamp": time.time_ns() // 1_000_000}
    text = "&".join(f"{name}={whole[name]}" for name in sorted(whole))
    return {**whole, "signature": hmac.digest((key.secret or "").encode(), text.encode(), "sha256").hex()}


LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "50000"}


def run(scenario: Any) -> None:
    """A scenario in a loop of its own, with a bound."""

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await scenario()

    asyncio.run(bounded())


def pro(local: Local, **config: Any) -> Any:
    """Stock ccxt.pro with its addresses on the local exchange."""
    import ccxt.pro

    client = ccxt.pro.binance({
        "apiKey": ALPHA.api_key, "secret": ALPHA.secret, "enableRateLimit": False,
        "options": {"fetchMarkets": {"types": ["spot"]}}, **config,
    })  # fmt: skip
    client.urls["api"] = moved(client.urls["api"], local)
    return client


def moved(urls: Any, local: Local) -> Any:
    if isinstance(urls, dict):
        return {name: moved(url, local) for name, url in urls.items()}
    path = "/" + urls.split("/", 3)[3] if urls.count("/") > 2 else ""
    return (local.ws if urls.startswith("ws") else local.rest) + path
