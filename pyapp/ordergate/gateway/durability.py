"""Who waits for which sequence to be on disk; one callback per flush completes them all."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from ordergate import _core

STALLED_SECONDS: Final = 1.0


class Durability:
    """Futures in order of arrival, completed in batches from the journal's eventfd.

    Sequences arrive nearly in order. One that is lower than those before it waits for them too: late by at most a
    flush, never early. After a flush error nobody is woken any more: `fatal` ends the process.
    """

    __slots__ = ("_doorbells", "_fatal", "_gateway", "_loop", "_stuck", "_waiting", "durable")

    def __init__(self, gateway: _core.Gateway, fatal: Callable[[BaseException], None]) -> None:
        self._gateway = gateway
        self._fatal = fatal
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._doorbells: list[Callable[[], None]] = []
        self._stuck: tuple[int, float] = (0, 0.0)
        self.durable = gateway.durable_seq()

    def open(self) -> None:
        """Starts listening to the journal."""
        self._loop.add_reader(self._gateway.wake_fd(), self._flushed)

    def close(self) -> None:
        """Stops listening; whoever still waits is never answered."""
        self._loop.remove_reader(self._gateway.wake_fd())

    def on_flush(self, doorbell: Callable[[], None]) -> None:
        """`doorbell` is called once after each flush, when the waiters have been completed."""
        self._doorbells.append(doorbell)

    def wait(self, seq: int) -> "asyncio.Future[None]":
        """A future that is done once `seq` is durable."""
        future = self._loop.create_future()
        if seq <= self.durable:
            future.set_result(None)
        else:
            self._waiting.append((seq, future))
        return future

    def stalled(self) -> bool:
        """Whether the oldest waiter has seen no flush for more than a second (as of the last `watch`)."""
        seq, since = self._stuck
        return seq > self.durable and self._loop.time() - since > STALLED_SECONDS

    def watch(self) -> None:
        """Called with every tick: notes since when the oldest waiter waits, and forgets those that gave up."""
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()  # a read that gave up
        if not self._waiting:
            self._stuck = (0, 0.0)
        elif self._stuck[0] <= self.durable:
            self._stuck = (self._waiting[0][0], self._loop.time())
        else:
            # No flush since the last tick: reads that give up behind the oldest waiter must not pile up.
            self._waiting = deque(entry for entry in self._waiting if not entry[1].done())

    def _flushed(self) -> None:
        try:
            durable = self._gateway.drain()
        except Exception as end:
            self._fatal(end)
            return
        self.durable = durable
        waiting = self._waiting
        while waiting and waiting[0][0] <= durable:
            future = waiting.popleft()[1]
            if not future.done():
                future.set_result(None)
        for ring in self._doorbells:
            ring()
