"""Market streams: `/ws`, `/ws/<stream>` and `/stream?streams=…`, and the protocol that adds and takes away streams.

One feed per stream, whoever listens: it hears the engine's events, or looks at the market on its beat, and says the
same text to every connection that has subscribed.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from ordergate.exchange import market_data, market_streams, sockets
from ordergate.exchange.amounts import shown
from ordergate.exchange.api import in_microseconds
from ordergate.exchange.filters import average_price
from ordergate.exchange.market_streams import AT_ONCE, DepthChanges, Stream
from ordergate.exchange.publish import Subscriber
from ordergate.exchange.server import Server
from ordergate.exchange.sockets import Socket, Sockets, say
from ordergate.exchange.state import Event, Symbol
from ordergate.exchange.ws_frames import compact

PER_SECOND: Final = 5
"""Incoming frames of a connection, pings and pongs among them; more ends it."""
MOST_STREAMS: Final = 1_024
QUEUED: Final = 16_384
MINUTES: Final = 5
"""Of the average price."""
METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


@dataclass(slots=True)
class Listener:
    """One connection. A stream that does not exist is kept in the list, and never says anything."""

    socket: Socket
    combined: bool
    microseconds: bool = False
    names: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class Feed:
    """One stream that somebody listens to."""

    stream: Stream
    task: asyncio.Task[None]
    queue: Subscriber
    listeners: dict[int, Listener] = field(default_factory=dict)


@dataclass(slots=True)
class Streams:
    """All feeds of an exchange, by stream."""

    server: Server
    sockets: Sockets
    feeds: dict[str, Feed] = field(default_factory=dict)


async def serve(streams: Streams, request: web.Request) -> web.StreamResponse:
    """A connection to any of the three paths."""
    combined = request.path.startswith("/stream")
    listed = request.query.get("streams", "") if combined else request.match_info.get("stream", "")
    names = [name for name in listed.split("/") if name]
    micro = request.query.get("timeUnit", "").upper() == "MICROSECOND"
    listeners: dict[int, Listener] = {}

    def opened(socket: Socket) -> None:
        listeners[socket.number] = Listener(socket, combined, micro)
        for name in names:
            _listen(streams, listeners[socket.number], name)

    async def hear(socket: Socket, text: str) -> None:
        listener = listeners.get(socket.number)
        # None: it came with the end of its connection.
        if listener is not None:
            say(socket, _answer(streams, listener, text))

    def closed(socket: Socket) -> None:
        listener = listeners.pop(socket.number)
        for name in list(listener.names):
            _leave(streams, listener, name)

    return await sockets.serve(
        streams.sockets, request, "stream", streams.server.clock.now(), PER_SECOND, opened, hear, closed
    )


def _answer(streams: Streams, listener: Listener, text: str) -> str:
    """The answer to one message: `{"result":…,"id":…}` or an error."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return compact({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}})
    if not isinstance(message, dict):
        return _invalid("expected an object")
    name, method, params = message.get("id"), message.get("method"), message.get("params", [])
    if not (name is None or (isinstance(name, int | str) and not isinstance(name, bool))):
        return _invalid("request ID must be an unsigned integer")
    if method is None:
        return _invalid("missing field `method` at line 1 column 1", name)
    if method not in METHODS:
        wanted = ", ".join(f"`{one}`" for one in METHODS)
        return _invalid(f"unknown variant `{method}`, expected one of {wanted} at line 1 column 1", name)
    if not isinstance(params, list):
        return _invalid("invalid type: expected a sequence", name)
    result = _do(streams, listener, method, params)
    return result if isinstance(result, str) else compact({"result": result[0], "id": name})


def _do(streams: Streams, listener: Listener, method: str, params: list[Any]) -> tuple[Any] | str:
    if method == "LIST_SUBSCRIPTIONS":
        return (list(listener.names),)
    if method in {"SUBSCRIBE", "UNSUBSCRIBE"}:
        if not all(isinstance(one, str) for one in params):
            return _invalid("invalid type: expected a string")
        if method == "SUBSCRIBE" and len(listener.names.keys() | set(params)) > MOST_STREAMS:
            return _invalid(f"a connection may listen to at most {MOST_STREAMS} streams")
        for one in params:
            (_listen if method == "SUBSCRIBE" else _leave)(streams, listener, one)
        return (None,)
    if not params or not isinstance(params[0], str):
        return _invalid("property name must be a string")
    if params[0] != "combined":
        return compact({"error": {"code": 0, "msg": "Unknown property"}})
    if method == "GET_PROPERTY":
        return (listener.combined,)
    if len(params) != 2 or not isinstance(params[1], bool):
        return compact({"error": {"code": 1, "msg": "Invalid value type: expected Boolean"}})
    listener.combined = params[1]
    return (None,)


def _invalid(why: str, name: Any = None) -> str:
    return compact({"error": {"code": 2, "msg": f"Invalid request: {why}"}, "id": name})


def _listen(streams: Streams, listener: Listener, name: str) -> None:
    listener.names[name] = None
    feed = streams.feeds.get(name)
    if feed is None:
        stream = market_streams.parse(name, streams.server.ex.symbols)
        if stream is None:
            return
        queue: Subscriber = asyncio.Queue(QUEUED)
        for raw in _sources(stream, streams.server.ex.symbols):
            streams.server.hub.subscribe_market(raw, queue)
        feed = Feed(stream, asyncio.create_task(_run(streams, stream, queue)), queue)
        streams.feeds[name] = feed
    feed.listeners[listener.socket.number] = listener


