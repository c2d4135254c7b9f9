"""Reads the kill switch every 100 ms, its scoped keys every 250 ms, and carries out what `kill_switch.decide` says."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from ordergate import _core
from ordergate.gateway.kill_file import KillFile
from ordergate.gateway.kill_scopes import GLOBAL, Scope, ScopedKeys, key_of, kills_of
from ordergate.gateway.kill_switch import (
    OURS,
    Action,
    Key,
    Observation,
    Outage,
    SwitchState,
    decide,
    read_key,
    write_key,
)
from ordergate.gateway.redis_link import TIMEOUT_SECONDS, LinkError, RedisLink, TooManyKeys, connect

POLL_SECONDS: Final = 0.1
SCAN_SECONDS: Final = 0.25
"""How often the names of scoped keys are read. A poll comes a little late rather than early."""
WRITE_SECONDS_MAX: Final = 6 * TIMEOUT_SECONDS
"""A poll that also writes: connecting, two questions, the poll, then at most three exchanges."""
READING_SECONDS_MAX: Final = 0.2
"""A slower poll decides, but does not count as fresh: what it read may be as old as it took."""
_GOOD: Final = frozenset({Action.KILL, Action.STAY, Action.OPEN, Action.REWRITE})
_OWN_KILLS: Final = frozenset(
    {Action.KILL_UNREACHABLE, Action.KILL_RESTARTED, Action.KILL_FOREIGN, Action.KILL_STATE_LOST}
)
_FOREIGN: Final = frozenset({Action.KILL_FOREIGN, Action.EXIT_FOREIGN})
# What these found out has to be judged again before anything else happens.
_AGAIN: Final = frozenset({Action.BIND, Action.KILL_RESTARTED})
MayClear = Callable[[], _core.Refusal | None]
_AGAIN_KILLED: Final = "it was killed again in this moment: look again"
_log = logging.getLogger("ordergate.kill")


class KillPoller:
    """Every kill. Redis, the admin socket, the API and the table meet here, one at a time."""

    def __init__(
        self, gateway: _core.Gateway, url: str, refuse: Callable[[str], None], file: KillFile | None = None
    ) -> None:
        self._gateway = gateway
        self._url = url
        self._refuse = refuse
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._link: RedisLink | None = None
        self._run_id: str | None = None
        self._active_seen = False
        self._own_kill_at = float("-inf")
        self._scoped = ScopedKeys(gateway)
        self._values: dict[Scope, bytes | None] | None = None
        """Of the scoped keys, once this poll has read them."""
        self._scoped_marked = False
        """Our sentinel stood beside the scoped keys at this poll."""
        self._scan_at = float("-inf")
        self._outage = Outage(last_end=self._loop.time())
        self._wake = asyncio.Event()
        self._changes_seen = 0
        self._waiting: list[asyncio.Future[None]] = []
        self.problem = ""
        """Why Redis cannot be read or written; empty when it can."""
        self.foreign = ""
        """The other install whose kill switch Redis holds, as of the last poll; empty when it is ours."""

    async def run(self) -> None:
        """Polls until it is cancelled."""
        try:
            while True:
                began = self._loop.time()
                action = await self.poll()
                if action not in _AGAIN:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(max(0.0, POLL_SECONDS - (self._loop.time() - began))):
                            await self._wake.wait()
                self._wake.clear()
        finally:
            await self._drop()

    def notice(self) -> None:
        """The engine may have killed something by itself (a missed heartbeat): then Redis hears of it at once."""
        changes = self._gateway.kill_changes()
        if changes != self._changes_seen:
            self._changes_seen = changes
            self._scan_at = float("-inf")
            self._wake.set()

    async def poll(self) -> Action:
        """One observation and what follows from it."""
        async with self._turn:
            began = self._loop.time()
            if self._file is not None:
                self._file.take(self._kill)
            seen = await self._observe(began)
            action = decide(seen, self._state())
            self.foreign = seen.sentinel or "" if action in _FOREIGN else ""
            if not await self._carry_out(action, seen):
                return self._count_as_unreadable(began)
            if seen.readable:
                self._good()
            if action in _GOOD and not await self._carry_out_scoped():
                return self._count_as_unreadable(began)
            if action in _GOOD and self._loop.time() - began <= READING_SECONDS_MAX:
                # What was read may be as old as the poll.
                self._gateway.kill_reading((self._loop.time() - began) * 1e3)
                waiting, self._waiting = self._waiting, []
                for future in waiting:
                    if not future.done():
                        future.set_result(None)
            return action

    async def next_reading(self, seconds: float) -> bool:
        """Waits at most `seconds` for a good reading; whether there was one."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        try:
            done, _ = await asyncio.wait((future,), timeout=seconds)
        finally:
            if not future.done():
                future.cancel()
                self._waiting.remove(future)
        return bool(done)

    async def activate(self, reason: str, by: str, source: str, scope: Scope = GLOBAL, level: int = 1) -> int:
        """KILL_ON: in force in memory at once, then written to Redis; its sequence. Never waits for a flush."""
        seq = self._kill(reason, by, source, scope, level)
        # The table finds the key absent and writes it, unless that Redis is another's.
        self._scan_at = float("-inf")
        await self.poll()
        return seq

    async def clear(self, by: str, source: str, scope: Scope = GLOBAL) -> str:
        """KILL_OFF by an operator: the key goes first, so that the next poll agrees. Empty, or why it was refused."""
        async with self._turn:
            link = await self._clearing()
            if isinstance(link, str):
                return link
            before = self._gateway.kill_state(*scope)
            try:
                await link.delete_key(key_of(scope))
            except LinkError as error:
                await self._lost(error, "written")
                return self.problem
            return "" if self._end(before, by, source, scope) else _AGAIN_KILLED

    async def clear_own(self, by: str, scope: Scope, may_clear: MayClear) -> str | _core.Refusal:
        """KILL_OFF by a client of a client's own kill: an operator's that comes meanwhile, here or at Redis, stays."""
        async with self._turn:
            link = await self._clearing()
            if isinstance(link, str):
                return link
            if not await self._carry_out_scoped():
                return self.problem
            if (refused := may_clear()) is not None:
                return refused
            before = self._gateway.kill_state(*scope)
            try:
                removed = await link.delete_own_key(key_of(scope))
            except LinkError as error:
                await self._lost(error, "written")
                return self.problem
            if (refused := may_clear()) is not None:
                return refused
            return "" if removed and self._end(before, by, "api", scope) else _AGAIN_KILLED

    async def _clearing(self) -> RedisLink | str:
        """The link, when Redis was read just now and is ours to write; or why it is not."""
        self._scan_at = float("-inf")
        seen = await self._observe(self._loop.time())
        action = decide(seen, self._state())
        if action in _GOOD and self._link is not None:
            return self._link
        await self._carry_out(action, seen)
        return self.problem or action.value

    def _end(self, before: tuple[int, str, int] | None, by: str, source: str, scope: Scope) -> bool:
        """Journals the end of the kill that was in force `before`; false when it is another one by now."""
        if self._gateway.kill_state(*scope) != before:
            return False
        if scope == GLOBAL:
            self._active_seen = False
        else:
            self._scoped.cleared(scope)
        if before is not None:
            self._gateway.kill_off(*scope, by, source)
        return True

    async def adopt(self, by: str) -> str:
        """Makes the Redis of another install ours, after `redis_foreign`: our sentinel in place of the other one.

        What follows is the table's to say: an active key there kills, and without one the kill in force is written
        there. Trading stays stopped until somebody clears it. Empty, or why nothing was adopted.
        """
        async with self._turn:
            seen = await self._observe(self._loop.time())
            if decide(seen, self._state()) is not Action.KILL_FOREIGN or self._link is None or seen.sentinel is None:
                return self.problem or "redis holds no other install's kill switch: there is nothing to adopt"
            self._kill_once(Action.KILL_FOREIGN.value)
            try:
                adopted = await self._link.replace_sentinel(seen.sentinel, self._gateway.install)
            except LinkError as error:
                await self._lost(error, "written")
                return self.problem
            if not adopted:
                return "the sentinel changed in this moment: look again"
            # What was seen before was another's: an absent key is no operator's DEL.
            self._forget()
            if not self._gateway.redis_bound:
                self._gateway.bind_redis()
            _log.warning("%s adopted the redis of install %s", by, seen.sentinel)
        await self.poll()
        return ""

    def _state(self) -> SwitchState:
        kill = self._gateway.kill_state(*GLOBAL)
        return SwitchState(
            install=self._gateway.install,
            bound=self._gateway.redis_bound,
            killed=kill is not None,
            level=kill[0] if kill else 0,
            kill_age_seconds=self._loop.time() - self._own_kill_at,
            run_id=self._run_id,
            active_seen=self._active_seen,
        )

    async def _observe(self, began: float) -> Observation:
        allowed = TIMEOUT_SECONDS
        self._values = None
        try:
            if self._link is None:
                allowed = 3 * TIMEOUT_SECONDS  # connecting, two questions, the poll
                self._forget()
                self._link = await connect(self._url)
            scopes: list[Scope] | None = None
            misplaced: list[Scope] = []
            if began - self._scan_at >= SCAN_SECONDS - POLL_SECONDS / 2:
                allowed += TIMEOUT_SECONDS
                misplaced = self._scoped.misplaced(await self._link.misplaced())
                scopes = sorted({*self._scoped.to_read(await self._link.scan()), *misplaced})
            poll = await self._link.poll(*([key_of(scope) for scope in some] for some in (scopes or (), misplaced)))
        except LinkError as error:
            if isinstance(error, TooManyKeys) and self._run_id is None:
                self._refuse(f"{error}: give ordergate a Redis of its own")
            await self._lost(error)
            failed_for = self._outage.failed(began, self._loop.time(), allowed)
            return Observation(readable=False, unreadable_seconds=failed_for)
        if scopes is not None:
            self._scan_at = began
            self._values = {scope: poll.value_of(key_of(scope)) for scope in scopes}
        found, install = read_key(poll.key), self._gateway.install.encode()
        sentinel = poll.sentinel
        self._scoped_marked = poll.scoped_sentinel == install
        if not self._scoped_marked:
            # What was there before is not there now: nothing that is absent was deleted by an operator.
            self._scoped.forget()
            sentinel = poll.scoped_sentinel or sentinel
        return Observation(
            readable=True,
            run_id=self._link.run_id,
            sentinel=None if sentinel is None else sentinel.decode("utf-8", "replace"),
            key=found.key,
            reason=found.reason,
            by=found.by,
            level=found.level,
            cause=found.cause,
        )

    def _good(self) -> None:
        """Redis was read, and took what had to be written."""
        self._outage.good(self._loop.time())
        if self.problem:
            _log.warning("redis can be used again")
            self.problem = ""

    def _count_as_unreadable(self, began: float) -> Action:
        """A Redis that refuses our writes (a replica, an ACL) is no better than one that cannot be read."""
        failed_for = self._outage.failed(began, self._loop.time(), WRITE_SECONDS_MAX)
        action = decide(Observation(readable=False, unreadable_seconds=failed_for), self._state())
        if action in _OWN_KILLS:
            self._kill_once(action.value)
        return action

    async def _carry_out(self, action: Action, seen: Observation) -> bool:
        """First in memory, then at Redis: a kill is in force before anything can fail. Whether Redis took it."""
        if action in _OWN_KILLS:
            self._kill_once(action.value)
        elif action is Action.KILL:
            self._gateway.kill_on(*GLOBAL, seen.level, seen.reason, seen.by, "redis", seen.cause)
            _log.warning("killed by %s: %s", seen.by, seen.reason)
        elif action is Action.OPEN:
            self._gateway.kill_off(*GLOBAL, "operator", "redis")
            self._active_seen = False
            _log.warning("the kill key was deleted: open")
        elif action is Action.EXIT_FOREIGN:
            self._refuse(
                f"redis holds the kill switch of install {seen.sentinel}, ours is {self._gateway.install}: "
                "point REDIS_URL to a server or database of its own"
            )
        if self._link is None:
            return True
        self._run_id = self._link.run_id
        try:
            await self._write(action, seen, self._link)
        except LinkError as error:
            await self._lost(error, "written")
            return False
        return True

    async def _write(self, action: Action, seen: Observation, link: RedisLink) -> None:
        install = self._gateway.install
        if action is Action.BIND:
            # Ours, or written by somebody in between: then the next poll tells.
            if seen.sentinel == install or await link.write_sentinel(install):
                self._gateway.bind_redis()
        elif action is Action.KILL_STATE_LOST:
            await link.write_sentinel(install)
            await self._rewrite(link)
        elif action is Action.REWRITE:
            await self._rewrite(link)
        elif seen.key is Key.ACTIVE and action in _GOOD:
            self._active_seen = True
            if await link.persist_key():
                _log.warning("the kill key had a time to live: removed")

    async def _carry_out_scoped(self) -> bool:
        """What the scoped keys say, when they were read; whether Redis took what had to be written."""
        values, self._values = self._values, None
        if values is None or self._link is None:
            return True
        outcome = self._scoped.judge(values, marked=self._scoped_marked)
        try:
            # Only where this reading missed it: a database that is emptied right now must be found without.
            if not self._scoped_marked:
                await self._link.write_scoped_sentinel(self._gateway.install)
            for scope, action, _ in outcome:
                if action is Action.REWRITE:
                    await self._rewrite(self._link, scope)
            active = [key_of(scope) for scope, _, found in outcome if found.key is Key.ACTIVE]
            for key in await self._link.persist_scoped(active) if active else ():
                _log.warning("the kill key %s had a time to live: removed", key)
        except LinkError as error:
            await self._lost(error, "written")
            return False
        return True

    def _kill_once(self, reason: str) -> None:
        killed = self._gateway.kill_state(*GLOBAL)
        if killed is None or killed[1] != reason:
            self._kill(reason, "gateway", "redis", cause="lost")

    def _kill(
        self, reason: str, by: str, source: str, scope: Scope = GLOBAL, level: int = 1, cause: str = "asked"
    ) -> int:
        if scope == GLOBAL:
            self._own_kill_at = self._loop.time()
        _log.warning("%s killed by %s: %s", " ".join(scope).strip(), by, reason)
        return self._gateway.kill_on(*scope, level, reason, by, source, cause)

    async def _rewrite(self, link: RedisLink, scope: Scope = GLOBAL) -> None:
        """Brings a kill to Redis; when that fails, the next poll finds the key absent and writes it again."""
        kill = kills_of(self._gateway).get(scope)
        if kill is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if await link.write_key(write_key(kill.reason, now, OURS, kill.level, kill.cause), key_of(scope)):
            if scope == GLOBAL:
                self._active_seen = True
            else:
                self._scoped.saw(scope)

    async def _lost(self, error: LinkError, what: str = "read") -> None:
        if not self.problem:
            _log.warning("redis cannot be %s: %s", what, error)
        self.problem = f"redis cannot be {what}: {error}"
        await self._drop()

    async def _drop(self) -> None:
        link, self._link = self._link, None
        self._forget()
        if link is not None:
            with contextlib.suppress(Exception):
                await link.close()

    def _forget(self) -> None:
        """Another connection, or another server: what was seen before proves nothing."""
        self._active_seen = False
        self._scoped.forget()
        self._scan_at = float("-inf")
