"""Runs reconciliations: before an account is ready, at intervals, and whenever something asks for one.

A run is whole or it proves nothing: a question without an answer ends it, and what it had taken in by then is only what
the exchange had shown as a fact anyway.
"""

import asyncio
from collections import Counter
from typing import Any, Final

from ordergate.venues.binance import booking, dialect, reconcile, trades
from ordergate.venues.binance.booking import Unanswered, failure, rows
from ordergate.venues.binance.desk import (
    MODE,
    VENUE,
    AccountDesk,
    Desk,
    facts_of,
    log,
    report,
    room,
    track_of,
    until,
)
from ordergate.venues.binance.dialect import MS, Malformed, Seen
from ordergate.venues.binance.inbound import Facts
from ordergate.venues.binance.reconcile import Finding, Ours
from ordergate.venues.paper.fixed import decimal_text

AGAIN_S: Final = (0.5, 30.0)
"""First and longest wait after a run that was not whole."""
ORDERS_PAGE: Final = 1_000
PAGES: Final = 200
LOOK_BACK_MS: Final = 24 * 3_600_000
"""The first run of a session looks through the orders of this long: late evidence re-opens what was thought absent."""
RECENT_PAST_MS: Final = 10 * 60_000
"""Every later run looks at least this far back."""
FINDING_TRIES: Final = 3
TOGETHER: Final = 100
"""So many orders from outside are taken in at once: each waits for the gateway to number it."""
QUIET_TRIES: Final = 3
SETTLE_S: Final = 0.5
"""For so long, and as long as the exchange may read late, a finding may explain itself: reports are on their way."""
DRIFTING: Final = ("MISSING_ORDER", "MISSING_FILL", "EXTRA_FILL", "QUANTITY")
"""Classes that restrict trading while they last; the other two are settled by what the run does about them."""


async def keep(desk: Desk, side: AccountDesk) -> None:
    """Reconciles for the session's life."""
    wait_s = AGAIN_S[0]
    while desk.link.open:
        side.wish.clear()
        whole = await run(desk, side, side.wished)
        if whole:
            side.reconciled, wait_s = True, AGAIN_S[0]
            side.wished = "interval"
        desk.link.wake.set()
        try:
            async with asyncio.timeout(desk.times.reconcile_every_s if whole else wait_s):
                await (side.wish.wait() if whole else asyncio.Event().wait())
        except TimeoutError:
            pass
        if not whole:
            wait_s = min(wait_s * 2, AGAIN_S[1])


async def run(desk: Desk, side: AccountDesk, trigger: str) -> bool:
    """One run over every symbol; whether it was whole. Reports it either way."""
    started_ns, counts, error = desk.journal.now_ns(), Counter[str](), None
    try:
        found: dict[tuple[str, str], str] = {}
        for symbol in desk.symbols:
            for finding in await _symbol(desk, side, symbol, counts):
                found[symbol, finding.kind] = f"order {finding.order}: {finding.detail}"[:300]
            await room(desk)
        await _balances(desk, side, counts)
        _drifts(desk, side, found, counts)
    except (Unanswered, Malformed) as failed:
        error = str(failed)[:300]
        log.warning("reconciliation is not whole", account=side.account, trigger=trigger, reason=error)
    took_ms = (desk.journal.now_ns() - started_ns) // MS
    run_of: dict[str, Any] = {
        "trigger": trigger,
        "startedNs": started_ns,
        "durationMs": took_ms,
        "complete": error is None,
        "error": error,
        "counts": dict(counts),
    }
    report(desk, ("RECONCILED", side.account, run_of))
    return error is None


