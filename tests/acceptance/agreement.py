"""Holds the core (over the API), Postgres and the portfolio against each other, to the last digit.

Sums are made anew from the single fills in exact decimals, so that nothing is believed because two places copied it.
"""

import time
from collections import defaultdict
from collections.abc import Set
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from tests.acceptance.market import OPENING
from tests.acceptance.system import System, exported, request, rows, settle

TERMINAL = {"FILLED", "CANCELED", "REJECTED", "EXPIRED"}
EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
ZERO = Decimal(0)
SATOSHI = Decimal("1e-8")


@dataclass(frozen=True)
class Summary:
    """What was compared."""

    orders: int
    fills: int
    statuses: dict[str, int]


def all_orders(system: System, token: str) -> list[dict[str, Any]]:
    """Every order of the account, page by page."""
    orders: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = request(system, "GET", f"/api/v1/orders?limit=100{cursor}", token=token)
        assert page.status == 200, page
        orders += page.json()["orders"]
        following = page.json()["nextCursor"]
        if following is None:
            break
        cursor = f"&cursor={following}"
    assert len({order["id"] for order in orders}) == len(orders), "a page repeats an order"
    return orders


def end_all(system: System, tokens: list[str], timeout_s: float = 60) -> None:
    """Cancels what still works, and returns when every order has ended."""
    deadline = time.monotonic() + timeout_s
    asked: set[str] = set()
    while True:
        working = [
            (token, one) for token in tokens for one in all_orders(system, token) if one["status"] not in TERMINAL
        ]
        if not working:
            return
        assert time.monotonic() < deadline, f"still open: {[one for _, one in working][:5]}"
        for token, order in working:
            if order["id"] not in asked:
                answer = request(system, "DELETE", f"/api/v1/orders/{order['id']}", token=token)
                assert answer.status in {200, 202, 409, 503}, answer
                if answer.status != 503:
                    asked.add(order["id"])
        time.sleep(0.2)


def check(system: System, tokens: list[str]) -> Summary:
    """Ends every order of these accounts and compares; AssertionError names the first figure that differs."""
    end_all(system, tokens)
    settle(system)
    environment = exported(system)
    statuses: dict[str, int] = defaultdict(int)
    seen_orders = seen_fills = 0
    for token in tokens:
        portfolio = request(system, "GET", "/api/v1/portfolio", token=token).json()
        account = portfolio["account"]
        orders = {order["id"]: order for order in all_orders(system, token)}
        fills = fills_of(system, account, environment)
        stored = order_rows(system, account, environment)
        orders |= departed(system, token, stored.keys() - orders.keys())
        check_orders(orders, stored, fills)
        check_balances(account, portfolio, balance_rows(system, account, environment), fills)
        check_positions(portfolio, position_rows(system, account, environment), fills)
        seen_orders += len(orders)
        seen_fills += len(fills)
        for order in orders.values():
            statuses[order["status"]] += 1
    [[alarms]] = rows(system, "SELECT count(*) FROM execution.alarms", environment)
    assert alarms == "0", rows(system, "SELECT kind, code, detail FROM execution.alarms LIMIT 5", environment)
    return Summary(seen_orders, seen_fills, dict(sorted(statuses.items())))


def departed(system: System, token: str, identities: Set[str]) -> dict[str, dict[str, Any]]:
    """Orders that have left memory, and so the pages: each is still shown when it is asked for."""
    shown = {one: request(system, "GET", f"/api/v1/orders/{one}", token=token) for one in identities}
    found = {one: answer.json() for one, answer in shown.items() if answer.status == 200}
    assert all(order["status"] in TERMINAL for order in found.values()), "an open order is on no page"
    return found


Fill = dict[str, str]


def fills_of(system: System, account: str, environment: dict[str, str]) -> list[Fill]:
    """The account's fills, as Postgres has them."""
    names = [
        "order_id",
        "exchange_fill_id",
        "side",
        "symbol",
        "price",
        "quantity",
        "quote_quantity",
        "fee",
        "fee_asset",
    ]
    found = rows(
        system,
        f"SELECT {', '.join(names)} FROM execution.fills WHERE account_id = '{account}' ORDER BY seq",
        environment,
    )
    fills = [dict(zip(names, row, strict=True)) for row in found]
    identities = [(fill["symbol"], fill["exchange_fill_id"]) for fill in fills]
    assert len(set(identities)) == len(identities), "a fill twice"
    return fills


def order_rows(system: System, account: str, environment: dict[str, str]) -> dict[str, list[str]]:
    """id -> status, quantity, filled quantity, filled quote, average price."""
    found = rows(
        system,
        "SELECT id, status, quantity, filled_quantity, filled_quote, avg_fill_price FROM execution.orders"
        f" WHERE account_id = '{account}'",
        environment,
    )
    return {row[0]: row[1:] for row in found}


def balance_rows(system: System, account: str, environment: dict[str, str]) -> dict[str, Decimal]:
    """asset -> total."""
    sql = f"SELECT asset, total FROM portfolio.balances WHERE account_id = '{account}' AND mode = 'PAPER'"
    return {asset: Decimal(total) for asset, total in rows(system, sql, environment)}


