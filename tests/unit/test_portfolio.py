"""What events do to balances, digit by digit."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.portfolio.events import Adjustment, Fill, Poison, balance_changes, decode, negated

FILL = {
    "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "side": "BUY", "price": "40000.5", "quantity": "0.01",
    "quoteQuantity": "400.005", "fee": "0.00001", "feeAsset": "BTC",
}  # fmt: skip


def changes(payload: dict[str, str], kind: str = "FILL") -> dict[str, Decimal]:
    """Sum of the changes per asset."""
    event = decode(kind, json.dumps(payload))
    assert isinstance(event, Fill | Adjustment)
    total: dict[str, Decimal] = {}
    for asset, delta in balance_changes(event):
        total[asset] = total.get(asset, Decimal(0)) + Decimal(delta)
    return total


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {"BTC": "0.00999", "USDT": "-400.005"}),
        ({"side": "SELL", "feeAsset": "USDT", "fee": "0.4"}, {"BTC": "-0.01", "USDT": "399.605"}),
        ({"feeAsset": "BNB"}, {"BTC": "0.01", "USDT": "-400.005", "BNB": "-0.00001"}),
        ({"fee": "-0.5", "feeAsset": "USDT"}, {"BTC": "0.01", "USDT": "-399.505"}),
        ({"fee": "0"}, {"BTC": "0.01", "USDT": "-400.005"}),
    ],
)
def test_a_fill_moves_base_quote_and_fee(changed: dict[str, str], expected: dict[str, str]) -> None:
    assert changes(FILL | changed) == {asset: Decimal(delta) for asset, delta in expected.items()}


def test_an_adjustment_moves_one_asset() -> None:
    assert changes({"asset": "USDT", "delta": "-12.5"}, "BALANCE_ADJUSTED") == {"USDT": Decimal("-12.5")}


@pytest.mark.parametrize("name", FILL)
def test_every_member_of_a_fill_is_needed_and_is_text(name: str) -> None:
    for payload in ({key: value for key, value in FILL.items() if key != name}, FILL | {name: None}, FILL | {name: 1}):
        assert isinstance(decode("FILL", json.dumps(payload)), Poison)


NO_DECIMALS = ["", "-", "NaN", "Infinity", "1e5", "1.", ".5", "+1", " 1", "1 ", "1\n", "0x1", "\u0661", "--1"]


@pytest.mark.parametrize("text", NO_DECIMALS)
def test_only_plain_decimals_are_numbers(text: str) -> None:
    assert isinstance(decode("BALANCE_ADJUSTED", json.dumps({"asset": "USDT", "delta": text})), Poison)
    assert isinstance(decode("FILL", json.dumps(FILL | {"fee": text})), Poison)


def test_an_unknown_kind_is_poison() -> None:
    assert decode("FUNDING", "{}") == Poison("events of kind 'FUNDING' are not known to this build")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8))
def test_negation_keeps_every_digit(number: Decimal) -> None:
    text = f"{number:f}"
    assert Decimal(negated(text)) == number.copy_negate()
    assert negated(negated(text)) == text
