"""The runbook's emergency stop, verbatim, against a system under load: nothing reaches the venue half a second later.

Half of the load carries a strategy, one per account. Every stop stops these as well, and clearing it starts none.

By hand, from the top of the checkout: `.venv/bin/python -m tests.acceptance.emergency_stop [--repetitions 50]`.
"""

import argparse
import json
import socket
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from tests.acceptance import steady
from tests.acceptance.market import OPENING
from tests.acceptance.smoke import CLEAR, until
from tests.acceptance.system import (
    System,
    exported,
    open_account,
    request,
    rows,
    run_strategy,
    running,
    shell,
    start_strategies,
)

STOP = """redis-cli SET kill_switch:global \
'{"active":true,"reason":"manual emergency stop","activatedAt":"2026-11-24T08:00:00Z","activatedBy":"operator"}'"""
RUNNING = "SELECT COUNT(*) FROM strategy.strategies WHERE status = 'RUNNING'"
CLIENTS = 4
RATE = 60.0
SENDS_END_S = 0.5
KILLED_WITHIN_S = 1.5
LOOK_S = 1.0
"""How long nothing may reach the venue before the kill is cleared."""
IN_POSTGRES_WITHIN_S = 5.0
"""Postgres is written behind."""


@dataclass
class Stop:
    """One stop: seconds after the server carried out the SET."""

    set_at: float
    """Unix seconds."""
    last_order_s: float
    """The venue took its last order; 0 when none came after the SET."""
    strategies_s: float
    """Postgres was seen without a RUNNING strategy, by psql again and again."""
    refused_s: float = 0.0
    """A client was refused for the first time."""


def run(system: System, *, repetitions: int) -> list[Stop]:
    """Stops and clears it so often under load, and starts the strategies again each time."""
    environment = exported(system)
    names = [f"stop-{index}" for index in range(CLIENTS)]
    tokens = [open_account(system, name, OPENING) for name in names]
    for name in names:
        run_strategy(system, name)
    over, stops = threading.Event(), []
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(steady.place, system, tokens, RATE, over, strategies=names)
        try:
            for _ in range(repetitions):
                start_strategies(system)
                until(lambda: strategies_running(system, environment) == CLIENTS, IN_POSTGRES_WITHIN_S)
                assert strategy_order(system, names[0], tokens[0]) == (201, None)
                stops.append(stop_and_clear(system, tokens, environment))
                assert strategy_order(system, names[0], tokens[0]) == (422, "strategy_not_running")
                assert strategies_running(system, environment) == 0, "a clear started a strategy"
        finally:
            over.set()
        refused_at = load.result().refused_at
    for stop in stops:
        stop.refused_s = min(at for at in refused_at if at >= stop.set_at) - stop.set_at
    late = [stop for stop in stops if stop.last_order_s > SENDS_END_S]
    assert not late, f"orders reached the venue too late: {late}"
    return stops


def stop_and_clear(system: System, tokens: list[str], environment: dict[str, str]) -> Stop:
    """The runbook's two lines, and what is seen between them."""
    with monitored(system) as seen:
        assert shell(system, STOP, environment).strip() == "OK"
        began = set_at(seen)
    until(lambda: killed(system), KILLED_WITHIN_S)
    until(lambda: strategies_running(system, environment) == 0, IN_POSTGRES_WITHIN_S)
    stopped = time.time()
    time.sleep(max(0.0, began + LOOK_S - stopped))
    last = last_at_the_venue(system, tokens)
    assert killed(system), "the kill ended without an operator"
    assert shell(system, CLEAR, environment).strip() == "1"
    until(lambda: not killed(system))
    return Stop(began, max(0.0, last - began), stopped - began)


@contextmanager
def monitored(system: System) -> Iterator[BinaryIO]:
    """What the server says that it carries out, with its own clock: starting redis-cli takes longer than a kill."""
    with socket.create_connection(("127.0.0.1", system.redis_port), 10) as link, link.makefile("rb") as lines:
        link.sendall(b"MONITOR\r\n")
        assert lines.readline() == b"+OK\r\n"
        yield lines


def set_at(lines: BinaryIO) -> float:
    """When the kill key was set (Unix seconds)."""
    for line in lines:
        if b'"SET" "kill_switch:global"' in line:
            return float(line[1:].split(b" ", 1)[0])
    raise AssertionError("the server ended before the key was set")


def killed(system: System) -> bool:
    """Whether trading is stopped everywhere."""
    return bool(request(system, "GET", "/api/v1/health").json()["killLevel"])


def last_at_the_venue(system: System, tokens: list[str]) -> float:
    """When the venue took its last order (Unix seconds), by its own reports."""
    newest = 0.0
    for token in tokens:
        page: Any = request(system, "GET", "/api/v1/orders?limit=100", token=token).json()
        for order in page["orders"]:
            if order["ackedAt"] is not None:
                newest = max(newest, datetime.fromisoformat(order["ackedAt"]).timestamp())
    return newest


def strategies_running(system: System, environment: dict[str, str] | None = None) -> int:
    """As the runbook asks."""
    [[count]] = rows(system, RUNNING, environment)
    return int(count)


def strategy_order(system: System, strategy: str, token: str) -> tuple[int, str | None]:
    """Status and code of one order of a strategy."""
    body = json.dumps(steady.MARKET | {"side": "BUY", "strategyId": strategy}).encode()
    answer = request(system, "POST", "/api/v1/orders", token=token, body=body, key=str(uuid.uuid4()))
    return answer.status, answer.json().get("code")


def spread(seconds: list[float]) -> dict[str, float]:
    """How the figures lie."""
    shown = {"min": min(seconds), "median": statistics.median(seconds), "max": max(seconds)}
    return {name: round(value, 3) for name, value in shown.items()}


def main() -> None:
    """Runs it in a fresh directory and prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ordergate-stop-") as name, running(Path(name) / "data") as system:
        stops = run(system, repetitions=options.repetitions)
    seen = {
        "repetitions": len(stops),
        "last_order_after_s": spread([stop.last_order_s for stop in stops]),
        "no_strategy_in_postgres_after_s": spread([stop.strategies_s for stop in stops]),
        "first_refused_after_s": spread([stop.refused_s for stop in stops]),
    }
    print(json.dumps(seen, indent=2))


if __name__ == "__main__":
    main()
