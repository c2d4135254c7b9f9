"""What we ask the exchange over REST: one `Rest` per account, each request within the budget, signed at our clock."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ordergate.config.settings import Binance
from ordergate.venues.binance.answer import Answer, Number, not_sent
from ordergate.venues.binance.budget import Budget, Lane
from ordergate.venues.binance.clock import Clock
from ordergate.venues.binance.credentials import Credential
from ordergate.venues.binance.transport import UrlSet, Wire, open_http

__all__ = ["Answer", "Endpoint", "Rest", "UrlSet", "open", "urls_of"]

WRONG_TIME: Final = -1021
OPEN_ORDERS_OF_ALL: Final = 80
TRADES_OF_ORDER: Final = 5


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing to ask, its lane and weight, and how long it may wait for room in the budget.

    `api`: ccxt's name of the part of the exchange that it belongs to, which says how it is signed.
    """

    method: str
    path: str
    api: str
    lane: Lane
    weight: int
    patience_ms: int = 0


PLACE: Final = Endpoint("POST", "order", "private", "new", 1)
CANCEL: Final = Endpoint("DELETE", "order", "private", "cancel", 1)
AMEND: Final = Endpoint("PUT", "order/amend/keepPriority", "private", "cancel", 4)
ORDER: Final = Endpoint("GET", "order", "private", "reconcile", 4)
OPEN_ORDERS: Final = Endpoint("GET", "openOrders", "private", "reconcile", 6, 65_000)
ALL_ORDERS: Final = Endpoint("GET", "allOrders", "private", "reconcile", 20, 65_000)
MY_TRADES: Final = Endpoint("GET", "myTrades", "private", "reconcile", 20, 65_000)
ACCOUNT: Final = Endpoint("GET", "account", "private", "reconcile", 20, 65_000)
TIME: Final = Endpoint("GET", "time", "public", "cancel", 1)
"""Without the time nothing can be signed, so it has the first lane."""
MY_FILTERS: Final = Endpoint("GET", "myFilters", "private", "read", 40, 65_000)
EXCHANGE_INFO: Final = Endpoint("GET", "exchangeInfo", "public", "read", 20, 65_000)
RESTRICTIONS: Final = Endpoint("GET", "account/apiRestrictions", "sapi", "read", 1, 65_000)


def urls_of(settings: Binance) -> UrlSet:
    """Where the settings say that the exchange is."""
    return UrlSet(settings.rest_url, settings.ws_api_url, settings.stream_url, frozenset(settings.allowed_hosts))


def open(
    urls: UrlSet,
    credential: Credential,
    clock: Clock,
    budget: Budget,
    *,
    timeout_ms: int = 10_000,
    recv_window_ms: int = 2_000,
) -> "Rest":
    """A connection for one account; to be opened inside a running loop, and closed."""
    wire = Wire(urls, credential.api_key, credential.secret, recv_window_ms, clock.now_ms)
    wire.http = open_http(urls.allowed_hosts, timeout_ms)
    return Rest(credential.account, wire, clock, budget)


