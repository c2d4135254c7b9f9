"""The embedded Valkey: every acknowledged write is on disk, nothing is ever evicted, and its loopback port stays."""

import signal
import socket
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ordergate.config.paths import Paths
from ordergate.supervisor import ports
from ordergate.supervisor.postgres import environment
from ordergate.supervisor.processes import Child

USUAL_PORT: Final = 6379


class PortTaken(Exception):
    """A port that was asked for is in use; the message says what to do."""


def choose_port(paths: Paths, setting: int) -> tuple[int, socket.socket]:
    """The port of the earlier starts, else the setting's; when 6379 is taken, one that is free, and stays.

    With the claim on it, to be kept open. Raises PortTaken when a port that somebody chose on purpose is in use.
    """
    memory = paths.valkey / "port"
    if setting != USUAL_PORT:
        chosen = ports.reserve("127.0.0.1", setting)
        if isinstance(chosen, str):
            raise PortTaken(f"port {setting} for Valkey (redis.port): {chosen}: free it, or choose another redis.port")
        return setting, chosen
    for candidate in (_remembered(memory), USUAL_PORT, *(ports.free_port() for _ in range(8))):
        claimed = None if candidate is None else ports.reserve("127.0.0.1", candidate)
        if candidate is not None and isinstance(claimed, socket.socket):
            memory.write_text(f"{candidate}\n", encoding="ascii")
            return candidate, claimed
    raise PortTaken("no free port for Valkey on 127.0.0.1")


def child(program: Path, paths: Paths, port: int, patience_s: float) -> Child:
    """Its row in the table of children. `patience_s`: until when a stop may take."""
    options = {
        "dir": str(paths.valkey),
        "bind": "127.0.0.1",
        "port": str(port),
        "unixsocket": str(paths.valkey_socket),
        "unixsocketperm": "700",
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "save": "",
        "maxmemory-policy": "noeviction",
        "protected-mode": "yes",
        "daemonize": "no",
    }
    command = [str(program)]
    for name, value in options.items():
        command += [f"--{name}", value]
    return Child(
        name="valkey",
        command=tuple(command),
        environment=environment(),
        log=paths.log / "valkey.log",
        ready=lambda: answers(paths.valkey_socket),
        stop_signals=((signal.SIGTERM, patience_s),),
        working_directory="/",
        attempts=3,
    )


def answers(address: Path) -> bool:
    """Whether a server that has finished loading answers PING on the socket."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(1.0)
            link.connect(str(address))
            link.sendall(b"PING\r\n")
            return link.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def socket_url(address: Path) -> str:
    """The URL for our own processes: by the socket no other program can be met."""
    return f"unix://{quote(str(address))}?db=0"


def port_url(port: int) -> str:
    """The URL for people's tools."""
    return f"redis://127.0.0.1:{port}/0"


def _remembered(memory: Path) -> int | None:
    try:
        return int(memory.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
