"""Order types of the PAPER venue beside LIMIT and MARKET, and changes in place."""

import pytest

from ordergate.venues.paper import matching
from ordergate.venues.paper.fixed import units
from tests.unit.paper_parts import exchange_of, fills, for_quote, kinds, limit, maker, quote, stop, taken, trade


@pytest.mark.parametrize(
    ("side", "rises", "quiet", "reaching"),
    [
        ("BUY", True, "100.99", "101"),  # STOP_LOSS
        ("SELL", False, "99.01", "99"),
        ("BUY", False, "99.01", "99"),  # TAKE_PROFIT
        ("SELL", True, "100.99", "101"),
    ],
)
def test_a_stop_waits_for_a_trade_at_its_price(side: str, rises: bool, quiet: str, reaching: str) -> None:
    exchange = exchange_of()
    matching.tick(exchange, quote("99.5", "100.5", "5"), 1)
    matching.tick(exchange, trade("100", "1"), 1)
    matching.submit(exchange, stop(1, side, "2", "101" if rises else "99", rises=rises), 2)
    matching.tick(exchange, trade(quiet, "1"), 3)
    matching.tick(exchange, quote("90", "110", "5"), 3)
    assert taken(exchange) == [("ACK", 1, "paper-1")]
    matching.tick(exchange, trade(reaching, "1"), 4)
    assert fills(taken(exchange)) == [(1, "110" if side == "BUY" else "90", "2", False)]
    assert not exchange.orders
    assert not exchange.markets["BTCUSDT"].stops


def test_a_stop_with_a_limit_rests_at_its_limit_once_it_is_reached() -> None:
    exchange = exchange_of()
    matching.tick(exchange, quote("100", "101", "5"), 1)
    matching.submit(exchange, stop(1, "SELL", "2", "99", rises=False, price="98.5"), 2)
    matching.tick(exchange, quote("97", "97.5", "5"), 3)
    assert kinds(taken(exchange)) == [("ACK", 1)]
    matching.tick(exchange, trade("98", "1"), 4)
    assert not taken(exchange)
    matching.tick(exchange, trade("99", "1.5"), 5)
    assert fills(taken(exchange)) == [(1, "98.5", "1.5", True)]
    assert exchange.orders[1].left == units("0.5")


def test_a_stop_that_is_reached_already_is_refused_and_one_that_waits_can_be_canceled() -> None:
    exchange = exchange_of()
    matching.tick(exchange, quote("100", "101"), 1)
    matching.tick(exchange, trade("100", "1"), 1)
    matching.submit(exchange, stop(1, "BUY", "1", "100", rises=True), 2)
    matching.submit(exchange, stop(2, "BUY", "1", "102", rises=True), 2)
    matching.cancel(exchange, 2, 3)
    matching.tick(exchange, trade("103", "1"), 4)
    reports = taken(exchange)
    assert kinds(reports) == [("REJECT", 1), ("ACK", 2), ("CANCELED", 2)]
    assert reports[0][2] == "WOULD_TRIGGER"
    assert not exchange.orders


def test_a_stop_that_is_taken_over_waits_on_and_does_not_fill_for_the_downtime() -> None:
    exchange = exchange_of()
    matching.hand_over(exchange, stop(1, "SELL", "1", "99", rises=False), 0, 1)
    matching.tick(exchange, quote("90", "91", "5"), 2)
    assert kinds(taken(exchange)) == [("ACK", 1)]
    matching.tick(exchange, trade("90", "1"), 3)
    assert fills(taken(exchange)) == [(1, "90", "1", False)]


def test_what_may_only_make_is_refused_where_it_would_take() -> None:
    exchange = exchange_of()
    matching.tick(exchange, quote("100", "101"), 1)
    matching.submit(exchange, maker(1, "BUY", "1", "101"), 2)
    matching.submit(exchange, maker(2, "BUY", "1", "100.99"), 2)
    reports = taken(exchange)
    assert kinds(reports) == [("REJECT", 1), ("ACK", 2)]
    assert reports[0][2] == "WOULD_TAKE"
    matching.tick(exchange, quote("98", "99", "5"), 3)
    assert fills(taken(exchange)) == [(2, "100.99", "1", True)]


