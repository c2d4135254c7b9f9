"""The exchange's clock as seen from here: between which bounds it must be, from what `GET time` answered when.

Nothing here reads the wall clock, so that a step of ours moves nothing. A sample says: at some moment between sending
and receiving the server's clock stood at that millisecond. Each sample therefore bounds the offset; it holds for a
while, since clocks drift, and the bounds of all samples together are narrower than any one. Bounds that contradict each
other mean that a clock was set: the newest sample is then right.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from ordergate.venues.binance.answer import Answer

DRIFT: Final = 1 / 60
"""Seconds per second by which two clocks may run apart: a second a minute, far worse than any that is in order."""
GOOD_MS: Final = 500.0
"""Above this bound nothing is signed that must not be late: the exchange takes at most 1,000 ms from the future."""
EVERY_S: Final = 5.0
RETRY_S: Final = 1.0
NS: Final = 1_000_000


def boottime_ns() -> int:
    """Nanoseconds that no step of the wall clock and no suspend disturbs."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Clock:
    """The estimate. `local_ns`: our own steady clock; `wall_ms`: only to say how far it is from the server's."""

    local_ns: Callable[[], int] = boottime_ns
    wall_ms: Callable[[], float] = lambda: time.time() * 1_000
    stale: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a new sample is wanted at once."""
    _low_ms: float = float("-inf")
    _high_ms: float = float("inf")
    """Server's clock minus ours at our time 0, were it to drift at the worst rate: down the one, up the other. All
    bounds widen at one rate, so the narrowest of them stays the narrowest, and no sample need be kept."""
    _last_ms: float | None = None
    """The last estimate of server minus ours; kept when the bounds are gone, for what may be sent on a bad clock."""

    def heard(self, sent_ns: int, received_ns: int, server_ms: int) -> None:
        """Takes what `GET time` said. The answer is in whole milliseconds: the server's clock was in [it, it + 1)."""
        # It held at some moment since the request was sent: it ages from then on.
        aged_ms = sent_ns / NS * DRIFT
        low, high = server_ms - received_ns / NS + aged_ms, server_ms + 1 - sent_ns / NS - aged_ms
        self._low_ms, self._high_ms = max(self._low_ms, low), min(self._high_ms, high)
        below, above = self._bounds(received_ns)
        if below > above:
            self._low_ms, self._high_ms = low, high
            below, above = self._bounds(received_ns)
        self._last_ms = (below + above) / 2
        self.stale.clear()

    def forget(self) -> None:
        """The exchange says that our time is wrong: not good until it has been asked again."""
        self._low_ms, self._high_ms = float("-inf"), float("inf")
        self.stale.set()

    def now_ms(self) -> int:
        """The exchange's time, milliseconds since 1970; our wall clock while it was never asked."""
        # Both bounds drift apart alike, so their middle stays where the last sample has put it.
        return int(self.wall_ms() if self._last_ms is None else self.local_ns() / NS + self._last_ms)

    @property
    def offset_ms(self) -> float:
        """The exchange's clock minus our wall clock, for people; 0 while it was never asked."""
        return 0.0 if self._last_ms is None else self.local_ns() / NS + self._last_ms - self.wall_ms()

    @property
    def bound_ms(self) -> float:
        """By how much `now_ms` can be wrong; infinite without a sample."""
        low, high = self._bounds(self.local_ns())
        return (high - low) / 2

    @property
    def good(self) -> bool:
        """Whether an order may be signed with it."""
        return self.bound_ms <= GOOD_MS

    def _bounds(self, now_ns: int) -> tuple[float, float]:
        aged_ms = now_ns / NS * DRIFT
        return self._low_ms - aged_ms, self._high_ms + aged_ms


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
