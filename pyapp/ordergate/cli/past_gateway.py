"""Stopping trading while the gateway does not answer: the file that every venue looks at, then the key at Redis."""

import json
import os
from datetime import UTC, datetime

import msgspec

from ordergate.cli.resp import Failure, Link, Unreachable
from ordergate.config import Paths
from ordergate.supervisor.addresses import kept

LATEST_TRIES = 3
"""Of a write that somebody else's change prevents."""


def stop(paths: Paths, scope: str, target: str, level: int, reason: str, by: str) -> list[str]:
    """Stops every venue at once, then writes the key; what was done, for people."""
    line = json.dumps({"scope": scope, "target": target, "level": level, "reason": reason, "by": by})
    descriptor = os.open(paths.kill_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode() + b"\n")
    finally:
        os.close(descriptor)
    done = ["the gateway does not answer: no venue sends anything until it has taken this kill over"]
    try:
        written = _write(paths, scope, target, level, reason, by)
    except Unreachable as error:
        return [*done, f"the key was not written: {error}"]
    return [*done, "the key is written" if written else "a kill key stands there already"]


def _write(paths: Paths, scope: str, target: str, level: int, reason: str, by: str) -> bool:
    """Sets the key only while it is absent or `active:false`, as the gateway does."""
    known = kept(paths.servers)
    if known is None:
        raise Unreachable("no server is known")
    key = b"kill_switch:global" if scope == "global" else f"kill_switch:{scope}:{target}".encode()
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    value = {"active": True, "reason": reason, "activatedAt": now, "activatedBy": by, "level": level}
    link = Link(known.redis.own_url)
    if scope != "global":
        _ask(link, b"SELECT", str(link.database + 1).encode())
    for _ in range(LATEST_TRIES):
        _ask(link, b"WATCH", key)
        found = _ask(link, b"GET", key)
        if found is not None and not _inactive(found):
            return False
        _ask(link, b"MULTI")
        _ask(link, b"SET", key, msgspec.json.encode(value))
        if _ask(link, b"EXEC") is not None:
            return True
    return False


def _ask(link: Link, *words: bytes) -> object:
    reply = link.ask(list(words))
    if isinstance(reply, Failure):
        raise Unreachable(reply.text.decode(errors="replace"))
    return reply


def _inactive(value: object) -> bool:
    try:
        found = msgspec.json.decode(value) if isinstance(value, bytes) else None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("active") is False
