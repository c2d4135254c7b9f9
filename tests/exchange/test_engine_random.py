"""A hundred thousand random commands: after each, what is held, traded and paid still adds up."""

import random
from typing import Any

from ordergate.exchange.amounts import shown, times
from ordergate.exchange.commands import run
from ordergate.exchange.config import DEFAULT, of_tree, open_exchange
from ordergate.exchange.errors import ApiError
from ordergate.exchange.state import OPEN, Exchange, Order

COMMANDS = 100_000
ACCOUNTS = ("alpha", "beta")
SYMBOLS = {"BTCUSDT": (60_000, 5), "ETHUSDT": (3_000, 4), "BNBUSDT": (600, 3)}
TYPES = ("LIMIT",) * 8 + (
    "MARKET", "MARKET", "QUOTE", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT",
)  # fmt: skip


def tree() -> dict[str, Any]:
    """The demo accounts with little money, one of them paying fees in BNB, and few open orders allowed."""
    accounts = [
        {
            "name": name,
            "keys": [{"apiKey": name, "secret": "x"}],
            "balances": {"USDT": "200000", "BTC": "2", "ETH": "30", "BNB": "20"},
            "feesIn": fees,
        }
        for name, fees in zip(ACCOUNTS, ("received", "BNB"), strict=True)
    ]
    return {"accounts": accounts}


class Checks:
    """What has to hold, looked at for what a command can have touched, and for everything now and then."""

    def __init__(self, ex: Exchange) -> None:
        self.ex = ex
        self.last_trade = dict.fromkeys(ex.symbols, 0)
        self.filled = 0
        self.states: set[str] = set()

    def order(self, order: Order) -> None:
        assert order.executed == sum(fill.quantity for fill in order.fills)
        assert order.quote == sum(fill.quote for fill in order.fills)
        assert order.quote == sum(times(fill.price, fill.quantity) for fill in order.fills)
        assert order.left >= 0 and order.lock >= 0
        is_open = order.order_id in self.ex.open.get((order.account, order.symbol), ())
        assert is_open == (order.status in OPEN)
        if not is_open:
            assert order.lock == 0
        if order.status == "FILLED":
            assert order.executed == order.quantity
        self.states.add(order.status)

    def command(self, events: list[Any]) -> None:
        ex = self.ex
        for event in events:
            body = event.body
            if event.kind == "trade":
                assert body["t"] == self.last_trade[event.symbol] + 1
                self.last_trade[event.symbol] = body["t"]
            elif event.kind == "executionReport":
                order = ex.account_orders[event.account, event.symbol][body["i"]]
                if body["x"] == "TRADE":
                    self.filled += 1
                    fill = next(one for one in order.fills if one.trade_id == body["t"] and one.maker == body["m"])
                    assert (body["l"], body["L"]) == (shown(fill.quantity), shown(fill.price))
                self.order(order)
        self.balances()

    def balances(self) -> None:
        ex = self.ex
        sums = dict(ex.fees)
        for account in ex.accounts.values():
            for part in (account.free, account.locked):
                for asset, amount in part.items():
                    assert amount >= 0, (account.name, asset, amount)
                    sums[asset] = sums.get(asset, 0) + amount
        assert {asset: amount for asset, amount in sums.items() if amount} == ex.supply

    def everything(self) -> None:
        ex = self.ex
        locks: dict[tuple[str, str], int] = {}
        for (account, name), orders in ex.open.items():
            symbol = ex.symbols[name]
            for order in orders.values():
                asset = symbol.quote if order.buys else symbol.base
                locks[account, asset] = locks.get((account, asset), 0) + order.lock
                if order.working:
                    assert symbol.book.resting(order)
        for account in ex.accounts.values():
            for asset, amount in account.locked.items():
                assert locks.get((account.name, asset), 0) == amount
        for symbol in ex.symbols.values():
            for side in (symbol.book.bids, symbol.book.asks):
                assert side.prices == sorted(side.levels)
                for price, level in side.levels.items():
                    assert side.totals[price] == sum(order.left for order in level.values()) > 0
            bid, _, ask, _ = symbol.book.top()
            assert not bid or not ask or bid < ask
        for orders in ex.account_orders.values():
            for order in orders.values():
                self.order(order)


