"""Loads the instruments of the settings with their filters from the exchange, again and again: filters change."""

import asyncio
from typing import Final

from ordergate.venues.binance import symbols
from ordergate.venues.binance.answer import Answer
from ordergate.venues.binance.booking import failure
from ordergate.venues.binance.desk import AccountDesk, Desk, log, report
from ordergate.venues.binance.instruments import NOT_THERE

EVERY_S: Final = 300.0
AGAIN_S: Final = 5.0
GAP_S: Final = 1.0
"""However many refusals hint at a change, the exchange is not asked more often."""


async def keep(desk: Desk, side: AccountDesk) -> None:
    """Reports what has changed; the gateway journals it. Asks with this account's client.

    From then on only the symbols that the exchange lists are looked after: a question about another has no answer, and
    one mistyped symbol would keep everything from being reconciled.
    """
    known, wanted = symbols.Known(), desk.symbols
    while desk.link.open:
        desk.relist.clear()
        found = await symbols.load(side.rest, wanted)
        if isinstance(found, Answer):
            log.warning("instruments are not loaded", reason=failure(found))
            await asyncio.sleep(max(AGAIN_S, found.retry_after_ms / 1_000))
            continue
        report(desk, *symbols.changes(known, found))
        for symbol, fields in known.fields.items():
            desk.assets[symbol] = (fields["base"], fields["quote"])
        desk.symbols = tuple(symbol for symbol in wanted if found.unusable.get(symbol) != NOT_THERE)
        desk.listed.set()
        await asyncio.sleep(GAP_S)
        try:
            async with asyncio.timeout(EVERY_S - GAP_S):
                await desk.relist.wait()
        except TimeoutError:
            pass
