"""Documented request and response types. The engine decodes and renders the hot ones itself, in these shapes; the
OpenAPI document is made from these and nothing else."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

Mode = Literal["PAPER", "LIVE"]
Side = Literal["BUY", "SELL"]
OrderType = Literal[
    "LIMIT", "MARKET", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"
]
TimeInForce = Literal["GTC", "IOC", "FOK", "GTD"]
OrderStatus = Literal[
    "PENDING_NEW",
    "SUBMITTED",
    "IN_DOUBT",
    "NEW",
    "PARTIALLY_FILLED",
    "PENDING_CANCEL",
    "PENDING_REPLACE",
    "FILLED",
    "CANCELED",
    "REJECTED",
    "EXPIRED",
]
RejectedBy = Literal["GATEWAY", "VENUE"]

_DECIMAL = r"^-?[0-9]+(\.[0-9]{1,8})?$"
Decimal = Annotated[
    str, Meta(pattern=_DECIMAL, description="Exact decimal, at most 8 digits after the point.", examples=["0.001"])
]
DecimalInput = Annotated[
    int | float | str,
    Meta(
        description="A JSON number or a string; every digit counts either way. At most 8 digits after the point.",
        examples=["0.001", 40000],
    ),
]
OrderId = Annotated[str, Meta(pattern="^[0-9]+$", description="Id given by the gateway.", examples=["1042"])]
Symbol = Annotated[str, Meta(max_length=32, description="Instrument.", examples=["BTCUSDT"])]
ClientOrderId = Annotated[
    str,
    Meta(
        pattern="^[A-Za-z0-9._:/-]{1,36}$",
        description="The client's own id, unique among the account's working orders.",
        examples=["entry-7"],
    ),
]
StrategyId = Annotated[
    str, Meta(pattern="^[A-Za-z0-9._:/-]{1,64}$", description="Strategy that the order belongs to.", examples=["mm-1"])
]
Time = Annotated[
    str,
    Meta(
        description="RFC 3339, UTC, microseconds.",
        examples=["2026-11-24T07:00:00.123456Z"],
        extra_json_schema={"format": "date-time"},
    ),
]


class NewOrder(Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """An order to place. Unknown and repeated members are refused."""

    symbol: Symbol
    side: Annotated[Side, Meta(description="BUY takes base for quote, SELL gives it.")]
    type: Annotated[
        OrderType,
        Meta(
            description="LIMIT, LIMIT_MAKER and the two ending in _LIMIT need `price`, the others forbid it. STOP_LOSS "
            "and TAKE_PROFIT, with or without a limit, need `stopPrice`: they begin to work when the last price has "
            "come to it. LIMIT_MAKER is refused by the venue when it would take."
        ),
    ]
    mode: Annotated[Mode, Meta(description="Where the order trades; there is no default on purpose.")]
    quantity: (
        Annotated[
            DecimalInput, Meta(description="Quantity of the base asset, above zero. Absent only with `quoteOrderQty`.")
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    price: Annotated[DecimalInput, Meta(description="Limit price in the quote asset.")] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    stop_price: Annotated[DecimalInput, Meta(description="Last price at which a stop order begins to work.")] | (
        msgspec.UnsetType
    ) = msgspec.UNSET
    quote_order_qty: (
        Annotated[DecimalInput, Meta(description="MARKET: quote to spend (BUY) or to bring in (SELL).")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    time_in_force: (
        Annotated[
            TimeInForce,
            Meta(
                description="GTC when absent. MARKET: IOC only. LIMIT_MAKER, STOP_LOSS, TAKE_PROFIT: GTC or GTD. "
                "GTD needs `expireAt`: the gateway cancels the order then."
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    expire_at: (
        Annotated[
            int | str,
            Meta(
                description="GTD: RFC 3339 with a zone, or milliseconds since 1970.", examples=["2026-11-24T07:00:00Z"]
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    client_order_id: ClientOrderId | msgspec.UnsetType = msgspec.UNSET
    strategy_id: StrategyId | msgspec.UnsetType = msgspec.UNSET
    override_id: (
        Annotated[str, Meta(pattern="^[1-9][0-9]*$", description="An override granted for this order; used once.")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    valid_for_ms: (
        Annotated[
            int,
            Meta(ge=1, le=60_000, description="Longest wait before the order is sent, in milliseconds (2,000)."),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET


class NewTerms(Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """New terms of an order: at least one. Fewer of the same price are changed in place; else the order is canceled,
    and a new one is placed for what is left of the new quantity once the old one's end is known."""

    quantity: (
        Annotated[DecimalInput, Meta(description="New total quantity, what has traded included.")] | msgspec.UnsetType
    ) = msgspec.UNSET
    price: Annotated[DecimalInput, Meta(description="New limit price.")] | msgspec.UnsetType = msgspec.UNSET
    stop_price: Annotated[DecimalInput, Meta(description="New stop price.")] | msgspec.UnsetType = msgspec.UNSET


