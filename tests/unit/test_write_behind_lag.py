"""The lag of the write-behind, read from the worker's status file."""

import json
import os
import time
from pathlib import Path
from typing import Any

from ordergate.gateway.write_behind_lag import WriteBehindLag
from tests.unit import fake_core


def test_the_lag_is_the_workers_and_goes_on_when_it_stops(tmp_path: Path) -> None:
    file = tmp_path / "worker.json"
    gateway: Any = fake_core.Gateway(last_seq=100)
    lag = WriteBehindLag(gateway, file)
    assert lag.read() is None
    file.write_text(
        json.dumps({"pid": 1, "lastSeq": 90, "committedSeq": 97, "lag": 7, "lagMs": 250, "parkedRecords": 2})
    )
    assert lag.read() == (7, 0.25, 2)
    os.utime(file, (time.time() - 60, time.time() - 60))
    records, seconds, parked = lag.read() or (0, 0.0, 0)
    assert (records, parked) == (10, 2) and 60 < seconds < 62
    for broken in ("", "[]", '{"lag":"x"}', "[" * 100_000):
        file.write_text(broken)
        assert lag.read() is None
