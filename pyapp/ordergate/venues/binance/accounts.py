"""Opens an account's side of a session: what its key may do, the instruments, its stream, then reconciliation."""

import asyncio
from typing import Final

import aiohttp

from ordergate.venues.binance import key_check, reconciling, user_stream
from ordergate.venues.binance.desk import AccountDesk, Desk, log, spawn, until

AGAIN_S: Final = (0.5, 15.0)
"""First and longest wait before the exchange is asked again."""
STREAM_PATIENCE_S: Final = 5.0


async def open_account(desk: Desk, side: AccountDesk, http: aiohttp.ClientSession, stream_url: str) -> None:
    """Brings an account up, however long the exchange is away, and keeps it so."""
    await until(desk, lambda: desk.clock.good, float("inf"), 0.02)
    wait_s = AGAIN_S[0]
    while desk.link.open:
        side.refused = await may_not_trade(side)
        if side.refused is None:
            break
        log.warning("account not opened", account=side.account, reason=side.refused[0])
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, AGAIN_S[1])
    # What is traded in which asset has to be known before anything is booked.
    await desk.listed.wait()
    spawn(desk, user_stream.keep(desk, side, http, stream_url))
    # First the stream, then the questions: what happens between them is told by one of the two.
    await until(desk, lambda: side.stream_up, STREAM_PATIENCE_S)
    await reconciling.keep(desk, side)


async def may_not_trade(side: AccountDesk) -> tuple[str, int] | None:
    """Why this key must not be traded with, or cannot be."""
    findings = await key_check.examine(side.rest)
    if not key_check.refuses(findings):
        return None
    bad = next(one for one in findings if one.result in ("failed", "unknown"))
    return f"{bad.name}: {bad.text}; {bad.advice}"[:300], 0
