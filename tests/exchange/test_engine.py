"""The engine's rules one by one: types, times in force, self-trades, amendments, stops, fees, and what is told."""

from typing import Any

import pytest

from ordergate.exchange.commands import run
from ordergate.exchange.config import of_tree, open_exchange
from ordergate.exchange.errors import ApiError
from ordergate.exchange.state import Event, Exchange

NOW = 1_700_000_000_000


class Desk:
    """An exchange with a book of 59,990 / 60,010 and 59,980 / 60,020, one bitcoin on each level."""

    def __init__(self, **tree: Any) -> None:
        self.ex: Exchange = open_exchange(of_tree(tree))
        self.now = NOW
        self.events: list[Event] = []
        levels = {"bids": [["59990", "1"], ["59980", "1"]], "asks": [["60010", "1"], ["60020", "1"]]}
        self.do("print", symbol="BTCUSDT", price="60000", quantity="0.001")
        self.do("quote", symbol="BTCUSDT", **levels)

    def do(self, name: str, **arguments: Any) -> Any:
        self.now += 1
        result, self.events = run(self.ex, name, arguments, self.now)
        return result

    def place(self, side: str, kind: str, account: str = "alpha", **params: str) -> Any:
        if kind in {"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"}:
            params.setdefault("timeInForce", "GTC")
        params = {"symbol": "BTCUSDT", "side": side, "type": kind, "newOrderRespType": "FULL", **params}
        if "quoteOrderQty" not in params:
            params.setdefault("quantity", "0.5")
        return self.do("place", account=account, params=params)

    def cancel(self, order: Any, account: str = "alpha", **more: str) -> Any:
        return self.do(
            "cancel", account=account, params={"symbol": "BTCUSDT", "orderId": str(order["orderId"]), **more}
        )

    def told(self, kind: str, account: str | None = "alpha") -> list[dict[str, Any]]:
        return [event.body for event in self.events if event.kind == kind and event.account == account]

    def reports(self, *names: str, account: str = "alpha") -> list[tuple[Any, ...]]:
        return [tuple(body[name] for name in names) for body in self.told("executionReport", account)]

    def held(self, asset: str, account: str = "alpha") -> tuple[float, float]:
        one = self.ex.accounts[account]
        return one.free.get(asset, 0) / 1e8, one.locked.get(asset, 0) / 1e8


IOC, FOK = "UNFILLED_IOC_QUANTITY_EXPIRED", "UNFILLED_FOK_ORDER_EXPIRED"


def refusal(answer: Any) -> tuple[int, str]:
    assert isinstance(answer, ApiError)
    return answer.code, answer.msg


def test_a_limit_order_holds_rests_trades_and_gives_back() -> None:
    desk = Desk()
    order = desk.place("BUY", "LIMIT", price="60005")
    assert (order["status"], order["fills"]) == ("NEW", [])
    assert desk.held("USDT") == (1_000_000 - 30_002.5, 30_002.5)
    assert desk.reports("x", "X", "i", "t", "w") == [("NEW", "NEW", order["orderId"], -1, True)]
    assert [event.kind for event in desk.events if event.account] == ["executionReport", "outboundAccountPosition"]
    desk.do("take", symbol="BTCUSDT", side="SELL", quantity="0.2")
    assert desk.reports("x", "X", "l", "z", "L", "m", "n", "N") == [
        ("TRADE", "PARTIALLY_FILLED", "0.20000000", "0.20000000", "60005.00000000", True, "0.00020000", "BTC")
    ]
    desk.cancel(order, newClientOrderId="stop-it")
    (report,) = desk.told("executionReport")
    assert (report["x"], report["X"], report["c"], report["C"]) == (
        "CANCELED",
        "CANCELED",
        "stop-it",
        order["clientOrderId"],
    )
    assert desk.held("USDT") == (1_000_000 - 0.2 * 60_005, 0)
    assert desk.held("BTC") == pytest.approx((10 + 0.2 - 0.0002, 0))


