"""Drives doubts to their end: one task for each order whose outcome is not known, as the fold says which those are."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Final

from ordergate.venues.binance import booking, dialect, doubt
from ordergate.venues.binance.booking import Unanswered, failure, rows
from ordergate.venues.binance.desk import VENUE, AccountDesk, Desk, facts_of, log, report, spawn, until
from ordergate.venues.binance.dialect import MS, Malformed, Seen
from ordergate.venues.binance.inbound import Facts

LOOK_S: Final = 0.25
"""How soon a wish of an operator, or the end of a doubt by other evidence, is noticed."""
SCAN_BEFORE_MS: Final = 60_000
"""The recent orders are looked through from this long before the order can have been sent."""
SCAN_PAGE: Final = 1_000
SCAN_PAGES: Final = 50
FOLD_TIMEOUT_S: Final = 5.0


def follow(desk: Desk) -> None:
    """Starts what is not under way yet for the orders in doubt."""
    for order in desk.journal.doubts(VENUE):
        facts = facts_of(desk, order)
        side = desk.accounts.get(facts.account) if facts is not None else None
        if side is not None and order not in side.doubts and order not in side.busy:
            side.doubts[order] = open_doubt(desk, order, facts)
            task = spawn(desk, resolve(desk, side, order))
            task.add_done_callback(partial(_ended, side, order))


def _ended(side: AccountDesk, order: int, _: object) -> None:
    side.doubts.pop(order, None)


def open_doubt(desk: Desk, order: int, facts: Facts | None) -> doubt.Doubt:
    """What is known of a doubt that this session has not asked about yet."""
    submitted_ns = facts.submitted_ns if facts is not None else None
    return doubt.open_doubt(order, submitted_ns if submitted_ns is not None else desk.journal.now_ns(), desk.margins)


async def resolve(desk: Desk, side: AccountDesk, order: int) -> None:
    """Asks until the order's outcome is known. Returns when the fold shows no doubt any more."""
    while desk.link.open:
        facts = facts_of(desk, order)
        if facts is None or not facts.in_doubt:
            return
        if order in desk.asked_again:
            desk.asked_again.discard(order)
            side.doubts[order] = doubt.again(side.doubts[order])
        now_ns = desk.journal.now_ns()
        match doubt.step(side.doubts[order], desk.margins, now_ns):
            case doubt.Wait(until_ns):
                await asyncio.sleep(min(LOOK_S, (until_ns - now_ns) / 1e9))
            case doubt.Query():
                await _query(desk, side, order, now_ns)
            case doubt.Scan():
                await _scan(desk, side, order, facts, now_ns)
            case doubt.Absent(evidence):
                log.warning("an order is absent at the exchange", order=order, evidence=evidence)
                report(desk, ("ABSENT", order, evidence))
                await until(desk, lambda: not _in_doubt(desk, order), FOLD_TIMEOUT_S)
                return


async def _query(desk: Desk, side: AccountDesk, order: int, asked_ns: int) -> None:
    outcome = await booking.look(desk, side, order)
    now = side.doubts[order]
    match outcome.kind:
        case "FOUND":
            # Its trades may still have to be fetched, and the gateway to book them.
            await until(desk, lambda: not _in_doubt(desk, order), desk.margins.gap_ms / 1_000)
            side.doubts[order] = replace(now, absent_ns=(), scanned_ns=None, next_ns=desk.journal.now_ns())
        case "ABSENT":
            side.doubts[order] = doubt.not_found(now, desk.margins, asked_ns)
        case _:
            side.doubts[order] = doubt.failed(now, desk.margins, asked_ns, outcome.retry_after_ms)
    counted = len(side.doubts[order].absent_ns)
    words = {
        "FOUND": "found",
        "ABSENT": f"not found; {counted} of {desk.margins.queries} that count",
    }.get(outcome.kind, f"no answer: {outcome.reason} {outcome.text}")
    report(desk, ("DOUBT_SEEN", order, words))


async def _scan(desk: Desk, side: AccountDesk, order: int, facts: Facts, asked_ns: int) -> None:
    """Looks through what the symbol has open and what it had lately, for the order's own client id."""
    try:
        found = await _among(desk, side, facts)
    except (Unanswered, Malformed) as error:
        report(desk, ("DOUBT_SEEN", order, f"scan without an answer: {error}"))
        side.doubts[order] = doubt.failed(side.doubts[order], desk.margins, asked_ns)
        return
    if found is not None:
        booking.take(desk, side, order, found, asked=True)
        await until(desk, lambda: not _in_doubt(desk, order), desk.margins.gap_ms / 1_000)
        side.doubts[order] = doubt.again(side.doubts[order])
        return
    side.doubts[order] = doubt.not_scanned(side.doubts[order], asked_ns)


async def _among(desk: Desk, side: AccountDesk, facts: Facts) -> Seen | None:
    """The order among the open and the recent ones. Raises Unanswered when either was not shown whole."""

    def own(row: object) -> bool:
        # The order's own id, whatever else is unreadable in the row.
        return isinstance(row, dict) and row.get("clientOrderId") == facts.client_id_at_venue

    found = [row for row in rows(await side.rest.open_orders(facts.symbol)) if own(row)]
    submitted_ns = facts.submitted_ns or 0
    age_ms = max(0, desk.journal.now_ns() - submitted_ns) // MS
    answer = await side.rest.all_orders(
        facts.symbol, start_ms=desk.clock.now_ms() - age_ms - SCAN_BEFORE_MS, limit=SCAN_PAGE
    )
    for _ in range(SCAN_PAGES):
        page = rows(answer)
        found += [row for row in page if own(row)]
        if found or len(page) < SCAN_PAGE:
            return dialect.seen_in_answer(found[0]) if found else None
        last = max(int(str(row["orderId"])) for row in page)
        answer = await side.rest.all_orders(facts.symbol, order_id=str(last + 1), limit=SCAN_PAGE)
    raise Unanswered(f"more than {SCAN_PAGES * SCAN_PAGE} recent orders: {failure(answer)}")


async def ask_again(desk: Desk, side: AccountDesk, order: int) -> None:
    """An operator wants an order looked for now."""
    if order in side.doubts:
        desk.asked_again.add(order)
    else:
        outcome = await booking.look(desk, side, order)
        report(desk, ("DOUBT_SEEN", order, f"{outcome.kind} {outcome.reason} {outcome.text}".strip()))


def _in_doubt(desk: Desk, order: int) -> bool:
    facts = facts_of(desk, order)
    return facts is not None and facts.in_doubt
