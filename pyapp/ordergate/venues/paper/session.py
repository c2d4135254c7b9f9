"""One session of the PAPER venue: journal work and prices in, reports out, in one task.

What is new must be sent by the rules of a venue session; each refusal is a NOT_SENT with its reason. Orders that an
earlier session had are taken over, never sent again.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, cast

import structlog

from ordergate.venues import kill_reading
from ordergate.venues.instruments import folded_listings
from ordergate.venues.link import Journal, Link, LinkClosed, Work, hear_doorbells, send
from ordergate.venues.paper import marks, matching
from ordergate.venues.paper.fixed import units
from ordergate.venues.paper.matching import Exchange, PaperOrder
from ordergate.venues.prices.tick import Tick

VENUE: Final = "paper"
MODE: Final = "PAPER"
POLL_S: Final = 0.05
"""Doorbells may be dropped: we look at least this often."""
POLL_RECORDS: Final = 1024
SEND_WINDOW_NS: Final = 2_000_000_000
"""After its SUBMIT_STARTED an order may be sent for this long, whatever else the order says."""
TICKS_BUFFERED: Final = 1024

AT_MARKET: Final = frozenset({"MARKET", "STOP_LOSS", "TAKE_PROFIT"})
"""Types without a limit: they trade at what the book gives."""

log = structlog.get_logger("ordergate.venues.paper")


@dataclass(slots=True)
class Session:
    """Everything one connection needs."""

    number: int
    journal: Journal
    link: Link
    reading: kill_reading.KillReading
    exchange: Exchange
    greeted_ns: int
    """Journal time before we said HELLO: an order whose SUBMIT_STARTED is older belonged to an earlier session."""
    prices: marks.Marks = field(default_factory=marks.Marks)
    ticks: asyncio.Queue[Tick] = field(default_factory=lambda: asyncio.Queue(TICKS_BUFFERED))
    taken_over: set[int] = field(default_factory=set)


async def run(session: Session, prices: AsyncIterator[Tick], stop: asyncio.Event) -> None:
    """Serves until `stop` is set. Raises LinkClosed when the gateway ends the session, and whatever a source raises."""
    feeding = asyncio.create_task(_feed(session, prices))
    feeding.add_done_callback(lambda _: session.link.wake.set())
    try:
        await take_over(session)
        while not stop.is_set():
            behind = await step(session)
            if feeding.done():
                feeding.result()
            if behind:
                # Prices, doorbells and signals get their turn however much there is to do.
                await asyncio.sleep(0)
            else:
                await _pause(session)
        # What the journal already asked for has been done; the rest is the next session's.
        await send(session.link, session.exchange.out)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def step(session: Session) -> bool:
    """One round: ticks, journal work, reports. True when the journal has more for us at once."""
    exchange, journal = session.exchange, session.journal
    session.link.wake.clear()
    if not session.link.open:
        raise LinkClosed("the gateway ended the session")
    _move_markets(session)
    work = journal.poll_work(VENUE, session.number, POLL_RECORDS)
    if work:
        await carry_out(session, work)
    matching.advance(exchange, journal.now_ns())
    marks.tell(session.prices, journal.now_ns(), exchange.out)
    await send(session.link, exchange.out)
    return journal.seq < journal.committed_seq()


async def take_over(session: Session) -> None:
    """Orders handed over by the session's record rest again; pending cancels are carried out."""
    journal = session.journal
    work = journal.open_work(VENUE, session.number)
    _learn_instruments(session)
    _move_markets(session)
    new: list[Work] = []
    for item in work:
        if item[0] == "SUBMIT" and cast(int, item[2]) < session.greeted_ns:
            order, filled = _read_order(item)
            session.taken_over.add(order.order)
            matching.hand_over(session.exchange, order, filled, journal.now_ns())
        else:
            # Started for us between the session's record and our reading of it, or a cancel.
            new.append(item)
    log.info("orders taken over", orders=len(session.taken_over), session=session.number)
    await carry_out(session, new)
    session.taken_over.update(cast(int, item[1]) for item in new if item[0] == "SUBMIT")
    await send(session.link, session.exchange.out)


