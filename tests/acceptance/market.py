"""What the clients of these runs trade on and what they ask for."""

import csv
import json
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "btcusdt"
"""Real quotes and trades, when the checkout lies beside them."""
MID = Decimal(39450)
"""About where the recorded prices, and the ones made here, stand."""
TICK = Decimal("0.01")
STEP = Decimal("0.00001")
OPENING = {"USDT": "1000000", "BTC": "25"}
"""PAPER balances of every account in these runs."""

NewOrder = dict[str, Any]


def replayed_prices(directory: Path) -> str:
    """A `--prices` source: the recorded data, or else a small replay of the same shape written to `directory`."""
    if not RECORDED.is_dir():
        write_replay(directory)
    return f"replay:{RECORDED if RECORDED.is_dir() else directory}"


def write_replay(directory: Path, seed: int = 7, seconds: int = 40) -> None:
    """A random walk of quotes and trades, the same for the same seed. The directory is named after the instrument."""
    directory.mkdir(parents=True, exist_ok=True)
    random, bid, trade_id = Random(seed), MID, 1
    with (directory / "quotes.csv").open("w") as quotes, (directory / "trades.csv").open("w") as trades:
        quote_rows, trade_rows = csv.writer(quotes), csv.writer(trades)
        quote_rows.writerow(["ts_ms", "bid", "bid_size", "ask", "ask_size"])
        trade_rows.writerow(["ts_ms", "trade_id", "price", "quantity", "buyer_maker"])
        for ts_ms in range(1_610_064_000_000, 1_610_064_000_000 + seconds * 1000, 80):
            bid = max(bid + random.randint(-300, 300) * TICK, MID - 200)
            ask = bid + random.randint(1, 120) * TICK
            quote_rows.writerow(
                [ts_ms, bid, random.randint(1, 200) * STEP * 1000, ask, random.randint(1, 200) * STEP * 1000]
            )
            seller = random.random() < 0.5
            size = random.randint(1, 9000) * STEP
            trade_rows.writerow([ts_ms + 20, trade_id, bid if seller else ask, size, str(seller).lower()])
            trade_id += 1


def price(random: Random, percent_from: float, percent_to: float) -> str:
    """A price on the tick, that far from the middle."""
    factor = Decimal(random.randint(int(percent_from * 1000), int(percent_to * 1000))) / 100_000
    return str((MID * (1 + factor)).quantize(TICK))


def quantity(random: Random) -> str:
    """Between 0.0002 and 0.08 BTC, on the step."""
    return str(random.randint(20, 8000) * STEP)


def limit(random: Random, side: str, percent_from: float, percent_to: float, time_in_force: str = "GTC") -> NewOrder:
    """A LIMIT order that many percent better (negative: worse) than the middle for whoever takes it."""
    low, high = (percent_from, percent_to) if side == "BUY" else (-percent_to, -percent_from)
    return {
        "symbol": "BTCUSDT",
        "side": side,
        "type": "LIMIT",
        "timeInForce": time_in_force,
        "quantity": quantity(random),
        "price": price(random, low, high),
        "mode": "PAPER",
    }


def market(random: Random, side: str) -> NewOrder:
    """A MARKET order."""
    return {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": quantity(random), "mode": "PAPER"}


KINDS: list[tuple[int, Callable[[Random, str], NewOrder]]] = [
    (20, lambda random, side: limit(random, side, 0.5, 1.5)),  # crosses
    (20, lambda random, side: limit(random, side, -0.15, 0.1)),  # rests at the touch and fills as the market moves
    (10, lambda random, side: limit(random, side, -4, -1.5)),  # rests far away until it is canceled
    (10, lambda random, side: limit(random, side, -0.2, 0.6, "IOC")),
    (8, lambda random, side: limit(random, side, -0.2, 0.6, "FOK")),
    (20, market),
    (
        4,
        lambda random, side: limit(random, side, 0.5, 1.5) | {"quantity": "200"},
    ),  # the balance does not allow it: 422, stored
    (
        4,
        lambda random, side: limit(random, side, 0.5, 1.5) | {"price": "39450.001"},
    ),  # off the tick: 422, key stays free
    (4, lambda random, side: limit(random, side, 0.5, 1.5) | {"clientOrderId": f"c-{random.getrandbits(64):x}"}),
]
"""Weight and maker of each kind of order."""


OF_A_STRATEGY = 0.1
"""Share of the orders that carry their strategy."""
OTHER_SIDE = 0.15
"""Share of the orders on the side that the account is not on at the time: they may meet its own and be refused."""
TURNS_S = 5.0
"""How long an account is on one side."""


def some_order(random: Random, strategy: str) -> bytes:
    """The body of one order of mixed kind; some are the strategy's, which has to be the account's own and RUNNING."""
    [make] = random.choices([make for _, make in KINDS], [weight for weight, _ in KINDS])
    turn = crc32(strategy.encode()) + int(time.monotonic() / TURNS_S)
    mostly, rarely = ("BUY", "SELL") if turn % 2 else ("SELL", "BUY")
    order = make(random, rarely if random.random() < OTHER_SIDE else mostly)
    if random.random() < OF_A_STRATEGY:
        order["strategyId"] = strategy
    return json.dumps(order).encode()