class Order(Struct, rename="camel"):
    """An order with everything that is known of it. Absent values are null."""

    id: OrderId
    client_order_id: ClientOrderId | None
    symbol: Symbol
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: (
        Annotated[
            Decimal,
            Meta(description="Ordered quantity of the base asset; of an amount of quote known only when it is FILLED."),
        ]
        | None
    )
    price: Annotated[Decimal, Meta(description="Limit price in the quote asset.")] | None
    stop_price: Annotated[Decimal, Meta(description="Last price at which the order begins to work.")] | None
    quote_order_qty: Annotated[Decimal, Meta(description="Amount of quote asked for.")] | None
    expire_at: Annotated[Time, Meta(description="When a GTD order is canceled.")] | None
    status: Annotated[
        OrderStatus, Meta(description="Computed from facts. IN_DOUBT: sent, and the outcome is not yet known.")
    ]
    filled_quantity: Annotated[Decimal, Meta(description="Sum of all fills, in the base asset.")]
    avg_fill_price: Annotated[Decimal, Meta(description="Average price of all fills.")] | None
    mode: Mode
    strategy_id: StrategyId | None
    rejected_by: Annotated[RejectedBy, Meta(description="GATEWAY: the order was never sent.")] | None
    reason: Annotated[str, Meta(description="Why the order ended, when it did not fill.")] | None
    venue_order_id: Annotated[str, Meta(description="Id given by the venue.")] | None
    replaces: Annotated[OrderId, Meta(description="The order whose rest this one took over.")] | None
    replaced_by: Annotated[OrderId, Meta(description="The order that took over what was left of this one.")] | None
    received_at: Time
    durable_at: Annotated[Time, Meta(description="When it was flushed to disk.")] | None
    sent_at: Annotated[Time, Meta(description="When the venue was told to send it.")] | None
    acked_at: Annotated[Time, Meta(description="When the venue first answered.")] | None
    updated_at: Time | None
    origin: Annotated[
        Literal["GATEWAY", "EXTERNAL"], Meta(description="EXTERNAL: placed outside the gateway and found at the venue.")
    ]


class CanceledOrders(Struct, rename="camel"):
    """The orders of a symbol that were open, as they stand once their cancels are durable."""

    orders: list[Order]
    more: Annotated[bool, Meta(description="There are more than one request cancels (1,000): ask again.")]


class OrderPage(Struct, rename="camel"):
    """Orders of the account, newest first."""

    orders: list[Order]
    next_cursor: (
        Annotated[str, Meta(description="Cursor of the next page; null on the last. Also in `Link: rel=next`.")] | None
    )


class Balance(Struct, rename="camel"):
    """What an account holds of one asset in one mode. PAPER and LIVE are never added."""

    mode: Mode
    asset: Annotated[str, Meta(examples=["USDT"])]
    total: Decimal
    held: Annotated[Decimal, Meta(description="Reserved by open orders.")]
    free: Annotated[Decimal, Meta(description="total minus held.")]


class Position(Struct, rename="camel"):
    """Sums of all fills of one instrument in one mode."""

    mode: Mode
    symbol: Symbol
    quantity: Annotated[Decimal, Meta(description="Bought minus sold, in the base asset.")]
    bought_quantity: Decimal
    bought_quote: Annotated[str, Meta(description="Sum of the fills' quote amounts, as the venue booked them.")]
    sold_quantity: Decimal
    sold_quote: Annotated[str, Meta(description="Sum of the fills' quote amounts, as the venue booked them.")]


class Portfolio(Struct, rename="camel"):
    """Balances and positions as of one sequence of the journal."""

    account: Annotated[str, Meta(examples=["demo"])]
    as_of_seq: Annotated[int, Meta(description="Sequence of the journal that these figures include.")]
    balances: list[Balance]
    positions: list[Position]


class KillOrder(Struct, rename="camel", forbid_unknown_fields=True):
    """Stops trading in a scope of the caller's own."""

    scope: Annotated[str, Meta(description="`account`, or `strategy` with its name as the target.")]
    target: str | None = None
    level: Annotated[int, Meta(ge=1, le=3, description="1 stops new orders, 2 cancels too, 3 also sells.")] = 1
    reason: Annotated[str, Meta(min_length=1, max_length=256)] = "no reason given"


class Kill(Struct, rename="camel"):
    """A scope in which trading is stopped."""

    scope: Literal["global", "account", "strategy", "symbol"]
    target: Annotated[str, Meta(description="Empty for global.")]
    level: int
    reason: str
    seq: Annotated[str, Meta(description="Sequence of its record in the journal.")]
    by: str | None = None
    source: Annotated[str | None, Meta(description="redis, api, admin, cli, heartbeat, limit, gateway.")] = None
    activated_at_ns: int | None = None


class Kills(Struct, rename="camel"):
    """Every kill that may stop the caller's orders."""

    kills: list[Kill]


class KillCleared(Struct, rename="camel"):
    """Trading may go on in this scope."""

    scope: str
    target: str
    cleared: bool


