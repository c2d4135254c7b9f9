"""One scenario: the local exchange, a stand-in for the gateway, a real Valkey, and a session of the LIVE venue."""

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from ordergate.config import Paths, Settings
from ordergate.config import master_key as master
from ordergate.config.settings import Binance
from ordergate.exchange import control
from ordergate.exchange import main as exchange
from ordergate.exchange.config import DEFAULT, Limits
from ordergate.exchange.server import Server, opened
from ordergate.venues import kill_reading, link
from ordergate.venues.binance import credentials, opening
from ordergate.venues.binance.credentials import Credential
from ordergate.venues.main import Opened
from tests.unit.valkey_server import Valkey, valkey
from tests.venue.fold import Fold, Gateway

ACCOUNT = "alpha"
SHORT: dict[str, Any] = {
    "recv_window_ms": 1_000,
    "timeout_ms": 600,
    "doubt_engine_timeout_ms": 100,
    "doubt_read_lag_ms": 200,
    "doubt_queries": 2,
    "doubt_query_gap_ms": 50,
    "reconcile_every_s": 0.5,
}
"""Margins that make a doubt last some four seconds; the window is long enough for a machine that is busy."""
MARKET = msgspec.structs.replace(
    DEFAULT, limits=Limits(weight=10 * Limits().weight, connections=10 * Limits().connections)
)
"""These margins do in a minute what the shipped ones do in ten: so a minute has the allowance of ten."""


