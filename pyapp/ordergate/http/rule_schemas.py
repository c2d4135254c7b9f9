"""Documented types of limits, approvals and strategies; the OpenAPI document is made from these as well."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from ordergate.http.schemas import Decimal, StrategyId

LimitScope = Literal["firm", "account", "strategy", "key"]
Reason = Annotated[str, Meta(min_length=1, max_length=256, description="Why, for the journal.")]
StrategyStatus = Literal["RUNNING", "STOPPED"]


class Limit(Struct, rename="camel"):
    """A limit in force: a maximum. The strictest of all that bind an order wins."""

    scope: LimitScope
    target: Annotated[str, Meta(description="Account, strategy or number of the key; empty for the firm.")]
    symbol: Annotated[str, Meta(description="Only in this instrument; null: everywhere.")] | None
    kind: Annotated[str, Meta(examples=["MAX_ORDER_QTY"])]
    value: Annotated[Decimal, Meta(description="In the unit of its kind.")]
    unit: Literal["base", "reportingCurrency", "ratio", "count", "milliseconds"]


class Limits(Struct, rename="camel"):
    """The firm's limits and those of the account, its strategies and keys."""

    version: Annotated[int, Meta(description="Rises with each change of any limit.")]
    limits: list[Limit]


class LimitChange(Struct, rename="camel", forbid_unknown_fields=True):
    """A limit to set, or to take away (value null)."""

    scope: str
    kind: str
    value: msgspec.Raw
    reason: Reason
    target: str | None = None
    symbol: str | None = None
    unit: str | None = None


class Changed(Struct, rename="camel"):
    """What became of a change."""

    status: Literal["IN_FORCE", "WAITING", "UNCHANGED"]
    request_id: Annotated[str, Meta(description="What a second person approves; while it waits.")] | None


