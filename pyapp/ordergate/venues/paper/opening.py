"""Opens a session of the PAPER venue: its prices and its simulated exchange, from the settings and the journal."""

import asyncio
from typing import TYPE_CHECKING

import structlog

from ordergate.config import Paths, Settings
from ordergate.venues import prices
from ordergate.venues.instruments import Listing, folded_listings, shipped_listings
from ordergate.venues.link import Journal
from ordergate.venues.paper import matching, session
from ordergate.venues.refusal import VenueRefused

if TYPE_CHECKING:
    from ordergate.venues.main import Opened

log = structlog.get_logger("ordergate.venues")


def check(settings: Settings, paths: Paths) -> None:
    """Raises VenueRefused, ValueError for what no restart can help."""
    try:
        prices.check(settings.paper.prices, _place(settings))
    except prices.PricesRefused as error:
        raise VenueRefused(str(error)) from None
    matching.open_exchange(0, settings.paper.fee_rate, settings.paper.latency_ms, {})


async def serve(opened: "Opened", settings: Settings, paths: Paths, stop: asyncio.Event) -> None:
    """Serves one session until `stop` is set. Raises VenueRefused, and whatever ends a session."""
    listed = _listed(opened.journal)
    try:
        ticks = prices.open_prices(
            settings.paper.prices, listed, seed=settings.paper.seed, speed=settings.paper.replay_speed,
            place=_place(settings),
        )  # fmt: skip
        exchange = matching.open_exchange(opened.number, settings.paper.fee_rate, settings.paper.latency_ms, listed)
        log.info("session open", venue=session.VENUE, session=opened.number, prices=settings.paper.prices)
        one = session.Session(opened.number, opened.journal, opened.link, opened.reading, exchange, opened.greeted_ns)
        await session.run(one, ticks, stop)
    except prices.PricesRefused as error:
        raise VenueRefused(str(error)) from None


def _place(settings: Settings) -> prices.Place:
    """Where live prices come from: the exchange that LIVE would trade on."""
    binance = settings.binance
    hosts = frozenset(binance.allowed_hosts)
    return prices.Place(binance.rest_url, binance.stream_url, hosts, binance.stream_silence_s)


def _listed(journal: Journal) -> dict[str, Listing]:
    """The journal's instruments, with the opening prices of those that ship with us."""
    shipped = shipped_listings()
    return shipped | {
        symbol: Listing(
            listing.symbol, listing.base, listing.quote, listing.tick, listing.step, listing.min_notional,
            shipped[symbol].opening_price if symbol in shipped else None,
        )
        for symbol, listing in folded_listings(journal.instruments()).items()
    }  # fmt: skip
