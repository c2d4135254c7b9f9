"""LIVE against the local exchange, as a whole; by hand it runs longer (`tests.acceptance.live`)."""

import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import live


def test_the_live_demo_trades_and_stops_by_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ordergate", "live-demo"], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert any(line.startswith("FILLED: 0.001 at ") for line in said), done.stdout
    assert any("the exchange's trade" in line for line in said), done.stdout
    assert said[-1] == "stopped"


@pytest.mark.timeout(400)
def test_nothing_is_sent_twice_or_lost_when_processes_are_killed(tmp_path: Path) -> None:
    with live.trading_live(tmp_path) as (system, venue):
        seen = live.crashes(system, venue, cycles=12, seed=7)
    assert seen["orders"] >= 60
    assert seen["trades"] >= 20


def test_types_changes_and_orders_from_outside(tmp_path: Path) -> None:
    """What the gateway's own order types and changes become at the exchange, through the whole of it."""
    with live.trading_live(tmp_path) as (system, venue):

        def order(**terms: str) -> int:
            body = {"symbol": "BTCUSDT", "side": "BUY", "mode": "LIVE"} | terms
            status, told = live.ask(system, "POST", "/api/v1/orders", body, str(uuid.uuid4()))
            assert status == 201, told
            return int(told["id"])

        def reaches(number: int, *wanted: str) -> dict[str, Any]:
            live.until(lambda: live.shown(system, number)["status"] in wanted, f"order {number} {wanted}", system, 15)
            return live.shown(system, number)

        def at_exchange(number: int) -> dict[str, Any]:
            return next(row for row in venue.account()["orders"] if row["clientOrderId"].endswith(f"-{number}"))

        assert reaches(order(type="MARKET", quoteOrderQty="100"), "FILLED")
        working = [
            order(type="LIMIT", quantity="0.002", price="50000"),
            order(type="LIMIT_MAKER", quantity="0.002", price="50001"),
            order(type="STOP_LOSS", side="SELL", quantity="0.001", stopPrice="45000"),
            order(type="STOP_LOSS_LIMIT", side="SELL", quantity="0.001", stopPrice="45000", price="70000"),
            order(type="TAKE_PROFIT", side="SELL", quantity="0.001", stopPrice="90000"),
        ]
        for number in working:
            reaches(number, "NEW")
        lowered, moved, *stops = working

        status, told = live.ask(system, "PATCH", f"/api/v1/orders/{lowered}", {"quantity": "0.001"}, str(uuid.uuid4()))
        assert status == 202, told
        live.until(lambda: Decimal(live.shown(system, lowered)["quantity"]) == Decimal("0.001"), "lowered", system, 15)
        assert Decimal(at_exchange(lowered)["origQty"]) == Decimal("0.001"), "in place"

        status, told = live.ask(system, "PATCH", f"/api/v1/orders/{moved}", {"price": "50002"}, str(uuid.uuid4()))
        assert status == 202, told
        reaches(moved, "CANCELED")
        live.until(lambda: live.shown(system, moved).get("replacedBy"), "replaced", system, 15)
        anew = int(live.shown(system, moved)["replacedBy"])
        assert Decimal(reaches(anew, "NEW")["price"]) == Decimal("50002")

        outside = {"account": venue.announced["accounts"][0]["name"], "symbol": "BTCUSDT", "side": "BUY",
                   "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.003", "price": "49000"}  # fmt: skip
        number = venue.control("POST", "/order", outside)["result"]["orderId"]

        def listed() -> list[dict[str, Any]]:
            return [one for one in live.ask(system, "GET", "/api/v1/orders")[1]["orders"]
                    if one.get("venueOrderId") == str(number)]  # fmt: skip

        live.until(listed, "the order from outside", system, 15)
        venue.control("POST", "/fill", {"account": outside["account"], "symbol": "BTCUSDT", "orderId": str(number),
                                        "quantity": "0.001"})  # fmt: skip
        external = int(listed()[0]["id"])
        assert Decimal(reaches(external, "PARTIALLY_FILLED")["filledQuantity"]) == Decimal("0.001")

        status, told = live.ask(system, "DELETE", "/api/v1/orders?symbol=BTCUSDT")
        assert status == 202, told
        for one in (lowered, anew, external, *stops):
            reaches(one, "CANCELED")
        live.until(lambda: live.balances(system) == live.totals(venue), "the same balances", system, 15)