class Heartbeat(Struct, rename="camel", forbid_unknown_fields=True):
    """A sign of life of an account or a strategy."""

    scope: Annotated[str, Meta(description="`account`, or `strategy` with its name as the target.")]
    timeout_ms: Annotated[
        int,
        Meta(ge=0, le=600_000, description="Silence after which the scope is killed at level 2; 0 ends it."),
    ]
    target: str | None = None


class FieldProblem(Struct):
    """What is wrong with one field."""

    field: Annotated[str, Meta(examples=["quantity"])]
    message: str


class Problem(Struct, rename="camel"):
    """RFC 9457 problem document with a stable `code`."""

    type: Annotated[str, Meta(description="URI of the kind of problem.", examples=["urn:ordergate:problem:killed"])]
    title: str
    status: int
    detail: str
    code: Annotated[str, Meta(description="Stable, for programs.", examples=["unknown_symbol"])]
    request_id: Annotated[str, Meta(description="The same as in the X-Request-Id header.")]
    errors: list[FieldProblem]


class Check(Struct, rename="camel"):
    """One failed risk check, with the figures that decided."""

    code: Annotated[str, Meta(examples=["INSUFFICIENT_BALANCE"])]
    value: Annotated[str, Meta(description="The order's figure.")]
    limit: str
    headroom: Annotated[str, Meta(description="What was left without this order.")]
    scope: (
        Annotated[str, Meta(description="Whose limit: firm, account, strategy, key; venue for the exchange's own.")]
        | None
    )
    target: Annotated[str, Meta(description="Name of the account or strategy, or the key's number.")] | None
    symbol: Annotated[str, Meta(description="Where the limit is that of one symbol.")] | None
    unit: Annotated[str, Meta(description="What the figures count.", examples=["base"])] | None
    message: Annotated[str, Meta(description="One sentence for people.")]


class OrderRejected(Struct, rename="camel"):
    """Problem document of an order that failed its risk checks; the order is stored as REJECTED by GATEWAY."""

    type: str
    title: str
    status: int
    detail: str
    code: Literal["order_rejected"]
    request_id: str
    order_id: OrderId
    checks: Annotated[list[Check], Meta(description="Every failed check.")]


class RiskPreview(Struct, rename="camel"):
    """What the risk checks would say of an order now. Nothing was stored, reserved or sent."""

    accepted: bool
    hold: Annotated[Decimal, Meta(description="What the order would reserve.")] | None
    failed: Annotated[list[Check], Meta(description="Every failed check.")]
    tightest: Annotated[Check, Meta(description="The check that comes closest to failing.")] | None
    overridden: Annotated[list[str], Meta(description="Limits that an override excuses.")]
    warned: Annotated[list[str], Meta(description="Limits of which the order uses 80 % or more.")]
    checks: Annotated[list[Check], Meta(description="Every comparison that was made.")]


class Headroom(Struct, rename="camel"):
    """What is used and left of one limit."""

    mode: Mode
    side: Annotated[
        Side, Meta(description="Of the order that it would bind; where both are alike, BUY stands for both.")
    ]
    used: Annotated[str, Meta(description="limit minus headroom.")]
    share: Annotated[Decimal, Meta(description="used ÷ limit.")] | None
    check: Check


class RiskHeadroom(Struct, rename="camel"):
    """What is left of every limit that would bind an order of this symbol."""

    account: Annotated[str, Meta(examples=["demo"])]
    symbol: Symbol
    limits_version: int
    limits: list[Headroom]


class Decision(Struct, rename="camel"):
    """Why an order was accepted or rejected, as journaled with it."""

    id: OrderId
    accepted: bool
    decided_at_ns: Annotated[int, Meta(description="Journal time in nanoseconds.")]
    decision: Annotated[
        dict[str, Any],
        Meta(
            description="limitsVersion, referencePrice, failed, tightest, overridden, warned and inputs: the figures."
        ),
    ]


class LiveAccount(Struct, rename="camel"):
    """Whether the exchange takes orders of an account."""

    account: str
    ready: bool
    reason: Annotated[str, Meta(description="Why not; empty when it does.", examples=["RATE_LIMITED"])]


class Health(Struct, rename="camel"):
    """State of the gateway. `ready`: HTTP, journal and PAPER work."""

    status: Literal["ok", "degraded", "stopping"]
    live: bool
    ready: bool
    trading_ready: Annotated[dict[str, bool], Meta(description="Whether a new order would be taken, by mode.")]
    reasons: Annotated[list[str], Meta(description="Why something is not ready.", examples=[["killed: drill"]])]
    epoch: Annotated[int, Meta(description="Number of this start of the gateway.")]
    last_seq: Annotated[int, Meta(description="Newest record of the journal.")]
    durable_seq: Annotated[int, Meta(description="Newest record that is on disk.")]
    kill_level: Annotated[int, Meta(description="0: not killed.")]
    open_orders: int
    in_doubt_orders: int
    in_doubt_oldest_seconds: Annotated[int, Meta(description="How long the oldest of them has been in doubt.")]
    live_accounts: Annotated[list[LiveAccount], Meta(description="As the LIVE venue last told, in this session.")]
