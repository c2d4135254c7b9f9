"""What an answer of the exchange proves about an order.

An allow-list: what is not in a table here is UNKNOWN, whatever it looks like, and nobody may conclude anything from
it. Classes of a library's exceptions are no evidence: none of them tells `not placed` from `unknown`. The codes and
messages are those of the exchange's own list of errors.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from ordergate.venues.binance.answer import Answer, Number

Kind = Literal[
    "ACK", "REJECT", "NOT_SENT", "ADOPT", "UNKNOWN", "CANCELED", "AMENDED", "GONE", "REFUSED", "FOUND", "ABSENT"
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is proven. `reason`: a stable word for programs; `text`: what the exchange said, for people.

    `retry_after_ms`: how long to wait before anything else is sent, 0 for not at all. `again`: the same intent may be
    sent again as a new attempt, since this one was certainly not accepted and the cause passes.
    """

    kind: Kind
    reason: str
    text: str
    retry_after_ms: int = 0
    again: bool = False


class Refused(NamedTuple):
    """What a code says that is given before the matching engine: certainly nothing has happened."""

    reason: str
    again: bool = False


REFUSED_BEFORE: Final[Mapping[int, Refused]] = {
    **{code: Refused("INVALID_PARAMETER") for code in range(-1130, -1099)},
    -1003: Refused("RATE_LIMITED", again=True),
    -1013: Refused("INVALID_ORDER"),
    -1014: Refused("UNSUPPORTED_ORDER"),
    -1015: Refused("TOO_MANY_ORDERS", again=True),
    -1020: Refused("UNSUPPORTED_ORDER"),
    -1021: Refused("WRONG_TIME", again=True),
    -1022: Refused("WRONG_SIGNATURE"),
    -1111: Refused("TOO_PRECISE"),
    -1121: Refused("UNKNOWN_SYMBOL"),
    -2014: Refused("KEY_REFUSED"),
    -2015: Refused("KEY_REFUSED"),
}
"""Code -> meaning, for every signed request; with an HTTP status that says that the request is at fault."""

FILTER_FAILURE: Final = re.compile(r"Filter failure: ([A-Z_]{1,40})\Z")
"""A -1013 that names its filter: the reason is then `FILTER_` and the name."""

NEW_ORDER_REFUSED: Final = -2010
NEW_ORDER_MESSAGES: Final[Mapping[str, str]] = {
    "Account has insufficient balance for requested action.": "INSUFFICIENT_BALANCE",
    "Market is closed.": "SYMBOL_NOT_TRADING",
    "Order would immediately match and take.": "WOULD_TAKE",
    "Order would trigger immediately.": "WOULD_TRIGGER",
    "Stop price would trigger immediately.": "WOULD_TRIGGER",
    "Price * QTY is zero or less.": "INVALID_ORDER",
    "This action is disabled on this account.": "ACCOUNT_DISABLED",
    "This account may not place or cancel orders.": "ACCOUNT_DISABLED",
    "This symbol is not permitted for this account.": "SYMBOL_NOT_PERMITTED",
    "This symbol is restricted for this account.": "SYMBOL_NOT_PERMITTED",
    "Rest API trading is not enabled.": "TRADING_DISABLED",
    "Unsupported order combination": "UNSUPPORTED_ORDER",
    "Market orders are not supported for this symbol.": "UNSUPPORTED_ORDER",
    "Stop loss orders are not supported for this symbol.": "UNSUPPORTED_ORDER",
    "Stop loss limit orders are not supported for this symbol.": "UNSUPPORTED_ORDER",
    "Take profit orders are not supported for this symbol.": "UNSUPPORTED_ORDER",
    "Take profit limit orders are not supported for this symbol.": "UNSUPPORTED_ORDER",
    "Quote order qty market orders are not support for this symbol.": "UNSUPPORTED_ORDER",
    "Order book liquidity is less than LOT_SIZE filter minimum quantity.": "NO_LIQUIDITY",
    "Order book liquidity is less than MARKET_LOT_SIZE filter minimum quantity.": "NO_LIQUIDITY",
    "Order book liquidity is less than symbol minimum quantity.": "NO_LIQUIDITY",
}
"""Message of a -2010 -> reason. Any other is a refusal too, except that of a duplicate."""
REFUSED_BY_ENGINE: Final = "REFUSED"
DUPLICATE: Final = "duplicate order sent"
"""An order with this id works already: ours, from an attempt whose answer was lost."""

