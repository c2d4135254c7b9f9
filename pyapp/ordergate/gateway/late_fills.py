"""Trades of orders that have left memory: brings each order back once Postgres holds all of it.

The core keeps such a trade, durably, from the moment it came; here is only the waiting.
"""

import asyncio
import logging
from typing import Final

from ordergate import _core
from ordergate.persistence.past_orders import HistoryUnavailable, PastOrders

EVERY_SECONDS: Final = 0.5
REPEAT_SECONDS: Final = 60.0
"""How often the log repeats that a trade still waits."""
_log = logging.getLogger("ordergate.late_fills")


async def watch(gateway: _core.Gateway, past: PastOrders) -> None:
    """Runs for ever; raises only what ends the process."""
    told_at: dict[int, float] = {}
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        awaited = gateway.awaited_orders()
        told_at = {order: told_at[order] for order, _ in awaited if order in told_at}
        for order, seq in awaited:
            await _bring_back(gateway, past, order=order, seq=seq, told_at=told_at)
        await _release(gateway, past)


async def _bring_back(
    gateway: _core.Gateway, past: PastOrders, *, order: int, seq: int, told_at: dict[int, float]
) -> None:
    try:
        found = await past.find(order, seq)
        gateway.reload(order, None if found is None else found.facts)
    except (HistoryUnavailable, ValueError) as error:
        now = asyncio.get_running_loop().time()
        if now - told_at.get(order, -REPEAT_SECONDS) >= REPEAT_SECONDS:
            told_at[order] = now
            _log.error("a trade waits for order %d, which has left memory: %s", order, error)
        return
    _log.warning("order %d came back for a late trade" if found else "a late trade names order %d, unknown", order)


async def _release(gateway: _core.Gateway, past: PastOrders) -> None:
    seqs = gateway.reloaded_seqs()
    if not seqs:
        return
    try:
        watermark = await past.watermark()
    except HistoryUnavailable:
        return  # it stays a little longer
    if watermark >= min(seqs):
        gateway.release(watermark)
