"""The worker as a process: it waits, resumes, stops in order, and never writes onto a history that is not its own."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ordergate.config import Paths
from tests.integration.postgres_server import PostgresServer

ORDERS, BATCH = 400, 10
LAST = ORDERS * 4
WAIT_S = 20.0


@dataclass
class Journal:
    """A data directory, and the workers started for it."""

    paths: Paths
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def commit(self, seq: int) -> None:
        """The journal is durable up to `seq`."""
        fresh = self.paths.journal / "commit.new"
        fresh.write_text(str(seq))
        fresh.replace(self.paths.journal / "commit")

    def start(self, dsn: str) -> subprocess.Popen[bytes]:
        """A new worker process on this data directory."""
        command = [sys.executable, "-m", "tests.integration.worker_process", dsn, self.paths.data, ORDERS, BATCH]
        with (self.paths.log / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [str(part) for part in command],
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parents[2],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(["pyapp", *sys.path])},
            )
        self.workers.append(worker)
        return worker

    def status(self) -> dict[str, Any]:
        """The status file; empty while there is none."""
        with suppress(FileNotFoundError):
            status: dict[str, Any] = json.loads((self.paths.run / "worker.json").read_bytes())
            return status
        return {}

    def wait(self, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Waits until the status file says so."""
        deadline = time.monotonic() + WAIT_S
        while not reached(status := self.status()):
            assert time.monotonic() < deadline, (status, (self.paths.log / "worker.log").read_text())
            time.sleep(0.02)
        return status


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A new data directory; no worker outlives the test."""
    paths = Paths(tmp_path / "data")
    paths.prepare()
    made = Journal(paths)
    yield made
    for worker in made.workers:
        if worker.poll() is None:
            worker.kill()
            worker.wait(timeout=10)


def stopped(worker: subprocess.Popen[bytes]) -> int:
    """SIGTERM; the exit code."""
    worker.send_signal(signal.SIGTERM)
    return worker.wait(timeout=10)


def counts(postgres: PostgresServer, dsn: str) -> str:
    """Events, orders, fills, fills in positions, watermark, cursor."""
    return postgres.psql(
        "SELECT (SELECT count(*) FROM execution.order_events), (SELECT count(*) FROM execution.orders),"
        " (SELECT count(*) FROM execution.fills), (SELECT sum(fills) FROM portfolio.positions),"
        " (SELECT last_seq FROM execution.watermark), (SELECT last_seq FROM portfolio.cursor)",
        dsn,
    )


EVERYTHING = f"{LAST}|{ORDERS}|{ORDERS}|{ORDERS}|{LAST}|{LAST}"


def test_it_migrates_writes_applies_and_stops(journal: Journal, dsn: str, postgres: PostgresServer) -> None:
    worker = journal.start(dsn)
    time.sleep(0.3)
    journal.commit(0)  # the gateway's first start comes later than the worker's
    time.sleep(0.2)
    journal.commit(LAST // 2)
    journal.wait(lambda status: status.get("lastSeq") == LAST // 2)
    journal.commit(LAST)
    status = journal.wait(lambda status: status["lastSeq"] == status["portfolioSeq"] == LAST)
    assert (status["pid"], status["lag"], status["lagMs"], status["lastError"]) == (worker.pid, 0, 0, None)
    assert (status["fillConflicts"], status["portfolioParked"]) == (0, [])
    assert counts(postgres, dsn) == EVERYTHING
    assert stopped(worker) == 0


def test_a_second_worker_is_refused(journal: Journal, dsn: str) -> None:
    journal.commit(LAST)
    first = journal.start(dsn)
    journal.wait(lambda status: status.get("lastSeq") == LAST)
    assert journal.start(dsn).wait(timeout=10) == 2
    assert stopped(first) == 0
    assert stopped_when_idle(journal, journal.start(dsn)) == 0  # the lock goes with its process


def stopped_when_idle(journal: Journal, worker: subprocess.Popen[bytes]) -> int:
    """Waits until this worker has written everything, then stops it."""
    journal.wait(lambda status: status.get("pid") == worker.pid and status["lastSeq"] == LAST)
    return stopped(worker)


def test_what_is_committed_is_still_written_after_sigterm(journal: Journal, dsn: str, postgres: PostgresServer) -> None:
    journal.commit(40)
    worker = journal.start(dsn)
    journal.wait(lambda status: status.get("lastSeq") == 40)
    journal.commit(LAST)
    assert stopped(worker) == 0
    assert journal.status()["lastSeq"] == LAST
    assert counts(postgres, dsn) == EVERYTHING


def test_it_waits_for_a_postgres_that_is_down(journal: Journal, own_postgres: PostgresServer) -> None:
    dsn = own_postgres.create_database()
    own_postgres.kill()
    journal.commit(LAST)
    worker = journal.start(dsn)
    assert journal.wait(lambda status: bool(status.get("lastError")))["lastSeq"] == 0
    time.sleep(1)
    assert worker.poll() is None
    own_postgres.start()
    journal.wait(lambda status: status["lastSeq"] == status["portfolioSeq"] == LAST)
    assert journal.status()["lastError"] is None
    own_postgres.kill()
    journal.wait(lambda status: bool(status["lastError"]))
    began = time.monotonic()
    assert stopped(worker) == 0
    assert time.monotonic() - began < 3
    own_postgres.start()
    assert counts(own_postgres, dsn) == EVERYTHING


def test_it_says_within_seconds_that_postgres_is_frozen(journal: Journal, own_postgres: PostgresServer) -> None:
    dsn = own_postgres.create_database()
    journal.commit(40)
    worker = journal.start(dsn)
    journal.wait(lambda status: status.get("portfolioSeq") == 40)
    own_postgres.freeze()
    began = time.monotonic()
    journal.commit(LAST)
    status = journal.wait(lambda status: bool(status["lastError"]))
    assert time.monotonic() - began < 4  # two seconds to find it, half a second to write it down, a busy machine
    assert (status["lastSeq"], status["lag"]) == (40, LAST - 40)
    assert status["lagMs"] > 0
    own_postgres.thaw()
    journal.wait(lambda status: status["lastSeq"] == status["portfolioSeq"] == LAST)
    assert counts(own_postgres, dsn) == EVERYTHING
    assert stopped(worker) == 0


def test_killed_at_any_moment_it_resumes_without_loss_or_doubles(
    journal: Journal, dsn: str, postgres: PostgresServer
) -> None:
    random_ = random.Random(11)
    journal.commit(0)
    worker = journal.start(dsn)
    journal.wait(lambda status: "lastSeq" in status and status["lastError"] is None)
    for round_ in range(1, 7):
        journal.commit(LAST * round_ // 6 // (4 * BATCH) * (4 * BATCH))
        time.sleep(random_.uniform(0.005, 0.1))
        worker.kill()
        worker.wait(timeout=10)
        worker = journal.start(dsn)
        journal.wait(lambda status, pid=worker.pid: status["pid"] == pid and status["lastSeq"] > 0)  # type: ignore[misc]
    journal.commit(LAST)
    journal.wait(lambda status: status["lastSeq"] == status["portfolioSeq"] == LAST)
    assert counts(postgres, dsn) == EVERYTHING
    assert stopped(worker) == 0


def test_another_writer_ends_it_with_a_message(journal: Journal, dsn: str, postgres: PostgresServer) -> None:
    journal.commit(40)
    worker = journal.start(dsn)
    journal.wait(lambda status: status.get("lastSeq") == 40)
    postgres.psql("UPDATE execution.watermark SET last_seq = 80", dsn)
    journal.commit(LAST)
    assert worker.wait(timeout=10) == 70
    assert "another worker writes to this database" in journal.status()["lastError"]
    assert postgres.psql("SELECT max(seq) FROM execution.order_events", dsn) == "40"


def test_a_journal_behind_postgres_is_waited_for_and_not_written(
    journal: Journal, dsn: str, postgres: PostgresServer
) -> None:
    journal.commit(80)
    assert stopped_at(journal, journal.start(dsn), 80) == 0
    journal.commit(40)
    worker = journal.start(dsn)
    status = journal.wait(lambda status: status["pid"] == worker.pid and bool(status["lastError"]))
    assert "the journal ends at record 40, Postgres holds it up to 80" in status["lastError"]
    journal.commit(LAST)
    status = journal.wait(lambda status: status["lastSeq"] == status["portfolioSeq"] == LAST)
    assert status["lastError"] is None
    assert counts(postgres, dsn) == EVERYTHING
    assert stopped(worker) == 0


def stopped_at(journal: Journal, worker: subprocess.Popen[bytes], seq: int) -> int:
    """Waits until the worker has written up to `seq`, then stops it."""
    journal.wait(lambda status: status.get("lastSeq") == seq)
    return stopped(worker)


def test_a_database_ahead_of_the_build_is_waited_out(journal: Journal, dsn: str, postgres: PostgresServer) -> None:
    journal.commit(40)
    assert stopped_at(journal, journal.start(dsn), 40) == 0
    postgres.psql("INSERT INTO ordergate.migrations VALUES (99, '0099_newer', '')", dsn)
    journal.commit(LAST)
    worker = journal.start(dsn)
    status = journal.wait(lambda status: status["pid"] == worker.pid and bool(status["lastError"]))
    assert "ahead of this build: it has 0099_newer" in status["lastError"]
    assert worker.poll() is None
    postgres.psql("DELETE FROM ordergate.migrations WHERE version = 99", dsn)
    journal.wait(lambda status: status["lastSeq"] == LAST)
    assert stopped(worker) == 0


def test_a_database_that_lost_its_last_commits_is_filled_again(
    journal: Journal, dsn: str, postgres: PostgresServer
) -> None:
    """The watermark goes back together with the rows: whoever starts finds out from where to go on."""
    journal.commit(80)
    assert stopped_at(journal, journal.start(dsn), 80) == 0
    name = postgres.psql("SELECT current_database()", dsn)
    postgres.psql(f"CREATE DATABASE {name}_older TEMPLATE {name}")
    journal.commit(LAST)
    assert stopped_at(journal, journal.start(dsn), LAST) == 0
    older = dsn.replace(f"/{name}", f"/{name}_older")
    worker = journal.start(older)
    journal.wait(lambda status: status["pid"] == worker.pid and status["portfolioSeq"] == LAST)
    assert counts(postgres, older) == counts(postgres, dsn) == EVERYTHING
    assert stopped(worker) == 0


def test_a_writer_that_wakes_up_behind_another_one_is_fenced(
    journal: Journal, tmp_path: Path, dsn: str, postgres: PostgresServer
) -> None:
    """The lock is of one data directory; the watermark also stops one that slept on another machine."""
    journal.commit(40)
    sleeper = journal.start(dsn)
    journal.wait(lambda status: status.get("lastSeq") == 40)
    sleeper.send_signal(signal.SIGSTOP)
    journal.commit(LAST)
    replica = Journal(Paths(tmp_path / "replica"), journal.workers)
    replica.paths.prepare()
    replica.commit(LAST // 2)
    follower = replica.start(dsn)
    replica.wait(lambda status: status.get("lastSeq") == LAST // 2)
    sleeper.send_signal(signal.SIGCONT)
    assert sleeper.wait(timeout=10) == 70
    assert "another worker writes to this database" in journal.status()["lastError"]
    replica.commit(LAST)
    replica.wait(lambda status: status["lastSeq"] == status["portfolioSeq"] == LAST)
    assert counts(postgres, dsn) == EVERYTHING
    assert stopped(follower) == 0


RAISE_FOUR_TIMES = """
CREATE SEQUENCE faults;  -- what it counts is not rolled back
CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('faults') <= 4 THEN RAISE EXCEPTION 'a fault of the test' USING ERRCODE = '{sqlstate}'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fault BEFORE INSERT ON execution.fills FOR EACH ROW EXECUTE FUNCTION fault();
"""


@pytest.mark.parametrize("sqlstate", ["40001", "57014", "53100"])  # serialization, statement time-out, disk full
def test_a_fault_of_the_server_repeats_the_whole_batch(
    journal: Journal, dsn: str, postgres: PostgresServer, sqlstate: str
) -> None:
    journal.commit(40)
    worker = journal.start(dsn)
    journal.wait(lambda status: status.get("portfolioSeq") == 40 and status["lastError"] is None)
    postgres.psql(RAISE_FOUR_TIMES.format(sqlstate=sqlstate), dsn)
    journal.commit(LAST)
    status = journal.wait(lambda status: bool(status["lastError"]))
    assert f" {sqlstate}: a fault of the test" in status["lastError"]
    status = journal.wait(lambda status: status["lastSeq"] == status["portfolioSeq"] == LAST)
    assert (status["pid"], status["lastError"], worker.poll()) == (worker.pid, None, None)
    assert int(postgres.psql("SELECT last_value FROM faults", dsn)) > 4
    assert counts(postgres, dsn) == EVERYTHING
    assert stopped(worker) == 0


def test_a_poisoned_record_is_parked_and_said_so(journal: Journal, dsn: str, postgres: PostgresServer) -> None:
    journal.commit(40)
    worker = journal.start(dsn)
    journal.wait(lambda status: status.get("portfolioSeq") == 40 and status["lastError"] is None)
    postgres.psql("ALTER TABLE execution.fills ADD CONSTRAINT picky CHECK (exchange_fill_id <> '7-801')", dsn)
    journal.commit(LAST)
    status = journal.wait(lambda status: status["lastSeq"] == status["portfolioSeq"] == LAST)
    assert (status["pid"], status["lastError"], status["parkedRecords"]) == (worker.pid, None, 1)
    assert "POISON_RECORD" in (journal.paths.log / "worker.log").read_text()
    assert stopped(worker) == 0
    assert counts(postgres, dsn) == f"{LAST}|{ORDERS}|{ORDERS - 1}|{ORDERS}|{LAST}|{LAST}"


REFUSALS = {
    "25006": (
        "ALTER ROLE writer SET default_transaction_read_only = on",
        "ALTER ROLE writer RESET default_transaction_read_only",
    ),
    "42501": ("REVOKE INSERT ON execution.fills FROM writer", "GRANT INSERT ON execution.fills TO writer"),
}


@pytest.mark.parametrize("sqlstate", REFUSALS)
def test_a_server_that_refuses_is_waited_out_and_named(
    journal: Journal, dsn: str, postgres: PostgresServer, sqlstate: str
) -> None:
    """Read-only, or without a right: no crash loop, the SQLSTATE where people and health look, and then all of it."""
    refuse, allow = REFUSALS[sqlstate]
    journal.commit(0)
    assert stopped_when_migrated(journal, journal.start(dsn)) == 0
    database = dsn.partition("@/")[2].partition("?")[0]
    postgres.psql(
        "DO $$ BEGIN CREATE ROLE writer LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        f"GRANT ALL ON DATABASE {database} TO writer;"
        "GRANT USAGE ON SCHEMA ordergate, execution, portfolio, identity, risk TO writer;"
        "GRANT ALL ON ALL TABLES IN SCHEMA ordergate, execution, portfolio, identity, risk TO writer",
        dsn,
    )
    postgres.psql(refuse, dsn)
    journal.commit(LAST)
    worker = journal.start(dsn.replace("ordergate@", "writer@"))
    status = journal.wait(lambda status: status["pid"] == worker.pid and bool(status["lastError"]))
    assert f" {sqlstate}: " in status["lastError"]
    time.sleep(1)
    assert (worker.poll(), journal.status()["lastSeq"]) == (None, 0)
    postgres.psql(allow, dsn)
    status = journal.wait(lambda status: status["lastSeq"] == status["portfolioSeq"] == LAST)
    assert (status["lastError"], counts(postgres, dsn)) == (None, EVERYTHING)
    assert stopped(worker) == 0


def stopped_when_migrated(journal: Journal, worker: subprocess.Popen[bytes]) -> int:
    """Waits until the worker has its tables and nothing to write, then stops it."""
    journal.wait(lambda status: "lastSeq" in status and status["lastError"] is None)
    time.sleep(0.5)
    return stopped(worker)
