"""`ordergate db migrate|status`."""

import os
import sys
from typing import Any

import click

from ordergate.cli.terms import data_dir_option, refuse
from ordergate.config import Paths, SettingsError, load_settings
from ordergate.supervisor.addresses import ForeignUrls, kept, own_environment


@click.group()
def db() -> None:
    """The database holds rows for people and reports; the journal is what trading relies on.

    Migrations only go forward. `ordergate up` applies them by itself when it starts.
    """


@db.command()
@data_dir_option
def migrate(paths: Paths) -> None:
    """Apply the migrations that are missing.

    Refuses (exit code 2) when an applied one was edited since, or when the database is ahead of this build.
    """
    from ordergate.persistence import migrate as migrations

    applied = _ask(migrations.migrate, database_url(paths))
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("up to date")


@db.command()
@data_dir_option
def status(paths: Paths) -> None:
    """Show what is applied and what is missing. Exit code 1 when something is missing."""
    from ordergate.persistence import migrate as migrations

    found = _ask(migrations.status, database_url(paths))
    for name in found.applied:
        click.echo(f"applied  {name}")
    for name in found.pending:
        click.echo(f"pending  {name}")
    problem = getattr(found, "problem", None)
    if problem:
        refuse(problem)
    sys.exit(1 if found.pending else 0)


@db.command()
@click.option("--yes", is_flag=True, help="Drop what is there. Without it nothing is done.")
@data_dir_option
def rebuild(paths: Paths, yes: bool) -> None:
    """Drop everything that was written from the journal, and write it again from archive and journal.

    That is all of execution, portfolio, identity, risk and strategy; rights that were granted there have to be granted
    again. The worker must not run: stop `ordergate up` first; its own Postgres is started for this. All records are
    read once before anything is dropped. Interrupted, it goes on when it is called again. Exit code 1 when it could not
    be finished, 2 for wrong use.
    """
    from ordergate.cli.rebuild import rebuild_database

    rebuild_database(paths, yes)


def database_url(paths: Paths) -> str:
    """The URL that is set, else that of the server that `up` runs."""
    try:
        settings = load_settings(paths.data, environment=own_environment(os.environ, paths.data))
    except (SettingsError, ForeignUrls) as error:
        refuse(str(error))
    if settings.postgres.url is not None:
        return settings.postgres.url
    addresses = kept(paths.servers)
    if addresses is None or not addresses.postgres.embedded:
        refuse(f"no database: DATABASE_URL is not set, and ordergate has not run on {paths.data} yet: `ordergate up`")
    return addresses.postgres.url


def _ask(question: Any, url: str) -> Any:
    from ordergate.persistence.connection import TROUBLE, describe
    from ordergate.persistence.migrate import MigrationRefused

    try:
        return question(url)
    except MigrationRefused as error:
        refuse(str(error))
    except TROUBLE as error:
        refuse(f"the database does not answer ({describe(error)}): is `ordergate up` running?", 1)
