"""Live prices for PAPER: best quotes and trades of Binance Spot, by its public streams, over ccxt.

A price is told as long as its connection shows signs of life. When one is lost or falls silent, every quoted symbol is
told to be `stale` at once: whoever repeats a quote must not repeat that one as if it were fresh. Then it connects anew
and asks for the book of each symbol, since a quiet market may say nothing for long.

ccxt keeps the connections; what is said on them is read here, from the exchange's own digits. No credential is used.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from ordergate.venues.instruments import Listing
from ordergate.venues.paper.fixed import units
from ordergate.venues.prices.source import PricesRefused
from ordergate.venues.prices.tick import Tick

if TYPE_CHECKING:
    import aiohttp

PING_MS: Final = 700
"""How often we ping: each pong is a sign of life (the exchange allows five frames a second)."""
ALIVE_S: Final = 2.0
"""A connection without any frame for this long counts as lost: as long as the gateway takes a price for fresh."""
LOOK_S: Final = 0.2
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 15.0
"""Between two attempts; each is two connections, and the exchange allows 300 in five minutes."""
CLOSE_S: Final = 1.0
SUBSCRIPTIONS: Final = 2
"""One of quotes and one of trades, each on a connection of its own."""
HELD: Final = 4_096
"""Ticks that wait to be taken; beyond it the newest quote of each symbol stands for all of them."""

log = structlog.get_logger("ordergate.venues.prices")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the exchange is, by addresses without a path, which hosts may be asked at all, and how long it may send no
    quote.
    """

    rest_url: str
    stream_url: str
    allowed_hosts: frozenset[str]
    silence_s: float = 60.0


@dataclass(slots=True)
class Feed:
    """What one pair of connections has said, and nobody has taken yet."""

    held: deque[Tick] = field(default_factory=deque)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    updates: dict[str, int] = field(default_factory=dict)
    """Update id of each symbol's newest quote: an older one that comes later is passed over."""
    quoted: set[str] = field(default_factory=set)
    """Symbols whose last word was a quote."""
    without_book: set[str] = field(default_factory=set)
    """Symbols of which that has been logged; of all connections."""
    answers: int = 0
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the exchange has confirmed both subscriptions."""
    quotes: int = 0
    unreadable: int = 0
    leaving: bool = False
    """The exchange has announced that it will close the connection."""


class Lost(Exception):
    """A connection ended, could not begin, or fell silent: the message says which."""


def check(place: Place) -> None:
    """Raises PricesRefused for an address whose host is not allowed."""
    from ordergate.venues.binance.transport import refusal

    for url in (place.rest_url, place.stream_url):
        if why := refusal(url, place.allowed_hosts):
            raise PricesRefused(f"ccxt:binance: {url}: {why}")


async def ticks(place: Place, listed: Mapping[str, Listing]) -> AsyncIterator[Tick]:
    """Ticks as they come, for ever; after a lost connection `stale` for each quoted symbol, then fresh ones again."""
    wait_s = FIRST_WAIT_S
    closing: set[asyncio.Task[None]] = set()
    without_book: set[str] = set()
    try:
        while True:
            began_s = _now_s()
            feed = Feed(without_book=without_book)
            hearing = asyncio.create_task(_hear(place, listed, feed, closing))
            hearing.add_done_callback(partial(_wake, feed))
            try:
                while not hearing.done():
                    await feed.heard.wait()
                    feed.heard.clear()
                    while feed.held:
                        yield feed.held.popleft()
            finally:
                hearing.cancel()
                await asyncio.wait([hearing])
            why = hearing.exception()
            if not isinstance(why, Lost):
                raise AssertionError("a source of prices ends only by being lost") from why
            log.warning("prices lost", reason=str(why), quotes=feed.quotes, unreadable=feed.unreadable)
            for symbol in sorted(feed.quoted):
                yield Tick(symbol, "stale")
            # The end of a connection that lasted is an ordinary change of servers: back soon.
            wait_s = FIRST_WAIT_S if _now_s() - began_s > LONGEST_WAIT_S else min(wait_s * 2, LONGEST_WAIT_S)
            await asyncio.sleep(wait_s)
    finally:
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_S)


async def _hear(place: Place, listed: Mapping[str, Listing], feed: Feed, closing: set[asyncio.Task[None]]) -> None:
    """Connects and fills the feed until a connection is lost. Raises Lost, always."""
    # Half a second and a hundred megabytes: only for those who want live prices.
    import aiohttp
    import ccxt.pro

    from ordergate.venues.binance.transport import ListedHosts, UrlSet, rewritten

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=ListedHosts(place.allowed_hosts)), trust_env=False
    )
    exchange = ccxt.pro.binance({
        "enableRateLimit": False,
        "number": str,
        "session": session,
        "streaming": {"keepAlive": PING_MS, "maxPingPongMisses": 100},
        "options": {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}},
    })  # fmt: skip
    # Each of its addresses, so that none is left that could be asked by mistake.
    exchange.urls["api"] = rewritten(
        exchange.urls["api"], UrlSet(place.rest_url, place.stream_url, place.stream_url, place.allowed_hosts)
    )
    # What we trade is known; the list of all markets would be megabytes.
    exchange.set_markets([_market(exchange, listing) for listing in listed.values()])
    exchange.handle_message = partial(_hear_message, feed, exchange.handle_message)
    names = [f"{listing.base}/{listing.quote}" for listing in listed.values()]
    try:
        async with asyncio.TaskGroup() as group:
            # Neither is ever answered, since what is heard goes to the feed: they end by an error.
            group.create_task(_subscribed(exchange.watch_bids_asks(names), ccxt.pro.BaseError))
            group.create_task(_subscribed(exchange.watch_trades_for_symbols(names), ccxt.pro.BaseError))
            group.create_task(_watch_life(exchange, feed, place.silence_s))
            for symbol in listed:
                group.create_task(_ask(exchange, feed, symbol, ccxt.pro.BaseError))
    except* Lost as lost:
        raise lost.exceptions[0] from None
    finally:
        # A connection that is half gone is waited for: not here, where somebody waits to hear of it.
        task = asyncio.create_task(_close(exchange, session))
        closing.add(task)
        task.add_done_callback(closing.discard)


async def _close(exchange: Any, session: "aiohttp.ClientSession") -> None:
    await exchange.close()
    await session.close()


async def _subscribed(watching: Awaitable[Any], errors: type[Exception]) -> None:
    try:
        await watching
    except errors as error:
        raise Lost(str(error) or type(error).__name__) from None
    raise Lost("a subscription ended")


async def _watch_life(exchange: Any, feed: Feed, silence_s: float) -> None:
    """Raises Lost when a connection has not shown a frame for too long, or all of them no quote for `silence_s`."""
    signs: dict[str, tuple[int | None, float]] = {}
    quotes, quoted_s = 0, _now_s()
    while not feed.leaving:
        await asyncio.sleep(LOOK_S)
        now_s = _now_s()
        for url, client in dict(exchange.clients).items():
            if client.isConnected:
                seen, since_s = signs.get(url, (None, now_s))
                if seen == client.last_message_at and now_s - since_s > ALIVE_S:
                    raise Lost(f"no frame for {ALIVE_S} s")
                if seen != client.last_message_at or url not in signs:
                    signs[url] = (client.last_message_at, now_s)
        if feed.quotes != quotes:
            quotes, quoted_s = feed.quotes, now_s
        elif now_s - quoted_s > silence_s:
            raise Lost(f"no quote for {silence_s:g} s")
    raise Lost("the exchange announced that it closes the connection")


async def _ask(exchange: Any, feed: Feed, symbol: str, errors: type[Exception]) -> None:
    """The book of a symbol as it stands: its next change may take long. The streams go on without it.

    Asked only once its changes are heard: a book without them would be stale, and nobody would know.
    """
    await feed.subscribed.wait()
    try:
        book = await exchange.public_get_depth({"symbol": symbol, "limit": 5})
        bid, ask = book["bids"][0], book["asks"][0]
        _quote(feed, symbol, int(book["lastUpdateId"]), bid[0], bid[1], ask[0], ask[1])
    except (errors, ValueError, KeyError, IndexError, TypeError) as error:
        if symbol not in feed.without_book:
            log.warning("no book to begin with", symbol=symbol, reason=str(error)[:200])
        feed.without_book.add(symbol)


def _hear_message(feed: Feed, otherwise: Any, client: Any, message: Any) -> None:
    """Takes quotes and trades; everything else is ccxt's."""
    event = message.get("e") if isinstance(message, dict) else ""
    try:
        if event is None and "u" in message and "B" in message:
            _quote(feed, message["s"], message["u"], message["b"], message["B"], message["a"], message["A"])
        elif event == "trade":
            _tell(feed, Tick(
                message["s"], "trade", price=units(message["p"]), size=units(message["q"]),
                ts_ns=message["T"] * 1_000_000,
            ))  # fmt: skip
        elif event == "serverShutdown":
            feed.leaving = True
        else:
            feed.answers += isinstance(message, dict) and message.get("result", 0) is None
            if feed.answers == SUBSCRIPTIONS:
                feed.subscribed.set()
            otherwise(client, message)
    except (ValueError, KeyError, TypeError):
        feed.unreadable += 1
        if feed.unreadable == 1:
            log.warning("a message of the exchange cannot be read", message=json.dumps(message)[:400])


