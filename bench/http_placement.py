"""Durable placement over HTTP, held against a hello-world on the same server; see bench/README.md for what is measured.

Rounds of hello and of placement alternate, so that both see the same machine; only their ratio means anything.
Afterwards the same for the full system (venue, worker and Postgres running). Exits 1 when the ratio is too low.
"""

import argparse
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from ordergate import _core  # noqa: E402 - needs the line above
from ordergate.config import Paths  # noqa: E402
from ordergate.supervisor import administration  # noqa: E402
from ordergate.supervisor.first_start import packaged_instruments  # noqa: E402
from ordergate.supervisor.programs import valkey_server  # noqa: E402
from tests.acceptance.system import clean_environment, free_port, open_account, pid_of, running, settle  # noqa: E402

LOADGEN = REPOSITORY / "target" / "release" / "ordergate-loadgen"
CONNECTIONS = 100
RATIO_AT_LEAST = 0.40
GENERATOR_AT_LEAST = 1.5
"""The generator must do this many times the placement rate against something faster, or it is what was measured."""
MONEY = {"USDT": "1000000000000", "BTC": "1000000"}
BODY = (
    '{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"IOC","quantity":0.001,"price":40000,"mode":"PAPER",'
    '"clientOrderId":"c{n}"}'
)

Figures = dict[str, Any]
FIRST = [1]
"""The number of the next request: no two requests of one run have the same."""


@dataclass(frozen=True)
class Cores:
    """Which processors serve and which drive; None when nothing is pinned."""

    server: set[int] | None
    generator: set[int] | None


def pinned(cores: set[int] | None) -> list[str]:
    """What goes before a command, so that it runs on these processors only."""
    return [] if cores is None else ["taskset", "--cpu-list", ",".join(map(str, cores))]


@dataclass(frozen=True)
class Target:
    """A server under load, and the status it answers with. No `token`: the hello-world."""

    port: int
    pid: int
    expect: int = 200
    token: str = "x" * 52


def processor_seconds(pid: int) -> float:
    """What a process has used of all processors so far, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def order_request(token: str) -> list[str]:
    """The generator's words for one new order after another."""
    return [
        *("--method", "POST", "--path", "/api/v1/orders", "--body", BODY),
        *("--header", f"Authorization: Bearer {token}", "--header", "Idempotency-Key: bench-{n}"),
    ]


def drive(target: Target, cores: Cores, seconds: float, *, bare: bool = False) -> Figures:
    """One run of the generator with new orders, or with a bare GET."""
    words = [*pinned(cores.generator), str(LOADGEN), "drive", "--port", str(target.port)]
    words += ["--connections", str(CONNECTIONS), "--expect", str(target.expect), "--first", str(FIRST[0])]
    words += ["--warmup-ms", "700", "--measure-ms", str(int(seconds * 1000))]
    words += [] if bare else order_request(target.token)
    used = processor_seconds(target.pid)
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        sys.exit(f"bench: {done.stderr.strip()}")
    figures: Figures = json.loads(done.stdout)
    FIRST[0] += figures["sent"]
    figures["cpu_us"] = (processor_seconds(target.pid) - used) / figures["sent"] * 1e6
    if figures["unexpected"] or figures["lost_connections"]:
        sys.exit(
            f"bench: {figures['unexpected']} unexpected answers, {figures['lost_connections']} connections lost: "
            f"{figures['first_unexpected'][:600]}"
        )
    return figures


def await_answer(port: int, path: str, process: subprocess.Popen[bytes], log: Path) -> Any:
    """Waits until something answers there with 200 and, for health, takes PAPER orders."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", path)
            response = connection.getresponse()
            body = json.loads(response.read())
            if response.status == 200 and body.get("tradingReady", {"PAPER": True})["PAPER"]:
                return body
        time.sleep(0.05)
    sys.exit(f"bench: nothing answers on {port}{path}: {log.read_text(errors='replace')[-2000:]}")


@contextlib.contextmanager
def process(
    words: list[str], log: Path, cores: set[int] | None, settings: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A child for the length of a block."""
    with log.open("ab") as sink:
        child = subprocess.Popen(
            pinned(cores) + words,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=clean_environment() | settings,
        )
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextlib.contextmanager
def hello(directory: Path, cores: Cores) -> Iterator[Target]:
    """The hello-world."""
    port, log = free_port(), directory / "hello.log"
    words = [sys.executable, str(REPOSITORY / "bench" / "hello.py"), str(port)]
    with process(words, log, cores.server, {}) as child:
        await_answer(port, "/hello", child, log)
        yield Target(port, child.pid)


