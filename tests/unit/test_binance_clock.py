"""The exchange's clock as we estimate it: within its bound, whatever drifts, steps or answers late."""

import asyncio
import random

import pytest

from ordergate.venues.binance.answer import Answer
from ordergate.venues.binance.clock import GOOD_MS, Clock, keep

NS = 1_000_000
EPOCH_MS = 1_790_000_000_000


class World:
    """A local steady clock, a wall clock and an exchange's, each to be set."""

    def __init__(self, ahead_ms: float = 0.0, drift: float = 0.0) -> None:
        self.ns = 10_000 * NS
        self.wall_step_ms = 0.0
        self.ahead_ms = ahead_ms
        self.drift = drift
        self.clock = Clock(local_ns=lambda: self.ns, wall_ms=lambda: EPOCH_MS + self.ns / NS + self.wall_step_ms)

    def server_ms(self) -> float:
        return EPOCH_MS + self.ahead_ms + self.ns / NS * (1 + self.drift)

    def sample(self, there_ms: float, back_ms: float) -> None:
        sent = self.ns
        self.ns += int(there_ms * NS)
        server = int(self.server_ms())
        self.ns += int(back_ms * NS)
        self.clock.heard(sent, self.ns, server)

    def error_ms(self) -> float:
        return abs(self.clock.now_ms() - self.server_ms())


@pytest.mark.parametrize("ahead_s", [-3, 0, 3, 3600])
@pytest.mark.parametrize("drift", [-1 / 60, 0.0, 1 / 60])
def test_an_exchange_ahead_or_behind_and_drifting_a_second_a_minute(ahead_s: int, drift: float) -> None:
    world, chance = World(ahead_s * 1_000, drift), random.Random(7)
    for _ in range(120):
        world.sample(chance.expovariate(1 / 20), chance.expovariate(1 / 60))
        for _ in range(10):
            assert world.error_ms() <= world.clock.bound_ms + 1
            assert world.error_ms() < 500 and world.clock.good
            world.ns += 500 * NS


def test_a_late_answer_widens_nothing() -> None:
    world = World(3_000)
    world.sample(5, 5)
    before = world.clock.bound_ms
    world.sample(900, 4_000)
    assert world.clock.bound_ms < before + 100
    assert world.error_ms() < 100


def test_without_an_answer_it_is_not_good() -> None:
    world = World(3_000)
    assert not world.clock.good
    assert world.clock.now_ms() == EPOCH_MS + 10_000  # our wall clock, for want of better
    world.sample(5, 5)
    assert world.clock.good
    world.ns += 60_000 * NS
    assert world.clock.bound_ms > GOOD_MS and not world.clock.good
    assert world.error_ms() < 50  # the estimate itself goes on


def test_a_slow_answer_alone_is_not_good() -> None:
    world = World()
    world.sample(600, 600)
    assert world.clock.bound_ms > GOOD_MS and not world.clock.good


@pytest.mark.parametrize("step_ms", [-5_000, 5_000, 3_600_000])
def test_a_step_of_the_exchange_is_followed_at_once(step_ms: int) -> None:
    world = World()
    for _ in range(5):
        world.sample(5, 5)
        world.ns += 1_000 * NS
    world.ahead_ms += step_ms
    world.sample(5, 5)
    assert world.error_ms() < 20 and world.clock.good


@pytest.mark.parametrize("step_ms", [-5_000, 5_000, -3_600_000])
def test_a_step_of_our_wall_clock_moves_only_what_people_see(step_ms: int) -> None:
    world = World(2_000)
    world.sample(5, 5)
    before = world.clock.now_ms()
    world.wall_step_ms = step_ms
    assert world.clock.now_ms() == before and world.clock.good
    assert world.clock.offset_ms == pytest.approx(2_000 - step_ms, abs=10)


def test_after_a_refusal_for_its_time_it_is_not_good_until_asked_again() -> None:
    world = World(2_000)
    world.sample(5, 5)
    world.clock.forget()
    assert world.clock.stale.is_set() and not world.clock.good
    assert world.error_ms() < 20  # a cancel may still be tried with it
    world.sample(5, 5)
    assert world.clock.good and not world.clock.stale.is_set()


def test_it_is_asked_again_at_once_when_stale_and_slowly_when_it_does_not_answer() -> None:
    world, asked = World(), [0]

    async def ask() -> Answer:
        asked[0] += 1
        if asked[0] != 3:
            world.sample(1, 1)
        return Answer(True, 200)

    async def scene() -> None:
        keeping = asyncio.create_task(keep(world.clock, ask, every_s=3_600))
        while asked[0] < 1:
            await asyncio.sleep(0)
        world.clock.forget()
        while asked[0] < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        world.clock.forget()
        for _ in range(100):
            await asyncio.sleep(0)
        assert asked[0] == 3  # it did not answer: a second passes before the next
        async with asyncio.timeout(5):
            while asked[0] < 4:
                await asyncio.sleep(0.01)
        keeping.cancel()

    asyncio.run(scene())
    assert world.clock.good
