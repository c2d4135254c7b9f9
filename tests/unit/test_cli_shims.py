"""redis-cli's replies and options, and the small psql: formats that scripts and people rely on."""

import pytest

from ordergate.cli import psql
from ordergate.cli.redis_cli import Usage, as_is, as_shown, quoted, read_options
from ordergate.cli.resp import Failure, Reply, Status
from ordergate.supervisor.addresses import Address

SERVER = Address("redis://127.0.0.1:6390/0", "unix:///d/run/valkey.sock?db=0", True)


@pytest.mark.parametrize(
    ("reply", "raw", "shown"),
    [
        (Status(b"OK"), b"OK", "OK"),
        (b"OK", b"OK", '"OK"'),
        (1, b"1", "(integer) 1"),
        (None, b"", "(nil)"),
        (b"", b"", '""'),
        (Failure(b"ERR no"), b"ERR no", "(error) ERR no"),
        ([], b"", "(empty array)"),
        ([b"a", None, [1, b"b"]], b"a\n\n1\nb", '1) "a"\n2) (nil)\n3) 1) (integer) 1\n   2) "b"'),
    ],
)
def test_replies(reply: Reply, raw: bytes, shown: str) -> None:
    assert as_is(reply) == raw
    assert as_shown(reply) == shown


def test_long_lists_are_aligned() -> None:
    lines = as_shown([b"x"] * 10).splitlines()
    assert (lines[0], lines[9]) == (' 1) "x"', '10) "x"')


def test_strings_are_escaped() -> None:
    assert quoted(b'{"a":1}\n\x00\xff\\') == '"{\\"a\\":1}\\n\\x00\\xff\\\\"'


def test_options_come_before_the_command() -> None:
    options, words = read_options(["-n", "2", "--no-raw", "SET", "-n", "3"], SERVER)
    assert (options.database, options.raw, words) == (2, False, [b"SET", b"-n", b"3"])


@pytest.mark.parametrize(
    "words",
    [["-h", "127.0.0.1"], ["-h", "localhost", "-p", "6390"], ["-u", SERVER.url], ["-s", "/d/run/valkey.sock"]],
)
def test_our_own_server_may_be_named(words: list[str]) -> None:
    assert read_options([*words, "PING"], SERVER)[1] == [b"PING"]


@pytest.mark.parametrize(
    "words",
    [["-h", "10.0.0.1"], ["-p", "6379"], ["-u", "redis://127.0.0.1:6390/1"], ["-s", "/x"], ["--pipe"], ["-n", "x"]],
)
def test_another_server_and_unknown_options_are_refused(words: list[str]) -> None:
    with pytest.raises(Usage):
        read_options([*words, "PING"], SERVER)


def test_psql_options() -> None:
    options = psql.read_options(["postgresql://u", "-tAc", "SELECT 1", "-c", "SELECT 2"])
    assert (options.url, options.commands) == ("postgresql://u", ["SELECT 1", "SELECT 2"])
    assert options.tuples_only
    assert options.unaligned
    with pytest.raises(psql.Usage):
        psql.read_options(["-f", "x.sql"])


def test_psql_tables() -> None:
    rows = [["1", "NEW"], ["22", "FILLED"]]
    assert psql.table(["id", "status"], rows, psql.Options()) == [
        " id | status ", "----+--------", " 1  | NEW   ", " 22 | FILLED", "(2 rows)", "",
    ]  # fmt: skip
    bare = psql.Options(tuples_only=True, unaligned=True)
    assert psql.table(["id", "status"], rows, bare) == ["1|NEW", "22|FILLED"]
    assert psql.cell(True) + psql.cell(None) + psql.cell([1, None]) == "t{1,}"
