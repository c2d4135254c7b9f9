"""Each comparison with the exchange, on figures that are right and on the same figures with one thing wrong."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.torture.checker import Journal, Stored
from tests.torture.faults import FAULTS, Stage
from tests.torture.live_checker import Truth, asked_once, asked_while_killed, held_against, possible
from tests.torture.live_faults import LIVE_FAULTS, LIVE_KILLS, TAKEN_OVER

INSTALL = "k3f9"
CLIENT_ID = f"og{INSTALL}-3"


def truth() -> Truth:
    order = {
        "symbol": "BTCUSDT", "orderId": 71, "clientOrderId": CLIENT_ID, "status": "PARTIALLY_FILLED",
        "executedQty": "1.00000000", "cummulativeQuoteQty": "10.00000000",
    }  # fmt: skip
    trade = {
        "symbol": "BTCUSDT", "id": 9, "orderId": 71, "price": "10.00000000", "qty": "1.00000000",
        "quoteQty": "10.00000000", "commission": "0.00100000", "commissionAsset": "BTC", "isBuyer": True,
        "isMaker": False,
    }  # fmt: skip
    balances = {
        "BTC": {"free": "0.99900000", "locked": "0.00000000"},
        "USDT": {"free": "80.00000000", "locked": "10.00000000"},
    }
    asked = {"method": "order.place", "clientOrderId": CLIENT_ID, "code": None, "t": 5_000, "n": 1}
    accounts = {"a": {"orders": [order], "trades": [trade], "balances": balances}}
    return Truth(accounts, {CLIENT_ID: 1}, [asked])


def stored() -> Stored:
    order = (3, "a", None, "k", "LIVE", "BTCUSDT", "BUY", "LIMIT", "GTC", "2", "10", "PARTIALLY_FILLED", "1", "10",
             "10", None, None, None, "71", 9)  # fmt: skip
    fill = ("binance", "a", "BTCUSDT", "9", 3, "LIVE", "BUY", "10", "1", "10", "0.001", "BTC", False, 8)
    lives = [(seq, 3, "a", kind, "{}", b"", b"") for seq, kind in
             enumerate(["ORDER_ACCEPTED", "SUBMIT_STARTED", "IN_DOUBT", "FOUND_AT_VENUE", "FILL"], 3)]  # fmt: skip
    return Stored(9, b"", b"", {
        "execution.orders": [order], "execution.fills": [fill], "execution.order_events": lives,
        "portfolio.balances": [("a", "BTC", "0.999"), ("a", "USDT", "90")],
    })  # fmt: skip


def journal() -> Journal:
    balances = [("a", "LIVE", "BTC", "0.999", "0"), ("a", "LIVE", "USDT", "90", "10")]
    return Journal(b"", b"", {}, {}, balances, [], [], 0, INSTALL)


def edited(table: str, place: int, value: object) -> Callable[[Truth, Stored, Journal], None]:
    def edit(_truth: Truth, postgres: Stored, _journal: Journal) -> None:
        row = list(postgres.tables[table][0])
        row[place] = value
        postgres.tables[table][0] = tuple(row)

    return edit


def of_the_exchange(kind: str, **changes: object) -> Callable[[Truth, Stored, Journal], None]:
    def edit(truth: Truth, _postgres: Stored, _journal: Journal) -> None:
        truth.accounts["a"][kind][0].update(changes)

    return edit


def one_more(kind: str, **changes: object) -> Callable[[Truth, Stored, Journal], None]:
    def edit(truth: Truth, _postgres: Stored, _journal: Journal) -> None:
        truth.accounts["a"][kind].append(truth.accounts["a"][kind][0] | changes)

    return edit


def test_what_agrees_passes() -> None:
    held_against(truth(), stored(), journal())
    asked_once(truth())
    possible(stored())


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda truth, *_: truth.commits.update({CLIENT_ID: 2}), "I2: accepted more than once"),
        (one_more("orders", orderId=72), "I2: order 3 is there twice"),
        (one_more("orders", orderId=72, clientOrderId="web_1"), "I3: not ours"),
        (one_more("orders", orderId=72, clientOrderId=f"og{INSTALL}-4"), "I3: not ours"),
        (edited("execution.orders", 11, "NEW"), "I3: order 3"),
        (edited("execution.orders", 12, "1.00000001"), "I3: order 3"),
        (edited("execution.orders", 18, "72"), "I3: order 3 is not known as 71"),
        (lambda truth, *_: truth.accounts["a"]["orders"].clear(), "I3: order 3 is PARTIALLY_FILLED"),
        (one_more("trades", id=10), "I4: trades"),
        (lambda truth, *_: truth.accounts["a"]["trades"].clear(), "I4: trades only here"),
        (of_the_exchange("trades", commission="0.00100001"), "I4: trades"),
        (of_the_exchange("trades", isMaker=True), "I4: trades"),
        (edited("execution.fills", 4, 4), "I4: trades"),
        (
            lambda _truth, postgres, _journal: postgres.tables["execution.fills"].append(
                postgres.tables["execution.fills"][0]
            ),
            "I4: a trade was booked twice",
        ),
        (
            lambda truth, *_: truth.accounts["a"]["balances"]["USDT"].update(free="80.00000001"),
            "I4: balances differ",
        ),
        (
            lambda truth, *_: truth.accounts["a"]["balances"]["USDT"].update(free="79", locked="11"),
            "I5: held here",
        ),
        (edited("portfolio.balances", 2, "0.9991"), "I4: the portfolio differs"),
    ],
)
def test_whatever_differs_is_found(edit: Callable[[Truth, Stored, Journal], None], found: str) -> None:
    wrong = copy.deepcopy((truth(), stored(), journal()))
    edit(*wrong)
    with pytest.raises(AssertionError, match=found):
        held_against(*wrong)


def test_an_order_that_the_exchange_never_had_must_have_ended_unfilled() -> None:
    nowhere = replace(truth(), commits={}, accounts={"a": {"orders": [], "trades": [], "balances": {}}})
    postgres = stored()
    postgres.tables["execution.fills"] = []
    postgres.tables["portfolio.balances"] = []
    edited("execution.orders", 12, "0")(nowhere, postgres, journal())
    with pytest.raises(AssertionError, match="no such order"):
        held_against(nowhere, postgres, replace(journal(), balances=[]))
    edited("execution.orders", 11, "REJECTED")(nowhere, postgres, journal())
    held_against(nowhere, postgres, replace(journal(), balances=[]))


def test_a_second_request_for_an_order_is_found_unless_the_first_ones_time_was_wrong() -> None:
    first = truth().requests[0]
    asked_once(replace(truth(), requests=[first | {"code": -1021}, first]))
    asked_once(replace(truth(), requests=[first, first | {"late": True}]))
    with pytest.raises(AssertionError, match="I2: asked for more than once"):
        asked_once(replace(truth(), requests=[first, first | {"code": -2010}]))


def test_a_request_while_killed_is_found() -> None:
    stage = Stage(None, None, unsent=[(4.0, 4.9)])  # type: ignore[arg-type]
    asked_while_killed(stage, truth())
    stage.unsent.append((4.9, 5.1))
    with pytest.raises(AssertionError, match="I10"):
        asked_while_killed(stage, truth())


@pytest.mark.parametrize(
    "life",
    [
        ["SUBMIT_STARTED"],
        ["ORDER_ACCEPTED", "ACKED"],
        ["ORDER_ACCEPTED", "SUBMIT_STARTED", "SUBMIT_STARTED"],
        ["ORDER_ACCEPTED", "SUBMIT_STARTED", "ACKED", "REJECTED"],
        ["ORDER_ACCEPTED", "SUBMIT_STARTED", "NOT_SENT", "FILL"],
    ],
)
def test_an_impossible_life_is_found(life: list[str]) -> None:
    postgres = stored()
    postgres.tables["execution.order_events"] = [
        (seq, 3, "a", kind, "{}", b"", b"") for seq, kind in enumerate(life, 3)
    ]
    with pytest.raises(AssertionError, match="I6"):
        possible(postgres)


def test_the_table_of_live_takes_over_what_is_there_and_has_each_name_once() -> None:
    names = [fault.name for fault in LIVE_FAULTS]
    assert len(set(names)) == len(names)
    assert {fault.name for fault in FAULTS} >= TAKEN_OVER
    assert set(names) >= {*LIVE_KILLS, *TAKEN_OVER}


def test_every_rule_of_the_table_is_one_of_the_exchange() -> None:
    from ordergate.exchange.faults import Faults

    taken: list[dict[str, Any]] = []

    class Exchange:
        def rule(self, one: dict[str, Any]) -> None:
            added = Faults().add(one)
            assert not isinstance(added, str), (one, added)
            taken.append(one)

        def ask(self, verb: str, path: str, tree: dict[str, Any]) -> None:
            assert (verb, path) == ("POST", "/ws"), path

    stage = Stage(None, None, exchange=Exchange())  # type: ignore[arg-type]
    for fault in LIVE_FAULTS:
        if fault.heal.__name__ == "mended" and not fault.name.startswith(("kill", "freeze")):
            fault.apply(stage)
    assert len(taken) > 30
