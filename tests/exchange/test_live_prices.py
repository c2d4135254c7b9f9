"""Live prices for PAPER, from the local exchange: what is told, and when it is told to be stale."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ordergate.venues import prices
from ordergate.venues.instruments import Listing, shipped_listings
from ordergate.venues.paper import marks
from ordergate.venues.paper.fixed import units
from ordergate.venues.prices import Place, PricesRefused, Tick, binance
from ordergate.venues.reports import Report
from tests.exchange.ws_parts import Local, exchange, run

LISTED = {name: listing for name, listing in shipped_listings().items() if name in ("BTCUSDT", "ETHUSDT")}


class Heard:
    """Ticks as they come."""

    def __init__(self, ticks: AsyncIterator[Tick]) -> None:
        self.ticks = ticks

    async def until(self, kind: str, symbol: str = "BTCUSDT") -> Tick:
        """The next tick of a kind; any other kinds before it are passed over."""
        async for tick in self.ticks:
            if (tick.kind, tick.symbol) == (kind, symbol):
                return tick
        raise AssertionError("a live source has no end")

    async def next(self, count: int) -> list[Tick]:
        return [await anext(self.ticks) for _ in range(count)]


@asynccontextmanager
async def live(listed: dict[str, Listing] = LISTED, **place: Any) -> AsyncIterator[tuple[Local, Heard]]:
    async with exchange() as local:
        await local.book()
        await local.book("ETHUSDT", "2999", "3001")
        where = {"rest_url": local.rest, "stream_url": local.ws, "allowed_hosts": frozenset({"127.0.0.1"}), **place}
        ticks = prices.open_prices(prices.BINANCE, listed, seed=1, speed=1.0, place=Place(**where))
        try:
            yield local, Heard(ticks)
        finally:
            await ticks.aclose()  # type: ignore[attr-defined]


async def streams(local: Local, count: int = 2) -> None:
    """Waits until that many connections listen to something."""
    while (
        len({number for feed in local.server.websockets.doors.streams.feeds.values() for number in feed.listeners})
        < count
    ):  # type: ignore[union-attr]
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance, "FIRST_WAIT_S", 0.01)


def test_a_quiet_market_has_a_price_from_the_start() -> None:
    async def scenario() -> None:
        async with live() as (_, heard):
            ticks = {tick.symbol: tick for tick in await heard.next(2)}
            assert ticks["BTCUSDT"] == Tick(
                "BTCUSDT", "quote", bid=units("59999"), bid_size=units("1"), ask=units("60001"), ask_size=units("1")
            )
            assert ticks["ETHUSDT"].bid == units("2999")

    run(scenario)


def test_quotes_and_trades_come_with_the_exchange_s_own_digits() -> None:
    async def scenario() -> None:
        async with live() as (local, heard):
            await heard.next(2)
            await streams(local)
            await local.book(bid="59998.37", ask="60002.03", size="0.12345")
            quote = await heard.until("quote")
            assert (quote.bid, quote.ask, quote.bid_size) == (units("59998.37"), units("60002.03"), units("0.12345"))
            await local.act("trade", symbol="ETHUSDT", price="3000.01", quantity="0.4321")
            trade = await heard.until("trade", "ETHUSDT")
            assert (trade.price, trade.size) == (units("3000.01"), units("0.4321"))
            assert trade.ts_ns > 1_600_000_000 * 10**9
            connections = await (await local.http.get(f"{local.control}/ws")).json()
            assert sorted(one["url"] for one in connections) == ["/ws/0", "/ws/1"]

    run(scenario)


@pytest.mark.parametrize("deed", ["close", "reset", "shutdown"])
def test_a_lost_connection_makes_every_price_stale_until_it_is_back(deed: str) -> None:
    async def scenario() -> None:
        async with live() as (local, heard):
            await heard.next(2)
            await streams(local)
            await local.act("ws", do=deed)
            assert await heard.next(2) == [Tick("BTCUSDT", "stale"), Tick("ETHUSDT", "stale")]
            fresh = await heard.until("quote")
            assert fresh.bid == units("59999"), "of the book as it is now, though nothing has changed"

    run(scenario)


def test_nothing_is_told_as_fresh_while_its_source_is_lost() -> None:
    async def scenario() -> None:
        async with live() as (local, heard):
            told: list[Report] = []
            marks_held = marks.Marks()
            for tick in await heard.next(2):
                marks.note(marks_held, tick)
            marks.tell(marks_held, 10**9, told)
            assert sorted(report[1] for report in told) == ["BTCUSDT", "ETHUSDT"]
            await streams(local)
            await local.act("ws", do="reset")
            for tick in await heard.next(2):
                marks.note(marks_held, tick)
            marks.tell(marks_held, 10**10, told)
            assert len(told) == 2, "a quiet market would be told again, a lost one is not"
            marks.note(marks_held, await heard.until("quote"))
            marks.tell(marks_held, 2 * 10**10, told)
            assert [report[1] for report in told[2:]] == ["BTCUSDT"]

    run(scenario)


def test_half_open_is_found_out_by_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance, "ALIVE_S", 1.0)
    monkeypatch.setattr(binance, "PING_MS", 300)
    monkeypatch.setattr(binance, "LOOK_S", 0.02)

    async def scenario() -> None:
        async with live() as (local, heard):
            await heard.next(2)
            await streams(local)
            loop = asyncio.get_running_loop()
            await local.act("ws", do="half_open", path="stream")
            began_s = loop.time()
            assert (await heard.next(1))[0].kind == "stale"
            assert loop.time() - began_s < 5
            assert (await heard.until("quote")).bid == units("59999")

    run(scenario)


def test_a_market_that_says_nothing_at_all_for_long_is_asked_anew() -> None:
    async def scenario() -> None:
        async with live(silence_s=0.3) as (_, heard):
            await heard.next(2)
            assert (await heard.until("stale")).symbol == "BTCUSDT"
            assert (await heard.until("quote")).ask == units("60001")

    run(scenario)


def test_an_empty_side_is_no_price() -> None:
    async def scenario() -> None:
        async with live() as (local, heard):
            await heard.next(2)
            await streams(local)
            await local.act("book", symbol="BTCUSDT", bids=[["59999", "1"]], asks=[])
            assert (await heard.until("stale")).symbol == "BTCUSDT"
            await local.book()
            assert (await heard.until("quote")).ask == units("60001")

    run(scenario)


def test_what_the_exchange_does_not_list_does_not_matter() -> None:
    async def scenario() -> None:
        btc = LISTED["BTCUSDT"]
        listed = LISTED | {"NOSUCHUSDT": Listing("NOSUCHUSDT", "NOSUCH", "USDT", btc.tick, btc.step, btc.min_notional)}
        async with live(listed) as (_, heard):
            assert {tick.symbol for tick in await heard.next(2)} == {"BTCUSDT", "ETHUSDT"}

    run(scenario)


def test_without_the_streams_there_is_no_price() -> None:
    async def scenario() -> None:
        async with live(stream_url="ws://127.0.0.1:1") as (_, heard):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(heard.next(1), 0.5)

    run(scenario)


def test_the_book_is_asked_only_when_its_changes_are_heard() -> None:
    class Asked:
        count = 0

        async def public_get_depth(self, _: object) -> Any:
            self.count += 1
            return {"lastUpdateId": 7, "bids": [["1", "1"]], "asks": [["2", "1"]]}

    async def scenario() -> None:
        feed, exchange = binance.Feed(), Asked()
        asking = asyncio.create_task(binance._ask(exchange, feed, "BTCUSDT", ValueError))
        for number in range(binance.SUBSCRIPTIONS):
            await asyncio.sleep(0)
            assert exchange.count == 0, "a book that nobody would see change"
            binance._hear_message(feed, lambda *_: None, None, {"result": None, "id": number})
        await asking
        assert exchange.count == 1 and feed.held[0].bid == units("1")

    run(scenario)


@pytest.mark.parametrize(
    "url", ["https://api.binance.com", "http://127.0.0.2:80", "http://localhost:80", "http://user@127.0.0.1.example"]
)
def test_a_host_that_is_not_allowed_is_refused(url: str) -> None:
    for place in (
        Place(url, "ws://127.0.0.1:1", frozenset({"127.0.0.1"})),
        Place("http://127.0.0.1:1", url.replace("http", "ws"), frozenset({"127.0.0.1"})),
    ):
        with pytest.raises(PricesRefused, match="allowed_hosts"):
            prices.check(prices.BINANCE, place)


def test_a_reader_that_falls_behind_gets_the_newest_quotes() -> None:
    feed = binance.Feed()
    for number in range(1, binance.HELD + 10):
        message = {"u": number, "s": "BTCUSDT", "b": str(number), "B": "1", "a": str(number + 1), "A": "1"}
        binance._hear_message(feed, None, None, message)
        binance._hear_message(feed, None, None, {"e": "trade", "s": "BTCUSDT", "p": "1", "q": "1", "T": 1, "t": number})
    assert len(feed.held) <= binance.HELD
    assert [tick for tick in feed.held if tick.kind == "quote"][-1].bid == units(str(binance.HELD + 9))


@pytest.mark.parametrize(
    "message",
    [
        {"u": 1, "s": "BTCUSDT", "b": "1e5", "B": "1", "a": "2", "A": "1"},
        {"u": "x", "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"},
        {"u": 1, "s": "BTCUSDT", "b": "0.123456789", "B": "1", "a": "2", "A": "1"},
        {"e": "trade", "s": "BTCUSDT", "p": "-1", "q": "1", "T": 1},
        {"e": "trade", "s": "BTCUSDT"},
    ],
)
def test_what_cannot_be_read_is_no_price(message: Any) -> None:
    feed = binance.Feed()
    binance._hear_message(feed, None, None, message)
    assert (len(feed.held), feed.unreadable) == (0, 1)


def test_an_older_quote_is_passed_over() -> None:
    feed = binance.Feed()
    for update, bid in ((5, "100"), (4, "90"), (5, "80")):
        message = {"u": update, "s": "BTCUSDT", "b": bid, "B": "1", "a": "200", "A": "1"}
        binance._hear_message(feed, None, None, message)
    assert [tick.bid for tick in feed.held] == [units("100")]
