"""A doubt ends by evidence or by proof, never by time alone."""

from itertools import pairwise

import pytest

from ordergate.venues.binance import doubt
from ordergate.venues.binance.dialect import MS
from ordergate.venues.binance.doubt import Absent, Doubt, Margins, Query, Scan, Wait

MARGINS = Margins(
    recv_window_ms=2_000, clock_bound_ms=500, engine_timeout_ms=10_000, read_lag_ms=5_000, queries=3, gap_ms=2_000
)
SENT = 1_000_000 * MS
DEADLINE = SENT + 19_500 * MS


def test_the_deadline_counts_from_the_last_moment_of_the_send() -> None:
    assert doubt.open_doubt(7, SENT, MARGINS) == Doubt(7, DEADLINE)


def ask_until(one: Doubt, now_ns: int, end_ns: int) -> tuple[Doubt, list[int], object, int]:
    """Every query finds nothing, every scan is whole: what was asked when, and where it ended."""
    asked: list[int] = []
    while now_ns < end_ns:
        match doubt.step(one, MARGINS, now_ns):
            case Wait(until_ns):
                now_ns = until_ns
            case Query():
                asked.append((now_ns - SENT) // MS)
                one = doubt.not_found(one, MARGINS, now_ns)
                now_ns += 20 * MS
            case Scan():
                one = doubt.not_scanned(one, now_ns)
                now_ns += 20 * MS
            case Absent() as proof:
                return one, asked, proof, now_ns
    return one, asked, None, now_ns


def test_absence_is_proved_after_the_deadline_by_three_queries_and_a_scan() -> None:
    _, asked, proof, end_ns = ask_until(doubt.open_doubt(7, SENT, MARGINS), SENT, SENT + 60_000 * MS)
    assert isinstance(proof, Absent)
    after = [at for at in asked if at >= 19_500]
    assert asked[0] == 0, "it is asked at once"
    assert len(after) == 3
    assert all(later - earlier >= MARGINS.gap_ms for earlier, later in pairwise(asked))
    assert end_ns - SENT <= 30_000 * MS, "with the default margins a doubt ends within 30 s"
    assert "3 times" in proof.evidence


def test_nothing_before_the_deadline_counts() -> None:
    one, now_ns = doubt.open_doubt(7, SENT, MARGINS), SENT
    for _ in range(100):
        one = doubt.not_found(one, MARGINS, now_ns)
        one = doubt.not_scanned(one, now_ns)
    assert one.absent_ns == ()
    assert one.scanned_ns is None


def test_queries_close_together_count_once() -> None:
    one = doubt.open_doubt(7, SENT, MARGINS)
    for wait_ms in (0, 1, 500, 1_999, 2_000):
        one = doubt.not_found(one, MARGINS, DEADLINE + wait_ms * MS)
    assert len(one.absent_ns) == 2


def test_failed_queries_never_count() -> None:
    one, now_ns = doubt.open_doubt(7, SENT, MARGINS), DEADLINE
    for _ in range(100):
        assert doubt.step(one, MARGINS, now_ns) == Query()
        one = doubt.failed(one, MARGINS, now_ns)
        assert doubt.step(one, MARGINS, now_ns) == Wait(now_ns + 2_000 * MS)
        now_ns += 2_000 * MS
    assert one.absent_ns == ()
    assert isinstance(ask_until(one, now_ns, now_ns + 10_000 * MS)[2], Absent)


def test_a_wait_that_the_exchange_asks_for_is_kept() -> None:
    one = doubt.failed(doubt.open_doubt(7, SENT, MARGINS), MARGINS, SENT, wait_ms=60_000)
    assert doubt.step(one, MARGINS, SENT + 59_999 * MS) == Wait(SENT + 60_000 * MS)


def test_queries_alone_prove_nothing_without_the_scan() -> None:
    one, now_ns = doubt.open_doubt(7, SENT, MARGINS), DEADLINE
    for _ in range(3):
        one = doubt.not_found(one, MARGINS, now_ns)
        now_ns += 2_000 * MS
    for _ in range(10):
        assert doubt.step(one, MARGINS, now_ns) == Scan()
        one = doubt.failed(one, MARGINS, now_ns)
        now_ns += 2_000 * MS
    assert isinstance(doubt.step(doubt.not_scanned(one, now_ns), MARGINS, now_ns), Absent)


def test_an_operator_starts_it_again() -> None:
    one, _, proof, now_ns = ask_until(doubt.open_doubt(7, SENT, MARGINS), SENT, SENT + 60_000 * MS)
    assert proof is not None
    assert doubt.step(doubt.again(one), MARGINS, now_ns) == Query()


@pytest.mark.parametrize("late_ms", [0, 1, 3_600_000])
def test_a_restart_begins_anew_and_keeps_the_deadline(late_ms: int) -> None:
    now_ns = DEADLINE + late_ms * MS
    _, asked, proof, end_ns = ask_until(doubt.open_doubt(7, SENT, MARGINS), now_ns, now_ns + 60_000 * MS)
    assert isinstance(proof, Absent)
    assert len(asked) == 3
    assert end_ns - now_ns < 5_000 * MS
