"""The gateway process: opens the journal, then serves HTTP, venues and administration until it is told to stop."""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Coroutine
from typing import Any, Final, NoReturn

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]
from granian.server.embed import Server

from ordergate import _core
from ordergate.config import Paths, Settings
from ordergate.gateway import late_fills
from ordergate.gateway.admin_socket import AdminSocket
from ordergate.gateway.changes import Changes
from ordergate.gateway.durability import Durability
from ordergate.gateway.kill_administration import live_verbs
from ordergate.gateway.kill_file import KillFile
from ordergate.gateway.kill_poller import KillPoller
from ordergate.gateway.venue_sessions import VenueSessions
from ordergate.gateway.write_behind_lag import WriteBehindLag
from ordergate.http.app import CANCELS_IN_FLIGHT_MAX, App
from ordergate.http.deps import Deps
from ordergate.observability.log import configure
from ordergate.persistence import PostgresUnreadable, read_watermark
from ordergate.persistence.past_orders import PastOrders

EXIT_OK: Final = 0
EXIT_USAGE: Final = 2
EXIT_BROKEN: Final = 70
EXIT_JOURNAL: Final = 78

TICK_SECONDS: Final = 0.05
SWEEP_TICKS: Final = 20
IN_FLIGHT_SECONDS_MAX: Final = 3.0
"""The supervisor kills a gateway 4 s after it told it to stop."""
SERVER_STOP_SECONDS_MAX: Final = 0.5
WATERMARK_SECONDS_MAX: Final = 3.0
HEADER_TIMEOUT_MS: Final = 5_000
"""Also how long an idle keep-alive connection stays open: hyper runs one timer for both."""
HEADER_BYTES_MAX: Final = 16_384
_log = logging.getLogger("ordergate.gateway")


def run(settings: Settings, paths: Paths) -> int:
    """Runs the gateway; its exit code: 0 after a SIGTERM, 2, 70 or 78 as documented in the README."""
    configure(settings.log.level)
    host, port = settings.http.host, settings.http.port
    if settings.redis.url is None:
        return _refuse("redis.url is not set: the kill switch needs a Redis (set REDIS_URL)", EXIT_USAGE)
    if (taken := probe_port(host, port)) is not None:
        return _refuse(taken, EXIT_USAGE)
    _raise_file_limit()
    watermark, postgres_read = _watermark(settings)
    try:
        gateway = _core.Gateway.open(
            str(paths.journal),
            str(paths.snapshots),
            watermark=watermark,
            postgres_read=postgres_read,
            segment_bytes=settings.journal.segment_mib << 20,
            state_hash_every=settings.journal.state_hash_every,
            soft_free_bytes=settings.journal.soft_free_bytes,
            hard_free_bytes=settings.journal.hard_free_bytes,
            reserve_bytes=settings.journal.reserve_bytes,
        )
        gateway.set_loosen_percent(settings.risk.loosen_percent)
        gateway.set_warn_percent(settings.risk.warn_percent)
        gateway.set_breach_action(settings.risk.breach_action)
        gateway.set_doubt_reduces(settings.risk.doubt_reduce_only)
        start_live(gateway, settings)
    except _core.JournalLocked as locked:
        return _refuse(f"another gateway runs on this data directory: {locked}", EXIT_USAGE)
    except _core.JournalRefused as refused:
        return _refuse(str(refused), EXIT_JOURNAL)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(gateway, settings, paths, settings.redis.url))


def start_live(gateway: _core.Gateway, settings: Settings) -> None:
    """After a crash LIVE goes on by itself, or waits for a person, as the settings say."""
    manual = getattr(getattr(settings, "binance", None), "resume", "auto") == "manual"
    gateway.set_resume_manual(manual)
    if gateway.status().get("resumeNeeded") and not manual:
        gateway.resume("gateway", "binance.resume = auto")
    elif gateway.status().get("waitsForResume"):
        _log.warning("the last end was a crash: LIVE waits for `ordergate resume`")


