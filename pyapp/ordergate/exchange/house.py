"""The house: resting orders by script, and a market maker on a seeded random walk that quotes and trades.

Its choices come from a generator that the seed and the count of steps fix, so a replay makes the same market.
"""

from random import Random
from typing import Any

from ordergate.exchange import errors
from ordergate.exchange.accounts import hold
from ordergate.exchange.amounts import exact, shown, times
from ordergate.exchange.engine import finish, made_id
from ordergate.exchange.errors import ApiError
from ordergate.exchange.matching import close, trade, work
from ordergate.exchange.state import HOUSE, OPEN, Exchange, Order, Symbol

LEVELS = 10
"""Quoted on each side."""


def order(
    ex: Exchange, symbol: Symbol, side: str, kind: str, price: int, quantity: int, now: int, tif: str = "GTC"
) -> Order | None:
    """An order of the house, past the filters; None when it cannot pay, which its funds make a rare thing."""
    number = symbol.next_order
    client_id = made_id(HOUSE, symbol.name, number)
    one = Order(
        symbol.name, number, HOUSE, client_id, side, kind, tif, quantity, price, 0, 0, "NONE", now, now, now
    )  # fmt: skip
    needed = quantity if side == "SELL" else times(price, quantity)
    if (kind != "MARKET" or side == "SELL") and not hold(ex, one, needed):
        return None
    symbol.next_order += 1
    ex.orders[symbol.name][number] = one
    ex.open.setdefault((HOUSE, symbol.name), {})[number] = one
    work(ex, symbol, one, now)
    return one


def _withdraw(ex: Exchange, symbol: Symbol, one: Order) -> None:
    symbol.book.remove(one, one.left)
    one.status = "CANCELED"
    close(ex, one)


def quote(
    ex: Exchange, symbol: str, bids: list[list[str]], asks: list[list[str]], now: int
) -> dict[str, Any] | ApiError:
    """Replaces all resting orders of the house by these levels, each `[price, quantity]`. What crosses, trades."""
    one = ex.symbols.get(symbol)
    if one is None:
        return errors.BAD_SYMBOL
    levels = [
        (side, exact(price), exact(quantity))
        for side, listed in (("BUY", bids), ("SELL", asks))
        for price, quantity in listed
    ]
    for resting in list(ex.open.get((HOUSE, symbol), {}).values()):
        _withdraw(ex, one, resting)
    for side, at, amount in levels:
        order(ex, one, side, "LIMIT", at, amount, now)
    finish(ex, now)
    return {"lastUpdateId": one.book.update_id}


def rest(ex: Exchange, symbol: str, side: str, price: str, quantity: str, now: int) -> dict[str, Any] | ApiError:
    """One more limit order of the house; it takes what it crosses."""
    one = ex.symbols.get(symbol)
    if one is None:
        return errors.BAD_SYMBOL
    placed = order(ex, one, side, "LIMIT", exact(price), exact(quantity), now)
    finish(ex, now)
    return errors.NO_BALANCE if placed is None else {"orderId": placed.order_id, "status": placed.status}


def take(ex: Exchange, symbol: str, side: str, quantity: str, now: int) -> dict[str, Any] | ApiError:
    """The house takes from the book at market, clients' orders with it."""
    one = ex.symbols.get(symbol)
    if one is None:
        return errors.BAD_SYMBOL
    before = one.next_trade
    order(ex, one, side, "MARKET", 0, exact(quantity), now)
    finish(ex, now)
    return {"trades": one.next_trade - before}


def print_trade(ex: Exchange, symbol: str, price: str, quantity: str, now: int) -> dict[str, Any] | ApiError:
    """A trade of the house with itself at any price, past the book: it moves the last price and sets off stops."""
    one = ex.symbols.get(symbol)
    if one is None:
        return errors.BAD_SYMBOL
    amount, at = exact(quantity), exact(price)
    pair = []
    for side in ("SELL", "BUY"):
        number, one.next_order = one.next_order, one.next_order + 1
        half = Order(symbol, number, HOUSE, "", side, "LIMIT", "IOC", amount, at, 0, 0, "NONE", now, now, now)
        if not hold(ex, half, amount if side == "SELL" else times(at, amount)):
            return errors.NO_BALANCE
        pair.append(half)
    trade(ex, one, pair[0], pair[1], at, amount, now)
    finish(ex, now)
    return {"tradeId": one.next_trade - 1, "lastPrice": shown(one.last_price)}


def move(ex: Exchange, symbol: str, price: str, now: int) -> dict[str, Any] | ApiError:
    """Moves the market maker's middle to a price and quotes there at once; clients' orders on the way trade."""
    one = ex.symbols.get(symbol)
    if one is None:
        return errors.BAD_SYMBOL
    ex.market[symbol]["mid"] = exact(price)
    _quote_around(ex, one, now)
    finish(ex, now)
    return {"mid": price}


def step(ex: Exchange, seed: int | str, now: int) -> dict[str, Any]:
    """One step of the walk for every symbol that trades: the middle moves, quotes follow, at times the house trades."""
    for symbol in ex.symbols.values():
        if symbol.status != "TRADING":
            continue
        memory = ex.market[symbol.name]
        memory["steps"] = memory.get("steps", 0) + 1
        random = Random(f"{seed}/{symbol.name}/{memory['steps']}")
        tick = symbol.tick()
        swing = max(memory["mid"] // tick // 20_000, 1)
        memory["mid"] = max(memory["mid"] + random.randint(-swing, swing) * tick, tick * LEVELS * 4)
        _quote_around(ex, symbol, now, random)
        if random.randrange(3) == 0:
            side = random.choice(("BUY", "SELL"))
            order(ex, symbol, side, "MARKET", 0, _size(symbol, memory["mid"], random.randint(1, 20)), now)
    finish(ex, now)
    return {}


def _size(symbol: Symbol, mid: int, hundreds: int) -> int:
    """A quantity worth that many hundred units of the quote asset, in whole steps."""
    step = symbol.step()
    return max(hundreds * 100 * 10**16 // max(mid, 1) // step, 1) * step


def _gap(symbol: Symbol, mid: int) -> int:
    """Between two levels: about a 20,000th of the price, in round ticks, so that few levels change as it walks."""
    ticks = mid // symbol.tick() // 20_000
    unit = 1
    while unit * 10 <= ticks:
        unit *= 10
    return next((unit * times for times in (5, 2) if unit * times <= ticks), unit) * symbol.tick()


def _quote_around(ex: Exchange, symbol: Symbol, now: int, random: Random | None = None) -> None:
    mid = ex.market[symbol.name]["mid"]
    gap = _gap(symbol, mid)
    middle = mid // gap * gap
    wanted = {("BUY", middle - gap * level) for level in range(1, LEVELS + 1)}
    wanted |= {("SELL", middle + gap * level) for level in range(1, LEVELS + 1)}
    for resting in list(ex.open.get((HOUSE, symbol.name), {}).values()):
        if resting.status in OPEN and (resting.side, resting.price) not in wanted:
            _withdraw(ex, symbol, resting)
    there = {(one.side, one.price) for one in ex.open.get((HOUSE, symbol.name), {}).values()}
    random = random or Random(middle)
    for side, price in sorted(wanted - there, key=lambda one: (one[0], abs(one[1] - middle))):
        order(ex, symbol, side, "LIMIT", price, _size(symbol, mid, random.randint(10, 300)), now)
