"""The table of children: who is started, with what, and in which order everything stops."""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import ordergate
from ordergate.config import master_key
from ordergate.config.paths import Paths
from ordergate.supervisor import administration
from ordergate.supervisor.processes import Child

LIVE_VENUE: Final = "venue-binance"
"""The child of the LIVE venue, which is only there where LIVE is enabled."""
STOP_ORDER: Final = ("gateway", "venue", LIVE_VENUE, "worker", "valkey", "postgres")
STOP_BY_S: Final = {"gateway": 4.0, "venue": 5.0, "worker": 7.0, "valkey": 7.8, "postgres": 8.8, "postgres now": 9.5}
"""Seconds after the beginning of a stop until which each may take: what one leaves, the next ones have."""
EXIT_REFUSED: Final = 2
EXIT_JOURNAL_REFUSED: Final = 78

Programs = Callable[[Paths, Mapping[str, str]], list[Child]]
"""Makes our own processes' rows from the paths and the environment for them."""


def own_processes(paths: Paths, environment: Mapping[str, str]) -> list[Child]:
    """Gateway, worker and PAPER venue."""
    refused = frozenset({EXIT_REFUSED, EXIT_JOURNAL_REFUSED})
    return [
        Child(
            name="gateway",
            command=command("gateway", "--data-dir", str(paths.data)),
            environment=environment,
            log=paths.log / "gateway.log",
            ready=lambda: administration.listening(paths.admin_socket),
            stop_signals=((signal.SIGTERM, STOP_BY_S["gateway"]),),
            fatal_codes=refused,
            essential=True,
            attempts=3,
        ),
        Child(
            name="venue",
            command=command("venue", "paper", "--data-dir", str(paths.data)),
            environment=environment,
            log=paths.log / "venue-paper.log",
            ready=lambda: True,
            # It ends with its socket, so there is no use in a start before somebody listens.
            needs=("gateway",),
            stop_signals=((signal.SIGTERM, STOP_BY_S["venue"]),),
            fatal_codes=frozenset({EXIT_REFUSED}),
        ),
        Child(
            name="worker",
            command=command("worker", "--data-dir", str(paths.data)),
            environment=environment,
            log=paths.log / "worker.log",
            ready=lambda: True,
            stop_signals=((signal.SIGTERM, STOP_BY_S["worker"]),),
            fatal_codes=refused,
        ),
    ]


def live_process(paths: Paths, environment: Mapping[str, str]) -> Child:
    """The LIVE venue. What is wrong with its keys or its exchange never stops PAPER: it is started again and again."""
    return Child(
        name=LIVE_VENUE,
        command=command("venue", "binance", "--data-dir", str(paths.data)),
        environment=environment,
        log=paths.log / f"{LIVE_VENUE}.log",
        ready=lambda: True,
        needs=("gateway",),
        stop_signals=((signal.SIGTERM, STOP_BY_S["venue"]),),
    )


def command(*arguments: str) -> tuple[str, ...]:
    """`python -m ordergate …`; `-P`: what lies in the working directory is not imported."""
    return (sys.executable, "-P", "-m", "ordergate", *arguments)


def environment(base: Mapping[str, str], database_url: str, redis_url: str) -> dict[str, str]:
    """For our own processes: the person's, with the servers' URLs, and without what would bend them (PGHOST …).

    Nor with the key to the exchange's keys, which one child alone needs: `with_master_key`.
    """
    kept = {name: value for name, value in base.items() if not name.startswith("PG") and name != master_key.VARIABLE}
    root = str(Path(ordergate.__file__).resolve().parents[1])
    places = [root, *filter(None, base.get("PYTHONPATH", "").split(os.pathsep))]
    return kept | {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(places)),
        "PYTHONUNBUFFERED": "1",
    }


def with_master_key(environment: Mapping[str, str], base: Mapping[str, str]) -> dict[str, str]:
    """The environment of the child that speaks to the exchange."""
    given = {master_key.VARIABLE: base[master_key.VARIABLE]} if master_key.VARIABLE in base else {}
    return dict(environment) | given
