"""The gateway's side of `run/venue.sock`: one session per venue, reports in, doorbells out (PROTOCOLS §3).

Plain non-blocking sockets on purpose: ending a session, reading what it had sent and journaling the next one happen in
one turn of the loop, so that no report can slip in between.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from ordergate import _core
from ordergate.gateway.durability import Durability
from ordergate.gateway.unix_socket import listen, peer_is_ours

FRAME_BYTES_MAX: Final = 1 << 20
SILENCE_SECONDS_MAX: Final = 3.0
LINKS_MAX: Final = 32
"""Connections, venues and those that have not said HELLO yet; the rest is closed at once."""
_READ_BYTES: Final = 256 * 1024
_LENGTH: Final = struct.Struct("<I")
_DOORBELL: Final = b"\x01"
_log = logging.getLogger("ordergate.venues")

Hello = tuple[str, str, str, int, int]
_decode_hello = msgspec.msgpack.Decoder(Hello).decode
_encode = msgspec.msgpack.Encoder().encode


@dataclass(slots=True, eq=False)
class Link:
    """One connection of a venue process."""

    sock: socket.socket
    heard: float
    buffer: bytearray = field(default_factory=bytearray)
    venue: str = ""
    session: int = 0
    answered: bool = False
    """HELLO was answered: only doorbells are sent from now on."""
    ending: bool = False
    """Shut down: what it had sent is still being applied."""
    open: bool = True


class VenueSessions:
    """Accepts venues; `changed` gets the ids of orders that their reports changed."""

    def __init__(
        self,
        gateway: _core.Gateway,
        durability: Durability,
        changed: Callable[[Iterable[int]], None],
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._gateway = gateway
        self._durability = durability
        self._changed = changed
        self._fatal = fatal
        self._loop = asyncio.get_running_loop()
        self._links: set[Link] = set()
        self._current: dict[str, Link] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        durability.on_flush(self.ring)

    def open(self, path: Path) -> None:
        """Starts listening at `path`."""
        self._listener = listen(path)
        self._loop.add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Ends every session; what venues had sent before is still applied."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
        for link in list(self._links):
            self._end(link, "the gateway stops")

    def ring(self) -> None:
        """One byte to every venue: something is durable. Dropped when the socket is full, which means the same."""
        for link in self._current.values():
            if link.answered:
                try:
                    link.sock.send(_DOORBELL)
                except OSError:
                    continue  # full, or about to be read as closed

    def check_silence(self) -> None:
        """Closes links that sent nothing for 3 s. Called often; a late call proves nothing, so it reads first."""
        now = self._loop.time()
        for link in list(self._links):
            if now - link.heard > SILENCE_SECONDS_MAX:
                self._readable(link)
                if link.open and self._loop.time() - link.heard > SILENCE_SECONDS_MAX:
                    self._end(link, "silent for 3 s")

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # nobody left, or the peer has gone again
            sock.setblocking(False)
            if len(self._links) >= LINKS_MAX or not peer_is_ours(sock):
                sock.close()
                continue
            link = Link(sock, self._loop.time())
            self._links.add(link)
            self._loop.add_reader(sock, self._readable, link)

    def _readable(self, link: Link) -> None:
        """Reads at most 256 KiB, so that one venue cannot hold up the others and the acknowledgements."""
        if link.ending:
            return
        try:
            data = link.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(link, str(error))
            return
        if not data:
            self._end(link, "closed by the venue")
            return
        self._take(link, data)

    def _take(self, link: Link, data: bytes) -> None:
        link.heard = self._loop.time()
        buffer = link.buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH.size and link.open:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > FRAME_BYTES_MAX:
                self._end(link, f"a frame of {length} bytes")
                return
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            if not self._frame(link, bytes(buffer[start + _LENGTH.size : end])):
                return
            start = end
        del buffer[:start]

    def _frame(self, link: Link, frame: bytes) -> bool:
        """Applies one frame; False when nothing after it can be used."""
        try:
            if link.session == 0:
                self._hello(link, _decode_hello(frame))
            elif changed := self._gateway.reports(link.session, frame):
                self._changed(changed)
            return link.open
        except (_core.JournalFailed, _core.EnginePoisoned) as end:
            self._fatal(end)
        except (msgspec.MsgspecError, ValueError, TypeError) as error:
            self._end(link, f"not understood: {error}")
        return False

    def _hello(self, link: Link, hello: Hello) -> None:
        word, venue, mode, pid, fold_version = hello
        if word != "HELLO":
            self._end(link, "no HELLO first")
            return
        if fold_version != _core.FOLD_VERSION:
            self._end(link, f"fold version {fold_version}, not {_core.FOLD_VERSION}")
            return
        old = self._current.pop(venue, None)
        if old is not None:
            self._end(old, "another session begins")
        session, seq = self._gateway.open_session(venue, mode, pid)
        link.venue, link.session = venue, session
        self._current[venue] = link
        _log.info("session %d of venue %s (%s, pid %d)", session, venue, mode, pid)
        task = self._loop.create_task(self._answer(link, seq))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, link: Link, seq: int) -> None:
        """HELLO tells the venue where to read on from: only once that is durable."""
        await self._durability.wait(seq)
        if not link.open:
            return
        body = _encode(("HELLO", link.session, seq))
        try:
            sent = link.sock.send(_LENGTH.pack(len(body)) + body)
        except OSError as error:
            self._end(link, str(error))
            return
        if sent != _LENGTH.size + len(body):
            self._end(link, "does not read")
            return
        link.answered = True

    def _end(self, link: Link, why: str) -> None:
        """Ends a link without ever waiting for its peer: what it had sent is applied, what comes later is not."""
        if link.ending:
            return
        link.ending = True
        self._loop.remove_reader(link.sock)
        with contextlib.suppress(OSError):
            link.sock.shutdown(socket.SHUT_RDWR)
        if link.session:
            self._read_rest(link)
        link.open = False
        link.sock.close()
        self._links.discard(link)
        if self._current.get(link.venue) is link:
            del self._current[link.venue]
        if link.session:
            _log.warning("session %d of venue %s ended: %s", link.session, link.venue, why)
            self._gateway.close_session(link.session)
        else:
            _log.warning("a venue connection was refused: %s", why)

    def _read_rest(self, link: Link) -> None:
        """What the kernel still holds: bounded by its buffer, since nothing can arrive after the shutdown."""
        rest = bytearray()
        with contextlib.suppress(OSError):
            while data := link.sock.recv(_READ_BYTES):
                rest += data
        if rest:
            self._take(link, bytes(rest))
