"""Price sources: the generator repeats itself and stays near its opening; replays are exact and paced."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordergate.venues import prices
from ordergate.venues.instruments import Listing, shipped_listings, shipped_tables
from ordergate.venues.paper.fixed import units
from ordergate.venues.prices import PricesRefused, Tick, replay, synthetic
from ordergate.venues.prices.pace import paced, then_stand
from tests.unit.paper_parts import quote, trade

QUOTES = "ts_ms,bid,bid_size,ask,ask_size\n"
TRADES = "ts_ms,trade_id,price,quantity,buyer_maker\n"
LISTED = shipped_listings()
KEYS = (
    "symbol base quote status minPrice maxPrice tickSize minQty maxQty stepSize marketMaxQty minNotional maxNotional "
    "openingPrice"
)


def recording(
    tmp_path: Path, quotes: str = "20,99,1,100,2\n30,98,1,99,3\n", trades: str = "10,1,99.5,0.1,true\n"
) -> Path:
    directory = tmp_path / "btcusdt"
    directory.mkdir()
    (directory / "quotes.csv").write_text(QUOTES + quotes)
    (directory / "trades.csv").write_text(TRADES + trades)
    return directory


async def some(ticks: AsyncIterator[Tick], count: int) -> list[Tick]:
    found: list[Tick] = []
    async for tick in ticks:
        found.append(tick)
        if len(found) == count:
            break
    return found


# --- the generator


def test_it_opens_where_the_documentation_says() -> None:
    opening = {tick.symbol: tick for tick in itertools.islice(synthetic.ticks(LISTED, 1), len(LISTED))}
    assert opening.keys() == LISTED.keys()
    assert opening["BTCUSDT"].ask == units("39500")
    assert opening["BTCUSDT"].bid == units("39499.99")
    assert all(tick.kind == "quote" and tick.ts_ns == 0 for tick in opening.values())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**63 - 1))
def test_it_is_plausible_for_every_seed(seed: int) -> None:
    last = {}
    for tick in itertools.islice(synthetic.ticks(LISTED, seed), 6_000):
        listing = LISTED[tick.symbol]
        opening = listing.opening_price or 0
        if tick.kind == "quote":
            assert 0 < tick.bid < tick.ask
            assert abs(tick.ask - opening) * 100 <= opening + 100 * listing.tick
            assert tick.bid % listing.tick == tick.ask % listing.tick == 0
            assert tick.bid_size % listing.step == tick.ask_size % listing.step == 0
            assert tick.bid_size > 0
            assert tick.ask_size > 0
            last[tick.symbol] = tick
        else:
            assert tick.price in (last[tick.symbol].bid, last[tick.symbol].ask)
            assert tick.size > 0
            assert tick.size % listing.step == 0
    assert last["BTCUSDT"].ask < units("40000")


def test_it_moves_and_the_seed_decides_how() -> None:
    def first(seed: int, listed: dict[str, Listing]) -> list[Tick]:
        return [tick for tick in itertools.islice(synthetic.ticks(listed, seed), 3_000) if tick.symbol == "BTCUSDT"]

    assert first(1, LISTED) == first(1, LISTED)
    assert first(1, LISTED) != first(2, LISTED)
    asks = [tick.ask for tick in first(1, LISTED) if tick.kind == "quote"]
    assert max(asks) - min(asks) > units("2")
    times = [tick.ts_ns for tick in itertools.islice(synthetic.ticks(LISTED, 1), 3_000)]
    assert times == sorted(times)


def test_an_instrument_without_an_opening_price_has_no_generated_prices() -> None:
    bare = Listing("NEWUSDT", "NEW", "USDT", 1, 1, 1)
    assert list(synthetic.ticks({"NEWUSDT": bare}, 1)) == []


# --- replays


def test_a_replay_merges_both_files_and_opens_with_a_quote(tmp_path: Path) -> None:
    plan = replay.parse(str(recording(tmp_path)), 1.0)
    assert plan.symbol == "BTCUSDT"
    assert list(replay.ticks(plan)) == [
        quote("99", "100", "1", "2", ts_ns=10_000_000),
        trade("99.5", "0.1", ts_ns=10_000_000),
        quote("99", "100", "1", "2", ts_ns=20_000_000),
        quote("98", "99", "1", "3", ts_ns=30_000_000),
    ]


def test_laps_follow_each_other_in_time(tmp_path: Path) -> None:
    plan = replay.parse(f"{recording(tmp_path)}?loop=1", 1.0)
    laps = list(itertools.islice(replay.ticks(plan), 12))
    assert [tick.ts_ns // 1_000_000 for tick in laps] == [
        10,
        10,
        20,
        30,
        1030,
        1030,
        1040,
        1050,
        2050,
        2050,
        2060,
        2070,
    ]
    assert [(tick.kind, tick.bid, tick.price) for tick in laps[:4]] == [
        (tick.kind, tick.bid, tick.price) for tick in laps[8:]
    ]


@pytest.mark.parametrize(
    ("text", "speed", "loop"),
    [("/d", 2.5, False), ("/d?speed=7", 7.0, False), ("/d?loop=1&speed=0.5", 0.5, True), ("/d?loop=0", 2.5, False)],
)
def test_options(text: str, speed: float, loop: bool) -> None:
    plan = replay.parse(text, 2.5)
    assert (plan.speed, plan.loop) == (speed, loop)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("binance", "unknown price source 'binance'"),
        ("replay:", "names no directory"),
        ("replay:/nowhere/btcusdt", "/nowhere/btcusdt: no such directory"),
        ("replay:/tmp?speed=0", "speed must be a number above 0"),
        ("replay:/tmp?speed=nan", "speed must be a number above 0"),
        ("replay:/tmp?speed=fast", "speed must be a number above 0"),
        ("replay:/tmp?loop=yes", "loop must be 0 or 1"),
        ("replay:/tmp?seed=1", "unknown option 'seed'"),
    ],
)
def test_a_source_that_cannot_be_used_says_why(source: str, words: str) -> None:
    with pytest.raises(PricesRefused, match=words.replace("?", r"\?")):
        prices.check(source)


@pytest.mark.parametrize(
    ("quotes", "trades", "words"),
    [
        ("20,99,1,100,2\nxx,99,1,100,2\n", "", r"quotes\.csv:3: 'xx' is not a time in milliseconds"),
        ("20,99,1,100\n", "", r"quotes\.csv:2: 4 fields instead of 5"),
        ("20,99,1,99,2\n", "", r"quotes\.csv:2: the bid 99 is not below the ask 99"),
        ("20,99,0,100,2\n", "", r"quotes\.csv:2: 0 is not above zero"),
        ("20,-99,1,100,2\n", "", r"quotes\.csv:2: '-99' is not a decimal"),
        ("20,99,1,100,2\n19,99,1,100,2\n", "", r"quotes\.csv:3: earlier than the row before it"),
        ("20,99,1,100,2\n", "10,1,1e3,1,true\n", r"trades\.csv:2: '1e3' is not a decimal"),
        ("20,99,1,100,2\n", "10,1,0,1,true\n", r"trades\.csv:2: 0 is not above zero"),
        ("", "10,1,1,1,true\n", r"quotes\.csv: has no row"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, quotes: str, trades: str, words: str) -> None:
    with pytest.raises(PricesRefused, match=words):
        prices.check(f"replay:{recording(tmp_path, quotes, trades)}")


def test_a_missing_file_other_columns_and_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    directory = recording(tmp_path)
    (directory / "trades.csv").write_text("time,price\n")
    with pytest.raises(PricesRefused, match=r"trades\.csv:1: the columns must be ts_ms,trade_id,"):
        prices.check(f"replay:{directory}")
    (directory / "trades.csv").write_bytes(TRADES.encode() + b"10,1,1,1,true\n\xff\n")
    with pytest.raises(PricesRefused, match=r"trades\.csv:\d: 'utf-8' codec"):
        prices.check(f"replay:{directory}")
    (directory / "trades.csv").unlink()
    with pytest.raises(PricesRefused, match=r"trades\.csv: No such file"):
        prices.check(f"replay:{directory}")


def test_the_directory_must_be_named_after_an_instrument(tmp_path: Path) -> None:
    source = f"replay:{recording(tmp_path).rename(tmp_path / 'tuesday')}"
    prices.check(source)
    with pytest.raises(PricesRefused, match="TUESDAY is not"):
        prices.open_prices(source, LISTED, seed=1, speed=1.0)


def test_a_relative_directory_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(recording(tmp_path))
    assert replay.parse(".", 1.0).symbol == "BTCUSDT"


# --- pace


@pytest.mark.parametrize(("speed", "least_s", "most_s"), [(10.0, 0.08, 0.5), (1e6, 0.0, 0.2)])
def test_ticks_come_when_they_are_due(speed: float, least_s: float, most_s: float) -> None:
    async def measure() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        ticks = [quote("1", "2", ts_ns=n * 200_000_000) for n in range(5)]
        assert await some(paced(ticks, speed), 5) == ticks
        return loop.time() - start

    assert least_s <= asyncio.run(measure()) <= most_s


def test_a_source_behind_its_times_gives_way_to_others() -> None:
    async def others() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        await some(paced((quote("1", "2") for _ in itertools.count()), 1.0), 10_000)
        counting.cancel()
        return turns

    assert asyncio.run(others()) >= 30


def test_after_the_end_the_last_quotes_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ordergate.venues.prices.pace.STAND_S", 0.001)
    told = [quote("1", "2"), trade("2", "1"), quote("3", "4")]
    assert asyncio.run(some(then_stand(paced(told, 1e6)), 6)) == [*told, told[2], told[2], told[2]]


def test_open_prices_gives_an_endless_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ordergate.venues.prices.pace.STAND_S", 0.001)
    source = f"replay:{recording(tmp_path)}"

    async def first_six() -> list[Tick]:
        return await some(prices.open_prices(source, LISTED, seed=1, speed=1e6), 6)

    assert [tick.bid for tick in asyncio.run(first_six())][-2:] == [units("98")] * 2


# --- instruments


def test_the_shipped_instruments_are_sane() -> None:
    tables = {table["symbol"]: table for table in shipped_tables()}
    assert list(tables) == ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "ETHBTC"]
    assert [tables["BTCUSDT"][key] for key in ("tickSize", "stepSize", "minNotional")] == ["0.01", "0.00001", "5"]
    for symbol, table in tables.items():
        assert set(table) == set(KEYS.split())
        assert symbol == table["base"] + table["quote"]
        value = {key: units(text) for key, text in table.items() if key not in ("symbol", "base", "quote", "status")}
        assert 0 < value["minPrice"] <= value["openingPrice"] <= value["maxPrice"]
        assert 0 < value["minQty"] <= value["marketMaxQty"] <= value["maxQty"]
        assert 0 < value["minNotional"] <= value["maxNotional"]
        assert value["minPrice"] % value["tickSize"] == value["openingPrice"] % value["tickSize"] == 0
        assert value["minQty"] % value["stepSize"] == value["marketMaxQty"] % value["stepSize"] == 0
