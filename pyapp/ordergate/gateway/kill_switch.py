"""The kill switch's rules: what was seen at Redis, and what follows (PROTOCOLS §4). Pure: no clock, no I/O.

The table `ROWS` is read from the top; the first row that matches decides.
"""

import enum
from collections.abc import Callable
from typing import Any, Final

import msgspec

KEY: Final = "kill_switch:global"
SENTINEL: Final = "kill_switch:sentinel"
OURS: Final = "ordergate"
"""`activatedBy` of the keys that the gateway writes."""
LEVELS: Final = (1, 2, 3)
"""1 stops new and unsent orders, 2 also cancels working ones, 3 also sells what was bought."""
KILLED_UNREACHABLE_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 1.0
"""An absent key means an operator's DEL only when our last KILL_ON is older."""
LATE_SECONDS: Final = 0.3
"""A longer gap between two probes is our own doing."""


class Key(enum.Enum):
    """What stands at the kill key. `ACTIVE` includes anything that is not readable as `active:false`."""

    ABSENT = "absent"
    ACTIVE = "active"


class Observation(msgspec.Struct, frozen=True):
    """One poll."""

    readable: bool
    run_id: str = ""
    """Of the server process, read when this connection was made."""
    sentinel: str | None = None
    """Install id found at the sentinel."""
    key: Key = Key.ABSENT
    reason: str = ""
    by: str = ""
    level: int = 1
    """What the key asks for."""
    cause: str = "asked"
    unreadable_seconds: float = 0.0
    """How long probes have failed, one after the other, without a gap of our own making."""


class SwitchState(msgspec.Struct, frozen=True):
    """What the gateway knows when it judges an observation."""

    install: str
    bound: bool
    """REDIS_BOUND is in the journal: this install has met its Redis before."""
    killed: bool
    level: int = 1
    """Of the kill in force."""
    clients_own: bool = False
    """A client or a missed heartbeat set it: a client may clear it."""
    kill_age_seconds: float = float("inf")
    """Since our last KILL_ON, not counting those that were read from the key: an operator may DEL these at once."""
    run_id: str | None = None
    """Of the server process seen before; None until the first good connection of this start."""
    active_seen: bool = False
    """On this connection an active key was seen, or our own SET was acknowledged."""


class Action(enum.Enum):
    """What to do. Each is carried out before the next poll."""

    BLOCK = "no reading: admission stops by age"
    KILL_UNREACHABLE = "redis_unreachable"
    KILL_RESTARTED = "redis_restarted"
    EXIT_FOREIGN = "exit 2: the Redis of another install"
    KILL_FOREIGN = "redis_foreign"
    BIND = "write the sentinel, then journal REDIS_BOUND"
    KILL_STATE_LOST = "redis_state_lost"
    KILL = "killed by the key"
    STAY = "nothing changes"
    OPEN = "an operator's DEL: open"
    REWRITE = "write the key again, stay killed"


Row = tuple[Callable[[Observation, SwitchState], bool], Callable[[Observation, SwitchState], Action]]

ROWS: Final[tuple[Row, ...]] = (
    # Error, time-out, wrong type, LOADING, NOAUTH, MISCONF: orders are blocked by age, after a second killed.
    (
        lambda seen, state: not seen.readable,
        lambda seen, state: (
            Action.KILL_UNREACHABLE
            if seen.unreadable_seconds >= KILLED_UNREACHABLE_SECONDS and not state.killed
            else Action.BLOCK
        ),
    ),
    # The server restarted while we ran: what it held in between is unknown.
    (
        lambda seen, state: state.run_id is not None and seen.run_id != state.run_id,
        lambda seen, state: Action.KILL_RESTARTED,
    ),
    # The Redis of another install: touch nothing there.
    (
        lambda seen, state: seen.sentinel is not None and seen.sentinel != state.install,
        lambda seen, state: Action.KILL_FOREIGN if state.bound else Action.EXIT_FOREIGN,
    ),
    # No sentinel: a first start, or a Redis that was emptied or swapped.
    (
        lambda seen, state: seen.sentinel is None,
        lambda seen, state: Action.KILL_STATE_LOST if state.bound else Action.BIND,
    ),
    # Our sentinel without REDIS_BOUND: we died between writing the one and journaling the other.
    (lambda seen, state: not state.bound, lambda seen, state: Action.BIND),
    # A key that somebody else wrote over a client's own kill makes it theirs, whatever its level.
    (
        lambda seen, state: seen.key is Key.ACTIVE and state.clients_own and seen.by != OURS,
        lambda seen, state: Action.KILL,
    ),
    (
        lambda seen, state: seen.key is Key.ACTIVE,
        lambda seen, state: Action.STAY if state.killed and seen.level <= state.level else Action.KILL,
    ),
    (lambda seen, state: not state.killed, lambda seen, state: Action.STAY),
    (
        lambda seen, state: state.active_seen and state.kill_age_seconds > SETTLE_SECONDS,
        lambda seen, state: Action.OPEN,
    ),
    # Never active on this connection, or killed by ourselves so lately that our SET may not have arrived.
    (lambda seen, state: True, lambda seen, state: Action.REWRITE),
)


