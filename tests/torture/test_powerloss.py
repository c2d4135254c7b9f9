"""Losses of power of the real gateway, the control on a disk that lies, and the account that both rest on."""

import os
from pathlib import Path
from random import Random

import pytest

from tests.torture.powerloss import PAGE, RECORD, SECTOR, Layer, account, lose_power, run_cut_off
from tests.torture.run import Failed

OLD, NEW = b"o" * SECTOR, b"n" * SECTOR


def logged(kind: str, inode: int = 0, offset: int = 0, data: bytes = b"") -> bytes:
    return RECORD.pack(ord(kind), inode, offset, len(data)) + data


def written(inode: int, place: int, old: bytes) -> bytes:
    return logged("W", inode, place, old) + logged("N", inode, place + len(old))


def test_only_the_first_old_bytes_since_the_last_flush_are_on_the_disk() -> None:
    log = written(7, 0, b"x" * SECTOR) + logged("S", 7) + written(7, 0, OLD) + written(7, 0, NEW) + written(8, 512, OLD)
    assert account(log).dirty == {7: {0: OLD}, 8: {512: OLD}}


def test_a_record_that_the_kill_has_cut_does_not_count() -> None:
    log = written(7, 0, OLD) + written(7, 512, OLD)[: RECORD.size + 5]
    assert account(log).dirty == {7: {0: OLD}}


def test_a_flushed_directory_keeps_its_names() -> None:
    named = logged("R", data=b"/a\0/b")
    assert account(named).renames == [(Path("/a"), Path("/b"))]
    assert account(named + logged("D")).renames == []


def test_what_was_not_flushed_is_old_or_new_and_the_rest_stays(tmp_path: Path) -> None:
    outcomes = set()
    for seed in range(40):
        journal = tmp_path / f"{seed}"
        journal.mkdir()
        (journal / "commit").write_bytes(bytes(PAGE))
        segment = journal / "1.seg"
        segment.write_bytes(NEW * 3)
        log = tmp_path / f"{seed}.log"
        inode = segment.stat().st_ino
        log.write_bytes(
            written(inode, 0, OLD) + logged("S", inode) + written(inode, SECTOR, OLD + OLD)
            + logged("R", data=os.fsencode(journal / "spare") + b"\0" + os.fsencode(segment))
        )  # fmt: skip
        lose_power(Layer(journal, log), Random(seed))
        [found] = [path for path in journal.iterdir() if path.name != "commit"]
        content = found.read_bytes()
        assert content[:SECTOR] == NEW
        outcomes.add((found.name, content[SECTOR:]))
        assert log.read_bytes() == b""
    assert {name for name, _ in outcomes} == {"1.seg", "spare"}
    assert {content for _, content in outcomes} == {NEW + NEW, NEW + OLD, OLD + NEW, OLD + OLD}


@pytest.mark.timeout(600)
def test_no_acknowledged_order_is_lost_with_the_power(tmp_path: Path) -> None:
    _, losses = run_cut_off(tmp_path, 1, 12)
    assert losses.powers == 12
    assert losses.sectors + losses.kept > 0
    assert losses.commits > 0


@pytest.mark.timeout(300)
def test_a_disk_that_ignores_flushes_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="the journal ends here|was answered|I[0-9]+:"):
        run_cut_off(tmp_path, 1, 6, lying=True)
