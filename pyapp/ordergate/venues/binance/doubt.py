"""How a doubt ends: by evidence of the order, or by proof of its absence. Pure; time is journal time, passed in.

Before its deadline a query that finds nothing proves nothing: the request may still be on its way, or the exchange's
readers behind its engine. After it, absence needs several queries apart from each other that all found nothing, and one
look through the open and the recent orders. A query that fails never counts.
"""

from dataclasses import dataclass, replace
from typing import Final

from ordergate.venues.binance.dialect import MS

SEND_WINDOW_MS: Final = 2_000
"""After its SUBMIT_STARTED an order may still be sent for this long."""


@dataclass(frozen=True, slots=True)
class Margins:
    """Milliseconds, but for `queries`: how many must find nothing."""

    recv_window_ms: int
    clock_bound_ms: int
    engine_timeout_ms: int
    read_lag_ms: int
    queries: int
    gap_ms: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """One order whose outcome is not known."""

    order: int
    deadline_ns: int
    """From then on the exchange must show the order if it has it."""
    next_ns: int = 0
    """When to look again."""
    absent_ns: tuple[int, ...] = ()
    """When queries after the deadline found nothing."""
    scanned_ns: int | None = None
    """When the open and recent orders were looked through, after the deadline, and did not hold it."""
    failed: int = 0
    """Questions that were not answered."""


@dataclass(frozen=True, slots=True)
class Query:
    """Ask for the order by its client id."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Look through the symbol's open and recent orders."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before this time."""

    until_ns: int


@dataclass(frozen=True, slots=True)
class Absent:
    """The exchange never took it."""

    evidence: str


Step = Query | Scan | Wait | Absent


def open_doubt(order: int, submitted_ns: int, margins: Margins) -> Doubt:
    """A doubt that begins with nothing known. The last moment at which it can have been sent counts, not the first."""
    parts = (SEND_WINDOW_MS, margins.recv_window_ms, margins.clock_bound_ms, margins.engine_timeout_ms)
    return Doubt(order, submitted_ns + (sum(parts) + margins.read_lag_ms) * MS)


def step(doubt: Doubt, margins: Margins, now_ns: int) -> Step:
    """What is to be done now."""
    enough = len(doubt.absent_ns) >= margins.queries
    if enough and doubt.scanned_ns is not None:
        return Absent(_evidence(doubt))
    if now_ns < doubt.next_ns:
        return Wait(doubt.next_ns)
    return Scan() if enough else Query()


def not_found(doubt: Doubt, margins: Margins, asked_ns: int) -> Doubt:
    """A query that was begun at `asked_ns` found nothing."""
    found_none = doubt.absent_ns
    if asked_ns >= doubt.deadline_ns and (not found_none or asked_ns - found_none[-1] >= margins.gap_ms * MS):
        found_none = (*found_none, asked_ns)
    # The scan follows the last query at once.
    gap_ns = 0 if len(found_none) >= margins.queries else margins.gap_ms * MS
    next_ns = asked_ns + gap_ns
    if asked_ns < doubt.deadline_ns < next_ns + margins.gap_ms * MS:
        # The last look before the deadline is worth nothing: the next one is the first after it.
        next_ns = max(next_ns, doubt.deadline_ns)
    return replace(doubt, absent_ns=found_none, next_ns=next_ns)


def not_scanned(doubt: Doubt, asked_ns: int) -> Doubt:
    """The scan that was begun at `asked_ns` was whole and did not hold the order."""
    return replace(doubt, scanned_ns=asked_ns) if asked_ns >= doubt.deadline_ns else doubt


def failed(doubt: Doubt, margins: Margins, asked_ns: int, wait_ms: int = 0) -> Doubt:
    """No answer: it never counts. `wait_ms`: the exchange, or our budget, asks us to wait that long."""
    wait_ns = max(margins.gap_ms, wait_ms) * MS
    return replace(doubt, failed=doubt.failed + 1, next_ns=asked_ns + wait_ns)


def again(doubt: Doubt) -> Doubt:
    """An operator asks to look again: what counted so far does not count."""
    return replace(doubt, absent_ns=(), scanned_ns=None, next_ns=0)


def _evidence(doubt: Doubt) -> str:
    after = [(asked_ns - doubt.deadline_ns) // MS for asked_ns in doubt.absent_ns]
    looks = ", ".join(f"+{ms} ms" for ms in after)
    return (
        f"not found by client id {len(after)} times after its deadline ({looks}), nor among open and recent orders; "
        f"{doubt.failed} questions had no answer"
    )
