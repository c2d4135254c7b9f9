"""Processes that an earlier supervisor started: known by pid and start time, so that a reused pid is never touched."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

POLL_S: Final = 0.02


class Started(msgspec.Struct, frozen=True):
    """One process that we started."""

    name: str
    pid: int
    start_time: str
    """Ticks since boot, with the boot's id: unique for this pid."""


def start_time(pid: int) -> str | None:
    """When the process started, as an opaque text; None when it is gone (or only waits to be reaped)."""
    if sys.platform != "linux":
        shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True)
        stat, _, started = shown.stdout.strip().partition(" ")
        return started.strip() if started and not stat.startswith("Z") else None
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def remember(file: Path, running: list[Started]) -> None:
    """Replaces the list of running children; it needs to survive a kill, not a power loss."""
    fresh = file.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(running))
    fresh.replace(file)


def remembered(file: Path) -> list[Started]:
    """The children that are still running, of those that the last supervisor remembered."""
    try:
        known = msgspec.json.decode(file.read_bytes(), type=list[Started])
    except (OSError, msgspec.DecodeError):
        return []
    return [process for process in known if start_time(process.pid) == process.start_time]


def postmaster(data: Path) -> Started | None:
    """The live postmaster of that data directory, whoever started it."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    started, command = start_time(pid), _command_line(pid)
    ours = os.fsencode(data) in command and os.path.basename(command[0]) == b"postgres"
    return Started("postgres", pid, started) if ours and started else None


def _command_line(pid: int) -> list[bytes]:
    if sys.platform != "linux":
        return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True).stdout.split()
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def stop(process: Started, signals: list[tuple[signal.Signals, float]]) -> bool:
    """Sends each signal and waits that many seconds for the end; whether the process is gone."""
    for number, patience_s in signals:
        until = time.monotonic() + patience_s
        if not _send(process, number):
            return True
        if _wait(lambda: start_time(process.pid) != process.start_time, until):
            return True
    return False


def _send(process: Started, number: signal.Signals) -> bool:
    """Signals exactly that process, and tells whether it was still there."""
    try:
        if sys.platform != "linux":
            if start_time(process.pid) == process.start_time:
                os.kill(process.pid, number)
                return True
            return False
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # The handle holds on to the process, so that its pid cannot change hands between this look and the signal.
        if start_time(process.pid) != process.start_time:
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def _wait(done: Callable[[], bool], until: float) -> bool:
    while not done():
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    return True
