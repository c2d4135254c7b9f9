"""Handlers under /api/v1/orders. Placing an order is the hot path: one crossing, one future, no task."""

import asyncio
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import msgspec

from ordergate import _core
from ordergate.http import problem
from ordergate.http.body import Bodies
from ordergate.http.deps import Answer, Deps, Headers, Request
from ordergate.http.problem import Reply
from ordergate.persistence.past_orders import HistoryUnavailable

ShowPast = Callable[[str | None, bytes, int | None], Answer | _core.Refusal]
JSON: Final = ("content-type", "application/json")
REPLAYED: Final = ("idempotency-replayed", "true")
PAGE_PARAMETERS: Final = frozenset({"cursor", "limit", "symbol", "status"})
KILL_READING_SECONDS_MAX: Final = 0.3
READ_SECONDS_MAX: Final = 1.0
PREFER_SECONDS_MAX: Final = 30
_RECHECK_SECONDS: Final = 1.0
_WAITING: Final = frozenset({"PENDING_NEW", "SUBMITTED"})
_ENDED: Final = frozenset({"already_filled", "already_ended"})
_UNUSABLE_KEY: Final = "\n"
"""No Idempotency-Key: the engine refuses it with `idempotency_key_invalid` in its turn, after the API key."""

_wait_preference = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE).search


class _Progress(msgspec.Struct):
    """As much of a rendered order as waiting needs."""

    id: str
    status: str


_decode_progress = msgspec.json.Decoder(_Progress).decode


