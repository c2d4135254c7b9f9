"""What the exchange holds: orders, trades, balances, symbols. Only `engine.py` and its parts change it.

Amounts are whole numbers of 10⁻⁸, times are milliseconds of the exchange's own clock.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from ordergate.exchange.book import Book

HOUSE: Final = "house"
"""The account whose resting orders are the market."""
KEPT_TRADES: Final = 5_000
"""Public trades that are remembered per symbol; an account's own are all kept."""
OPEN: Final = frozenset({"NEW", "PARTIALLY_FILLED", "PENDING_NEW"})


@dataclass(frozen=True, slots=True)
class Event:
    """Something to be told: to an account's user data stream, or with no account to the market streams.

    `kind` is the event's name (`executionReport` … or `trade`, `depth`, `bookTicker`), `body` its shape on the wire.
    """

    account: str | None
    kind: str
    body: dict[str, Any]
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """One side of a trade. Trade ids rise by one per symbol."""

    trade_id: int
    symbol: str
    order_id: int
    account: str
    price: int
    quantity: int
    quote: int
    commission: int
    commission_asset: str
    time: int
    buyer: bool
    maker: bool


@dataclass(slots=True)
class Order:
    """`lock` is what is still held for it, in the asset it pays with; `history` how it looked, and since when."""

    symbol: str
    order_id: int
    account: str
    client_id: str
    side: str
    type: str
    tif: str
    quantity: int
    price: int
    stop_price: int
    quote_quantity: int
    stp: str
    created: int
    updated: int
    working_time: int = -1
    status: str = "NEW"
    executed: int = 0
    quote: int = 0
    lock: int = 0
    amends: int = 0
    expiry_reason: str | None = None
    prevented_id: int | None = None
    prevented: int = 0
    strategy_id: int | None = None
    strategy_type: int | None = None
    first_client_id: str = ""
    fills: list[Fill] = field(default_factory=list)
    history: list[tuple[int, str, int, int, int, str]] = field(default_factory=list)

    @property
    def left(self) -> int:
        """The quantity that may still trade."""
        return self.quantity - self.executed - self.prevented

    @property
    def buys(self) -> bool:
        return self.side == "BUY"

    @property
    def working(self) -> bool:
        """On the book or past it; False while a stop waits for its price."""
        return self.working_time != -1


@dataclass(slots=True)
class Account:
    """`maker` and `taker` are fees in 10⁻⁸; `fees_in` is `received`, `quote`, `base` or `BNB` (at three quarters)."""

    name: str
    maker: int
    taker: int
    fees_in: str = "received"
    can_trade: bool = True
    free: dict[str, int] = field(default_factory=dict)
    locked: dict[str, int] = field(default_factory=dict)
    updated: int = 0


@dataclass(slots=True)
class Symbol:
    """`filters` are as `exchangeInfo` shows them; `stops` wait for their price, by order id.

    `recent`: time, quote amount and quantity of the trades of the last five minutes, and their sums.
    """

    name: str
    base: str
    quote: str
    status: str
    filters: dict[str, dict[str, Any]]
    book: Book
    next_order: int = 1
    next_trade: int = 1
    next_prevented: int = 1
    last_price: int = 0
    stops: dict[int, Order] = field(default_factory=dict)
    trades: deque[Fill] = field(default_factory=lambda: deque(maxlen=KEPT_TRADES))
    recent: deque[tuple[int, int, int]] = field(default_factory=deque)
    recent_quote: int = 0
    recent_quantity: int = 0
    best_told: tuple[int, int, int, int] = (0, 0, 0, 0)
    stp_default: str = "EXPIRE_MAKER"

    def tick(self) -> int:
        return self.number("PRICE_FILTER", "tickSize") or 1

    def step(self) -> int:
        return self.number("LOT_SIZE", "stepSize") or 1

    def number(self, kind: str, name: str) -> int:
        """A filter's amount; 0 where there is none."""
        found = self.filters.get(kind, {}).get(name, 0)
        return found if isinstance(found, int) else 0


@dataclass(slots=True)
class Exchange:
    """Everything. `supply` is what was ever paid in, less what was paid out; `fees` is what commissions have taken."""

    symbols: dict[str, Symbol]
    accounts: dict[str, Account]
    orders: dict[str, dict[int, Order]] = field(default_factory=dict)
    open: dict[tuple[str, str], dict[int, Order]] = field(default_factory=dict)
    by_client: dict[tuple[str, str], dict[str, Order]] = field(default_factory=dict)
    open_client: dict[tuple[str, str], dict[str, Order]] = field(default_factory=dict)
    account_orders: dict[tuple[str, str], dict[int, Order]] = field(default_factory=dict)
    account_fills: dict[tuple[str, str], list[Fill]] = field(default_factory=dict)
    amendments: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)
    supply: dict[str, int] = field(default_factory=dict)
    fees: dict[str, int] = field(default_factory=dict)
    next_execution: int = 1
    events: list[Event] = field(default_factory=list)
    touched: dict[str, set[str]] = field(default_factory=dict)
    """Account → assets whose balance this command may have changed."""
    market: dict[str, Any] = field(default_factory=dict)
    """The market maker's memory, per symbol (`house.py`)."""
