"""What clients may change, how often, and what an operator ends; and that a drill proves something."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ordergate import _core
from ordergate.cli import drill, main
from ordergate.cli.drill import Seen
from ordergate.cli.resp import Link
from ordergate.config import Paths
from ordergate.supervisor.addresses import Address, Addresses, keep
from tests.unit.desk_parts import desk
from tests.unit.http_parts import on_uvloop
from tests.unit.test_kill_switch_redis import Valkey
from tests.unit.test_kill_switch_redis import valkey as started
from tests.unit.test_kill_switch_scopes import there

valkey = started
KEY = "kill_switch:account:demo"
LIMIT = {"scope": "account", "kind": "MAX_ORDER_QTY", "value": 1, "reason": "test"}


@on_uvloop
async def test_a_key_that_floods_is_held_up_and_others_are_not() -> None:
    async with desk() as at:
        before = at.gateway.last_seq
        beats = [
            await at.told("trade", "POST", "/heartbeat", {"scope": "account", "timeoutMs": 60_000 + number % 2})
            for number in range(80)
        ]
        assert (429, "rate_limited") in beats
        assert at.gateway.last_seq - before < 80
        limits = [await at.told("ann", "POST", "/risk/limits", LIMIT) for _ in range(80)]
        assert (429, "rate_limited") in limits
        assert (await at.told("eve", "POST", "/risk/limits", LIMIT))[0] == 200
        assert (await at.ask("kill", "POST", "/kill", {"scope": "account"})).status == 200, "no rate holds a kill up"


@on_uvloop
async def test_changes_that_wait_count_for_their_own_account_only() -> None:
    async with desk() as at:
        gateway = at.gateway
        for account in ("desk", "lab"):
            gateway.set_limit("account", account, None, "MAX_ORDER_QTY", "1", None, "op", "start")
        for number in range(1_000):
            kinds, words = ["MAX_ORDER_QTY"], ("ann", f"again {number}", "desk")
            assert isinstance(gateway.request_override("desk", None, kinds, 1_000, *words), tuple)
        refused = gateway.request_override("desk", None, kinds, 1_000, *words)
        assert isinstance(refused, _core.Refusal) and refused.code == "change_request_quota"
        loosen = ("account", "desk", None, "MAX_ORDER_QTY", "9", None)
        refused = gateway.set_limit(*loosen, "ann", "more", "desk")
        assert isinstance(refused, _core.Refusal) and refused.code == "change_request_quota"
        tighter = gateway.set_limit("account", "desk", None, "MAX_ORDER_QTY", "0.5", None, "ann", "less", "desk")
        assert isinstance(tighter, tuple) and tighter[0] == "IN_FORCE", "what tightens never waits"
        assert isinstance(gateway.request_override("lab", None, kinds, 1_000, "eve", "one", "lab"), tuple)
        assert isinstance(gateway.set_limit(*loosen, "op", "an operator"), tuple)


@pytest.fixture
def paths(valkey: Valkey, tmp_path: Path) -> Iterator[Paths]:
    paths = Paths(tmp_path / "data")
    paths.prepare()
    server = Address(url=valkey.url, own_url=valkey.url, embedded=True)
    keep(paths.servers, Addresses(postgres=server, redis=server, http="http://nowhere"))
    gateway = _core.Gateway.open(str(paths.journal), str(paths.snapshots), segment_bytes=64 << 20)
    gateway.create_account("demo")
    key = gateway.create_key("demo", "ann", "k", hashlib.sha256(b"k").digest(), ["trade"], 0, None)
    gateway.heartbeat("Bearer k", "account", None, 60_000)
    gateway.revoke_key(key)
    while gateway.durable_seq() < gateway.last_seq:
        gateway.drain()
    gateway.close()
    yield paths


def run(paths: Paths, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, [*words, "--data-dir", str(paths.data)])
    return done.exit_code, done.output


def test_an_operator_sees_and_ends_the_watch_of_a_revoked_key(paths: Paths) -> None:
    code, told = run(paths, "heartbeats", "list")
    assert code == 0 and told.splitlines()[1].split("\t") == [
        "account", "demo", "60000", "", "demo", "ann", "0", "False",
    ]  # fmt: skip
    assert run(paths, "heartbeats", "end", "--target", "nobody", "--by", "bob")[0] == 1
    assert run(paths, "heartbeats", "end", "--target", "demo", "--by", "bob")[0] == 0
    assert len(run(paths, "heartbeats", "list")[1].splitlines()) == 1


@pytest.fixture
def trading(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A gateway that takes orders until the key is there."""
    said: dict[str, Any] = {"placed": 201, "killed": lambda: False}

    def ask(place: str, token: str, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        if path == "/api/v1/health":
            return 200, {"tradingReady": {"PAPER": True, "LIVE": False}}
        if path == "/api/v1/portfolio":
            return 200, {"account": "demo", "positions": []}
        if method == "POST":
            return (503 if said["killed"]() else said["placed"]), {}
        return 200, {"orders": []}

    monkeypatch.setattr(drill, "_ask", ask)
    monkeypatch.setattr(drill, "demo_token", lambda paths: "k")
    monkeypatch.setattr(drill, "LOOK_S", 0.05)
    return said


def test_a_drill_without_orders_fails(paths: Paths, valkey: Valkey, trading: dict[str, Any]) -> None:
    trading["killed"] = lambda: b"drill" in there(valkey, "GET", KEY)
    trading["placed"] = 422
    code, told = run(paths, "kill", "drill")
    assert code == 1 and "no order was placed" in told and "422" in told
    assert b"$-1" in there(valkey, "GET", KEY), "its own kill is cleared"
    trading["placed"] = 201
    seen = drill.run(paths, 1)
    assert isinstance(seen, Seen) and seen.orders > 0
    assert b"$-1" in there(valkey, "GET", KEY)


def test_a_drill_leaves_an_operators_kill(paths: Paths, valkey: Valkey, trading: dict[str, Any]) -> None:
    value = json.dumps({"active": True, "reason": "fire", "activatedBy": "bob"})

    def killed() -> bool:
        found = there(valkey, "GET", KEY)
        if b"drill" in found:
            there(valkey, "SET", KEY, value)
        return b"$-1" not in found

    trading["killed"] = killed
    code, told = run(paths, "kill", "drill")
    assert code == 1 and "somebody else" in told
    assert b"fire" in there(valkey, "GET", KEY)
    assert not drill._clear(Link(valkey.url, 1), KEY.encode(), b"something else")
