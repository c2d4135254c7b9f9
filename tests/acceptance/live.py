"""LIVE as a whole: a real system against a local exchange in a process of its own, killed again and again.

By hand: `.venv/bin/python -m tests.acceptance.live [--cycles 200] [--seed 1]`. The exchange's ledger is the truth:
whatever was killed when, each order of ours is there at most once, with the same end, the same trades and balances.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from tests.acceptance.system import (
    System,
    demo_token,
    exchange,
    forget,
    kill_everything,
    last_words,
    rows,
    settle,
    start,
    stop,
)

ACCOUNT = "demo"
LONGEST_WAIT_S = 90.0
SHORT = {
    "recv_window_ms": 1_000,
    "timeout_ms": 1_500,
    "doubt_engine_timeout_ms": 500,
    "doubt_read_lag_ms": 500,
    "doubt_queries": 2,
    "doubt_query_gap_ms": 200,
    "reconcile_every_s": 2,
}
"""A doubt ends within five seconds."""
KILLED = ("gateway", "venue binance", "venue binance", "worker")
"""Whom a cycle kills; the venue most often."""


@dataclass(frozen=True)
class LocalExchange:
    """A running `ordergate exchange`."""

    announced: dict[str, Any]
    process: subprocess.Popen[bytes]

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """One request at its second port."""
        address, _, prefix = self.announced["control"].removeprefix("http://").partition("/")
        connection = http.client.HTTPConnection(address, timeout=10)
        try:
            connection.request(method, f"/{prefix}{path}", None if body is None else json.dumps(body))
            answer = connection.getresponse()
            told = json.loads(answer.read())
            assert answer.status == 200, told
            return told
        finally:
            connection.close()

    def account(self) -> dict[str, Any]:
        """What it has of the account that we trade for."""
        name = self.announced["accounts"][0]["name"]
        found: dict[str, Any] = self.control("GET", "/state")["accounts"][name]
        return found


@contextmanager
def local_exchange(place: Path) -> Iterator[LocalExchange]:
    """An exchange with a market that moves."""
    with (place / "exchange.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ordergate", "exchange", "--market", "7", "--tether"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        yield LocalExchange(json.loads(process.stdout.readline()), process)
    finally:
        process.kill()
        process.wait()


def begin(data: Path, venue: LocalExchange) -> System:
    """A system that trades LIVE there; ready."""
    data.mkdir(mode=0o700, parents=True)
    told = venue.announced
    settings = {
        "enabled": True, "rest_url": told["rest"], "ws_api_url": told["wsApi"], "stream_url": told["streams"],
        "allowed_hosts": ["127.0.0.1"], "symbols": ["BTCUSDT"], **SHORT,
    }  # fmt: skip
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (data / "ordergate.toml").write_text("[binance]\n" + "\n".join(lines) + "\n")
    system = start(data)
    try:
        key = told["accounts"][0]
        done = subprocess.run(
            [sys.executable, "-m", "ordergate", "venue", "add", "binance", "--account", ACCOUNT, "--from", "-",
             "--generate-master-key", "--data-dir", str(data)],
            input=f"{key['apiKey']}\n{key['secret']}\n", capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        until(lambda: live_ready(system), "LIVE is ready", system)
    except BaseException:
        kill_everything(system)
        forget(system)
        raise
    return system


def live_ready(system: System) -> bool:
    """Whether LIVE orders are taken."""
    with suppress(OSError, http.client.HTTPException, ValueError, AssertionError):
        return bool(ask(system, "GET", "/api/v1/health")[1]["tradingReady"]["LIVE"])
    return False


def in_doubt(system: System) -> int:
    """How many orders' outcomes are not known: while there is one, its account may only reduce."""
    return int(insist(system, "GET", "/api/v1/health")[1]["inDoubtOrders"])


def ask(system: System, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
    """One request of the demo account's."""
    connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=10)
    try:
        answer = exchange(
            connection, method, path, token=demo_token(system), key=key,
            body=None if body is None else json.dumps(body).encode(),
        )  # fmt: skip
        return answer.status, answer.json() if answer.body else None
    finally:
        connection.close()


def insist(system: System, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
    """Asks, under the same key, until there is a definite answer."""
    deadline = time.monotonic() + LONGEST_WAIT_S
    while True:
        with suppress(OSError, http.client.HTTPException):
            status, told = ask(system, method, path, body, key)
            in_progress = status == 409 and told.get("code") == "request_in_progress"
            if status not in (408, 429, 503) and not in_progress:
                return status, told
        assert time.monotonic() < deadline, f"no answer to {method} {path} {body}\n{last_words(system)}"
        time.sleep(0.05)


def place(system: System, random: Random) -> int | None:
    """One order of some type, LIVE; its id when it was taken. Some are canceled at once."""
    # One side only: orders that could trade with our own resting ones are refused here.
    terms: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "mode": "LIVE", "quantity": "0.001"}
    match random.randrange(4):
        case 0:
            terms |= {"type": "MARKET"}
        case 1:
            terms |= {"type": "LIMIT", "price": "66000", "timeInForce": "IOC"}
        case _:
            terms |= {"type": "LIMIT", "price": str(59_000 + random.randrange(100))}
    status, told = insist(system, "POST", "/api/v1/orders", terms, str(uuid.UUID(int=random.getrandbits(128))))
    if status != 201:
        # While an order is in doubt the account may only reduce: its checks may refuse.
        assert status == 422, (status, told)
        return None
    order = int(told["id"])
    if random.random() < 0.3:
        status, told = insist(system, "DELETE", f"/api/v1/orders/{order}")
        assert status in (200, 202, 409), (status, told)
    return order


