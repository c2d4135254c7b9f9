"""The kill switch and the dead man's switch over HTTP. Nothing waits for a flush: what is answered is in force."""

from typing import Any

import msgspec

from ordergate import _core
from ordergate.http import problem
from ordergate.http.body import Bodies, decoded
from ordergate.http.deps import Deps, Request
from ordergate.http.orders import JSON, refuse
from ordergate.http.problem import NO_STORE, Reply
from ordergate.http.schemas import Heartbeat, KillOrder

QUERY = frozenset({"scope", "target"})
_encode = msgspec.json.Encoder().encode


async def show(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/kill: what stops the caller's orders."""
    answer = deps.gateway.client_kills(request.headers.get("authorization"), request.peer)
    if not isinstance(answer, tuple):
        return refuse(answer, request.id)
    body = answer[2]
    if request.query:
        kills = msgspec.json.decode(body)["kills"]
        body = _encode({"kills": [one for one in kills if request.query.items() <= one.items()]})
    return answer[0], [JSON, ("x-request-id", request.id), NO_STORE], body


async def stop(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """POST /api/v1/kill: stops the caller's account, or a strategy of its own."""
    asked = await decoded(bodies, request, KillOrder)
    if isinstance(asked, tuple):
        return asked
    authorization = request.headers.get("authorization")
    allowed = deps.gateway.kill_request(authorization, asked.scope, asked.target, False, request.peer)
    if not isinstance(allowed, tuple):
        return refuse(allowed, request.id)
    owner, target = allowed
    seq = await deps.kills.activate(asked.reason, owner, "api", (asked.scope, target), asked.level)
    kill = {"scope": asked.scope, "target": target, "level": asked.level, "reason": asked.reason, "seq": str(seq)}
    return _done(request, kill)


async def clear(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """DELETE /api/v1/kill: ends what a client or its silence began."""
    scope, target = request.query.get("scope", ""), request.query.get("target")
    authorization = request.headers.get("authorization")
    allowed = deps.gateway.kill_request(authorization, scope, target, True, request.peer)
    if not isinstance(allowed, tuple):
        return refuse(allowed, request.id)
    owner, target = allowed
    refused = await deps.kills.clear_own(owner, (scope, target), lambda: deps.gateway.clear_refusal(scope, target))
    if isinstance(refused, _core.Refusal):
        return refuse(refused, request.id)
    if refused:
        return problem.reply("kill_switch_unreadable", request.id, refused)
    return _done(request, {"scope": scope, "target": target, "cleared": True})


async def heartbeat(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """POST /api/v1/heartbeat: a sign of life; the next one must come within `timeoutMs`."""
    asked = await decoded(bodies, request, Heartbeat)
    if isinstance(asked, tuple):
        return asked
    authorization = request.headers.get("authorization")
    target = deps.gateway.heartbeat(authorization, asked.scope, asked.target, asked.timeout_ms, request.peer)
    if not isinstance(target, str):
        return refuse(target, request.id)
    return _done(request, {"scope": asked.scope, "target": target, "timeoutMs": asked.timeout_ms})


def _done(request: Request, answer: dict[str, Any]) -> Reply:
    return 200, [JSON, ("x-request-id", request.id), NO_STORE], _encode(answer)
