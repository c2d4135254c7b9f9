"""Requests that this exchange serves, by REST and WS-API alike: what each is called, costs, needs and does."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ordergate.exchange import market_data, own_data, sessions, trading
from ordergate.exchange.request import Request
from ordergate.exchange.server import Server

Handler = Callable[[Server, Request], Awaitable[tuple[int, Any]]]
AUTH: Final = frozenset({"timestamp", "recvWindow", "signature", "apiKey", "returnRateLimits"})


@dataclass(frozen=True, slots=True)
class Method:
    """`name`: the WS-API's, or for REST alone its verb and path. `free`: costs nothing when it succeeds."""

    name: str
    verb: str
    path: str
    security: str
    weight: int | Callable[[Mapping[str, str]], int]
    handler: Handler
    params: frozenset[str] | None
    free: bool = False
    places: bool = False


ORDER: Final = (
    "symbol side type timeInForce quantity quoteOrderQty price newClientOrderId strategyId strategyType stopPrice "
    "trailingDelta icebergQty newOrderRespType selfTradePreventionMode pegPriceType pegOffsetType pegOffsetValue"
)
CANCEL: Final = "symbol orderId origClientOrderId newClientOrderId cancelRestrictions"


def _depth_weight(params: Mapping[str, str]) -> int:
    text = params.get("limit", "100")
    limit = int(text) if text.isascii() and text.isdecimal() else 100
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


def _by_symbol(one: int, every: int) -> Callable[[Mapping[str, str]], int]:
    return lambda params: one if "symbol" in params else every


def _by_order(params: Mapping[str, str]) -> int:
    return 5 if "orderId" in params else 20


def _by_rates(params: Mapping[str, str]) -> int:
    return 20 if params.get("computeCommissionRates") == "true" else 1


def _row(
    name: str,
    route: str,
    security: str,
    weight: int | Callable[[Mapping[str, str]], int],
    handler: Handler,
    params: str,
    **more: bool,
) -> Method:
    verb, _, path = route.partition(" ")
    return Method(name or route, verb, path, security, weight, handler, frozenset(params.split()) | AUTH, **more)


