"""`ordergate risk`, `strategies` and `keys` with the real engine: without a gateway the journal itself is asked."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ordergate import _core
from ordergate.cli import main
from ordergate.config import Paths
from tests.unit.desk_parts import furnish
from tests.unit.test_cli import data  # noqa: F401


@pytest.fixture
def desk(data: Path) -> Iterator[Path]:  # noqa: F811
    paths = Paths(data)
    paths.prepare()
    gateway = _core.Gateway.open(str(paths.journal), str(paths.snapshots), segment_bytes=64 << 20)
    furnish(gateway)
    gateway.close()
    yield data


def run(data: Path, line: str, *more: str) -> Result:  # noqa: F811
    return CliRunner().invoke(main, [*line.split(), *more, "--data-dir", str(data)])


STORY: list[tuple[str, int, str]] = [
    ("risk set account desk MAX_ORDER_QTY 3 --unit base --by ann --reason s", 0, "MAX_ORDER_QTY is 3"),
    ("risk set account desk MAX_ORDER_QTY 2 --by ann --reason new", 0, "MAX_ORDER_QTY is 2"),
    ("risk set account desk MAX_ORDER_QTY 2 --by ann --reason new", 0, "it was so already"),
    ("risk set account desk MAX_ORDER_QTY 2.2 --by ann --reason tenth", 0, "MAX_ORDER_QTY is 2.2"),
    ("risk set account desk MAX_ORDER_QTY 5 --by ann --reason trained", 0, "waits for a second person"),
    ("risk set account desk MAX_ORDER_QTY none --by ann --reason x", 0, "waits for a second person"),
    ("risk set firm MAX_OPEN_ORDERS 500 --by ann --reason start", 0, "MAX_OPEN_ORDERS is 500"),
    ("risk set key 4 MAX_ORDER_NOTIONAL 1000 --by ann --reason start", 0, "MAX_ORDER_NOTIONAL is 1000"),
    ("risk set account desk MAX_LONG_POSITION 2 --symbol BTCUSDT --by ann --reason s", 0, "MAX_LONG_POSITION is 2"),
    ("risk override desk MAX_ORDER_QTY --symbol BTCUSDT --by ann --reason once", 0, "waits for a second person"),
    ("risk restrict BTCUSDT --account desk --by ann --reason delisting", 0, "BTCUSDT: restricted"),
    ("risk schedule --days mon,fri --from 08:00 --to 18:30 --by ann --reason office", 0, "hours: mon,fri 08:00-18:30"),
    ("risk set-state account desk HALTED --mode PAPER --by ann --reason look", 0, "account desk: HALTED"),
    ("risk set-state account desk HALTED --mode PAPER --by ann --reason look", 0, "it was so already"),
    ("risk set-state symbol BTCUSDT REDUCE_ONLY --by ann --reason delisting", 0, "symbol BTCUSDT: REDUCE_ONLY"),
    ("risk set-state global REDUCE_ONLY --by ann --reason calm", 0, "global: REDUCE_ONLY"),
    ("risk set-state global ACTIVE --by ann --reason over", 0, "global: ACTIVE"),
    ("risk self-trade-group desk family --by ann --reason one", 0, "account desk: in group family"),
    ("risk self-trade-group desk family --by ann --reason one", 0, "it was so already"),
    ("risk self-trade-group desk --by ann --reason apart", 0, "account desk: a group of its own"),
    ("strategies create grid --account desk --by ann", 0, "strategy grid of account desk: STOPPED"),
    ("strategies start grid --by ann --reason go", 0, "strategy grid: RUNNING"),
    ("strategies stop grid --by ann --reason enough", 0, "strategy grid: STOPPED"),
    ("strategies start grid --by ann", 0, "strategy grid: RUNNING"),
    ("kill on --scope strategy --target grid --by ann --reason drill", 0, "killed: drill"),
    ("strategies start grid --by ann", 1, "(killed)"),
    ("kill off --scope strategy --target grid --by ann", 0, "is not killed"),
]
"""In order: what is asked, the exit code, and what is told."""

REFUSED: list[tuple[str, int, str]] = [
    ("risk set account desk MAX_ORDER_QTY -1 --reason x", 1, "must not be negative"),
    ("risk set account desk MAX_ORDER_QTY 1 --symbl BTCUSDT --reason x", 2, "give KIND and VALUE"),
    ("risk set account desk MAX_ORDER_QTY two --reason x", 1, "invalid_limit"),
    ("risk set account desk MAX_ORDER_QTY 1e40 --reason x", 1, "invalid_limit"),
    ("risk set account desk MAX_ORDER_QTY 1 --unit count --reason x", 1, "measured in base"),
    ("risk set account desk MAX_OPEN_ORDERS 1.5 --reason x", 1, "must be a whole number"),
    ("risk set account desk MAX_FUN 1 --reason x", 1, "invalid_limit"),
    ("risk set account nobody MAX_ORDER_QTY 1 --reason x", 1, "not_found"),
    ("risk set key 99 MAX_ORDER_QTY 1 --reason x", 1, "not_found"),
    ("risk set account desk MAX_ORDER_QTY 1 --symbol NOPE --reason x", 1, "not_found"),
    ("risk set account desk MAX_ORDER_QTY 60 --reason x", 1, "looser than the 50 of firm"),
    ("risk set galaxy x MAX_ORDER_QTY 1 --reason x", 2, "galaxy"),
    ("risk set account MAX_ORDER_QTY 1 --reason x", 2, "give KIND and VALUE"),
    ("risk set account desk MAX_ORDER_QTY 1", 2, "Missing option '--reason'"),
    ("risk approve 99 --by bob", 1, "not_found"),
    ("risk reject x", 2, "is not a valid integer"),
    ("risk override desk MAX_FUN --reason x", 1, "invalid_limit"),
    ("risk override nobody MAX_ORDER_QTY --reason x", 1, "not_found"),
    ("risk override desk MAX_ORDER_QTY --minutes 1441 --reason x", 2, "1441"),
    ("risk restrict NOPE --reason x", 1, "not_found"),
    ("risk schedule --days someday --reason x", 2, "is not a list of"),
    ("risk schedule --from 8 --reason x", 2, "is not HH:MM"),
    ("risk schedule --from 25:00 --reason x", 1, "invalid_parameter"),
    ("risk schedule --from 08:00 --to 08:00 --reason x", 1, "another minute"),
    ("risk set-state account desk --reason x", 2, "give STATE"),
    ("risk set-state account desk OPEN --reason x", 2, "STATE is one of"),
    ("risk set-state symbol NOPE HALTED --reason x", 1, "not a symbol"),
    ("risk set-state account desk HALTED --mode TEST --reason x", 2, "TEST"),
    ("risk self-trade-group nobody family --reason x", 1, "not"),
    ("risk self-trade-group desk FAMILY --reason x", 1, "must be at most 32"),
    ("risk history --limit 0", 2, "0 is not in the range"),
    ("risk history --before 0", 2, "0 is not in the range"),
    ("risk history", 2, "no database"),
    ("strategies create grid --account nobody", 1, "not_found"),
    ("strategies create a/b --account desk", 1, "invalid_parameter"),
    ("strategies start nobody", 1, "not_found"),
    ("keys create --account nobody", 1, ""),
    ("keys create --account desk --scope all", 2, "all"),
    ("keys create --account desk --symbol NOPE", 1, "NOPE"),
    ("keys create --account desk --ip-allow 10.0.0.7/8", 1, "10.0.0.7/8"),
    ("keys create --account desk --ip-allow home", 1, "home"),
    ("keys create --account desk --rate 0", 2, "0 is not in the range"),
    ("keys create --account desk --expires yesterday", 1, "not RFC 3339"),
    ("keys create --account desk --expires 2020-01-01T00:00:00Z", 1, "has passed"),
]


def test_the_story_of_a_desk(desk: Path) -> None:
    for line, code, told in STORY:
        done = run(desk, line)
        assert (done.exit_code, told in done.output) == (code, True), (line, done.output)
    asked = json.loads(run(desk, "risk requests --json").output)
    assert [(one["by"], one["reason"]) for one in asked] == [("ann", "trained"), ("ann", "x"), ("ann", "once")]
    change, away, excuse = (one["id"] for one in asked)
    refused = run(desk, f"risk approve {change} --by Ann")
    assert (refused.exit_code, "second_person_needed" in refused.output) == (1, True)
    assert run(desk, f"risk approve {change} --by bob").output == f"request {change} approved\n"
    assert run(desk, f"risk approve {change} --by bob").exit_code == 1
    assert run(desk, f"risk reject {away} --by ann").output == f"request {away} rejected\n"
    rows = run(desk, "risk requests").output.splitlines()
    assert rows[1:] == [f"{excuse}\toverride\tdesk MAX_ORDER_QTY 600000 BTCUSDT\tann\tonce"] or excuse in rows[1]
    shown = run(desk, "risk show").output.splitlines()
    assert set(shown[1:6]) == {
        "firm\t\t\tMAX_OPEN_ORDERS\t500\tcount",
        "account\tdesk\t\tMAX_ORDER_QTY\t5\tbase",
        "account\tdesk\tBTCUSDT\tMAX_LONG_POSITION\t2\tbase",
        "key\t4\t\tMAX_ORDER_NOTIONAL\t1000\treportingCurrency",
        "restricted: BTCUSDT for desk",
    }
    assert shown[6:] == ["hours: mon,fri 08:00-18:30 UTC for everybody"]
    states = [line.split("\t") for line in run(desk, "risk state").output.splitlines()]
    assert [row[:3] for row in states[1:4]] == [
        ["account desk", "PAPER", "HALTED"],
        ["symbol BTCUSDT", "PAPER", "REDUCE_ONLY"],
        ["symbol BTCUSDT", "LIVE", "REDUCE_ONLY"],
    ]
    listed = run(desk, "strategies list").output.splitlines()
    assert listed == ["id\taccount\tstatus\tby\tsource\treason", "grid\tdesk\tSTOPPED\tann\tkill\tdrill"]
    assert json.loads(run(desk, "strategies list --json").output)[0]["status"] == "STOPPED"
    for line in ("risk restrict BTCUSDT --account desk --lift", "risk schedule"):
        assert run(desk, line, "--by", "ann", "--reason", "over").exit_code == 0
    assert "restricted" not in (shown_last := run(desk, "risk show").output) and "hours" not in shown_last


def test_what_is_refused_says_why_and_changes_nothing(desk: Path) -> None:
    assert run(desk, "risk set firm MAX_ORDER_QTY 50 --by ann --reason start").exit_code == 0

    def facts() -> list[str]:
        verbs = ("risk show", "risk requests", "risk state", "strategies list", "keys list")
        return [run(desk, verb).output for verb in verbs]

    before = facts()
    for line, code, told in REFUSED:
        done = run(desk, line)
        assert (done.exit_code, told in done.output) == (code, True), (line, done.output)
        assert done.stdout == "" or "Usage" in done.output, line
    assert facts() == before


@pytest.mark.parametrize(
    ("words", "scopes", "rate", "symbols", "networks"),
    [
        ("", "read,trade,cancel", "100", "", ""),
        ("--scope read", "read", "100", "", ""),
        ("--scope cancel --rate 5", "read,cancel", "5", "", ""),
        ("--scope risk-admin --scope kill", "risk-admin,kill", "100", "", ""),
        ("--scope trade --symbol BTCUSDT --symbol ETHUSDT", "read,trade,cancel", "100", "BTCUSDT,ETHUSDT", ""),
        ("--ip-allow 10.0.0.0/8 --ip-allow ::1", "read,trade,cancel", "100", "", "10.0.0.0/8,::1"),
    ],
)
def test_keys_are_created_with_what_they_may(
    desk: Path, words: str, scopes: str, rate: str, symbols: str, networks: str
) -> None:
    made = run(desk, "keys create --account desk --owner ann --name bot --expires 2100-01-01T00:00:00Z " + words)
    assert made.exit_code == 0 and made.stdout.startswith("og_") and "not shown again" in made.stderr
    row = run(desk, "keys list").output.splitlines()[-1].split("\t")
    assert row[1:8] == ["desk", "ann", "bot", scopes, rate, symbols, networks]
    assert row[9].startswith("2099-12-31T23:59") or row[9].startswith("2100-01-01T00:00")
    assert made.stdout.strip() not in run(desk, "keys list").output


def test_help_teaches() -> None:
    for words, taught in (
        ("risk --help", "second"),
        ("risk set --help", "none"),
        ("risk history --help", "newest first"),
        ("risk state --help", "REDUCE_ONLY"),
        ("risk set-state --help", "breach"),
        ("risk override --help", "overrideId"),
        ("risk schedule --help", "UTC"),
        ("strategies --help", "begins STOPPED"),
        ("keys create --help", "10.0.0.0/8"),
    ):
        told = CliRunner().invoke(main, words.split())
        assert (told.exit_code, taught in told.output) == (0, True), words


def test_every_kind_is_explained() -> None:
    rows = [line.split("\t") for line in CliRunner().invoke(main, ["risk", "kinds"]).output.splitlines()]
    assert rows[0] == ["kind", "unit", "of", "per symbol", "what"]
    kinds = {row[0]: row[1:] for row in rows[1:]}
    assert kinds["MAX_ORDER_QTY"][:3] == ["base", "firm,account,strategy,key", "yes"]
    assert kinds["MAX_DRAWDOWN"][:3] == ["ratio", "account", ""]
    assert all(row[4].endswith(".") for row in rows[1:])
