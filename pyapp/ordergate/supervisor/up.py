"""The life of one `ordergate up`: refuse early, start in order, watch, stop in order."""

import asyncio
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from ordergate.config import Paths, PathsError, Settings, SettingsError, load_settings
from ordergate.supervisor import (
    addresses,
    administration,
    first_start,
    health,
    leftovers,
    logs,
    placement,
    ports,
    postgres,
    programs,
    table,
    valkey,
)
from ordergate.supervisor.addresses import Address, Addresses
from ordergate.supervisor.announcement import announcement
from ordergate.supervisor.patience import FileWatch, VenueWatch
from ordergate.supervisor.processes import Child, Household

EXIT_OK: Final = 0
EXIT_USAGE: Final = 2
WATCH_EVERY_S: Final = 1.0
SILENT_GATEWAY: Final = 5
"""Health questions in a row without any answer (each waits 2 s) after which a gateway counts as hung."""
VENUE_OPENS_S: Final = 15.0
"""Within this time of its start a venue has a session: then the gateway, which waits 3 s, sees whether it lives."""
WORKER_WRITES_S: Final = 30.0
"""The worker writes its status twice a second."""
SLOW_START_S: Final = 5.0
STOP_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


Venues = Mapping[str, VenueWatch]
"""By the name of the child."""


class Refused(Exception):
    """Nothing was started; the message says why and what to do (exit code 2)."""


class Plan(msgspec.Struct, frozen=True):
    """What a test replaces."""

    own_processes: table.Programs
    scopes: Callable[[], list[str]]
    migrate: Callable[[str], Awaitable[object]]


def _all_scopes() -> list[str]:
    from ordergate import _core

    return list(_core.VOCABULARY["scope"])


def _migrate(url: str) -> Awaitable[object]:
    from ordergate.persistence import migrate

    return migrate.apply_migrations(url)


PLAN: Final = Plan(table.own_processes, _all_scopes, _migrate)


def run(data_dir: str | os.PathLike[str], chosen: Mapping[str, str], plan: Plan = PLAN) -> int:
    """Runs until it is told to stop; the exit code. `chosen`: settings from the command line, by environment name."""
    os.umask(0o077)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background job inherits this; the stop that we promise must not be lost before the loop listens.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    paths = Paths(data_dir)
    with ExitStack() as held:
        try:
            environment = addresses.own_environment(os.environ, paths.data) | dict(chosen)
            settings = load_settings(paths.data, environment=environment)
            paths.prepare()
            held.enter_context(hold_directory(paths))
            _stop_leftovers(paths)
            held.enter_context(_check_port(settings))
            found = _arrange(paths, settings, held)
        except SettingsError as error:
            for problem in error.problems:
                _say(f"setting {problem}")
            return EXIT_USAGE
        except (
            Refused, PathsError, addresses.ForeignUrls, placement.PlacementError, postgres.ClusterError,
            programs.ProgramMissing, valkey.PortTaken,
        ) as error:  # fmt: skip
            _say(str(error))
            return EXIT_USAGE
        except OSError as error:
            _say(f"{error.filename or paths.data}: {error.strerror or error}")
            return EXIT_USAGE
        urls = found.addresses.postgres.own_url, found.addresses.redis.own_url
        child_environment = table.environment(environment, *urls)
        children = [*found.servers, *plan.own_processes(paths, child_environment)]
        if settings.binance.enabled:
            children.append(table.live_process(paths, table.with_master_key(child_environment, environment)))
        # Kept back until `_live` can take them: a Ctrl-C that meets asyncio's own handler would cancel the beginning
        # of a start and wait for ever for what it has begun.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        return asyncio.run(_live(paths, settings, found, children, plan))


class Found(msgspec.Struct, frozen=True):
    """The servers of this start: rows for those that are ours, addresses for all."""

    servers: list[Child]
    addresses: Addresses
    cluster: placement.Placement | None


