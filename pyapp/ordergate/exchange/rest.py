"""REST: from a request's raw bytes to `api.call`, and from its answer to the socket, lost or whole."""

import asyncio
import socket
import struct
from typing import Final
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from ordergate.exchange import api
from ordergate.exchange.methods import ROUTES
from ordergate.exchange.request import Answer, Request
from ordergate.exchange.server import Server
from ordergate.exchange.signatures import split

SERVER: Final = web.AppKey("server", Server)
LONGEST_BODY: Final = 1 << 20
HANG_SECONDS: Final = 3_600


def routes(app: web.Application, server: Server) -> None:
    """Adds every REST path, and 410 for what the exchange has taken away."""
    app[SERVER] = server
    app.router.add_route("*", "/api/v3/userDataStream", gone)
    for prefix in ("/api", "/sapi", "/fapi", "/dapi"):
        app.router.add_route("*", f"{prefix}/{{rest:.*}}", handle)


async def gone(request: web.Request) -> web.Response:
    del request
    return web.json_response({"code": -1000, "msg": "This endpoint is no longer available."}, status=410)


async def handle(http: web.Request) -> web.StreamResponse:
    server = http.app[SERVER]
    method = ROUTES.get((http.method, http.path))
    if method is None:
        return web.Response(status=404, text="<html><body>404 Not found</body></html>", content_type="text/html")
    request = read(http, method.name, await http.read())
    return await deliver(http, await api.call(server, request))


def read(http: web.Request, method: str, body: bytes) -> Request:
    """Parameters and what was signed. A name in query and body both: the query's counts."""
    query = http.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")
    signed_query, first = split(query)
    signed_body, second = split(body)
    signature = first if first is not None else second
    params: dict[str, str] = {}
    repeated = None
    for part in (signed_body, signed_query):
        seen = set()
        for name, value in parse_qsl(part.decode("utf-8", "replace"), keep_blank_values=True):
            repeated = name if name in seen else repeated
            seen.add(name)
            params[name] = value
    return Request(
        method,
        params,
        signed_query + signed_body,
        unquote(signature.decode("ascii", "replace")) if signature else None,
        http.headers.get("X-MBX-APIKEY"),
        http.remote or "",
        verb=http.method,
        path=http.path,
        microseconds=http.headers.get("X-MBX-TIME-UNIT", "").upper() == "MICROSECOND",
        repeated=repeated,
    )


async def deliver(http: web.Request, answer: Answer) -> web.StreamResponse:
    """Writes an answer, or does not, as its delivery says."""
    headers = {**answer.headers, "Content-Type": answer.content_type}
    match answer.delivery:
        case "hang":
            await asyncio.sleep(HANG_SECONDS)
        case "half":
            response = web.StreamResponse(status=answer.status, headers=headers)
            response.content_length = len(answer.raw)
            await response.prepare(http)
            await response.write(answer.raw[: len(answer.raw) // 2])
            _close(http)
            return response
        case "send":
            return web.Response(status=answer.status, body=answer.raw, headers=headers)
    _close(http, reset=answer.delivery == "reset")
    return web.Response(status=500)


def _close(http: web.Request, *, reset: bool = False) -> None:
    transport = http.transport
    if transport is None:
        return
    if reset:
        found = transport.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
