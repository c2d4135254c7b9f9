"""Each knob of the fault rules once: what the client sees, and what the exchange did."""

import http.client
import time
from typing import Any

import pytest

from tests.exchange.running import Running

CUT = (http.client.HTTPException, OSError)


def commits(exchange: Running, client_id: str) -> int:
    return int(exchange.see(f"/ledger?clientOrderId={client_id}")["commits"].get(client_id, 0))


def fate(exchange: Running, client_id: str) -> str:
    """What the exchange wrote down about the answer to the first request with this id."""
    return str(exchange.see(f"/ledger?clientOrderId={client_id}")["requests"][0]["answer"])


@pytest.mark.parametrize(
    ("name", "phase", "action", "status", "code", "committed"),
    [
        ("e1", "post_commit", {"kind": "error", "status": 504, "code": -1007}, 504, -1007, 1),
        ("e2", "post_commit", {"kind": "error", "status": 500, "code": -1006}, 500, -1006, 1),
        ("e3", "pre_engine", {"kind": "error", "status": 503, "code": -1008}, 503, -1008, 0),
        ("e4", "pre_auth", {"kind": "error", "status": 401, "code": -2015}, 401, -2015, 0),
        ("e5", "pre_engine", {"kind": "error", "status": 400, "code": -1021}, 400, -1021, 0),
        ("e6", "post_commit", {"kind": "html", "status": 503}, 503, None, 1),
        ("e7", "post_commit", {"kind": "html", "status": 200}, 200, None, 1),
        ("e8", "pre_auth", {"kind": "html", "status": 403}, 403, None, 0),
        ("e9", "post_commit", {"kind": "empty", "status": 502}, 502, None, 1),
        ("e10", "post_commit", {"kind": "truncate"}, 200, None, 1),
    ],
)
def test_answers_that_lie(
    exchange: Running, name: str, phase: str, action: dict[str, Any], status: int, code: int | None, committed: int
) -> None:
    exchange.tell("/rules", {"match": {"clientOrderId": name}, "phase": phase, "action": action})
    answer = exchange.place(name)
    assert (answer.status, answer.code) == (status, code)
    assert commits(exchange, name) == committed
    assert exchange.order(name).status == (200 if committed else 400)
    assert exchange.see("/rules") == []  # it was to act once
    assert commits(exchange, name) == committed


def test_a_limit_with_its_time(exchange: Running) -> None:
    exchange.rule("pre_auth", "error", status=429, code=-1003, retryAfter=3, match={"verb": "GET"})
    answer = exchange.ask("GET", "/api/v3/ping")
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (429, -1003, "3")
    assert exchange.ask("GET", "/api/v3/ping").status == 200


def test_another_content_type(exchange: Running) -> None:
    exchange.rule("post_answer", "content_type", type="text/plain")
    answer = exchange.place("c1")
    assert answer.headers["Content-Type"].startswith("text/plain") and answer.body["status"] == "NEW"


@pytest.mark.parametrize("kind", ["close", "reset", "half"])
@pytest.mark.parametrize(("phase", "committed"), [("post_commit", 1), ("pre_engine", 0)])
def test_lost_answers(exchange: Running, kind: str, phase: str, committed: int) -> None:
    if (kind, phase) == ("half", "pre_engine"):
        return
    name = f"l-{kind}-{phase}"
    exchange.rule(phase, kind, match={"clientOrderId": name})
    with pytest.raises(CUT):
        exchange.place(name)
    assert commits(exchange, name) == committed
    assert fate(exchange, name) == f"lost: {kind}"


def test_an_answer_that_never_comes(exchange: Running) -> None:
    exchange.rule("post_commit", "hang", match={"clientOrderId": "h1"})
    with pytest.raises(TimeoutError):
        exchange.place("h1", timeout=0.5)
    assert commits(exchange, "h1") == 1


def test_latency_before_the_engine_and_after(exchange: Running) -> None:
    exchange.rule("pre_engine", "delay", ms=1_200, match={"clientOrderId": "d1"})
    answer = exchange.place("d1", recvWindow=1_000)
    assert answer.code == -1021 and commits(exchange, "d1") == 0  # looked at again right before the engine
    exchange.rule("post_commit", "delay", ms=300, match={"clientOrderId": "d2"})
    began = time.monotonic()
    assert exchange.place("d2").status == 200
    assert time.monotonic() - began > 0.3
    exchange.rule("pre_auth", "delay", lognormal=[20, 0.5], match={"clientOrderId": "d3"})
    assert exchange.place("d3").status == 200


