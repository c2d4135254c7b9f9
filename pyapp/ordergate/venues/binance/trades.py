"""Reads the trades that the stream may have missed: by trade id, from a durable watermark on, until caught up."""

import asyncio
from collections import defaultdict
from typing import Final

from ordergate.venues.binance import booking, dialect, outcomes
from ordergate.venues.binance.booking import TRADES_PAGE, Unanswered, rows
from ordergate.venues.binance.desk import MODE, AccountDesk, Desk, log, report, room, wish
from ordergate.venues.binance.dialect import Malformed, Trade

TRIES: Final = 5
WAIT_S: Final = 0.2


async def catch_up(desk: Desk, side: AccountDesk) -> None:
    """Fills the gap of a stream that was away. What stays open after some tries is left to the next reconciliation."""
    for tried in range(TRIES):
        try:
            for symbol in desk.symbols:
                await fill(desk, side, symbol)
            return
        except (Unanswered, Malformed) as error:
            log.warning("the stream's gap is not filled", account=side.account, reason=str(error), tried=tried + 1)
            await asyncio.sleep(WAIT_S * 2**tried)
    wish(side, "gap")


async def fill(desk: Desk, side: AccountDesk, symbol: str) -> int:
    """Takes every trade of a symbol after the watermark, and raises that; how many were new.

    Raises Unanswered, Malformed: what was taken so far counts, the watermark stays below what was not.
    """
    async with side.filling:
        before = side.trades_seen
        watermark = booking.confirmed(desk, side, symbol)
        if watermark == 0 and not _has_traded(desk, side):
            return await _begin(desk, side, symbol)
        position = watermark
        while True:
            page = [
                dialect.trade_in_row(row)
                for row in rows(await side.rest.my_trades(symbol, from_id=position + 1, limit=TRADES_PAGE))
            ]
            await _take(desk, side, symbol, page)
            confirm(desk, side, symbol, page)
            if len(page) < TRADES_PAGE:
                return side.trades_seen - before
            position = max(int(trade.trade_id) for trade in page)
            await room(desk)


def confirm(desk: Desk, side: AccountDesk, symbol: str, page: list[Trade]) -> None:
    """Raises the watermark over what was read. The exchange's readers may show a later trade before an earlier one, so
    that the newest moments are read once more."""
    settled_ms = desk.clock.now_ms() - desk.margins.read_lag_ms
    settled = [int(trade.trade_id) for trade in page if trade.time_ms <= settled_ms]
    # A trade that is not settled bounds what may be confirmed, whatever its neighbours say.
    unsettled = min((int(trade.trade_id) for trade in page if trade.time_ms > settled_ms), default=None)
    reached = max((one for one in settled if unsettled is None or one < unsettled), default=0)
    if reached > booking.confirmed(desk, side, symbol):
        side.confirmed[symbol] = reached
        report(desk, ("CONFIRMED", side.account, symbol, reached))


async def _begin(desk: Desk, side: AccountDesk, symbol: str) -> int:
    """The account is new here: what it traded before is in its balances already, and we begin behind it."""
    newest = [dialect.trade_in_row(row) for row in rows(await side.rest.my_trades(symbol, limit=1))]
    for trade in newest:
        side.confirmed[symbol] = int(trade.trade_id)
        report(desk, ("CONFIRMED", side.account, symbol, int(trade.trade_id)))
    return 0


def _has_traded(desk: Desk, side: AccountDesk) -> bool:
    """Whether an earlier session has taken over this account's balances, or this one has."""
    assets = {asset for pair in desk.assets.values() for asset in pair}
    held = (desk.journal.balance(side.account, MODE, asset) for asset in assets)
    return side.reconciled or any(total.strip("0.") for total in held)


async def _take(desk: Desk, side: AccountDesk, symbol: str, page: list[Trade]) -> None:
    by_order: dict[str, list[Trade]] = defaultdict(list)
    for trade in page:
        by_order[trade.venue_order_id].append(trade)
    for venue_order_id, trades in by_order.items():
        order = booking.known(desk, side, symbol, venue_order_id)
        if order is not None:
            booking.take(desk, side, order, None, trades)
            continue
        # An answer was lost, or somebody else placed it: its client id tells.
        answer = await side.rest.order(symbol, order_id=venue_order_id)
        if outcomes.of_query(answer, order_id=venue_order_id).kind != "FOUND":
            raise Unanswered(f"order {venue_order_id} of a trade: {booking.failure(answer)}")
        if await booking.take_any(desk, side, dialect.seen_in_answer(answer.body), trades, asked=True) is None:
            raise Unanswered(f"order {venue_order_id} of a trade has no number here")