def probe_port(host: str, port: int) -> str | None:
    """Why the port cannot be used. A plain bind: granian's SO_REUSEPORT would let two gateways share one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT do not count
        try:
            probe.bind((host, port))
        except OSError as failed:
            if failed.errno == errno.EADDRINUSE:
                return f"port {port} on {host} is in use: stop what listens there or set http.port"
            return f"cannot listen on {host}:{port}: {failed.strerror}"
    return None


def _watermark(settings: Settings) -> tuple[tuple[int, bytes] | None, bool]:
    """(Postgres's watermark, whether Postgres was read). Trading goes on without it; start-up only knows less."""
    if settings.postgres.url is None:
        return None, False
    try:
        return read_watermark(settings.postgres.url, WATERMARK_SECONDS_MAX), True
    except PostgresUnreadable as unreadable:
        _log.warning("postgres cannot be read, starting from the journal alone: %s", unreadable)
        return None, False


async def _serve(gateway: _core.Gateway, settings: Settings, paths: Paths, redis_url: str) -> int:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[int] = loop.create_future()

    def end(code: int) -> None:
        if not stop.done():
            stop.set_result(code)

    def exit_foreign(why: str) -> None:
        if not stop.done():
            _say(why)
        end(EXIT_USAGE)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, EXIT_OK)
    loop.set_exception_handler(_judge_callback)
    durability = Durability(gateway, fatal)
    durability.open()
    changes = Changes()
    kill = KillPoller(gateway, redis_url, exit_foreign, KillFile(gateway, paths.kill_file))
    past_orders = PastOrders(settings.postgres.url)
    app = App(
        Deps(
            gateway=gateway,
            durability=durability,
            next_kill_reading=kill.next_reading,
            kills=kill,
            order_change=changes.wait,
            fatal=fatal,
            client_left=ProtocolClosed,
            newest_seq=gateway.last_seq,
            write_behind_lag=WriteBehindLag(gateway, paths.worker_status).read,
            past_orders=past_orders,
        )
    )
    venues = VenueSessions(gateway, durability, changes.announce, fatal)
    admin = AdminSocket(gateway, durability, live_verbs(gateway, durability, kill), fatal)
    server = _server(app, settings)

    tasks = [
        _spawn(kill.run(), "kill switch"),
        _spawn(_tick(gateway, durability, changes, venues, app, kill), "tick"),
        _spawn(late_fills.watch(gateway, past_orders), "late fills"),
    ]
    venues.open(paths.venue_socket)
    await admin.open(paths.admin_socket)
    serving = _spawn(server.serve(), "http server")
    _log.info("epoch %d listens on %s:%d", gateway.epoch, settings.http.host, settings.http.port)

    _calm_collector()
    code = await stop
    await _stop(app, tasks=tasks, venues=venues, admin=admin, server=server, serving=serving)
    await past_orders.close()
    durability.close()
    gateway.close()
    return code


async def _stop(
    app: App,
    *,
    tasks: list[asyncio.Task[None]],
    venues: VenueSessions,
    admin: AdminSocket,
    server: Server,
    serving: asyncio.Task[None],
) -> None:
    """New requests are refused from the first moment; those in flight get three seconds."""
    _log.info("stopping")
    app.stop()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + IN_FLIGHT_SECONDS_MAX
    while app.in_flight and loop.time() < deadline:  # noqa: ASYNC110 - an event would cost every request
        await asyncio.sleep(0.01)
    tasks[0].cancel()  # a stop of our own is no loss of Redis
    admin.close()
    venues.close()
    server.stop()  # type: ignore[no-untyped-call]
    # An idle or half-open connection may hold granian up; nothing is owed to it.
    await asyncio.wait((serving,), timeout=SERVER_STOP_SECONDS_MAX)
    for task in (*tasks, serving):
        task.cancel()
    await asyncio.gather(*tasks, serving, return_exceptions=True)


def _server(app: App, settings: Settings) -> Server:
    return Server(
        app,
        address=settings.http.host,
        port=settings.http.port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=4_096,
        # Beyond it connections wait without an answer; requests are shed by the application long before.
        backpressure=2 * CANCELS_IN_FLIGHT_MAX,
        log_enabled=False,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_TIMEOUT_MS,
            keep_alive=True,
            max_buffer_size=HEADER_BYTES_MAX,
            pipeline_flush=False,
        ),
    )


async def _tick(
    gateway: _core.Gateway, durability: Durability, changes: Changes, venues: VenueSessions, app: App, kill: KillPoller
) -> None:
    """Every 50 ms: ages of unsent orders, silent venues, stalled flushes; once a second slow bodies."""
    loop = asyncio.get_running_loop()
    count = 0
    while True:
        await asyncio.sleep(TICK_SECONDS)
        changes.announce(gateway.tick())
        kill.notice()
        durability.watch()
        venues.check_silence()
        count += 1
        if count % SWEEP_TICKS == 0:
            app.sweep(loop.time())


def _spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """A task of the process: when it fails, the process ends."""
    task = asyncio.get_running_loop().create_task(work, name=name)

    def judge(done: asyncio.Task[None]) -> None:
        if not done.cancelled() and (failed := done.exception()) is not None:
            fatal(failed)

    task.add_done_callback(judge)
    return task


def _judge_callback(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Exceptions of callbacks: the end of the journal or the engine ends the process, the rest is logged."""
    failed = context.get("exception")
    if isinstance(failed, (_core.JournalFailed, _core.EnginePoisoned)):
        fatal(failed)
    _log.error("%s", context.get("message"), exc_info=failed)


def fatal(end: BaseException) -> NoReturn:
    """Ends the process at once: after a failed flush or a broken invariant nothing may be answered any more."""
    with contextlib.suppress(Exception):
        _log.critical("the gateway halts", exc_info=end)
        _say(f"{type(end).__name__}: {end}")
    os._exit(EXIT_BROKEN)


def _refuse(why: str, code: int) -> int:
    _say(why)
    return code


def _say(text: str) -> None:
    """One line for whoever started the process, whatever happens to the log."""
    sys.stderr.write(f"ordergate gateway: {text}\n")
    sys.stderr.flush()


def _calm_collector() -> None:
    """Requests leave no cycles behind; looking for them after every 700 objects cost 5 % of an order's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
