"""Requests about the market, which need no key."""

import json
from typing import Any, Final

from ordergate.exchange import errors, filters, limits
from ordergate.exchange.amounts import shown
from ordergate.exchange.errors import ApiError, bad
from ordergate.exchange.params import NEEDED, STP_MODES, symbol_of, whole_of
from ordergate.exchange.reports import ticker
from ordergate.exchange.request import Request
from ordergate.exchange.server import Server
from ordergate.exchange.state import Fill, Symbol

Handled = tuple[int, Any]
DAY: Final = 86_400_000
INTERVALS: Final = {
    "1s": 1_000, "1m": 60_000, "3m": 180_000, "5m": 300_000, "15m": 900_000, "30m": 1_800_000, "1h": 3_600_000,
    "2h": 7_200_000, "4h": 14_400_000, "6h": 21_600_000, "8h": 28_800_000, "12h": 43_200_000, "1d": DAY,
    "3d": 3 * DAY, "1w": 7 * DAY,
}  # fmt: skip


async def ping(server: Server, request: Request) -> Handled:
    del server, request
    return 200, {}


async def server_time(server: Server, request: Request) -> Handled:
    del request
    return 200, {"serverTime": server.clock.now()}


async def system_status(server: Server, request: Request) -> Handled:
    del server, request
    return 200, {"status": 0, "msg": "normal"}


async def no_symbols(server: Server, request: Request) -> Handled:
    """Of a market that this exchange does not have."""
    del request
    return 200, {
        "timezone": "UTC",
        "serverTime": server.clock.now(),
        "rateLimits": [],
        "exchangeFilters": [],
        "assets": [],
        "symbols": [],
    }


def symbol_info(symbol: Symbol) -> dict[str, Any]:
    """A symbol as `exchangeInfo` shows it."""
    return {
        "symbol": symbol.name,
        "status": symbol.status,
        "baseAsset": symbol.base,
        "baseAssetPrecision": 8,
        "quoteAsset": symbol.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": sorted(NEEDED),
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters.shown_filters(symbol),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": symbol.stp_default,
        "allowedSelfTradePreventionModes": list(STP_MODES),
    }


def _chosen(server: Server, request: Request) -> list[Symbol] | ApiError:
    """The symbols that `symbol` or `symbols` names; all of them without."""
    params, there = request.params, server.ex.symbols
    if "symbol" in params and "symbols" in params:
        return bad(-1128, "Combination of optional parameters invalid.")
    names = list(there)
    if "symbol" in params:
        names = [params["symbol"]]
    elif "symbols" in params:
        try:
            listed: Any = json.loads(params["symbols"])
        except ValueError:
            listed = None
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            return errors.illegal("symbols", r'^\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\]$')
        names = listed
        if len(set(names)) != len(names):
            return bad(-1151, "Symbol is present multiple times in the list.")
    if any(name not in there for name in names):
        return errors.BAD_SYMBOL
    status = params.get("symbolStatus")
    return [there[name] for name in names if status in {None, there[name].status}]


async def exchange_info(server: Server, request: Request) -> Handled:
    found = _chosen(server, request)
    if isinstance(found, ApiError):
        return 400, found
    return 200, {
        "timezone": "UTC",
        "serverTime": server.clock.now(),
        "rateLimits": limits.shown(server.config.limits),
        "exchangeFilters": [],
        "symbols": [symbol_info(one) for one in found],
    }


def _limit(request: Request, usual: int, most: int) -> int | ApiError:
    number = whole_of(request.params, "limit")
    if isinstance(number, ApiError):
        return number
    return min(usual if number is None else max(number, 1), most)


def levels(symbol: Symbol, limit: int) -> dict[str, Any]:
    """The book's best levels, as `depth` and partial depth streams show them."""
    book = symbol.book
    shape = {}
    for name, side in (("bids", book.bids), ("asks", book.asks)):
        prices = [price for price, _ in zip(side.from_best(), range(limit), strict=False)]
        shape[name] = [[shown(price), shown(side.totals[price])] for price in prices]
    return {"lastUpdateId": book.update_id, **shape}


async def depth(server: Server, request: Request) -> Handled:
    symbol, limit = symbol_of(server.ex, request.params), _limit(request, 100, 5000)
    if isinstance(symbol, ApiError):
        return 400, symbol
    return (400, limit) if isinstance(limit, ApiError) else (200, levels(symbol, limit))


def _public(fill: Fill) -> dict[str, Any]:
    return {
        "id": fill.trade_id,
        "price": shown(fill.price),
        "qty": shown(fill.quantity),
        "quoteQty": shown(fill.quote),
        "time": fill.time,
        "isBuyerMaker": not fill.buyer,
        "isBestMatch": True,
    }


async def trades(server: Server, request: Request) -> Handled:
    """The newest, or from a trade id on."""
    symbol, limit = symbol_of(server.ex, request.params), _limit(request, 500, 1000)
    start = whole_of(request.params, "fromId")
    for wrong in (symbol, limit, start):
        if isinstance(wrong, ApiError):
            return 400, wrong
    assert isinstance(symbol, Symbol) and isinstance(limit, int)
    rows = list(symbol.trades)
    if isinstance(start, int):
        return 200, [_public(one) for one in rows if one.trade_id >= start][:limit]
    return 200, [_public(one) for one in rows[-limit:]]


