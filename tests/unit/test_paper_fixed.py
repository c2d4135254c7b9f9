"""Decimals as integers: exact both ways, rounded half-even only where a product becomes a fact."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.venues.paper.fixed import MAX_UNITS, decimal_text, divide_half_even, times, units

any_units = st.integers(0, MAX_UNITS)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1", 100_000_000),
        ("40000", 4_000_000_000_000),
        ("0.001", 100_000),
        ("0.00000001", 1),
        ("1.10", 110_000_000),
        ("0009", 900_000_000),
        ("92233720368.54775807", MAX_UNITS),
    ],
)
def test_units_of_text(text: str, value: int) -> None:
    assert units(text) == value


@pytest.mark.parametrize(
    "text",
    ["", ".", "1.", ".5", "-1", "+1", "1e3", " 1", "1 ", "1_0", "٣", "1.2.3", "NaN", "Infinity", "0.000000001"]
    + ["92233720368.54775808", "9" * 10_000],
)
def test_what_is_no_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a decimal|out of range"):
        units(text)


@given(any_units)
def test_text_and_back(value: int) -> None:
    text = decimal_text(value)
    assert units(text) == value
    assert Decimal(text) == Decimal(value).scaleb(-8)
    assert "." not in text or not text.endswith("0")


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [(1, 2, 0), (3, 2, 2), (5, 2, 2), (7, 2, 4), (1, 3, 0), (2, 3, 1), (6, 3, 2), (0, 7, 0)],
)
def test_halves_go_to_the_even_neighbour(numerator: int, denominator: int, rounded: int) -> None:
    assert divide_half_even(numerator, denominator) == rounded


@given(any_units, any_units)
def test_products_agree_with_decimal(a: int, b: int) -> None:
    with localcontext() as context:
        context.prec = 80
        exact = Decimal(a).scaleb(-8) * Decimal(b).scaleb(-8)
        assert times(a, b) == int(exact.quantize(Decimal("1e-8"), ROUND_HALF_EVEN).scaleb(8))
