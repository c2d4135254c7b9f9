"""The shapes of orders and trades: `executionReport` and the other events, and what REST and WS-API answer."""

from typing import Any

from ordergate.exchange.amounts import shown, times
from ordergate.exchange.state import HOUSE, Event, Exchange, Fill, Order, Symbol


def report(
    ex: Exchange,
    order: Order,
    kind: str,
    now: int,
    *,
    fill: Fill | None = None,
    client_id: str | None = None,
    original: str = "",
    prevented: tuple[int, int, Order] | None = None,
) -> int:
    """Tells the order's account what happened to it, and remembers it; the execution id.

    `client_id` and `original`: on a cancel or amendment, the id of that and the order's own. `prevented`: the id, the
    quantity and the other order of a prevented match.
    """
    execution = ex.next_execution
    ex.next_execution += 1
    order.updated = now
    if order.account == HOUSE:
        return execution
    order.history.append((now, order.status, order.executed, order.quote, order.quantity, order.client_id))
    body: dict[str, Any] = {
        "e": "executionReport",
        "E": now,
        "s": order.symbol,
        "c": order.client_id if client_id is None else client_id,
        "S": order.side,
        "o": order.type,
        "f": order.tif,
        "q": shown(order.quantity),
        "p": shown(order.price),
        "P": shown(order.stop_price),
        "F": "0.00000000",
        "g": -1,
        "C": original,
        "x": kind,
        "X": order.status,
        "r": "NONE",
        "i": order.order_id,
        "l": shown(fill.quantity if fill else 0),
        "z": shown(order.executed),
        "L": shown(fill.price if fill else 0),
        "n": shown(fill.commission if fill else 0),
        "N": fill.commission_asset if fill else None,
        "T": now,
        "t": fill.trade_id if fill else -1,
        "I": execution,
        "w": order.working and order.status in {"NEW", "PARTIALLY_FILLED"},
        "m": fill.maker if fill else False,
        "M": fill is not None,
        "O": order.created,
        "Z": shown(order.quote),
        "Y": shown(fill.quote if fill else 0),
        "Q": shown(order.quote_quantity),
        "V": order.stp,
    }
    if order.working:
        body["W"] = order.working_time
    if order.strategy_id is not None:
        body["j"] = order.strategy_id
    if order.strategy_type is not None:
        body["J"] = order.strategy_type
    if prevented is not None:
        number, quantity, other = prevented
        body |= {"v": number, "A": shown(order.prevented), "B": shown(quantity), "u": -1, "U": other.order_id}
    if order.expiry_reason is not None:
        body["eR"] = order.expiry_reason
    ex.events.append(Event(order.account, "executionReport", body, order.symbol))
    return execution


def tell_trade(ex: Exchange, symbol: Symbol, fill: Fill, buyer_is_maker: bool) -> None:
    """The public trade. `fill`: the taker's side of it."""
    body = {
        "e": "trade",
        "E": fill.time,
        "s": symbol.name,
        "t": fill.trade_id,
        "p": shown(fill.price),
        "q": shown(fill.quantity),
        "T": fill.time,
        "m": buyer_is_maker,
        "M": True,
    }
    ex.events.append(Event(None, "trade", body, symbol.name))


def tell_book(ex: Exchange, symbol: Symbol, now: int) -> None:
    """What this command did to the book: one `depthUpdate`, and a `bookTicker` when the best has changed."""
    book = symbol.book
    if not book.changed:
        return
    first = book.update_id + 1
    book.update_id += len(book.changed)
    bids = sorted((price for buys, price in book.changed if buys), reverse=True)
    asks = sorted(price for buys, price in book.changed if not buys)
    book.changed.clear()
    body = {
        "e": "depthUpdate",
        "E": now,
        "s": symbol.name,
        "U": first,
        "u": book.update_id,
        "b": [[shown(price), shown(book.bids.totals.get(price, 0))] for price in bids],
        "a": [[shown(price), shown(book.asks.totals.get(price, 0))] for price in asks],
    }
    ex.events.append(Event(None, "depth", body, symbol.name))
    top = book.top()
    if top != symbol.best_told:
        symbol.best_told = top
        ex.events.append(Event(None, "bookTicker", {"u": book.update_id, **ticker(symbol, short=True)}, symbol.name))


def ticker(symbol: Symbol, *, short: bool = False) -> dict[str, Any]:
    """Best bid and ask: with the names of the stream, or of `ticker/bookTicker`."""
    names = ("s", "b", "B", "a", "A") if short else ("symbol", "bidPrice", "bidQty", "askPrice", "askQty")
    return dict(zip(names, (symbol.name, *map(shown, symbol.book.top())), strict=True))


