"""LIVE through the real engine: what a venue tells, what it reads back, and what people do about doubts."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ordergate import _core
from ordergate.gateway import administration
from ordergate.http import health
from ordergate.venues.instruments import shipped_tables
from tests.unit import desk_parts
from tests.unit.http_parts import on_uvloop

TOKEN = "og_test"
ORDER = {"mode": "LIVE", "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "1000"}
OUTSIDE = ("EXTERNAL", "desk", "BTCUSDT", "77", "web_1", "SELL", "LIMIT", "GTC", "0.5", "0.1", "2000", None)
Work = list[tuple[object, ...]]


class Live:
    """One account with money, a LIVE venue that takes its orders, and a follower as the venue has one."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.gateway = _core.Gateway.open(str(data / "journal"), str(data / "snapshots"))
        for table in shipped_tables():
            self.gateway.set_instrument({name: value for name, value in table.items() if name != "openingPrice"})
        self.gateway.create_account("desk")
        digest = hashlib.sha256(TOKEN.encode()).digest()
        self.gateway.create_key("desk", "ann", "bot", digest, ["read", "trade"], 0, None)
        self.session, _ = self.gateway.open_session("binance", "LIVE", 7)
        self.tell(("BALANCE", "desk", "USDT", "100000"), ("READY", "desk", True, "", 0))
        self._follower: _core.Follower | None = None
        self._orders = 0

    def tell(self, *reports: tuple[object, ...]) -> list[int]:
        return self.gateway.reports(self.session, msgspec.msgpack.encode(reports))

    def place(self, **terms: Any) -> Any:
        self._orders += 1
        self.gateway.kill_reading()
        body = json.dumps(ORDER | terms).encode()
        return self.gateway.place(f"Bearer {TOKEN}", f"k{self._orders}", "req", body)

    def doubtful(self) -> int:
        order = int(json.loads(self.place()[2])["id"])
        self.tell(("UNKNOWN", order, "TIMEOUT", "no answer"))
        return order

    def follower(self) -> _core.Follower:
        while self.gateway.durable_seq() < self.gateway.last_seq:
            self.gateway.drain()
        if self._follower is None:
            self._follower = _core.Follower(str(self.data / "journal"))
        return self._follower

    def work(self) -> Work:
        """What the venue is given since the last look."""
        follower, found = self.follower(), []
        while items := follower.poll_work("binance", self.session, 10_000) or follower.seq < self.gateway.last_seq:
            found += items if isinstance(items, list) else []
        return found

    def verb(self, verb: str, **arguments: Any) -> Any:
        answer = administration.execute(self.gateway, verb, arguments)
        return answer["ok"] if "ok" in answer else answer["error"]["code"]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    opened = Live(tmp_path)
    yield opened
    opened.gateway.close()


def test_an_order_from_outside_gets_an_id_that_its_trades_name(live: Live) -> None:
    (order,) = live.tell(OUTSIDE)
    assert live.tell(OUTSIDE) == []
    assert live.work() == [("EXTERNAL", order, "desk", "BTCUSDT", "77")]
    follower = live.follower()
    assert follower.order_by_venue_id("binance", "desk", "BTCUSDT", "77") == order
    assert follower.order_by_venue_id("binance", "desk", "BTCUSDT", "78") is None
    live.tell(("FILL", order, "901", "2000", "0.1", "200", "0", "USDT", True, 1))
    live.work()
    facts = json.loads(follower.order(order) or b"")
    assert {name: facts[name] for name in ("filled", "tradeIds", "external", "clientIdAtVenue", "status")} == {
        "filled": "0.2",
        "tradeIds": ["901"],
        "external": True,
        "clientIdAtVenue": "web_1",
        "status": "PARTIALLY_FILLED",
    }
    shown = json.loads(live.gateway.order(f"Bearer {TOKEN}", str(order))[2])  # type: ignore[index]
    assert (shown["origin"], shown["clientOrderId"], shown["venueOrderId"]) == ("EXTERNAL", "web_1", "77")
    live.gateway.cancel(f"Bearer {TOKEN}", str(order))
    ((kind, canceled, _, client_id),) = live.work()
    assert (kind, canceled, client_id) == ("CANCEL", order, "web_1")


def test_what_reconciliation_tells_is_read_back(live: Live) -> None:
    run = {
        "trigger": "start",
        "startedNs": 5,
        "durationMs": 7,
        "complete": True,
        "error": None,
        "counts": {"orders": 3},
    }
    live.tell(
        ("CONFIRMED", "desk", "BTCUSDT", 41),
        ("CONFIRMED", "desk", "BTCUSDT", 40),
        ("DRIFT", "desk", "BTCUSDT", "QUANTITY", "1 there, 2 here"),
        ("DRIFT", "desk", "", "BALANCE", "5 more"),
        ("DRIFT_EXPLAINED", "desk", "", "BALANCE"),
        ("RECONCILED", "desk", run),
        ("INSTRUMENT", live_instrument("BREAK")),
    )
    live.work()
    follower = live.follower()
    assert follower.confirmed_trade("binance", "desk", "BTCUSDT") == 41
    assert follower.confirmed_trade("binance", "desk", "ETHUSDT") == 0
    assert follower.balance("desk", "LIVE", "USDT") == "100000"
    assert follower.drifts("binance") == [("desk", "BTCUSDT", "QUANTITY", "1 there, 2 here")]
    statuses = {one["symbol"]: one["status"] for one in json.loads(follower.instruments())}
    assert statuses["ETHUSDT"] == "BREAK"
    refused = live.place()
    assert refused[0] == 422 and b"UNEXPLAINED_DRIFT" in refused[2]


