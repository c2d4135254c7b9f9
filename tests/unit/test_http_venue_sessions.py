"""The gateway's side of the venue socket (PROTOCOLS §3), with real sockets."""

import asyncio
import contextlib
import os
import shutil
import stat
import struct
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from ordergate._core import FOLD_VERSION
from ordergate.gateway import venue_sessions
from ordergate.gateway.durability import Durability
from ordergate.gateway.venue_sessions import VenueSessions
from tests.unit import fake_core
from tests.unit.http_parts import on_uvloop, until

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
encode = msgspec.msgpack.encode


@contextlib.asynccontextmanager
async def serving(**engine: Any) -> AsyncIterator[tuple[Any, Path, VenueSessions]]:
    directory = Path(tempfile.mkdtemp(prefix="ogv"))
    gateway: Any = fake_core.Gateway(**engine)
    durability = Durability(gateway, lambda end: None)
    durability.open()
    venues = VenueSessions(gateway, durability, lambda ids: None, lambda end: None)
    venues.open(directory / "venue.sock")
    try:
        yield gateway, directory / "venue.sock", venues
    finally:
        venues.close()
        shutil.rmtree(directory)


def frame(body: bytes) -> bytes:
    return struct.pack("<I", len(body)) + body


def hello(venue: str = "paper", fold: int = FOLD_VERSION) -> bytes:
    return frame(encode(["HELLO", venue, "PAPER", 77, fold]))


async def dial(path: Path, first: bytes) -> Streams:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(first)
    return reader, writer


async def answer(reader: asyncio.StreamReader) -> Any:
    (length,) = struct.unpack("<I", await reader.readexactly(4))
    return msgspec.msgpack.decode(await reader.readexactly(length))


@on_uvloop
async def test_hello_is_answered_when_the_session_is_durable_then_only_doorbells() -> None:
    async with serving(auto_flush=False) as (gateway, path, _):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        reader, writer = await dial(path, hello())
        await until(lambda: gateway.last_seq == 1)
        gateway.append("ANY")
        gateway.flush(0)  # a flush that does not cover the session: neither HELLO nor a doorbell
        await asyncio.sleep(0.05)
        assert not reader._buffer  # type: ignore[attr-defined]
        gateway.flush(1)
        assert await answer(reader) == ["HELLO", 1, 1]
        gateway.flush()
        assert await reader.readexactly(1) == b"\x01"
        writer.close()
        await until(lambda: gateway.closed_sessions == [1])


@on_uvloop
async def test_frames_go_to_the_engine_whole_however_they_arrive() -> None:
    async with serving() as (gateway, path, _):
        reader, writer = await dial(path, hello())
        await answer(reader)
        for byte in frame(b"one"):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        writer.write(frame(b"two") + frame(b"x" * 1_000_000) + frame(b"three")[:5])
        await until(lambda: len(gateway.frames) == 3)
        writer.write(frame(b"three")[5:])
        await until(lambda: len(gateway.frames) == 4)
        assert [body[:5] for _, body in gateway.frames] == [b"one", b"two", b"xxxxx", b"three"]
        writer.close()


@on_uvloop
async def test_a_new_session_ends_the_old_and_keeps_what_that_had_sent() -> None:
    async with serving() as (gateway, path, _):
        first, old = await dial(path, hello())
        assert await answer(first) == ["HELLO", 1, 1]
        os.write(old.get_extra_info("socket").fileno(), frame(b"late"))
        second, new = await dial(path, hello())
        assert await answer(second) == ["HELLO", 2, 2]
        assert gateway.frames == [(1, b"late")]
        assert gateway.closed_sessions == [1]
        await first.read()  # it was shut down
        with contextlib.suppress(OSError):
            old.write(frame(b"too late"))
            await old.drain()
        new.write(frame(b"ours"))
        await until(lambda: (2, b"ours") in gateway.frames)
        assert (1, b"too late") not in gateway.frames
        old.close()
        new.close()


@on_uvloop
async def test_a_peer_that_does_not_read_is_never_waited_for() -> None:
    async with serving() as (_, path, venues):
        reader, writer = await dial(path, hello())
        await answer(reader)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(400_000):
            venues.ring()
        second, new = await dial(path, hello())
        assert await answer(second) == ["HELLO", 2, 2]
        writer.close()
        new.close()


@on_uvloop
async def test_what_is_not_a_venue_is_closed() -> None:
    async with serving() as (gateway, path, _):
        for first in (
            hello(fold=FOLD_VERSION + 1),
            hello("nowhere"),
            frame(encode(["HALLO", "paper", "PAPER", 1, 1])),
            frame(b"\xc1"),
            frame(encode(["HELLO", "paper"])),
            struct.pack("<I", (1 << 20) + 1),
        ):
            reader, writer = await dial(path, first)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        assert gateway.last_seq == 0


@on_uvloop
async def test_a_frame_that_is_not_understood_ends_the_session() -> None:
    async with serving() as (gateway, path, _):
        reader, writer = await dial(path, hello())
        await answer(reader)
        writer.write(frame(b"bad") + frame(b"after"))
        await reader.read()
        assert gateway.frames == [] and gateway.closed_sessions == [1]
        writer.close()


@on_uvloop
async def test_a_silent_venue_is_closed_but_not_for_our_own_lateness() -> None:
    async with serving() as (gateway, path, venues):
        reader, writer = await dial(path, hello())
        await answer(reader)
        with_patch = venue_sessions.SILENCE_SECONDS_MAX
        try:
            venue_sessions.SILENCE_SECONDS_MAX = 0.1  # type: ignore[misc]
            link = venues._current["paper"]
            link.heard -= 10  # the loop stood still, while this arrived:
            os.write(writer.get_extra_info("socket").fileno(), frame(b"beat"))
            venues.check_silence()
            assert gateway.closed_sessions == [] and gateway.frames == [(1, b"beat")]
            await asyncio.sleep(0.15)
            venues.check_silence()
            assert gateway.closed_sessions == [1]
        finally:
            venue_sessions.SILENCE_SECONDS_MAX = with_patch  # type: ignore[misc]
        writer.close()
