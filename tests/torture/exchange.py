"""The exchange of a LIVE run: a local one in a process of its own, its ledger on disk, its market moved from here.

It can be killed and comes back from its ledger on the same ports. What it has is the truth that everything is held
against; what it was asked stands in its log of requests, which outlives it.
"""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.acceptance.market import MID, OPENING, TICK
from tests.acceptance.system import free_port

SYMBOL = "BTCUSDT"
STARTS_S = 60.0
"""It does its whole ledger again first."""
STEP_S = 0.15
"""Between two steps of the market."""
JUMPS = 0.2
"""Share of the steps at which the price jumps, over what rests in between."""
JUMP_TICKS = 6_000
GENEROUS = {"weight": 10_000_000, "rawRequests": 10_000_000, "ordersTenSeconds": 100_000, "ordersDay": 10_000_000}
"""All accounts ask from one address, many times as often as people would; limits have faults of their own."""
LOST = (OSError, http.client.HTTPException, ValueError)
"""What asking a dying exchange may raise."""

Key = tuple[str, str]


@dataclass
class LocalExchange:
    """Where it is, its accounts' keys, and the process that serves it now."""

    directory: Path
    keys: dict[str, Key]
    port: int = field(default_factory=free_port)
    control_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What `[binance]` has to say to trade there."""
        return {
            "enabled": True,
            "rest_url": f"http://127.0.0.1:{self.port}",
            "ws_api_url": f"ws://127.0.0.1:{self.port}/ws-api/v3",
            "stream_url": f"ws://127.0.0.1:{self.port}",
            "allowed_hosts": ["127.0.0.1"],
            "symbols": [SYMBOL],
        }

    def start(self) -> None:
        """Starts it, or starts it again from its ledger; returns when it serves."""
        command = [sys.executable, "-m", "ordergate", "exchange", "--tether", "--port", str(self.port)]
        command += ["--control-port", str(self.control_port), "--config", str(self.directory / "exchange.json")]
        command += ["--ledger", str(self.directory / "ledger")]
        with (self.directory / "exchange.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the exchange ended with {self.process.wait(STARTS_S)}: {self.last_words()}"

    def signal(self, number: signal.Signals) -> None:
        """Sends the process a signal; after SIGKILL it is gone."""
        assert self.process is not None
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()

    def end(self) -> None:
        """No survivor."""
        if self.process is not None and self.process.returncode is None:
            self.signal(signal.SIGKILL)

    def ask(self, verb: str, path: str, tree: Any = None, timeout_s: float = 20.0) -> Any:
        """One request at the control port. AssertionError when it is refused; `LOST` when there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=timeout_s)
        try:
            connection.request(verb, f"/__emu{path}", None if tree is None else json.dumps(tree).encode())
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, f"{verb} {path} {tree}: {answer.status} {body!r}"
        return json.loads(body)

    def rule(self, rule: dict[str, Any]) -> None:
        """One more rule of faults."""
        self.ask("POST", "/rules", rule)

    def faultless(self) -> None:
        """No rule acts from here on."""
        self.ask("DELETE", "/rules")

    def state(self) -> dict[str, Any]:
        """What it has: accounts with orders, trades and balances."""
        found: dict[str, Any] = self.ask("GET", "/state")
        return found

    def commits(self) -> dict[str, int]:
        """Client id → how many orders it has accepted under it."""
        found: dict[str, int] = self.ask("GET", "/ledger?after=1000000000")["commits"]
        return found

    def requests(self) -> list[dict[str, Any]]:
        """Everything that it was ever asked; a torn last line was never answered."""
        log = self.directory / "ledger" / "requests.jsonl"
        lines = log.read_bytes().split(b"\n") if log.exists() else []
        return [json.loads(line) for line in lines[:-1] if line.endswith(b"}")]

    def last_words(self) -> str:
        """The end of what it said."""
        log = self.directory / "exchange.log"
        return log.read_text(errors="replace")[-1500:] if log.exists() else ""


def opened(directory: Path, accounts: Sequence[str], seed: int) -> LocalExchange:
    """A new exchange with these accounts, each with a key of its own; it serves when this returns."""
    directory.mkdir(parents=True)
    random = Random(f"{seed}/keys")
    keys = {name: (f"{random.getrandbits(256):064x}", f"{random.getrandbits(256):064x}") for name in accounts}
    config = {
        "accounts": [
            {"name": name, "keys": [{"apiKey": key, "secret": secret}], "balances": OPENING}
            for name, (key, secret) in keys.items()
        ],
        "limits": GENEROUS,
    }
    (directory / "exchange.json").write_text(json.dumps(config))
    exchange = LocalExchange(directory, keys)
    exchange.start()
    exchange.ask("POST", "/price", {"symbol": SYMBOL, "price": str(MID)})
    exchange.ask("POST", "/trade", {"symbol": SYMBOL, "price": str(MID), "quantity": "0.001"})
    return exchange


# --- the market -----------------------------------------------------------------------------------------------------


@dataclass
class Market:
    """Moves prices while `going` is set. Its choices come from a seed; when they meet orders is the machine's doing."""

    exchange: LocalExchange
    random: Random
    going: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    stepping: threading.Lock = field(default_factory=threading.Lock)
    failure: list[BaseException] = field(default_factory=list)
    thread: threading.Thread | None = None


def move(exchange: LocalExchange, seed: int) -> Market:
    """Lets the market move."""
    market = Market(exchange, Random(f"{seed}/market"))
    market.going.set()
    market.thread = threading.Thread(target=_move, args=(market, seed), name="market", daemon=True)
    market.thread.start()
    return market


def _move(market: Market, seed: int) -> None:
    try:
        while not market.over.is_set():
            market.going.wait()
            with market.stepping:
                if market.going.is_set() and not market.over.is_set():
                    # It may be dead or frozen at the moment: then nothing moves.
                    with suppress(*LOST):
                        _step(market, seed)
            time.sleep(STEP_S)
    except BaseException as failure:
        market.failure.append(failure)


def _step(market: Market, seed: int) -> None:
    if market.random.random() < JUMPS:
        price = MID + market.random.randint(-JUMP_TICKS, JUMP_TICKS) * TICK
        market.exchange.ask("POST", "/price", {"symbol": SYMBOL, "price": str(price)}, timeout_s=5)
    else:
        market.exchange.ask("POST", "/step", {"seed": str(seed)}, timeout_s=5)


@contextmanager
def still(market: Market | None) -> Iterator[None]:
    """Nothing moves within this block. Without a market there is nothing to stop."""
    if market is None:
        yield
        return
    market.going.clear()
    try:
        with market.stepping:
            if market.failure:
                raise market.failure[0]
        yield
    finally:
        market.going.set()


def rest(market: Market) -> None:
    """Nothing moves any more."""
    market.over.set()
    market.going.set()
    if market.thread is not None:
        market.thread.join(STARTS_S)
