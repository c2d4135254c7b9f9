"""`ordergate venue add|test|list|remove`: the keys that accounts trade with at an exchange."""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ordergate.cli import processes
from ordergate.cli.gateway_door import ask
from ordergate.cli.terms import data_dir_option, print_table, refuse
from ordergate.config import Paths, Settings, SettingsError, load_settings, master_key
from ordergate.supervisor.addresses import ForeignUrls, own_environment
from ordergate.supervisor.first_start import account_name, listed

if TYPE_CHECKING:
    from ordergate.venues.binance.credentials import Credential
    from ordergate.venues.binance.key_check import Finding

PROCESSES: Final = ("paper", "binance")
"""Names of our own processes: `ordergate venue paper` is what the supervisor starts."""


class Venues(click.Group):
    """The commands for people, and behind them the entries of the processes."""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return processes.venue(name) if name in PROCESSES else super().get_command(context, name)


@click.group(cls=Venues)
def venue() -> None:
    """Connect accounts to an exchange. Each account has at most one key there.

    Keys are kept sealed in credentials.enc in the data directory; what opens them is the master key, in
    ORDERGATE_MASTER_KEY or in the file that the setting binance.master_key_file names.
    """


exchange_argument = click.argument("exchange", type=click.Choice(["binance"]))
account_option = click.option("--account", required=True, metavar="NAME", help="The account here.")


@venue.command()
@exchange_argument
@account_option
@click.option(
    "--from", "source", type=click.Path(dir_okay=False, allow_dash=True, path_type=str), metavar="FILE",
    help="Read key and secret from this file, - for standard input.  [default: ask for them]",
)  # fmt: skip
@click.option("--generate-master-key", is_flag=True, help="Make the master key when there is none yet.")
@click.option("--unchecked", is_flag=True, help="Keep the key without asking the exchange about it.")
@data_dir_option
def add(
    exchange: str, account: str, source: str | None, generate_master_key: bool, unchecked: bool, paths: Paths
) -> None:
    """Add an account's key, or replace it.

    First line: the API key. What follows: its secret, or the PEM of an Ed25519 key. Neither is ever an argument, where
    others could see it. The exchange is asked first whether the key may trade and cannot withdraw; otherwise it is not
    kept.

    \b
    Example:
      ordergate venue add binance --account desk-a --generate-master-key
      ordergate venue add binance --account desk-a --from key.txt
    """
    from ordergate.venues.binance import credentials

    settings = _settings(paths)
    known = [account_name(one) for one in listed(ask(paths, "accounts.list", {}))]
    if account not in known:
        refuse(f"there is no account {account}: `ordergate accounts create {account}` makes it", 1)
    try:
        master = _master_key(settings, paths, generate_master_key)
        credential = credentials.checked(account, *_key_and_secret(source))
        if not unchecked:
            findings = _examined(settings, paths, credential)
            _show(findings)
            if _refused(findings):
                refuse("the key was not kept", 1)
        replaced = credentials.keep(paths.credentials, master, credential, exchange)
    except (credentials.CredentialsError, master_key.MasterKeyError) as error:
        refuse(str(error), 1)
    kind = credentials.kind_of(credential)
    click.echo(f"{account}: {kind} key {credentials.hint(credential.api_key)} {'replaced' if replaced else 'added'}")
    if not settings.binance.enabled:
        click.echo("LIVE is off: set enabled = true in [binance] and restart `ordergate up`", err=True)


@venue.command()
@exchange_argument
@account_option
@data_dir_option
def test(exchange: str, account: str, paths: Paths) -> None:
    """Look at an account's key: the exchange reachable, clock, key valid, cannot withdraw, may trade, addresses.

    Nothing is traded. Exit code 0 when LIVE may trade with it, 1 otherwise; each line says what to do.
    """
    from ordergate.venues.binance import credentials

    settings = _settings(paths)
    try:
        master = master_key.read(settings, paths)
        credential = credentials.unseal(paths.credentials, master, account, exchange)
    except (credentials.CredentialsError, master_key.MasterKeyError) as error:
        refuse(str(error), 1)
    findings = _examined(settings, paths, credential)
    _show(findings)
    if _refused(findings):
        refuse("LIVE must not trade with this key", 1)


@venue.command(name="list")
@data_dir_option
def list_(paths: Paths) -> None:
    """Show which accounts have a key, without the keys."""
    from ordergate.venues.binance import credentials

    try:
        kept = credentials.entries(paths.credentials)
    except credentials.CredentialsError as error:
        refuse(str(error), 1)
    rows = [[one.venue, one.account, one.kind, one.hint, one.added_at] for one in kept]
    print_table(["venue", "account", "kind", "key", "added"], rows)


@venue.command()
@exchange_argument
@account_option
@data_dir_option
def remove(exchange: str, account: str, paths: Paths) -> None:
    """Forget an account's key. It stays valid at the exchange until it is deleted there."""
    from ordergate.venues.binance import credentials

    try:
        if not credentials.remove(paths.credentials, account, exchange):
            refuse(f"{account} has no {exchange} key", 1)
    except credentials.CredentialsError as error:
        refuse(str(error), 1)
    click.echo(f"{account}: key forgotten here; delete it at the exchange, too")
    click.echo("a venue that runs goes on with it until `ordergate up` is restarted", err=True)


def _settings(paths: Paths) -> Settings:
    try:
        return load_settings(paths.data, environment=own_environment(os.environ, paths.data))
    except (ForeignUrls, SettingsError) as error:
        refuse(str(error))


def _master_key(settings: Settings, paths: Paths, generate: bool) -> bytes:
    try:
        return master_key.read(settings, paths)
    except master_key.MasterKeyMissing as error:
        file = master_key.file_of(settings, paths)
        if not generate:
            refuse(f"{error}; --generate-master-key makes {file}", 1)
        if paths.credentials.exists():
            refuse(f"{error}, and a new one does not open {paths.credentials}: bring the old one back", 1)
        master_key.generate(file)
        click.echo(f"master key made: {file}; keep a copy apart from the data directory", err=True)
        return master_key.read(settings, paths)


def _key_and_secret(source: str | None) -> tuple[str, str]:
    if source is None and sys.stdin.isatty():
        return click.prompt("API key"), click.prompt("Secret (a PEM: use --from)", hide_input=True)
    try:
        text = sys.stdin.read() if source in (None, "-") else Path(str(source)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        refuse(f"{source}: cannot be read: {getattr(error, 'strerror', None) or 'not text'}", 1)
    api_key, _, secret = text.strip().partition("\n")
    return api_key, secret


def _examined(settings: Settings, paths: Paths, credential: "Credential") -> "list[Finding]":
    from ordergate.venues.binance import key_check, rest
    from ordergate.venues.binance.budget import Budget
    from ordergate.venues.binance.clock import Clock

    async def look() -> "list[Finding]":
        clock = Clock()
        # The venue's own bans count for us, and ours for it: the exchange looks at the address.
        budget = Budget(clock.now_ms, paths.exchange_limits)
        binance = settings.binance
        asked = rest.open(rest.urls_of(binance), credential, clock, budget, timeout_ms=binance.timeout_ms)
        try:
            return await key_check.examine(asked)
        finally:
            await asked.close()

    return asyncio.run(look())


def _refused(findings: "list[Finding]") -> bool:
    from ordergate.venues.binance import key_check

    return key_check.refuses(findings)


def _show(findings: "list[Finding]") -> None:
    print_table(
        ["check", "result", "seen", "to do"], [[one.name, one.result, one.text, one.advice] for one in findings]
    )
