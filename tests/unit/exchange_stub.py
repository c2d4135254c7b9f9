"""An exchange that says what a test wants, byte for byte, and keeps every request it got."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

HANG = b"hang"
"""Instead of an answer: nothing comes."""


@dataclass
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(self.query + "&" + self.body, keep_blank_values=True))


@dataclass
class Stub:
    """`answers`: path -> what to send back; a function is asked anew each time; b"" closes without a word."""

    port: int = 0
    answers: dict[str, bytes | Callable[[Request], bytes]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    close_after: int | None = None
    """Close a connection silently after so many answers, though it was to be kept."""

    def to(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path.endswith(path)]


def http(status: int, body: Any, headers: dict[str, str] | None = None) -> bytes:
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    lines = {"Content-Type": "application/json", "Content-Length": str(len(raw))} | (headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + raw


@asynccontextmanager
async def exchange(**answers: bytes | Callable[[Request], bytes]) -> AsyncIterator[Stub]:
    """Serves on a free loopback port; `order=…` answers every path that ends with /order."""
    stub = Stub(answers=dict(answers))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count = 0
        try:
            while stub.close_after is None or count < stub.close_after:
                request = await _request(reader)
                stub.requests.append(request)
                said = stub.answers.get(request.path.rpartition("/")[2], http(404, "no"))
                raw = said(request) if callable(said) else said
                if raw == HANG:
                    await asyncio.sleep(3_600)
                writer.write(raw)
                await writer.drain()
                count += 1
                if raw == b"" or b"Content-Length" not in raw:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    stub.port = server.sockets[0].getsockname()[1]
    try:
        yield stub
    finally:
        server.close()


async def _request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Request(method, parts.path, parts.query, headers, body.decode())
