"""The outbox's reader against a real Postgres: every event once, exact, and one bad event stops only its own book."""

import asyncio
import json
import random
from collections import defaultdict
from decimal import Decimal

import pytest

from ordergate.persistence.connection import TROUBLE
from ordergate.persistence.migrate import migrate
from ordergate.persistence.watermark import NOTHING_YET
from ordergate.persistence.write_behind import Writer, write
from ordergate.portfolio import outbox
from ordergate.portfolio.outbox import OutboxGap, Portfolio
from tests.integration.batches import START_NS, Rows, empty, fill_payload, history
from tests.integration.postgres_server import PostgresServer

Event = tuple[int, str, str, str, str, int]


@pytest.fixture
def database(dsn: str) -> str:
    """A migrated database."""
    migrate(dsn)
    return dsn


def event(seq: int, account: str, payload: str, kind: str = "FILL", mode: str = "PAPER") -> Event:
    """A row of the outbox."""
    return (seq, account, mode, kind, payload, START_NS)


def deposit(seq: int, account: str, asset: str, delta: str, mode: str = "PAPER") -> Event:
    """A row of the outbox."""
    return event(seq, account, json.dumps({"asset": asset, "delta": delta}), "BALANCE_ADJUSTED", mode)


def stored(dsn: str, *batches: Rows) -> None:
    """Writes the batches."""

    async def scene() -> None:
        writer = Writer(dsn, NOTHING_YET)
        for batch in batches:
            await write(writer, batch)
        writer.drop_connection()

    asyncio.run(scene())


def applied(dsn: str) -> Portfolio:
    """Runs the reader once; what it saw."""

    async def scene() -> Portfolio:
        portfolio = Portfolio()
        try:
            await outbox.run_once(dsn, portfolio)
        finally:
            portfolio.drop_connection()
        return portfolio

    return asyncio.run(scene())


def balances(postgres: PostgresServer, dsn: str) -> dict[tuple[str, str, str], Decimal]:
    """Totals by (account, mode, asset)."""
    lines = postgres.psql("SELECT account_id, mode, asset, total FROM portfolio.balances", dsn).splitlines()
    return {(a, m, s): Decimal(total) for a, m, s, total in (line.split("|") for line in lines)}


def positions(postgres: PostgresServer, dsn: str) -> dict[tuple[str, str, str], tuple[Decimal, ...]]:
    """(quantity, bought, bought quote, sold, sold quote, fills) by (account, mode, symbol)."""
    query = (
        "SELECT account_id, mode, symbol, quantity, bought_quantity, bought_quote, sold_quantity, sold_quote, fills"
        " FROM portfolio.positions"
    )
    rows = (line.split("|") for line in postgres.psql(query, dsn).splitlines())
    return {(row[0], row[1], row[2]): tuple(map(Decimal, row[3:])) for row in rows}


def unprocessed(postgres: PostgresServer, dsn: str) -> str:
    """Sequences of the events that wait."""
    query = "SELECT string_agg(seq::text, ' ' ORDER BY seq) FROM execution.portfolio_events_outbox"
    return postgres.psql(f"{query} WHERE processed_at IS NULL", dsn)


def test_a_deposit_a_buy_and_a_sale(database: str, postgres: PostgresServer) -> None:
    buy = fill_payload("BUY", "40000.5", "0.01", "0.00001")
    sale = fill_payload("SELL", "41000", "0.004", "0.164")
    rows = [deposit(1, "alpha", "USDT", "1000"), event(5, "alpha", buy), event(9, "alpha", sale)]
    rows.append(deposit(10, "alpha", "USDT", "-0.00000001", mode="LIVE"))
    stored(database, empty(1, 12).with_table("outbox", *rows))
    assert applied(database).cursor == 12
    assert balances(postgres, database) == {
        ("alpha", "PAPER", "USDT"): Decimal("1000") - Decimal("400.005") + Decimal("164") - Decimal("0.164"),
        ("alpha", "PAPER", "BTC"): Decimal("0.01") - Decimal("0.00001") - Decimal("0.004"),
        ("alpha", "LIVE", "USDT"): Decimal("-0.00000001"),
    }
    assert positions(postgres, database) == {
        ("alpha", "PAPER", "BTCUSDT"): tuple(map(Decimal, ("0.00599", "0.01", "400.005", "0.004", "164", "2"))),
    }
    assert unprocessed(postgres, database) == ""
    assert postgres.psql("SELECT last_seq FROM portfolio.cursor", database) == "12"
    assert applied(database).cursor == 12
    assert len(positions(postgres, database)) == 1
    assert positions(postgres, database)["alpha", "PAPER", "BTCUSDT"][-1] == 2  # nothing is applied twice


