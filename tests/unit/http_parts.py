"""A real granian server in this process around the application, with the fake engine behind it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]
from granian.server.embed import Server

from tests.unit import fake_core

ORDER = b'{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":0.001,"price":40000,"mode":"PAPER"}'


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json
        assert problem["status"] == self.status
        assert problem["type"] == "urn:ordergate:problem:" + problem["code"]
        assert problem["requestId"] == self.headers["x-request-id"]
        return str(problem["code"])


@dataclass
class Running:
    """The server under test."""

    port: int
    gateway: Any
    app: Any
    deps: Any
    durability: Any
    changes: Any
    ended: list[BaseException] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> Answer:
        """One request on a connection of its own. Header names are written with `_`; None leaves a default out."""
        sent: dict[str, str | None] = {"authorization": "Bearer good", "host": "test", "connection": "close"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent.setdefault("content-length", str(len(body)))
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value is not None)
        return await self.talk(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b""))

    async def place(self, key: str | None = "k1", body: bytes = ORDER, **headers: str | None) -> Answer:
        return await self.ask("POST", "/api/v1/orders", body, idempotency_key=key, **headers)

    async def talk(self, data: bytes, seconds: float = 20.0) -> Answer:
        """Raw bytes there, one answer back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(seconds):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                for line in head[1:]:
                    if line:
                        headers[line.split(": ", 1)[0].lower()] = line.split(": ", 1)[1]
                length = 0 if data.startswith(b"HEAD") else int(headers.get("content-length", "0"))
                return Answer(int(head[0].split()[1]), headers, await reader.readexactly(length))
        finally:
            writer.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def running(real: Any = None, **engine: Any) -> AsyncIterator[Running]:
    """The server before the fake engine, or before a `real` one whose kill switch can always be read."""
    from ordergate.gateway.changes import Changes
    from ordergate.gateway.durability import Durability
    from ordergate.http.app import App
    from ordergate.http.deps import Deps

    gateway: Any = fake_core.Gateway(**engine) if real is None else real
    if real is None:
        gateway.readings = 1
        gateway.sessions["paper"] = 1
    ended: list[BaseException] = []
    durability = Durability(gateway, ended.append)
    durability.open()
    changes = Changes()

    async def next_kill_reading(seconds: float) -> bool:
        if real is None:
            await asyncio.sleep(0.02)
        else:
            real.kill_reading()
        return True

    deps = Deps(
        gateway=gateway,
        durability=durability,
        next_kill_reading=next_kill_reading,
        kills=fake_core.Kills(gateway),
        order_change=changes.wait,
        fatal=ended.append,
        client_left=ProtocolClosed,
        newest_seq=gateway.last_seq,
    )
    app = App(deps)
    port = free_port()
    server = Server(
        app,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        http1_settings=HTTP1Settings(5_000, True, 16_384, False),
    )
    serving = asyncio.create_task(server.serve())
    await until_listening(port)
    try:
        yield Running(port, gateway, app, deps, durability, changes, ended)
    finally:
        app.stop()
        server.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait((serving,), timeout=0.5)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        durability.close()


async def until_listening(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the server does not listen")


def on_uvloop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Runs an asynchronous test as the gateway runs, with a bound on its time."""

    def run() -> None:
        async def bounded() -> None:
            async with asyncio.timeout(30):
                await test()

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(bounded())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


async def until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    """Waits until something has become true."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)
