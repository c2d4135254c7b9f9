"""Recorded prices: trades.csv and quotes.csv of one instrument, merged in time order."""

import csv
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from ordergate.venues.paper.fixed import units
from ordergate.venues.prices.source import PricesRefused
from ordergate.venues.prices.tick import Tick

MAX_SPEED: Final = 1e6
LAP_GAP_NS: Final = 1_000_000_000
"""Between the last tick of one lap and the first of the next."""
QUOTE_COLUMNS: Final = ["ts_ms", "bid", "bid_size", "ask", "ask_size"]
TRADE_COLUMNS: Final = ["ts_ms", "trade_id", "price", "quantity", "buyer_maker"]


@dataclass(frozen=True, slots=True)
class Replay:
    """What is replayed, and how."""

    directory: Path
    symbol: str
    speed: float
    loop: bool


def parse(text: str, speed: float) -> Replay:
    """`<dir>[?speed=N&loop=1]`; `speed` holds where the text names none. Raises PricesRefused."""
    place, _, query = text.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(options.keys() - {"speed", "loop"})
    if not place or unknown:
        raise PricesRefused(
            f"replay:{text}: unknown option {unknown[0]!r}, use speed and loop" if unknown
            else "replay: names no directory, use replay:DIRECTORY[?speed=N&loop=1]"
        )  # fmt: skip
    try:
        chosen = float(options.get("speed", speed))
    except ValueError:
        chosen = 0.0
    if not 0 < chosen <= MAX_SPEED:
        raise PricesRefused(f"replay:{text}: speed must be a number above 0 and at most {MAX_SPEED:.0f}")
    if options.get("loop", "0") not in ("0", "1"):
        raise PricesRefused(f"replay:{text}: loop must be 0 or 1")
    directory = Path(place).expanduser()
    # A relative path may end in `.` or `..`: the name is that of the directory it leads to.
    return Replay(directory, directory.resolve().name.upper(), chosen, options.get("loop") == "1")


def check(plan: Replay) -> None:
    """Reads every row. Raises PricesRefused for a missing directory or file, a bad row, or no quote at all."""
    if not plan.directory.is_dir():
        raise PricesRefused(f"{plan.directory}: no such directory (it must hold trades.csv and quotes.csv)")
    for _ in _lap(plan):
        pass


def ticks(plan: Replay) -> Iterator[Tick]:
    """Ticks in time order; endless when looping. Each lap begins with its first quote, so that a book always exists."""
    shift = 0
    while True:
        lap = _lap(plan)
        first = next(_rows(plan, "quotes.csv", QUOTE_COLUMNS, _quote))
        opening_ns = last_ns = -1
        for tick in lap:
            if opening_ns < 0:
                opening_ns = tick.ts_ns
                yield _at(first, opening_ns + shift)
            last_ns = tick.ts_ns
            yield _at(tick, last_ns + shift) if shift else tick
        if not plan.loop:
            return
        shift += last_ns - opening_ns + LAP_GAP_NS


def _lap(plan: Replay) -> Iterator[Tick]:
    quotes = _rows(plan, "quotes.csv", QUOTE_COLUMNS, _quote)
    trades = _rows(plan, "trades.csv", TRADE_COLUMNS, _trade)
    # Stable: of two rows of the same millisecond the quote comes first.
    return heapq.merge(quotes, trades, key=lambda tick: tick.ts_ns)


def _rows(plan: Replay, name: str, columns: list[str], read: Callable[[str, list[str]], Tick]) -> Iterator[Tick]:
    """Ticks of one file. Raises PricesRefused naming file and line."""
    path = plan.directory / name
    last_ns, count = 0, 0
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            if header != columns:
                raise PricesRefused(f"{path}:1: the columns must be {','.join(columns)}")
            for row in lines:
                if len(row) != len(columns):
                    raise ValueError(f"{len(row)} fields instead of {len(columns)}")
                tick = read(plan.symbol, row)
                if tick.ts_ns < last_ns:
                    raise ValueError("earlier than the row before it")
                last_ns = tick.ts_ns
                count += 1
                yield tick
    except (ValueError, csv.Error) as error:
        # The header is line 1; UnicodeDecodeError is a ValueError too.
        raise PricesRefused(f"{path}:{count + 2}: {error}") from error
    except OSError as error:
        raise PricesRefused(f"{path}: {error.strerror}") from error
    if not count and name == "quotes.csv":
        raise PricesRefused(f"{path}: has no row, and without a quote there is no book")


def _quote(symbol: str, row: list[str]) -> Tick:
    bid, bid_size, ask, ask_size = (_positive(text) for text in row[1:])
    if bid >= ask:
        raise ValueError(f"the bid {row[1]} is not below the ask {row[3]}")
    return Tick(symbol, "quote", bid=bid, bid_size=bid_size, ask=ask, ask_size=ask_size, ts_ns=_time_ns(row[0]))


def _trade(symbol: str, row: list[str]) -> Tick:
    return Tick(symbol, "trade", price=_positive(row[2]), size=_positive(row[3]), ts_ns=_time_ns(row[0]))


def _positive(text: str) -> int:
    value = units(text)
    if not value:
        raise ValueError(f"{text} is not above zero")
    return value


def _time_ns(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise ValueError(f"{text[:64]!r} is not a time in milliseconds")
    return int(text) * 1_000_000


def _at(tick: Tick, ts_ns: int) -> Tick:
    return Tick(tick.symbol, tick.kind, tick.bid, tick.bid_size, tick.ask, tick.ask_size, tick.price, tick.size, ts_ns)
