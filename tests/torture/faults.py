"""What is done to a system that trades: one table of faults, and the way back to trading.

A fault is applied in the middle of the load, held for a while, healed (what was stopped goes on), and then the system
has to come back by itself. What a person has to do is what the runbook says after a Redis that was lost or restarted:
DEL the kill switch, once its reason has been seen to be that, and start the strategies that the kill has stopped.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from tests.acceptance.system import (
    READY_TIMEOUT_S,
    Family,
    System,
    exported,
    family,
    gone,
    last_words,
    launch,
    request,
    shell,
    start_strategies,
    survivors,
)
from tests.torture.exchange import LocalExchange, Market

FOUND_S = 40.0
"""For a process that was killed before to be there again; the supervisor waits up to 5 s before a restart."""
ORPHANS_GONE_S = 20.0
"""Postgres ends by a checkpoint."""
FREEZE_S = (0.2, 3.0)
READING_AGE_S = 0.6
"""An admission needs a reading at most 0.3 s old, a reading may take 0.2 s; the rest is for the two clocks."""
SENDS_END_S = 0.5
"""After a kill, for the last order to reach the venue."""
SET_BY_FAULTS = {"torture", "unreadable"}
VENUES = {"PAPER": "venue paper", "LIVE": "venue binance"}
TOGETHER = 0.2
"""Share of the cycles in which two or three faults meet, where the chosen faults allow it."""


@dataclass
class Stage:
    """The system as it runs now, and what is being done to it."""

    system: System
    random: Random
    alone: bool = True
    """One fault in this cycle: what follows from it is then certain."""
    frozen: Family = field(default_factory=dict)
    orphans: Family = field(default_factory=dict)
    tracers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    valkey_lost: float | None = None
    shut: list[tuple[float, float]] = field(default_factory=list)
    """Spans of time (Unix) in which no order may have been admitted, since the kill switch could not be read."""
    unsent: list[tuple[float, float]] = field(default_factory=list)
    """Spans in which no order may have reached the venue."""
    unsent_from: float | None = None
    cleared: int = 0
    missed: int = 0
    """Injected ends that did not come: the gateway made too few such calls in the time."""
    exchange: LocalExchange | None = None
    market: Market | None = None
    """What LIVE trades on; None of both for PAPER."""
    _environment: dict[str, str] = field(default_factory=dict)

    @property
    def mode(self) -> str:
        """What the orders of this run are."""
        return "PAPER" if self.exchange is None else "LIVE"

    @property
    def environment(self) -> dict[str, str]:
        """What `ordergate env` exports; it stays the same over restarts."""
        if not self._environment:
            self._environment = exported(self.system)
        return self._environment


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    weight: int
    apply: Callable[[Stage], None]
    heal: Callable[[Stage], None]
    hold_s: tuple[float, float] = (0.0, 0.0)
    """How long it lasts before it is healed."""
    needs: str = ""
    """A program that must be installed."""


# --- processes ------------------------------------------------------------------------------------------------------


def processes(stage: Stage, role: str) -> Family:
    """The running processes of a role; Postgres has several, its postmaster first. A second word is one of theirs."""
    role, _, word = role.partition(" ")
    ours = {one: found for one, found in family(stage.system).items() if found.rstrip(":") == role}
    if word:
        ours = {one: found for one, found in ours.items() if word in words_of(one[0])}
    return dict(sorted(ours.items(), key=lambda one: one[1].endswith(":")))


def words_of(pid: int) -> list[str]:
    """The command of a process; empty when it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def find(stage: Stage, role: str) -> Family:
    """Waits until the role is there. Nothing, when other faults of this cycle may be why it is not."""
    deadline = time.monotonic() + (FOUND_S if stage.alone else 1.0)
    while True:
        found = processes(stage, role)
        if found or (not stage.alone and time.monotonic() > deadline):
            return found
        assert time.monotonic() < deadline, f"no {role} runs:\n{last_words(stage.system)}"
        time.sleep(0.02)


def send(members: Family, number: signal.Signals) -> None:
    """Signals those that still are who they were."""
    for pid, _ in survivors(members):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def nothing(stage: Stage) -> None:
    """Nothing to undo: the system has to help itself."""


def signaled(role: str, number: signal.Signals) -> Callable[[Stage], None]:
    """Sends a signal to a role's processes; after SIGKILL they are gone."""

    def apply(stage: Stage) -> None:
        members = find(stage, role)
        send(members, number)
        if number == signal.SIGKILL:
            gone(members, FOUND_S)

    return apply


def frozen(role: str) -> Callable[[Stage], None]:
    """Stops a role's processes until they are thawed."""

    def apply(stage: Stage) -> None:
        members = find(stage, role)
        stage.frozen |= members
        send(members, signal.SIGSTOP)

    return apply


