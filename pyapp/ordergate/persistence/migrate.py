"""Forward-only migrations: numbered SQL files, each applied once, in order, in a transaction of its own.

Starters may race: the lock is polled, since a session that waits inside Postgres for an advisory lock holds a snapshot
that others would have to wait for. Nothing is applied to a database that this build does not fully know.
"""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ordergate.persistence.connection import SHORT_S, Connection, PostgresLate, bounded, close, connect, run_blocking

LOCK_KEY: Final = int.from_bytes(b"ordrgate")
LOCK_POLL_S: Final = 0.2
LOCK_WAIT_S: Final = 60.0
FILE_S: Final = 600
"""Seconds that one migration may take."""
NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

_TABLE: Final = """
CREATE SCHEMA IF NOT EXISTS ordergate;
CREATE TABLE IF NOT EXISTS ordergate.migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    sha256     bytea       NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
_APPLIED: Final = "SELECT version, name, sha256, applied_at FROM ordergate.migrations ORDER BY version"
_RECORD: Final = "INSERT INTO ordergate.migrations (version, name, sha256) VALUES ($1, $2, $3)"


class MigrationRefused(Exception):
    """The database and this build do not fit together; nothing was changed. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. Its name without `.sql` is what people see."""

    version: int
    name: str
    sha256: bytes
    sql: str


@dataclass(frozen=True, slots=True)
class Status:
    """Names of what is applied and what is still to come; `problem` says why nothing can be applied."""

    applied: list[str]
    pending: list[str]
    problem: str | None


def migrate(dsn: str) -> list[str]:
    """Brings the database up to this build; the names of what was applied.

    Blocks; for callers without an event loop. Raises MigrationRefused, or one of `connection.TROUBLE`.
    """
    return run_blocking(apply_migrations(dsn))


def status(dsn: str) -> Status:
    """What a database holds, compared with this build. Changes nothing. Raises one of `connection.TROUBLE`."""
    return run_blocking(_status(dsn))


def migrations_directory() -> Path:
    """The repository's own directory in a source tree, package data in an installed wheel."""
    return migrations_beside(Path(__file__).resolve().parents[1])


def migrations_beside(package: Path) -> Path:
    """An editable install leaves a copy inside the package: the files that people edit win over it."""
    repository = package.parents[1]
    own = repository / "migrations"
    return own if (repository / "Cargo.toml").is_file() and own.is_dir() else package / "migrations"


def load_migrations(directory: Path) -> list[Migration]:
    """The files in order. Raises MigrationRefused for a name that does not fit and for a gap in the numbers."""
    migrations: list[Migration] = []
    for file in sorted(directory.glob("*.sql")):
        # A checkout with other line ends is the same migration.
        content = file.read_bytes().replace(b"\r\n", b"\n")
        match = NAME.fullmatch(file.name)
        if match is None or int(match[1]) != len(migrations) + 1:
            raise MigrationRefused(
                f"{directory}: expected a file named {len(migrations) + 1:04}_<words>.sql, found {file.name}: "
                "migrations are numbered without gaps; reinstall ordergate if you did not write one yourself"
            )
        migrations.append(Migration(int(match[1]), file.stem, hashlib.sha256(content).digest(), content.decode()))
    if not migrations:
        raise MigrationRefused(f"{directory}: no migrations found; reinstall ordergate")
    return migrations


def pending(migrations: Sequence[Migration], applied: Sequence[Any]) -> list[Migration]:
    """What is still to be applied. Raises MigrationRefused when the database is ahead, or holds an edited file."""
    known = len(migrations)
    ahead = [row["name"] for row in applied if row["version"] > known]
    if ahead:
        raise MigrationRefused(
            f"the database is ahead of this build: it has {', '.join(ahead)}, this build ends with "
            f"{migrations[-1].name}. Start the newer ordergate that applied it, or restore a backup from before"
        )
    for position, row in enumerate(applied, start=1):
        ours = migrations[position - 1]
        if row["version"] != ours.version or row["name"] != ours.name:
            raise MigrationRefused(
                f"the database has {row['name']} where this build has {ours.name}: it was migrated by another program "
                "or by hand. Point DATABASE_URL at ordergate's own database, or restore a backup"
            )
        if bytes(row["sha256"]) != ours.sha256:
            raise MigrationRefused(
                f"{ours.name}.sql was edited after it was applied on {row['applied_at']:%Y-%m-%d %H:%M} UTC "
                f"(sha256 {bytes(row['sha256']).hex()[:12]} then, {ours.sha256.hex()[:12]} now). Put the released file "
                f"back and write the change as {known + 1:04}_<words>.sql"
            )
    return list(migrations[len(applied) :])


async def apply_migrations(dsn: str, directory: Path | None = None) -> list[str]:
    """The asynchronous form of `migrate`."""
    migrations = load_migrations(directory or migrations_directory())
    connection = await connect(dsn, "migrate", statement_s=FILE_S)
    try:
        if not pending(migrations, await _applied(connection)):
            return []
        await _lock(connection)
        await _check_encoding(connection)
        await bounded(connection, connection.execute(_TABLE), SHORT_S)
        todo = pending(migrations, await _applied(connection))  # another starter may have been faster
        for migration in todo:
            await bounded(connection, _apply(connection, migration), FILE_S)
        return [migration.name for migration in todo]
    finally:
        await close(connection)  # this also gives the lock back


async def check_database(dsn: str, directory: Path | None = None) -> None:
    """Raises MigrationRefused when this build does not fully know the database, or one of `connection.TROUBLE`."""
    migrations = load_migrations(directory or migrations_directory())
    connection = await connect(dsn, "migrate")
    try:
        pending(migrations, await _applied(connection))
    finally:
        await close(connection)


async def _status(dsn: str) -> Status:
    migrations = load_migrations(migrations_directory())
    connection = await connect(dsn, "migrate")
    try:
        applied = await _applied(connection)
    finally:
        await close(connection)
    names = [row["name"] for row in applied]
    try:
        return Status(names, [migration.name for migration in pending(migrations, applied)], None)
    except MigrationRefused as refused:
        return Status(names, [], str(refused))


async def _applied(connection: Connection) -> Sequence[Any]:
    there = await bounded(connection, connection.fetchval("SELECT to_regclass('ordergate.migrations')::text"), SHORT_S)
    return [] if there is None else await bounded(connection, connection.fetch(_APPLIED), SHORT_S)


async def _lock(connection: Connection) -> None:
    deadline = asyncio.get_running_loop().time() + LOCK_WAIT_S
    while not await bounded(connection, connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY), SHORT_S):
        if asyncio.get_running_loop().time() > deadline:
            raise PostgresLate(f"another process has been migrating this database for {LOCK_WAIT_S:g} s")
        await asyncio.sleep(LOCK_POLL_S)


async def _check_encoding(connection: Connection) -> None:
    encoding = await bounded(connection, connection.fetchval("SHOW server_encoding"), SHORT_S)
    if encoding != "UTF8":
        raise MigrationRefused(
            f"the database's encoding is {encoding}, but venues and clients send Unicode: create it anew with "
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


async def _apply(connection: Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(_RECORD, migration.version, migration.name, migration.sha256)
