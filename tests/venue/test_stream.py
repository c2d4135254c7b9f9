"""The user stream: nothing missed and nothing counted twice, however it is cut, repeated, shuffled or silent."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.venue.stage import ACCOUNT, Stage, play


async def trickle(stage: Stage, count: int, pause_s: float = 0.0) -> list[int]:
    """Small market orders one after the other, each a trade or two; their numbers."""
    placed = []
    for _ in range(count):
        placed.append(stage.place(type="MARKET", price=None, timeInForce="IOC", quantity="0.001"))
        await asyncio.sleep(pause_s)
    return placed


async def fill(stage: Stage, order: int, quantity: str) -> None:
    """The market trades with a resting order of ours."""
    await stage.act("fill", account=ACCOUNT, symbol="BTCUSDT", orderId=stage.fold.orders[order]["venueOrderId"],
                    quantity=quantity)  # fmt: skip


async def resting(stage: Stage, quantity: str = "0.1") -> int:
    order = stage.place(quantity=quantity)
    await stage.status(order, "NEW")
    return order


def test_fills_come_over_the_stream() -> None:
    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        for part in ("0.01", "0.02", "0.03"):
            await fill(stage, order, part)
        await stage.until(lambda: stage.fold.orders[order]["filled"] == "0.06", "filled by 0.06")
        assert (await stage.status(order, "PARTIALLY_FILLED"))["open"]
        await fill(stage, order, "0.04")
        await stage.status(order, "FILLED")
        await stage.agrees()

    # No reconciliation could have told of them.
    play(scenario, reconcile_every_s=60)


@pytest.mark.parametrize(
    "faults",
    [
        [{"kind": "duplicate", "last": 3}],
        [{"kind": "swap"}],
        [{"kind": "drop"}],
        [{"kind": "duplicate", "last": 2, "renumber": True}],
    ],
    ids=["duplicates", "reordered", "dropped", "repeated under new ids"],
)
def test_events_may_be_repeated_shuffled_or_lost(faults: list[dict[str, Any]]) -> None:
    """Row 63 and T5: one fill per trade, and the same digits as the exchange's ledger."""

    async def scenario(stage: Stage) -> None:
        for action in faults:
            rule = {"match": {"event": "executionReport", "every": 2}, "phase": "event", "action": action}
            await stage.act("rules", **rule, times=None)
        order = await resting(stage)
        for _ in range(10):
            await fill(stage, order, "0.01")
        await stage.status(order, "FILLED")
        for one in await trickle(stage, 10):
            await stage.status(one, "FILLED")
        await stage.agrees()

    play(scenario)


def test_a_lost_event_is_noticed_by_the_next() -> None:
    """Row 66: the cumulative quantity does not add up, so the order's trades are read."""

    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        await stage.fault("event", "drop", match={"event": "executionReport", "execution": "TRADE"}, times=1)
        await fill(stage, order, "0.01")
        await fill(stage, order, "0.02")
        await stage.until(lambda: stage.fold.orders[order]["filled"] == "0.03", "filled by 0.03", 5)
        await stage.agrees()

    play(scenario, reconcile_every_s=60)


@pytest.mark.parametrize(
    ("act", "settings"),
    [
        ({"do": "close", "code": 1001}, {}),
        ({"do": "reset"}, {}),
        ({"do": "shutdown", "closeAfterMs": 300}, {}),
        ({"do": "terminate"}, {}),
        ({"do": "half_open"}, {"stream_silence_s": 0.6}),
    ],
    ids=["going away", "cut", "shutdown announced", "terminated", "half open"],
)
def test_a_subscription_that_ends_is_replaced_and_its_gap_filled(act: dict[str, Any], settings: dict[str, Any]) -> None:
    """Row 64 and T6."""

    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        await stage.act("ws", **act)
        for _ in range(5):
            await fill(stage, order, "0.02")
        await stage.status(order, "FILLED", timeout_s=5)
        await stage.agrees()
        again = await resting(stage)
        await fill(stage, again, "0.1")
        await stage.status(again, "FILLED", timeout_s=5)

    play(scenario, reconcile_every_s=60, **settings)


def test_a_subscription_is_replaced_before_its_time_is_up() -> None:
    """The next one stands before the old one goes: no trade has to be looked for."""

    async def scenario(stage: Stage) -> None:
        order = await resting(stage, "0.2")
        for _ in range(20):
            await fill(stage, order, "0.01")
            await asyncio.sleep(0.1)
            assert stage.fold.ready[ACCOUNT][0]
        await stage.status(order, "FILLED")
        subscribed = [
            one for one in (await stage.ledger())["requests"] if one["method"].startswith("userDataStream.subscribe")
        ]
        assert len(subscribed) >= 4
        await stage.agrees()

    play(scenario, reconcile_every_s=60, stream_lifetime_s=0.5)


def test_more_trades_than_a_page_in_the_gap() -> None:
    """Row 65: paged until caught up."""

    async def scenario(stage: Stage) -> None:
        order = await resting(stage, "1.2")
        await stage.kill_session()
        for _ in range(1_200):
            await fill(stage, order, "0.001")
        stage.fold.restart()
        await stage.open_session()
        facts = await stage.status(order, "FILLED", timeout_s=20)
        assert len(facts["tradeIds"]) == 1_200
        await stage.agrees()

    play(scenario)


def test_cut_again_and_again_with_many_fills() -> None:
    """Nothing missed, nothing twice: the long run of this has ten minutes and ten thousand fills."""

    async def scenario(stage: Stage) -> None:
        order = await resting(stage, "0.5")

        async def cut() -> None:
            for _ in range(8):
                await asyncio.sleep(0.25)
                await stage.act("ws", do="reset")

        async def trade() -> None:
            for _ in range(500):
                await fill(stage, order, "0.001")

        await asyncio.gather(cut(), trade(), trickle(stage, 50, 0.04))
        facts = await stage.status(order, "FILLED", timeout_s=20)
        assert len(facts["tradeIds"]) == 500
        await stage.until(
            lambda: all(facts["status"] == "FILLED" for facts in stage.fold.orders.values()), "all filled", 20
        )
        assert sum(Decimal(digits[1]) for digits in stage.fold.fills.values()) == Decimal("0.55")
        await stage.agrees()

    play(scenario)


def test_an_account_without_a_stream_is_not_ready() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.fault("pre_engine", "error", match={"method": "userDataStream.subscribe*"}, times=None,
                          status=400, code=-1022)  # fmt: skip
        await stage.act("ws", do="close")
        await stage.until(lambda: not stage.fold.ready[ACCOUNT][0], "not ready")
        assert "user stream" in stage.fold.ready[ACCOUNT][1]
        await stage.no_faults()
        await stage.trading()

    play(scenario)
