"""Loads the instruments of the settings with their filters from the exchange, again and again: filters change."""

import asyncio
from typing import Final

from ordergate.venues.binance import instruments
from ordergate.venues.binance.booking import failure
from ordergate.venues.binance.desk import AccountDesk, Desk, log, report

EVERY_S: Final = 300.0
AGAIN_S: Final = 5.0


async def keep(desk: Desk, side: AccountDesk) -> None:
    """Reports every symbol as it is listed; the gateway journals what has changed. Asks with this account's client."""
    told: dict[str, str] = {}
    while desk.link.open:
        answer = await side.rest.exchange_info(list(desk.symbols))
        if answer.status == 200:
            found = instruments.listed(answer.body, desk.symbols)
            for fields in found.fields.values():
                desk.assets[fields["symbol"]] = (fields["base"], fields["quote"])
                report(desk, ("INSTRUMENT", dict(fields)))
            for symbol, why in found.unusable.items():
                if told.get(symbol) != why:
                    log.error("a symbol cannot be traded", symbol=symbol, reason=why)
            told = dict(found.unusable)
            desk.listed.set()
        else:
            log.warning("instruments are not loaded", reason=failure(answer))
        desk.relist.clear()
        try:
            async with asyncio.timeout(EVERY_S if answer.status == 200 else AGAIN_S):
                await desk.relist.wait()
        except TimeoutError:
            pass
