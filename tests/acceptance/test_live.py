"""LIVE against the local exchange, as a whole; by hand it runs longer (`tests.acceptance.live`)."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance import live


def test_the_live_demo_trades_and_stops_by_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ordergate", "live-demo"], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert any(line.startswith("FILLED: 0.001 at ") for line in said), done.stdout
    assert any("the exchange's trade" in line for line in said), done.stdout
    assert said[-1] == "stopped"


@pytest.mark.timeout(400)
def test_nothing_is_sent_twice_or_lost_when_processes_are_killed(tmp_path: Path) -> None:
    with live.trading_live(tmp_path) as (system, venue):
        seen = live.crashes(system, venue, cycles=12, seed=7)
    assert seen["orders"] >= 60
    assert seen["trades"] >= 20