@contextlib.contextmanager
def gateway_alone(directory: Path, cores: Cores) -> Iterator[Target]:
    """Gateway, journal and a Valkey for its kill switch; no venue, no worker, no Postgres."""
    paths = Paths(directory / "alone")
    paths.prepare()
    valkey_socket = paths.valkey_socket
    valkey = [str(valkey_server()), "--port", "0", "--unixsocket", str(valkey_socket), "--unixsocketperm", "700"]
    valkey += ["--dir", str(paths.valkey), "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
    valkey += ["--maxmemory-policy", "noeviction"]
    port, log = free_port(), directory / "gateway.log"
    settings = {"ORDERGATE_HTTP__PORT": str(port), "REDIS_URL": f"unix://{valkey_socket}?db=0"}
    words = [sys.executable, "-m", "ordergate", "gateway", "--data-dir", str(paths.data)]
    with (
        process(valkey, directory / "valkey.log", cores.server, {}),
        process(words, log, cores.server, settings) as child,
    ):
        while not valkey_socket.exists():
            time.sleep(0.02)
        deadline = time.monotonic() + 30
        while not administration.listening(paths.admin_socket):
            if child.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"bench: the gateway does not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

        def ask(verb: str, **arguments: object) -> Any:
            answer = administration.ask(paths.admin_socket, verb, arguments)
            return answer["ok"] if isinstance(answer, dict) and "ok" in answer else answer

        ask("accounts.create", name="bench", paper=MONEY)
        ask("instruments.load", instruments=packaged_instruments())
        for kind, value in (
            ("MAX_ORDER_QTY", "100"),
            ("MAX_ORDER_NOTIONAL", "5000000"),
            ("MAX_OPEN_ORDERS", "1000000"),
        ):
            ask("risk.set", scope="account", target="bench", kind=kind, value=value, by="bench", reason="bench")
        made = ask(
            "keys.create", account="bench", owner="bench", name="bench", scopes=["read", "trade"], ratePerSecond=0
        )
        yield Target(port, child.pid, 201, made["token"])


def ceiling(cores: Cores, seconds: float) -> Figures:
    """What the generator does against the cheapest server there is: its own limit on this machine."""
    port = free_port()
    server = subprocess.Popen(
        [*pinned(cores.server), str(LOADGEN), "answer", "--port", str(port)], stdout=subprocess.DEVNULL
    )
    try:
        time.sleep(0.3)
        return drive(Target(port, server.pid), cores, seconds)
    finally:
        server.kill()
        server.wait()


def quiet(target: Target) -> None:
    """Waits until the orders of the last round have ended (unsent ones do after 2 s): hello must not pay for them."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=10)
        connection.request("GET", "/api/v1/health")
        if json.loads(connection.getresponse().read())["openOrders"] == 0:
            return
        time.sleep(0.2)
    sys.exit("bench: orders are still open 30 s after a round")


def alternate(name: str, baseline: Target, gateway: Target, cores: Cores, options: argparse.Namespace) -> Figures:
    """Rounds of hello and of placement in turn; the ratios of the medians."""
    runs: dict[str, list[Figures]] = {"bare": [], "hello": [], "placement": []}
    for number in range(1, options.rounds + 1):
        runs["bare"].append(drive(baseline, cores, options.seconds, bare=True))
        runs["hello"].append(drive(baseline, cores, options.seconds))
        runs["placement"].append(drive(gateway, cores, options.seconds))
        quiet(gateway)
        bare, hello, placement = (series[-1] for series in runs.values())
        print(
            f"  {name} {number}: hello {hello['rate']:>7,.0f}/s (bare {bare['rate']:>7,.0f})   placement"
            f" {placement['rate']:>7,.0f}/s   ratio {placement['rate'] / hello['rate']:.3f}"
            f" ({placement['rate'] / bare['rate']:.3f})   p50 {placement['p50_us'] / 1000:.2f}"
            f" p99 {placement['p99_us'] / 1000:.2f} ms   server {hello['cpu_us']:.0f} ({bare['cpu_us']:.0f})"
            f" and {placement['cpu_us']:.0f} us each   generator {placement['generator_cpu']:.0%} of a core",
            flush=True,
        )

    def middle(series: str, figure: str) -> float:
        return float(median(run[figure] for run in runs[series]))

    return {
        "hello_per_s": round(middle("hello", "rate")),
        "bare_hello_per_s": round(middle("bare", "rate")),
        "placement_per_s": round(middle("placement", "rate")),
        "ratio": round(middle("placement", "rate") / middle("hello", "rate"), 3),
        "ratio_to_bare_hello": round(middle("placement", "rate") / middle("bare", "rate"), 3),
        "p50_ms": round(middle("placement", "p50_us") / 1000, 2),
        "p99_ms": round(middle("placement", "p99_us") / 1000, 2),
        "cpu_us": {series: round(middle(series, "cpu_us"), 1) for series in runs},
        "generator_cpu": round(middle("placement", "generator_cpu"), 2),
    }


def refuse_memory_disk(directory: Path) -> None:
    """A flush to memory costs nothing: figures from there would be worth nothing."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    place, kind = max(
        ((place, kind) for place, kind in mounts if directory.resolve().is_relative_to(place)),
        key=lambda row: len(row[0]),
    )
    if kind in {"tmpfs", "ramfs"}:
        sys.exit(f"bench: {directory} is on {kind} ({place}), where fdatasync does nothing: choose another --directory")


