"""Crossing: price, then time; trades, prevented self-trades, what expires, and stops that a trade sets off."""

from ordergate.exchange.accounts import commission, hold, release, settle
from ordergate.exchange.amounts import times
from ordergate.exchange.reports import report, tell_trade
from ordergate.exchange.state import HOUSE, OPEN, Exchange, Fill, Order, Symbol

MARKET_TYPES = frozenset({"MARKET", "STOP_LOSS", "TAKE_PROFIT"})


def limit_of(order: Order) -> int:
    """The worst price it takes; 0 for any."""
    return 0 if order.type in MARKET_TYPES else order.price


def reach(symbol: Symbol, order: Order, most: int | None = None) -> tuple[int, int]:
    """What it would trade now without changing anything: quantity, quote amount. `most`: a quote amount not to exceed,
    in whole steps.

    Follows what a crossing would do with the account's own resting orders.
    """
    quantity = quote = 0
    step = symbol.step()
    for maker in symbol.book.makers(order.buys, limit_of(order)):
        if maker.account == order.account and order.stp != "NONE":
            if order.stp == "EXPIRE_MAKER":
                continue
            break
        take = maker.left if most is not None else min(maker.left, order.left - quantity)
        if most is not None:
            whole = (most - quote) * 100_000_000 // maker.price // step * step
            take = min(take, whole)
        quantity += take
        quote += times(maker.price, take)
        if take < maker.left or (most is None and quantity == order.left):
            break
    return quantity, quote


def cross(ex: Exchange, symbol: Symbol, order: Order, now: int) -> None:
    """Trades an order with what it meets; what is left of it is for the caller."""
    side, limit = symbol.book.opposite(order.buys), limit_of(order)
    while order.left > 0 and order.status in OPEN:
        price = side.best()
        if price is None or not side.crosses(limit, price):
            return
        maker = next(iter(side.levels[price].values()))
        if maker.account == order.account and order.stp != "NONE":
            prevent(ex, symbol, maker, order, now)
            continue
        trade(ex, symbol, maker, order, price, min(order.left, maker.left), now)


def trade(ex: Exchange, symbol: Symbol, maker: Order, taker: Order, price: int, quantity: int, now: int) -> None:
    """One trade: both orders, both balances, both reports, the public print."""
    number = symbol.next_trade
    symbol.next_trade += 1
    symbol.last_price = price
    quote = times(price, quantity)
    symbol.recent.append((now, quote, quantity))
    symbol.recent_quote += quote
    symbol.recent_quantity += quantity
    if symbol.book.resting(maker):
        symbol.book.reduce(maker, quantity)
    sides = [_book(ex, order, number, price, quantity, quote, now, order is maker) for order in (maker, taker)]
    for order in (maker, taker):
        if order.left == 0:
            if order is maker:
                symbol.book.remove(order, 0)
            close(ex, order)
    for order, fill in zip((maker, taker), sides, strict=True):
        report(ex, order, "TRADE", now, fill=fill)
    symbol.trades.append(sides[1])
    tell_trade(ex, symbol, sides[1], maker.buys)


def _book(
    ex: Exchange, order: Order, number: int, price: int, quantity: int, quote: int, now: int, maker: bool
) -> Fill:
    if not order.buys:
        held = quantity
    elif limit_of(order):
        held = times(order.price, quantity)
    else:
        held = quote
    settle(ex, order, quantity, quote, min(held, order.lock))
    fee, asset = commission(ex, order, quantity, quote, maker)
    fill = Fill(
        number, order.symbol, order.order_id, order.account, price, quantity, quote, fee, asset, now, order.buys, maker
    )
    order.executed += quantity
    order.quote += quote
    order.status = "FILLED" if order.executed == order.quantity else "PARTIALLY_FILLED"
    if order.left == 0 and order.status != "FILLED":
        order.status = "EXPIRED_IN_MATCH"
    if order.account != HOUSE:
        order.fills.append(fill)
        ex.account_fills.setdefault((order.account, order.symbol), []).append(fill)
    return fill


def prevent(ex: Exchange, symbol: Symbol, maker: Order, taker: Order, now: int) -> None:
    """Ends the maker, the taker or both instead of a self-trade, by the taker's mode."""
    number = symbol.next_prevented
    symbol.next_prevented += 1
    ended = {"EXPIRE_MAKER": (maker,), "EXPIRE_TAKER": (taker,), "EXPIRE_BOTH": (maker, taker)}[taker.stp]
    for order in ended:
        quantity = order.left
        symbol.book.remove(order, quantity)
        order.prevented += quantity
        order.prevented_id = number
        order.status = "EXPIRED_IN_MATCH"
        close(ex, order)
        other = taker if order is maker else maker
        report(ex, order, "TRADE_PREVENTION", now, prevented=(number, quantity, other))


def expire(ex: Exchange, symbol: Symbol, order: Order, reason: str, now: int) -> None:
    """Ends an order by its type's rules or by the exchange: EXPIRED with the reason."""
    symbol.book.remove(order, order.left)
    symbol.stops.pop(order.order_id, None)
    order.status, order.expiry_reason = "EXPIRED", reason
    close(ex, order)
    report(ex, order, "EXPIRED", now)


def close(ex: Exchange, order: Order) -> None:
    """Off the lists of open orders; what it still held is free again."""
    release(ex, order)
    key = order.account, order.symbol
    ex.open.get(key, {}).pop(order.order_id, None)
    if ex.open_client.get(key, {}).get(order.client_id) is order:
        del ex.open_client[key][order.client_id]
    if order.account == HOUSE:
        ex.orders[order.symbol].pop(order.order_id, None)


REMAINDER = {"IOC": "UNFILLED_IOC_QUANTITY_EXPIRED", "FOK": "UNFILLED_FOK_ORDER_EXPIRED"}


def work(ex: Exchange, symbol: Symbol, order: Order, now: int) -> None:
    """Lets an order meet the book for the first time: crosses it, then rests or expires what is left."""
    market = order.type in MARKET_TYPES
    if market and order.buys and not _fund(ex, symbol, order):
        return expire(ex, symbol, order, "REJECTED", now)
    if order.tif == "FOK" and not market and reach(symbol, order)[0] < order.quantity:
        return expire(ex, symbol, order, REMAINDER["FOK"], now)
    cross(ex, symbol, order, now)
    if order.status not in OPEN:
        return None
    if market:
        return expire(ex, symbol, order, "INSUFFICIENT_LIQUIDITY", now)
    if order.tif in REMAINDER:
        return expire(ex, symbol, order, REMAINDER[order.tif], now)
    symbol.book.add(order)
    return None


def _fund(ex: Exchange, symbol: Symbol, order: Order) -> bool:
    """Holds exactly what a market buy will cost."""
    cost = reach(symbol, order)[1]
    if order.lock > cost:
        release(ex, order, order.lock - cost)
    return order.lock == cost or hold(ex, order, cost - order.lock)


def sets_off(order: Order, last: int) -> bool:
    """Whether a stop's price has been reached: from below for a stop to buy and a profit to sell, else from above."""
    rising = order.buys == order.type.startswith("STOP_LOSS")
    return last >= order.stop_price if rising else last <= order.stop_price


def fire_stops(ex: Exchange, symbol: Symbol, now: int) -> None:
    """Works every stop whose price has been reached, the oldest first; their trades may set off more."""
    while symbol.stops and symbol.last_price:
        due = next((one for one in symbol.stops.values() if sets_off(one, symbol.last_price)), None)
        if due is None:
            return
        del symbol.stops[due.order_id]
        due.working_time = now
        report(ex, due, "NEW", now)
        work(ex, symbol, due, now)