def thaw(stage: Stage) -> None:
    """What was stopped goes on."""
    send(stage.frozen, signal.SIGCONT)
    stage.frozen = {}


def kill_supervisor(stage: Stage) -> None:
    """Its children have to end with it."""
    stage.orphans = family(stage.system)
    os.kill(stage.system.supervisor.pid, signal.SIGKILL)
    stage.system.supervisor.wait()


# --- Postgres and Valkey --------------------------------------------------------------------------------------------


def kill_postgres(stage: Stage) -> None:
    """The postmaster alone, one backend (all sessions are cut), or everything at once."""
    members = list(find(stage, "postgres").items())
    choice = stage.random.choice([members[:1], members[-1:], members])
    send(dict(choice), signal.SIGKILL)


def restart_postgres(stage: Stage) -> None:
    """A fast stop with a checkpoint, or an immediate one that leaves the rest to recovery."""
    send(dict(list(find(stage, "postgres").items())[:1]), stage.random.choice([signal.SIGINT, signal.SIGQUIT]))


CUT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = $1 AND state = 'active' AND query ILIKE 'commit%'"""


def cut_commit(stage: Stage) -> None:
    """Ends the write-behind's, or the portfolio's, session while its COMMIT runs; else, after a while, at any point."""
    program = stage.random.choice(["ordergate write-behind", "ordergate portfolio"])
    with suppress(*() if stage.alone else NO_POSTGRES):
        asyncio.run(_cut(stage.environment["DATABASE_URL"], program))


NO_POSTGRES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


async def connected(url: str) -> Any:
    """A connection, once the server is back."""
    deadline = time.monotonic() + FOUND_S
    while True:
        try:
            return await asyncpg.connect(url, timeout=5)
        except NO_POSTGRES:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def _cut(url: str, program: str) -> None:
    connection = await connected(url)
    try:
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            if await connection.fetchval(CUT, program):
                return
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", program
        )
    finally:
        await connection.close()


def lose_valkey(number: signal.Signals) -> Callable[[Stage], None]:
    """From now on the kill switch cannot be read."""

    def apply(stage: Stage) -> None:
        members = find(stage, "valkey-server")
        if not members:
            return
        if number == signal.SIGSTOP:
            stage.frozen |= members
        stage.valkey_lost = time.time()
        send(members, number)

    return apply


def valkey_thawed(stage: Stage) -> None:
    """The span in which nothing may have been admitted ends here."""
    _shut(stage, time.time())
    thaw(stage)


def valkey_killed(stage: Stage) -> None:
    """A gateway that saw the server before has to be killed by the restart, until a person clears it."""
    if not stage.alone:
        stage.valkey_lost = None
        return
    deadline = time.monotonic() + READY_TIMEOUT_S
    while (reason := kill_reason(stage.system)) is None:
        assert time.monotonic() < deadline, "the kill switch was lost or set, and trading was never stopped"
        time.sleep(0.05)
    assert reason.startswith("redis_") or reason in SET_BY_FAULTS, reason
    _shut(stage, time.time())


def valkey_told(stage: Stage) -> None:
    """What was frozen goes on, and finds the kill."""
    thaw(stage)
    valkey_killed(stage)
    if stage.unsent_from is not None:
        time.sleep(0.3)
        stage.unsent.append((stage.unsent_from, time.time()))
        stage.unsent_from = None


def told(stage: Stage, command: str) -> None:
    """One redis-cli command, as an operator gives it; the span in which nothing may be admitted begins."""
    with suppress(*() if stage.alone else (AssertionError,)):
        shell(stage.system, f"redis-cli {command}", stage.environment)
        stage.valkey_lost = time.time()


def emptied(stage: Stage) -> None:
    """Everything is gone from the server, which runs on: absence must not be taken for leave."""
    told(stage, "FLUSHALL")


def garbled(stage: Stage) -> None:
    """The key holds something that nobody can read."""
    told(stage, "SET kill_switch:global '{\"active\": fal'")


KILL_KEY = """SET kill_switch:global '{"active":true,"reason":"torture","activatedBy":"torture"}'"""


def killed_while_the_venue_is_frozen(stage: Stage) -> None:
    """Orders are started that the venue has not looked at yet; the kill comes before it can."""
    frozen("venue")(stage)
    time.sleep(0.3)
    told(stage, KILL_KEY)
    if stage.alone and stage.valkey_lost is not None:
        stage.unsent_from = stage.valkey_lost + SENDS_END_S
        time.sleep(SENDS_END_S + 0.1)


def and_then_the_gateway(first: Callable[[Stage], None]) -> Callable[[Stage], None]:
    """The next gateway has to find out by itself: the one that saw it, or did not yet, is killed."""

    def apply(stage: Stage) -> None:
        first(stage)
        time.sleep(stage.random.choice([0.0, 0.15, stage.random.uniform(0.3, 2.0)]))
        signaled("gateway", signal.SIGKILL)(stage)

    return apply


def killed_twice(stage: Stage) -> None:
    """The server that takes the lost one's place is lost at once."""
    stage.valkey_lost = time.time()
    for _ in range(2):
        signaled("valkey-server", signal.SIGKILL)(stage)


