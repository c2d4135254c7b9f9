"""Migrations against a real Postgres: once, in order, and never over a database that does not fit."""

import asyncio
import shutil
from pathlib import Path

import asyncpg
import pytest

from ordergate.persistence import migrate
from ordergate.persistence.connection import TROUBLE
from ordergate.persistence.migrate import MigrationRefused, apply_migrations, migrations_directory
from tests.integration.postgres_server import PostgresServer


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the released migrations, to be changed."""
    return Path(shutil.copytree(migrations_directory(), tmp_path / "migrations"))


def add(directory: Path, words: str, sql: str) -> str:
    """Writes the next migration; its name."""
    name = f"{len(list(directory.glob('*.sql'))) + 1:04}_{words}"
    (directory / f"{name}.sql").write_text(sql)
    return name


def test_a_new_database_gets_everything_once(dsn: str, postgres: PostgresServer) -> None:
    names = [file.stem for file in sorted(migrations_directory().glob("*.sql"))]
    before = migrate.status(dsn)
    assert (before.applied, before.pending, before.problem) == ([], names, None)
    assert migrate.migrate(dsn) == names
    assert migrate.migrate(dsn) == []
    after = migrate.status(dsn)
    assert (after.applied, after.pending, after.problem) == (names, [], None)
    tables = postgres.psql("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'execution'", dsn)
    assert int(tables) >= 7


def test_starters_that_race_apply_it_once(dsn: str) -> None:
    async def race() -> list[list[str]]:
        return await asyncio.gather(*(apply_migrations(dsn) for _ in range(6)))

    results = asyncio.run(race())
    assert sorted(map(len, results))[-2:] == [0, len(list(migrations_directory().glob("*.sql")))]


def test_an_edited_migration_is_refused_and_named(dsn: str, directory: Path) -> None:
    asyncio.run(apply_migrations(dsn, directory))
    first = directory / "0001_schema.sql"
    first.write_text(first.read_text() + "\n-- one more comment\n")
    add(directory, "more", "CREATE TABLE public.more (id integer)")
    with pytest.raises(MigrationRefused, match=r"0001_schema\.sql was edited after it was applied.*Put the released"):
        asyncio.run(apply_migrations(dsn, directory))


def test_other_line_ends_are_no_edit(dsn: str, directory: Path) -> None:
    asyncio.run(apply_migrations(dsn, directory))
    for file in directory.glob("*.sql"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert asyncio.run(apply_migrations(dsn, directory)) == []


def test_a_database_ahead_of_the_build_is_refused(dsn: str, directory: Path) -> None:
    newer = add(directory, "newer", "CREATE TABLE public.newer (id integer)")
    asyncio.run(apply_migrations(dsn, directory))
    with pytest.raises(MigrationRefused, match=rf"ahead of this build: it has {newer}.*Start the newer ordergate"):
        migrate.migrate(dsn)
    problem = migrate.status(dsn).problem
    assert problem is not None
    assert newer in problem


def test_a_database_of_another_program_is_refused(dsn: str, directory: Path, postgres: PostgresServer) -> None:
    asyncio.run(apply_migrations(dsn, directory))
    postgres.psql("UPDATE ordergate.migrations SET name = '0001_invoices'", dsn)
    with pytest.raises(MigrationRefused, match="0001_invoices where this build has 0001_schema"):
        asyncio.run(apply_migrations(dsn, directory))


def test_a_failing_file_leaves_nothing_and_earlier_files_stay(
    dsn: str, directory: Path, postgres: PostgresServer
) -> None:
    add(directory, "good", "CREATE TABLE public.good (id integer)")
    bad = add(directory, "bad", "CREATE TABLE public.half (id integer); SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        asyncio.run(apply_migrations(dsn, directory))
    assert postgres.psql("SELECT to_regclass('public.good'), to_regclass('public.half')", dsn) == "good|"
    (directory / f"{bad}.sql").write_text("CREATE TABLE public.half (id integer)")
    assert asyncio.run(apply_migrations(dsn, directory)) == [bad]


def test_a_held_lock_is_waited_for(dsn: str) -> None:
    async def scene() -> tuple[bool, list[str]]:
        holder = await asyncpg.connect(dsn)
        await holder.fetchval("SELECT pg_advisory_lock($1)", migrate.LOCK_KEY)
        starter = asyncio.create_task(apply_migrations(dsn))
        await asyncio.sleep(0.6)
        waited = not starter.done()
        await holder.close()
        return waited, await starter

    waited, applied = asyncio.run(scene())
    assert waited
    assert applied


def test_another_encoding_is_refused_before_anything_is_made(postgres: PostgresServer) -> None:
    postgres.psql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
    with pytest.raises(MigrationRefused, match="encoding is LATIN1"):
        migrate.migrate(postgres.dsn("latin"))
    assert postgres.psql("SELECT to_regnamespace('ordergate')", postgres.dsn("latin")) == ""


def test_a_server_that_is_not_there_is_trouble_not_refusal(tmp_path: Path) -> None:
    with pytest.raises(TROUBLE):
        migrate.migrate(f"postgresql://ordergate@/ordergate?host={tmp_path}")
