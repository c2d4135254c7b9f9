"""A user stream that is cut every few seconds while orders fill in many small trades: none missed, none twice.

By hand: `.venv/bin/python -m tests.acceptance.stream_cuts [--minutes 10] [--fills 10000]`.
"""

import argparse
import itertools
import json
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from tests.acceptance.clients import write_down
from tests.acceptance.market import MID, STEP, TICK, market
from tests.torture import live, live_checker
from tests.torture.exchange import SYMBOL, LocalExchange
from tests.torture.live_faults import exchange_of, rule
from tests.torture.load import Trader

LEVELS = 60
LEVEL = 50 * STEP
"""Each level of the book is one small trade."""
MOST_LEVELS = 25
"""That one order takes."""
PAUSE_S = 0.1
CUTS = ("reset", "close", "terminate", "half_open")


def shelves(exchange: LocalExchange) -> None:
    """Fills the book up: many levels, little on each."""
    levels = {
        side: [[str(MID + sign * TICK * step), str(LEVEL)] for step in range(1, LEVELS + 1)]
        for side, sign in (("bids", -1), ("asks", 1))
    }
    exchange.ask("POST", "/book", {"symbol": SYMBOL, **levels})


def stock_up(exchange: LocalExchange, over: threading.Event) -> None:
    """Keeps the book full."""
    while not over.wait(0.1):
        shelves(exchange)


def cut(exchange: LocalExchange, over: threading.Event, every_s: float) -> int:
    """Cuts every stream, each time in another way, and loses some events before; how many times."""
    for number, how in enumerate(itertools.cycle(CUTS)):
        if over.wait(every_s):
            return number
        exchange.rule(rule({"execution": "TRADE"}, "event", "drop", 5))
        exchange.ask("POST", "/ws", {"do": how, "path": "ws-api"})
    return 0


def take(trader: Trader, goes_on: Callable[[], bool]) -> int:
    """Takes from the book, a few levels at a time; how many orders."""
    random, placed = trader.client.random, 0
    while goes_on():
        terms = market(random, random.choice(["BUY", "SELL"]))
        quantity = str(LEVEL * random.randint(5, MOST_LEVELS))
        body = json.dumps(terms | {"mode": "LIVE", "quantity": quantity}).encode()
        key = str(UUID(int=random.getrandbits(128)))
        write_down(trader.log, sent=key, body=body.decode())
        answer = trader.client.ask("POST", "/api/v1/orders", body=body, key=key)
        trader.note(key, answer)
        assert answer.status in {201, 422}, answer
        placed += 1
        time.sleep(random.uniform(0, 2 * PAUSE_S))
    return placed


def run(directory: Path, *, seconds: float, fills: int, every_s: float, seed: int = 1) -> dict[str, object]:
    """Trades through the cuts until the time is over and there are so many fills; what was seen."""
    with live.ground(directory, seed) as (stage, traders):
        exchange, over = exchange_of(stage), threading.Event()
        began = time.monotonic()
        shelves(exchange)

        def traded() -> int:
            return sum(len(one["trades"]) for one in exchange.state()["accounts"].values())

        with ThreadPoolExecutor(len(traders) + 2) as pool:
            stocking, cutting = pool.submit(stock_up, exchange, over), pool.submit(cut, exchange, over, every_s)
            taking = [pool.submit(take, trader, lambda: not over.is_set()) for trader in traders]
            running: list[Future[Any]] = [stocking, cutting, *taking]
            try:
                while time.monotonic() - began < seconds or traded() < fills:
                    assert time.monotonic() - began < 3 * seconds + 60, f"only {traded()} fills"
                    for one in running:
                        assert not one.done(), one.exception()
                    time.sleep(1.0)
            finally:
                over.set()
            placed = sum(one.result() for one in taking)
            cuts = cutting.result()
            stocking.result()
        exchange.faultless()
        figures = live_checker.check(stage, traders, Random(seed))
        live.last_look(stage, traders, Random(seed))
        assert figures.fills >= fills, figures
        took_s = round(time.monotonic() - began)
        return {"seconds": took_s, "cuts": cuts, "placed": placed, "missed": 0, "double": 0} | asdict(figures)


def short(directory: Path) -> dict[str, object]:
    """As CI has it."""
    return run(directory, seconds=10.0, fills=400, every_s=1.0)


def main() -> None:
    """Runs it in a fresh directory and prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--fills", type=int, default=10_000)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two cuts")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="og-") as name:
        seen = run(
            Path(name),
            seconds=options.minutes * 60,
            fills=options.fills,
            every_s=options.every,
            seed=options.seed,
        )
    print(json.dumps(seen, indent=2))


if __name__ == "__main__":
    main()
