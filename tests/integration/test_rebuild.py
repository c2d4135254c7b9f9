"""`ordergate db rebuild`: row by row what the worker wrote, whatever lay in the journal and whatever in the archive."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ordergate.config import Paths
from ordergate.supervisor import leftovers
from ordergate.supervisor.placement import SYSTEM_HOME
from ordergate.supervisor.up import hold_directory
from ordergate.worker import follow
from ordergate.worker import rebuild as rebuilding
from ordergate.worker.main import take_lock
from tests.integration import past
from tests.integration.postgres_server import PostgresServer

TIMES_OF_PROCESSING = {
    "execution.portfolio_events_outbox": "processed_at",  # when the portfolio's reader took the event
    "execution.watermark": "updated_at",  # when Postgres took the newest batch
}
"""Table -> the column that tells when a row was worked on, and nothing of what happened. All others are compared."""
FILLED = {
    "execution.alarms", "execution.fills", "execution.instruments", "execution.order_events", "execution.orders",
    "execution.portfolio_events_outbox", "execution.sessions", "execution.watermark", "identity.accounts",
    "identity.api_keys", "portfolio.balances", "portfolio.cursor", "portfolio.positions", "risk.heartbeats",
    "risk.kill_switch_events", "risk.limits",
}  # fmt: skip
"""Tables in which this past has left something."""


def tables(server: PostgresServer, dsn: str) -> dict[str, list[str]]:
    """Every row of every table of ours, as text, and the columns with their types."""
    names = server.psql(
        "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_schema IN"
        " ('execution', 'portfolio', 'identity', 'risk', 'strategy') ORDER BY 1",
        dsn,
    ).splitlines()
    assert len(names) >= 15
    found = {}
    for name in names:
        row = f"to_jsonb(t) - '{TIMES_OF_PROCESSING.get(name, '')}'"
        # json keeps its text: jsonb would make equal what is not.
        found[name] = server.psql(
            f"SELECT ({row})::text || {texts(server, dsn, name)} FROM {name} t ORDER BY 1", dsn
        ).splitlines()
    found["columns"] = server.psql(
        "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema IN ('execution', 'portfolio', 'identity', 'risk', 'strategy') ORDER BY 1, 2, 3",
        dsn,
    ).splitlines()
    return found


def texts(server: PostgresServer, dsn: str, name: str) -> str:
    """The json columns of a table as they were written."""
    schema, table = name.split(".")
    columns = server.psql(
        f"SELECT column_name FROM information_schema.columns WHERE table_schema = '{schema}'"
        f" AND table_name = '{table}' AND data_type = 'json'",
        dsn,
    ).splitlines()
    return " || ".join(["''", *(f"{column}::text" for column in columns)])


def command(dsn: str | None, paths: Paths, *arguments: str) -> subprocess.CompletedProcess[str]:
    place = {} if dsn is None else {"DATABASE_URL": dsn}
    return subprocess.run(
        [sys.executable, "-m", "ordergate", "db", "rebuild", "--data-dir", str(paths.data), *arguments],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": "pyapp", **place},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def installation(tmp_path: Path, dsn: str) -> Paths:
    """Written to Postgres as it happened; two thirds of the segments archived, and the gateway started once more."""
    paths = past.traded(tmp_path / "data")
    past.run_worker(dsn, paths)
    past.snapshot_twice(paths)
    segments = sorted(int(file.stem) for file in paths.journal.glob("*.seg"))
    assert len(past.archive_all(paths, segments[len(segments) * 2 // 3])) > 3
    gateway = past.opened(paths)
    past.trade(gateway, range(5_000, 5_050))
    gateway.close()
    past.run_worker(dsn, paths)
    return paths


def test_everything_is_rebuilt_row_by_row(installation: Paths, dsn: str, postgres: PostgresServer) -> None:
    before = tables(postgres, dsn)
    filled = {name for name, rows in before.items() if rows}
    assert filled >= {*FILLED, "columns"}, "the comparison must have something to compare"
    assert len(postgres.psql("SELECT DISTINCT kind FROM execution.order_events", dsn).splitlines()) > 8
    assert len(postgres.psql("SELECT DISTINCT kind FROM execution.alarms", dsn).splitlines()) > 2
    for damage in (
        "DELETE FROM execution.fills WHERE seq % 3 = 0",
        "UPDATE execution.orders SET status = 'NEW', quantity = quantity + 1",
        "UPDATE portfolio.balances SET total = 0",
        "ALTER TABLE risk.limits DROP COLUMN reason",
        "DROP TABLE execution.sessions",
        "INSERT INTO identity.accounts VALUES ('mallory', now(), 1)",
    ):
        postgres.psql(damage, dsn)
    done = command(dsn, installation, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "records read" in done.stdout
    assert "records written" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("rebuilt up to record ")
    after = tables(postgres, dsn)
    for name in before:
        assert after[name] == before[name], name
    assert postgres.psql("SELECT to_regclass('ordergate.rebuild') IS NULL", dsn) == "t"
    # The worker goes on where the rebuild ended, and another rebuild begins anew.
    assert past.run_worker(dsn, installation) == int(postgres.psql("SELECT last_seq FROM execution.watermark", dsn))
    other = postgres.create_database()
    assert command(other, installation, "--yes").returncode == 0
    assert tables(postgres, other) == before


def test_an_interrupted_rebuild_goes_on(
    installation: Paths, dsn: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tables(postgres, dsn)
    monkeypatch.setattr(rebuilding, "BATCH_RECORDS", 300)
    real: Any = rebuilding.write
    writes = 0

    class Interrupted(Exception):
        pass

    async def some(writer: Any, batch: Any) -> None:
        nonlocal writes
        await real(writer, batch)
        writes += 1
        if writes % 3 == 0:
            raise Interrupted

    monkeypatch.setattr(rebuilding, "write", some)
    marks, interruptions = [], 0
    while True:
        try:
            asyncio.run(rebuilding.rebuild(dsn, installation, lambda *_: None))
            break
        except Interrupted:
            interruptions += 1
            marks.append(int(postgres.psql("SELECT last_seq FROM execution.watermark", dsn)))
            assert postgres.psql("SELECT to_regclass('ordergate.rebuild') IS NOT NULL", dsn) == "t"
    assert interruptions > 3
    assert marks == sorted(set(marks)), "none begins at the beginning again"
    assert tables(postgres, dsn) == before
    # A worker that comes in between finishes it; the rebuild after that begins anew.
    writes = 0
    with pytest.raises(Interrupted):
        asyncio.run(rebuilding.rebuild(dsn, installation, lambda *_: None))
    asyncio.run(follow._migrated(dsn))
    assert postgres.psql("SELECT to_regclass('ordergate.rebuild') IS NULL", dsn) == "t"
    assert past.run_worker(dsn, installation) > marks[-1]
    assert tables(postgres, dsn) == before


def test_our_own_server_runs_for_as_long_as_it_takes(tmp_path: Path) -> None:
    paths = past.traded(tmp_path / "data", 100)
    try:
        with hold_directory(paths):
            running = command(None, paths, "--yes")
        assert (running.returncode, "ordergate is already running" in running.stderr) == (2, True)
        for _ in range(2):
            done = command(None, paths, "--yes")
            assert done.returncode == 0, done.stderr
            assert "rebuilt up to record" in done.stdout
            assert leftovers.remembered(paths.children) == []
    finally:
        # Under root its files may be in a place of their own.
        shutil.rmtree(SYSTEM_HOME / paths.install.read_text().strip(), ignore_errors=True)


def test_nothing_is_dropped_unless_all_of_it_can_be_written_again(
    installation: Paths, dsn: str, postgres: PostgresServer
) -> None:
    before = tables(postgres, dsn)
    asked = command(dsn, installation)
    assert (asked.returncode, "say --yes" in asked.stderr) == (2, True)
    lock = take_lock(installation.worker_lock)
    assert lock is not None
    running = command(dsn, installation, "--yes")
    assert (running.returncode, "the worker is running" in running.stderr) == (2, True)
    os.close(lock)
    postgres.psql("INSERT INTO ordergate.migrations VALUES (99, '0099_newer', '')", dsn)
    ahead = command(dsn, installation, "--yes")
    assert (ahead.returncode, "ahead of this build" in ahead.stderr) == (2, True)
    postgres.psql("DELETE FROM ordergate.migrations WHERE version = 99", dsn)
    archived = sorted(installation.archive.glob("*.seg.zst"))
    for file in (archived[0], archived[2], archived[-1]):
        kept = file.read_bytes()
        file.unlink()
        lost = command(dsn, installation, "--yes")
        assert lost.returncode == 1
        assert "archive and journal do not hold every record: " in lost.stderr
        assert f"record {int(file.name[:20])} is committed, and it is not there" in lost.stderr
        middle = len(kept) // 2
        file.write_bytes(kept[:middle] + bytes([kept[middle] ^ 1]) + kept[middle + 1 :])
        assert command(dsn, installation, "--yes").returncode == 1
        file.write_bytes(kept)
    assert tables(postgres, dsn) == before
