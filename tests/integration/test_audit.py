"""`ordergate audit verify` finds every kind of change to the audit trail, and names the row."""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from ordergate import _core
from ordergate.cli.audit import audit
from ordergate.config import Paths
from ordergate.persistence.anchors import append_anchor
from ordergate.persistence.watermark import EVENT_CHAIN_START, Watermark
from tests.integration import past
from tests.integration.postgres_server import PostgresServer

TRAIL = "execution.order_events"
UPDATES_AT_ONCE = 128


@dataclass(frozen=True)
class Place:
    """A database with a trail, and the installation that it came from."""

    server: PostgresServer
    dsn: str
    paths: Paths

    def sql(self, statement: str) -> str:
        """What the statement answers."""
        return self.server.psql(statement, self.dsn)

    def verify(self) -> tuple[int, str]:
        """The command's exit code, and what it said."""
        arguments = ["verify", "--data-dir", str(self.paths.data)]
        done = CliRunner().invoke(audit, arguments, env={"DATABASE_URL": self.dsn}, catch_exceptions=False)
        return done.exit_code, done.output


def anchor_all(paths: Paths) -> list[int]:
    """Anchors as the worker leaves them, some hundred records apart; their sequences."""
    follower = _core.Follower(str(paths.journal), archive_dir=str(paths.archive))
    seqs = []
    while (rows := follower.poll_rows(400)) is not None:
        append_anchor(paths.anchors, Watermark(rows.last_seq, rows.epoch, rows.chunk_hash, rows.event_hash))
        seqs.append(rows.last_seq)
    return seqs


