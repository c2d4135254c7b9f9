"""Ordergate: an order gateway that never loses an order and never sends one twice."""

from typing import Final

__version__: Final = "0.1.0"
