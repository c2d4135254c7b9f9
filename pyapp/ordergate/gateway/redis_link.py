"""One connection to Redis that never reconnects by itself: whoever holds it knows that it is the same server process.

After any error the link is dead for good; the next one is made by `connect`, which reads `run_id` again.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ordergate.gateway.kill_switch import KEY, OURS, SENTINEL, Key, read_key

TIMEOUT_SECONDS: Final = 0.3
"""For connecting, and for each exchange."""
KEYS_MAX: Final = 10_000
"""Most keys in the database of the scoped ones."""
SCAN_COUNT: Final = "1000"


class LinkError(Exception):
    """Redis cannot be read, or what it says cannot be used; the link is dead."""


class TooManyKeys(LinkError):
    """More keys beside the scoped ones than can be read in time."""


class Poll(msgspec.Struct, frozen=True):
    """One reading."""

    key: bytes | None
    """Of the global kill."""
    sentinel: bytes | None
    scoped_sentinel: bytes | None
    """In the database of the scoped keys."""
    scoped: dict[str, bytes | None]
    misplaced: dict[str, bytes | None]
    """Scoped keys in the database of the global one."""

    def value_of(self, key: str) -> bytes | None:
        """Of a scoped key: where it belongs, or else where it stands by mistake."""
        value = self.scoped[key]
        return value if read_key(value).key is Key.ACTIVE else self.misplaced.get(key, value)


class RedisLink:
    """A connected link; made by `connect` only."""

    __slots__ = ("_connection", "database", "run_id")

    def __init__(self, connection: AbstractConnection, database: int) -> None:
        self._connection = connection
        self.database = database
        """Of the global key; scoped ones are in the next."""
        self.run_id = ""

    async def poll(self, scoped: Sequence[str] = (), misplaced: Sequence[str] = ()) -> Poll:
        """Everything in one transaction. GET, since MGET would hide a wrong type."""
        here, there = ("SELECT", str(self.database)), ("SELECT", str(self.database + 1))
        keys = [("GET", key) for key in scoped]
        reads = (
            ("GET", KEY),
            ("GET", SENTINEL),
            *(("GET", key) for key in misplaced),
            there,
            ("GET", SENTINEL),
            *keys,
            here,
        )
        *_, values = await self._exchange(("MULTI",), *reads, ("EXEC",))
        if not isinstance(values, list) or len(values) != len(reads):
            raise await self._dead("EXEC gave other answers than were asked for")
        for value in values:
            if isinstance(value, Exception):
                raise await self._dead(str(value))
        place = 2 + len(misplaced)
        wrong = dict(zip(misplaced, values[2:place], strict=True))
        return Poll(
            values[0], values[1], values[place + 1], dict(zip(scoped, values[place + 2 : -1], strict=True)), wrong
        )

    async def misplaced(self) -> set[bytes]:
        """Names like those of scoped keys in the database of the global one; none where that holds much else."""
        (size,) = await self._exchange(("DBSIZE",))
        if size > KEYS_MAX:
            return set()
        (names,) = await self._exchange(("KEYS", f"{KEY.partition(':')[0]}:*"))
        return set(names)

    async def scan(self) -> set[bytes]:
        """The names of all keys in the database of the scoped ones. Raises TooManyKeys."""
        (_, size, first), cursor = await self._there(("DBSIZE",), ("SCAN", "0", "COUNT", SCAN_COUNT)), b"0"
        if size > KEYS_MAX:
            await self.close()
            raise TooManyKeys(f"database {self.database + 1} holds {size} keys, more than {KEYS_MAX}")
        cursor, names = first[0], set(first[1])
        while cursor != b"0":
            _, part = await self._there(("SCAN", cursor, "COUNT", SCAN_COUNT))
            cursor = part[0]
            names.update(part[1])
        return names

    async def _there(self, *commands: tuple[str | bytes, ...]) -> list[Any]:
        """An exchange in the database of the scoped keys, and back."""
        here, there = str(self.database), str(self.database + 1)
        return (await self._exchange(("SELECT", there), *commands, ("SELECT", here)))[:-1]

    async def write_key(self, value: bytes, key: str = KEY) -> bool:
        """Sets the key only while it is absent or `active:false`: an operator's own SET is never overwritten.

        True when it was written; False when an active key stood there, or came in between.
        """
        place = str(self.database + (key != KEY))
        *_, found = await self._exchange(("SELECT", place), ("WATCH", key), ("GET", key))
        if read_key(found).key is Key.ACTIVE:
            await self._exchange(("UNWATCH",), ("SELECT", str(self.database)))
            return False
        *_, written, _ = await self._exchange(
            ("MULTI",), ("SET", key, value), ("EXEC",), ("SELECT", str(self.database))
        )
        return written is not None

    async def write_scoped_sentinel(self, install: str) -> None:
        """Writes our install id beside the scoped keys, where none stands."""
        await self._there(("SET", SENTINEL, install, "NX"))

    async def write_sentinel(self, install: str) -> bool:
        """Writes our install id where none stands; whether it did."""
        (written,) = await self._exchange(("SET", SENTINEL, install, "NX"))
        return written is not None

    async def replace_sentinel(self, found: str, install: str) -> bool:
        """Writes our install id over that of another install, only while that one still stands; whether it did."""
        _, standing = await self._exchange(("WATCH", SENTINEL), ("GET", SENTINEL))
        if standing is None or standing.decode("utf-8", "replace") != found:
            await self._exchange(("UNWATCH",))
            return False
        *_, written = await self._exchange(("MULTI",), ("SET", SENTINEL, install), ("EXEC",))
        return written is not None

    async def persist_key(self) -> bool:
        """Takes a time to live off the key, so that a kill cannot end by itself; whether there was one."""
        (removed,) = await self._exchange(("PERSIST", KEY))
        return bool(removed)

    async def persist_scoped(self, keys: Sequence[str]) -> list[str]:
        """The same for scoped keys; those that had one."""
        removed = (await self._there(*(("PERSIST", key) for key in keys)))[1:]
        return [key for key, had in zip(keys, removed, strict=True) if had]

    async def delete_key(self, key: str = KEY) -> None:
        """Removes the key, for the operator who clears a kill here."""
        if key != KEY:
            await self._there(("DEL", key))
        await self._exchange(("DEL", key))  # a scoped one may stand here by mistake

    async def delete_own_key(self, key: str) -> bool:
        """Removes a scoped key while it is absent or what we wrote ourselves, for a client.

        False when an active key of somebody else stands there, or came in between.
        """
        here, there = str(self.database), str(self.database + 1)
        *_, value = await self._exchange(("SELECT", there), ("WATCH", key), ("GET", key))
        found = read_key(value)
        if found.key is Key.ACTIVE and found.by != OURS:
            await self._exchange(("UNWATCH",), ("SELECT", here))
            return False
        *_, removed, _ = await self._exchange(("MULTI",), ("DEL", key), ("EXEC",), ("SELECT", here))
        return removed is not None

    async def close(self) -> None:
        """Ends the connection without waiting for the server."""
        await self._connection.disconnect(nowait=True)

    async def _exchange(self, *commands: tuple[str | bytes, ...]) -> list[Any]:
        """Sends all commands at once and reads all answers within the time-out."""
        connection = self._connection
        if not connection.is_connected:
            raise LinkError("the connection was lost")
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                return [await connection.read_response() for _ in commands]
        except (RedisError, OSError, TimeoutError) as error:
            raise await self._dead(str(error) or type(error).__name__) from error
        except BaseException:
            await self.close()
            raise

    async def _dead(self, why: str) -> LinkError:
        await self.close()
        return LinkError(why)


async def connect(url: str) -> RedisLink:
    """A new link with `run_id` read. Raises LinkError, also for a server that evicts keys when memory is short."""
    options: dict[str, Any] = dict(parse_url(url))
    connection_class = options.pop("connection_class", Connection)
    options |= {
        # Each exchange has a time-out of its own; redis-py's wait_for can swallow a cancellation (Python 3.11).
        "socket_timeout": None,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "health_check_interval": 0,
        "decode_responses": False,
        "protocol": 2,
        "client_name": "ordergate-gateway",
    }
    link = RedisLink(connection_class(**options), int(options.get("db", 0)))
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await link._connection.connect()  # type: ignore[no-untyped-call]
    except (RedisError, OSError, TimeoutError) as error:
        raise await link._dead(str(error) or type(error).__name__) from error
    except BaseException:
        await link.close()
        raise
    info, policy = await link._exchange(("INFO", "server"), ("CONFIG", "GET", "maxmemory-policy"))
    link.run_id = _info(info, "run_id")
    evicts = policy[1].decode() if isinstance(policy, list) and len(policy) == 2 else ""
    if evicts != "noeviction":
        raise await link._dead(f"maxmemory-policy is {evicts or 'unknown'}: set it to noeviction")
    if not link.run_id:
        raise await link._dead("INFO server has no run_id")
    return link


def _info(text: bytes, name: str) -> str:
    for line in text.decode("utf-8", "replace").splitlines():
        if line.startswith(name + ":"):
            return line.partition(":")[2].strip()
    return ""
