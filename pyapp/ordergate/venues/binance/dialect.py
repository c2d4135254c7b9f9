"""Orders and trades as the exchange writes them, in each of its shapes, read into one.

Four shapes tell of orders (the answer to a placement, to a cancel, to a query, and the stream's executionReport), three
of trades (the fills of an answer, a row of myTrades, an executionReport). Amounts stay the exchange's own digits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ordergate.venues.paper.fixed import SCALE, decimal_text, units

MS: Final = 1_000_000
"""Nanoseconds."""
WORKING: Final = frozenset({"NEW", "PARTIALLY_FILLED", "PENDING_NEW", "PENDING_CANCEL"})
ENDED: Final = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"})


class Malformed(ValueError):
    """What came is not what the exchange's documents describe: it proves nothing."""


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade of one of our orders."""

    trade_id: str
    venue_order_id: str
    symbol: str
    price: str
    quantity: str
    quote: str
    fee: str
    fee_asset: str
    """Empty: the exchange names none, which it does when there is no fee."""
    maker: bool
    time_ms: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One order as the exchange showed it at some moment."""

    symbol: str
    venue_order_id: str
    client_id: str
    """The order's own, also where the exchange shows the cancel's."""
    status: str
    executed: str
    """Sum of its trades so far."""
    side: str
    kind: str
    time_in_force: str
    quantity: str
    price: str | None
    stop_price: str | None
    quote_quantity: str | None
    reason: str
    """Why it expired or was refused, in the exchange's word; mostly empty."""

    @property
    def working(self) -> bool:
        """May still trade."""
        return self.status in WORKING


def own_order(client_id: str, install: str) -> int | None:
    """The order that we gave this client id; None: it is somebody else's."""
    head, _, number = client_id.rpartition("-")
    if head != f"og{install}" or not (number.isascii() and number.isdigit()) or str(int(number[:19])) != number:
        return None
    return int(number)


def client_id_of(order: int, install: str) -> str:
    """The client id under which an order goes to the exchange."""
    return f"og{install}-{order}"


def seen_in_answer(body: object) -> Seen:
    """An order in the answer to a placement (RESULT or FULL), cancel or query. Raises Malformed."""
    row = _object(body)
    return _seen(
        row,
        client_id=str(row.get("origClientOrderId") or row.get("clientOrderId") or ""),
        reason=str(row.get("expiryReason") or ""),
    )


def seen_in_event(event: Mapping[str, Any]) -> Seen:
    """The order of an executionReport. Raises Malformed."""
    names = {
        "symbol": "s", "orderId": "i", "status": "X", "executedQty": "z", "side": "S", "type": "o",
        "timeInForce": "f", "origQty": "q", "price": "p", "stopPrice": "P", "origQuoteOrderQty": "Q",
    }  # fmt: skip
    row = {name: event[letter] for name, letter in names.items() if letter in event}
    refused = str(event.get("r") or "")
    return _seen(
        row,
        # A cancel's own id stands in `c`, the order's in `C`.
        client_id=str(event.get("C") or event.get("c") or ""),
        reason=str(event.get("eR") or "") or ("" if refused == "NONE" else refused),
    )


def trades_in_answer(body: object) -> list[Trade]:
    """The fills of a FULL answer. Raises Malformed."""
    row = _object(body)
    fills = row.get("fills") or []
    if not isinstance(fills, list):
        raise Malformed("fills is not a list")
    return [
        _trade(
            _object(fill), "tradeId", "price", "qty", "commission", "commissionAsset",
            symbol=str(row.get("symbol")), order=str(row.get("orderId")), quote=None,
            # What trades at once has taken.
            maker=False, time_ms=_integer(row.get("transactTime", 0)),
        )
        for fill in fills
    ]  # fmt: skip


def trade_in_row(body: object) -> Trade:
    """One row of myTrades. Raises Malformed."""
    row = _object(body)
    return _trade(
        row, "id", "price", "qty", "commission", "commissionAsset", symbol=str(row.get("symbol")),
        order=str(row.get("orderId")), quote=row.get("quoteQty"), maker=_truth(row.get("isMaker")),
        time_ms=_integer(row.get("time", 0)),
    )  # fmt: skip


def trade_in_event(event: Mapping[str, Any]) -> Trade | None:
    """The trade of an executionReport, if it tells of one. Raises Malformed."""
    if event.get("x") != "TRADE" or _integer(event.get("t", -1)) < 0:
        return None
    return _trade(
        event, "t", "L", "l", "n", "N", symbol=str(event.get("s")), order=str(event.get("i")), quote=event.get("Y"),
        maker=_truth(event.get("m")), time_ms=_integer(event.get("T", 0)),
    )  # fmt: skip


def amount(text: str) -> int:
    """An amount in units of 10^-8. Raises Malformed."""
    try:
        return units(text)
    except ValueError as error:
        raise Malformed(str(error)) from None


def _seen(row: Mapping[str, Any], *, client_id: str, reason: str) -> Seen:
    try:
        status, price, stop = str(row["status"]), str(row["price"]), row.get("stopPrice")
        seen = Seen(
            symbol=str(row["symbol"]), venue_order_id=str(_integer(row["orderId"])), client_id=client_id,
            status=status, executed=str(row["executedQty"]), side=str(row["side"]), kind=str(row["type"]),
            time_in_force=str(row.get("timeInForce") or "GTC"), quantity=str(row["origQty"]),
            price=price if amount(price) else None, stop_price=_nonzero(stop),
            quote_quantity=_nonzero(row.get("origQuoteOrderQty")), reason=reason,
        )  # fmt: skip
    except KeyError as error:
        raise Malformed(f"an order without {error}") from None
    if status not in WORKING | ENDED:
        raise Malformed(f"an order with the status {status[:40]!r}")
    if amount(seen.executed) > 0 and status == "NEW":
        raise Malformed("a NEW order with trades")
    return seen


def _trade(
    row: Mapping[str, Any], trade_id: str, price: str, quantity: str, fee: str, fee_asset: str, *,
    symbol: str, order: str, quote: object, maker: bool, time_ms: int,
) -> Trade:  # fmt: skip
    try:
        number, paid, traded = str(_integer(row[trade_id])), str(row[price]), str(row[quantity])
        cost = str(row.get(fee) or "0")
        asset = str(row.get(fee_asset) or "")
    except KeyError as error:
        raise Malformed(f"a trade without {error}") from None
    return Trade(
        number, order, symbol, paid, traded, str(quote) if quote is not None else quote_of(paid, traded),
        cost, asset, maker, time_ms,
    )  # fmt: skip


def quote_of(price: str, quantity: str) -> str:
    """Price times quantity as the exchange counts it: cut off after eight places. Raises Malformed."""
    return decimal_text(amount(price) * amount(quantity) // SCALE)


def _nonzero(value: object) -> str | None:
    text = str(value) if value is not None else ""
    return text if text and amount(text) else None


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Malformed(f"{str(value)[:40]!r} is not a number")
    try:
        return int(value)
    except ValueError:
        raise Malformed(f"{value[:40]!r} is not a number" if isinstance(value, str) else "no number") from None


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise Malformed(f"{str(value)[:40]!r} is neither true nor false")
    return value


def _object(body: object) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise Malformed(f"{type(body).__name__} instead of an object")
    return body
