"""Handlers under /api/v1/strategies: those of the key's account. Changing them takes the scope `risk-admin`."""

from ordergate.http import orders, rule_schemas
from ordergate.http.body import Bodies, decoded
from ordergate.http.deps import Deps, Request
from ordergate.http.problem import Reply
from ordergate.http.risk_limits import RISK_ADMIN, caller, durable, listed


async def show(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/strategies."""
    asked = caller(deps, request, "read", RISK_ADMIN)
    if not isinstance(asked, tuple):
        return orders.refuse(asked, request.id)
    return await listed(deps, request, b'{"strategies":' + deps.gateway.strategies(asked[0]) + b"}")


async def create(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """POST /api/v1/strategies: 201, STOPPED."""
    asked = caller(deps, request, RISK_ADMIN)
    if not isinstance(asked, tuple):
        return orders.refuse(asked, request.id)
    wanted = await decoded(bodies, request, rule_schemas.NewStrategy)
    if isinstance(wanted, tuple):
        return wanted
    account, owner = asked
    seq = deps.gateway.create_strategy(wanted.id, account, owner, "api", wanted.reason)
    if not isinstance(seq, int):
        return orders.refuse(seq, request.id)
    return await durable(deps, request, seq, 201, rule_schemas.StrategyTurned(wanted.id, "STOPPED"))


async def start(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """POST /api/v1/strategies/{id}/start: refused while a kill covers it."""
    return await _turn(deps, bodies, request, "RUNNING")


async def stop(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """POST /api/v1/strategies/{id}/stop: its open orders stay."""
    return await _turn(deps, bodies, request, "STOPPED")


async def _turn(deps: Deps, bodies: Bodies, request: Request, status: rule_schemas.StrategyStatus) -> Reply:
    asked = caller(deps, request, RISK_ADMIN)
    if not isinstance(asked, tuple):
        return orders.refuse(asked, request.id)
    account, owner = asked
    turn = deps.gateway.start_strategy if status == "RUNNING" else deps.gateway.stop_strategy
    seq = turn(request.segment, owner, "api", "asked for", account)
    if not isinstance(seq, int):
        return orders.refuse(seq, request.id)
    # Also when it was so already: that may rest on a record which is not durable yet.
    return await durable(
        deps, request, deps.gateway.last_seq, 200, rule_schemas.StrategyTurned(request.segment, status)
    )
