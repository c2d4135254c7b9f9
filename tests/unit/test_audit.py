"""What the audit says of two lists of rows."""

import pytest

from ordergate.persistence.audit import COLUMNS, Row, first_difference


def row(seq: int, **changes: object) -> Row:
    plain = dict(zip(COLUMNS, (seq, 7, "alpha", "ACKED", 5_000_000, "{}", b"\x01", b"\x02"), strict=True))
    return tuple((plain | changes).values())


LONG = "x" * 500
CASES: list[tuple[list[Row], list[Row], str | None]] = [
    ([], [], None),
    ([row(1), row(2)], [row(1), row(2)], None),
    ([row(1), row(2)], [row(2)], "1: execution.order_events seq 1 (order 7): the row is missing (ACKED)"),
    ([row(1), row(2)], [row(1)], "2: execution.order_events seq 2 (order 7): the row is missing (ACKED)"),
    ([row(2)], [row(1), row(2)], "1: execution.order_events seq 1 (order 7): the row must not be there (ACKED)"),
    ([row(2)], [row(2), row(3)], "3: execution.order_events seq 3 (order 7): the row must not be there (ACKED)"),
    ([row(1)], [row(1, hash=b"\xff")], "1: execution.order_events seq 1 (order 7): hash is ff, must be 02"),
    (
        [row(1, payload=LONG + "1")],
        [row(1, payload=LONG + "2\x1b[2J")],
        f"1: execution.order_events seq 1 (order 7): payload is ...{'x' * 30}2\\x1b[2J, must be ...{'x' * 30}1",
    ),
    (
        [row(1, payload="a" + LONG)],
        [row(1, payload="b" + LONG)],
        f"1: execution.order_events seq 1 (order 7): payload is b{'x' * 79}..., must be a{'x' * 79}...",
    ),
]


@pytest.mark.parametrize(("expected", "stored", "text"), CASES)
def test_the_first_difference_is_named(expected: list[Row], stored: list[Row], text: str | None) -> None:
    found = first_difference(expected, stored)
    assert (None if found is None else f"{found.seq}: {found.text}") == text
