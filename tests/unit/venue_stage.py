"""A stage for sessions of the PAPER venue: a fake journal and a fake gateway, with real sockets."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ordergate.venues import kill_reading, link
from ordergate.venues.instruments import shipped_tables
from ordergate.venues.link import Work
from ordergate.venues.paper import matching, session
from ordergate.venues.paper.session import Session
from ordergate.venues.prices import Tick
from tests.unit.paper_parts import BTC
from tests.unit.valkey_server import Valkey

SESSION = 42
NOW = 1_700_000_000_000_000_000


@dataclass
class FakeJournal:
    """Chunks of work; `now` is set by hand."""

    handed_over: list[Work] = field(default_factory=list)
    chunks: list[list[Work]] = field(default_factory=list)
    seq: int = 100
    now: int = NOW
    asked: list[tuple[str, int]] = field(default_factory=list)

    def now_ns(self) -> int:
        return self.now

    def catch_up(self, seq: int | None = None) -> int:
        return self.seq

    def committed_seq(self) -> int:
        return self.seq + len(self.chunks)

    def open_work(self, venue: str, session: int) -> list[Work]:
        self.asked.append((venue, session))
        return self.handed_over

    def poll_work(self, venue: str, session: int, max_records: int) -> list[Work]:
        self.asked.append((venue, session))
        if not self.chunks:
            return []
        self.seq += 1
        return self.chunks.pop(0)

    def instruments(self) -> bytes:
        return msgspec.json.encode(shipped_tables())


def submit(order: int, started_ns: int = NOW, *, price: str | None = "39000", filled: str = "0", kind: str = "LIMIT",
           time_in_force: str = "GTC", side: str = "BUY", quantity: str = "1", stop: str | None = None,
           quote: str | None = None) -> Work:  # fmt: skip
    terms = (side, kind, time_in_force, quantity, filled, price)
    return ("SUBMIT", order, started_ns, "demo", "BTCUSDT", *terms, f"og-{order}", None, False, stop, quote)


def amend(order: int, quantity: str) -> Work:
    return ("AMEND", order, NOW, f"og-{order}", quantity)


def cancel(order: int) -> Work:
    return ("CANCEL", order, NOW, f"og-{order}")


@dataclass
class Gateway:
    """The other end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def frame(self) -> Any:
        (length,) = struct.unpack("<I", await self.reader.readexactly(4))
        return msgspec.msgpack.decode(await self.reader.readexactly(length))

    async def reports(self, count: int) -> list[Any]:
        """The next reports, without prices and heartbeats."""
        found: list[Any] = []
        async with asyncio.timeout(5):
            while len(found) < count:
                found += [report for report in await self.frame() if report[0] not in ("PRICE", "HEARTBEAT")]
        assert len(found) == count, found
        return found

    def ring(self) -> None:
        self.writer.write(b"\x01")


@dataclass
class Stage:
    """Everything of one scenario."""

    gateway: Gateway
    journal: FakeJournal
    session: Session
    server: Valkey
    ticks: asyncio.Queue[Tick]
    stop: asyncio.Event
    serving: asyncio.Task[None]

    def give(self, *work: Work, ring: bool = True) -> None:
        self.journal.chunks.append(list(work))
        if ring:
            self.gateway.ring()

    async def settle(self) -> None:
        """Until the venue has applied the ticks given to it and looked at the journal."""
        while not self.ticks.empty() or not self.session.ticks.empty() or self.journal.chunks:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.005)


async def queued(ticks: asyncio.Queue[Tick]) -> AsyncIterator[Tick]:
    while True:
        yield await ticks.get()


async def connected(place: Path) -> tuple[link.Link, Gateway, asyncio.Server]:
    accepted: asyncio.Queue[Gateway] = asyncio.Queue()
    listener = await asyncio.start_unix_server(
        lambda reader, writer: accepted.put_nowait(Gateway(reader, writer)), place / "venue.sock"
    )
    connection = await link.connect(place / "venue.sock")
    return connection, await accepted.get(), listener


async def greeted(connection: link.Link, gateway: Gateway) -> tuple[int, int]:
    greeting = asyncio.create_task(link.greet(connection, "paper", "PAPER", 1))
    assert await gateway.frame() == ["HELLO", "paper", "PAPER", os.getpid(), 1]
    # A doorbell may follow at once.
    gateway.writer.write(link.frame(["HELLO", SESSION, 100]) + b"\x01")
    return await greeting


def play(
    place: Path,
    server: Valkey,
    scenario: Callable[[Stage], Awaitable[None]],
    *,
    handed_over: list[Work] | None = None,
    latency_ms: int = 0,
) -> None:
    """Runs a scenario against a session; the venue must end orderly unless the scenario awaited its end."""

    async def run() -> None:
        connection, gateway, listener = await connected(place)
        number, _ = await greeted(connection, gateway)
        journal, ticks, stop = FakeJournal(handed_over or []), asyncio.Queue[Tick](), asyncio.Event()
        one = Session(
            number, journal, connection, kill_reading.watch(server.url),
            matching.open_exchange(number, "0.001", latency_ms, {BTC.symbol: BTC}), NOW,
        )  # fmt: skip
        serving = asyncio.create_task(session.run(one, queued(ticks), stop))
        stage = Stage(gateway, journal, one, server, ticks, stop, serving)
        try:
            await scenario(stage)
            stop.set()
            connection.wake.set()
            if not serving.done():
                await asyncio.wait_for(serving, 5)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            link.close(connection)
            await kill_reading.close(one.reading)
            gateway.writer.close()
            listener.close()

    asyncio.run(run())
