"""PRICE reports: never closer than 50 ms per symbol, always the newest, and told again in a quiet market."""

from ordergate.venues.paper.marks import Marks, note, tell
from ordergate.venues.prices.tick import Tick
from ordergate.venues.reports import Report
from tests.unit.paper_parts import quote, trade

MS = 1_000_000


def told(marks: Marks, now_ms: int) -> list[Report]:
    out: list[Report] = []
    tell(marks, now_ms * MS, out)
    return out


def test_prices_are_spaced_and_the_newest_is_told() -> None:
    marks = Marks()
    note(marks, trade("1", "1"))
    assert told(marks, 0) == [], "no quote, no price"
    note(marks, quote("39499.99", "39500"))
    assert told(marks, 0) == [("PRICE", "BTCUSDT", "39499.99", "39500", "39499.99", 0)]
    note(marks, quote("39499", "39501"))
    note(marks, trade("39501", "1"))
    assert told(marks, 49) == []
    note(marks, quote("39498", "39502"))
    assert told(marks, 50) == [("PRICE", "BTCUSDT", "39498", "39502", "39501", 50 * MS)]
    assert told(marks, 100) == []


def test_a_quiet_market_is_told_again_before_it_looks_stale() -> None:
    marks = Marks()
    note(marks, quote("1", "2"))
    assert len(told(marks, 0)) == 1
    note(marks, quote("1", "2"))
    assert told(marks, 499) == []
    assert told(marks, 500) == [("PRICE", "BTCUSDT", "1", "2", "1", 500 * MS)]


def test_a_stale_price_is_not_told_again() -> None:
    marks = Marks()
    note(marks, quote("1", "2"))
    assert len(told(marks, 0)) == 1
    note(marks, Tick("BTCUSDT", "stale"))
    note(marks, trade("3", "1"))
    assert told(marks, 5_000) == [], "its source is lost: nobody knows what it is worth"
    note(marks, quote("1", "2"))
    assert told(marks, 5_001) == [("PRICE", "BTCUSDT", "1", "2", "1", 5_001 * MS)]
