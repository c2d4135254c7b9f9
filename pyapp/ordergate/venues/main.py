"""The process of one exchange connection: `python -m ordergate venue paper`, `… venue binance`."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import structlog

from ordergate import _core
from ordergate.config import Paths, Settings
from ordergate.observability.log import configure
from ordergate.venues import kill_reading, link
from ordergate.venues.refusal import VenueRefused

GATEWAY_PATIENCE_S: Final = 30.0
"""How long to wait for the gateway's socket before the supervisor's back-off takes over."""
GATEWAY_LOOK_S: Final = 0.05

EXIT_OK: Final = 0
EXIT_AGAIN: Final = 1
"""The session is over or could not begin: start again, with back-off."""
EXIT_REFUSED: Final = 2
"""Starting again would change nothing: a setting is wrong, or another venue runs."""

log = structlog.get_logger("ordergate.venues")


@dataclass(frozen=True, slots=True)
class Venue:
    """One venue: the mode it trades, and the module that has its `check` and `serve`.

    The module is only imported for the venue that runs: what speaks to an exchange is large.
    """

    mode: str
    module: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that the gateway has opened."""

    number: int
    journal: Any
    """The `_core.Follower`, folded to the session's own record."""
    link: link.Link
    reading: kill_reading.KillReading
    greeted_ns: int
    """Journal time before HELLO."""


VENUES: Final[Mapping[str, Venue]] = {
    "paper": Venue("PAPER", "ordergate.venues.paper.opening"),
    "binance": Venue("LIVE", "ordergate.venues.binance.opening"),
}
"""Name -> venue."""

Serve = Callable[[Opened, Settings, Paths, asyncio.Event], Awaitable[None]]


def run(name: str, settings: Settings, paths: Paths) -> int:
    """Runs the venue `name` until its session ends; its exit code."""
    configure(settings.log.level)
    venue = VENUES.get(name)
    if venue is None:
        return _refused(f"unknown venue {name!r}: this build has {', '.join(VENUES)}")
    opening = import_module(venue.module)
    try:
        opening.check(settings, paths)
        reading = kill_reading.watch(
            settings.redis.url or f"redis://127.0.0.1:{settings.redis.port}/0", paths.kill_file
        )
    except (VenueRefused, ValueError) as error:
        return _refused(str(error))
    lock = link.hold_lock(paths.venue_lock(name))
    if lock is None:
        return _refused(f"another {name} venue of this data directory is running")
    try:
        asyncio.run(_serve(name, venue.mode, opening.serve, settings, paths, reading))
    except VenueRefused as error:
        return _refused(str(error))
    except (link.LinkClosed, _core.FollowerStopped, OSError) as error:
        log.warning("venue stops", venue=name, reason=str(error))
        return EXIT_AGAIN
    finally:
        os.close(lock)
    return EXIT_OK


def _refused(why: str) -> int:
    log.error("venue refuses to start", reason=why)
    return EXIT_REFUSED


async def _serve(
    name: str, mode: str, serve: Serve, settings: Settings, paths: Paths, reading: kill_reading.KillReading
) -> None:
    """Folds, connects, and serves one session. Returns on SIGTERM; raises when the session ends otherwise."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    serving = asyncio.current_task()
    assert serving is not None
    connection: link.Link | None = None

    def on_signal() -> None:
        stop.set()
        if connection is None:
            serving.cancel()
        else:
            connection.wake.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        journal, connection = await _reach_gateway(paths)
        greeted_ns = journal.now_ns()
        session_number, seq = await link.greet(connection, name, mode, _core.FOLD_VERSION)
        await _fold_to(journal, seq, connection)
        await serve(Opened(session_number, journal, connection, reading, greeted_ns), settings, paths, stop)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    finally:
        if connection is not None:
            link.close(connection)
        await kill_reading.close(reading)


async def _reach_gateway(paths: Paths) -> tuple[link.Journal, link.Link]:
    """A journal folded to `commit`, then a connection: from the session's record on, nothing may be missed.

    Waits a while for a gateway that is starting. Raises LinkClosed, FollowerStopped.
    """
    socket_path = Path(paths.venue_socket)
    journal: link.Journal | None = None
    why = link.LinkClosed(f"{socket_path}: the gateway has not opened it")
    for _ in range(int(GATEWAY_PATIENCE_S / GATEWAY_LOOK_S)):
        # Where the socket is, there is a journal.
        if _is_there(socket_path):
            journal = journal or _core.Follower(str(paths.journal), str(paths.snapshots))
            journal.catch_up()
            try:
                return journal, await link.connect(socket_path)
            except link.LinkClosed as error:
                why = error
        await asyncio.sleep(GATEWAY_LOOK_S)
    raise why


def _is_there(path: Path) -> bool:
    return path.exists()


async def _fold_to(journal: link.Journal, seq: int, connection: link.Link) -> None:
    """Folds to the session's own record, which may not be durable yet."""
    while journal.catch_up(seq) < seq:
        if not connection.open:
            raise link.LinkClosed("the gateway closed the connection before the session was durable")
        await asyncio.sleep(0.002)
