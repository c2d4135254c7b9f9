"""Clients that place and cancel orders and never forget what they were told.

A client that gets no answer, or a 503, sends the same request with the same key again until it is answered: what any
careful trading program does. Its log is flushed to disk before each request and after each answer, so that it can be
held against the gateway whatever was killed in between.
"""

import http.client
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.acceptance.market import some_order
from tests.acceptance.system import Answer, System, exchange, run_strategy

LONGEST_WAIT_S = 90.0
"""For one answer, restarts included."""
REQUEST_TIMEOUT_S = 10.0
RETRIED = {408, 429, 503}
FINAL_REFUSALS = {"order_rejected", "invalid_price"}
"""The only refusals that these clients provoke."""


@dataclass(frozen=True)
class Placed:
    """A request and its final answer."""

    token: str
    key: str
    body: bytes
    answer: Answer


@dataclass
class Client:
    """One client with its own account, strategy, connection, log and random numbers."""

    system: System
    token: str
    strategy: str
    random: Random
    log: Path
    connection: http.client.HTTPConnection | None = None
    retries: int = 0

    def ask(self, method: str, path: str, *, body: bytes | None = None, key: str | None = None) -> Answer:
        """Sends until there is a definite answer."""
        deadline = time.monotonic() + LONGEST_WAIT_S
        while True:
            with suppress(OSError, http.client.HTTPException):
                answer = self._try(method, path, body, key)
                in_progress = answer.status == 409 and answer.json().get("code") == "request_in_progress"
                if answer.status not in RETRIED and not in_progress:
                    return answer
            self.retries += 1
            assert time.monotonic() < deadline, f"no answer to {method} {path} {key} {body!r}"
            time.sleep(0.05)

    def _try(self, method: str, path: str, body: bytes | None, key: str | None) -> Answer:
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.system.port, timeout=REQUEST_TIMEOUT_S)
        try:
            return exchange(self.connection, method, path, token=self.token, body=body, key=key)
        except BaseException:
            self.connection.close()
            self.connection = None
            raise


def write_down(log: Path, **facts: object) -> None:
    """One line, on disk when this returns."""
    with log.open("a") as lines:
        lines.write(json.dumps(facts) + "\n")
        lines.flush()
        os.fsync(lines.fileno())


def trade(client: Client, goes_on: Callable[[int], bool], pause_s: float) -> list[Placed]:
    """Places orders of mixed kind while `goes_on(orders so far)`; cancels some, repeats some requests."""
    placed: list[Placed] = []
    while goes_on(len(placed)):
        key, body = str(uuid.uuid4()), some_order(client.random, client.strategy)
        write_down(client.log, sent=key, body=body.decode())
        answer = client.ask("POST", "/api/v1/orders", body=body, key=key)
        write_down(client.log, answered=key, status=answer.status, answer=answer.body.decode())
        allowed = answer.status == 201 or answer.json().get("code") in FINAL_REFUSALS
        assert allowed, f"{answer.status} {answer.body!r} to {body!r}"
        placed.append(Placed(client.token, key, body, answer))
        chance = client.random.random()
        if chance < 0.15:
            repeat(client, client.random.choice(placed[-5:]))
        elif chance < 0.40:
            cancel(client, client.random.choice(placed[-8:]))
        if pause_s:
            time.sleep(client.random.uniform(0, 2 * pause_s))
    return placed


def repeat(client: Client, earlier: Placed) -> None:
    """The same key and request give the same answer, and the same bytes where the answer is stored."""
    answer = client.ask("POST", "/api/v1/orders", body=earlier.body, key=earlier.key)
    assert answer.status == earlier.answer.status, f"{earlier.key}: {answer} is not {earlier.answer}"
    if stored(earlier):
        assert answer.body == earlier.answer.body, f"{earlier.key}: {answer.body!r} is not {earlier.answer.body!r}"


def stored(placed: Placed) -> bool:
    """Whether the gateway keeps this answer: an order, or a refusal by risk."""
    return placed.answer.status == 201 or placed.answer.json()["code"] == "order_rejected"


def order_id(placed: Placed) -> str:
    """The order's id in a stored answer."""
    document = placed.answer.json()
    found: str = document["id"] if placed.answer.status == 201 else document["orderId"]
    return found


def cancel(client: Client, placed: Placed) -> None:
    """Cancels an order: 202 or 200, or 409 when it has ended otherwise."""
    if placed.answer.status == 201:
        answer = client.ask("DELETE", f"/api/v1/orders/{order_id(placed)}")
        assert answer.status in {200, 202, 409}, f"{answer.status} {answer.body!r}"


def trade_together(
    system: System,
    accounts: Mapping[str, str],
    directory: Path,
    *,
    orders: int | None,
    seed: int,
    pause_s: float = 0.0,
    stop: threading.Event | None = None,
) -> tuple[list[Placed], int]:
    """One client per account (name -> token), all at once: `orders` each, or until `stop`.

    Each also trades for a strategy of its account. Every request answered, and the retries.
    """
    clients = [
        Client(system, token, run_strategy(system, name), Random(seed + index), directory / f"client-{index}.log")
        for index, (name, token) in enumerate(accounts.items())
    ]

    def goes_on(so_far: int) -> bool:
        return so_far < orders if orders is not None else stop is not None and not stop.is_set()

    with ThreadPoolExecutor(len(clients)) as pool:
        running = [pool.submit(trade, client, goes_on, pause_s) for client in clients]
        placed = [one for future in running for one in future.result()]
    return placed, sum(client.retries for client in clients)
