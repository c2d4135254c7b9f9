"""Children: started, watched, started again when they die, and stopped in order."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from ordergate.supervisor import leftovers
from ordergate.supervisor.logs import open_log, tail

TETHER: Final = Path(__file__).with_name("tether.py")
READY_POLL_S: Final = 0.02
BACK_OFF_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0)
"""Waits before the first, second, … restart; the last one repeats."""
STEADY_S: Final = 10.0
"""A child that ran this long starts again with the shortest wait."""


class User(msgspec.Struct, frozen=True):
    """Another user to run as."""

    uid: int
    gid: int
    name: str


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table of children. Rows start top to bottom; `stop_order` says how they stop."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    ready: Callable[[], bool | Awaitable[bool]]
    """Asked every 20 ms after a start, without a limit: a recovery takes as long as it takes."""
    needs: tuple[str, ...] = ()
    """Children that have to be ready before each start of this one."""
    stop_signals: tuple[tuple[signal.Signals, float], ...]
    """Each signal with the second after the beginning of the stop at which patience with it ends; then SIGKILL."""
    death_signal: signal.Signals = signal.SIGKILL
    """Sent by the kernel when the supervisor dies."""
    user: User | None = None
    working_directory: str | None = None
    fatal_codes: frozenset[int] = frozenset()
    """Exit codes that no restart can help: the whole of it stops with that code."""
    essential: bool = False
    """Fatal codes count at any time; else only until everything has been ready once: trading goes on without it."""
    attempts: int | None = None
    """A child that has never been ready in this run and ended by itself this often is given up; None: never."""
    before_start: Callable[[], None] | None = None


class Failure(msgspec.Struct, frozen=True):
    """Why everything has to stop."""

    exit_code: int
    message: str


class Running:
    """The life of one child over its restarts."""

    def __init__(self, child: Child) -> None:
        self.child: Final = child
        self.process: asyncio.subprocess.Process | None = None
        self.ready: Final = asyncio.Event()
        self.ever_ready = False
        self.restarts = 0
        self.failures = 0


class Household:
    """All children of one supervisor: what is running, and whether it is being stopped."""

    def __init__(self, children: list[Child], memory: Path, say: Callable[[str], None]) -> None:
        self.running: Final = {child.name: Running(child) for child in children}
        self.memory: Final = memory
        self.say: Final = say
        self.stopping: Final = asyncio.Event()
        self.hurry: Final = asyncio.Event()
        self.settled = False
        """Everything has been ready once."""
        self.failure: Failure | None = None
        self._tasks: Final[list[asyncio.Task[None]]] = []

    def start(self, *names: str) -> None:
        """Begins to keep these children running."""
        for name in names:
            self._tasks.append(asyncio.create_task(self._keep(self.running[name]), name=name))

    def fail(self, exit_code: int, message: str) -> None:
        """Asks for the end of everything, with a reason. The first reason stays."""
        if self.failure is None and not self.stopping.is_set():
            self.failure = Failure(exit_code, message)
        self.stopping.set()

    async def wait_ready(self, *names: str) -> bool:
        """Waits until all of these are ready; False when the stop came first."""
        stop = asyncio.create_task(self.stopping.wait())
        try:
            for name in names:
                ready = asyncio.create_task(self.running[name].ready.wait())
                await asyncio.wait({ready, stop}, return_when=asyncio.FIRST_COMPLETED)
                ready.cancel()
            return not self.stopping.is_set()
        finally:
            stop.cancel()

    def pid(self, name: str) -> int | None:
        """The process of that child; None while there is none."""
        running = self.running.get(name)
        process = running.process if running else None
        return process.pid if process is not None and process.returncode is None else None

    def kill(self, name: str, why: str) -> None:
        """Ends a child that does not answer; it is started again like any that died."""
        process = self.running[name].process
        if process is not None and process.returncode is None and not self.stopping.is_set():
            self.say(f"{name} {why}: killed")
            process.kill()

    async def stop(self, order: tuple[str, ...]) -> None:
        """Stops the children one after the other; within 10 s however they behave."""
        self.stopping.set()
        begun = time.monotonic()
        for name in order:
            if name in self.running:
                await self._stop_one(self.running[name], begun)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._remember()

    async def _stop_one(self, running: Running, begun: float) -> None:
        process = running.process
        if process is None:
            return
        ended = asyncio.create_task(process.wait())
        hurry = asyncio.create_task(self.hurry.wait())
        for number, until_s in running.child.stop_signals:
            if process.returncode is None and not self.hurry.is_set():
                process.send_signal(number)
                patience = max(0.1, begun + until_s - time.monotonic())
                await asyncio.wait({ended, hurry}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if process.returncode is None:
            self.say(f"{running.child.name} did not stop by itself: killed")
            process.kill()
        await ended
        _end_group(process.pid)

    async def _keep(self, running: Running) -> None:
        child = running.child
        while not self.stopping.is_set():
            if child.needs and not await self.wait_ready(*child.needs):
                return
            begun = time.monotonic()
            try:
                code = await self._live_once(running)
            except OSError as error:
                if self.stopping.is_set() or not self.settled:
                    self.fail(1, f"{child.name} cannot be started: {error}")
                    return
                # No process or no disk space at the moment: no reason to stop those that run.
                await self._back_off(running, f"cannot be started: {error}")
                continue
            if self.stopping.is_set():
                return
            if time.monotonic() - begun > STEADY_S:
                running.restarts = 0
            running.failures += code != -signal.SIGKILL
            hopeless = child.attempts is not None and not running.ever_ready and running.failures >= child.attempts
            if (code in child.fatal_codes and (child.essential or not self.settled)) or hopeless:
                self.fail(code if code > 0 else 1, f"{child.name} {ending(code)}:\n{tail(child.log)}")
                return
            await self._back_off(running, ending(code))

    async def _back_off(self, running: Running, what: str) -> None:
        pause = BACK_OFF_S[min(running.restarts, len(BACK_OFF_S) - 1)]
        running.restarts += 1
        self.say(f"{running.child.name} {what}; starting it again in {pause} s (see {running.child.log})")
        try:
            await asyncio.wait_for(self.stopping.wait(), pause)
        except TimeoutError:
            pass

    async def _live_once(self, running: Running) -> int:
        child = running.child
        if child.before_start is not None:
            child.before_start()
        process = await spawn(child)
        running.process = process
        if self.stopping.is_set():
            process.kill()  # the stop passed by while this one was being born
        self._remember()
        watching = asyncio.create_task(self._watch_ready(running))
        try:
            code = await process.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            running.ready.clear()
        if not self.stopping.is_set():
            _end_group(process.pid)
        return code

    async def _watch_ready(self, running: Running) -> None:
        while True:
            answer = running.child.ready()
            if answer if isinstance(answer, bool) else await answer:
                running.ready.set()
                running.ever_ready = True
                return
            await asyncio.sleep(READY_POLL_S)

    def _remember(self) -> None:
        alive: list[leftovers.Started] = []
        for name, running in self.running.items():
            if running.process is not None and running.process.returncode is None:
                started = leftovers.start_time(running.process.pid)
                if started is not None:
                    alive.append(leftovers.Started(name, running.process.pid, started))
        with suppress(OSError):  # a full disk: the kernel ends our children with us all the same
            leftovers.remember(self.memory, alive)


async def spawn(child: Child) -> asyncio.subprocess.Process:
    """Starts the program in a session of its own (a Ctrl-C at the terminal is for the supervisor), tied to our life."""
    with open_log(child.log) as log:
        return await asyncio.create_subprocess_exec(
            *tethered(child.command, child.death_signal, child.user),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(child.environment),
            cwd=child.working_directory,
            start_new_session=True,
        )


def tethered(command: tuple[str, ...], death_signal: signal.Signals, user: User | None) -> tuple[str, ...]:
    """The command line that starts a program as that user and ends it together with this process."""
    uid, gid = ("-", "-") if user is None else (str(user.uid), str(user.gid))
    interpreter = (sys.executable, "-I", "-S", str(TETHER))
    return (*interpreter, str(os.getpid()), str(int(death_signal)), uid, gid, *command)


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _end_group(leader: int) -> None:
    """Whatever a dead child has left in its session's process group goes with it."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
