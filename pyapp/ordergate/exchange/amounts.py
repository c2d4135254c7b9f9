"""Amounts as whole numbers of 10⁻⁸, from the digits that were sent and back to eight decimals."""

import re
from typing import Final

ONE: Final = 100_000_000
"""1, in units of 10⁻⁸."""
MOST: Final = 10**20 * ONE

_DECIMAL: Final = re.compile(r"^([0-9]{1,20})(?:\.([0-9]{1,20}))?$", re.ASCII)
LEGAL: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
"""What the exchange says of an amount that it cannot read."""


def scaled(text: str) -> int | None:
    """The amount in 10⁻⁸; None when it is no plain decimal, -1 when it has more than eight decimals that count."""
    found = _DECIMAL.match(text)
    if found is None:
        return None
    whole, fraction = found.group(1), (found.group(2) or "").rstrip("0")
    if len(fraction) > 8:
        return -1
    return int(whole) * ONE + int(fraction.ljust(8, "0"))


def exact(text: str) -> int:
    """The same for settings and control requests; signs are allowed. Raises ValueError for what is no amount."""
    amount = scaled(text.removeprefix("-"))
    if amount is None or amount < 0:
        raise ValueError(f"{text!r} is no amount of at most eight decimals")
    return -amount if text.startswith("-") else amount


def shown(amount: int) -> str:
    """Eight decimals, as the exchange writes every amount."""
    if amount < 0:
        return "-" + shown(-amount)
    return f"{amount // ONE}.{amount % ONE:08d}"


def times(price: int, quantity: int) -> int:
    """price × quantity in 10⁻⁸, toward zero; exact where tick × step is at least 10⁻⁸, as settings have to be."""
    return price * quantity // ONE
