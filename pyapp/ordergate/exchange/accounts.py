"""Balances: what orders hold, what trades move, what commissions take. Every amount comes from somewhere."""

from typing import Any

from ordergate.exchange.amounts import ONE, exact, shown, times
from ordergate.exchange.errors import ApiError, bad
from ordergate.exchange.state import HOUSE, Account, Event, Exchange, Order, Symbol

BNB_REBATE = 75
"""Percent of the commission that is due when it is paid in BNB."""


def pays_with(symbol: Symbol, buys: bool) -> str:
    """The asset that an order of that direction gives."""
    return symbol.quote if buys else symbol.base


def touch(ex: Exchange, account: str, asset: str) -> None:
    ex.touched.setdefault(account, set()).add(asset)


def hold(ex: Exchange, order: Order, amount: int) -> bool:
    """Moves from free to locked; False, with nothing done, when there is not enough."""
    account = ex.accounts[order.account]
    asset = pays_with(ex.symbols[order.symbol], order.buys)
    free = account.free.get(asset, 0)
    if free < amount:
        return False
    account.free[asset] = free - amount
    account.locked[asset] = account.locked.get(asset, 0) + amount
    order.lock += amount
    touch(ex, order.account, asset)
    return True


def release(ex: Exchange, order: Order, amount: int | None = None) -> None:
    """Gives back what an order no longer needs; all of it by default."""
    amount = order.lock if amount is None else amount
    if amount == 0:
        return
    account = ex.accounts[order.account]
    asset = pays_with(ex.symbols[order.symbol], order.buys)
    account.locked[asset] -= amount
    account.free[asset] = account.free.get(asset, 0) + amount
    order.lock -= amount
    touch(ex, order.account, asset)


def settle(ex: Exchange, order: Order, quantity: int, quote: int, held: int) -> None:
    """Pays for a fill out of the order's lock and credits what it buys. `held` was locked for it, never too little."""
    symbol = ex.symbols[order.symbol]
    account = ex.accounts[order.account]
    gives, gets = (symbol.quote, symbol.base) if order.buys else (symbol.base, symbol.quote)
    paid, received = (quote, quantity) if order.buys else (quantity, quote)
    account.locked[gives] -= held
    order.lock -= held
    account.free[gives] = account.free.get(gives, 0) + held - paid
    account.free[gets] = account.free.get(gets, 0) + received
    touch(ex, order.account, gives)
    touch(ex, order.account, gets)


def commission(ex: Exchange, order: Order, quantity: int, quote: int, maker: bool) -> tuple[int, str]:
    """Takes the fee of a fill that has been settled: its amount, toward zero, and its asset."""
    symbol, account = ex.symbols[order.symbol], ex.accounts[order.account]
    rate = account.maker if maker else account.taker
    if order.account == HOUSE or rate == 0:
        return 0, symbol.base if order.buys else symbol.quote
    if account.fees_in == "BNB":
        fee = _in_bnb(ex, symbol, times(quote, rate * BNB_REBATE // 100))
        if fee is not None and account.free.get("BNB", 0) >= fee:
            return _take(ex, account, "BNB", fee)
    in_base = account.fees_in == "base" or (account.fees_in != "quote" and order.buys)
    asset, amount = (symbol.base, quantity) if in_base else (symbol.quote, quote)
    fee = min(times(amount, rate), account.free.get(asset, 0))
    return _take(ex, account, asset, fee)


def _in_bnb(ex: Exchange, symbol: Symbol, quote: int) -> int | None:
    if symbol.quote == "BNB":
        return quote
    pair = ex.symbols.get(f"BNB{symbol.quote}")
    if pair is None or pair.last_price == 0:
        return None
    return quote * ONE // pair.last_price


def _take(ex: Exchange, account: Account, asset: str, fee: int) -> tuple[int, str]:
    account.free[asset] = account.free.get(asset, 0) - fee
    ex.fees[asset] = ex.fees.get(asset, 0) + fee
    touch(ex, account.name, asset)
    return fee, asset


def transfer(ex: Exchange, account: str, asset: str, amount: str, now: int) -> dict[str, Any] | ApiError:
    """A deposit, or with a minus sign a withdrawal, from outside: a `balanceUpdate`."""
    delta, holder = exact(amount), ex.accounts[account]
    if holder.free.get(asset, 0) + delta < 0:
        return bad(-4026, "User has insufficient balance")
    holder.free[asset] = holder.free.get(asset, 0) + delta
    ex.supply[asset] = ex.supply.get(asset, 0) + delta
    touch(ex, account, asset)
    body = {"e": "balanceUpdate", "E": now, "a": asset, "d": shown(delta), "T": now}
    ex.events.append(Event(account, "balanceUpdate", body))
    return {"asset": asset, "free": shown(holder.free[asset])}


def lock_outside(ex: Exchange, account: str, asset: str, amount: str, now: int) -> dict[str, Any] | ApiError:
    """Locks a part of the free balance for something outside of trading (minus: unlocks): `externalLockUpdate`."""
    delta, holder = exact(amount), ex.accounts[account]
    if holder.free.get(asset, 0) - delta < 0 or holder.locked.get(asset, 0) + delta < 0:
        return bad(-4026, "User has insufficient balance")
    holder.free[asset] = holder.free.get(asset, 0) - delta
    holder.locked[asset] = holder.locked.get(asset, 0) + delta
    touch(ex, account, asset)
    body = {"e": "externalLockUpdate", "E": now, "a": asset, "d": shown(delta), "T": now}
    ex.events.append(Event(account, "externalLockUpdate", body))
    return {"asset": asset, "free": shown(holder.free[asset]), "locked": shown(holder.locked[asset])}


def tell_balances(ex: Exchange, now: int) -> None:
    """One `outboundAccountPosition` for each account that this command has touched, after all else it has to say."""
    for name, assets in ex.touched.items():
        account = ex.accounts[name]
        account.updated = now
        if name == HOUSE:
            continue
        held = [
            {"a": asset, "f": shown(account.free.get(asset, 0)), "l": shown(account.locked.get(asset, 0))}
            for asset in sorted(assets)
        ]
        body = {"e": "outboundAccountPosition", "E": now, "u": now, "B": held}
        ex.events.append(Event(name, "outboundAccountPosition", body))
    ex.touched.clear()