def test_what_may_only_make_and_came_before_the_first_quote_expires_where_it_would_take() -> None:
    exchange = exchange_of()
    matching.submit(exchange, maker(1, "SELL", "1", "100"), 1)
    matching.tick(exchange, quote("100", "101"), 2)
    assert [report[:3] for report in taken(exchange)] == [("ACK", 1, "paper-1"), ("EXPIRED", 1, "WOULD_TAKE")]
    # Taken over, it rested before: it makes.
    matching.hand_over(exchange, maker(2, "SELL", "1", "100"), 0, 3)
    matching.tick(exchange, quote("100", "101"), 4)
    assert fills(taken(exchange)) == [(2, "100", "1", True)]


def test_an_amount_of_quote_takes_whole_steps_and_is_done_when_the_rest_buys_none() -> None:
    exchange = exchange_of()
    matching.tick(exchange, quote("39990", "40000", "1"), 1)
    matching.submit(exchange, for_quote(1, "BUY", "50000.3"), 2)
    reports = taken(exchange)
    # One at 40000; of the 10000.3 left, 0.25000 at 40000.01 cost 10000.0025, and one step more costs 0.40.
    assert fills(reports) == [(1, "40000", "1", False), (1, "40000.01", "0.25", False)]
    assert kinds(reports)[-1] == ("DONE", 1)
    matching.submit(exchange, for_quote(2, "SELL", "100"), 3)
    reports = taken(exchange)
    assert fills(reports) == [(2, "39990", "0.0025", False)]
    assert kinds(reports)[-1] == ("DONE", 2)


def test_an_amount_of_quote_that_the_book_cannot_serve_expires() -> None:
    exchange = exchange_of()
    matching.submit(exchange, for_quote(1, "BUY", "100"), 1)
    matching.tick(exchange, quote("100", "101", "0.001"), 2)
    matching.submit(exchange, for_quote(2, "BUY", "0.001"), 3)
    matching.submit(exchange, for_quote(3, "BUY", "100000"), 3)
    ended = [report[:3] for report in taken(exchange) if report[0] in ("EXPIRED", "DONE")]
    assert ended == [("EXPIRED", 1, "NO_PRICE"), ("EXPIRED", 2, "BELOW_STEP"), ("EXPIRED", 3, "NO_LIQUIDITY")]


def test_a_change_in_place_keeps_the_turn_and_only_makes_smaller() -> None:
    exchange = exchange_of(latency_ms=1)
    matching.tick(exchange, quote("100", "101"), 0)
    for order in (1, 2):
        matching.submit(exchange, limit(order, "BUY", "3", "99"), 0)
    matching.advance(exchange, 1_000_000)
    matching.tick(exchange, trade("99", "1"), 1_000_000)
    taken(exchange)
    matching.amend(exchange, 1, units("2"), 1_000_000)
    assert not taken(exchange)
    matching.advance(exchange, 2_000_000)
    assert taken(exchange) == [("REPLACED", 1, "2", "99")]
    matching.tick(exchange, trade("99", "2"), 2_000_000)
    assert fills(taken(exchange)) == [(1, "99", "1", True), (2, "99", "1", True)]
    for order, quantity in ((1, "1"), (2, "1"), (2, "4")):
        matching.amend(exchange, order, units(quantity), 2_000_000)
    matching.advance(exchange, 3_000_000)
    refused = [("REPLACE_REJECT", 1, "UNKNOWN_ORDER"), ("REPLACE_REJECT", 2, "AMEND_REFUSED")]
    assert [report[:3] for report in taken(exchange)] == [*refused, refused[-1]]
