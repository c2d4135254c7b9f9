"""The anchor file only grows; a crash costs at most the line that was being written, and nothing else is excused."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ordergate.persistence.anchors import Anchor, BadAnchors, append_anchor, read_anchors
from ordergate.persistence.watermark import Watermark


def mark(seq: int) -> Watermark:
    return Watermark(seq, 1, bytes([seq]) * 16, bytes([seq]) * 32)


def test_lines_are_added_to_a_private_file_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "audit" / "anchors.jsonl"
    assert read_anchors(file) == []
    before = datetime.now(UTC)
    for seq in (9, 200, 40):
        append_anchor(file, mark(seq))
    found = read_anchors(file)
    assert [anchor.seq for anchor in found] == [9, 40, 200]
    assert (found[0].event_hash, found[0].chunk_hash) == ("09" * 32, "09" * 16)
    assert before <= found[0].at <= datetime.now(UTC)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(file.parent).st_mode) == 0o700
    assert file.read_bytes().splitlines()[0].startswith(b'{"seq":9,"eventHash":"0909')


def test_half_a_line_costs_only_itself(tmp_path: Path) -> None:
    file = tmp_path / "anchors.jsonl"
    append_anchor(file, mark(1))
    append_anchor(file, mark(2))
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(len(whole) + 1):
        file.write_bytes(whole[:length])
        expected = [1, 2][: whole[:length].count(b"\n")]
        assert [anchor.seq for anchor in read_anchors(file)] == expected
        append_anchor(file, mark(3))
        found = [anchor.seq for anchor in read_anchors(file)]
        # A line that lacked nothing but its end is whole again.
        assert found in ([*expected, 3], [*expected, len(expected) + 1, 3]), length
        assert length > first or 2 not in found


@pytest.mark.parametrize("line", [b"{}", b'{"seq":1,"eventHash":"","chunkHash":"","at":"yesterday"}', b'[{"seq":1}]}'])
def test_what_was_not_appended_by_us_is_named(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "anchors.jsonl"
    append_anchor(file, mark(1))
    with file.open("ab") as out:
        out.write(line + b"\n")
    with pytest.raises(BadAnchors, match="line 2"):
        read_anchors(file)


def test_an_anchor_is_what_the_documentation_shows() -> None:
    assert Anchor.__struct_encode_fields__ == ("seq", "eventHash", "chunkHash", "at")
