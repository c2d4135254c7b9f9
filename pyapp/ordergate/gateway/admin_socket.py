"""`run/admin.sock`: one JSON line in, one JSON line out, for the CLI on this machine (mode 0600, our user or root)."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from ordergate import _core
from ordergate.gateway import administration
from ordergate.gateway.durability import Durability
from ordergate.gateway.unix_socket import listen, peer_is_ours

LINE_BYTES_MAX: Final = 1 << 20
IDLE_SECONDS_MAX: Final = 60.0
CONNECTIONS_MAX: Final = 32
_log = logging.getLogger("ordergate.admin")

Json = dict[str, Any]
LiveVerb = Callable[[Json], Awaitable[Json]]
"""A verb that needs more of the running gateway than its engine."""


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    verb: str
    args: dict[str, Any] = {}


_decode = msgspec.json.Decoder(_Line).decode


class AdminSocket:
    """Serves the verbs of `administration`; answers when what they journaled is durable."""

    def __init__(
        self,
        gateway: _core.Gateway,
        durability: Durability,
        live: Mapping[str, LiveVerb],
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._gateway = gateway
        self._durability = durability
        self._live = live
        self._fatal = fatal
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def open(self, path: Path) -> None:
        """Starts listening at `path`."""
        self._server = await asyncio.start_unix_server(self._serve, sock=listen(path), limit=LINE_BYTES_MAX)

    def close(self) -> None:
        """Stops listening and drops the connections."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._connections):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        if len(self._connections) >= CONNECTIONS_MAX or not peer_is_ours(connection):
            writer.close()
            return
        self._connections.add(writer)
        try:
            while True:
                line = await asyncio.wait_for(reader.readline(), IDLE_SECONDS_MAX)
                if not line:
                    return
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await asyncio.wait_for(writer.drain(), IDLE_SECONDS_MAX)
        except (TimeoutError, ValueError, ConnectionError):
            return  # idle, a line over 1 MiB, or gone
        finally:
            self._connections.discard(writer)
            with contextlib.suppress(Exception):
                writer.close()

    async def _answer(self, line: bytes) -> Json:
        try:
            request = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as invalid:
            return administration.error("malformed_json", str(invalid))
        try:
            live = self._live.get(request.verb)
            if live is not None:
                return await live(request.args)
            before = self._gateway.last_seq
            answer = administration.execute(self._gateway, request.verb, request.args)
            if self._gateway.last_seq > before:
                _log.info("%s", request.verb)
                await self._durability.wait(self._gateway.last_seq)
            return answer
        except (_core.JournalFailed, _core.EnginePoisoned) as end:
            self._fatal(end)
            raise
        except Exception as unexpected:
            _log.exception("verb %s failed", request.verb)
            return administration.error("internal_error", str(unexpected))
