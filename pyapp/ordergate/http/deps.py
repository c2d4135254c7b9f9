"""What the application is given: the engine, the clock of durability, and a few questions to the gateway process."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec

from ordergate import _core
from ordergate.persistence.past_orders import PastOrders

Answer = tuple[int, int, bytes]
"""The engine's: HTTP status, sequence that must be durable before it leaves, body."""

Changed = tuple[Literal["IN_FORCE", "WAITING", "UNCHANGED"], int]
"""What became of a change of limits, and its record."""


class Durability(Protocol):
    """Tells when a journal sequence is on disk."""

    durable: int
    """Newest sequence known to be durable: nothing beyond it may be shown."""

    def wait(self, seq: int) -> Awaitable[None]:
        """Done once `seq` is durable. Never fails: when the journal fails, the process ends instead."""

    def stalled(self) -> bool:
        """Whether somebody has waited for more than a second."""


class Kills(Protocol):
    """The kill switch: in memory at once, then at Redis."""

    def activate(
        self, reason: str, by: str, source: str, scope: tuple[str, str] = ..., level: int = ...
    ) -> Awaitable[int]:
        """Stops a scope; the sequence of its record."""

    def clear_own(
        self, by: str, scope: tuple[str, str], may_clear: Callable[[], _core.Refusal | None]
    ) -> Awaitable[str | _core.Refusal]:
        """Ends a client's own; empty, or why it was refused."""


class Headers(Protocol):
    """Request headers, names in lower case. Values that are not ASCII are left out, their names are not."""

    def __contains__(self, key: str) -> bool: ...
    def get(self, key: str, default: Any = None) -> Any: ...
    def get_all(self, key: str) -> list[str]: ...


class Scope(Protocol):
    """RSGI's description of a request."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query_string(self) -> str: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def client(self) -> str: ...


class HttpProtocol(Protocol):
    """RSGI's handle on one exchange."""

    async def __call__(self) -> bytes: ...
    def response_bytes(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None: ...


@dataclass(slots=True)
class Deps:
    """The application's whole world. `http` never imports the gateway process."""

    gateway: _core.Gateway
    durability: Durability
    next_kill_reading: Callable[[float], Awaitable[bool]]
    """Waits at most so many seconds for a good reading of the kill switch; whether there was one."""
    kills: Kills
    order_change: Callable[[str, float], Awaitable[None]]
    """Waits at most so many seconds for news of an order."""
    fatal: Callable[[BaseException], None]
    """Ends the process with code 70: nothing may be answered any more."""
    client_left: type[Exception]
    """What the server raises when the client has closed the connection."""
    newest_seq: int
    """Highest sequence that `place` has returned (at first: the journal's last): a lower one is a repeat."""
    past_orders: PastOrders = field(default_factory=lambda: PastOrders(None))
    """Orders that have left memory."""
    write_behind_lag: Callable[[], tuple[int, float, int] | None] = lambda: None
    """Records and seconds that Postgres is behind; None when that is not known."""
    load: Callable[[], tuple[int, int]] = lambda: (0, 0)
    """Requests in flight, and those shed so far: the application's own figures, filled in by it."""
    stopping: bool = False
    """New requests are refused, and waits that are only a courtesy end."""


class Request(msgspec.Struct, gc=False):
    """One request on its way through a handler."""

    headers: Headers
    proto: HttpProtocol
    id: str
    """Echoed in X-Request-Id and in every problem."""
    segment: str
    """The dynamic part of the path, or empty."""
    query: dict[str, str]
    peer: str | None = None
    """Address and port of the other end of the connection: of a proxy, behind one."""
