"""Takes what the exchange shows to the right order of ours, and fetches what is missing before an order may end."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from ordergate.venues.binance import dialect, inbound, outcomes
from ordergate.venues.binance.answer import Answer
from ordergate.venues.binance.desk import (
    MODE,
    VENUE,
    AccountDesk,
    Desk,
    facts_of,
    log,
    quote_asset,
    report,
    spawn,
    track_of,
    wish,
)
from ordergate.venues.binance.dialect import Malformed, Seen, Trade
from ordergate.venues.paper.fixed import decimal_text

TRADES_PAGE: Final = 1_000
TRADES_TRIES: Final = 5
TRADES_WAIT_S: Final = 0.2
"""A trade may be told twice within moments, by stream and answer: not every gap is worth a question."""
NUMBER_TIMEOUT_S: Final = 5.0
"""An order from outside has its number here once the gateway has journaled it."""


class Unanswered(Exception):
    """A question that something depends on had no usable answer: a part is no answer."""


def take(
    desk: Desk, side: AccountDesk, order: int, seen: Seen | None, trades: Iterable[Trade] = (), *, asked: bool = False
) -> None:
    """Reports what is new of one order of this account. Raises Malformed with nothing taken in."""
    track = track_of(desk, side, order)
    if seen is not None:
        side.orders[seen.symbol, seen.venue_order_id] = order
        while len(side.orders) > inbound.TRACKS_KEPT:
            side.orders.pop(next(iter(side.orders)))
        report(desk, *inbound.take_seen(track, seen, asked=asked))
    for trade in trades:
        fills = inbound.take_trade(track, trade, quote_asset(desk, trade.symbol))
        if fills:
            side.trades_seen += 1
            side.unfolded.add(order)
        report(desk, *fills)
    if seen is not None and track.missing > 0 and order not in side.suspects:
        side.suspects.add(order)
        spawn(desk, _complete(desk, side, order, seen.symbol, seen.venue_order_id))


async def _complete(desk: Desk, side: AccountDesk, order: int, symbol: str, venue_order_id: str) -> None:
    """Pulls the trades of an order of which the exchange has traded more than we were told."""
    try:
        for tried in range(TRADES_TRIES):
            await asyncio.sleep(TRADES_WAIT_S * 2**tried)
            track = track_of(desk, side, order)
            if track.missing <= 0:
                return
            try:
                trades = await trades_of(side, symbol, venue_order_id)
                take(desk, side, order, None, trades)
            except (Unanswered, Malformed) as error:
                log.warning("trades of an order are missing", order=order, reason=str(error), tried=tried + 1)
        if track_of(desk, side, order).missing > 0:
            wish(side, "missing_fill")
    finally:
        side.suspects.discard(order)


async def trades_of(side: AccountDesk, symbol: str, venue_order_id: str) -> list[Trade]:
    """The trades of one order. Raises Unanswered, Malformed."""
    answer = await side.rest.my_trades(symbol, order_id=venue_order_id, limit=TRADES_PAGE)
    return [dialect.trade_in_row(row) for row in rows(answer)]


def rows(answer: Answer) -> list[Any]:
    """The list that was asked for. Raises Unanswered for everything else."""
    if answer.status != 200 or not isinstance(answer.body, list):
        raise Unanswered(failure(answer))
    return answer.body


def failure(answer: Answer) -> str:
    """Why an answer is none, for people."""
    parts = (answer.status, answer.code, answer.msg, answer.error)
    return " ".join(str(part) for part in parts if part) or "no answer"


def known(desk: Desk, side: AccountDesk, symbol: str, venue_order_id: str, client_id: str = "") -> int | None:
    """Our order behind one of the exchange's, if it is one."""
    found = side.orders.get((symbol, venue_order_id))
    if found is None:
        found = desk.journal.order_by_venue_id(VENUE, side.account, symbol, venue_order_id)
    if found is None:
        own = dialect.own_order(client_id, desk.journal.install)
        facts = facts_of(desk, own) if own is not None else None
        # An order that has left memory is still ours; one of another account or of another journal is a stranger.
        ours = facts is None or (facts.account == side.account and facts.mode == MODE and facts.symbol == symbol)
        found = own if own is not None and own <= desk.journal.seq and ours else None
    return found


