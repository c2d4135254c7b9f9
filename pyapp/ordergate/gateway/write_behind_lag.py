"""How far Postgres is behind, and what it refused, from the worker's status file: for metrics only."""

import time
from pathlib import Path
from typing import Final

import msgspec

from ordergate import _core

STALE_SECONDS: Final = 5.0
"""The worker writes its file twice a second. An older one means that it does not run, and that the lag grows."""


class _Status(msgspec.Struct, rename="camel"):
    """As much of the worker's status file as the lag needs."""

    last_seq: int
    lag: int
    lag_ms: float
    parked_records: int = 0


_decode = msgspec.json.Decoder(_Status).decode


class WriteBehindLag:
    """Reads a small file whenever it is asked: once per scrape."""

    __slots__ = ("_file", "_gateway")

    def __init__(self, gateway: _core.Gateway, file: Path) -> None:
        self._gateway = gateway
        self._file = file

    def read(self) -> tuple[int, float, int] | None:
        """(records, seconds, parked rows), or None when there is no readable file."""
        try:
            status = _decode(self._file.read_bytes())
            age = time.time() - self._file.stat().st_mtime
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if age < STALE_SECONDS:
            return status.lag, status.lag_ms / 1000, status.parked_records
        lag = max(0, self._gateway.durable_seq() - status.last_seq)
        return lag, round(status.lag_ms / 1000 + age, 3) if lag else 0.0, status.parked_records