TABLE: Final = (
    _row("ping", "GET /api/v3/ping", "NONE", 1, market_data.ping, ""),
    _row("time", "GET /api/v3/time", "NONE", 1, market_data.server_time, ""),
    _row("exchangeInfo", "GET /api/v3/exchangeInfo", "NONE", 20, market_data.exchange_info,
         "symbol symbols permissions symbolStatus showPermissionSets"),
    _row("depth", "GET /api/v3/depth", "NONE", _depth_weight, market_data.depth, "symbol limit symbolStatus"),
    _row("trades.recent", "GET /api/v3/trades", "NONE", 25, market_data.trades, "symbol limit"),
    _row("trades.historical", "GET /api/v3/historicalTrades", "NONE", 25, market_data.trades, "symbol limit fromId"),
    _row("trades.aggregate", "GET /api/v3/aggTrades", "NONE", 4, market_data.aggregate_trades,
         "symbol limit fromId startTime endTime"),
    _row("klines", "GET /api/v3/klines", "NONE", 2, market_data.klines,
         "symbol interval startTime endTime timeZone limit"),
    _row("uiKlines", "GET /api/v3/uiKlines", "NONE", 2, market_data.klines,
         "symbol interval startTime endTime timeZone limit"),
    _row("avgPrice", "GET /api/v3/avgPrice", "NONE", 2, market_data.average, "symbol"),
    _row("ticker.24hr", "GET /api/v3/ticker/24hr", "NONE", _by_symbol(2, 80), market_data.day_ticker,
         "symbol symbols type symbolStatus"),
    _row("ticker.tradingDay", "GET /api/v3/ticker/tradingDay", "NONE", 4, market_data.day_ticker,
         "symbol symbols type timeZone symbolStatus"),
    _row("ticker.price", "GET /api/v3/ticker/price", "NONE", _by_symbol(2, 4), market_data.price_ticker,
         "symbol symbols symbolStatus"),
    _row("ticker.book", "GET /api/v3/ticker/bookTicker", "NONE", _by_symbol(2, 4), market_data.book_ticker,
         "symbol symbols symbolStatus"),
    _row("ticker", "GET /api/v3/ticker", "NONE", 4, market_data.day_ticker,
         "symbol symbols windowSize type symbolStatus"),
    _row("executionRules", "GET /api/v3/executionRules", "NONE", 2, market_data.execution_rules,
         "symbol symbols symbolStatus"),
    _row("referencePrice", "GET /api/v3/referencePrice", "NONE", 2, market_data.reference_price, "symbol"),
    _row("order.place", "POST /api/v3/order", "TRADE", 1, trading.place, ORDER, free=True, places=True),
    _row("order.test", "POST /api/v3/order/test", "TRADE", _by_rates, trading.test,
         ORDER + " computeCommissionRates"),
    _row("order.cancel", "DELETE /api/v3/order", "TRADE", 1, trading.cancel, CANCEL, free=True),
    _row("order.cancelReplace", "POST /api/v3/order/cancelReplace", "TRADE", 1, trading.cancel_replace,
         ORDER + " cancelReplaceMode cancelNewClientOrderId cancelOrigClientOrderId cancelOrderId cancelRestrictions "
         "orderRateLimitExceededMode", free=True, places=True),
    _row("order.amend.keepPriority", "PUT /api/v3/order/amend/keepPriority", "TRADE", 4, trading.amend,
         "symbol orderId origClientOrderId newClientOrderId newQty", free=True),
    _row("openOrders.cancelAll", "DELETE /api/v3/openOrders", "TRADE", 1, trading.cancel_all, "symbol", free=True),
    _row("order.status", "GET /api/v3/order", "USER_DATA", 4, own_data.order, "symbol orderId origClientOrderId"),
    _row("openOrders.status", "GET /api/v3/openOrders", "USER_DATA", _by_symbol(6, 80), own_data.open_orders, "symbol"),
    _row("allOrders", "GET /api/v3/allOrders", "USER_DATA", 20, own_data.all_orders,
         "symbol orderId startTime endTime limit"),
    _row("myTrades", "GET /api/v3/myTrades", "USER_DATA", _by_order, own_data.my_trades,
         "symbol orderId startTime endTime fromId limit"),
    _row("account.status", "GET /api/v3/account", "USER_DATA", 20, own_data.account, "omitZeroBalances"),
    _row("account.commission", "GET /api/v3/account/commission", "USER_DATA", 20, own_data.commission, "symbol"),
    _row("account.rateLimits.orders", "GET /api/v3/rateLimit/order", "USER_DATA", 40, own_data.order_counts, ""),
    _row("order.amendments", "GET /api/v3/order/amendments", "USER_DATA", 4, own_data.amendments,
         "symbol orderId fromExecutionId limit"),
    _row("myFilters", "GET /api/v3/myFilters", "USER_DATA", 40, own_data.my_filters, "symbol"),
    _row("myPreventedMatches", "GET /api/v3/myPreventedMatches", "USER_DATA", 20, own_data.none,
         "symbol preventedMatchId orderId fromPreventedMatchId limit"),
    _row("openOrderLists.status", "GET /api/v3/openOrderList", "USER_DATA", 6, own_data.none, ""),
    _row("allOrderLists", "GET /api/v3/allOrderList", "USER_DATA", 20, own_data.none,
         "fromId startTime endTime limit"),
    _row("session.logon", "", "USER_DATA", 2, sessions.logon, ""),
    _row("session.status", "", "NONE", 2, sessions.status, ""),
    _row("session.logout", "", "NONE", 2, sessions.logout, ""),
    _row("session.subscriptions", "", "NONE", 2, sessions.subscriptions, ""),
    _row("userDataStream.subscribe", "", "NONE", 2, sessions.subscribe, ""),
    _row("userDataStream.subscribe.signature", "", "USER_DATA", 2, sessions.subscribe_by_signature, ""),
    _row("userDataStream.unsubscribe", "", "NONE", 2, sessions.unsubscribe, "subscriptionId"),
    _row("", "GET /sapi/v1/account/apiRestrictions", "USER_DATA", 1, own_data.restrictions, ""),
    _row("", "GET /sapi/v1/asset/tradeFee", "USER_DATA", 1, own_data.trade_fee, "symbol"),
    _row("", "GET /sapi/v1/capital/config/getall", "USER_DATA", 10, own_data.coins, ""),
    _row("", "GET /sapi/v1/margin/allPairs", "NONE", 1, own_data.none, "symbol"),
    _row("", "GET /sapi/v1/margin/isolated/allPairs", "NONE", 10, own_data.none, "symbol"),
    _row("", "GET /sapi/v1/spot/delist-schedule", "NONE", 100, own_data.none, ""),
    _row("", "GET /sapi/v1/system/status", "NONE", 1, market_data.system_status, ""),
    _row("", "GET /fapi/v1/exchangeInfo", "NONE", 1, market_data.no_symbols, ""),
    _row("", "GET /dapi/v1/exchangeInfo", "NONE", 1, market_data.no_symbols, ""),
)  # fmt: skip
METHODS: Final[dict[str, Method]] = {row.name: row for row in TABLE}
ROUTES: Final[dict[tuple[str, str], Method]] = {(row.verb, row.path): row for row in TABLE if row.verb}