def position_rows(system: System, account: str, environment: dict[str, str]) -> dict[str, list[Decimal]]:
    """symbol -> bought quantity, bought quote, sold quantity, sold quote, quantity, number of fills."""
    sql = (
        "SELECT symbol, bought_quantity, bought_quote, sold_quantity, sold_quote, quantity, fills"
        f" FROM portfolio.positions WHERE account_id = '{account}' AND mode = 'PAPER'"
    )
    return {row[0]: [Decimal(figure) for figure in row[1:]] for row in rows(system, sql, environment)}


def check_orders(orders: dict[str, dict[str, Any]], stored: dict[str, list[str]], fills: list[Fill]) -> None:
    """Each order: the core's figures, Postgres's row, and the sums of its fills."""
    assert orders.keys() == stored.keys(), f"only on one side: {sorted(orders.keys() ^ stored.keys())[:5]}"
    of_order: dict[str, list[Fill]] = defaultdict(list)
    for fill in fills:
        of_order[fill["order_id"]].append(fill)
    assert of_order.keys() <= orders.keys(), "a fill of an unknown order"
    for identity, order in orders.items():
        status, quantity, filled, filled_quote, average = stored[identity]
        assert status == order["status"], f"{identity}: {order['status']} in the core, {status} in Postgres"
        summed = total(Decimal(fill["quantity"]) for fill in of_order[identity])
        quote = total(Decimal(fill["quote_quantity"]) for fill in of_order[identity])
        spent = total(EXACT.multiply(Decimal(fill["price"]), Decimal(fill["quantity"])) for fill in of_order[identity])
        assert summed == Decimal(filled) == Decimal(order["filledQuantity"]), (
            f"{identity}: filled {summed} {filled} {order}"
        )
        assert quote == Decimal(filled_quote), f"{identity}: quote {quote}, row {filled_quote}"
        assert summed <= Decimal(quantity), f"{identity}: overfilled"
        assert (status == "FILLED") == (summed == Decimal(quantity)), (
            f"{identity}: {status} with {summed} of {quantity}"
        )
        if summed:
            expected = EXACT.divide(spent, summed).quantize(SATOSHI, ROUND_HALF_EVEN, EXACT)
            assert expected == Decimal(average) == Decimal(order["avgFillPrice"]), (
                f"{identity}: {expected} {average} {order}"
            )
        else:
            assert average == "" and order["avgFillPrice"] is None, f"{identity}: average without a fill"


def check_balances(
    account: str, portfolio: dict[str, Any], stored: dict[str, Decimal], fills: list[Fill], mode: str = "PAPER"
) -> None:
    """Totals in the core and in Postgres are the opening balance plus every fill; nothing is held at the end."""
    expected: dict[str, Decimal] = {asset: Decimal(amount) for asset, amount in OPENING.items()}
    for fill in fills:
        base, quote = fill["symbol"].removesuffix("USDT"), "USDT"
        sign = 1 if fill["side"] == "BUY" else -1
        expected[base] = EXACT.add(expected.get(base, ZERO), sign * Decimal(fill["quantity"]))
        expected[quote] = EXACT.subtract(expected[quote], sign * Decimal(fill["quote_quantity"]))
        expected[fill["fee_asset"]] = EXACT.subtract(expected[fill["fee_asset"]], Decimal(fill["fee"]))
    core = {one["asset"]: Decimal(one["total"]) for one in portfolio["balances"] if one["mode"] == mode}
    assert core == expected, f"{account}: {core} in the core, {expected} from the fills"
    assert stored == expected, f"{account}: {stored} in the portfolio, {expected} from the fills"
    for balance in portfolio["balances"]:
        assert Decimal(balance["held"]) == ZERO, f"{account}: held with no order open: {balance}"
        assert Decimal(balance["free"]) == Decimal(balance["total"]), f"{account}: {balance}"


def check_positions(portfolio: dict[str, Any], stored: dict[str, list[Decimal]], fills: list[Fill]) -> None:
    """Sums bought and sold per symbol: in the core, in Postgres, and made anew from the fills."""
    expected: dict[str, list[Decimal]] = {}
    for fill in fills:
        sums = expected.setdefault(fill["symbol"], [ZERO] * 6)
        at = 0 if fill["side"] == "BUY" else 2
        quantity = Decimal(fill["quantity"])
        fee = Decimal(fill["fee"]) if fill["symbol"].startswith(fill["fee_asset"]) else ZERO
        sums[at] = EXACT.add(sums[at], quantity)
        sums[at + 1] = EXACT.add(sums[at + 1], EXACT.multiply(Decimal(fill["price"]), quantity))
        sums[4] = EXACT.subtract(EXACT.add(sums[4], quantity if at == 0 else -quantity), fee)
        sums[5] += 1
    assert stored == expected, f"{stored} in the portfolio, {expected} from the fills"
    words = ["boughtQuantity", "boughtQuote", "soldQuantity", "soldQuote", "quantity"]
    core = {one["symbol"]: [Decimal(one[word]) for word in words] for one in portfolio["positions"]}
    assert core == {symbol: sums[:5] for symbol, sums in expected.items()}, f"{core} in the core, {expected}"


def total(figures: Any) -> Decimal:
    """An exact sum."""
    out = ZERO
    for figure in figures:
        out = EXACT.add(out, figure)
    return out
