"""Every class of drift is found, and nothing that is merely late."""

from dataclasses import replace
from typing import Any

from ordergate.venues.binance.reconcile import POLICY, Ours, compare, differences, differing
from tests.unit.test_binance_inbound import SEEN, replace_facts


def ours(filled: int = 0, *, final: bool = False, recent: bool = False, **changes: Any) -> Ours:
    return Ours(replace_facts(**{"venue_order_id": "28", "price": "40000"} | changes), filled, final, recent)


def kinds(found: list[Any]) -> list[str]:
    return [one.kind for one in found]


def test_what_agrees_is_no_finding() -> None:
    assert compare([ours()], {12: SEEN}) == []


def test_each_class_is_found() -> None:
    assert kinds(compare([ours()], {})) == ["MISSING_ORDER"]
    partly = replace(SEEN, status="PARTIALLY_FILLED", executed="2")
    assert kinds(compare([ours()], {12: partly})) == ["MISSING_FILL"]
    assert kinds(compare([ours(300_000_000)], {12: partly})) == ["EXTRA_FILL"]
    assert kinds(compare([ours()], {12: replace(SEEN, quantity="9")})) == ["QUANTITY"]
    assert kinds(compare([ours()], {12: replace(SEEN, price="39999.00")})) == ["QUANTITY"]
    assert differing({"BTC": "1.5"}, {"BTC": "1.50000000"}) == {}
    assert differing({"BTC": "1.5"}, {}) == {"BTC": "1.5"}
    assert set(POLICY) == {"MISSING_ORDER", "MISSING_FILL", "EXTRA_FILL", "QUANTITY", "BALANCE", "EXTERNAL"}


def test_what_was_just_sent_is_never_missing() -> None:
    assert compare([ours(recent=True)], {}) == []


def test_what_has_ended_or_is_in_doubt_is_not_missing() -> None:
    assert compare([ours(final=True)], {}) == []
    assert compare([ours(in_doubt=True)], {}) == []
    assert compare([replace(ours(), facts=replace_facts())], {}) == [], "the exchange has never shown it"


def test_terms_on_their_way_are_no_difference() -> None:
    assert differences(ours(replace={"quantity": "9"}), replace(SEEN, quantity="9")) == []
