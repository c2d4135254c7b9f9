"""The venue's own look at the kill switch, right before it sends: at every key that may stop one of its orders.

The connection is ours alone: 0.3 s for each reading as a whole, no retries, and no reconnecting inside a reading. Any
failure closes it, and the next reading opens a new one; until that succeeds the switch counts as unreadable.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

KEY: Final = "kill_switch:global"
TIMEOUT_S: Final = 0.3
MAX_AGE_S: Final = 0.3
"""An older reading must not let an order out."""
REFRESH_S: Final = 0.1
"""A reading this old is renewed, which leaves a batch of orders time to go out on it."""

Refused = tuple[str, str]
"""Reason and words of a NOT_SENT."""


@dataclass(slots=True)
class KillReading:
    """The last reading and the connection for the next."""

    pool: ConnectionPool
    """Only makes connections: it would reconnect by itself if it handed them out."""
    stop_file: Path | None = None
    """While it is there, nothing is sent: an operator's way when the gateway hangs."""
    connection: AbstractConnection | None = None
    unreadable: Refused | None = ("KILL_SWITCH_UNREADABLE", "not read yet")
    """Why the last reading tells nothing."""
    values: dict[str, bytes | None] = field(default_factory=dict)
    """By key, as of the last reading."""
    taken_s: float = float("-inf")
    """time.monotonic() before the last reading began."""


def watch(url: str, stop_file: Path | None = None) -> KillReading:
    """A reading of the Redis at `url` (redis://, rediss:// or unix://). Raises ValueError for another scheme."""
    return KillReading(
        ConnectionPool.from_url(
            url,
            # Each reading has a time-out of its own; redis-py's wait_for can swallow a cancellation (Python 3.11).
            socket_timeout=None,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            # The fewest round trips at connect: no HELLO, no CLIENT SETINFO.
            protocol=2,
            driver_info=None,
        ),
        stop_file,
    )


def keys_for(account: str, strategy: str | None, symbol: str) -> tuple[str, ...]:
    """Every key that stops an order of these; all but the first are in the next database."""
    scoped = (f"kill_switch:account:{account}", f"kill_switch:symbol:{symbol}")
    return (KEY, *scoped) if strategy is None else (KEY, *scoped, f"kill_switch:strategy:{strategy}")


def is_due(reading: KillReading, keys: Iterable[str] = (KEY,)) -> bool:
    """True when the last reading, good or failed, should be renewed before something with these keys is sent."""
    if time.monotonic() - reading.taken_s > REFRESH_S:
        return True
    return reading.unreadable is None and not all(key in reading.values for key in keys)


async def renew(reading: KillReading, keys: Iterable[str] = (KEY,)) -> None:
    """Reads these keys; takes at most 0.3 s and never raises: what went wrong is the reading."""
    started_s = time.monotonic()
    wanted = list(dict.fromkeys((KEY, *keys)))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            values = await _get(reading, wanted)
    except (RedisError, OSError, TimeoutError) as error:
        reading.unreadable = ("KILL_SWITCH_UNREADABLE", f"{type(error).__name__}: {error}"[:200])
        await close(reading)
    except BaseException:
        # Canceled between command and answer: the next command would get this one's answer.
        await close(reading)
        raise
    else:
        reading.unreadable = None
        reading.values = dict(zip(wanted, values, strict=True))
    reading.taken_s = started_s


def refusal_now(reading: KillReading, keys: Iterable[str] = (KEY,), *, flattens: bool = False) -> Refused | None:
    """Why an order that these keys may stop is not sent at this moment, or None.

    One that flattens passes the kills of operators and limits, never one that stands for a lost or unreadable Redis.
    """
    if reading.stop_file is not None and reading.stop_file.exists():
        return ("KILLED", "stopped by an operator past the gateway")
    if reading.unreadable is not None:
        return reading.unreadable
    age_s = time.monotonic() - reading.taken_s
    if age_s > MAX_AGE_S:
        return ("KILL_SWITCH_UNREADABLE", f"the last reading is {age_s:.1f} s old")
    for key in keys:
        if key not in reading.values:
            return ("KILL_SWITCH_UNREADABLE", f"{key} was not read")
        refused = refused_by(reading.values[key], flattens=flattens)
        if refused is not None:
            return refused
    return None


def refused_by(value: bytes | None, *, flattens: bool = False) -> Refused | None:
    """What a key's value means: killed when it is there, unless it is valid JSON with `active` false."""
    if value is None:
        return None
    try:
        switch = msgspec.json.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ("KILLED", "the kill switch holds something that is not JSON")
    if not isinstance(switch, dict):
        return ("KILLED", "the kill switch is set")
    if switch.get("active") is False:
        return None
    reason = switch.get("reason")
    if flattens and switch.get("active") is True and isinstance(reason, str) and _lets_flatten(switch, reason):
        return None
    return ("KILLED", f"kill switch: {reason}"[:200] if isinstance(reason, str) else "the kill switch is set")


def _lets_flatten(switch: dict[str, Any], reason: str) -> bool:
    """What the gateway writes for a Redis that was lost, or a key that it could not read, tells so by its cause."""
    if "cause" in switch:
        return bool(switch["cause"] == "asked")
    # Written by a person, or by a gateway of before the cause was told.
    written = switch.get("activatedBy") == "ordergate"
    return not (written and (reason.startswith("redis_") or reason == "unreadable"))


async def close(reading: KillReading) -> None:
    """Drops the connection without waiting for it."""
    connection, reading.connection = reading.connection, None
    if connection is not None:
        await connection.disconnect(nowait=True)


async def _get(reading: KillReading, keys: list[str]) -> list[bytes | None]:
    """The values, read in one transaction and one round trip. GET, since MGET would hide a wrong type."""
    if reading.connection is None:
        reading.connection = reading.pool.connection_class(**reading.pool.connection_kwargs)
        await reading.connection.connect()  # type: ignore[no-untyped-call]
    connection = reading.connection
    first = int(reading.pool.connection_kwargs.get("db") or 0)
    gets = [("GET", key) for key in keys[1:]]
    there, here = ("SELECT", str(first + 1)), ("SELECT", str(first))
    commands = [("MULTI",), ("GET", keys[0]), *((there, *gets, here) if gets else ()), ("EXEC",)]
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    answers = [await connection.read_response() for _ in commands]
    values = answers[-1]
    if not isinstance(values, list):
        raise RedisError("EXEC gave no values")
    for value in values:
        if isinstance(value, Exception):
            raise value
    return [values[0], *values[2:-1]] if gets else values
