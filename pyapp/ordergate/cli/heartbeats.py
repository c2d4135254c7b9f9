"""`ordergate heartbeats list|end`."""

import click

from ordergate.cli.gateway_door import ask
from ordergate.cli.kill import by_option
from ordergate.cli.terms import data_dir_option, print_table
from ordergate.config import Paths

COLUMNS = ("scope", "target", "timeoutMs", "lastBeatMs", "account", "owner", "key", "keyIsValid")


@click.group()
def heartbeats() -> None:
    """Dead man's switches: scopes that are killed at level 2 when their program falls silent.

    Programs begin and end them (POST /api/v1/heartbeat). One whose key was revoked, or whose program is gone for good,
    would kill its scope again after every clear: then an operator ends it.
    """


@heartbeats.command(name="list")
@data_dir_option
def list_(paths: Paths) -> None:
    """Show what is watched, whose key asked for it, and when it was heard last."""
    rows = [
        ["" if one[name] is None else str(one[name]) for name in COLUMNS] for one in ask(paths, "heartbeats.list", {})
    ]
    print_table(list(COLUMNS), rows)


@heartbeats.command()
@click.option("--scope", type=click.Choice(["account", "strategy"]), default="account", show_default=True)
@click.option("--target", required=True, metavar="NAME", help="Which account or strategy.")
@by_option
@data_dir_option
def end(scope: str, target: str, by: str, paths: Paths) -> None:
    """End a watch. A kill that followed a missed beat stays until it is cleared."""
    ask(paths, "heartbeats.end", {"scope": scope, "target": target, "by": by})
    click.echo(f"{scope} {target} is not watched any more")
