"""Orders of mixed kind from many clients on replayed prices; afterwards core, Postgres and portfolio must agree.

By hand, from the top of the checkout: `.venv/bin/python -m tests.acceptance.mixed_load [--orders 500] [--clients 20]`.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.acceptance import agreement
from tests.acceptance.clients import order_id, stored, trade_together
from tests.acceptance.market import OPENING, replayed_prices
from tests.acceptance.system import System, open_account, rows, running

PAUSE_S = 0.1
"""Mean think time of a client: the market moves meanwhile, so that resting orders fill."""


def run(system: System, directory: Path, *, orders: int, clients: int, seed: int) -> dict[str, object]:
    """The load and the comparison; what was seen."""
    accounts = {f"mixed-{index}": open_account(system, f"mixed-{index}", OPENING) for index in range(clients)}
    began = time.monotonic()
    placed, retries = trade_together(
        system, accounts, directory, orders=-(-orders // clients), seed=seed, pause_s=PAUSE_S
    )
    took = time.monotonic() - began
    summary = agreement.check(system, list(accounts.values()))
    kept = {order_id(one): one.key for one in placed if stored(one)}
    found = {row[0]: row[1] for row in rows(system, "SELECT id, idempotency_key FROM execution.orders")}
    assert kept == found, f"only on one side: {sorted(kept.items() ^ found.items())[:5]}"
    return {"requests": len(placed), "retries": retries, "seconds": round(took, 2)} | asdict(summary)


def main() -> None:
    """Runs it in a fresh directory and prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--prices", default="", help="a price source; default: the recorded data, else a generated replay"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ordergate-mixed-") as name:
        directory = Path(name)
        prices = options.prices or replayed_prices(directory / "btcusdt")
        with running(directory / "data", prices=prices) as system:
            seen = run(system, directory, orders=options.orders, clients=options.clients, seed=options.seed)
        print(json.dumps({"prices": prices} | seen, indent=2))


if __name__ == "__main__":
    main()