CANCEL_REFUSED: Final = -2011
NO_SUCH_ORDER: Final = -2013
CANCEL_RESTRICTED: Final = "Order was not canceled due to cancel restrictions."
AMEND_REFUSED: Final = -2038
IDS_DIFFER: Final = -2039

NO_REFUSAL: Final = frozenset({403, 408, 409})
"""Of the 4xx: a firewall's, a time-out's and a half success's. They prove nothing, whatever their body says."""

UNKNOWN_CODES: Final[Mapping[int, str]] = {
    -1000: "EXCHANGE_ERROR",
    -1001: "EXCHANGE_DISCONNECTED",
    -1006: "EXCHANGE_UNEXPECTED_RESPONSE",
    -1007: "EXCHANGE_TIMEOUT",
    -1008: "EXCHANGE_OVERLOADED",
}
"""Only names for what stays unknown."""


def of_place(answer: Answer, client_id: str) -> Outcome:
    """Of POST order: ACK, REJECT, NOT_SENT, ADOPT (an order of that id is there: look), UNKNOWN."""
    if not answer.sent:
        return _not_sent(answer)
    if _refusal(answer):
        if answer.code == NEW_ORDER_REFUSED:
            return _of_engine(answer)
        if answer.code in REFUSED_BEFORE:
            return _refused(answer, "REJECT")
    order = _order(answer)
    if order is not None and order.get("clientOrderId") == client_id:
        return Outcome("ACK", "", str(order.get("status", "")))
    return _unknown(answer, order)


def of_cancel(answer: Answer, client_id: str) -> Outcome:
    """Of DELETE order: CANCELED, GONE (nothing open there: look), REFUSED (it works on), NOT_SENT, UNKNOWN."""
    if not answer.sent:
        return _not_sent(answer)
    if _refusal(answer):
        if answer.code == CANCEL_REFUSED and answer.msg == CANCEL_RESTRICTED:
            return Outcome("REFUSED", "CANCEL_RESTRICTED", answer.msg)
        if answer.code in (CANCEL_REFUSED, NO_SUCH_ORDER):
            # Filled, canceled, expired or never there: the code is the same.
            return Outcome("GONE", "NOT_OPEN", answer.msg)
        if answer.code in REFUSED_BEFORE:
            return _refused(answer, "REFUSED")
    order = _order(answer)
    if order is not None and order.get("origClientOrderId") == client_id and order.get("status") == "CANCELED":
        return Outcome("CANCELED", "", "")
    return _unknown(answer, order)


def of_amend(answer: Answer, client_id: str) -> Outcome:
    """Of PUT order/amend/keepPriority: AMENDED, GONE (look), REFUSED (unchanged), NOT_SENT, UNKNOWN."""
    if not answer.sent:
        return _not_sent(answer)
    if _refusal(answer):
        if answer.code == AMEND_REFUSED:
            return Outcome("REFUSED", "AMEND_REFUSED", answer.msg)
        if answer.code in (CANCEL_REFUSED, NO_SUCH_ORDER, IDS_DIFFER):
            return Outcome("GONE", "NOT_OPEN", answer.msg)
        if answer.code in REFUSED_BEFORE:
            return _refused(answer, "REFUSED")
    amended = answer.body.get("amendedOrder") if answer.status == 200 and isinstance(answer.body, dict) else None
    order = amended if isinstance(amended, dict) and _is_id(amended.get("orderId")) else None
    if order is not None and order.get("clientOrderId") == client_id:
        return Outcome("AMENDED", "", str(order.get("qty", "")))
    return _unknown(answer, order)


