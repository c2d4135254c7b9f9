"""The venue's own reading of the kill switch, against a real server: anything but a clear `open` sends nothing."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ordergate.venues import kill_reading
from ordergate.venues.kill_reading import KillReading, refused_by
from tests.unit.valkey_server import Valkey, valkey


@pytest.fixture
def server() -> Iterator[Valkey]:
    with TemporaryDirectory(prefix="og-") as directory, valkey(Path(directory)) as running:
        yield running


def with_reading(server: Valkey, scenario: Callable[[KillReading], Awaitable[None]]) -> None:
    async def run() -> None:
        reading = kill_reading.watch(server.url)
        try:
            await scenario(reading)
        finally:
            await kill_reading.close(reading)

    asyncio.run(run())


def reason(reading: KillReading) -> str | None:
    refused = kill_reading.refusal_now(reading)
    return refused and refused[0]


@pytest.mark.parametrize(
    ("value", "killed"),
    [
        (None, False),
        (b'{"active":false}', False),
        (b' {"reason":"x", "active" : false}\n', False),
        (b'{"active":true,"reason":"manual"}', True),
        (b'{"active":0}', True),
        (b'{"active":null}', True),
        (b'{"active":"false"}', True),
        (b"{}", True),
        (b"false", True),
        (b"[]", True),
        (b"null", True),
        (b"", True),
        (b"{active:false}", True),
        (b'{"active":false', True),
        (b'{"active":false} x', True),
        (b"\xff\xfe", True),
        (b"[" * 100_000, True),
    ],
)
def test_only_absent_or_clearly_inactive_is_open(value: bytes | None, killed: bool) -> None:
    refused = refused_by(value)
    assert (refused is not None and refused[0] == "KILLED") == killed


def test_the_operators_words_are_passed_on() -> None:
    assert refused_by(b'{"active":true,"reason":"flash crash"}') == ("KILLED", "kill switch: flash crash")


def test_set_and_del_are_seen(server: Valkey) -> None:
    async def scenario(reading: KillReading) -> None:
        assert reason(reading) == "KILL_SWITCH_UNREADABLE", "nothing goes out before the first reading"
        assert kill_reading.is_due(reading)
        await kill_reading.renew(reading)
        assert reason(reading) is None
        assert not kill_reading.is_due(reading)
        server.command("SET", kill_reading.KEY, '{"active":true}')
        await kill_reading.renew(reading)
        assert reason(reading) == "KILLED"
        server.command("DEL", kill_reading.KEY)
        await kill_reading.renew(reading)
        assert reason(reading) is None

    with_reading(server, scenario)


def test_a_wrong_type_and_a_password_are_unreadable(server: Valkey) -> None:
    async def scenario(reading: KillReading) -> None:
        server.command("LPUSH", kill_reading.KEY, "x")
        await kill_reading.renew(reading)
        assert reason(reading) == "KILL_SWITCH_UNREADABLE"
        server.command("DEL", kill_reading.KEY)
        await kill_reading.renew(reading)
        assert reason(reading) is None
        await kill_reading.close(reading)
        server.command("CONFIG", "SET", "requirepass", "secret")
        await kill_reading.renew(reading)
        assert reason(reading) == "KILL_SWITCH_UNREADABLE"

    with_reading(server, scenario)


def test_a_reading_does_not_stay_good(server: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(reading: KillReading) -> None:
        await kill_reading.renew(reading)
        taken = reading.taken_s
        monkeypatch.setattr(time, "monotonic", lambda: taken + 0.29)
        assert reason(reading) is None
        assert kill_reading.is_due(reading)
        monkeypatch.setattr(time, "monotonic", lambda: taken + 0.31)
        assert reason(reading) == "KILL_SWITCH_UNREADABLE"

    with_reading(server, scenario)


def test_a_frozen_server_costs_a_third_of_a_second_and_never_answers_late(server: Valkey) -> None:
    async def scenario(reading: KillReading) -> None:
        assert server.process is not None
        await kill_reading.renew(reading)
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            start = time.monotonic()
            await kill_reading.renew(reading)
            assert 0.25 < time.monotonic() - start < 0.6
            assert reason(reading) == "KILL_SWITCH_UNREADABLE"
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        server.command("SET", kill_reading.KEY, '{"active":true}')
        await kill_reading.renew(reading)
        assert reason(reading) == "KILLED", "the answer to the abandoned GET (nil) must not be taken for this one"

    with_reading(server, scenario)


def test_a_lost_server_is_unreadable_until_a_later_reading_connects(server: Valkey) -> None:
    async def scenario(reading: KillReading) -> None:
        await kill_reading.renew(reading)
        server.stop()
        await kill_reading.renew(reading)
        assert reason(reading) == "KILL_SWITCH_UNREADABLE"
        server.start()
        await kill_reading.renew(reading)
        assert reason(reading) is None

    with_reading(server, scenario)


def test_a_reading_never_reconnects_by_itself(server: Valkey) -> None:
    async def scenario(reading: KillReading) -> None:
        await kill_reading.renew(reading)
        server.command("CLIENT", "KILL", "TYPE", "normal")
        await kill_reading.renew(reading)
        assert reason(reading) == "KILL_SWITCH_UNREADABLE"
        await kill_reading.renew(reading)
        assert reason(reading) is None

    with_reading(server, scenario)


def test_other_addresses_are_refused() -> None:
    with pytest.raises(ValueError, match="scheme"):
        kill_reading.watch("http://localhost")