async def aggregate_trades(server: Server, request: Request) -> Handled:
    """Each trade as an aggregate of its own."""
    symbol, limit = symbol_of(server.ex, request.params), _limit(request, 500, 1000)
    numbers = [whole_of(request.params, name) for name in ("fromId", "startTime", "endTime")]
    for wrong in (symbol, limit, *numbers):
        if isinstance(wrong, ApiError):
            return 400, wrong
    assert isinstance(symbol, Symbol) and isinstance(limit, int)
    first, since, until = (one if isinstance(one, int) else None for one in numbers)
    rows = [
        one
        for one in symbol.trades
        if one.trade_id >= (first or 0) and (since or 0) <= one.time <= (1 << 62 if until is None else until)
    ]
    rows = rows[-limit:] if first is None and since is None else rows[:limit]
    return 200, [
        {
            "a": one.trade_id,
            "p": shown(one.price),
            "q": shown(one.quantity),
            "f": one.trade_id,
            "l": one.trade_id,
            "T": one.time,
            "m": not one.buyer,
            "M": True,
        }
        for one in rows
    ]


def candle(rows: list[Fill], opened: int, length: int) -> list[Any]:
    """One kline of the trades in it."""
    volume, quote = sum(one.quantity for one in rows), sum(one.quote for one in rows)
    taken = [one for one in rows if one.buyer]
    prices = [one.price for one in rows]
    return [
        opened,
        shown(prices[0]),
        shown(max(prices)),
        shown(min(prices)),
        shown(prices[-1]),
        shown(volume),
        opened + length - 1,
        shown(quote),
        len(rows),
        shown(sum(one.quantity for one in taken)),
        shown(sum(one.quote for one in taken)),
        "0",
    ]


async def klines(server: Server, request: Request) -> Handled:
    """Of the trades that are remembered; intervals without a trade are left out."""
    symbol, limit = symbol_of(server.ex, request.params), _limit(request, 500, 1000)
    numbers = [whole_of(request.params, name) for name in ("startTime", "endTime")]
    for wrong in (symbol, limit, *numbers):
        if isinstance(wrong, ApiError):
            return 400, wrong
    length = INTERVALS.get(request.params.get("interval", ""))
    if length is None:
        return 400, bad(-1120, "Invalid interval.")
    assert isinstance(symbol, Symbol) and isinstance(limit, int)
    since, until = (one if isinstance(one, int) else None for one in numbers)
    periods: dict[int, list[Fill]] = {}
    for one in symbol.trades:
        opened = one.time // length * length
        if opened >= (since or 0) and opened <= (1 << 62 if until is None else until):
            periods.setdefault(opened, []).append(one)
    rows = [candle(found, opened, length) for opened, found in sorted(periods.items())]
    return 200, rows[-limit:] if since is None else rows[:limit]


async def average(server: Server, request: Request) -> Handled:
    symbol = symbol_of(server.ex, request.params)
    if isinstance(symbol, ApiError):
        return 400, symbol
    now = server.clock.now()
    return 200, {"mins": 5, "price": shown(filters.average_price(symbol, 5, now)), "closeTime": now}


def day(symbol: Symbol, now: int) -> dict[str, Any]:
    """The last 24 hours, of the trades that are remembered."""
    rows = [one for one in symbol.trades if one.time > now - DAY]
    prices = [one.price for one in rows] or [symbol.last_price]
    change = prices[-1] - prices[0]
    volume, quote = sum(one.quantity for one in rows), sum(one.quote for one in rows)
    best = ticker(symbol)
    return {
        "symbol": symbol.name,
        "priceChange": shown(change),
        "priceChangePercent": shown(change * 10**10 // prices[0])[:-5] if prices[0] else "0.000",
        "weightedAvgPrice": shown(quote * 10**8 // volume if volume else 0),
        "prevClosePrice": shown(prices[0]),
        "lastPrice": shown(symbol.last_price),
        "lastQty": shown(rows[-1].quantity if rows else 0),
        "bidPrice": best["bidPrice"],
        "bidQty": best["bidQty"],
        "askPrice": best["askPrice"],
        "askQty": best["askQty"],
        "openPrice": shown(prices[0]),
        "highPrice": shown(max(prices)),
        "lowPrice": shown(min(prices)),
        "volume": shown(volume),
        "quoteVolume": shown(quote),
        "openTime": now - DAY,
        "closeTime": now,
        "firstId": rows[0].trade_id if rows else -1,
        "lastId": rows[-1].trade_id if rows else -1,
        "count": len(rows),
    }


def _one_or_all(request: Request, rows: list[dict[str, Any]]) -> Handled:
    return 200, rows[0] if "symbol" in request.params and rows else rows


async def day_ticker(server: Server, request: Request) -> Handled:
    found = _chosen(server, request)
    if isinstance(found, ApiError):
        return 400, found
    return _one_or_all(request, [day(one, server.clock.now()) for one in found])


async def price_ticker(server: Server, request: Request) -> Handled:
    found = _chosen(server, request)
    if isinstance(found, ApiError):
        return 400, found
    return _one_or_all(request, [{"symbol": one.name, "price": shown(one.last_price)} for one in found])


async def book_ticker(server: Server, request: Request) -> Handled:
    found = _chosen(server, request)
    if isinstance(found, ApiError):
        return 400, found
    return _one_or_all(request, [ticker(one) for one in found])


async def execution_rules(server: Server, request: Request) -> Handled:
    del server, request
    return 200, {"symbolRules": []}


async def reference_price(server: Server, request: Request) -> Handled:
    symbol = symbol_of(server.ex, request.params)
    return 400, symbol if isinstance(symbol, ApiError) else bad(-2043, "This symbol doesn't have a reference price.")
