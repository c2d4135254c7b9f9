"""One symbol's resting orders by price, then by time."""

from bisect import insort
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ordergate.exchange.state import Order


class Side:
    """`prices` rises; the best bid is its last, the best ask its first. A level's orders stand in order of arrival."""

    __slots__ = ("bids", "levels", "prices", "totals")

    def __init__(self, bids: bool) -> None:
        self.bids = bids
        self.prices: list[int] = []
        self.levels: dict[int, dict[int, Order]] = {}
        self.totals: dict[int, int] = {}

    def best(self) -> int | None:
        if not self.prices:
            return None
        return self.prices[-1] if self.bids else self.prices[0]

    def from_best(self) -> Iterator[int]:
        """Prices, the best first."""
        return reversed(self.prices) if self.bids else iter(self.prices)

    def crosses(self, limit: int, price: int) -> bool:
        """Whether a resting order here at `price` trades with one that takes up to `limit` (0: any price)."""
        return limit == 0 or (price >= limit if self.bids else price <= limit)


class Book:
    """`changed` gathers the levels that a command has touched; `update_id` counts them, as depth streams do."""

    __slots__ = ("asks", "bids", "changed", "update_id")

    def __init__(self) -> None:
        self.bids = Side(True)
        self.asks = Side(False)
        self.changed: set[tuple[bool, int]] = set()
        self.update_id = 1

    def side(self, buys: bool) -> Side:
        """Where an order of that direction rests."""
        return self.bids if buys else self.asks

    def opposite(self, buys: bool) -> Side:
        """What an order of that direction trades with."""
        return self.asks if buys else self.bids

    def add(self, order: "Order") -> None:
        side = self.side(order.buys)
        level = side.levels.get(order.price)
        if level is None:
            level = side.levels[order.price] = {}
            side.totals[order.price] = 0
            insort(side.prices, order.price)
        level[order.order_id] = order
        side.totals[order.price] += order.left
        self.changed.add((order.buys, order.price))

    def reduce(self, order: "Order", quantity: int) -> None:
        """Less of a resting order; its place in the queue stays."""
        side = self.side(order.buys)
        side.totals[order.price] -= quantity
        self.changed.add((order.buys, order.price))

    def remove(self, order: "Order", left: int) -> bool:
        """Takes a resting order off, `left` of which counted in its level; False when it does not rest here."""
        side = self.side(order.buys)
        level = side.levels.get(order.price)
        if level is None or level.pop(order.order_id, None) is None:
            return False
        side.totals[order.price] -= left
        if not level:
            del side.levels[order.price], side.totals[order.price]
            side.prices.remove(order.price)
        self.changed.add((order.buys, order.price))
        return True

    def resting(self, order: "Order") -> bool:
        return order.order_id in self.side(order.buys).levels.get(order.price, ())

    def makers(self, buys: bool, limit: int) -> Iterator["Order"]:
        """What an order of that direction and limit would meet, in order. The book must not change meanwhile."""
        side = self.opposite(buys)
        for price in side.from_best():
            if not side.crosses(limit, price):
                return
            yield from side.levels[price].values()

    def top(self) -> tuple[int, int, int, int]:
        """Best bid, its quantity, best ask, its quantity; zeros where there is none."""
        bid, ask = self.bids.best() or 0, self.asks.best() or 0
        return bid, self.bids.totals.get(bid, 0), ask, self.asks.totals.get(ask, 0)
