"""T11, shortened: orders, cancels and trades while everything fails at random; then all of it agrees."""

import asyncio
import random
import time
from typing import Any

from tests.venue.stage import ACCOUNT, Stage, play

FAULTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("pre_engine", {"method": "order.*"}, {"kind": "html", "status": 503}),
    ("post_commit", {"method": "order.*"}, {"kind": "error", "status": 504, "code": -1007}),
    ("post_commit", {"method": "order.*"}, {"kind": "close"}),
    ("post_commit", {"method": "order.*"}, {"kind": "truncate"}),
    ("pre_engine", {"method": "order.*"}, {"kind": "hang"}),
    ("pre_engine", {"method": "order.place"}, {"kind": "late", "ms": 150}),
    ("pre_engine", {"method": "myTrades"}, {"kind": "error", "status": 500, "code": -1000}),
    ("pre_engine", {"method": "openOrders.status"}, {"kind": "lag", "ms": 150}),
    ("event", {"event": "executionReport"}, {"kind": "drop"}),
    ("event", {"event": "executionReport"}, {"kind": "duplicate", "last": 3}),
    ("event", {"event": "executionReport"}, {"kind": "swap"}),
    ("event", {"event": "executionReport"}, {"kind": "delay", "ms": 120}),
    ("event", {"event": "executionReport"}, {"kind": "reset"}),
]


async def trade(stage: Stage, rolls: random.Random, until_s: float) -> None:
    while time.monotonic() < until_s:
        kind = rolls.randrange(4)
        if kind == 0:
            stage.place(
                type="MARKET", price=None, timeInForce="IOC", quantity="0.001", side=rolls.choice(["BUY", "SELL"])
            )
        elif kind == 1:
            stage.place(price="59000", quantity="0.002")
        else:
            working = [
                order for order, facts in stage.fold.orders.items() if facts["status"] in ("NEW", "PARTIALLY_FILLED")
            ]
            if working and kind == 2:
                stage.cancel(rolls.choice(working))
            elif working:
                number = stage.fold.orders[rolls.choice(working)]["venueOrderId"]
                async with stage.http.post(
                    f"{stage.control_url}/fill",
                    json={"account": ACCOUNT, "symbol": "BTCUSDT", "orderId": number, "quantity": "0.0005"},
                ):
                    pass  # it may have ended
        await asyncio.sleep(rolls.uniform(0.01, 0.05))


def test_everything_agrees_after_random_faults() -> None:
    rolls = random.Random(11)

    async def scenario(stage: Stage) -> None:
        for number, (phase, match, action) in enumerate(FAULTS):
            rule = {"match": match | {"probability": 0.04, "seed": number}, "phase": phase, "action": action}
            await stage.act("rules", **rule, times=None)
        await trade(stage, rolls, time.monotonic() + 12)
        await stage.no_faults()
        await stage.until(
            lambda: not any(
                facts["inDoubt"] or facts["status"] == "SUBMITTED" or facts["cancelPending"]
                for facts in stage.fold.orders.values()
                if facts["open"]
            ),
            "settled", 30,
        )  # fmt: skip
        ledger = await stage.ledger()
        assert max(ledger["commits"].values()) == 1, "never two orders for one"
        truth = {row["clientOrderId"]: row for row in (await stage.truth())["orders"]}
        await stage.until(lambda: all(_same(facts, truth) for facts in stage.fold.orders.values()), "the same ends", 20)
        await stage.agrees()
        assert len(stage.fold.orders) > 100

    play(scenario)


def _same(facts: dict[str, Any], truth: dict[str, Any]) -> bool:
    there = truth.get(facts["clientIdAtVenue"])
    if there is None:
        return bool(facts["status"] == "REJECTED")
    return bool(facts["status"] == there["status"] and float(facts["filled"]) == float(there["executedQty"]))


def test_nothing_is_lost_while_every_answer_is_an_error() -> None:
    """The long run of this has five minutes of it."""

    async def scenario(stage: Stage) -> None:
        order = stage.place()
        await stage.status(order, "NEW")
        await stage.fault("pre_auth", "html", match={"transport": "REST"}, times=None, status=503)
        placed = [stage.place() for _ in range(4)]
        stage.cancel(order)
        await stage.until(lambda: not stage.fold.ready[ACCOUNT][0], "not ready: too much is in doubt")
        await asyncio.sleep(4)
        assert all(stage.fold.orders[one]["inDoubt"] for one in placed), "no doubt ends without an answer"
        await stage.no_faults()
        for one in placed:
            await stage.status(one, "REJECTED")
            assert await stage.commits(one) == 0
        await stage.status(order, "CANCELED")
        await stage.trading()
        await stage.agrees()

    play(scenario)
