"""What may be sent when: weight per address, unfilled orders per account, and the exchange's own "not before".

The exchange counts in fixed windows of its clock and says its count with each answer. What we hold is that count plus
what is under way. Lanes keep room for what matters more: a lane may use a window only up to its share. A time that the
exchange named (429, 418) is kept in a file, so that a restart does not send before it.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import structlog

from ordergate.venues.binance.answer import Answer
from ordergate.venues.binance.clock import boottime_ns

Lane = Literal["cancel", "reconcile", "new", "read"]

SHARES: Final[Mapping[Lane, int]] = {"cancel": 98, "reconcile": 90, "new": 80, "read": 60}
"""Percent of a window's weight that a lane may use it up to; two in a hundred stay for what we cannot know of."""
UNITS_MS: Final[Mapping[str, int]] = {"S": 1_000, "M": 60_000, "H": 3_600_000, "D": 86_400_000}
WINDOW: Final = re.compile(r"x-mbx-(used-weight|order-count)-(\d{1,4})([smhd])\Z")
WEIGHT_LIMITS: Final = {"1M": 6_000}
ORDER_LIMITS: Final = {"10S": 100, "1D": 200_000}
"""Until `learn` has read the exchange's own."""
LIMIT_PAUSE_MS: Final = 60_000
BAN_PAUSE_MS: Final = 120_000
"""After a 429 or a 418 that names no time: a window's length, and the shortest ban there is."""
BANNED_UNTIL: Final = re.compile(r"until (\d{13})\b")
PAUSE_MAX_MS: Final = 3 * 86_400_000
"""The longest ban there is. A damaged file cannot stop us for longer."""

log = structlog.get_logger("ordergate.venues.binance")


@dataclass(slots=True)
class _Window:
    """One of the exchange's windows: its limit, what it said it counted, and what of ours it may not have counted."""

    length_ms: int
    limit: int
    number: int = 0
    seen: int = 0
    under_way: int = 0

    def roll(self, now_ms: int) -> None:
        if self.number != now_ms // self.length_ms:
            # What is under way may be counted in the new window as well.
            self.number, self.seen = now_ms // self.length_ms, 0

    def wait_ms(self, amount: int, share: int, now_ms: int) -> int:
        self.roll(now_ms)
        if self.seen + self.under_way + amount <= self.limit * share // 100:
            return 0
        return self.length_ms - now_ms % self.length_ms + 1


def _windows(limits: Mapping[str, int]) -> dict[str, _Window]:
    return {name: _Window(int(name[:-1]) * UNITS_MS[name[-1]], limit) for name, limit in limits.items()}


