"""`ordergate journal`: on a journal that the engine wrote, whole and damaged, beside a gateway and without one."""

import json
import os
import time
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from ordergate import _core
from ordergate.cli import main
from ordergate.config import Paths

SECTOR: Final = 512
TORN: Final = 80
"""Bytes of a chunk that reached the disk: its header and a little more."""
TOKEN_HASH: Final = bytes(range(32))


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    for name in list(os.environ):
        if name.startswith("ORDERGATE_") or name in ("DATABASE_URL", "REDIS_URL"):
            monkeypatch.delenv(name)
    paths = Paths(tmp_path / "d")
    paths.prepare()
    return paths


def opened(paths: Paths) -> _core.Gateway:
    return _core.Gateway.open(str(paths.journal), str(paths.snapshots), segment_bytes=4096)


def flushed(gateway: _core.Gateway) -> None:
    while gateway.durable_seq() < gateway.last_seq:
        time.sleep(0.001)


def written(paths: Paths) -> _core.Gateway:
    """A few segments; still open."""
    gateway = opened(paths)
    gateway.create_account("demo")
    gateway.create_key("demo", "ana", "bot", TOKEN_HASH, ["read"], 10, None)
    for number in range(12):
        gateway.kill_on("global", "", 1, f"drill {number}", "ana", "cli")
        flushed(gateway)
        gateway.kill_off("global", "", "ana", "cli")
        flushed(gateway)
    return gateway


@pytest.fixture
def stopped(paths: Paths) -> Paths:
    """The same, closed, which is the 28th record."""
    written(paths).close()
    return paths


def run(paths: Paths, *words: str) -> Result:
    return CliRunner().invoke(main, ["journal", *words, "--data-dir", str(paths.data)])


def report(paths: Paths) -> dict[str, Any]:
    told = run(paths, "verify", "--json")
    found: dict[str, Any] = json.loads(told.stdout)
    assert told.exit_code == (0 if found["good"] else 1)
    return found


def records(told: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.stdout.splitlines()]


def segments(paths: Paths) -> list[Path]:
    return sorted(paths.journal.glob("*.seg"))


def flip(path: Path, at: int) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[at] ^= 1
    path.write_bytes(damaged)


def files(paths: Paths) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in paths.journal.rglob("*") if path.is_file()}


def unfinished(paths: Paths) -> int:
    """Leaves what a crash in the middle of a write leaves: half a chunk above `commit`; where it starts."""
    last = report(paths)["segments"][-1]
    content = bytearray(Path(last["file"]).read_bytes())
    content[last["end"] : last["end"] + TORN] = content[SECTOR : SECTOR + TORN]
    Path(last["file"]).write_bytes(content)
    end: int = last["end"]
    return end


def test_a_good_journal(stopped: Paths) -> None:
    before = files(stopped)
    found = report(stopped)
    assert (found["good"], found["running"], found["lastSeq"]) == (True, False, 28)
    assert [Path(segment["file"]) for segment in found["segments"]] == segments(stopped)
    assert found["commit"] == {"state": "read", "seq": 28, "epoch": 1}
    assert found["start"] == found["everything"] == {"decision": "start"}
    told = run(stopped, "verify")
    assert told.exit_code == 0
    assert told.stdout.splitlines()[-1] == "good"
    assert f"last hash    {found['hash']}" in told.stdout
    assert "a start      goes on after record 28" in told.stdout
    assert files(stopped) == before


def test_beside_a_running_gateway(paths: Paths) -> None:
    gateway = written(paths)
    try:
        found = report(paths)
        assert (found["good"], found["running"], found["lastSeq"]) == (True, True, gateway.last_seq)
        assert len(records(run(paths, "dump"))) == gateway.last_seq
        told = run(paths, "repair", "--yes")
        assert (told.exit_code, told.stdout) == (2, "")
        assert "stop it first" in told.stderr
        gateway.kill_on("global", "", 1, "still writing", "ana", "cli")
        flushed(gateway)
    finally:
        gateway.close()


