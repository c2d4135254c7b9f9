"""Stops of all trading with few repetitions; by hand there are more (see each module)."""

import sys
from pathlib import Path

import pytest

from tests.acceptance import emergency_stop, redis_faults
from tests.acceptance.system import running, shell


@pytest.mark.timeout(120)
def test_the_runbooks_stop_ends_sends_within_half_a_second(tmp_path: Path) -> None:
    with running(tmp_path / "data") as system:
        stops = emergency_stop.run(system, repetitions=3)
        drill = shell(system, f"{sys.executable} -m ordergate kill drill --level 3 --data-dir {system.data_dir}")
    assert len(stops) == 3
    assert "flat" in drill and "the kill is cleared" in drill


@pytest.mark.timeout(180)
def test_whatever_happens_to_redis_nothing_is_sent_until_an_operator_clears_it(tmp_path: Path) -> None:
    with running(tmp_path / "data") as system:
        for name in redis_faults.FAULTS:
            redis_faults.run(system, name, repetitions=1)