def test_better_prices_give_the_difference_back() -> None:
    desk = Desk()
    order = desk.place("BUY", "LIMIT", price="60500", quantity="1.5")
    assert (order["status"], [fill["price"] for fill in order["fills"]]) == (
        "FILLED", ["60010.00000000", "60020.00000000"],
    )  # fmt: skip
    assert order["cummulativeQuoteQty"] == "90020.00000000"
    assert desk.held("USDT") == (1_000_000 - 90_020, 0)
    assert [body["t"] for body in desk.told("trade", None)] == [fill["tradeId"] for fill in order["fills"]]
    assert desk.told("bookTicker", None)[0]["A"] == "0.50000000"


@pytest.mark.parametrize(
    ("kind", "params", "status", "reason", "executed"),
    [
        ("LIMIT", {"price": "60010", "timeInForce": "IOC", "quantity": "1.5"}, "EXPIRED", IOC, "1"),
        ("LIMIT", {"price": "60010", "timeInForce": "FOK", "quantity": "1.5"}, "EXPIRED", FOK, "0"),
        ("LIMIT", {"price": "60020", "timeInForce": "FOK", "quantity": "1.5"}, "FILLED", None, "1.5"),
        ("MARKET", {"quantity": "3"}, "EXPIRED", "INSUFFICIENT_LIQUIDITY", "2"),
        ("MARKET", {"quoteOrderQty": "30005"}, "FILLED", None, "0.5"),
        ("MARKET", {"quoteOrderQty": "60020"}, "FILLED", None, "1.00016"),
    ],
)  # fmt: skip
def test_what_is_left(kind: str, params: dict[str, str], status: str, reason: str | None, executed: str) -> None:
    desk = Desk()
    order = desk.place("BUY", kind, **params)
    assert (order["status"], order.get("expiryReason")) == (status, reason)
    assert float(order["executedQty"]) == float(executed)
    assert desk.held("USDT")[1] == 0
    if reason:
        assert desk.told("executionReport")[-1]["eR"] == reason


def test_a_market_order_to_sell_for_an_amount() -> None:
    desk = Desk()
    order = desk.place("SELL", "MARKET", quoteOrderQty="1000")
    assert order["executedQty"] == order["origQty"] == "0.01666000"
    assert order["origQuoteOrderQty"] == "1000.00000000"


