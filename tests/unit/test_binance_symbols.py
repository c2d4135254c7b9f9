"""Our instruments follow the exchange's: what is asked, what is told, what an unreadable answer changes."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from ordergate.venues.binance import symbols
from ordergate.venues.binance.answer import Answer, decode, not_sent, read
from ordergate.venues.binance.instruments import Listed, listed
from ordergate.venues.binance.symbols import Known, changes, load
from tests.unit.test_binance_instruments import BTCUSDT, changed, with_filter

ETHUSDT = changed(symbol="ETHUSDT", baseAsset="ETH", amendAllowed=False)


class Exchange:
    """Answers `exchange_info` as the real one does: one unknown symbol refuses all."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        self.entries = {entry["symbol"]: entry for entry in entries}
        self.asked: list[list[str]] = []
        self.instead: Callable[[], Answer] | None = None

    async def exchange_info(self, symbols: list[str]) -> Answer:
        self.asked.append(symbols)
        if self.instead is not None:
            return self.instead()
        if any(symbol not in self.entries for symbol in symbols):
            return read(400, {}, b'{"code":-1121,"msg":"Invalid symbol."}')
        body = {"symbols": [self.entries[symbol] for symbol in symbols], "rateLimits": []}
        return read(200, {}, json.dumps(body).encode())


def loaded(exchange: Any, *wanted: str) -> Listed:
    found = asyncio.run(load(exchange, wanted))
    assert isinstance(found, Listed)
    return found


def found(*entries: dict[str, Any]) -> Listed:
    return listed(decode(json.dumps({"symbols": entries}).encode()), ["BTCUSDT", "ETHUSDT"])


def statuses(reports: list[Any]) -> list[tuple[str, str]]:
    assert all(kind == "INSTRUMENT" for kind, _ in reports)
    return [(fields["symbol"], fields["status"]) for _, fields in reports]


def test_one_unknown_symbol_does_not_hide_the_others() -> None:
    exchange = Exchange(BTCUSDT, ETHUSDT)
    both = loaded(exchange, "BTCUSDT", "NOSUCH", "ETHUSDT")
    assert both.fields.keys() == {"BTCUSDT", "ETHUSDT"} and both.unusable.keys() == {"NOSUCH"}
    assert both.amendable == {"BTCUSDT"}
    assert exchange.asked == [["BTCUSDT", "NOSUCH", "ETHUSDT"], ["BTCUSDT"], ["NOSUCH"], ["ETHUSDT"]]


@pytest.mark.parametrize(
    "answer",
    [
        not_sent("RATE_LIMITED: x", 7_000),
        Answer(True, error="TimeoutError: "),
        read(200, {}, b"<html>"),
        read(200, {}, b'{"symbols": 5}'),
        read(200, {}, b"[]"),
        read(500, {}, b'{"code":-1121,"msg":"Invalid symbol."}'),
        read(429, {"retry-after": "3"}, b'{"code":-1003,"msg":"x"}'),
    ],
)
def test_what_cannot_be_read_changes_nothing(answer: Answer) -> None:
    exchange: Any = Exchange(BTCUSDT)
    exchange.instead = lambda: answer
    assert asyncio.run(load(exchange, ["BTCUSDT"])) is answer


def test_only_changes_are_told() -> None:
    known = Known()
    assert statuses(changes(known, found(BTCUSDT, ETHUSDT))) == [("BTCUSDT", "TRADING"), ("ETHUSDT", "TRADING")]
    assert changes(known, found(BTCUSDT, ETHUSDT)) == []
    assert statuses(changes(known, found(changed(status="HALT"), ETHUSDT))) == [("BTCUSDT", "HALT")]
    (finer,) = changes(known, found(with_filter("LOT_SIZE", stepSize="0.1"), ETHUSDT))
    assert finer[1]["stepSize"] == "0.1"  # type: ignore[index]


def test_a_symbol_that_is_gone_trades_no_more_and_comes_back() -> None:
    known = Known()
    changes(known, found(BTCUSDT, ETHUSDT))
    assert statuses(changes(known, found(BTCUSDT))) == [("ETHUSDT", symbols.NOT_LISTED)]
    assert changes(known, found(BTCUSDT)) == []
    assert statuses(changes(known, found(BTCUSDT, ETHUSDT))) == [("ETHUSDT", "TRADING")]


def test_a_symbol_that_was_never_there_is_not_told() -> None:
    assert changes(Known(), found()) == []


def test_a_symbol_that_cannot_be_read_stays_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    known = Known()
    changes(known, found(BTCUSDT, ETHUSDT))
    for _ in range(3):
        assert changes(known, found(with_filter("LOT_SIZE", minQty="NaN"), ETHUSDT)) == []
    assert capsys.readouterr().out.count("minQty 'NaN' cannot be used here") == 1


@pytest.mark.parametrize(
    ("reason", "hints"),
    [("FILTER_LOT_SIZE", True), ("SYMBOL_NOT_TRADING", True), ("UNKNOWN_SYMBOL", True), ("TOO_PRECISE", True),
     ("INSUFFICIENT_BALANCE", False), ("WOULD_TAKE", False), ("", False)],
)  # fmt: skip
def test_which_refusals_hint(reason: str, hints: bool) -> None:
    assert symbols.hints_at_a_change(reason) == hints
