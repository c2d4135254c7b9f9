"""The history of limits: from the real engine through the rows into Postgres, and out by the command line."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from click.testing import CliRunner, Result

from ordergate import _core
from ordergate.cli import main
from ordergate.http import rule_schemas
from ordergate.persistence.limit_history import Wanted, fetch
from ordergate.persistence.migrate import migrate
from ordergate.persistence.past_orders import WAITING_MAX, HistoryUnavailable, PastOrders
from ordergate.persistence.watermark import EVENT_CHAIN_START, NOTHING_YET
from ordergate.persistence.write_behind import Writer, write
from tests.integration import real_journal
from tests.integration.postgres_server import PostgresServer
from tests.unit.desk_parts import desk


@pytest.fixture
def dsn(tmp_path: Path, postgres: PostgresServer) -> str:
    """Versions 1 to 8: three of `begin`, then these."""
    gateway = real_journal.created(tmp_path)
    real_journal.begin(gateway)
    gateway.create_account("lab")
    gateway.create_strategy("grid", "bench", "ann", "cli", "new")
    gateway.set_limit("firm", "", None, "MAX_OPEN_ORDERS", "2000000", None, "ann", "roof")
    gateway.set_limit("account", "lab", "BTCUSDT", "MAX_ORDER_QTY", "0.5", None, "eve", "lab")
    gateway.set_limit("strategy", "grid", None, "MAX_ORDER_QTY", "7", None, "ann", "small")
    gateway.set_limit("key", "0", None, "MAX_ORDER_QTY", "9", None, "ann", "test key")
    asked = gateway.set_limit("account", "bench", None, "MAX_ORDER_QTY", None, None, "ann", "no more")
    assert isinstance(asked, tuple) and asked[0] == "WAITING"
    gateway.approve(asked[1], "bob")
    gateway.close()
    database = postgres.create_database()
    migrate(database)

    async def store() -> None:
        follower = _core.Follower(str(tmp_path / "journal"))
        follower.start_rows(0, b"", EVENT_CHAIN_START)
        writer = Writer(database, NOTHING_YET)
        while (rows := follower.poll_rows(500)) is not None:
            await write(writer, rows)
        writer.drop_connection()

    asyncio.run(store())
    return database


def history(dsn: str, data: Path, *words: str) -> Result:
    return CliRunner().invoke(
        main, ["risk", "history", "--data-dir", str(data / "none"), *words], env={"DATABASE_URL": dsn}
    )


def test_the_history_is_found_by_page_and_filter(dsn: str, tmp_path: Path) -> None:
    def versions(*words: str) -> list[int]:
        told = history(dsn, tmp_path, "--json", *words)
        assert told.exit_code == 0, told.output
        return [change["version"] for change in json.loads(told.stdout)]

    for words, found in (
        ("", [8, 7, 6, 5, 4, 3, 2, 1]),
        ("--limit 3", [8, 7, 6]),
        ("--limit 3 --before 6", [5, 4, 3]),
        ("--before 1", []),
        ("--scope firm", [4]),
        ("--scope account --target bench", [8, 3, 2, 1]),
        ("--scope account --target bench --kind MAX_ORDER_QTY", [8, 1]),
        ("--symbol BTCUSDT", [5]),
        ("--kind MAX_ORDER_QTY --limit 2", [8, 7]),
        ("--scope key --target 0", [7]),
        ("--target nobody", []),
        ("--kind ';DROP", []),
    ):
        assert versions(*words.split()) == found, words
    table = history(dsn, tmp_path, "--limit", "1")
    heading, row = (line.split("\t") for line in table.stdout.splitlines())
    change = dict(zip(heading, row, strict=True))
    at = change.pop("at")
    assert at.endswith("Z") and at[10] == "T"
    assert change == {
        "version": "8", "scope": "account", "target": "bench", "symbol": "", "kind": "MAX_ORDER_QTY", "old": "100",
        "new": "", "by": "ann", "approvedBy": "bob", "reason": "no more",
    }  # fmt: skip
    assert "--before 8" in table.stderr


def test_an_account_is_shown_what_binds_it(dsn: str) -> None:
    async def bound(account: str | None) -> list[int]:
        past = PastOrders(dsn)
        found: list[dict[str, Any]] = json.loads(await past.limit_changes(Wanted(account)))
        await past.close()
        return [change["version"] for change in found]

    assert asyncio.run(bound("bench")) == [8, 7, 6, 4, 3, 2, 1]
    assert asyncio.run(bound("lab")) == [5, 4]
    assert asyncio.run(bound(None)) == [8, 7, 6, 5, 4, 3, 2, 1]
    assert asyncio.run(bound("nobody")) == [4], "the firm's alone"
    assert len(json.loads(asyncio.run(fetch(dsn, Wanted(limit=10_000))))) == 8


def test_it_is_shown_over_http_in_pages(dsn: str) -> None:
    async def ask() -> None:
        async with desk() as at:
            at.server.deps.past_orders = PastOrders(dsn)
            # This server's account is another one: only what binds everybody is its own.
            for query, found in (
                ("", [4]),
                ("?limit=1", [4]),
                ("?before=4", []),
                ("?scope=firm&kind=MAX_OPEN_ORDERS", [4]),
                ("?scope=account&target=bench", []),
                ("?symbol=%27%3B", []),
            ):
                answer = await at.ask("read", "GET", "/risk/limits/history" + query)
                changes = msgspec.convert(answer.json, rule_schemas.LimitHistory).changes
                assert [change.version for change in changes] == found, query
            wrong = "limit=0 limit=501 limit=x limit=%C2%B2 before=0 before=99999999999 kind=%00 page=2"
            for query in wrong.split():
                refused = await at.ask("read", "GET", "/risk/limits/history?" + query)
                assert (refused.status, refused.code) == (400, "invalid_parameter"), query
            await at.server.deps.past_orders.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask())


def test_those_who_wait_for_the_history_are_bounded(dsn: str) -> None:
    async def ask() -> None:
        past = PastOrders(dsn)
        asked = [past.limit_changes(Wanted("bench")) for _ in range(WAITING_MAX + 20)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, HistoryUnavailable)]
        assert len(refused) == 20 and "too many questions" in str(refused[0])
        assert sum(isinstance(answer, bytes) for answer in answers) == WAITING_MAX
        assert json.loads(await past.limit_changes(Wanted("bench", limit=1)))[0]["version"] == 8
        await past.close()

    asyncio.run(ask())


def test_without_postgres_it_says_so(tmp_path: Path) -> None:
    told = history("postgresql://nobody@127.0.0.1:1/none", tmp_path)
    assert (told.exit_code, told.stdout) == (1, "")
    assert "the database does not answer" in told.stderr

    async def ask() -> None:
        await PastOrders(None).limit_changes(Wanted("bench"))

    with pytest.raises(HistoryUnavailable):
        asyncio.run(ask())
