"""The simulated exchange: orders, cancels and ticks in, reports out.

MARKET orders walk the book and expire the rest; one by amount of quote takes whole steps that it can pay for, and is
DONE when what is left buys none. LIMIT orders take what is marketable at the book's prices; what is left of a GTC order
rests, best price first and then oldest first, and fills as maker at its own limit when a quote or a trade touches or
passes it, by the size shown or traded. A LIMIT_MAKER order that would take is refused. A size is given away once: a
level that was taken is empty until the next quote, and a trade's size is shared among the orders of a side. Orders of
stop types wait for a trade at their stop price or beyond.

Everything is an integer in units of 10^-8, and time is an argument, so that the same events give the same reports.
Each event appends its reports to `Exchange.out`, in the order in which they happened.
"""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from ordergate.venues.instruments import Listing
from ordergate.venues.paper.book import Book, BookSide, depth, show, take, take_for_quote
from ordergate.venues.paper.fixed import decimal_text, times, units
from ordergate.venues.prices.tick import Tick
from ordergate.venues.reports import Report

REMAINDER: Final = {
    "MARKET": ("NO_LIQUIDITY", "the book has nothing left at any price"),
    "IOC": ("IOC_REMAINDER", "not filled at once at its price or better"),
    "FOK": ("FOK_NOT_FILLED", "the book cannot fill all of it at once at its price or better"),
}
"""Reason and words of the EXPIRED that ends what must not rest."""
WOULD_TAKE: Final = ("WOULD_TAKE", "a LIMIT_MAKER order must not take, and the book has its price")
BELOW_STEP: Final = ("BELOW_STEP", "the amount of quote does not come to one step of base")
WOULD_TRIGGER: Final = ("WOULD_TRIGGER", "the last trade has reached its stop price already")
NO_PRICE: Final = ("NO_PRICE", "the venue has no price for this symbol")
VENUE_RESTARTED: Final = ("VENUE_RESTARTED", "the venue restarted while this order was being filled")


@dataclass(slots=True, eq=False)
class PaperOrder:
    """An order at the venue."""

    order: int
    symbol: str
    buy: bool
    kind: str
    """What happens to the part that does not fill at once: MARKET, IOC, FOK, or GTC."""
    left: int
    limit: int | None
    place: int = 0
    """Time priority: smaller came first."""
    filled: int = 0
    maker_only: bool = False
    """LIMIT_MAKER: refused when it would take."""
    stop: int | None = None
    """It waits for a trade at this price or beyond; None once there was one."""
    rises: bool = False
    """Whether the last price reaches the stop price from below."""
    quote_quantity: int | None = None
    """Amount of quote to spend or to bring in; `left` then means nothing."""


@dataclass(frozen=True, slots=True)
class Amend:
    """A change of an order in place: it keeps its price and its turn."""

    order: int
    quantity: int
    """New total quantity, what has traded included."""


Resting = tuple[int, int, PaperOrder]
"""(price rank, minus place, order): ascending, so that the next one to fill is the last."""


@dataclass(slots=True)
class Market:
    """One symbol: its book, and the orders that rest in it."""

    listing: Listing
    book: Book
    buys: list[Resting] = field(default_factory=list)
    sells: list[Resting] = field(default_factory=list)
    waiting: dict[int, PaperOrder] = field(default_factory=dict)
    """Orders that came before the first quote; they meet it in order of arrival."""
    stops: dict[int, PaperOrder] = field(default_factory=dict)
    """Orders that wait for their stop price, in order of arrival."""
    last: int | None = None
    """Price of the last trade."""


@dataclass(slots=True)
class Exchange:
    """The whole venue in one session."""

    session: int
    fee_rate: int
    latency_ns: int = 0
    markets: dict[str, Market] = field(default_factory=dict)
    orders: dict[int, PaperOrder] = field(default_factory=dict)
    """Orders that are working here, by id."""
    in_flight: deque[tuple[int, "PaperOrder | int | Amend"]] = field(default_factory=deque)
    """(when it arrives, an order, the id of one to cancel, or a change of one), oldest first."""
    out: list[Report] = field(default_factory=list)
    """Reports of the events so far; whoever sends them empties it."""
    now_ns: int = 0
    """Journal time of the event at hand."""
    trades: int = 0
    places: int = 0