def test_a_late_accept(exchange: Running) -> None:
    exchange.rule("pre_engine", "late", ms=400, match={"clientOrderId": "t1"})
    assert exchange.place("t1").code == -1007
    assert exchange.order("t1").code == -2013
    until = time.monotonic() + 10
    while exchange.order("t1").status != 200:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert commits(exchange, "t1") == 1


def test_reads_that_lag(exchange: Running) -> None:
    exchange.place("r1")
    for method in ("order.status", "openOrders.status", "myTrades"):
        exchange.rule("pre_engine", "lag", ms=60_000, match={"method": method})
    assert exchange.order("r1").code == -2013
    opened = exchange.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT").body
    assert "r1" not in {one["clientOrderId"] for one in opened}
    assert exchange.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT").body == []
    assert exchange.order("r1").body["status"] == "NEW"


@pytest.mark.parametrize(("quantity", "code", "status", "executed"), [
    (None, -2011, "FILLED", "0.01000000"),
    ("0.004", None, "CANCELED", "0.00400000"),
])  # fmt: skip
def test_a_cancel_that_meets_a_fill(
    exchange: Running, quantity: str | None, code: int | None, status: str, executed: str
) -> None:
    name = f"race-{status}"
    exchange.place(name)
    exchange.rule("pre_engine", "fill", quantity=quantity, match={"method": "order.cancel", "clientOrderId": name})
    answer = exchange.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId=name)
    assert answer.code == code
    found = exchange.order(name).body
    assert (found["status"], found["executedQty"]) == (status, executed)


def test_fills_by_script(exchange: Running) -> None:
    script = [["0.003", None, 0], ["0.002", "49900", 10], ["0.00499", None, 10]]
    exchange.rule("post_commit", "fills", script=script, match={"clientOrderId": "s1"})
    assert exchange.place("s1").body["status"] == "NEW"
    until = time.monotonic() + 10
    while exchange.order("s1").body["executedQty"] != "0.00999000":
        assert time.monotonic() < until
        time.sleep(0.02)
    number = exchange.order("s1").body["orderId"]
    trades = exchange.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT", orderId=number).body
    assert [(one["qty"], one["price"], one["isMaker"]) for one in trades] == [
        ("0.00300000", "50000.00000000", True),
        ("0.00200000", "49900.00000000", True),
        ("0.00499000", "50000.00000000", True),
    ]


def test_which_requests_a_rule_meets(exchange: Running) -> None:
    exchange.rule("pre_engine", "error", code=-1008, match={"method": "order.place", "nth": 2}, times=None)
    assert [exchange.place(f"n{number}").code for number in range(3)] == [None, -1008, None]
    exchange.tell("/rules", verb="DELETE")
    exchange.rule("pre_engine", "error", code=-1008, match={"path": "/api/v3/order", "every": 2}, times=None)
    assert [exchange.place(f"m{number}").code for number in range(4)] == [None, -1008, None, -1008]
    exchange.tell("/rules", verb="DELETE")
    rule = exchange.rule("pre_engine", "error", code=-1008, match={"probability": 0.5, "seed": 1}, times=None)
    seen = [exchange.place(f"p{number}").code for number in range(12)]
    assert set(seen) == {None, -1008}
    exchange.tell(f"/rules/{rule['id']}", verb="DELETE")
    exchange.rule("pre_engine", "error", code=-1008, match={"account": "beta", "symbol": "BTC*"}, times=None)
    assert exchange.place("q1").code is None


def test_a_rule_that_cannot_be_is_refused(exchange: Running) -> None:
    import json

    from tests.exchange.running import ask

    for wrong in (
        {"phase": "post_commit", "action": {"kind": "drop"}},
        {"phase": "later", "action": {"kind": "close"}},
        {"phase": "event", "action": {"kind": "drop"}, "match": {"clientorderid": "x"}},
        {"phase": "event", "action": {"kind": "drop"}, "times": 0},
        [{"phase": "event", "action": {"kind": "drop"}}, {"phase": "event", "action": {"kind": "html"}}],
    ):
        assert ask(exchange.control, "POST", "/__emu/rules", json.dumps(wrong).encode(), None).status == 400
    assert exchange.see("/rules") == []
