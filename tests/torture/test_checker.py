"""Each comparison of the checker, on figures that are right and on the same figures with one thing wrong."""

import hashlib
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.clients import Client, write_down
from tests.acceptance.system import System
from tests.torture.checker import (
    Journal,
    Row,
    Stored,
    chained,
    departed,
    handed_over,
    hold,
    legal,
    promised,
    same_history,
    shut,
    unsent,
)
from tests.torture.faults import Stage
from tests.torture.load import History, Trader, read_back

KEY = "1b4e28ba"
ANSWER = '{"id":"3"}'


def event(seq: int, kind: str, head: bytes, order: int = 3) -> Row:
    hashed = hashlib.sha256(head + seq.to_bytes(8) + kind.encode() + b"\0{}").digest()
    return (seq, order, "a", kind, "{}", head, hashed)


def order_row(status: str, filled: str) -> Row:
    terms = (3, "a", None, KEY, "PAPER", "BTCUSDT", "BUY", "LIMIT", "GTC", "2", "10")
    return (*terms, status, filled, "0", None, None, None, None, "v", 6)


def stored(*kinds: str, status: str = "CANCELED", filled: str = "0") -> Stored:
    events: list[Row] = []
    head = bytes(32)
    for seq, kind in enumerate(kinds, 3):
        events.append(event(seq, kind, head))
        head = events[-1][6]
    rows = {
        "execution.order_events": events,
        "execution.orders": [order_row(status, filled)],
        "execution.fills": [],
        "execution.portfolio_events_outbox": [(1, "a", "PAPER", "BALANCE_ADJUSTED", "{}")],
        "execution.alarms": [],
    }
    return Stored(9, b"chunk", head, rows)


def journal_of(postgres: Stored) -> Journal:
    tables = {name: list(rows) for name, rows in postgres.tables.items()}
    return Journal(postgres.event_hash, postgres.chunk_hash, tables, {"3": {"status": "NEW"}}, [], [], [], 0)


CANCELED = ("ORDER_ACCEPTED", "SUBMIT_STARTED", "ACKED", "CANCEL_REQUESTED", "CANCELED")


def trader(directory: Path) -> Trader:
    return Trader("a", Client(None, "token", "a", Random(1), directory / "log"), directory / "log")  # type: ignore[arg-type]


def told(directory: Path, *facts: dict[str, object]) -> History:
    write_down(directory / "log", sent=KEY, body="{}")
    for fact in facts:
        write_down(directory / "log", **fact)
    return read_back(directory / "log")


def test_equal_histories_pass_and_any_difference_fails() -> None:
    postgres = stored(*CANCELED)
    same_history(postgres, journal_of(postgres))
    for table in ("execution.orders", "execution.portfolio_events_outbox"):
        lost, twice = journal_of(postgres), journal_of(postgres)
        lost.tables[table] = []
        twice.tables[table] = twice.tables[table] * 2
        for wrong in (lost, twice):
            with pytest.raises(AssertionError, match=table):
                same_history(postgres, wrong)
    with pytest.raises(AssertionError, match="I9"):
        same_history(replace(postgres, event_hash=bytes(32)), journal_of(postgres))
    with pytest.raises(AssertionError, match="I9"):
        same_history(replace(postgres, chunk_hash=b"other"), journal_of(postgres))


def test_a_chain_breaks_where_an_event_is_missing_or_changed() -> None:
    chained(stored(*CANCELED))
    missing, changed, short = (stored(*CANCELED) for _ in range(3))
    del missing.tables["execution.order_events"][2]
    row = changed.tables["execution.order_events"][2]
    changed.tables["execution.order_events"][2] = (*row[:4], '{"price":"1"}', *row[5:])
    short.tables["execution.order_events"].pop()
    for wrong in (missing, changed, short):
        with pytest.raises(AssertionError, match="I9"):
            chained(wrong)


@pytest.mark.parametrize(
    ("kinds", "status", "filled"),
    [
        (CANCELED, "CANCELED", "0"),
        (("ORDER_DENIED",), "REJECTED", "0"),
        (("ORDER_ACCEPTED", "SUBMIT_STARTED", "ACKED", "FILL"), "PARTIALLY_FILLED", "1"),
        (("ORDER_ACCEPTED", "SUBMIT_STARTED", "ACKED", "FILL", "FILL"), "FILLED", "2"),
        (("ORDER_ACCEPTED", "SUBMIT_STARTED", "NOT_SENT"), "REJECTED", "0"),
    ],
)
def test_possible_lives_pass(kinds: tuple[str, ...], status: str, filled: str) -> None:
    legal(stored(*kinds, status=status, filled=filled))


