"""Handlers under /api/v1/risk: limits, the changes that wait for a second person, overrides.

A key that may read or has the scope `risk-admin` sees what binds its account and what waits. One with `risk-admin`
changes limits of its own account, its strategies and its keys, and its owner is who did it; the firm's limits are an
operator's, at the command line.
"""

from typing import Final, Literal

import msgspec

from ordergate import _core
from ordergate.http import orders, problem, rule_schemas
from ordergate.http.body import Bodies, decoded
from ordergate.http.deps import Changed, Deps, Request
from ordergate.http.problem import Reply
from ordergate.persistence.limit_history import PAGE_MAX, VERSION_MAX, Wanted
from ordergate.persistence.past_orders import HistoryUnavailable

HISTORY_PARAMETERS: Final = frozenset({"scope", "target", "symbol", "kind", "before", "limit"})
RISK_ADMIN: Final = "risk-admin"
_STATUS: Final = {"IN_FORCE": 200, "UNCHANGED": 200, "WAITING": 202}


def caller(deps: Deps, request: Request, scope: str, or_scope: str | None = None) -> tuple[str, str] | _core.Refusal:
    """(account, owner of the key)."""
    return deps.gateway.caller_of(request.headers.get("authorization"), scope, request.peer, or_scope)


async def durable(deps: Deps, request: Request, seq: int, status: int, document: msgspec.Struct) -> Reply:
    """The answer to a change, once that is on disk."""
    if seq > deps.durability.durable:
        await deps.durability.wait(seq)
    return status, [orders.JSON, ("x-request-id", request.id), problem.NO_STORE], msgspec.json.encode(document)


async def listed(deps: Deps, request: Request, body: bytes) -> Reply:
    """A list as it stands, once that is on disk."""
    return await orders.read(deps, request, (200, deps.gateway.last_seq, body))


async def show(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/risk/limits: the firm's and those of the account, its strategies and keys."""
    asked = caller(deps, request, "read", RISK_ADMIN)
    if not isinstance(asked, tuple):
        return orders.refuse(asked, request.id)
    return await listed(deps, request, deps.gateway.limits(asked[0]))


async def change(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """POST /api/v1/risk/limits: 200 in force, 202 waits for a second person."""
    asked = caller(deps, request, RISK_ADMIN)
    if not isinstance(asked, tuple):
        return orders.refuse(asked, request.id)
    wanted = await decoded(bodies, request, rule_schemas.LimitChange)
    if isinstance(wanted, tuple):
        return wanted
    account, owner = asked
    target = account if wanted.target is None and wanted.scope == "account" else wanted.target or ""
    answer = deps.gateway.set_limit(
        wanted.scope,
        target,
        wanted.symbol,
        wanted.kind,
        _digits(wanted.value),
        wanted.unit,
        owner,
        wanted.reason,
        account,
    )
    return await _changed(deps, request, answer)


async def override(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """POST /api/v1/risk/overrides: asks a second person to let one order of the account pass."""
    asked = caller(deps, request, RISK_ADMIN)
    if not isinstance(asked, tuple):
        return orders.refuse(asked, request.id)
    wanted = await decoded(bodies, request, rule_schemas.OverrideRequest)
    if isinstance(wanted, tuple):
        return wanted
    account, owner = asked
    answer = deps.gateway.request_override(
        account, wanted.symbol, wanted.kinds, wanted.valid_for_ms, owner, wanted.reason, account
    )
    return await _changed(deps, request, answer)


async def requests(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/risk/requests: the account's changes that wait for a second person."""
    asked = caller(deps, request, "read", RISK_ADMIN)
    if not isinstance(asked, tuple):
        return orders.refuse(asked, request.id)
    return await listed(deps, request, b'{"requests":' + deps.gateway.change_requests(asked[0]) + b"}")


async def approve(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """POST /api/v1/risk/requests/{id}/approve: by the owner of another key than whoever asked."""
    return await _decide(deps, request, "APPROVED")


async def reject(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """POST /api/v1/risk/requests/{id}/reject."""
    return await _decide(deps, request, "REJECTED")


async def state(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/risk/state: what may trade, the account's day, and how near its limits are."""
    asked = caller(deps, request, "read")
    if not isinstance(asked, tuple):
        return orders.refuse(asked, request.id)
    return await listed(deps, request, deps.gateway.risk_state(asked[0]))


async def history(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/risk/limits/history: one page of changes of the limits that bind the account, newest first."""
    asked = caller(deps, request, "read", RISK_ADMIN)
    if not isinstance(asked, tuple):
        return orders.refuse(asked, request.id)
    query, numbers = request.query, {"before": 0, "limit": PAGE_MAX}
    for name, most in (("before", VERSION_MAX), ("limit", PAGE_MAX)):
        if (text := query.get(name)) is None:
            continue
        number = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(VERSION_MAX)) else 0
        if not 1 <= number <= most:
            wrong = f"{name} must be 1 to {most}."
            return problem.reply("invalid_parameter", request.id, wrong, errors=[(name, wrong)])
        numbers[name] = number
    narrowed = {name: query.get(name) for name in ("scope", "target", "symbol", "kind")}
    if any(value is not None and "\0" in value for value in narrowed.values()):  # no text in Postgres has one
        return problem.reply("invalid_parameter", request.id, "A parameter holds a character that nothing is named by.")
    wanted = Wanted(asked[0], **narrowed, before=numbers["before"] or None, limit=numbers["limit"])
    try:
        found = await deps.past_orders.limit_changes(wanted)
    except HistoryUnavailable as unavailable:
        return problem.reply("history_unavailable", request.id, f"The history of limits: {unavailable}.")
    body = b'{"changes":' + found + b"}"
    return 200, [orders.JSON, ("x-request-id", request.id), problem.NO_STORE], body


async def _decide(deps: Deps, request: Request, outcome: Literal["APPROVED", "REJECTED"]) -> Reply:
    asked = caller(deps, request, RISK_ADMIN)
    if not isinstance(asked, tuple):
        return orders.refuse(asked, request.id)
    account, owner = asked
    # No request has the number 0.
    number = int(request.segment) if request.segment.isdecimal() and len(request.segment) < 19 else 0
    decide = deps.gateway.approve if outcome == "APPROVED" else deps.gateway.reject
    seq = decide(number, owner, account)
    if not isinstance(seq, int):
        return orders.refuse(seq, request.id)
    return await durable(deps, request, deps.gateway.last_seq, 200, rule_schemas.Decided(str(number), outcome))


async def _changed(deps: Deps, request: Request, answer: Changed | _core.Refusal) -> Reply:
    if not isinstance(answer, tuple):
        return orders.refuse(answer, request.id)
    status, seq = answer
    document = rule_schemas.Changed(status, str(seq) if status == "WAITING" else None)
    return await durable(deps, request, seq, _STATUS[status], document)


def _digits(value: msgspec.Raw | None) -> str | None:
    """A number's own digits, or the text that holds it: no binary fraction comes between."""
    if value is None:
        return None
    text = bytes(value).decode()
    if text == "null":
        return None
    return str(msgspec.json.decode(text)) if text.startswith('"') else text