@dataclass
class Stage:
    """Everything of one scenario."""

    server: Server
    control_url: str
    fold: Fold
    gateway: Gateway
    kill_switch: Valkey
    paths: Paths
    settings: Settings
    http: aiohttp.ClientSession
    reading: kill_reading.KillReading
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    serving: asyncio.Task[None] | None = None

    async def open_session(self) -> None:
        """Connects a venue, as its process does."""
        self.stop = asyncio.Event()
        greeted_ns = self.fold.now_ns()
        connection = await link.connect(self.paths.venue_socket)
        number, _ = await link.greet(connection, "binance", "LIVE", 1)
        one = Opened(number, self.fold, connection, self.reading, greeted_ns)

        async def serve() -> None:
            try:
                await opening.serve(one, self.settings, self.paths, self.stop)
            finally:
                link.close(connection)

        self.serving = asyncio.create_task(serve())

    async def kill_session(self) -> None:
        """Ends the venue as SIGKILL does: nothing more is sent, said or heard."""
        assert self.serving is not None
        self.serving.cancel()
        await asyncio.gather(self.serving, return_exceptions=True)

    async def trading(self) -> None:
        await self.until(lambda: self.fold.ready.get(ACCOUNT, (False,))[0], "ready")

    async def until(self, true: Callable[[], Any], what: str, timeout_s: float = 12.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            assert self.gateway.broken is None, self.gateway.broken
            if self.serving is not None and self.serving.done():
                self.serving.result()
            assert time.monotonic() < deadline, f"not {what}: {self.fold.ready} {self.fold.reports[-20:]}"
            await asyncio.sleep(0.005)

    async def status(self, order: int, *wanted: str, timeout_s: float = 12.0) -> dict[str, Any]:
        await self.until(
            lambda: self.fold.orders[order]["status"] in wanted and not self.fold.orders[order]["inDoubt"],
            f"{wanted}: {self.fold.orders[order]}", timeout_s,
        )  # fmt: skip
        return self.fold.orders[order]

    def place(self, **terms: Any) -> int:
        order = self.fold.place(ACCOUNT, **{"quantity": "0.1", "price": "50000"} | terms)
        self.gateway.ring()
        return order

    def cancel(self, order: int) -> None:
        self.fold.cancel(order)
        self.gateway.ring()

    async def act(self, name: str, **body: Any) -> Any:
        """One act of the exchange's control."""
        async with self.http.post(f"{self.control_url}/{name}", json=body) as answer:
            told = await answer.json()
            assert answer.status == 200, told
            return told

    async def fault(self, phase: str, kind: str, *, match: dict[str, Any] | None = None, times: int | None = 1,
                    **action: Any) -> None:  # fmt: skip
        rule = {
            "match": {"method": "order.place"} if match is None else match,
            "phase": phase,
            "action": {"kind": kind, **action},
        }
        await self.act("rules", **rule, times=times)

    async def no_faults(self) -> None:
        async with self.http.delete(f"{self.control_url}/rules") as answer:
            assert answer.status == 200

    async def ledger(self) -> dict[str, Any]:
        async with self.http.get(f"{self.control_url}/ledger") as answer:
            told: dict[str, Any] = await answer.json()
            return told

    async def truth(self) -> dict[str, Any]:
        """What the exchange itself has of the account."""
        async with self.http.get(f"{self.control_url}/state") as answer:
            told: dict[str, Any] = (await answer.json())["accounts"][ACCOUNT]
            return told

    async def commits(self, order: int) -> int:
        """How many orders the exchange has of this one of ours."""
        return int((await self.ledger())["commits"].get(self.fold.orders[order]["clientIdAtVenue"], 0))

    async def agrees(self) -> None:
        """Trades and balances here are the exchange's, to the last digit, and nothing was booked that it has not."""
        assert not self.fold.odd
        truth = await self.truth()
        theirs = {
            (ACCOUNT, row["symbol"], str(row["id"])): [
                *(Decimal(row[name]) for name in ("price", "qty", "quoteQty", "commission")), row["commissionAsset"]
            ]
            for row in truth["trades"]
        }  # fmt: skip
        assert self.fold.fills == theirs
        await self.until(lambda: self._same_balances(truth), f"the same balances as {truth['balances']}")

    def _same_balances(self, truth: dict[str, Any]) -> bool:
        return all(
            Decimal(one["free"]) + Decimal(one["locked"]) == Decimal(self.fold.balance(ACCOUNT, "LIVE", asset))
            for asset, one in truth["balances"].items()
        )


@asynccontextmanager
async def playing(*, open_session: bool = True, **changes: Any) -> AsyncIterator[Stage]:
    """A stage whose venue is ready, unless that is left to the scenario. `changes`: settings of `[binance]`."""
    with tempfile.TemporaryDirectory(prefix="og-") as directory, valkey(Path(directory)) as kill_switch:
        paths = Paths(directory)
        paths.prepare()
        master.generate(paths.master_key)
        [key] = next(one.keys for one in MARKET.accounts if one.name == ACCOUNT)
        settings_of = Settings()
        credentials.keep(
            paths.credentials, master.read(settings_of, paths, {}), Credential(ACCOUNT, key.api_key, key.secret or "")
        )
        server = opened(MARKET, None)
        runners, ports = [], []
        for app in (exchange.client_app(server), control.app(server)):
            runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            runners.append(runner)
            ports.append(runner.addresses[0][1])
        await exchange.start_market(server)
        fold = Fold()
        gateway = Gateway(fold)
        await gateway.open(paths.venue_socket)
        live = Binance(
            enabled=True, rest_url=f"http://127.0.0.1:{ports[0]}", ws_api_url=f"ws://127.0.0.1:{ports[0]}/ws-api/v3",
            stream_url=f"ws://127.0.0.1:{ports[0]}", allowed_hosts=("127.0.0.1",), **SHORT | changes,
        )  # fmt: skip
        async with aiohttp.ClientSession() as http:
            stage = Stage(
                server, f"http://127.0.0.1:{ports[1]}/__emu", fold, gateway, kill_switch, paths,
                Settings(binance=live), http, kill_reading.watch(kill_switch.url),
            )  # fmt: skip
            try:
                if open_session:
                    await stage.open_session()
                    await stage.trading()
                yield stage
                stage.stop.set()
                if stage.serving is not None and not stage.serving.done():
                    await asyncio.wait_for(stage.serving, 5)
                assert gateway.broken is None
            finally:
                if stage.serving is not None:
                    stage.serving.cancel()
                    with contextlib.suppress(asyncio.CancelledError, Exception):
                        await stage.serving
                await kill_reading.close(stage.reading)
                gateway.close()
                for task in list(server.tasks):
                    task.cancel()
                for runner in runners:
                    await runner.cleanup()


def play(scenario: Callable[[Stage], Awaitable[None]], **changes: Any) -> None:
    """Runs a scenario on a stage."""

    async def run() -> None:
        async with playing(**changes) as stage:
            await scenario(stage)

    asyncio.run(run())


def shown(value: Any) -> str:
    return json.dumps(value, indent=1)