def test_damage_is_named_with_file_byte_record_and_advice(stopped: Paths) -> None:
    second = segments(stopped)[1]
    flip(second, SECTOR + 70)
    before = files(stopped)
    told = run(stopped, "verify")
    assert told.exit_code == 1
    assert told.stdout.splitlines()[-1] == "DAMAGED"
    first = int(second.stem)
    place = f"{second} at byte {SECTOR}, after record {first - 1}"
    assert place in told.stdout
    assert "restore this segment from a backup" in told.stdout
    assert report(stopped)["start"]["offset"] == SECTOR
    # A start says the same.
    with pytest.raises(_core.JournalRefused) as refused:
        opened(stopped)
    assert place in str(refused.value)
    # repair does not touch it, and dump shows all before it.
    repaired = run(stopped, "repair", "--yes")
    assert repaired.exit_code == 1
    assert f"nothing was changed. {place}" in repaired.stderr
    dumped = run(stopped, "dump")
    assert (dumped.exit_code, [record["seq"] for record in records(dumped)]) == (1, list(range(1, first)))
    assert place in dumped.stderr
    assert files(stopped).keys() - before.keys() == set()
    assert all(files(stopped)[name] == before[name] for name in before)


def test_repair_cuts_an_unfinished_write(stopped: Paths) -> None:
    end = unfinished(stopped)
    found = report(stopped)
    assert (found["good"], found["start"]["decision"]) == (True, "cut")
    before = files(stopped)
    asked = run(stopped, "repair")
    assert asked.exit_code == 1
    assert f"would cut: {TORN} bytes of {segments(stopped)[-1].name} from byte {end}" in asked.stdout
    assert "add --yes" in asked.stdout
    assert files(stopped) == before
    done = run(stopped, "repair", "--yes")
    assert done.exit_code == 0
    assert "the journal ends with record 28" in done.stdout
    kept = next(line.removeprefix("kept: ") for line in done.stdout.splitlines() if line.startswith("kept: "))
    assert Path(kept).read_bytes() == segments(stopped)[-1].read_bytes()[SECTOR : SECTOR + TORN]
    assert report(stopped)["start"] == {"decision": "start"}
    again = run(stopped, "repair", "--yes")
    assert (again.exit_code, again.stdout) == (0, "nothing to repair: a start goes on after record 28\n")
    opened(stopped).close()


def test_a_lost_commit_file_takes_the_operators_word(stopped: Paths) -> None:
    (stopped.journal / "commit").unlink()
    found = report(stopped)
    assert (found["good"], found["start"]["file"]) == (False, str(stopped.journal / "commit"))
    refused = run(stopped, "repair", "--yes")
    assert refused.exit_code == 1
    assert "neither the commit file nor Postgres" in refused.stderr
    # A word that the journal cannot keep: it ends before.
    beyond = run(stopped, "repair", "--yes", "--last-acknowledged", "29")
    assert beyond.exit_code == 1
    assert "later records were acknowledged" in beyond.stderr
    assert not (stopped.journal / "commit").exists()
    done = run(stopped, "repair", "--yes", "--last-acknowledged", "28")
    assert (done.exit_code, report(stopped)["good"]) == (0, True)
    assert "made anew: the commit file, with record 28 as the last" in done.stdout
    # Where it can be read, it is.
    assert "an operator's word for it is not taken" in run(stopped, "repair", "--last-acknowledged", "28").stderr


def test_dump_shows_records_by_sequence_and_kind(stopped: Paths) -> None:
    told = run(stopped, "dump")
    everything = records(told)
    assert (told.exit_code, [record["seq"] for record in everything]) == (0, list(range(1, 29)))
    assert everything[0]["kind"] == "EPOCH"
    assert everything[1]["body"] == {"account": 0, "name": "demo"}
    assert everything[2]["kind"] == "KEY_CREATED"
    assert everything[2]["body"]["token_sha256"] == TOKEN_HASH.hex()
    assert everything[3]["body"]["reason"] == "drill 0"
    some = records(run(stopped, "dump", "--from", "10", "--to", "14", "--kind", "kill_off"))
    assert [(record["seq"], record["kind"]) for record in some] == [(11, "KILL_OFF"), (13, "KILL_OFF")]
    assert records(run(stopped, "dump", "--from", "29")) == []
    wrong = run(stopped, "dump", "--kind", "NOPE")
    assert wrong.exit_code == 2
    assert "KILL_OFF" in wrong.stderr
