"""Starts a fresh system, lets a hundred locust users trade on it, and checks what they were told against Postgres.

Fails when the 95th percentile is 150 ms or more, when any request failed, or when any order that was sent has not
exactly one row in `execution.orders`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.acceptance.system import System, open_account, rows, running, settle  # noqa: E402 - needs the line above

P95_BELOW_MS = 150
ACCOUNTS = 10


def load(
    system: System, directory: Path, users: int, seconds: int
) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Runs locust without its web page; its figures and the notes of every order sent."""
    paper = {"USDT": "100000000", "BTC": "10000"}
    tokens = [open_account(system, f"load-{index}", paper) for index in range(ACCOUNTS)]
    files = {name: directory / name.lower() for name in ("LOADTEST_TOKENS", "LOADTEST_NOTES", "LOADTEST_FIGURES")}
    files["LOADTEST_TOKENS"].write_text("\n".join(tokens))
    command = [sys.executable, "-m", "locust", "-f", str(REPOSITORY / "loadtest" / "locustfile.py"), "--headless"]
    command += ["--users", str(users), "--spawn-rate", str(max(users // 2, 1)), "--run-time", f"{seconds}s"]
    command += [
        "--host",
        f"http://127.0.0.1:{system.port}",
        "--only-summary",
        "--stop-timeout",
        "10",
        "--exit-code-on-error",
        "0",
    ]
    environment = os.environ | {name: str(path) for name, path in files.items()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode != 0:
        sys.exit(f"locust ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    notes = [json.loads(line) for line in files["LOADTEST_NOTES"].read_text().splitlines()]
    figures: dict[str, object] = json.loads(files["LOADTEST_FIGURES"].read_text())
    return figures, notes


def unmatched(system: System, notes: list[dict[str, object]]) -> list[str]:
    """What differs between the orders that were sent and the rows in Postgres."""
    settle(system)
    sql = "SELECT idempotency_key, id FROM execution.orders WHERE account_id LIKE 'load-%'"
    found = [(key, identity) for key, identity in rows(system, sql)]
    count = Counter(key for key, _ in found)
    identities = dict(found)
    wrong = [f"{note['key']}: {count[str(note['key'])]} rows" for note in notes if count[str(note["key"])] != 1]
    wrong += [
        f"{note['key']}: order {note['id']} to the client, {identities.get(str(note['key']))} in Postgres"
        for note in notes
        if note["id"] is not None and identities.get(str(note["key"])) != note["id"]
    ]
    wrong += [f"{key}: a row that nobody sent" for key in count.keys() - {str(note["key"]) for note in notes}]
    return wrong


def main() -> None:
    """Runs it and prints the figures; exits 1 when a condition does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ordergate-load-") as name:
        directory = Path(name)
        with running(directory / "data") as system:
            figures, notes = load(system, directory, options.users, options.seconds)
            wrong = unmatched(system, notes)
    print(json.dumps(figures | {"users": options.users, "orders_sent": len(notes), "unmatched": len(wrong)}, indent=2))
    problems = [*wrong[:10]]
    if figures["failures"]:
        problems.append(f"{figures['failures']} requests failed")
    if not notes:
        problems.append("no order was sent")
    if float(str(figures["p95_ms"])) >= P95_BELOW_MS:
        problems.append(f"p95 is {figures['p95_ms']} ms, not below {P95_BELOW_MS} ms")
    for problem in problems:
        print(f"loadtest: {problem}", file=sys.stderr)
    print("loadtest: " + ("FAILED" if problems else f"passed: p95 {figures['p95_ms']} ms, one row for each order"))
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
