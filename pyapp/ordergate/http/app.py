"""The RSGI application: routing, request ids, load shedding. One coroutine per request, no task, no timer."""

import itertools
import logging
import os
import re
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qsl

from ordergate import _core
from ordergate.http import account, doubts, health, kill, order_changes, orders, problem, risk, risk_limits, strategies
from ordergate.http.body import Bodies
from ordergate.http.deps import Deps, HttpProtocol, Request, Scope
from ordergate.http.problem import Reply

IN_FLIGHT_MAX: Final = 10_000
"""Requests beyond it are shed with 503 `overloaded`."""
CANCELS_IN_FLIGHT_MAX: Final = 2 * IN_FLIGHT_MAX
"""The bound for cancels: when everybody is shed, getting out of the market must still work."""

Handler = Callable[[Deps, Bodies, Request], Awaitable[Reply]]
Route = tuple[dict[str, Handler], frozenset[str]]
"""Handlers by method, and the query parameters that GET and DELETE know."""

_NO_QUERY: Final[frozenset[str]] = frozenset()
STATIC: Final[dict[str, Route]] = {
    "/api/v1/orders": (
        {"DELETE": order_changes.cancel_symbol, "POST": orders.place, "GET": orders.page},
        orders.PAGE_PARAMETERS,
    ),
    "/api/v1/doubts": ({"GET": doubts.show}, _NO_QUERY),
    "/api/v1/reconciliations": ({"GET": doubts.reconciliations}, doubts.PAGE_PARAMETERS),
    "/api/v1/portfolio": ({"GET": account.portfolio}, _NO_QUERY),
    "/api/v1/kill": ({"GET": kill.show, "POST": kill.stop, "DELETE": kill.clear}, kill.QUERY),
    "/api/v1/heartbeat": ({"POST": kill.heartbeat}, _NO_QUERY),
    "/api/v1/risk/limits": ({"GET": risk_limits.show, "POST": risk_limits.change}, _NO_QUERY),
    "/api/v1/risk/limits/history": ({"GET": risk_limits.history}, risk_limits.HISTORY_PARAMETERS),
    "/api/v1/risk/state": ({"GET": risk_limits.state}, _NO_QUERY),
    "/api/v1/risk/requests": ({"GET": risk_limits.requests}, _NO_QUERY),
    "/api/v1/risk/overrides": ({"POST": risk_limits.override}, _NO_QUERY),
    "/api/v1/strategies": ({"GET": strategies.show, "POST": strategies.create}, _NO_QUERY),
    "/api/v1/risk/preview": ({"POST": risk.preview}, _NO_QUERY),
    "/api/v1/risk/headroom": ({"GET": risk.headroom}, risk.HEADROOM_PARAMETERS),
    "/api/v1/health": ({"GET": health.health}, _NO_QUERY),
    "/metrics": ({"GET": health.metrics}, _NO_QUERY),
    "/openapi.json": ({"GET": health.openapi_document}, _NO_QUERY),
}
# One dynamic segment: what stands before it -> route.
DYNAMIC: Final[dict[str, Route]] = {
    "/api/v1/orders": ({"GET": orders.show, "DELETE": orders.cancel, "PATCH": order_changes.replace}, _NO_QUERY),
}
# One dynamic segment with a verb or a part behind it: (what stands before, what stands after) -> route.
NESTED: Final[dict[tuple[str, str], Route]] = {
    ("/api/v1/risk/requests", "approve"): ({"POST": risk_limits.approve}, _NO_QUERY),
    ("/api/v1/risk/requests", "reject"): ({"POST": risk_limits.reject}, _NO_QUERY),
    ("/api/v1/strategies", "start"): ({"POST": strategies.start}, _NO_QUERY),
    ("/api/v1/strategies", "stop"): ({"POST": strategies.stop}, _NO_QUERY),
    ("/api/v1/orders", "decision"): ({"GET": risk.decision}, _NO_QUERY),
}
# Answered whatever the load, and while stopping.
_ALWAYS: Final = frozenset({"/api/v1/health", "/metrics"})
_sane_request_id = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
_EMPTY: Final[dict[str, str]] = {}
_log = logging.getLogger("ordergate.http")


