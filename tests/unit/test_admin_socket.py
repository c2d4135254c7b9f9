"""Administration: the table of verbs, tokens, and the socket."""

import asyncio
import contextlib
import json
import re
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ordergate import _core
from ordergate.gateway import admin_socket, administration
from ordergate.gateway.admin_socket import AdminSocket
from ordergate.gateway.durability import Durability
from tests.unit import fake_core
from tests.unit.http_parts import on_uvloop


def execute(verb: str, **args: Any) -> tuple[dict[str, Any], Any]:
    gateway: Any = fake_core.Gateway()
    return administration.execute(gateway, verb, args), gateway


def test_tokens_have_256_bits_and_a_checksum() -> None:
    tokens = {administration.make_token() for _ in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        assert re.fullmatch(r"og_[0-9A-Za-z]{49}", token)
        assert administration.is_token(token)
        assert not administration.is_token(token[:-1] + ("a" if token[-1] != "a" else "b"))
    assert not administration.is_token("")


def test_an_account_starts_with_its_balances() -> None:
    answer, gateway = execute("accounts.create", name="demo", paper={"USDT": "100000", "BTC": "1.5"})
    assert answer == {"ok": {"account": "demo"}}
    assert [record[:5] for record in gateway.records] == [
        ("ACCOUNT", "demo"),
        ("BALANCE", "demo", "PAPER", "USDT", "100000"),
        ("BALANCE", "demo", "PAPER", "BTC", "1.5"),
    ]


@pytest.mark.parametrize("paper", [{"USDT": "-1"}, {"USDT": "1e5"}, {"usdt": "1"}, {"USDT": "1.123456789"}, {"": "1"}])
def test_a_bad_balance_makes_no_account(paper: dict[str, str]) -> None:
    answer, gateway = execute("accounts.create", name="demo", paper=paper)
    assert answer["error"]["code"] == "invalid_field" and gateway.records == []


def test_only_the_hash_of_a_token_is_journaled() -> None:
    answer, gateway = execute(
        "keys.create", account="demo", owner="ann", name="bot", scopes=["read", "trade"], ratePerSecond=100
    )
    token = answer["ok"]["token"]
    assert administration.is_token(token)
    assert token not in repr(gateway.records) and len(gateway.records[0][4]) == 32


def test_expiry_is_in_journal_time() -> None:
    key = {"account": "demo", "owner": "ann", "name": "bot", "scopes": ["read"], "ratePerSecond": 0}
    answer, gateway = execute("keys.create", **key, expiresAt="2200-01-01T00:00:00Z")
    assert "ok" in answer and gateway.records[0][7] > gateway.now_ns()
    for wrong in ("2020-01-01T00:00:00Z", "2200-01-01T00:00:00", "soon"):
        answer, gateway = execute("keys.create", **key, expiresAt=wrong)
        assert answer["error"]["code"] == "invalid_field" and gateway.records == []


def test_numbers_out_of_range_are_refused() -> None:
    key = {"account": "demo", "owner": "ann", "name": "bot", "scopes": ["read"], "ratePerSecond": 0}
    far = execute("keys.create", **key, expiresAt="9999-12-31T23:59:59Z")[0]["error"]
    assert far["code"] == "invalid_field" and "expiresAt" in far["detail"]
    for wrong in (-1, 1 << 40):
        assert execute("keys.revoke", id=wrong)[0]["error"]["code"] == "invalid_field"
    assert execute("kill.adopt-redis", by="ann")[0]["error"]["code"] == "gateway_not_running"


def test_refusals_are_answers() -> None:
    assert execute("orders.place")[0]["error"]["code"] == "unknown_verb"
    assert execute("accounts.create", name="Demo")[0]["error"]["detail"] == "account 'Demo': lower case only"
    assert execute("accounts.create", nom="demo")[0]["error"]["code"] == "invalid_field"
    assert execute("keys.revoke", id="1")[0]["error"]["code"] == "invalid_field"
    assert execute("status", x=1)[0]["error"]["code"] == "invalid_field"


def test_the_other_verbs_do_what_they_say() -> None:
    assert execute("accounts.list")[0] == {"ok": [{"name": "demo"}]}
    assert execute("keys.list")[0] == {"ok": []}
    assert execute("keys.revoke", id=0)[1].records == [("KEY_REVOKED", 0)]
    loaded, gateway = execute("instruments.load", instruments=[{"symbol": "BTCUSDT", "openingPrice": "39500"}])
    assert loaded == {"ok": {"changed": ["BTCUSDT"]}} and gateway.records == [("INSTRUMENT", {"symbol": "BTCUSDT"})]
    limits, gateway = execute(
        "risk.set", scope="account", target="demo", kind="MAX_OPEN_ORDERS", value="5", by="ann", reason="test"
    )
    assert limits == {"ok": {"status": "IN_FORCE", "seq": 1}}
    assert gateway.records == [("LIMIT", "account", "demo", None, "MAX_OPEN_ORDERS", "5", None, "ann", "test")]
    _, gateway = execute("kill.on", by="ann", reason="drill")
    assert administration.execute(gateway, "kill.status", {})["ok"]["reason"] == "drill"
    assert "ok" in administration.execute(gateway, "kill.off", {"by": "ann"})
    assert administration.execute(gateway, "kill.status", {})["ok"]["killed"] is False
    assert execute("status")[0]["ok"]["epoch"] == 1


@contextlib.asynccontextmanager
async def serving(**engine: Any) -> AsyncIterator[tuple[Any, Path, list[BaseException]]]:
    directory = Path(tempfile.mkdtemp(prefix="oga"))
    gateway: Any = fake_core.Gateway(**engine)
    ended: list[BaseException] = []
    durability = Durability(gateway, ended.append)
    durability.open()

    async def live(args: dict[str, Any]) -> dict[str, Any]:
        return {"ok": {"live": args}}

    admin = AdminSocket(gateway, durability, {"kill.on": live}, ended.append)
    await admin.open(directory / "admin.sock")
    try:
        yield gateway, directory / "admin.sock", ended
    finally:
        admin.close()
        await asyncio.sleep(0.01)
        shutil.rmtree(directory)


async def talk(path: Path, *lines: bytes) -> list[Any]:
    reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 22)
    try:
        answers = []
        for line in lines:
            writer.write(line + b"\n")
            answers.append(json.loads(await asyncio.wait_for(reader.readline(), 5)))
        return answers
    finally:
        writer.close()


