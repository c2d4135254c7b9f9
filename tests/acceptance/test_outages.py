"""The outage run with small parameters; by hand it lasts longer (see the module)."""

import json
from pathlib import Path

import pytest

from tests.acceptance import agreement, postgres_outage
from tests.acceptance.market import OPENING
from tests.acceptance.steady import MARKET
from tests.acceptance.system import (
    System,
    forget,
    kill_everything,
    open_account,
    request,
    rows,
    running,
    settle,
    start,
    stop,
)
from tests.integration.postgres_server import running_server


@pytest.mark.timeout(300)
def test_orders_go_on_while_postgres_is_gone(tmp_path: Path) -> None:
    with (
        running_server() as postgres,
        running(tmp_path / "data", settings={"DATABASE_URL": postgres.create_database()}) as system,
    ):
        seen = postgres_outage.run(system, postgres, seconds=20, rate=50)
    assert int(str(seen["backlog_records"])) > 20 * 50  # it really was gone
    assert int(str(seen["fills"])) > 20 * 50


def test_a_start_without_postgres_trades_from_the_journal_alone(tmp_path: Path) -> None:
    with running_server() as postgres:
        database = {"DATABASE_URL": postgres.create_database()}
        with running(tmp_path / "data", settings=database) as system:
            token = open_account(system, "early", OPENING)
            place(system, token, "before")
            settle(system)
        postgres.kill()
        system = start(tmp_path / "data", settings=database)
        try:
            place(system, token, "meanwhile")
            postgres.start()
            agreement.check(system, [token])
            assert rows(system, "SELECT idempotency_key FROM execution.orders ORDER BY id") == [
                ["before"],
                ["meanwhile"],
            ]
            stop(system)
        finally:
            kill_everything(system)
            forget(system)


def place(system: System, token: str, key: str) -> None:
    """One order that fills at once."""
    body = json.dumps(MARKET | {"side": "BUY"}).encode()
    answer = request(system, "POST", "/api/v1/orders", token=token, body=body, key=key)
    assert answer.status == 201, answer
