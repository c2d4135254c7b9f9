"""What each key may do over HTTP: every verb, allowed and refused, with the real engine behind the real server."""

from typing import Any

from ordergate import _core
from tests.unit.desk_parts import Desk, desk
from tests.unit.http_parts import on_uvloop

LIMIT = {"scope": "account", "kind": "MAX_OPEN_ORDERS", "value": 100, "reason": "test"}
OVERRIDE = {"kinds": ["MAX_ORDER_QTY"], "reason": "test"}
BEAT = {"scope": "account", "timeoutMs": 0}

VERBS: dict[tuple[str, str], tuple[Any, set[str], set[int]]] = {
    ("GET", "/orders"): (None, {"read", "trade", "cancel"}, {200}),
    ("GET", "/orders/{order}"): (None, {"read", "trade", "cancel"}, {200}),
    ("GET", "/portfolio"): (None, {"read", "trade", "cancel"}, {200}),
    ("DELETE", "/orders/{order}"): (None, {"trade", "cancel"}, {200, 202}),
    ("GET", "/risk/limits"): (None, {"read", "trade", "cancel", "risk-admin"}, {200}),
    ("GET", "/risk/limits/history"): (None, {"read", "trade", "cancel", "risk-admin"}, {503}),  # no Postgres here
    ("GET", "/risk/state"): (None, {"read", "trade", "cancel"}, {200}),
    ("GET", "/risk/requests"): (None, {"read", "trade", "cancel", "risk-admin"}, {200}),
    ("GET", "/strategies"): (None, {"read", "trade", "cancel", "risk-admin"}, {200}),
    ("POST", "/risk/limits"): (LIMIT, {"risk-admin"}, {200}),
    ("POST", "/risk/overrides"): (OVERRIDE, {"risk-admin"}, {202}),
    ("POST", "/risk/requests/{request}/reject"): (None, {"risk-admin"}, {200}),
    ("POST", "/risk/requests/{request}/approve"): (None, {"risk-admin"}, {200}),
    ("POST", "/strategies"): ({"id": "new"}, {"risk-admin"}, {201}),
    ("POST", "/strategies/grid/start"): (None, {"risk-admin"}, {200}),
    ("POST", "/strategies/grid/stop"): (None, {"risk-admin"}, {200}),
    ("GET", "/kill"): (None, {"read", "trade", "cancel", "kill"}, {200}),
    ("POST", "/heartbeat"): (BEAT, {"trade", "kill"}, {200}),
    ("POST", "/kill"): ({"scope": "account", "reason": "fire"}, {"kill"}, {200}),
    ("DELETE", "/kill?scope=account"): (None, {"kill"}, {200}),
}
"""Method and path -> body, the scopes that allow it, the statuses of what is allowed. In order: kills come last."""
SCOPES = tuple(_core.VOCABULARY["scope"])


async def asked(at: Desk) -> str:
    """A change that waits, so that it can be decided."""
    return str((await at.ask("bob", "POST", "/risk/overrides", OVERRIDE)).json["requestId"])


@on_uvloop
async def test_each_verb_needs_its_scope() -> None:
    async with desk() as at:
        at.gateway.create_strategy("grid", "desk", "op", "cli", "new")
        order = (await at.order()).json["id"]
        assert set(SCOPES) == {"read", "trade", "cancel", "risk-admin", "kill"}
        for (method, path), (body, allowed, statuses) in VERBS.items():
            request = await asked(at) if "{request}" in path else ""
            whole = path.format(order=order, request=request)
            # Those that are refused come first: what is allowed may change what follows.
            for scope in sorted(SCOPES, key=lambda scope: scope in allowed):
                before = at.gateway.state_hash()
                answer = await at.ask(scope, method, whole, body)
                if scope in allowed:
                    assert answer.status in statuses, (method, path, scope, answer.body)
                else:
                    assert (answer.status, answer.code) == (403, "forbidden"), (method, path, scope)
                    assert at.gateway.state_hash() == before, (method, path, scope)


@on_uvloop
async def test_only_trading_keys_place_orders() -> None:
    async with desk() as at:
        for scope in SCOPES:
            expected = (201, "PENDING_NEW") if scope == "trade" else (403, "forbidden")
            assert await at.placed(scope) == expected, scope


@on_uvloop
async def test_keys_that_are_none_or_no_more_may_nothing() -> None:
    async with desk() as at:
        before = at.gateway.state_hash()
        for who in ("nobody", "expired", "revoked"):
            for method, path in VERBS:
                body = VERBS[method, path][0]
                answer = await at.ask(who, method, path.format(order="1", request="1"), body)
                assert (answer.status, answer.code) == (401, "unauthorized"), (who, method, path)
            assert await at.placed(who) == (401, "unauthorized"), who
        assert at.gateway.state_hash() == before


