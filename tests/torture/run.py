"""Cycles of faults on a system that trades, with a check after every few of them.

A run is a function of its seed as far as what is done in which order; when exactly things meet is the machine's doing.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.acceptance import agreement
from tests.acceptance.market import replayed_prices
from tests.acceptance.system import await_trading, forget, kill_everything, launch, stop
from tests.torture import checker, live, live_checker, load
from tests.torture.checker import Figures
from tests.torture.exchange import still
from tests.torture.faults import Cycle, Fault, Stage, carry_out, draw

LOAD_S = (0.1, 1.5)
"""Trading between two faults."""
CHECK_EVERY = 20
SETTINGS = "[journal]\nsegment_mib = 1\nstate_hash_every = 250\n"
"""Small segments and frequent state hashes: both are met in every run."""


class Failed(Exception):
    """Something promised did not hold; the message says what, and how to see it again."""


@dataclass
class Run:
    """What has happened so far."""

    seed: int
    number: int = 0
    """The cycle under way, counted from 1."""
    cycles: Counter[str] = field(default_factory=Counter)
    history: list[str] = field(default_factory=list)
    """Faults since the last check that passed."""
    checks: int = 0
    cleared: int = 0
    missed: int = 0
    figures: Figures = field(default_factory=Figures)
    seconds: float = 0.0

    def summary(self) -> str:
        """One line with the figures."""
        by_fault = " ".join(f"{name}={count}" for name, count in sorted(self.cycles.items()))
        seen = self.figures
        return (
            f"seed {self.seed}: {sum(self.cycles.values())} faults in {self.seconds:.0f} s ({by_fault});"
            f" {self.missed} injected ends missed, {self.cleared} kills cleared, {self.checks} checks,"
            f" {seen.seq} records, {seen.orders} orders, {seen.fills} fills, {seen.requests} requests,"
            f" {seen.unanswered} never answered, {seen.repeats} repeats; 0 lost, 0 twice, 0 orphans"
        )


def schedule(seed: int, faults: Sequence[Fault]) -> Iterator[Cycle]:
    """The cycles of a seed, for ever the same."""
    random = Random(f"{seed}/faults")
    while True:
        yield draw(random, faults)


def torture(
    directory: Path,
    seed: int,
    cycles: Iterable[Cycle],
    *,
    goes_on: Callable[[int, float], bool] = lambda cycles, seconds: True,
    check_every: int = CHECK_EVERY,
    load_s: tuple[float, float] = LOAD_S,
    say: Callable[[str], None] = print,
    trades_live: bool = False,
) -> Run:
    """Runs the cycles, while `goes_on(cycles so far, seconds so far)`. Raises Failed; the data then stay."""
    data_dir = directory / "data"
    run, began = Run(seed), time.monotonic()
    stage = raised(directory, data_dir, seed, trades_live)
    passed = False
    try:
        await_trading(stage.system)
        traders = (live if trades_live else load).begin(stage, directory, seed)
        try:
            for number, cycle in enumerate(cycles):
                run.seconds = time.monotonic() - began
                if not goes_on(number, run.seconds):
                    break
                if number and number % check_every == 0:
                    examine(run, stage, traders)
                    say(f"  {run.seconds:6.0f} s: {number} cycles, {run.figures}")
                stage.random = Random(f"{seed}/cycle/{number}")
                time.sleep(stage.random.uniform(*load_s))
                run.number = number + 1
                names = "+".join(fault.name for fault in cycle)
                run.history.append(f"{run.number} {names}")
                carry_out(stage, cycle)
                run.cycles.update(fault.name for fault in cycle)
                traders.check()
            examine(run, stage, traders)
        finally:
            load.end(traders)
        if trades_live:
            live.last_look(stage, traders.traders, Random(f"{seed}/end"))
        else:
            agreement.check(stage.system, [trader.client.token for trader in traders.traders])
        stop(stage.system)
        passed = True
    except Exception as failure:
        raise Failed(
            f"{failure}\n\nseed {seed}, cycle {run.number}; faults since the last check that passed:\n  "
            + "\n  ".join(run.history)
            + f"\ndata kept in {data_dir}"
        ) from failure
    finally:
        kill_everything(stage.system)
        live.end(stage)
        if passed:
            forget(stage.system)
    run.seconds, run.cleared, run.missed = time.monotonic() - began, stage.cleared, stage.missed
    return run


def raised(directory: Path, data_dir: Path, seed: int, trades_live: bool) -> Stage:
    """A system that starts, and for LIVE the exchange that it will trade at."""
    data_dir.mkdir(mode=0o711, parents=True)
    exchange = live.opened(directory, seed) if trades_live else None
    (data_dir / "ordergate.toml").write_text(SETTINGS + (live.settings(exchange) if exchange is not None else ""))
    system = launch(data_dir, prices=replayed_prices(directory / "btcusdt"))
    return Stage(system, Random(), exchange=exchange)


def examine(run: Run, stage: Stage, traders: load.Load) -> None:
    """Stops the load, checks everything, forgets the faults that are proved harmless. PAPER's market goes on."""
    check = checker.check if stage.exchange is None else live_checker.check
    with load.quiet(traders), still(stage.market):
        before = run.figures
        run.figures = check(stage, traders.traders, Random(f"{run.seed}/check/{run.checks}"))
        # As many records as lie between two state hashes, and a few of a chunk: the live state was compared.
        newer = run.figures.hash_agreed > before.hash_agreed or run.figures.seq - before.seq < 1000
        assert newer, f"I12: no state hash since record {before.hash_agreed}"
    run.checks += 1
    run.history.clear()
    stage.shut.clear()
    stage.unsent.clear()
