"""The built-in market: a seeded walk per instrument that stays near its opening price; no file, no network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from ordergate.venues.instruments import Listing
from ordergate.venues.prices.tick import Tick

STEP_NS: Final = 100_000_000
"""Between two quotes of an instrument."""
CALM: Final = 25_000
"""One step moves at most 1/25,000 of the price: for Bitcoin about a dollar and a half a tenth of a second."""
PULL: Final = 3_000
"""The walk is pulled back by 1/3,000 of its distance from the opening each step."""
REACH: Final = 100
"""It never goes further than 1/100 of the opening price, so that an example written for it keeps working."""
TRADE_EVERY: Final = 3
"""A trade follows about one quote in three."""
SIZE_NOTIONAL: Final = 10_000
"""A level shows about ten thousand times the smallest order."""


@dataclass(slots=True)
class Walk:
    """One instrument's state, in ticks and steps of the instrument."""

    listing: Listing
    random: Random
    opening: int
    size: int
    offset: int = 0


def ticks(listed: Mapping[str, Listing], seed: int) -> Iterator[Tick]:
    """Endless ticks of every listing with an opening price. The same listing and seed give the same ticks."""
    walks = [_walk(listing, seed) for listing in listed.values() if listing.opening_price]
    for walk in walks:
        yield _quote(walk, spread=1, ts_ns=0)
    ts_ns = 0
    while walks:
        ts_ns += STEP_NS
        for number, walk in enumerate(walks):
            # Spread over the step, so that instruments do not all move at once.
            yield from _step(walk, ts_ns + number * STEP_NS // len(walks))


def _walk(listing: Listing, seed: int) -> Walk:
    opening_price = listing.opening_price or 0
    worth = listing.min_notional * SIZE_NOTIONAL
    return Walk(
        listing=listing,
        random=Random(f"{seed}/{listing.symbol}"),
        opening=max(2, opening_price // listing.tick),
        size=max(1, worth * 10**8 // (opening_price * listing.step)),
    )


def _step(walk: Walk, ts_ns: int) -> Iterator[Tick]:
    random, opening = walk.random, walk.opening
    reach, stride = max(1, opening // REACH), max(1, opening // CALM)
    pull = abs(walk.offset) // PULL * (1 if walk.offset > 0 else -1)
    moved = walk.offset + random.randint(-stride, stride) - pull
    # One tick is kept for the bid, which must stay a price.
    walk.offset = max(-min(reach, opening - 2), min(reach, moved))
    quote = _quote(walk, spread=random.randint(1, 1 + opening // 500_000), ts_ns=ts_ns)
    yield quote
    if not random.randrange(TRADE_EVERY):
        size = random.randint(1, walk.size) * walk.listing.step
        price = quote.ask if random.randrange(2) else quote.bid
        yield Tick(walk.listing.symbol, "trade", price=price, size=size, ts_ns=ts_ns)


def _quote(walk: Walk, spread: int, ts_ns: int) -> Tick:
    tick, step = walk.listing.tick, walk.listing.step
    ask = walk.opening + walk.offset
    bid = max(1, ask - spread)
    bid_size, ask_size = _size(walk) * step, _size(walk) * step
    return Tick(
        walk.listing.symbol, "quote", bid=bid * tick, bid_size=bid_size, ask=ask * tick, ask_size=ask_size, ts_ns=ts_ns
    )


def _size(walk: Walk) -> int:
    return walk.random.randint(max(1, walk.size // 5), walk.size * 2)
