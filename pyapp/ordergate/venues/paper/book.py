"""One symbol's order book: the best quote and ten synthetic levels behind it, equal in size, one tick apart."""

from dataclasses import dataclass, field
from typing import Final

from ordergate.venues.paper.fixed import MAX_UNITS, SCALE, times

SYNTHETIC_LEVELS: Final = 10


@dataclass(slots=True)
class BookSide:
    """Offers of one side, best first. What orders take is gone until the next quote shows the side anew."""

    best: int = 0
    step: int = 0
    """From one level to the next worse one: positive for asks, negative for bids."""
    sizes: list[int] = field(default_factory=list)
    first: int = 0
    """Index of the first level that still has something."""


@dataclass(slots=True)
class Book:
    """Both sides. All values in units of 10^-8."""

    tick: int
    bids: BookSide = field(default_factory=BookSide)
    asks: BookSide = field(default_factory=BookSide)
    quoted: bool = False
    """False until the first quote."""


def show(book: Book, bid: int, bid_size: int, ask: int, ask_size: int) -> None:
    """Replaces the book by a new best quote and its synthetic levels."""
    _show_side(book.bids, bid, bid_size, -book.tick)
    _show_side(book.asks, ask, ask_size, book.tick)
    book.quoted = True


def _show_side(side: BookSide, best: int, size: int, step: int) -> None:
    side.best, side.step, side.first = best, step, 0
    # Levels that would not be prices (not above zero, or beyond the range of one) do not exist.
    room = (best - 1) // -step if step < 0 else (MAX_UNITS - best) // step
    side.sizes = [size] * (1 + min(SYNTHETIC_LEVELS, room))


def depth(side: BookSide, limit: int | None) -> int:
    """Total size at `limit` or better; of the whole side without a limit."""
    return sum(side.sizes[side.first : _end(side, limit)])


def take(side: BookSide, quantity: int, limit: int | None) -> list[tuple[int, int]]:
    """Takes up to `quantity` at `limit` or better, best first: (price, quantity) for each level touched."""
    taken: list[tuple[int, int]] = []
    sizes, end = side.sizes, _end(side, limit)
    index = side.first
    while quantity and index < end:
        part = min(quantity, sizes[index])
        if part:
            taken.append((side.best + index * side.step, part))
            sizes[index] -= part
            quantity -= part
        if not sizes[index]:
            index += 1
    side.first = index
    return taken


def take_for_quote(side: BookSide, quote: int, step: int) -> tuple[list[tuple[int, int]], bool]:
    """Takes whole steps, best first, as long as `quote` pays for one: (price, quantity) for each level touched, and
    whether what is left pays for no more, rather than that the side is empty."""
    taken: list[tuple[int, int]] = []
    for index in range(side.first, len(side.sizes)):
        if not side.sizes[index]:
            continue
        price = side.best + index * side.step
        affordable = quote * SCALE // price
        if affordable < step:
            return taken, True
        part = min(affordable, side.sizes[index]) // step * step
        if part:
            taken.append((price, part))
            side.sizes[index] -= part
            # As it will be booked: rounded, it never exceeds what is left.
            quote -= times(price, part)
            if quote * SCALE // price < step:
                return taken, True
    return taken, False


def _end(side: BookSide, limit: int | None) -> int:
    """Index after the last level at `limit` or better."""
    count = len(side.sizes)
    if limit is None or not count:
        return count
    better_by = limit - side.best if side.step > 0 else side.best - limit
    return max(side.first, min(count, better_by // abs(side.step) + 1)) if better_by >= 0 else side.first