def random_command(ex: Exchange, dice: random.Random) -> tuple[str, dict[str, Any]]:
    name = dice.choice(list(SYMBOLS))
    price, decimals = SYMBOLS[name]
    account = dice.choice(ACCOUNTS)
    mine = list(ex.open.get((account, name), ()))
    what = dice.random()
    if what < 0.30 and mine:
        return "cancel", {"account": account, "params": {"symbol": name, "orderId": str(dice.choice(mine))}}
    if what < 0.36 and mine:
        order = ex.open[account, name][dice.choice(mine)]
        params = {"symbol": name, "orderId": str(order.order_id), "newQty": shown(order.quantity // 2 // 10**5 * 10**5)}
        return "amend", {"account": account, "params": params}
    if what < 0.40:
        fresh = placed(dice, name, price, decimals)
        mine = mine or [1]
        params = fresh | {"cancelReplaceMode": dice.choice(("STOP_ON_FAILURE", "ALLOW_FAILURE"))}
        return "cancel_replace", {"account": account, "params": params | {"cancelOrderId": str(dice.choice(mine))}}
    if what < 0.41:
        return "cancel_all", {"account": account, "params": {"symbol": name}}
    if what < 0.42 and mine:
        return "fill", {"account": account, "params": {"symbol": name, "orderId": str(dice.choice(mine))}}
    if what < 0.43:
        amount = f"{dice.choice(('', '-'))}{dice.randint(1, 50)}"
        return "transfer", {"account": account, "asset": dice.choice(("USDT", "BNB")), "amount": amount}
    if what < 0.44:
        at = f"{price * (1 + dice.uniform(-0.01, 0.01)):.2f}"
        return "move", {"symbol": name, "price": at}
    if what < 0.445 and mine:
        return "exchange_cancel", {"account": account, "params": {"symbol": name, "orderId": str(dice.choice(mine))}}
    return "place", {"account": account, "params": placed(dice, name, price, decimals)}


def placed(dice: random.Random, name: str, price: int, decimals: int) -> dict[str, str]:
    kind = dice.choice(TYPES)
    side = dice.choice(("BUY", "SELL"))
    stp = dice.choice(("NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH"))
    params = {"symbol": name, "side": side, "type": kind, "selfTradePreventionMode": stp}
    quantity = f"{dice.uniform(20, 3000) / price:.{decimals}f}"
    at = f"{price * (1 + dice.gauss(0, 0.004)):.2f}"
    if kind == "QUOTE":
        return params | {"type": "MARKET", "quoteOrderQty": f"{dice.uniform(10, 2000):.2f}"}
    params["quantity"] = quantity
    if kind in {"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"}:
        params["timeInForce"] = dice.choice(("GTC", "GTC", "GTC", "IOC", "FOK"))
    if "LIMIT" in kind:
        params["price"] = at
    if kind.startswith(("STOP", "TAKE")):
        params["stopPrice"] = f"{price * (1 + dice.gauss(0, 0.004)):.2f}"
    return params


def test_a_hundred_thousand_random_commands_keep_every_sum() -> None:
    ex = open_exchange(of_tree(tree()))
    checks, dice = Checks(ex), random.Random(20_260)
    refused: set[int] = set()
    for step in range(COMMANDS):
        name, arguments = random_command(ex, dice)
        result, events = run(ex, name, arguments, 1_700_000_000_000 + step)
        if isinstance(result, ApiError):
            refused.add(result.code)
            assert events == [] or result.code == -2021
        checks.command(events)
        if step % 5_000 == 0:
            checks.everything()
    checks.everything()
    assert checks.filled > 20_000
    assert checks.states >= {"NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH"}
    assert refused >= {-1013, -2010, -2011, -2021, -2022}
    assert ex.fees["BNB"] > 0


def test_the_same_commands_make_the_same_exchange() -> None:
    config = of_tree(tree())
    first, second = open_exchange(config), open_exchange(config)
    dice = random.Random(7)
    for step in range(3_000):
        name, arguments = random_command(first, dice)
        assert run(first, name, arguments, step) == run(second, name, arguments, step)
    assert held(first) == held(second)


def held(ex: Exchange) -> Any:
    return [(one.name, one.free, one.locked) for one in ex.accounts.values()], ex.fees, ex.supply, ex.account_orders


def test_the_demo_settings_are_valid() -> None:
    assert of_tree({}) == DEFAULT
