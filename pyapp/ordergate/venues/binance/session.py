"""One session of the LIVE venue: journal work in, reports out in one order, and beside it each account's own tasks."""

import asyncio
from typing import Final, cast

import aiohttp
import msgspec

from ordergate.venues.binance import accounts, booking, clock, listing, market, readiness, resolving, sending
from ordergate.venues.binance.desk import VENUE, AccountDesk, Desk, facts_of, log, read_kill_switch, report, spawn
from ordergate.venues.link import LinkClosed, Work, send
from ordergate.venues.paper import marks
from ordergate.venues.prices.binance import Place

POLL_S: Final = 0.05
"""Doorbells may be dropped: we look at least this often."""
POLL_RECORDS: Final = 1024
STOP_S: Final = 2.0
"""At a stop, answers to what was just sent are waited for this long."""
TELL_S: Final = 0.25
"""How often the room for new orders is told: it changes with each of them."""


async def run(desk: Desk, http: aiohttp.ClientSession, stream_url: str, place: Place, stop: asyncio.Event) -> None:
    """Serves until `stop` is set. Raises LinkClosed when the gateway ends the session, and what its tasks raise."""
    try:
        learn_instruments(desk)
        await take_over(desk)
        for side in desk.accounts.values():
            spawn(desk, accounts.open_account(desk, side, http, stream_url))
        if desk.accounts:
            anyone = next(iter(desk.accounts.values()))
            spawn(desk, clock.keep(desk.clock, anyone.rest.time))
            spawn(desk, listing.keep(desk, anyone))
            spawn(desk, market.keep(desk, place))
        told_s = 0.0
        while not stop.is_set():
            behind = await step(desk)
            now_s = asyncio.get_running_loop().time()
            due = now_s - told_s > TELL_S
            readiness.tell(desk, budget=due)
            told_s = now_s if due else told_s
            marks.tell(desk.marks, desk.journal.now_ns(), desk.out)
            await send(desk.link, desk.out)
            if behind:
                await asyncio.sleep(0)
            else:
                await _pause(desk)
        await _finish(desk)
    finally:
        for task in list(desk.tasks):
            task.cancel()
        await asyncio.gather(*desk.tasks, return_exceptions=True)


async def step(desk: Desk) -> bool:
    """One round: journal work. True when the journal has more for us at once."""
    desk.link.wake.clear()
    if desk.ended is not None:
        raise desk.ended
    if not desk.link.open:
        raise LinkClosed("the gateway ended the session")
    work = desk.journal.poll_work(VENUE, desk.number, POLL_RECORDS)
    if work:
        await carry_out(desk, work)
    resolving.follow(desk)
    return desk.journal.seq < desk.journal.committed_seq()


async def take_over(desk: Desk) -> None:
    """Cancels that are pending go out again; orders of earlier sessions are in doubt by now, and never sent again."""
    work = desk.journal.open_work(VENUE, desk.number)
    ours = [item for item in work if item[0] != "SUBMIT" or cast(int, item[2]) >= desk.greeted_ns]
    log.info("session taken over", session=desk.number, cancels=sum(item[0] == "CANCEL" for item in ours))
    await carry_out(desk, ours)


async def carry_out(desk: Desk, work: list[Work]) -> None:
    """Begins what a batch of the journal asks for: cancels at once, orders behind a reading of the kill switch."""
    new = {item[1] for item in work if item[0] == "SUBMIT"}
    submits: list[tuple[AccountDesk, Work]] = []
    for item in work:
        side = _side_of(desk, item)
        if side is None:
            if item[0] == "SUBMIT":
                text = f"{item[3]} has no key for the exchange here"
                report(desk, ("NOT_SENT", item[1], "NO_CREDENTIAL", text))
        elif item[1] in new:
            submits.append((side, item))
        else:
            _begin(desk, side, item)
    if not submits:
        return
    keys = {key for _, item in submits if item[0] == "SUBMIT" for key in sending.kill_keys(sending.read_submit(item))}
    await read_kill_switch(desk, keys)
    for side, item in submits:
        _begin(desk, side, item)


def _begin(desk: Desk, side: AccountDesk, item: Work) -> None:
    kind, order = cast(str, item[0]), cast(int, item[1])
    match kind:
        case "SUBMIT":
            sending.start(desk, side, item)
        case "CANCEL":
            sending.start_cancel(desk, side, order)
        case "AMEND":
            spawn(desk, sending.amend(desk, side, order, cast(str, item[4])))
        case "QUERY":
            spawn(desk, resolving.ask_again(desk, side, order))
        case "EXTERNAL":
            booking.numbered(side, order, cast(str, item[3]), cast(str, item[4]))


def _side_of(desk: Desk, item: Work) -> AccountDesk | None:
    if item[0] == "SUBMIT":
        return desk.accounts.get(cast(str, item[3]))
    if item[0] == "EXTERNAL":
        return desk.accounts.get(cast(str, item[2]))
    facts = facts_of(desk, cast(int, item[1]))
    return desk.accounts.get(facts.account) if facts is not None else None


def learn_instruments(desk: Desk) -> None:
    """Takes the assets of the journal's instruments."""
    for row in msgspec.json.decode(desk.journal.instruments(), type=list[dict[str, object]]):
        desk.assets[str(row["symbol"])] = (str(row["base"]), str(row["quote"]))


async def _pause(desk: Desk) -> None:
    try:
        async with asyncio.timeout(POLL_S):
            await desk.link.wake.wait()
    except TimeoutError:
        pass


async def _finish(desk: Desk) -> None:
    """What was sent gets its answer, if that comes soon; the rest is in doubt, and the next session's to ask about."""
    busy = {task for side in desk.accounts.values() for task in side.busy.values()}
    if busy:
        await asyncio.wait(busy, timeout=STOP_S)
    await send(desk.link, desk.out)
