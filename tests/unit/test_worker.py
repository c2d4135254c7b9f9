"""The worker's own decisions: when a snapshot is due, what the status file says, who holds the lock."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from ordergate.persistence.anchors import read_anchors
from ordergate.persistence.watermark import NOTHING_YET, Watermark
from ordergate.persistence.write_behind import Batch, Writer
from ordergate.portfolio.outbox import Portfolio
from ordergate.worker import follow
from ordergate.worker.follow import BATCH_RECORDS, SNAPSHOT_EVERY_S, SNAPSHOT_RECORDS, SnapshotClock
from ordergate.worker.main import take_lock
from ordergate.worker.progress import Progress, write_status
from tests.integration.batches import Rows


class Still:
    """A follower that stands at one place."""

    def __init__(self, seq: int, agreed: int, fails: bool = False) -> None:
        self.seq, self.agreed, self.fails = seq, agreed, fails
        self.written: list[str] = []

    def catch_up(self, seq: int | None = None) -> int:
        return seq or self.seq

    def committed_seq(self) -> int:
        return self.seq

    def start_rows(self, last_seq: int, chunk_hash: bytes, event_hash: bytes) -> None:
        assert (last_seq, event_hash) is not None

    def poll_rows(self, max_records: int, *, to_state_hash: bool = False) -> Batch | None:
        assert max_records
        return None

    def hash_agreed_seq(self) -> int:
        return self.agreed

    def unpinned_seq(self) -> int:
        return self.seq

    def write_snapshot(self, snapshot_dir: str) -> str:
        if self.fails:
            raise OSError(28, "No space left on device")
        self.written.append(snapshot_dir)
        return snapshot_dir


class Diverged(Still):
    """A follower whose state is not the gateway's."""

    def poll_rows(self, max_records: int, *, to_state_hash: bool = False) -> Batch | None:
        return Rows(1, max_records)

    def hash_agreed_seq(self) -> int:
        raise ArithmeticError("state hashes differ at record 7")


def test_a_fold_that_disagrees_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(writer: Writer, batch: Batch) -> None:
        raise AssertionError((writer, batch))

    monkeypatch.setattr(follow, "write", never)
    work = follow._write_on(
        Writer("", NOTHING_YET), Progress(), asyncio.Event(),
        follower=Diverged(9, 0), snapshots=Path(), anchors=Path(), snapshot=SnapshotClock(0, 0),
    )  # fmt: skip
    with pytest.raises(ArithmeticError):
        asyncio.run(work)


LAST = 1000
DUE = LAST + SNAPSHOT_RECORDS


@pytest.mark.parametrize(
    ("seq", "agreed", "age_s", "written"),
    [
        (DUE, DUE, SNAPSHOT_EVERY_S + 1, True),
        (DUE - 1, DUE - 1, SNAPSHOT_EVERY_S + 1, False),
        (DUE, DUE, SNAPSHOT_EVERY_S - 1, False),
        (DUE, DUE - 1, SNAPSHOT_EVERY_S + 1, False),  # what came after the hash has not been compared
        (DUE, LAST, SNAPSHOT_EVERY_S + 1, False),
    ],
)
def test_a_snapshot_needs_time_records_and_an_agreed_hash(seq: int, agreed: int, age_s: float, written: bool) -> None:
    follower, clock, progress = Still(seq, agreed), SnapshotClock(LAST, time.monotonic() - age_s), Progress()
    follow._snapshot_if_due(follower, Path("snapshots"), clock, progress)
    assert bool(follower.written) == written
    assert (clock.seq, progress.snapshot_seq) == ((seq, seq) if written else (LAST, 0))
    follow._snapshot_if_due(follower, Path("snapshots"), clock, progress)
    assert len(follower.written) == written


class Chunks(Still):
    """A journal in chunks; the sequences in `hashes` are state hashes that agree."""

    def __init__(self, seq: int, ends: list[int], hashes: set[int]) -> None:
        super().__init__(seq, LAST)
        self.ends, self.hashes = ends, hashes
        self.batches: list[int] = []
        self.snapshots: list[int] = []

    def committed_seq(self) -> int:
        return self.ends[-1]

    def poll_rows(self, max_records: int, *, to_state_hash: bool = False) -> Batch | None:
        first = self.seq + 1
        for end in self.ends:
            if end > self.seq and (self.seq < first or end - first < max_records):
                self.seq = end
                if to_state_hash and end in self.hashes:
                    break
        self.agreed = max([self.agreed, *(seq for seq in self.hashes if seq <= self.seq)])
        if self.seq < first:
            return None
        self.batches.append(self.seq)
        return Rows(first, self.seq)

    def write_snapshot(self, snapshot_dir: str) -> str:
        self.snapshots.append(self.seq)
        return super().write_snapshot(snapshot_dir)


