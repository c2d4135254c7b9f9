"""Holds a LIVE system against its exchange: what the exchange has is the truth, whatever was killed or lost.

I2: of each order of ours the exchange has accepted at most one, and was asked to at most once. I3: it has no order that
is not ours, and both say the same of each. I4: trades, fees and balances are equal to the last digit in the exchange,
the journal, Postgres and the portfolio. I10: nothing was asked for while killed. The rest is checked as for PAPER.
"""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from tests.acceptance.agreement import ZERO
from tests.acceptance.system import last_words
from tests.torture import checker
from tests.torture.checker import COLUMNS, Figures, Journal, Stored
from tests.torture.exchange import LocalExchange
from tests.torture.faults import Stage
from tests.torture.live_faults import exchange_of
from tests.torture.load import Trader

AGREES_S = 60.0
"""For a doubt to end, a gap to be filled and a reconciliation to see it; nothing else is under way by then."""
ORDER = {name.strip(): place for place, name in enumerate(COLUMNS["execution.orders"].split(","))}
FILL = {name.strip(): place for place, name in enumerate(COLUMNS["execution.fills"].split(","))}
STATUS = {
    "NEW": "NEW",
    "PARTIALLY_FILLED": "PARTIALLY_FILLED",
    "FILLED": "FILLED",
    "CANCELED": "CANCELED",
    "REJECTED": "REJECTED",
    "EXPIRED": "EXPIRED",
    "EXPIRED_IN_MATCH": "EXPIRED",
}
"""The exchange's word → ours."""
WRONG_TIME = -1021
"""The one refusal after which an order is sent a second time, under the same id."""


@dataclass(frozen=True)
class Truth:
    """What the exchange has and was asked."""

    accounts: dict[str, dict[str, Any]]
    commits: dict[str, int]
    requests: list[dict[str, Any]]


def truth_of(exchange: LocalExchange) -> Truth:
    """All of it; nothing may move."""
    return Truth(exchange.state()["accounts"], exchange.commits(), exchange.requests())


def check(stage: Stage, traders: Sequence[Trader], random: Random) -> Figures:
    """Everything, once; nobody may be trading, and the market stands still."""
    exchange = exchange_of(stage)
    deadline = time.monotonic() + AGREES_S
    while True:
        truth = truth_of(exchange)
        postgres, journal = checker.agreeing(stage)
        try:
            held_against(truth, postgres, journal)
            break
        except AssertionError as differs:
            # What can still come is asked for again; what stands there twice or too much never goes away.
            if time.monotonic() > deadline:
                raise AssertionError(f"{differs}\n{last_words(stage.system)}\n{exchange.last_words()}") from None
        time.sleep(0.5)
    possible(postgres)
    alarming(postgres)
    asked_once(truth)
    asked_while_killed(stage, truth)
    return checker.told(stage, traders, random, postgres, journal)


def held_against(truth: Truth, postgres: Stored, journal: Journal) -> None:
    """I2, I3, I4."""
    own = re.compile(rf"og{re.escape(journal.install)}-([0-9]+)")
    doubled = {name: count for name, count in truth.commits.items() if count != 1}
    assert not doubled, f"I2: accepted more than once: {doubled}"
    ours = {row[ORDER["id"]]: row for row in postgres.tables["execution.orders"]}
    there: dict[int, dict[str, Any]] = {}
    for account, has in truth.accounts.items():
        for order in has["orders"]:
            named = own.fullmatch(order["clientOrderId"])
            number = int(named[1]) if named else 0
            assert number in ours and ours[number][ORDER["account_id"]] == account, f"I3: not ours: {account} {order}"
            assert number not in there, f"I2: order {number} is there twice: {there[number]} and {order}"
            there[number] = order
    for number, row in ours.items():
        same_order(row, there.get(number))
    same_trades(truth, postgres, there)
    same_balances(truth, postgres, journal)


