"""The kill switch's server is lost, frozen, emptied or garbled under load: no order is sent, until an operator says so.

By hand, from the top of the checkout: `.venv/bin/python -m tests.acceptance.redis_faults [--repetitions 20]`.
"""

import argparse
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tests.acceptance import steady
from tests.acceptance.emergency_stop import (
    CLIENTS,
    LOOK_S,
    RATE,
    SENDS_END_S,
    killed,
    last_at_the_venue,
)
from tests.acceptance.market import OPENING
from tests.acceptance.smoke import CLEAR, until
from tests.acceptance.system import System, await_trading, exported, family, open_account, running, shell

KILLED_WITHIN_S = 1.5
PATIENCE_S = 10.0
"""Until the figure is known; it is held against the promise afterwards."""


def _signal(number: signal.Signals) -> Callable[[System, dict[str, str]], None]:
    def send(system: System, environment: dict[str, str]) -> None:
        for (pid, _), role in family(system).items():
            if role.rstrip(":") == "valkey-server":
                os.kill(pid, number)

    return send


def _tell(command: str) -> Callable[[System, dict[str, str]], None]:
    def tell(system: System, environment: dict[str, str]) -> None:
        shell(system, f"redis-cli {command}", environment)

    return tell


def _nothing(system: System, environment: dict[str, str]) -> None:
    """The supervisor, or nobody, brings it back."""


FAULTS = {
    "kill -9": (_signal(signal.SIGKILL), _nothing),
    "SIGSTOP": (_signal(signal.SIGSTOP), _signal(signal.SIGCONT)),
    "FLUSHALL": (_tell("FLUSHALL"), _nothing),
    "garbage": (_tell("SET kill_switch:global garbage"), _nothing),
}
"""Name -> what is done, and how it ends."""


def run(system: System, name: str, *, repetitions: int) -> dict[str, float]:
    """One fault, so often, under load; the longest times. Nothing reaches the venue later; no kill ends by itself."""
    apply, heal = FAULTS[name]
    environment = exported(system)
    tokens = [open_account(system, f"{name.replace(' ', '').lower()}-{index}", OPENING) for index in range(CLIENTS)]
    worst = {"last_order_after_s": 0.0, "killed_after_s": 0.0}
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(steady.place, system, tokens, RATE, over)
        try:
            for _ in range(repetitions):
                time.sleep(0.5)
                apply(system, environment)
                began = time.time()
                killed_after = until(lambda: killed(system), PATIENCE_S)
                time.sleep(LOOK_S)
                heal(system, environment)
                time.sleep(LOOK_S)
                assert killed(system), "the kill ended without an operator"
                last = last_at_the_venue(system, tokens)
                worst["last_order_after_s"] = max(worst["last_order_after_s"], last - began)
                worst["killed_after_s"] = max(worst["killed_after_s"], killed_after)
                until(lambda: cleared(system, environment), 30)
                await_trading(system)
        finally:
            over.set()
        load.result()
    assert worst["last_order_after_s"] <= SENDS_END_S, f"{name}: {worst}"
    assert worst["killed_after_s"] <= KILLED_WITHIN_S, f"{name}: {worst}"
    return {what: round(seconds, 3) for what, seconds in worst.items()}


def cleared(system: System, environment: dict[str, str]) -> bool:
    """The operator's DEL, again until it is seen: a server that is just starting may lose the first."""
    with suppress(AssertionError):
        shell(system, CLEAR, environment)
    time.sleep(0.5)
    return not killed(system)


def main() -> None:
    """Runs it in a fresh directory and prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ordergate-redis-") as directory:
        with running(Path(directory) / "data") as system:
            seen = {name: run(system, name, repetitions=options.repetitions) for name in FAULTS}
        print(json.dumps({"repetitions": options.repetitions, "worst": seen}, indent=2))


if __name__ == "__main__":
    main()
