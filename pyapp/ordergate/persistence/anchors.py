"""Anchors: where the chain over execution.order_events stood, noted beside the database for whoever audits it later.

One JSON object a line in a file that only grows. Copied to a place that this machine cannot write to, it also speaks
against somebody who rewrites the journal and Postgres together.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from ordergate.persistence.watermark import Watermark


class Anchor(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The chain's head after record `seq`, and the hash of the journal's chunk that ends there, in hexadecimal."""

    seq: int
    event_hash: str
    chunk_hash: str
    at: datetime
    """When it was noted."""


class BadAnchors(Exception):
    """The file does not hold what was appended to it; the message names the line."""


_decode: Final[Callable[[bytes], Anchor]] = msgspec.json.Decoder(Anchor).decode


def append_anchor(file: Path, watermark: Watermark) -> None:
    """Adds a line, durably. The file is made 0600, its directory 0700. Raises OSError."""
    anchor = Anchor(watermark.last_seq, watermark.event_hash.hex(), watermark.chunk_hash.hex(), datetime.now(UTC))
    file.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        # A crash may have left half a line: what is added must not become a part of it.
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, b"\n" * torn + msgspec.json.encode(anchor) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_anchors(file: Path) -> list[Anchor]:
    """Every anchor, in the order of the sequences; none without a file. Raises BadAnchors, OSError.

    A line without its end is no anchor yet: the crash that cut it came before its fsync returned.
    """
    try:
        lines = file.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    anchors: list[Anchor] = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            anchors.append(_decode(line))
        except msgspec.MsgspecError as error:
            if not line.endswith(b"}"):
                continue  # cut by a crash, and ended by the next append
            raise BadAnchors(f"{file}, line {number}: {error}") from error
    return sorted(anchors, key=lambda anchor: anchor.seq)
