"""The embedded Postgres: its cluster, made once and flushed once, and the command line that runs it."""

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ordergate.config.paths import Paths
from ordergate.supervisor import leftovers, programs
from ordergate.supervisor.placement import Placement
from ordergate.supervisor.processes import Child, User, tethered

DATABASE: Final = "ordergate"
SUPERUSER: Final = "ordergate"
INITDB: Final = (
    "--username", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
    "--locale=C", "--no-instructions", "--no-sync",
)  # fmt: skip
"""The builtin provider sorts the same everywhere; `--locale=C` needs no locale of the operating system."""


class ClusterError(Exception):
    """The cluster cannot be made or used; the message says what to do."""


async def make_cluster(placement: Placement) -> None:
    """Makes the cluster with its database, if there is none. A crash in between leaves only what is thrown away here.

    Everything is written without flushes, then flushed once, then renamed: the name exists only when all of it is on
    disk. Raises ClusterError.
    """
    if (placement.data / "PG_VERSION").exists():
        _check_version(placement)
        return
    if placement.data.exists() and any(placement.data.iterdir()):
        raise ClusterError(f"{placement.data}: not empty and not a Postgres cluster: move it away")
    fresh = placement.data.with_name(placement.data.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if placement.user is not None:
        os.chown(fresh, placement.user.uid, placement.user.gid)
    run = placement.bin_dir
    await _run((str(run / "initdb"), "-D", str(fresh), *INITDB), placement.user)
    single = (str(run / "postgres"), "--single", "-D", str(fresh), "-c", "fsync=off", "template1")
    await _run(single, placement.user, f"CREATE DATABASE {DATABASE}\n")
    await _run((str(run / "initdb"), "--sync-only", "-D", str(fresh)), placement.user)
    fresh.rename(placement.data)
    parent = os.open(placement.data.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def child(paths: Paths, placement: Placement, patience_s: tuple[float, float]) -> Child:
    """Its row in the table of children. `patience_s`: until when a fast, then an immediate stop may take."""
    options = {
        "listen_addresses": "",
        "unix_socket_directories": '"' + str(placement.sockets) + '"',
        "unix_socket_permissions": "0700",
        "port": "5432",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "off",
        "log_destination": "stderr",
        "jit": "off",
        "cluster_name": "ordergate",
    }
    command = [str(placement.bin_dir / "postgres"), "-D", str(placement.data)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    return Child(
        name="postgres",
        command=tuple(command),
        environment=environment(),
        log=paths.log / "postgres.log",
        ready=lambda: is_ready(placement.data),
        # SIGINT is the fast stop: sessions are cut, a checkpoint is written. SIGQUIT leaves the rest to recovery.
        stop_signals=((signal.SIGINT, patience_s[0]), (signal.SIGQUIT, patience_s[1])),
        death_signal=signal.SIGINT,
        user=placement.user,
        working_directory="/",
        # After a kill -9 of the postmaster its children take a moment to leave the shared memory.
        attempts=12,
        before_start=lambda: _remove_misleading(placement.data / "postmaster.pid"),
    )


def is_ready(data: Path) -> bool:
    """Whether the postmaster says in its pid file that it accepts connections; no client is needed for that."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready" and leftovers.postmaster(data) is not None


def database_url(sockets: Path) -> str:
    """Without spaces or characters that an unquoted shell word would lose; the port because PGPORT would win else."""
    return f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(sockets), safe='/')}&port=5432"


def environment() -> dict[str, str]:
    """Only what the server programs need: PGPORT, PGDATA and LC_* of the person who starts us are not theirs."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _remove_misleading(pid_file: Path) -> None:
    """Removes the pid file of a postmaster that is gone when another program has its pid by now (containers begin at 1
    again): Postgres would take that for a running server. Not while its shared memory has users: they may write."""
    try:
        lines = pid_file.read_text(encoding="utf-8", errors="replace").splitlines()
        gone = leftovers.start_time(int(lines[0])) is None
        memory = int(lines[6].split()[1]) if len(lines) > 6 and lines[6].strip() else None
    except (OSError, ValueError, IndexError):
        return
    if gone or leftovers.postmaster(pid_file.parent) is not None or (memory is not None and _attached(memory)):
        return
    pid_file.unlink(missing_ok=True)


def _attached(shared_memory_id: int) -> bool:
    try:
        table = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return True
    rows = (line.split() for line in table)
    return any(int(row[1]) == shared_memory_id and int(row[6]) > 0 for row in rows)


def _check_version(placement: Placement) -> None:
    made = (placement.data / "PG_VERSION").read_text(encoding="ascii").strip()
    ours = programs.major(placement.bin_dir)
    if made != str(ours):
        raise ClusterError(
            f"{placement.data} was made by PostgreSQL {made}, and {placement.bin_dir} is {ours}: use the programs of "
            f"version {made} (setting postgres.bin_dir), or move it away: it is filled again from the journal"
        )


async def _run(command: tuple[str, ...], user: User | None, text: str = "") -> None:
    process = await asyncio.create_subprocess_exec(
        *tethered(command, signal.SIGKILL, user),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(),
        cwd="/",
        start_new_session=True,
    )
    try:
        said, _ = await process.communicate(text.encode())
    except asyncio.CancelledError:
        os.killpg(process.pid, signal.SIGKILL)  # initdb has children of its own
        raise
    if process.returncode != 0:
        shown = said.decode(errors="replace").strip()[-2000:]
        raise ClusterError(f"{os.path.basename(command[0])} failed (code {process.returncode}):\n{shown}")