def open_exchange(session: int, fee_rate: str, latency_ms: int, listed: dict[str, Listing]) -> Exchange:
    """An exchange with empty books. Raises ValueError when `fee_rate` is not a decimal."""
    exchange = Exchange(session=session, fee_rate=units(fee_rate), latency_ns=latency_ms * 1_000_000)
    list_instruments(exchange, listed)
    return exchange


def list_instruments(exchange: Exchange, listed: dict[str, Listing]) -> None:
    """Adds new symbols, and lets the known ones keep their books under changed filters."""
    for symbol, listing in listed.items():
        market = exchange.markets.setdefault(symbol, Market(listing, Book(listing.tick)))
        market.listing, market.book.tick = listing, listing.tick


# --- orders and cancels


def submit(exchange: Exchange, order: PaperOrder, now_ns: int) -> None:
    """Sends an order: it reaches the book after the latency, which acks it."""
    exchange.in_flight.append((now_ns + exchange.latency_ns, order))
    advance(exchange, now_ns)


def cancel(exchange: Exchange, order_id: int, now_ns: int) -> None:
    """Sends a cancel: it arrives after the latency, never before an order sent earlier."""
    exchange.in_flight.append((now_ns + exchange.latency_ns, order_id))
    advance(exchange, now_ns)


def amend(exchange: Exchange, order_id: int, quantity: int, now_ns: int) -> None:
    """Sends a smaller total quantity for a working order: it arrives after the latency."""
    exchange.in_flight.append((now_ns + exchange.latency_ns, Amend(order_id, quantity)))
    advance(exchange, now_ns)


def hand_over(exchange: Exchange, order: PaperOrder, filled: int, now_ns: int) -> None:
    """Takes over an order of an earlier session with the quantity that is journaled as filled.

    With nothing filled it may never have been answered: it is acked, and meets the book like a new one. Partly filled
    it rests again, and what may only make rests in any case. What must not rest has ended with the session that was
    filling it: downtime fills nothing. One that waits for its stop price waits on, unless a part of it has filled: then
    its stop price had been reached.
    """
    exchange.now_ns = now_ns
    if not filled:
        exchange.out.append(_ack(order))
    order.filled = filled
    market = exchange.markets.get(order.symbol)
    if market is not None and order.stop is not None and not filled:
        _wait_for_stop(exchange, market, order)
    elif market is None or order.kind != "GTC":
        _expire(exchange, order, VENUE_RESTARTED if market else NO_PRICE)
    elif filled or order.maker_only:
        _rest(exchange, market, order)
    else:
        _enter(exchange, market, order)


def advance(exchange: Exchange, now_ns: int) -> None:
    """Lets everything arrive whose latency has passed."""
    exchange.now_ns = now_ns
    in_flight = exchange.in_flight
    while in_flight and in_flight[0][0] <= now_ns:
        _, item = in_flight.popleft()
        if isinstance(item, PaperOrder):
            _arrive(exchange, item)
        elif isinstance(item, Amend):
            _amend_now(exchange, item)
        else:
            _cancel_now(exchange, item)


def next_arrival_ns(exchange: Exchange) -> int | None:
    """When `advance` has something to do next."""
    return exchange.in_flight[0][0] if exchange.in_flight else None


def _expire(exchange: Exchange, order: PaperOrder, why: tuple[str, str]) -> None:
    exchange.out.append(("EXPIRED", order.order, *why))


def _ack(order: PaperOrder) -> Report:
    return ("ACK", order.order, f"paper-{order.order}")


