"""Limits, approvals and strategies through the real engine, as the administration and the API ask for them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ordergate import _core
from ordergate.gateway import administration

TOKEN = "og_test"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[_core.Gateway]:
    opened = _core.Gateway.open(str(tmp_path / "journal"), str(tmp_path / "snapshots"))
    for name in ("desk", "lab"):
        opened.create_account(name)
    digest = hashlib.sha256(TOKEN.encode()).digest()
    opened.create_key("desk", "ann", "admin", digest, ["read", "risk-admin"], 0, None, [], ["10.0.0.0/8"])
    yield opened
    opened.close()


def ask(gateway: _core.Gateway, verb: str, **arguments: Any) -> Any:
    answer = administration.execute(gateway, verb, arguments | ({"by": "ann"} if "by" not in arguments else {}))
    return answer["ok"] if "ok" in answer else answer["error"]["code"]


def set_limit(gateway: _core.Gateway, value: str | None, **more: Any) -> Any:
    arguments = {"scope": "account", "target": "desk", "kind": "MAX_ORDER_QTY", "reason": "test"} | more
    return ask(gateway, "risk.set", **arguments, **({} if value is None else {"value": value}))


def test_bad_limits_change_nothing(gateway: _core.Gateway) -> None:
    before = gateway.state_hash()
    for value in ("-1", "two", "1e40", ""):
        assert set_limit(gateway, value) == "invalid_limit"
    assert set_limit(gateway, "1", unit="count") == "invalid_limit"
    assert set_limit(gateway, "1", kind="MAX_FUN") == "invalid_limit"
    assert set_limit(gateway, "1", target="nobody") == "not_found"
    assert set_limit(gateway, "1", scope="galaxy") == "not_found"
    assert gateway.state_hash() == before


def test_two_people_loosen(gateway: _core.Gateway) -> None:
    assert set_limit(gateway, "1")["status"] == "IN_FORCE"
    waiting = set_limit(gateway, "2")
    assert waiting["status"] == "WAITING"
    (asked,) = msgspec.json.decode(gateway.change_requests("desk"))
    assert (asked["id"], asked["limit"]["value"], asked["by"]) == (str(waiting["seq"]), "2", "ann")
    assert msgspec.json.decode(gateway.change_requests("lab")) == []
    assert ask(gateway, "risk.approve", id=waiting["seq"], by="Ann") == "second_person_needed"
    assert "seq" in ask(gateway, "risk.approve", id=waiting["seq"], by="bob")
    (limit,) = msgspec.json.decode(gateway.limits("desk"))["limits"]
    assert limit == {
        "scope": "account",
        "target": "desk",
        "symbol": None,
        "kind": "MAX_ORDER_QTY",
        "value": "2",
        "unit": "base",
    }
    assert msgspec.json.decode(gateway.limits("lab"))["limits"] == []


def test_a_risk_admin_changes_its_own_account_only(gateway: _core.Gateway) -> None:
    def change(scope: str, target: str) -> str:
        answer = gateway.set_limit(scope, target, None, "MAX_ORDER_QTY", "1", None, "ann", "test", "desk")
        return answer.code if isinstance(answer, _core.Refusal) else answer[0]

    assert change("firm", "") == "forbidden"
    assert change("account", "lab") == "not_found"
    assert change("account", "desk") == change("key", "0") == "IN_FORCE"


def test_a_key_is_bound_to_its_networks(gateway: _core.Gateway) -> None:
    def caller(peer: str | None) -> Any:
        answer = gateway.caller_of(f"Bearer {TOKEN}", "risk-admin", peer)
        return answer.code if isinstance(answer, _core.Refusal) else answer

    assert caller("10.1.2.3:4567") == ("desk", "ann")
    assert caller("192.0.2.1:4567") == caller(None) == "ip_not_allowed"


def test_strategies_are_created_stopped_and_a_kill_stops_them(gateway: _core.Gateway) -> None:
    ask(gateway, "strategies.create", name="grid", account="desk")
    (strategy,) = msgspec.json.decode(gateway.strategies())
    assert (strategy["id"], strategy["account"], strategy["status"]) == ("grid", "desk", "STOPPED")
    assert isinstance(gateway.start_strategy("grid", "eve", "api", "why", "lab"), _core.Refusal)
    ask(gateway, "strategies.start", name="grid")
    gateway.kill_on("global", "", 1, "drill", "ann", "cli")
    (strategy,) = msgspec.json.decode(gateway.strategies("desk"))
    assert (strategy["status"], strategy["source"], strategy["reason"]) == ("STOPPED", "kill", "drill")
    assert ask(gateway, "strategies.start", name="grid") == "killed"
    gateway.kill_off("global", "", "ann", "cli")
    (strategy,) = msgspec.json.decode(gateway.strategies("desk"))
    assert strategy["status"] == "STOPPED"


def test_an_unknown_breach_action_is_misuse(gateway: _core.Gateway) -> None:
    with pytest.raises(ValueError, match="unknown action"):
        gateway.set_breach_action("PRAY")