class Rest:
    """Asks, and never raises for what the exchange or the network does. Cancelling a call leaves its outcome unknown.

    `name`: the account here.

    Parameters are exact text. `timestamp` among them is kept as it is, for a caller that took it before its own checks;
    otherwise it is the exchange's time as our clock has it.
    """

    def __init__(self, account: str, wire: Wire, clock: Clock, budget: Budget) -> None:
        self.name = account
        self.clock = clock
        self.budget = budget
        self._wire = wire

    async def close(self) -> None:
        """Ends the connections; what is asked afterwards is not sent."""
        http, self._wire.http = self._wire.http, None
        if http is not None:
            await http.close()

    async def place(self, params: Mapping[str, str]) -> Answer:
        """POST order. Must hold `newClientOrderId`. Never waits: without room in the budget it is not sent."""
        if not params.get("newClientOrderId"):
            return not_sent("INVALID: an order without newClientOrderId could never be found again")
        return await self._ask(PLACE, params, new_order=True)

    async def cancel(self, params: Mapping[str, str]) -> Answer:
        """DELETE order: symbol, and origClientOrderId or orderId."""
        return await self._ask(CANCEL, params)

    async def amend(self, params: Mapping[str, str]) -> Answer:
        """PUT order/amend/keepPriority: symbol, origClientOrderId, newQty. It keeps its id, unlike by default."""
        if not params.get("origClientOrderId"):
            return not_sent("INVALID: an amended order without its client id would get another one")
        return await self._ask(AMEND, {**params, "newClientOrderId": params["origClientOrderId"]})

    async def order(self, symbol: str, *, client_id: str | None = None, order_id: str | None = None) -> Answer:
        """GET order, by one of the two ids."""
        return await self._ask(ORDER, _given(symbol=symbol, origClientOrderId=client_id, orderId=order_id))

    async def open_orders(self, symbol: str | None = None) -> Answer:
        """GET openOrders. Without a symbol it weighs thirteen times as much."""
        weight = OPEN_ORDERS.weight if symbol else OPEN_ORDERS_OF_ALL
        return await self._ask(OPEN_ORDERS, _given(symbol=symbol), weight=weight)

    async def all_orders(
        self,
        symbol: str,
        *,
        order_id: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 1_000,
    ) -> Answer:
        """GET allOrders: from that order id on, or of a span of at most 24 h."""
        params = _given(symbol=symbol, orderId=order_id, startTime=start_ms, endTime=end_ms, limit=limit)
        return await self._ask(ALL_ORDERS, params)

    async def my_trades(
        self,
        symbol: str,
        *,
        from_id: int | None = None,
        order_id: str | None = None,
        start_ms: int | None = None,
        limit: int = 1_000,
    ) -> Answer:
        """GET myTrades: from that trade id on (without gaps), of one order, or from a time on."""
        weight = TRADES_OF_ORDER if order_id else MY_TRADES.weight
        params = _given(symbol=symbol, fromId=from_id, orderId=order_id, startTime=start_ms, limit=limit)
        return await self._ask(MY_TRADES, params, weight=weight)

    async def account(self) -> Answer:
        """GET account: its balances, and whether it may trade."""
        return await self._ask(ACCOUNT, {})

    async def my_filters(self, symbol: str) -> Answer:
        """GET myFilters: those of the account as well, MAX_ASSET for one."""
        return await self._ask(MY_FILTERS, {"symbol": symbol})

    async def exchange_info(self, symbols: list[str] | None = None) -> Answer:
        """GET exchangeInfo of these symbols; its rate limits go into the budget."""
        listed = "[" + ",".join(f'"{symbol}"' for symbol in symbols or ()) + "]"
        answer = await self._ask(EXCHANGE_INFO, {"symbols": listed} if symbols else {})
        if answer.status == 200 and isinstance(answer.body, dict) and isinstance(answer.body.get("rateLimits"), list):
            self.budget.learn(one for one in answer.body["rateLimits"] if isinstance(one, dict))
        return answer

    async def restrictions(self) -> Answer:
        """GET sapi/v1/account/apiRestrictions: what the key may do."""
        return await self._ask(RESTRICTIONS, {})

    async def time(self) -> Answer:
        """GET time; tells the clock."""
        sent_ns = self.clock.local_ns()
        answer = await self._ask(TIME, {})
        received_ns = self.clock.local_ns()
        server = answer.body.get("serverTime") if isinstance(answer.body, dict) else None
        if answer.status == 200 and isinstance(server, Number) and server.isdigit() and len(server) == 13:
            self.clock.heard(sent_ns, received_ns, int(server))
        return answer

    async def _ask(
        self, endpoint: Endpoint, params: Mapping[str, str], *, weight: int | None = None, new_order: bool = False
    ) -> Answer:
        account = self.name if new_order else None
        ticket = self.budget.take(endpoint.lane, weight or endpoint.weight, account)
        waited_ms = 0
        while isinstance(ticket, int):
            if waited_ms + ticket > endpoint.patience_ms:
                return not_sent("RATE_LIMITED: no room in the budget", ticket)
            await asyncio.sleep(ticket / 1_000)
            waited_ms += ticket
            ticket = self.budget.take(endpoint.lane, weight or endpoint.weight, account)
        answer: Answer | None = None
        try:
            answer = await self._wire.request(endpoint.path, [endpoint.api], endpoint.method, dict(params))
        finally:
            self.budget.settle(ticket, answer)
        if answer.code == WRONG_TIME:
            self.clock.forget()
        return answer


def _given(**params: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}
