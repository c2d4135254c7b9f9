"""Segments leave the journal behind a real worker's back only when the rule says so, and everybody copes."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ordergate import _core
from ordergate.config import Paths
from ordergate.persistence.anchors import read_anchors
from ordergate.persistence.watermark import NOTHING_YET
from ordergate.persistence.write_behind import Writer
from ordergate.portfolio.outbox import Portfolio
from ordergate.worker import follow, retention
from ordergate.worker.main import _open_follower
from ordergate.worker.progress import Progress, rendered
from tests.integration import past
from tests.integration.postgres_server import PostgresServer

WAIT_S = 60.0


async def work(dsn: str, paths: Paths, until: int = 0, steps: Iterable[int] = ()) -> Progress:
    """A worker without its process, until Postgres holds everything and `until` has been archived.

    Meanwhile the gateway takes the steps, one whenever the worker has caught up; each tells its last record.
    """
    progress, stop = Progress(), asyncio.Event()
    open_follower = lambda journal, snapshots, seq: _open_follower(journal, snapshots, seq, paths.archive)  # noqa: E731
    tasks = [
        follow.follow(
            Writer(dsn, NOTHING_YET), progress, stop, journal=paths.journal, snapshots=paths.snapshots,
            anchors=paths.anchors, open_follower=open_follower,
        ),
        retention.retain(paths.journal, paths.snapshots, paths.archive, 0, progress, stop, look_every_s=0.05),
    ]  # fmt: skip

    async def watch() -> None:
        deadline = time.monotonic() + WAIT_S
        while not (0 < progress.committed_seq() <= progress.last_seq):
            await wait(deadline)
        for reached in steps:
            while progress.last_seq < reached:
                await wait(deadline)
        while progress.archived_seq < until:
            await wait(deadline)
        stop.set()

    async def wait(deadline: float) -> None:
        assert time.monotonic() < deadline, rendered(progress, Portfolio())
        await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as group:
        for task in (*tasks, watch()):
            group.create_task(task)
    return progress


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots at every state hash."""
    monkeypatch.setattr(follow, "SNAPSHOT_EVERY_S", 0.0)
    monkeypatch.setattr(follow, "SNAPSHOT_RECORDS", 100)


def segments(directory: Path) -> list[int]:
    return sorted(int(file.name[:20]) for file in directory.glob("*.seg*"))


@pytest.mark.usefixtures("often")
def test_the_worker_archives_what_nothing_needs(tmp_path: Path, dsn: str, postgres: PostgresServer) -> None:
    paths = Paths(tmp_path / "data")
    gateway = past.opened(paths)
    past.furnish(gateway)
    seen: set[int] = set()

    def administer() -> Iterator[int]:
        """No client's request, no key: nothing is pinned."""
        for number in range(4_000):
            gateway.set_limit(
                "account",
                "alpha",
                None,
                "MAX_OPEN_ORDERS",
                str(100_000 - number),
                None,
                "ann",
                "a reason of some length " * 4,
            )
            if number % 100 == 99:
                past.tick(gateway)
                seen.update(segments(paths.journal))
                yield gateway.last_seq

    progress = asyncio.run(work(dsn, paths, until=1_000, steps=administer()))
    before = sorted(seen)
    assert len(before) > 8
    assert len(segments(paths.archive)) > 4
    # The older snapshot, too, covers what has left, and nothing that had to stay is gone.
    kept = sorted(int(file.stem) for file in paths.snapshots.glob("*.snap"))
    assert len(kept) == 2
    assert segments(paths.journal)[0] - 1 == progress.archived_seq <= kept[0]
    assert segments(paths.archive) + segments(paths.journal) == before
    status = rendered(progress, Portfolio())
    assert (status["archivedSeq"], status["archivedSegments"]) == (progress.archived_seq, len(segments(paths.archive)))
    assert status["lastError"] is None
    # Each snapshot has an anchor on the journal's own chain.
    anchors = read_anchors(paths.anchors)
    assert [anchor.seq for anchor in anchors[-2:]] == kept
    assert os.stat(paths.anchors).st_mode & 0o777 == 0o600
    reader = _core.Follower(str(paths.journal), archive_dir=str(paths.archive))
    for anchor in anchors:
        reader.start_rows(anchor.seq, bytes.fromhex(anchor.chunk_hash), bytes.fromhex(anchor.event_hash))
    # Who follows from the start is sent to the snapshots; from there, and through the archive, all see the same.
    with pytest.raises(_core.FollowerStopped, match="record 1 has left the journal: restart from a snapshot"):
        _core.Follower(str(paths.journal)).catch_up()
    hashes = set()
    for snapshots, archive in ((str(paths.snapshots), None), (None, str(paths.archive))):
        follower = _core.Follower(str(paths.journal), snapshots, archive_dir=archive)
        follower.catch_up()
        hashes.add(follower.state_hash())
    assert len(hashes) == 1
    # A database from an old backup is filled again from the archive, by the worker itself.
    empty = postgres.create_database()
    for place in (dsn, empty):
        asyncio.run(work(place, paths))
    tables = [postgres.psql("SELECT t::text FROM risk.limits t ORDER BY version", place) for place in (dsn, empty)]
    assert tables[0] == tables[1]
    assert len(tables[0].splitlines()) == 2 + 4_000
    gateway.close()


