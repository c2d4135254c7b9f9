"""Opens an account's side of a session: what its key may do, the instruments, its stream, then reconciliation."""

import asyncio
from typing import Final

import aiohttp

from ordergate.venues.binance import reconciling, user_stream
from ordergate.venues.binance.answer import Answer
from ordergate.venues.binance.booking import Unanswered, failure
from ordergate.venues.binance.desk import AccountDesk, Desk, log, spawn, until

AGAIN_S: Final = (0.5, 15.0)
"""First and longest wait before the exchange is asked again."""
STREAM_PATIENCE_S: Final = 5.0
KEY_REFUSED: Final = (-2014, -2015)


async def open_account(desk: Desk, side: AccountDesk, http: aiohttp.ClientSession, stream_url: str) -> None:
    """Brings an account up, however long the exchange is away, and keeps it so."""
    await until(desk, lambda: desk.clock.good, float("inf"), 0.02)
    wait_s = AGAIN_S[0]
    while desk.link.open:
        try:
            side.refused = await may_not_trade(side)
        except Unanswered as error:
            side.refused = (f"the exchange does not say what the key may do: {error}"[:300], 0)
        if side.refused is None:
            break
        log.warning("account not opened", account=side.account, reason=side.refused[0])
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, AGAIN_S[1])
    spawn(desk, user_stream.keep(desk, side, http, stream_url))
    # First the stream, then the questions: what happens between them is told by one of the two.
    await until(desk, lambda: side.stream_up, STREAM_PATIENCE_S)
    await reconciling.keep(desk, side)


async def may_not_trade(side: AccountDesk) -> tuple[str, int] | None:
    """Why this key must not be traded with, or cannot be. Raises Unanswered."""
    restrictions = await side.rest.restrictions()
    allowed = _object(restrictions)
    if allowed.get("enableWithdrawals") is not False:
        return "the key may withdraw: make one that cannot, and add it with `ordergate venue add`", 0
    account = _object(await side.rest.account())
    if account.get("canTrade") is not True:
        return "the exchange does not let the account trade", 0
    return None


def _object(answer: Answer) -> dict[str, object]:
    if answer.status != 200 or not isinstance(answer.body, dict):
        hint = "the key is wrong, withdrawn, or not allowed from here: " if answer.code in KEY_REFUSED else ""
        raise Unanswered(hint + failure(answer))
    return answer.body
