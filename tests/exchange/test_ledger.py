"""The exchange's ledger is what it is: a killed exchange comes back the same, to the last digit."""

import asyncio
import http.client
import json
import os
import threading
from pathlib import Path

import pytest

from ordergate.exchange.config import DEFAULT
from ordergate.exchange.ledger import LedgerError, opened, replayed
from ordergate.exchange.publish import Subscriber
from ordergate.exchange.server import opened as server_over
from tests.exchange.running import BETA, Running


def traded(exchange: Running) -> None:
    exchange.tell("/book", {"symbol": "BTCUSDT", "bids": [["59990", "1"]], "asks": [["60010", "1"], ["60020", "1"]]})
    assert exchange.place("a1").status == 200
    assert exchange.place("a2", price="60020", quantity="1.5").body["status"] == "FILLED"
    assert exchange.place("a3", type="STOP_LOSS_LIMIT", price="61000", stopPrice="60500").status == 200
    assert exchange.place("b1", BETA, side="SELL", price="60100").status == 200
    assert exchange.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="a1").status == 200
    exchange.tell("/deposit", {"account": "beta", "asset": "USDT", "amount": "12.5"})
    exchange.tell("/symbol", {"symbol": "ETHUSDT", "status": "HALT"})
    exchange.tell("/step", {"seed": 3})


def facts(exchange: Running) -> object:
    state = exchange.see("/state")
    return {name: part for name, part in state.items() if name != "now"}, exchange.see("/ledger")["commits"]


def test_after_a_kill_everything_is_as_it_was(tmp_path: Path) -> None:
    with Running(ledger=tmp_path) as exchange:
        traded(exchange)
        before = facts(exchange)
        sequence = exchange.see("/ledger")["sequence"]
        exchange.kill()
    with Running(ledger=tmp_path) as exchange:
        assert facts(exchange) == before
        assert exchange.see("/ledger")["sequence"] == sequence
        assert exchange.place("a3", quantity="0.02", price="49000").code == -2010  # still open, so still a duplicate
        assert exchange.place("a1").status == 200  # canceled, so its id is free
        assert exchange.order("a2").body["cummulativeQuoteQty"] == "90020.00000000"
        assert exchange.stop() == 0
    with Running(ledger=tmp_path) as exchange:
        assert exchange.see("/ledger")["sequence"] == sequence + 1
    requests = [json.loads(line) for line in (tmp_path / "requests.jsonl").read_text().splitlines()]
    placed = [one for one in requests if one["method"] == "order.place"]
    assert [(one["clientOrderId"], one["commit"] is not None) for one in placed] == [
        ("a1", True), ("a2", True), ("a3", True), ("b1", True), ("a3", False), ("a1", True),
    ]  # fmt: skip
    assert not any("secret" in line for line in (tmp_path / "requests.jsonl").read_text().splitlines())


def test_killed_among_orders_it_keeps_each_that_it_answered(tmp_path: Path) -> None:
    asked: list[str] = []
    answered: list[str] = []
    enough = threading.Event()

    def trade(exchange: Running, trader: int) -> None:
        for number in range(10_000):
            name = f"k{trader}-{number}"
            asked.append(name)
            try:
                assert exchange.place(name, quantity="0.0002").status == 200
            except (OSError, http.client.HTTPException):
                return
            answered.append(name)
            if len(answered) > 60:
                enough.set()

    config = tmp_path / "exchange.json"
    config.write_text(json.dumps({"limits": {"ordersTenSeconds": 10**6}}))
    with Running(ledger=tmp_path / "kept", config=config) as exchange:
        traders = [threading.Thread(target=trade, args=(exchange, trader)) for trader in range(4)]
        for one in traders:
            one.start()
        assert enough.wait(60)
        exchange.process.kill()
        for one in traders:
            one.join()
    with Running(ledger=tmp_path / "kept", config=config) as exchange:
        commits = exchange.see("/ledger")["commits"]
        assert set(answered) <= commits.keys() <= set(asked)
        assert set(commits.values()) == {1}
        assert exchange.order(answered[-1]).body["status"] == "NEW"


def test_a_torn_last_line_is_cut_and_nothing_else(tmp_path: Path) -> None:
    with Running(ledger=tmp_path) as exchange:
        exchange.place("a1")
        exchange.place("a2")
        exchange.kill()
    path = tmp_path / "ledger.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"n":3,"t":1')
    seen = replayed(tmp_path).account_orders
    assert path.stat().st_size > len(whole)
    ex, ledger = opened(tmp_path, DEFAULT)
    ledger.close()
    assert ex.account_orders == seen
    assert ledger.sequence == 2 and path.read_bytes() == whole
    assert [order.client_id for order in ex.account_orders["alpha", "BTCUSDT"].values()] == ["a1", "a2"]


def test_nothing_is_answered_or_told_before_it_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        server = server_over(DEFAULT, tmp_path)
        queue: Subscriber = asyncio.Queue(10)
        server.hub.subscribe("alpha", queue)
        flushing, allowed = threading.Event(), threading.Event()

        def slow(_: int) -> None:
            flushing.set()
            assert allowed.wait(20)

        monkeypatch.setattr(os, "fdatasync", slow)
        moves = [{"account": "alpha", "asset": "USDT", "amount": amount} for amount in ("1", "2", "3")]
        asked = [asyncio.create_task(server.execute("transfer", move)) for move in moves]
        assert await asyncio.to_thread(flushing.wait, 20)
        assert not any(one.done() for one in asked) and queue.empty()
        assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 4  # written, so a kill loses none of them
        allowed.set()
        assert [place for _, place in await asyncio.gather(*asked)] == [1, 2, 3]
        told = [queue.get_nowait() for _ in range(queue.qsize())]
        assert [one.body["d"] for one in told if one and one.kind == "balanceUpdate"] == [
            "1.00000000", "2.00000000", "3.00000000",
        ]  # fmt: skip
        server.ledger.close()

    asyncio.run(check())


def test_a_changed_line_and_other_settings_are_refused(tmp_path: Path) -> None:
    with Running(ledger=tmp_path) as exchange:
        exchange.place("a1")
        exchange.stop()
    path = tmp_path / "ledger.jsonl"
    whole = path.read_text()
    path.write_text(whole.replace('"quantity":"0.01"', '"quantity":"0.02"'))
    with pytest.raises(LedgerError, match="command 1"):
        opened(tmp_path, DEFAULT)
    path.write_text(whole.replace('"maker":"0.001"', '"maker":"0.002"', 1))
    with pytest.raises(LedgerError, match="other settings"):
        opened(tmp_path, DEFAULT)
