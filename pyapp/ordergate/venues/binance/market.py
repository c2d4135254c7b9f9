"""Best prices of what is traded LIVE, from the exchange's public streams: the gateway's checks need fresh ones."""

from ordergate.venues.binance.desk import Desk, until
from ordergate.venues.instruments import folded_listings
from ordergate.venues.paper import marks
from ordergate.venues.prices import binance
from ordergate.venues.prices.binance import Place


async def keep(desk: Desk, place: Place) -> None:
    """Notes every quote and trade; the session tells the gateway of them. A lost stream leaves no price behind."""
    await desk.listed.wait()
    wanted = [symbol for symbol in desk.symbols if symbol in desk.assets]
    await until(desk, lambda: set(wanted) <= folded_listings(desk.journal.instruments()).keys(), float("inf"), 0.05)
    listed = {
        symbol: found for symbol, found in folded_listings(desk.journal.instruments()).items() if symbol in wanted
    }
    async for tick in binance.ticks(place, listed):
        marks.note(desk.marks, tick)
