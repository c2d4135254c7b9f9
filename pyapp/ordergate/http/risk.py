"""Handlers that explain risk: what it would say of an order, what is left of the limits, why it decided as it did."""

from typing import Final

from ordergate.http import problem
from ordergate.http.body import Bodies
from ordergate.http.deps import Deps, Request
from ordergate.http.orders import JSON, READ_SECONDS_MAX, read, refuse, settle
from ordergate.http.problem import Reply
from ordergate.persistence.past_orders import HistoryUnavailable

HEADROOM_PARAMETERS: Final = frozenset({"symbol"})
_ELSEWHERE: Final = frozenset({"order_left", "answer_unreadable"})


async def preview(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """POST /api/v1/risk/preview: every check on this order, and nothing done. Needs no Idempotency-Key."""
    authorization = request.headers.get("authorization")
    if authorization is None:
        return problem.reply("unauthorized", request.id, headers=[problem.CLOSE])
    body = await bodies.read(request.headers, request.proto)
    if isinstance(body, tuple):
        return problem.reply(body[0], request.id, body[1])
    return await read(deps, request, deps.gateway.preview(authorization, body, request.peer))


async def headroom(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/risk/headroom?symbol=: what is used and left of every limit that binds an order of the symbol."""
    symbol = request.query.get("symbol")
    if symbol is None:
        wrong = ("symbol", "is required")
        return problem.reply("invalid_parameter", request.id, "symbol is required", errors=[wrong])
    return await read(deps, request, deps.gateway.headroom(request.headers.get("authorization"), symbol, request.peer))


async def decision(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/orders/{id}/decision: the figures that decided, as the journal has them."""
    authorization = request.headers.get("authorization")
    answer = deps.gateway.decision(authorization, request.segment, request.peer)
    if isinstance(answer, tuple) and answer[1] > deps.durability.durable:
        # The record is its own place in the journal: it can be read once it is there.
        if not await settle(deps, answer[1], READ_SECONDS_MAX):
            return problem.reply("flush_stalled", request.id)
        answer = deps.gateway.decision(authorization, request.segment, request.peer)
    if not isinstance(answer, tuple) and answer.code in _ELSEWHERE:
        return await _past_decision(deps, request)
    return await read(deps, request, answer)


async def _past_decision(deps: Deps, request: Request) -> Reply:
    """The decision on an order that has left memory or the journal, from the audit trail in Postgres."""
    asker = deps.gateway.caller_of(request.headers.get("authorization"), "read", request.peer)
    if not isinstance(asker, tuple):
        return refuse(asker, request.id)
    try:
        found = await deps.past_orders.decision(int(request.segment), asker[0])
    except HistoryUnavailable as unavailable:
        why = f"The decision on order {request.segment} has left the journal: {unavailable}."
        return problem.reply("history_unavailable", request.id, why)
    if found is None:
        return problem.reply("not_found", request.id)
    return 200, [JSON, ("x-request-id", request.id), problem.NO_STORE], found
