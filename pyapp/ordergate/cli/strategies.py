"""`ordergate strategies create|start|stop|list`."""

import json

import click

from ordergate.cli.gateway_door import ask
from ordergate.cli.kill import by_option
from ordergate.cli.terms import data_dir_option, print_table
from ordergate.config import Paths

reason_option = click.option("--reason", metavar="TEXT", default="no reason given", show_default=True, help="Why.")


@click.group()
def strategies() -> None:
    """Strategies: an order that carries a strategyId is taken only while that strategy is RUNNING.

    A strategy belongs to one account and begins STOPPED. A kill stops those that it covers; nothing but a person starts
    them again.

    \b
      ordergate strategies create grid-1 --account desk-a
      ordergate strategies start grid-1
    """


@strategies.command()
@click.argument("name")
@click.option("--account", required=True, metavar="NAME", help="Whose orders it places.")
@by_option
@data_dir_option
def create(name: str, account: str, by: str, paths: Paths) -> None:
    """Create a strategy. It begins STOPPED."""
    ask(paths, "strategies.create", {"name": name, "account": account, "by": by})
    click.echo(f"strategy {name} of account {account}: STOPPED")


@strategies.command()
@click.argument("name")
@reason_option
@by_option
@data_dir_option
def start(name: str, reason: str, by: str, paths: Paths) -> None:
    """Let a strategy place orders; refused while a kill covers it."""
    ask(paths, "strategies.start", {"name": name, "by": by, "reason": reason})
    click.echo(f"strategy {name}: RUNNING")


@strategies.command()
@click.argument("name")
@reason_option
@by_option
@data_dir_option
def stop(name: str, reason: str, by: str, paths: Paths) -> None:
    """Take no more orders of a strategy. Its open orders stay."""
    ask(paths, "strategies.stop", {"name": name, "by": by, "reason": reason})
    click.echo(f"strategy {name}: STOPPED")


@strategies.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@data_dir_option
def list_(as_json: bool, paths: Paths) -> None:
    """Show the strategies."""
    found = ask(paths, "strategies.list", {})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    columns = ["id", "account", "status", "by", "source", "reason"]
    print_table(columns, [[str(strategy[column]) for column in columns] for strategy in found])
