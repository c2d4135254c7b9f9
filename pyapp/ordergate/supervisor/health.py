"""Asks the gateway how it is, over plain HTTP: ready, not ready, or silent."""

import asyncio
import json
from typing import Any, Final

import msgspec

from ordergate.supervisor.table import LIVE_VENUE


class Health(msgspec.Struct, frozen=True):
    """One answer of `/api/v1/health`. `document` is empty when it was not JSON."""

    status: int
    document: dict[str, Any]

    @property
    def ready(self) -> bool:
        """Orders are taken: HTTP, journal and PAPER work."""
        return self.status == 200 and self.document.get("ready") is True


async def ask(host: str, port: int, timeout_s: float = 2.0) -> Health | None:
    """One question; None when there was no answer in time."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(reached_at(host), port)
            try:
                writer.write(f"GET /api/v1/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                answer = await reader.read(65_536)
                while chunk := await reader.read(65_536):
                    answer += chunk
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        return None
    if b"transfer-encoding: chunked" in head.lower():
        body = _joined(body)
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    return Health(int(words[1]), document if isinstance(document, dict) else {})


def reached_at(host: str) -> str:
    """Where a server that listens on this host is asked from here."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


LOST: Final = {"venue": "PAPER", LIVE_VENUE: "LIVE: no venue is connected"}
"""Child -> how the reason begins by which the gateway says that it has no session with it."""


def lost_venue(health: Health, name: str) -> bool:
    """Whether the gateway has no session with this venue (it ends one that is silent for 3 s)."""
    reasons = health.document.get("reasons")
    return isinstance(reasons, list) and any(str(reason).startswith(LOST[name]) for reason in reasons)


def _joined(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        whole, body = whole + rest[:length], rest[length + 2 :]
        if length == 0:
            break
    return whole