def run_process(paths: Paths, dsn: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """A real worker process until its status file says so; the last status."""
    place = {"DATABASE_URL": dsn, "ORDERGATE_DATA_DIR": str(paths.data), "PYTHONPATH": os.pathsep.join(sys.path)}
    worker = subprocess.Popen([sys.executable, "-m", "ordergate", "worker"], env={**os.environ, **place})
    status: dict[str, Any] = {}
    try:
        deadline = time.monotonic() + WAIT_S
        while status.get("pid") != worker.pid or not until(status):
            assert time.monotonic() < deadline, status
            time.sleep(0.05)
            with suppress(FileNotFoundError):
                status = json.loads(paths.worker_status.read_bytes())
        worker.terminate()
        assert worker.wait(WAIT_S) == 0
    finally:
        worker.kill()
        worker.wait()
    return status


def test_the_worker_process_archives_and_reads_the_archive(tmp_path: Path, dsn: str, postgres: PostgresServer) -> None:
    paths = Paths(tmp_path / "data")
    gateway = past.opened(paths)
    past.furnish(gateway)
    for number in range(2_000):
        gateway.set_limit(
            "account",
            "alpha",
            None,
            "MAX_OPEN_ORDERS",
            str(100_000 - number),
            None,
            "ann",
            "a reason of some length " * 4,
        )
        if number % 500 == 0:
            past.tick(gateway)
    gateway.close()
    past.snapshot_twice(paths)
    before = segments(paths.journal)
    status = run_process(paths, dsn, lambda status: status["archivedSeq"] == before[-1] - 1)
    assert status["archivedSegments"] == len(before) - 1
    assert segments(paths.archive) + segments(paths.journal) == before
    empty = postgres.create_database()
    run_process(paths, empty, lambda status: status["lastSeq"] == gateway.last_seq)
    assert postgres.psql("SELECT count(*) FROM risk.limits", empty) == str(2 + 2_000)


@pytest.mark.usefixtures("often")
def test_a_live_request_key_keeps_its_segment_and_its_answer(tmp_path: Path, dsn: str) -> None:
    paths = past.traded(tmp_path / "data")
    before = segments(paths.journal)
    gateway = past.opened(paths)
    progress = asyncio.run(work(dsn, paths))
    past.snapshot_twice(paths)  # now nothing but the keys stands in the way
    assert not retention.archive_one(paths.journal, paths.snapshots, paths.archive, progress)
    assert segments(paths.journal) == before
    first_order = progress.unpinned_seq + 1
    assert 0 < first_order < before[1]
    body = json.dumps({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "11", "price": "100.5",
                       "mode": "PAPER", "clientOrderId": "c0"}).encode()  # fmt: skip

    def repeat() -> object:
        return gateway.place("Bearer og_alpha", "key-0", "again", body)

    stored = repeat()
    assert isinstance(stored, tuple)
    assert (stored[0], json.loads(stored[2])["status"]) == (422, 422)
    # The control: were it archived all the same, the answer would be gone, and the gateway would say so and live.
    progress.unpinned_seq = progress.last_seq
    assert retention.archive_one(paths.journal, paths.snapshots, paths.archive, progress)
    assert past.archive_all(paths, progress.last_seq)
    past.trade(gateway, range(1_000, 1_900))  # a new segment begins: open files of old ones are let go
    refused = repeat()
    assert isinstance(refused, _core.Refusal)
    assert "it has left the journal" in refused.detail
    gateway.close()


def test_a_start_is_refused_without_a_segment_that_it_needs(tmp_path: Path) -> None:
    paths = past.traded(tmp_path / "data")
    journal = {file.name: file.read_bytes() for file in paths.journal.glob("*.seg")}
    first, second, *_ = names = sorted(journal)
    (paths.journal / first).unlink()
    with pytest.raises(_core.JournalRefused, match="no snapshot covers the records before it. Put a snapshot back"):
        past.opened(paths)
    (paths.journal / first).write_bytes(journal[first])
    past.snapshot_twice(paths)
    # Although the snapshots cover it: stored answers are in it.
    (paths.journal / second).unlink()
    with pytest.raises(_core.JournalRefused, match=rf"{names[2]} at byte 0.*records are missing here.*Put the missing"):
        past.opened(paths)
    (paths.journal / second).write_bytes(journal[second])
    assert past.archive_all(paths, int(names[2][:20]) - 1)
    assert segments(paths.journal)[0] == int(names[2][:20])
    past.opened(paths).close()


def test_archived_segments_are_kept_for_ever_or_for_days(tmp_path: Path) -> None:
    now = time.time()
    for age_days, name in ((3, 1), (1, 2), (3, 3)):
        file = tmp_path / f"{name:020}.seg.zst"
        file.touch()
        os.utime(file, (now - age_days * 86_400 - 60,) * 2)
    assert retention.remove_old(tmp_path, 0) == []
    assert retention.remove_old(tmp_path / "absent", 2) == []
    # The third is as old, but without it there would be a hole behind the second.
    assert [file.name[:20] for file in retention.remove_old(tmp_path, 2)] == [f"{1:020}"]
    assert segments(tmp_path) == [2, 3]


def test_a_disk_in_trouble_is_waited_out(tmp_path: Path) -> None:
    paths = past.traded(tmp_path / "data")
    past.snapshot_twice(paths)
    paths.archive.touch()  # a file in the way
    progress, stop = Progress(last_seq=2**40, unpinned_seq=2**40), asyncio.Event()
    count = len(segments(paths.journal))

    async def scene() -> None:
        task = asyncio.create_task(
            retention.retain(paths.journal, paths.snapshots, paths.archive, 0, progress, stop, look_every_s=0.01)
        )
        while progress.archive_error is None:
            await asyncio.sleep(0.01)
        assert rendered(progress, Portfolio())["lastError"] == progress.archive_error
        assert len(segments(paths.journal)) == count
        paths.archive.unlink()
        while progress.archive_error is not None:
            await asyncio.sleep(0.01)
        stop.set()
        await task

    asyncio.run(asyncio.wait_for(scene(), WAIT_S))
    assert (progress.archived_segments, len(segments(paths.journal))) == (count - 1, 1)
