"""What every WebSocket of the exchange has: a bounded queue of frames, pings, a limited life, and ways to fail.

The dialect's rules: a ping every 20 s, no pong within a minute ends the connection, and so does its 24th hour. A client
that does not read what it asked for is cut, since its queue has a bound.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import WSMsgType, web

GOING_AWAY: Final = 1001
NO_TEXT: Final = 1003
POLICY: Final = 1008
FAILED: Final = 1011
ABORT: Final = 1006
"""No code that is ever sent: the connection ends without a close frame."""
CLOSE_WAIT_S: Final = 1.0
"""How long a client gets to answer a close frame."""
MAX_FRAME_BYTES: Final = 1 << 20
IN_FLIGHT: Final = 64
"""Frames of one connection that may be answered at the same time; the next waits unread."""
CONNECTION_WINDOW_S: Final = 300.0


@dataclass(slots=True)
class Terms:
    """What holds for connections; may be changed while it runs. Times in seconds."""

    ping_every_s: float = 20.0
    pong_within_s: float = 60.0
    life_s: float = 86_400.0
    queued_frames: int = 16_384
    connections: int = 300
    """Per address in five minutes."""


@dataclass(slots=True, eq=False)
class Socket:
    """One connection. Whoever has something to say calls `say`; whoever wants its end calls `end`."""

    number: int
    path: str
    url: str
    """What the client asked for."""
    opened_ms: int
    response: web.WebSocketResponse
    transport: asyncio.Transport | None
    out: asyncio.Queue[str]
    heard_s: float
    accounts: set[str] = field(default_factory=set)
    """Whose user data it gets."""
    deaf: bool = False
    """Half-open: nothing is sent or answered any more, not even a ping."""
    code: int = 1000
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    arrivals: deque[float] = field(default_factory=deque)


@dataclass(slots=True)
class Sockets:
    """All open connections."""

    terms: Terms = field(default_factory=Terms)
    open: dict[int, Socket] = field(default_factory=dict)
    count: int = 0
    connected: dict[str, deque[float]] = field(default_factory=dict)
    answering: set[asyncio.Task[None]] = field(default_factory=set)
    """Frames that are being answered. What has been asked is done, even when nobody is left to hear of it."""
    closing: bool = False
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the end of the last connection, once `closing` is."""


Hearing = Callable[[Socket, str], Awaitable[None]]


def say(socket: Socket, text: str) -> None:
    """Queues one text frame. A client that lets the queue fill is cut."""
    if socket.deaf or socket.ended.is_set():
        return
    try:
        socket.out.put_nowait(text)
    except asyncio.QueueFull:
        end(socket, ABORT)


def end(socket: Socket, code: int) -> None:
    """Ends the connection with a close frame of this code; `ABORT`: without one."""
    if not socket.ended.is_set():
        socket.code = code
        socket.ended.set()


def matching(sockets: Sockets, path: str | None = None, account: str | None = None) -> Iterator[Socket]:
    """The open connections of a path (`ws-api`, `stream`) or of an account's user data; all of them without either."""
    for socket in list(sockets.open.values()):
        if (path is None or socket.path == path) and (account is None or account in socket.accounts):
            yield socket


async def serve(
    sockets: Sockets, request: web.Request, path: str, now_ms: int, per_second: int | None,
    opened: Callable[[Socket], None], hear: Hearing, closed: Callable[[Socket], None],
) -> web.StreamResponse:  # fmt: skip
    """Runs one connection to its end. `hear` answers a text frame; `closed` is called once, whatever ended it.

    `per_second`: incoming frames of any kind that are allowed in a second (None: any number).
    """
    if sockets.closing or not _may_connect(sockets, request.remote or ""):
        return web.Response(status=429, headers={"Retry-After": "60"})
    response = web.WebSocketResponse(
        autoping=False, autoclose=False, compress=False, max_msg_size=MAX_FRAME_BYTES, timeout=CLOSE_WAIT_S
    )
    await response.prepare(request)
    sockets.count += 1
    socket = Socket(
        sockets.count, path, request.path_qs, now_ms, response, request.transport,
        asyncio.Queue(sockets.terms.queued_frames), _now_s(),
    )  # fmt: skip
    sockets.open[socket.number] = socket
    try:
        opened(socket)
        await _until_it_ends(sockets, socket, per_second, hear)
    finally:
        closed(socket)
        await _finish(socket)
        _leave(sockets, socket)
    return response


async def close_all(sockets: Sockets) -> None:
    """Ends every connection as a server that goes away does; no new one is taken."""
    sockets.closing = True
    for socket in matching(sockets):
        end(socket, GOING_AWAY)
    if sockets.open:
        await sockets.empty.wait()


