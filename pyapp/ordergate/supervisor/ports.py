"""Is a TCP port free, and does it stay ours until the server that wants it has bound it?"""

import errno
import socket
import sys


def reserve(host: str, port: int) -> socket.socket | str:
    """The claim on a port that is free, or why it is not."""
    token = claim(host, port)
    if token is None:
        return "in use by another ordergate"
    reason = taken(host, port)
    if reason is not None:
        token.close()
    return reason or token


def taken(host: str, port: int) -> str | None:
    """Why the port cannot be bound, or None.

    A plain bind: granian sets SO_REUSEPORT, so two gateways would share one port without noticing. SO_REUSEADDR only
    skips connections of an earlier run that wait for their end; a listening socket still refuses.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        return f"{host!r} is not an address of this machine ({error.strerror})"
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return "in use by another program" if error.errno == errno.EADDRINUSE else str(error.strerror)
    return None


def claim(host: str, port: int) -> socket.socket | None:
    """A token that one supervisor per address can hold, for as long as it keeps it open; None when another has it.

    Between the probe and the server's own bind lies time in which a second `up` would find the port free as well.
    The abstract socket namespace has no files, dies with its process and belongs to the same network namespace.
    """
    token = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if sys.platform != "linux":
        return token
    try:
        token.bind(f"\0ordergate-port-{host}-{port}")
    except OSError:
        token.close()
        return None
    return token


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
