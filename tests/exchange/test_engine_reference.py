"""The book against one written as plainly as can be: the same trades from the same random flow."""

import random
from dataclasses import dataclass

from ordergate.exchange.amounts import scaled, shown
from ordergate.exchange.commands import run
from ordergate.exchange.config import of_tree, open_exchange
from ordergate.exchange.errors import ApiError

COMMANDS = 8_000
TICKS = [f"{59_990 + tick / 2:.2f}" for tick in range(41)]


@dataclass
class Resting:
    number: int
    buys: bool
    price: int
    left: int


class Plain:
    """A list that is sorted anew for every order. Trades are (maker, taker, price, quantity)."""

    def __init__(self) -> None:
        self.resting: list[Resting] = []
        self.trades: list[tuple[int, int, int, int]] = []

    def place(self, number: int, buys: bool, price: int, quantity: int, rests: bool, whole: bool) -> None:
        others = [one for one in self.resting if one.buys != buys]
        others.sort(key=lambda one: (one.price if buys else -one.price, one.number))
        willing = [one for one in others if price == 0 or (one.price <= price if buys else one.price >= price)]
        if whole and sum(one.left for one in willing) < quantity:
            return
        for one in willing:
            traded = min(quantity, one.left)
            if traded == 0:
                break
            self.trades.append((one.number, number, one.price, traded))
            one.left -= traded
            quantity -= traded
        self.resting = [one for one in self.resting if one.left]
        if quantity and rests:
            self.resting.append(Resting(number, buys, price, quantity))

    def cancel(self, number: int) -> bool:
        before = len(self.resting)
        self.resting = [one for one in self.resting if one.number != number]
        return len(self.resting) < before

    def amend(self, number: int, executed: int, quantity: int) -> None:
        for one in self.resting:
            if one.number == number:
                one.left = quantity - executed


def whole(text: str) -> int:
    found = scaled(text)
    assert found is not None
    return found


def test_the_same_trades_as_a_plain_book() -> None:
    accounts = [
        {"name": name, "keys": [], "balances": {"USDT": "1000000000", "BTC": "100000"}} for name in ("left", "right")
    ]
    ex, plain, dice = open_exchange(of_tree({"accounts": accounts})), Plain(), random.Random(3)
    mine = ex.account_orders
    for step in range(COMMANDS):
        account = dice.choice(("left", "right"))
        working = list(ex.open.get((account, "BTCUSDT"), {}).values())
        what = dice.random()
        if what < 0.25 and working:
            order = dice.choice(working)
            named = {"symbol": "BTCUSDT", "orderId": str(order.order_id)}
            run(ex, "cancel", {"account": account, "params": named}, step)
            assert plain.cancel(order.order_id)
        elif what < 0.32 and working:
            order = dice.choice(working)
            fresh = order.executed + (order.quantity - order.executed) // 2 // 1000 * 1000
            params = {"symbol": "BTCUSDT", "orderId": str(order.order_id), "newQty": shown(fresh)}
            result, _ = run(ex, "amend", {"account": account, "params": params}, step)
            if not isinstance(result, ApiError):
                plain.amend(order.order_id, order.executed, fresh)
        else:
            params = {
                "symbol": "BTCUSDT",
                "side": dice.choice(("BUY", "SELL")),
                "type": dice.choice(("LIMIT", "LIMIT", "LIMIT", "MARKET")),
                "quantity": f"{dice.randint(1, 400) / 1000:.3f}",
                "selfTradePreventionMode": "NONE",
            }
            if params["type"] == "LIMIT":
                params |= {"price": dice.choice(TICKS), "timeInForce": dice.choice(("GTC", "GTC", "IOC", "FOK"))}
            result, _ = run(ex, "place", {"account": account, "params": params}, step)
            if isinstance(result, dict):
                tif = params.get("timeInForce", "IOC")
                price, quantity = whole(params.get("price", "0")), whole(params["quantity"])
                plain.place(result["orderId"], params["side"] == "BUY", price, quantity, tif == "GTC", tif == "FOK")
    traded = [
        (fill.trade_id, fill.order_id, fill.price, fill.quantity, fill.maker)
        for orders in mine.values()
        for order in orders.values()
        for fill in order.fills
    ]
    traded.sort(key=lambda row: (row[0], not row[4]))
    pairs = [(a[1], b[1], a[2], a[3]) for a, b in zip(traded[::2], traded[1::2], strict=True)]
    assert len(pairs) > 2_000
    assert pairs == plain.trades
    assert {(one.number, one.left) for one in plain.resting} == {
        (order.order_id, order.left) for orders in ex.open.values() for order in orders.values()
    }
