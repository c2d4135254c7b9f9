"""One table for REST and WS-API: each method's name, path, security, weight, parameters and handler; and what every
request goes through, whichever way it came.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from ordergate.exchange import errors, limits, market_data, own_data, sessions, trading
from ordergate.exchange.errors import ApiError, bad
from ordergate.exchange.params import CLIENT_ID
from ordergate.exchange.request import Answer, Request
from ordergate.exchange.server import Key, Server
from ordergate.exchange.signatures import valid

Handler = Callable[[Server, Request], Awaitable[tuple[int, Any]]]
SIGNED: Final = frozenset({"TRADE", "USER_DATA"})
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


@dataclass(slots=True)
class _Course:
    """What one request has met so far."""

    method: Method
    key: Key | None = None
    error: ApiError | None = None
    retry_after: int | None = None
    signature: str = "none"
    delivery: str = "send"
    raw: bytes | None = None
    status: int = 200
    content_type: str = "application/json;charset=UTF-8"
    headers: dict[str, str] = field(default_factory=dict)


async def call(server: Server, request: Request) -> Answer:
    """Takes one request through authentication, limits, faults and its handler to its answer."""
    method = METHODS[request.method]
    server.asked += 1
    number, arrived = server.asked, server.clock.now()
    course = _Course(method)
    value: Any = None
    known = server.keys.get(request.api_key or "")
    request.account = known.account if known else None
    await _faults(server, request, course, "pre_auth")
    if course.error is None and course.raw is None:
        course.error = _admitted(server, request, course)
    if course.error is None and course.raw is None:
        await _faults(server, request, course, "pre_engine")
    if course.error is None and course.raw is None:
        course.error = _in_time(server, request) if method.security in SIGNED else None
    if course.error is None and course.raw is None and course.delivery == "send":
        value = await _handled(server, request, course)
        await _faults(server, request, course, "post_commit")
    await _faults(server, request, course, "post_answer")
    answer = _answered(server, request, course, value)
    _note(server, request, course, answer, number, arrived)
    return answer


def _weight(method: Method, request: Request) -> int:
    return method.weight if isinstance(method.weight, int) else method.weight(request.params)


def _admitted(server: Server, request: Request, course: _Course) -> ApiError | None:
    method, now = course.method, server.clock.now()
    refused = limits.admit(server.counters, request.address, _weight(method, request), now)
    if refused is not None:
        course.retry_after = refused[1]
        return refused[0]
    if method.security != "NONE" and (error := _authenticated(server, request, course)):
        return error
    if request.repeated is not None:
        return bad(-1101, "Duplicate values for a parameter detected.")
    # ccxt's orders by the WS-API carry one that the exchange does not know, and are taken all the same.
    if server.config.strict and method.params is not None and request.transport == "REST":
        unread = request.params.keys() - method.params
        if unread:
            read, sent = len(request.params) - len(unread), len(request.params)
            return bad(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")
    if method.security in SIGNED and (error := _in_time(server, request)):
        return error
    if method.places:
        return limits.admit_order(server.counters, request.account or "", now)
    return None


def _authenticated(server: Server, request: Request, course: _Course) -> ApiError | None:
    text = request.api_key or ""
    if not text or not CLIENT_ID.match(text[:36]):
        return errors.BAD_KEY_FORMAT
    key = server.keys.get(text)
    if key is None or key.revoked or course.method.security not in key.permissions:
        return errors.BAD_KEY
    if key.ips and request.address not in key.ips:
        return errors.BAD_KEY
    course.key = key
    if request.logged_on or course.method.security not in SIGNED:
        return None
    if not request.signature:
        return errors.missing("signature")
    good = valid(key.credential, request.payload, request.signature)
    course.signature = "valid" if good else "invalid"
    return None if good else errors.BAD_SIGNATURE


def _in_time(server: Server, request: Request) -> ApiError | None:
    """The rule for `timestamp` and `recvWindow`, in whole microseconds. Checked at receipt and before the engine."""
    text, window = request.params.get("timestamp", ""), request.params.get("recvWindow", "5000")
    if not text.isascii() or not text.isdecimal():
        return errors.missing("timestamp")
    whole, _, fraction = window.partition(".")
    if (
        not (whole + fraction).isascii()
        or not whole.isdecimal()
        or len(fraction) > 3
        or (fraction and not fraction.isdecimal())
    ):
        return errors.missing("recvWindow")
    wide = int(whole) * 1000 + int(fraction.ljust(3, "0"))
    if wide > 60_000_000:
        return errors.BAD_WINDOW
    stamp = int(text) if len(text) > 14 else int(text) * 1000
    now = server.clock.now() * 1000
    if stamp >= now + 1_000_000:
        return errors.EARLY
    return errors.LATE if now - stamp > wide else None


async def _handled(server: Server, request: Request, course: _Course) -> Any:
    status, value = await course.method.handler(server, request)
    if isinstance(value, ApiError):
        course.error = value
        return None
    course.status = status
    if course.method.free:
        server.counters.address(request.address).weight.add(-_weight(course.method, request), server.clock.now())
    return value


async def _faults(server: Server, request: Request, course: _Course, phase: str) -> None:
    for action in server.faults.pick(phase, request.facts()):
        await _happen(server, request, course, action)


async def _happen(server: Server, request: Request, course: _Course, action: dict[str, Any]) -> None:
    match action["kind"]:
        case "delay":
            await asyncio.sleep(server.faults.length(action) / 1000)
        case "error":
            _refuse(course, action)
        case "html":
            course.raw = str(action.get("text", "<html><body>Error</body></html>")).encode()
            course.status, course.content_type = int(action.get("status", 503)), "text/html"
        case "empty":
            course.raw, course.status = b"", int(action.get("status", 502))
        case "content_type":
            course.content_type = str(action.get("type", "text/plain"))
        case "close" | "reset" | "hang" | "half" | "truncate" as delivery:
            course.delivery = delivery
        case "late":
            _refuse(course, {"status": 504, "code": -1007, **action})
            server.spawn(_later(server, request, course.method, int(action.get("ms", 1000))))
        case "lag":
            request.as_of = server.clock.now() - int(action.get("ms", 1000))
        case "fill":
            await trading.fill_of(server, request, action.get("quantity"), action.get("price"))
        case "fills":
            server.spawn(trading.fills_of(server, request, action.get("script", [])))
        case "ban":
            limits.ban(server.counters, request.address, server.clock.now(), action.get("seconds"))


TEXTS: Final = {
    -1000: "An unknown error occurred while processing the request.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1003: "Too many requests queued.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    -1008: "Server is currently overloaded with other requests. Please try again in a few minutes.",
    -1015: "Too many new orders.",
    -1021: errors.LATE.msg,
    -1022: errors.BAD_SIGNATURE.msg,
    -2015: errors.BAD_KEY.msg,
}


def _refuse(course: _Course, action: Mapping[str, Any]) -> None:
    code = int(action.get("code", -1000))
    text = str(action.get("msg", TEXTS.get(code, TEXTS[-1000])))
    course.error = ApiError(int(action.get("status", 500)), code, text)
    course.raw = None
    if "retryAfter" in action:
        course.retry_after = int(action["retryAfter"])


async def _later(server: Server, request: Request, method: Method, ms: int) -> None:
    """Commits after the answer has been given: the order was on its way all the time."""
    await asyncio.sleep(ms / 1000)
    await method.handler(server, request)


def _answered(server: Server, request: Request, course: _Course, value: Any) -> Answer:
    now = server.clock.now()
    error = course.error
    status = error.status if error else course.status
    used = server.counters.address(request.address).weight.at(now)
    headers = {"X-MBX-USED-WEIGHT": str(used), "X-MBX-USED-WEIGHT-1M": str(used), "Server": "nginx"}
    if course.method.places and error is None and request.account:
        short, day = server.counters.of_account(request.account)
        headers |= {"X-MBX-ORDER-COUNT-10S": str(short.at(now)), "X-MBX-ORDER-COUNT-1D": str(day.at(now))}
    if course.retry_after is not None:
        headers["Retry-After"] = str(course.retry_after)
    body = error.body() if error else value
    if request.microseconds and error is None:
        body = in_microseconds(body)
    raw = orjson.dumps(body) if course.raw is None else course.raw
    delivery = course.delivery
    if delivery == "truncate":
        raw, delivery = raw[: len(raw) // 2], "send"
        course.raw = raw
    return Answer(
        status, body, raw, course.raw is not None, headers, course.content_type, delivery, error, course.retry_after
    )


TIMES: Final = frozenset(
    {
        "time", "updateTime", "transactTime", "workingTime", "serverTime", "transactionTime", "openTime", "closeTime",
        "E", "T", "O", "W",
    }
)  # fmt: skip


def in_microseconds(body: Any) -> Any:
    """The same with its times as clients see them that ask for `MICROSECOND`."""
    if isinstance(body, list):
        return [in_microseconds(one) for one in body]
    if not isinstance(body, dict):
        return body
    return {
        name: value * 1000 if name in TIMES and isinstance(value, int) and value > 0 else in_microseconds(value)
        for name, value in body.items()
    }


def _note(server: Server, request: Request, course: _Course, answer: Answer, number: int, arrived: int) -> None:
    server.ledger.note(
        {
            "n": number,
            "t": arrived,
            "method": request.method,
            "transport": request.transport,
            "account": request.account,
            "symbol": request.params.get("symbol"),
            "clientOrderId": request.client_order_id(),
            "params": {name: value for name, value in request.params.items() if name != "signature"},
            "signature": "session" if request.logged_on else course.signature,
            "commit": request.commit,
            "status": answer.status,
            "code": answer.error.code if answer.error else None,
            "answer": "sent" if answer.delivery == "send" and not answer.garbled else f"lost: {answer.delivery}",
        }
    )
