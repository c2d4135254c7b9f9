"""Whose a kill is: by the real engine over a real Valkey, a client never lifts what an operator asked for."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ordergate import _core
from ordergate.gateway.kill_poller import KillPoller
from ordergate.gateway.kill_scopes import key_of, kills_of
from ordergate.gateway.redis_link import RedisLink
from ordergate.http import kill
from tests.unit.http_parts import until
from tests.unit.test_kill_switch_redis import Valkey, run
from tests.unit.test_kill_switch_redis import valkey as started
from tests.unit.test_kill_switch_scopes import there

valkey = started
DESK = ("account", "desk")
OPERATORS = b'{"active":true,"reason":"look into it","activatedAt":"x","activatedBy":"bob"}'
TICK_S = 0.02


@asynccontextmanager
async def standing(valkey: Valkey, place: Path) -> AsyncIterator[tuple[Any, KillPoller, Callable[..., Any]]]:
    """A gateway that polls and ticks, and a client of its account `desk`."""
    gateway = _core.Gateway.open(str(place / "journal"), str(place / "snapshots"), segment_bytes=1 << 20)
    gateway.create_account("desk")
    digest = hashlib.sha256(b"og_desk").digest()
    gateway.create_key("desk", "ann", "og_desk", digest, ["trade", "kill", "risk-admin"], 0, None)
    poller = KillPoller(gateway, valkey.url, pytest.fail)

    async def tick() -> None:
        while True:
            gateway.tick()
            poller.notice()
            await asyncio.sleep(TICK_S)

    async def client(handler: Any, body: Any = None, **query: str) -> tuple[int, Any]:
        class Read:
            async def read(self, headers: Any, proto: Any) -> bytes:
                return json.dumps(body).encode()

        request: Any = SimpleNamespace(
            id="r", headers={"authorization": "Bearer og_desk"}, proto=None, query=query, peer=None
        )
        deps: Any = SimpleNamespace(gateway=gateway, kills=poller)
        status, _, answer = await handler(deps, Read(), request)
        document = json.loads(answer)
        return status, document.get("code", document)

    tasks = [asyncio.create_task(poller.run()), asyncio.create_task(tick())]
    try:
        await until(lambda: gateway.status()["killReadingAgeMs"] is not None)
        yield gateway, poller, client
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        gateway.close()


def owner(gateway: Any) -> tuple[str, int] | None:
    """Through what the account is stopped, and its level."""
    found = kills_of(gateway).get(DESK)
    return None if found is None else (found.source, found.level)


def story(valkey: Valkey, place: Path, tell: Callable[[Any, KillPoller, Any], Awaitable[None]]) -> None:
    async def told() -> None:
        async with standing(valkey, place) as (gateway, poller, client):
            await tell(gateway, poller, client)

    run(told())


def test_a_client_cannot_take_over_an_operators_kill_and_clear_it(valkey: Valkey, tmp_path: Path) -> None:
    async def tell(gateway: Any, poller: KillPoller, client: Any) -> None:
        await poller.activate("look into it", "bob", "admin", DESK, 2)
        assert await client(kill.clear, scope="account") == (403, "forbidden")
        assert (await client(kill.stop, {"scope": "account"}))[0] == 200
        assert owner(gateway) == ("admin", 2)
        assert await client(kill.clear, scope="account") == (403, "forbidden")
        assert b"look into it" in there(valkey, "GET", key_of(DESK))

    story(valkey, tmp_path, tell)


def test_an_operators_key_over_a_clients_kill_is_the_operators(valkey: Valkey, tmp_path: Path) -> None:
    async def tell(gateway: Any, poller: KillPoller, client: Any) -> None:
        assert (await client(kill.stop, {"scope": "account", "level": 2, "reason": "mine"}))[0] == 200
        there(valkey, "SET", key_of(DESK), OPERATORS)
        await until(lambda: owner(gateway) == ("redis", 2))
        assert await client(kill.clear, scope="account") == (403, "forbidden")
        assert b"bob" in there(valkey, "GET", key_of(DESK))
        there(valkey, "DEL", key_of(DESK))
        await until(lambda: owner(gateway) is None)

    story(valkey, tmp_path, tell)


def test_a_missed_heartbeat_does_not_make_an_operators_kill_a_clients(valkey: Valkey, tmp_path: Path) -> None:
    async def tell(gateway: Any, poller: KillPoller, client: Any) -> None:
        await poller.activate("look into it", "bob", "admin", DESK)
        assert (await client(kill.heartbeat, {"scope": "account", "timeoutMs": 1000}))[0] == 200
        await until(lambda: owner(gateway) == ("admin", 2), 3)
        assert await client(kill.clear, scope="account") == (403, "forbidden")

    story(valkey, tmp_path, tell)


@pytest.mark.parametrize("door", ["admin", "redis"])
def test_an_operators_kill_in_the_middle_of_a_clients_clear_stays(
    valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    remove, armed = RedisLink.delete_own_key, [True]

    async def tell(gateway: Any, poller: KillPoller, client: Any) -> None:
        async def delete(link: RedisLink, key: str) -> bool:
            if armed:
                armed.pop()
                if door == "redis":
                    there(valkey, "SET", key_of(DESK), OPERATORS)
                else:
                    gateway.kill_on(*DESK, 1, "look into it", "bob", "admin")
            return await remove(link, key)

        monkeypatch.setattr(RedisLink, "delete_own_key", delete)
        assert (await client(kill.stop, {"scope": "account"}))[0] == 200
        status, _ = await client(kill.clear, scope="account")
        assert status in (403, 503) and not armed
        await until(lambda: owner(gateway) == (door, 1))
        await until(lambda: b"look into it" in there(valkey, "GET", key_of(DESK)))
        assert await client(kill.clear, scope="account") == (403, "forbidden")

    story(valkey, tmp_path, tell)


def test_a_client_clears_its_own(valkey: Valkey, tmp_path: Path) -> None:
    async def tell(gateway: Any, poller: KillPoller, client: Any) -> None:
        assert (await client(kill.stop, {"scope": "account"}))[0] == 200
        assert (await client(kill.clear, scope="account"))[0] == 200
        assert owner(gateway) is None
        assert b"$-1" in there(valkey, "GET", key_of(DESK))
        assert await client(kill.clear, scope="account") == (404, "not_found")

    story(valkey, tmp_path, tell)


def test_a_heartbeats_second_kill_is_not_taken_for_an_operators_del(valkey: Valkey, tmp_path: Path) -> None:
    async def tell(gateway: Any, poller: KillPoller, client: Any) -> None:
        assert (await client(kill.heartbeat, {"scope": "account", "timeoutMs": 1000}))[0] == 200
        await until(lambda: owner(gateway) == ("heartbeat", 2), 3)
        # At once at Redis, not at the next look at the scoped keys.
        await until(lambda: b"heartbeat_missed" in there(valkey, "GET", key_of(DESK)), 0.2)
        await asyncio.sleep(0.9)
        assert (await client(kill.clear, scope="account"))[0] == 200
        await until(lambda: owner(gateway) is not None, 3)
        await asyncio.sleep(0.5)
        assert owner(gateway) == ("heartbeat", 2), "killed again, and not open"
        assert b"heartbeat_missed" in there(valkey, "GET", key_of(DESK))

    story(valkey, tmp_path, tell)


def test_a_reading_is_as_old_as_its_poll(valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = RedisLink.poll

    async def slow(link: RedisLink, *keys: Any) -> Any:
        seen = await read(link, *keys)
        await asyncio.sleep(0.15)
        return seen

    async def tell(gateway: Any, poller: KillPoller, client: Any) -> None:
        monkeypatch.setattr(RedisLink, "poll", slow)
        ages: list[float] = []
        wrapped = SimpleNamespace(kill_reading=ages.append)

        class Spy:
            def __getattr__(self, name: str) -> Any:
                return getattr(wrapped if name == "kill_reading" else gateway, name)

        poller._gateway = Spy()  # type: ignore[assignment]
        await until(lambda: len(ages) > 1)
        assert ages[-1] >= 150

    story(valkey, tmp_path, tell)
