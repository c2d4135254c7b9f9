"""What happens to an account's orders without it: the exchange ends one, the house trades with one past the book."""

from ordergate.exchange import errors
from ordergate.exchange.accounts import hold
from ordergate.exchange.amounts import times
from ordergate.exchange.engine import Answer, finish, found_order, made_id
from ordergate.exchange.errors import ApiError, bad
from ordergate.exchange.matching import expire, trade
from ordergate.exchange.params import Params, amount_of
from ordergate.exchange.state import HOUSE, OPEN, Exchange, Order


def exchange_cancel(ex: Exchange, account: str, params: Params, now: int, reason: str = "EXCHANGE_CANCELED") -> Answer:
    """The exchange ends an open order by itself: EXPIRED."""
    order = found_order(ex, account, params)
    if isinstance(order, ApiError):
        return order
    if order.status not in OPEN:
        return errors.UNKNOWN_ORDER
    expire(ex, ex.symbols[order.symbol], order, reason, now)
    finish(ex, now)
    return {"orderId": order.order_id, "status": order.status}


def fill(ex: Exchange, account: str, params: Params, now: int) -> Answer:
    """The house trades with one open order, past the book: `quantity` (all of it), `price` (the order's own)."""
    order = found_order(ex, account, params)
    if isinstance(order, ApiError):
        return order
    if order.status not in OPEN or not order.working:
        return errors.UNKNOWN_ORDER
    symbol = ex.symbols[order.symbol]
    quantity = amount_of(params, "quantity") if "quantity" in params else order.left
    price = amount_of(params, "price") if "price" in params else order.price
    for found in (quantity, price):
        if isinstance(found, ApiError):
            return found
    assert isinstance(quantity, int) and isinstance(price, int)
    better = price <= order.price if order.buys else price >= order.price
    if not 0 < quantity <= order.left or not better:
        return bad(-1013, "A fill is for at most what is left, at the order's price or better.")
    side = "SELL" if order.buys else "BUY"
    number, symbol.next_order = symbol.next_order, symbol.next_order + 1
    house = Order(
        symbol.name, number, HOUSE, made_id(HOUSE, symbol.name, number), side, "LIMIT", "IOC",
        quantity, price, 0, 0, "NONE", now, now, now,
    )  # fmt: skip
    if not hold(ex, house, times(price, quantity) if house.buys else quantity):
        return errors.NO_BALANCE
    trade(ex, symbol, order, house, price, quantity, now)
    finish(ex, now)
    return {"tradeId": symbol.next_trade - 1, "status": order.status}
