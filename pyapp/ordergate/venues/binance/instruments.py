"""The exchange's list of symbols (`exchangeInfo`) as the fields of our instruments: pure, exact, nothing made up.

What has no place in an instrument is left to the exchange, which refuses it with its own filter: MARKET_LOT_SIZE's
minimum and step where they are stricter than LOT_SIZE's, ICEBERG_PARTS, TRAILING_DELTA, the numbers of algo, iceberg
and listed orders, and the filters of the whole exchange.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

NUMBER: Final = re.compile(r"\d{1,20}(\.\d{1,8}0*)?\Z")
"""What fits the gateway's fixed point: no sign, no exponent, at most eight decimals that say something."""
COUNT: Final = re.compile(r"\d{1,9}\Z")
SYMBOL: Final = re.compile(r"[A-Z0-9]{2,32}\Z")
ASSET: Final = re.compile(r"[A-Z0-9]{1,20}\Z")
FINEST: Final = "0.00000001"
"""Step of a filter that is switched off (0): that of the exchange's own numbers."""
NO_SPOT: Final = "SPOT_NOT_ALLOWED"
"""Our status of a symbol that trades, but not on the spot market."""

NOT_THERE: Final = "the exchange does not list it"

PRICE: Final = ("minPrice", "maxPrice", "tickSize")
LOT: Final = ("minQty", "maxQty", "stepSize")
BY_SIDE: Final = ("bidMultiplierUp", "bidMultiplierDown", "askMultiplierUp", "askMultiplierDown")
ORDERED: Final = (
    ("minPrice", "maxPrice"),
    ("minQty", "maxQty"),
    ("minQty", "marketMaxQty"),
    ("minNotional", "maxNotional"),
    ("bidMultiplierDown", "bidMultiplierUp"),
    ("askMultiplierDown", "askMultiplierUp"),
)
"""Each first at most its second, unless that is 0, which is no bound."""


class Unusable(Exception):
    """What the exchange says of a symbol cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Listed:
    """`fields`: by symbol, as `Gateway.set_instrument` takes them. `unusable`: by symbol, why it cannot be traded here.

    `amendable`: the symbols whose orders can be made smaller in their place.
    """

    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)
    amendable: frozenset[str] = frozenset()


def listed(body: object, symbols: Iterable[str], max_assets: Mapping[str, str] | None = None) -> Listed:
    """The wanted symbols of an `exchangeInfo` body. `max_assets`: the MAX_ASSET filter of the account, by asset."""
    entries = body.get("symbols") if isinstance(body, dict) else None
    known = {
        str(entry.get("symbol")): entry
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
    }
    found: dict[str, Mapping[str, str]] = {}
    unusable: dict[str, str] = {}
    for symbol in symbols:
        try:
            if symbol not in known:
                raise Unusable(NOT_THERE)
            found[symbol] = instrument(known[symbol], max_assets or {})
        except Unusable as error:
            unusable[symbol] = str(error)
    return Listed(found, unusable, frozenset(name for name in found if known[name].get("amendAllowed") is True))


def instrument(entry: Mapping[str, Any], max_assets: Mapping[str, str]) -> dict[str, str]:
    """One symbol's fields. Raises Unusable."""
    filters = _filters(entry)
    base, quote = _text(entry, "baseAsset", ASSET), _text(entry, "quoteAsset", ASSET)
    fields = {
        "symbol": _text(entry, "symbol", SYMBOL),
        "base": base,
        "quote": quote,
        "status": _status(entry),
        **_numbers(filters, "PRICE_FILTER", PRICE),
        **_numbers(filters, "LOT_SIZE", LOT),
        "marketMaxQty": _numbers(filters, "MARKET_LOT_SIZE", ("maxQty",), "0")["maxQty"],
        **_notional(filters),
        **_multipliers(filters),
    }
    for step in ("tickSize", "stepSize"):
        fields[step] = fields[step] if Decimal(fields[step]) else FINEST
    if "MAX_NUM_ORDERS" in filters:
        fields["maxNumOrders"] = _text(filters["MAX_NUM_ORDERS"], "maxNumOrders", COUNT)
    if "MAX_POSITION" in filters:
        fields |= _numbers(filters, "MAX_POSITION", ("maxPosition",))
    for name, asset in (("maxAssetBase", base), ("maxAssetQuote", quote)):
        if asset in max_assets:
            fields[name] = _text(max_assets, asset, NUMBER)
    for low, high in ORDERED:
        if low in fields and high in fields and 0 < Decimal(fields[high]) < Decimal(fields[low]):
            raise Unusable(f"{low} {fields[low]} is above {high} {fields[high]}")
    return fields


def max_assets(body: object) -> dict[str, str]:
    """Asset -> limit, of a `myFilters` body; what is not understood is left out: the exchange refuses by itself."""
    filters = body.get("assetFilters") if isinstance(body, dict) else None
    return {
        str(one.get("asset")): str(one["limit"])
        for one in (filters if isinstance(filters, list) else ())
        if isinstance(one, dict) and one.get("filterType") == "MAX_ASSET" and NUMBER.match(str(one.get("limit")))
    }


def _filters(entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = entry.get("filters")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Unusable("it has no list of filters")
    return {str(one.get("filterType")): one for one in found}


def _status(entry: Mapping[str, Any]) -> str:
    status = entry.get("status")
    if not isinstance(status, str) or not status:
        raise Unusable("it has no status")
    return NO_SPOT if status == "TRADING" and entry.get("isSpotTradingAllowed") is False else status


def _text(members: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not form.match(value):
        raise Unusable(f"{name} {value!r} cannot be used here")
    return str(value)


def _numbers(
    filters: Mapping[str, Mapping[str, Any]], kind: str, names: tuple[str, ...], absent: str | None = None
) -> dict[str, str]:
    """Members of a filter. `absent`: their value without it; None: the symbol cannot be used without it."""
    if kind not in filters:
        if absent is None:
            raise Unusable(f"it has no {kind}")
        return dict.fromkeys(names, absent)
    return {name: _text(filters[kind], name, NUMBER) for name in names}


def _notional(filters: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Of NOTIONAL and the older MIN_NOTIONAL; both may be there."""
    least = [
        _numbers(filters, kind, ("minNotional",))["minNotional"]
        for kind in ("NOTIONAL", "MIN_NOTIONAL")
        if kind in filters
    ]
    most = _numbers(filters, "NOTIONAL", ("maxNotional",), "0")
    return {"minNotional": max(least, key=Decimal, default="0"), **most}


def _multipliers(filters: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    if "PERCENT_PRICE_BY_SIDE" in filters:
        return _numbers(filters, "PERCENT_PRICE_BY_SIDE", BY_SIDE)
    if "PERCENT_PRICE" in filters:
        both = _numbers(filters, "PERCENT_PRICE", ("multiplierUp", "multiplierDown"))
        return {name: both["multiplierUp" if name.endswith("Up") else "multiplierDown"] for name in BY_SIDE}
    return {}