def installation(data: Path, orders: int = 900) -> Paths:
    """With a part of its journal archived."""
    paths = past.traded(data, orders)
    past.snapshot_twice(paths)
    segments = sorted(int(file.stem) for file in paths.journal.glob("*.seg"))
    assert past.archive_all(paths, segments[len(segments) // 2])
    return paths


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Place:
    """Made once, and never changed: tests work on copies of the database."""
    paths = installation(tmp_path_factory.mktemp("audit") / "data")
    postgres.psql("CREATE DATABASE trail")
    past.run_worker(postgres.dsn("trail"), paths)
    anchor_all(paths)
    return Place(postgres, postgres.dsn("trail"), paths)


@pytest.fixture
def place(made: Place) -> Place:
    """A copy of the database, with the same installation."""
    made.server.psql("DROP DATABASE IF EXISTS touched")
    made.server.psql("CREATE DATABASE touched TEMPLATE trail")
    return Place(made.server, made.server.dsn("touched"), made.paths)


def test_a_trail_that_nobody_touched_agrees(place: Place) -> None:
    count, last = map(
        int, place.sql(f"SELECT count(*), max(w.last_seq) FROM {TRAIL}, execution.watermark w").split("|")
    )
    code, said = place.verify()
    assert code == 0, said
    assert f"all agree: {count:,} rows up to record {last:,} of {last:,}" in said
    anchors = len(place.paths.anchors.read_text().splitlines())
    assert anchors > 5
    assert f"{anchors} of {anchors} anchors" in said


CHANGES = {
    "payload": ("""SET payload = replace(payload::text, '"', '" ')::json""", "payload is"),
    "time": ("SET at = at + interval '1 microsecond'", "at is"),
    "order": ("SET order_id = order_id + 0, account_id = account_id || 'x'", "account_id is"),
    "kind": ("SET kind = 'CANCELED_'", "kind is CANCELED_, must be"),
    "hash": ("SET hash = sha256(hash)", ": hash is"),
    "previous": ("SET prev_hash = hash", "prev_hash is"),
    "other order": ("SET order_id = -order_id", "order_id is -"),
    "gone": ("", "the row is missing"),
}


@pytest.mark.parametrize("where", ["OFFSET 0", "OFFSET 1", "OFFSET 777", "DESC"])
@pytest.mark.parametrize("change", CHANGES)
def test_one_changed_row_is_named(place: Place, change: str, where: str) -> None:
    seq, order = place.sql(f"SELECT seq, order_id FROM {TRAIL} ORDER BY seq {where} LIMIT 1").split("|")
    assignment, text = CHANGES[change]
    place.sql(
        f"UPDATE {TRAIL} {assignment} WHERE seq = {seq}" if assignment else f"DELETE FROM {TRAIL} WHERE seq = {seq}"
    )
    code, said = place.verify()
    assert code == 1, said
    assert f"DIFFERS at record {seq}: {TRAIL} seq {seq} (order {order}): " in said
    assert text in said


def test_a_row_that_had_to_be_parked_is_no_difference_unless_it_is_not_the_journals(place: Place) -> None:
    seq = place.sql(f"SELECT seq FROM {TRAIL} ORDER BY seq OFFSET 100 LIMIT 1")
    place.sql(
        "INSERT INTO execution.parked_records (seq, relation, body, sqlstate, error)"
        f" SELECT seq, 'order_events', json_build_object('hash', hash::text), '22003', 'refused' FROM {TRAIL}"
        f" WHERE seq = {seq}"
    )
    place.sql(f"DELETE FROM {TRAIL} WHERE seq = {seq}")
    assert place.verify()[0] == 0
    place.sql("UPDATE execution.parked_records SET body = json_build_object('hash', sha256('x')::text)")
    code, said = place.verify()
    assert code == 1 and f"DIFFERS at record {seq}" in said, said


@pytest.mark.parametrize(
    "at",
    [
        "-5",
        "0",
        f"(SELECT min(n) FROM generate_series(100, 4000) n WHERE n NOT IN (SELECT seq FROM {TRAIL}))",
        "(SELECT last_seq + 1 FROM execution.watermark)",
    ],
)
def test_a_row_too_many_is_named(place: Place, at: str) -> None:
    rest = "order_id, account_id, kind, at, payload, prev_hash, hash"
    seq = place.sql(f"INSERT INTO {TRAIL} SELECT {at}, {rest} FROM {TRAIL} LIMIT 1 RETURNING seq")
    code, said = place.verify()
    assert code == 1, said
    assert f"DIFFERS at record {seq}: {TRAIL} seq {seq} " in said
    assert "the row must not be there" in said


def rewrite_from(place: Place, seq: int) -> None:
    """Changes one payload, then every hash from there on and the watermark's, so that the trail is consistent again."""
    place.sql(f"UPDATE {TRAIL} SET payload = replace(payload::text, '0', '9')::json WHERE seq = {seq}")
    stored = place.sql(f"SELECT seq, kind, encode(convert_to(payload::text, 'UTF8'), 'hex') FROM {TRAIL} ORDER BY seq")
    head, changed = EVENT_CHAIN_START, []
    for row in stored.splitlines():
        number, kind, payload = row.split("|")
        text = int(number).to_bytes(8, "big") + kind.encode() + b"\0" + bytes.fromhex(payload)
        before, head = head, hashlib.sha256(head + text).digest()
        changed.append(f"({number}::bigint, '\\x{before.hex()}'::bytea, '\\x{head.hex()}'::bytea)")
    for first in range(0, len(changed), UPDATES_AT_ONCE):
        values = ",".join(changed[first : first + UPDATES_AT_ONCE])
        place.sql(
            f"UPDATE {TRAIL} e SET prev_hash = p, hash = h FROM (VALUES {values}) r (seq, p, h) WHERE e.seq = r.seq"
        )
    place.sql(f"UPDATE execution.watermark SET event_hash = '\\x{head.hex()}'")


def test_a_trail_rewritten_in_postgres_is_found_by_the_journal(place: Place) -> None:
    before = place.sql(f"SELECT count(*), min(encode(w.event_hash, 'hex')) FROM {TRAIL}, execution.watermark w")
    victim = int(place.sql(f"SELECT seq FROM {TRAIL} WHERE payload::text ~ '0' ORDER BY seq OFFSET 500 LIMIT 1"))
    rewrite_from(place, victim)
    assert place.sql(f"SELECT count(*), min(encode(w.event_hash, 'hex')) FROM {TRAIL}, execution.watermark w") != before
    links = f"SELECT prev_hash, lag(hash) OVER (ORDER BY seq) AS last FROM {TRAIL}"
    assert place.sql(f"SELECT count(*) FROM ({links}) WHERE prev_hash <> last") == "0", "in itself the chain is whole"
    code, said = place.verify()
    assert code == 1
    assert f"DIFFERS at record {victim}: {TRAIL} seq {victim} " in said
    assert "payload is" in said


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("UPDATE execution.watermark SET event_hash = sha256(event_hash)", "execution.watermark at record"),
        ("UPDATE execution.watermark SET last_seq = last_seq - 1", "execution.watermark at record"),
        ("UPDATE execution.watermark SET last_seq = last_seq + 7", "the journal ends at record"),
        ("DELETE FROM execution.watermark", "the row must not be there"),
        ("TRUNCATE execution.watermark, execution.order_events", "rows have gone, or a rebuild is under way"),
    ],
)
def test_a_watermark_that_was_touched_is_found(place: Place, statement: str, text: str) -> None:
    place.sql(statement)
    code, said = place.verify()
    assert (code, text in said) == (1, True), said


