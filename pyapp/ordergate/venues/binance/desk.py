"""What one session of the LIVE venue holds: the desk, which all accounts share, and each account's own side of it."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog

from ordergate.venues import kill_reading, link
from ordergate.venues.binance import inbound
from ordergate.venues.binance.budget import Budget
from ordergate.venues.binance.clock import Clock
from ordergate.venues.binance.credentials import Credential
from ordergate.venues.binance.doubt import Doubt, Margins
from ordergate.venues.binance.inbound import Facts, Track
from ordergate.venues.binance.rest import Rest
from ordergate.venues.paper.marks import Marks
from ordergate.venues.reports import Report

VENUE: Final = "binance"
MODE: Final = "LIVE"
REPORTS_WAITING: Final = 50_000
"""More than this means that the gateway does not read: who reports then waits."""

log = structlog.get_logger("ordergate.venues.binance")


class Journal(link.Journal, Protocol):
    """What the LIVE venue needs of `_core.Follower` beyond what every venue does."""

    install: str

    def order(self, order_id: int) -> bytes | None:
        """JSON facts of an order in memory."""

    def live_orders(self, venue: str) -> list[int]:
        """Open orders."""

    def doubts(self, venue: str) -> list[int]:
        """Orders whose outcome is not known."""

    def order_by_venue_id(self, venue: str, account: str, symbol: str, venue_order_id: str) -> int | None:
        """The order that has this id at the exchange."""

    def confirmed_trade(self, venue: str, account: str, symbol: str) -> int:
        """Every trade up to this id is booked; 0: none is known to be."""

    def balance(self, account: str, mode: str, asset: str) -> str:
        """Total."""


@dataclass(slots=True)
class Times:
    """Margins of everything but a doubt, in seconds."""

    reconcile_every_s: float
    stream_silence_s: float
    stream_lifetime_s: float
    stream_grace_s: float = 5.0
    """For so long after the stream was cut orders still go out: it is only late."""
    recent_s: float = 10.0
    """What was sent within this time is never found missing."""


@dataclass(slots=True)
class AccountDesk:
    """One account's side: its connection, and what has been learnt over it."""

    account: str
    rest: Rest
    credential: Credential
    budget: Budget
    tracks: dict[int, Track] = field(default_factory=dict)
    busy: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    """The placement of an order that is under way."""
    canceling: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    """Its cancel."""
    doubts: dict[int, Doubt] = field(default_factory=dict)
    orders: dict[tuple[str, str], int] = field(default_factory=dict)
    """(symbol, the exchange's order id) -> ours, as learnt in this session."""
    strangers: dict[tuple[str, str], asyncio.Future[int]] = field(default_factory=dict)
    """(symbol, the exchange's order id) of orders from outside that wait for their number here."""
    suspects: set[int] = field(default_factory=set)
    """Orders of which the exchange has traded more than we were told."""
    confirmed: dict[str, int] = field(default_factory=dict)
    """By symbol: the trade up to which this session has told the gateway that everything is booked."""
    filling: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while trades are read from the watermark on."""
    unfolded: set[int] = field(default_factory=set)
    """Orders with trades that were told and perhaps not folded yet."""
    trades_seen: int = 0
    """Counts trades that were taken in: equal before and after means that nothing traded."""
    drifts: dict[tuple[str, str], str] = field(default_factory=dict)
    """Open drifts: (symbol, class) -> what differs."""
    shown_totals: dict[str, str] = field(default_factory=dict)
    """Balances that differed once: a second look must show the same."""
    looked_through: dict[str, int] = field(default_factory=dict)
    """By symbol: the newest order id that a run has seen."""
    reconciled: bool = False
    """A whole run has ended well in this session."""
    stream_up: bool = False
    stream_down_s: float = float("-inf")
    """Loop time at which it was lost."""
    stream_why: str = "not connected yet"
    refused: tuple[str, int] | None = ("the account is being opened", 0)
    """Why the exchange, or what its key may do, does not let this account trade; milliseconds to wait."""
    told_ready: tuple[bool, str] | None = None
    told_budget: tuple[int, int] | None = None
    wish: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: a reconciliation is wanted now."""
    wished: str = "boot"
    """Why."""


@dataclass(slots=True)
class Desk:
    """Everything one session needs."""

    number: int
    journal: Journal
    link: link.Link
    reading: kill_reading.KillReading
    clock: Clock
    margins: Margins
    times: Times
    symbols: tuple[str, ...]
    accounts: dict[str, AccountDesk]
    greeted_ns: int
    """Journal time before HELLO: what was started earlier is not ours to send."""
    out: list[Report] = field(default_factory=list)
    reading_one: asyncio.Lock = field(default_factory=asyncio.Lock)
    """The reading has one connection: two at once would get each other's answers."""
    marks: Marks = field(default_factory=Marks)
    """Best prices, to be told."""
    assets: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Symbol -> (base, quote)."""
    listed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the exchange has said what it lists."""
    relist: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a filter refused an order: it is not as we know it."""
    asked_again: set[int] = field(default_factory=set)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    ended: BaseException | None = None
    """What ends the session: a bug in one of its tasks is not survived."""


def spawn(desk: Desk, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Runs `work` beside the session; what it raises ends the session."""
    task = asyncio.get_running_loop().create_task(work)
    desk.tasks.add(task)

    def done(ended: asyncio.Task[Any]) -> None:
        desk.tasks.discard(ended)
        if not ended.cancelled() and (error := ended.exception()) is not None:
            desk.ended = desk.ended or error
            desk.link.wake.set()

    task.add_done_callback(done)
    return task


def report(desk: Desk, *reports: Report) -> None:
    """Puts reports behind those that wait; the session sends them in this order."""
    if reports:
        desk.out.extend(reports)
        desk.link.wake.set()


async def read_kill_switch(desk: Desk, keys: Iterable[str]) -> None:
    """Takes a new reading, unless another one has just done so."""
    async with desk.reading_one:
        if kill_reading.is_due(desk.reading, keys):
            await kill_reading.renew(desk.reading, keys)


async def room(desk: Desk) -> None:
    """Returns when the gateway has taken enough of what was reported."""
    await until(desk, lambda: len(desk.out) <= REPORTS_WAITING, float("inf"))


async def until(desk: Desk, true: Callable[[], bool], timeout_s: float, look_s: float = 0.005) -> bool:
    """Whether `true` became so in time: for what the fold will show soon."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not true():
        if asyncio.get_running_loop().time() > deadline or not desk.link.open:
            return False
        await asyncio.sleep(look_s)
    return True


def facts_of(desk: Desk, order: int) -> Facts | None:
    """The order as folded so far."""
    return inbound.read_facts(desk.journal.order(order))


def track_of(desk: Desk, side: AccountDesk, order: int) -> Track:
    """What this session knows of an order of this account."""
    track = side.tracks.get(order)
    if track is None:
        while len(side.tracks) >= inbound.TRACKS_KEPT:
            side.tracks.pop(next(iter(side.tracks)))
        track = side.tracks[order] = inbound.track_of(order, facts_of(desk, order))
    return track


def quote_asset(desk: Desk, symbol: str) -> str:
    """The asset that a symbol is paid in."""
    return desk.assets.get(symbol, ("", symbol))[1]


def wish(side: AccountDesk, why: str) -> None:
    """Asks for a reconciliation as soon as possible."""
    side.wished = why
    side.wish.set()