def _arrive(exchange: Exchange, order: PaperOrder) -> None:
    market = exchange.markets.get(order.symbol)
    if market is None:
        exchange.out.append(("REJECT", order.order, "UNKNOWN_SYMBOL", f"{order.symbol} is not listed here"))
        return
    refused = _refusal(market, order)
    if refused:
        exchange.out.append(("REJECT", order.order, *refused))
        return
    exchange.out.append(_ack(order))
    if order.stop is not None:
        _wait_for_stop(exchange, market, order)
    else:
        _enter(exchange, market, order)


def _refusal(market: Market, order: PaperOrder) -> tuple[str, str] | None:
    """Why the venue does not take a new order, if it does not."""
    if order.stop is not None and market.last is not None and _is_reached(order, market.last):
        return WOULD_TRIGGER
    side = market.book.asks if order.buy else market.book.bids
    if order.maker_only and depth(side, order.limit):
        return WOULD_TAKE
    return None


def _is_reached(order: PaperOrder, last: int) -> bool:
    assert order.stop is not None, "only an order of a stop type waits"
    return last >= order.stop if order.rises else last <= order.stop


def _wait_for_stop(exchange: Exchange, market: Market, order: PaperOrder) -> None:
    market.stops[order.order] = exchange.orders[order.order] = order


def _trigger(exchange: Exchange, market: Market, last: int) -> None:
    """Orders whose stop price a trade has reached meet the book, in order of arrival."""
    market.last = last
    reached = [order for order in market.stops.values() if _is_reached(order, last)]
    for order in reached:
        del market.stops[order.order], exchange.orders[order.order]
        order.stop = None
        _enter(exchange, market, order)


def _enter(exchange: Exchange, market: Market, order: PaperOrder) -> None:
    if market.book.quoted:
        _meet_book(exchange, market, order)
    elif order.kind == "GTC":
        market.waiting[order.order] = exchange.orders[order.order] = order
    else:
        _expire(exchange, order, NO_PRICE)


def _meet_book(exchange: Exchange, market: Market, order: PaperOrder) -> None:
    """The order as taker; what is left of it rests or expires."""
    side = market.book.asks if order.buy else market.book.bids
    if order.quote_quantity is not None:
        _meet_for_quote(exchange, market, order, side)
        return
    if order.maker_only and depth(side, order.limit):
        # It came before the first quote: that is what it would have taken.
        exchange.orders.pop(order.order, None)
        _expire(exchange, order, WOULD_TAKE)
        return
    if order.kind != "FOK" or depth(side, order.limit) >= order.left:
        for price, quantity in take(side, order.left, order.limit):
            order.left -= quantity
            _fill(exchange, market, order, price, quantity, maker=False)
    if not order.left:
        exchange.orders.pop(order.order, None)
    elif order.kind == "GTC":
        _rest(exchange, market, order)
    else:
        _expire(exchange, order, REMAINDER[order.kind])


def _meet_for_quote(exchange: Exchange, market: Market, order: PaperOrder, side: BookSide) -> None:
    """An amount of quote: whole steps as long as it pays for one; DONE when it does not any more."""
    assert order.quote_quantity is not None, "asked by the caller"
    taken, spent = take_for_quote(side, order.quote_quantity, market.listing.step)
    for price, quantity in taken:
        _fill(exchange, market, order, price, quantity, maker=False)
    if taken and spent:
        exchange.out.append(("DONE", order.order))
    else:
        _expire(exchange, order, BELOW_STEP if spent else REMAINDER["MARKET"])


def _amend_now(exchange: Exchange, asked: Amend) -> None:
    order = exchange.orders.get(asked.order)
    if order is None:
        why = ("UNKNOWN_ORDER", "no such order is working here")
    elif not order.filled < asked.quantity <= order.filled + order.left:
        why = ("AMEND_REFUSED", "only a smaller quantity, above what has traded, keeps its turn")
    else:
        order.left = asked.quantity - order.filled
        limit = None if order.limit is None else decimal_text(order.limit)
        exchange.out.append(("REPLACED", asked.order, decimal_text(asked.quantity), limit))
        return
    exchange.out.append(("REPLACE_REJECT", asked.order, *why))


