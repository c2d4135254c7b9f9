"""`kill -9` of the gateway, the worker, the venue and the supervisor in the middle of a mixed load.

Afterwards every 201 that a client was given is there, once, with the same bytes; no fill is there twice; sums agree.
By hand, from the top of the checkout: `.venv/bin/python -m tests.acceptance.crash_loop [--kills 20] [--clients 20]`.
"""

import argparse
import json
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from random import Random

from tests.acceptance import agreement
from tests.acceptance.clients import Placed, order_id, stored, trade_together
from tests.acceptance.market import OPENING, replayed_prices
from tests.acceptance.system import (
    System,
    await_trading,
    family,
    forget,
    gone,
    kill_everything,
    last_words,
    open_account,
    pid_of,
    request,
    rows,
    start,
    stop,
)

ROLES = ["gateway", "worker", "venue", "up"]
PAUSE_S = 0.03
"""Mean think time of a client: enough requests are under way at any kill, and the two cores are not only load."""
STARTED_AGAIN_S = 30.0
ORPHANS_GONE_S = 5.0


def kill_one(system: System, role: str) -> System:
    """SIGKILLs the process of this role and returns the system that trades again afterwards."""
    members = family(system)
    if role != "up":
        pid = pid_of(system, role)
        assert pid is not None, f"no {role} to kill: {members}\n{last_words(system)}"
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + STARTED_AGAIN_S
        while pid_of(system, role) in {None, pid}:
            assert time.monotonic() < deadline, f"{role} was not started again\n{last_words(system)}"
            time.sleep(0.02)
        await_trading(system)
        return system
    os.kill(system.supervisor.pid, signal.SIGKILL)
    system.supervisor.wait()
    orphans = gone(members, ORPHANS_GONE_S)
    assert not orphans, f"outlived the supervisor: {orphans}"
    return start(system.data_dir, prices=system.prices, port=system.port, redis_port=system.redis_port)


def kill_in_turn(system: System, kills: int, seed: int, over: threading.Event) -> tuple[System, Counter[str]]:
    """The kills, each after a random short time of trading; sets `over` at the end, whatever happens."""
    random, killed = Random(seed), Counter[str]()
    try:
        for number in range(kills):
            time.sleep(random.uniform(0.2, 1.2))
            role = ROLES[number % len(ROLES)]
            system = kill_one(system, role)
            killed[role] += 1
        time.sleep(0.5)
    finally:
        over.set()
    return system, killed


def run(system: System, directory: Path, *, kills: int, clients: int, seed: int) -> tuple[System, dict[str, object]]:
    """Load, kills, comparison; the system as it runs at the end, and what was seen."""
    accounts = {f"crash-{index}": open_account(system, f"crash-{index}", OPENING) for index in range(clients)}
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(
            trade_together, system, accounts, directory, orders=None, seed=seed, pause_s=PAUSE_S, stop=over
        )
        system, killed = kill_in_turn(system, kills, seed, over)
        placed, retries = load.result()
    summary = agreement.check(system, list(accounts.values()))
    check_log(system, placed)
    return system, {"kills": dict(killed), "requests": len(placed), "retries": retries} | asdict(summary)


def check_log(system: System, placed: list[Placed]) -> None:
    """Every answer that was given still stands, and nothing exists that no client asked for."""
    kept = {order_id(one): one.key for one in placed if stored(one)}
    assert len(kept) == sum(map(stored, placed)), "two requests were given one order"
    found = {row[0]: row[1] for row in rows(system, "SELECT id, idempotency_key FROM execution.orders")}
    assert kept == found, f"only on one side: {sorted(kept.items() ^ found.items())[:5]}"
    for one in placed:
        if stored(one):
            again = request(system, "POST", "/api/v1/orders", token=one.token, body=one.body, key=one.key)
            assert (again.status, again.body) == (one.answer.status, one.answer.body), f"{one.key}: {again}"


def main() -> None:
    """Runs it in a fresh directory and prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ordergate-crash-") as name:
        directory = Path(name)
        system = start(directory / "data", prices=replayed_prices(directory / "btcusdt"))
        try:
            system, seen = run(system, directory, kills=options.kills, clients=options.clients, seed=options.seed)
            stop(system)
        finally:
            kill_everything(system)
            forget(system)
        print(json.dumps(seen, indent=2))


if __name__ == "__main__":
    main()
