"""`ordergate config check`."""

import os
import sys
from pathlib import Path

import click

from ordergate.cli.terms import data_dir_option, refuse
from ordergate.config import Paths, SettingsError
from ordergate.config.settings import read_settings, shown
from ordergate.supervisor.addresses import ForeignUrls, own_environment


@click.group()
def config() -> None:
    """Settings come from defaults, then `ordergate.toml` in the data directory, then the environment."""


@config.command()
@data_dir_option
@click.option(
    "--config", "file", type=click.Path(path_type=Path), metavar="FILE", help="Check this file, not DIR/ordergate.toml."
)
def check(paths: Paths, file: Path | None) -> None:
    """Check every setting and print what is in force, secrets masked.

    Exit code 0 when all of it is valid, 2 otherwise, with one line for each problem: setting, where it is set, reason.

    \b
    In ordergate.toml            In the environment
      [http]
      port = 3001                ORDERGATE_HTTP__PORT=3001
      [postgres]
      url_file = "/run/db"       DATABASE_URL, ORDERGATE_POSTGRES__URL or ORDERGATE_POSTGRES__URL_FILE
    """
    try:
        environment = own_environment(os.environ, paths.data)
        settings, places = read_settings(paths.data, file=file, environment=environment)
    except ForeignUrls as error:
        refuse(str(error))
    except SettingsError as error:
        for problem in error.problems:
            click.echo(f"{problem.setting}: {problem.reason}  ({problem.place})", err=True)
        sys.exit(2)
    section = ""
    for name, value in shown(settings).items():
        if name.partition(".")[0] != section:
            section = name.partition(".")[0]
            click.echo(f"[{section}]")
        unset = value == "null"
        line = f"# {name.partition('.')[2]} is not set" if unset else f"{name.partition('.')[2]} = {value}"
        click.echo(f"{line:<40} # {places.get(name, 'default')}" if not unset else line)