def _quote(feed: Feed, symbol: str, update: int, bid: str, bid_size: str, ask: str, ask_size: str) -> None:
    if update <= feed.updates.get(symbol, -1):
        return
    feed.updates[symbol] = update
    feed.quotes += 1
    tick = Tick(symbol, "quote", bid=units(bid), bid_size=units(bid_size), ask=units(ask), ask_size=units(ask_size))
    if tick.bid and tick.bid_size and tick.ask_size and tick.bid < tick.ask:
        feed.quoted.add(symbol)
        _tell(feed, tick)
    elif symbol in feed.quoted:
        # A side is empty, or the book is crossed: there is no price.
        feed.quoted.discard(symbol)
        _tell(feed, Tick(symbol, "stale"))


def _wake(feed: Feed, _: object) -> None:
    feed.heard.set()


def _tell(feed: Feed, tick: Tick) -> None:
    if len(feed.held) >= HELD:
        newest = {held.symbol: held for held in feed.held if held.kind != "trade"}
        feed.held.clear()
        feed.held.extend(newest.values())
    feed.held.append(tick)
    feed.heard.set()


def _market(exchange: Any, listing: Listing) -> Any:
    return exchange.safe_market_structure({
        "id": listing.symbol, "lowercaseId": listing.symbol.lower(), "symbol": f"{listing.base}/{listing.quote}",
        "base": listing.base, "baseId": listing.base, "quote": listing.quote, "quoteId": listing.quote,
        "type": "spot", "spot": True, "margin": False, "swap": False, "future": False, "option": False,
        "contract": False, "active": True,
    })  # fmt: skip


def _now_s() -> float:
    return asyncio.get_running_loop().time()