def _leave(sockets: Sockets, socket: Socket) -> None:
    del sockets.open[socket.number]
    if sockets.closing and not sockets.open:
        sockets.empty.set()


def _may_connect(sockets: Sockets, address: str) -> bool:
    now_s, recent = _now_s(), sockets.connected.setdefault(address, deque())
    while recent and recent[0] < now_s - CONNECTION_WINDOW_S:
        recent.popleft()
    if len(recent) >= sockets.terms.connections:
        return False
    recent.append(now_s)
    return True


async def _until_it_ends(sockets: Sockets, socket: Socket, per_second: int | None, hear: Hearing) -> None:
    tasks = [
        asyncio.create_task(part)
        for part in (
            _read(sockets, socket, per_second, hear),
            _write(socket),
            _ping(sockets.terms, socket),
            _live(sockets.terms, socket),
            _ended(socket),
        )
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            # A connection that broke is an ordinary end; a mistake of ours is not.
            with suppress(ConnectionError):
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(sockets: Sockets, socket: Socket, per_second: int | None, hear: Hearing) -> None:
    answering: set[asyncio.Task[None]] = set()
    while True:
        message = await socket.response.receive()
        if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
            break
        if socket.deaf:
            continue
        if per_second is not None and not _within(socket, per_second):
            return end(socket, POLICY)
        if message.type == WSMsgType.PING:
            await socket.response.pong(message.data)
        elif message.type == WSMsgType.PONG:
            socket.heard_s = _now_s()
        elif message.type == WSMsgType.TEXT:
            if len(answering) >= IN_FLIGHT:
                await asyncio.wait(answering, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.ensure_future(_hear(socket, message.data, hear))
            for kept in (answering, sockets.answering):
                kept.add(task)
                task.add_done_callback(kept.discard)
        else:
            return end(socket, NO_TEXT)
    if socket.deaf:
        # Half-open even to the client's close: it is left waiting until it gives up.
        await socket.ended.wait()
    return None


async def _hear(socket: Socket, text: str, hear: Hearing) -> None:
    try:
        await hear(socket, text)
    except asyncio.CancelledError:
        raise
    except Exception:
        end(socket, FAILED)
        raise


async def _write(socket: Socket) -> None:
    while True:
        text = await socket.out.get()
        if socket.deaf:
            continue
        await socket.response.send_str(text)


async def _ping(terms: Terms, socket: Socket) -> None:
    while True:
        await asyncio.sleep(terms.ping_every_s)
        if socket.deaf:
            continue
        if _now_s() - socket.heard_s > terms.pong_within_s:
            return end(socket, ABORT)
        await socket.response.ping(b"%d" % socket.number)


async def _live(terms: Terms, socket: Socket) -> None:
    opened_s = _now_s()
    while True:
        # Looked at again and again, because the terms may become shorter meanwhile.
        left_s = opened_s + terms.life_s - _now_s()
        if left_s <= 0:
            return end(socket, GOING_AWAY)
        if socket.transport is None or socket.transport.is_closing():
            return end(socket, ABORT)
        await asyncio.sleep(min(left_s, 0.25))


async def _ended(socket: Socket) -> None:
    await socket.ended.wait()


async def _finish(socket: Socket) -> None:
    """The close frame, or none."""
    if socket.deaf or (socket.ended.is_set() and socket.code == ABORT):
        if socket.transport is not None:
            socket.transport.abort()
        return
    with suppress(ConnectionError, RuntimeError, TimeoutError):
        async with asyncio.timeout(CLOSE_WAIT_S * 2):
            # What was said before the end was decided still arrives.
            while not socket.out.empty():
                await socket.response.send_str(socket.out.get_nowait())
            await socket.response.close(code=socket.code)


def _within(socket: Socket, per_second: int) -> bool:
    now_s = _now_s()
    while socket.arrivals and socket.arrivals[0] <= now_s - 1.0:
        socket.arrivals.popleft()
    socket.arrivals.append(now_s)
    return len(socket.arrivals) <= per_second


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def shown(chosen: Iterable[Socket]) -> list[dict[str, Any]]:
    """Connections as the control door tells them."""
    return [
        {
            "number": socket.number,
            "path": socket.path,
            "url": socket.url,
            "openedMs": socket.opened_ms,
            "accounts": sorted(socket.accounts),
            "halfOpen": socket.deaf,
            "queued": socket.out.qsize(),
        }
        for socket in chosen
    ]