def _arrange(paths: Paths, settings: Settings, held: ExitStack) -> Found:
    servers: list[Child] = []
    cluster: placement.Placement | None = None
    bin_dir: Path | None = None
    if settings.postgres.url is None:
        bin_dir = programs.postgres_bin_dir(settings.postgres.bin_dir)
        cluster = placement.place(paths, bin_dir)
        stop_leftover(leftovers.postmaster(cluster.data))
        patience = table.STOP_BY_S["postgres"], table.STOP_BY_S["postgres now"]
        servers.append(postgres.child(paths, cluster, patience))
        url = postgres.database_url(cluster.sockets)
        database = Address(url, url, True)
    else:
        database = Address(settings.postgres.url, settings.postgres.url, False)
    if settings.redis.url is None:
        if valkey.answers(paths.valkey_socket):
            raise Refused(f"a server that we did not start answers on {paths.valkey_socket}: stop it first")
        port, claim = valkey.choose_port(paths, settings.redis.port)
        held.enter_context(claim)
        servers.append(valkey.child(programs.valkey_server(), paths, port, table.STOP_BY_S["valkey"]))
        redis = Address(valkey.port_url(port), valkey.socket_url(paths.valkey_socket), True)
    else:
        redis = Address(settings.redis.url, settings.redis.url, False)
    known = Addresses(database, redis, _public_url(settings), str(bin_dir) if bin_dir else None)
    return Found(servers, known, cluster)