async def _symbol(desk: Desk, side: AccountDesk, symbol: str, counts: Counter[str]) -> list[Finding]:
    """Trades, recent orders, open orders of one symbol; what stays unexplained. Raises Unanswered, Malformed."""
    counts["trades"] += await trades.fill(desk, side, symbol)
    await _recent(desk, side, symbol, counts)
    # Before the picture: what is sent after it cannot be in it.
    ours = [facts for order in desk.journal.live_orders(VENUE) if (facts := facts_of(desk, order)) is not None]
    ours = [facts for facts in ours if facts.account == side.account and facts.symbol == symbol]
    shown: dict[int, Seen] = {}
    strangers: list[Seen] = []
    for row in rows(await side.rest.open_orders(symbol)):
        seen = dialect.seen_in_answer(row)
        order = booking.known(desk, side, symbol, seen.venue_order_id, seen.client_id)
        if order is None or facts_of(desk, order) is None:
            strangers.append(seen)
        else:
            shown[order] = seen
    counts["openOrders"] += len(shown) + len(strangers)
    findings = reconcile.compare((_ours(desk, side, facts) for facts in ours), shown)
    counts["EXTERNAL"] += len(strangers)
    for start in range(0, len(strangers), TOGETHER):
        await asyncio.gather(*(_take_in(desk, side, seen) for seen in strangers[start : start + TOGETHER]))
    unknown_here = set(shown) - {facts.id for facts in ours}
    findings += [Finding("MISSING_ORDER", order, "ended here, open there", shown[order]) for order in unknown_here]
    return [one for one in findings if await _unexplained(desk, side, symbol, one, counts)]


async def _recent(desk: Desk, side: AccountDesk, symbol: str, counts: Counter[str]) -> None:
    """Looks through the orders placed lately, for those of ours whose end or whose very existence was not told."""
    newest = side.looked_through.get(symbol)
    start_ms = desk.clock.now_ms() - (RECENT_PAST_MS if newest is not None else LOOK_BACK_MS - 60_000)
    answer = await side.rest.all_orders(symbol, start_ms=start_ms, limit=ORDERS_PAGE)
    for _ in range(PAGES):
        page = rows(answer)
        for row in page:
            seen = dialect.seen_in_answer(row)
            counts["recentOrders"] += 1
            newest = max(newest or 0, int(seen.venue_order_id))
            order = booking.known(desk, side, symbol, seen.venue_order_id, seen.client_id)
            if order is not None and _tells_something(desk, side, order, seen):
                counts["ordersUpdated"] += 1
                booking.take(desk, side, order, seen, asked=True)
        if len(page) < ORDERS_PAGE:
            break
        answer = await side.rest.all_orders(symbol, order_id=str((newest or 0) + 1), limit=ORDERS_PAGE)
    else:
        raise Unanswered(f"more than {PAGES * ORDERS_PAGE} recent orders of {symbol}")
    side.looked_through[symbol] = newest or 0


def _tells_something(desk: Desk, side: AccountDesk, order: int, seen: Seen) -> bool:
    facts = facts_of(desk, order)
    if facts is None:
        return False  # ended, told, and gone from memory; its trades are read by their own way
    track = track_of(desk, side, order)
    if track.final:
        return dialect.amount(seen.executed) > track.filled
    return not seen.working or not track.acked or facts.in_doubt or dialect.amount(seen.executed) > track.filled


def _ours(desk: Desk, side: AccountDesk, facts: Facts) -> Ours:
    track = track_of(desk, side, facts.id)
    sent_ns = facts.submitted_ns or 0
    recent = desk.journal.now_ns() - sent_ns < desk.times.recent_s * 1e9 or facts.id in side.busy
    return Ours(facts, track.filled, track.final or not facts.open, recent)


async def _take_in(desk: Desk, side: AccountDesk, seen: Seen) -> None:
    if await booking.take_any(desk, side, seen, asked=True, forgotten=True) is None:
        raise Unanswered(f"order {seen.venue_order_id} from outside has no number here")


async def _unexplained(desk: Desk, side: AccountDesk, symbol: str, one: Finding, counts: Counter[str]) -> bool:
    """Looks closer at a finding: whether it stays one. Raises Unanswered, Malformed."""
    counts[one.kind] += 1
    for tried in range(FINDING_TRIES):
        facts = facts_of(desk, one.order)
        if facts is None:
            return False
        outcome = await booking.look(desk, side, one.order)
        if outcome.kind == "UNKNOWN":
            raise Unanswered(f"order {one.order}: {outcome.reason} {outcome.text}")
        if outcome.kind == "FOUND":
            await _pull(desk, side, one.order, symbol, facts)
            if await until(desk, lambda: _agrees(desk, side, one.order), _settle_s(desk), 0.02):
                counts["explained"] += 1
                return False
        if tried + 1 < FINDING_TRIES:
            await asyncio.sleep(desk.margins.gap_ms / 1_000)
    log.error("drift", account=side.account, symbol=symbol, kind=one.kind, order=one.order, detail=one.detail)
    return True


