"""The venue's process: what it refuses, and that it ends with its session."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from ordergate._core import FOLD_VERSION
from ordergate.config import Paths, Settings
from ordergate.config.settings import Log, Paper, Redis
from ordergate.venues import link, main
from tests.unit.venue_stage import FakeJournal


class Stopped(Exception):
    """Stands for FollowerStopped."""


class Journal(FakeJournal):
    """A follower of a journal that has only the session's record."""

    def __init__(self, journal_dir: str, snapshot_dir: str | None = None) -> None:
        super().__init__()


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    monkeypatch.setattr(
        main,
        "_core",
        SimpleNamespace(Follower=Journal, FOLD_VERSION=FOLD_VERSION, FollowerStopped=Stopped),
        raising=True,
    )
    monkeypatch.setattr(main, "configure", lambda level: None)  # not for the whole test run
    with TemporaryDirectory(prefix="og-") as directory:
        made = Paths(directory)
        made.prepare()
        yield made


def run(paths: Paths, name: str = "paper", settings: Settings | None = None) -> int:
    return main.run(name, settings or Settings(), paths)


def test_the_log_is_as_wordy_as_the_setting_says(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[str] = []
    monkeypatch.setattr(main, "configure", levels.append)
    assert run(paths, "binance", Settings(log=Log(level="error"))) == 2
    assert levels == ["error"]


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("kraken", Settings(), "unknown venue 'kraken'"),
        ("binance", Settings(), "binance.enabled is false"),
        ("paper", Settings(paper=Paper(prices="replay:/nowhere")), "/nowhere: no such directory"),
        ("paper", Settings(paper=Paper(fee_rate="a tenth")), "'a tenth' is not a decimal"),
        ("paper", Settings(redis=Redis(url="http://localhost")), "scheme"),
    ],
)
def test_what_no_restart_can_help_exits_2(
    paths: Paths, capsys: pytest.CaptureFixture[str], name: str, settings: Settings, words: str
) -> None:
    assert run(paths, name, settings) == 2
    assert words in capsys.readouterr().out


def test_a_second_venue_exits_2(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    held = link.hold_lock(paths.venue_lock("paper"))
    assert held is not None
    take = link.hold_lock
    monkeypatch.setattr(link, "hold_lock", lambda path: take(path, 0.0))
    assert run(paths) == 2
    os.close(held)
    # Where it is free, only the gateway is missing.
    monkeypatch.setattr(main, "GATEWAY_PATIENCE_S", 0.1)
    assert run(paths) == 1


def test_sigterm_while_waiting_for_the_gateway_is_an_orderly_stop(paths: Paths) -> None:
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert run(paths) == 0


def with_gateway(paths: Paths, play: Callable[[socket.socket, list[Any]], None]) -> tuple[int, list[Any]]:
    """The venue's exit code and what it said to a gateway that greets it and then does `play`."""
    said: list[Any] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(paths.venue_socket))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        connection.settimeout(10)
        said.append(receive(connection))
        connection.sendall(link.frame(["HELLO", 42, 100]))
        play(connection, said)
        connection.close()

    gateway = threading.Thread(target=serve)
    gateway.start()
    code = run(paths)
    gateway.join()
    listener.close()
    return code, said


def receive(connection: socket.socket) -> Any:
    length = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), "little")
    return msgspec.msgpack.decode(connection.recv(length, socket.MSG_WAITALL))


def listen(connection: socket.socket, said: list[Any]) -> None:
    """Until a heartbeat and the generator's first price have come."""
    while not {"HEARTBEAT", "PRICE"} <= {report[0] for report in said[1:]}:
        said.extend(receive(connection))


def test_it_greets_prices_beats_and_stops_on_sigterm(paths: Paths) -> None:
    def play(connection: socket.socket, said: list[Any]) -> None:
        listen(connection, said)
        os.kill(os.getpid(), signal.SIGTERM)
        while connection.recv(65_536):
            pass

    code, said = with_gateway(paths, play)
    assert code == 0
    assert said[0] == ["HELLO", "paper", "PAPER", os.getpid(), FOLD_VERSION]
    prices = {report[1]: report[2:5] for report in said if report[0] == "PRICE"}
    assert prices["BTCUSDT"] == ["39499.99", "39500", "39499.99"]


def test_it_ends_with_its_socket_to_be_started_again(paths: Paths) -> None:
    code, _ = with_gateway(paths, listen)
    assert code == 1


def test_a_follower_that_stops_ends_the_process_to_be_started_again(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise Stopped("record kind 99 is not known to this build")

    monkeypatch.setattr(Journal, "poll_work", stopped)
    code, _ = with_gateway(paths, lambda connection, said: said.append(connection.recv(1)))
    assert code == 1
