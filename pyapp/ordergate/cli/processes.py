"""The entries of our own processes. The supervisor starts them; people need them only to look closely at one."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from ordergate.cli.terms import data_dir_option, refuse
from ordergate.config import Paths, PathsError, Settings, SettingsError, load_settings


@click.command(hidden=True)
@data_dir_option
def gateway(paths: Paths) -> None:
    """Take orders: the HTTP server with the engine and the journal. Started by `ordergate up`."""
    _run("ordergate.gateway.main", lambda run, settings: run(settings, paths), paths)


@click.command(hidden=True)
@data_dir_option
def worker(paths: Paths) -> None:
    """Follow the journal into Postgres and the portfolio. Started by `ordergate up`."""
    _run("ordergate.worker.main", lambda run, settings: run(settings, paths), paths)


def venue(name: str) -> click.Command:
    """The entry of the connection to one exchange."""

    @click.command(name, hidden=True)
    @data_dir_option
    def entry(paths: Paths) -> None:
        """Hold the connection to one exchange. Started by `ordergate up`."""
        _run("ordergate.venues.main", lambda run, settings: run(name, settings, paths), paths)

    return entry


def _run(module: str, call: Callable[[Callable[..., int], Settings], int], paths: Paths) -> None:
    try:
        settings = load_settings(paths.data)
        paths.prepare()
    except (SettingsError, PathsError) as error:
        refuse(str(error))
    main: Any = import_module(module)
    sys.exit(call(main.run, settings))
