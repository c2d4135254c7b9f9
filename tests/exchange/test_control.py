"""What the exchange does by itself or to a client: limits, clock, keys, symbols, balances, orders from outside."""

import time

import pytest

from ordergate.exchange import limits
from ordergate.exchange.config import Limits
from tests.exchange.running import ALPHA, BETA, Running


def balance(exchange: Running, asset: str) -> tuple[str, str]:
    rows = exchange.signed("GET", "/api/v3/account").body["balances"]
    return next((row["free"], row["locked"]) for row in rows if row["asset"] == asset)


def test_request_weight_and_a_ban() -> None:
    with Running() as exchange:
        answer = exchange.ask("GET", "/api/v3/exchangeInfo")
        assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "20"
        assert exchange.place("w1").headers["X-MBX-ORDER-COUNT-10S"] == "1"
        assert (
            exchange.ask("GET", "/api/v3/ping").headers["X-MBX-USED-WEIGHT-1M"] == "21"
        )  # orders that succeed are free
        assert exchange.place("w1").code == -2010
        assert exchange.place("w2").headers["X-MBX-ORDER-COUNT-10S"] in {"1", "2"}  # a refused one does not count
        assert exchange.ask("GET", "/api/v3/ping").headers["X-MBX-USED-WEIGHT-1M"] == "23"
        exchange.tell("/limits", {"usedWeight": 6_000})
        refused = exchange.ask("GET", "/api/v3/ping")
        assert (refused.status, refused.code) == (429, -1003) and 1 <= int(refused.headers["Retry-After"]) <= 60
        for _ in range(12):
            refused = exchange.ask("GET", "/api/v3/ping")
        assert (refused.status, refused.code) == (418, -1003) and int(refused.headers["Retry-After"]) > 60
        assert "banned until" in refused.body["msg"]
        exchange.tell("/limits", {"banSeconds": 0, "usedWeight": 0})
        assert exchange.ask("GET", "/api/v3/ping").status == 200
        exchange.rule("pre_auth", "ban", seconds=7)
        refused = exchange.ask("GET", "/api/v3/ping")
        assert (refused.status, refused.headers["Retry-After"]) == (418, "7")


def test_unfilled_orders_are_counted_and_fills_give_back() -> None:
    counters, now = limits.Counters(Limits(orders_ten_seconds=3)), 1_700_000_000_000
    assert [limits.admit_order(counters, "alpha", now) for _ in range(3)] == [None] * 3
    refused = limits.admit_order(counters, "alpha", now)
    assert refused is not None and (refused.status, refused.code) == (429, -1015)
    assert limits.admit_order(counters, "beta", now) is None
    limits.filled(counters, "alpha", False, now)
    assert limits.admit_order(counters, "alpha", now) is None
    limits.filled(counters, "alpha", True, now)
    assert [window.at(now) for window in counters.of_account("alpha")] == [0, 0]
    assert [window.at(now + 10_000) for window in counters.of_account("beta")] == [0, 1]


def test_the_clock(exchange: Running) -> None:
    exchange.tell("/clock", {"offsetMs": 10_000})
    assert exchange.place("k1").code == -1021
    server = exchange.ask("GET", "/api/v3/time").body["serverTime"]
    assert 9_000 < server - exchange.now() < 11_000
    assert exchange.place("k1", timestamp=server).status == 200
    assert exchange.place("k2", timestamp=server + 5_000).body["msg"].endswith("1000ms ahead of the server's time.")
    assert exchange.place("k2", timestamp=server * 1000).status == 200  # microseconds
    assert exchange.place("k3", timestamp=server - 300, recvWindow="60000.001").code == -1131
    frozen = exchange.tell("/clock", {"freeze": True})["now"]
    assert exchange.tell("/clock", {"advanceMs": 1_500})["now"] == frozen + 1_500
    micro = exchange.ask("GET", "/api/v3/time", headers={"X-MBX-TIME-UNIT": "MICROSECOND"}).body["serverTime"]
    assert micro == (frozen + 1_500) * 1000
    exchange.tell("/clock", {"freeze": False, "offsetMs": 0, "driftPpm": 500_000})
    first = exchange.see("/state")["now"] - exchange.now()
    time.sleep(0.2)
    assert exchange.see("/state")["now"] - exchange.now() > first