def _shut(stage: Stage, until: float) -> None:
    if stage.valkey_lost is not None:
        span = (stage.valkey_lost + READING_AGE_S, until)
        stage.shut.append(span)
        if stage.alone:  # a gateway that is frozen, too, journals late what the venue took in time
            stage.unsent.append(span)
        stage.valkey_lost = None


# --- strace ---------------------------------------------------------------------------------------------------------


def injected(call: str, what: str, most: int) -> Callable[[Stage], None]:
    """Lets the n-th `call` of a gateway's thread meet `what` (strace(1), `inject`); n is drawn up to `most`."""

    def apply(stage: Stage) -> None:
        [(pid, _)] = list(find(stage, "gateway"))[:1]
        when = stage.random.randint(1, most)
        command = ["strace", "-f", "-qq", "-o", os.devnull, "-p", str(pid), "-e", f"trace={call}"]
        command += ["-e", f"inject={call}:{what}:when={when}"]
        stage.tracers.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    return apply


def untraced(stage: Stage) -> None:
    """strace has ended with the gateway, or lets go of one that still runs."""
    for tracer in stage.tracers:
        if tracer.poll() is None:
            tracer.terminate()
            stage.missed += 1
        tracer.wait(20)
    stage.tracers.clear()


def sped_up(stage: Stage) -> None:
    """The delays end; that the gateway still runs is what they should show."""
    [tracer] = stage.tracers
    assert tracer.poll() is None, "a slow disk ended the gateway"
    untraced(stage)
    stage.missed -= 1


# --- the table ------------------------------------------------------------------------------------------------------

KILL, STOP, TERM = signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM
TRACED_S = (1.0, 3.0)

FAULTS: tuple[Fault, ...] = (
    Fault("kill-gateway", 14, signaled("gateway", KILL), nothing),
    Fault("kill-worker", 10, signaled("worker", KILL), nothing),
    Fault("kill-venue", 10, signaled("venue", KILL), nothing),
    Fault("kill-supervisor", 4, kill_supervisor, nothing),
    Fault("freeze-gateway", 3, frozen("gateway"), thaw, FREEZE_S),
    Fault("freeze-worker", 3, frozen("worker"), thaw, FREEZE_S),
    Fault("freeze-venue", 3, frozen("venue"), thaw, FREEZE_S),
    Fault("freeze-supervisor", 2, frozen("up"), thaw, FREEZE_S),
    Fault("term-gateway", 4, signaled("gateway", TERM), nothing),
    Fault("kill-postgres", 5, kill_postgres, nothing),
    Fault("freeze-postgres", 4, frozen("postgres"), thaw, FREEZE_S),
    Fault("restart-postgres", 4, restart_postgres, nothing),
    Fault("cut-commit", 6, cut_commit, nothing),
    Fault("kill-valkey", 4, lose_valkey(KILL), valkey_killed),
    Fault("freeze-valkey", 5, lose_valkey(STOP), valkey_thawed, FREEZE_S),
    Fault("flush-valkey", 4, emptied, valkey_killed),
    Fault("garble-kill", 3, garbled, valkey_killed),
    Fault("kill-switch", 5, killed_while_the_venue_is_frozen, valkey_told),
    Fault("freeze-valkey-kill-gateway", 2, and_then_the_gateway(lose_valkey(STOP)), valkey_thawed, FREEZE_S),
    Fault("flush-valkey-kill-gateway", 2, and_then_the_gateway(emptied), valkey_killed),
    Fault("garble-kill-kill-gateway", 2, and_then_the_gateway(garbled), valkey_killed),
    Fault("kill-switch-kill-gateway", 2, and_then_the_gateway(killed_while_the_venue_is_frozen), valkey_told),
    Fault("kill-valkey-twice", 2, killed_twice, valkey_killed),
    Fault("kill-at-write", 3, injected("write", "signal=SIGKILL", 120), untraced, TRACED_S, "strace"),
    Fault("kill-at-pwrite64", 4, injected("pwrite64", "signal=SIGKILL", 60), untraced, TRACED_S, "strace"),
    Fault("kill-at-fdatasync", 4, injected("fdatasync", "signal=SIGKILL", 60), untraced, TRACED_S, "strace"),
    Fault("kill-at-sendto", 3, injected("sendto", "signal=SIGKILL", 40), untraced, TRACED_S, "strace"),
    Fault("eio-at-fdatasync", 4, injected("fdatasync", "error=EIO", 30), untraced, TRACED_S, "strace"),
    Fault("eio-at-pwrite64", 2, injected("pwrite64", "error=EIO", 30), untraced, TRACED_S, "strace"),
    Fault("slow-fdatasync", 3, injected("fdatasync", "delay_enter=1500000", 10), sped_up, TRACED_S, "strace"),
)

