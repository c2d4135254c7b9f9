"""The venue's end of the link: the greeting, the frames, and the lock."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from ordergate.venues import link
from ordergate.venues.link import LinkClosed
from ordergate.venues.reports import Report
from tests.unit.venue_stage import SESSION, connected, greeted


@pytest.fixture
def place() -> Iterator[Path]:
    with TemporaryDirectory(prefix="og-") as directory:
        yield Path(directory)


def test_hello_names_us_and_gives_the_session(place: Path) -> None:
    async def run() -> None:
        connection, gateway, listener = await connected(place)
        assert await greeted(connection, gateway) == (SESSION, 100)
        async with asyncio.timeout(5):
            await connection.wake.wait()
        assert connection.open, "a doorbell is not the end"
        connection.wake.clear()
        gateway.writer.close()
        async with asyncio.timeout(5):
            await connection.wake.wait()
        ended = not connection.open
        assert ended
        link.close(connection)
        listener.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x05\x00\x00\x00hello", link.frame(["BYE", 1, 2]), link.frame(["HELLO", "1", 2]), b"\xff\xff\xff\xff"],
)
def test_anything_else_than_hello_ends_the_connection(place: Path, answer: bytes) -> None:
    async def run() -> None:
        connection, gateway, listener = await connected(place)
        gateway.writer.write(answer)
        gateway.writer.write_eof()
        with pytest.raises(LinkClosed):
            await link.greet(connection, "paper", "PAPER", 1)
        link.close(connection)
        gateway.writer.close()
        listener.close()

    asyncio.run(run())


def test_no_gateway_is_said(place: Path) -> None:
    with pytest.raises(LinkClosed, match="nothing"):
        asyncio.run(link.connect(place / "nothing"))


def test_frames_keep_the_order_and_the_bound() -> None:
    reports: list[Report] = [("ACK", number, "x" * 900) for number in range(4_000)]
    parts = link.frames(reports)
    assert len(parts) > 2
    assert all(len(part) <= link.FRAME_BYTES + 4 for part in parts)
    assert [tuple(report) for part in parts for report in msgspec.msgpack.decode(part[4:])] == reports


def test_one_venue_holds_the_lock(place: Path) -> None:
    first = link.hold_lock(place / "venue-paper.lock")
    assert first is not None
    assert (place / "venue-paper.lock").read_text() == f"{os.getpid()}\n"
    assert link.hold_lock(place / "venue-paper.lock", patience_s=0.1) is None
    fcntl.flock(first, fcntl.LOCK_UN)
    second = link.hold_lock(place / "venue-paper.lock", patience_s=0.1)
    assert second is not None
    os.close(first)
    os.close(second)
