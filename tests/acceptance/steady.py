"""Orders at a fixed rate, whatever the answers take: each is due at its time, and what comes late is counted from then.

One size, buy and sell in turn, at the market: each fills at once, so that nothing grows but the past.
"""

import http.client
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle

from tests.acceptance.system import Answer, System, exchange

MARKET = {"symbol": "BTCUSDT", "type": "MARKET", "quantity": "0.001", "mode": "PAPER"}
LOST = 0
"""The status of a request whose connection broke."""


@dataclass
class Tally:
    """What one or more clients were answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    late_s: list[float] = field(default_factory=list)
    """From the time at which each order was due until its answer."""
    first_refusal: str = ""
    refused_at: list[float] = field(default_factory=list)
    """When each answer without a 201 came (Unix seconds)."""

    @property
    def refused(self) -> int:
        """Orders without a 201."""
        return self.statuses.total() - self.statuses[201]

    def add(self, answer: Answer, late_s: float) -> None:
        """Counts one answer."""
        self.statuses[answer.status] += 1
        self.late_s.append(late_s)
        if answer.status != 201:
            self.first_refusal = self.first_refusal or f"{answer.status} {answer.body!r}"
            self.refused_at.append(time.time())

    def quantile_ms(self, share: float) -> float:
        """A quantile of the waits."""
        ordered = sorted(self.late_s)
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1)


def place(
    system: System,
    tokens: list[str],
    rate: float,
    stop: threading.Event,
    order: dict[str, str] = MARKET,
    strategies: Sequence[str] = (),
) -> Tally:
    """`rate` orders a second in all, one client per token, until `stop`.

    With `strategies`, one per token, half of a client's orders carry its own.
    """
    began = time.monotonic()
    interval = len(tokens) / rate
    total = Tally()
    with ThreadPoolExecutor(len(tokens)) as pool:
        clients = [
            pool.submit(
                _client,
                system,
                token,
                began + interval * index / len(tokens),
                interval,
                stop,
                [order, *(order | {"strategyId": strategy} for strategy in strategies[index : index + 1])],
            )
            for index, token in enumerate(tokens)
        ]
        for client in clients:
            tally = client.result()
            total.statuses += tally.statuses
            total.late_s += tally.late_s
            total.refused_at += tally.refused_at
            total.first_refusal = total.first_refusal or tally.first_refusal
    return total


def _client(
    system: System, token: str, due: float, interval: float, stop: threading.Event, orders: list[dict[str, str]]
) -> Tally:
    tally = Tally()
    connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=10)
    # Each kind buys, then sells.
    kinds = cycle([order | {"side": side} for order in orders for side in ("BUY", "SELL")])
    while not stop.wait(max(0.0, due - time.monotonic())):
        body, key = json.dumps(next(kinds)).encode(), str(uuid.uuid4())
        answer = Answer(LOST, b"", {})
        with suppress(OSError, http.client.HTTPException):
            answer = exchange(connection, "POST", "/api/v1/orders", token=token, body=body, key=key)
        if answer.status == LOST:
            connection.close()  # the next request opens it again
        tally.add(answer, time.monotonic() - due)
        due += interval
    connection.close()
    return tally
