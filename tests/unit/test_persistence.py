"""The persistence room without a server: statements by name, migration files, bounded waits."""

import asyncio
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ordergate.persistence import connection as bounds
from ordergate.persistence import write_behind
from ordergate.persistence.connection import PostgresLate, bounded, describe, is_data_error, run_blocking
from ordergate.persistence.migrate import (
    Migration,
    MigrationRefused,
    load_migrations,
    migrations_beside,
    migrations_directory,
    pending,
)
from ordergate.persistence.statements import named_statements
from ordergate.persistence.watermark import ask_watermark, read_watermark


def test_each_table_has_one_statement_with_a_parameter_for_each_of_its_columns() -> None:
    statements = named_statements(Path(write_behind.__file__).with_suffix(".sql"))
    assert set(write_behind.TABLES) <= set(statements)
    for table in write_behind.TABLES:
        numbers = sorted({int(number) for number in re.findall(r"\$(\d+)", statements[table])})
        names = re.search(r"AS r \(([^)]*)\)", statements[table])
        assert names is not None
        assert numbers == list(range(1, names[1].count(",") + 2)), table


def test_names_in_a_file_are_unique(tmp_path: Path) -> None:
    file = tmp_path / "some.sql"
    file.write_text("-- Words.\n\n-- name: one\nSELECT 1;\n\n-- name: two\n-- why\nSELECT\n  2;\n")
    assert named_statements(file) == {"one": "SELECT 1", "two": "-- why\nSELECT\n  2"}
    file.write_text("-- Words.\n\n-- name: one\nSELECT 1;\n\n-- name: one\nSELECT 2;\n")
    with pytest.raises(ValueError, match="two statements are named one"):
        named_statements(file)


def test_the_migrations_of_this_build_are_found_and_numbered() -> None:
    migrations = load_migrations(migrations_directory())
    assert [migration.version for migration in migrations] == list(range(1, len(migrations) + 1))
    assert migrations[0].name == "0001_schema"


def test_a_source_tree_does_not_read_the_copy_that_an_editable_install_left(tmp_path: Path) -> None:
    package = tmp_path / "pyapp" / "ordergate"
    copy, own = package / "migrations", tmp_path / "migrations"
    copy.mkdir(parents=True)
    own.mkdir()
    assert migrations_beside(package) == copy  # an installed wheel: no Cargo.toml beside it
    (tmp_path / "Cargo.toml").touch()
    assert migrations_beside(package) == own


@pytest.mark.parametrize("names", [[], ["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"],
                                   ["1_a.sql"], ["0001_a.sql", "0002-b.sql"]])  # fmt: skip
def test_files_with_gaps_or_other_names_are_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationRefused, match="reinstall ordergate"):
        load_migrations(tmp_path)


def row(version: int, name: str, sha256: bytes) -> dict[str, Any]:
    """What the database remembers of a migration."""
    return {"version": version, "name": name, "sha256": sha256, "applied_at": datetime(2026, 11, 1, tzinfo=UTC)}


def test_what_is_pending_follows_what_is_applied() -> None:
    ours = [Migration(1, "0001_a", b"a", ""), Migration(2, "0002_b", b"b", "")]
    a, b = row(1, "0001_a", b"a"), row(2, "0002_b", b"b")
    assert pending(ours, []) == ours
    assert pending(ours, [a]) == ours[1:]
    assert pending(ours, [a, b]) == []
    for applied, words in (
        ([a, b, row(3, "0003_c", b"c")], "ahead of this build: it has 0003_c, this build ends with 0002_b"),
        ([row(1, "0001_a", b"x")], "0001_a.sql was edited after it was applied on 2026-11-01 00:00 UTC"),
        ([row(2, "0002_b", b"b")], "0002_b where this build has 0001_a"),
    ):
        with pytest.raises(MigrationRefused, match=words):
            pending(ours, applied)


class Silent:
    """A connection whose server never answers: only `terminate` ends what waits on it."""

    def __init__(self) -> None:
        self.terminated = asyncio.Event()

    async def fetchval(self, query: str) -> None:
        try:
            await self.terminated.wait()
        except asyncio.CancelledError:
            raise AssertionError("cancelled before it was terminated: asyncpg would open another connection") from None
        raise ConnectionError(query)

    def terminate(self) -> None:
        self.terminated.set()


def test_a_late_command_is_ended_by_terminating_its_connection() -> None:
    async def scene() -> float:
        silent = Silent()
        began = time.monotonic()
        with pytest.raises(PostgresLate, match=r"within 0\.05 s"):
            await bounded(silent, silent.fetchval("SELECT 1"), 0.05)  # type: ignore[arg-type]
        assert silent.terminated.is_set()
        return time.monotonic() - began

    assert asyncio.run(scene()) < 1


def test_a_canceled_wait_terminates_its_connection_too() -> None:
    async def scene() -> None:
        silent = Silent()
        waiting = asyncio.create_task(bounded(silent, silent.fetchval("SELECT 1"), 60))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert silent.terminated.is_set()

    asyncio.run(scene())


def test_an_answer_that_came_while_we_were_busy_is_no_time_out() -> None:
    async def scene() -> int:
        async def answer() -> int:
            await asyncio.sleep(0.01)
            await asyncio.sleep(0)
            return 7

        waiting = asyncio.create_task(bounded(Silent(), answer(), 0.02))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        time.sleep(0.1)  # the loop itself was late, not the server
        return await waiting

    assert asyncio.run(scene()) == 7


def test_errors_are_told_in_one_line_with_their_sqlstate() -> None:
    class Full(Exception):
        sqlstate = "53100"

    class TooLong(Exception):
        sqlstate = "54000"

    assert describe(Full("no space left\nDETAIL: more")) == "Full 53100: no space left"
    assert describe(TimeoutError()) == "TimeoutError"
    assert is_data_error(TooLong())
    assert not is_data_error(Full())
    assert not is_data_error(TimeoutError())


def test_blocking_forms_refuse_to_block_a_running_loop() -> None:
    async def scene() -> None:
        with pytest.raises(RuntimeError, match="would block the running event loop"):
            read_watermark("postgresql://nowhere", 1)
        with pytest.raises(RuntimeError):
            run_blocking(ask_watermark("postgresql://nowhere", 1))

    asyncio.run(scene())


def test_limits_find_a_frozen_server_within_two_seconds() -> None:
    assert bounds.HEARTBEAT_EVERY_S + bounds.HEARTBEAT_S + bounds.SECOND_LOOK_S <= 2
    assert bounds.CONNECT_S <= 2