def test_keys(exchange: Running) -> None:
    path = "/sapi/v1/account/apiRestrictions"
    found = exchange.signed("GET", path).body
    assert (found["enableWithdrawals"], found["ipRestrict"], found["enableSpotAndMarginTrading"]) == (
        False,
        False,
        True,
    )
    exchange.tell("/key", {"apiKey": ALPHA[0], "enableWithdrawals": True, "permissions": ["USER_DATA"]})
    found = exchange.signed("GET", path).body
    assert (found["enableWithdrawals"], found["enableSpotAndMarginTrading"]) == (True, False)
    assert (exchange.place("y1").status, exchange.place("y1").code) == (401, -2015)
    exchange.tell("/key", {"apiKey": ALPHA[0], "ips": ["10.0.0.1"], "permissions": ["TRADE", "USER_DATA"]})
    assert exchange.place("y1").code == -2015
    exchange.tell("/key", {"apiKey": ALPHA[0], "ips": [], "revoked": True})
    assert exchange.place("y1").code == -2015
    exchange.tell("/key", {"apiKey": ALPHA[0], "revoked": False, "enableWithdrawals": False})
    assert exchange.place("y1").status == 200
    assert exchange.signed("GET", "/api/v3/account", ("", ALPHA[1])).code == -2014
    assert (
        exchange.ask("GET", f"/api/v3/account?timestamp={exchange.now()}", headers={"X-MBX-APIKEY": ALPHA[0]}).code
        == -1102
    )


@pytest.mark.parametrize(("status", "new", "gone"), [("HALT", -2010, -2011), ("CANCEL_ONLY", -2010, None)])
def test_a_symbol_that_does_not_trade(exchange: Running, status: str, new: int, gone: int | None) -> None:
    exchange.place(f"x-{status}")
    exchange.tell("/symbol", {"symbol": "BTCUSDT", "status": status})
    refused = exchange.place(f"z-{status}")
    assert (refused.code, refused.body["msg"]) == (new, "Market is closed.")
    cancel = exchange.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId=f"x-{status}")
    assert cancel.code == gone
    info = exchange.ask("GET", "/api/v3/exchangeInfo?symbol=BTCUSDT").body["symbols"]
    assert [one["status"] for one in info] == [status]
    exchange.tell("/symbol", {"symbol": "BTCUSDT", "status": "TRADING"})


def test_a_filter_that_changes(exchange: Running) -> None:
    exchange.tell("/symbol", {"symbol": "BTCUSDT", "filters": {"PRICE_FILTER": {"tickSize": "0.1"}}})
    assert exchange.place("f1", price="50000.01").body["msg"] == "Filter failure: PRICE_FILTER"
    assert exchange.place("f1", price="50000.1").status == 200
    exchange.tell("/symbol", {"symbol": "BTCUSDT", "filters": {"PRICE_FILTER": {"tickSize": "0.01"}}})
    assert exchange.place("f2", price="50000.01").status == 200
    exchange.tell("/symbol", {"symbol": "BTCUSDT", "filters": {"MAX_NUM_ORDERS": {"maxNumOrders": 1}}})
    assert exchange.place("f3").body["msg"] == "Filter failure: MAX_NUM_ORDERS"
    exchange.tell("/symbol", {"symbol": "BTCUSDT", "filters": {"MAX_NUM_ORDERS": None}})
    assert exchange.place("f3").status == 200


def test_delisting_ends_what_is_open() -> None:
    with Running() as exchange:
        exchange.place("g1", symbol="BNBUSDT", quantity="1", price="500")
        exchange.tell("/delist", {"symbol": "BNBUSDT"})
        found = exchange.order("g1", "BNBUSDT").body
        assert (found["status"], found["expiryReason"]) == ("EXPIRED", "EXCHANGE_CANCELED")
        assert exchange.place("g2", symbol="BNBUSDT", quantity="1", price="500").code == -2010
        assert balance(exchange, "USDT")[1] == "0.00000000"