def test_a_fee_in_a_third_asset_moves_that_asset_only(database: str, postgres: PostgresServer) -> None:
    payload = json.loads(fill_payload("BUY", "100", "1", "0")) | {"fee": "-0.0005", "feeAsset": "BNB"}
    stored(database, empty(1, 1).with_table("outbox", event(1, "alpha", json.dumps(payload))))
    applied(database)
    assert {asset: total for (_, _, asset), total in balances(postgres, database).items()} == {
        "BTC": Decimal(1), "USDT": Decimal(-100), "BNB": Decimal("0.0005"),
    }  # fmt: skip
    assert positions(postgres, database)["alpha", "PAPER", "BTCUSDT"][0] == 1


def test_sums_agree_with_exact_arithmetic_over_many_pages(
    database: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "PAGE", 37)
    random_ = random.Random(5)
    expected: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    rows = []
    for seq in range(1, 1001):
        account, asset = random_.choice("abc"), random_.choice(["BTC", "USDT"])
        delta = Decimal(random_.randrange(-(10**26), 10**26)).scaleb(-8)
        expected[account, "PAPER", asset] += delta
        rows.append(deposit(seq, account, asset, f"{delta:f}"))
    stored(database, empty(1, 1000).with_table("outbox", *rows))
    assert applied(database).cursor == 1000
    assert balances(postgres, database) == dict(expected)


POISON = {
    "no json object": "[]",
    "missing member": json.dumps({key: value for key, value in json.loads(fill_payload()).items() if key != "fee"}),
    "not a number": fill_payload().replace('"0.01"', '"NaN"'),
    "infinite": fill_payload().replace('"0.01"', '"Infinity"'),
    "negative quantity": fill_payload().replace('"0.01"', '"-0.01"'),
    "exponent": fill_payload().replace('"0.01"', '"1e-2"'),
    "number instead of text": fill_payload().replace('"0.01"', "0.01"),
    "unknown side": fill_payload().replace("BUY", "SHORT"),
    "nul in a symbol": fill_payload().replace('"BTCUSDT"', '"BTC\\u0000"'),
}


@pytest.mark.parametrize("payload", POISON.values(), ids=POISON)
def test_poison_is_parked_with_an_alarm_and_others_go_on(database: str, postgres: PostgresServer, payload: str) -> None:
    good = fill_payload()
    rows = [event(1, "alpha", good), event(2, "beta", payload), event(3, "beta", good), event(4, "alpha", good)]
    rows += [event(5, "beta", good, mode="LIVE")]
    stored(database, empty(1, 5).with_table("outbox", *rows), empty(6, 7).with_table("outbox", event(7, "beta", good)))
    portfolio = applied(database)
    assert portfolio.cursor == 7
    assert portfolio.held == {("beta", "PAPER"): (2, 3)}
    counted = {book: figures[-1] for book, figures in positions(postgres, database).items()}
    assert counted == {("alpha", "PAPER", "BTCUSDT"): 2, ("beta", "LIVE", "BTCUSDT"): 1}
    assert unprocessed(postgres, database) == "2 3 7"
    assert postgres.psql("SELECT seq, code FROM execution.alarms", database) == "2|OUTBOX_POISON"
    # A worker that starts again tries again, and raises no second alarm.
    assert applied(database).held == {("beta", "PAPER"): (2, 3)}
    assert postgres.psql("SELECT count(*) FROM execution.alarms", database) == "1"
    # Once the row is mended, its book is applied in order; nothing else moves.
    postgres.psql(f"UPDATE execution.portfolio_events_outbox SET payload = '{good}' WHERE seq = 2", database)
    assert applied(database).held == {}
    counted = {book: figures[-1] for book, figures in positions(postgres, database).items()}
    assert counted["beta", "PAPER", "BTCUSDT"] == 3
    assert counted["alpha", "PAPER", "BTCUSDT"] == 2


