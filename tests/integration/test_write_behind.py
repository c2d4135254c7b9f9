"""The write-behind against a real Postgres: each batch once, whatever breaks, and never onto another history."""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ordergate.persistence import PostgresUnreadable, read_watermark
from ordergate.persistence.connection import TROUBLE, connect, watch
from ordergate.persistence.migrate import migrate
from ordergate.persistence.watermark import NOTHING_YET, Watermark
from ordergate.persistence.write_behind import Fenced, Writer, write
from tests.integration.batches import START_NS, Rows, empty, history
from tests.integration.postgres_server import PostgresServer

SCOPES = ["orders:write", "orders:read"]


@pytest.fixture
def database(dsn: str) -> str:
    """A migrated database."""
    migrate(dsn)
    return dsn


def written(dsn: str, *batches: Rows) -> Writer:
    """Writes the batches; the writer afterwards, without its connection."""

    async def scene() -> Writer:
        writer = Writer(dsn, NOTHING_YET)
        for batch in batches:
            await write(writer, batch)
        writer.drop_connection()
        return writer

    return asyncio.run(scene())


def fetch(dsn: str, query: str) -> list[dict[str, Any]]:
    """The rows of a query."""

    async def scene() -> list[dict[str, Any]]:
        connection = await connect(dsn, "test")
        try:
            return [dict(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(scene())


def target(batch: Rows) -> Watermark:
    """The watermark after the batch."""
    return Watermark(batch.last_seq, batch.epoch, batch.chunk_hash, batch.event_hash)


def moment(ns: int) -> datetime:
    """The instant, without a float."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)


def counts(dsn: str) -> tuple[int | None, ...]:
    """Rows of events, orders, fills and outbox, and the watermark."""
    (row,) = fetch(
        dsn,
        "SELECT (SELECT count(*) FROM execution.order_events) AS events,"
        " (SELECT count(*) FROM execution.orders) AS orders,"
        " (SELECT count(*) FROM execution.fills) AS fills,"
        " (SELECT count(*) FROM execution.portfolio_events_outbox) AS outbox,"
        " (SELECT max(last_seq) FROM execution.watermark) AS watermark",
    )
    return tuple(row.values())


def test_every_table_and_every_value_arrives(database: str) -> None:
    t = START_NS
    batch = next(history(1, 1))
    batch = (
        batch.with_table("accounts", ("alpha", t, 1))
        .with_table("api_keys", (0, "alpha", "ann", "bot", b"\x01" * 32, SCOPES, 50, t, None, "", "", 2),
                    (1, "alpha", "bob", "old", b"\x02" * 32, "orders:read", 0, t, t + 1000, "BTCUSDT,ETHUSDT", "::1",
                     2))
        .with_table("api_keys_revoked", (1, t + 2000, 3))
        .with_table("instruments", ("BTCUSDT", "BTC", "USDT", "BREAK", '{"tickSize":"0.01"}', 1),
                    ("BTCUSDT", "BTC", "USDT", "TRADING", '{"tickSize":"0.1"}', 2))
        .with_table("limits", (1, "firm", "", None, "MAX_ORDER_QTY", None, "1.5", "ann", None, "start", t, 2),
                    (2, "account", "alpha", "BTCUSDT", "MAX_ORDER_QTY", "1.5", None, "bob", "eve", "", t, 3))
        .with_table("sessions", (2, "paper", "PAPER", 4711, t))
        .with_table("kill_switch_events", (3, "global", "", True, 2, "drill", "ann", "cli", t))
        .with_table("alarms", (4, None, "PARKED", "UNKNOWN_ORDER", "a fill of nobody's", t))
    )  # fmt: skip
    writer = written(database, batch)
    assert (writer.watermark, writer.fill_conflicts) == (target(batch), 0)

    (order,) = fetch(database, "SELECT * FROM execution.orders")
    at = START_NS + 1_000_000
    assert order == {
        "id": 1, "account_id": "beta", "client_order_id": "c-1", "idempotency_key": "key-1", "mode": "PAPER",
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": Decimal("0.01"),
        "price": Decimal("40000.5"), "status": "FILLED", "filled_quantity": Decimal("0.01"),
        "filled_quote": Decimal("400.005"), "avg_fill_price": Decimal("40000.5"), "rejected_by": None, "reason": None,
        "strategy_id": None, "venue_order_id": "v1", "created_at": moment(at), "durable_at": moment(at + 1),
        "sent_at": moment(at + 2), "acked_at": moment(at + 3), "updated_at": moment(at + 4), "last_seq": 4,
        "facts": b"f", "external": True, "stop_price": None, "quote_order_qty": None, "expire_at": None,
        "replaces": None, "replaced_by": None,
    }  # fmt: skip
    events = fetch(database, "SELECT seq, kind, payload, prev_hash, hash FROM execution.order_events ORDER BY seq")
    assert [event["seq"] for event in events] == [1, 2, 3, 4]
    assert [event["kind"] for event in events] == ["ORDER_ACCEPTED", "SUBMIT_STARTED", "ACKED", "FILL"]
    assert [event["payload"] for event in events] == batch.tables["order_events"][
        5
    ]  # byte for byte: the chain covers it
    assert all(after["prev_hash"] == before["hash"] for before, after in itertools.pairwise(events))
    assert events[-1]["hash"] == batch.event_hash
    (fill,) = fetch(database, "SELECT exchange_fill_id, price, fee, maker, traded_at, seq FROM execution.fills")
    assert fill == {
        "exchange_fill_id": "7-1", "price": Decimal("40000.5"), "fee": Decimal("0.00001"), "maker": False,
        "traded_at": moment(at + 3), "seq": 4,
    }  # fmt: skip
    (outbox,) = fetch(database, "SELECT kind, payload, created_at, processed_at FROM execution.portfolio_events_outbox")
    assert outbox["payload"] == batch.tables["outbox"][4][0]
    assert outbox["processed_at"] is None
    keys = fetch(database, "SELECT * FROM identity.api_keys ORDER BY id")
    assert [key["scopes"] for key in keys] == [SCOPES, ["orders:read"]]
    assert [key["expires_at"] for key in keys] == [None, moment(t + 1000)]
    assert [key["revoked_at"] for key in keys] == [None, moment(t + 2000)]
    assert keys[0]["token_sha256"] == b"\x01" * 32
    (instrument,) = fetch(database, "SELECT status, filters, last_seq FROM execution.instruments")
    assert instrument == {"status": "TRADING", "filters": '{"tickSize":"0.1"}', "last_seq": 2}
    limits = fetch(database, "SELECT target, symbol, old, new, approved_by FROM risk.limits ORDER BY version")
    assert limits == [
        {"target": "", "symbol": None, "old": None, "new": Decimal("1.5"), "approved_by": None},
        {"target": "alpha", "symbol": "BTCUSDT", "old": Decimal("1.5"), "new": None, "approved_by": "eve"},
    ]
    assert [key["symbols"] for key in keys] == [[], ["BTCUSDT", "ETHUSDT"]]
    assert [key["ip_allow"] for key in keys] == [[], ["::1"]]
    (kill,) = fetch(database, "SELECT scope, active, level, at FROM risk.kill_switch_events")
    assert kill == {"scope": "global", "active": True, "level": 2, "at": moment(t)}
    assert fetch(database, "SELECT id, pid, opened_at FROM execution.sessions") == [
        {"id": 2, "pid": 4711, "opened_at": moment(t)}
    ]
    assert fetch(database, "SELECT code, order_id FROM execution.alarms") == [
        {"code": "UNKNOWN_ORDER", "order_id": None}
    ]
    assert fetch(database, "SELECT id, created_at FROM identity.accounts") == [{"id": "alpha", "created_at": moment(t)}]


def test_times_are_exact_to_the_microsecond(database: str) -> None:
    edge = 2**53 * 1000 - 1  # the year 2255
    times = [0, 999, 1000, START_NS, 1_763_999_999_999_999_999, 4_102_444_799_999_999_001, edge]
    times += [START_NS + 977_777_777_777_773 * k for k in range(2000)]
    rows = [(seq, "paper", "PAPER", 1, ns) for seq, ns in enumerate(times, start=1)]
    written(database, empty(1, len(rows)).with_table("sessions", *rows))
    stored = fetch(database, "SELECT opened_at FROM execution.sessions ORDER BY id")
    assert [row["opened_at"] for row in stored] == [moment(ns) for ns in times]


def test_numbers_keep_every_digit(database: str) -> None:
    huge, small = "123456789012345678901234567890.12345678", "0.0000000000000001"
    rows = [(1, "firm", "", None, "MAX_ORDER_QTY", huge, small, "ann", None, "", 0, 1)]
    written(database, empty(1, 1).with_table("limits", *rows))
    (row,) = fetch(database, "SELECT old::text q, new::text n FROM risk.limits")
    assert row == {"q": huge, "n": small}


def test_an_older_state_never_replaces_a_newer_one(database: str) -> None:
    first, second = history(2, 1)
    assert first.tables["orders"][0] == [1]
    states = []
    for last_seq, status in ((4, "FILLED"), (2, "NEW"), (3, "PARTIALLY_FILLED")):
        row = [column[0] for column in first.tables["orders"]]
        row[11], row[24] = status, last_seq
        states.append(row)
    written(database, first.with_table("orders", *states), second.with_table("orders", states[1]))
    assert fetch(database, "SELECT status, last_seq FROM execution.orders") == [{"status": "FILLED", "last_seq": 4}]


def test_later_batches_leave_the_time_of_durability(database: str) -> None:
    first, second = history(2, 1)
    later = [column[0] for column in first.tables["orders"]]
    later[11], later[20], later[24] = "CANCELED", None, 8
    written(database, first, second.with_table("orders", later))
    (order,) = fetch(database, "SELECT status, durable_at, last_seq FROM execution.orders")
    assert order == {"status": "CANCELED", "durable_at": moment(START_NS + 1_000_001), "last_seq": 8}


def test_a_fill_that_is_stored_already_is_an_alarm(database: str) -> None:
    first, second = history(2, 1)
    again = [column[0] for column in first.tables["fills"]]
    again[7], again[14] = "39000", 8
    fresh = [column[0] for column in second.tables["fills"]]
    alarm = (8, 5, "FILL", "LATE_FILL", "after its order had ended", START_NS)
    writer = written(database, first, second.with_table("fills", fresh, again).with_table("alarms", alarm))
    assert writer.fill_conflicts == 1
    assert fetch(database, "SELECT price FROM execution.fills ORDER BY seq") == [{"price": Decimal("40000.5")}] * 2
    (stored,) = fetch(database, "SELECT code, detail FROM execution.alarms")
    assert stored["code"] == "LATE_FILL"
    assert "trade 7-1 of BTCUSDT at paper for beta is stored already, from record 4" in stored["detail"]


def fenced(writer: Writer, batch: Rows) -> str:
    """The words with which the batch is refused."""
    with pytest.raises(Fenced) as caught:
        asyncio.run(write(writer, batch))
    return str(caught.value)


def test_a_second_writer_is_fenced_and_changes_nothing(database: str) -> None:
    batches = list(history(30, 10))
    written(database, *batches)
    before = counts(database)
    assert "expected record 40 " in fenced(Writer(database, target(batches[0])), batches[1])
    assert "expected record 0 " in fenced(Writer(database, NOTHING_YET), batches[0])
    assert counts(database) == before == (120, 30, 30, 30, 120)


@pytest.mark.parametrize("change", [{"chunk_hash": b"other chunk"}, {"event_hash": b"other chain"}, {"last_seq": 39}])
def test_another_history_with_the_same_length_is_fenced(database: str, change: dict[str, Any]) -> None:
    first, second = history(20, 10)
    written(database, first)
    ours = replace(target(first), **change)
    fenced(Writer(database, ours), replace(second, first_seq=ours.last_seq + 1))
    assert counts(database)[-1] == 40


def test_an_older_epoch_is_fenced_while_connected(database: str) -> None:
    async def scene() -> None:
        first, second = history(2, 1)
        writer = Writer(database, NOTHING_YET)
        await write(writer, replace(first, epoch=5))
        await write(writer, replace(second, epoch=4))

    with pytest.raises(Fenced):
        asyncio.run(scene())
    assert counts(database)[-1] == 4


@pytest.mark.parametrize("change", ["last_seq = 3", "epoch = 4", "chunk_hash = ''", "event_hash = ''"])
def test_each_part_of_the_watermark_is_compared_while_connected(
    database: str, postgres: PostgresServer, change: str
) -> None:
    first, second = history(2, 1)

    async def scene() -> None:
        writer = Writer(database, NOTHING_YET)
        await write(writer, first)
        postgres.psql(f"UPDATE execution.watermark SET {change}", database)
        await write(writer, second)

    with pytest.raises(Fenced, match="expected record 4 "):
        asyncio.run(scene())
    assert counts(database)[:4] == (4, 1, 1, 1)


def test_two_writers_that_interleave_while_connected(database: str) -> None:
    """The one that woke up late is stopped by the compare-and-set, not only by the look at its reconnect."""
    first, second, third = history(3, 1)

    async def scene() -> str:
        late, current = Writer(database, NOTHING_YET), Writer(database, NOTHING_YET)
        await write(late, first)
        current.watermark = late.watermark
        await write(current, second)
        await write(current, third)
        with pytest.raises(Fenced) as caught:
            await write(late, second)
        current.drop_connection()
        return str(caught.value)

    assert "another worker writes to this database" in asyncio.run(scene())
    assert counts(database) == (12, 3, 3, 3, 12)


def test_a_gap_and_an_unknown_table_are_refused(database: str) -> None:
    first, second = history(2, 1)
    assert "do not continue" in fenced(Writer(database, NOTHING_YET), second)
    assert "positions" in fenced(Writer(database, NOTHING_YET), first.with_table("positions", (1,)))


def test_events_with_other_hashes_are_never_passed_over(database: str) -> None:
    first, second = history(2, 1)
    writer = written(database, first)
    row = [column[0] for column in second.tables["order_events"]]
    forged = second.with_table("order_events", [*row[:7], b"forged"])

    async def scene() -> None:
        connection = await connect(database, "test")
        await connection.execute(
            "INSERT INTO execution.order_events SELECT 5, 5, 'x', 'X', now(), '{}', '\\x00', '\\x01'"
        )
        await connection.close()
        await write(writer, forged)

    with pytest.raises(Fenced, match="holds record 5 with another hash"):
        asyncio.run(scene())
    assert counts(database)[-1] == 4


@asynccontextmanager
async def cut_at_commit(server: Path, place: Path, deliver: bool) -> AsyncIterator[str]:
    """A proxy that breaks each connection at its first COMMIT, before or after the server has it; the proxy's host."""

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        upstream, to_server = await asyncio.open_unix_connection(str(server / "run" / ".s.PGSQL.5432"))
        cut = asyncio.Event()

        async def down() -> None:
            while (data := await upstream.read(65536)) and not cut.is_set():
                to_client.write(data)

        answers = asyncio.create_task(down())
        while data := await client.read(65536):
            if b"COMMIT;" in data:
                cut.set()
                if deliver:
                    to_server.write(data)
                    await asyncio.sleep(0.2)
                break
            to_server.write(data)
        to_client.close()
        to_server.close()
        await answers

    listening = await asyncio.start_unix_server(serve, place / ".s.PGSQL.5432")
    async with listening:
        yield str(place)


@pytest.mark.parametrize("deliver", [True, False], ids=["answer lost", "commit lost"])
def test_a_connection_lost_during_commit(
    database: str, postgres: PostgresServer, tmp_path: Path, deliver: bool
) -> None:
    first, second = history(20, 10)

    async def scene() -> Writer:
        writer = Writer(database, NOTHING_YET)
        await write(writer, first)
        writer.drop_connection()
        async with cut_at_commit(postgres.home, tmp_path, deliver) as host:
            writer.dsn = database.replace(f"{postgres.home}/run", host)
            with pytest.raises(TROUBLE):
                await write(writer, second)
        assert writer.watermark == target(first)  # what became of it is not known, and not assumed
        writer.dsn = database
        await write(writer, second)
        writer.drop_connection()
        return writer

    writer = asyncio.run(scene())
    assert counts(database) == (80, 20, 20, 20, 80)
    assert (writer.watermark, writer.fill_conflicts) == (target(second), 0)


async def freeze_during(server: PostgresServer, work: Callable[[], Awaitable[object]]) -> float:
    """Freezes the server, runs the work, which has to fail; the seconds until it did."""
    server.freeze()
    began = time.monotonic()
    with pytest.raises(TROUBLE):
        await work()
    return time.monotonic() - began


def test_a_frozen_server_is_found_within_two_seconds(own_postgres: PostgresServer) -> None:
    dsn = own_postgres.create_database()
    migrate(dsn)
    first, second, third = history(30, 10)

    async def scene() -> list[float]:
        stop = asyncio.Event()
        writer = Writer(dsn, NOTHING_YET)
        watching = asyncio.create_task(watch(dsn, lambda _: writer.drop_connection(), stop))
        await write(writer, first)
        late = [await freeze_during(own_postgres, lambda: write(writer, second))]  # connected
        late.append(await freeze_during(own_postgres, lambda: write(writer, second)))  # connecting
        own_postgres.thaw()
        await write(writer, second)
        await write(writer, third)
        stop.set()
        await watching
        writer.drop_connection()
        return late

    assert max(asyncio.run(scene())) <= 2.3  # two seconds, and what a busy machine adds
    assert counts(dsn) == (120, 30, 30, 30, 120)


def test_a_killed_server_loses_and_doubles_nothing(own_postgres: PostgresServer) -> None:
    dsn = own_postgres.create_database()
    migrate(dsn)
    batches = list(history(200, 10))

    async def scene() -> int:
        writer, failures = Writer(dsn, NOTHING_YET), 0
        for number, batch in enumerate(batches):
            killer = asyncio.get_running_loop().call_later(0.0005, own_postgres.kill) if number % 7 == 3 else None
            while True:
                try:
                    await write(writer, batch)
                    break
                except TROUBLE:
                    failures += 1
                    if own_postgres.process is None:
                        own_postgres.start()
            if killer is not None and own_postgres.process is None:
                own_postgres.start()
            elif killer is not None:
                killer.cancel()
        writer.drop_connection()
        return failures

    assert asyncio.run(scene()) >= 1
    assert counts(dsn) == (800, 200, 200, 200, 800)


def test_a_locked_table_is_waited_out_by_the_server_not_by_us(database: str) -> None:
    (batch,) = history(5, 5)

    async def scene() -> float:
        holder = await asyncpg.connect(database)
        await holder.execute("BEGIN; LOCK execution.orders")
        began = time.monotonic()
        writer = Writer(database, NOTHING_YET)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await write(writer, batch)
        took = time.monotonic() - began
        await holder.close()
        await write(writer, batch)
        writer.drop_connection()
        return took

    assert 1.9 < asyncio.run(scene()) < 4
    assert counts(database) == (20, 5, 5, 5, 20)


def test_a_deadlock_is_a_fault_of_the_server_and_the_batch_is_repeated(database: str) -> None:
    """The real thing: the other session waits for our watermark while it holds what we want next."""
    first, second = history(20, 10)

    async def scene() -> Writer:
        writer = Writer(database, NOTHING_YET)
        await write(writer, first)
        other = await asyncpg.connect(database)
        await other.execute("SET deadlock_timeout = '30s'; BEGIN; LOCK execution.fills")
        writing = asyncio.create_task(write(writer, second))
        await asyncio.sleep(0.3)  # by now it has advanced the watermark and waits for the table
        waiting = asyncio.create_task(other.execute("UPDATE execution.watermark SET updated_at = now()"))
        with pytest.raises(asyncpg.DeadlockDetectedError):
            await writing
        await waiting
        await other.execute("ROLLBACK")
        await other.close()
        assert isinstance(asyncpg.DeadlockDetectedError(""), TROUBLE)
        await write(writer, second)
        writer.drop_connection()
        return writer

    assert asyncio.run(scene()).watermark == target(second)
    assert counts(database) == (80, 20, 20, 20, 80)


def test_each_commit_is_flushed_whatever_the_server_prefers(database: str, postgres: PostgresServer) -> None:
    """The gateway takes the watermark as evidence of what the journal held."""
    name = postgres.psql("SELECT current_database()", database)
    postgres.psql(
        f"ALTER DATABASE {name} SET synchronous_commit = off;"
        "CREATE TABLE seen (setting text);"
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$;"
        "CREATE TRIGGER see BEFORE INSERT OR UPDATE ON execution.watermark FOR EACH ROW EXECUTE FUNCTION see()",
        database,
    )
    written(database, *history(30, 10))
    assert postgres.psql("SELECT DISTINCT setting FROM seen", database) == "on"
    assert postgres.psql("SHOW synchronous_commit", database) == "off"


def test_the_watermark_is_read_for_the_gateway(dsn: str, tmp_path: Path) -> None:
    assert read_watermark(dsn, 5) is None  # no schema yet
    migrate(dsn)
    assert read_watermark(dsn, 5) is None
    (batch,) = history(3, 3)
    written(dsn, batch)
    assert read_watermark(dsn, 5) == (12, batch.chunk_hash)
    for bad in (f"postgresql://ordergate@/ordergate?host={tmp_path}", dsn.replace("/test_", "/gone_"), "no address"):
        with pytest.raises(PostgresUnreadable):
            read_watermark(bad, 1)


def test_the_watermark_of_a_frozen_server_is_unreadable_in_time(own_postgres: PostgresServer) -> None:
    dsn = own_postgres.create_database()
    migrate(dsn)
    own_postgres.freeze()
    began = time.monotonic()
    with pytest.raises(PostgresUnreadable):
        read_watermark(dsn, 0.5)
    assert time.monotonic() - began < 2
    own_postgres.thaw()


def test_a_restored_older_database_is_fenced(database: str) -> None:
    batches = list(history(30, 10))
    written(database, *batches[:2])
    assert "at record 80 " in fenced(Writer(database, target(batches[2])), replace(empty(121, 122), epoch=3))


def test_nothing_is_left_open(database: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(Fenced):
            written(database, replace(next(history(1, 1)), first_seq=9))
        read_watermark(database, 5)
    assert len(os.listdir("/proc/self/fd")) <= before + 1
