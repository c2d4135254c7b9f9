"""The gateway as a process: start, orderly stop, and every exit code."""

import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.http_parts import ORDER, free_port
from tests.unit.test_kill_switch_redis import Valkey

TOP = Path(__file__).resolve().parents[2]
HEADERS = {"Authorization": "Bearer good", "Idempotency-Key": "k1", "Content-Type": "application/json"}


class Process:
    """One gateway process with its port."""

    def __init__(self, data: Path, redis_url: str, what: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.data = data
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.gateway_process", str(data), str(self.port), redis_url, what],
            cwd=TOP,
            env={"PYTHONPATH": f"{TOP / 'pyapp'}:{TOP}", "PATH": "/usr/bin:/bin"},
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        link.request(method, path, body, HEADERS)
        answer = link.getresponse()
        return answer.status, json.loads(answer.read())

    def serving(self) -> "Process":
        for _ in range(500):
            with contextlib.suppress(OSError):
                self.ask("GET", "/api/v1/health")
                return self
            assert self.child.poll() is None, self.child.communicate()[1]
            time.sleep(0.02)
        raise AssertionError("does not serve")

    def ended(self, seconds: float = 8.0) -> tuple[int, str]:
        _, stderr = self.child.communicate(timeout=seconds)
        return self.child.returncode, stderr


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    directory = Path(tempfile.mkdtemp(prefix="ogr"))
    server = Valkey(directory)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
        shutil.rmtree(directory)


@pytest.fixture
def data(redis_url: str) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="ogp"))
    yield directory
    shutil.rmtree(directory)


def test_it_serves_orders_and_stops_with_0_on_sigterm(data: Path, redis_url: str) -> None:
    process = Process(data, redis_url, "").serving()
    assert process.ask("POST", "/api/v1/orders", ORDER)[0] == 201
    status, health = process.ask("GET", "/api/v1/health")
    assert status == 503 and health["reasons"][0].startswith("PAPER")
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(data / "run" / "admin.sock"))
        lines = admin.makefile("rw")
        for verb, expected in (("kill.on", True), ("kill.off", False)):
            lines.write(json.dumps({"verb": verb, "args": {"by": "ann", "reason": "drill"}}) + "\n")
            lines.write('{"verb":"kill.status"}\n')
            lines.flush()
            assert "ok" in json.loads(lines.readline())
            assert json.loads(lines.readline())["ok"]["killed"] is expected
    # Idle, half-open and half-sent connections hold up nobody.
    held = [socket.create_connection(("127.0.0.1", process.port)) for _ in range(3)]
    held[1].sendall(b"GET / HT")
    held[2].sendall(b"POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
    time.sleep(0.1)
    began = time.monotonic()
    process.child.send_signal(signal.SIGTERM)
    code, stderr = process.ended()
    assert code == 0 and "Traceback" not in stderr
    assert time.monotonic() - began < 3.0
    for link in held:
        link.close()


def test_what_is_in_flight_is_finished(data: Path, redis_url: str) -> None:
    process = Process(data, redis_url, "slow").serving()
    answers: list[tuple[int, Any]] = []
    asking = threading.Thread(target=lambda: answers.append(process.ask("POST", "/api/v1/orders", ORDER)))
    asking.start()
    time.sleep(0.2)
    process.child.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    assert process.ask("POST", "/api/v1/orders", ORDER)[1]["code"] == "shutting_down"
    asking.join()
    assert answers[0][0] == 201
    assert process.ended()[0] == 0


def test_a_failed_flush_ends_it_with_70_and_no_answer(data: Path, redis_url: str) -> None:
    process = Process(data, redis_url, "broken").serving()
    with pytest.raises((http.client.HTTPException, OSError)):
        process.ask("POST", "/api/v1/orders", ORDER)
    code, stderr = process.ended()
    assert code == 70 and "fdatasync: EIO" in stderr


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [("locked", 2, "another gateway runs"), ("refused", 78, "restore it from a backup")],
)
def test_a_journal_that_cannot_be_opened(data: Path, redis_url: str, what: str, code: int, words: str) -> None:
    assert_ends(Process(data, redis_url, what), code, words)


def test_a_port_in_use_ends_it_with_2(data: Path, redis_url: str) -> None:
    with socket.socket() as taken:
        # Even where the other one would share the port.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_ends(Process(data, redis_url, "", port), 2, f"port {port} on 127.0.0.1 is in use")


def test_no_redis_ends_it_with_2(data: Path) -> None:
    assert_ends(Process(data, "", ""), 2, "REDIS_URL")


def test_the_redis_of_another_install_ends_it_with_2(data: Path, redis_url: str) -> None:
    server = Valkey(Path(redis_url.removeprefix("unix://")).parent)
    server.ask("SET", "kill_switch:sentinel", "somebody")
    try:
        assert_ends(Process(data, redis_url, ""), 2, "install somebody")
    finally:
        server.ask("DEL", "kill_switch:sentinel")


def assert_ends(process: Process, code: int, words: str) -> None:
    ended, stderr = process.ended()
    assert ended == code, stderr
    assert words in stderr
    assert "Traceback" not in stderr
