"""The process: two ports, the market's steps, signals, and the line that says where everything is."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web

from ordergate.exchange import config as settings
from ordergate.exchange import control, rest, websockets
from ordergate.exchange.amounts import shown
from ordergate.exchange.config import DEFAULT, Config, ConfigError
from ordergate.exchange.ledger import LedgerError
from ordergate.exchange.server import Server, opened
from ordergate.observability.log import configure

EXIT_OK: Final = 0
EXIT_USAGE: Final = 2
STEP_SECONDS: Final = 0.5

_log: Final = structlog.get_logger("exchange")


@dataclass(frozen=True, slots=True)
class Options:
    """`market`: the seed of the market maker, None for an empty book. `tether`: end when standard input closes."""

    config: Path | None = None
    ledger: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    market: int | None = None
    step_seconds: float = STEP_SECONDS
    tether: bool = False
    log_level: str = "warning"


def run(options: Options, announce: Callable[[str], None]) -> int:
    """Serves until SIGTERM or SIGINT; the exit code: 0 stopped, 2 settings, ledger or port cannot be used."""
    configure(options.log_level)
    try:
        config = settings.read(options.config)
        server = opened(config, options.ledger)
    except (ConfigError, LedgerError, OSError) as error:
        _log.error("cannot start", reason=str(error))
        return EXIT_USAGE
    try:
        return asyncio.run(serve(server, options, announce))
    except OSError as error:
        _log.error("cannot listen", reason=str(error))
        return EXIT_USAGE
    finally:
        server.ledger.close()


async def serve(server: Server, options: Options, announce: Callable[[str], None]) -> int:
    """Opens both ports, says so, and waits for the end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ended.set)
    runners, addresses = [], []
    for app, port in ((client_app(server), options.port), (control.app(server), options.control_port)):
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, options.host, port)
        await site.start()
        runners.append(runner)
        addresses.append(runner.addresses[0][1])
    announce(json.dumps(announcement(server.config, options, *addresses)))
    if options.tether:
        server.spawn(_tethered(ended))
    if options.market is not None:
        await start_market(server)
        server.spawn(_market(server, options.market, options.step_seconds))
    await ended.wait()
    for task in list(server.tasks):
        task.cancel()
    for runner in runners:
        await runner.cleanup()
    return EXIT_OK


def client_app(server: Server) -> web.Application:
    """Everything that clients see, on one port."""
    app = web.Application(client_max_size=rest.LONGEST_BODY)
    rest.routes(app, server)
    websockets.routes(app, server)
    return app


def announcement(config: Config, options: Options, port: int, control_port: int) -> dict[str, Any]:
    """Where it is. The demo accounts' credentials stand in it; those of a settings file never do."""
    shown = (
        [
            {"name": one.name, "apiKey": key.api_key, **({"secret": key.secret} if config is DEFAULT else {})}
            for one in config.accounts
            for key in one.keys
        ]
    )  # fmt: skip
    host = options.host
    return {
        "rest": f"http://{host}:{port}",
        "wsApi": f"ws://{host}:{port}/ws-api/v3",
        "streams": f"ws://{host}:{port}",
        "control": f"http://{host}:{control_port}/__emu",
        "ledger": str(options.ledger) if options.ledger else None,
        "market": options.market,
        "pid": os.getpid(),
        "accounts": shown,
    }


async def start_market(server: Server) -> None:
    """Quotes every symbol around its price at once, so that the book is never empty."""
    for name, memory in server.ex.market.items():
        if server.ex.symbols[name].status == "TRADING" and not server.ex.symbols[name].book.bids.prices:
            price = shown(memory["mid"])
            await server.execute("move", {"symbol": name, "price": price})


async def _market(server: Server, seed: int, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await server.execute("step", {"seed": seed})


async def _tethered(ended: asyncio.Event) -> None:
    """Ends the exchange with whoever holds the other end of its standard input."""
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()

    def readable() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            closed.set()

    loop.add_reader(sys.stdin.fileno(), readable)
    await closed.wait()
    ended.set()
