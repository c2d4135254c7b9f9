"""The WS-API: `/ws-api/v3`. Only frames and sessions are its own; every method goes through `api.call` as REST does."""

from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from ordergate.exchange import api, limits, sessions, sockets
from ordergate.exchange.errors import ApiError, bad
from ordergate.exchange.methods import METHODS
from ordergate.exchange.request import Answer, Request
from ordergate.exchange.server import Server
from ordergate.exchange.sessions import Session
from ordergate.exchange.sockets import ABORT, Socket, Sockets, end, say
from ordergate.exchange.ws_frames import Frame, answer, payload, read

CONNECTING_COSTS: Final = 2
"""Request weight."""
NO_METHOD: Final = bad(-1020, "This operation is not supported.")


async def serve(
    server: Server, open_sockets: Sockets, table: dict[int, Session], http: web.Request
) -> web.StreamResponse:
    """One connection. `table`: the session of each open connection, by the number of its socket."""
    address = http.remote or ""
    server.counters.address(address).weight.add(CONNECTING_COSTS, server.clock.now())
    wanted = http.query.get("timeUnit", "").upper() == "MICROSECOND"

    def opened(socket: Socket) -> None:
        table[socket.number] = Session(server, socket, api.in_microseconds if wanted else None)

    async def hear(socket: Socket, text: str) -> None:
        session = table.get(socket.number)
        # None: it came with the end of its connection.
        if session is not None:
            await _hear(server, session, address, text)

    def closed(socket: Socket) -> None:
        session = table.pop(socket.number)
        for one in list(session.subscriptions.values()):
            sessions.drop(session, one)

    return await sockets.serve(open_sockets, http, "ws-api", server.clock.now(), None, opened, hear, closed)


async def _hear(server: Server, session: Session, address: str, text: str) -> None:
    frame = read(text)
    if isinstance(frame, tuple):
        return say(session.socket, _refusal(server, address, *frame))
    method = METHODS.get(frame.method)
    if method is None or method.name.startswith(("GET ", "POST ")):
        return say(session.socket, _refusal(server, address, frame.id, NO_METHOD))
    request = _request(session, frame, address)
    _deliver(server, session, frame, request, await api.call(server, request))
    return None


def _request(session: Session, frame: Frame, address: str) -> Request:
    params = frame.params
    ad_hoc = "apiKey" in params or session.api_key is None
    return Request(
        frame.method,
        params,
        payload(params),
        params.get("signature"),
        params.get("apiKey") if ad_hoc else session.api_key,
        address,
        transport="WS",
        logged_on=not ad_hoc,
        microseconds=session.microseconds is not None,
        session=session,
    )


def _deliver(server: Server, session: Session, frame: Frame, request: Request, told: Answer) -> None:
    """Says an answer, or does not, as its delivery says."""
    if told.garbled:
        text = told.raw.decode("utf-8", "replace")
    else:
        block = _limits(server, request.address, request) if frame.rate_limits else None
        body = _error(server, told) if told.error else told.body
        text = answer(frame.id, told.status, body, block)
    match told.delivery:
        case "send":
            say(session.socket, text)
        case "half":
            say(session.socket, text[: len(text) // 2])
            end(session.socket, ABORT)
        case "close":
            end(session.socket, sockets.GOING_AWAY)
        case "reset":
            end(session.socket, ABORT)
        case _:
            # Hangs: nothing is ever said.
            pass


def _error(server: Server, told: Answer) -> dict[str, Any]:
    """The error of an answer; with when to come back, where the exchange says it."""
    assert told.error is not None
    if told.retry_after is None:
        return told.error.body()
    now = server.clock.now()
    return replace(told.error, data={"serverTime": now, "retryAfter": now + told.retry_after * 1000}).body()


def _refusal(server: Server, address: str, name: str, error: ApiError) -> str:
    return answer(name, error.status, error.body(), _limits(server, address, None))


def _limits(server: Server, address: str, request: Request | None) -> list[dict[str, Any]]:
    """The block of rate limits: unfilled orders only where the request could add to them."""
    places = request is not None and METHODS[request.method].places
    account = request.account if request is not None and places else None
    return limits.rate_limits(server.counters, address, account, server.clock.now())
