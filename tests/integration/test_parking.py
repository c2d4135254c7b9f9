"""What Postgres refuses for its value is parked with an alarm, once, and everything else goes on."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from ordergate.persistence.migrate import migrate
from ordergate.persistence.parking import PARKED_AT_MOST
from ordergate.persistence.watermark import EVENT_CHAIN_START, NOTHING_YET
from ordergate.persistence.write_behind import Writer, write
from ordergate.portfolio import outbox
from tests.integration.batches import Rows, history
from tests.integration.postgres_server import PostgresServer
from tests.integration.test_write_behind import counts, cut_at_commit, fetch, target, written

PARKED = "SELECT seq, relation, sqlstate, error, body FROM execution.parked_records ORDER BY seq, relation"
ALARMS = "SELECT seq, order_id, kind, code, detail FROM execution.alarms ORDER BY seq"


@pytest.fixture
def database(dsn: str) -> str:
    """A migrated database."""
    migrate(dsn)
    return dsn


def refuse(postgres: PostgresServer, dsn: str, table: str, condition: str) -> None:
    """Rows of `table` must fulfil the condition."""
    postgres.psql(f"ALTER TABLE execution.{table} ADD CONSTRAINT picky CHECK ({condition})", dsn)


def test_one_refused_fill_is_parked_and_the_rest_goes_on(database: str, postgres: PostgresServer) -> None:
    first, second = history(60, 30)
    refuse(postgres, database, "fills", "exchange_fill_id <> '7-45'")
    writer = written(database, first, second)
    assert counts(database) == (240, 60, 59, 60, 240)
    assert (writer.watermark, writer.parked, writer.fill_conflicts) == (target(second), 1, 0)
    (parked,) = fetch(database, PARKED)
    assert (parked["seq"], parked["relation"], parked["sqlstate"]) == (48, "fills", "23514")
    body = json.loads(parked["body"])
    assert body["exchange_fill_id"] == "7-45"
    assert list(body.values()) == [column[11] for column in first.tables["fills"]]
    (alarm,) = fetch(database, ALARMS)
    assert (alarm["seq"], alarm["order_id"], alarm["kind"], alarm["code"]) == (48, 45, "fills", "POISON_RECORD")
    assert 'CheckViolationError 23514: new row for relation "fills" violates' in alarm["detail"]


def test_the_hash_chain_is_whole_with_the_parked_rows(database: str, postgres: PostgresServer) -> None:
    batches = list(history(60, 30))
    refuse(postgres, database, "order_events", "seq NOT IN (1, 77, 78, 240)")
    written(database, *batches)
    assert counts(database)[:2] == (236, 60)
    links = {row["seq"]: (row["prev_hash"], row["hash"]) for row in fetch(
        database, "SELECT seq, prev_hash, hash FROM execution.order_events")}  # fmt: skip
    parked = fetch(database, PARKED)
    assert [row["seq"] for row in parked] == [1, 77, 78, 240]
    for row in parked:
        body = json.loads(row["body"])
        links[row["seq"]] = tuple(bytes.fromhex(body[name].removeprefix("\\x")) for name in ("prev_hash", "hash"))
    head = EVENT_CHAIN_START
    for seq in sorted(links):
        before, after = links[seq]
        assert before == head, seq
        head = after
    assert head == batches[-1].event_hash


def test_the_portfolio_goes_on_past_a_parked_event(database: str, postgres: PostgresServer) -> None:
    refuse(postgres, database, "portfolio_events_outbox", "seq <> 8")
    written(database, *history(60, 30))
    portfolio = outbox.Portfolio()

    async def scene() -> None:
        await outbox.run_once(database, portfolio)
        portfolio.drop_connection()

    asyncio.run(scene())
    assert portfolio.cursor == 240
    assert fetch(database, "SELECT sum(fills) AS fills FROM portfolio.positions") == [{"fills": 59}]


def test_an_order_comes_back_with_its_next_state(database: str, postgres: PostgresServer) -> None:
    first, second = history(20, 10)
    refuse(postgres, database, "orders", "id <> 5 OR last_seq > 40")
    later = [column[0] for column in second.tables["orders"]]
    again = [5, *later[1:24], 41, *later[25:]]
    rows = [list(row) for row in zip(*second.tables["orders"], strict=True)]
    written(database, first, second.with_table("orders", *rows, again))
    assert [row["seq"] for row in fetch(database, PARKED)] == [8]
    assert fetch(database, "SELECT last_seq FROM execution.orders WHERE id = 5") == [{"last_seq": 41}]
    (alarm,) = fetch(database, ALARMS)
    assert (alarm["order_id"], alarm["kind"]) == (5, "orders")


def test_rows_of_one_record_share_its_alarm(database: str, postgres: PostgresServer) -> None:
    (batch,) = history(10, 10)
    refuse(postgres, database, "fills", "seq <> 12")
    refuse(postgres, database, "portfolio_events_outbox", "seq <> 12")
    mine = (12, 9, "FILL", "LATE_FILL", "after its order had ended", 0)
    written(database, batch.with_table("alarms", mine))
    assert [row["relation"] for row in fetch(database, PARKED)] == ["fills", "outbox"]
    (alarm,) = fetch(database, ALARMS)
    assert alarm["code"] == "LATE_FILL"
    assert "; POISON_RECORD fills: CheckV" in alarm["detail"] and "; POISON_RECORD outbox: CheckV" in alarm["detail"]


def raising(sqlstate: str) -> str:
    """A trigger that refuses the fill of record 24."""
    return (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE EXCEPTION 'not this one' USING ERRCODE = '{sqlstate}'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON execution.fills"
        " FOR EACH ROW WHEN (NEW.seq = 24) EXECUTE FUNCTION refuse()"
    )


@pytest.mark.parametrize("sqlstate", ["22003", "22021", "22P05", "23502", "23514", "54000"])
def test_what_the_data_are_to_blame_for(database: str, postgres: PostgresServer, sqlstate: str) -> None:
    postgres.psql(raising(sqlstate), database)
    written(database, *history(20, 10))
    assert [(row["seq"], row["sqlstate"]) for row in fetch(database, PARKED)] == [(24, sqlstate)]
    assert counts(database) == (80, 20, 19, 20, 80)


@pytest.mark.parametrize("sqlstate", ["25006", "40001", "40P01", "42501", "53100", "55P03", "57014", "58030", "XX000"])
def test_what_the_server_is_to_blame_for(database: str, postgres: PostgresServer, sqlstate: str) -> None:
    first, second = history(20, 10)
    written(database, first)
    before = counts(database)
    postgres.psql(raising(sqlstate).replace("= 24", "= 48"), database)

    async def scene() -> str | None:
        writer = Writer(database, target(first))
        with pytest.raises(asyncpg.PostgresError) as caught:
            await write(writer, second)
        return caught.value.sqlstate

    assert asyncio.run(scene()) == sqlstate
    assert (counts(database), fetch(database, PARKED)) == (before, [])


def test_a_value_that_does_not_even_leave_the_client(database: str) -> None:
    (batch,) = history(10, 10)
    session = (1, "paper", "PAPER", 2**63, 0)
    written(database, batch.with_table("sessions", session, (2, "paper", "PAPER", 7, 0)))
    (parked,) = fetch(database, PARKED)
    assert (parked["seq"], parked["relation"], json.loads(parked["body"])["pid"]) == (1, "sessions", 2**63)
    assert fetch(database, "SELECT id FROM execution.sessions") == [{"id": 2}]
    assert counts(database) == (40, 10, 10, 10, 40)


def test_tables_that_refuse_too_much_are_not_emptied_into_the_parking(database: str, postgres: PostgresServer) -> None:
    (first,) = history(PARKED_AT_MOST, PARKED_AT_MOST)
    second = next(history(PARKED_AT_MOST + 1, PARKED_AT_MOST + 1, first_seq=first.last_seq + 1))
    refuse(postgres, database, "fills", "false")
    writer = written(database, first)
    assert (writer.parked, counts(database)[2]) == (PARKED_AT_MOST, 0)
    before = counts(database)

    async def scene() -> None:
        with pytest.raises(asyncpg.CheckViolationError):
            await write(writer, second)

    asyncio.run(scene())
    assert counts(database) == before
    postgres.psql("ALTER TABLE execution.fills DROP CONSTRAINT picky", database)
    asyncio.run(write_and_leave(writer, second))
    assert (counts(database)[2], writer.parked) == (PARKED_AT_MOST + 1, PARKED_AT_MOST)


async def write_and_leave(writer: Writer, batch: Rows) -> None:
    """Writes and disconnects."""
    await write(writer, batch)
    writer.drop_connection()


@pytest.mark.parametrize("deliver", [True, False], ids=["answer lost", "commit lost"])
def test_parked_once_whatever_becomes_of_the_commit(
    database: str, postgres: PostgresServer, tmp_path: Path, deliver: bool
) -> None:
    (batch,) = history(20, 20)
    refuse(postgres, database, "fills", "seq <> 24")

    async def scene() -> Writer:
        writer = Writer(database, NOTHING_YET)
        async with cut_at_commit(postgres.home, tmp_path, deliver) as host:
            writer.dsn = database.replace(f"{postgres.home}/run", host)
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await write(writer, batch)
        writer.dsn = database
        await write_and_leave(writer, batch)
        return writer

    writer = asyncio.run(scene())
    assert (writer.watermark, writer.parked) == (target(batch), 1)
    assert counts(database) == (80, 20, 19, 20, 80)
    assert [row["seq"] for row in fetch(database, PARKED)] == [24]