@pytest.mark.parametrize(
    ("kinds", "status", "filled"),
    [
        (CANCELED, "NEW", "0"),
        ((*CANCELED, "FILL"), "CANCELED", "1"),
        (("SUBMIT_STARTED",), "NEW", "0"),
        (("ORDER_ACCEPTED", "SUBMIT_STARTED", "SUBMIT_STARTED"), "NEW", "0"),
        (("ORDER_ACCEPTED", "SUBMIT_STARTED", "ACKED", "IN_DOUBT"), "IN_DOUBT", "0"),
        (("ORDER_ACCEPTED", "SUBMIT_STARTED", "ACKED", "FILL"), "FILLED", "1"),
    ],
)
def test_impossible_lives_fail(kinds: tuple[str, ...], status: str, filled: str) -> None:
    with pytest.raises(AssertionError, match="I6"):
        legal(stored(*kinds, status=status, filled=filled))


def test_an_answered_order_that_is_missing_or_another_is_lost(tmp_path: Path) -> None:
    postgres = stored(*CANCELED)
    history = told(tmp_path, {"answered": KEY, "status": 201, "answer": ANSWER})
    promised(trader(tmp_path), history, postgres, journal_of(postgres))
    postgres.tables["execution.orders"] = []
    with pytest.raises(AssertionError, match="I1"):
        promised(trader(tmp_path), history, postgres, journal_of(postgres))


def test_two_answers_to_one_key_and_two_orders_for_one_key_fail(tmp_path: Path) -> None:
    postgres = stored(*CANCELED)
    answers: list[dict[str, object]] = [
        {"answered": KEY, "status": 201, "answer": text} for text in (ANSWER, ANSWER + " ")
    ]
    with pytest.raises(AssertionError, match="answered differently"):
        promised(trader(tmp_path), told(tmp_path, *answers), postgres, journal_of(postgres))
    postgres.tables["execution.orders"] *= 2
    with pytest.raises(AssertionError, match="two orders for one request key"):
        promised(trader(tmp_path), read_back(tmp_path / "log"), postgres, journal_of(postgres))


def test_an_unanswered_request_may_have_happened_and_an_unsent_one_may_not(tmp_path: Path) -> None:
    postgres = stored(*CANCELED)
    promised(trader(tmp_path), told(tmp_path), postgres, journal_of(postgres))
    with pytest.raises(AssertionError, match="nobody sent"):
        promised(trader(tmp_path), History(), postgres, journal_of(postgres))


def test_a_refusal_that_leaves_the_key_free_and_a_cancel_are_kept_to(tmp_path: Path) -> None:
    postgres = stored(*CANCELED)
    refused = told(tmp_path, {"answered": KEY, "status": 422, "answer": '{"code":"invalid_price"}'})
    with pytest.raises(AssertionError, match="free key"):
        promised(trader(tmp_path), refused, postgres, journal_of(postgres))
    with pytest.raises(AssertionError, match="still open"):
        promised(trader(tmp_path), replace(told(tmp_path), canceled={"3"}), postgres, journal_of(postgres))


def test_an_order_admitted_without_a_reading_is_named() -> None:
    system: System = None  # type: ignore[assignment]
    stage = Stage(system, Random(1), shut=[(10.0, 12.0)])
    journal = journal_of(stored(*CANCELED))
    journal.admitted = [(9_900_000_000, "1"), (12_100_000_000, "2")]
    shut(stage, journal)
    journal.admitted.append((11_000_000_000, "3"))
    with pytest.raises(AssertionError, match=r"I10.*'3'"):
        shut(stage, journal)


def test_an_order_sent_while_killed_is_named_and_one_that_was_handed_over_is_not() -> None:
    system: System = None  # type: ignore[assignment]
    stage = Stage(system, Random(1), unsent=[(10.0, 12.0)])
    journal = journal_of(stored(*CANCELED))
    journal.acked = [(9_900_000_000, "1"), (12_100_000_000, "2")]
    unsent(stage, journal)
    journal.acked.append((11_000_000_000, "3"))
    with pytest.raises(AssertionError, match=r"I10.*killed.*'3'"):
        unsent(stage, journal)
    assert [handed_over([5, 10], sent, acked) for sent, acked in ((5, 9), (9, 10), (4, 11), (10, 11))] == [
        False, True, True, False,
    ]  # fmt: skip


def test_an_order_at_rest_holds_the_rest_of_it() -> None:
    terms = {"symbol": "BTCUSDT", "quantity": "2", "filledQuantity": "0.5", "price": "0.000000001", "status": "NEW"}
    assert [str(one) for one in hold(terms | {"side": "SELL"})] == ["BTC", "1.5"]
    assert [str(one) for one in hold(terms | {"side": "BUY"})] == ["USDT", "1E-8"]
    assert [str(one) for one in hold(terms | {"side": "BUY", "status": "FILLED"})] == ["USDT", "0"]


def test_an_order_that_left_memory_is_known_by_its_row_and_an_open_one_may_not_leave() -> None:
    assert departed([order_row("FILLED", "2")])["3"] == {
        "symbol": "BTCUSDT", "side": "BUY", "quantity": "2", "price": "10", "status": "FILLED", "filledQuantity": "2",
        "avgFillPrice": None,
    }  # fmt: skip
    assert departed([order_row("PARTIALLY_FILLED", "1")]) == {}
