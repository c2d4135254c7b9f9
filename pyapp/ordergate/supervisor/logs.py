"""Log files of the children: appended to, kept small, and quoted when something goes wrong."""

import os
import shutil
from pathlib import Path
from typing import BinaryIO, Final

SIZE_LIMIT: Final = 32 * 1024 * 1024
"""Bytes after which a log starts again; one older part is kept."""
TAIL_LINES: Final = 12


def open_log(file: Path) -> BinaryIO:
    """Opens for appending, by the descriptor that the child inherits."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "ab", buffering=0)


def trim(file: Path) -> None:
    """Moves a full log aside. The writer keeps its descriptor, so the text is copied and the file emptied: a few lines
    written in between may be lost."""
    try:
        if file.stat().st_size > SIZE_LIMIT:
            shutil.copyfile(file, file.with_suffix(".log.1"))
            os.truncate(file, 0)
    except OSError:
        pass


def tail(file: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented for a message."""
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - 8192))
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return f"  (no log at {file})"
    kept = [line for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(f"  {line}" for line in kept) or f"  (nothing in {file})"
