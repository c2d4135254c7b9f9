"""The allow-list of outcomes: one row for each code, message and shape; what is not listed is UNKNOWN."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordergate.venues.binance import answer, outcomes
from ordergate.venues.binance.answer import Answer, Number, not_sent

OURS = "og7-42"
ORDER = {"symbol": "BTCUSDT", "orderId": 28, "clientOrderId": OURS, "transactTime": 1, "status": "NEW"}


def said(status: int, body: Any, **headers: str) -> Answer:
    """A whole answer; `body` is JSON, text or bytes."""
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return answer.read(status, headers, raw)


def refused(status: int, code: int, msg: str = "no") -> Answer:
    return said(status, {"code": code, "msg": msg})


def broken(error: str, status: int | None = None) -> Answer:
    """What is left when an answer did not come to its end."""
    return Answer(sent=True, status=status, error=error)


HTML = "<html><body>Service Unavailable</body></html>"

PLACED: list[tuple[str, Answer, str, str]] = [
    ("own refusal", not_sent("RATE_LIMITED: no room", 900), "NOT_SENT", "RATE_LIMITED"),
    ("own refusal of a host", not_sent("HOST_REFUSED: x is not listed"), "NOT_SENT", "HOST_REFUSED"),
    ("no connection", not_sent("ClientConnectorError: refused"), "NOT_SENT", "NO_CONNECTION"),
    ("no name", not_sent("ClientConnectorDNSError: no such host"), "NOT_SENT", "NO_CONNECTION"),
    ("ours", said(200, ORDER), "ACK", ""),
    ("ours, as ACK", said(200, {"orderId": 28, "clientOrderId": OURS}), "ACK", ""),
    ("ours, with fills", said(200, ORDER | {"fills": [{"price": "1.0", "tradeId": 5}]}), "ACK", ""),
    ("another's id", said(200, ORDER | {"clientOrderId": "og7-43"}), "UNKNOWN", "OTHER_ORDER"),
    ("no id", said(200, {"orderId": 28}), "UNKNOWN", "OTHER_ORDER"),
    ("id of another type", said(200, ORDER | {"clientOrderId": 742}), "UNKNOWN", "OTHER_ORDER"),
    ("no order id", said(200, {"clientOrderId": OURS}), "UNKNOWN", "NO_ORDER"),
    ("order id as text", said(200, ORDER | {"orderId": "28"}), "UNKNOWN", "NO_ORDER"),
    ("order id with a point", said(200, ORDER | {"orderId": 2.8}), "UNKNOWN", "NO_ORDER"),
    ("a list", said(200, [ORDER]), "UNKNOWN", "NO_ORDER"),
    ("an empty object", said(200, {}), "UNKNOWN", "NO_ORDER"),
    ("null", said(200, "null"), "UNKNOWN", "GARBLED"),
    ("HTML with 200", said(200, HTML), "UNKNOWN", "GARBLED"),
    ("empty with 200", said(200, ""), "UNKNOWN", "GARBLED"),
    ("truncated with 200", said(200, json.dumps(ORDER)[:-9]), "UNKNOWN", "GARBLED"),
    ("two objects", said(200, json.dumps(ORDER) * 2), "UNKNOWN", "GARBLED"),
    ("a member twice", said(200, '{"orderId":28,"clientOrderId":"og7-42","clientOrderId":"x"}'), "UNKNOWN", "GARBLED"),
    ("NaN", said(200, '{"orderId":28,"clientOrderId":"og7-42","price":NaN}'), "UNKNOWN", "GARBLED"),
    ("wrong charset", said(200, json.dumps(ORDER).encode("utf-16")), "UNKNOWN", "GARBLED"),
    ("not UTF-8", said(200, b'{"orderId":28,"clientOrderId":"og7-42","x":"\xff"}'), "UNKNOWN", "GARBLED"),
    ("nested too deeply", said(200, "[" * 100_000), "UNKNOWN", "GARBLED"),
    ("gzip error", broken("ContentEncodingError: Can not decode content-encoding: gzip", 200), "UNKNOWN", "GARBLED"),
    ("half a body", broken("ClientPayloadError: not all received", 200), "UNKNOWN", "GARBLED"),
    ("too long a body", broken("ValueError: more than 8388608 bytes", 200), "UNKNOWN", "GARBLED"),
    ("an error with 200", refused(200, -1013), "UNKNOWN", "NO_ORDER"),
    ("accepted, 202", said(202, ORDER), "UNKNOWN", "UNLISTED"),
    ("redirect", said(301, HTML), "UNKNOWN", "GARBLED"),
    ("redirect for POST", said(307, ORDER), "UNKNOWN", "UNLISTED"),
    ("time-out", broken("TimeoutError: "), "UNKNOWN", "TIMEOUT"),
    ("time-out of the socket", broken("SocketTimeoutError: Timeout on reading data"), "UNKNOWN", "TIMEOUT"),
    ("disconnect", broken("ServerDisconnectedError: Server disconnected"), "UNKNOWN", "DISCONNECTED"),
    ("reset", broken("ClientOSError: [Errno 104] Connection reset by peer"), "UNKNOWN", "DISCONNECTED"),
    ("cancellation", broken("CancelledError: "), "UNKNOWN", "DISCONNECTED"),
    ("firewall", said(403, HTML), "UNKNOWN", "FIREWALL"),
    ("firewall with a code", refused(403, -1013), "UNKNOWN", "FIREWALL"),
    ("time-out of HTTP with a code", refused(408, -1013), "UNKNOWN", "UNLISTED"),
    ("half success", refused(409, -2021), "UNKNOWN", "UNLISTED"),
    ("half success, listed code", refused(409, -2010), "UNKNOWN", "UNLISTED"),
    ("400 HTML", said(400, HTML), "UNKNOWN", "GARBLED"),
    ("400 without code", said(400, {"msg": "no"}), "UNKNOWN", "UNLISTED"),
    ("400 without message", said(400, {"code": -1013}), "UNKNOWN", "UNLISTED"),
    ("400, code as text", said(400, {"code": "-1013", "msg": "no"}), "UNKNOWN", "UNLISTED"),
    ("400, code with a point", said(400, '{"code":-1013.0,"msg":"no"}'), "UNKNOWN", "UNLISTED"),
    ("400, huge code", said(400, '{"code":-' + "1" * 5000 + ',"msg":"no"}'), "UNKNOWN", "UNLISTED"),
    ("400, message no text", said(400, {"code": -2010, "msg": 5}), "UNKNOWN", "UNLISTED"),
    ("400 unlisted code", refused(400, -1002), "UNKNOWN", "UNLISTED"),
    ("400 code of a later time", refused(400, -1199), "UNKNOWN", "UNLISTED"),
    ("400 -1131", refused(400, -1131), "UNKNOWN", "UNLISTED"),
    ("400 -1099", refused(400, -1099), "UNKNOWN", "UNLISTED"),
    ("400 -2011", refused(400, -2011), "UNKNOWN", "UNLISTED"),
    ("400 -2022", refused(400, -2022), "UNKNOWN", "UNLISTED"),
    ("400 -1010", refused(400, -1010), "UNKNOWN", "UNLISTED"),
    ("400 -1016", refused(400, -1016), "UNKNOWN", "UNLISTED"),
    *((f"{status} HTML", said(status, HTML), "UNKNOWN", "SERVER_ERROR") for status in (500, 501, 502, 503, 504, 599)),
    *((f"{status} with an order", said(status, ORDER), "UNKNOWN", "SERVER_ERROR") for status in (500, 503)),
    *((f"{status} -1013", refused(status, -1013), "UNKNOWN", "SERVER_ERROR") for status in (500, 502, 503, 504)),
    ("502 empty", said(502, ""), "UNKNOWN", "SERVER_ERROR"),
    ("500 -2010", refused(500, -2010), "UNKNOWN", "SERVER_ERROR"),
    *(
        (f"{status} {code}", refused(status, code), "UNKNOWN", reason)
        for status in (400, 500, 503, 504)
        for code, reason in {
            -1000: "EXCHANGE_ERROR",
            -1001: "EXCHANGE_DISCONNECTED",
            -1006: "EXCHANGE_UNEXPECTED_RESPONSE",
            -1007: "EXCHANGE_TIMEOUT",
            -1008: "EXCHANGE_OVERLOADED",
        }.items()
    ),
    *(
        (f"400 {code}", refused(400, code), "REJECT", reason)
        for code, reason in (dict.fromkeys(range(-1130, -1099), "INVALID_PARAMETER") | {
            -1111: "TOO_PRECISE",
            -1121: "UNKNOWN_SYMBOL",
            -1013: "INVALID_ORDER",
            -1014: "UNSUPPORTED_ORDER",
            -1020: "UNSUPPORTED_ORDER",
            -1021: "WRONG_TIME",
            -1022: "WRONG_SIGNATURE",
            -2014: "KEY_REFUSED",
        }).items()
    ),
    ("401 -2015", refused(401, -2015), "REJECT", "KEY_REFUSED"),
    ("401 -2014", refused(401, -2014), "REJECT", "KEY_REFUSED"),
    ("429 -1003", refused(429, -1003), "REJECT", "RATE_LIMITED"),
    ("418 -1003", refused(418, -1003), "REJECT", "RATE_LIMITED"),
    ("429 -1015", refused(429, -1015), "REJECT", "TOO_MANY_ORDERS"),
    ("429 HTML", said(429, HTML), "UNKNOWN", "GARBLED"),
    *(
        (name, refused(400, -1013, f"Filter failure: {name}"), "REJECT", f"FILTER_{name}")
        for name in ("PRICE_FILTER", "LOT_SIZE", "NOTIONAL", "MIN_NOTIONAL", "MARKET_LOT_SIZE", "PERCENT_PRICE_BY_SIDE",
                     "MAX_POSITION", "MAX_NUM_ORDERS", "MAX_NUM_ALGO_ORDERS", "EXCHANGE_MAX_NUM_ORDERS")
    ),
    ("-1013 in words", refused(400, -1013, "Price * QTY is zero or less."), "REJECT", "INVALID_ORDER"),
    ("-1013 of a filter with a tail", refused(400, -1013, "Filter failure: LOT_SIZE x"), "REJECT", "INVALID_ORDER"),
    ("duplicate", refused(400, -2010, "Duplicate order sent."), "ADOPT", "DUPLICATE"),
    ("duplicate without its stop", refused(400, -2010, "duplicate order sent"), "ADOPT", "DUPLICATE"),
    *(
        (message, refused(400, -2010, message), "REJECT", reason)
        for message, reason in outcomes.NEW_ORDER_MESSAGES.items()
    ),
    ("a new message of the engine", refused(400, -2010, "It is Sunday."), "REJECT", "REFUSED"),
    ("no message of the engine", refused(400, -2010, ""), "REJECT", "REFUSED"),
]  # fmt: skip


@pytest.mark.parametrize(("answered", "kind", "reason"), [row[1:] for row in PLACED], ids=[row[0] for row in PLACED])
def test_of_place(answered: Answer, kind: str, reason: str) -> None:
    found = outcomes.of_place(answered, OURS)
    assert (found.kind, found.reason) == (kind, reason)


def test_messages_of_the_exchange_have_reasons_of_their_own() -> None:
    known = outcomes.NEW_ORDER_MESSAGES
    assert known["Account has insufficient balance for requested action."] == "INSUFFICIENT_BALANCE"
    assert known["Market is closed."] == "SYMBOL_NOT_TRADING"
    assert known["Order would immediately match and take."] == "WOULD_TAKE"
    assert not any(outcomes.DUPLICATE in message.lower() for message in known)


CANCELED: list[tuple[str, Answer, str, str]] = [
    ("ours", said(200, {"orderId": 28, "origClientOrderId": OURS, "clientOrderId": "x", "status": "CANCELED"}),
     "CANCELED", ""),
    ("another's", said(200, {"orderId": 28, "origClientOrderId": "x", "clientOrderId": OURS, "status": "CANCELED"}),
     "UNKNOWN", "OTHER_ORDER"),
    ("ours, not canceled", said(200, {"orderId": 28, "origClientOrderId": OURS, "status": "FILLED"}),
     "UNKNOWN", "OTHER_ORDER"),
    ("nothing open", refused(400, -2011, "Unknown order sent."), "GONE", "NOT_OPEN"),
    ("refused by the engine", refused(400, -2011, "Market is closed."), "GONE", "NOT_OPEN"),
    ("restricted", refused(400, -2011, outcomes.CANCEL_RESTRICTED), "REFUSED", "CANCEL_RESTRICTED"),
    ("no such order", refused(400, -2013, "Order does not exist."), "GONE", "NOT_OPEN"),
    ("wrong time", refused(400, -1021), "REFUSED", "WRONG_TIME"),
    ("rate", refused(429, -1003), "REFUSED", "RATE_LIMITED"),
    ("key", refused(401, -2015), "REFUSED", "KEY_REFUSED"),
    ("not sent", not_sent("RATE_LIMITED: banned", 5), "NOT_SENT", "RATE_LIMITED"),
    ("-2011 with 500", refused(500, -2011), "UNKNOWN", "SERVER_ERROR"),
    ("-2011 with 200", refused(200, -2011), "UNKNOWN", "NO_ORDER"),
    ("-1007", refused(504, -1007), "UNKNOWN", "EXCHANGE_TIMEOUT"),
    ("-2010", refused(400, -2010), "UNKNOWN", "UNLISTED"),
    ("truncated", said(200, '{"orderId":2'), "UNKNOWN", "GARBLED"),
    ("time-out", broken("TimeoutError: "), "UNKNOWN", "TIMEOUT"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answered", "kind", "reason"), [row[1:] for row in CANCELED], ids=[row[0] for row in CANCELED]
)
def test_of_cancel(answered: Answer, kind: str, reason: str) -> None:
    found = outcomes.of_cancel(answered, OURS)
    assert (found.kind, found.reason) == (kind, reason)


AMENDED: list[tuple[str, Answer, str, str]] = [
    ("ours", said(200, {"amendedOrder": {"orderId": 28, "clientOrderId": OURS, "qty": "5.0"}}), "AMENDED", ""),
    ("with another id", said(200, {"amendedOrder": {"orderId": 28, "clientOrderId": "x"}}), "UNKNOWN", "OTHER_ORDER"),
    ("not said which", said(200, {"orderId": 28, "clientOrderId": OURS}), "UNKNOWN", "NO_ORDER"),
    ("refused", refused(400, -2038, "The requested action would change no state; rejecting."), "REFUSED",
     "AMEND_REFUSED"),
    ("gone", refused(400, -2013), "GONE", "NOT_OPEN"),
    ("unknown order", refused(400, -2011), "GONE", "NOT_OPEN"),
    ("ids differ", refused(400, -2039), "GONE", "NOT_OPEN"),
    ("filter", refused(400, -1013, "Filter failure: LOT_SIZE"), "REFUSED", "FILTER_LOT_SIZE"),
    ("time-out", refused(504, -1007), "UNKNOWN", "EXCHANGE_TIMEOUT"),
    ("not sent", not_sent("RATE_LIMITED: banned"), "NOT_SENT", "RATE_LIMITED"),
]  # fmt: skip


@pytest.mark.parametrize(("answered", "kind", "reason"), [row[1:] for row in AMENDED], ids=[row[0] for row in AMENDED])
def test_of_amend(answered: Answer, kind: str, reason: str) -> None:
    found = outcomes.of_amend(answered, OURS)
    assert (found.kind, found.reason) == (kind, reason)


QUERIED: list[tuple[str, Answer, str, str]] = [
    ("ours", said(200, ORDER), "FOUND", ""),
    ("ours, its cancel's id first", said(200, ORDER | {"clientOrderId": "c", "origClientOrderId": OURS}), "FOUND", ""),
    ("another's", said(200, ORDER | {"clientOrderId": "x"}), "UNKNOWN", "OTHER_ORDER"),
    ("no status", said(200, {"orderId": 28, "clientOrderId": OURS}), "UNKNOWN", "OTHER_ORDER"),
    ("no such order", refused(400, -2013, "Order does not exist."), "ABSENT", "NO_SUCH_ORDER"),
    ("no such order, with 500", refused(500, -2013), "UNKNOWN", "SERVER_ERROR"),
    ("no such order, with 200", refused(200, -2013), "UNKNOWN", "NO_ORDER"),
    ("no such order, with 403", refused(403, -2013), "UNKNOWN", "FIREWALL"),
    ("cancel's code", refused(400, -2011), "UNKNOWN", "UNLISTED"),
    ("archived", refused(400, -2026), "UNKNOWN", "UNLISTED"),
    ("unknown symbol", refused(400, -1121), "UNKNOWN", "UNKNOWN_SYMBOL"),
    ("key", refused(401, -2015), "UNKNOWN", "KEY_REFUSED"),
    ("rate", refused(429, -1003), "UNKNOWN", "RATE_LIMITED"),
    ("not sent", not_sent("ClientConnectorDNSError: x"), "UNKNOWN", "NO_CONNECTION"),
    ("empty", said(200, {}), "UNKNOWN", "NO_ORDER"),
    ("HTML", said(200, HTML), "UNKNOWN", "GARBLED"),
    ("404 HTML", said(404, HTML), "UNKNOWN", "GARBLED"),
    ("time-out", broken("TimeoutError: "), "UNKNOWN", "TIMEOUT"),
]


@pytest.mark.parametrize(("answered", "kind", "reason"), [row[1:] for row in QUERIED], ids=[row[0] for row in QUERIED])
def test_of_query(answered: Answer, kind: str, reason: str) -> None:
    found = outcomes.of_query(answered, OURS)
    assert (found.kind, found.reason) == (kind, reason)


def test_a_query_by_the_exchange_s_id_looks_at_that() -> None:
    assert outcomes.of_query(said(200, ORDER | {"clientOrderId": "x"}), order_id="28").kind == "FOUND"
    assert outcomes.of_query(said(200, ORDER), order_id="29").kind == "UNKNOWN"


def test_only_what_passes_by_itself_may_be_sent_again() -> None:
    again = {code for code, one in outcomes.REFUSED_BEFORE.items() if one.again}
    assert again == {-1003, -1015, -1021}
    found = outcomes.of_place(said(429, {"code": -1015, "msg": "no"}, **{"retry-after": "7"}), OURS)
    assert (found.again, found.retry_after_ms) == (True, 7_000)
    assert not outcomes.of_place(refused(400, -1013), OURS).again
    waits = outcomes.of_place(not_sent("RATE_LIMITED: x", 900), OURS)
    assert (waits.again, waits.retry_after_ms) == (True, 900)


def test_numbers_stay_as_they_were_written() -> None:
    body = said(200, '{"a": 1e-05, "b": 40000, "c": "40000", "d": 0.10}').body
    assert body == {"a": "1e-05", "b": "40000", "c": "40000", "d": "0.10"}
    assert isinstance(body, dict) and isinstance(body["b"], Number) and not isinstance(body["c"], Number)


BODIES = st.one_of(
    st.binary(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([OURS, -2010, -2013, 28]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
            st.sampled_from(["code", "msg", "orderId", "clientOrderId", "origClientOrderId", "status", "amendedOrder"]),
            inner, max_size=5,
        ),
        max_leaves=12,
    ).map(lambda body: json.dumps(body).encode()),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.integers(100, 599), BODIES)
def test_nothing_makes_it_raise_and_nothing_is_concluded_without_the_words(status: int, raw: bytes) -> None:
    answered = answer.read(status, {}, raw)
    place, query = outcomes.of_place(answered, OURS), outcomes.of_query(answered, OURS)
    cancel, amend = outcomes.of_cancel(answered, OURS), outcomes.of_amend(answered, OURS)
    if status >= 500 or 200 < status < 400 or status in (403, 408, 409):
        assert {place.kind, query.kind, cancel.kind, amend.kind} == {"UNKNOWN"}
    if place.kind in ("REJECT", "ADOPT") or query.kind == "ABSENT":
        assert 400 <= status < 500 and b'"code"' in raw and b'"msg"' in raw
    for found, word in ((place, "ACK"), (query, "FOUND"), (cancel, "CANCELED"), (amend, "AMENDED")):
        if found.kind == word:
            assert status == 200 and OURS.encode() in raw
    assert "NOT_SENT" not in {place.kind, query.kind, cancel.kind, amend.kind}


def test_a_message_is_cut_before_it_goes_into_the_journal() -> None:
    assert len(refused(400, -2010, "x" * 5_000).msg) == answer.LONGEST_MESSAGE
