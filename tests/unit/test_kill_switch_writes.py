"""The kill switch at a Redis that is read only, at one that was another's, and what its waiters and verbs do."""

import asyncio
from typing import Any

import pytest

from ordergate.gateway.durability import Durability
from ordergate.gateway.kill_administration import live_verbs
from ordergate.gateway.kill_poller import KillPoller
from ordergate.gateway.kill_switch import KEY, SENTINEL, UNREADABLE, read_key
from tests.unit import fake_core
from tests.unit.http_parts import until
from tests.unit.test_kill_switch_redis import ACTIVE, OURS, Valkey, kinds, polling, run
from tests.unit.test_kill_switch_redis import valkey as started

valkey = started


@pytest.mark.parametrize("depth", [2_000, 200_000])
def test_brackets_a_thousand_deep_kill_and_nothing_else(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    for value in (deep, b'{"active":false,"x":' + deep + b"}", b'{"active":true,"reason":' + deep + b"}"):
        assert read_key(value) == UNREADABLE


def read_only(server: Valkey, on: bool) -> None:
    server.ask("ACL", "SETUSER", "default", "-@write" if on else "+@write")


def counted_polls(poller: KillPoller, patch: pytest.MonkeyPatch) -> list[str]:
    polls: list[str] = []
    poll = KillPoller.poll

    async def counting(self: KillPoller) -> Any:
        action = await poll(self)
        polls.append(action.name)
        return action

    patch.setattr(KillPoller, "poll", counting)
    return polls


def test_a_redis_that_refuses_to_be_bound_blocks_then_kills_without_spinning(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        read_only(valkey, on=True)
        async with polling(valkey.url, bound=False) as (gateway, poller, exits):
            polls = counted_polls(poller, monkeypatch)
            await until(lambda: gateway.killed is not None)
            await asyncio.sleep(0.5)
            assert len(polls) < 25 and gateway.readings == 0
            assert kinds(gateway) == ["KILL_ON redis_unreachable"] and "cannot be written" in poller.problem
            read_only(valkey, on=False)
            await until(lambda: gateway.readings > 0)
            assert kinds(gateway) == ["KILL_ON redis_unreachable", "REDIS_BOUND"] and exits == []
            assert b"redis_unreachable" in valkey.get(KEY) and poller.problem == ""

    run(story())


def test_a_kill_that_cannot_be_written_is_in_force_and_no_reading_counts(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, poller, _):
            await until(lambda: gateway.readings > 0)
            read_only(valkey, on=True)
            await poller.activate("drill", "ann", "admin")
            before = gateway.readings
            await asyncio.sleep(0.4)
            assert gateway.killed[1] == "drill" and gateway.readings == before
            read_only(valkey, on=False)
            await until(lambda: b"drill" in valkey.get(KEY))

    run(story())


def test_whoever_stops_waiting_for_a_reading_is_forgotten(valkey: Valkey) -> None:
    async def story() -> None:
        poller = KillPoller(fake_core.Gateway(), valkey.url, lambda why: None)  # type: ignore[arg-type]
        assert not await poller.next_reading(0.01)
        gone = asyncio.create_task(poller.next_reading(5.0))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert poller._waiting == []

    run(story())


def test_adopting_the_redis_of_another_install(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, poller, exits):
            await until(lambda: gateway.readings > 0)
            assert "nothing to adopt" in await poller.adopt("ann")
            # Seen active before, on this connection: must not make an absent key an operator's DEL later.
            valkey.ask("SET", KEY, ACTIVE)
            await until(lambda: gateway.killed is not None)
            valkey.ask("DEL", KEY)
            await until(lambda: gateway.killed is None)
            valkey.ask("SET", SENTINEL, "somebody")
            await until(lambda: gateway.killed is not None)
            assert poller.foreign == "somebody"
            await asyncio.sleep(1.1)
            assert b"$-1" in valkey.get(KEY)
            assert await poller.adopt("ann") == ""
            assert OURS.encode() in valkey.get(SENTINEL) and poller.foreign == ""
            await until(lambda: b"redis_foreign" in valkey.get(KEY))
            await asyncio.sleep(0.3)
            assert gateway.killed is not None
            assert await poller.clear("ann", "admin") == ""
            assert gateway.killed is None and exits == []

    run(story())


def test_an_active_key_stands_when_its_redis_is_adopted(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, "somebody")
        valkey.ask("SET", KEY, ACTIVE)
        async with polling(valkey.url) as (gateway, poller, _):
            await until(lambda: gateway.killed is not None)
            assert await poller.adopt("ann") == ""
            assert b"drill" in valkey.get(KEY) and gateway.killed is not None
            await asyncio.sleep(1.1)
            valkey.ask("DEL", KEY)
            await until(lambda: gateway.killed is None)

    run(story())


def test_clearing_and_adopting_answer_when_durable_and_killing_at_once(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url, auto_flush=False) as (gateway, poller, _):
            durability = Durability(gateway, lambda end: None)
            durability.open()
            verbs = live_verbs(gateway, durability, poller)
            await until(lambda: gateway.readings > 0)
            assert await verbs["kill.on"]({"by": "ann", "reason": "drill"}) == {"ok": {"seq": 1}}
            status = (await verbs["kill.status"]({}))["ok"]
            assert (status["killed"], status["reason"], status["redisProblem"]) == (True, "drill", None)
            clearing = asyncio.ensure_future(verbs["kill.off"]({"by": "ann"}))
            await until(lambda: gateway.killed is None)
            await asyncio.sleep(0.05)
            assert not clearing.done()
            gateway.flush()
            assert await clearing == {"ok": {"seq": 2}}
            valkey.ask("SET", SENTINEL, "somebody")
            await until(lambda: gateway.killed is not None)
            assert "install somebody" in (await verbs["kill.status"]({}))["ok"]["redisProblem"]
            assert "cannot" not in poller.problem
            adopting = asyncio.ensure_future(verbs["kill.adopt-redis"]({"by": "ann"}))
            await until(lambda: OURS.encode() in valkey.get(SENTINEL))
            await asyncio.sleep(0.05)
            assert not adopting.done()
            gateway.flush()
            assert (await adopting)["ok"]["redisProblem"] is None
            assert (await verbs["kill.adopt-redis"]({"by": "ann"}))["error"]["code"] == "nothing_adopted"
            assert (await verbs["kill.on"]({}))["error"]["code"] == "invalid_field"
            durability.close()

    run(story())
