"""The local exchange as a process of its own, for tests: started, asked, controlled, killed."""

import hmac
import http.client
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

ALPHA = "demo-alpha-key".ljust(64, "0"), "demo-alpha-secret".ljust(64, "0")
BETA = "demo-beta-key".ljust(64, "0"), "demo-beta-secret".ljust(64, "0")


class Answer:
    """What came back: `body` is JSON, or the raw bytes when it is none."""

    def __init__(self, status: int, headers: dict[str, str], raw: bytes) -> None:
        self.status, self.headers, self.raw = status, headers, raw
        try:
            self.body: Any = json.loads(raw)
        except ValueError:
            self.body = raw

    @property
    def code(self) -> int | None:
        return self.body.get("code") if isinstance(self.body, dict) else None


class Running:
    """`rest`, `ws_api`, `streams` and `control` are its addresses. Ends with the test, since it is tethered to it."""

    def __init__(self, *arguments: str, ledger: Path | None = None, config: Path | None = None) -> None:
        command = [sys.executable, "-m", "ordergate", "exchange", "--tether", *arguments]
        command += ["--ledger", str(ledger)] if ledger else []
        command += ["--config", str(config)] if config else []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the exchange ended with {self.process.wait(10)}"
        self.said: dict[str, Any] = json.loads(line)
        self.rest, self.ws_api, self.streams = self.said["rest"], self.said["wsApi"], self.said["streams"]
        self.control = self.said["control"]

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(20)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.stop()

    def ask(self, verb: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """One request, as it is. Raises OSError or http.client.HTTPException when the answer is lost."""
        return ask(self.rest, verb, path, body, headers)

    def signed(
        self, verb: str, path: str, key: tuple[str, str] = ALPHA, *, timeout: float = 10, **params: Any
    ) -> Answer:
        """One signed request with all parameters in its query."""
        query = urlencode({**params, "timestamp": params.get("timestamp", self.now())})
        signature = hmac.digest(key[1].encode(), query.encode(), "sha256").hex()
        headers = {"X-MBX-APIKEY": key[0]}
        return ask(self.rest, verb, f"{path}?{query}&signature={signature}", b"", headers, timeout)

    def place(self, client_id: str, key: tuple[str, str] = ALPHA, *, timeout: float = 10, **params: Any) -> Answer:
        """A limit buy of 0.01 BTCUSDT at 50,000, unless told otherwise."""
        usual = {
            "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01",
            "price": "50000",
        }  # fmt: skip
        merged = {name: value for name, value in (usual | params).items() if value is not None}
        return self.signed("POST", "/api/v3/order", key, timeout=timeout, newClientOrderId=client_id, **merged)

    def order(self, client_id: str, symbol: str = "BTCUSDT") -> Answer:
        return self.signed("GET", "/api/v3/order", symbol=symbol, origClientOrderId=client_id)

    def tell(self, path: str, tree: Any = None, verb: str = "POST") -> Any:
        """One control request, which has to be taken."""
        body = b"" if tree is None else json.dumps(tree).encode()
        answer = ask(self.control, verb, "/__emu" + path, body, None)
        assert answer.status == 200, (path, answer.status, answer.body)
        return answer.body

    def rule(
        self, phase: str, kind: str, *, match: dict[str, Any] | None = None, times: int | None = 1, **action: Any
    ) -> Any:
        """One fault rule."""
        tree = {"match": match or {}, "phase": phase, "times": times, "action": {"kind": kind, **action}}
        return self.tell("/rules", tree)[0]

    def see(self, path: str) -> Any:
        return self.tell(path, verb="GET")

    def now(self) -> int:
        return time.time_ns() // 1_000_000


def ask(address: str, verb: str, path: str, body: bytes, headers: dict[str, str] | None, timeout: float = 10) -> Answer:
    """One request over a connection of its own."""
    found = urlsplit(address)
    connection = http.client.HTTPConnection(found.hostname or "", found.port, timeout=timeout)
    try:
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        connection.request(verb, path, body or None, kind | (headers or {}))
        response = connection.getresponse()
        return Answer(response.status, dict(response.headers), response.read())
    finally:
        connection.close()