async def _live(paths: Paths, settings: Settings, found: Found, children: list[Child], plan: Plan) -> int:
    household = Household(children, paths.children, _say)
    loop = asyncio.get_running_loop()

    def asked_to_stop(number: int) -> None:
        if household.stopping.is_set():
            household.hurry.set()
        else:
            _say(f"{signal.Signals(number).name}: stopping")
        household.stopping.set()

    hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)  # nohup
    for number in (signal.SIGINT, signal.SIGTERM, *hangup):
        loop.add_signal_handler(number, asked_to_stop, number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    work = asyncio.create_task(_start_and_watch(paths, settings, found, household, plan))
    stop = asyncio.create_task(household.stopping.wait())
    await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        work.cancel()
        await asyncio.wait({work}, timeout=0.5)
    if work.done() and not work.cancelled() and (error := work.exception()) is not None:
        household.fail(EXIT_USAGE if isinstance(error, Refused) else 1, str(error) or repr(error))
    await household.stop(table.STOP_ORDER)
    if household.failure is None:
        _say("stopped")
        return EXIT_OK
    _say(household.failure.message)
    return household.failure.exit_code


async def _start_and_watch(paths: Paths, settings: Settings, found: Found, household: Household, plan: Plan) -> None:
    slow = asyncio.get_running_loop().call_later(SLOW_START_S, _tell_slow, paths, household)
    venues = {name: VenueWatch(VENUE_OPENS_S) for name in health.LOST}
    try:
        ready = await _start(paths, settings, found, household, plan, venues)
    finally:
        slow.cancel()
    if ready is None:
        return
    household.settled = True
    addresses.keep(paths.servers, found.addresses)
    with suppress(OSError):  # whoever reads our output may have gone
        print(announcement(paths, found.addresses, ready.token), flush=True)
    await _watch(paths, settings, household, venues)


class Ready(msgspec.Struct, frozen=True):
    """Orders are taken; the demo account's token, if it is known."""

    token: str | None


async def _start(
    paths: Paths, settings: Settings, found: Found, household: Household, plan: Plan, venues: Venues
) -> Ready | None:
    """Everything up to READY; None when the stop came first."""
    servers = [child.name for child in found.servers]
    if "valkey" in servers:
        household.start("valkey")
    if found.cluster is not None:
        try:
            await postgres.make_cluster(found.cluster)
        except postgres.ClusterError as error:
            raise Refused(str(error)) from error
        household.start("postgres")
    if not await household.wait_ready(*servers):
        return None
    await _bring_up_to_date(found.addresses.postgres, plan)
    household.start("gateway")
    if not await household.wait_ready("gateway"):
        return None
    token = await asyncio.to_thread(_furnish, paths, plan)
    household.start(*(name for name in household.running if name not in (*servers, "gateway")))
    while not household.stopping.is_set():
        answer = await health.ask(settings.http.host, settings.http.port)
        if answer is not None and answer.ready:
            return Ready(token)
        _judge_venues(household, venues, answer)
        await asyncio.sleep(0.05)
    return None


def _furnish(paths: Paths, plan: Plan) -> str | None:
    known = first_start.demo_token(paths)
    if known is not None:
        return known
    try:
        return first_start.furnish(
            lambda verb, arguments: administration.ask(paths.admin_socket, verb, arguments), paths, plan.scopes()
        )
    except administration.NotRunning:
        return None  # the gateway died just now; its restart, and the next `up`, see to it


async def _bring_up_to_date(database: Address, plan: Plan) -> None:
    """Migrations. A database of somebody else's that is down does not keep orders from being taken; ours is up."""
    try:
        await plan.migrate(database.own_url)
    except Exception as error:
        refused = type(error).__name__ == "MigrationRefused"
        if refused or database.embedded:
            raise Refused(f"database: {error or type(error).__name__}") from error
        _say(f"the database does not answer ({error or type(error).__name__}): starting without it")


async def _watch(paths: Paths, settings: Settings, household: Household, venues: Venues) -> None:
    """Silence is as bad as death: a gateway that answers no question, a venue without a session, a frozen worker."""
    silent = 0
    worker = FileWatch(paths.worker_status, WORKER_WRITES_S)
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        for running in household.running.values():
            logs.trim(running.child.log)
        if worker.frozen(household.pid("worker"), time.monotonic()):
            household.kill("worker", "is frozen")
        if not household.running["gateway"].ready.is_set():
            silent = 0
            _judge_venues(household, venues, None)
            continue
        answer = await health.ask(settings.http.host, settings.http.port)
        silent = silent + 1 if answer is None else 0
        if silent >= SILENT_GATEWAY:
            household.kill("gateway", "has not answered for some seconds")
            silent = 0
        _judge_venues(household, venues, answer)


def _judge_venues(household: Household, venues: Venues, answer: health.Health | None) -> None:
    for name, watch in venues.items():
        if answer is None:
            watch.rest()
            continue
        complaint = watch.complaint(household.pid(name), health.lost_venue(answer, name), time.monotonic())
        if complaint is not None:
            household.kill(name, complaint)


@contextmanager
def hold_directory(paths: Paths) -> Iterator[None]:
    """Holds the data directory for this process. Raises Refused, with who has it otherwise."""
    with paths.supervisor_lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            raise Refused(
                f"ordergate is already running on {paths.data} (process {pid}): use it, stop it with `kill {pid}`, "
                "or choose another directory with --data-dir (and another --port)"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _stop_leftovers(paths: Paths) -> None:
    """Ends what a killed supervisor has left, gateway first; the kernel has told them already."""
    order = {name: place for place, name in enumerate(table.STOP_ORDER)}
    for process in sorted(leftovers.remembered(paths.children), key=lambda one: order.get(one.name, 0)):
        stop_leftover(process)


def stop_leftover(process: leftovers.Started | None) -> None:
    """Ends a process that nobody watches any more. Raises Refused when it cannot be ended."""
    if process is None:
        return
    gentle = ((signal.SIGINT, 5.0), (signal.SIGQUIT, 5.0)) if process.name == "postgres" else ((signal.SIGTERM, 2.0),)
    if not leftovers.stop(process, [*gentle, (signal.SIGKILL, 2.0)]):
        raise Refused(f"{process.name} of an earlier run (process {process.pid}) does not end, even by SIGKILL")


def _check_port(settings: Settings) -> socket.socket:
    host, port = settings.http.host, settings.http.port
    claim = ports.reserve(host, port)
    if isinstance(claim, str):
        raise Refused(
            f"port {port} on {host}: {claim}. Stop what uses it (`ss -ltnp 'sport = :{port}'` shows it), "
            f"or choose another port: ordergate up --port {ports.free_port()}"
        )
    return claim


def _public_url(settings: Settings) -> str:
    host = health.reached_at(settings.http.host)
    shown = "localhost" if host == "127.0.0.1" else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{settings.http.port}"


def _tell_slow(paths: Paths, household: Household) -> None:
    waiting = [name for name, running in household.running.items() if running.process and not running.ready.is_set()]
    _say(f"still starting: waiting for {', '.join(waiting) or 'the gateway to be ready'} (logs in {paths.log})")


def _say(text: str) -> None:
    with suppress(OSError):
        print(f"ordergate: {text}", file=sys.stderr, flush=True)
