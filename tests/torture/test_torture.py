"""The torture run as CI has it: a hundred kills, then a short round of every other fault; and that a seed is a run."""

from itertools import islice
from pathlib import Path
from random import Random

import pytest

from tests.torture.faults import FAULTS, chosen, draw
from tests.torture.live_faults import LIVE_FAULTS, LIVE_KILLS, TAKEN_OVER
from tests.torture.run import schedule, torture

KILLS = ["kill-gateway", "kill-worker", "kill-venue", "kill-supervisor"]


def names(seed: int, faults: tuple[str, ...] = (), count: int = 200) -> list[list[str]]:
    return [[fault.name for fault in cycle] for cycle in islice(schedule(seed, chosen(faults)), count)]


def test_a_seed_draws_the_same_faults_in_the_same_order() -> None:
    assert names(1) == names(1)
    assert names(1) != names(2)
    assert {name for cycle in names(1, count=2000) for name in cycle} == {fault.name for fault in FAULTS}


def test_faults_that_meet_are_different_and_need_no_tracer() -> None:
    random = Random(3)
    met = [cycle for cycle in (draw(random, FAULTS) for _ in range(500)) if len(cycle) > 1]
    assert len(met) > 50
    assert all(len(set(cycle)) == len(cycle) and not any(fault.needs for fault in cycle) for cycle in met)


def test_an_unknown_fault_is_named() -> None:
    with pytest.raises(ValueError, match="no such fault: kill-everything"):
        chosen(["kill-everything"])


@pytest.mark.timeout(900)
def test_nothing_is_lost_or_doubled_in_a_hundred_kills(tmp_path: Path) -> None:
    cycles = islice(schedule(1, chosen(KILLS)), 102)
    run = torture(tmp_path, 1, cycles, check_every=34, load_s=(0.05, 0.5))
    assert sum(run.cycles.values()) >= 100
    assert run.checks == 3
    assert run.figures.orders > 1000
    assert run.figures.fills > 500


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_by_any_other_fault(tmp_path: Path) -> None:
    others = [fault for fault in FAULTS if fault.name not in KILLS]
    assert chosen([fault.name for fault in others]) == tuple(others)
    run = torture(tmp_path, 4, [(fault,) for fault in others], check_every=9)
    assert run.cycles == {fault.name: 1 for fault in others}
    assert run.cleared >= 1


def test_a_seed_of_live_draws_every_fault_of_its_table() -> None:
    drawn = islice(schedule(1, chosen([], LIVE_FAULTS)), 4000)
    assert {fault.name for cycle in drawn for fault in cycle} == {fault.name for fault in LIVE_FAULTS}


@pytest.mark.timeout(900)
def test_no_order_of_live_is_lost_or_doubled_in_fifty_kills(tmp_path: Path) -> None:
    cycles = islice(schedule(1, chosen(LIVE_KILLS, LIVE_FAULTS)), 50)
    run = torture(tmp_path, 1, cycles, check_every=17, load_s=(0.05, 0.5), trades_live=True)
    assert sum(run.cycles.values()) >= 50
    assert run.checks == 3
    assert run.figures.orders > 300
    assert run.figures.fills > 100


@pytest.mark.timeout(900)
def test_no_order_of_live_is_lost_or_doubled_by_any_fault_of_an_exchange(tmp_path: Path) -> None:
    others = [fault for fault in LIVE_FAULTS if fault.name not in {*LIVE_KILLS, *TAKEN_OVER}]
    run = torture(tmp_path, 4, [(fault,) for fault in others], check_every=12, trades_live=True)
    assert run.cycles == {fault.name: 1 for fault in others}
