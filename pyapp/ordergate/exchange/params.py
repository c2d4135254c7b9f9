"""Parameters of a new order: which are allowed, which are needed, and what they say."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ordergate.exchange.amounts import scaled
from ordergate.exchange.errors import (
    BAD_SIDE,
    BAD_SYMBOL,
    BAD_TIF,
    BAD_TYPE,
    ApiError,
    bad,
    illegal,
    missing,
    unwanted,
)
from ordergate.exchange.state import Exchange, Symbol

Params = Mapping[str, str]

CLIENT_ID: Final = re.compile(r"^[a-zA-Z0-9-_]{1,36}$", re.ASCII)
CLIENT_ID_LEGAL: Final = "^[a-zA-Z0-9-_]{1,36}$"
WHOLE: Final = re.compile(r"^[0-9]{1,20}$", re.ASCII)
WHOLE_LEGAL: Final = "^[0-9]{1,20}$"

NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "LIMIT": ("timeInForce", "quantity", "price"),
    "MARKET": (),
    "STOP_LOSS": ("quantity", "stopPrice"),
    "TAKE_PROFIT": ("quantity", "stopPrice"),
    "STOP_LOSS_LIMIT": ("timeInForce", "quantity", "price", "stopPrice"),
    "TAKE_PROFIT_LIMIT": ("timeInForce", "quantity", "price", "stopPrice"),
    "LIMIT_MAKER": ("quantity", "price"),
}
"""Order type → what it must have; of the four and `quoteOrderQty`, it may have no other (MARKET: one of two)."""
TERMS: Final = ("timeInForce", "quantity", "price", "stopPrice", "quoteOrderQty")
ABSENT: Final = {
    "icebergQty": bad(-2010, "Iceberg orders are not supported for this symbol."),
    "trailingDelta": bad(-2010, "Trailing stop orders are not supported for this symbol."),
    **dict.fromkeys(("pegPriceType", "pegOffsetType", "pegOffsetValue"), bad(-1014, "Unsupported order combination.")),
}
"""What this exchange does not have, and says so."""
STP_MODES: Final = ("NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH")
FULL_BY_DEFAULT: Final = frozenset({"LIMIT", "MARKET"})


@dataclass(frozen=True, slots=True)
class Terms:
    """A new order, as asked for. Amounts in 10⁻⁸, 0 where there is none."""

    symbol: Symbol
    side: str
    type: str
    tif: str
    quantity: int
    price: int
    stop_price: int
    quote_quantity: int
    client_id: str | None
    answer: str
    stp: str
    strategy_id: int | None
    strategy_type: int | None


def symbol_of(ex: Exchange, params: Params) -> Symbol | ApiError:
    """The symbol that `symbol` names."""
    name = params.get("symbol", "")
    if not name:
        return missing("symbol")
    return ex.symbols.get(name, BAD_SYMBOL)


def amount_of(params: Params, name: str) -> int | ApiError:
    """A decimal parameter that was sent."""
    text = params[name]
    if not text:
        return missing(name)
    amount = scaled(text)
    if amount is None:
        return illegal(name)
    return bad(-1111, f"Parameter '{name}' has too much precision.") if amount < 0 else amount


def whole_of(params: Params, name: str) -> int | ApiError | None:
    """A whole number, None when it was not sent."""
    text = params.get(name)
    if text is None:
        return None
    return int(text) if WHOLE.match(text) else illegal(name, WHOLE_LEGAL)


def client_id_of(params: Params, name: str) -> str | ApiError | None:
    """A client's own id, None when it was not sent."""
    text = params.get(name)
    if text is None:
        return None
    return text if CLIENT_ID.match(text) else illegal(name, CLIENT_ID_LEGAL)


def terms_of(ex: Exchange, params: Params) -> Terms | ApiError:
    """What a new order asks for, or what is wrong with how it is asked."""
    symbol = symbol_of(ex, params)
    if isinstance(symbol, ApiError):
        return symbol
    for name in ("side", "type"):
        if not params.get(name):
            return missing(name)
    side, kind = params["side"], params["type"]
    if side not in {"BUY", "SELL"}:
        return BAD_SIDE
    if kind not in NEEDED:
        return BAD_TYPE
    amounts = _amounts(params, kind)
    if isinstance(amounts, ApiError):
        return amounts
    client_id = client_id_of(params, "newClientOrderId")
    strategy_id, strategy_type = whole_of(params, "strategyId"), whole_of(params, "strategyType")
    for found in (client_id, strategy_id, strategy_type):
        if isinstance(found, ApiError):
            return found
    if isinstance(strategy_type, int) and strategy_type < 1_000_000:
        return bad(-1134, "strategyType was less than 1000000.")
    stp = params.get("selfTradePreventionMode", symbol.stp_default)
    if stp not in STP_MODES:
        return bad(-1013, "This symbol does not allow the specified self-trade prevention mode.")
    answer = params.get("newOrderRespType", "FULL" if kind in FULL_BY_DEFAULT else "ACK")
    if answer not in {"ACK", "RESULT", "FULL"}:
        return bad(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    return Terms(
        symbol,
        side,
        kind,
        params.get("timeInForce", "GTC"),
        amounts.get("quantity", 0),
        amounts.get("price", 0),
        amounts.get("stopPrice", 0),
        amounts.get("quoteOrderQty", 0),
        client_id if isinstance(client_id, str) else None,
        answer,
        stp,
        strategy_id if isinstance(strategy_id, int) else None,
        strategy_type if isinstance(strategy_type, int) else None,
    )


def _amounts(params: Params, kind: str) -> dict[str, int] | ApiError:
    needed = NEEDED[kind]
    if kind == "MARKET":
        if "quantity" in params and "quoteOrderQty" in params:
            return bad(-1128, "Combination of optional parameters invalid.")
        if "quantity" not in params and "quoteOrderQty" not in params:
            return bad(-1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!")
        needed = ("quoteOrderQty",) if "quoteOrderQty" in params else ("quantity",)
    for name in needed:
        if name not in params:
            return missing(name)
    for name in TERMS:
        if name in params and name not in needed:
            return bad(-1114, "TimeInForce parameter sent when not required.") if name == TERMS[0] else unwanted(name)
    if "timeInForce" in params and params["timeInForce"] not in {"GTC", "IOC", "FOK"}:
        return BAD_TIF
    for name, refusal in ABSENT.items():
        if name in params:
            return refusal
    found = {}
    for name in TERMS[1:]:
        if name in params:
            amount = amount_of(params, name)
            if isinstance(amount, ApiError):
                return amount
            if amount == 0:
                return bad(-1013, f"Invalid {name}.")
            found[name] = amount
    return found