def decide(seen: Observation, state: SwitchState) -> Action:
    """The first row of the table that matches."""
    for matches, action in ROWS:
        if matches(seen, state):
            return action(seen, state)
    raise AssertionError("the last row matches everything")


class _Value(msgspec.Struct):
    active: bool
    reason: str = ""
    activated_by: str = msgspec.field(name="activatedBy", default="")
    level: Any = 1


_decode = msgspec.json.Decoder(_Value).decode
_decode_any = msgspec.json.Decoder().decode
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""RecursionError: brackets a thousand deep are JSON, but not a kill switch."""


class Found(msgspec.Struct, frozen=True):
    """What a kill key's value means."""

    key: Key
    reason: str = ""
    by: str = ""
    level: int = 1
    cause: str = "asked"
    """`unreadable`: what it asks for is not known, so nothing is sold."""


ABSENT: Final = Found(Key.ABSENT)
UNREADABLE: Final = Found(Key.ACTIVE, "unreadable", "redis", cause="unreadable")


def read_key(value: bytes | None) -> Found:
    """What it means. Only valid JSON with `active:false` counts as absent; a level that is none counts as 1."""
    if value is None:
        return ABSENT
    try:
        found = _decode(value)
    except _UNREADABLE:
        return _read_loosely(value)
    if not found.active:
        return ABSENT
    level = found.level if type(found.level) is int and found.level in LEVELS else 1
    return Found(Key.ACTIVE, found.reason or "no reason given", found.activated_by or "redis", level)


def _read_loosely(value: bytes) -> Found:
    """`active:false` counts whatever the other members are; anything else that is not as documented kills."""
    try:
        found = _decode_any(value)
    except _UNREADABLE:
        return UNREADABLE
    return ABSENT if isinstance(found, dict) and found.get("active") is False else UNREADABLE


def write_key(reason: str, activated_at: str, by: str, level: int = 1, cause: str = "asked") -> bytes:
    """The key's value as the runbook writes it, with the level when it is not 1 and what stands behind it.

    `activated_at` is RFC 3339.
    """
    value: dict[str, Any] = {"active": True, "reason": reason, "activatedAt": activated_at, "activatedBy": by}
    return msgspec.json.encode((value if level == 1 else value | {"level": level}) | {"cause": cause})


class Outage(msgspec.Struct):
    """For how long Redis has been unreadable, counted only from probes that were made in time.

    A gap between two probes, or a probe that took longer than it may, is our own lateness (a stalled loop, a stopped
    process): it proves nothing about Redis, so counting begins again.
    """

    failing_since: float | None = None
    last_end: float = float("-inf")

    def good(self, now: float) -> None:
        """A probe was answered."""
        self.failing_since = None
        self.last_end = now

    def failed(self, began: float, now: float, allowed: float) -> float:
        """A probe failed that began at `began` and may take `allowed` seconds; how long probes have failed."""
        late = began - self.last_end > LATE_SECONDS or now - began > allowed + LATE_SECONDS
        if self.failing_since is None:
            self.failing_since = now if late else began
        elif late:
            self.failing_since = now
        self.last_end = now
        return now - self.failing_since
