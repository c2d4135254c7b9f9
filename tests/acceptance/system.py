"""One real system in a directory of its own: started by `ordergate up`, used over HTTP, psql and redis-cli.

Everything here sees the system from outside only; nothing is imported from `ordergate`.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY_TIMEOUT_S = 60.0
"""Far above the promise (5 s): these tests run on loaded machines. The smoke test reports the time it took."""
STOP_TIMEOUT_S = 10.0
"""The promise."""
ROLES = ("gateway", "worker", "venue", "up")


@dataclass(frozen=True)
class System:
    """Where a running system is."""

    data_dir: Path
    port: int
    redis_port: int
    prices: str
    supervisor: subprocess.Popen[bytes]
    output: Path


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP; `body` is the exact bytes."""

    status: int
    body: bytes
    headers: dict[str, str]

    def json(self) -> Any:
        """The body, decoded; decimals are strings in it."""
        return json.loads(self.body)


def free_port() -> int:
    """A loopback port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(
    data_dir: Path,
    *,
    prices: str = "synthetic",
    port: int | None = None,
    redis_port: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> System:
    """Starts `ordergate up` and returns when it takes PAPER orders; AssertionError with its last words if not.

    `settings` are further environment variables.
    """
    system = launch(data_dir, prices=prices, port=port, redis_port=redis_port, settings=settings)
    try:
        await_trading(system)
    except BaseException:
        kill_everything(system)
        raise
    return system


def launch(
    data_dir: Path,
    *,
    prices: str = "synthetic",
    port: int | None = None,
    redis_port: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> System:
    """Starts `ordergate up` without waiting for anything."""
    data_dir = data_dir.resolve()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    port, redis_port = port or free_port(), redis_port or free_port()
    output = data_dir.parent / f"{data_dir.name}.out"
    command = [sys.executable, "-m", "ordergate", "up", "--data-dir", str(data_dir), "--prices", prices]
    ports = {"ORDERGATE_HTTP__PORT": str(port), "ORDERGATE_REDIS__PORT": str(redis_port)}
    with output.open("ab") as sink:
        supervisor = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=clean_environment() | ports | dict(settings or {}),
            start_new_session=True,
        )
    return System(data_dir, port, redis_port, prices, supervisor, output)


def await_trading(system: System, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Returns when a PAPER order would be taken."""
    deadline = time.monotonic() + timeout_s
    last: object = "no answer"
    while time.monotonic() < deadline:
        code = system.supervisor.poll()
        assert code is None, f"ordergate up ended with {code}:\n{last_words(system)}"
        with suppress(OSError, http.client.HTTPException, ValueError):
            last = request(system, "GET", "/api/v1/health", timeout_s=2).json()
            if isinstance(last, dict) and last.get("tradingReady", {}).get("PAPER"):
                return
        time.sleep(0.05)
    raise AssertionError(f"not trading-ready after {timeout_s} s; health: {last}\n{last_words(system)}")


def stop(system: System) -> float:
    """Stops it as one Ctrl-C would; the seconds it took. Fails on an exit code, an orphan, or too long a wait."""
    members = family(system)
    began = time.monotonic()
    system.supervisor.send_signal(signal.SIGTERM)
    try:
        code = system.supervisor.wait(STOP_TIMEOUT_S + 5)
    except subprocess.TimeoutExpired:
        kill_everything(system)
        raise AssertionError(f"did not stop:\n{last_words(system)}") from None
    took = time.monotonic() - began
    orphans = survivors(members)
    for pid, _ in orphans:
        os.kill(pid, signal.SIGKILL)
    assert code == 0, f"ordergate up ended with {code}:\n{last_words(system)}"
    assert took <= STOP_TIMEOUT_S, f"stopping took {took:.1f} s"
    assert not orphans, f"left behind: {orphans}"
    return took


