"""Requests about an account's own orders, trades, balances and key."""

from bisect import bisect_left
from itertools import islice
from typing import Any, Final, TypeVar

from ordergate.exchange import engine, errors, limits
from ordergate.exchange.amounts import shown
from ordergate.exchange.errors import ApiError, bad
from ordergate.exchange.params import symbol_of, whole_of
from ordergate.exchange.reports import own_trade, queried
from ordergate.exchange.request import Request
from ordergate.exchange.server import Server
from ordergate.exchange.state import OPEN

Handled = tuple[int, Any]
DAY: Final = 86_400_000
NEVER: Final = 1 << 62
Row = TypeVar("Row")


def _numbers(request: Request, *names: str) -> dict[str, int] | ApiError:
    found = {}
    for name in names:
        number = whole_of(request.params, name)
        if isinstance(number, ApiError):
            return number
        if number is not None:
            found[name] = number
    return found


def _page(request: Request, *names: str) -> dict[str, int] | ApiError:
    """Whole-number parameters of a list, its `limit` (500, at most 1000) and window (at most 24 hours) checked."""
    numbers = _numbers(request, *names, "startTime", "endTime", "limit")
    if isinstance(numbers, ApiError):
        return numbers
    if "startTime" in numbers and "endTime" in numbers and numbers["endTime"] - numbers["startTime"] > DAY:
        return bad(-1127, "More than 24 hours between startTime and endTime.")
    numbers["limit"] = min(numbers.get("limit", 500), 1000)
    return numbers


async def order(server: Server, request: Request) -> Handled:
    found = engine.found_order(server.ex, request.account or "", request.params)
    if isinstance(found, ApiError):
        return 400, found
    return 200, queried(found, request.as_of) or errors.NO_SUCH_ORDER


async def open_orders(server: Server, request: Request) -> Handled:
    """Of one symbol, or of all."""
    name = request.params.get("symbol")
    if name is not None and name not in server.ex.symbols:
        return 400, errors.BAD_SYMBOL
    names = [name] if name is not None else list(server.ex.symbols)
    found = []
    for one in names:
        key = request.account or "", one
        source = server.ex.open if request.as_of is None else server.ex.account_orders
        for held in source.get(key, {}).values():
            shape = queried(held, request.as_of)
            if shape is not None and shape["status"] in OPEN:
                found.append(shape)
    return 200, found


async def all_orders(server: Server, request: Request) -> Handled:
    """Of one symbol: from an order id on, in a window of time, or the newest."""
    symbol = symbol_of(server.ex, request.params)
    numbers = _page(request, "orderId")
    for wrong in (symbol, numbers):
        if isinstance(wrong, ApiError):
            return 400, wrong
    assert not isinstance(symbol, ApiError) and not isinstance(numbers, ApiError)
    lowest, highest = numbers.get("startTime", 0), min(numbers.get("endTime", NEVER), _seen(request))
    rows = [
        one
        for one in server.ex.account_orders.get((request.account or "", symbol.name), {}).values()
        if lowest <= one.created <= highest and one.order_id >= numbers.get("orderId", 0)
    ]
    rows = _cut(rows, numbers, "orderId" in numbers or "startTime" in numbers)
    return 200, [queried(one, request.as_of) for one in rows]


async def my_trades(server: Server, request: Request) -> Handled:
    """Of one symbol: of one order, from a trade id on, in a window of time, or the newest."""
    symbol = symbol_of(server.ex, request.params)
    numbers = _page(request, "orderId", "fromId")
    for wrong in (symbol, numbers):
        if isinstance(wrong, ApiError):
            return 400, wrong
    assert not isinstance(symbol, ApiError) and not isinstance(numbers, ApiError)
    fills = server.ex.account_fills.get((request.account or "", symbol.name), [])
    lowest, highest = numbers.get("startTime", 0), min(numbers.get("endTime", NEVER), _seen(request))
    start = bisect_left(fills, numbers.get("fromId", 0), key=lambda one: one.trade_id)
    rows = [
        one
        for one in islice(fills, start, None)
        if lowest <= one.time <= highest and one.order_id == numbers.get("orderId", one.order_id)
    ]
    return 200, [own_trade(one) for one in _cut(rows, numbers, "fromId" in numbers or "startTime" in numbers)]


def _seen(request: Request) -> int:
    """The newest that this request may see."""
    return NEVER if request.as_of is None else request.as_of


def _cut(rows: list[Row], numbers: dict[str, int], oldest: bool) -> list[Row]:
    return rows[: numbers["limit"]] if oldest else rows[-numbers["limit"] :]


