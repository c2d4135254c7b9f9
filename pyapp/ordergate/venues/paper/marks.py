"""PRICE reports: the newest bid, ask and last of each symbol, never closer together than 50 ms per symbol."""

from dataclasses import dataclass, field
from typing import Final

from ordergate.venues.paper.fixed import decimal_text
from ordergate.venues.prices.tick import Tick
from ordergate.venues.reports import Report

SPACING_NS: Final = 50_000_000
REPEAT_NS: Final = 500_000_000
"""A quiet market is told again, so that its price does not look stale (the gateway wants one of the last 2 s)."""


@dataclass(slots=True)
class Mark:
    """What is to be told of one symbol."""

    bid: int
    ask: int
    last: int = 0
    changed: bool = True
    told_ns: int = -REPEAT_NS


@dataclass(slots=True)
class Marks:
    """All symbols that were quoted."""

    by_symbol: dict[str, Mark] = field(default_factory=dict)


def note(marks: Marks, tick: Tick) -> None:
    """Remembers a tick. Trades of a symbol that has no quote are ignored; a stale one is told no more."""
    mark = marks.by_symbol.get(tick.symbol)
    if tick.kind == "quote":
        if mark is None:
            marks.by_symbol[tick.symbol] = Mark(tick.bid, tick.ask)
        elif (mark.bid, mark.ask) != (tick.bid, tick.ask):
            mark.bid, mark.ask, mark.changed = tick.bid, tick.ask, True
    elif tick.kind == "stale":
        marks.by_symbol.pop(tick.symbol, None)
    elif mark is not None and mark.last != tick.price:
        mark.last, mark.changed = tick.price, True


def tell(marks: Marks, now_ns: int, out: list[Report]) -> None:
    """Appends the PRICE reports that are due."""
    for symbol, mark in marks.by_symbol.items():
        if now_ns - mark.told_ns >= (SPACING_NS if mark.changed else REPEAT_NS):
            mark.changed, mark.told_ns = False, now_ns
            # Before the first trade there is no last price; what a seller would get stands in for it.
            prices = (decimal_text(price) for price in (mark.bid, mark.ask, mark.last or mark.bid))
            out.append(("PRICE", symbol, *prices, now_ns))
