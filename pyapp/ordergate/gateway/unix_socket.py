"""Listening unix sockets that only their owner can open, and who is on the other side."""

import contextlib
import os
import socket
import struct
from pathlib import Path


def listen(path: Path, backlog: int = 16) -> socket.socket:
    """A non-blocking listening socket at `path`, mode 0600. Replaces what a dead gateway left there.

    Only the holder of the journal's lock may call it: nobody else listens at that path then.
    """
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    # Before bind, so that there is no moment at which others could connect.
    umask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(umask)
    listener.listen(backlog)
    return listener


def peer_is_ours(connection: socket.socket) -> bool:
    """Whether the peer runs as our user or as root."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (0, os.geteuid())
