"""What the exchange does: place, cancel, amend, replace. Pure: no I/O, no clock; time comes in as milliseconds.

Each takes wire parameters and gives the wire answer or an `ApiError`, changes the exchange and appends to its events.
A refusal changes nothing.
"""

from hashlib import sha256
from typing import Any

from ordergate.exchange import errors, filters
from ordergate.exchange.accounts import hold, release, tell_balances
from ordergate.exchange.amounts import times
from ordergate.exchange.errors import ApiError, bad, filtered
from ordergate.exchange.matching import (
    MARKET_TYPES,
    close,
    fire_stops,
    reach,
    sets_off,
    work,
)
from ordergate.exchange.params import (
    Params,
    Terms,
    amount_of,
    client_id_of,
    symbol_of,
    terms_of,
    whole_of,
)
from ordergate.exchange.reports import amended, canceled, placed, report, tell_book
from ordergate.exchange.state import HOUSE, OPEN, Exchange, Order, Symbol

Answer = dict[str, Any] | ApiError


def finish(ex: Exchange, now: int) -> None:
    """Ends a command: stops that its trades set off, then what it did to books and balances is told."""
    for symbol in ex.symbols.values():
        if symbol.stops:
            fire_stops(ex, symbol, now)
        tell_book(ex, symbol, now)
    tell_balances(ex, now)


def made_id(*parts: object) -> str:
    """The client id of an order or a cancel that came without one: the same at every replay."""
    return sha256("/".join(map(str, parts)).encode()).hexdigest()[:22]


def place(ex: Exchange, account: str, params: Params, now: int) -> Answer:
    """A new order."""
    order = new_order(ex, account, params, now)
    if isinstance(order, ApiError):
        return order
    finish(ex, now)
    kind = params.get("newOrderRespType", "FULL" if order.type in {"LIMIT", "MARKET"} else "ACK")
    return placed(order, kind, now)


def test_place(ex: Exchange, account: str, params: Params, now: int) -> Answer:
    """Checks a new order and places nothing."""
    order = _checked(ex, account, params, now)
    return order if isinstance(order, ApiError) else {}


def new_order(ex: Exchange, account: str, params: Params, now: int) -> Order | ApiError:
    """Checks, holds, tells NEW and lets it meet the book."""
    order = _checked(ex, account, params, now)
    if isinstance(order, ApiError):
        return order
    symbol = ex.symbols[order.symbol]
    if order.quote_quantity:
        order.quantity = reach(symbol, order, order.quote_quantity)[0]
        if order.quantity < max(symbol.number("LOT_SIZE", "minQty"), 1):
            return errors.TOO_THIN if symbol.book.opposite(order.buys).prices else errors.NO_LIQUIDITY
    if not hold(ex, order, _cost(symbol, order)):
        return errors.NO_BALANCE
    _enter(ex, symbol, order, now)
    return order


def _checked(ex: Exchange, account: str, params: Params, now: int) -> Order | ApiError:
    terms = terms_of(ex, params)
    if isinstance(terms, ApiError):
        return terms
    symbol = terms.symbol
    if not ex.accounts[account].can_trade:
        return errors.MAY_NOT
    if symbol.status != "TRADING":
        return errors.CLOSED
    order = _built(account, terms, now)
    if failed := filters.check(ex, symbol, order, now):
        return filtered(failed)
    if terms.client_id is not None and terms.client_id in ex.open_client.get((account, symbol.name), ()):
        return errors.DUPLICATE
    if order.stop_price and symbol.last_price and sets_off(order, symbol.last_price):
        return errors.WOULD_TRIGGER
    if order.type == "LIMIT_MAKER" and reach(symbol, order)[0]:
        return errors.WOULD_TAKE
    if not order.quote_quantity and _free(ex, symbol, order) < _cost(symbol, order):
        return errors.NO_BALANCE
    return order


def _built(account: str, terms: Terms, now: int) -> Order:
    number = terms.symbol.next_order
    return Order(
        terms.symbol.name,
        number,
        account,
        terms.client_id or made_id(account, terms.symbol.name, number),
        terms.side,
        terms.type,
        terms.tif,
        terms.quantity,
        terms.price,
        terms.stop_price,
        terms.quote_quantity,
        terms.stp,
        now,
        now,
        -1 if terms.stop_price else now,
        strategy_id=terms.strategy_id,
        strategy_type=terms.strategy_type,
    )


def _free(ex: Exchange, symbol: Symbol, order: Order) -> int:
    return ex.accounts[order.account].free.get(symbol.quote if order.buys else symbol.base, 0)


def _cost(symbol: Symbol, order: Order) -> int:
    """What is held for it at once: at its price, a stop at its stop price, a market order at what it would meet."""
    if not order.buys:
        return order.quantity
    if order.price or order.stop_price:
        return times(order.price or order.stop_price, order.quantity)
    return reach(symbol, order)[1]