@dataclass(slots=True)
class _Pause:
    until_ns: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What `take` has set aside; given back to `settle` with the answer."""

    weight: int
    account: str | None
    started_ms: int


@dataclass(slots=True)
class Budget:
    """One for each address that we send from. `server_ms`: the exchange's time; `file`: where a ban is kept."""

    server_ms: Callable[[], int]
    file: Path | None = None
    local_ns: Callable[[], int] = boottime_ns
    wall_ms: Callable[[], float] = lambda: time.time() * 1_000
    _weight: dict[str, _Window] = field(default_factory=lambda: _windows(WEIGHT_LIMITS))
    _order_limits: dict[str, int] = field(default_factory=lambda: dict(ORDER_LIMITS))
    _orders: dict[str, dict[str, _Window]] = field(default_factory=dict)
    _pause: _Pause = field(default_factory=_Pause)
    _order_pauses: dict[str, _Pause] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file is not None:
            self._remember(self.file)

    def take(self, lane: Lane, weight: int, account: str | None = None) -> int | Ticket:
        """A ticket, or in how many milliseconds to ask again. `account`: the request is a new order of it."""
        wait_ms = self.wait_ms(lane, weight, account)
        if wait_ms:
            return wait_ms
        for window in self._weight.values():
            window.under_way += weight
        for window in self._order_windows(account).values():
            window.under_way += 1
        return Ticket(weight, account, self.server_ms())

    def wait_ms(self, lane: Lane, weight: int = 1, account: str | None = None) -> int:
        """How long a request would have to wait now; 0: not at all."""
        now_ms = self.server_ms()
        waits = [self._left_ms(self._pause)]
        waits += [window.wait_ms(weight, SHARES[lane], now_ms) for window in self._weight.values()]
        if account is not None:
            waits.append(self._left_ms(self._order_pauses.get(account, _Pause())))
            waits += [window.wait_ms(1, 100, now_ms) for window in self._order_windows(account).values()]
        return max(waits)

    def settle(self, ticket: Ticket, answer: Answer | None) -> None:
        """Learns from the answer; None: it was broken off, and may have been counted."""
        now_ms = self.server_ms()
        said = _counts(answer.headers) if answer is not None else {}
        sent = answer is None or answer.sent
        for name, window in self._weight.items():
            _settle(window, ticket.weight, said.get(("used-weight", name)), sent, ticket.started_ms, now_ms)
        # An order that was refused does not count, and an answer to it does not say a count.
        counted = sent and not (answer is not None and answer.status is not None and 400 <= answer.status < 500)
        for name, window in self._order_windows(ticket.account).items():
            _settle(window, 1, said.get(("order-count", name)), counted, ticket.started_ms, now_ms, falls=True)
        if answer is not None and answer.status in (429, 418):
            self._obey(answer, ticket.account)

    def learn(self, rate_limits: Iterable[Mapping[str, object]]) -> None:
        """Takes the limits that `exchangeInfo` lists; what is not understood changes nothing."""
        for one in rate_limits:
            name = f"{one.get('intervalNum')}{str(one.get('interval'))[:1]}"
            limit = str(one.get("limit"))
            if not re.fullmatch(r"\d{1,4}[SMHD]", name) or not limit.isdigit() or int(limit) == 0:
                continue
            if one.get("rateLimitType") == "REQUEST_WEIGHT":
                self._weight.setdefault(name, _windows({name: int(limit)})[name]).limit = int(limit)
            elif one.get("rateLimitType") == "ORDERS":
                self._order_limits[name] = int(limit)
                for windows in self._orders.values():
                    windows.setdefault(name, _windows({name: int(limit)})[name]).limit = int(limit)

    def state(self) -> dict[str, Any]:
        """For health: what is used of what, per window and account, and until when nothing may be sent, and why."""
        now_ms = self.server_ms()

        def used(windows: Mapping[str, _Window]) -> dict[str, Any]:
            for window in windows.values():
                window.roll(now_ms)
            return {name: {"used": one.seen + one.under_way, "limit": one.limit} for name, one in windows.items()}

        return {
            "blockedForMs": self._left_ms(self._pause),
            "blockedWhy": self._pause.why if self._left_ms(self._pause) else "",
            "weight": used(self._weight),
            "orders": {account: used(windows) for account, windows in self._orders.items()},
        }

    def _order_windows(self, account: str | None) -> dict[str, _Window]:
        if account is None:
            return {}
        return self._orders.setdefault(account, _windows(self._order_limits))

    def _left_ms(self, pause: _Pause) -> int:
        return max(0, -(-(pause.until_ns - self.local_ns()) // 1_000_000))

    def _obey(self, answer: Answer, account: str | None) -> None:
        default_ms = BAN_PAUSE_MS if answer.status == 418 else LIMIT_PAUSE_MS
        wait_ms = max(answer.retry_after_ms, self._named_ms(answer.msg)) or default_ms
        until_ns = self.local_ns() + min(wait_ms, PAUSE_MAX_MS) * 1_000_000
        why = f"{answer.status} {answer.code or ''} {answer.msg}".strip()
        if answer.status == 429 and answer.code == -1015 and account is not None:
            # Too many unfilled orders: it concerns the account's new orders alone.
            pause = self._order_pauses.setdefault(account, _Pause())
        else:
            pause = self._pause
        if until_ns > pause.until_ns:
            pause.until_ns, pause.why = until_ns, why
            log.warning("the exchange wants nothing sent", why=why, for_ms=wait_ms, account=account)
            self._keep()

    def _named_ms(self, msg: str) -> int:
        found = BANNED_UNTIL.search(msg)
        return max(0, int(found[1]) - self.server_ms()) if found else 0

    def _keep(self) -> None:
        if self.file is None:
            return
        wall_ms = int(self.wall_ms())
        pauses = {"": self._pause, **self._order_pauses}
        kept = {
            name: {"untilMs": wall_ms + self._left_ms(pause), "why": pause.why}
            for name, pause in pauses.items()
            if self._left_ms(pause)
        }
        partial = self.file.with_name(self.file.name + ".new")
        try:
            partial.write_text(json.dumps(kept))
            os.replace(partial, self.file)
        except OSError as error:
            log.error("a ban cannot be kept over a restart", file=str(self.file), reason=str(error))

    def _remember(self, file: Path) -> None:
        try:
            kept = json.loads(file.read_text())
            for name, pause in kept.items():
                left_ms = min(int(pause["untilMs"]) - int(self.wall_ms()), PAUSE_MAX_MS)
                if left_ms > 0:
                    found = _Pause(self.local_ns() + left_ms * 1_000_000, str(pause["why"]))
                    if name:
                        self._order_pauses[name] = found
                    else:
                        self._pause = found
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            # Nobody knows whether there was a ban: wait as after one that names no time.
            log.error("the kept ban cannot be read", file=str(file), reason=str(error))
            self._pause = _Pause(self.local_ns() + BAN_PAUSE_MS * 1_000_000, f"{file} cannot be read")


def _counts(headers: Mapping[str, str]) -> dict[tuple[str, str], int]:
    """(used-weight or order-count, window) -> the exchange's count."""
    found: dict[tuple[str, str], int] = {}
    for name, value in headers.items():
        match = WINDOW.match(name)
        if match and value.isascii() and value.isdigit():
            found[match[1], f"{match[2]}{match[3].upper()}"] = int(value)
    return found


def _settle(
    window: _Window, amount: int, said: int | None, counted: bool, started_ms: int, now_ms: int, falls: bool = False
) -> None:
    """`falls`: the count also goes down (unfilled orders that fill), so the newest one is right, not the highest."""
    window.roll(now_ms)
    window.under_way = max(0, window.under_way - amount)
    same = started_ms // window.length_ms == window.number
    if said is not None and same:
        window.seen = said if falls else max(window.seen, said)
    elif counted:
        # Nothing was said, or of the window before: then it may have been counted in this one.
        window.seen += amount
