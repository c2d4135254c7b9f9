"""`ordergate accounts create|list`."""

from decimal import Decimal, InvalidOperation
from typing import Any

import click

from ordergate.cli.gateway_door import ask
from ordergate.cli.terms import data_dir_option, print_table
from ordergate.config import Paths
from ordergate.supervisor.first_start import account_name, listed


@click.group()
def accounts() -> None:
    """Trading accounts. PAPER money is play money; it is never added to LIVE money."""


def _amounts(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    amounts: dict[str, str] = {}
    for text in given:
        asset, equals, amount = text.partition("=")
        try:
            number = Decimal(amount)
        except InvalidOperation:
            number = Decimal("NaN")
        if not equals or not asset.isalnum() or asset != asset.upper() or not number.is_finite() or number <= 0:
            raise click.BadParameter(f"{text!r}: expected ASSET=AMOUNT, for example USDT=100000")
        if asset in amounts:
            raise click.BadParameter(f"{asset} is given twice")
        amounts[asset] = format(number, "f")
    return amounts


@accounts.command()
@click.argument("name")
@click.option(
    "--paper", multiple=True, callback=_amounts, metavar="ASSET=AMOUNT", help="Opening balance; may be repeated."
)
@data_dir_option
def create(name: str, paper: dict[str, str], paths: Paths) -> None:
    """Create the account NAME.

    \b
    Example:
      ordergate accounts create desk-a --paper USDT=100000 --paper BTC=1
      ordergate keys create --account desk-a --owner ana --name bot-1
    """
    ask(paths, "accounts.create", {"name": name, "paper": paper})
    click.echo(f"account {name} created" + (f" with {_money(paper)} PAPER" if paper else ""))


@accounts.command(name="list")
@data_dir_option
def list_(paths: Paths) -> None:
    """Show the accounts with their balances."""
    rows: list[list[str]] = []
    for account in listed(ask(paths, "accounts.list", {})):
        balances: list[dict[str, Any]] = account.get("balances") or [{}]
        for balance in balances:
            shown = [str(balance.get(key, "")) for key in ("mode", "asset", "total", "held")]
            rows.append([account_name(account), *shown])
    print_table(["account", "mode", "asset", "total", "held"], rows)


def _money(amounts: dict[str, str]) -> str:
    return ", ".join(f"{amount} {asset}" for asset, amount in amounts.items())
