"""The PAPER exchange against any sequence of events: a naive model must agree report for report, and nothing may be
created: fills never exceed an order or the size that was there, never cost more than the limit, and add up.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ordergate.venues.instruments import Listing
from ordergate.venues.paper import matching
from ordergate.venues.paper.fixed import SCALE, units
from ordergate.venues.paper.matching import Exchange, PaperOrder
from ordergate.venues.prices.tick import Tick

TICK = units("0.5")
LISTED = {"ETHBTC": Listing("ETHBTC", "ETH", "BTC", TICK, units("0.01"), 1)}
FEE_RATE = "0.00123457"
LATENCY_MS = 3

prices = st.integers(80, 120).map(lambda ticks: ticks * TICK)
sizes = st.integers(1, 400).map(lambda steps: steps * 1_234_567)

orders = st.tuples(st.just("order"), st.booleans(), st.sampled_from(["GTC", "IOC", "FOK", "MARKET"]), sizes, prices)
handed = st.tuples(
    st.just("handed"), st.booleans(), st.sampled_from(["GTC", "IOC"]), sizes, prices, st.sampled_from([0, 7])
)
cancels = st.tuples(st.just("cancel"), st.integers(1, 40))
quotes = st.tuples(st.just("quote"), prices, st.integers(1, 5), sizes, sizes)
trades = st.tuples(st.just("trade"), prices, sizes)
waits = st.tuples(st.just("wait"), st.integers(1, 4))
events = st.lists(st.one_of(orders, orders, handed, cancels, quotes, trades, waits), max_size=60)

Event = tuple[Any, ...]


@dataclass
class Naive:
    """The same exchange without any cleverness: levels in dicts, orders in a list, everything searched every time."""

    asks: dict[int, int] | None = None
    bids: dict[int, int] | None = None
    working: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    flight: list[tuple[int, Event]] = field(default_factory=list)
    said: list[Event] = field(default_factory=list)
    arrivals: int = 0

    def happen(self, event: Event, now: int) -> None:
        if event[0] in ("order", "cancel"):
            self.flight.append((now + LATENCY_MS * 1_000_000, event))
        due = [entry for at, entry in self.flight if at <= now]
        self.flight = [(at, entry) for at, entry in self.flight if at > now]
        for entry in due:
            self.arrive(entry) if entry[0] == "order" else self.cancel(entry[1])
        if event[0] == "handed":
            self.hand_over(event)
        elif event[0] == "quote":
            self.quote(*event[1:])
        elif event[0] == "trade":
            self.trade(*event[1:])

    def arrive(self, event: Event) -> None:
        _, buy, kind, size, price, order = event
        self.said.append(("ACK", order))
        new = {"order": order, "buy": buy, "kind": kind, "left": size, "price": None if kind == "MARKET" else price}
        self.meet(new) if self.asks is not None else self.wait(new)

    def wait(self, new: dict[str, Any]) -> None:
        if new["kind"] == "GTC":
            self.waiting.append(new)
        else:
            self.said.append(("EXPIRED", new["order"]))

    def hand_over(self, event: Event) -> None:
        _, buy, kind, size, price, filled, order = event
        new = {"order": order, "buy": buy, "kind": kind, "left": size, "price": price}
        if not filled:
            self.said.append(("ACK", order))
        if kind != "GTC":
            self.said.append(("EXPIRED", order))
        elif filled:
            self.rest(new)
        else:
            self.meet(new) if self.asks is not None else self.wait(new)

    def rest(self, new: dict[str, Any]) -> None:
        self.arrivals += 1
        self.working.append(new | {"at": self.arrivals})

    def reachable(self, order: dict[str, Any]) -> list[int]:
        levels = (self.asks if order["buy"] else self.bids) or {}
        good = [p for p, size in levels.items() if size and (order["price"] is None or self.at_least(order, p))]
        return sorted(good, reverse=not order["buy"])

    @staticmethod
    def at_least(order: dict[str, Any], price: int) -> bool:
        return bool(price <= order["price"] if order["buy"] else price >= order["price"])

    def take(self, order: dict[str, Any]) -> list[tuple[int, int]]:
        levels = (self.asks if order["buy"] else self.bids) or {}
        parts: list[tuple[int, int]] = []
        for price in self.reachable(order):
            part = min(order["left"] - sum(p for _, p in parts), levels[price])
            if part:
                levels[price] -= part
                parts.append((price, part))
        return parts

    def meet(self, order: dict[str, Any]) -> None:
        levels = (self.asks if order["buy"] else self.bids) or {}
        if order["kind"] != "FOK" or sum(levels[p] for p in self.reachable(order)) >= order["left"]:
            for price, part in self.take(order):
                order["left"] -= part
                self.said.append(("FILL", order["order"], price, part, False))
        if order["left"] and order["kind"] == "GTC":
            self.rest(order)
        elif order["left"]:
            self.said.append(("EXPIRED", order["order"]))

    def cancel(self, order_id: int) -> None:
        known = [order for order in self.working + self.waiting if order["order"] == order_id]
        self.said.append(("CANCELED" if known else "CANCEL_REJECT", order_id))
        self.working = [order for order in self.working if order not in known]
        self.waiting = [order for order in self.waiting if order not in known]

    def in_line(self, buy: bool) -> list[dict[str, Any]]:
        side = [order for order in self.working if order["buy"] == buy]
        return sorted(side, key=lambda order: (-order["price"] if buy else order["price"], order["at"]))

    def fill_resting(self, order: dict[str, Any], part: int) -> None:
        order["left"] -= part
        self.said.append(("FILL", order["order"], order["price"], part, True))
        self.working = [order for order in self.working if order["left"]]

    def quote(self, bid: int, spread: int, bid_size: int, ask_size: int) -> None:
        ask = bid + spread * TICK
        self.bids = {bid - n * TICK: bid_size for n in range(11)}
        self.asks = {ask + n * TICK: ask_size for n in range(11)}
        for buy in (True, False):
            for order in self.in_line(buy):
                if part := sum(part for _, part in self.take(order)):
                    self.fill_resting(order, part)
        waiting, self.waiting = self.waiting, []
        for order in waiting:
            self.meet(order)

    def trade(self, price: int, size: int) -> None:
        for buy in (True, False):
            left = size
            for order in self.in_line(buy):
                if left and self.at_least(order, price):
                    part = min(left, order["left"])
                    left -= part
                    self.fill_resting(order, part)


def play(story: list[Event]) -> tuple[Exchange, Naive, dict[int, PaperOrder], list[tuple[Event, list[Event]]]]:
    """Both exchanges after the story; what was ordered, as it was; and the reports of each event."""
    exchange, naive, now = matching.open_exchange(9, FEE_RATE, LATENCY_MS, LISTED), Naive(), 10**18
    ordered: dict[int, PaperOrder] = {}
    chapters = []
    for number, entry in enumerate(story, 1):
        event = entry
        matching.advance(exchange, now)
        if event[0] in ("order", "handed"):
            _, buy, kind, size, price = event[:5]
            limit = None if kind == "MARKET" else price
            ordered[number] = PaperOrder(number, "ETHBTC", buy, kind, size, limit)
            fresh = PaperOrder(number, "ETHBTC", buy, kind, size, limit)
            if event[0] == "order":
                matching.submit(exchange, fresh, now)
            else:
                matching.hand_over(exchange, fresh, event[5], now)
            event = (*entry, number)
        elif event[0] == "cancel":
            matching.cancel(exchange, event[1], now)
        elif event[0] == "quote":
            _, bid, spread, bid_size, ask_size = event
            matching.tick(
                exchange,
                Tick("ETHBTC", "quote", bid=bid, bid_size=bid_size, ask=bid + spread * TICK, ask_size=ask_size),
                now,
            )
        elif event[0] == "trade":
            matching.tick(exchange, Tick("ETHBTC", "trade", price=event[1], size=event[2]), now)
        else:
            now += event[1] * 1_000_000
        naive.happen(event, now if event[0] != "wait" else now - event[1] * 1_000_000)
        chapters.append((event, list(exchange.out)))
        exchange.out.clear()
    return exchange, naive, ordered, chapters


def short(report: Event) -> Event:
    if report[0] != "FILL":
        return report[:2]
    return report[0], report[1], units(str(report[3])), units(str(report[4])), report[8]


@settings(max_examples=300, deadline=None)
@given(events)
def test_the_naive_exchange_says_the_same(story: list[Event]) -> None:
    exchange, naive, _, chapters = play(story)
    assert [short(report) for _, reports in chapters for report in reports] == naive.said
    left = {order["order"]: order["left"] for order in naive.working + naive.waiting}
    assert {order.order: order.left for order in exchange.orders.values()} == left


@settings(max_examples=300, deadline=None)
@given(events)
def test_nothing_is_created(story: list[Event]) -> None:
    exchange, _, ordered, chapters = play(story)
    filled: dict[int, int] = defaultdict(int)
    ended: dict[int, str] = {}
    trade_ids: set[object] = set()
    for event, reports in chapters:
        maker: dict[bool, int] = defaultdict(int)
        for report in reports:
            order = ordered.get(int(report[1]))
            if report[0] == "CANCEL_REJECT" or order is None:
                assert report[0] == "CANCEL_REJECT"
                continue
            assert order.order not in ended, "nothing is said of an order after its end"
            if report[0] == "FILL":
                price, quantity, quote, fee = (units(str(text)) for text in report[3:7])
                assert quantity > 0
                assert order.limit is None or (price <= order.limit if order.buy else price >= order.limit)
                assert quote == round(Fraction(price * quantity, SCALE))
                assert fee == round(Fraction((quantity if order.buy else quote) * units(FEE_RATE), SCALE))
                assert report[7] == ("ETH" if order.buy else "BTC")
                assert report[2] not in trade_ids
                trade_ids.add(report[2])
                filled[order.order] += quantity
                maker[order.buy] += quantity if report[8] else 0
            if report[0] in ("EXPIRED", "CANCELED") or filled[order.order] == order.left:
                ended[order.order] = str(report[0])
        if event[0] == "trade":
            assert max(maker.values(), default=0) <= event[2]
        if event[0] == "quote":
            assert maker[True] <= 11 * event[4]
            assert maker[False] <= 11 * event[3]
    for number, order in ordered.items():
        assert filled[number] <= order.left
        if number in exchange.orders:
            assert exchange.orders[number].left == order.left - filled[number]
            assert number not in ended
    market = exchange.markets["ETHBTC"]
    for side in (market.buys, market.sells):
        assert side == sorted(side, key=lambda entry: entry[:2])
    resting = {entry[2].order for entry in market.buys + market.sells} | market.waiting.keys()
    assert resting == exchange.orders.keys()
    in_flight = {item.order for _, item in exchange.in_flight if isinstance(item, PaperOrder)}
    assert ordered.keys() == resting | ended.keys() | in_flight
