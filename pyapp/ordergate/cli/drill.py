"""`ordergate kill drill`: stops the demo account in the middle of PAPER orders, and measures how soon it is stopped."""

import http.client
import json
import threading
import time
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from ordergate.cli.resp import Failure, Link
from ordergate.cli.terms import refuse
from ordergate.config import Paths
from ordergate.supervisor.addresses import kept
from ordergate.supervisor.first_start import demo_token

ORDER: Final = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001", "mode": "PAPER"}
PAUSE_S: Final = 0.01
WARM_S: Final = 0.5
BLOCKED_S_MAX: Final = 5.0
LOOK_S: Final = 1.0
FLAT_S_MAX: Final = 60.0
TIMEOUT_S: Final = 5.0
TOO_SMALL: Final = Decimal("0.0005")
"""What is left of a position below the venue's smallest order."""


class Seen(msgspec.Struct):
    """Seconds from SET; `flat_s` is None below level 3."""

    orders: int
    blocked_s: float
    last_sent_s: float
    flat_s: float | None


def run(paths: Paths, level: int) -> Seen:
    """The drill; the kill is cleared again. Ends the command where it cannot be held."""
    known, token = kept(paths.servers), demo_token(paths)
    if known is None or token is None:
        refuse(f"ordergate has not run on {paths.data} yet, or its demo key is gone")
    place = known.http.removeprefix("http://").rstrip("/")
    health = _ask(place, token, "GET", "/api/v1/health")[1]
    if health["tradingReady"].get("LIVE") or not health["tradingReady"].get("PAPER"):
        refuse("a drill needs PAPER ready to trade, and no LIVE venue", 1)
    account = _ask(place, token, "GET", "/api/v1/portfolio")[1]["account"]
    key = f"kill_switch:account:{account}".encode()
    link = Link(known.redis.own_url)
    _tell(link, b"SELECT", str(link.database + 1).encode())
    if _tell(link, b"GET", key) is not None:
        refuse(f"account {account} is killed already", 1)
    value = json.dumps({"active": True, "reason": "drill", "activatedBy": "drill", "level": level}).encode()
    answers: list[tuple[float, int]] = []
    over = threading.Event()
    load = threading.Thread(target=_trade, args=(place, token, answers, over), daemon=True)
    load.start()
    try:
        time.sleep(WARM_S)
        began = time.time()
        _tell(link, b"SET", key, value)
        blocked = _blocked_at(answers, began)
        time.sleep(LOOK_S)
        over.set()
        load.join()
        placed = [seen for seen in answers if seen[1] == 201]
        if not any(at < began for at, _ in placed):
            seen = sorted({status for _, status in answers})
            refuse(f"no order was placed before the kill, which proves nothing: the answers were {seen}", 1)
        orders = _ask(place, token, "GET", "/api/v1/orders?limit=500")[1]["orders"]
        sent = [_unix(one["ackedAt"]) for one in orders if one["ackedAt"] and one["side"] == "BUY"]
        last = max(sent, default=began)
        flat = _flat_at(place, token) - began if level == 3 else None
    finally:
        over.set()
        if not _clear(link, key, value):
            refuse(f"account {account} was killed by somebody else meanwhile: it stays so", 1)
    return Seen(len(placed), blocked - began, max(0.0, last - began), flat)


def _clear(link: Link, key: bytes, value: bytes) -> bool:
    """Removes the key while it is the drill's own; false when somebody else's stands there."""
    _tell(link, b"WATCH", key)
    found = _tell(link, b"GET", key)
    if found is None:
        _tell(link, b"UNWATCH")
        return True
    if found != value:
        _tell(link, b"UNWATCH")
        return False
    _tell(link, b"MULTI")
    _tell(link, b"DEL", key)
    return _tell(link, b"EXEC") is not None


def _trade(place: str, token: str, answers: list[tuple[float, int]], over: threading.Event) -> None:
    while not over.wait(PAUSE_S):
        status, _ = _ask(place, token, "POST", "/api/v1/orders", json.dumps(ORDER).encode())
        answers.append((time.time(), status))


def _blocked_at(answers: list[tuple[float, int]], began: float) -> float:
    while True:
        found = next((at for at, status in list(answers) if at > began and status == 503), None)
        if found is not None:
            return found
        if time.time() > began + BLOCKED_S_MAX:
            refuse(f"no order was refused within {BLOCKED_S_MAX} s: look at `ordergate kill status`", 1)
        time.sleep(PAUSE_S)


def _flat_at(place: str, token: str) -> float:
    until = time.time() + FLAT_S_MAX
    while True:
        positions = _ask(place, token, "GET", "/api/v1/portfolio")[1]["positions"]
        left = [one for one in positions if one["mode"] == "PAPER" and one["symbol"] == ORDER["symbol"]]
        if all(Decimal(one["quantity"]) < TOO_SMALL for one in left):
            return time.time()
        if time.time() > until:
            refuse(f"not flat within {FLAT_S_MAX} s: look at `ordergate kill status`", 1)
        time.sleep(0.05)


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _ask(place: str, token: str, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(place, timeout=TIMEOUT_S)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, body, headers | {"Idempotency-Key": str(uuid.uuid4())})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException) as error:
        refuse(f"the gateway at {place} does not answer: {error}", 1)
    finally:
        connection.close()


def _tell(link: Link, *words: bytes) -> object:
    reply = link.ask(list(words))
    if isinstance(reply, Failure):
        refuse(f"redis: {reply.text.decode(errors='replace')}", 1)
    return reply
