"""The PAPER exchange, scenario by scenario: every figure is written out."""

import pytest

from ordergate.venues.instruments import Listing
from ordergate.venues.paper import matching
from ordergate.venues.paper.fixed import units
from ordergate.venues.paper.matching import Exchange, PaperOrder
from ordergate.venues.prices import Tick
from tests.unit.paper_parts import BTC, exchange_of, fills, kinds, limit, market, quote, stop, taken, trade

NOW = 1_000_000_000_000_000_000


@pytest.fixture
def exchange() -> Exchange:
    quoted = exchange_of()
    matching.tick(quoted, quote("39499.99", "39500"), NOW)
    return quoted


def test_a_market_buy_walks_the_book_level_by_level(exchange: Exchange) -> None:
    matching.submit(exchange, market(1, "BUY", "2.5"), NOW)
    assert taken(exchange) == [
        ("ACK", 1, "paper-1"),
        ("FILL", 1, "7-1", "39500", "1", "39500", "0.001", "BTC", False, NOW),
        ("FILL", 1, "7-2", "39500.01", "1", "39500.01", "0.001", "BTC", False, NOW),
        ("FILL", 1, "7-3", "39500.02", "0.5", "19750.01", "0.0005", "BTC", False, NOW),
    ]
    assert not exchange.orders


def test_a_market_sell_pays_its_fee_in_quote(exchange: Exchange) -> None:
    matching.submit(exchange, market(1, "SELL", "0.001"), NOW)
    assert taken(exchange)[1] == (
        "FILL", 1, "7-1", "39499.99", "0.001", "39.49999", "0.03949999", "USDT", False, NOW,
    )  # fmt: skip


def test_what_a_market_order_cannot_fill_expires(exchange: Exchange) -> None:
    matching.submit(exchange, market(1, "BUY", "11.5"), NOW)
    reports = taken(exchange)
    assert len(fills(reports)) == 11
    assert reports[-1][:3] == ("EXPIRED", 1, "NO_LIQUIDITY")
    matching.submit(exchange, market(2, "BUY", "1"), NOW)
    assert kinds(taken(exchange)) == [("ACK", 2), ("EXPIRED", 2)]


def test_a_marketable_limit_fills_at_the_books_prices_and_its_rest_rests(exchange: Exchange) -> None:
    matching.submit(exchange, limit(1, "BUY", "3", "39500.01"), NOW)
    assert fills(taken(exchange)) == [(1, "39500", "1", False), (1, "39500.01", "1", False)]
    matching.tick(exchange, quote("39499", "39500.02"), NOW)
    assert taken(exchange) == []
    matching.tick(exchange, quote("39499", "39500.01", ask_size="0.4"), NOW)
    assert fills(taken(exchange)) == [(1, "39500.01", "0.4", True)]
    matching.tick(exchange, quote("39000", "39001", ask_size="9"), NOW)
    assert fills(taken(exchange)) == [(1, "39500.01", "0.6", True)]
    assert not exchange.orders


def test_the_smoke_order_crosses_the_opening_quote(exchange: Exchange) -> None:
    matching.submit(exchange, limit(1, "BUY", "0.001", "40000"), NOW)
    assert taken(exchange) == [
        ("ACK", 1, "paper-1"),
        ("FILL", 1, "7-1", "39500", "0.001", "39.5", "0.000001", "BTC", False, NOW),
    ]


@pytest.mark.parametrize(("side", "price", "touch", "beyond", "away"), [
    ("BUY", "39000", "39000", "38999.99", "39000.01"),
    ("SELL", "40000", "40000", "40000.01", "39999.99"),
])  # fmt: skip
def test_a_resting_order_fills_when_a_trade_touches_or_passes_it(
    exchange: Exchange, side: str, price: str, touch: str, beyond: str, away: str
) -> None:
    matching.submit(exchange, limit(1, side, "1", price), NOW)
    taken(exchange)
    matching.tick(exchange, trade(away, "5"), NOW)
    assert taken(exchange) == []
    matching.tick(exchange, trade(touch, "0.25"), NOW)
    matching.tick(exchange, trade(beyond, "0.25"), NOW)
    assert fills(taken(exchange)) == [(1, price, "0.25", True), (1, price, "0.25", True)]


def test_the_best_price_fills_first_and_then_the_oldest(exchange: Exchange) -> None:
    for order, price in [(1, "39000"), (2, "39001"), (3, "39000"), (4, "38999")]:
        matching.submit(exchange, limit(order, "BUY", "1", price), NOW)
    taken(exchange)
    matching.tick(exchange, trade("38000", "2.5"), NOW)
    assert fills(taken(exchange)) == [(2, "39001", "1", True), (1, "39000", "1", True), (3, "39000", "0.5", True)]
    matching.tick(exchange, trade("38000", "9"), NOW)
    assert fills(taken(exchange)) == [(3, "39000", "0.5", True), (4, "38999", "1", True)]