def processes(system: System, role: str) -> list[int]:
    """Pids of our processes whose command begins with these words."""
    found = []
    wanted, data = role.split(), str(system.data_dir)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if "ordergate" in words and data in words:
                    at = words.index("ordergate") + 1
                    if words[at : at + len(wanted)] == wanted:
                        found.append(int(entry.name))
    return found


def crashes(system: System, venue: LocalExchange, *, cycles: int, seed: int, orders: int = 8) -> dict[str, Any]:
    """Kills one process in the middle of every cycle's orders; then everything must agree. What was seen."""
    random = Random(seed)
    placed: list[int] = []
    for _ in range(cycles):
        until(lambda: live_ready(system) and not in_doubt(system), "LIVE is ready and nothing in doubt", system)
        with ThreadPoolExecutor(orders) as pool:
            waiting = [pool.submit(place, system, Random(random.getrandbits(64))) for _ in range(orders)]
            time.sleep(random.uniform(0.0, 0.5))
            for pid in processes(system, random.choice(KILLED)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            placed += [order for one in waiting if (order := one.result()) is not None]
    return agree(system, venue, placed) | {"cycles": cycles}


def agree(system: System, venue: LocalExchange, placed: list[int]) -> dict[str, Any]:
    """Holds gateway, exchange and Postgres against each other once nothing is on its way any more."""
    until(lambda: live_ready(system), "LIVE is ready again", system)
    until(lambda: not unsettled(system, placed), "nothing is in doubt or pending", system)
    for order in placed:
        if shown(system, order)["status"] in ("NEW", "PARTIALLY_FILLED"):
            insist(system, "DELETE", f"/api/v1/orders/{order}")
    until(lambda: all(ended(shown(system, order)) for order in placed), "every order has ended", system)
    truth, commits = venue.account(), venue.control("GET", "/ledger")["commits"]
    theirs = {order["clientOrderId"].rpartition("-")[2]: order for order in truth["orders"]}
    seen = {"orders": len(placed), "trades": 0, "notThere": 0}
    for order in placed:
        here, there = shown(system, order), theirs.get(str(order))
        times = sum(count for client_id, count in commits.items() if client_id.endswith(f"-{order}"))
        assert times == (there is not None), f"order {order} is there {times} times"
        if there is None:
            assert here["status"] in ("REJECTED", "CANCELED"), here
            seen["notThere"] += 1
            continue
        assert Decimal(here["filledQuantity"]) == Decimal(there["executedQty"]), (here, there)
        assert here["status"] == there["status"], (here, there)
    settle(system)
    booked = {
        (row[0], Decimal(row[1]), Decimal(row[2]), Decimal(row[3]))
        for row in rows(
            system, "SELECT exchange_fill_id, price, quantity, fee FROM execution.fills WHERE mode = 'LIVE'"
        )
    }
    traded = {
        (str(one["id"]), Decimal(one["price"]), Decimal(one["qty"]), Decimal(one["commission"]))
        for one in truth["trades"]
    }
    assert booked == traded, f"only here {booked - traded}, only there {traded - booked}"
    until(lambda: balances(system) == totals(venue), "the same balances", system)
    return seen | {"trades": len(traded)}


def unsettled(system: System, placed: list[int]) -> list[int]:
    """Orders that nobody knows the outcome of, or with something under way."""
    return [
        order
        for order in placed
        if shown(system, order)["status"] in ("IN_DOUBT", "SUBMITTED", "PENDING_NEW", "PENDING_CANCEL")
    ]


def ended(order: dict[str, Any]) -> bool:
    """No longer working."""
    return order["status"] in ("FILLED", "CANCELED", "REJECTED", "EXPIRED")


def shown(system: System, order: int) -> dict[str, Any]:
    """The order as clients see it."""
    status, told = insist(system, "GET", f"/api/v1/orders/{order}")
    assert status == 200, told
    found: dict[str, Any] = told
    return found


def balances(system: System) -> dict[str, Decimal]:
    """What the gateway has, by asset."""
    _, told = insist(system, "GET", "/api/v1/portfolio")
    return {one["asset"]: Decimal(one["total"]) for one in told["balances"] if one["mode"] == "LIVE"}


def totals(venue: LocalExchange) -> dict[str, Decimal]:
    """What the exchange has."""
    return {asset: Decimal(one["free"]) + Decimal(one["locked"]) for asset, one in venue.account()["balances"].items()}


def until(true: Callable[[], Any], what: str, system: System, timeout_s: float = LONGEST_WAIT_S) -> None:
    """Waits for a condition; AssertionError with the last words of everything."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}\n{last_words(system)}"
        time.sleep(0.05)


@contextmanager
def trading_live(place: Path) -> Iterator[tuple[System, LocalExchange]]:
    """A system and its exchange for the length of a block."""
    with local_exchange(place) as venue:
        system = begin(place / "data", venue)
        try:
            yield system, venue
            stop(system)
        finally:
            kill_everything(system)
            forget(system)


def main() -> None:
    """A long run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="og-") as place, trading_live(Path(place)) as (system, venue):
        print(json.dumps(crashes(system, venue, cycles=chosen.cycles, seed=chosen.seed)))


if __name__ == "__main__":
    main()
