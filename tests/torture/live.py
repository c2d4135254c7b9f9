"""A LIVE run's ground: an exchange, keys for its accounts in a gateway that trades there, and the end of it all."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from tests.acceptance import agreement
from tests.acceptance.market import replayed_prices
from tests.acceptance.system import (
    await_trading,
    clean_environment,
    forget,
    kill_everything,
    launch,
    settle,
    stop,
)
from tests.torture import exchange as exchanges
from tests.torture import live_checker, load
from tests.torture.exchange import LocalExchange
from tests.torture.faults import KILL, Stage, processes, recover, send
from tests.torture.live_faults import SHORT, exchange_of
from tests.torture.load import Load, Trader, account_of

TRADERS = 4
"""Every one more reconciles every few seconds."""


def opened(directory: Path, seed: int) -> LocalExchange:
    """An exchange that has the traders' accounts."""
    return exchanges.opened(directory / "exchange", [account_of(number) for number in range(TRADERS)], seed)


def settings(exchange: LocalExchange, margins: Mapping[str, Any] = SHORT) -> str:
    """Lines of ordergate.toml: LIVE at that exchange, with margins that are short unless told otherwise."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in {**exchange.settings, **margins}.items()]
    return "[binance]\n" + "\n".join(lines) + "\n"


def begin(stage: Stage, directory: Path, seed: int) -> Load:
    """Opens the traders' accounts, adds their keys, waits for LIVE, and lets market and traders go."""
    # Without a quote there are no prices to check orders against.
    stage.market = exchanges.move(exchange_of(stage), seed)
    return load.let_trade(ready(stage, directory, seed))


def ready(stage: Stage, directory: Path, seed: int) -> list[Trader]:
    """Traders whose accounts can trade LIVE now."""
    exchange = exchange_of(stage)
    traders = [load.trader(stage.system, directory, seed, number, {}, "LIVE") for number in range(TRADERS)]
    for trader in traders:
        add_key(stage, trader.account, *exchange.keys[trader.account])
    # A venue that found the first key goes on with it: the next one finds them all.
    send(processes(stage, "venue binance"), KILL)
    recover(stage)
    return traders


@contextmanager
def ground(directory: Path, seed: int, margins: Mapping[str, Any] = SHORT) -> Iterator[tuple[Stage, list[Trader]]]:
    """A system that trades LIVE for the length of a block, and accounts to trade with; the market is the caller's."""
    data_dir = directory / "data"
    data_dir.mkdir(mode=0o711, parents=True)
    exchange = opened(directory, seed)
    (data_dir / "ordergate.toml").write_text(settings(exchange, margins))
    stage = Stage(launch(data_dir, prices=replayed_prices(directory / "btcusdt")), Random(seed), exchange=exchange)
    try:
        await_trading(stage.system)
        yield stage, ready(stage, directory, seed)
        stop(stage.system)
    finally:
        kill_everything(stage.system)
        end(stage)
        forget(stage.system)


def add_key(stage: Stage, account: str, key: str, secret: str) -> None:
    """What a person does: the key goes in over standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "ordergate", "venue", "add", "binance", "--account", account, "--from", "-",
         "--generate-master-key", "--data-dir", str(stage.system.data_dir)],
        input=f"{key}\n{secret}\n", capture_output=True, text=True, check=False, timeout=60, env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def last_look(stage: Stage, traders: Sequence[Trader], random: Random) -> None:
    """Ends every order; then nothing is left to differ."""
    with exchanges.still(stage.market):
        agreement.end_all(stage.system, [trader.client.token for trader in traders])
        settle(stage.system)
        live_checker.check(stage, traders, random)


def end(stage: Stage) -> None:
    """No market, no exchange."""
    if stage.market is not None:
        exchanges.rest(stage.market)
    if stage.exchange is not None:
        stage.exchange.end()
