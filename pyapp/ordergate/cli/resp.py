"""The Redis protocol (RESP2) as far as a command line needs it: unlike client libraries, it keeps apart the status OK
and the string "OK", and it starts in milliseconds, which counts in an emergency."""

import socket
import ssl
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

TIMEOUT_S: Final = 5.0


class Status(msgspec.Struct, frozen=True):
    """A simple string, like OK."""

    text: bytes


class Failure(msgspec.Struct, frozen=True):
    """An error reply."""

    text: bytes


Reply = Status | Failure | int | bytes | None | list["Reply"]


class Unreachable(Exception):
    """No server, or it ended in between; the message says which."""


class Link:
    """One connection. Requests and replies alternate."""

    def __init__(self, url: str, database: int | None = None) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        self.place = unquote(parts.path) if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
        try:
            if parts.scheme == "unix":
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self._socket.settimeout(TIMEOUT_S)
                self._socket.connect(self.place)
            else:
                address = (parts.hostname or "127.0.0.1", parts.port or 6379)
                self._socket = socket.create_connection(address, TIMEOUT_S)
                if parts.scheme == "rediss":
                    self._socket = ssl.create_default_context().wrap_socket(
                        self._socket, server_hostname=parts.hostname
                    )
        except OSError as error:
            raise Unreachable(f"Could not connect to Redis at {self.place}: {error.strerror or error}") from error
        self._file = self._socket.makefile("rb")
        named = query.get("db", [parts.path.lstrip("/") if parts.scheme != "unix" else ""])[-1]
        if parts.password:
            user = [unquote(parts.username)] if parts.username else []
            self._prepare("AUTH", *user, unquote(parts.password))
        wanted = database if database is not None else int(named or 0)
        self.database = wanted
        if wanted:
            self._prepare("SELECT", str(wanted))

    def _prepare(self, *words: str) -> None:
        reply = self.ask([word.encode() for word in words])
        if isinstance(reply, Failure):
            raise Unreachable(f"{self.place} refuses {words[0]}: {reply.text.decode(errors='replace')}")

    def ask(self, words: list[bytes]) -> Reply:
        """Sends one command; its reply."""
        parts = [b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)]
        try:
            self._socket.sendall(b"".join(parts))
        except OSError as error:
            raise Unreachable(f"{self.place}: {error.strerror or error}") from error
        return self.listen()

    def wait_for_ever(self) -> None:
        """For commands that answer when they please."""
        self._socket.settimeout(None)

    def listen(self) -> Reply:
        """The next reply."""
        try:
            return self._reply()
        except (OSError, ValueError) as error:
            raise Unreachable(f"{self.place}: {error}") from error

    def _reply(self) -> Reply:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise Unreachable(f"{self.place}: the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return Status(rest)
        if kind == b"-":
            return Failure(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if int(rest) < 0:
                return None
            text = self._file.read(int(rest) + 2)
            return text[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self._reply() for _ in range(int(rest))]
        raise Unreachable(f"{self.place}: not a Redis server")