def _cancel_now(exchange: Exchange, order_id: int) -> None:
    order = exchange.orders.pop(order_id, None)
    if order is None:
        exchange.out.append(("CANCEL_REJECT", order_id, "UNKNOWN_ORDER", "no such order is working here"))
        return
    market = exchange.markets[order.symbol]
    if market.waiting.pop(order_id, None) is None and market.stops.pop(order_id, None) is None:
        resting = market.buys if order.buy else market.sells
        # The place is unique: the comparison never reaches the order itself.
        del resting[bisect_left(resting, _rank(order))]
    exchange.out.append(("CANCELED", order_id, "", ""))


# --- ticks


def tick(exchange: Exchange, event: Tick, now_ns: int) -> None:
    """Moves the market of one symbol and fills what it touches. A symbol that is not listed is ignored.

    A stale one has no book until its next quote, and no last price: what rests stays, what comes meets no price."""
    exchange.now_ns = now_ns
    market = exchange.markets.get(event.symbol)
    if market is None:
        return
    if event.kind == "trade":
        _fill_from_trade(exchange, market, market.buys, event)
        _fill_from_trade(exchange, market, market.sells, event)
        _trigger(exchange, market, event.price)
        return
    if event.kind == "stale":
        market.book, market.last = Book(market.listing.tick), None
        return
    book = market.book
    show(book, event.bid, event.bid_size, event.ask, event.ask_size)
    _fill_from_quote(exchange, market, market.buys, book.asks)
    _fill_from_quote(exchange, market, market.sells, book.bids)
    if market.waiting:
        waiting, market.waiting = market.waiting, {}
        for order in waiting.values():
            _meet_book(exchange, market, order)


def _fill_from_quote(exchange: Exchange, market: Market, resting: list[Resting], opposite: BookSide) -> None:
    """Resting orders against what the other side shows at their price or better."""
    while resting:
        order = resting[-1][2]
        quantity = sum(part for _, part in take(opposite, order.left, order.limit))
        if not quantity:
            return
        _fill_resting(exchange, market, resting, quantity)


def _fill_from_trade(exchange: Exchange, market: Market, resting: list[Resting], event: Tick) -> None:
    """Resting orders of one side share the size of a trade at their price or worse for the others."""
    size = event.size
    while size and resting:
        rank, _, order = resting[-1]
        if rank < (event.price if order.buy else -event.price):
            return
        quantity = min(size, order.left)
        size -= quantity
        _fill_resting(exchange, market, resting, quantity)


def _fill_resting(exchange: Exchange, market: Market, resting: list[Resting], quantity: int) -> None:
    """Fills the next resting order as maker, and removes it when it is complete."""
    order = resting[-1][2]
    assert order.limit is not None, "only priced orders rest"
    order.left -= quantity
    if not order.left:
        resting.pop()
        del exchange.orders[order.order]
    _fill(exchange, market, order, order.limit, quantity, maker=True)


# --- what both share


def _rank(order: PaperOrder) -> tuple[int, int]:
    """Sorts a side so that the best price, and at one price the oldest order, comes last."""
    assert order.limit is not None, "only priced orders rest"
    return (order.limit if order.buy else -order.limit), -order.place


def _rest(exchange: Exchange, market: Market, order: PaperOrder) -> None:
    exchange.places += 1
    order.place = exchange.places
    exchange.orders[order.order] = order
    insort(market.buys if order.buy else market.sells, (*_rank(order), order))


def _fill(exchange: Exchange, market: Market, order: PaperOrder, price: int, quantity: int, *, maker: bool) -> None:
    """Reports a trade. The fee is a part of what is received, so that a hold never has to cover it."""
    exchange.trades += 1
    order.filled += quantity
    quote_quantity = times(price, quantity)
    received, asset = (quantity, market.listing.base) if order.buy else (quote_quantity, market.listing.quote)
    exchange.out.append((
        "FILL", order.order, f"{exchange.session}-{exchange.trades}", decimal_text(price), decimal_text(quantity),
        decimal_text(quote_quantity), decimal_text(times(received, exchange.fee_rate)), asset, maker,
        exchange.now_ns,
    ))  # fmt: skip
