"""Frames of the WS-API: what was written is what is signed."""

import json

import pytest

from ordergate.exchange import ws_frames
from ordergate.exchange.ws_frames import Frame, answer, event, payload, read


def test_numbers_keep_their_digits() -> None:
    frame = read('{"id":7,"method":"v3/order.place","params":{"quantity":0.10,"price":1e-05,"timestamp":1655716096498,'
                 '"symbol":"BTCUSDT","computeCommissionRates":true,"symbols":["A","B"],"gone":null}}')  # fmt: skip
    assert isinstance(frame, Frame)
    assert (frame.id, frame.method, frame.rate_limits) == ("7", "order.place", True)
    assert frame.params == {
        "quantity": "0.10", "price": "1e-05", "timestamp": "1655716096498", "symbol": "BTCUSDT",
        "computeCommissionRates": "true", "symbols": '["A","B"]',
    }  # fmt: skip


def test_the_payload_is_sorted_and_not_encoded() -> None:
    """The HMAC example of the exchange's own documentation: its payload, key and signature."""
    import hmac

    frame = read('{"id":"x","method":"order.place","params":{"symbol":"BTCUSDT","side":"SELL","type":"LIMIT",'
                 '"timeInForce":"GTC","quantity":"0.01000000","price":"52000.00","newOrderRespType":"ACK",'
                 '"recvWindow":100,"timestamp":1645423376532,'
                 '"apiKey":"vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",'
                 '"signature":"left out"}}')  # fmt: skip
    assert isinstance(frame, Frame)
    assert payload(frame.params) == (
        b"apiKey=vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A&newOrderRespType=ACK&price=52000.00"
        b"&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT"
    )
    secret = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    found = hmac.digest(secret, payload(frame.params), "sha256").hex()
    assert found == "cc15477742bd704c29492d96c7ead9414dfd8e0ec4a00f947bb5bb454ddbd08a"


@pytest.mark.parametrize(
    ("text", "name", "error"),
    [
        ("", "null", ws_frames.NO_JSON),
        ("{", "null", ws_frames.NO_JSON),
        ('{"id":1,"method":"time","params":{"x":NaN}}', "null", ws_frames.NO_JSON),
        ("[" * 100_000, "null", ws_frames.NO_JSON),
        ("[]", "null", ws_frames.NO_OBJECT),
        ('{"id":1.5,"method":"time"}', "null", ws_frames.NO_ID),
        ('{"id":true,"method":"time"}', "null", ws_frames.NO_ID),
        ('{"id":"' + "a" * 37 + '","method":"time"}', "null", ws_frames.NO_ID),
        ('{"id":1}', "1", ws_frames.NO_METHOD),
        ('{"id":"a","method":5}', '"a"', ws_frames.NO_METHOD),
        ('{"id":-5,"method":"time","params":[]}', "-5", ws_frames.NO_PARAMS),
    ],
)
def test_what_is_no_request_is_answered(text: str, name: str, error: object) -> None:
    assert read(text) == (name, error)


def test_answers_repeat_the_id_as_it_came() -> None:
    assert json.loads(answer("1", 200, {"a": 1}, None)) == {"id": 1, "status": 200, "result": {"a": 1}}
    refused = json.loads(answer('"x"', 400, {"code": -1, "msg": "m"}, [{"count": 1}]))
    assert refused == {"id": "x", "status": 400, "error": {"code": -1, "msg": "m"}, "rateLimits": [{"count": 1}]}
    assert json.loads(event(3, {"e": "x"})) == {"subscriptionId": 3, "event": {"e": "x"}}
    silent = read('{"id":1,"method":"time","params":{"returnRateLimits":false}}')
    assert isinstance(silent, Frame) and not silent.rate_limits