def _enter(ex: Exchange, symbol: Symbol, order: Order, now: int) -> None:
    symbol.next_order += 1
    key = order.account, symbol.name
    ex.orders.setdefault(symbol.name, {})[order.order_id] = order
    ex.open.setdefault(key, {})[order.order_id] = order
    ex.open_client.setdefault(key, {})[order.client_id] = order
    if order.account != HOUSE:
        ex.by_client.setdefault(key, {})[order.client_id] = order
        ex.account_orders.setdefault(key, {})[order.order_id] = order
    order.first_client_id = order.client_id
    report(ex, order, "NEW", now)
    if order.stop_price:
        symbol.stops[order.order_id] = order
    else:
        work(ex, symbol, order, now)


def found_order(ex: Exchange, account: str, params: Params) -> Order | ApiError:
    """The order that `orderId`, `origClientOrderId` or both name; -2013 or -2039 when there is none."""
    symbol = symbol_of(ex, params)
    if isinstance(symbol, ApiError):
        return symbol
    number, client_id = whole_of(params, "orderId"), client_id_of(params, "origClientOrderId")
    if isinstance(number, ApiError):
        return number
    if isinstance(client_id, ApiError):
        return client_id
    key = account, symbol.name
    if number is not None:
        order = ex.account_orders.get(key, {}).get(number)
        if order is None:
            return errors.NO_SUCH_ORDER
        return order if client_id in {None, order.client_id} else errors.PAIR_MISMATCH
    if client_id is None:
        return bad(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    return ex.by_client.get(key, {}).get(client_id, errors.NO_SUCH_ORDER)


def cancel(ex: Exchange, account: str, params: Params, now: int) -> Answer:
    """Cancels one open order."""
    found = _cancelable(ex, account, params)
    if isinstance(found, ApiError):
        return found
    answer = _canceled(ex, found, params.get("newClientOrderId"), now)
    finish(ex, now)
    return answer


def _cancelable(ex: Exchange, account: str, params: Params) -> Order | ApiError:
    order = found_order(ex, account, params)
    cancel_id = client_id_of(params, "newClientOrderId")
    if isinstance(cancel_id, ApiError):
        return cancel_id
    restriction = params.get("cancelRestrictions")
    if restriction not in {None, "ONLY_NEW", "ONLY_PARTIALLY_FILLED"}:
        return errors.BAD_RESTRICTION
    if isinstance(order, ApiError):
        return errors.UNKNOWN_ORDER if order is errors.NO_SUCH_ORDER else order
    if refused := _may_cancel(ex, order):
        return refused
    if order.status not in OPEN:
        return errors.UNKNOWN_ORDER
    if restriction is not None and restriction != f"ONLY_{order.status}":
        return errors.RESTRICTED
    return order


def _may_cancel(ex: Exchange, order: Order) -> ApiError | None:
    if not ex.accounts[order.account].can_trade:
        return errors.CANCEL_MAY_NOT
    if ex.symbols[order.symbol].status not in {"TRADING", "CANCEL_ONLY"}:
        return errors.CANCEL_CLOSED
    return None


def _canceled(ex: Exchange, order: Order, cancel_id: str | None, now: int) -> dict[str, Any]:
    symbol = ex.symbols[order.symbol]
    cancel_id = cancel_id or made_id("cancel", order.account, order.symbol, order.order_id, ex.next_execution)
    symbol.book.remove(order, order.left)
    symbol.stops.pop(order.order_id, None)
    order.status = "CANCELED"
    close(ex, order)
    report(ex, order, "CANCELED", now, client_id=cancel_id, original=order.client_id)
    return canceled(order, cancel_id, now)


def cancel_all(ex: Exchange, account: str, params: Params, now: int) -> list[dict[str, Any]] | ApiError:
    """Cancels every open order of the account in one symbol; none is a refusal."""
    symbol = symbol_of(ex, params)
    if isinstance(symbol, ApiError):
        return symbol
    mine = list(ex.open.get((account, symbol.name), {}).values())
    if not mine:
        return errors.UNKNOWN_ORDER
    if refused := _may_cancel(ex, mine[0]):
        return refused
    answers = [_canceled(ex, order, None, now) for order in mine]
    finish(ex, now)
    return answers


REPLACED_TERMS = frozenset({"cancelReplaceMode", "cancelOrigClientOrderId", "cancelOrderId", "cancelNewClientOrderId"})


def cancel_replace(ex: Exchange, account: str, params: Params, now: int) -> Answer:
    """Cancels one order and places another: 409 (-2021) when one half failed, 400 (-2022) when both did."""
    mode = params.get("cancelReplaceMode")
    if mode not in {"STOP_ON_FAILURE", "ALLOW_FAILURE"}:
        return errors.missing("cancelReplaceMode")
    fresh = {name: value for name, value in params.items() if name not in REPLACED_TERMS | {"cancelRestrictions"}}
    terms = terms_of(ex, fresh)
    if isinstance(terms, ApiError):
        return terms
    # The filters are looked at before either half; only what the engine itself refuses comes after the cancel.
    if failed := filters.check(ex, terms.symbol, _built(account, terms, now), now):
        return filtered(failed)
    first = _cancelable(ex, account, _cancel_params(params))
    if isinstance(first, ApiError):
        if first.code == -1102:
            return first
        gone: Answer = first
    else:
        gone = _canceled(ex, first, params.get("cancelNewClientOrderId"), now)
    if isinstance(gone, ApiError) and mode == "STOP_ON_FAILURE":
        return _replaced(gone, None)
    order = new_order(ex, account, fresh, now)
    finish(ex, now)
    return _replaced(gone, order if isinstance(order, ApiError) else placed(order, terms.answer, now))


def _cancel_params(params: Params) -> dict[str, str]:
    names = {
        "symbol": "symbol",
        "cancelOrigClientOrderId": "origClientOrderId",
        "cancelOrderId": "orderId",
        "cancelNewClientOrderId": "newClientOrderId",
        "cancelRestrictions": "cancelRestrictions",
    }
    return {theirs: params[ours] for ours, theirs in names.items() if ours in params}


def _replaced(gone: Answer, fresh: Answer | None) -> Answer:
    halves = {
        "cancelResult": "FAILURE" if isinstance(gone, ApiError) else "SUCCESS",
        "newOrderResult": "NOT_ATTEMPTED" if fresh is None else "FAILURE" if isinstance(fresh, ApiError) else "SUCCESS",
        "cancelResponse": gone.body() if isinstance(gone, ApiError) else gone,
        "newOrderResponse": fresh.body() if isinstance(fresh, ApiError) else fresh,
    }
    results = {halves["cancelResult"], halves["newOrderResult"]}
    if results == {"SUCCESS"}:
        return halves
    if "SUCCESS" in results:
        return ApiError(409, -2021, "Order cancel-replace partially failed.", halves)
    return ApiError(400, -2022, "Order cancel-replace failed.", halves)


def amend(ex: Exchange, account: str, params: Params, now: int) -> Answer:
    """Less quantity for an open order, which keeps its place."""
    order = found_order(ex, account, params)
    if isinstance(order, ApiError):
        return errors.AMEND_UNKNOWN if order is errors.NO_SUCH_ORDER else order
    fresh = client_id_of(params, "newClientOrderId")
    if isinstance(fresh, ApiError):
        return fresh
    if "newQty" not in params:
        return errors.missing("newQty")
    quantity = amount_of(params, "newQty")
    if isinstance(quantity, ApiError):
        return quantity
    symbol = ex.symbols[order.symbol]
    if order.status not in OPEN:
        return errors.AMEND_UNKNOWN
    if symbol.status != "TRADING":
        return errors.AMEND_CLOSED
    if quantity >= order.quantity:
        return errors.AMEND_MORE
    if quantity <= order.executed + order.prevented:
        return errors.AMEND_LESS
    limit = symbol.filters.get("MAX_NUM_ORDER_AMENDS")
    if limit is not None and order.amends >= limit["maxNumOrderAmends"]:
        return errors.AMEND_OFTEN
    if failed := filters.lot_size(symbol, "LOT_SIZE", quantity) or filters.notional(
        symbol, times(order.price or order.stop_price, quantity), order.type in MARKET_TYPES
    ):
        return filtered(failed)
    mine = ex.open_client[account, symbol.name]
    fresh = fresh or made_id("amend", account, symbol.name, order.order_id, order.amends)
    if fresh != order.client_id and fresh in mine:
        return errors.DUPLICATE
    return _amended(ex, symbol, order, quantity, fresh, now)


def _amended(ex: Exchange, symbol: Symbol, order: Order, quantity: int, fresh: str, now: int) -> dict[str, Any]:
    less, original, before = order.quantity - quantity, order.client_id, order.quantity
    if order.working:
        symbol.book.reduce(order, less)
    order.quantity, order.client_id, order.amends = quantity, fresh, order.amends + 1
    release(ex, order, times(order.price or order.stop_price, less) if order.buys else less)
    key = order.account, symbol.name
    del ex.open_client[key][original]
    ex.open_client[key][fresh] = order
    if original != fresh and ex.by_client[key].get(original) is order:
        del ex.by_client[key][original]
    ex.by_client[key][fresh] = order
    execution = report(ex, order, "REPLACED", now, original=original)
    ex.amendments.setdefault((symbol.name, order.order_id), []).append(
        {
            "symbol": symbol.name,
            "orderId": order.order_id,
            "executionId": execution,
            "origClientOrderId": original,
            "newClientOrderId": fresh,
            "origQty": before,
            "newQty": quantity,
            "time": now,
        }
    )
    finish(ex, now)
    return amended(order, original, execution, now)
