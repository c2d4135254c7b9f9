"""The acceptance runs with small parameters; by hand they run longer (see each module)."""

from pathlib import Path

import pytest

from tests.acceptance import crash_loop, mixed_load, smoke
from tests.acceptance.market import replayed_prices, write_replay
from tests.acceptance.system import forget, kill_everything, running, start, stop


def test_the_smoke_test_runs_word_for_word(tmp_path: Path) -> None:
    with running(tmp_path / "data") as system:
        seen = smoke.run(system)
    assert int(str(seen["order"])) > 0


def test_core_postgres_and_portfolio_agree_after_a_mixed_load(tmp_path: Path) -> None:
    with running(tmp_path / "data", prices=replayed_prices(tmp_path / "btcusdt")) as system:
        seen = mixed_load.run(system, tmp_path, orders=160, clients=8, seed=3)
    assert seen["requests"] == 160
    assert int(str(seen["fills"])) > 20


def test_a_generated_replay_serves_as_well_as_recorded_prices(tmp_path: Path) -> None:
    write_replay(tmp_path / "btcusdt")
    with running(tmp_path / "data", prices=f"replay:{tmp_path / 'btcusdt'}") as system:
        seen = mixed_load.run(system, tmp_path, orders=40, clients=4, seed=5)
    assert int(str(seen["fills"])) > 5


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_doubled_when_each_process_is_killed(tmp_path: Path) -> None:
    system = start(tmp_path / "data", prices=replayed_prices(tmp_path / "btcusdt"))
    try:
        system, seen = crash_loop.run(system, tmp_path, kills=4, clients=6, seed=11)
        stop(system)
    finally:
        kill_everything(system)
        forget(system)
    assert seen["kills"] == dict.fromkeys(crash_loop.ROLES, 1)
