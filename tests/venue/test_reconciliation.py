"""Reconciliation: what happened while nobody listened is found, and nothing is concluded from a part of an answer."""

import asyncio
import time
from typing import Any

import pytest

from tests.venue.stage import ACCOUNT, Stage, play
from tests.venue.test_stream import fill, resting, trickle


def runs(stage: Stage) -> list[dict[str, Any]]:
    return [report[2] for report in stage.fold.reports if report[0] == "RECONCILED"]


def drifts(stage: Stage, kind: str = "DRIFT") -> list[Any]:
    return [report[2:4] for report in stage.fold.reports if report[0] == kind]


async def another_run(stage: Stage) -> dict[str, Any]:
    count = len(runs(stage))
    await stage.until(lambda: len(runs(stage)) > count + 1, "reconciled again")
    return runs(stage)[-1]


async def deaf(stage: Stage) -> None:
    """From now on the stream tells nothing."""
    await stage.fault("event", "drop", match={}, times=None)


def test_what_happened_while_we_were_away_is_found() -> None:
    """T3 and T9: fills, an end by the exchange, a cancel by hand, all before the session."""

    async def scenario(stage: Stage) -> None:
        partly, filled, expired, canceled, untouched = [await resting(stage) for _ in range(5)]
        await stage.kill_session()
        await fill(stage, partly, "0.04")
        await fill(stage, filled, "0.1")
        for act, order in (("expire", expired), ("cancel", canceled)):
            await stage.act(act, account=ACCOUNT, symbol="BTCUSDT", orderId=stage.fold.orders[order]["venueOrderId"])
        stage.fold.restart()
        await stage.open_session()
        await stage.trading()
        statuses = [stage.fold.orders[order]["status"] for order in (partly, filled, expired, canceled, untouched)]
        assert statuses == ["PARTIALLY_FILLED", "FILLED", "EXPIRED", "CANCELED", "NEW"], "before it is ready"
        assert runs(stage)[-1]["complete"]
        assert not drifts(stage)
        await stage.agrees()

    play(scenario, reconcile_every_s=60)


@pytest.mark.parametrize("lost", ["resting", "filled", "never"])
def test_a_session_that_dies_between_send_and_answer(lost: str) -> None:
    """T3: the next one finds out what became of the order, and never sends it again."""

    async def scenario(stage: Stage) -> None:
        terms = {"type": "MARKET", "price": None, "timeInForce": "IOC"} if lost == "filled" else {}
        await stage.fault("pre_engine" if lost == "never" else "post_commit", "hang")
        await deaf(stage)
        order = stage.place(**terms)
        await asyncio.sleep(0.2)
        await stage.kill_session()
        stage.fold.restart()
        assert stage.fold.orders[order]["inDoubt"]
        await stage.no_faults()
        await stage.open_session()
        wanted = {"resting": "NEW", "filled": "FILLED", "never": "REJECTED"}[lost]
        await stage.status(order, wanted)
        assert await stage.commits(order) == (0 if lost == "never" else 1)
        await stage.trading()
        await stage.agrees()

    play(scenario, reconcile_every_s=60)


def test_orders_from_outside_are_taken_in() -> None:
    """Row 69 and T9: found on the stream or by a run; followed to their end, never canceled by us."""

    async def scenario(stage: Stage) -> None:
        outside = {"account": ACCOUNT, "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
                   "quantity": "0.3", "price": "49000"}  # fmt: skip
        heard = await stage.act("order", **outside)
        await stage.until(lambda: any(facts["external"] for facts in stage.fold.orders.values()), "heard of")
        await deaf(stage)
        unheard = await stage.act("order", **outside)
        await stage.until(lambda: sum(facts["external"] for facts in stage.fold.orders.values()) == 2, "found")
        external = {facts["venueOrderId"]: order for order, facts in stage.fold.orders.items() if facts["external"]}
        assert set(external) == {str(one["result"]["orderId"]) for one in (heard, unheard)}
        for order in external.values():
            await fill(stage, order, "0.1")
        await stage.until(
            lambda: all(stage.fold.orders[order]["filled"] == "0.1" for order in external.values()), "filled"
        )
        for order in external.values():
            stage.cancel(order)
            await stage.status(order, "CANCELED")
        await stage.act("order", **{name: outside[name] for name in ("account", "symbol", "side")}, type="MARKET",
                        quantity="0.01")  # fmt: skip
        await stage.until(lambda: len(stage.fold.fills) >= 3, "a market order from outside")
        await stage.agrees()

    play(scenario)


