"""Compares what the exchange shows with what was booked. Pure: pictures in, findings out.

A finding is only a reason to look closer: pictures are taken one after the other while orders trade, so that each is
checked by a question about that very order before anything is concluded from it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from ordergate.venues.binance.dialect import Seen, amount
from ordergate.venues.binance.inbound import Facts

Class = Literal["MISSING_ORDER", "MISSING_FILL", "EXTRA_FILL", "QUANTITY", "BALANCE", "EXTERNAL"]

POLICY: Final[Mapping[Class, str]] = {
    "MISSING_ORDER": "ask for the order; its own end is taken over; while nothing is known of it: reduce only",
    "MISSING_FILL": "read the order's trades and book them; while they do not add up: reduce only",
    "EXTRA_FILL": "nothing is taken back; reduce only until the exchange shows the trade",
    "QUANTITY": "nothing is changed; reduce only until both show the same terms",
    "BALANCE": "the exchange's total is taken over as an adjustment when a second look shows it again",
    "EXTERNAL": "becomes an order here, which counts for risk and is never canceled by us",
}
"""What is done about each class."""


@dataclass(frozen=True, slots=True)
class Ours:
    """An order as this session knows it: the fold, and what was reported since."""

    facts: Facts
    filled: int
    final: bool
    recent: bool
    """Sent so lately that the exchange may not show it yet."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference."""

    kind: Class
    order: int
    detail: str
    seen: Seen | None = None


def compare(ours: Iterable[Ours], shown: Mapping[int, Seen]) -> list[Finding]:
    """Differences between our open orders of one symbol and those that the exchange shows as open, by our number."""
    found: list[Finding] = []
    for one in ours:
        seen = shown.get(one.facts.id)
        if one.final or one.recent:
            continue
        if seen is None:
            # In doubt: its own questions settle it.
            if not one.facts.in_doubt and one.facts.venue_order_id is not None:
                found.append(Finding("MISSING_ORDER", one.facts.id, "not among the open orders"))
        else:
            found += differences(one, seen)
    return found


def differences(one: Ours, seen: Seen) -> list[Finding]:
    """Differences between one order and what the exchange shows of it."""
    facts, found = one.facts, []
    executed = amount(seen.executed)
    if executed > one.filled:
        found.append(Finding("MISSING_FILL", facts.id, f"traded {seen.executed}, booked {facts.filled}", seen))
    if executed < one.filled:
        found.append(Finding("EXTRA_FILL", facts.id, f"traded {seen.executed}, booked {facts.filled}", seen))
    if facts.quantity is not None and facts.quote_quantity is None and not facts.replace and seen.working:
        ours = (facts.side, amount(facts.quantity), amount(facts.price or "0"))
        theirs = (seen.side, amount(seen.quantity), amount(seen.price or "0"))
        if ours != theirs:
            told = f"{facts.side} {facts.quantity} at {facts.price}, shown {seen.side} {seen.quantity} at {seen.price}"
            found.append(Finding("QUANTITY", facts.id, told, seen))
    return found


def differing(shown: Mapping[str, str], booked: Mapping[str, str]) -> dict[str, str]:
    """Assets whose totals differ -> the exchange's total."""
    return {asset: total for asset, total in shown.items() if amount(total) != amount(booked.get(asset, "0"))}
