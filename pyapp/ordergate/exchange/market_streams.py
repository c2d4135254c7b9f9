"""The market streams: which names there are, and how each one's events are made of the engine's.

Pure. The engine tells trades, book tickers and depth changes as they happen; everything else is made of these, or of
what the queries of the same market answer, on the stream's own beat.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ordergate.exchange.market_data import INTERVALS

Shape = Literal["trade", "aggTrade", "bookTicker", "depth", "levels", "miniTicker", "ticker", "kline", "avgPrice"]

_NAME: Final = re.compile(
    r"(?P<symbol>[^@!]+)@(?P<kind>[a-zA-Z]+?)(?P<levels>5|10|20)?(_(?P<arg>\w+))?(?P<fast>@100ms)?"
)
AT_ONCE: Final = 0


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that exists. `symbol`: None for all of them; `every_ms`: 0 tells each event as it happens."""

    name: str
    symbol: str | None
    shape: Shape
    every_ms: int
    levels: int = 0
    interval: str = ""


def parse(name: str, symbols: Container[str]) -> Stream | None:
    """What a name stands for; None when there is no such stream. Names are lower-case up to the `@`."""
    if name == "!miniTicker@arr":
        return Stream(name, None, "miniTicker", 1000)
    match = _NAME.fullmatch(name)
    if match is None or match["symbol"] != match["symbol"].lower():
        return None
    symbol = match["symbol"].upper()
    if symbol not in symbols:
        return None
    kind, levels, interval, fast = match["kind"], match["levels"], match["arg"], match["fast"] is not None
    if kind == "kline" and interval in INTERVALS and not levels and not fast:
        return Stream(name, symbol, "kline", 1000 if interval == "1s" else 2000, interval=interval)
    if interval is not None:
        return None
    if kind == "depth":
        every_ms = 100 if fast else 1000
        return Stream(name, symbol, "levels" if levels else "depth", every_ms, levels=int(levels or 0))
    if fast or levels:
        return None
    match kind:
        case "trade" | "aggTrade" | "bookTicker":
            return Stream(name, symbol, kind, AT_ONCE)
        case "miniTicker" | "ticker" | "avgPrice":
            return Stream(name, symbol, kind, 1000)
        case _:
            return None


@dataclass(slots=True)
class DepthChanges:
    """Depth changes of one beat, joined: the last quantity of each price, from the first update id to the last."""

    first_id: int = 0
    last_id: int = 0
    bids: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)


def join_depth(changes: DepthChanges, body: Mapping[str, Any]) -> None:
    """Adds a `depthUpdate` of the engine."""
    changes.first_id = changes.first_id or body["U"]
    changes.last_id = body["u"]
    changes.bids.update((price, quantity) for price, quantity in body["b"])
    changes.asks.update((price, quantity) for price, quantity in body["a"])


def take_depth(changes: DepthChanges, symbol: str, now_ms: int) -> list[dict[str, Any]]:
    """The joined update, after which the next begins; none when nothing has changed."""
    if not changes.last_id:
        return []
    body = {
        "e": "depthUpdate", "E": now_ms, "s": symbol, "U": changes.first_id, "u": changes.last_id,
        "b": [list(level) for level in changes.bids.items()], "a": [list(level) for level in changes.asks.items()],
    }  # fmt: skip
    changes.first_id = changes.last_id = 0
    changes.bids.clear()
    changes.asks.clear()
    return [body]


def aggregated(trade: Mapping[str, Any]) -> dict[str, Any]:
    """`aggTrade` of a `trade`: each is an aggregate of its own, as in the answers to `aggTrades`."""
    return {
        "e": "aggTrade", "E": trade["E"], "s": trade["s"], "a": trade["t"], "p": trade["p"], "q": trade["q"],
        "f": trade["t"], "l": trade["t"], "T": trade["T"], "m": trade["m"], "M": True,
    }  # fmt: skip


def mini_ticker(day: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """`24hrMiniTicker` of what `ticker/24hr` answers."""
    return {
        "e": "24hrMiniTicker", "E": now_ms, "s": day["symbol"], "c": day["lastPrice"], "o": day["openPrice"],
        "h": day["highPrice"], "l": day["lowPrice"], "v": day["volume"], "q": day["quoteVolume"],
    }  # fmt: skip


def ticker(day: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """`24hrTicker` of what `ticker/24hr` answers."""
    return {
        "e": "24hrTicker", "E": now_ms, "s": day["symbol"], "p": day["priceChange"], "P": day["priceChangePercent"],
        "w": day["weightedAvgPrice"], "x": day["prevClosePrice"], "c": day["lastPrice"], "Q": day["lastQty"],
        "b": day["bidPrice"], "B": day["bidQty"], "a": day["askPrice"], "A": day["askQty"], "o": day["openPrice"],
        "h": day["highPrice"], "l": day["lowPrice"], "v": day["volume"], "q": day["quoteVolume"],
        "O": day["openTime"], "C": day["closeTime"], "F": day["firstId"], "L": day["lastId"], "n": day["count"],
    }  # fmt: skip


def kline(row: list[Any], symbol: str, interval: str, ids: tuple[int, int], now_ms: int) -> dict[str, Any]:
    """`kline` of a row that `klines` answers; `ids`: of its first and last trade."""
    return {
        "e": "kline", "E": now_ms, "s": symbol,
        "k": {
            "t": row[0], "T": row[6], "s": symbol, "i": interval, "f": ids[0], "L": ids[1],
            "o": row[1], "c": row[4], "h": row[2], "l": row[3], "v": row[5], "n": row[8], "x": now_ms > row[6],
            "q": row[7], "V": row[9], "Q": row[10], "B": "0",
        },
    }  # fmt: skip
