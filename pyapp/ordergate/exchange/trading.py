"""Requests that change orders."""

import asyncio
from typing import Any

from ordergate.exchange import engine
from ordergate.exchange.amounts import shown
from ordergate.exchange.commands import Result
from ordergate.exchange.errors import ApiError
from ordergate.exchange.params import Params
from ordergate.exchange.request import Request
from ordergate.exchange.server import Server
from ordergate.exchange.state import OPEN

Handled = tuple[int, Any]
TRANSPORT = frozenset({"timestamp", "recvWindow", "signature", "apiKey", "returnRateLimits"})


def terms(params: Params) -> dict[str, str]:
    """What the engine is told: the parameters without those of the transport."""
    return {name: value for name, value in params.items() if name not in TRANSPORT}


async def _done(server: Server, request: Request, command: str) -> Handled:
    arguments = {"account": request.account, "params": terms(request.params)}
    result: Result
    result, request.commit = await server.execute(command, arguments)
    return 200, result


async def place(server: Server, request: Request) -> Handled:
    return await _done(server, request, "place")


async def test(server: Server, request: Request) -> Handled:
    """Checks an order and places nothing; with `computeCommissionRates` says what it would pay."""
    params = terms(request.params)
    rates = params.pop("computeCommissionRates", "false") == "true"
    account = server.ex.accounts[request.account or ""]
    result = engine.test_place(server.ex, account.name, params, server.clock.now())
    if isinstance(result, ApiError) or not rates:
        return 200, result
    zero = {"maker": "0.00000000", "taker": "0.00000000"}
    return 200, {
        "standardCommissionForOrder": {"maker": shown(account.maker), "taker": shown(account.taker)},
        "specialCommissionForOrder": zero,
        "taxCommissionForOrder": zero,
        "discount": {
            "enabledForAccount": account.fees_in == "BNB",
            "enabledForSymbol": True,
            "discountAsset": "BNB",
            "discount": "0.25000000",
        },
    }


async def cancel(server: Server, request: Request) -> Handled:
    return await _done(server, request, "cancel")


async def cancel_all(server: Server, request: Request) -> Handled:
    return await _done(server, request, "cancel_all")


async def cancel_replace(server: Server, request: Request) -> Handled:
    return await _done(server, request, "cancel_replace")


async def amend(server: Server, request: Request) -> Handled:
    return await _done(server, request, "amend")


def _order_of(request: Request) -> dict[str, str]:
    """How to find the order that a request is about."""
    params = request.params
    names = {"symbol": params.get("symbol", "")}
    if "orderId" in params:
        return names | {"orderId": params["orderId"]}
    return names | {"origClientOrderId": request.client_order_id() or ""}


async def fill_of(server: Server, request: Request, quantity: str | None, price: str | None) -> None:
    """A fault: the house fills the order that a request is about, before or after it."""
    params = _order_of(request)
    params |= {name: value for name, value in (("quantity", quantity), ("price", price)) if value is not None}
    await server.execute("fill", {"account": request.account, "params": params})


async def fills_of(server: Server, request: Request, script: list[list[Any]]) -> None:
    """A fault: fills by script, each `[quantity, price or null, milliseconds to wait before it]`."""
    for quantity, price, wait in script:
        await asyncio.sleep(int(wait) / 1000)
        found = engine.found_order(server.ex, request.account or "", _order_of(request))
        if isinstance(found, ApiError) or found.status not in OPEN:
            return
        await fill_of(server, request, quantity, price)