def same_order(row: Sequence[Any], there: dict[str, Any] | None) -> None:
    """I3: status, quantities and the exchange's number of one order."""
    status, filled, quote = row[ORDER["status"]], Decimal(row[ORDER["filled_quantity"]]), row[ORDER["filled_quote"]]
    if there is None:
        gone = status in {"REJECTED", "CANCELED"} and filled == ZERO
        assert gone, f"I3: order {row[ORDER['id']]} is {status} with {filled}, and the exchange has no such order"
        return
    shown = (STATUS[there["status"]], Decimal(there["executedQty"]), Decimal(there["cummulativeQuoteQty"]))
    found = (status, filled, Decimal(quote))
    assert found == shown, f"I3: order {row[ORDER['id']]} is {found} here and {shown} there ({row[ORDER['reason']]})"
    number = str(there["orderId"])
    assert row[ORDER["venue_order_id"]] == number, f"I3: order {row[ORDER['id']]} is not known as {number}"


def same_trades(truth: Truth, postgres: Stored, there: dict[int, dict[str, Any]]) -> None:
    """I4: every trade of the exchange was booked once, for its order, with its price, quantity, fee and role."""
    of_number = {(one["symbol"], one["orderId"]): number for number, one in there.items()}
    traded = {
        (
            account, one["symbol"], str(one["id"]), of_number[one["symbol"], one["orderId"]],
            "BUY" if one["isBuyer"] else "SELL",
            *(Decimal(one[name]) for name in ("price", "qty", "quoteQty", "commission")),
            one["commissionAsset"], one["isMaker"],
        )
        for account, has in truth.accounts.items()
        for one in has["trades"]
    }  # fmt: skip
    rows = postgres.tables["execution.fills"]
    booked = {
        (
            row[FILL["account_id"]], row[FILL["symbol"]], row[FILL["exchange_fill_id"]], row[FILL["order_id"]],
            row[FILL["side"]], *(Decimal(row[FILL[name]]) for name in ("price", "quantity", "quote_quantity", "fee")),
            row[FILL["fee_asset"]], row[FILL["maker"]],
        )
        for row in rows
    }  # fmt: skip
    only_here, only_there = sorted(booked - traded, key=str)[:3], sorted(traded - booked, key=str)[:3]
    assert booked == traded, f"I4: trades only here: {only_here}, only there: {only_there}"
    assert len(rows) == len(booked), "I4: a trade was booked twice"


def same_balances(truth: Truth, postgres: Stored, journal: Journal) -> None:
    """I4, I5: totals and what is held, in the exchange, the journal and the portfolio."""
    totals: dict[tuple[str, str], Decimal] = {}
    locked: dict[tuple[str, str], Decimal] = {}
    for account, has in truth.accounts.items():
        for asset, one in has["balances"].items():
            totals[account, asset] = Decimal(one["free"]) + Decimal(one["locked"])
            locked[account, asset] = Decimal(one["locked"])
    here = {(name, asset): (Decimal(total), Decimal(held)) for name, mode, asset, total, held in journal.balances
            if mode == "LIVE" and name in truth.accounts}  # fmt: skip
    booked = {name: total for name, (total, _) in here.items()}
    held = {name: amount for name, (_, amount) in here.items()}
    assert booked == totals, f"I4: balances differ: {differing(booked, totals)}"
    assert held == locked, f"I5: held here and locked there differ: {differing(held, locked)}"
    stored = {(row[0], row[1]): Decimal(row[2]) for row in postgres.tables["portfolio.balances"]
              if row[0] in truth.accounts}  # fmt: skip
    assert stored == totals, f"I4: the portfolio differs: {differing(stored, totals)}"


def differing(
    ours: dict[tuple[str, str], Decimal], theirs: dict[tuple[str, str], Decimal]
) -> list[tuple[tuple[str, str], Decimal | None, Decimal | None]]:
    """What is not the same: name, ours, theirs."""
    names = sorted(ours.keys() | theirs.keys())
    return [(name, ours.get(name), theirs.get(name)) for name in names if ours.get(name) != theirs.get(name)][:4]