async def account(server: Server, request: Request) -> Handled:
    one = server.ex.accounts[request.account or ""]
    key = server.keys[request.api_key or ""]
    omit = request.params.get("omitZeroBalances") == "true"
    zero = "0.00000000"
    rates = {"maker": shown(one.maker), "taker": shown(one.taker), "buyer": zero, "seller": zero}
    assets = sorted({*one.free, *one.locked, *server.ex.supply})
    return 200, {
        "makerCommission": one.maker // 10_000,
        "takerCommission": one.taker // 10_000,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": rates,
        "canTrade": one.can_trade,
        "canWithdraw": key.withdrawals,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": one.updated,
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": shown(one.free.get(asset, 0)), "locked": shown(one.locked.get(asset, 0))}
            for asset in assets
            if not omit or one.free.get(asset) or one.locked.get(asset)
        ],
        "permissions": ["SPOT"],
        "uid": list(server.ex.accounts).index(one.name) + 1,
    }


async def commission(server: Server, request: Request) -> Handled:
    symbol = symbol_of(server.ex, request.params)
    if isinstance(symbol, ApiError):
        return 400, symbol
    one = server.ex.accounts[request.account or ""]
    zero = {"maker": "0.00000000", "taker": "0.00000000", "buyer": "0.00000000", "seller": "0.00000000"}
    return 200, {
        "symbol": symbol.name,
        "standardCommission": zero | {"maker": shown(one.maker), "taker": shown(one.taker)},
        "specialCommission": zero,
        "taxCommission": zero,
        "discount": {
            "enabledForAccount": one.fees_in == "BNB",
            "enabledForSymbol": True,
            "discountAsset": "BNB",
            "discount": "0.25000000",
        },
    }


async def order_counts(server: Server, request: Request) -> Handled:
    rows = limits.rate_limits(server.counters, request.address, request.account, server.clock.now())
    return 200, [row for row in rows if row["rateLimitType"] == "ORDERS"]


async def amendments(server: Server, request: Request) -> Handled:
    symbol = symbol_of(server.ex, request.params)
    numbers = _page(request, "orderId", "fromExecutionId")
    for wrong in (symbol, numbers):
        if isinstance(wrong, ApiError):
            return 400, wrong
    assert not isinstance(symbol, ApiError) and not isinstance(numbers, ApiError)
    if "orderId" not in numbers:
        return 400, errors.missing("orderId")
    number = numbers["orderId"]
    if number not in server.ex.account_orders.get((request.account or "", symbol.name), {}):
        return 200, []
    rows = [
        one | {"origQty": shown(one["origQty"]), "newQty": shown(one["newQty"])}
        for one in server.ex.amendments.get((symbol.name, number), [])
        if one["executionId"] >= numbers.get("fromExecutionId", 0)
    ]
    return 200, rows[: numbers["limit"]]


async def my_filters(server: Server, request: Request) -> Handled:
    symbol = symbol_of(server.ex, request.params)
    if isinstance(symbol, ApiError):
        return 400, symbol
    return 200, {"exchangeFilters": [], "symbolFilters": [], "assetFilters": []}


async def none(server: Server, request: Request) -> Handled:
    """A list of what this exchange does not have."""
    del server, request
    return 200, []


async def restrictions(server: Server, request: Request) -> Handled:
    """What a key may do: a gateway must refuse one that can withdraw."""
    key = server.keys[request.api_key or ""]
    return 200, {
        "ipRestrict": bool(key.ips),
        "createTime": 1_700_000_000_000,
        "enableReading": "USER_DATA" in key.permissions,
        "enableWithdrawals": key.withdrawals,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": "TRADE" in key.permissions,
        "enablePortfolioMarginTrading": False,
    }


async def trade_fee(server: Server, request: Request) -> Handled:
    one = server.ex.accounts[request.account or ""]
    names = [request.params["symbol"]] if "symbol" in request.params else list(server.ex.symbols)
    return 200, [
        {"symbol": name, "makerCommission": shown(one.maker), "takerCommission": shown(one.taker)} for name in names
    ]


async def coins(server: Server, request: Request) -> Handled:
    one = server.ex.accounts[request.account or ""]
    return 200, [
        {
            "coin": asset,
            "name": asset,
            "depositAllEnable": True,
            "withdrawAllEnable": False,
            "free": shown(one.free.get(asset, 0)),
            "locked": shown(one.locked.get(asset, 0)),
            "freeze": "0",
            "withdrawing": "0",
            "ipoing": "0",
            "ipoable": "0",
            "storage": "0",
            "isLegalMoney": False,
            "trading": True,
            "networkList": [],
        }
        for asset in sorted(server.ex.supply)
    ]
