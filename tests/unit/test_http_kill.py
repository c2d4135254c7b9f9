"""Kills and heartbeats over HTTP: by the real engine, what a key may stop, see and clear."""

import asyncio
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ordergate import _core
from ordergate.http import kill
from tests.unit.fake_core import Kills

MINE, OTHER, TRADER = "og_mine", "og_other", "og_trader"


@pytest.fixture
def deps(tmp_path: Path) -> Any:
    gateway = _core.Gateway.open(str(tmp_path / "journal"), str(tmp_path / "snapshots"), segment_bytes=1 << 20)
    for account, token, scopes in (
        ("desk", MINE, ["read", "kill"]),
        ("lab", OTHER, ["kill"]),
        ("desk", TRADER, ["trade"]),
    ):
        if account not in gateway.accounts().decode():
            gateway.create_account(account)
        gateway.create_key(account, "ann", token, hashlib.sha256(token.encode()).digest(), scopes, 0, None)
    yield SimpleNamespace(gateway=gateway, kills=Kills(gateway))
    gateway.close()


def ask(handler: Any, deps: Any, token: str, body: Any = None, **query: str) -> tuple[int, Any]:
    """(status, code or document) of one request."""

    class Read:
        async def read(self, headers: Any, proto: Any) -> bytes:
            return body if isinstance(body, bytes) else json.dumps(body).encode()

    request: Any = SimpleNamespace(
        id="r", headers={"authorization": f"Bearer {token}"}, proto=None, query=query, peer=None
    )
    status, headers, answer = asyncio.run(handler(deps, Read(), request))
    document = json.loads(answer)
    assert ("x-request-id", "r") in headers
    return status, document.get("code", document)


def test_a_key_stops_shows_and_clears_its_own_account(deps: Any) -> None:
    status, shown = ask(kill.stop, deps, MINE, {"scope": "account", "level": 2, "reason": "fire"})
    assert (status, shown["target"], shown["level"]) == (200, "desk", 2)
    assert deps.gateway.kill_state("account", "desk")[:2] == (2, "fire")
    [found] = ask(kill.show, deps, MINE)[1]["kills"]
    assert (found["scope"], found["by"], found["source"]) == ("account", "ann", "api")
    assert ask(kill.show, deps, MINE, scope="global")[1]["kills"] == []
    assert ask(kill.show, deps, TRADER)[0] == 200
    assert ask(kill.show, deps, OTHER)[1]["kills"] == [], "not theirs"
    assert ask(kill.clear, deps, OTHER, scope="account", target="desk") == (404, "not_found")
    assert ask(kill.clear, deps, MINE, scope="account")[0] == 200
    assert deps.gateway.kill_state("account", "desk") is None
    assert ask(kill.clear, deps, MINE, scope="account") == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"scope": "planet"}, (404, "not_found")),
        ({"scope": "account", "target": "lab"}, (404, "not_found")),
        ({"scope": "strategy", "target": "grid"}, (404, "not_found")),
        ({"scope": "strategy"}, (400, "invalid_parameter")),
        ({"scope": "global"}, (403, "forbidden")),
        ({"scope": "symbol", "target": "BTCUSDT"}, (403, "forbidden")),
        ({"scope": "account", "level": 4}, (400, "invalid_field")),
        ({"scope": "account", "reason": ""}, (400, "invalid_field")),
        ({"scope": "account", "why": "x"}, (400, "invalid_field")),
        (b"{", (400, "malformed_json")),
    ],
)
def test_what_is_refused_changes_nothing(deps: Any, body: Any, answer: tuple[int, str]) -> None:
    before = deps.gateway.state_hash()
    assert ask(kill.stop, deps, MINE, body) == answer
    assert ask(kill.stop, deps, TRADER, {"scope": "account"}) == (403, "forbidden")
    assert ask(kill.stop, deps, "og_nobody", {"scope": "account"}) == (401, "unauthorized")
    assert deps.gateway.state_hash() == before


def test_a_client_cannot_clear_what_an_operator_stopped(deps: Any) -> None:
    deps.gateway.kill_on("account", "desk", 1, "look into it", "bob", "admin")
    assert ask(kill.clear, deps, MINE, scope="account") == (403, "forbidden")
    assert deps.gateway.kill_state("account", "desk") is not None


def test_beats_are_taken_within_bounds(deps: Any) -> None:
    beat = {"scope": "account", "timeoutMs": 1000}
    assert ask(kill.heartbeat, deps, TRADER, beat) == (200, {"scope": "account", "target": "desk", "timeoutMs": 1000})
    before = deps.gateway.last_seq
    assert ask(kill.heartbeat, deps, MINE, beat)[0] == 200
    assert deps.gateway.last_seq == before, "the same again is no record"
    for timeout_ms, code in ((999, "invalid_parameter"), (600_001, "invalid_field"), (-1, "invalid_field")):
        assert ask(kill.heartbeat, deps, MINE, beat | {"timeoutMs": timeout_ms}) == (400, code)
    assert ask(kill.heartbeat, deps, MINE, beat | {"scope": "planet"}) == (404, "not_found")
    assert ask(kill.heartbeat, deps, MINE, beat | {"timeoutMs": 0})[0] == 200
    assert deps.gateway.last_seq == before + 1
