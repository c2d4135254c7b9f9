"""The real gateway loses power: every process is killed, and what it had not flushed is partly taken back.

`power.c` keeps the account of unflushed bytes below the journal's directory. After the SIGKILL each sector written
since its file's last flush is old or new by chance, renames since the last flush of the directory are undone from some
point on, and each sector of `commit`, which is a shared mapping, is any value that it had since its last flush. Then
the system starts again and is checked like after any other fault: every acknowledged order has to be there.

Only the journal loses power: Postgres and Valkey are killed with the rest, and keep what they wrote.
`python -m tests.torture.powerloss --cycles 200 --seed 1`, or `make powerloss CYCLES=200`.
"""

import argparse
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.acceptance.system import family, gone
from tests.torture.faults import ORPHANS_GONE_S, Fault, Stage, send
from tests.torture.run import Failed, torture

SECTOR = 512
PAGE = 4096
RECORD = struct.Struct("=QQQQ")
LOAD_S = (0.1, 0.6)
AIMED, AIM_S = 0.15, 10.0
"""Share of the losses that wait, for at most so long, for a rename that is not flushed yet."""
SLOW_US = 10_000
"""How much longer each flush takes."""
SAMPLE_S = 0.01
CHECK_EVERY = 10


@dataclass
class Account:
    """What has not reached the disk: unflushed sectors by inode with their old bytes, and unflushed renames."""

    dirty: dict[int, dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))
    renames: list[tuple[Path, Path]] = field(default_factory=list)
    commit: bytes | None = None
    commit_at: int = 0
    """Where in the log `commit` was flushed."""


@dataclass
class Losses:
    """What was taken back so far."""

    powers: int = 0
    sectors: int = 0
    kept: int = 0
    renames: int = 0
    commits: int = 0


@dataclass
class Layer:
    """One journal, the log of what it has not flushed, and what was seen of `commit` meanwhile."""

    journal: Path
    log: Path
    commit: bytes = b""
    samples: list[tuple[int, bytes]] = field(default_factory=list)
    losses: Losses = field(default_factory=Losses)

    def sample(self) -> None:
        """Notes the bytes of `commit` with the length of the log at that time."""
        at = self.log.stat().st_size
        self.samples.append((at, (self.journal / "commit").read_bytes()))


def records(log: bytes) -> Iterator[tuple[int, str, int, int, bytes]]:
    """(where, kind, inode, offset, bytes) of every whole record: the last one may have been cut by the kill."""
    at = 0
    while at + RECORD.size <= len(log):
        kind, inode, offset, length = RECORD.unpack_from(log, at)
        begin = at + RECORD.size
        if begin + length > len(log):
            return
        yield at, chr(kind), inode, offset, log[begin : begin + length]
        at = begin + length


def account(log: bytes) -> Account:
    """Adds up the log."""
    found = Account()
    written: tuple[int, int, bytes] = (0, 0, b"")
    for at, kind, inode, offset, data in records(log):
        if kind == "W":
            written = inode, offset, data
        elif kind == "N":
            # The write may have happened from here on. The first old value since the last flush is the one on disk.
            for place in range(written[1], offset, SECTOR):
                old = written[2][place - written[1] :][:SECTOR]
                found.dirty[inode].setdefault(place, old.ljust(SECTOR, b"\0"))
        elif kind == "S":
            found.dirty.pop(inode, None)
        elif kind == "C":
            found.commit, found.commit_at = data, at
        elif kind == "R":
            before, _, after = data.partition(b"\0")
            found.renames.append((Path(os.fsdecode(before)), Path(os.fsdecode(after))))
        elif kind == "D":
            found.renames.clear()
    return found


