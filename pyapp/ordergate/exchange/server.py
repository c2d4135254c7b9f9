"""The running exchange: engine, ledger, clock, counters, faults and subscribers, and the one way to change it."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ordergate.exchange import ledger, limits
from ordergate.exchange.commands import Result, run
from ordergate.exchange.config import Config, Credential
from ordergate.exchange.errors import ApiError
from ordergate.exchange.faults import Faults
from ordergate.exchange.publish import Hub
from ordergate.exchange.state import Event, Exchange


@dataclass(slots=True)
class Clock:
    """The exchange's own time in ms: the machine's, moved by an offset, drifting, or standing still."""

    offset_ms: int = 0
    drift_ppm: int = 0
    frozen_ms: int | None = None
    since_ms: int = 0

    def now(self) -> int:
        if self.frozen_ms is not None:
            return self.frozen_ms
        wall = time.time_ns() // 1_000_000
        return wall + self.offset_ms + (wall - self.since_ms) * self.drift_ppm // 1_000_000


@dataclass(slots=True)
class Key:
    """One API key and whose it is. Control requests change `permissions`, `withdrawals`, `ips` and `revoked`."""

    credential: Credential
    account: str
    permissions: set[str]
    withdrawals: bool
    ips: set[str]
    revoked: bool = False


class Websockets(Protocol):
    """The open WebSockets: those that a control request is for, or what is wrong with it; and all of them."""

    def on_request(self, tree: dict[str, Any]) -> str | list[dict[str, Any]]: ...

    def shown(self) -> list[dict[str, Any]]: ...


@dataclass(slots=True)
class Server:
    """`websockets`: what carries out a control request on open WebSockets."""

    config: Config
    ex: Exchange
    ledger: ledger.Ledger
    clock: Clock
    counters: limits.Counters
    faults: Faults
    hub: Hub
    keys: dict[str, Key]
    pending: deque[tuple[int, list[Event]]] = field(default_factory=deque)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    websockets: Websockets | None = None
    asked: int = 0

    async def execute(self, name: str, arguments: dict[str, Any]) -> tuple[Result, int | None]:
        """Does a command, makes it durable and tells about it: the result, and its place in the ledger.

        What was refused and changed nothing has no place.
        """
        now = self.clock.now()
        result, events = run(self.ex, name, arguments, now)
        if isinstance(result, ApiError) and not events:
            return result, None
        self._count_fills(events, now)
        sequence = self.ledger.append(name, arguments, now, ledger.digest(result, events))
        self.pending.append((sequence, events))
        await self.ledger.flushed(sequence)
        self._tell()
        return result, sequence

    def _tell(self) -> None:
        while self.pending and self.pending[0][0] <= self.ledger.durable:
            self.hub.publish(self.pending.popleft()[1])

    def _count_fills(self, events: list[Event], now: int) -> None:
        for event in events:
            body = event.body
            if event.kind == "executionReport" and body["x"] == "TRADE" and body["l"] == body["z"]:
                limits.filled(self.counters, event.account or "", body["m"], now)

    def spawn(self, work: Awaitable[Any]) -> None:
        """Runs something beside; its failure is seen, since the loop logs it."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def opened(config: Config, directory: Path | None) -> Server:
    """A server over its ledger. Raises LedgerError, OSError."""
    ex, kept = ledger.opened(directory, config)
    faults = Faults()
    keys = {
        one.api_key: Key(one, account.name, set(one.permissions), one.enable_withdrawals, set(one.ips))
        for account in config.accounts
        for one in account.keys
    }
    clock = Clock(since_ms=time.time_ns() // 1_000_000)
    return Server(config, ex, kept, clock, limits.Counters(config.limits), faults, Hub(faults), keys)
