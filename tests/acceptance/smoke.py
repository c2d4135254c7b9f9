"""The smoke test of the README, word for word, with the kill switch by redis-cli.

By hand, from the top of the checkout: `.venv/bin/python -m tests.acceptance.smoke [--port 3000] [--redis-port 6379]`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.system import System, exported, forget, kill_everything, last_words, shell, start, stop

ORDER = r"""curl -X POST http://localhost:3000/api/v1/orders \
  -H "Authorization: Bearer $ORDERGATE_TOKEN" \
  -H "Idempotency-Key: $(uuidgen)" \
  -H "Content-Type: application/json" \
  -d '{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":0.001,"price":40000,"mode":"PAPER"}'"""
LATEST = 'psql $DATABASE_URL -c "SELECT id, status FROM execution.orders ORDER BY created_at DESC LIMIT 1;"'
UNPROCESSED = (
    'psql $DATABASE_URL -c "SELECT COUNT(*) FROM execution.portfolio_events_outbox WHERE processed_at IS NULL;"'
)
WITH_KEY = "psql $DATABASE_URL -qAtXc \"SELECT COUNT(*) FROM execution.orders WHERE idempotency_key = '{key}';\""
KILL = """redis-cli SET kill_switch:global \
'{"active":true,"reason":"drill","activatedAt":"2026-11-24T08:00:00Z","activatedBy":"smoke"}'"""
CLEAR = "redis-cli DEL kill_switch:global"
EMPTY_WITHIN_S = 2.0
LONGEST_WAIT_S = 10.0


def place(system: System, environment: dict[str, str], key: str | None = None) -> tuple[int, bytes]:
    """The README's curl line, with a key of its own unless one is given: (status, exact body)."""
    line = ORDER.replace("localhost:3000", f"localhost:{system.port}")
    if key is not None:
        line = line.replace("$(uuidgen)", key)
    out = shell(system, line.replace("curl ", "curl -sS -w '\\n%{http_code}' ", 1), environment)
    body, _, status = out.rpartition("\n")
    return int(status), body.encode()


def run(system: System) -> dict[str, object]:
    """Every step of the smoke test; what was seen. AssertionError names the step that failed."""
    environment = exported(system)
    for program in ("psql", "redis-cli", "uuidgen"):
        found = shell(system, f"command -v {program}", environment).strip()
        assert found.startswith(str(system.data_dir)), f"{program} on the PATH is {found}"
    key = shell(system, "uuidgen", environment).strip()

    status, first = place(system, environment, key)
    assert status == 201, f"{status} {first!r}\n{last_words(system)}"
    order = json.loads(first)
    shown_after = until(lambda: f" {order['id']} | FILLED" in shell(system, LATEST, environment))
    empty_after = until(lambda: cell(shell(system, UNPROCESSED, environment)) == "0", EMPTY_WITHIN_S)

    again = place(system, environment, key)
    assert again == (201, first), f"the same key must give the same bytes: {again}"
    assert shell(system, WITH_KEY.format(key=key), environment).strip() == "1"

    assert shell(system, KILL, environment).strip() == "OK"
    killed_after = until(lambda: place(system, environment)[0] == 503)
    status, refusal = place(system, environment)
    assert (status, json.loads(refusal)["code"]) == (503, "killed"), refusal
    assert place(system, environment, key) == (201, first), "a stored answer is given even while killed"
    assert shell(system, CLEAR, environment).strip() == "1"
    cleared_after = until(lambda: place(system, environment)[0] == 201)
    return {
        "order": order["id"],
        "filled_in_postgres_after_s": shown_after,
        "outbox_empty_after_s": empty_after,
        "killed_after_s": killed_after,
        "cleared_after_s": cleared_after,
    }


def until(holds: Callable[[], bool], timeout_s: float = LONGEST_WAIT_S) -> float:
    """Waits for a condition; the seconds it took, the time of looking included."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < timeout_s, f"not within {timeout_s} s"
    return round(time.monotonic() - began, 3)


def cell(table: str) -> str:
    """The one value of a table as psql prints it: a heading, a rule, the value."""
    return table.splitlines()[2].strip()


def main() -> None:
    """Runs it in a fresh directory and prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--redis-port", type=int, default=6379)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ordergate-smoke-") as directory:
        began = time.monotonic()
        system = start(Path(directory) / "data", port=options.port, redis_port=options.redis_port)
        try:
            seen: dict[str, object] = {"ready_after_s": round(time.monotonic() - began, 2)}
            seen |= run(system)
            seen["stopped_after_s"] = round(stop(system), 2)
        finally:
            kill_everything(system)
            forget(system)
        print(json.dumps(seen, indent=2))


if __name__ == "__main__":
    main()