def test_refusals() -> None:
    desk = Desk()
    assert refusal(desk.place("BUY", "LIMIT_MAKER", price="60010")) == (
        -2010,
        "Order would immediately match and take.",
    )
    assert desk.place("BUY", "LIMIT_MAKER", price="60009")["status"] == "NEW"
    assert refusal(desk.place("SELL", "LIMIT", price="60500", quantity="10.00001"))[1].startswith(
        "Account has insufficient"
    )
    assert refusal(desk.place("BUY", "LIMIT", price="60000.001")) == (-1013, "Filter failure: PRICE_FILTER")
    assert refusal(desk.place("BUY", "LIMIT", price="11000")) == (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE")
    assert refusal(desk.place("BUY", "LIMIT", price="60000", quantity="0.000001")) == (
        -1013,
        "Filter failure: LOT_SIZE",
    )
    assert refusal(desk.place("BUY", "LIMIT", price="60000", quantity="0.00001")) == (-1013, "Filter failure: NOTIONAL")
    assert refusal(desk.place("BUY", "MARKET", quantity="0.00001")) == (-1013, "Filter failure: NOTIONAL")
    assert refusal(desk.place("BUY", "LIMIT", price="0")) == (-1013, "Invalid price.")
    desk.do("set_symbol", symbol="BTCUSDT", filters={"MAX_NUM_ORDERS": {"maxNumOrders": 2}})
    desk.place("BUY", "LIMIT", price="50000", newClientOrderId="one")
    assert refusal(desk.place("BUY", "LIMIT", price="50000")) == (-1013, "Filter failure: MAX_NUM_ORDERS")
    desk.do("quote", symbol="BTCUSDT", bids=[], asks=[])
    desk.do("cancel_all", account="alpha", params={"symbol": "BTCUSDT"})
    empty = refusal(desk.place("SELL", "MARKET", quoteOrderQty="100"))
    assert empty == (-2010, "Order book liquidity is less than symbol minimum quantity.")


def test_a_client_id_is_taken_only_while_its_order_is_open() -> None:
    desk = Desk()
    order = desk.place("BUY", "LIMIT", price="50000", newClientOrderId="mine")
    assert refusal(desk.place("BUY", "LIMIT", price="50001", newClientOrderId="mine")) == (
        -2010,
        "Duplicate order sent.",
    )
    assert desk.place("BUY", "LIMIT", account="beta", price="50000", newClientOrderId="mine")["status"] == "NEW"
    desk.cancel(order)
    assert refusal(desk.cancel(order)) == (-2011, "Unknown order sent.")
    again = desk.place("BUY", "MARKET", newClientOrderId="mine")
    assert again["status"] == "FILLED"
    third = desk.place("BUY", "LIMIT", price="50000", newClientOrderId="mine")
    assert third["status"] == "NEW" and third["orderId"] != again["orderId"]


def test_cancel_restrictions_and_pairs() -> None:
    desk = Desk()
    order = desk.place("BUY", "LIMIT", price="60005", newClientOrderId="pair")
    assert refusal(desk.cancel(order, cancelRestrictions="ONLY_PARTIALLY_FILLED"))[0] == -2011
    assert refusal(desk.cancel(order, cancelRestrictions="SOMETIMES"))[0] == -1145
    assert refusal(desk.cancel(order, origClientOrderId="other"))[0] == -2039
    assert desk.cancel(order, cancelRestrictions="ONLY_NEW", origClientOrderId="pair")["status"] == "CANCELED"


@pytest.mark.parametrize(
    ("mode", "maker", "taker"),
    [
        ("NONE", "FILLED", "FILLED"),
        ("EXPIRE_MAKER", "EXPIRED_IN_MATCH", "NEW"),
        ("EXPIRE_TAKER", "NEW", "EXPIRED_IN_MATCH"),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"),
    ],
)
def test_self_trades(mode: str, maker: str, taker: str) -> None:
    desk = Desk()
    first = desk.place("BUY", "LIMIT", price="60005", newClientOrderId="first")
    second = desk.place("SELL", "LIMIT", price="60005", selfTradePreventionMode=mode)
    orders = desk.ex.account_orders["alpha", "BTCUSDT"]
    assert (orders[first["orderId"]].status, second["status"]) == (maker, taker)
    prevented = [report for report in desk.told("executionReport") if report["x"] == "TRADE_PREVENTION"]
    assert len(prevented) == [maker, taker].count("EXPIRED_IN_MATCH")
    for report in prevented:
        assert (report["A"], report["B"], report["X"]) == ("0.50000000", "0.50000000", "EXPIRED_IN_MATCH")
    if taker == "EXPIRED_IN_MATCH":
        assert second["preventedQuantity"] == "0.50000000"


def test_an_amendment_keeps_its_place_and_only_shrinks() -> None:
    desk = Desk()
    mine = desk.place("BUY", "LIMIT", price="60005", newClientOrderId="mine")
    desk.place("BUY", "LIMIT", account="beta", price="60005", newClientOrderId="later")
    named = {"symbol": "BTCUSDT", "orderId": str(mine["orderId"])}
    answer = desk.do("amend", account="alpha", params=named | {"newQty": "0.2", "newClientOrderId": "less"})
    assert answer["amendedOrder"]["qty"] == "0.20000000"
    assert desk.reports("x", "X", "c", "C", "q") == [("REPLACED", "NEW", "less", "mine", "0.20000000")]
    assert desk.held("USDT")[1] == 0.2 * 60_005
    for quantity in ("0.2", "0.3"):
        refused = desk.do("amend", account="alpha", params=named | {"newQty": quantity})
        assert refusal(refused)[0] == -2038
    desk.do("take", symbol="BTCUSDT", side="SELL", quantity="0.2")
    assert [report["X"] for report in desk.told("executionReport")] == ["FILLED"]
    assert desk.told("executionReport", "beta") == []
    assert refusal(desk.do("amend", account="alpha", params=named | {"newQty": "0.1"})) == (
        -2038,
        "Unknown order sent.",
    )
    assert desk.ex.amendments["BTCUSDT", mine["orderId"]][0]["newClientOrderId"] == "less"


def test_cancel_and_replace() -> None:
    desk = Desk()
    first = desk.place("BUY", "LIMIT", price="50000")
    fresh = {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5", "price": "51000",
        "cancelReplaceMode": "STOP_ON_FAILURE",
    }  # fmt: skip
    old = {"cancelOrderId": str(first["orderId"])}
    answer = desk.do("cancel_replace", account="alpha", params=fresh | old)
    assert (answer["cancelResult"], answer["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert answer["cancelResponse"]["status"] == "CANCELED" and answer["newOrderResponse"]["status"] == "NEW"
    failed = desk.do("cancel_replace", account="alpha", params=fresh | old)
    assert (failed.status, failed.code, failed.data["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")
    assert failed.data["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}
    half = desk.do("cancel_replace", account="alpha", params=fresh | old | {"cancelReplaceMode": "ALLOW_FAILURE"})
    assert (half.status, half.code, half.data["newOrderResult"]) == (409, -2021, "SUCCESS")
    number = half.data["newOrderResponse"]["orderId"]
    small = fresh | {"cancelOrderId": str(number), "quantity": "0.00001"}
    assert refusal(desk.do("cancel_replace", account="alpha", params=small)) == (-1013, "Filter failure: NOTIONAL")
    poor = fresh | {"cancelOrderId": str(number), "quantity": "100"}
    half = desk.do("cancel_replace", account="alpha", params=poor)
    assert (half.status, half.data["cancelResult"], half.data["newOrderResult"]) == (409, "SUCCESS", "FAILURE")
    assert [event.body["x"] for event in desk.events if event.kind == "executionReport"] == ["CANCELED"]


@pytest.mark.parametrize(
    ("side", "kind", "stop", "at", "limit"),
    [
        ("SELL", "STOP_LOSS", "59000", "58900", None),
        ("SELL", "STOP_LOSS_LIMIT", "59000", "58900", "58000"),
        ("BUY", "STOP_LOSS", "61000", "61100", None),
        ("BUY", "STOP_LOSS_LIMIT", "61000", "61100", "62000"),
        ("SELL", "TAKE_PROFIT", "61000", "61100", None),
        ("SELL", "TAKE_PROFIT_LIMIT", "61000", "61100", "58000"),
        ("BUY", "TAKE_PROFIT", "59000", "58900", None),
        ("BUY", "TAKE_PROFIT_LIMIT", "59000", "58900", "62000"),
    ],
)
def test_stops(side: str, kind: str, stop: str, at: str, limit: str | None) -> None:
    desk = Desk()
    order = desk.place(side, kind, stopPrice=stop, **({"price": limit} if limit else {}))
    assert (order["status"], order["workingTime"], order["stopPrice"]) == ("NEW", -1, f"{stop}.00000000")
    assert desk.reports("x", "w") == [("NEW", False)]
    desk.do("print", symbol="BTCUSDT", price=f"{(60_000 + float(stop)) / 2:.2f}", quantity="0.001")
    assert desk.told("executionReport") == []
    desk.do("print", symbol="BTCUSDT", price=at, quantity="0.001")
    assert [report[0] for report in desk.reports("x", "w")] == ["NEW", "TRADE"]
    held = desk.ex.account_orders["alpha", "BTCUSDT"][order["orderId"]]
    assert held.status == "FILLED" and held.lock == 0
    wrong = {"STOP_LOSS": "59000" if side == "BUY" else "99999", "TAKE_PROFIT": "59000" if side == "SELL" else "99999"}
    refused = desk.place(
        side, kind, stopPrice=wrong[kind.removesuffix("_LIMIT")], **({"price": limit} if limit else {})
    )
    assert refusal(refused) == (-2010, "Order would trigger immediately.")


def test_a_stop_can_be_canceled_before_it_works() -> None:
    desk = Desk()
    order = desk.place("SELL", "STOP_LOSS", stopPrice="59000")
    assert desk.held("BTC") == (9.5, 0.5)
    assert desk.cancel(order)["status"] == "CANCELED"
    assert desk.held("BTC") == (10, 0) and not desk.ex.symbols["BTCUSDT"].stops


def test_fees_in_bnb_and_without_enough_of_it() -> None:
    desk = Desk()
    desk.do("set_account", account="alpha", fees_in="BNB")
    desk.do("print", symbol="BNBUSDT", price="600", quantity="0.1")
    order = desk.place("BUY", "LIMIT", price="60010", quantity="1")
    assert [(fill["commission"], fill["commissionAsset"]) for fill in order["fills"]] == [("0.07501250", "BNB")]
    desk.do("transfer", account="alpha", asset="BNB", amount="-99.9")
    order = desk.place("BUY", "LIMIT", price="60020", quantity="1")
    assert order["fills"][0]["commissionAsset"] == "BTC"


@pytest.mark.parametrize(("fees_in", "taker", "maker"), [
    ("received", ("0.00100000", "BTC"), ("30.00500000", "USDT")),
    ("quote", ("60.01000000", "USDT"), ("30.00500000", "USDT")),
    ("base", ("0.00100000", "BTC"), ("0.00050000", "BTC")),
])  # fmt: skip
def test_fees_of_makers_and_takers(fees_in: str, taker: tuple[str, str], maker: tuple[str, str]) -> None:
    desk = Desk()
    desk.do("set_account", account="alpha", maker="0.0005", taker="0.002", fees_in=fees_in)
    desk.do("set_account", account="beta", maker="0.0005", taker="0.001", fees_in=fees_in)
    desk.place("SELL", "LIMIT", account="beta", price="60010", quantity="1")
    order = desk.place("BUY", "LIMIT", price="60010", quantity="0.5")  # the house's order came before
    assert [(fill["commission"], fill["commissionAsset"]) for fill in order["fills"]] == [taker]
    desk.do("quote", symbol="BTCUSDT", bids=[], asks=[])
    desk.place("BUY", "LIMIT", price="60010", quantity="1")
    assert desk.reports("n", "N", "m", account="beta") == [(*maker, True)]


def test_an_order_fills_at_its_own_time_and_price() -> None:
    desk = Desk()
    early = desk.place("SELL", "LIMIT", price="60005", quantity="0.1")
    desk.place("SELL", "LIMIT", account="beta", price="60004", quantity="0.1")
    desk.do("take", symbol="BTCUSDT", side="BUY", quantity="0.15")
    assert [(body["L"], body["l"]) for body in desk.told("executionReport", "beta")] == [
        ("60004.00000000", "0.10000000")
    ]
    assert [(body["L"], body["l"]) for body in desk.told("executionReport")] == [("60005.00000000", "0.05000000")]
    assert desk.ex.account_orders["alpha", "BTCUSDT"][early["orderId"]].status == "PARTIALLY_FILLED"
    depth = desk.told("depth", None)[0]
    assert depth["a"] == [["60004.00000000", "0.00000000"], ["60005.00000000", "0.05000000"]]
    assert depth["U"] == depth["u"] - 1
