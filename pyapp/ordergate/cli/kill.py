"""`ordergate kill on|off|status|adopt-redis`."""

import getpass
from typing import Any

import click

from ordergate.cli.gateway_door import ask
from ordergate.cli.terms import data_dir_option, print_table
from ordergate.config import Paths


def _myself() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return "cli"


by_option = click.option(
    "--by", default=_myself, show_default="your user name", metavar="PERSON", help="Who does it, for the journal."
)


@click.group()
def kill() -> None:
    """The kill switch: stops all trading.

    For now it has one scope, all trading of this gateway, and one level, L1: new orders are refused and those not yet
    sent are canceled. Orders that work at the exchange stay there, and can be canceled one by one. Clearing it starts
    no strategy again.

    Without a running gateway `on` and `off` go to the journal, for the next start; a kill key at Redis has its say
    then, too.
    """


@kill.command()
@click.option("--reason", required=True, metavar="TEXT", help="Shown to everybody whose orders are refused.")
@by_option
@data_dir_option
def on(reason: str, by: str, paths: Paths) -> None:
    """Stop all trading, at once."""
    ask(paths, "kill.on", {"by": by, "reason": reason})
    click.echo(f"killed: {reason}")


@kill.command()
@by_option
@data_dir_option
def off(by: str, paths: Paths) -> None:
    """Clear the kill: removes the key at Redis, and journals who did it."""
    ask(paths, "kill.off", {"by": by})
    click.echo("open: not killed")


@kill.command()
@data_dir_option
def status(paths: Paths) -> None:
    """Show whether trading is stopped, and whether Redis can be read."""
    _show(ask(paths, "kill.status", {}))


@kill.command(name="adopt-redis")
@by_option
@data_dir_option
def adopt_redis(by: str, paths: Paths) -> None:
    """Take over a Redis that another install has used, after a kill `redis_foreign`.

    Only when no other gateway uses that Redis any more: two of them would clear each other's kills. Trading stays
    stopped until `ordergate kill off`.
    """
    _show(ask(paths, "kill.adopt-redis", {"by": by}))


def _show(state: dict[str, Any]) -> None:
    rows = [
        ["killed", "yes" if state.get("killed") else "no"],
        ["level", str(state.get("level", ""))],
        ["reason", str(state.get("reason", ""))],
    ]
    if "redisProblem" in state:  # a running gateway
        rows.append(["redis", state["redisProblem"] or "read and written"])
    print_table(["what", "is"], rows)
