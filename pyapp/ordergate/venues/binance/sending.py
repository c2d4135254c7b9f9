"""Sends what the journal asks for: orders under the rules of a venue session, cancels always.

An order goes out only in our own session, within two seconds of its SUBMIT_STARTED, on an open gateway socket and on a
fresh reading of the kill switch, with its signed time taken before all of that: whatever delays the request after the
checks, the exchange refuses it once the receive window has passed.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, cast

from ordergate.venues import kill_reading
from ordergate.venues.binance import booking, dialect, outcomes, symbols
from ordergate.venues.binance.answer import Answer
from ordergate.venues.binance.desk import AccountDesk, Desk, facts_of, log, read_kill_switch, report, spawn, until
from ordergate.venues.binance.dialect import MS, Malformed
from ordergate.venues.binance.doubt import SEND_WINDOW_MS
from ordergate.venues.kill_reading import Refused
from ordergate.venues.link import Work, hear_doorbells

SEND_WINDOW_NS: Final = SEND_WINDOW_MS * MS
CANCEL_PATIENCE_S: Final = 1.0
"""How long a cancel waits for the answer to the order's own placement."""
GONE_TRIES: Final = 3
"""How often a refused cancel is looked into."""
CLOCK_PATIENCE_S: Final = 1.0
WRONG_TIME: Final = -1021
STP_MODE: Final = "EXPIRE_MAKER"
"""Self-trade prevention asked for on every order; our own checks come first."""

NEEDS: Final = {
    "LIMIT": ("timeInForce", "quantity", "price"),
    "MARKET": ("quantity", "quoteOrderQty"),
    "LIMIT_MAKER": ("quantity", "price"),
    "STOP_LOSS": ("quantity", "stopPrice"),
    "STOP_LOSS_LIMIT": ("timeInForce", "quantity", "price", "stopPrice"),
    "TAKE_PROFIT": ("quantity", "stopPrice"),
    "TAKE_PROFIT_LIMIT": ("timeInForce", "quantity", "price", "stopPrice"),
}
"""Type -> the members that the exchange takes with it; of MARKET's two it has one."""


@dataclass(frozen=True, slots=True)
class Submit:
    """A SUBMIT item of the journal's work."""

    order: int
    started_ns: int
    account: str
    symbol: str
    side: str
    kind: str
    time_in_force: str
    quantity: str | None
    price: str | None
    client_id: str
    strategy: str | None
    flattens: bool
    stop_price: str | None
    quote_quantity: str | None


def read_submit(item: Work) -> Submit:
    """The item's fields by name."""
    (_, order, started_ns, account, symbol, side, kind, time_in_force, quantity, _, price, client_id, strategy,
     flattens) = cast(
        tuple[str, int, int, str, str, str, str, str, str | None, str, str | None, str, str | None, bool], item[:14]
    )  # fmt: skip
    stop_price, quote_quantity = cast(list[str | None], [*item[14:], None, None][:2])
    return Submit(
        order, started_ns, account, symbol, side, kind, time_in_force, quantity if quote_quantity is None else None,
        price, client_id, strategy, flattens, stop_price, quote_quantity,
    )  # fmt: skip


def params_of(order: Submit) -> dict[str, str]:
    """The exchange's parameters, each the exact text. GTD is kept by the gateway: here it is GTC."""
    given = {
        "timeInForce": "GTC" if order.time_in_force == "GTD" else order.time_in_force,
        "quantity": order.quantity,
        "price": order.price,
        "stopPrice": order.stop_price,
        "quoteOrderQty": order.quote_quantity,
    }
    params = {"symbol": order.symbol, "side": order.side, "type": order.kind}
    params |= {name: value for name in NEEDS[order.kind] if (value := given[name]) is not None}
    return params | {
        "newClientOrderId": order.client_id,
        "newOrderRespType": "FULL",
        "selfTradePreventionMode": STP_MODE,
    }


def kill_keys(order: Submit) -> tuple[str, ...]:
    """Every key of the kill switch that may stop it."""
    return kill_reading.keys_for(order.account, order.strategy, order.symbol)