async def place(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """POST /api/v1/orders: 201 with the order, once it is durable."""
    get = request.headers.get
    media_type = get("content-type")
    if media_type is not None and media_type != "application/json" and not is_json(media_type):
        return problem.reply("unsupported_media_type", request.id, f"Content-Type is {media_type[:100]!r}.")
    authorization = get("authorization")
    if authorization is None:
        # Strangers do not get to hold a place while their body does not come.
        return problem.reply("unauthorized", request.id, headers=[problem.CLOSE])
    body = await bodies.read(request.headers, request.proto)
    if isinstance(body, tuple):
        return problem.reply(body[0], request.id, body[1])
    keys = request.headers.get_all("idempotency-key")
    key = keys[0] if len(keys) == 1 else one_key(keys, request.headers)
    newest = deps.newest_seq
    answer = deps.gateway.place(authorization, key, request.id, body, request.peer)
    if not isinstance(answer, tuple):
        if answer.code != "kill_switch_stale":
            return refuse(answer, request.id)
        # Fail closed, but not for a hiccup: the order waits for the next reading.
        await deps.next_kill_reading(KILL_READING_SECONDS_MAX)
        newest = deps.newest_seq
        answer = deps.gateway.place(authorization, key, request.id, body, request.peer)
        if not isinstance(answer, tuple):
            return refuse(answer, request.id)
    status, seq, payload = answer
    # A new decision always has a higher sequence than every earlier one.
    replayed = seq <= newest
    if not replayed:
        deps.newest_seq = seq
    if seq > deps.durability.durable:
        await deps.durability.wait(seq)
    headers = [JSON if status < 400 else problem.CONTENT_TYPE, ("x-request-id", request.id)]
    if replayed:
        headers.append(REPLAYED)
    elif status == 201 and (prefer := get("prefer")) is not None and (match := _wait_preference(prefer)) is not None:
        seconds = min(int(match[1]), PREFER_SECONDS_MAX)
        payload = await _follow(deps, request, payload, seconds)
        headers.append(("preference-applied", f"wait={seconds}"))
    return status, headers, payload


async def show(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/orders/{id}."""
    answer = deps.gateway.order(request.headers.get("authorization"), request.segment, request.peer)
    if not isinstance(answer, tuple) and answer.code == "order_left":
        return await past(deps, request, deps.gateway.past_order)
    return await read(deps, request, answer)


async def cancel(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """DELETE /api/v1/orders/{id}: 202 while it is being canceled, 200 when it already was."""
    answer = deps.gateway.cancel(request.headers.get("authorization"), request.segment, request.peer)
    if not isinstance(answer, tuple):
        if answer.code == "order_left":
            return await past(deps, request, deps.gateway.past_cancel)
        if answer.code in _ENDED:
            # The refusal tells a fact, the fill say: no fact is shown before it is durable.
            await deps.durability.wait(deps.gateway.last_seq)
        return refuse(answer, request.id)
    status, seq, payload = answer
    if seq > deps.durability.durable:
        await deps.durability.wait(seq)
    return status, [JSON, ("x-request-id", request.id)], payload


async def page(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/orders: one page, newest first, with `Link: rel="next"`."""
    query = request.query.get
    answer = deps.gateway.orders(
        request.headers.get("authorization"),
        query("cursor"),
        query("limit"),
        query("symbol"),
        query("status"),
        request.peer,
    )
    if not isinstance(answer, tuple):
        return refuse(answer, request.id)
    status, seq, payload, cursor = answer
    reply = await read(deps, request, (status, seq, payload))
    if cursor is not None and reply[0] == status:
        parameters = {**request.query, "cursor": cursor}
        target = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
        reply[1].append(("link", f'</api/v1/orders?{target}>; rel="next"'))
    return reply


async def read(deps: Deps, request: Request, answer: Answer | _core.Refusal) -> Reply:
    """A read: waits at most a second until what it shows is durable."""
    if not isinstance(answer, tuple):
        return refuse(answer, request.id)
    status, seq, payload = answer
    if seq > deps.durability.durable and not await settle(deps, seq, READ_SECONDS_MAX):
        return problem.reply("flush_stalled", request.id)
    return status, [JSON, ("x-request-id", request.id), problem.NO_STORE], payload


def refuse(refusal: _core.Refusal, request_id: str) -> Reply:
    """The problem document of a refusal."""
    return problem.reply(
        refusal.code, request_id, refusal.detail, errors=refusal.errors, retry_after_ms=refusal.retry_after_ms
    )


async def past(deps: Deps, request: Request, show_past: ShowPast) -> Reply:
    """An order that has left memory, from Postgres."""
    order_id = int(request.segment)
    try:
        found = await deps.past_orders.find(order_id, order_id)
    except HistoryUnavailable as unavailable:
        return problem.reply("history_unavailable", request.id, f"Order {order_id} has left memory: {unavailable}.")
    if found is None:
        return problem.reply("not_found", request.id)
    answer = show_past(request.headers.get("authorization"), found.facts, found.durable_ns)
    if not isinstance(answer, tuple):
        return refuse(answer, request.id)
    status, _, payload = answer
    return status, [JSON, ("x-request-id", request.id), problem.NO_STORE], payload


async def settle(deps: Deps, seq: int, seconds: float) -> bool:
    """Waits at most so many seconds until `seq` is durable; whether it is."""
    try:
        await asyncio.wait_for(deps.durability.wait(seq), seconds)
    except TimeoutError:
        return False
    return True


async def _follow(deps: Deps, request: Request, stored: bytes, seconds: int) -> bytes:
    """The order as it stands once it has left PENDING_NEW and SUBMITTED, or when `seconds` are over.

    Falls back to the newest durable view when the key runs out of its rate or a flush stalls.
    """
    authorization, peer = request.headers.get("authorization"), request.peer
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    order_id = _decode_progress(stored).id
    view = stored
    while (left := deadline - loop.time()) > 0 and not deps.stopping:
        answer = deps.gateway.order(authorization, order_id, peer)
        if not isinstance(answer, tuple):
            return view
        _, seq, seen = answer
        if seq > deps.durability.durable and not await settle(deps, seq, left):
            return view
        view = seen
        if _decode_progress(view).status not in _WAITING:
            return view
        await deps.order_change(order_id, min(left, _RECHECK_SECONDS))
    return view


def one_key(keys: list[str], headers: Headers) -> str | None:
    """The Idempotency-Key, also where there is not exactly one readable value: none, an unreadable one, or several.

    One readable value beside an unreadable one counts as given once: granian does not tell that there were two.
    """
    if not keys:
        return _UNUSABLE_KEY if "idempotency-key" in headers else None
    return keys[0] if len(set(keys)) == 1 else _UNUSABLE_KEY


def is_json(media_type: str) -> bool:
    """Whether a Content-Type is that of JSON."""
    return media_type.partition(";")[0].strip().lower() == "application/json"
