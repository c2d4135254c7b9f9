"""`ordergate keys create|list|revoke`."""

from datetime import UTC, datetime
from typing import Any

import click

from ordergate.cli.gateway_door import ask
from ordergate.cli.terms import data_dir_option, print_table
from ordergate.config import Paths
from ordergate.supervisor.first_start import listed

SCOPES = ("read", "trade", "cancel", "risk-admin", "kill")
DEFAULT_RATE = 100
COLUMNS = {
    "id": "id",
    "account": "account",
    "owner": "owner",
    "name": "name",
    "scopes": "scopes",
    "rate/s": "ratePerSecond",
    "symbols": "symbols",
    "from": "ipAllow",
    "created": "createdAtNs",
    "expires": "expiresAtNs",
    "revoked": "revokedAtNs",
}
"""Heading -> the gateway's name for it."""
A_TIME_NS = 10**15
"""No other number in this table is as large as a time in nanoseconds."""


@click.group()
def keys() -> None:
    """API keys. A key acts for one account; its owner is a person. Only its hash is kept, so it is shown once."""


@keys.command()
@click.option("--account", required=True, metavar="NAME", help="The account that the key acts for.")
@click.option("--owner", metavar="PERSON", help="Whose key it is.  [default: the account's name]")
@click.option("--name", metavar="NAME", help="To tell keys apart.  [default: the owner's name]")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="May be repeated.  [default: read and trade]"
)
@click.option("--rate", type=click.IntRange(1, 1_000_000), default=DEFAULT_RATE, show_default=True, help="Requests/s.")
@click.option("--expires", metavar="TIME", help="RFC 3339, for example 2027-01-31T00:00:00Z.  [default: never]")
@click.option("--symbol", "symbols", multiple=True, metavar="SYMBOL", help="May be repeated.  [default: every symbol]")
@click.option(
    "--ip-allow", "networks", multiple=True, metavar="CIDR",
    help="Where it may be used from, for example 10.0.0.0/8; may be repeated.  [default: everywhere]",
)  # fmt: skip
@data_dir_option
def create(
    account: str, owner: str | None, name: str | None, scopes: tuple[str, ...], rate: int, expires: str | None,
    symbols: tuple[str, ...], networks: tuple[str, ...], paths: Paths,
) -> None:  # fmt: skip
    """Create a key and show its token, this once.

    The token alone goes to standard output, so that a script can keep it:

    \b
      TOKEN=$(ordergate keys create --account desk-a --owner ana --name bot-1 --scope read --scope trade)
    """
    owner = owner or account
    arguments: dict[str, Any] = {
        "account": account,
        "owner": owner,
        "name": name or owner,
        "scopes": list(scopes) or ["read", "trade"],
        "ratePerSecond": rate,
    }
    arguments |= {"symbols": list(symbols)} if symbols else {}
    arguments |= {"ipAllow": list(networks)} if networks else {}
    if expires is not None:
        arguments["expiresAt"] = expires
    made = ask(paths, "keys.create", arguments)
    click.echo(f"key {made['id']} of account {account}; this token is not shown again:", err=True)
    click.echo(made["token"])


@keys.command(name="list")
@data_dir_option
def list_(paths: Paths) -> None:
    """Show the keys, without their tokens."""
    found = listed(ask(paths, "keys.list", {}))
    print_table(list(COLUMNS), [[_cell(key.get(field)) for field in COLUMNS.values()] for key in found])


@keys.command()
@click.argument("key", type=int)
@data_dir_option
def revoke(key: int, paths: Paths) -> None:
    """Revoke the key with this number (see `keys list`). In force at once, for good."""
    ask(paths, "keys.revoke", {"id": key})
    click.echo(f"key {key} revoked")


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    if isinstance(value, int) and value > A_TIME_NS:
        return datetime.fromtimestamp(value // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return "" if value is None else str(value)
