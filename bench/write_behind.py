"""How fast the write-behind catches up while the gateway goes on serving; see bench/README.md for what is measured.

The whole system runs. Postgres is held back by a lock on the watermark while a burst of orders is placed; then the lock
is given back and orders go on arriving at a fixed rate. Exits 1 when catching up is less than 5 times that rate.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from bench.http_placement import MONEY, Cores, Target, drive, processor_seconds, refuse_memory_disk  # noqa: E402

from ordergate import _core  # noqa: E402
from tests.acceptance import steady  # noqa: E402
from tests.acceptance.system import System, exported, open_account, pid_of, rows, running, settle  # noqa: E402

CLIENTS = 10
TIMES_AT_LEAST = 5.0
LONGEST_S = 120.0

Figures = dict[str, Any]
Sample = tuple[float, Figures]


def status(system: System) -> Sample:
    """What the worker says of itself, and when it said so."""
    file = system.data_dir / "run" / "worker.json"
    return file.stat().st_mtime, json.loads(file.read_bytes())


@contextlib.contextmanager
def held_back(system: System, environment: dict[str, str]) -> Iterator[None]:
    """For the length of the block no batch gets past the watermark; the writer tries again and again, as ever."""
    session = subprocess.Popen(
        ["bash", "-c", 'exec psql "$DATABASE_URL" -qAtX'],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert session.stdin is not None and session.stdout is not None
    session.stdin.write("BEGIN; LOCK TABLE execution.watermark IN SHARE MODE; SELECT 'held';\n")
    session.stdin.flush()
    assert session.stdout.readline() == "held\n"
    try:
        yield
    finally:
        session.stdin.close()
        session.wait()


def catch_up(system: System, few: int) -> list[Sample]:
    """The worker's words from its first batch until `few` records are left."""
    began, (_, first) = time.time(), status(system)
    samples: list[Sample] = []
    while not samples or samples[-1][1]["lag"] > few:
        if time.time() - began > LONGEST_S:
            sys.exit(f"bench: not caught up after {LONGEST_S:g} s: {status(system)}")
        sample = status(system)
        if sample[1]["lastSeq"] > first["lastSeq"] and (not samples or sample[0] > samples[-1][0]):
            samples.append(sample)
        time.sleep(0.02)
    return samples


def measure(system: System, burst_s: float, rate: float) -> Figures:
    """The burst, the catching up beside the arrivals, and what of it was where."""
    environment, tokens = exported(system), [open_account(system, f"bench-{n}", MONEY) for n in range(CLIENTS)]
    gateway, worker = pid_of(system, "gateway"), pid_of(system, "worker")
    assert gateway is not None and worker is not None
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with held_back(system, environment):
            burst = drive(Target(system.port, gateway, 201, tokens[0]), Cores(None, None), burst_s)
            load = pool.submit(steady.place, system, tokens, rate, over)
        try:
            used = processor_seconds(worker)
            samples = catch_up(system, few=int(rate))
            used = processor_seconds(worker) - used
        finally:
            over.set()
        arrivals = load.result()
    settle(system)
    if arrivals.refused:
        sys.exit(f"bench: {arrivals.refused} orders were refused meanwhile: {arrivals.first_refusal}")
    (first_s, first), (last_s, last) = samples[0], samples[-1]
    records = last["lastSeq"] - first["lastSeq"]
    seconds = last_s - first_s
    [[orders, fills, newest]] = rows(
        system,
        "SELECT (SELECT count(*) FROM execution.orders), (SELECT count(*) FROM execution.fills),"
        " (SELECT last_seq FROM execution.watermark)",
        environment,
    )
    records_per_order = int(newest) / int(orders)
    return {
        "burst_orders_per_s": round(burst["rate"]),
        "backlog_records": first["lag"],
        "records_per_order": round(records_per_order, 2),
        "filled": round(int(fills) / int(orders), 2),
        "seconds": round(seconds, 1),
        "records_per_s": round(records / seconds),
        "orders_per_s": round(records / seconds / records_per_order),
        "arrivals_per_s": rate,
        "arrivals_p50_ms": arrivals.quantile_ms(0.5),
        "arrivals_p99_ms": arrivals.quantile_ms(0.99),
        "worker_us_per_order": round(used / (records / records_per_order) * 1e6),
    }


def main() -> None:
    """Measures, prints, judges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--burst", type=float, default=3.0, help="seconds of placing as fast as it goes")
    parser.add_argument("--rate", type=float, default=500, help="orders a second that arrive while it catches up")
    parser.add_argument("--directory", type=Path, default=REPOSITORY / "build", help="where journal and database are")
    options = parser.parse_args()
    if _core.BUILD_PROFILE != "release":
        sys.exit(f"bench: the extension is a {_core.BUILD_PROFILE} build: run `make build`")
    options.directory.mkdir(parents=True, exist_ok=True)
    refuse_memory_disk(options.directory)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=options.directory) as name,
        running(Path(name) / "data") as system,
    ):
        figures = measure(system, options.burst, options.rate)
    print(json.dumps(figures, indent=2))
    times = figures["orders_per_s"] / options.rate
    print(
        f"write-behind catches up with {figures['orders_per_s']:,} orders/s = {times:.1f} times the {options.rate:,.0f}"
        " that arrive meanwhile"
    )
    if times < TIMES_AT_LEAST:
        sys.exit(f"bench: less than {TIMES_AT_LEAST:g} times")


if __name__ == "__main__":
    main()
