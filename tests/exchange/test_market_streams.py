"""Names of market streams, and events made of other events."""

import pytest

from ordergate.exchange.market_streams import DepthChanges, join_depth, parse, take_depth

SYMBOLS = {"BTCUSDT", "ETHUSDT"}


@pytest.mark.parametrize(
    ("name", "shape", "every_ms", "rest"),
    [
        ("btcusdt@trade", "trade", 0, (0, "")),
        ("btcusdt@aggTrade", "aggTrade", 0, (0, "")),
        ("btcusdt@bookTicker", "bookTicker", 0, (0, "")),
        ("btcusdt@depth", "depth", 1000, (0, "")),
        ("btcusdt@depth@100ms", "depth", 100, (0, "")),
        ("btcusdt@depth5", "levels", 1000, (5, "")),
        ("btcusdt@depth20@100ms", "levels", 100, (20, "")),
        ("ethusdt@miniTicker", "miniTicker", 1000, (0, "")),
        ("!miniTicker@arr", "miniTicker", 1000, (0, "")),
        ("ethusdt@ticker", "ticker", 1000, (0, "")),
        ("ethusdt@avgPrice", "avgPrice", 1000, (0, "")),
        ("btcusdt@kline_1s", "kline", 1000, (0, "1s")),
        ("btcusdt@kline_1m", "kline", 2000, (0, "1m")),
    ],
)
def test_streams_that_exist(name: str, shape: str, every_ms: int, rest: tuple[int, str]) -> None:
    stream = parse(name, SYMBOLS)
    assert stream is not None and stream.name == name
    assert (stream.shape, stream.every_ms, (stream.levels, stream.interval)) == (shape, every_ms, rest)
    assert stream.symbol == (None if name[0] == "!" else name.partition("@")[0].upper())


@pytest.mark.parametrize(
    "name",
    ["", "0", "btcusdt", "BTCUSDT@trade", "xrpusdt@trade", "btcusdt@depth7", "btcusdt@trade5", "btcusdt@trade@100ms",
     "btcusdt@kline", "btcusdt@kline_2m", "btcusdt@kline_1m@100ms", "btcusdt@ticker_1h", "!ticker@arr", "btcusdt@what"],
)  # fmt: skip
def test_streams_that_do_not(name: str) -> None:
    assert parse(name, SYMBOLS) is None


def test_depth_changes_of_a_beat_are_joined() -> None:
    changes = DepthChanges()
    assert take_depth(changes, "BTCUSDT", 1) == []
    join_depth(changes, {"U": 5, "u": 6, "b": [["10", "1"], ["9", "2"]], "a": []})
    join_depth(changes, {"U": 7, "u": 9, "b": [["10", "0"]], "a": [["11", "3"]]})
    assert take_depth(changes, "BTCUSDT", 42) == [{
        "e": "depthUpdate", "E": 42, "s": "BTCUSDT", "U": 5, "u": 9, "b": [["10", "0"], ["9", "2"]], "a": [["11", "3"]],
    }]  # fmt: skip
    assert take_depth(changes, "BTCUSDT", 43) == [], "told once"
    join_depth(changes, {"U": 10, "u": 10, "b": [["10", "4"]], "a": []})
    (following,) = take_depth(changes, "BTCUSDT", 44)
    assert (following["U"], following["u"], following["a"]) == (10, 10, [])
