"""The book: best quote, ten synthetic levels, and what orders take from them."""

from hypothesis import given
from hypothesis import strategies as st

from ordergate.venues.paper.book import Book, depth, show, take
from ordergate.venues.paper.fixed import MAX_UNITS


def quoted(bid: int = 100, ask: int = 110, size: int = 5, tick: int = 2) -> Book:
    book = Book(tick)
    show(book, bid, size, ask, size)
    return book


def test_each_side_has_the_best_quote_and_ten_levels_one_tick_apart() -> None:
    book = quoted()
    assert take(book.asks, 1_000, None) == [(110 + 2 * level, 5) for level in range(11)]
    assert take(book.bids, 1_000, None) == [(100 - 2 * level, 5) for level in range(11)]


def test_nothing_is_taken_beyond_the_limit() -> None:
    book = quoted()
    assert take(book.asks, 1_000, 113) == [(110, 5), (112, 5)]
    assert take(book.asks, 1_000, 109) == []
    assert take(book.bids, 1_000, 97) == [(100, 5), (98, 5)]
    assert take(book.bids, 1_000, 101) == []


def test_what_was_taken_is_gone_until_the_next_quote() -> None:
    book = quoted()
    assert take(book.asks, 7, None) == [(110, 5), (112, 2)]
    assert take(book.asks, 4, None) == [(112, 3), (114, 1)]
    assert depth(book.asks, 114) == 4
    show(book, 100, 5, 110, 5)
    assert take(book.asks, 1, None) == [(110, 1)]


def test_levels_that_would_not_be_prices_do_not_exist() -> None:
    book = quoted(bid=5, ask=MAX_UNITS - 3, tick=2)
    assert take(book.bids, 1_000, None) == [(5, 5), (3, 5), (1, 5)]
    assert take(book.asks, 1_000, None) == [(MAX_UNITS - 3, 5), (MAX_UNITS - 1, 5)]


def test_an_unquoted_book_gives_nothing() -> None:
    book = Book(1)
    assert (take(book.asks, 10, None), take(book.bids, 10, 1), depth(book.asks, 5)) == ([], [], 0)


@given(st.lists(st.tuples(st.integers(1, 30), st.one_of(st.none(), st.integers(80, 140))), max_size=20))
def test_depth_is_exactly_what_take_gives(requests: list[tuple[int, int | None]]) -> None:
    book = quoted()
    given_away = 0
    for quantity, limit in requests:
        before = depth(book.asks, limit)
        parts = take(book.asks, quantity, limit)
        assert sum(part for _, part in parts) == min(quantity, before)
        assert all(limit is None or price <= limit for price, _ in parts)
        assert [price for price, _ in parts] == sorted({price for price, _ in parts})
        given_away += sum(part for _, part in parts)
    assert given_away + depth(book.asks, None) == 55