def live_instrument(status: str) -> dict[str, str]:
    table = next(table for table in shipped_tables() if table["symbol"] == "ETHUSDT")
    return {name: value for name, value in table.items() if name != "openingPrice"} | {"status": status}


def test_people_look_again_attach_and_together_declare_absent(live: Live) -> None:
    order = live.doubtful()
    live.tell(("DOUBT_SEEN", order, "HTTP 503"))
    (doubt,) = live.verb("doubt.list")["doubts"]
    assert (doubt["id"], doubt["lastLook"], doubt["alarm"]) == (str(order), "HTTP 503", False)
    live.work()
    assert live.follower().doubts("binance") == live.follower().live_orders("binance") == [order]
    assert live.verb("doubt.requery", order=order, by="ann")["seq"]
    assert live.verb("doubt.attach", order=order, venueOrderId="91", by="ann", reason="seen")["seq"]
    assert [item[:2] for item in live.work()] == [("QUERY", order)] * 2
    assert json.loads(live.follower().order(order) or b"")["venueOrderId"] == "91"
    waits = live.verb("doubt.declare-absent", order=order, by="ann", reason="asked them")
    assert waits["status"] == "WAITING"
    (asked,) = live.verb("risk.requests")
    assert asked["absent"] == {"account": "desk", "order": str(order)}
    assert live.verb("risk.approve", id=waits["seq"], by="ann") == "second_person_needed"
    live.verb("risk.approve", id=waits["seq"], by="bob")
    assert live.verb("doubt.list")["doubts"] == []
    assert live.verb("doubt.requery", order=order, by="ann") == "invalid_parameter"
    assert live.verb("doubt.requery", order=7_777, by="ann") == "not_found"


def test_an_account_that_is_not_ready_takes_no_orders(live: Live) -> None:
    live.tell(("READY", "desk", False, "CLOCK", 2_500))
    refused = live.place()
    assert isinstance(refused, _core.Refusal)
    assert (refused.code, refused.retry_after_ms) == ("venue_unavailable", 2_500)
    assert "CLOCK" in refused.detail
    assert live.gateway.live_accounts() == [("desk", False, "CLOCK", 2_500)]
    assert live.place(mode="PAPER")[0] == 422


def test_only_a_crash_needs_a_resume(tmp_path: Path) -> None:
    def opened() -> _core.Gateway:
        return _core.Gateway.open(str(tmp_path / "journal"), str(tmp_path / "snapshots"))

    for _ in range(2):
        gateway = opened()
        assert not gateway.status()["resumeNeeded"]
        gateway.close()
    gateway = opened()
    while gateway.durable_seq() < gateway.last_seq:
        gateway.drain()
    del gateway  # as a kill -9 would
    gateway = opened()
    gateway.set_resume_manual(True)
    assert gateway.status()["waitsForResume"]
    assert administration.execute(gateway, "live.resume", {"by": "ann", "reason": "looked"})["ok"]["seq"] > 0
    assert administration.execute(gateway, "live.resume", {"by": "ann", "reason": "looked"})["ok"]["seq"] == 0
    gateway.close()


@pytest.mark.parametrize(
    ("status", "accounts", "ready", "why"),
    [
        ({}, [], False, "LIVE: no venue is connected"),
        ({"liveSession": 4}, [], False, "LIVE: the venue has not told that an account is ready"),
        ({"liveSession": 4}, [("desk", True, "", 0)], True, None),
        ({"liveSession": 4}, [("a", True, "", 0), ("b", False, "BANNED", 1)], False, "LIVE: account b is not"),
        ({"liveSession": 4, "waitsForResume": True}, [("a", True, "", 0)], False, "LIVE: waits for ordergate resume"),
        ({"liveSession": 4, "inDoubtOldestMs": 300_000}, [("a", True, "", 0)], True, "an order has been in doubt"),
    ],
)  # fmt: skip
def test_health_tells_why_live_is_not_ready(status: Any, accounts: Any, ready: bool, why: str | None) -> None:
    figures = {"paperSession": 3, "killReadingAgeMs": 5, **status}
    report = health.judge(figures, accounts, stalled=False, stopping=False)
    assert report.trading_ready["LIVE"] is ready
    assert [one.ready for one in report.live_accounts] == [ready for _, ready, _, _ in accounts]
    told = [reason for reason in report.reasons if why and reason.startswith(why)]
    assert bool(told) == (why is not None)


@on_uvloop
async def test_clients_see_their_own_doubts_and_no_history_without_postgres() -> None:
    async with desk_parts.desk() as desk:
        gateway = desk.gateway
        session, _ = gateway.open_session("binance", "LIVE", 7)
        reports = [("BALANCE", "desk", "USDT", "1000"), ("READY", "desk", True, "", 0)]
        gateway.reports(session, msgspec.msgpack.encode(reports))
        order = int((await desk.order(mode="LIVE", quantity="0.01")).json["id"])
        gateway.reports(session, msgspec.msgpack.encode([("UNKNOWN", order, "TIMEOUT", "")]))
        await asyncio.sleep(0)
        (doubt,) = (await desk.ask("read", "GET", "/doubts")).json["doubts"]
        assert (doubt["id"], doubt["account"]) == (str(order), "desk")
        assert (await desk.ask("eve", "GET", "/doubts")).json == {"doubts": []}
        assert (await desk.ask("cancel", "GET", "/doubts")).status == 200
        assert (await desk.ask("kill", "GET", "/doubts")).code == "forbidden"
        assert (await desk.ask("read", "GET", "/reconciliations")).code == "history_unavailable"
        assert (await desk.ask("read", "GET", "/reconciliations?limit=0")).code == "invalid_parameter"