def test_what_only_the_tables_refuse_is_found_and_parked(database: str, postgres: PostgresServer) -> None:
    postgres.psql("ALTER TABLE portfolio.balances ADD CHECK (total < 50)", database)
    rows = [deposit(1, "alpha", "USDT", "10"), deposit(2, "beta", "USDT", "60"), deposit(3, "beta", "USDT", "1")]
    rows += [deposit(4, "gamma", "USDT", "20")]
    stored(database, empty(1, 9).with_table("outbox", *rows))
    assert applied(database).held == {("beta", "PAPER"): (2, 2)}
    assert balances(postgres, database) == {("alpha", "PAPER", "USDT"): 10, ("gamma", "PAPER", "USDT"): 20}
    assert "check constraint" in postgres.psql("SELECT detail FROM execution.alarms", database)
    assert applied(database).cursor == 9
    postgres.psql("ALTER TABLE portfolio.balances DROP CONSTRAINT balances_total_check", database)
    assert applied(database).held == {}
    assert balances(postgres, database)["beta", "PAPER", "USDT"] == 61


def test_an_alarm_of_the_record_itself_is_kept(database: str, postgres: PostgresServer) -> None:
    batch = empty(1, 1).with_table("outbox", event(1, "alpha", "{}"))
    stored(database, batch.with_table("alarms", (1, 1, "FILL", "LATE_FILL", "late", START_NS)))
    applied(database)
    code, detail = postgres.psql("SELECT code, detail FROM execution.alarms", database).split("|")
    assert code == "LATE_FILL"
    assert detail.startswith("late; OUTBOX_POISON: ")


@pytest.mark.parametrize("removed", [8, 20], ids=["in the middle", "the newest"])
def test_a_removed_row_halts_the_reader_before_it(
    database: str, postgres: PostgresServer, removed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(database, *history(5, 5))
    postgres.psql(f"DELETE FROM execution.portfolio_events_outbox WHERE seq = {removed}", database)
    with pytest.raises(OutboxGap, match="5 fills and the outbox 4"):
        applied(database)
    assert positions(postgres, database) == {}
    monkeypatch.setattr(outbox, "PAGE", 1)  # what lies before the gap is applied, nothing behind it
    with pytest.raises(OutboxGap):
        applied(database)
    assert sum(figures[-1] for figures in positions(postgres, database).values()) == removed / 4 - 1


def test_readers_that_race_apply_each_event_once(database: str, postgres: PostgresServer) -> None:
    stored(database, *history(300, 50))

    async def reader() -> None:
        portfolio = Portfolio()
        await outbox.run_once(database, portfolio)
        portfolio.drop_connection()

    async def scene() -> None:
        await asyncio.gather(*(reader() for _ in range(4)))

    asyncio.run(scene())
    assert sum(figures[-1] for figures in positions(postgres, database).values()) == 300


def test_it_wakes_on_notify_and_ends_on_stop(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "POLL_S", 30.0)

    async def scene() -> tuple[float, Portfolio]:
        portfolio, stop = Portfolio(), asyncio.Event()
        reading = asyncio.create_task(outbox.run(database, portfolio, stop))
        await asyncio.sleep(0.3)
        writer = Writer(database, NOTHING_YET)
        began = asyncio.get_running_loop().time()
        await write(writer, next(history(3, 3)))
        while portfolio.cursor < 12:
            await asyncio.sleep(0.005)
        took = asyncio.get_running_loop().time() - began
        stop.set()
        await asyncio.wait_for(reading, 2)
        writer.drop_connection()
        return took, portfolio

    took, portfolio = asyncio.run(asyncio.wait_for(scene(), 10))
    assert took < 2
    assert portfolio.error is None


def test_a_killed_server_applies_nothing_twice(own_postgres: PostgresServer) -> None:
    dsn = own_postgres.create_database()
    migrate(dsn)
    stored(dsn, *history(400, 100))

    async def scene() -> int:
        portfolio, failures = Portfolio(), 0
        for round_ in range(40):
            if own_postgres.process is None:
                own_postgres.start()
            killer = asyncio.get_running_loop().call_later(0.001 * round_, own_postgres.kill)
            try:
                await outbox.run_once(dsn, portfolio)
                if failures:
                    break
            except TROUBLE:
                failures += 1
            finally:
                killer.cancel()
        if own_postgres.process is None:
            own_postgres.start()
        await outbox.run_once(dsn, portfolio)
        portfolio.drop_connection()
        return failures

    assert asyncio.run(scene()) >= 1
    assert sum(figures[-1] for figures in positions(own_postgres, dsn).values()) == 400
