"""Waiting for a flush."""

import asyncio
from typing import Any

from ordergate import _core
from ordergate.gateway.changes import Changes
from ordergate.gateway.durability import Durability
from tests.unit import fake_core
from tests.unit.http_parts import on_uvloop


def opened() -> tuple[Any, Durability, list[BaseException]]:
    gateway: Any = fake_core.Gateway(auto_flush=False)
    ended: list[BaseException] = []
    durability = Durability(gateway, ended.append)
    durability.open()
    return gateway, durability, ended


@on_uvloop
async def test_waiters_are_completed_up_to_the_durable_sequence() -> None:
    gateway, durability, _ = opened()
    gateway.last_seq = 9
    waiting = [durability.wait(seq) for seq in (1, 2, 3, 9)]
    gateway.flush(3)
    await asyncio.sleep(0.02)
    assert [future.done() for future in waiting] == [True, True, True, False]
    assert durability.durable == 3
    assert durability.wait(3).done()


@on_uvloop
async def test_a_lower_sequence_is_late_but_never_early() -> None:
    gateway, durability, _ = opened()
    gateway.last_seq = 9
    high, low = durability.wait(9), durability.wait(2)
    gateway.flush(2)
    await asyncio.sleep(0.02)
    assert (high.done(), low.done()) == (False, False)
    gateway.flush()
    await asyncio.sleep(0.02)
    assert (high.done(), low.done()) == (True, True)


@on_uvloop
async def test_those_that_gave_up_are_passed_over() -> None:
    gateway, durability, _ = opened()
    gateway.last_seq = 2
    gone, there = durability.wait(1), durability.wait(2)
    gone.cancel()
    gateway.flush()
    await asyncio.sleep(0.02)
    assert there.done()


@on_uvloop
async def test_those_that_gave_up_do_not_pile_up_behind_a_slow_flush() -> None:
    gateway, durability, _ = opened()
    gateway.last_seq = 9
    oldest = durability.wait(1)
    for seq in range(2, 9):
        durability.wait(seq).cancel()
    newest = durability.wait(9)
    durability.watch()
    durability.watch()
    assert [future for _, future in durability._waiting] == [oldest, newest]
    gateway.flush()
    await asyncio.sleep(0.02)
    assert oldest.done() and newest.done()


@on_uvloop
async def test_doorbells_ring_once_per_flush_after_the_waiters() -> None:
    gateway, durability, _ = opened()
    gateway.last_seq = 1
    future = durability.wait(1)
    rung: list[bool] = []
    durability.on_flush(lambda: rung.append(future.done()))
    gateway.flush()
    await asyncio.sleep(0.02)
    assert rung == [True]


@on_uvloop
async def test_a_failed_flush_wakes_nobody() -> None:
    gateway, durability, ended = opened()
    gateway.last_seq = 1
    future = durability.wait(1)
    gateway.failure = _core.JournalFailed("EIO")
    gateway.flush()
    await asyncio.sleep(0.02)
    assert not future.done() and str(ended[0]) == "EIO"


@on_uvloop
async def test_a_stalled_flush_is_noticed() -> None:
    gateway, durability, _ = opened()
    gateway.last_seq = 2
    durability.watch()
    assert not durability.stalled()
    future = durability.wait(1)
    durability.watch()
    assert not durability.stalled()
    await asyncio.sleep(1.05)
    durability.watch()
    assert durability.stalled()
    gateway.flush(1)
    await asyncio.sleep(0.02)
    durability.watch()
    assert future.done() and not durability.stalled()


@on_uvloop
async def test_news_of_an_order_reaches_those_who_wait_for_it() -> None:
    changes = Changes()
    changes.announce([1])
    waiting = [asyncio.create_task(changes.wait(order, 5.0)) for order in ("1", "1", "2")]
    await asyncio.sleep(0)
    changes.announce([3, 1])
    await asyncio.sleep(0.01)
    assert [task.done() for task in waiting] == [True, True, False]
    await changes.wait("4", 0.01)
    waiting[2].cancel()
    await asyncio.sleep(0.01)
    assert changes._waiting == {}
