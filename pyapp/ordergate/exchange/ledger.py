"""The exchange's own history on disk: every command in order, flushed before it is answered; a restart does it again.

`ledger.jsonl`: first the settings, then one line a command with its time, its arguments and a digest of its outcome.
`requests.jsonl`: every request, when it came, whether its signature was good, what it committed, what became of its
answer. The second is evidence for people and tests; the exchange never reads it.
"""

import asyncio
import json
import os
from collections import deque
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from ordergate.exchange.commands import Result, run
from ordergate.exchange.config import Config, open_exchange
from ordergate.exchange.errors import ApiError
from ordergate.exchange.state import Event, Exchange

KEPT_REQUESTS: Final = 100_000


class LedgerError(Exception):
    """The ledger is of other settings, or does not do again what it says was done."""


def digest(result: Result, events: list[Event]) -> str:
    """Of what a command did, to compare with at a replay."""
    body = result.body() if isinstance(result, ApiError) else result
    told = [(event.account, event.kind, event.body) for event in events]
    return sha256(json.dumps([body, told], sort_keys=True).encode()).hexdigest()[:16]


@dataclass(slots=True)
class Ledger:
    """`sequence`: of the last command; `durable`: up to here it is flushed. Without a file nothing is kept."""

    file: int | None = None
    requests_file: int | None = None
    sequence: int = 0
    durable: int = 0
    flushing: asyncio.Task[None] | None = None
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))

    def append(self, name: str, arguments: dict[str, Any], now: int, outcome: str) -> int:
        """Writes one command; its sequence. A crash of this process from here on does not lose it."""
        self.sequence += 1
        if self.file is None:
            self.durable = self.sequence
        else:
            line = {"n": self.sequence, "t": now, "do": name, "with": arguments, "out": outcome}
            _write(self.file, line)
        return self.sequence

    async def flushed(self, sequence: int) -> None:
        """Returns when a command is on disk. One flush serves all that were written before it began."""
        while self.durable < sequence:
            if self.flushing is None or self.flushing.done():
                self.flushing = asyncio.create_task(self._flush())
            await asyncio.shield(self.flushing)

    async def _flush(self) -> None:
        reached = self.sequence
        if self.file is not None:
            await asyncio.get_running_loop().run_in_executor(None, os.fdatasync, self.file)
        self.durable = max(self.durable, reached)

    def note(self, request: dict[str, Any]) -> None:
        """Remembers what became of a request."""
        self.requests.append(request)
        if self.requests_file is not None:
            _write(self.requests_file, request)

    def close(self) -> None:
        for file in (self.file, self.requests_file):
            if file is not None:
                os.close(file)
        self.file = self.requests_file = None


def _write(file: int, line: dict[str, Any]) -> None:
    view = memoryview(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    while view:
        view = view[os.write(file, view) :]


def opened(directory: Path | None, config: Config) -> tuple[Exchange, Ledger]:
    """The exchange as its ledger has it, or a fresh one. A torn last line was never answered, and is cut off.

    Raises LedgerError, OSError.
    """
    ex = open_exchange(config)
    if directory is None:
        return ex, Ledger()
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "ledger.jsonl"
    head = {"settings": json.loads(msgspec.json.encode(config))}
    sequence = _replay(ex, path, head) if path.exists() else 0
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    if os.fstat(file).st_size == 0:
        _write(file, head)
        os.fsync(file)
        _flush_directory(directory)
    requests = os.open(directory / "requests.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    return ex, Ledger(file, requests, sequence, sequence)


def replayed(directory: Path) -> Exchange:
    """The exchange as a ledger has it, with nothing opened or written: for who wants to compare. Raises LedgerError."""
    path = directory / "ledger.jsonl"
    head = json.loads(path.read_bytes().splitlines()[0])
    ex = open_exchange(msgspec.convert(head["settings"], Config))
    _replay(ex, path, head, mend=False)
    return ex


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replay(ex: Exchange, path: Path, head: dict[str, Any], *, mend: bool = True) -> int:
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if mend and whole < len(data):
        os.truncate(path, whole)
    lines = data[:whole].splitlines()
    if lines and json.loads(lines[0]) != head:
        raise LedgerError(f"{path} was written with other settings; use another directory, or these settings again")
    sequence = 0
    for line in lines[1:]:
        one = json.loads(line)
        sequence += 1
        result, events = run(ex, one["do"], one["with"], one["t"])
        if one["n"] != sequence or digest(result, events) != one["out"]:
            raise LedgerError(f"{path}: command {one['n']} does not have the outcome that was written with it")
    return sequence
