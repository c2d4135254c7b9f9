"""`run/kill`: how `ordergate kill on` stops everything while this process does not answer.

Each line is a JSON object with scope, target, level, reason and by. While the file is there, no venue sends anything.
The gateway takes the lines over as KILL_ON records and removes the file once these are durable.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from ordergate import _core
from ordergate.gateway.kill_scopes import GLOBAL, SCOPES, Scope

_log = logging.getLogger("ordergate.kill")
Kill = Callable[[str, str, str, Scope, int, str], int]
"""Reason, who, source, scope, level, cause; the sequence."""


class _Line(msgspec.Struct):
    scope: str = "global"
    target: str = ""
    level: int = 1
    reason: str = "no reason given"
    by: str = "cli"


_decode: Final = msgspec.json.Decoder(_Line).decode


class KillFile:
    """The file, as far as it has been taken over."""

    def __init__(self, gateway: _core.Gateway, path: Path) -> None:
        self._gateway = gateway
        self._path = path
        self._taken = b""
        self._seq = 0

    def take(self, kill: Kill) -> None:
        """Journals what the file asks for, once; removes it when that is durable and nothing was added."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            self._taken = b""
            return
        except OSError as error:
            _log.error("%s: %s", self._path, error)
            content = b"unreadable"
        if content == self._taken:
            if self._gateway.durable_seq() >= self._seq:
                self._path.unlink(missing_ok=True)
                self._taken = b""
            return
        known = self._taken if content.startswith(self._taken) else b""
        for line in content[len(known) :].splitlines() or [b""]:
            self._seq = kill(*_read(line))
        self._taken = content


def _read(line: bytes) -> tuple[str, str, str, Scope, int, str]:
    """What a line asks for; one that is not understood stops everything."""
    try:
        asked = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "unreadable", "cli", "cli", GLOBAL, 1, "unreadable"
    scoped = asked.scope in SCOPES and asked.target != ""
    scope = (asked.scope, asked.target) if scoped else GLOBAL
    return asked.reason, asked.by, "cli", scope, min(max(asked.level, 1), 3), "asked"
