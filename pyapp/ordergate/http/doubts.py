"""LIVE over HTTP: the account's orders in doubt, and comparisons of the exchange with what was booked."""

from typing import Final

from ordergate.http import orders, problem
from ordergate.http.body import Bodies
from ordergate.http.deps import Deps, Request
from ordergate.http.problem import Reply
from ordergate.persistence.past_orders import HistoryUnavailable
from ordergate.persistence.reconciliations import PAGE_MAX

PAGE_PARAMETERS: Final = frozenset({"before", "limit"})
PAGE: Final = 50
_SEQ_MAX: Final = 2**63 - 1


async def show(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/doubts: the account's orders whose outcome is not known."""
    answer = deps.gateway.client_doubts(request.headers.get("authorization"), request.peer)
    return await orders.read(deps, request, answer)


async def reconciliations(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/reconciliations: one page of the account's comparisons with the exchange, newest first."""
    asked = deps.gateway.caller_of(request.headers.get("authorization"), "read", request.peer)
    if not isinstance(asked, tuple):
        return orders.refuse(asked, request.id)
    numbers = {"before": 0, "limit": PAGE}
    for name, most in (("before", _SEQ_MAX), ("limit", PAGE_MAX)):
        if (text := request.query.get(name)) is None:
            continue
        number = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(_SEQ_MAX)) else 0
        if not 1 <= number <= most:
            wrong = f"{name} must be 1 to {most}."
            return problem.reply("invalid_parameter", request.id, wrong, errors=[(name, wrong)])
        numbers[name] = number
    try:
        found = await deps.past_orders.reconciliations(asked[0], numbers["before"] or None, numbers["limit"])
    except HistoryUnavailable as unavailable:
        return problem.reply("history_unavailable", request.id, f"The reconciliations: {unavailable}.")
    body = b'{"reconciliations":' + found + b"}"
    return 200, [orders.JSON, ("x-request-id", request.id), problem.NO_STORE], body
