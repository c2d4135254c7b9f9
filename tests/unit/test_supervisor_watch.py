"""Who is alive and does nothing is killed; who cannot be started again now is tried again later."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ordergate.supervisor import leftovers, processes, table
from ordergate.supervisor.patience import FileWatch, Patience, VenueWatch
from ordergate.supervisor.processes import Child, Household


def test_a_venue_is_killed_at_the_first_look_that_finds_its_session_ended() -> None:
    watch = VenueWatch(15)
    assert watch.complaint(7, False, 100) is None
    assert watch.complaint(7, True, 101) == "is silent"
    assert watch.complaint(None, True, 102) is None
    assert watch.complaint(8, True, 103) is None  # the next one may take its time to open a session


def test_a_venue_that_opens_no_session_is_killed_and_each_next_one_gets_more_time() -> None:
    watch = VenueWatch(15)
    assert watch.complaint(7, True, 100) is None
    assert watch.complaint(7, True, 115) is None
    assert watch.complaint(7, True, 115.1) == "opens no session"
    assert watch.complaint(8, True, 116) is None
    assert watch.complaint(8, True, 146) is None
    assert watch.complaint(8, True, 146.1) == "opens no session"
    assert watch.complaint(9, False, 147) is None  # a session: patience is as at first
    assert watch.complaint(9, True, 148) == "is silent"
    assert watch.complaint(10, True, 149) is None
    assert watch.complaint(10, True, 164.1) == "opens no session"


def test_nobody_can_open_a_session_while_the_gateway_is_away() -> None:
    watch = VenueWatch(15)
    assert watch.complaint(7, True, 100) is None
    watch.rest()
    assert watch.complaint(7, True, 200) is None
    assert watch.complaint(7, True, 215.1) == "opens no session"


def test_a_worker_that_no_longer_writes_is_frozen(tmp_path: Path) -> None:
    file = tmp_path / "worker.json"
    watch = FileWatch(file, 30)
    file.write_text("{}")
    os.utime(file, (1, 1))  # an old file, or a clock that was set: only a change counts
    assert not watch.frozen(7, 100)
    assert not watch.frozen(7, 130)
    os.utime(file, (2, 2))
    assert not watch.frozen(7, 131)
    assert not watch.frozen(7, 161)
    assert watch.frozen(7, 161.1)
    assert not watch.frozen(None, 162)
    assert not watch.frozen(8, 163)
    assert not watch.frozen(8, 223)
    assert watch.frozen(8, 223.1)
    os.utime(file, (3, 3))
    assert not watch.frozen(9, 224)
    assert watch.frozen(9, 255)


def test_patience_with_a_process_that_was_never_seen_begins_when_it_is() -> None:
    patience = Patience(1)
    assert not patience.over(7, 1_000_000)
    assert patience.over(7, 1_000_002)


def sleeper(log: Path) -> Child:
    return Child(
        name="sleeper",
        command=(sys.executable, "-c", "import time; time.sleep(600)"),
        environment={},
        log=log,
        ready=lambda: True,
        stop_signals=((signal.SIGTERM, 1.0),),
    )


async def until(done: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("settled", [True, False])
def test_a_restart_that_fails_is_tried_again_once_everything_has_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settled: bool
) -> None:
    said: list[str] = []
    real, tries = processes.spawn, 0

    async def spawn(child: Child) -> asyncio.subprocess.Process:
        nonlocal tries
        tries += 1
        if tries in (2, 3):
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return await real(child)

    async def life() -> None:
        household = Household([sleeper(tmp_path / "log")], tmp_path / "children.json", said.append)
        household.start("sleeper")
        await until(lambda: household.pid("sleeper"))
        household.settled = settled
        first = household.pid("sleeper")
        household.kill("sleeper", "is tested")
        if settled:
            await until(lambda: household.pid("sleeper") not in (None, first))
        else:
            await until(household.stopping.is_set)
        assert (household.failure is None) == settled
        await household.stop(("sleeper",))

    monkeypatch.setattr(processes, "spawn", spawn)
    asyncio.run(life())
    failed = [line for line in said if "sleeper cannot be started: " in line]
    assert len(failed) == (2 if settled else 0)
    assert all("starting it again in" in line for line in failed)


def test_a_full_disk_does_not_keep_children_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def life() -> None:
        household = Household([sleeper(tmp_path / "log")], tmp_path / "children.json", lambda _: None)
        household.start("sleeper")
        await household.wait_ready("sleeper")
        begun = time.monotonic()
        await household.stop(("sleeper",))
        assert household.failure is None
        assert time.monotonic() - begun < 5

    monkeypatch.setattr(leftovers, "remember", full)
    asyncio.run(life())


def test_only_the_live_venue_gets_the_key_to_the_exchanges_keys() -> None:
    base = {"HOME": "/h", "ORDERGATE_MASTER_KEY": "ab" * 32}
    everybody = table.environment(base, "postgresql://x", "redis://x")
    assert "ORDERGATE_MASTER_KEY" not in everybody
    assert table.with_master_key(everybody, base) == everybody | {"ORDERGATE_MASTER_KEY": "ab" * 32}
    assert table.with_master_key(everybody, {}) == everybody
