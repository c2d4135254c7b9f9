"""Limits, approvals, overrides and strategies over HTTP, with the real engine behind the real server."""

from typing import Any

import msgspec

from tests.unit.desk_parts import Desk, desk
from tests.unit.http_parts import on_uvloop

LIMITS, REQUESTS, STRATEGIES = "/risk/limits", "/risk/requests", "/strategies"


def limit(value: Any, kind: str = "MAX_ORDER_QTY", **more: Any) -> dict[str, Any]:
    return {"scope": "account", "kind": kind, "value": value, "reason": "test"} | more


async def in_force(at: Desk, who: str = "ann") -> dict[tuple[str, str, str], str]:
    found = (await at.ask(who, "GET", LIMITS)).json["limits"]
    return {(one["scope"], one["target"], one["kind"]): one["value"] for one in found}


@on_uvloop
async def test_a_limit_tightens_at_once_and_loosens_with_two_people() -> None:
    async with desk() as at:
        mine = ("account", "desk", "MAX_ORDER_QTY")
        for value, answer in ((10, (200, "IN_FORCE")), ("5", (200, "IN_FORCE")), (5, (200, "UNCHANGED")),
                              ("5.5", (200, "IN_FORCE")), (9, (202, "WAITING"))):  # fmt: skip
            assert await at.told("ann", "POST", LIMITS, limit(value)) == answer, value
        assert (await in_force(at))[mine] == "5.5", "a tenth more is one person's, the rest waits"
        ((request,),) = [(await at.ask("bob", "GET", REQUESTS)).json["requests"]]
        assert (request["limit"]["value"], request["by"], request["override"]) == ("9", "ann", None)
        assert (await at.ask("eve", "GET", REQUESTS)).json["requests"] == []
        before = at.gateway.state_hash()
        approve = f"{REQUESTS}/{request['id']}/approve"
        for who, answer in (
            ("ann", (403, "second_person_needed")),
            ("ann again", (403, "second_person_needed")),
            ("eve", (404, "not_found")),
            ("trade", (403, "forbidden")),
        ):
            assert await at.told(who, "POST", approve) == answer, who
        for number in ("0", "-1", "x", "1" * 30):
            assert await at.told("bob", "POST", f"{REQUESTS}/{number}/approve") == (404, "not_found"), number
        assert at.gateway.state_hash() == before
        answer = await at.ask("bob", "POST", approve)
        assert (answer.status, answer.json) == (200, {"id": request["id"], "outcome": "APPROVED"})
        assert (await in_force(at))[mine] == "9"
        assert await at.told("bob", "POST", approve) == (404, "not_found"), "once"
        assert await at.told("ann", "POST", LIMITS, limit(None)) == (202, "WAITING"), "taking it away loosens"


@on_uvloop
async def test_who_rejects_a_change_leaves_the_limit() -> None:
    async with desk() as at:
        await at.ask("ann", "POST", LIMITS, limit(1))
        for who in ("bob", "ann"):
            request = (await at.ask("ann", "POST", LIMITS, limit(2))).json["requestId"]
            assert await at.told("eve", "POST", f"{REQUESTS}/{request}/reject") == (404, "not_found")
            answer = await at.ask(who, "POST", f"{REQUESTS}/{request}/reject")
            assert (answer.status, answer.json["outcome"]) == (200, "REJECTED"), who
        assert (await at.ask("ann", "GET", REQUESTS)).json["requests"] == []
        assert (await in_force(at))["account", "desk", "MAX_ORDER_QTY"] == "1"


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    (limit("-1"), 422, "invalid_limit"),
    (limit(-0.5), 422, "invalid_limit"),
    (limit("two"), 422, "invalid_limit"),
    (limit(""), 422, "invalid_limit"),
    (limit("NaN"), 422, "invalid_limit"),
    (limit("Infinity"), 422, "invalid_limit"),
    (limit("1e400"), 422, "invalid_limit"),
    (limit("0.000000001"), 422, "invalid_limit"),
    (limit("9" * 40), 422, "invalid_limit"),
    (limit([1]), 422, "invalid_limit"),
    (limit({"a": 1}), 422, "invalid_limit"),
    (limit(True), 422, "invalid_limit"),
    (limit(1, unit="reportingCurrency"), 422, "invalid_limit"),
    (limit(1, unit="BTC"), 422, "invalid_limit"),
    (limit("1.5", "MAX_OPEN_ORDERS"), 422, "invalid_limit"),
    (limit(1, "MAX_OPEN_ORDERS", unit="base"), 422, "invalid_limit"),
    (limit(1, "MAX_FUN"), 422, "invalid_limit"),
    (limit(1, "MAX_JOURNAL_LATENCY"), 422, "invalid_limit"),
    (limit(1, "MAX_DAILY_LOSS", symbol="BTCUSDT"), 422, "invalid_limit"),
    (limit(51), 422, "invalid_limit"),
    (limit(51, scope="strategy", target="grid"), 422, "invalid_limit"),
    (limit(51, scope="key", target="5"), 422, "invalid_limit"),
    (limit(51, symbol="BTCUSDT"), 422, "invalid_limit"),
    (limit(1, scope="galaxy"), 404, "not_found"),
    (limit(1, scope="strategy"), 404, "not_found"),
    (limit(1, scope="strategy", target="nobody"), 404, "not_found"),
    (limit(1, target="lab"), 404, "not_found"),
    (limit(1, scope="key", target="99"), 404, "not_found"),
    (limit(1, scope="key", target="x"), 404, "not_found"),
    (limit(1, symbol="NOPE"), 404, "not_found"),
    (limit(1, scope="firm"), 403, "forbidden"),
    (limit(1, reason=""), 400, "invalid_field"),
    (limit(1, reason="x" * 257), 400, "invalid_field"),
    (limit(1, surprise=1), 400, "invalid_field"),
    ({"scope": "account", "kind": "MAX_ORDER_QTY", "reason": "test"}, 400, "invalid_field"),
]
"""With the firm's MAX_ORDER_QTY at 50: body, status, code."""


