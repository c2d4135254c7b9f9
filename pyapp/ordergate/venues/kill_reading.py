"""The venue's own look at the kill switch, right before it sends.

The connection is ours alone: 0.3 s for each reading as a whole, no retries, and no reconnecting inside a reading. Any
failure closes it, and the next reading opens a new one; until that succeeds the switch counts as unreadable.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

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
    connection: AbstractConnection | None = None
    refused: Refused | None = ("KILL_SWITCH_UNREADABLE", "not read yet")
    """Why nothing may be sent, as of the last reading."""
    taken_s: float = float("-inf")
    """time.monotonic() before the last reading began."""


def watch(url: str) -> KillReading:
    """A reading of the Redis at `url` (redis://, rediss:// or unix://). Raises ValueError for another scheme."""
    return KillReading(
        ConnectionPool.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            # The fewest round trips at connect: no HELLO, no CLIENT SETINFO.
            protocol=2,
            driver_info=None,
        )
    )


def is_due(reading: KillReading) -> bool:
    """True when the last reading, good or failed, should be renewed before something is sent."""
    return time.monotonic() - reading.taken_s > REFRESH_S


async def renew(reading: KillReading) -> None:
    """Reads the switch; takes at most 0.3 s and never raises: what went wrong is the reading."""
    started_s = time.monotonic()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            value = await _get(reading)
    except (RedisError, OSError, TimeoutError) as error:
        reading.refused = ("KILL_SWITCH_UNREADABLE", f"{type(error).__name__}: {error}"[:200])
        await close(reading)
    except BaseException:
        # Canceled between command and answer: the next command would get this one's answer.
        await close(reading)
        raise
    else:
        reading.refused = refused_by(value)
    reading.taken_s = started_s


def refusal_now(reading: KillReading) -> Refused | None:
    """Why nothing may be sent at this moment, or None."""
    age_s = time.monotonic() - reading.taken_s
    if reading.refused is None and age_s > MAX_AGE_S:
        return ("KILL_SWITCH_UNREADABLE", f"the last reading is {age_s:.1f} s old")
    return reading.refused


def refused_by(value: bytes | None) -> Refused | None:
    """What the key's value means: killed when it is there, unless it is valid JSON with `active` false."""
    if value is None:
        return None
    try:
        switch = msgspec.json.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ("KILLED", "the kill switch holds something that is not JSON")
    if isinstance(switch, dict) and switch.get("active") is False:
        return None
    reason = switch.get("reason") if isinstance(switch, dict) else None
    return ("KILLED", f"kill switch: {reason}"[:200] if isinstance(reason, str) else "the kill switch is set")


async def close(reading: KillReading) -> None:
    """Drops the connection without waiting for it."""
    connection, reading.connection = reading.connection, None
    if connection is not None:
        await connection.disconnect(nowait=True)


async def _get(reading: KillReading) -> bytes | None:
    if reading.connection is None:
        reading.connection = reading.pool.connection_class(**reading.pool.connection_kwargs)
        await reading.connection.connect()  # type: ignore[no-untyped-call]
    await reading.connection.send_command("GET", KEY)
    value: bytes | None = await reading.connection.read_response()
    return value
