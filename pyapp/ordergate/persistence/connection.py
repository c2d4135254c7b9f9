"""Connections to Postgres on which no wait is unbounded.

asyncpg's own time-outs cancel the running command, and that cancellation opens one more connection to a server that may
be frozen. Here a late command never gets there: the connection is terminated first, which ends the command at once.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, BinaryIO, Final, Protocol, TypeVar

import asyncpg

CONNECT_S: Final = 2.0
SHORT_S: Final = 2.0
"""For a statement that touches a few rows."""
SECOND_LOOK_S: Final = 0.1
"""After a time-out the loop gets this long to take in an answer that had arrived while it was busy itself."""
HEARTBEAT_EVERY_S: Final = 0.5
HEARTBEAT_S: Final = 1.0

Result = TypeVar("Result")
Listener = Callable[..., None]


class Connection(Protocol):
    """What is used of asyncpg's connection, which ships without types."""

    async def execute(self, query: str, *args: object) -> str: ...
    async def fetch(self, query: str, *args: object) -> Sequence[Any]: ...
    async def fetchrow(self, query: str, *args: object) -> Any: ...
    async def fetchval(self, query: str, *args: object) -> Any: ...
    async def copy_to_table(
        self, table_name: str, *, schema_name: str, columns: Sequence[str], source: BinaryIO, format: str
    ) -> str: ...
    def transaction(self) -> AbstractAsyncContextManager[object]: ...
    async def add_listener(self, channel: str, callback: Listener) -> None: ...
    async def close(self) -> None: ...
    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...


class PostgresLate(Exception):
    """No answer in the time allowed; the connection has been terminated and the outcome is not known."""


TROUBLE: Final[tuple[type[Exception], ...]] = (
    OSError,
    TimeoutError,
    PostgresLate,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What a server that is down, frozen, full, read-only or misconfigured can raise: wait and try again."""


def describe(error: BaseException) -> str:
    """One line for people: the SQLSTATE when the server gave one, the kind of error, its first line."""
    state = getattr(error, "sqlstate", None)
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}{f' {state}' if state else ''}: {text}".rstrip(": ")


def is_data_error(error: BaseException) -> bool:
    """Whether the rows themselves were refused, so that repeating them cannot help.

    SQLSTATE class 22 (bad value), 23 (constraint) or 54 (too large for an index or a page).
    """
    return str(getattr(error, "sqlstate", None) or "")[:2] in {"22", "23", "54"}


async def connect(dsn: str, application: str, *, limit_s: float = CONNECT_S, statement_s: int = 30) -> Connection:
    """A connection whose session settings do not depend on the server's defaults.

    Raises one of TROUBLE, at the latest after `limit_s` seconds; the server ends any statement after `statement_s`.
    """
    connection: Connection = await asyncpg.connect(
        dsn,
        timeout=limit_s,
        server_settings={
            "application_name": f"ordergate {application}",
            "TimeZone": "UTC",
            # The gateway takes the watermark as evidence of what the journal held: it must not be lost after a crash.
            "synchronous_commit": "on",
            "default_transaction_isolation": "read committed",
            "statement_timeout": f"{statement_s}s",
            "lock_timeout": "2s",
            "idle_in_transaction_session_timeout": "30s",
            # The planner takes an unnest of thousands for something worth compiling.
            "jit": "off",
        },
    )
    return connection


async def bounded(connection: Connection, work: Coroutine[Any, Any, Result], limit_s: float) -> Result:
    """The result of `work`, which uses only `connection`.

    Raises PostgresLate after `limit_s`. Then, and when this wait itself is cancelled, the connection is terminated.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=limit_s)
        if not done:
            done, _ = await asyncio.wait({task}, timeout=SECOND_LOOK_S)
    finally:
        if not task.done():
            connection.terminate()
            await asyncio.wait({task}, timeout=1.0)
            task.cancel()
            await asyncio.wait({task}, timeout=1.0)
    if not done:
        if task.done() and not task.cancelled():
            task.exception()  # taken note of: it only says that the connection was terminated
        raise PostgresLate(f"no answer from Postgres within {limit_s:g} s")
    return task.result()


async def close(connection: Connection) -> None:
    """Ends the connection, politely when the server answers."""
    if not connection.is_closed():
        try:
            await bounded(connection, connection.close(), 0.5)
        except TROUBLE:
            connection.terminate()


def run_blocking(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs `work` to its end, for callers that have no event loop yet. Raises RuntimeError inside a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    work.close()
    raise RuntimeError("this call would block the running event loop: use the asynchronous form")


async def watch(dsn: str, on_frozen: Callable[[str], None], stop: asyncio.Event) -> None:
    """Asks the server for a sign of life every half second, on a connection of its own, until `stop`.

    `on_frozen` is called when the connection stands and gives no answer within a second: within two seconds of freezing
    in all. A server that refuses, closes or is slow to open connections needs no watching: whoever connects sees that.
    """
    connection: Connection | None = None
    while not stop.is_set():
        try:
            if connection is None or connection.is_closed():
                connection = await connect(dsn, "heartbeat")
            await bounded(connection, connection.fetchval("SELECT 1"), HEARTBEAT_S)
        except PostgresLate as error:
            on_frozen(describe(error))
        except TROUBLE:
            pass
        await pause(stop, HEARTBEAT_EVERY_S)
    if connection is not None:
        await close(connection)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleeps, but not beyond `stop`."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