def refusal(desk: Desk, side: AccountDesk, order: Submit) -> Refused | None:
    """Why it may not be sent at this moment; no waiting between this and the send."""
    age_ns = desk.journal.now_ns() - order.started_ns
    if age_ns > SEND_WINDOW_NS:
        return "TOO_OLD", f"{age_ns // MS} ms after its SUBMIT_STARTED, more than {SEND_WINDOW_MS}"
    if order.kind not in NEEDS:
        return "UNSUPPORTED", f"this venue does not know the type {order.kind}"
    if not desk.clock.good:
        return "CLOCK_UNSURE", f"the exchange's time is known to {desk.clock.bound_ms:.0f} ms only"
    wait_ms = side.budget.wait_ms("new", 1, side.account)
    if wait_ms:
        return "RATE_LIMITED", f"the exchange takes no order before {wait_ms} ms"
    return kill_reading.refusal_now(desk.reading, kill_keys(order), flattens=order.flattens)


def start(desk: Desk, side: AccountDesk, item: Work) -> None:
    """Begins to place an order."""
    order = read_submit(item)
    if order.order not in side.busy:
        side.busy[order.order] = task = spawn(desk, place(desk, side, order))
        task.add_done_callback(lambda _: side.busy.pop(order.order, None))


async def place(desk: Desk, side: AccountDesk, order: Submit) -> None:
    """Sends one order; a second time only when the exchange said that the first one's time was wrong."""
    answer = await _attempt(desk, side, order)
    if answer is not None and outcomes.of_place(answer, order.client_id).again and answer.code == WRONG_TIME:
        await until(desk, lambda: desk.clock.good, CLOCK_PATIENCE_S)
        await read_kill_switch(desk, kill_keys(order))
        answer = await _attempt(desk, side, order)
    if answer is not None:
        _take_outcome(desk, side, order, answer, outcomes.of_place(answer, order.client_id))


async def _attempt(desk: Desk, side: AccountDesk, order: Submit) -> Answer | None:
    """The checks, and the send right behind them. None: it was not sent, and that is said."""
    signed_ms = str(desk.clock.now_ms())
    refused = refusal(desk, side, order)
    if refused is not None:
        report(desk, ("NOT_SENT", order.order, *refused))
        return None
    hear_doorbells(desk.link)
    if not desk.link.open:
        # Nobody would hear the report: the next session finds the order in doubt, and it is nowhere.
        return None
    return await side.rest.place(params_of(order) | {"timestamp": signed_ms})


def _take_outcome(desk: Desk, side: AccountDesk, order: Submit, answer: Answer, outcome: outcomes.Outcome) -> None:
    match outcome.kind:
        case "ACK":
            try:
                seen, trades = dialect.seen_in_answer(answer.body), dialect.trades_in_answer(answer.body)
                booking.take(desk, side, order.order, seen, trades)
            except Malformed as error:
                report(desk, ("UNKNOWN", order.order, "MALFORMED", str(error)))
        case "REJECT" | "NOT_SENT":
            if symbols.hints_at_a_change(outcome.reason):
                desk.relist.set()
            report(desk, (outcome.kind, order.order, outcome.reason, outcome.text))
        case _:
            # Of a duplicate as well: which order it is that the exchange has, a query tells.
            log.warning("outcome unknown", order=order.order, reason=outcome.reason, text=outcome.text)
            report(desk, ("UNKNOWN", order.order, outcome.reason, outcome.text))


def start_cancel(desk: Desk, side: AccountDesk, order: int) -> None:
    """Begins to cancel an order, unless that is under way."""
    if order not in side.canceling:
        side.canceling[order] = task = spawn(desk, cancel(desk, side, order))
        task.add_done_callback(lambda _: side.canceling.pop(order, None))


