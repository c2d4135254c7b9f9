"""What the commands share: the option for the data directory, and how they say no."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from ordergate.config import Paths
from ordergate.supervisor.addresses import exported_data_dir

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULT = Path(".ordergate")
EXIT_USAGE = 2


def data_dir_option(command: Command) -> Command:
    """`--data-dir DIR`, given to the command as `paths`."""
    return _option(lambda _context, _parameter, value: Paths(value))(command)


def own_data_dir_option(command: Command) -> Command:
    """The same for `up`: in a shell that follows one gateway, the start of another is not the start of that one."""

    def chosen(context: click.Context, parameter: click.Parameter, value: Path) -> Paths:
        source = context.get_parameter_source(str(parameter.name))
        if source is click.core.ParameterSource.ENVIRONMENT and exported_data_dir(os.environ):
            return Paths(DEFAULT)
        return Paths(value)

    return _option(chosen)(command)


def _option(paths: Callable[[click.Context, click.Parameter, Path], Paths]) -> Callable[[Command], Command]:
    return click.option(
        "--data-dir",
        "paths",
        type=click.Path(file_okay=False, path_type=Path),
        default=DEFAULT,
        envvar="ORDERGATE_DATA_DIR",
        show_default="./.ordergate",
        show_envvar=True,
        metavar="DIR",
        callback=paths,
        help="Where everything of this gateway is kept.",
    )


def refuse(message: str, code: int = EXIT_USAGE) -> NoReturn:
    """Ends the command with a message for people."""
    click.echo(f"ordergate: {message}", err=True)
    sys.exit(code)


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """A table for a person; tab-separated lines for a program that reads our output."""
    if not sys.stdout.isatty():
        for row in [columns, *rows]:
            click.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
