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

TICK, STEP = units("0.5"), units("0.01")
LISTED = {"ETHBTC": Listing("ETHBTC", "ETH", "BTC", TICK, STEP, 1)}
FEE_RATE = "0.00123457"
LATENCY_MS = 3

prices = st.integers(80, 120).map(lambda ticks: ticks * TICK)
sizes = st.integers(1, 400).map(lambda steps: steps * 1_234_567)

KINDS = ["GTC", "IOC", "FOK", "MARKET", "MAKER", "STOP", "PROFIT", "STOP_GTC", "PROFIT_IOC", "QUOTE"]
"""How what does not fill at once ends, or the type: MAKER is LIMIT_MAKER, STOP and PROFIT are STOP_LOSS and TAKE_PROFIT
(with a limit at the stop price when something follows), QUOTE is MARKET by amount of quote."""
orders = st.tuples(st.just("order"), st.booleans(), st.sampled_from(KINDS), sizes, prices)
handed = st.tuples(
    st.just("handed"), st.booleans(), st.sampled_from(["GTC", "IOC", "MAKER", "STOP", "PROFIT_IOC"]), sizes, prices,
    st.sampled_from([0, 7]),
)  # fmt: skip
amends = st.tuples(st.just("amend"), st.integers(1, 40), st.integers(1, 400).map(lambda steps: steps * 617_283))
cancels = st.tuples(st.just("cancel"), st.integers(1, 40))
quotes = st.tuples(st.just("quote"), prices, st.integers(1, 5), sizes, sizes)
trades = st.tuples(st.just("trade"), prices, sizes)
waits = st.tuples(st.just("wait"), st.integers(1, 4))
events = st.lists(st.one_of(orders, orders, handed, amends, cancels, quotes, trades, waits), max_size=60)

Event = tuple[Any, ...]


def made(number: int, buy: bool, kind: str, size: int, price: int) -> PaperOrder:
    """The order of an event."""
    first, _, rest = kind.partition("_")
    waits = first in ("STOP", "PROFIT")
    at_market = kind in ("MARKET", "STOP", "PROFIT", "QUOTE")
    order = PaperOrder(number, "ETHBTC", buy, "MARKET" if at_market else rest or first, size, price)
    if at_market:
        order.limit = None
    if first == "MAKER":
        order.kind, order.maker_only = "GTC", True
    if waits:
        order.stop, order.rises = price, buy == (first == "STOP")
    if kind == "QUOTE":
        order.left, order.quote_quantity = 0, size * price // SCALE
    return order


@dataclass
class Naive:
    """The same exchange without any cleverness: levels in dicts, orders in a list, everything searched every time."""

    asks: dict[int, int] | None = None
    bids: dict[int, int] | None = None
    working: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    flight: list[tuple[int, Event]] = field(default_factory=list)
    said: list[Event] = field(default_factory=list)
    stops: list[dict[str, Any]] = field(default_factory=list)
    last: int | None = None
    arrivals: int = 0

    def happen(self, event: Event, now: int) -> None:
        if event[0] in ("order", "cancel", "amend"):
            self.flight.append((now + LATENCY_MS * 1_000_000, event))
        due = [entry for at, entry in self.flight if at <= now]
        self.flight = [(at, entry) for at, entry in self.flight if at > now]
        for entry in due:
            {"order": self.arrive, "cancel": self.cancel, "amend": self.amend}[entry[0]](entry)
        if event[0] == "handed":
            self.hand_over(event)
        elif event[0] == "quote":
            self.quote(*event[1:])
        elif event[0] == "trade":
            self.trade(*event[1:])

    @staticmethod
    def read(event: Event) -> dict[str, Any]:
        order = made(event[-1], *event[1:5])
        return {
            "order": order.order, "buy": order.buy, "kind": order.kind, "left": order.left, "price": order.limit,
            "maker": order.maker_only, "stop": order.stop, "rises": order.rises, "quote": order.quote_quantity,
            "done": 0,
        }  # fmt: skip

    def arrive(self, event: Event) -> None:
        new = self.read(event)
        takes = new["maker"] and self.asks is not None and bool(self.reachable(new))
        if takes or (new["stop"] is not None and self.last is not None and self.reached(new, self.last)):
            self.said.append(("REJECT", new["order"]))
            return
        self.said.append(("ACK", new["order"]))
        if new["stop"] is not None:
            self.stops.append(new)
        else:
            self.enter(new)

    @staticmethod
    def reached(order: dict[str, Any], price: int) -> bool:
        return bool(price >= order["stop"] if order["rises"] else price <= order["stop"])

    def enter(self, new: dict[str, Any]) -> None:
        if self.asks is not None:
            self.meet(new)
        elif new["kind"] == "GTC":
            self.waiting.append(new)
        else:
            self.said.append(("EXPIRED", new["order"]))

    def hand_over(self, event: Event) -> None:
        new, filled = self.read(event), event[5]
        new["done"] = filled
        if not filled:
            self.said.append(("ACK", new["order"]))
        if new["stop"] is not None and not filled:
            self.stops.append(new)
        elif new["kind"] != "GTC":
            self.said.append(("EXPIRED", new["order"]))
        elif filled or new["maker"]:
            self.rest(new)
        else:
            self.enter(new)

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

    def spend(self, order: dict[str, Any]) -> None:
        levels = (self.asks if order["buy"] else self.bids) or {}
        filled, end = 0, "EXPIRED"
        for price in self.reachable(order):
            part = min(int(Fraction(order["quote"] * SCALE, price)), levels[price]) // STEP * STEP
            if part:
                levels[price] -= part
                filled += part
                order["quote"] -= round(Fraction(part * price, SCALE))
                self.said.append(("FILL", order["order"], price, part, False))
            if int(Fraction(order["quote"] * SCALE, price)) < STEP:
                end = "DONE" if filled else "EXPIRED"
                break
        self.said.append((end, order["order"]))

    def meet(self, order: dict[str, Any]) -> None:
        if order["quote"] is not None:
            self.spend(order)
            return
        if order["maker"] and self.reachable(order):
            self.said.append(("EXPIRED", order["order"]))
            return
        levels = (self.asks if order["buy"] else self.bids) or {}
        if order["kind"] != "FOK" or sum(levels[p] for p in self.reachable(order)) >= order["left"]:
            for price, part in self.take(order):
                order["left"] -= part
                order["done"] += part
                self.said.append(("FILL", order["order"], price, part, False))
        if order["left"] and order["kind"] == "GTC":
            self.rest(order)
        elif order["left"]:
            self.said.append(("EXPIRED", order["order"]))

    def amend(self, event: Event) -> None:
        known = [order for order in self.working + self.waiting + self.stops if order["order"] == event[1]]
        if known and known[0]["done"] < event[2] <= known[0]["done"] + known[0]["left"]:
            known[0]["left"] = event[2] - known[0]["done"]
            self.said.append(("REPLACED", event[1]))
        else:
            self.said.append(("REPLACE_REJECT", event[1]))

    def cancel(self, event: Event) -> None:
        order_id = event[1]
        known = [order for order in self.working + self.waiting + self.stops if order["order"] == order_id]
        self.said.append(("CANCELED" if known else "CANCEL_REJECT", order_id))
        self.stops = [order for order in self.stops if order not in known]
        self.working = [order for order in self.working if order not in known]
        self.waiting = [order for order in self.waiting if order not in known]

    def in_line(self, buy: bool) -> list[dict[str, Any]]:
        side = [order for order in self.working if order["buy"] == buy]
        return sorted(side, key=lambda order: (-order["price"] if buy else order["price"], order["at"]))

    def fill_resting(self, order: dict[str, Any], part: int) -> None:
        order["left"] -= part
        order["done"] += part
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
        self.last = price
        triggered = [order for order in self.stops if self.reached(order, price)]
        self.stops = [order for order in self.stops if order not in triggered]
        for order in triggered:
            self.enter(order)


