"""Exact decimals as integers scaled by 10^8: parsing, writing, and the two roundings that become facts."""

from typing import Final

PLACES: Final = 8
SCALE: Final = 10**PLACES
MAX_UNITS: Final = 2**63 - 1
"""Prices and quantities are i64 in the core: nothing larger may leave the venue."""


def units(text: str) -> int:
    """The decimal `text` (digits, optional fraction) in units of 10^-8.

    Raises ValueError for anything else: signs, exponents, spaces, more than 8 places, a value outside i64.
    """
    whole, point, fraction = text.partition(".")
    digits = whole + fraction
    if not (whole and digits.isascii() and digits.isdigit()) or (point and not fraction) or len(fraction) > PLACES:
        raise ValueError(f"{text[:64]!r} is not a decimal with at most {PLACES} places")
    value = int(digits) * 10 ** (PLACES - len(fraction)) if len(digits) <= 40 else MAX_UNITS + 1
    if value > MAX_UNITS:
        raise ValueError(f"{text[:64]!r} is out of range")
    return value


def decimal_text(value: int) -> str:
    """Canonical text of `value` units, not negative: no trailing zeros, no exponent."""
    whole, fraction = divmod(value, SCALE)
    return f"{whole}.{fraction:08d}".rstrip("0") if fraction else str(whole)


def divide_half_even(numerator: int, denominator: int) -> int:
    """`numerator / denominator` (neither negative) rounded half-even to an integer."""
    quotient, rest = divmod(numerator, denominator)
    twice = rest * 2
    return quotient + (twice > denominator or (twice == denominator and quotient & 1))


def times(a: int, b: int) -> int:
    """The product of two values in units, rounded half-even to 8 places."""
    return divide_half_even(a * b, SCALE)
