"""Short ways to say orders and ticks in tests of the PAPER venue."""

from ordergate.venues.instruments import Listing
from ordergate.venues.paper.fixed import units
from ordergate.venues.paper.matching import Exchange, PaperOrder, open_exchange
from ordergate.venues.prices.tick import Tick
from ordergate.venues.reports import Report

BTC = Listing("BTCUSDT", "BTC", "USDT", units("0.01"), units("0.00001"), units("5"), units("39500"))


def exchange_of(fee_rate: str = "0.001", latency_ms: int = 0, session: int = 7) -> Exchange:
    return open_exchange(session, fee_rate, latency_ms, {BTC.symbol: BTC})


def limit(order: int, side: str, quantity: str, price: str, kind: str = "GTC") -> PaperOrder:
    return PaperOrder(order, BTC.symbol, side == "BUY", kind, units(quantity), units(price))


def market(order: int, side: str, quantity: str) -> PaperOrder:
    return PaperOrder(order, BTC.symbol, side == "BUY", "MARKET", units(quantity), None)


def quote(bid: str, ask: str, size: str = "1", ask_size: str | None = None, ts_ns: int = 0) -> Tick:
    return Tick(
        BTC.symbol, "quote", bid=units(bid), bid_size=units(size), ask=units(ask),
        ask_size=units(ask_size or size), ts_ns=ts_ns,
    )  # fmt: skip


def trade(price: str, size: str, ts_ns: int = 0) -> Tick:
    return Tick(BTC.symbol, "trade", price=units(price), size=units(size), ts_ns=ts_ns)


def taken(exchange: Exchange) -> list[Report]:
    """The reports so far, which are thereby sent."""
    reports = list(exchange.out)
    exchange.out.clear()
    return reports


def fills(reports: list[Report]) -> list[tuple[object, ...]]:
    """(order, price, quantity, maker) of each FILL."""
    return [(report[1], report[3], report[4], report[8]) for report in reports if report[0] == "FILL"]


def kinds(reports: list[Report]) -> list[tuple[object, ...]]:
    """(kind, order) of each report."""
    return [report[:2] for report in reports]


def stop(order: int, side: str, quantity: str, at: str, *, rises: bool, price: str | None = None) -> PaperOrder:
    kind = "MARKET" if price is None else "GTC"
    limit_price = None if price is None else units(price)
    waiting = PaperOrder(order, BTC.symbol, side == "BUY", kind, units(quantity), limit_price)
    waiting.stop, waiting.rises = units(at), rises
    return waiting


def maker(order: int, side: str, quantity: str, price: str) -> PaperOrder:
    only = limit(order, side, quantity, price)
    only.maker_only = True
    return only


def for_quote(order: int, side: str, amount: str) -> PaperOrder:
    return PaperOrder(order, BTC.symbol, side == "BUY", "MARKET", 0, None, quote_quantity=units(amount))