class App:
    """Made by the gateway process with its Deps; granian calls `__rsgi__`."""

    __slots__ = ("_bodies", "_cancel_limit", "_counter", "_deps", "_id_prefix", "_limit", "in_flight", "shed")

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._bodies = Bodies(deps.client_left)
        # Unique across restarts, and nearly free: eight random characters once, then a counter.
        self._id_prefix = os.urandom(4).hex() + "-"
        self._counter = itertools.count(1)
        self._limit = IN_FLIGHT_MAX
        self._cancel_limit = CANCELS_IN_FLIGHT_MAX
        self.in_flight = 0
        self.shed = 0
        deps.load = lambda: (self.in_flight, self.shed)

    async def __rsgi__(self, scope: Scope, proto: HttpProtocol) -> None:
        headers = scope.headers
        request_id = headers.get("x-request-id")
        if request_id is None or _sane_request_id(request_id) is None:
            request_id = self._id_prefix + str(next(self._counter))
        path = scope.path
        if self.in_flight >= self._limit and path not in _ALWAYS and self._sheds(scope.method):
            self.shed += 1
            code = "shutting_down" if self._deps.stopping else "overloaded"
            proto.response_bytes(*problem.reply(code, request_id))
            return
        self.in_flight += 1
        try:
            segment = ""
            route = STATIC.get(path)
            if route is None:
                head, _, segment = path.rpartition("/")
                route = DYNAMIC.get(head) if segment else None
                if route is None and segment:
                    tail = segment
                    head, _, segment = head.rpartition("/")
                    route = NESTED.get((head, tail)) if segment else None
            if route is None:
                reply = problem.reply("not_found", request_id, f"There is no {path[:200]}.")
            elif (handler := route[0].get(scope.method)) is None:
                reply = problem.reply("method_not_allowed", request_id, headers=[("allow", ", ".join(route[0]))])
            else:
                text = scope.query_string
                query = parse_query(text, _NO_QUERY if scope.method == "POST" else route[1]) if text else _EMPTY
                if isinstance(query, dict):
                    reply = await handler(
                        self._deps, self._bodies, Request(headers, proto, request_id, segment, query, scope.client)
                    )
                else:
                    reply = problem.reply("invalid_parameter", request_id, query[1], errors=[query])
            proto.response_bytes(*reply)
        except self._deps.client_left:
            pass
        except (_core.JournalFailed, _core.EnginePoisoned) as end:
            self._deps.fatal(end)
        except Exception:
            _log.exception("request %s failed", request_id)
            proto.response_bytes(*problem.reply("internal_error", request_id))
        finally:
            self.in_flight -= 1

    def _sheds(self, method: str) -> bool:
        """Whether a request is shed, now that the ordinary bound is reached."""
        return method != "DELETE" or self.in_flight >= self._cancel_limit

    def sweep(self, now: float) -> None:
        """Once a second, with monotonic seconds: ends bodies that take too long."""
        self._bodies.sweep(now)

    def stop(self) -> None:
        """From now on every new request is refused with 503 `shutting_down`; half-read bodies end at once."""
        self._limit = self._cancel_limit = 0
        self._deps.stopping = True
        self._bodies.end_all()


def parse_query(text: str, known: frozenset[str]) -> dict[str, str] | tuple[str, str]:
    """The parameters, or (name, what is wrong): unknown, repeated and malformed ones are refused."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=16, errors="strict")
    except ValueError:
        return "query", "The query string is malformed."
    query: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            return name[:64], f"Unknown query parameter {name[:64]!r}."
        if name in query:
            return name, f"Query parameter {name!r} is given twice."
        query[name] = value
    return query
