"""Where WebSockets come in (`/ws-api/v3`, `/ws`, `/stream`), and how they are made to fail while they run."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from ordergate.exchange import sessions, sockets, streams, ws_api
from ordergate.exchange.server import Server
from ordergate.exchange.sessions import Session
from ordergate.exchange.sockets import ABORT, GOING_AWAY, Socket, Sockets, Terms
from ordergate.exchange.state import Event
from ordergate.exchange.streams import Streams
from ordergate.exchange.ws_frames import compact

DEEDS: Final = ("close", "reset", "half_open", "shutdown", "terminate", "resubscribe", "terms")
TERMS: Final = {
    "pingSeconds": "ping_every_s",
    "pongSeconds": "pong_within_s",
    "lifeSeconds": "life_s",
    "queuedFrames": "queued_frames",
    "connections": "connections",
}
"""Members of a control request → what they change, for connections that are open as well."""


@dataclass(slots=True)
class Doors:
    """All connections of an exchange, and what each of them has asked for."""

    server: Server
    sockets: Sockets
    streams: Streams
    sessions: dict[int, Session] = field(default_factory=dict)


def routes(app: web.Application, server: Server) -> Doors:
    """Adds the paths of WebSockets, which end with the application."""
    config = server.config
    terms = Terms(life_s=config.session_hours * 3600, connections=config.limits.connections)
    open_sockets = Sockets(terms)
    doors = Doors(server, open_sockets, Streams(server, open_sockets))

    async def api(request: web.Request) -> web.StreamResponse:
        return await ws_api.serve(server, open_sockets, doors.sessions, request)

    async def market(request: web.Request) -> web.StreamResponse:
        return await streams.serve(doors.streams, request)

    async def leave(_: web.Application) -> None:
        await sockets.close_all(open_sockets)

    app.router.add_get("/ws-api/v3", api)
    for path in ("/ws", "/ws/{stream:.+}", "/stream"):
        app.router.add_get(path, market)
    app.on_shutdown.append(leave)
    server.hub.ends = server.websockets = _Ends(doors)
    return doors


@dataclass(slots=True)
class _Ends:
    """What the hub and the control door call."""

    doors: Doors

    def at_event(self, action: dict[str, Any], event: Event) -> None:
        """A fault rule ends connections in place of an event, which they do not get any more."""
        path = "stream" if event.account is None else "ws-api"
        _do(self.doors, {**action, "do": action["kind"], "path": path, "account": event.account})

    def on_request(self, tree: dict[str, Any]) -> str | list[dict[str, Any]]:
        """A control request: what is wrong with it, or the connections that it was for, as they were before it."""
        if tree.get("do") not in DEEDS:
            return f"do: one of {', '.join(DEEDS)}"
        if tree.get("path") not in {None, "ws-api", "stream"}:
            return "path: ws-api or stream"
        shown = sockets.shown(_chosen(self.doors, tree))
        _do(self.doors, tree)
        return shown

    def shown(self) -> list[dict[str, Any]]:
        """The open connections."""
        return sockets.shown(sockets.matching(self.doors.sockets))


def _chosen(doors: Doors, tree: dict[str, Any]) -> Iterator[Socket]:
    return sockets.matching(doors.sockets, tree.get("path"), tree.get("account"))


def _do(doors: Doors, tree: dict[str, Any]) -> None:
    if tree["do"] == "terms":
        for member, name in TERMS.items():
            if member in tree:
                setattr(doors.sockets.terms, name, type(getattr(doors.sockets.terms, name))(tree[member]))
        return
    for socket in _chosen(doors, tree):
        _do_to(doors, socket, tree)


def _do_to(doors: Doors, socket: Socket, tree: dict[str, Any]) -> None:
    session = doors.sessions.get(socket.number)
    mine = [] if session is None else list(session.subscriptions.values())
    if session is not None:
        # What came before still arrives.
        for one in mine:
            sessions.say_all(session, one)
    account = tree.get("account")
    match tree["do"]:
        case "close":
            sockets.end(socket, int(tree.get("code", GOING_AWAY)))
        case "reset":
            sockets.end(socket, ABORT)
        case "half_open":
            socket.deaf = True
        case "shutdown":
            told = {"e": "serverShutdown", "E": doors.server.clock.now()}
            sockets.say(socket, compact(told if session is None else {"event": told}))
            if "closeAfterMs" in tree:
                asyncio.get_running_loop().call_later(int(tree["closeAfterMs"]) / 1000, sockets.end, socket, GOING_AWAY)
        case "terminate" | "resubscribe" if session is not None:
            for one in mine:
                if account in {None, one.account} and tree.get("apiKey") in {None, one.api_key}:
                    if tree["do"] == "terminate":
                        sessions.terminate(session, one)
                    else:
                        sessions.add(session, one.account, one.api_key)
