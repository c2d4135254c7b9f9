"""Where Postgres's files go and who it runs as. Postgres refuses to be root, so under root another user needs to reach
its programs, data and socket; permissions of what exists are never widened for that - the files go elsewhere."""

import os
import pwd
import secrets
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from ordergate.config.paths import Paths, check_private, short_enough, short_name
from ordergate.supervisor.processes import User

SYSTEM_HOME: Final = Path("/var/lib/ordergate")
POSTGRES_SOCKET: Final = ".s.PGSQL.5432"
PREFERRED_USERS: Final = ("postgres", "nobody")


class PlacementError(Exception):
    """Postgres's files cannot be placed; the message says what to do."""


class Placement(msgspec.Struct, frozen=True):
    """The answer: as whom, with which programs, over which data, listening in which directory."""

    user: User | None
    bin_dir: Path
    data: Path
    sockets: Path


def place(paths: Paths, bin_dir: Path, system_home: Path = SYSTEM_HOME) -> Placement:
    """Decides and makes the directories (not the data directory, which initdb's result is renamed to)."""
    if os.geteuid() != 0:
        owner = _owner(paths.postgres)
        if owner not in (None, os.geteuid()):
            raise PlacementError(
                f"{paths.postgres}: belongs to user {owner}, we are user {os.geteuid()}: "
                "run ordergate as the user that made this data directory, or choose another with --data-dir"
            )
        paths.postgres_sockets.mkdir(mode=0o700, exist_ok=True)
        return Placement(None, bin_dir, paths.postgres, paths.postgres_sockets)
    home = system_home / install_id(paths)
    outside = home / "postgres"
    user = _user(_owner(paths.postgres) or _owner(outside))
    inside_reachable = reachable(paths.data, user)
    if paths.postgres.exists() and not outside.exists() and not inside_reachable:
        raise PlacementError(
            f"{paths.postgres}: user {user.name}, who runs Postgres, can no longer reach it: a directory above it has "
            "been closed. Open it again for that user, or move the data directory below one that is open"
        )
    if outside.exists() or not inside_reachable:
        _claim_home(home, paths)
        data, sockets = outside, home / "socket"
    else:
        data, sockets = paths.postgres, paths.data / "socket"
    if not short_enough(sockets, POSTGRES_SOCKET):
        sockets = Path(tempfile.gettempdir()) / (short_name(paths.data) + "-postgres")
    if not reachable(bin_dir, user):
        _claim_home(home, paths)
        bin_dir = copied_programs(bin_dir, home)
    _own_directory(sockets, user)
    return Placement(user, bin_dir, data, sockets)


def install_id(paths: Paths) -> str:
    """Names this data directory for as long as it lives, also after a move."""
    try:
        return paths.install.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        fresh = secrets.token_hex(8)
        paths.install.write_text(fresh + "\n", encoding="ascii")
        return fresh


def reachable(place: Path, user: User) -> bool:
    """Whether the permission bits let that user pass to the place (access lists are not asked)."""
    for directory in (place, *place.parents):
        found = directory.stat()
        bits = stat.S_IXUSR if found.st_uid == user.uid else stat.S_IXGRP if found.st_gid == user.gid else stat.S_IXOTH
        if not found.st_mode & bits:
            return False
    return True


def copied_programs(bin_dir: Path, home: Path) -> Path:
    """A copy of the programs that everybody can run, made once per version of them."""
    package = bin_dir.parent
    built = (bin_dir / "postgres").stat()
    copy = home / f"programs-{built.st_size}-{int(built.st_mtime)}"
    # The programs look for their libraries beside the package (`../../../<package>.libs`): keep the same distances.
    target = copy / package.parent.name / package.name
    if not target.exists():
        for old in home.glob("programs-*"):
            shutil.rmtree(old)
        fresh = home / f"new-{secrets.token_hex(4)}"
        for part in ("bin", "lib", "share"):
            if (package / part).is_dir():
                shutil.copytree(package / part, fresh / package.parent.name / package.name / part)
        for libraries in package.parent.parent.glob(f"{package.parent.name}.libs"):
            shutil.copytree(libraries, fresh / libraries.name)
        for item in (fresh, *fresh.rglob("*")):
            item.chmod(0o755 if item.is_dir() or item.stat().st_mode & 0o100 else 0o644)
        fresh.rename(copy)
    return target / "bin"


def _claim_home(home: Path, paths: Paths) -> None:
    for directory in (home.parent, home):
        if not directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o711)
    mark = home / "data-directory"
    owner = Path(mark.read_text(encoding="utf-8").strip()) if mark.exists() else paths.data
    if owner != paths.data and _same_install(owner / paths.install.name, paths.install):
        raise PlacementError(
            f"{paths.data} is a copy of {owner}: both would use {home}. Remove {paths.install} from the copy "
            "(its Postgres then starts empty and is filled again from the journal)"
        )
    mark.write_text(f"{paths.data}\n", encoding="utf-8")


def _same_install(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes() == other.read_bytes()
    except OSError:
        return False


def _owner(directory: Path) -> int | None:
    try:
        return directory.stat().st_uid or None
    except FileNotFoundError:
        return None


def _user(owner: int | None) -> User:
    for wanted in (owner,) if owner else PREFERRED_USERS:
        try:
            entry = pwd.getpwuid(wanted) if isinstance(wanted, int) else pwd.getpwnam(wanted)
        except KeyError:
            continue
        return User(entry.pw_uid, entry.pw_gid, entry.pw_name)
    raise PlacementError(
        f"Postgres does not run as root, and there is no user {owner or ' or '.join(PREFERRED_USERS)} in /etc/passwd "
        "to run it as: add one, run ordergate as a normal user, or set DATABASE_URL to a running server"
    )


def _own_directory(directory: Path, user: User) -> None:
    if not directory.is_dir():
        directory.mkdir(mode=0o700, exist_ok=True)
    if directory.lstat().st_uid == 0:
        os.chown(directory, user.uid, user.gid, follow_symlinks=False)
    check_private(directory, user.uid)
