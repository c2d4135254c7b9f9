"""Orders and trades in every shape of the exchange, read into one."""

from typing import Any

import pytest

from ordergate.venues.binance import dialect
from ordergate.venues.binance.answer import decode
from ordergate.venues.binance.dialect import Malformed

ANSWER = b"""{"symbol":"BTCUSDT","orderId":28,"orderListId":-1,"clientOrderId":"og7f-12","transactTime":1507725176595,
"price":"40000.00000000","origQty":"10.00000000","executedQty":"3.00000000","origQuoteOrderQty":"0.00000000",
"cummulativeQuoteQty":"119999.00000000","status":"PARTIALLY_FILLED","timeInForce":"GTC","type":"LIMIT","side":"BUY",
"fills":[{"price":"40000.00000000","qty":"2.00000000","commission":"0.00200000","commissionAsset":"BTC","tradeId":56},
{"price":"39999.00000000","qty":"1.00000000","commission":"0.00100000","commissionAsset":"BTC","tradeId":57}]}"""

EVENT = b"""{"e":"executionReport","E":1499405658658,"s":"BTCUSDT","c":"og7f-12","S":"BUY","o":"LIMIT","f":"GTC",
"q":"10.00000000","p":"40000.00000000","P":"0.00000000","F":"0.00000000","g":-1,"C":"","x":"TRADE",
"X":"PARTIALLY_FILLED","r":"NONE","i":28,"l":"1.00000000","z":"3.00000000","L":"39999.00000000","n":"0.00100000",
"N":"BTC","T":1507725176595,"t":57,"I":8641984,"w":false,"m":false,"M":false,"O":1499405658657,
"Z":"119999.00000000","Y":"39999.00000000","Q":"0.00000000","W":1499405658657,"V":"EXPIRE_MAKER"}"""

ROW = b"""{"symbol":"BTCUSDT","id":57,"orderId":28,"orderListId":-1,"price":"39999.00000000","qty":"1.00000000",
"quoteQty":"39999.00000000","commission":"0.00100000","commissionAsset":"BTC","time":1507725176595,"isBuyer":true,
"isMaker":false,"isBestMatch":true}"""


def test_all_shapes_tell_the_same_order_and_trade() -> None:
    in_answer, in_event = dialect.seen_in_answer(decode(ANSWER)), dialect.seen_in_event(decode(EVENT))
    assert in_answer == in_event
    assert in_answer.client_id == "og7f-12"
    assert in_answer.venue_order_id == "28"
    assert in_answer.executed == "3.00000000"
    assert in_answer.price == "40000.00000000"
    assert in_answer.stop_price is None
    assert in_answer.working

    in_row, trade_in_event = dialect.trade_in_row(decode(ROW)), dialect.trade_in_event(decode(EVENT))
    assert in_row == trade_in_event
    _, last = dialect.trades_in_answer(decode(ANSWER))
    # The answer has no amount of quote: it is counted as the exchange counts it.
    assert dialect.amount(last.quote) == dialect.amount(in_row.quote)
    assert (last.trade_id, last.price, last.fee, last.time_ms) == ("57", "39999.00000000", "0.00100000", in_row.time_ms)


def test_a_cancel_is_told_under_the_orders_own_id() -> None:
    canceled = decode(ANSWER) | {"status": "CANCELED", "clientOrderId": "cancel-1", "origClientOrderId": "og7f-12"}
    assert dialect.seen_in_answer(canceled).client_id == "og7f-12"
    event = decode(EVENT) | {"x": "CANCELED", "X": "CANCELED", "c": "web_1", "C": "og7f-12"}
    assert dialect.seen_in_event(event).client_id == "og7f-12"
    assert dialect.trade_in_event(event) is None


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"X": "EXPIRED", "eR": "UNFILLED_IOC_QUANTITY_EXPIRED"}, "UNFILLED_IOC_QUANTITY_EXPIRED"),
        ({"X": "REJECTED", "r": "INSUFFICIENT_BALANCES"}, "INSUFFICIENT_BALANCES"),
        ({"X": "CANCELED", "r": "NONE"}, ""),
    ],
)
def test_why_an_order_ended_is_kept(event: dict[str, str], reason: str) -> None:
    assert dialect.seen_in_event(decode(EVENT) | event).reason == reason


@pytest.mark.parametrize(
    ("client_id", "order"),
    [
        ("og7f-12", 12),
        ("og7f-012", None),
        ("og7f-", None),
        ("og7f-1x", None),
        ("og7f--1", None),
        ("og7g-12", None),
        ("12", None),
        ("", None),
        ("og7f-" + "9" * 25, None),
        ("og7f-١٢", None),
    ],
)
def test_only_our_own_ids_are_ours(client_id: str, order: int | None) -> None:
    assert dialect.own_order(client_id, "7f") == order
    if order is not None:
        assert dialect.client_id_of(order, "7f") == client_id


@pytest.mark.parametrize(
    "change",
    [
        {"status": "SOMETHING"},
        {"executedQty": "NaN"},
        {"executedQty": "-1"},
        {"executedQty": "1e400"},
        {"orderId": "x"},
        {"orderId": True},
        {"status": "NEW"},
        {"price": "1" * 30},
    ],
)
def test_an_order_that_is_not_one_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        dialect.seen_in_answer(decode(ANSWER) | change)


@pytest.mark.parametrize("body", [None, [], "order", {}, {"orderId": 1}])
def test_what_is_no_order_is_malformed(body: Any) -> None:
    with pytest.raises(Malformed):
        dialect.seen_in_answer(body)
    with pytest.raises(Malformed):
        dialect.trade_in_row(body)


def test_a_quote_is_cut_off_after_eight_places() -> None:
    assert dialect.quote_of("0.00000003", "0.5") == "0.00000001"
    assert dialect.quote_of("40000.12", "0.00001") == "0.4000012"
