"""Kills of one account, strategy or symbol: their keys in a database of their own, against a real Valkey."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ordergate.gateway.kill_file import KillFile
from ordergate.gateway.kill_poller import KillPoller
from ordergate.gateway.kill_scopes import key_of, scope_of
from ordergate.gateway.kill_switch import SENTINEL
from ordergate.gateway.redis_link import Poll, RedisLink
from ordergate.venues import kill_reading
from tests.unit import fake_core
from tests.unit.http_parts import until
from tests.unit.test_kill_switch_redis import ACTIVE, OURS, Valkey, kinds, polling, run
from tests.unit.test_kill_switch_redis import valkey as started

valkey = started
DESK = ("account", "desk")


def there(server: Valkey, *words: str | bytes) -> bytes:
    """A command in the database of the scoped keys."""
    import socket

    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(2)
        link.connect(str(server.socket))
        for command in ((b"SELECT", b"1"), [w.encode() if isinstance(w, str) else w for w in words]):
            link.sendall(b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in command))
            answer = link.recv(65_536)
        return answer


def scoped(gateway: Any) -> set[tuple[str, str]]:
    """The scopes that are killed, besides the global one."""
    return {scope for scope in gateway.kill_states if scope[0] != "global"}


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("kill_switch:account:desk", DESK),
        ("kill_switch:strategy:a:b", ("strategy", "a:b")),
        ("kill_switch:symbol:BTCUSDT", ("symbol", "BTCUSDT")),
        ("kill_switch:global", None),
        ("kill_switch:sentinel", None),
        ("kill_switch:planet:mars", None),
        ("kill_switch:account:", None),
        ("kill_switch:account:a b", None),
        ("kill_switch:account:" + "a" * 65, None),
        ("other:account:desk", None),
    ],
)
def test_a_key_names_its_scope_or_none(name: str, scope: tuple[str, str] | None) -> None:
    assert scope_of(name.encode()) == scope
    assert scope is None or key_of(scope) == name


def test_a_scoped_key_kills_its_scope_and_its_del_opens_it(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, _, exits):
            await until(lambda: gateway.readings > 0)
            assert OURS.encode() in there(valkey, "GET", SENTINEL)
            there(valkey, "SET", key_of(DESK), ACTIVE, "EX", "100")
            there(valkey, "SET", "kill_switch:symbol:BTCUSDT", b'{"active":true,"reason":"flash","level":2}')
            there(valkey, "SET", "kill_switch:strategy:grid", b"garbage")
            there(valkey, "SET", "kill_switch:planet:mars", ACTIVE)
            there(valkey, "SET", b"kill_switch:account:\xff", ACTIVE)
            await until(lambda: len(scoped(gateway)) == 3)
            assert gateway.kill_state(*DESK)[:2] == (1, "drill")
            assert gateway.kill_state("symbol", "BTCUSDT")[:2] == (2, "flash")
            assert gateway.kill_state("strategy", "grid")[:2] == (1, "unreadable")
            await until(lambda: b":-1" in there(valkey, "TTL", key_of(DESK)))
            there(valkey, "SET", key_of(DESK), b'{"active":true,"reason":"worse","level":3}')
            await until(lambda: gateway.kill_state(*DESK)[0] == 3)
            there(valkey, "DEL", key_of(DESK), "kill_switch:strategy:grid")
            await until(lambda: scoped(gateway) == {("symbol", "BTCUSDT")})
            assert kinds(gateway).count("KILL_OFF") == 2 and exits == []

    run(story())


def test_a_wrong_type_among_the_scoped_keys_is_unreadable(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, poller, _):
            await until(lambda: gateway.readings > 0)
            there(valkey, "SADD", key_of(DESK), "x")
            await until(lambda: gateway.killed is not None)
            assert gateway.killed[1] == "redis_unreachable" and "WRONGTYPE" in poller.problem

    run(story())


def test_our_own_scoped_kill_is_written_and_survives_an_emptied_database(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, poller, _):
            await until(lambda: gateway.readings > 0)
            await poller.activate("limit", "gateway", "limit", DESK, 2)
            assert b'"level":2' in there(valkey, "GET", key_of(DESK))
            await asyncio.sleep(1.1)
            there(valkey, "FLUSHDB")
            await until(lambda: b"limit" in there(valkey, "GET", key_of(DESK)))
            assert OURS.encode() in there(valkey, "GET", SENTINEL)
            await asyncio.sleep(1.1)
            assert gateway.kill_state(*DESK) is not None and gateway.killed is None
            there(valkey, "DEL", key_of(DESK))
            await until(lambda: gateway.kill_state(*DESK) is None)
            await poller.activate("limit", "gateway", "limit", DESK, 2)
            assert await poller.clear("ann", "admin", DESK) == ""
            assert gateway.kill_state(*DESK) is None and b"$-1" in there(valkey, "GET", key_of(DESK))

    run(story())


def test_a_scoped_key_in_the_database_of_the_global_one_is_in_force(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, poller, _):
            await until(lambda: gateway.readings > 0)
            valkey.ask("SET", key_of(DESK), ACTIVE)
            await until(lambda: gateway.kill_state(*DESK) is not None)
            await asyncio.sleep(0.4)
            assert kinds(gateway) == ["KILL_ON drill"], "once"
            assert await poller.clear("ann", "admin", DESK) == ""
            assert b"$-1" in valkey.get(key_of(DESK))
            await asyncio.sleep(0.4)
            assert gateway.kill_state(*DESK) is None
            valkey.ask("SET", key_of(DESK), ACTIVE)
            await until(lambda: gateway.kill_state(*DESK) is not None)
            valkey.ask("DEL", key_of(DESK))
            await until(lambda: gateway.kill_state(*DESK) is None)

    run(story())


def test_a_database_that_is_emptied_right_after_a_reading_opens_no_scope(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, armed = RedisLink.poll, []

    async def poll(link: RedisLink, scoped: Sequence[str] = (), misplaced: Sequence[str] = ()) -> Poll:
        seen = await read(link, scoped, misplaced)
        if armed and scoped:
            armed.pop()
            there(valkey, "FLUSHDB")
        return seen

    monkeypatch.setattr(RedisLink, "poll", poll)

    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, poller, _):
            await until(lambda: gateway.readings > 0)
            await poller.activate("limit", "gateway", "limit", DESK, 2)
            await asyncio.sleep(1.2)  # from then on an absent key may be an operator's DEL
            armed.append(True)
            await until(lambda: not armed)
            await until(lambda: b"limit" in there(valkey, "GET", key_of(DESK)))
            assert gateway.kill_state(*DESK) is not None and "KILL_OFF" not in kinds(gateway)

    run(story())


def test_flushall_opens_no_scope(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        there(valkey, "SET", key_of(DESK), ACTIVE)
        async with polling(valkey.url) as (gateway, _, _exits):
            await until(lambda: gateway.kill_state(*DESK) is not None)
            valkey.ask("FLUSHALL")
            await until(lambda: b"drill" in there(valkey, "GET", key_of(DESK)))
            assert gateway.killed[1] == "redis_state_lost" and gateway.kill_state(*DESK) is not None

    run(story())


def test_another_install_beside_the_scoped_keys_is_foreign(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        there(valkey, "SET", SENTINEL, "somebody")
        async with polling(valkey.url) as (gateway, poller, _):
            await until(lambda: gateway.killed is not None)
            assert gateway.killed[1] == "redis_foreign" and poller.foreign == "somebody"

    run(story())


def test_too_many_keys_refuse_a_start_and_stop_a_running_gateway(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordergate.gateway.redis_link.KEYS_MAX", 5)

    def fill(count: int) -> None:
        there(valkey, "MSET", *(word for n in range(count) for word in (f"other{n}", "x")))

    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, poller, exits):
            await until(lambda: gateway.readings > 0)
            fill(6)
            await until(lambda: gateway.killed is not None)
            assert "more than 5" in poller.problem and exits == []
        async with polling(valkey.url) as (gateway, _, exits):
            await until(lambda: bool(exits))
            assert "more than 5" in exits[0] and gateway.readings == 0

    run(story())


# --- past a gateway that hangs --------------------------------------------------------------------------------------


def test_the_file_is_taken_over_once_and_goes_when_that_is_durable(valkey: Valkey, tmp_path: Path) -> None:
    path = tmp_path / "kill"

    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        gateway: Any = fake_core.Gateway(auto_flush=False)
        gateway.redis_bound = True
        poller = KillPoller(gateway, valkey.url, lambda why: None, KillFile(gateway, path))
        path.write_text(json.dumps({"scope": "account", "target": "desk", "level": 2, "reason": "hung"}) + "\n")
        await poller.poll()
        await poller.poll()
        assert path.exists() and kinds(gateway) == ["KILL_ON hung"]
        assert gateway.records[0][3:6] == (2, "hung", "cli")
        with path.open("a") as more:
            more.write("not JSON\n")
        await poller.poll()
        assert gateway.killed[1] == "unreadable"
        gateway.flush()
        await poller.poll()
        assert not path.exists() and gateway.last_seq == 2
        await poller.poll()
        assert b"hung" in there(valkey, "GET", key_of(DESK))

    run(story())


def test_a_venue_reads_every_key_of_an_order_and_sends_nothing_while_the_file_is_there(
    valkey: Valkey, tmp_path: Path
) -> None:
    async def story() -> None:
        reading = kill_reading.watch(valkey.url, tmp_path / "kill")
        keys = kill_reading.keys_for("desk", "grid", "BTCUSDT")

        async def seen(*, flattens: bool = False) -> str | None:
            await kill_reading.renew(reading, keys)
            while reading.unreadable is not None and "Timeout" in reading.unreadable[1]:  # a busy machine
                await kill_reading.renew(reading, keys)
            refused = kill_reading.refusal_now(reading, keys, flattens=flattens)
            return refused and refused[0]

        assert await seen() is None
        assert kill_reading.is_due(reading, kill_reading.keys_for("lab", None, "BTCUSDT"))
        assert kill_reading.refusal_now(reading, kill_reading.keys_for("lab", None, "X")) is not None
        for key in keys[1:]:
            there(valkey, "SET", key, ACTIVE)
            assert await seen() == "KILLED", key
            assert await seen(flattens=True) is None
            ours = b'{"active":true,"reason":"redis_state_lost","activatedBy":"ordergate"'
            for value, passes in (
                (ours + b',"cause":"lost"}', False),
                (ours + b"}", False),  # of a gateway of before the cause was told
                (ours + b',"cause":"asked"}', True),
                (b'{"active":true,"reason":"unreadable","activatedBy":"ann"}', True),
            ):
                there(valkey, "SET", key, value)
                assert await seen(flattens=True) == (None if passes else "KILLED"), value
            there(valkey, "SET", key, b"garbage")
            assert await seen(flattens=True) == "KILLED"
            there(valkey, "DEL", key)
            there(valkey, "SADD", key, "x")
            assert await seen() == "KILL_SWITCH_UNREADABLE"
            there(valkey, "DEL", key)
        valkey.ask("SET", kill_reading.KEY, ACTIVE)
        assert await seen() == "KILLED"
        valkey.ask("DEL", kill_reading.KEY)
        assert await seen() is None
        (tmp_path / "kill").write_text("")
        assert kill_reading.refusal_now(reading, keys, flattens=True) is not None
        await kill_reading.close(reading)

    run(story())
