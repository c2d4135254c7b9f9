"""Kills of one account, strategy or symbol: their keys, and the table (`kill_switch.decide`) for each of them.

Whether the server is ours, and the same as before, the table has decided for all keys at once by then.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from ordergate import _core
from ordergate.gateway.kill_switch import (
    KEY,
    SENTINEL,
    Action,
    Found,
    Key,
    Observation,
    SwitchState,
    decide,
    read_key,
)

Scope = tuple[str, str]
"""Scope word and target: account, strategy or symbol; ("global", "")."""

GLOBAL: Final[Scope] = ("global", "")
PREFIX: Final = "kill_switch:"
SCOPES: Final = frozenset({"account", "strategy", "symbol"})
TARGET_BYTES_MAX: Final = 64
_log = logging.getLogger("ordergate.kill")


class Kill(msgspec.Struct, frozen=True):
    """A kill in force, as the engine tells it."""

    scope: str
    target: str
    level: int
    reason: str
    source: str
    cause: str = "asked"
    age_ms: int = msgspec.field(name="ageMs", default=0)
    """Since its KILL_ON."""

    @property
    def clients_own(self) -> bool:
        """A client or a missed heartbeat set it: a client may clear it."""
        return self.source in ("api", "heartbeat")


class _Kills(msgspec.Struct):
    kills: list[Kill]


_decode_kills = msgspec.json.Decoder(_Kills).decode


def kills_of(gateway: _core.Gateway) -> dict[Scope, Kill]:
    """Every kill in force."""
    return {(kill.scope, kill.target): kill for kill in _decode_kills(gateway.kills()).kills}


def key_of(scope: Scope) -> str:
    """The name of its key."""
    return KEY if scope == GLOBAL else f"{PREFIX}{scope[0]}:{scope[1]}"


def scope_of(key: bytes) -> Scope | None:
    """The scope that a key names; None when it names none."""
    try:
        prefix, word, target = key.decode("ascii").split(":", 2)
    except (UnicodeDecodeError, ValueError):
        return None
    fits = 0 < len(target) <= TARGET_BYTES_MAX and target.isprintable() and " " not in target
    return (word, target) if f"{prefix}:" == PREFIX and word in SCOPES and fits else None


class ScopedKeys:
    """What has been seen of the scoped keys on the present connection."""

    def __init__(self, gateway: _core.Gateway) -> None:
        self._gateway = gateway
        self._seen: set[Scope] = set()
        self._told: set[bytes] = set()

    def forget(self) -> None:
        """Another connection, or a database that was emptied: what was seen before proves nothing."""
        self._seen.clear()

    def saw(self, scope: Scope) -> None:
        """An active key stands there."""
        self._seen.add(scope)

    def cleared(self, scope: Scope) -> None:
        """Its key was removed by us: what was seen there proves nothing about the next kill."""
        self._seen.discard(scope)

    def to_read(self, names: Iterable[bytes]) -> list[Scope]:
        """The scopes that the database names and those that are killed. What names none is told once."""
        scopes = {scope for scope in kills_of(self._gateway) if scope != GLOBAL}
        for name in names:
            scope = scope_of(name)
            if scope is not None:
                scopes.add(scope)
            elif name != SENTINEL.encode():
                self._tell(name, "names no scope (account, strategy or symbol)")
        return sorted(scopes)

    def misplaced(self, names: Iterable[bytes]) -> list[Scope]:
        """The scopes of keys that stand in the database of the global one: in force there, too, and told once."""
        scopes = sorted(filter(None, map(scope_of, names)))
        for scope in scopes:
            self._tell(key_of(scope).encode(), "belongs into the next one (redis-cli -n): it is in force all the same")
        return scopes

    def judge(self, values: Mapping[Scope, bytes | None], *, marked: bool) -> list[tuple[Scope, Action, Found]]:
        """What follows for each scope that was read; what only concerns the journal is done.

        `marked`: our sentinel stood beside the keys. A key seen without it is no proof that a later absence is a DEL:
        the database may be emptied before the sentinel is written.
        """
        kills, outcome = kills_of(self._gateway), []
        for scope, value in values.items():
            found, kill = read_key(value), kills.get(scope)
            action = decide(
                Observation(readable=True, sentinel="", key=found.key, by=found.by, level=found.level),
                SwitchState(
                    install="",
                    bound=True,
                    killed=kill is not None,
                    level=kill.level if kill else 0,
                    clients_own=kill is not None and kill.clients_own,
                    # Of one that did not come from the key, whoever journaled it: its SET may not have arrived.
                    kill_age_seconds=kill.age_ms / 1e3 if kill and kill.source != "redis" else float("inf"),
                    active_seen=scope in self._seen,
                ),
            )
            if found.key is Key.ACTIVE and marked:
                self._seen.add(scope)
            if action is Action.KILL:
                self._gateway.kill_on(*scope, found.level, found.reason, found.by, "redis", found.cause)
                _log.warning("%s %s killed by %s: %s", *scope, found.by, found.reason)
                if not self._gateway.kill_target_exists(*scope):
                    self._tell(key_of(scope).encode(), f"stops {scope[0]} {scope[1]}, and there is none yet")
            elif action is Action.OPEN:
                self._gateway.kill_off(*scope, "operator", "redis")
                _log.warning("the kill key of %s %s was deleted: open", *scope)
            if action is Action.OPEN or (kill is None and found.key is Key.ABSENT):
                self._seen.discard(scope)
            outcome.append((scope, action, found))
        return outcome

    def _tell(self, name: bytes, what: str) -> None:
        if name not in self._told and len(self._told) < 1_000:
            self._told.add(name)
            _log.error("the key %s in the kill switch's database %s", name[:100].decode("utf-8", "replace"), what)
