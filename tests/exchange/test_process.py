"""The command: what it prints, how it is set up, how it ends."""

import json
import re
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from ordergate.cli.exchange import exchange
from ordergate.exchange.config import Limits, of_tree
from ordergate.exchange.control import ACTS
from ordergate.exchange.faults import ACTIONS
from tests.exchange.running import Running

TOML = """
[limits]
weight = 50

[[accounts]]
name = "desk"
maker = "0"
taker = "0.00075"
balances = { EUR = "1000" }
[[accounts.keys]]
apiKey = "desk-key"
secret = "not to be seen"
enableWithdrawals = true

[[symbols]]
name = "BTCEUR"
base = "BTC"
quote = "EUR"
price = "50000"
[symbols.filters.PRICE_FILTER]
minPrice = "0.1"
maxPrice = "0"
tickSize = "0.1"
[symbols.filters.LOT_SIZE]
minQty = "0.0001"
maxQty = "10"
stepSize = "0.0001"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "exchange.toml"
    path.write_text(TOML)
    return path


def started(*arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "ordergate", "exchange", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def test_settings_of_ones_own(settings: Path) -> None:
    key = "desk-key", "not to be seen"
    with Running("--market", "1", "--step-seconds", "0.05", config=settings) as exchange:
        assert exchange.said["accounts"] == [{"name": "desk", "apiKey": "desk-key"}]
        assert exchange.said["market"] == 1
        symbols = exchange.ask("GET", "/api/v3/exchangeInfo").body["symbols"]
        assert [(one["symbol"], one["filters"][0]["tickSize"]) for one in symbols] == [("BTCEUR", "0.10000000")]
        assert exchange.signed("GET", "/sapi/v1/account/apiRestrictions", key).body["enableWithdrawals"] is True
        until = time.monotonic() + 20
        while exchange.see("/state")["symbols"]["BTCEUR"]["lastTradeId"] == 0:  # it trades by itself
            assert time.monotonic() < until
            time.sleep(0.05)
        top = exchange.ask("GET", "/api/v3/ticker/bookTicker?symbol=BTCEUR").body
        params = {"symbol": "BTCEUR", "side": "BUY", "type": "MARKET", "quantity": "0.0001"}
        bought = exchange.signed("POST", "/api/v3/order", key, **params).body
        assert bought["status"] == "FILLED" and float(top["askPrice"]) == pytest.approx(50_000, rel=0.01)
        assert [fill["commission"] for fill in bought["fills"]] == ["0.00000007"]


def test_it_ends_with_whoever_started_it() -> None:
    exchange = Running()
    assert exchange.process.stdin is not None
    exchange.process.stdin.close()
    assert exchange.process.wait(20) == 0
    exchange.stop()


def test_sigterm_ends_it_while_an_answer_hangs() -> None:
    exchange = Running()
    exchange.rule("post_commit", "hang")
    with pytest.raises(TimeoutError):
        exchange.place("h1", timeout=0.3)
    assert exchange.stop() == 0


def test_what_cannot_be_used_is_said(tmp_path: Path, settings: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"acounts": []}))
    code, out, err = started("--config", str(wrong))
    assert (code, out) == (2, "") and "acounts" in err
    wrong.write_text(json.dumps({"symbols": [{"name": "X", "base": "A", "quote": "B", "price": "1", "filters": {}}]}))
    code, _, err = started("--config", str(wrong))
    assert code == 2 and "tickSize" in err
    with Running(ledger=tmp_path / "kept"):
        pass
    code, _, err = started("--config", str(settings), "--ledger", str(tmp_path / "kept"))
    assert code == 2 and "other settings" in err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, out, err = started("--port", str(taken.getsockname()[1]))
    assert (code, out) == (2, "") and "cannot listen" in err


def test_the_page_lists_every_option_action_and_act() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "exchange.md").read_text()
    config = of_tree(tomllib.loads(re.search(r"```toml\n(.*?)```", page, re.DOTALL).group(1)))  # type: ignore[union-attr]
    assert config.limits == Limits() and config.accounts[0].fees_in == "BNB"
    first = {cell for row in re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE) for cell in re.findall(r"`(\S+?)`", row)}
    assert ACTIONS.keys() <= first
    assert {f"/{name}" for name in ACTS if name != "step"} <= first
    assert {option for each in exchange.params for option in each.opts} <= set(re.findall(r"--[a-z-]+", page))
