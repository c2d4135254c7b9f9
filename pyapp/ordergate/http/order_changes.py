"""Handlers that change orders which are there: new terms for one, and a cancel of all in a symbol."""

from typing import Final

from ordergate.http import problem
from ordergate.http.body import Bodies
from ordergate.http.deps import Deps, Request
from ordergate.http.orders import JSON, KILL_READING_SECONDS_MAX, REPLAYED, is_json, one_key, past, refuse
from ordergate.http.problem import Reply

_ENDED: Final = frozenset({"already_filled", "already_ended", "not_replaceable"})


async def replace(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """PATCH /api/v1/orders/{id}: 202 with the order as it stands, once that is durable."""
    get = request.headers.get
    media_type = get("content-type")
    if media_type is not None and not is_json(media_type):
        return problem.reply("unsupported_media_type", request.id, f"Content-Type is {media_type[:100]!r}.")
    authorization = get("authorization")
    if authorization is None:
        return problem.reply("unauthorized", request.id, headers=[problem.CLOSE])
    body = await bodies.read(request.headers, request.proto)
    if isinstance(body, tuple):
        return problem.reply(body[0], request.id, body[1])
    key = one_key(request.headers.get_all("idempotency-key"), request.headers)
    newest = deps.newest_seq
    answer = deps.gateway.replace(authorization, key, request.segment, body, request.peer)
    if not isinstance(answer, tuple) and answer.code == "kill_switch_stale":
        await deps.next_kill_reading(KILL_READING_SECONDS_MAX)
        newest = deps.newest_seq
        answer = deps.gateway.replace(authorization, key, request.segment, body, request.peer)
    if not isinstance(answer, tuple):
        if answer.code == "order_left":
            # It has ended, whatever became of it; somebody else's is not told apart from none.
            reply = await past(deps, request, deps.gateway.past_cancel)
            return problem.reply("already_ended", request.id) if reply[0] == 200 else reply
        if answer.code in _ENDED:
            # The refusal tells a fact: none is shown before it is durable.
            await deps.durability.wait(deps.gateway.last_seq)
        return refuse(answer, request.id)
    status, seq, payload = answer
    replayed = seq <= newest
    if not replayed:
        deps.newest_seq = seq
    if seq > deps.durability.durable:
        await deps.durability.wait(seq)
    headers = [JSON, ("x-request-id", request.id)]
    if replayed:
        headers.append(REPLAYED)
    return status, headers, payload


async def cancel_symbol(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """DELETE /api/v1/orders?symbol=: 202 with the orders that were open."""
    symbol = request.query.get("symbol")
    wrong = next((name for name in request.query if name != "symbol"), None)
    if symbol is None or wrong is not None:
        name = "symbol" if wrong is None else wrong
        detail = "The symbol must be named." if wrong is None else f"Unknown query parameter {wrong!r}."
        return problem.reply("invalid_parameter", request.id, detail, errors=[(name, detail)])
    answer = deps.gateway.cancel_all(request.headers.get("authorization"), symbol, request.peer)
    if not isinstance(answer, tuple):
        return refuse(answer, request.id)
    status, seq, payload = answer
    if seq > deps.durability.durable:
        await deps.durability.wait(seq)
    return status, [JSON, ("x-request-id", request.id)], payload