@on_uvloop
async def test_a_limit_that_cannot_be_changes_nothing() -> None:
    async with desk() as at:
        at.gateway.set_limit("firm", "", None, "MAX_ORDER_QTY", "50", None, "op", "start")
        at.gateway.create_strategy("grid", "desk", "op", "cli", "new")
        before, seq = at.gateway.state_hash(), at.gateway.last_seq
        for body, status, code in REFUSED:
            assert await at.told("ann", "POST", LIMITS, body) == (status, code), body
        raw = await at.server.ask("POST", "/api/v1/risk/limits", b"{", authorization="Bearer ann")
        assert raw.code == "malformed_json"
        assert (at.gateway.state_hash(), at.gateway.last_seq) == (before, seq)
        assert await at.told("ann", "POST", LIMITS, limit(50)) == (200, "IN_FORCE"), "as loose as the firm is allowed"


@on_uvloop
async def test_an_override_lets_one_order_pass() -> None:
    async with desk() as at:
        await at.ask("ann", "POST", LIMITS, limit("0.05"))
        assert await at.placed() == (422, "order_rejected")
        asked = {"kinds": ["MAX_ORDER_QTY"], "reason": "one large order", "symbol": "BTCUSDT"}
        before = at.gateway.state_hash()
        for wrong, status, code in (
            ({"kinds": []}, 400, "invalid_field"),
            ({"kinds": ["MAX_FUN"]}, 422, "invalid_limit"),
            ({"symbol": "NOPE"}, 404, "not_found"),
            ({"validForMs": 0}, 400, "invalid_field"),
            ({"validForMs": 86_400_001}, 400, "invalid_field"),
            ({"reason": ""}, 400, "invalid_field"),
        ):
            assert await at.told("ann", "POST", "/risk/overrides", asked | wrong) == (status, code), wrong
        assert await at.placed(overrideId="1") == (422, "override_invalid")
        assert at.gateway.state_hash() == before
        answer = await at.ask("ann", "POST", "/risk/overrides", asked)
        assert (answer.status, answer.json["status"]) == (202, "WAITING")
        number = answer.json["requestId"]
        assert await at.placed(overrideId=number) == (422, "override_invalid"), "nobody has approved it"
        approve = f"{REQUESTS}/{number}/approve"
        assert await at.told("ann", "POST", approve) == (403, "second_person_needed")
        assert (await at.told("bob", "POST", approve))[0] == 200
        assert await at.placed("eve", overrideId=number) == (422, "override_invalid"), "another account's"
        assert await at.placed(overrideId=number, symbol="ETHUSDT") == (422, "override_invalid"), "another symbol"
        assert (await at.placed(overrideId=number))[0] == 201
        assert await at.placed(overrideId=number) == (422, "override_invalid"), "once"