def _leave(streams: Streams, listener: Listener, name: str) -> None:
    listener.names.pop(name, None)
    feed = streams.feeds.get(name)
    if feed is None:
        return
    feed.listeners.pop(listener.socket.number, None)
    if not feed.listeners:
        del streams.feeds[name]
        streams.server.hub.unsubscribe(feed.queue)
        feed.task.cancel()


RAW: Final = {
    "trade": ("trade",),
    "aggTrade": ("trade",),
    "kline": ("trade",),
    "avgPrice": ("trade",),
    "bookTicker": ("bookTicker",),
    "depth": ("depth",),
    "levels": ("depth",),
    "miniTicker": ("trade",),
    "ticker": ("trade", "bookTicker"),
}
"""Shape of a stream → the engine's events whose coming means that there is something new to say."""


def _sources(stream: Stream, symbols: Iterable[str]) -> list[str]:
    names = [stream.symbol] if stream.symbol else list(symbols)
    return [f"{name.lower()}@{raw}" for name in names for raw in RAW[stream.shape]]


async def _run(streams: Streams, stream: Stream, queue: Subscriber) -> None:
    """Says what a stream has to say, until nobody listens."""
    changes, told = DepthChanges(), streams.server.clock.now()
    due_s = asyncio.get_running_loop().time()
    while True:
        if stream.every_ms == AT_ONCE:
            events = [await queue.get()]
        else:
            due_s += stream.every_ms / 1000
            await asyncio.sleep(due_s - asyncio.get_running_loop().time())
            events = []
        while not queue.empty():
            events.append(queue.get_nowait())
        if None in events:
            # Too slow for the engine's events: better no stream than one with a hole.
            return _end(streams, stream)
        news = [event for event in events if event is not None]
        for body in _bodies(streams, stream, news, changes, told):
            _tell(streams.feeds[stream.name], body)
        told = streams.server.clock.now()


def _bodies(streams: Streams, stream: Stream, news: list[Event], changes: DepthChanges, told: int) -> list[Any]:
    """What is said now, from the events since the last time."""
    now, symbols = streams.server.clock.now(), streams.server.ex.symbols
    match stream.shape:
        case "trade" | "bookTicker":
            return [event.body for event in news]
        case "aggTrade":
            return [market_streams.aggregated(event.body) for event in news]
        case "depth":
            return list(_joined(changes, news, stream.symbol or "", now))
        case "levels" if news:
            return [market_data.levels(symbols[stream.symbol or ""], stream.levels)]
        case "avgPrice" if news:
            price = shown(average_price(symbols[stream.symbol or ""], MINUTES, now))
            return [{"e": "avgPrice", "E": now, "s": stream.symbol, "i": f"{MINUTES}m", "w": price, "T": now}]
        case "ticker" if news:
            return [market_streams.ticker(market_data.day(symbols[stream.symbol or ""], now), now)]
        case "miniTicker" if news:
            days = [
                market_streams.mini_ticker(market_data.day(symbols[name], now), now)
                for name in dict.fromkeys(event.symbol or "" for event in news)
            ]
            return days if stream.symbol else [days]
        case "kline":
            return _klines(symbols[stream.symbol or ""], stream, news, told, now)
    return []


def _joined(changes: DepthChanges, news: list[Event], symbol: str, now: int) -> Iterator[dict[str, Any]]:
    """The depth changes as one update; as two where one between them is missing, so that a listener can see it."""
    for event in news:
        if changes.last_id and event.body["U"] != changes.last_id + 1:
            yield from market_streams.take_depth(changes, symbol, now)
        market_streams.join_depth(changes, event.body)
    yield from market_streams.take_depth(changes, symbol, now)


def _klines(symbol: Symbol, stream: Stream, news: list[Event], told: int, now: int) -> list[Any]:
    """The klines in which there was a trade since the last time, and once more those that have closed since."""
    length = market_data.INTERVALS[stream.interval]
    starts = {event.body["T"] // length * length for event in news}
    starts |= set(range(told // length * length, now - length + 1, length))
    found = []
    for start in sorted(starts):
        fills = [fill for fill in symbol.trades if start <= fill.time < start + length]
        if fills:
            ids = fills[0].trade_id, fills[-1].trade_id
            row = market_data.candle(fills, start, length)
            found.append(market_streams.kline(row, symbol.name, stream.interval, ids, now))
    return found


def _tell(feed: Feed, body: Any) -> None:
    """Says it to all who listen, each in the shape and unit of time that it has asked for."""
    texts: dict[tuple[bool, bool], str] = {}
    for listener in feed.listeners.values():
        shape = listener.combined, listener.microseconds
        if shape not in texts:
            told = _in_microseconds(body) if listener.microseconds else body
            texts[shape] = compact({"stream": feed.stream.name, "data": told} if listener.combined else told)
        say(listener.socket, texts[shape])


def _in_microseconds(body: Any) -> Any:
    """With its times as `in_microseconds` knows them, and the start of a kline, which is named as a trade id is."""
    told = in_microseconds(body)
    if isinstance(told, dict) and "k" in told:
        told["k"]["t"] *= 1000
    return told


def _end(streams: Streams, stream: Stream) -> None:
    for listener in streams.feeds[stream.name].listeners.values():
        sockets.end(listener.socket, sockets.ABORT)
