"""The exchange's clock as seen from here: between which bounds it must be, from what `GET time` answered when.

Nothing here reads the wall clock, so that a step of ours moves nothing. A sample says: at some moment between sending
and receiving the server's clock stood at that millisecond. Each sample therefore bounds the offset; it holds for a
while, since clocks drift, and the bounds of all samples together are narrower than any one. Bounds that contradict each
other mean that a clock was set: the newest sample is then right.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from ordergate.venues.binance.answer import Answer

DRIFT: Final = 1 / 60
"""Seconds per second by which two clocks may run apart: a second a minute, far worse than any that is in order."""
GOOD_MS: Final = 500.0
"""Above this bound nothing is signed that must not be late: the exchange takes at most 1,000 ms from the future."""
SAMPLES: Final = 32
EVERY_S: Final = 5.0
RETRY_S: Final = 1.0
NS: Final = 1_000_000


def boottime_ns() -> int:
    """Nanoseconds that no step of the wall clock and no suspend disturbs."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class _Sample:
    since_ns: int
    low_ms: float
    high_ms: float
    """Server's clock minus ours, in milliseconds, at some moment since `since_ns`."""


@dataclass(slots=True)
class Clock:
    """The estimate. `local_ns`: our own steady clock; `wall_ms`: only to say how far it is from the server's."""

    local_ns: Callable[[], int] = boottime_ns
    wall_ms: Callable[[], float] = lambda: time.time() * 1_000
    stale: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a new sample is wanted at once."""
    _samples: deque[_Sample] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    _last_ms: float | None = None
    """The last estimate of server minus ours; kept when the samples are gone, for what may be sent on a bad clock."""

    def heard(self, sent_ns: int, received_ns: int, server_ms: int) -> None:
        """Takes what `GET time` said. The answer is in whole milliseconds: the server's clock was in [it, it + 1)."""
        sample = _Sample(sent_ns, server_ms - received_ns / NS, server_ms + 1 - sent_ns / NS)
        self._samples.append(sample)
        low, high = self._bounds(received_ns)
        if low > high:
            self._samples.clear()
            self._samples.append(sample)
            low, high = sample.low_ms, sample.high_ms
        self._last_ms = (low + high) / 2
        self.stale.clear()

    def forget(self) -> None:
        """The exchange says that our time is wrong: not good until it has been asked again."""
        self._samples.clear()
        self.stale.set()

    def now_ms(self) -> int:
        """The exchange's time, milliseconds since 1970; our wall clock while it was never asked."""
        if self._samples:
            low, high = self._bounds(self.local_ns())
            self._last_ms = (low + high) / 2
        if self._last_ms is None:
            return int(self.wall_ms())
        return int(self.local_ns() / NS + self._last_ms)

    @property
    def offset_ms(self) -> float:
        """The exchange's clock minus our wall clock, for people; 0 while it was never asked."""
        return 0.0 if self._last_ms is None else self.local_ns() / NS + self._last_ms - self.wall_ms()

    @property
    def bound_ms(self) -> float:
        """By how much `now_ms` can be wrong; infinite without a sample."""
        if not self._samples:
            return float("inf")
        low, high = self._bounds(self.local_ns())
        return max(0.0, (high - low) / 2)

    @property
    def good(self) -> bool:
        """Whether an order may be signed with it."""
        return self.bound_ms <= GOOD_MS

    def _bounds(self, now_ns: int) -> tuple[float, float]:
        aged = [(one, (now_ns - one.since_ns) / NS * DRIFT) for one in self._samples]
        return max(one.low_ms - age for one, age in aged), min(one.high_ms + age for one, age in aged)


async def keep(clock: Clock, ask: Callable[[], Awaitable[Answer]], every_s: float = EVERY_S) -> None:
    """Asks for the time again and again (`Rest.time`, which tells the clock); at once when the clock is stale."""
    while True:
        answer = await ask()
        if not clock.good:
            # Asking again at once would only hammer on an exchange that is down or has banned us.
            await asyncio.sleep(max(RETRY_S, answer.retry_after_ms / 1_000))
            continue
        try:
            async with asyncio.timeout(every_s):
                await clock.stale.wait()
        except TimeoutError:
            pass
