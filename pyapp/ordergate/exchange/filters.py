"""The exchange's filters, in the order of its documents: the name of the first that an order fails, or None."""

from collections.abc import Mapping
from typing import Any

from ordergate.exchange.amounts import exact, shown, times
from ordergate.exchange.state import Exchange, Order, Symbol

ALGO = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
AMOUNTS = frozenset(
    {
        "minPrice", "maxPrice", "tickSize", "minQty", "maxQty", "stepSize", "minNotional", "maxNotional",
        "bidMultiplierUp", "bidMultiplierDown", "askMultiplierUp", "askMultiplierDown", "multiplierUp",
        "multiplierDown", "maxPosition",
    }
)  # fmt: skip
"""Parts of filters that are decimals."""
RECENT_MS = 300_000
"""How long trades count for an average price, at most."""


def read(filters: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Filters of a settings file, with their decimals as whole numbers. Raises ValueError for what cannot be exact."""
    found = {
        kind: {name: exact(str(value)) if name in AMOUNTS else value for name, value in parts.items()}
        for kind, parts in filters.items()
    }
    tick, step = found.get("PRICE_FILTER", {}).get("tickSize", 0), found.get("LOT_SIZE", {}).get("stepSize", 0)
    if not tick or not step or tick * step % 10**8:
        raise ValueError("tickSize × stepSize must be a whole number of 0.00000001, so that no trade has to be rounded")
    return found


def shown_filters(symbol: Symbol) -> list[dict[str, Any]]:
    """As `exchangeInfo` lists them."""
    return [
        {"filterType": kind, **{name: shown(value) if name in AMOUNTS else value for name, value in parts.items()}}
        for kind, parts in symbol.filters.items()
    ]


def average_price(symbol: Symbol, minutes: int, now: int) -> int:
    """Volume-weighted over the last minutes; without a trade in them, or for 0 minutes, the last price."""
    while symbol.recent and symbol.recent[0][0] < now - RECENT_MS:
        _, spent, traded = symbol.recent.popleft()
        symbol.recent_quote -= spent
        symbol.recent_quantity -= traded
    if minutes * 60_000 >= RECENT_MS:
        quote, quantity = symbol.recent_quote, symbol.recent_quantity
        return quote * 10**8 // quantity if quantity else symbol.last_price
    quote = quantity = 0
    for time, spent, traded in reversed(symbol.recent):
        if time < now - minutes * 60_000:
            break
        quote += spent
        quantity += traded
    return quote * 10**8 // quantity if quantity else symbol.last_price


def price_filter(symbol: Symbol, price: int) -> str | None:
    """Of a price or stop price that is not 0."""
    lowest, highest = symbol.number("PRICE_FILTER", "minPrice"), symbol.number("PRICE_FILTER", "maxPrice")
    if (lowest and price < lowest) or (highest and price > highest) or price % symbol.tick():
        return "PRICE_FILTER"
    return None


def percent_price(symbol: Symbol, buys: bool, price: int, now: int) -> str | None:
    """PERCENT_PRICE_BY_SIDE and PERCENT_PRICE around the average price."""
    side = "bid" if buys else "ask"
    for kind, up, down in (
        ("PERCENT_PRICE_BY_SIDE", f"{side}MultiplierUp", f"{side}MultiplierDown"),
        ("PERCENT_PRICE", "multiplierUp", "multiplierDown"),
    ):
        parts = symbol.filters.get(kind)
        if parts is None:
            continue
        average = average_price(symbol, parts["avgPriceMins"], now)
        if not times(average, parts[down]) <= price <= times(average, parts[up]):
            return kind
    return None


def lot_size(symbol: Symbol, kind: str, quantity: int) -> str | None:
    """LOT_SIZE, or MARKET_LOT_SIZE for market orders; a stepSize of 0 switches that part off."""
    parts = symbol.filters.get(kind)
    if parts is None:
        return None
    step = parts["stepSize"]
    if quantity < parts["minQty"] or quantity > parts["maxQty"] or (step and quantity % step):
        return kind
    return None


def notional(symbol: Symbol, amount: int, market: bool) -> str | None:
    """NOTIONAL and MIN_NOTIONAL of a quote amount."""
    parts = symbol.filters.get("NOTIONAL")
    if parts is not None:
        if amount < parts["minNotional"] and (not market or parts["applyMinToMarket"]):
            return "NOTIONAL"
        if amount > parts["maxNotional"] and (not market or parts["applyMaxToMarket"]):
            return "NOTIONAL"
    parts = symbol.filters.get("MIN_NOTIONAL")
    if parts is not None and amount < parts["minNotional"] and (not market or parts["applyToMarket"]):
        return "MIN_NOTIONAL"
    return None


def check(ex: Exchange, symbol: Symbol, order: Order, now: int) -> str | None:
    """All of an order's filters, its quantity known; the first that fails."""
    market = order.type in {"MARKET", "STOP_LOSS", "TAKE_PROFIT"}
    for price in (order.price, order.stop_price):
        if price and (failed := price_filter(symbol, price)):
            return failed
    if order.price and (failed := percent_price(symbol, order.buys, order.price, now)):
        return failed
    if not order.quote_quantity:
        if failed := lot_size(symbol, "LOT_SIZE", order.quantity):
            return failed
        if market and (failed := lot_size(symbol, "MARKET_LOT_SIZE", order.quantity)):
            return failed
    if failed := notional(symbol, _worth(symbol, order, now), market):
        return failed
    return _counts(ex, symbol, order)


def _worth(symbol: Symbol, order: Order, now: int) -> int:
    if order.quote_quantity:
        return order.quote_quantity
    if order.price:
        return times(order.price, order.quantity)
    minutes = symbol.filters.get("NOTIONAL", symbol.filters.get("MIN_NOTIONAL", {})).get("avgPriceMins", 0)
    return times(average_price(symbol, minutes, now), order.quantity)


def _counts(ex: Exchange, symbol: Symbol, order: Order) -> str | None:
    mine = ex.open.get((order.account, symbol.name), {})
    parts = symbol.filters.get("MAX_NUM_ORDERS")
    if parts is not None and len(mine) >= parts["maxNumOrders"]:
        return "MAX_NUM_ORDERS"
    parts = symbol.filters.get("MAX_NUM_ALGO_ORDERS")
    if parts is not None and order.type in ALGO:
        algos = sum(1 for one in mine.values() if one.type in ALGO)
        if algos >= parts["maxNumAlgoOrders"]:
            return "MAX_NUM_ALGO_ORDERS"
    parts = symbol.filters.get("MAX_POSITION")
    if parts is not None and order.buys:
        account = ex.accounts[order.account]
        held = account.free.get(symbol.base, 0) + account.locked.get(symbol.base, 0)
        if held + order.quantity + sum(one.left for one in mine.values() if one.buys) > parts["maxPosition"]:
            return "MAX_POSITION"
    return None