async def cancel(desk: Desk, side: AccountDesk, order: int) -> None:
    """Cancels an order until the outcome is known; also one in doubt, and whatever is killed."""
    placing = side.busy.get(order)
    if placing is not None:
        await asyncio.wait({placing}, timeout=CANCEL_PATIENCE_S)
    told_unknown, gone = False, 0
    while desk.link.open:
        facts = facts_of(desk, order)
        if facts is None or not facts.open or (order in side.tracks and side.tracks[order].final):
            return
        named = {"orderId": facts.venue_order_id or ""} if facts.external else {}
        answer = await side.rest.cancel(
            {"symbol": facts.symbol} | (named or {"origClientOrderId": facts.client_id_at_venue})
        )
        outcome = outcomes.of_cancel(answer, facts.client_id_at_venue)
        wait_ms = max(desk.margins.gap_ms, outcome.retry_after_ms)
        if outcome.kind == "CANCELED":
            try:
                booking.take(desk, side, order, dialect.seen_in_answer(answer.body))
                return
            except Malformed as error:
                outcome = outcomes.Outcome("UNKNOWN", "MALFORMED", str(error))
        if outcome.kind == "REFUSED" and not outcome.again:
            report(desk, ("CANCEL_REJECT", order, outcome.reason, outcome.text))
            return
        if outcome.kind == "GONE":
            # Filled, ended, or never there: only the order itself tells.
            gone += 1
            found = await booking.look(desk, side, order)
            if found.kind == "FOUND" and side.tracks[order].final:
                report(desk, ("CANCEL_REJECT", order, outcome.reason, outcome.text))
                return
            if found.kind == "ABSENT" and (facts.in_doubt or (gone >= GONE_TRIES and order not in side.busy)):
                # Absence has its own proof; a refused cancel is no part of it.
                report(desk, ("CANCEL_UNKNOWN", order, outcome.reason, outcome.text))
                return
            if found.kind == "FOUND" and gone >= GONE_TRIES:
                report(desk, ("CANCEL_REJECT", order, outcome.reason, outcome.text))
                return
        elif outcome.kind == "UNKNOWN" and not told_unknown:
            told_unknown = True
            report(desk, ("CANCEL_UNKNOWN", order, outcome.reason, outcome.text))
        # Asking again is safe: an id is never used again, and an order ends only once.
        await asyncio.sleep(wait_ms / 1_000)


async def amend(desk: Desk, side: AccountDesk, order: int, quantity: str) -> None:
    """Lowers an order's quantity in place, and reports which terms are in force."""
    facts = facts_of(desk, order)
    if facts is None:
        return
    client_id = facts.client_id_at_venue
    sent_ns = desk.journal.now_ns()
    answer = await side.rest.amend({"symbol": facts.symbol, "origClientOrderId": client_id, "newQty": quantity})
    outcome = outcomes.of_amend(answer, client_id)
    match outcome.kind:
        case "AMENDED":
            report(desk, ("REPLACED", order, quantity, None))
        case "REFUSED" | "NOT_SENT":
            report(desk, ("REPLACE_REJECT", order, outcome.reason, outcome.text))
        case _:
            await _settle_amend(desk, side, order, quantity, sent_ns)


async def _settle_amend(desk: Desk, side: AccountDesk, order: int, quantity: str, sent_ns: int) -> None:
    """Looks until the amended quantity shows, or the amend can no longer arrive and has not."""
    margins = desk.margins
    deadline_ns = sent_ns + MS * (
        margins.recv_window_ms + margins.clock_bound_ms + margins.engine_timeout_ms + margins.read_lag_ms
    )
    while desk.link.open:
        facts, asked_ns = facts_of(desk, order), desk.journal.now_ns()
        if facts is None:
            return
        answer = await side.rest.order(facts.symbol, client_id=facts.client_id_at_venue)
        outcome = outcomes.of_query(answer, client_id=facts.client_id_at_venue)
        shown = wanted = 0
        if outcome.kind == "FOUND":
            try:
                seen = dialect.seen_in_answer(answer.body)
                booking.take(desk, side, order, seen, asked=True)
                shown, wanted = dialect.amount(seen.quantity), dialect.amount(quantity)
            except Malformed as error:
                outcome = outcomes.Outcome("UNKNOWN", "MALFORMED", str(error))
        if shown and shown == wanted:
            report(desk, ("REPLACED", order, quantity, None))
            return
        if outcome.kind != "UNKNOWN" and asked_ns > deadline_ns:
            report(desk, ("REPLACE_REJECT", order, "NOT_AMENDED", "the amend did not arrive"))
            return
        await asyncio.sleep(margins.gap_ms / 1_000)
