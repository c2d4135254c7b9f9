"""A whole gateway on a real journal: told to stop under load it leaves nothing to repair, and it shares with nobody."""

import http.client
import json
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ordergate import _core
from ordergate.config import Paths
from tests.acceptance import steady
from tests.acceptance.system import System, administer, clean_environment, free_port, open_account, request
from tests.integration.real_journal import BTCUSDT
from tests.unit.valkey_server import Valkey, valkey

LIMIT = {
    "symbol": "BTCUSDT",
    "type": "LIMIT",
    "timeInForce": "IOC",
    "quantity": "0.001",
    "price": "39000",
    "mode": "PAPER",
}
MONEY = {"USDT": "100000000", "BTC": "1000"}
RATE = 400.0


@dataclass
class House:
    """A data directory, its Valkey, and the gateways started for it."""

    paths: Paths
    valkey: Valkey
    gateways: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> System:
        """A gateway process, answering or ended."""
        port = free_port()
        log = self.paths.log / f"gateway-{len(self.gateways)}.log"
        with log.open("wb") as sink:
            gateway = subprocess.Popen(
                [sys.executable, "-m", "ordergate", "gateway", "--data-dir", str(self.paths.data)],
                stdout=sink,
                stderr=sink,
                env=clean_environment() | {"ORDERGATE_HTTP__PORT": str(port), "REDIS_URL": self.valkey.url},
            )
        self.gateways.append(gateway)
        system = System(self.paths.data, port, 0, "", gateway, log)
        deadline = time.monotonic() + 30
        while gateway.poll() is None:
            with suppress(OSError, http.client.HTTPException):
                request(system, "GET", "/api/v1/health", timeout_s=2)
                return system
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        return system


@pytest.fixture
def house() -> Iterator[House]:
    """A new one, its paths short enough for sockets; no gateway outlives the test."""
    with tempfile.TemporaryDirectory(prefix="ogs") as name:
        paths = Paths(Path(name) / "data")
        paths.prepare()
        with valkey(Path(name)) as server:
            made = House(paths, server)
            yield made
            for gateway in made.gateways:
                gateway.kill()
                gateway.wait()


@dataclass(frozen=True)
class Position:
    """What `commit` says: the last record, the first one of its segment, and where its chunk ends there."""

    last_seq: int
    segment: int
    end: int


def committed(journal: Path) -> Position:
    """The newer slot of the file; see core_rs/journal/src/commit.rs."""
    page = (journal / "commit").read_bytes()
    slots = [struct.unpack_from("<5Q", page, at) for at in (0, 512)]
    _, last_seq, segment, _, end = max(slots)
    return Position(last_seq, segment, end)


def at_rest(journal: Path) -> Position:
    """`committed`, once the gateway's first tick has begun the trading day."""
    before, deadline = None, time.monotonic() + 10
    while before != (before := committed(journal)):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return before


def segment_of(journal: Path, position: Position) -> bytes:
    """The segment that the position is in."""
    return (journal / f"{position.segment:020}.seg").read_bytes()


def accepted(journal: Path) -> list[str]:
    """The ids of all orders that the journal holds."""
    follower = _core.Follower(str(journal))
    follower.catch_up()
    return [order["id"] for order in json.loads(follower.orders())]


def tokens_of(system: System) -> list[str]:
    """Four accounts that may trade."""
    administer(system, "instruments.load", instruments=[BTCUSDT])
    return [open_account(system, f"stop-{index}", MONEY) for index in range(4)]


def test_sigterm_under_load_leaves_nothing_to_repair(house: House) -> None:
    system = house.start()
    tokens = tokens_of(system)
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(steady.place, system, tokens, RATE, over, LIMIT)
        time.sleep(1.5)
        began = time.monotonic()
        system.supervisor.send_signal(signal.SIGTERM)
        code = system.supervisor.wait(timeout=15)
        took = time.monotonic() - began
        over.set()
        tally = load.result()
    assert code == 0, system.output.read_text()
    assert took < 4  # when the supervisor would kill it
    assert tally.statuses[201] > 100
    # Who was not answered with an order was told so, or was never connected: no answer is 4xx, no order is left over.
    assert set(tally.statuses) <= {201, 503, steady.LOST}, tally.statuses
    journal = house.paths.journal
    stored = accepted(journal)
    assert len(stored) == tally.statuses[201], tally.statuses
    before = committed(journal)
    chunks = segment_of(journal, before)
    assert not any(chunks[before.end :]), "a chunk above `commit`: the next start would have to write it again"

    again = house.start()
    assert again.supervisor.poll() is None, again.output.read_text()
    after = committed(journal)
    assert segment_of(journal, after)[: before.end] == chunks[: before.end]
    assert after.last_seq > before.last_seq
    assert accepted(journal) == stored


def test_a_second_gateway_on_the_journal_ends_at_once(house: House) -> None:
    first = house.start()
    tokens = tokens_of(first)
    before = at_rest(house.paths.journal)
    began = time.monotonic()
    second = house.start()
    assert second.supervisor.wait(timeout=10) == 2
    assert time.monotonic() - began < 5
    assert "another gateway runs on this data directory" in second.output.read_text()
    assert "Traceback" not in second.output.read_text()
    assert committed(house.paths.journal) == before
    body = json.dumps(LIMIT | {"side": "BUY"}).encode()
    answer = request(first, "POST", "/api/v1/orders", token=tokens[0], body=body, key="k")
    assert (answer.status, first.supervisor.poll()) == (201, None)
