"""A session of the PAPER venue between a fake journal and a fake gateway, with real sockets and a real Valkey."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ordergate.venues import kill_reading, link
from ordergate.venues.link import LinkClosed
from ordergate.venues.paper import matching, session
from ordergate.venues.paper.session import Session
from ordergate.venues.prices import PricesRefused, Tick
from tests.unit.paper_parts import BTC, quote, trade
from tests.unit.valkey_server import Valkey, valkey
from tests.unit.venue_stage import NOW, SESSION, FakeJournal, Stage, amend, cancel, connected, greeted, play, submit


@pytest.fixture
def place() -> Iterator[Path]:
    with TemporaryDirectory(prefix="og-") as directory:
        yield Path(directory)


@pytest.fixture
def server(place: Path) -> Iterator[Valkey]:
    with valkey(place) as running:
        yield running


def test_orders_cancels_and_ticks_become_reports(place: Path, server: Valkey) -> None:
    async def scenario(stage: Stage) -> None:
        stage.ticks.put_nowait(quote("39499.99", "39500"))
        await stage.settle()
        stage.give(submit(201, price="40000", quantity="0.001"), submit(202), submit(203), cancel(203), cancel(9))
        assert await stage.gateway.reports(6) == [
            # Before the kill switch is read: cancels of other orders do not wait for Redis.
            ["CANCEL_REJECT", 9, "UNKNOWN_ORDER", "no such order is working here"],
            ["ACK", 201, "paper-201"],
            ["FILL", 201, "42-1", "39500", "0.001", "39.5", "0.000001", "BTC", False, NOW],
            ["ACK", 202, "paper-202"],
            ["ACK", 203, "paper-203"],
            ["CANCELED", 203, "", ""],
        ]
        stage.ticks.put_nowait(trade("38999", "0.25"))
        assert (await stage.gateway.reports(1))[0][:5] == ["FILL", 202, "42-2", "39000", "0.25"]
        assert set(stage.journal.asked) == {("paper", SESSION)}

    play(place, server, scenario)


def test_the_journal_is_looked_at_without_doorbells_too(place: Path, server: Valkey) -> None:
    async def scenario(stage: Stage) -> None:
        stage.give(submit(201), ring=False)
        assert await stage.gateway.reports(1) == [["ACK", 201, "paper-201"]]

    play(place, server, scenario)


def test_a_backlog_is_worked_off_at_once(place: Path, server: Valkey) -> None:
    async def scenario(stage: Stage) -> None:
        stage.journal.chunks = [[submit(200 + number)] for number in range(300)]
        stage.gateway.ring()
        start = asyncio.get_running_loop().time()
        assert [report[1] for report in await stage.gateway.reports(300)] == list(range(200, 500))
        assert asyncio.get_running_loop().time() - start < 300 * session.POLL_S / 4

    play(place, server, scenario)


def test_handed_over_orders_rest_again(place: Path, server: Valkey) -> None:
    older = NOW - 60_000_000_000
    work = [
        submit(150, older, filled="0.75"),
        submit(151, older),
        submit(152, older, kind="MARKET", time_in_force="IOC", price=None),
        submit(153, NOW - 3_000_000_000, side="SELL", price="41000"),
        cancel(151),
    ]

    async def scenario(stage: Stage) -> None:
        assert await stage.gateway.reports(5) == [
            ["ACK", 151, "paper-151"],
            ["ACK", 152, "paper-152"],
            ["EXPIRED", 152, "VENUE_RESTARTED", "the venue restarted while this order was being filled"],
            ["ACK", 153, "paper-153"],
            ["CANCELED", 151, "", ""],
        ]
        stage.ticks.put_nowait(quote("38000", "38001"))
        assert [report[1:6] for report in await stage.gateway.reports(1)] == [[150, "42-1", "39000", "0.25", "9750"]]

    play(place, server, scenario, handed_over=work)


def test_an_order_seen_twice_is_sent_once(place: Path, server: Valkey) -> None:
    async def scenario(stage: Stage) -> None:
        assert await stage.gateway.reports(2) == [["ACK", 150, "paper-150"], ["ACK", 201, "paper-201"]]
        stage.give(submit(150, NOW - 1), submit(201), submit(202))
        assert await stage.gateway.reports(1) == [["ACK", 202, "paper-202"]]

    # The second one was started for this very session before its HELLO was read.
    play(place, server, scenario, handed_over=[submit(150, NOW - 1), submit(201, NOW)])


def test_only_orders_of_earlier_sessions_are_taken_over_unchecked(place: Path, server: Valkey) -> None:
    async def scenario(stage: Stage) -> None:
        first, second = await stage.gateway.reports(2)
        assert first == ["ACK", 150, "paper-150"]
        assert second[:3] == ["NOT_SENT", 201, "KILLED"]

    server.command("SET", kill_reading.KEY, '{"active":true}')
    play(place, server, scenario, handed_over=[submit(150, NOW - 1), submit(201, NOW)])


@pytest.mark.parametrize(
    ("value", "refused"),
    [('{"active":true,"reason":"drill"}', "KILLED"), ("nonsense", "KILLED"), ('{"active":false}', None)],
)
def test_the_kill_switch_is_read_before_sending(place: Path, server: Valkey, value: str, refused: str | None) -> None:
    async def scenario(stage: Stage) -> None:
        server.command("SET", kill_reading.KEY, value)
        stage.give(submit(201), cancel(201))
        first, second = await stage.gateway.reports(2)
        if refused:
            assert first[:3] == ["NOT_SENT", 201, refused]
            assert second[:3] == ["CANCEL_REJECT", 201, "UNKNOWN_ORDER"]
        else:
            assert [first[0], second[0]] == ["ACK", "CANCELED"]

    play(place, server, scenario)


def test_a_kill_is_seen_within_its_age(place: Path, server: Valkey) -> None:
    async def scenario(stage: Stage) -> None:
        stage.give(submit(201))
        assert (await stage.gateway.reports(1))[0][0] == "ACK"
        server.command("SET", kill_reading.KEY, '{"active":true}')
        await asyncio.sleep(kill_reading.MAX_AGE_S)
        stage.give(submit(202))
        assert (await stage.gateway.reports(1))[0][:3] == ["NOT_SENT", 202, "KILLED"]

    play(place, server, scenario)


def test_an_unreadable_switch_sends_nothing_but_cancels_pass_first(place: Path, server: Valkey) -> None:
    async def scenario(stage: Stage) -> None:
        stage.give(submit(201))
        await stage.gateway.reports(1)
        server.stop()
        await asyncio.sleep(kill_reading.MAX_AGE_S)
        stage.give(submit(202), cancel(201))
        canceled, refused = await stage.gateway.reports(2)
        assert canceled == ["CANCELED", 201, "", ""]
        assert refused[:3] == ["NOT_SENT", 202, "KILL_SWITCH_UNREADABLE"]

    play(place, server, scenario)


@pytest.mark.parametrize(("age_ns", "sent"), [(2_000_000_000, True), (2_000_000_001, False)])
def test_an_order_goes_out_within_two_seconds_or_not_at_all(
    place: Path, server: Valkey, age_ns: int, sent: bool
) -> None:
    async def scenario(stage: Stage) -> None:
        stage.journal.now = NOW + age_ns
        stage.give(submit(201))
        report = (await stage.gateway.reports(1))[0]
        assert report[:3] == (["ACK", 201, "paper-201"] if sent else ["NOT_SENT", 201, "TOO_OLD"])

    play(place, server, scenario)


def test_latency(place: Path, server: Valkey) -> None:
    async def scenario(stage: Stage) -> None:
        stage.give(submit(201))
        await stage.settle()
        assert [
            item.order for _, item in stage.session.exchange.in_flight if isinstance(item, matching.PaperOrder)
        ] == [201]
        stage.journal.now = NOW + 30_000_000
        assert await stage.gateway.reports(1) == [["ACK", 201, "paper-201"]]

    play(place, server, scenario, latency_ms=30)


def test_prices_and_heartbeats(place: Path, server: Valkey) -> None:
    async def scenario(stage: Stage) -> None:
        stage.ticks.put_nowait(quote("39499.99", "39500"))
        await stage.settle()
        stage.ticks.put_nowait(quote("39499", "39501"))
        await stage.settle()
        stage.journal.now += 50_000_000
        seen: list[Any] = []
        async with asyncio.timeout(5):
            while seen.count(["HEARTBEAT"]) < 3:
                seen += await stage.gateway.frame()
        assert [report[:4] for report in seen if report[0] == "PRICE"] == [
            ["PRICE", "BTCUSDT", "39499.99", "39500"],
            ["PRICE", "BTCUSDT", "39499", "39501"],
        ]

    play(place, server, scenario)


def test_the_session_ends_with_its_socket(place: Path, server: Valkey) -> None:
    async def scenario(stage: Stage) -> None:
        stage.give(submit(201))
        await stage.gateway.reports(1)
        stage.gateway.writer.close()
        with pytest.raises(LinkClosed):
            await asyncio.wait_for(stage.serving, 5)
        assert stage.session.exchange.orders.keys() == {201}

    play(place, server, scenario)


def test_nothing_is_sent_when_the_socket_closes_while_the_switch_is_read(
    place: Path, server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(stage: Stage) -> None:
        renew = kill_reading.renew

        async def close_meanwhile(reading: kill_reading.KillReading, keys: Iterable[str]) -> None:
            await renew(reading, keys)
            stage.gateway.writer.close()
            await stage.gateway.writer.wait_closed()

        monkeypatch.setattr(kill_reading, "renew", close_meanwhile)
        stage.give(submit(201))
        with pytest.raises(LinkClosed):
            await asyncio.wait_for(stage.serving, 5)
        assert not stage.session.exchange.orders
        assert stage.session.exchange.trades == 0

    play(place, server, scenario)


def test_a_failing_source_ends_the_session_with_its_words(place: Path, server: Valkey) -> None:
    async def run() -> None:
        async def broken() -> AsyncIterator[Tick]:
            yield quote("1", "2")
            raise PricesRefused("quotes.csv:7: bad")

        connection, gateway, listener = await connected(place)
        number, _ = await greeted(connection, gateway)
        exchange = matching.open_exchange(number, "0", 0, {BTC.symbol: BTC})
        reading = kill_reading.watch(server.url)
        one = Session(number, FakeJournal(), connection, reading, exchange, NOW)
        with pytest.raises(PricesRefused, match=r"quotes\.csv:7"):
            await asyncio.wait_for(session.run(one, broken(), asyncio.Event()), 5)
        link.close(connection)
        gateway.writer.close()
        listener.close()

    asyncio.run(run())


def test_types_amounts_and_changes_in_place_reach_the_venue(place: Path, server: Valkey) -> None:
    async def scenario(stage: Stage) -> None:
        stage.ticks.put_nowait(quote("39000", "39001"))
        stage.ticks.put_nowait(trade("39000.5", "1"))
        await stage.settle()
        stage.give(
            submit(201, kind="LIMIT_MAKER", price="39001"),
            submit(202, kind="STOP_LOSS", side="SELL", price=None, stop="38000", quantity="0.5"),
            submit(203, kind="TAKE_PROFIT_LIMIT", price="38500", stop="38600"),
            submit(204, kind="MARKET", time_in_force="IOC", price=None, quantity="0", quote="390.01"),
            submit(205, quantity="2"),
        )
        reports = await stage.gateway.reports(7)
        assert [report[:2] for report in reports] == [
            ["REJECT", 201], ["ACK", 202], ["ACK", 203], ["ACK", 204], ["FILL", 204], ["DONE", 204], ["ACK", 205],
        ]  # fmt: skip
        assert reports[0][2] == "WOULD_TAKE"
        assert reports[4][3:6] == ["39001", "0.01", "390.01"]
        # The cancels and changes of others do not wait for a new order's reading.
        stage.give(amend(205, "1.5"), cancel(202), amend(203, "3"))
        assert [report[:3] for report in await stage.gateway.reports(3)] == [
            ["REPLACED", 205, "1.5"], ["CANCELED", 202, ""], ["REPLACE_REJECT", 203, "AMEND_REFUSED"],
        ]  # fmt: skip

    play(place, server, scenario)
