"""The one inbound path: whatever the order in which it hears, the same trades and the same end, each once."""

import random
from dataclasses import replace
from typing import Any

import pytest

from ordergate.venues.binance import inbound
from ordergate.venues.binance.dialect import Seen, Trade
from ordergate.venues.binance.inbound import Facts, Track, take_seen, take_trade

SEEN = Seen("BTCUSDT", "28", "og7f-12", "NEW", "0", "BUY", "LIMIT", "GTC", "10", "40000", None, None, "")
FACTS = Facts(12, "demo", "LIVE", "BTCUSDT", "BUY", "LIMIT", "GTC", "10", "0", "SUBMITTED", "og7f-12", True)


def trade(number: int, quantity: str = "1", **changes: Any) -> Trade:
    told = Trade(str(number), "28", "BTCUSDT", "40000", quantity, "40000", "0.001", "BTC", False, 1_700_000_000_000)
    return replace(told, **changes)


def names(reports: list[Any]) -> list[str]:
    return [report[0] for report in reports]


def test_an_ordinary_life() -> None:
    track = inbound.track_of(12, FACTS)
    assert take_seen(track, SEEN) == [("ACK", 12, "28")]
    assert take_seen(track, SEEN) == []
    assert take_trade(track, trade(56), "USDT") == [
        ("FILL", 12, "56", "40000", "1", "40000", "0.001", "BTC", False, 1_700_000_000_000_000_000)
    ]
    assert take_seen(track, replace(SEEN, status="PARTIALLY_FILLED", executed="1")) == []
    assert take_seen(track, replace(SEEN, status="CANCELED", executed="1")) == [("CANCELED", 12, "", "")]
    assert take_seen(track, replace(SEEN, status="CANCELED", executed="1")) == []


def test_an_end_waits_for_its_trades() -> None:
    track = inbound.track_of(12, FACTS)
    assert names(take_seen(track, replace(SEEN, status="EXPIRED", executed="3", reason="X"))) == ["ACK"]
    assert track.missing == 300_000_000
    assert names(take_trade(track, trade(1, "2"), "USDT")) == ["FILL"]
    assert take_trade(track, trade(2), "USDT")[1:] == [("EXPIRED", 12, "X", "ended by the exchange's rules")]
    assert track.missing == 0


def test_an_older_picture_takes_nothing_back() -> None:
    track = inbound.track_of(12, FACTS)
    take_seen(track, replace(SEEN, status="CANCELED"))
    assert take_seen(track, SEEN) == []
    assert take_seen(track, SEEN, asked=True) == []


def test_what_the_journal_has_is_not_told_again() -> None:
    facts = replace_facts(filled="2", trade_ids=["1", "2"], venue_order_id="28")
    track = inbound.track_of(12, facts)
    assert take_seen(track, replace(SEEN, status="PARTIALLY_FILLED", executed="2")) == []
    assert take_trade(track, trade(1), "USDT") == []
    assert names(take_trade(track, trade(3), "USDT")) == ["FILL"]
    assert track.filled == 300_000_000


def test_a_question_ends_a_doubt() -> None:
    track = inbound.track_of(12, replace_facts(in_doubt=True))
    assert take_seen(track, SEEN, asked=True) == [("FOUND", 12, "28", True, "0")]


def test_our_own_conclusion_is_overruled_and_the_exchanges_end_is_not() -> None:
    absent = inbound.track_of(12, replace_facts(status="REJECTED", open=False))
    assert take_seen(absent, SEEN, asked=True) == [("FOUND", 12, "28", True, "0")]
    late = inbound.track_of(12, replace_facts(status="REJECTED", open=False))
    assert take_seen(late, SEEN) == [("ACK", 12, "28")]
    canceled = inbound.track_of(12, replace_facts(status="CANCELED", open=False, venue_order_id="28"))
    assert take_seen(canceled, SEEN, asked=True) == []


@pytest.mark.parametrize(
    ("status", "reason", "report"),
    [
        ("FILLED", "", None),
        ("EXPIRED_IN_MATCH", "", ("EXPIRED", 12, "STP", "it would have traded with an order of the same group")),
        ("EXPIRED", "", ("EXPIRED", 12, "EXPIRED", "ended by the exchange's rules")),
        ("CANCELED", "EXCHANGE_CANCELED", ("CANCELED", 12, "", "EXCHANGE_CANCELED")),
        ("REJECTED", "INSUFFICIENT_BALANCES",
         ("REJECT", 12, "INSUFFICIENT_BALANCES", "refused by the exchange's engine")),
    ],
)  # fmt: skip
def test_every_end_has_its_report(status: str, reason: str, report: Any) -> None:
    told = take_seen(inbound.track_of(12, FACTS), replace(SEEN, status=status, reason=reason))
    assert [one for one in told if one[0] != "ACK"] == ([] if report is None else [report])


def test_an_amount_of_quote_is_done_when_the_exchange_says_so() -> None:
    track = inbound.track_of(12, replace_facts(quantity=None, quote_quantity="100"))
    assert take_seen(track, replace(SEEN, status="FILLED", executed="1"))[1:] == []
    assert take_trade(track, trade(1), "USDT")[1:] == [("DONE", 12)]


def test_a_trade_without_a_fee_is_the_same_in_every_shape() -> None:
    one = take_trade(Track(12), trade(1, fee="0", fee_asset=""), "USDT")
    assert one == take_trade(Track(12), trade(1, fee="0", fee_asset="USDT"), "USDT")
    free = take_trade(Track(12), trade(1, fee="0.00000000", fee_asset="BTC"), "USDT")
    assert free[0][7] == "USDT"


def test_a_quantity_out_of_range_is_told_and_not_counted() -> None:
    track = inbound.track_of(12, FACTS)
    take_seen(track, replace(SEEN, status="PARTIALLY_FILLED", executed="1"))
    for number, text in enumerate(["-1", "1e400", "NaN", "0." + "1" * 30, "9" * 40]):
        assert take_trade(track, trade(number, text), "USDT")[0][4] == text
    assert track.missing == 100_000_000


def test_ten_thousand_orders_of_events_end_in_the_same() -> None:
    """Duplicates, any order, stream and answer and query mixed: every trade once, then the end, once."""
    rolls = random.Random(63)
    pictures = [replace(SEEN, status="PARTIALLY_FILLED", executed=str(done)) for done in range(1, 5)]
    events: list[Any] = [SEEN, *pictures, replace(SEEN, status="CANCELED", executed="4")]
    events += [trade(number) for number in range(1, 5)]
    for _ in range(10_000):
        told = events + rolls.sample(events, rolls.randrange(len(events)))
        rolls.shuffle(told)
        track, reports = inbound.track_of(12, FACTS), []
        for event in told:
            if isinstance(event, Trade):
                reports += take_trade(track, event, "USDT")
            else:
                reports += take_seen(track, event, asked=rolls.random() < 0.2)
        assert sorted(report[2] for report in reports if report[0] == "FILL") == ["1", "2", "3", "4"]
        assert [name for name in names(reports) if name not in ("FILL", "ACK", "FOUND")] == ["CANCELED"]
        assert names(reports)[-1] in ("CANCELED", "FOUND", "ACK")
        assert names(reports).index("CANCELED") > max(at for at, name in enumerate(names(reports)) if name == "FILL")


def replace_facts(**changes: Any) -> Facts:
    return Facts(**{name: getattr(FACTS, name) for name in Facts.__struct_fields__} | changes)
