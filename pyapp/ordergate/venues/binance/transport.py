"""The bytes to and from the exchange: ccxt builds and signs the request, we carry it and keep everything of the answer.

ccxt's own reading of answers is not used: it takes a truncated 200 for an order without id, and its exceptions do not
tell `not placed` from `unknown`. Nothing here repeats a request, follows a redirect, uses a proxy, or speaks to a host
that is not listed.
"""

import errno
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from ccxt.async_support.binance import binance

from ordergate.venues.binance import answer
from ordergate.venues.binance.answer import Answer

BODY_MAX: Final = 8 << 20
"""Bytes. More is no answer that we asked for."""
ERROR_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class UrlSet:
    """Where the exchange is, and which hosts may be spoken to at all."""

    rest: str
    ws_api: str
    stream: str
    allowed_hosts: frozenset[str]


class ListedHosts(AbstractResolver):
    """Looks up allowed hosts only: the last door, whoever asks."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(allowed)
        self._names = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host not in self._allowed:
            raise OSError(errno.EACCES, f"{host} is not in binance.allowed_hosts")
        return await self._names.resolve(host, port, family)

    async def close(self) -> None:
        await self._names.close()


def refusal(url: str, allowed: frozenset[str]) -> str | None:
    """Why a URL may not be asked. Addresses are not looked up, so the resolver alone would let them pass."""
    host = urlsplit(url).hostname
    return None if host in allowed else f"HOST_REFUSED: {host} is not in binance.allowed_hosts"


@dataclass(slots=True)
class _Trail:
    """How far a request came. Only a connection that was asked for and never had proves that no byte was written."""

    asked: bool = False
    connected: bool = False

    @property
    def sent(self) -> bool:
        return self.connected or not self.asked


def open_http(allowed: frozenset[str], timeout_ms: int) -> aiohttp.ClientSession:
    """A client that reaches allowed hosts only. Its redirects are switched off at each request."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=ListedHosts(allowed), limit=64),
        timeout=aiohttp.ClientTimeout(total=timeout_ms / 1_000),
        trust_env=False,
        trace_configs=[_traces()],
        headers={"User-Agent": "ordergate"},
    )
    # aiohttp would send a DELETE or PUT a second time when a kept connection turns out to be closed.
    session._retry_connection = False
    return session


def _traces() -> aiohttp.TraceConfig:
    traces = aiohttp.TraceConfig()

    async def asked(_session: object, context: Any, _parameters: object) -> None:
        _trail(context).asked = True

    async def connected(_session: object, context: Any, _parameters: object) -> None:
        _trail(context).connected = True

    traces.on_connection_queued_start.append(asked)
    traces.on_connection_create_start.append(asked)
    traces.on_connection_create_end.append(connected)
    traces.on_connection_reuseconn.append(connected)
    return traces


def _trail(context: Any) -> _Trail:
    trail = context.trace_request_ctx
    assert isinstance(trail, _Trail)
    return trail


async def carry(
    http: aiohttp.ClientSession, url: str, method: str, headers: Mapping[str, str] | None, body: str | None
) -> Answer:
    """One request, once. Raises nothing that the network or the other side can bring about."""
    trail, status, heard = _Trail(), None, dict[str, str]()
    try:
        async with http.request(
            method,
            yarl.URL(url, encoded=True),
            data=body.encode() if body else None,
            headers=headers,
            allow_redirects=False,
            trace_request_ctx=trail,
        ) as response:
            status = response.status
            heard = {name.lower(): value for name, value in response.headers.items()}
            raw = await _whole(response)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        told = f"{type(error).__name__}: {error}"[:ERROR_MAX]
        return Answer(trail.sent, status, headers=heard, error=told)
    return answer.read(status, heard, raw)


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """Its body. Raises ValueError when it is too long."""
    parts, length = [], 0
    async for part in response.content.iter_any():
        length += len(part)
        if length > BODY_MAX:
            raise ValueError(f"more than {BODY_MAX} bytes")
        parts.append(part)
    return b"".join(parts)


class Wire(binance):  # type: ignore[misc]  # ccxt ships no types
    """ccxt's Binance with our own carrying, clock and addresses. What it is asked returns `Answer`."""

    def __init__(self, urls: UrlSet, api_key: str, secret: str, recv_window_ms: int, now_ms: Callable[[], int]) -> None:
        super().__init__(
            {
                "apiKey": api_key,
                "secret": secret,
                "number": str,
                "enableRateLimit": False,
                "maxRetriesOnFailure": 0,
                "options": {
                    "recvWindow": recv_window_ms,
                    "fetchMargins": False,
                    "fetchMarkets": {"types": ["spot"]},
                    "warnOnFetchOpenOrdersWithoutSymbol": False,
                },
            }
        )
        self.has["fetchCurrencies"] = False
        self.urls["api"] = rewritten(self.urls["api"], urls)
        self.allowed = urls.allowed_hosts
        self.now_ms = now_ms
        self.http: aiohttp.ClientSession | None = None

    def nonce(self) -> int:
        return self.now_ms()

    async def fetch(
        self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> Answer:
        why = refusal(url, self.allowed)
        if why is not None:
            return answer.not_sent(why)
        if self.http is None:
            return answer.not_sent("CLOSED: the connection is closed")
        return await carry(self.http, url, method, headers, body)


def rewritten(api: Any, urls: UrlSet) -> Any:
    """ccxt's table of addresses, however deep, with ours in place of each: none of its own is left."""
    if isinstance(api, dict):
        return {name: rewritten(value, urls) for name, value in api.items()}
    if isinstance(api, list):
        return [rewritten(value, urls) for value in api]
    parts = urlsplit(str(api))
    if parts.scheme in ("ws", "wss"):
        return urls.ws_api if "/ws-api/" in parts.path else urls.stream.rstrip("/") + parts.path
    return urls.rest.rstrip("/") + parts.path