@on_uvloop
async def test_orders_of_a_strategy_need_it_running() -> None:
    async with desk() as at:
        for who, answer in (("trade", (403, "forbidden")), ("ann", (201, "STOPPED")), ("ann", (409, "strategy_exists")),
                            ("eve", (409, "strategy_exists"))):  # fmt: skip
            assert await at.told(who, "POST", STRATEGIES, {"id": "grid"}) == answer, who
        for name in ("", "a/b", "a b", "x" * 65):
            assert await at.told("ann", "POST", STRATEGIES, {"id": name}) == (400, "invalid_field"), name
        steps: list[tuple[str, str, tuple[int, str], tuple[int, str]]] = [
            ("ann", "stop", (200, "STOPPED"), (422, "strategy_not_running")),
            ("eve", "start", (404, "not_found"), (422, "strategy_not_running")),
            ("trade", "start", (403, "forbidden"), (422, "strategy_not_running")),
            ("ann", "start", (200, "RUNNING"), (201, "PENDING_NEW")),
            ("bob", "start", (200, "RUNNING"), (201, "PENDING_NEW")),
            ("eve", "stop", (404, "not_found"), (201, "PENDING_NEW")),
            ("bob", "stop", (200, "STOPPED"), (422, "strategy_not_running")),
        ]
        for who, verb, answer, then in steps:
            assert await at.told(who, "POST", f"{STRATEGIES}/grid/{verb}") == answer, (who, verb)
            assert await at.placed(strategyId="grid") == then, (who, verb)
        await at.ask("ann", "POST", f"{STRATEGIES}/grid/start")
        assert await at.placed("eve", strategyId="grid") == (422, "strategy_not_running"), "another account's"
        assert await at.placed(strategyId="nobody") == (422, "strategy_not_running")
        assert await at.told("ann", "POST", f"{STRATEGIES}/nobody/start") == (404, "not_found")
        (listed,) = (await at.ask("read", "GET", STRATEGIES)).json["strategies"]
        assert (listed["id"], listed["account"], listed["status"], listed["by"]) == ("grid", "desk", "RUNNING", "ann")
        assert (await at.ask("eve", "GET", STRATEGIES)).json["strategies"] == []


@on_uvloop
async def test_a_kill_stops_strategies_and_clearing_it_starts_none() -> None:
    async with desk() as at:
        await at.ask("ann", "POST", STRATEGIES, {"id": "grid"})
        await at.ask("ann", "POST", f"{STRATEGIES}/grid/start")
        assert (await at.ask("kill", "POST", "/kill", {"scope": "account", "reason": "fire"})).status == 200
        assert await at.placed() == (503, "killed")
        assert await at.told("ann", "POST", f"{STRATEGIES}/grid/start") == (503, "killed")
        assert (await at.ask("kill", "DELETE", "/kill?scope=account")).status == 200
        assert await at.placed() == (201, "PENDING_NEW")
        assert await at.placed(strategyId="grid") == (422, "strategy_not_running")
        (listed,) = (await at.ask("ann", "GET", STRATEGIES)).json["strategies"]
        assert (listed["status"], listed["source"], listed["reason"]) == ("STOPPED", "kill", "fire")


@on_uvloop
async def test_a_halted_scope_takes_no_new_order_but_cancels() -> None:
    async with desk() as at:
        order = (await at.order()).json["id"]
        at.gateway.set_trading_state("account", "desk", "PAPER", "HALTED", "look into it", "op", "admin")
        refused = await at.order()
        assert (refused.code, refused.status, "retry-after" in refused.headers) == ("halted", 503, False)
        assert "look into it" in refused.json["detail"]
        assert (await at.placed("eve"))[0] == 201
        (state,) = (await at.ask("read", "GET", "/risk/state")).json["states"]
        assert (state["scope"], state["target"], state["mode"], state["state"]) == (
            "account",
            "desk",
            "PAPER",
            "HALTED",
        )
        assert (await at.ask("eve", "GET", "/risk/state")).json["states"] == []
        assert (await at.ask("cancel", "DELETE", f"/orders/{order}")).status in (200, 202)
        at.gateway.set_trading_state("account", "desk", "PAPER", "ACTIVE", "over", "op", "admin")
        assert (await at.placed())[0] == 201