def _conditional(order: Order) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if order.stop_price:
        found["stopPrice"] = shown(order.stop_price)
    if order.strategy_id is not None:
        found["strategyId"] = order.strategy_id
    if order.strategy_type is not None:
        found["strategyType"] = order.strategy_type
    if order.prevented_id is not None:
        found["preventedMatchId"] = order.prevented_id
        found["preventedQuantity"] = shown(order.prevented)
    if order.expiry_reason is not None:
        found["expiryReason"] = order.expiry_reason
    return found


def placed(order: Order, kind: str, now: int) -> dict[str, Any]:
    """The answer to a new order, as `newOrderRespType` (ACK, RESULT, FULL) asks for it."""
    body: dict[str, Any] = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "transactTime": now,
    }
    if kind == "ACK":
        return body
    body |= _amounts(order)
    body |= {"workingTime": order.working_time, "selfTradePreventionMode": order.stp, **_conditional(order)}
    if kind == "FULL":
        body["fills"] = [
            {
                "price": shown(fill.price),
                "qty": shown(fill.quantity),
                "commission": shown(fill.commission),
                "commissionAsset": fill.commission_asset,
                "tradeId": fill.trade_id,
            }
            for fill in order.fills
            if not fill.maker
        ]
    return body


def _amounts(order: Order) -> dict[str, Any]:
    return {
        "price": shown(order.price),
        "origQty": shown(order.quantity),
        "executedQty": shown(order.executed),
        "origQuoteOrderQty": shown(order.quote_quantity),
        "cummulativeQuoteQty": shown(order.quote),
        "status": order.status,
        "timeInForce": order.tif,
        "type": order.type,
        "side": order.side,
    }


def canceled(order: Order, cancel_id: str, now: int) -> dict[str, Any]:
    """The answer to a cancel: `clientOrderId` is the cancel's own, `origClientOrderId` the order's."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_id,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": cancel_id,
        "transactTime": now,
        **_amounts(order),
        "selfTradePreventionMode": order.stp,
        **_conditional(order),
    }


def amended(order: Order, original: str, execution: int, now: int) -> dict[str, Any]:
    """The answer to an amendment that keeps priority."""
    return {
        "transactTime": now,
        "executionId": execution,
        "amendedOrder": {
            "symbol": order.symbol,
            "orderId": order.order_id,
            "orderListId": -1,
            "origClientOrderId": original,
            "clientOrderId": order.client_id,
            "price": shown(order.price),
            "qty": shown(order.quantity),
            "executedQty": shown(order.executed),
            "preventedQty": shown(order.prevented),
            "quoteOrderQty": shown(order.quote_quantity),
            "cumulativeQuoteQty": shown(order.quote),
            "status": order.status,
            "timeInForce": order.tif,
            "type": order.type,
            "side": order.side,
            "workingTime": order.working_time,
            "selfTradePreventionMode": order.stp,
        },
    }


def queried(order: Order, at: int | None = None) -> dict[str, Any] | None:
    """The answer to a query; `at`: as the order was then, None when it was not there yet."""
    amounts, updated, client_id, extra = _amounts(order), order.updated, order.client_id, _conditional(order)
    if at is not None and order.history:
        past = [one for one in order.history if one[0] <= at]
        if not past:
            return None
        updated, status, executed, quote, quantity, client_id = past[-1]
        if status == order.status:
            extra = _conditional(order)
        else:
            extra.pop("expiryReason", None)
        amounts |= {
            "status": status,
            "executedQty": shown(executed),
            "cummulativeQuoteQty": shown(quote),
            "origQty": shown(quantity),
        }
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": client_id,
        **amounts,
        "stopPrice": shown(order.stop_price),
        "icebergQty": "0.00000000",
        "time": order.created,
        "updateTime": updated,
        "isWorking": order.working,
        "workingTime": order.working_time,
        "selfTradePreventionMode": order.stp,
        **extra,
    }


def own_trade(fill: Fill) -> dict[str, Any]:
    """One row of `myTrades`."""
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": -1,
        "price": shown(fill.price),
        "qty": shown(fill.quantity),
        "quoteQty": shown(times(fill.price, fill.quantity)),
        "commission": shown(fill.commission),
        "commissionAsset": fill.commission_asset,
        "time": fill.time,
        "isBuyer": fill.buyer,
        "isMaker": fill.maker,
        "isBestMatch": True,
    }