@on_uvloop
async def test_any_number_of_lines_over_one_connection() -> None:
    async with serving() as (gateway, path, _):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        answers = await talk(
            path,
            b'{"verb":"accounts.create","args":{"name":"demo"}}',
            b'{"verb":"accounts.list"}',
            b'{"verb":"kill.on","args":{"by":"ann"}}',
            b"not json",
            b'{"verb":"status","args":[]}',
        )
        assert answers[0] == {"ok": {"account": "demo"}}
        assert answers[2] == {"ok": {"live": {"by": "ann"}}}
        assert [answer["error"]["code"] for answer in answers[3:]] == ["malformed_json"] * 2
        assert gateway.last_seq == 1


@on_uvloop
async def test_an_answer_waits_until_its_records_are_durable() -> None:
    async with serving(auto_flush=False) as (gateway, path, _):
        asking = asyncio.create_task(talk(path, b'{"verb":"accounts.create","args":{"name":"demo"}}'))
        await asyncio.sleep(0.1)
        assert not asking.done()
        gateway.flush()
        assert await asking == [{"ok": {"account": "demo"}}]


@on_uvloop
async def test_only_our_user_and_root_are_served() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admin_socket, "peer_is_ours", lambda connection: False)
        async with serving() as (_, path, _ended):
            with pytest.raises((ValueError, ConnectionError)):
                await talk(path, b'{"verb":"status"}')


@on_uvloop
async def test_a_line_over_a_mebibyte_ends_the_connection() -> None:
    async with serving() as (_, path, _ended):
        with pytest.raises((ValueError, ConnectionError)):
            await talk(path, b'{"verb":"' + b"x" * (3 << 20) + b'"}')
        assert (await talk(path, b'{"verb":"keys.list"}')) == [{"ok": []}]


@on_uvloop
async def test_a_poisoned_engine_ends_the_process() -> None:
    async with serving() as (gateway, path, ended):

        def poison(name: str) -> int:
            raise _core.EnginePoisoned("broken")

        gateway.create_account = poison
        with pytest.raises((ValueError, ConnectionError)):
            await talk(path, b'{"verb":"accounts.create","args":{"name":"demo"}}')
        assert str(ended[0]) == "broken"