async def take_any(
    desk: Desk, side: AccountDesk, seen: Seen, trades: Iterable[Trade] = (), *, asked: bool = False,
    forgotten: bool = False,
) -> int | None:  # fmt: skip
    """`take` for an order of anybody: one from outside is reported first. The order, if it has a number now.

    `forgotten`: its client id is ours, but the order has ended here and left memory; open there, it is taken in anew.
    Raises Malformed, Unanswered.
    """
    client_id, trades = "" if forgotten else seen.client_id, list(trades)
    order = known(desk, side, seen.symbol, seen.venue_order_id, client_id)
    if order is None:
        order = await _introduce(desk, side, seen, trades)
    if order is not None:
        take(desk, side, order, seen, trades, asked=asked)
    return order


async def _introduce(desk: Desk, side: AccountDesk, seen: Seen, trades: list[Trade]) -> int | None:
    """Reports an order from outside, and waits for its number. What traded before, balances already have."""
    key = (seen.symbol, seen.venue_order_id)
    waiting = side.strangers.get(key)
    if waiting is None:
        if seen.symbol not in desk.symbols:
            return None
        waiting = side.strangers[key] = asyncio.get_running_loop().create_future()
        before = await _traded_before(desk, side, seen, trades)
        log.warning("an order from outside", account=side.account, symbol=seen.symbol, venue_order_id=key[1])
        report(
            desk,
            (
                "EXTERNAL", side.account, seen.symbol, seen.venue_order_id, seen.client_id, seen.side, seen.kind,
                seen.time_in_force, seen.quantity, decimal_text(before), seen.price, seen.stop_price,
            ),
        )  # fmt: skip
    # None comes for one that the gateway knew already, by a way that we did not see: then the fold has it.
    await asyncio.wait({waiting}, timeout=NUMBER_TIMEOUT_S)
    side.strangers.pop(key, None)
    number = waiting.result() if waiting.done() else known(desk, side, *key)
    if number is None:
        log.error("the gateway gave an order from outside no number", account=side.account, symbol=key[0], id=key[1])
    return number


async def _traded_before(desk: Desk, side: AccountDesk, seen: Seen, trades: list[Trade]) -> int:
    """What an order from outside had traded up to the watermark, in units: later trades are told as such."""
    rest = dialect.amount(seen.executed) - sum(dialect.amount(trade.quantity) for trade in trades)
    if rest <= 0:
        return 0
    shown = {trade.trade_id for trade in trades}
    for trade in await trades_of(side, seen.symbol, seen.venue_order_id):
        if trade.trade_id not in shown and int(trade.trade_id) > confirmed(desk, side, seen.symbol):
            trades.append(trade)
            rest -= dialect.amount(trade.quantity)
    return max(0, rest)


def confirmed(desk: Desk, side: AccountDesk, symbol: str) -> int:
    """Every trade up to this id is booked, or was before our time; 0: none is known to be."""
    return max(side.confirmed.get(symbol, 0), desk.journal.confirmed_trade(VENUE, side.account, symbol))


def numbered(side: AccountDesk, order: int, symbol: str, venue_order_id: str) -> None:
    """The gateway has journaled an order from outside under this number."""
    side.orders[symbol, venue_order_id] = order
    waiting = side.strangers.get((symbol, venue_order_id))
    if waiting is not None and not waiting.done():
        waiting.set_result(order)


async def look(desk: Desk, side: AccountDesk, order: int) -> outcomes.Outcome:
    """Asks for one order and takes what is found; the outcome tells whether that was an answer."""
    facts = facts_of(desk, order)
    if facts is None:
        return outcomes.Outcome("UNKNOWN", "LEFT", "the order has left memory")
    if facts.external or (facts.venue_order_id and facts.in_doubt):
        # From outside, or named by an operator: the exchange's own id leads to it.
        answer = await side.rest.order(facts.symbol, order_id=facts.venue_order_id)
        outcome = outcomes.of_query(answer, order_id=facts.venue_order_id)
    else:
        answer = await side.rest.order(facts.symbol, client_id=facts.client_id_at_venue)
        outcome = outcomes.of_query(answer, client_id=facts.client_id_at_venue)
    if outcome.kind == "FOUND":
        try:
            take(desk, side, order, dialect.seen_in_answer(answer.body), asked=True)
        except Malformed as error:
            return outcomes.Outcome("UNKNOWN", "MALFORMED", str(error))
    return outcome