FAR = DUE + 2 * BATCH_RECORDS


@pytest.mark.parametrize(
    ("ends", "hashes", "snapshots", "batches"),
    [
        ([DUE + 3, DUE + 5, DUE + 9], {DUE + 5}, [DUE + 5], [DUE + 5, DUE + 9]),
        ([DUE + 3, DUE + 7, DUE + 9], {DUE + 5}, [], [DUE + 9]),  # the hash is in the middle of its chunk
        ([DUE + 3, DUE + 7, DUE + 9], {DUE + 5, DUE + 9}, [DUE + 9], [DUE + 9]),
        ([DUE + 4, FAR, FAR + 4], {DUE + 4, FAR + 4}, [DUE + 4], [DUE + 4, FAR, FAR + 4]),  # one a minute
    ],
)
def test_a_batch_ends_where_a_due_snapshot_can_be_written(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    ends: list[int],
    hashes: set[int],
    snapshots: list[int],
    batches: list[int],
) -> None:
    follower, stop = Chunks(DUE, ends, hashes), asyncio.Event()
    writer = Writer("", NOTHING_YET)

    async def keep(_: Writer, batch: Batch) -> None:
        writer.watermark = Watermark(batch.last_seq, 1, b"", b"")
        if batch.last_seq == ends[-1]:
            stop.set()

    monkeypatch.setattr(follow, "write", keep)
    clock = SnapshotClock(LAST, time.monotonic() - SNAPSHOT_EVERY_S - 1)
    work = follow._write_on(
        writer, Progress(committed_seq=follower.committed_seq), stop,
        follower=follower, snapshots=Path("snapshots"), anchors=tmp_path / "audit" / "anchors.jsonl", snapshot=clock,
    )  # fmt: skip
    asyncio.run(work)
    assert (follower.snapshots, follower.batches) == (snapshots, batches)
    assert [anchor.seq for anchor in read_anchors(tmp_path / "audit" / "anchors.jsonl")] == snapshots


def test_a_snapshot_that_fails_is_tried_again_a_minute_later() -> None:
    follower, clock, progress = Still(DUE, DUE, fails=True), SnapshotClock(LAST, time.monotonic() - 100), Progress()
    follow._snapshot_if_due(follower, Path("snapshots"), clock, progress)
    assert clock.seq == LAST
    assert time.monotonic() - clock.at_s < SNAPSHOT_EVERY_S


def test_the_status_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "worker.json"
    progress = Progress(committed_seq=lambda: 50, caught_up_s=time.monotonic() - 2)
    assert not progress.written(40)
    write_status(file, progress, Portfolio(cursor=30, held={("alpha", "PAPER"): (7, 3)}, error="halted"))
    status = json.loads(file.read_bytes())
    assert (status["pid"], status["lastSeq"], status["committedSeq"], status["lag"]) == (os.getpid(), 40, 50, 10)
    assert 1900 < status["lagMs"] < 10_000
    assert status["lastError"] == "halted"
    assert status["portfolioParked"] == [{"account": "alpha", "mode": "PAPER", "seq": 7, "events": 3}]
    assert progress.written(50)
    write_status(file, progress, Portfolio())
    status = json.loads(file.read_bytes())
    assert (status["lag"], status["lagMs"], status["lastError"], status["portfolioParked"]) == (0, 0, None, [])
    assert os.listdir(tmp_path) == ["worker.json"]
    write_status(tmp_path / "gone" / "worker.json", progress, Portfolio())  # a worker goes on without its status file


def test_a_full_disk_is_no_sign_of_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "worker.json"
    write_status(file, Progress(), Portfolio())
    os.utime(file, (1, 1))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    write_status(file, Progress(), Portfolio())
    assert time.time() - file.stat().st_mtime < 60


def test_the_lock_is_held_once(tmp_path: Path) -> None:
    file = tmp_path / "worker.lock"
    lock = take_lock(file)
    assert lock is not None
    assert file.read_text() == f"{os.getpid()}\n"
    assert take_lock(file) is None
    os.close(lock)
    again = take_lock(file)
    assert again is not None
    os.close(again)