def test_a_shown_size_is_given_away_once(exchange: Exchange) -> None:
    for order in (1, 2):
        matching.submit(exchange, limit(order, "SELL", "3", "39500"), NOW)
    taken(exchange)
    matching.tick(exchange, quote("39500", "39501", size="4"), NOW)
    assert fills(taken(exchange)) == [(1, "39500", "3", True), (2, "39500", "1", True)]
    # A seller who comes now finds the level empty, and the next one below it.
    matching.submit(exchange, market(3, "SELL", "1"), NOW)
    assert fills(taken(exchange)) == [(3, "39499.99", "1", False)]


def test_ioc_takes_what_there_is_and_expires(exchange: Exchange) -> None:
    matching.submit(exchange, limit(1, "BUY", "1.5", "39500", "IOC"), NOW)
    reports = taken(exchange)
    assert fills(reports) == [(1, "39500", "1", False)]
    assert reports[-1][:3] == ("EXPIRED", 1, "IOC_REMAINDER")
    assert not exchange.orders


def test_fok_fills_whole_or_not_at_all(exchange: Exchange) -> None:
    matching.submit(exchange, limit(1, "BUY", "2.5", "39500.01", "FOK"), NOW)
    reports = taken(exchange)
    assert kinds(reports) == [("ACK", 1), ("EXPIRED", 1)]
    assert reports[-1][2] == "FOK_NOT_FILLED"
    matching.submit(exchange, limit(2, "BUY", "2", "39500.01", "FOK"), NOW)
    assert kinds(taken(exchange)) == [("ACK", 2), ("FILL", 2), ("FILL", 2)]


def test_cancels(exchange: Exchange) -> None:
    matching.submit(exchange, limit(1, "BUY", "1", "39000"), NOW)
    matching.submit(exchange, limit(2, "BUY", "1", "39000"), NOW)
    matching.submit(exchange, limit(3, "SELL", "1", "39999"), NOW)
    taken(exchange)
    for order in (1, 1, 99, 3):
        matching.cancel(exchange, order, NOW)
    assert [report[:3] for report in taken(exchange)] == [
        ("CANCELED", 1, ""),
        ("CANCEL_REJECT", 1, "UNKNOWN_ORDER"),
        ("CANCEL_REJECT", 99, "UNKNOWN_ORDER"),
        ("CANCELED", 3, ""),
    ]
    matching.tick(exchange, trade("38000", "9"), NOW)
    assert fills(taken(exchange)) == [(2, "39000", "1", True)]
    matching.cancel(exchange, 2, NOW)
    assert [report[0] for report in taken(exchange)] == ["CANCEL_REJECT"]


def test_latency_delays_orders_and_cancels_in_their_order() -> None:
    exchange = exchange_of(latency_ms=20)
    matching.tick(exchange, quote("39499.99", "39500"), NOW)
    matching.submit(exchange, limit(1, "BUY", "1", "39000"), NOW)
    matching.cancel(exchange, 1, NOW + 5_000_000)
    assert taken(exchange) == []
    assert matching.next_arrival_ns(exchange) == NOW + 20_000_000
    matching.advance(exchange, NOW + 19_999_999)
    assert taken(exchange) == []
    matching.advance(exchange, NOW + 20_000_000)
    assert kinds(taken(exchange)) == [("ACK", 1)]
    matching.advance(exchange, NOW + 25_000_000)
    assert kinds(taken(exchange)) == [("CANCELED", 1)]
    assert matching.next_arrival_ns(exchange) is None


def test_orders_before_the_first_quote_meet_it_as_takers() -> None:
    exchange = exchange_of()
    matching.submit(exchange, limit(1, "BUY", "1.5", "39500"), NOW)
    matching.submit(exchange, limit(2, "BUY", "1", "39600"), NOW)
    matching.submit(exchange, limit(3, "BUY", "1", "39600"), NOW)
    matching.submit(exchange, market(4, "BUY", "1"), NOW)
    assert kinds(taken(exchange)) == [("ACK", 1), ("ACK", 2), ("ACK", 3), ("ACK", 4), ("EXPIRED", 4)]
    matching.cancel(exchange, 3, NOW)
    assert kinds(taken(exchange)) == [("CANCELED", 3)]
    matching.tick(exchange, trade("39000", "9"), NOW)
    assert taken(exchange) == []
    matching.tick(exchange, quote("39499.99", "39500"), NOW)
    assert fills(taken(exchange)) == [(1, "39500", "1", False), (2, "39500.01", "1", False)]
    assert set(exchange.orders) == {1}


