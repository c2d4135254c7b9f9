"""Everything that can change the exchange, by name: what the ledger writes, and a restart does again."""

from collections.abc import Callable
from typing import Any, Final

from ordergate.exchange import accounts, engine, filters, house, outside
from ordergate.exchange.amounts import exact
from ordergate.exchange.errors import BAD_SYMBOL, ApiError, bad
from ordergate.exchange.matching import expire
from ordergate.exchange.state import Event, Exchange

Result = dict[str, Any] | list[dict[str, Any]] | ApiError


def set_symbol(
    ex: Exchange, symbol: str, now: int, status: str | None = None, filters: dict[str, Any] | None = None
) -> Result:
    """Changes a symbol's status or some of its filters (None takes a filter away), for orders from now on."""
    del now
    one = ex.symbols.get(symbol)
    if one is None:
        return BAD_SYMBOL
    merged = {kind: dict(parts) for kind, parts in one.filters.items()}
    for kind, parts in (filters or {}).items():
        if parts is None:
            merged.pop(kind, None)
        else:
            merged[kind] = merged.get(kind, {}) | _read_filter(parts)
    if merged["PRICE_FILTER"]["tickSize"] * merged["LOT_SIZE"]["stepSize"] % 10**8:
        return bad(-1013, "tickSize × stepSize must be a whole number of 0.00000001.")
    one.filters = merged
    one.status = status or one.status
    return {"symbol": symbol, "status": one.status}


def _read_filter(parts: dict[str, Any]) -> dict[str, Any]:
    """Amounts in 10⁻⁸; counts as numbers, though a control request hands on their digits."""
    return {
        name: exact(str(value)) if name in filters.AMOUNTS
        else int(value) if isinstance(value, str) and value.isdecimal()
        else value
        for name, value in parts.items()
    }  # fmt: skip


def delist(ex: Exchange, symbol: str, now: int) -> Result:
    """Ends every open order of a symbol and takes it off the list; its past stays."""
    one = ex.symbols.get(symbol)
    if one is None:
        return BAD_SYMBOL
    for (account, name), orders in list(ex.open.items()):
        if name == symbol:
            for order in list(orders.values()):
                expire(ex, one, order, "EXCHANGE_CANCELED", now)
            ex.open[account, name] = {}
    engine.finish(ex, now)
    one.status = "BREAK"
    return {"symbol": symbol, "status": one.status}


def set_account(
    ex: Exchange,
    account: str,
    now: int,
    can_trade: bool | None = None,
    maker: str | None = None,
    taker: str | None = None,
    fees_in: str | None = None,
) -> Result:
    """Changes whether an account may trade, and what it pays for it."""
    del now
    one = ex.accounts[account]
    rates = one.maker if maker is None else exact(maker), one.taker if taker is None else exact(taker)
    if fees_in not in {None, "received", "quote", "base", "BNB"}:
        raise ValueError("feesIn: received, quote, base or BNB")
    one.maker, one.taker = rates
    one.can_trade = one.can_trade if can_trade is None else bool(can_trade)
    one.fees_in = fees_in or one.fees_in
    return {"account": account, "canTrade": one.can_trade}


COMMANDS: Final[dict[str, Callable[..., Result]]] = {
    "place": engine.place,
    "cancel": engine.cancel,
    "cancel_all": engine.cancel_all,
    "cancel_replace": engine.cancel_replace,
    "amend": engine.amend,
    "exchange_cancel": outside.exchange_cancel,
    "fill": outside.fill,
    "transfer": accounts.transfer,
    "lock": accounts.lock_outside,
    "quote": house.quote,
    "rest": house.rest,
    "take": house.take,
    "print": house.print_trade,
    "move": house.move,
    "step": house.step,
    "set_symbol": set_symbol,
    "delist": delist,
    "set_account": set_account,
}


def run(ex: Exchange, name: str, arguments: dict[str, Any], now: int) -> tuple[Result, list[Event]]:
    """Does one command: its result, and what there is to tell. The same commands and times give the same exchange."""
    result = COMMANDS[name](ex, **arguments, now=now)
    if ex.touched:
        accounts.tell_balances(ex, now)
    events, ex.events = ex.events, []
    return result, events
