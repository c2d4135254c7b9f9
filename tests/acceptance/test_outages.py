"""The outage run with small parameters; by hand it lasts longer (see the module)."""

from pathlib import Path

import pytest

from tests.acceptance import postgres_outage
from tests.acceptance.system import running
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