def lose_power(layer: Layer, random: Random) -> None:
    """Takes back a part of what was not flushed. Nobody may be running."""
    log = layer.log.read_bytes()
    found, losses = account(log), layer.losses
    losses.powers += 1
    share = random.choice([0.0, 0.3, 0.7, 1.0])
    files = {path.stat().st_ino: path for path in layer.journal.iterdir() if path.is_file()}
    for inode, sectors in found.dirty.items():
        if inode not in files:
            continue
        with files[inode].open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            for place, old in sectors.items():
                lost = random.random() < share and place < size
                if lost:
                    os.pwrite(file.fileno(), old[: size - place], place)
                losses.sectors += lost
                losses.kept += not lost
    for before, after in reversed(found.renames[random.randint(0, len(found.renames)) :]):
        if after.exists():
            # A newer file of the old name stays: only what was renamed is nameless again.
            after.unlink() if before.exists() else after.rename(before)
            losses.renames += 1
    _lose_commit(layer, found, random)
    layer.log.write_bytes(b"")
    layer.commit = (layer.journal / "commit").read_bytes()
    layer.samples.clear()


def _lose_commit(layer: Layer, found: Account, random: Random) -> None:
    path = layer.journal / "commit"
    now = path.read_bytes()
    flushed = found.commit if found.commit is not None else layer.commit
    seen = [flushed or now, now, *(page for at, page in layer.samples if at >= found.commit_at)]
    page = b"".join(random.choice(seen)[at : at + SECTOR] for at in range(0, PAGE, SECTOR))
    if page != now:
        # Written in place: the file is the same, only its bytes are old.
        with path.open("r+b") as file:
            file.write(page)
        layer.losses.commits += 1


def power_cut(layer: Layer) -> Fault:
    """The row for the table of faults."""

    def apply(stage: Stage) -> None:
        stage.orphans = family(stage.system)
        aimed = stage.random.random() < AIMED
        deadline = time.monotonic() + (AIM_S if aimed else stage.random.uniform(*LOAD_S))
        while time.monotonic() < deadline and not (aimed and account(layer.log.read_bytes()).renames):
            layer.sample()
            time.sleep(SAMPLE_S)
        # The supervisor first, or it would start the others again; what began meanwhile ends with it.
        send({one: role for one, role in stage.orphans.items() if role == "up"}, signal.SIGKILL)
        send(stage.orphans, signal.SIGKILL)
        stage.system.supervisor.wait()
        assert not gone(stage.orphans, ORPHANS_GONE_S), "outlived the loss of power"
        lose_power(layer, stage.random)

    return Fault("power-loss", 1, apply, lambda stage: None)


def run_cut_off(
    directory: Path, seed: int, cycles: int, *, lying: bool = False, say: Callable[[str], None] = print
) -> tuple[str, Losses]:
    """So many losses of power; the summary and what was lost. Raises Failed. `lying`: flushes do nothing."""
    library = directory / "power.so"
    source = Path(__file__).with_name("power.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl", "-lpthread"], check=True)
    layer = Layer((directory / "data" / "journal").resolve(), directory / "power.log")
    settings = {"LD_PRELOAD": str(library), "POWERLOSS_DIR": str(layer.journal), "POWERLOSS_LOG": str(layer.log)}
    settings |= {"POWERLOSS_SLOW_US": str(SLOW_US)} | ({"POWERLOSS_LYING": "1"} if lying else {})
    with surroundings(settings):
        run = torture(directory, seed, [(power_cut(layer),)] * cycles, check_every=CHECK_EVERY, load_s=(0, 0), say=say)
    return run.summary(), layer.losses


@contextmanager
def surroundings(added: Mapping[str, str]) -> Iterator[None]:
    """These environment variables for whatever is started within a block."""
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def main() -> int:
    """0: everything held; 1: it did not, and the data are kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.powerloss", description=__doc__)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lying", action="store_true", help="a disk whose flushes do nothing: this has to fail")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix=f"ordergate-powerloss-{options.seed}-"))
    try:
        summary, losses = run_cut_off(directory, options.seed, options.cycles, lying=options.lying)
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    shutil.rmtree(directory)
    print(f"{summary}\n{losses}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