def test_the_exchange_cancels_and_somebody_trades_by_hand(exchange: Running) -> None:
    exchange.place("o1")
    exchange.tell("/expire", {"account": "alpha", "symbol": "BTCUSDT", "origClientOrderId": "o1"})
    assert exchange.order("o1").body["expiryReason"] == "EXCHANGE_CANCELED"
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.02"}
    number = exchange.tell("/order", {"account": "alpha", **order, "price": "70000"})["result"]["orderId"]
    opened = exchange.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT").body
    assert [one["price"] for one in opened if one["orderId"] == number] == ["70000.00000000"]
    exchange.tell("/fill", {"account": "alpha", "symbol": "BTCUSDT", "orderId": number, "quantity": "0.005"})
    trades = exchange.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT", orderId=number).body
    assert [(one["qty"], one["commission"], one["commissionAsset"]) for one in trades] == [
        ("0.00500000", "0.35000000", "USDT")
    ]
    exchange.tell("/cancel", {"account": "alpha", "symbol": "BTCUSDT", "orderId": number})


def test_deposits_withdrawals_locks_and_a_suspended_account(exchange: Running) -> None:
    free, locked = balance(exchange, "ETH")
    exchange.tell("/deposit", {"account": "alpha", "asset": "ETH", "amount": "1.5"})
    exchange.tell("/withdraw", {"account": "alpha", "asset": "ETH", "amount": "0.5"})
    exchange.tell("/lock", {"account": "alpha", "asset": "ETH", "amount": "1"})
    assert balance(exchange, "ETH") == (free, "1.00000000") and locked == "0.00000000"
    exchange.tell("/account", {"account": "alpha", "canTrade": False})
    refused = exchange.place("u1")
    assert (refused.code, refused.body["msg"]) == (-2010, "This account may not place or cancel orders.")
    assert exchange.signed("GET", "/api/v3/account").body["canTrade"] is False
    exchange.tell("/account", {"account": "alpha", "canTrade": True})
    assert exchange.place("u1", BETA).status == 200


def test_prices_move_and_take_what_is_in_the_way(exchange: Running) -> None:
    exchange.place("v1", symbol="ETHUSDT", quantity="0.1", price="2990")
    exchange.tell("/price", {"symbol": "ETHUSDT", "price": "2900"})
    assert exchange.order("v1", "ETHUSDT").body["status"] == "FILLED"
    before = exchange.ask("GET", "/api/v3/ticker/price?symbol=ETHUSDT").body["price"]

    def prices() -> list[str]:
        return [price for price, _ in exchange.ask("GET", "/api/v3/depth?symbol=ETHUSDT").body["bids"]]

    quoted = prices()
    assert len(quoted) == 10
    for _ in range(10):
        exchange.tell("/step", {"seed": 5})
    assert prices() != quoted
    assert exchange.ask("GET", "/api/v3/ticker/price?symbol=ETHUSDT").body["price"] != before
    top = exchange.ask("GET", "/api/v3/ticker/bookTicker?symbol=ETHUSDT").body
    assert 0 < float(top["bidPrice"]) < float(top["askPrice"])


def test_what_is_asked_wrongly(exchange: Running) -> None:
    assert exchange.place("i1", symbol="NOSUCH").code == -1121
    assert exchange.place("i1", price="abc").code == -1100
    assert exchange.place("i1", price="50000.000000001").code == -1111
    assert exchange.place("i1", colour="red").code == -1104
    assert exchange.place("i1", quantity=None).code == -1102
    assert exchange.place("i1", timeInForce="GTD").code == -1115
    assert exchange.place("i1", icebergQty="0.001").body["msg"] == "Iceberg orders are not supported for this symbol."
    assert exchange.place("i1", stopPrice="1").code == -1106
    assert exchange.place("i1", type="ICEBERG").code == -1116
    assert exchange.place("i1", side="HOLD").code == -1117
    assert exchange.place("white space").code == -1100
    assert exchange.ask("GET", "/api/v3/klines?symbol=BTCUSDT&interval=2s").code == -1120
    assert exchange.ask("GET", "/api/v3/depth?symbol=BTCUSDT&symbol=ETHUSDT").code == -1101
    assert exchange.ask("POST", "/api/v3/userDataStream").status == 410
    assert exchange.ask("GET", "/api/v1/ping").status == 404
    window = {"symbol": "BTCUSDT", "startTime": 0, "endTime": 86_400_001}
    assert exchange.signed("GET", "/api/v3/myTrades", **window).code == -1127
