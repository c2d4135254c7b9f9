"""How long the core takes to start on a long journal, with and without a snapshot; see bench/README.md.

Goals: 5 s without a snapshot, 1 s with one. Exits 1 when the processor time alone is above: nobody else can be blamed.
"""

from __future__ import annotations  # `Answer` exists in the stub only

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from bench.http_placement import refuse_memory_disk  # noqa: E402

from ordergate import _core  # noqa: E402
from tests.integration import real_journal  # noqa: E402

ROUNDS = 3
GOAL_S = {"without": 5.0, "with": 1.0}
WINDOW = 100
"""Orders between two flushes: chunks of 200 records, as under full load."""
TAIL = 50_000
"""Records after the snapshot: as many as the worker lets come together before it writes the next one."""


def forget_cached(data: Path) -> None:
    """Drops the files from the page cache, so that they are read from the disk."""
    for file in [*(data / "journal").iterdir(), *(data / "snapshots").iterdir()]:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def start(data: Path) -> tuple[float, float]:
    """Seconds until the engine stands, on files that nobody has read: by the clock, and of a processor."""
    forget_cached(data)
    began, used = time.perf_counter(), time.process_time()
    gateway = real_journal.opened(data)
    took = time.perf_counter() - began, time.process_time() - used
    gateway.close()
    return took


def rounds(data: Path, kind: str) -> dict[str, float]:
    """The medians of the starts."""
    by_clock, of_processor = zip(*(start(data) for _ in range(ROUNDS)), strict=True)
    figures = {"seconds": round(median(by_clock), 3), "processor_seconds": round(median(of_processor), 3)}
    shown = ", ".join(f"{took:.2f}" for took in by_clock)
    verdict = "met" if figures["seconds"] <= GOAL_S[kind] else "not met"
    took, used = figures.values()
    print(f"  {kind} a snapshot: {took:.2f} s ({shown}), {used:.2f} s of a processor; {GOAL_S[kind]:g} s is {verdict}")
    return figures


def main() -> None:
    """Measures, prints, judges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--directory", type=Path, default=REPOSITORY / "build", help="where the journal is written")
    options = parser.parse_args()
    if _core.BUILD_PROFILE != "release":
        sys.exit(f"bench: the extension is a {_core.BUILD_PROFILE} build: run `make build`")
    options.directory.mkdir(parents=True, exist_ok=True)
    refuse_memory_disk(options.directory)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.directory) as name:
        data = Path(name)
        began = time.perf_counter()
        gateway = real_journal.created(data)
        orders = range(options.records // real_journal.RECORDS_PER_ORDER)
        real_journal.trade(gateway, real_journal.begin(gateway), orders, WINDOW, flush_each=True)
        gateway.close()
        took = time.perf_counter() - began
        print(f"  a journal of {gateway.last_seq:,} records was made in {took:.1f} s", flush=True)
        figures = {"without": rounds(data, "without")}
        follower = _core.Follower(str(data / "journal"))
        follower.catch_up(gateway.last_seq - TAIL)
        snapshot = Path(follower.write_snapshot(str(data / "snapshots")))
        print(f"  snapshot at record {follower.seq:,}: {snapshot.stat().st_size / 2**20:.0f} MiB", flush=True)
        figures["with"] = rounds(data, "with")
    print(json.dumps(figures))
    slow = [kind for kind, figure in figures.items() if figure["processor_seconds"] > GOAL_S[kind]]
    for kind in slow:
        print(f"bench: {kind} a snapshot the processor alone takes over {GOAL_S[kind]:g} s", file=sys.stderr)
    sys.exit(bool(slow))


if __name__ == "__main__":
    main()
