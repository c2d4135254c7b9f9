"""Our own client against the local exchange: what it asks is understood, and what it is told is classified."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ordergate.venues.binance import clock as clocks
from ordergate.venues.binance import instruments, key_check, outcomes, rest
from ordergate.venues.binance.answer import Answer
from ordergate.venues.binance.budget import Budget
from ordergate.venues.binance.clock import Clock
from ordergate.venues.binance.credentials import Credential
from ordergate.venues.binance.rest import Rest, UrlSet
from tests.exchange.running import ALPHA, Running

OURS = "og7-42"


@pytest.fixture(scope="module")
def started() -> Iterator[Running]:
    with Running() as exchange:
        exchange.tell("/trade", {"symbol": "BTCUSDT", "price": "60000", "quantity": "0.01"})
        yield exchange


@pytest.fixture
def exchange(started: Running) -> Iterator[Running]:
    yield started
    started.tell("/rules", verb="DELETE")
    started.tell("/clock", {"offsetMs": 0, "driftPpm": 0})
    started.tell("/limits", {"banSeconds": -3_600})
    started.tell("/key", {"apiKey": ALPHA[0], "revoked": False, "enableWithdrawals": False, "ips": [],
                          "permissions": ["TRADE", "USER_DATA", "USER_STREAM"]})  # fmt: skip


@asynccontextmanager
async def connected(exchange: Running, file: Path | None = None, **more: Any) -> AsyncIterator[Rest]:
    parts = urlsplit(exchange.rest)
    urls = UrlSet(exchange.rest, exchange.ws_api, exchange.streams, frozenset({str(parts.hostname)}))
    clock = Clock()
    asked = rest.open(urls, Credential("desk", *ALPHA), clock, Budget(clock.now_ms, file), **more)
    try:
        await asked.time()
        yield asked
    finally:
        await asked.close()


def play(exchange: Running, scene: Callable[[Rest], Awaitable[None]], **more: Any) -> None:
    async def run() -> None:
        async with connected(exchange, **more) as asked:
            await scene(asked)

    asyncio.run(run())


def terms(client_id: str, **changes: str) -> dict[str, str]:
    return {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01000",
        "price": "50000.00", "newClientOrderId": client_id, "newOrderRespType": "FULL",
    } | changes  # fmt: skip


def placed(answer: Answer, client_id: str) -> str:
    return outcomes.of_place(answer, client_id).kind


def test_the_life_of_an_order(exchange: Running) -> None:
    async def scene(asked: Rest) -> None:
        answer = await asked.place(terms("og7-1"))
        assert placed(answer, "og7-1") == "ACK"
        assert isinstance(answer.body, dict) and answer.body["price"] == "50000.00000000"
        order_id = str(answer.body["orderId"])
        again = outcomes.of_place(await asked.place(terms("og7-1")), "og7-1")
        assert (again.kind, again.reason) == ("ADOPT", "DUPLICATE")
        found = await asked.order("BTCUSDT", client_id="og7-1")
        assert outcomes.of_query(found, "og7-1").text == "NEW"
        assert outcomes.of_query(await asked.order("BTCUSDT", order_id=order_id), order_id=order_id).kind == "FOUND"
        (one,) = (await asked.open_orders("BTCUSDT")).body or []  # type: ignore[misc]
        assert one["clientOrderId"] == "og7-1"
        smaller = {"symbol": "BTCUSDT", "origClientOrderId": "og7-1", "newQty": "0.00500"}
        assert outcomes.of_amend(await asked.amend(smaller), "og7-1").kind == "AMENDED"
        assert outcomes.of_query(await asked.order("BTCUSDT", client_id="og7-1"), "og7-1").kind == "FOUND"
        larger = outcomes.of_amend(await asked.amend(smaller | {"newQty": "0.50000"}), "og7-1")
        assert larger.kind == "REFUSED"
        away = {"symbol": "BTCUSDT", "origClientOrderId": "og7-1"}
        assert outcomes.of_cancel(await asked.cancel(away), "og7-1").kind == "CANCELED"
        assert outcomes.of_cancel(await asked.cancel(away), "og7-1").kind == "GONE"
        assert outcomes.of_amend(await asked.amend(smaller), "og7-1").kind in ("GONE", "REFUSED")
        ended = await asked.order("BTCUSDT", client_id="og7-1")
        assert outcomes.of_query(ended, "og7-1").text == "CANCELED"
        assert outcomes.of_query(await asked.order("BTCUSDT", client_id="og7-none"), "og7-none").kind == "ABSENT"
        assert (await asked.all_orders("BTCUSDT", limit=5)).status == 200
        state = asked.budget.state()
        assert state["orders"]["desk"]["10S"]["used"] >= 1 and state["weight"]["1M"]["used"] > 20

    play(exchange, scene)


def test_a_fill_has_its_trade_id_everywhere(exchange: Running) -> None:
    exchange.tell("/book", {"symbol": "BTCUSDT", "asks": [["60000", "1"]], "bids": []})

    async def scene(asked: Rest) -> None:
        market = {key: value for key, value in terms("og7-2", type="MARKET").items()
                  if key not in ("price", "timeInForce")}  # fmt: skip
        answer = await asked.place(market)
        assert placed(answer, "og7-2") == "ACK", answer
        assert isinstance(answer.body, dict)
        ids = [fill["tradeId"] for fill in answer.body["fills"]]
        trades: Any = (await asked.my_trades("BTCUSDT", order_id=str(answer.body["orderId"]))).body
        assert [trade["id"] for trade in trades] == ids and ids
        later: Any = (await asked.my_trades("BTCUSDT", from_id=int(ids[-1]) + 1)).body
        assert later == []

    play(exchange, scene)


REFUSALS: list[tuple[dict[str, str], str]] = [
    ({"price": "50000.001"}, "FILTER_PRICE_FILTER"),
    ({"quantity": "0.000001"}, "FILTER_LOT_SIZE"),
    ({"quantity": "0.00001"}, "FILTER_NOTIONAL"),
    ({"symbol": "NOSUCH"}, "UNKNOWN_SYMBOL"),
    ({"quantity": "0.1", "price": "900000"}, "FILTER_PERCENT_PRICE_BY_SIDE"),
    ({"quantity": "100"}, "INSUFFICIENT_BALANCE"),
    ({"side": "HOLD"}, "INVALID_PARAMETER"),
    ({"price": "x"}, "INVALID_PARAMETER"),
    ({"price": "50000.000000001"}, "TOO_PRECISE"),
    ({"nonsense": "1"}, "INVALID_PARAMETER"),
    ({"timestamp": "1600000000000"}, "WRONG_TIME"),
    ({"recvWindow": "70000"}, "UNLISTED"),
]


@pytest.mark.parametrize(("changes", "reason"), REFUSALS, ids=[reason for _, reason in REFUSALS])
def test_what_is_refused_says_why(exchange: Running, changes: dict[str, str], reason: str) -> None:
    async def scene(asked: Rest) -> None:
        found = outcomes.of_place(await asked.place(terms("og7-refused") | changes), "og7-refused")
        assert found.reason == reason, found
        assert found.kind == ("UNKNOWN" if reason == "UNLISTED" else "REJECT")

    play(exchange, scene)
    assert not exchange.see("/ledger?clientOrderId=og7-refused")["commits"]


LOST: list[tuple[str, str, dict[str, Any], str]] = [
    ("post_commit", "error", {"status": 504, "code": -1007}, "EXCHANGE_TIMEOUT"),
    ("post_commit", "error", {"status": 500, "code": -1006}, "EXCHANGE_UNEXPECTED_RESPONSE"),
    ("post_commit", "html", {"status": 503}, "SERVER_ERROR"),
    ("post_commit", "html", {"status": 403}, "FIREWALL"),
    ("post_commit", "html", {"status": 400}, "GARBLED"),
    ("post_commit", "html", {"status": 200}, "GARBLED"),
    ("post_commit", "empty", {"status": 502}, "SERVER_ERROR"),
    ("post_commit", "close", {}, "DISCONNECTED"),
    ("post_commit", "reset", {}, "DISCONNECTED"),
    ("post_answer", "truncate", {}, "GARBLED"),
    ("post_answer", "half", {}, "GARBLED"),
    ("post_commit", "hang", {}, "TIMEOUT"),
    ("pre_engine", "error", {"status": 503, "code": -1008}, "EXCHANGE_OVERLOADED"),
    ("pre_auth", "html", {"status": 403}, "FIREWALL"),
]


@pytest.mark.parametrize(("phase", "kind", "action", "reason"), LOST, ids=[f"{row[1]}-{row[3]}" for row in LOST])
def test_a_lost_answer_is_unknown_and_sent_once(
    exchange: Running, phase: str, kind: str, action: dict[str, Any], reason: str
) -> None:
    client_id = f"og7-{phase}-{kind}-{action.get('status', 0)}"[:36]
    exchange.rule(phase, kind, match={"method": "order.place"}, **action)

    async def scene(asked: Rest) -> None:
        found = outcomes.of_place(await asked.place(terms(client_id)), client_id)
        assert (found.kind, found.reason) == ("UNKNOWN", reason)
        there = outcomes.of_query(await asked.order("BTCUSDT", client_id=client_id), client_id)
        assert there.kind == ("FOUND" if phase.startswith("post") else "ABSENT")
        if there.kind == "FOUND":
            away = {"symbol": "BTCUSDT", "origClientOrderId": client_id}
            assert outcomes.of_cancel(await asked.cancel(away), client_id).kind == "CANCELED"

    play(exchange, scene, timeout_ms=700)
    seen = exchange.see(f"/ledger?clientOrderId={client_id}")
    assert sum(one["method"] == "order.place" for one in seen["requests"]) == 1


@pytest.mark.parametrize("offset_s", [-10, -3, 3, 10])
def test_a_clock_that_is_off_costs_nothing(exchange: Running, offset_s: int) -> None:
    exchange.tell("/clock", {"offsetMs": offset_s * 1_000})

    async def scene(asked: Rest) -> None:
        assert abs(asked.clock.offset_ms - offset_s * 1_000) < 500
        assert placed(await asked.place(terms(f"og7-off{offset_s}", price="40000")), f"og7-off{offset_s}") == "ACK"

    play(exchange, scene)


@pytest.mark.parametrize("step_s", [-5, 5])
def test_a_clock_that_steps_is_asked_again(exchange: Running, step_s: int) -> None:
    async def scene(asked: Rest) -> None:
        exchange.tell("/clock", {"offsetMs": step_s * 1_000})
        client_id = f"og7-step{step_s}"
        found = outcomes.of_place(await asked.place(terms(client_id)), client_id)
        assert (found.kind, found.reason, found.again) == ("REJECT", "WRONG_TIME", True)
        assert not asked.clock.good
        keeping = asyncio.create_task(clocks.keep(asked.clock, asked.time))
        async with asyncio.timeout(10):
            while not asked.clock.good:
                await asyncio.sleep(0.01)
        keeping.cancel()
        assert placed(await asked.place(terms(client_id, price="40000")), client_id) == "ACK"

    play(exchange, scene)


def test_a_drift_of_a_second_a_minute_is_followed(exchange: Running) -> None:
    exchange.tell("/clock", {"offsetMs": 3_000, "driftPpm": 16_667})

    async def scene(asked: Rest) -> None:
        keeping = asyncio.create_task(clocks.keep(asked.clock, asked.time, every_s=0.2))
        for number in range(6):
            await asyncio.sleep(0.2)
            assert asked.clock.good
            answer = await asked.order("BTCUSDT", client_id=f"og7-drift{number}")
            assert answer.code == -2013
        keeping.cancel()

    play(exchange, scene)


def test_a_ban_is_kept_to_the_second_over_a_restart(exchange: Running, tmp_path: Path) -> None:
    file = tmp_path / "limits.json"
    exchange.tell("/limits", {"banSeconds": 2})
    before = exchange.see("/ledger")["sequence"], len(exchange.see("/ledger")["requests"])

    async def scene() -> None:
        async with connected(exchange, file) as asked:
            banned = time.monotonic()
            for _ in range(50):
                assert not (await asked.place(terms("og7-banned"))).sent
                assert not (await asked.cancel({"symbol": "BTCUSDT", "origClientOrderId": OURS})).sent
        async with connected(exchange, file) as asked:
            wait_ms = asked.budget.wait_ms("cancel")
            assert 0 < wait_ms <= 2_000
            answer = await asked.account()
            assert answer.status == 200 and time.monotonic() - banned > 1.5

    asyncio.run(scene())
    asked = exchange.see("/ledger")["requests"][before[1] :]
    assert [one["method"] for one in asked][:1] == ["time"] and len(asked) <= 3


def test_instruments_come_with_their_filters_and_limits(exchange: Running) -> None:
    async def scene(asked: Rest) -> None:
        answer = await asked.exchange_info(["BTCUSDT", "ETHUSDT"])
        found = instruments.listed(answer.body, ["BTCUSDT", "ETHUSDT", "NOSUCH"])
        assert found.fields.keys() == {"BTCUSDT", "ETHUSDT"} and found.unusable.keys() == {"NOSUCH"}
        assert float(found.fields["BTCUSDT"]["tickSize"]) == 0.01
        exchange.tell("/symbol", {"symbol": "ETHUSDT", "status": "HALT"})
        again = instruments.listed((await asked.exchange_info(["ETHUSDT"])).body, ["ETHUSDT"])
        exchange.tell("/symbol", {"symbol": "ETHUSDT", "status": "TRADING"})
        assert again.fields["ETHUSDT"]["status"] == "HALT"

    play(exchange, scene)


def examined(exchange: Running) -> dict[str, key_check.Finding]:
    async def run() -> list[key_check.Finding]:
        async with connected(exchange) as asked:
            return await key_check.examine(asked)

    return {one.name: one for one in asyncio.run(run())}


def test_a_good_key_is_good(exchange: Running) -> None:
    found = examined(exchange)
    assert {name for name, one in found.items() if one.result == "ok"} == set(found) - {"addresses"}
    assert found["addresses"].result == "warning" and not key_check.refuses(list(found.values()))


@pytest.mark.parametrize(
    ("key", "finding", "words"),
    [
        ({"enableWithdrawals": True}, "no withdrawals", "the key can withdraw"),
        ({"permissions": ["USER_DATA"]}, "trading", "the key may not trade"),
        ({"revoked": True}, "key", "KEY_REFUSED"),
        ({"ips": ["10.1.2.3"]}, "key", "KEY_REFUSED"),
    ],
)
def test_a_key_that_must_not_be_used_says_why(exchange: Running, key: dict[str, Any], finding: str, words: str) -> None:
    exchange.tell("/key", {"apiKey": ALPHA[0]} | key)
    found = examined(exchange)
    assert found[finding].result == "failed" and words in found[finding].text and found[finding].advice
    assert key_check.refuses(list(found.values()))


def test_an_account_that_may_not_trade_says_so(exchange: Running) -> None:
    exchange.tell("/account", {"account": "alpha", "canTrade": False})
    found = examined(exchange)
    exchange.tell("/account", {"account": "alpha", "canTrade": True})
    assert (found["trading"].result, found["trading"].text) == ("failed", "the account may not trade")


@pytest.mark.parametrize(
    ("path", "finding"),
    [("/api/v3/time", "reachable"), ("/sapi/v1/account/apiRestrictions", "key"), ("/api/v3/account", "trading")],
)
def test_what_cannot_be_looked_at_is_not_taken_for_good(exchange: Running, path: str, finding: str) -> None:
    exchange.rule("post_commit", "html", match={"path": path}, times=None, status=200)
    found = examined(exchange)
    assert found[finding].result == "unknown" and key_check.refuses(list(found.values()))