class OverrideRequest(Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """One order of the account that need not pass these kinds of limits."""

    kinds: Annotated[list[str], Meta(min_length=1, max_length=64)]
    reason: Reason
    symbol: Annotated[str, Meta(description="Only in this instrument.")] | None = None
    valid_for_ms: Annotated[
        int, Meta(ge=1, le=86_400_000, description="How long it may be used once granted, in milliseconds.")
    ] = 600_000


class OverrideAsked(Struct, rename="camel"):
    """An override that waits for a second person."""

    account: str
    symbol: str | None
    kinds: list[str]
    valid_for_ms: int


class LimitAsked(Struct, rename="camel"):
    """A change of a limit that waits for a second person; value null takes it away."""

    scope: LimitScope
    target: str
    symbol: str | None
    kind: str
    value: Decimal | None
    unit: str


class AbsentAsked(Struct, rename="camel"):
    """An order in doubt that somebody declares absent at the exchange."""

    account: str
    order: str


class ChangeRequest(Struct, rename="camel"):
    """A change that waits: of a limit, an override, or an order declared absent."""

    id: str
    limit: LimitAsked | None
    override: OverrideAsked | None
    absent: AbsentAsked | None
    by: str
    reason: str
    expires_at_ns: Annotated[int, Meta(description="Journal time in nanoseconds.")]


class ChangeRequests(Struct, rename="camel"):
    """Oldest first."""

    requests: list[ChangeRequest]


class Decided(Struct, rename="camel"):
    """A change that waits no longer."""

    id: str
    outcome: Literal["APPROVED", "REJECTED"]


class PastLimitChange(Struct, rename="camel"):
    """One change of a limit."""

    version: Annotated[int, Meta(description="Its number; give the last one of a page as `before` for the next.")]
    scope: LimitScope
    target: str
    symbol: str | None
    kind: str
    old: Annotated[Decimal, Meta(description="null: there was none.")] | None
    new: Annotated[Decimal, Meta(description="null: it was taken away.")] | None
    by: str
    approved_by: Annotated[str, Meta(description="The second person, when one was needed.")] | None
    reason: str
    at: Annotated[str, Meta(description="RFC 3339, UTC.")]


class LimitHistory(Struct, rename="camel"):
    """Changes of the limits that bind the account, newest first, as far as Postgres holds them."""

    changes: list[PastLimitChange]


class TradingState(Struct, rename="camel"):
    """A scope that may not trade freely; one that is ACTIVE is not listed."""

    scope: Literal["global", "account", "strategy", "symbol"]
    target: Annotated[str, Meta(description="Empty for global.")]
    mode: Literal["PAPER", "LIVE"]
    state: Literal["REDUCE_ONLY", "HALTED"]
    reason: Annotated[str, Meta(description="Of a breach: the kind of the limit.")]
    by: str
    source: Annotated[str, Meta(description="Through what: `limit` for a breach.")]
    seq: Annotated[str, Meta(description="Sequence of its record in the journal.")]
    since_ns: int


class DayFigures(Struct, rename="camel"):
    """What was done since the UTC day began. Amounts in the reporting currency; null: cannot be known now."""

    scope: LimitScope
    target: str
    mode: Literal["PAPER", "LIVE"]
    orders: int
    cancels: int
    fills: int
    turnover: Decimal | None
    result: Annotated[Decimal, Meta(description="Won or lost, fees taken off, at the newest prices.")] | None
    fresh: Annotated[bool, Meta(description="Whether every price behind the result is fresh.")]


class WatchedLimit(Struct, rename="camel"):
    """A limit that is judged between trades, four times a second."""

    scope: LimitScope
    target: str
    symbol: str | None
    mode: Literal["PAPER", "LIVE"]
    kind: Annotated[str, Meta(examples=["MAX_DAILY_LOSS"])]
    limit: Decimal
    value: Annotated[Decimal, Meta(description="The loss or fall now; null: cannot be known.")] | None
    unit: str
    judged: Annotated[bool, Meta(description="False: a price is stale, so it is not known whether it is breached.")]
    breached: bool
    warned_at_ns: Annotated[int, Meta(description="Last warning since the gateway's start.")] | None


class RiskState(Struct, rename="camel"):
    """What may trade, the day of the account and its strategies, and how near their limits are."""

    day_start_ns: Annotated[int, Meta(description="Midnight UTC that began the day, Unix time.")] | None
    currency: Annotated[str, Meta(description="The reporting currency.", examples=["USDT"])]
    states: list[TradingState]
    figures: Annotated[list[DayFigures], Meta(max_length=1000)]
    watched: list[WatchedLimit]


class Strategy(Struct, rename="camel"):
    """A strategy of the account."""

    id: StrategyId
    account: str
    status: StrategyStatus
    by: Annotated[str, Meta(description="Who set the status.")]
    source: Annotated[str, Meta(description="Through what: api, cli, kill, limit.")]
    reason: str
    created_at_ns: int
    changed_at_ns: int


class Strategies(Struct, rename="camel"):
    """By id."""

    strategies: list[Strategy]


class NewStrategy(Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """A strategy to create; it begins STOPPED."""

    id: Annotated[str, Meta(pattern="^[A-Za-z0-9._:-]{1,64}$", examples=["mm-1"])]
    reason: Reason = "created"


class StrategyTurned(Struct, rename="camel"):
    """A strategy's status from now on."""

    id: str
    status: StrategyStatus


MODELS = (
    Limits, Changed, OverrideRequest, ChangeRequests, Decided, LimitHistory, RiskState, Strategies, NewStrategy,
    StrategyTurned,
)  # fmt: skip
"""What the OpenAPI document names. LimitChange is described by hand: its value is taken as it stands in the body."""

_NULLABLE = ["string", "null"]
LIMIT_CHANGE = {
    "title": "LimitChange",
    "description": LimitChange.__doc__,
    "type": "object",
    "additionalProperties": False,
    "required": ["scope", "kind", "value", "reason"],
    "properties": {
        "scope": {"type": "string", "description": "account, strategy or key."},
        "kind": {"type": "string", "examples": ["MAX_ORDER_QTY"]},
        "value": {"type": ["string", "number", "null"], "description": "A decimal; null takes the limit away."},
        "reason": {"type": "string", "minLength": 1, "maxLength": 256},
        "target": {"type": _NULLABLE, "description": "Whose; absent: the key's account."},
        "symbol": {"type": _NULLABLE, "description": "Only in this instrument."},
        "unit": {"type": _NULLABLE, "description": "Refused when the kind is measured in another."},
    },
}


def _narrowing(name: str, description: str, schema: dict[str, object]) -> dict[str, object]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


_WHOLE: dict[str, object] = {"type": "integer", "minimum": 1}
HISTORY_PARAMETERS = [
    *(_narrowing(name, f"Only this {name}.", {"type": "string"}) for name in ("scope", "target", "symbol", "kind")),
    _narrowing("before", "Only older versions than this one.", _WHOLE),
    _narrowing("limit", "Changes on one page.", {**_WHOLE, "maximum": 500, "default": 500}),
]
"""What narrows GET /api/v1/risk/limits/history."""