def chosen_cores(pin: bool) -> Cores:
    """The first processor serves, the last one drives, when there are two and pinning is wanted."""
    available = sorted(os.sched_getaffinity(0))
    if not pin or len(available) < 2:
        return Cores(None, None)
    return Cores({available[0]}, {available[-1]})


def measure(options: argparse.Namespace, directory: Path) -> Figures:
    """Everything, in order; what was seen."""
    cores, figures = chosen_cores(options.pin), {}
    limit = ceiling(cores, options.seconds)
    print(f"  generator against the cheapest server: {limit['rate']:,.0f}/s", flush=True)
    figures["generator_limit_per_s"] = round(limit["rate"])
    with hello(directory, cores) as baseline:
        with gateway_alone(directory, cores) as gateway:
            figures["gateway"] = alternate("gateway", baseline, gateway, cores, options)
        if options.full:
            with running(directory / "full") as system:
                pid, token = pid_of(system, "gateway"), open_account(system, "bench", MONEY)
                assert pid is not None
                everything = Target(system.port, pid, 201, token)
                figures["full_system"] = alternate("full system", baseline, everything, Cores(None, None), options)
                began = time.monotonic()
                settle(system, timeout_s=300)
                figures["full_system"]["postgres_caught_up_after_s"] = round(time.monotonic() - began, 1)
    return figures


def main() -> None:
    """Measures, prints, judges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="counted time of each run of the generator")
    parser.add_argument("--directory", type=Path, default=REPOSITORY / "build", help="where the journals are written")
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="let every process use every processor")
    parser.add_argument("--no-full", dest="full", action="store_false", help="leave out the full system")
    options = parser.parse_args()
    if _core.BUILD_PROFILE != "release":
        sys.exit(f"bench: the extension is a {_core.BUILD_PROFILE} build: run `make build`")
    options.directory.mkdir(parents=True, exist_ok=True)
    refuse_memory_disk(options.directory)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.directory) as name:
        figures = measure(options, Path(name))
    print(json.dumps(figures, indent=2))
    gateway = figures["gateway"]
    headroom = max(gateway["bare_hello_per_s"], figures["generator_limit_per_s"]) / gateway["placement_per_s"]
    problems = []
    if gateway["ratio_to_bare_hello"] < RATIO_AT_LEAST:
        problems.append(f"ratio {gateway['ratio_to_bare_hello']} is below {RATIO_AT_LEAST}")
    if headroom < GENERATOR_AT_LEAST:
        problems.append(f"the generator has only {headroom:.2f} times the placement rate in it: it may be the limit")
    print(
        f"durable placement / hello = {gateway['ratio_to_bare_hello']} (medians of {options.rounds} rounds; all checks,"
        f" every answer flushed); against a hello that reads the same requests {gateway['ratio']}"
    )
    if full := figures.get("full_system"):
        print(f"full system: {full['placement_per_s']:,}/s = {full['ratio']} of hello")
    print(f"the generator alone reaches {headroom:.2f} times the placement rate")
    for problem in problems:
        print(f"bench: {problem}", file=sys.stderr)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
