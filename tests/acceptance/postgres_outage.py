"""Postgres is gone for minutes while orders go on coming: none is refused for it, and afterwards it holds every row.

By hand, from the top of the checkout:

    .venv/bin/python -m tests.acceptance.postgres_outage [--minutes 10] [--rate 50]
"""

import argparse
import json
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tests.acceptance import agreement, steady
from tests.acceptance.market import OPENING
from tests.acceptance.system import System, last_words, open_account, pid_of, running
from tests.integration.postgres_server import PostgresServer, running_server

CLIENTS = 10
OURS = ("gateway", "worker", "venue")
GROWTH_MIB_AT_MOST = 64
WARM_S = 3.0
CATCH_UP_S = 120.0


def memory_mib(system: System) -> dict[str, float]:
    """Resident memory of each of our processes."""
    found = {}
    for role in OURS:
        status = Path(f"/proc/{pid_of(system, role)}/status").read_text()
        found[role] = round(int(status.partition("VmRSS:")[2].split()[0]) / 1024, 1)
    return found


def worker_status(system: System) -> dict[str, object]:
    """What the worker says of itself."""
    status: dict[str, object] = json.loads((system.data_dir / "run" / "worker.json").read_bytes())
    return status


def run(system: System, postgres: PostgresServer, *, seconds: float, rate: float) -> dict[str, object]:
    """The load, the outage in its middle, and the comparison; what was seen."""
    tokens = [open_account(system, f"outage-{index}", OPENING) for index in range(CLIENTS)]
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(steady.place, system, tokens, rate, over)
        try:
            time.sleep(WARM_S)
            pids, before = {role: pid_of(system, role) for role in OURS}, memory_mib(system)
            postgres.kill()
            time.sleep(seconds)
            after, backlog = memory_mib(system), worker_status(system)["lag"]
            postgres.start()
            began = time.monotonic()
            while worker_status(system)["lastError"] or worker_status(system)["lag"] > rate:  # type: ignore[operator]
                assert time.monotonic() - began < CATCH_UP_S, f"{worker_status(system)}\n{last_words(system)}"
                time.sleep(0.1)
            caught_up_s = time.monotonic() - began
        finally:
            over.set()
        tally = load.result()
    assert {role: pid_of(system, role) for role in OURS} == pids, f"a process was started again\n{last_words(system)}"
    assert not tally.refused, f"{tally.statuses}: {tally.first_refusal}"
    growth = {role: round(after[role] - before[role], 1) for role in OURS}
    assert max(growth.values()) <= GROWTH_MIB_AT_MOST, f"MiB of growth: {growth}"
    summary = agreement.check(system, tokens)
    assert summary.orders == tally.statuses[201]
    return {
        "outage_s": seconds,
        "rate_per_s": rate,
        "answers": dict(tally.statuses),
        "p50_ms": tally.quantile_ms(0.5),
        "p99_ms": tally.quantile_ms(0.99),
        "backlog_records": backlog,
        "caught_up_after_s": round(caught_up_s, 1),
        "memory_mib_before": before,
        "memory_mib_growth": growth,
    } | asdict(summary)


def main() -> None:
    """Runs it in a fresh directory and prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=50, help="orders a second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ordergate-outage-") as name, running_server() as postgres:
        with running(Path(name) / "data", settings={"DATABASE_URL": postgres.create_database()}) as system:
            seen = run(system, postgres, seconds=options.minutes * 60, rate=options.rate)
        print(json.dumps(seen, indent=2))


if __name__ == "__main__":
    main()