def test_journal_and_postgres_rewritten_together_are_found_by_an_anchor(
    tmp_path: Path, postgres: PostgresServer, dsn: str
) -> None:
    """Somebody with every file but the anchors (a copy of them is elsewhere) lets another history have happened."""
    real = installation(tmp_path / "real", 200)
    seqs = anchor_all(real)
    other = Place(postgres, dsn, installation(tmp_path / "other", 200))
    past.run_worker(dsn, other.paths)
    assert other.verify()[0] == 0
    other.paths.anchors.parent.mkdir()
    other.paths.anchors.write_bytes(real.anchors.read_bytes())
    code, said = other.verify()
    assert code == 1
    assert f"DIFFERS at record {seqs[0]}: the anchor of " in said
    assert "journal and Postgres agree, and are not what they were" in said
    other.paths.anchors.write_bytes(b"no anchor}\n")
    code, said = other.verify()
    assert (code, "anchors.jsonl, line 1" in said) == (1, True)


def test_what_cannot_be_compared_is_no_difference(place: Place, tmp_path: Path) -> None:
    assert Place(place.server, place.dsn, Paths(tmp_path / "empty")).verify()[0] == 2
    assert Place(place.server, place.server.dsn("absent"), place.paths).verify()[0] == 2
    lost = sorted(place.paths.archive.glob("*.seg.zst"))[1]
    kept = lost.read_bytes()
    lost.unlink()
    try:
        code, said = place.verify()
    finally:
        lost.write_bytes(kept)
    assert (code, "it is not there" in said) == (2, True)


def test_it_works_while_orders_come_and_segments_leave(tmp_path: Path, dsn: str, postgres: PostgresServer) -> None:
    paths = installation(tmp_path / "data", 300)
    place, done, failures = Place(postgres, dsn, paths), threading.Event(), list[BaseException]()
    past.run_worker(dsn, paths)

    def live() -> None:
        try:
            gateway = past.opened(paths)
            for number in range(10_000, 10_000_000, 30):
                past.trade(gateway, range(number, number + 30))
                past.run_worker(dsn, paths)
                past.snapshot_twice(paths)
                past.archive_all(paths, 2**62)
                if done.is_set():
                    break
            gateway.close()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=live)
    thread.start()
    try:
        said = [place.verify() for _ in range(5)]
    finally:
        done.set()
        thread.join()
    assert not failures, failures
    assert [code for code, _ in said] == [0] * 5, said
    assert len({text for _, text in said}) > 1, "the trail grew meanwhile"
