"""Every unknown outcome × filled, resting, never arrived: at most one order at the exchange, the right final state."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.venue.stage import Stage, play

LOST: dict[str, dict[str, Any]] = {
    "time-out of the engine": {"kind": "error", "status": 504, "code": -1007},
    "unexpected answer": {"kind": "error", "status": 500, "code": -1006},
    "unknown error": {"kind": "error", "status": 500, "code": -1000},
    "disconnected": {"kind": "error", "status": 503, "code": -1001},
    "overloaded": {"kind": "error", "status": 503, "code": -1008},
    "gateway's page": {"kind": "html", "status": 503},
    "bad gateway": {"kind": "empty", "status": 502},
    "page with 400": {"kind": "html", "status": 400},
    "page with 403": {"kind": "html", "status": 403},
    "page with 200": {"kind": "html", "status": 200},
    "closed": {"kind": "close"},
    "reset": {"kind": "reset"},
    "silence": {"kind": "hang"},
    "half a body": {"kind": "half"},
    "truncated": {"kind": "truncate"},
}
"""Answers that prove nothing (rows 50 to 53 of the fault matrix)."""
AFTERWARDS = {"half", "truncate"}
"""Kinds that need an answer to spoil: they cannot lose the request itself."""


async def with_fault(stage: Stage, phase: str, action: dict[str, Any], **terms: Any) -> int:
    """Places an order whose request meets a fault, by its client id."""
    client_id = f"og{stage.fold.install}-{stage.fold.next_order}"
    await stage.act("rules", match={"method": "order.place", "clientOrderId": client_id}, phase=phase, action=action)
    order = stage.place(**terms)
    assert stage.fold.orders[order]["clientIdAtVenue"] == client_id
    return order


@pytest.mark.parametrize("heard", [True, False])
def test_every_unknown_outcome_ends_by_evidence(heard: bool) -> None:
    """Whether the user stream tells of the order or only a query does."""

    async def scenario(stage: Stage) -> None:
        if not heard:
            await stage.fault("event", "drop", match={"event": "executionReport"}, times=None)
        cases: list[tuple[int, str, str]] = []
        for name, action in LOST.items():
            resting = await with_fault(stage, "post_commit", action)
            filled = await with_fault(
                stage, "post_commit", action, type="MARKET", price=None, timeInForce="IOC", quantity="0.001"
            )
            cases += [(resting, name, "NEW"), (filled, name, "FILLED")]
            if action["kind"] not in AFTERWARDS:
                cases.append((await with_fault(stage, "pre_engine", action), name, "REJECTED"))

        async def check(order: int, name: str, wanted: str) -> None:
            facts = await stage.status(order, wanted, timeout_s=30)
            ours = [report for report in stage.fold.reports if report[1] == order]
            assert ours[0][0] != "NOT_SENT", (name, ours[0])
            assert await stage.commits(order) == (0 if wanted == "REJECTED" else 1), name
            ours = [report for report in stage.fold.reports if report[1] == order]
            kinds = [report[0] for report in ours]
            assert heard or kinds[0] == "UNKNOWN", (name, kinds)
            assert ("ABSENT" in kinds) == (wanted == "REJECTED"), (name, kinds)
            assert Decimal(facts["filled"]) == (Decimal("0.001") if wanted == "FILLED" else 0), name

        await asyncio.gather(*(check(*case) for case in cases))
        places = [
            one
            for one in (await stage.ledger())["requests"]
            # On a slow machine one may come too late for the short window of this test: refused, and sent again.
            if one["method"] == "order.place" and one["code"] != -1021
        ]
        assert len(places) == len(cases), "nothing was sent a second time"
        await stage.agrees()

    play(scenario, reconcile_every_s=60)


def test_what_the_exchange_refuses_is_refused_at_once() -> None:
    refused = [
        ("error", {"status": 400, "code": -2010, "msg": "Account has insufficient balance for requested action."}),
        ("error", {"status": 400, "code": -1013, "msg": "Filter failure: LOT_SIZE"}),
        ("error", {"status": 400, "code": -1121, "msg": "Invalid symbol."}),
        ("error", {"status": 401, "code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}),
    ]

    async def scenario(stage: Stage) -> None:
        for kind, action in refused:
            order = await with_fault(stage, "pre_engine", {"kind": kind, **action})
            await stage.status(order, "REJECTED")
            assert [report[0] for report in stage.fold.reports if report[1] == order] == ["REJECT"]
            assert await stage.commits(order) == 0

    play(scenario)


def test_a_duplicate_is_the_order_that_is_there() -> None:
    """Row 55: the id is ours alone, so what the exchange has under it is this order."""

    async def scenario(stage: Stage) -> None:
        client_id = f"og{stage.fold.install}-{stage.fold.next_order}"
        await stage.act(
            "order", account="alpha", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.1",
            price="50000", newClientOrderId=client_id,
        )  # fmt: skip
        order = stage.place()
        await stage.status(order, "NEW")
        assert await stage.commits(order) == 1

    play(scenario)


@pytest.mark.parametrize("offset_ms", [-5_000, 5_000])
def test_a_step_of_the_exchanges_clock_is_found_and_the_order_sent_once(offset_ms: int) -> None:
    """Row 57 and T8: the refusal for the time is definite, the clock is asked, and the order goes out again."""

    async def scenario(stage: Stage) -> None:
        await stage.act("clock", offsetMs=offset_ms)
        order = stage.place()
        await stage.status(order, "NEW")
        assert await stage.commits(order) == 1
        places = [one for one in (await stage.ledger())["requests"] if one["method"] == "order.place"]
        assert 1 <= len(places) <= 2

    play(scenario, recv_window_ms=2_000)


def test_absence_is_not_believed_while_the_exchange_reads_late() -> None:
    """Row 59: an order that queries do not show yet is not absent."""

    async def scenario(stage: Stage) -> None:
        await stage.fault("event", "drop", match={"event": "executionReport"}, times=None)
        await stage.fault("pre_engine", "lag", match={"method": "order.status"}, times=None, ms=1_500)
        order = await with_fault(stage, "post_commit", {"kind": "close"})
        await stage.until(lambda: ["DOUBT_SEEN", order] in [report[:2] for report in stage.fold.reports], "asked")
        assert stage.fold.orders[order]["status"] == "IN_DOUBT"
        await stage.status(order, "NEW")
        assert "ABSENT" not in [report[0] for report in stage.fold.reports if report[1] == order]

    play(scenario, reconcile_every_s=60)


def test_queries_that_fail_never_count() -> None:
    """Row 60: a hundred questions without an answer prove nothing."""

    async def scenario(stage: Stage) -> None:
        await stage.fault("pre_engine", "html", match={"method": "order.status"}, times=100, status=503)
        order = await with_fault(stage, "pre_engine", {"kind": "close"})
        await stage.until(
            lambda: sum(report[:2] == ["DOUBT_SEEN", order] for report in stage.fold.reports) >= 100, "asked", 30
        )
        assert stage.fold.orders[order]["status"] == "IN_DOUBT"
        await stage.status(order, "REJECTED")

    play(scenario, doubt_query_gap_ms=20)


def test_an_order_that_appears_after_its_absence_was_proved_comes_back() -> None:
    """Row 61: late evidence re-opens."""

    async def scenario(stage: Stage) -> None:
        order = await with_fault(stage, "pre_engine", {"kind": "late", "ms": 5_500})
        await stage.status(order, "REJECTED")
        await stage.status(order, "NEW")
        assert await stage.commits(order) == 1

    play(scenario)


def test_an_order_is_older_than_its_window_and_not_sent() -> None:
    async def scenario(stage: Stage) -> None:
        order = stage.place(started_ns=stage.fold.now_ns() - 2_100_000_000)
        await stage.status(order, "REJECTED")
        assert stage.fold.orders[order]["reason"] == "TOO_OLD"
        assert await stage.commits(order) == 0

    play(scenario)


def test_a_killed_order_is_not_sent_and_cancels_pass() -> None:
    """T12: after the mark nothing new is committed, and what rests can be canceled."""

    async def scenario(stage: Stage) -> None:
        resting = stage.place()
        await stage.status(resting, "NEW")
        stage.kill_switch.command("SET", "kill_switch:global", '{"active":true,"reason":"drill"}')
        await asyncio.sleep(0.3)
        killed = stage.place()
        await stage.status(killed, "REJECTED")
        assert stage.fold.orders[killed]["reason"] == "KILLED"
        stage.cancel(resting)
        await stage.status(resting, "CANCELED")
        assert await stage.commits(killed) == 0

    play(scenario)
