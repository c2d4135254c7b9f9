"""The exchange's list of symbols as our instruments: every filter has its field, and the engine takes them."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ordergate import _core
from ordergate.venues.binance.answer import decode
from ordergate.venues.binance.instruments import FINEST, listed, max_assets

BTCUSDT: dict[str, Any] = {
    "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "isSpotTradingAllowed": True,
    "amendAllowed": True,
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000",
         "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
        {"filterType": "ICEBERG_PARTS", "limit": 100},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "107.61243752", "stepSize": "0.00000000"},
        {"filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2000},
        {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2",
         "askMultiplierUp": "6", "askMultiplierDown": "0.3", "avgPriceMins": 5},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True,
         "maxNotional": "9000000.00000000", "applyMaxToMarket": False, "avgPriceMins": 5},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        {"filterType": "MAX_POSITION", "maxPosition": "50.5"},
    ],
}  # fmt: skip


def changed(**members: Any) -> dict[str, Any]:
    return copy.deepcopy(BTCUSDT) | members


def with_filter(kind: str, **members: Any) -> dict[str, Any]:
    """With members of a filter changed; without any the filter is gone."""
    entry = changed()
    entry["filters"] = [
        one | members if one["filterType"] == kind else one
        for one in entry["filters"]
        if members or one["filterType"] != kind
    ]
    return entry


def body(*entries: Any) -> Any:
    """As it comes from the wire: numbers as they were written."""
    return decode(json.dumps({"symbols": list(entries)}).encode())


def fields(entry: Any) -> dict[str, str]:
    found = listed(body(entry), ["BTCUSDT"])
    assert not found.unusable
    return dict(found.fields["BTCUSDT"])


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[_core.Gateway]:
    made = _core.Gateway.open(str(tmp_path / "journal"), str(tmp_path / "snapshots"), segment_bytes=1 << 20)
    yield made
    made.close()


def test_every_filter_has_its_field() -> None:
    assert fields(BTCUSDT) == {
        "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "status": "TRADING",
        "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000",
        "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000", "marketMaxQty": "107.61243752",
        "minNotional": "5.00000000", "maxNotional": "9000000.00000000",
        "bidMultiplierUp": "5", "bidMultiplierDown": "0.2", "askMultiplierUp": "6", "askMultiplierDown": "0.3",
        "maxNumOrders": "200", "maxPosition": "50.5",
    }  # fmt: skip
    assert listed(body(BTCUSDT), ["BTCUSDT"]).amendable == {"BTCUSDT"}
    assert not listed(body(changed(amendAllowed=False)), ["BTCUSDT"]).amendable


def test_the_engine_takes_them_and_journals_only_a_change(gateway: _core.Gateway) -> None:
    first = gateway.set_instrument(fields(BTCUSDT))
    assert first > 0
    assert gateway.set_instrument(fields(BTCUSDT)) == 0
    stricter = fields(with_filter("LOT_SIZE", minQty="0.001", stepSize="0.001", maxQty="9000"))
    assert gateway.set_instrument(stricter) > first
    assert gateway.set_instrument(fields(changed(status="HALT"))) > 0


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (changed(status="HALT"), {"status": "HALT"}),
        (changed(status="CANCEL_ONLY"), {"status": "CANCEL_ONLY"}),
        (changed(isSpotTradingAllowed=False), {"status": "SPOT_NOT_ALLOWED"}),
        (changed(status="BREAK", isSpotTradingAllowed=False), {"status": "BREAK"}),
        (with_filter("PRICE_FILTER", tickSize="0", minPrice="0", maxPrice="0"),
         {"tickSize": FINEST, "minPrice": "0", "maxPrice": "0"}),
        (with_filter("LOT_SIZE", stepSize="0.00000000"), {"stepSize": FINEST}),
        (with_filter("MARKET_LOT_SIZE"), {"marketMaxQty": "0"}),
        (with_filter("NOTIONAL"), {"minNotional": "0", "maxNotional": "0"}),
        (with_filter("NOTIONAL", filterType="MIN_NOTIONAL"), {"minNotional": "5.00000000", "maxNotional": "0"}),
        (with_filter("NOTIONAL", minNotional="0.000000010000"), {"minNotional": "0.000000010000"}),
        (with_filter("PERCENT_PRICE_BY_SIDE", filterType="PERCENT_PRICE", multiplierUp="1.3", multiplierDown="0.7"),
         {"bidMultiplierUp": "1.3", "bidMultiplierDown": "0.7", "askMultiplierUp": "1.3", "askMultiplierDown": "0.7"}),
    ],
)  # fmt: skip
def test_what_is_switched_off_or_of_another_kind(
    entry: dict[str, Any], expected: dict[str, str], gateway: _core.Gateway
) -> None:
    found = fields(entry)
    assert {name: found[name] for name in expected} == expected
    assert gateway.set_instrument(found) > 0


def test_the_stricter_of_two_minima_counts() -> None:
    entry = changed()
    entry["filters"].append({"filterType": "MIN_NOTIONAL", "minNotional": "10.0"})
    assert fields(entry)["minNotional"] == "10.0"


@pytest.mark.parametrize("kind", ["PERCENT_PRICE_BY_SIDE", "MAX_NUM_ORDERS", "MAX_POSITION"])
def test_a_filter_that_is_gone_takes_its_fields_along(kind: str, gateway: _core.Gateway) -> None:
    gateway.set_instrument(fields(BTCUSDT))
    found = fields(with_filter(kind))
    assert len(found) < len(fields(BTCUSDT)) and gateway.set_instrument(found) > 0


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (changed(filters=None), "no list of filters"),
        (changed(filters=[5]), "no list of filters"),
        (changed(status=""), "no status"),
        (changed(baseAsset="btc"), "baseAsset 'btc' cannot be used here"),
        (changed(quoteAsset=None), "quoteAsset None cannot be used here"),
        (with_filter("PRICE_FILTER"), "no PRICE_FILTER"),
        (with_filter("LOT_SIZE"), "no LOT_SIZE"),
        (with_filter("LOT_SIZE", minQty="-1"), "minQty '-1'"),
        (with_filter("LOT_SIZE", minQty="NaN"), "minQty 'NaN'"),
        (with_filter("LOT_SIZE", minQty="1e-5"), "minQty '1e-5'"),
        (with_filter("LOT_SIZE", minQty="0.000000001"), "minQty '0.000000001'"),
        (with_filter("LOT_SIZE", minQty=None), "minQty None"),
        (with_filter("LOT_SIZE", minQty="9001"), "minQty 9001 is above maxQty"),
        (with_filter("LOT_SIZE", minQty="108"), "minQty 108 is above marketMaxQty"),
        (with_filter("NOTIONAL", maxNotional="4"), "minNotional 5.00000000 is above maxNotional 4"),
        (with_filter("PERCENT_PRICE_BY_SIDE", askMultiplierDown="7"), "askMultiplierDown 7 is above"),
        (with_filter("MAX_NUM_ORDERS", maxNumOrders="many"), "maxNumOrders 'many'"),
        (with_filter("MAX_POSITION", maxPosition="9" * 30), "maxPosition '999"),
    ],
)
def test_what_cannot_be_used_says_why(entry: dict[str, Any], reason: str) -> None:
    found = listed(body(entry), ["BTCUSDT"])
    assert not found.fields and reason in found.unusable["BTCUSDT"]


@pytest.mark.parametrize("garbage", [None, [], "x", {}, {"symbols": None}, {"symbols": [5, None]}, {"symbols": {}}])
def test_garbage_lists_nothing(garbage: object) -> None:
    found = listed(garbage, ["BTCUSDT"])
    assert not found.fields and found.unusable == {"BTCUSDT": "the exchange does not list it"}


def test_one_unusable_symbol_does_not_take_the_others_along() -> None:
    other = changed(symbol="ETHUSDT", baseAsset="ETH", filters=[])
    found = listed(body(other, BTCUSDT), ["ETHUSDT", "BTCUSDT", "XYZ"])
    assert found.fields.keys() == {"BTCUSDT"} and found.unusable.keys() == {"ETHUSDT", "XYZ"}


def test_the_account_s_own_maxima() -> None:
    mine = max_assets({"assetFilters": [{"filterType": "MAX_ASSET", "asset": "USDT", "limit": "42.0"}, {}, 5]})
    assert mine == {"USDT": "42.0"} and max_assets("x") == {}
    found = listed(body(BTCUSDT), ["BTCUSDT"], mine).fields["BTCUSDT"]
    assert found["maxAssetQuote"] == "42.0" and "maxAssetBase" not in found
