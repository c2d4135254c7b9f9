"""The runbook's emergency stop, verbatim, against a system under load: nothing reaches the venue half a second later.

By hand, from the top of the checkout: `.venv/bin/python -m tests.acceptance.emergency_stop [--repetitions 50]`.
"""

import argparse
import json
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from tests.acceptance import steady
from tests.acceptance.market import OPENING
from tests.acceptance.smoke import CLEAR, until
from tests.acceptance.system import System, exported, open_account, request, rows, running, shell

STOP = """redis-cli SET kill_switch:global \
'{"active":true,"reason":"manual emergency stop","activatedAt":"2026-11-24T08:00:00Z","activatedBy":"operator"}'"""
RUNNING = "SELECT COUNT(*) FROM strategy.strategies WHERE status = 'RUNNING'"
CLIENTS = 4
RATE = 60.0
SENDS_END_S = 0.5
KILLED_WITHIN_S = 1.5
LOOK_S = 1.0
"""How long nothing may reach the venue before the kill is cleared."""


def run(
    system: System, *, repetitions: int, stop: Callable[[System, dict[str, str]], None] | None = None
) -> list[float]:
    """Stops and clears it so often under load; the seconds from SET to the last order that reached the venue."""
    environment = exported(system)
    tokens = [open_account(system, f"stop-{index}", OPENING) for index in range(CLIENTS)]
    over, figures = threading.Event(), []
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(steady.place, system, tokens, RATE, over)
        try:
            for _ in range(repetitions):
                time.sleep(0.5)
                with monitored(system) as seen:
                    (stop or by_key)(system, environment)
                    began = set_at(seen)
                until(lambda: killed(system), KILLED_WITHIN_S)
                time.sleep(LOOK_S)
                last = last_at_the_venue(system, tokens)
                figures.append(max(0.0, last - began))
                assert shell(system, CLEAR, environment).strip() == "1"
                until(lambda: not killed(system))
        finally:
            over.set()
        load.result()
    late = [figure for figure in figures if figure > SENDS_END_S]
    assert not late, f"orders reached the venue {late} s after SET"
    return figures


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


def by_key(system: System, environment: dict[str, str]) -> None:
    """The runbook's line."""
    assert shell(system, STOP, environment).strip() == "OK"


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


def strategies_running(system: System) -> int:
    """As the runbook asks."""
    [[count]] = rows(system, RUNNING)
    return int(count)


def main() -> None:
    """Runs it in a fresh directory and prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ordergate-stop-") as name, running(Path(name) / "data") as system:
        figures = run(system, repetitions=options.repetitions)
        left = strategies_running(system)
    seen = {
        "repetitions": len(figures),
        "last_order_after_s": {
            "min": round(min(figures), 3),
            "median": round(statistics.median(figures), 3),
            "max": round(max(figures), 3),
        },
        "strategies_running": left,
    }
    print(json.dumps(seen, indent=2))


if __name__ == "__main__":
    main()
