"""Every type of order, every cancel, in the order in which an exchange may let them happen."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.venue.stage import ACCOUNT, Stage, play
from tests.venue.test_outcomes import with_fault
from tests.venue.test_stream import fill, resting

MARKET = {"type": "MARKET", "price": None, "timeInForce": "IOC"}


def told(stage: Stage, order: int) -> list[str]:
    return [report[0] for report in stage.fold.reports if report[1] == order]


def test_every_type_lives_its_life() -> None:
    """T1."""
    working: list[dict[str, Any]] = [
        {"type": "LIMIT"},
        {"type": "LIMIT", "timeInForce": "GTD"},
        {"type": "LIMIT_MAKER", "timeInForce": "GTC"},
        {"type": "STOP_LOSS", "side": "SELL", "price": None, "stopPrice": "50000"},
        {"type": "STOP_LOSS_LIMIT", "side": "SELL", "price": "49000", "stopPrice": "50000"},
        {"type": "TAKE_PROFIT", "side": "SELL", "price": None, "stopPrice": "70000"},
        {"type": "TAKE_PROFIT_LIMIT", "side": "SELL", "price": "70000", "stopPrice": "70000"},
    ]
    at_once: list[tuple[dict[str, Any], str]] = [
        (MARKET, "FILLED"),
        (MARKET | {"side": "SELL"}, "FILLED"),
        (MARKET | {"quantity": None, "quoteQuantity": "100"}, "FILLED"),
        ({"timeInForce": "IOC"}, "EXPIRED"),
        ({"timeInForce": "FOK", "price": "70000"}, "FILLED"),
        ({"timeInForce": "FOK"}, "EXPIRED"),
        ({"type": "LIMIT_MAKER", "price": "70000"}, "REJECTED"),
        ({"quantity": "1000"}, "REJECTED"),
    ]

    async def scenario(stage: Stage) -> None:
        for terms in working:
            order = stage.place(**terms)
            await stage.status(order, "NEW")
            stage.cancel(order)
            await stage.status(order, "CANCELED")
        for terms, wanted in at_once:
            order = stage.place(**terms)
            await stage.status(order, wanted)
        await stage.agrees()

    play(scenario)


def test_the_gateway_is_told_prices() -> None:
    """Its checks need fresh ones; after a lost stream there are none until the next quote."""

    async def scenario(stage: Stage) -> None:
        await stage.until(lambda: "BTCUSDT" in stage.fold.prices, "a price")
        bid, ask, _ = (Decimal(price) for price in stage.fold.prices["BTCUSDT"])
        assert Decimal(59_000) < bid < ask < Decimal(61_000)
        await stage.act("ws", do="close", path="stream")
        stage.fold.prices.clear()
        await stage.until(lambda: "BTCUSDT" in stage.fold.prices, "a price again")

    play(scenario)


def test_a_partly_filled_order_ends_with_what_it_has() -> None:
    """Row 68: canceled, expired by the exchange, ended in a match with ourselves."""

    async def scenario(stage: Stage) -> None:
        canceled, expired, matched = await resting(stage), await resting(stage), stage.place(price="60000")
        await stage.status(matched, "NEW")
        for order in (canceled, expired, matched):
            await fill(stage, order, "0.04")
        stage.cancel(canceled)
        await stage.act("expire", account=ACCOUNT, symbol="BTCUSDT",
                        orderId=stage.fold.orders[expired]["venueOrderId"])  # fmt: skip
        stage.place(side="SELL", price="60000", quantity="0.001")
        for order, wanted in ((canceled, "CANCELED"), (expired, "EXPIRED"), (matched, "EXPIRED")):
            facts = await stage.status(order, wanted)
            assert facts["filled"] == "0.04"
        assert stage.fold.orders[matched]["reason"] == "STP"
        await stage.agrees()

    play(scenario)


@pytest.mark.parametrize("heard", [True, False])
def test_filled_before_the_cancel_arrives(heard: bool) -> None:
    """T4 a and row 67: -2011 means nothing by itself, the order tells."""

    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        if not heard:
            await stage.fault("event", "drop", match={}, times=None)
        await stage.fault("pre_engine", "fill", match={"method": "order.cancel"})
        stage.cancel(order)
        await stage.status(order, "FILLED")
        await stage.agrees()

    play(scenario, reconcile_every_s=60)


def test_partly_filled_before_the_cancel_arrives() -> None:
    """T4 b: the cancel works, and the fill before it is not lost even when no event tells of it."""

    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        await stage.fault("event", "drop", match={}, times=None)
        await stage.fault("pre_engine", "fill", match={"method": "order.cancel"}, quantity="0.03")
        stage.cancel(order)
        facts = await stage.status(order, "CANCELED")
        assert facts["filled"] == "0.03"
        assert told(stage, order)[-2:] == ["FILL", "CANCELED"], "its end is told behind its trades"
        await stage.agrees()

    play(scenario, reconcile_every_s=60)


def test_the_fill_is_told_after_the_cancels_answer() -> None:
    """T4 c."""

    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        await stage.fault("event", "delay", match={"event": "executionReport", "execution": "TRADE"}, ms=300)
        await fill(stage, order, "0.03")
        stage.cancel(order)
        facts = await stage.status(order, "CANCELED")
        assert facts["filled"] == "0.03"
        await asyncio.sleep(0.4)
        await stage.agrees()

    play(scenario, reconcile_every_s=60)


@pytest.mark.parametrize("phase", ["pre_engine", "post_commit"])
def test_a_cancel_without_an_answer_is_asked_again(phase: str) -> None:
    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        await stage.fault("event", "drop", match={}, times=None)
        await stage.fault(phase, "close", match={"method": "order.cancel"}, times=2)
        stage.cancel(order)
        await stage.status(order, "CANCELED")
        assert "CANCEL_UNKNOWN" in told(stage, order)

    play(scenario, reconcile_every_s=60)


def test_an_order_in_doubt_can_be_canceled() -> None:
    """The cancel goes by client id, whether the order is there already or comes later."""

    async def scenario(stage: Stage) -> None:
        await stage.fault("event", "drop", match={}, times=None)
        await stage.fault("pre_engine", "html", match={"method": "order.status"}, times=8, status=503)
        there = await with_fault(stage, "post_commit", {"kind": "close"})
        later = await with_fault(stage, "pre_engine", {"kind": "late", "ms": 700})
        for order in (there, later):
            await stage.until(lambda order=order: stage.fold.orders[order]["inDoubt"], "in doubt")
            stage.cancel(order)
        for order in (there, later):
            await stage.status(order, "CANCELED")
            assert await stage.commits(order) == 1

    play(scenario, reconcile_every_s=60)


def test_a_cancel_waits_for_the_placement_under_way() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.fault("pre_engine", "delay", ms=300)
        order = stage.place()
        stage.cancel(order)
        await stage.status(order, "CANCELED")

    play(scenario, recv_window_ms=2_000)


@pytest.mark.parametrize("lost", [None, "pre_engine", "post_commit"])
def test_a_quantity_is_lowered_in_place(lost: str | None) -> None:
    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        if lost:
            await stage.fault(lost, "close", match={"method": "order.amend.keepPriority"})
        stage.fold.work.append(("AMEND", order, stage.fold.now_ns(), f"og{stage.fold.install}-{order}", "0.05"))
        stage.gateway.ring()
        kind = "REPLACE_REJECT" if lost == "pre_engine" else "REPLACED"
        await stage.until(lambda: kind in told(stage, order), kind)
        [shown] = [row for row in (await stage.truth())["orders"] if row["status"] == "NEW"]
        assert Decimal(shown["origQty"]) == Decimal("0.1" if lost == "pre_engine" else "0.05")

    play(scenario, reconcile_every_s=60)


def test_an_amend_that_an_earlier_session_made_is_not_a_refusal() -> None:
    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        for _ in range(2):
            # The second one asks for what is so already, and the exchange refuses that.
            stage.fold.work.append(("AMEND", order, stage.fold.now_ns(), f"og{stage.fold.install}-{order}", "0.05"))
            stage.gateway.ring()
            count = told(stage, order).count("REPLACED")
            await stage.until(lambda count=count: told(stage, order).count("REPLACED") > count, "REPLACED")
        stage.fold.work.append(("AMEND", order, stage.fold.now_ns(), f"og{stage.fold.install}-{order}", "0.07"))
        stage.gateway.ring()
        await stage.until(lambda: "REPLACE_REJECT" in told(stage, order), "more than it has is refused")

    play(scenario, reconcile_every_s=60)
