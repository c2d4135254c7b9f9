"""An exchange that answers everything with 5xx, for minutes, and does half of what it is asked nevertheless.

Whatever it was asked meanwhile is in doubt. Once it answers again every doubt has to end within `resolved_within_s`,
and then nothing may be there twice, and nothing may be missing. By hand, with the margins that LIVE has by default:
`.venv/bin/python -m tests.acceptance.exchange_errors [--seconds 300]`.
"""

import argparse
import json
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from http.client import HTTPException
from pathlib import Path
from random import Random
from typing import Any

from tests.acceptance.agreement import all_orders
from tests.acceptance.clients import write_down
from tests.acceptance.market import limit, market
from tests.acceptance.system import last_words, request
from tests.torture import exchange as exchanges
from tests.torture import live, live_checker
from tests.torture.faults import Stage
from tests.torture.live_faults import SHORT, exchange_of, rule
from tests.torture.load import Trader

PAUSE_S = 0.25
DEFAULTS: Mapping[str, Any] = {}
"""The margins of the settings' own."""
RESOLVED_WITHIN_S = 30.0
DOUBTFUL = {"IN_DOUBT", "SUBMITTED", "PENDING_NEW", "PENDING_CANCEL"}
ACTED = rule({"method": "order.*", "probability": 0.5}, "post_commit", "error", None, status=503, code=-1001)
"""Half of the orders and cancels are carried out, and answered with an error."""
REFUSED = rule({}, "pre_engine", "error", None, status=503, code=-1001)


def knock(trader: Trader, over: threading.Event, statuses: Counter[int]) -> None:
    """Places an order now and then; who is refused does not insist."""
    random = trader.client.random
    while not over.wait(random.uniform(0, 2 * PAUSE_S)):
        side = random.choice(["BUY", "SELL"])
        order = random.choice([market(random, side), limit(random, side, -2.0, -0.5)]) | {"mode": "LIVE"}
        key, body = str(uuid.UUID(int=random.getrandbits(128))), json.dumps(order).encode()
        write_down(trader.log, sent=key, body=body.decode())
        with suppress(OSError, HTTPException):
            answer = request(
                trader.client.system, "POST", "/api/v1/orders", token=trader.client.token, body=body, key=key
            )
            statuses[answer.status] += 1
            if answer.status in {201, 422}:
                trader.note(key, answer)


def doubtful(stage: Stage, traders: Sequence[Trader]) -> list[str]:
    """Orders whose outcome is not known yet."""
    orders = [one for trader in traders for one in all_orders(stage.system, trader.client.token)]
    return [one["id"] for one in orders if one["status"] in DOUBTFUL]


def resolved(stage: Stage, traders: Sequence[Trader], within_s: float) -> float:
    """Waits until no outcome is unknown; how long that took."""
    began = time.monotonic()
    while left := doubtful(stage, traders):
        took = time.monotonic() - began
        assert took <= within_s, f"after {took:.0f} s still in doubt: {left[:5]}\n{last_words(stage.system)}"
        time.sleep(0.1)
    return time.monotonic() - began


def run(
    directory: Path, *, seconds: float, resolved_within_s: float, margins: Mapping[str, Any], seed: int = 1
) -> dict[str, object]:
    """The outage, its end, and the comparison; what was seen."""
    statuses: Counter[int] = Counter()
    with live.ground(directory, seed, margins) as (stage, traders):
        exchange, over = exchange_of(stage), threading.Event()
        stage.market = exchanges.move(exchange, seed)
        with ThreadPoolExecutor(len(traders)) as pool:
            knocking = [pool.submit(knock, trader, over, statuses) for trader in traders]
            try:
                time.sleep(2.0)
                before, placed = dict(statuses), sum(exchange.commits().values())
                for fault in (ACTED, REFUSED):
                    exchange.rule(fault)
                time.sleep(seconds)
                in_doubt = len(doubtful(stage, traders))
            finally:
                over.set()
            for one in knocking:
                one.result()
        exchange.faultless()
        took_s = resolved(stage, traders, resolved_within_s)
        with exchanges.still(stage.market):
            figures = live_checker.check(stage, traders, Random(seed))
        live.last_look(stage, traders, Random(seed))
        seen = {"answersBefore": before, "answers": dict(statuses), "acceptedBefore": placed, "inDoubt": in_doubt}
        return {"seconds": seconds, "resolvedInS": round(took_s, 1)} | seen | asdict(figures)


def short(directory: Path) -> dict[str, object]:
    """As CI has it: some seconds, with short margins."""
    return run(directory, seconds=6.0, resolved_within_s=RESOLVED_WITHIN_S, margins=SHORT)


def main() -> None:
    """Runs it in a fresh directory and prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="og-") as name:
        seen = run(
            Path(name),
            seconds=options.seconds,
            resolved_within_s=RESOLVED_WITHIN_S,
            margins=DEFAULTS,
            seed=options.seed,
        )
    print(json.dumps(seen, indent=2))


if __name__ == "__main__":
    main()
