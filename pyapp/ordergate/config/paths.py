"""Every path of one data directory, and the rules that keep unix socket paths short enough to bind.

The data directory is the unit of isolation: two of them share nothing but the ports they are told to use.
"""

import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

SOCKET_PATH_LIMIT: Final = 100
"""Bytes. The kernel's own limit is 107; the rest is room for what a server appends."""
LONGEST_SOCKET: Final = "postgres/.s.PGSQL.5432"
"""The longest socket name below the run directory."""
UNSUITABLE: Final = frozenset(',"\n')
"""A comma separates hosts in a Postgres URL, and quotes or newlines do not survive server settings."""


class PathsError(Exception):
    """A directory cannot be used; the message says which one, why, and what to do."""


class Paths:
    """The places below one data directory. Computing them touches nothing; `prepare` makes the directories."""

    def __init__(self, data_dir: str | os.PathLike[str]) -> None:
        self.data: Final = Path(os.path.realpath(data_dir))
        self.settings_file: Final = self.data / "ordergate.toml"
        self.demo_key: Final = self.data / "demo.key"
        self.install: Final = self.data / "install.id"
        self.credentials: Final = self.data / "credentials.enc"
        self.master_key: Final = self.data / "master.key"
        self.exchange_limits: Final = self.data / "exchange-limits.json"
        self.servers: Final = self.data / "servers.json"
        self.supervisor_lock: Final = self.data / "supervisor.lock"
        self.journal: Final = self.data / "journal"
        self.snapshots: Final = self.data / "snapshots"
        self.archive: Final = self.data / "archive"
        self.anchors: Final = self.data / "audit" / "anchors.jsonl"
        self.postgres: Final = self.data / "postgres"
        self.valkey: Final = self.data / "valkey"
        self.log: Final = self.data / "log"
        self.shims: Final = self.data / "shims"
        self.run: Final = _run_directory(self.data)
        self.venue_socket: Final = self.run / "venue.sock"
        self.admin_socket: Final = self.run / "admin.sock"
        self.valkey_socket: Final = self.run / "valkey.sock"
        self.postgres_sockets: Final = self.run / "postgres"
        self.kill_file: Final = self.run / "kill"
        self.worker_lock: Final = self.run / "worker.lock"
        self.worker_status: Final = self.run / "worker.json"
        self.children: Final = self.run / "children.json"

    def venue_lock(self, name: str) -> Path:
        """The lock that one venue process of this name holds."""
        return self.run / f"venue-{name}.lock"

    def prepare(self) -> None:
        """Makes the directories that are missing (0700); widens and narrows nothing that exists.

        Raises PathsError when one of them cannot be made or is not ours.
        """
        # Root's own directories stay closed one level further down: Postgres, which runs as another user, has to pass.
        _make(self.data, 0o711 if os.geteuid() == 0 else 0o700)
        if self.run.parent != self.data:
            _point_to(self.data / "run", self.run)
        for directory in (self.run, self.journal, self.snapshots, self.valkey, self.log, self.shims):
            _make(directory, 0o700)
        if self.run.parent != self.data:
            check_private(self.run, os.geteuid())


def check_private(directory: Path, uid: int) -> None:
    """A directory in a place that others can write to must be ours alone: anybody could have made it first."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or stat.S_IMODE(found.st_mode) & 0o077:
        raise PathsError(f"{directory}: not a directory that only we can use (owner {found.st_uid}): remove it")


def short_enough(directory: Path, longest_name: str) -> bool:
    """Whether a socket of that name can be bound below the directory and be named in a URL."""
    text = os.fsencode(directory / longest_name)
    return len(text) <= SOCKET_PATH_LIMIT and not UNSUITABLE & set(str(directory))


def short_name(data: Path) -> str:
    """A short name for this data directory in shared temporary places."""
    return "ordergate-" + hashlib.sha256(os.fsencode(data)).hexdigest()[:16]


def _run_directory(data: Path) -> Path:
    inside = data / "run"
    try:
        # Written by the process that started first: a later one may have another XDG_RUNTIME_DIR (sudo, cron).
        pointed = Path(os.readlink(inside))
    except OSError:
        if short_enough(inside, LONGEST_SOCKET):
            return inside
        return _runtime_root() / short_name(data)
    usable = os.access(pointed.parent, os.W_OK | os.X_OK)
    return pointed if usable else _runtime_root() / short_name(data)


def _runtime_root() -> Path:
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    runtime = Path(named)
    usable = bool(named) and runtime.is_absolute() and os.access(runtime, os.W_OK | os.X_OK)
    for candidate in ([runtime] if usable else []) + [Path(tempfile.gettempdir()), Path("/tmp")]:
        if short_enough(candidate / short_name(Path("/")), LONGEST_SOCKET):
            return Path(os.path.realpath(candidate))
    return Path("/tmp")


def _point_to(link: Path, target: Path) -> None:
    try:
        if link.is_symlink():
            if Path(os.readlink(link)) == target:
                return
            link.unlink()
        elif link.is_dir():
            link.rmdir()
        link.symlink_to(target)
    except OSError as error:
        raise PathsError(f"{link}: cannot be made a link to {target}: {error.strerror}") from error


def _make(directory: Path, mode: int) -> None:
    try:
        if not directory.is_dir():
            directory.mkdir(mode=mode, parents=True, exist_ok=True)
            directory.chmod(mode)  # whatever the umask took away
        if not os.access(directory, os.W_OK | os.X_OK):
            owner = directory.stat().st_uid
            raise PathsError(
                f"{directory}: not writable for user {os.geteuid()} (it belongs to user {owner}): "
                "run ordergate as that user, or choose another directory with --data-dir"
            )
    except FileExistsError as error:
        raise PathsError(f"{directory}: is in the way: it should be a directory") from error
    except OSError as error:
        raise PathsError(f"{directory}: cannot be used as a directory: {error.strerror}") from error
