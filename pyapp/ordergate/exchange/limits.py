"""Request weight per address and unfilled orders per account, in fixed windows; bans for who goes on after a 429."""

from dataclasses import dataclass, field
from typing import Final

from ordergate.exchange.config import Limits
from ordergate.exchange.errors import ApiError

MINUTE: Final = 60_000
TEN_SECONDS: Final = 10_000
DAY: Final = 86_400_000
PATIENCE: Final = 10
"""Answers of 429 in one minute after which the address is banned."""


@dataclass(slots=True)
class Window:
    """A count that starts again with each interval of the clock."""

    length: int
    number: int = -1
    count: int = 0

    def at(self, now: int) -> int:
        if now // self.length != self.number:
            self.number, self.count = now // self.length, 0
        return self.count

    def add(self, amount: int, now: int) -> None:
        self.count = max(0, self.at(now) + amount)

    def seconds_left(self, now: int) -> int:
        return (self.length - now % self.length + 999) // 1000


@dataclass(slots=True)
class Address:
    weight: Window = field(default_factory=lambda: Window(MINUTE))
    refused: Window = field(default_factory=lambda: Window(MINUTE))
    banned_until: int = 0
    bans: int = 0


@dataclass(slots=True)
class Counters:
    """`addresses` and `orders` have an entry for each that ever asked: a rehearsal has few."""

    limits: Limits
    addresses: dict[str, Address] = field(default_factory=dict)
    orders: dict[str, tuple[Window, Window]] = field(default_factory=dict)

    def address(self, name: str) -> Address:
        return self.addresses.setdefault(name, Address())

    def of_account(self, account: str) -> tuple[Window, Window]:
        return self.orders.setdefault(account, (Window(TEN_SECONDS), Window(DAY)))


def admit(counters: Counters, address: str, weight: int, now: int) -> tuple[ApiError, int] | None:
    """Counts a request; over the limit: the refusal and the seconds for `Retry-After`."""
    one = counters.address(address)
    if now < one.banned_until:
        return _banned(one, now)
    if one.weight.at(now) + weight <= counters.limits.weight:
        one.weight.add(weight, now)
        return None
    one.refused.add(1, now)
    if one.refused.at(now) > PATIENCE:
        ban(counters, address, now)
        return _banned(one, now)
    limit = counters.limits.weight
    text = (
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    )
    return ApiError(429, -1003, text), one.weight.seconds_left(now)


def ban(counters: Counters, address: str, now: int, seconds: int | None = None) -> None:
    """Bans an address; without a length, twice as long as the last time, up to three days."""
    one = counters.address(address)
    length = seconds if seconds is not None else min(counters.limits.ban_seconds << min(one.bans, 16), 259_200)
    one.bans += 1
    one.banned_until = now + length * 1000


def _banned(one: Address, now: int) -> tuple[ApiError, int]:
    text = (
        f"Way too much request weight used; IP banned until {one.banned_until}. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    return ApiError(418, -1003, text), (one.banned_until - now + 999) // 1000


def admit_order(counters: Counters, account: str, now: int) -> ApiError | None:
    """Counts a new order as unfilled, or refuses it: -1015."""
    windows = counters.of_account(account)
    limits = (counters.limits.orders_ten_seconds, "10 SECOND"), (counters.limits.orders_day, "1 DAY")
    for window, (limit, interval) in zip(windows, limits, strict=True):
        if window.at(now) >= limit:
            return ApiError(429, -1015, f"Too many new orders; current limit is {limit} orders per {interval}.")
    for window in windows:
        window.add(1, now)
    return None


def give_back(counters: Counters, account: str, now: int) -> None:
    """A new order was refused after all: it does not count."""
    for window in counters.of_account(account):
        window.add(-1, now)


def filled(counters: Counters, account: str, maker: bool, now: int) -> None:
    """An order's first fill: as a taker it counts one unfilled order less, as a maker five."""
    for window in counters.of_account(account):
        window.add(-5 if maker else -1, now)


def rate_limits(counters: Counters, address: str, account: str | None, now: int) -> list[dict[str, object]]:
    """The `rateLimits` block of the WS-API, with counts."""
    rows: list[dict[str, object]] = [
        {**row, "count": count}
        for row, count in zip(shown(counters.limits), _counts(counters, address, account, now), strict=True)
        if count is not None
    ]
    return rows


def _counts(counters: Counters, address: str, account: str | None, now: int) -> list[int | None]:
    orders = [window.at(now) for window in counters.of_account(account)] if account else [None, None]
    return [counters.address(address).weight.at(now), *orders, None]


def shown(limits: Limits) -> list[dict[str, object]]:
    """The `rateLimits` of `exchangeInfo`."""
    return [
        {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
        for kind, interval, number, limit in (
            ("REQUEST_WEIGHT", "MINUTE", 1, limits.weight),
            ("ORDERS", "SECOND", 10, limits.orders_ten_seconds),
            ("ORDERS", "DAY", 1, limits.orders_day),
            ("RAW_REQUESTS", "MINUTE", 5, limits.raw_requests),
        )
    ]