def test_a_deposit_is_taken_over() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.act("deposit", account=ACCOUNT, asset="USDT", amount="250.5")
        await stage.until(lambda: stage.fold.balance(ACCOUNT, "LIVE", "USDT") == "1000250.5", "taken over")
        await stage.act("withdraw", account=ACCOUNT, asset="BTC", amount="1")
        await stage.until(lambda: stage.fold.balance(ACCOUNT, "LIVE", "BTC") == "9", "taken over")

    play(scenario)


def test_a_part_of_an_answer_is_no_answer() -> None:
    """Row 80: with one question unanswered the run proves nothing, and is made again."""

    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        before = dict(stage.fold.orders[order])
        for method in ("myTrades", "openOrders.status", "allOrders", "account.status"):
            await stage.fault("pre_engine", "error", match={"method": method}, times=2, status=500, code=-1000)
            await stage.until(lambda: not runs(stage)[-1]["complete"], f"not whole without {method}")
            await stage.until(lambda: runs(stage)[-1]["complete"], "whole again")
            assert stage.fold.orders[order] == before
        assert not drifts(stage)

    play(scenario, reconcile_every_s=0.2)


def test_runs_while_orders_are_placed_find_nothing_wrong() -> None:
    """Row 81: what is on its way is not missing."""

    async def scenario(stage: Stage) -> None:
        await stage.fault("pre_engine", "lag", match={"method": "openOrders.status"}, times=None, ms=150)
        placed: list[int] = []
        end_s = time.monotonic() + 2
        while time.monotonic() < end_s:
            placed.append(stage.place(price="45000", quantity="0.001"))
            await asyncio.sleep(0.02)
            if len(placed) % 3 == 0:
                stage.cancel(placed[-2])
        await stage.no_faults()
        for order in placed:
            await stage.status(order, "NEW", "CANCELED")
        assert len(runs(stage)) > 5
        assert not drifts(stage)
        assert "ABSENT" not in [report[0] for report in stage.fold.reports]
        await stage.agrees()

    play(scenario, reconcile_every_s=0.1)


def test_a_trade_that_the_exchange_does_not_show_is_a_drift_until_it_does() -> None:
    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        # Booked here by mistake, as a corrupted answer might make us do.
        stage.fold.orders[order] |= {"filled": "0.05"}
        desk_knows = ["DRIFT", ACCOUNT, "BTCUSDT", "EXTRA_FILL"]
        await stage.kill_session()
        stage.fold.restart()
        await stage.open_session()
        await stage.until(lambda: desk_knows in [report[:4] for report in stage.fold.reports], "a drift")
        await fill(stage, order, "0.05")
        stage.fold.fills.clear()
        await stage.until(lambda: ["BTCUSDT", "EXTRA_FILL"] in drifts(stage, "DRIFT_EXPLAINED")[8:], "explained")

    play(scenario)


def test_changed_terms_are_a_drift() -> None:
    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        stage.fold.orders[order]["quantity"] = "0.2"
        await stage.until(lambda: ["BTCUSDT", "QUANTITY"] in drifts(stage), "a drift")
        stage.fold.orders[order]["quantity"] = "0.1"
        await stage.until(lambda: ["BTCUSDT", "QUANTITY"] in drifts(stage, "DRIFT_EXPLAINED"), "explained")

    play(scenario)


def test_a_thousand_open_orders_in_five_seconds() -> None:
    async def scenario(stage: Stage) -> None:
        for number in range(1_000):
            await stage.act(
                "order", account=ACCOUNT, symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC",
                quantity="0.001", price=str(40_000 + number),
            )  # fmt: skip
        await stage.open_session()
        await stage.trading()
        [first] = runs(stage)
        assert first["counts"]["openOrders"] == 1_000
        assert sum(facts["external"] for facts in stage.fold.orders.values()) == 1_000
        again = await another_run(stage)
        assert again["complete"]
        assert again["durationMs"] <= 5_000

    play(scenario, open_session=False)


def test_trading_goes_on_beside_it() -> None:
    async def scenario(stage: Stage) -> None:
        for order in await trickle(stage, 30, 0.02):
            await stage.status(order, "FILLED")
        assert (await another_run(stage))["complete"]
        await stage.agrees()

    play(scenario, reconcile_every_s=0.05)


def test_an_order_that_was_forgotten_and_is_open_there_is_taken_in_anew() -> None:
    """Its end was our own conclusion and its memory is gone: what works at the exchange must count here."""

    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        await stage.kill_session()
        venue_order_id = stage.fold.orders.pop(order)["venueOrderId"]
        stage.fold.restart()
        await stage.open_session()
        await stage.trading()
        [anew] = [facts for facts in stage.fold.orders.values() if facts["venueOrderId"] == venue_order_id]
        assert anew["external"]
        await stage.act("fill", account=ACCOUNT, symbol="BTCUSDT", orderId=venue_order_id, quantity="0.1")
        await stage.status(anew["id"], "FILLED")

    play(scenario)
