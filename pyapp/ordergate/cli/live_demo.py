"""`ordergate live-demo`: LIVE from key to fill, against a local exchange and in a directory that is thrown away."""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NoReturn

import click

from ordergate.supervisor.ports import free_port

ACCOUNT: Final = "demo"
PATIENCE_S: Final = 90.0
PRICE: Final = "39500"
"""Of the local exchange when the demo begins: the order's limit is above it."""
ORDER: Final = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": 0.001, "price": 40000, "mode": "LIVE"}


@click.command(name="live-demo")
def live_demo() -> None:
    """Trade LIVE on a local exchange, once: start both, add a key, place an order, show its fill, stop.

    Nothing outside this machine is spoken to, and nothing is left behind.
    """
    with tempfile.TemporaryDirectory(prefix="ordergate-live-") as place, _exchange(place) as announced:
        _say(f"local exchange at {announced['rest']}")
        _post(announced["control"], "/price", {"symbol": "BTCUSDT", "price": PRICE})
        port = free_port()
        with _ordergate(place, announced, port) as environment:
            key = announced["accounts"][0]
            added = _command(
                environment, "venue", "add", "binance", "--account", ACCOUNT, "--from", "-", "--generate-master-key",
                given=f"{key['apiKey']}\n{key['secret']}\n",
            )  # fmt: skip
            _say(f"key added:\n{added.rstrip()}")
            _until(lambda: _get(port, "/api/v1/health").get("tradingReady", {}).get("LIVE"), "LIVE is ready", place)
            _say("LIVE is ready: keys looked at, instruments loaded, reconciled, user stream subscribed")
            _trade(port, (Path(place) / "data" / "demo.key").read_text(encoding="ascii").strip(), place, announced)
    _say("stopped")


def _trade(port: int, token: str, place: str, announced: Mapping[str, Any]) -> None:
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Idempotency-Key": f"live-demo-{os.getpid()}",
    }
    status, order = _ask(port, "POST", "/api/v1/orders", headers, json.dumps(ORDER))
    if status != 201:
        _fail(f"the order was not taken: {status} {order}", place)
    _say(f"order {order['id']} taken ({status}): {json.dumps(ORDER)}")
    found: dict[str, Any] = {}

    def filled() -> bool:
        found.update(_ask(port, "GET", f"/api/v1/orders/{order['id']}", headers)[1])
        return bool(found["status"] == "FILLED")

    _until(filled, f"order {order['id']} is FILLED", place)
    _say(f"FILLED: {found['filledQuantity']} at {found['avgFillPrice']}, the exchange's order {found['venueOrderId']}")
    truth = _get_url(announced["control"], "/state")["accounts"][announced["accounts"][0]["name"]]
    trades = [trade for trade in truth["trades"] if str(trade["orderId"]) == str(found["venueOrderId"])]
    for trade in trades:
        _say(f"  the exchange's trade {trade['id']}: {trade['qty']} at {trade['price']}, "
             f"fee {trade['commission']} {trade['commissionAsset']}")  # fmt: skip
    if not trades:
        _fail("the exchange knows of no trade", place)


@contextmanager
def _exchange(place: str) -> Iterator[dict[str, Any]]:
    """A local exchange; what it announced."""
    command = [*_program(), "exchange", "--market", "1", "--tether"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(Path(place) / "exchange.log").open("wb")
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            _fail("the local exchange did not start", place)
        announced: dict[str, Any] = json.loads(line)
        yield announced
    finally:
        _stop(process)


@contextmanager
def _ordergate(place: str, announced: Mapping[str, Any], port: int) -> Iterator[dict[str, str]]:
    """`ordergate up` with LIVE enabled; the environment for commands about it."""
    data = Path(place) / "data"
    data.mkdir(mode=0o700)
    (data / "ordergate.toml").write_text(
        f"""[http]
port = {port}

[redis]
port = {free_port()}

[binance]
enabled = true
rest_url = "{announced["rest"]}"
ws_api_url = "{announced["wsApi"]}"
stream_url = "{announced["streams"]}"
allowed_hosts = ["127.0.0.1"]
symbols = ["BTCUSDT", "ETHUSDT"]
""",
        encoding="utf-8",
    )
    ours = ("ORDERGATE_", "DATABASE_URL", "REDIS_URL", "PG")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment["ORDERGATE_DATA_DIR"] = str(data)
    log: IO[bytes] = (Path(place) / "up.log").open("wb")
    process = subprocess.Popen(
        [*_program(), "up", "--data-dir", str(data)],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        _until(lambda: process.poll() is not None or _get(port, "/api/v1/health").get("ready"), "it is ready", place)
        if process.poll() is not None:
            _fail("ordergate did not start", place)
        _say(f"ordergate at http://127.0.0.1:{port}, LIVE enabled, no key yet")
        yield environment
    finally:
        _stop(process)


def _program() -> list[str]:
    return [sys.executable, "-P", "-m", "ordergate"]


def _command(environment: Mapping[str, str], *words: str, given: str) -> str:
    done = subprocess.run(
        [*_program(), *words], input=given, env=dict(environment), capture_output=True, text=True, timeout=PATIENCE_S,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        _say((done.stdout + done.stderr).rstrip())
        sys.exit(1)
    return done.stdout


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _until(true: Callable[[], Any], what: str, place: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            _fail(f"not within {PATIENCE_S:.0f} s: {what}", place)
        time.sleep(0.05)


def _get(port: int, path: str) -> dict[str, Any]:
    try:
        return _ask(port, "GET", path)[1]
    except (OSError, http.client.HTTPException, ValueError):
        return {}


def _ask(
    port: int, method: str, path: str, headers: Mapping[str, str] | None = None, body: str | None = None
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        told: dict[str, Any] = json.loads(answer.read())
        return answer.status, told
    finally:
        connection.close()


def _control(url: str) -> tuple[int, str]:
    address, _, path = url.removeprefix("http://").partition("/")
    return int(address.rpartition(":")[2]), f"/{path}"


def _get_url(url: str, path: str) -> dict[str, Any]:
    port, prefix = _control(url)
    return _ask(port, "GET", prefix + path)[1]


def _post(url: str, path: str, body: Mapping[str, Any]) -> None:
    port, prefix = _control(url)
    status, told = _ask(port, "POST", prefix + path, {"Content-Type": "application/json"}, json.dumps(body))
    assert status == 200, told


def _say(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()


def _fail(why: str, place: str) -> NoReturn:
    for log in sorted(Path(place).rglob("*.log")):
        text = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
        if text:
            click.echo(f"--- {log.name}\n{text}", err=True)
    click.echo(f"ordergate: {why}", err=True)
    sys.exit(1)