# --- lives ----------------------------------------------------------------------------------------------------------

WORKING = {
    "ACKED",
    "FILL",
    "FOUND_AT_VENUE",
    "IN_DOUBT",
    "CANCEL_REQUESTED",
    "CANCEL_REJECTED",
    "CANCEL_IN_DOUBT",
    "CANCELED",
    "EXPIRED",
}
"""What may come after anything that leaves an order in the market, or perhaps there."""
SENT = WORKING | {"REJECTED", "NOT_SENT", "ABSENT_AT_VENUE"}
LATER = {"FILL", "FOUND_AT_VENUE"}
"""What an exchange may still tell of an order that has ended: a trade always counts, and what works has not ended."""
FOLLOWS = {
    "": {"ORDER_ACCEPTED", "ORDER_DENIED"},
    "ORDER_ACCEPTED": {"SUBMIT_STARTED", "CANCELED", "NOT_SENT"},
    "ORDER_DENIED": set(),
    "SUBMIT_STARTED": SENT,
    "IN_DOUBT": SENT,
    "CANCEL_REQUESTED": SENT,
    "CANCEL_IN_DOUBT": SENT,
    "CANCEL_REJECTED": SENT,
    "ACKED": WORKING,
    "FILL": WORKING,
    "FOUND_AT_VENUE": WORKING,
    "CANCELED": LATER,
    "EXPIRED": LATER,
    "REJECTED": LATER | {"ACKED"},
    "ABSENT_AT_VENUE": LATER | {"ACKED"},
    "NOT_SENT": set(),
}
"""What may come after what in the life of a LIVE order."""


def possible(postgres: Stored) -> None:
    """I6: the audit trail of every order is a possible life, and it was started at most once."""
    lives: dict[int, list[str]] = defaultdict(list)
    for _, order, _, kind, *_ in sorted(postgres.tables["execution.order_events"]):
        lives[order].append(kind)
    rows = {row[ORDER["id"]] for row in postgres.tables["execution.orders"]}
    assert lives.keys() == rows, f"orders with events or rows only: {sorted(lives.keys() ^ rows)[:5]}"
    for order, life in lives.items():
        for before, after in zip(["", *life], life, strict=False):
            assert after in FOLLOWS[before], f"I6: order {order}: {after} after {before or 'nothing'} in {life}"
        assert life.count("SUBMIT_STARTED") <= 1, f"I6: order {order} was started twice: {life}"


def alarming(postgres: Stored) -> None:
    """I6: people are called only for what nobody can explain, and nothing of that kind is done here."""
    alarms = postgres.tables["execution.alarms"]
    assert not alarms, f"I6: {len(alarms)} alarms: {alarms[:3]}"


# --- requests -------------------------------------------------------------------------------------------------------


def places(truth: Truth) -> list[dict[str, Any]]:
    """Requests for orders; what a fault committed later is no request."""
    return [one for one in truth.requests if one["method"] == "order.place" and not one.get("late")]


def asked_once(truth: Truth) -> None:
    """I2: an order is asked for once, whatever the answer was, unless it said that the time was wrong."""
    asked = Counter(one["clientOrderId"] for one in places(truth) if one["code"] != WRONG_TIME)
    again = {name: count for name, count in asked.items() if count > 1}
    assert not again, f"I2: asked for more than once: {again}"


def asked_while_killed(stage: Stage, truth: Truth) -> None:
    """I10: while the kill switch was set or could not be read, nothing reached the exchange."""
    for begin, end in stage.unsent:
        inside = [one for one in places(truth) if begin < one["t"] / 1e3 < end]
        assert not inside, f"I10: asked for between {begin:.2f} and {end:.2f}, killed: {inside[:3]}"