@contextmanager
def running(
    data_dir: Path,
    *,
    prices: str = "synthetic",
    port: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[System]:
    """A system for the length of a block: stopped in order when the block succeeds, by force when it fails."""
    system = start(data_dir, prices=prices, port=port, settings=settings)
    try:
        yield system
        stop(system)
    finally:
        kill_everything(system)
        forget(system)


def clean_environment() -> dict[str, str]:
    """Ours, without what would point at another system."""
    ours = ("ORDERGATE_", "DATABASE_URL", "REDIS_URL", "PG")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def last_words(system: System) -> str:
    """The end of what `up` and its children said, for a failure's message."""
    texts = [system.output, *sorted((system.data_dir / "log").glob("*"))]
    ends = [(text.name, text.read_text(errors="replace")[-1500:]) for text in texts if text.is_file()]
    return "\n".join(f"--- {name}\n{end}" for name, end in ends if end)


# --- processes ---------------------------------------------------------------------------------------------------


Family = dict[tuple[int, int], str]
"""(pid, start time) -> role: the start time tells a process from a later one with the same pid."""


def family(system: System) -> Family:
    """The supervisor and everything below it."""
    seen: dict[int, tuple[int, int, str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if fields[0] != "Z":
                    role = next((role for role in ROLES if role in words[2:5]), Path(words[0].split(" ")[0]).name)
                    seen[int(entry.name)] = (int(fields[1]), int(fields[19]), role)
    found: Family = {}
    for pid, (parent, started, role) in seen.items():
        ancestor = pid
        while ancestor in seen and ancestor != system.supervisor.pid:
            ancestor = parent if ancestor == pid else seen[ancestor][0]
        if ancestor == system.supervisor.pid:
            found[(pid, started)] = role
    return found


def survivors(members: Family) -> Family:
    """Those that still run, whoever their parent is now."""
    alive: Family = {}
    for (pid, started), role in members.items():
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z" and int(fields[19]) == started:
                alive[(pid, started)] = role
    return alive


def pid_of(system: System, role: str) -> int | None:
    """The process of this role (`gateway`, `worker`, `venue`), if it runs."""
    return next((pid for (pid, _), found in family(system).items() if found == role), None)


def gone(members: Family, timeout_s: float) -> Family:
    """Waits until they have ended; those that have not."""
    deadline = time.monotonic() + timeout_s
    while (alive := survivors(members)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return alive


def kill_everything(system: System) -> None:
    """No survivor, whatever state things are in: the supervisor first, so that it starts nothing again."""
    members = family(system)
    with suppress(ProcessLookupError):
        os.kill(system.supervisor.pid, signal.SIGKILL)
    system.supervisor.wait()
    for pid, _ in gone(members, 2):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    gone(members, 10)


def forget(system: System) -> None:
    """Removes what lies outside the data directory: under root, Postgres's files may be in a place of their own."""
    with suppress(OSError):
        shutil.rmtree(Path("/var/lib/ordergate") / (system.data_dir / "install.id").read_text().strip())


# --- use ---------------------------------------------------------------------------------------------------------


def request(
    system: System,
    method: str,
    path: str,
    *,
    token: str = "",
    body: bytes | None = None,
    key: str | None = None,
    timeout_s: float = 10,
) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=timeout_s)
    try:
        return exchange(connection, method, path, token=token, body=body, key=key)
    finally:
        connection.close()


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    *,
    token: str = "",
    body: bytes | None = None,
    key: str | None = None,
) -> Answer:
    """One request on a kept connection."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if key is not None:
        headers["Idempotency-Key"] = key
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return Answer(response.status, response.read(), {name.lower(): value for name, value in response.getheaders()})


def exported(system: System) -> dict[str, str]:
    """The environment after `eval "$(ordergate env)"`."""
    script = f'eval "$({sys.executable} -m ordergate env --data-dir "$1")" && env -0'
    done = subprocess.run(
        ["bash", "-c", script, "bash", str(system.data_dir)],
        env=clean_environment(),
        capture_output=True,
        check=True,
        timeout=30,
    )
    return dict(item.split("=", 1) for item in done.stdout.decode().split("\0") if "=" in item)


def shell(system: System, script: str, environment: dict[str, str] | None = None) -> str:
    """Runs a runbook's lines verbatim in bash, in the environment that `ordergate env` exports; its standard output."""
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail\n" + script],
        env=environment or exported(system),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{script}\nended with {done.returncode}: {done.stderr}"
    return done.stdout


def rows(system: System, sql: str, environment: dict[str, str] | None = None) -> list[list[str]]:
    """The rows that psql prints for a query, as text; NULL is the empty string."""
    quoted = sql.replace("'", "'\\''")
    out = shell(system, f"psql \"$DATABASE_URL\" -qAtX -F $'\\t' -c '{quoted}'", environment)
    return [line.split("\t") for line in out.splitlines()]


def demo_token(system: System) -> str:
    """The demo account's API key, from its 0600 file."""
    return (system.data_dir / "demo.key").read_text().strip()


def administer(system: System, verb: str, **args: object) -> Any:
    """One verb over the admin socket; its answer, or AssertionError with the refusal."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(10)
        stream.connect(str((system.data_dir / "run").resolve() / "admin.sock"))
        stream.sendall(json.dumps({"verb": verb, "args": args}).encode() + b"\n")
        answer = json.loads(stream.makefile().readline())
    assert "ok" in answer, f"{verb} {args}: {answer}"
    return answer["ok"]


def open_account(system: System, name: str, paper: dict[str, str]) -> str:
    """A new account with PAPER balances and one key that may trade without a rate limit; the token."""
    administer(system, "accounts.create", name=name, paper=paper)
    created = administer(
        system, "keys.create", account=name, owner="test", name="test", scopes=["read", "trade"], ratePerSecond=0
    )
    token: str = created["token"]
    return token


def run_strategy(system: System, account: str) -> str:
    """Creates and starts a strategy of the account; the name, which is the account's."""
    administer(system, "strategies.create", name=account, account=account, by="test")
    administer(system, "strategies.start", name=account, by="test", reason="trades")
    return account


def start_strategies(system: System) -> None:
    """What a person does after a kill: starts again every strategy that is stopped; AssertionError while killed."""
    for strategy in administer(system, "strategies.list"):
        if strategy["status"] == "STOPPED":
            administer(system, "strategies.start", name=strategy["id"], by="test", reason="the kill was cleared")


# --- quiet -------------------------------------------------------------------------------------------------------


def settle(system: System, timeout_s: float = 60) -> None:
    """Returns when Postgres and the portfolio hold everything that was durable when it was called."""
    durable = int(request(system, "GET", "/api/v1/health").json()["durableSeq"])
    environment = exported(system)
    deadline = time.monotonic() + timeout_s
    while True:
        [[watermark, unprocessed]] = rows(
            system,
            "SELECT (SELECT last_seq FROM execution.watermark),"
            " (SELECT count(*) FROM execution.portfolio_events_outbox WHERE processed_at IS NULL)",
            environment,
        )
        if int(watermark or 0) >= durable and unprocessed == "0":
            return
        assert time.monotonic() < deadline, (
            f"Postgres stands at {watermark} of {durable}, outbox {unprocessed}\n{last_words(system)}"
        )
        time.sleep(0.1)
