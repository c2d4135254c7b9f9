"""One change of the market, as every price source tells it."""

from typing import Literal

import msgspec


class Tick(msgspec.Struct, frozen=True, gc=False):
    """A new best quote (kind `quote`) or a trade between others (kind `trade`). Values in units of 10^-8.

    Kind `stale`: the symbol has no price until its next quote, because its source was lost.
    """

    symbol: str
    kind: Literal["quote", "trade", "stale"]
    bid: int = 0
    bid_size: int = 0
    ask: int = 0
    ask_size: int = 0
    price: int = 0
    """Of the trade."""
    size: int = 0
    """Of the trade."""
    ts_ns: int = 0
    """The source's own time: it orders ticks and paces them, nothing else."""
