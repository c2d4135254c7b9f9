"""The rows of the real follower, by both ways into Postgres: they say the same, to the last digit."""

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from ordergate import _core
from ordergate.persistence.migrate import migrate
from ordergate.persistence.watermark import EVENT_CHAIN_START, NOTHING_YET
from ordergate.persistence.write_behind import TABLES, Writer, write
from tests.integration import real_journal
from tests.integration.postgres_server import PostgresServer

ORDERS = 600
RELATIONS = [
    "execution.order_events", "execution.orders", "execution.fills", "execution.portfolio_events_outbox",
    "execution.sessions", "execution.alarms", "execution.instruments", "execution.parked_records",
    "identity.accounts", "identity.api_keys", "risk.limits", "risk.kill_switch_events", "risk.change_requests",
    "execution.drifts", "execution.reconciliation_runs",
    "risk.restrictions", "risk.schedules", "risk.heartbeats", "strategy.strategies",
]  # fmt: skip


def journal(data: Path) -> int:
    """A journal in which each table has something; its last record."""
    gateway = real_journal.created(data)
    session = real_journal.begin(gateway)
    real_journal.trade(gateway, session, range(ORDERS))
    gateway.kill_on("global", "", 1, 'drill \u2713 \x01 "quoted" \\', "ann", "cli")
    gateway.kill_off("global", "", "ann", "cli")
    for name, value in (("MAX_ORDER_QTY", "90"), ("MAX_OPEN_ORDERS", None)):
        change = gateway.set_limit("account", "bench", None, name, value, None, "ann", "rules")
    assert isinstance(change, tuple) and change[0] == "WAITING"
    gateway.approve(change[1], "bob")
    gateway.request_override("bench", "BTCUSDT", ["MAX_ORDER_QTY"], 1000, "ann", "once")
    gateway.create_strategy("grid", "bench", "ann", "cli", "new")
    gateway.start_strategy("grid", "ann", "cli", "go")
    gateway.restrict("bench", "BTCUSDT", True, "ann", "delisting")
    gateway.set_schedule(None, 31, 0, 1440, "ann", "weekdays")
    gateway.create_key("bench", "cid", "desk", hashlib.sha256(b"og_desk").digest(), ["trade", "kill"], 0, None)
    assert gateway.heartbeat("Bearer og_desk", "account", None, 5000) == "bench"
    key = gateway.create_key("bench", "bob", "old", b"\x02" * 32, ["read"], 1, gateway.now_ns())
    gateway.revoke_key(key)
    live(gateway)
    gateway.close()
    last: int = gateway.last_seq
    return last


def live(gateway: _core.Gateway) -> None:
    """What a LIVE venue tells."""
    session, _ = gateway.open_session("binance", "LIVE", 2)
    run = {
        "trigger": "gap",
        "startedNs": 5,
        "durationMs": 7,
        "complete": False,
        "error": "HTTP 500",
        "counts": {"a": 3},
    }
    reports = [
        ("EXTERNAL", "bench", "BTCUSDT", "77", "web_1", "BUY", "LIMIT", "GTC", "1", "0", "9", None),
        *[("DRIFT", "bench", "BTCUSDT", kind, "more") for kind in ("QUANTITY", "EXTERNAL")],
        ("DRIFT_EXPLAINED", "bench", "BTCUSDT", "QUANTITY"),
        ("DRIFT", "bench", "", "BALANCE", "5 more"),
        ("DRIFT_EXPLAINED", "bench", "", "BALANCE"),
        ("DRIFT", "bench", "", "BALANCE", "6 more"),
        ("RECONCILED", "bench", run),
    ]
    gateway.reports(session, msgspec.msgpack.encode(reports))


def without_copy(rows: _core.Rows) -> Any:
    """The same batch, all of it by INSERT."""
    every: Mapping[str, Any] = rows.tables
    assert every.keys() == {*rows.copied, *rows.merged}
    assert {name: every[name] for name in rows.merged} == rows.merged
    plain = {name: getattr(rows, name) for name in ("first_seq", "last_seq", "epoch", "chunk_hash", "event_hash")}
    return SimpleNamespace(**plain, copied={}, merged=every, tables=every)


def stored(server: PostgresServer, dsn: str) -> dict[str, str]:
    """Every row of every table, as text."""
    return {name: server.psql(f"SELECT t::text FROM {name} t ORDER BY t::text", dsn) for name in RELATIONS}


def server_counts(server: PostgresServer, dsn: str) -> list[str]:
    """Differences that nobody has explained."""
    query = "SELECT class || '|' || detail FROM execution.drifts WHERE explained_at IS NULL ORDER BY 1"
    return server.psql(query, dsn).splitlines()


def test_copy_and_insert_store_the_same(tmp_path: Path, postgres: PostgresServer) -> None:
    last = journal(tmp_path)
    found = []
    seen = set()
    for by_copy in (True, False):
        dsn = postgres.create_database()
        migrate(dsn)

        async def scene(dsn: str = dsn, by_copy: bool = by_copy) -> None:
            follower = _core.Follower(str(tmp_path / "journal"))
            follower.start_rows(0, b"", EVENT_CHAIN_START)
            writer = Writer(dsn, NOTHING_YET)
            while (rows := follower.poll_rows(500)) is not None:
                seen.update(rows.tables)
                await write(writer, rows if by_copy else without_copy(rows))
            writer.drop_connection()
            assert (writer.watermark.last_seq, writer.parked) == (last, 0)

        asyncio.run(scene())
        found.append(stored(postgres, dsn))
    assert found[0] == found[1]
    assert seen == set(TABLES)
    assert found[0]["execution.order_events"].count("\n") + 1 == ORDERS * real_journal.RECORDS_PER_ORDER + 1
    assert "account,bench,5000," in found[0]["risk.heartbeats"]
    open_now = server_counts(postgres, dsn)
    assert open_now == ["BALANCE|6 more", "EXTERNAL|more"]
    assert (
        "gap" in found[0]["execution.reconciliation_runs"] and "HTTP 500" in found[0]["execution.reconciliation_runs"]
    )
    assert postgres.psql("SELECT count(*) FROM execution.orders WHERE external", dsn) == "1"
    assert "drill ✓" in found[0]["risk.kill_switch_events"]


def test_a_batch_ends_with_a_state_hash_when_asked_to(tmp_path: Path) -> None:
    real_journal.created(tmp_path).close()
    gateway = _core.Gateway.open(str(tmp_path / "journal"), str(tmp_path / "snapshots"), state_hash_every=500)
    real_journal.trade(gateway, real_journal.begin(gateway), range(ORDERS), 20, flush_each=True)
    gateway.close()

    def batches(**options: bool) -> list[tuple[int, int]]:
        follower = _core.Follower(str(tmp_path / "journal"))
        follower.start_rows(0, b"", EVENT_CHAIN_START)
        seen = []
        while (rows := follower.poll_rows(1_000_000, **options)) is not None:
            seen.append((rows.last_seq, follower.hash_agreed_seq()))
        return seen

    *whole, last = batches(to_state_hash=True)
    assert len(whole) >= 3
    assert all(end == agreed for end, agreed in whole)
    assert batches() == [last]