def of_query(answer: Answer, client_id: str | None = None, order_id: str | None = None) -> Outcome:
    """Of GET order: FOUND, ABSENT (one evidence of several that a proof needs), UNKNOWN (the query itself failed).

    A query that was refused is UNKNOWN, too: it says nothing of the order. Its reason says why.
    """
    if not answer.sent:
        reason = _not_sent(answer)
        return Outcome("UNKNOWN", reason.reason, reason.text, reason.retry_after_ms)
    if _refusal(answer):
        if answer.code == NO_SUCH_ORDER:
            return Outcome("ABSENT", "NO_SUCH_ORDER", answer.msg)
        if answer.code in REFUSED_BEFORE:
            refused = _refused(answer, "UNKNOWN")
            return Outcome("UNKNOWN", refused.reason, refused.text, refused.retry_after_ms)
    order = _order(answer)
    if order is not None:
        ours = client_id is None or client_id in (order.get("clientOrderId"), order.get("origClientOrderId"))
        if ours and (order_id is None or order.get("orderId") == order_id) and isinstance(order.get("status"), str):
            return Outcome("FOUND", "", str(order["status"]))
    return _unknown(answer, order)


def _refusal(answer: Answer) -> bool:
    """Whether status and shape are those of a request at fault: its code may then be believed."""
    status = answer.status
    return answer.code is not None and status is not None and 400 <= status < 500 and status not in NO_REFUSAL


def _of_engine(answer: Answer) -> Outcome:
    if answer.msg.strip().rstrip(".").lower() == DUPLICATE:
        return Outcome("ADOPT", "DUPLICATE", answer.msg)
    return Outcome("REJECT", NEW_ORDER_MESSAGES.get(answer.msg, REFUSED_BY_ENGINE), answer.msg)


def _refused(answer: Answer, kind: Kind) -> Outcome:
    assert answer.code is not None
    refused = REFUSED_BEFORE[answer.code]
    named = FILTER_FAILURE.match(answer.msg) if answer.code == -1013 else None
    reason = f"FILTER_{named[1]}" if named else refused.reason
    return Outcome(kind, reason, f"{answer.code} {answer.msg}", answer.retry_after_ms, refused.again)


def _not_sent(answer: Answer) -> Outcome:
    """Ours say `REASON: text`; everything else is the connection's."""
    text = answer.error or ""
    word, colon, rest = text.partition(": ")
    if not colon or not re.fullmatch(r"[A-Z_]+", word):
        word, rest = "NO_CONNECTION", text
    return Outcome("NOT_SENT", word, rest, answer.retry_after_ms, again=True)


def _order(answer: Answer) -> dict[str, Any] | None:
    """The order in a whole and readable answer of success."""
    body = answer.body
    if answer.status == 200 and answer.error is None and isinstance(body, dict) and _is_id(body.get("orderId")):
        return body
    return None


def _is_id(value: object) -> bool:
    return isinstance(value, Number) and value.isascii() and value.isdigit()


def _unknown(answer: Answer, order: object) -> Outcome:
    """Nothing is proven; the reason only says what it looked like."""
    status, code = answer.status, answer.code
    if status is None:
        reason = "TIMEOUT" if "Timeout" in (answer.error or "") else "DISCONNECTED"
    elif code is not None and code in UNKNOWN_CODES:
        reason = UNKNOWN_CODES[code]
    elif status >= 500:
        reason = "SERVER_ERROR"
    elif status == 403:
        reason = "FIREWALL"
    elif order is not None:
        reason = "OTHER_ORDER"
    elif answer.body is None:
        reason = "GARBLED"
    elif status == 200:
        reason = "NO_ORDER"
    else:
        reason = "UNLISTED"
    said = f"{code} {answer.msg}" if code is not None else answer.error or ""
    return Outcome("UNKNOWN", reason, f"HTTP {status or '-'} {said}".strip(), answer.retry_after_ms)
