"""Turns ticks with recorded times into ticks that come when they are due."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

from ordergate.venues.prices.tick import Tick

STAND_S: Final = 1.0
MAX_UNYIELDED: Final = 256
"""Ticks that may pass without giving way to other tasks, when the source is behind its times."""


async def paced(ticks: Iterable[Tick], speed: float) -> AsyncIterator[Tick]:
    """The ticks, `speed` times as fast as recorded; the first comes at once. Never drifts: due times are absolute."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    first_ns: int | None = None
    unyielded = 0
    for tick in ticks:
        if first_ns is None:
            first_ns = tick.ts_ns
        wait = start + (tick.ts_ns - first_ns) / 1e9 / speed - loop.time()
        unyielded += 1
        if wait > 0 or unyielded >= MAX_UNYIELDED:
            unyielded = 0
            await asyncio.sleep(max(wait, 0))
        yield tick


async def then_stand(ticks: AsyncIterator[Tick]) -> AsyncIterator[Tick]:
    """The ticks, and after their end the last quote of each symbol again and again: a market without news."""
    last: dict[str, Tick] = {}
    async for tick in ticks:
        if tick.kind == "quote":
            last[tick.symbol] = tick
        yield tick
    while True:
        await asyncio.sleep(STAND_S)
        for tick in last.values():
            yield tick
