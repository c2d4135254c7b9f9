"""Where PAPER prices come from: an async iterator of ticks, chosen by one line of text.

`synthetic` is a seeded generator. `replay:<dir>[?speed=N&loop=1]` plays trades.csv and quotes.csv of a directory that
is named after the instrument. `ccxt:binance` listens to the public streams of the exchange.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final

from ordergate.venues.instruments import Listing
from ordergate.venues.prices import binance, replay, synthetic
from ordergate.venues.prices.binance import Place
from ordergate.venues.prices.pace import paced, then_stand
from ordergate.venues.prices.source import PricesRefused
from ordergate.venues.prices.tick import Tick

__all__ = ["Place", "PricesRefused", "Tick", "check", "open_prices"]

SYNTHETIC: Final = "synthetic"
REPLAY: Final = "replay:"
BINANCE: Final = "ccxt:binance"


def check(source: str, place: Place | None = None) -> None:
    """Reads a source to its end without waiting. Raises PricesRefused, whose words say what is wrong and where.

    `place`: where the exchange of a live source is.
    """
    if source.startswith(REPLAY):
        replay.check(replay.parse(source.removeprefix(REPLAY), 1.0))
    elif source == BINANCE and place is not None:
        binance.check(place)
    elif source != SYNTHETIC:
        raise PricesRefused(
            f"unknown price source {source!r}: use synthetic, ccxt:binance or replay:DIRECTORY[?speed=N&loop=1]"
        )


def open_prices(
    source: str, listed: Mapping[str, Listing], *, seed: int, speed: float, place: Place | None = None
) -> AsyncIterator[Tick]:
    """Ticks of a source that passed `check`, as time passes; after its end its last quotes stand, told each second.

    `speed` is how much faster than recorded a replay runs, unless the source itself says. Raises PricesRefused.
    """
    if source == BINANCE and place is not None:
        return binance.ticks(place, listed)
    if not source.startswith(REPLAY):
        return paced(synthetic.ticks(listed, seed), 1.0)
    plan = replay.parse(source.removeprefix(REPLAY), speed)
    if plan.symbol not in listed:
        raise PricesRefused(f"{plan.directory}: the directory's name must be an instrument, {plan.symbol} is not")
    return then_stand(paced(replay.ticks(plan), plan.speed))