async def carry_out(session: Session, work: list[Work]) -> None:
    """Sends the orders of a batch and carries out its cancels, in the journal's order."""
    exchange = session.exchange
    new = [item for item in work if item[0] == "SUBMIT" and item[1] not in session.taken_over]
    submits, keys = {item[1] for item in new}, {key for item in new for key in _kill_keys(item)}
    if submits and kill_reading.is_due(session.reading, keys):
        # A slow Redis delays new orders, not the cancels and changes of others.
        for item in work:
            if item[0] != "SUBMIT" and item[1] not in submits:
                _change(session, item)
        work = [item for item in work if item[1] in submits]
        await send(session.link, exchange.out)
        await kill_reading.renew(session.reading, keys)
    for item in work:
        if item[0] != "SUBMIT":
            _change(session, item)
        elif item[1] in submits:
            _submit(session, item)


def _change(session: Session, item: Work) -> None:
    """A cancel, or a smaller quantity."""
    exchange, order_id, now_ns = session.exchange, cast(int, item[1]), session.journal.now_ns()
    if item[0] == "AMEND":
        matching.amend(exchange, order_id, units(cast(str, item[4])), now_ns)
    else:
        matching.cancel(exchange, order_id, now_ns)


def _submit(session: Session, item: Work) -> None:
    order_id, started_ns = cast(int, item[1]), cast(int, item[2])
    now_ns = session.journal.now_ns()
    refused = _too_old(now_ns - started_ns) or kill_reading.refusal_now(
        session.reading, _kill_keys(item), flattens=bool(item[13])
    )
    if refused:
        session.exchange.out.append(("NOT_SENT", order_id, *refused))
        return
    hear_doorbells(session.link)
    if not session.link.open:
        # Nobody would hear the report either: the next session takes the order over.
        return
    order, _ = _read_order(item)
    if order.symbol not in session.exchange.markets:
        _learn_instruments(session)
    matching.submit(session.exchange, order, now_ns)


def _kill_keys(item: Work) -> tuple[str, ...]:
    account, symbol, strategy = cast(str, item[3]), cast(str, item[4]), cast(str | None, item[12])
    return kill_reading.keys_for(account, strategy, symbol)


def _too_old(age_ns: int) -> kill_reading.Refused | None:
    if age_ns <= SEND_WINDOW_NS:
        return None
    return "TOO_OLD", f"{age_ns // 1_000_000} ms after its SUBMIT_STARTED, more than {SEND_WINDOW_NS // 1_000_000}"


def _read_order(item: Work) -> tuple[PaperOrder, int]:
    """An order and its filled quantity from a SUBMIT item."""
    _, order_id, _, _, symbol, side, kind, time_in_force, quantity, filled, price, _, _, _, stop, quote = cast(
        tuple[
            str, int, int, str, str, str, str, str, str, str, str | None, str, str | None, bool, str | None, str | None
        ],
        item,
    )
    done, buy = units(filled), side == "BUY"
    order = PaperOrder(
        order=order_id,
        symbol=symbol,
        buy=buy,
        kind="MARKET" if kind in AT_MARKET else time_in_force,
        left=max(0, units(quantity) - done),
        limit=None if price is None else units(price),
        maker_only=kind == "LIMIT_MAKER",
        stop=None if stop is None else units(stop),
        # A loss is stopped where the price runs away, a profit taken where it has come to.
        rises=buy == kind.startswith("STOP_LOSS"),
        quote_quantity=None if quote is None else units(quote),
    )
    return order, done


def _learn_instruments(session: Session) -> None:
    matching.list_instruments(session.exchange, folded_listings(session.journal.instruments()))


def _move_markets(session: Session) -> None:
    """Applies the ticks that have come since the last round."""
    now_ns = session.journal.now_ns()
    for _ in range(session.ticks.qsize()):
        tick = session.ticks.get_nowait()
        matching.tick(session.exchange, tick, now_ns)
        marks.note(session.prices, tick)


async def _feed(session: Session, prices: AsyncIterator[Tick]) -> None:
    async for tick in prices:
        await session.ticks.put(tick)
        session.link.wake.set()


async def _pause(session: Session) -> None:
    """Until a doorbell, a tick, an order that arrives, or the next look at the journal."""
    wait_s = POLL_S
    arrival_ns = matching.next_arrival_ns(session.exchange)
    if arrival_ns is not None:
        wait_s = min(wait_s, max(0.0, (arrival_ns - session.journal.now_ns()) / 1e9))
    try:
        async with asyncio.timeout(wait_s):
            await session.link.wake.wait()
    except TimeoutError:
        pass
