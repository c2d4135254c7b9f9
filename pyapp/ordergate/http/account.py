"""Handlers about the account of the key."""

from ordergate.http.body import Bodies
from ordergate.http.deps import Deps, Request
from ordergate.http.orders import read
from ordergate.http.problem import Reply


async def portfolio(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/portfolio: balances and positions, by mode."""
    return await read(deps, request, deps.gateway.portfolio(request.headers.get("authorization"), request.peer))
