"""The venue's end of run/venue.sock: one connection, one session.

Frames are a u32 length (little-endian) and MessagePack. We say HELLO with our name and fold version, the gateway
answers HELLO with the session and its sequence; after that we send arrays of reports, and it sends single bytes,
doorbells, whose number means nothing. When the socket closes the session is over for good: the process ends.
"""

import asyncio
import fcntl
import os
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import msgspec

from ordergate.venues.reports import Report

FRAME_BYTES: Final = 1 << 20
HELLO_TIMEOUT_S: Final = 5.0
HEARTBEAT_S: Final = 0.5

_LENGTH: Final = struct.Struct("<I")

Work = tuple[object, ...]
"""One item of `Follower.poll_work`: SUBMIT or CANCEL, then its fields."""


class Journal(Protocol):
    """What a venue needs of `_core.Follower`."""

    seq: int

    def now_ns(self) -> int:
        """Journal time."""

    def catch_up(self, seq: int | None = None) -> int:
        """Folds to `commit`; the sequence reached."""

    def committed_seq(self) -> int:
        """The durable sequence."""

    def open_work(self, venue: str, session: int) -> list[Work]:
        """Orders handed over to this session."""

    def poll_work(self, venue: str, session: int, max_records: int) -> list[Work]:
        """What the next records ask this session to do."""

    def instruments(self) -> bytes:
        """JSON list."""


class LinkClosed(Exception):
    """The gateway is not there, or has ended the session."""


@dataclass(slots=True)
class Link:
    """A connected socket and what has been learnt from it."""

    sock: socket.socket
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by doorbells and by the end of the connection."""
    open: bool = True
    beat_s: float = 0.0
    """time.monotonic() of the last heartbeat."""


def hold_lock(path: Path, patience_s: float = 5.0) -> int | None:
    """Takes `path` for this process's life and writes its pid into it; None when another venue holds it.

    Waits a little for a predecessor that is just being killed. The descriptor must stay open.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                return None
            time.sleep(0.05)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor


async def connect(path: Path) -> Link:
    """A connection to the gateway. Raises LinkClosed when nothing listens at `path`."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.setblocking(False)
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            await asyncio.get_running_loop().sock_connect(sock, str(path))
    except (OSError, TimeoutError) as error:
        sock.close()
        raise LinkClosed(f"{path}: {error}") from error
    return Link(sock)


async def greet(link: Link, venue: str, mode: str, fold_version: int) -> tuple[int, int]:
    """Says HELLO: (session, the sequence of its record). From here on doorbells set `link.wake`."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            await loop.sock_sendall(link.sock, frame(["HELLO", venue, mode, os.getpid(), fold_version]))
            (length,) = _LENGTH.unpack(await _exactly(link, _LENGTH.size))
            if length > FRAME_BYTES:
                raise LinkClosed(f"the gateway's HELLO is {length} bytes long")
            word, session, seq = msgspec.msgpack.decode(await _exactly(link, length), type=tuple[str, int, int])
    except (OSError, TimeoutError, msgspec.MsgspecError) as error:
        raise LinkClosed(f"no HELLO from the gateway: {type(error).__name__} {error}") from error
    if word != "HELLO":
        raise LinkClosed(f"the gateway answered {word!r} instead of HELLO")
    loop.add_reader(link.sock, hear_doorbells, link)
    return session, seq


def hear_doorbells(link: Link) -> None:
    """Takes all doorbells that have come; `link.open` tells whether the connection still stands."""
    try:
        while link.open:
            link.open = bool(link.sock.recv(4096))
            link.wake.set()
    except (BlockingIOError, InterruptedError):
        return
    except OSError:
        link.open = False
    link.wake.set()
    asyncio.get_running_loop().remove_reader(link.sock)


async def send(link: Link, reports: list[Report]) -> None:
    """Sends all reports in as few frames as the bound allows, with a heartbeat when one is due; empties the list.

    Raises LinkClosed.
    """
    if time.monotonic() - link.beat_s >= HEARTBEAT_S:
        link.beat_s = time.monotonic()
        reports.append(("HEARTBEAT",))
    if not reports:
        return
    data = b"".join(frames(reports))
    reports.clear()
    try:
        await asyncio.get_running_loop().sock_sendall(link.sock, data)
    except OSError as error:
        link.open = False
        raise LinkClosed(f"the gateway's socket closed: {error}") from error


def close(link: Link) -> None:
    """Ends the connection."""
    asyncio.get_running_loop().remove_reader(link.sock)
    link.open = False
    link.sock.close()


def frame(value: object) -> bytes:
    """One frame."""
    body = msgspec.msgpack.encode(value)
    return _LENGTH.pack(len(body)) + body


def frames(reports: list[Report]) -> list[bytes]:
    """Frames of at most 1 MiB that hold the reports in order."""
    whole = frame(reports)
    if len(whole) - _LENGTH.size <= FRAME_BYTES or len(reports) < 2:
        return [whole]
    middle = len(reports) // 2
    return frames(reports[:middle]) + frames(reports[middle:])


async def _exactly(link: Link, count: int) -> bytes:
    # Byte by byte is enough for one greeting, and never takes a doorbell that follows it.
    data = b""
    while len(data) < count:
        part = await asyncio.get_running_loop().sock_recv(link.sock, count - len(data))
        if not part:
            raise LinkClosed("the gateway closed the connection instead of saying HELLO")
        data += part
    return data
