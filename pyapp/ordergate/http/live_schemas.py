"""Documented types of LIVE: orders in doubt, and comparisons of the exchange with what was booked."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from ordergate.http.schemas import Decimal, Mode, OrderId, Side, Symbol, Time


class Doubt(Struct, rename="camel"):
    """An order that was sent, and whose outcome is not known. Its hold stays until evidence ends the doubt."""

    id: OrderId
    account: str
    mode: Mode
    symbol: Symbol
    side: Side
    quantity: Decimal
    filled_quantity: Decimal
    client_id_at_venue: Annotated[str, Meta(description="What the exchange would know it by.")]
    venue_order_id: str | None
    sent_at_ns: int | None
    since_ns: Annotated[int, Meta(description="Since when it has been in doubt, in nanoseconds of journal time.")]
    age_ms: int
    alarm: Annotated[bool, Meta(description="In doubt for five minutes or more.")]
    cancel_wanted: bool
    last_look: Annotated[str, Meta(description="What the last look for it told.")] | None
    last_look_at_ns: int | None


class Doubts(Struct, rename="camel"):
    """The account's orders in doubt, oldest first."""

    doubts: list[Doubt]


class Reconciliation(Struct, rename="camel"):
    """One comparison of the exchange with what was booked."""

    id: Annotated[str, Meta(description="Sequence of its record; give the last of a page as `before` for the next.")]
    account: str
    mode: Mode
    trigger: Annotated[str, Meta(description="Why it ran.", examples=["start", "interval", "gap"])]
    complete: Annotated[bool, Meta(description="False: an answer was missing, and nothing was concluded from that.")]
    error: str | None
    duration_ms: int
    counts: Annotated[dict[str, int], Meta(description="What was looked at and done, by kind.")]
    started_at: Time


class Reconciliations(Struct, rename="camel"):
    """Newest first, as far as Postgres holds them."""

    reconciliations: list[Reconciliation]


PAGE_PARAMETERS: list[dict[str, Any]] = [
    {"name": "before", "in": "query", "description": "The page of older ones.", "schema": {"type": "string"}},
    {"name": "limit", "in": "query", "description": "1 to 500, 50 when absent.", "schema": {"type": "integer"}},
]