def test_handed_over_orders(exchange: Exchange) -> None:
    partly = limit(1, "BUY", "0.4", "39600")
    matching.hand_over(exchange, partly, units("0.6"), NOW)
    assert taken(exchange) == [], "it was acked before, and downtime fills nothing"
    matching.tick(exchange, quote("39499", "39500"), NOW)
    assert fills(taken(exchange)) == [(1, "39600", "0.4", True)]
    matching.hand_over(exchange, limit(2, "BUY", "1", "39000"), 0, NOW)
    assert kinds(taken(exchange)) == [("ACK", 2)]
    assert set(exchange.orders) == {2}
    matching.hand_over(exchange, market(3, "BUY", "1"), 0, NOW)
    matching.hand_over(exchange, limit(4, "SELL", "1", "39000", "IOC"), units("1"), NOW)
    assert [report[:3] for report in taken(exchange)] == [
        ("ACK", 3, "paper-3"),
        ("EXPIRED", 3, "VENUE_RESTARTED"),
        ("EXPIRED", 4, "VENUE_RESTARTED"),
    ]


def test_a_symbol_that_is_not_listed_is_rejected_and_its_ticks_are_ignored(exchange: Exchange) -> None:
    matching.submit(exchange, PaperOrder(1, "DOGEUSDT", True, "GTC", 1, 1), NOW)
    assert taken(exchange)[0][:3] == ("REJECT", 1, "UNKNOWN_SYMBOL")
    matching.tick(exchange, Tick("DOGEUSDT", "trade", price=1, size=1), NOW)
    assert taken(exchange) == []


def test_quote_quantity_and_fee_round_half_even_to_eight_places() -> None:
    exchange = exchange_of(fee_rate="0.00000005")
    # 0.00000001 × 0.5 lies in the middle: to the even neighbour, 0. 0.00000003 × 0.5 = 1.5 units goes to 2.
    matching.tick(exchange, quote("0.4", "0.5", size="0.00000003"), NOW)
    matching.submit(exchange, limit(1, "BUY", "0.00000001", "0.5"), NOW)
    assert taken(exchange)[1][4:8] == ("0.00000001", "0", "0", "BTC")
    matching.tick(exchange, quote("0.4", "0.5", size="0.00000003"), NOW)
    matching.submit(exchange, limit(2, "BUY", "0.00000003", "0.5"), NOW)
    assert taken(exchange)[1][4:8] == ("0.00000003", "0.00000002", "0", "BTC")
    matching.tick(exchange, quote("0.4", "0.5", size="0.5"), NOW)
    matching.submit(exchange, limit(3, "BUY", "0.3", "0.5"), NOW)
    # 0.3 × 0.00000005 = 1.5 units of fee.
    assert taken(exchange)[1][4:8] == ("0.3", "0.15", "0.00000002", "BTC")


def test_new_filters_keep_the_book(exchange: Exchange) -> None:
    wider = Listing("BTCUSDT", "BTC", "USDT", units("1"), BTC.step, BTC.min_notional)
    matching.list_instruments(exchange, {"BTCUSDT": wider})
    matching.submit(exchange, market(1, "BUY", "2"), NOW)
    assert fills(taken(exchange))[1] == (1, "39500.01", "1", False)
    matching.tick(exchange, quote("39499", "39500"), NOW)
    matching.submit(exchange, market(2, "BUY", "2"), NOW)
    assert fills(taken(exchange))[1] == (2, "39501", "1", False)


def test_a_stale_book_gives_nothing_until_the_next_quote(exchange: Exchange) -> None:
    matching.submit(exchange, limit(1, "BUY", "1", "39000"), NOW)
    taken(exchange)
    matching.tick(exchange, Tick("BTCUSDT", "stale"), NOW)
    matching.submit(exchange, market(2, "BUY", "1"), NOW)
    matching.submit(exchange, limit(3, "BUY", "1", "39600"), NOW)
    assert [report[:3] for report in taken(exchange)] == [
        ("ACK", 2, "paper-2"),
        ("EXPIRED", 2, "NO_PRICE"),
        ("ACK", 3, "paper-3"),
    ], "no price: nothing fills at the last one"
    matching.tick(exchange, quote("38999", "39000"), NOW)
    assert sorted(order for order, *_ in fills(taken(exchange))) == [1, 3]


def test_a_stop_is_not_reached_by_the_last_trade_from_before_the_loss(exchange: Exchange) -> None:
    matching.tick(exchange, quote("99", "101"), NOW)
    matching.tick(exchange, trade("105", "1"), NOW)
    matching.tick(exchange, Tick("BTCUSDT", "stale"), NOW)
    matching.submit(exchange, stop(1, "BUY", "1", "104", rises=True), NOW)
    matching.tick(exchange, quote("99", "101"), NOW)
    assert fills(taken(exchange)) == []
    matching.tick(exchange, trade("104", "1"), NOW)
    assert len(fills(taken(exchange))) == 1
