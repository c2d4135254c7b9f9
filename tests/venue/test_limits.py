"""What the exchange forbids: limits, bans, keys, symbols; each obeyed, and said to the gateway."""

import time
from typing import Any

import pytest

from tests.venue.stage import ACCOUNT, Stage, play
from tests.venue.test_stream import resting

KEY = "demo-alpha-key".ljust(64, "0")


async def requests(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await stage.ledger())["requests"]
    return found


async def unready(stage: Stage, *words: str) -> None:
    await stage.until(lambda: not stage.fold.ready[ACCOUNT][0], "not ready")
    assert any(word in stage.fold.ready[ACCOUNT][1] for word in words), stage.fold.ready


@pytest.mark.parametrize(("status", "code"), [(429, -1003), (418, -1003)])
def test_nothing_is_sent_before_the_time_that_the_exchange_names(status: int, code: int) -> None:
    """Row 58 and T7: not one request while it lasts, orders are refused, and the ban survives a restart."""

    async def scenario(stage: Stage) -> None:
        order = await resting(stage)
        await stage.fault("pre_engine", "error", match={"method": "account.status"}, status=status, code=code,
                          retryAfter=2)  # fmt: skip
        await unready(stage, "RATE_LIMITED")
        assert stage.fold.ready[ACCOUNT][2] > 0, "it says when trying again may help"
        banned_s, count = time.monotonic(), len(await requests(stage))
        refused = stage.place()
        await stage.status(refused, "REJECTED")
        assert stage.fold.orders[refused]["reason"] == "RATE_LIMITED"
        await stage.kill_session()
        stage.fold.restart()
        await stage.open_session()
        stage.cancel(order)
        while time.monotonic() < banned_s + 1.2:
            assert len(await requests(stage)) == count
        await stage.status(order, "CANCELED")
        assert time.monotonic() > banned_s + 1.5
        await stage.trading()

    play(scenario, reconcile_every_s=0.3)


def test_too_many_orders_are_refused_by_the_exchange_and_then_by_us() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.fault("pre_engine", "error", status=429, code=-1015, retryAfter=2)
        first = stage.place()
        await stage.status(first, "REJECTED")
        second = stage.place()
        await stage.status(second, "REJECTED")
        assert stage.fold.orders[second]["reason"] == "RATE_LIMITED"
        assert await stage.commits(first) == await stage.commits(second) == 0
        await unready(stage, "RATE_LIMITED")
        await stage.trading()

    play(scenario)


def test_a_key_that_may_withdraw_is_not_traded_with() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.act("key", apiKey=KEY, enableWithdrawals=True)
        await stage.open_session()
        await stage.until(lambda: "withdraw" in stage.fold.ready.get(ACCOUNT, (0, ""))[1], "refused")
        assert not [one for one in await requests(stage) if one["method"] == "userDataStream.subscribe.signature"]
        await stage.act("key", apiKey=KEY, enableWithdrawals=False)
        await stage.trading()

    play(scenario, open_session=False)


@pytest.mark.parametrize("change", [{"revoked": True}, {"ips": ["10.9.9.9"]}], ids=["withdrawn", "address"])
def test_a_key_that_the_exchange_does_not_take(change: dict[str, Any]) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.act("key", apiKey=KEY, **change)
        await stage.open_session()
        await stage.until(lambda: "KEY_REFUSED" in stage.fold.ready.get(ACCOUNT, (0, ""))[1], "refused")

    play(scenario, open_session=False)


def test_a_key_withdrawn_while_it_trades() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.act("key", apiKey=KEY, revoked=True)
        order = stage.place()
        await stage.status(order, "REJECTED")
        assert await stage.commits(order) == 0
        await stage.until(lambda: not stage.fold.ready[ACCOUNT][0], "not ready")
        await stage.act("key", apiKey=KEY, revoked=False)
        await stage.trading()

    play(scenario)


def test_an_exchange_that_is_away_at_the_start_keeps_the_account_from_trading() -> None:
    """Row 79."""

    async def scenario(stage: Stage) -> None:
        await stage.fault("pre_auth", "html", match={}, times=None, status=503)
        await stage.open_session()
        await stage.until(lambda: ACCOUNT in stage.fold.ready, "told")
        assert not stage.fold.ready[ACCOUNT][0]
        await stage.no_faults()
        await stage.trading()

    play(scenario, open_session=False)


def test_a_filter_that_changes_is_reported() -> None:
    """T10: the order is refused definitely, and the exchange is asked at once what its filters are now."""

    async def scenario(stage: Stage) -> None:
        def told() -> set[str]:
            fields = [report[1] for report in stage.fold.reports if report[0] == "INSTRUMENT"]
            return {one["stepSize"] for one in fields if one["symbol"] == "BTCUSDT"}

        await stage.until(told, "listed")
        before = told()
        await stage.act("symbol", symbol="BTCUSDT", filters={"LOT_SIZE": {"minQty": "0.1", "maxQty": "9000",
                                                                          "stepSize": "0.1"}})  # fmt: skip
        order = stage.place(quantity="0.15")
        await stage.status(order, "REJECTED")
        assert stage.fold.orders[order]["reason"] == "FILTER_LOT_SIZE"
        await stage.until(lambda: told() != before, "listed anew")

    play(scenario)


def test_a_symbol_that_the_exchange_does_not_list_stops_no_other() -> None:
    async def scenario(stage: Stage) -> None:
        order = stage.place(price="40000")
        await stage.status(order, "NEW")
        told = [report[1]["symbol"] for report in stage.fold.reports if report[0] == "INSTRUMENT"]
        assert sorted(told) == ["BTCUSDT", "ETHUSDT"]

    play(scenario, symbols=("BTCUSDT", "MISTYPED", "ETHUSDT"))


def test_a_symbol_that_is_delisted_is_told_and_stops_no_other() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.act("delist", symbol="ETHUSDT")
        stage.place(quantity="0.000001")  # refused, which hints at a change

        def told() -> list[str]:
            fields = [report[1] for report in stage.fold.reports if report[0] == "INSTRUMENT"]
            return [one["status"] for one in fields if one["symbol"] == "ETHUSDT"]

        await stage.until(lambda: told()[-1:] in (["BREAK"], ["NOT_LISTED"]), "told")
        runs = len([report for report in stage.fold.reports if report[0] == "RECONCILED"])

        def whole() -> bool:
            later = [report[2] for report in stage.fold.reports if report[0] == "RECONCILED"][runs:]
            return any(one["complete"] for one in later)

        await stage.until(whole, "reconciled")

    play(scenario)


@pytest.mark.parametrize("change", [{"status": "HALT"}, {"status": "BREAK"}])
def test_a_symbol_that_does_not_trade(change: dict[str, Any]) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.act("symbol", symbol="BTCUSDT", **change)
        order = stage.place()
        await stage.status(order, "REJECTED")
        assert [report[0] for report in stage.fold.reports if report[1] == order] == ["REJECT"]

    play(scenario)