async def _pull(desk: Desk, side: AccountDesk, order: int, symbol: str, facts: Facts) -> None:
    if track_of(desk, side, order).missing > 0 and facts.venue_order_id is not None:
        booking.take(desk, side, order, None, await booking.trades_of(side, symbol, facts.venue_order_id))


def _settle_s(desk: Desk) -> float:
    return SETTLE_S + desk.margins.read_lag_ms / 1_000


def _agrees(desk: Desk, side: AccountDesk, order: int) -> bool:
    """Whether the last picture of an order and what was booked are the same."""
    facts, track = facts_of(desk, order), side.tracks[order]
    seen = track.seen
    if facts is None or seen is None:
        return facts is None
    ended = track.final and track.ending is None
    return (ended or facts.open) and not reconcile.differences(Ours(facts, track.filled, ended, False), seen)


def _drifts(desk: Desk, side: AccountDesk, found: dict[tuple[str, str], str], counts: Counter[str]) -> None:
    """Reports drifts that are new, and those that are no more. After a restart nobody remembers which were open."""
    for (symbol, kind), detail in found.items():
        if side.drifts.get((symbol, kind)) != detail:
            report(desk, ("DRIFT", side.account, symbol, kind, detail))
    gone = set(side.drifts) if side.reconciled else {(symbol, kind) for symbol in desk.symbols for kind in DRIFTING}
    for symbol, kind in sorted(gone - set(found)):
        report(desk, ("DRIFT_EXPLAINED", side.account, symbol, kind))
    counts["drifts"] = len(found)
    side.drifts = found


async def _balances(desk: Desk, side: AccountDesk, counts: Counter[str]) -> None:
    """Takes over the totals of an account that was quiet around the question. Raises Unanswered, Malformed."""
    for _ in range(QUIET_TRIES):
        seen_before = side.trades_seen
        shown = _totals(await side.rest.account())
        for symbol in desk.symbols:
            await trades.fill(desk, side, symbol)
        # What was reported must be booked before it can be compared.
        if not await until(desk, lambda: not desk.out and _folded(desk, side), _settle_s(desk)):
            continue
        if side.trades_seen == seen_before and not side.suspects:
            _adopt(desk, side, shown, counts)
            return
    counts["balancesNotQuiet"] += 1
    if not side.reconciled:
        raise Unanswered("the account was never quiet enough to compare its balances")


def _folded(desk: Desk, side: AccountDesk) -> bool:
    """Whether the fold has every trade that this session has told of."""
    for order in list(side.unfolded):
        facts = facts_of(desk, order)
        if facts is None or dialect.amount(facts.filled) >= side.tracks[order].filled:
            side.unfolded.discard(order)
    return not side.unfolded


def _adopt(desk: Desk, side: AccountDesk, shown: dict[str, str], counts: Counter[str]) -> None:
    known = {asset for pair in desk.assets.values() for asset in pair} | set(shown)
    booked = {asset: desk.journal.balance(side.account, MODE, asset) for asset in known}
    differ = reconcile.differing({asset: shown.get(asset, "0") for asset in known}, booked)
    counts["balances"] += len(shown)
    for asset, total in differ.items():
        # The first time the account's totals are simply taken over; later a passing moment must not be booked.
        if not side.reconciled or side.shown_totals.get(asset) == total:
            counts["BALANCE"] += 1
            log.info("balance taken over", account=side.account, asset=asset, total=total, booked=booked[asset])
            report(desk, ("BALANCE", side.account, asset, total))
    side.shown_totals = differ


def _totals(answer: Any) -> dict[str, str]:
    """Asset -> free and locked together."""
    balances = answer.body.get("balances") if answer.status == 200 and isinstance(answer.body, dict) else None
    if not isinstance(balances, list):
        raise Unanswered(failure(answer))
    totals: dict[str, str] = {}
    for row in balances:
        if not isinstance(row, dict) or not {"asset", "free", "locked"} <= row.keys():
            raise Malformed("a balance without asset, free or locked")
        total = dialect.amount(str(row["free"])) + dialect.amount(str(row["locked"]))
        if total:
            totals[str(row["asset"])] = decimal_text(total)
    return totals