def play(story: list[Event]) -> tuple[Exchange, Naive, dict[int, PaperOrder], list[tuple[Event, list[Event]]]]:
    """Both exchanges after the story; what was ordered, as it was; and the reports of each event."""
    exchange, naive, now = matching.open_exchange(9, FEE_RATE, LATENCY_MS, LISTED), Naive(), 10**18
    ordered: dict[int, PaperOrder] = {}
    chapters = []
    for number, entry in enumerate(story, 1):
        event = entry
        matching.advance(exchange, now)
        if event[0] in ("order", "handed"):
            ordered[number], fresh = made(number, *event[1:5]), made(number, *event[1:5])
            if event[0] == "order":
                matching.submit(exchange, fresh, now)
            else:
                matching.hand_over(exchange, fresh, event[5], now)
            event = (*entry, number)
        elif event[0] == "amend":
            matching.amend(exchange, event[1], event[2], now)
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
    left = {order["order"]: order["left"] for order in naive.working + naive.waiting + naive.stops}
    assert {order.order: order.left for order in exchange.orders.values()} == left


@settings(max_examples=300, deadline=None)
@given(events)
def test_nothing_is_created(story: list[Event]) -> None:
    exchange, _, ordered, chapters = play(story)
    filled: dict[int, int] = defaultdict(int)
    spent: dict[int, int] = defaultdict(int)
    ended: dict[int, str] = {}
    trade_ids: set[object] = set()
    taken_over = {event[-1]: event[5] for event, _ in chapters if event[0] == "handed"}
    for event, reports in chapters:
        maker: dict[bool, int] = defaultdict(int)
        for report in reports:
            order = ordered.get(int(report[1]))
            if report[0] in ("CANCEL_REJECT", "REPLACE_REJECT") or order is None:
                assert report[0] in ("CANCEL_REJECT", "REPLACE_REJECT")
                continue
            if report[0] == "REPLACED":
                # Only ever smaller, and never below what has traded.
                assert filled[order.order] < units(str(report[2])) - (taken_over.get(order.order, 0)) <= order.left
                order.left = units(str(report[2])) - taken_over.get(order.order, 0)
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
                spent[order.order] += quote
                maker[order.buy] += quantity if report[8] else 0
            whole = order.quote_quantity is None and filled[order.order] == order.left
            if report[0] in ("EXPIRED", "CANCELED", "REJECT", "DONE") or whole:
                ended[order.order] = str(report[0])
        if event[0] == "trade":
            assert max(maker.values(), default=0) <= event[2]
        if event[0] == "quote":
            assert maker[True] <= 11 * event[4]
            assert maker[False] <= 11 * event[3]
    for number, order in ordered.items():
        if order.quote_quantity is None:
            assert filled[number] <= order.left
        else:
            assert spent[number] <= order.quote_quantity
        if number in exchange.orders:
            assert exchange.orders[number].left == order.left - filled[number]
            assert number not in ended
    market = exchange.markets["ETHBTC"]
    for side in (market.buys, market.sells):
        assert side == sorted(side, key=lambda entry: entry[:2])
    resting = {entry[2].order for entry in market.buys + market.sells} | market.waiting.keys() | market.stops.keys()
    assert resting == exchange.orders.keys()
    in_flight = {item.order for _, item in exchange.in_flight if isinstance(item, PaperOrder)}
    assert ordered.keys() == resting | ended.keys() | in_flight