@on_uvloop
async def test_the_state_of_risk_is_the_accounts_own() -> None:
    async with desk() as at:
        await at.ask("ann", "POST", LIMITS, limit(500, "MAX_DAILY_LOSS"))
        at.gateway.set_limit("firm", "", None, "MAX_DAILY_LOSS", "9000", None, "op", "start")
        at.gateway.tick()
        assert (await at.placed())[0] == 201
        state = (await at.ask("read", "GET", "/risk/state")).json
        assert (state["currency"], state["dayStartNs"] % 86_400_000_000_000) == ("USDT", 0)
        (figures,) = state["figures"]
        assert figures == {
            "scope": "account", "target": "desk", "mode": "PAPER", "orders": 1, "cancels": 0, "fills": 0,
            "turnover": "0", "result": "0", "fresh": True,
        }  # fmt: skip
        assert {(one["scope"], one["mode"], one["limit"], one["value"]) for one in state["watched"]} == {
            ("account", mode, "500", "0") for mode in ("PAPER", "LIVE")
        }, "not the firm's"
        assert (await at.ask("eve", "GET", "/risk/state")).json["figures"] == []


@on_uvloop
async def test_a_breached_limit_does_what_is_set() -> None:
    for action, state, then in (
        ("REDUCE_ONLY", "REDUCE_ONLY", None),
        ("HALT", "HALTED", (503, "halted")),
        ("FLATTEN", "HALTED", (503, "halted")),
    ):
        async with desk() as at:
            at.gateway.tick()  # the day begins
            at.gateway.set_breach_action(action)
            await at.ask("ann", "POST", LIMITS, limit(1, "MAX_DAILY_LOSS"))
            working = (await at.order()).json["id"]
            order = int((await at.order()).json["id"])
            now = at.gateway.now_ns()
            fill = ("FILL", order, "1", "1000", "0.1", "100", "5", "USDT", False, now)
            session = at.gateway.session_of("paper")
            assert session is not None
            acks = [("ACK", int(working), "v1"), ("ACK", order, "v2")]
            at.gateway.reports(session, msgspec.msgpack.encode([*acks, fill]))
            while not (seen := (await at.ask("read", "GET", "/risk/state")).json)["states"]:
                at.gateway.tick()
                assert at.gateway.now_ns() - now < 5_000_000_000, "five of fees are more than one"
            (standing,) = seen["states"]
            told = (standing["state"], standing["source"], standing["reason"], standing["mode"])
            assert told == (state, "limit", "MAX_DAILY_LOSS", "PAPER")
            (watched,) = [one for one in seen["watched"] if one["mode"] == "PAPER"]
            assert (watched["value"], watched["limit"], watched["breached"]) == ("5", "1", True)
            (figures,) = seen["figures"]
            assert (figures["fills"], figures["result"], figures["turnover"]) == (1, "-5", "100")
            if then is not None:
                assert await at.placed() == then
            at.gateway.tick()
            status = (await at.ask("read", "GET", f"/orders/{working}")).json["status"]
            assert status == ("PENDING_CANCEL" if action == "FLATTEN" else "NEW"), action


@on_uvloop
async def test_restricted_symbols_and_hours_refuse_new_orders() -> None:
    async with desk() as at:
        at.gateway.restrict("desk", "BTCUSDT", True, "op", "delisting")
        assert await at.placed() == (422, "restricted_symbol")
        assert (await at.placed(symbol="ETHUSDT"))[0] == (await at.placed("eve"))[0] == 201
        at.gateway.restrict("desk", "BTCUSDT", False, "op", "it stays")
        assert (await at.placed())[0] == 201
        # One weekday is open, of seven: at any moment one of two neighbours is closed.
        answers = []
        for day in range(7):
            at.gateway.set_schedule("desk", 1 << day, 0, 1440, "op", "test")
            answers.append(await at.placed())
        assert sorted(set(answers)) == [(201, "PENDING_NEW"), (422, "outside_schedule")]
        assert (await at.placed("eve"))[0] == 201


@on_uvloop
async def test_what_is_no_document_is_told_so() -> None:
    async with desk() as at:
        before = at.gateway.state_hash()
        twice = b'{"scope":"account","kind":"MAX_ORDER_QTY","value":1,"value":2,"reason":"x"}'
        for body in (b"\xff\xfe", b"[" * 100_000, twice, b"", b"{"):
            for path in (LIMITS, STRATEGIES, "/kill", "/heartbeat"):
                answer = await at.ask("ann", "POST", path, body)
                assert answer.status in {400, 413}, (path, body[:20], answer)
        assert at.gateway.state_hash() == before