@on_uvloop
async def test_a_key_is_held_to_its_networks_by_every_verb() -> None:
    async with desk() as at:
        before = at.gateway.state_hash()
        for (method, path), (body, _, _) in VERBS.items():
            answer = await at.ask("from afar", method, path.format(order="1", request="1"), body)
            assert (answer.status, answer.code) == (403, "ip_not_allowed"), (method, path)
        assert await at.placed("from afar") == (403, "ip_not_allowed")
        assert at.gateway.state_hash() == before
        assert (await at.placed("from here"))[0] == 201
        assert (await at.ask("from here", "POST", "/heartbeat", BEAT)).status == 200
        assert (await at.ask("from here", "POST", "/risk/limits", LIMIT)).status == 200
        # What a header says about the address counts for nothing.
        forged = await at.server.ask(
            "GET",
            "/api/v1/portfolio",
            authorization="Bearer from afar",
            x_forwarded_for="10.0.0.1",
            forwarded="for=10.1.1.1",
        )
        assert forged.code == "ip_not_allowed"


@on_uvloop
async def test_a_key_is_held_to_its_symbols() -> None:
    async with desk() as at:
        before = at.gateway.state_hash()
        assert await at.placed("one symbol") == (422, "symbol_not_allowed")
        assert at.gateway.state_hash() == before
        mine = await at.order("one symbol", symbol="ETHUSDT")
        assert mine.status == 201
        # Getting out is not narrowed: it cancels whatever the account has.
        other = (await at.order()).json["id"]
        assert (await at.ask("one symbol", "DELETE", f"/orders/{other}")).status in (200, 202)


@on_uvloop
async def test_a_key_has_a_rate_for_orders_and_one_for_the_rest() -> None:
    async with desk() as at:
        answers = [await at.order("slow") for _ in range(3)]
        assert [answer.status for answer in answers] == [201, 429, 429]
        assert answers[1].code == "rate_limited" and answers[1].headers["retry-after"] == "1"
        order = answers[0].json["id"]
        assert (await at.ask("slow", "DELETE", f"/orders/{order}")).status in (200, 202), "cancels have their own"
        assert (await at.ask("slow", "GET", "/portfolio")).status == 200
        reads = [(await at.ask("slow", "GET", "/risk/limits")).status for _ in range(8)]
        assert 429 in reads, "four times as many, not without end"
        assert (await at.placed())[0] == 201, "another key of the account"
        # A sign of life never waits for a place in a rate.
        beats = [(await at.ask("slow", "POST", "/heartbeat", BEAT)).status for _ in range(8)]
        assert set(beats) == {200}


@on_uvloop
async def test_an_account_sees_and_changes_only_what_is_its_own() -> None:
    async with desk() as at:
        order = (await at.order()).json["id"]
        at.gateway.create_strategy("grid", "desk", "op", "cli", "new")
        request = await asked(at)
        before = at.gateway.state_hash()
        for method, path, body in (
            ("GET", f"/orders/{order}", None),
            ("DELETE", f"/orders/{order}", None),
            ("POST", f"/risk/requests/{request}/approve", None),
            ("POST", f"/risk/requests/{request}/reject", None),
            ("POST", "/strategies/grid/start", None),
            ("POST", "/strategies/grid/stop", None),
            ("POST", "/risk/limits", LIMIT | {"target": "desk"}),
            ("POST", "/risk/limits", LIMIT | {"scope": "strategy", "target": "grid"}),
            ("POST", "/risk/limits", {**LIMIT, "kind": "MAX_ORDER_QTY", "scope": "key", "target": "0"}),
            ("POST", "/kill", {"scope": "account", "target": "desk"}),
            ("POST", "/kill", {"scope": "strategy", "target": "grid"}),
            ("POST", "/heartbeat", {"scope": "strategy", "target": "grid", "timeoutMs": 1000}),
        ):
            assert await at.told("eve", method, path, body) == (404, "not_found"), (method, path, body)
        assert at.gateway.state_hash() == before


@on_uvloop
async def test_a_missed_heartbeat_stops_the_account() -> None:
    async with desk() as at:
        before = at.gateway.now_ns()
        assert (await at.ask("trade", "POST", "/heartbeat", BEAT | {"timeoutMs": 1000})).status == 200
        at.gateway.tick()
        assert (await at.placed())[0] == 201
        while at.gateway.kill_state("account", "desk") is None:
            at.gateway.tick()
            assert at.gateway.now_ns() - before < 5_000_000_000, "it was missed long ago"
        assert at.gateway.now_ns() - before >= 900_000_000
        assert await at.placed() == (503, "killed")
        (kill,) = (await at.ask("read", "GET", "/kill")).json["kills"]
        assert (kill["level"], kill["reason"], kill["source"]) == (2, "heartbeat_missed", "heartbeat")
        assert (await at.placed("eve"))[0] == 201
        assert (await at.ask("kill", "DELETE", "/kill?scope=account")).status == 200
        assert (await at.placed())[0] == 201