Cycle = tuple[Fault, ...]
"""One fault, or several at once in that order."""


def chosen(names: Sequence[str], table: Sequence[Fault] = FAULTS) -> tuple[Fault, ...]:
    """The rows of these names, all of them for none; ValueError for a name that is no fault or a missing program."""
    unknown = set(names) - {fault.name for fault in table}
    if unknown:
        raise ValueError(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(f.name for f in table)}")
    faults = tuple(fault for fault in table if not names or fault.name in names)
    for program in {fault.needs for fault in faults if fault.needs}:
        if shutil.which(program) is None:
            needing = ", ".join(fault.name for fault in faults if fault.needs == program)
            raise ValueError(f"{program} is not installed (apt-get install {program}); these faults need it: {needing}")
    return faults


def draw(random: Random, faults: Sequence[Fault]) -> Cycle:
    """The next cycle: mostly one fault, sometimes two or three different ones (of those that need no tracer)."""
    plain = [fault for fault in faults if not fault.needs]
    if len(plain) >= 3 and random.random() < TOGETHER:
        return tuple(random.sample(plain, random.choice([2, 2, 3])))
    return tuple(random.choices(faults, [fault.weight for fault in faults]))


def carry_out(stage: Stage, cycle: Cycle) -> None:
    """Applies, holds, heals, and returns when the system trades again."""
    stage.alone = len(cycle) == 1
    hold_s = max(stage.random.uniform(*fault.hold_s) for fault in cycle)
    for fault in cycle:
        fault.apply(stage)
        if not stage.alone:
            time.sleep(stage.random.uniform(0, 0.3))
    time.sleep(hold_s)
    for fault in cycle:
        fault.heal(stage)
    recover(stage)


# --- the way back ---------------------------------------------------------------------------------------------------


def recover(stage: Stage) -> None:
    """Waits for trading; starts `up` again if it was killed, and clears a kill that a lost Redis has caused."""
    if stage.orphans:
        left = gone(stage.orphans, ORPHANS_GONE_S)
        assert not left, f"outlived the supervisor: {left}"
        stage.orphans = {}
        old = stage.system
        stage.system = launch(old.data_dir, prices=old.prices, port=old.port, redis_port=old.redis_port)
    deadline = time.monotonic() + READY_TIMEOUT_S
    last: Any = None
    while time.monotonic() < deadline:
        code = stage.system.supervisor.poll()
        assert code is None, f"ordergate up ended with {code}:\n{last_words(stage.system)}"
        with suppress(OSError, HTTPException, ValueError):
            last = request(stage.system, "GET", "/api/v1/health", timeout_s=2).json()
            # A gateway needs a moment to see that its venue is gone.
            if last["tradingReady"][stage.mode] and processes(stage, VENUES[stage.mode]):
                with suppress(AssertionError):  # killed in the meantime: seen by the next look
                    start_strategies(stage.system)
                    return
            if last["killLevel"]:
                clear_kill(stage)
        time.sleep(0.05)
    raise AssertionError(f"not trading after {READY_TIMEOUT_S} s; health: {last}\n{last_words(stage.system)}")


def kill_reason(system: System) -> str | None:
    """Why trading is stopped by the kill switch; None while it is not, or the gateway does not answer."""
    with suppress(OSError, HTTPException, ValueError):
        health = request(system, "GET", "/api/v1/health", timeout_s=2).json()
        reasons: list[str] = health["reasons"] if health["killLevel"] else []
        return next((one.removeprefix("killed: ") for one in reasons if one.startswith("killed: ")), None)
    return None


def clear_kill(stage: Stage) -> None:
    """The runbook's line, once the reason is one that calls for it."""
    reason = kill_reason(stage.system)
    if reason is None:
        return
    known = reason.startswith("redis_") or reason in SET_BY_FAULTS
    assert known, f"killed by something else: {reason}"
    with suppress(AssertionError):  # Valkey itself is not there yet
        shell(stage.system, "redis-cli DEL kill_switch:global", stage.environment)
        stage.cleared += 1
    time.sleep(0.5)
