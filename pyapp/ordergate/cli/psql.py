"""A small `psql` for machines where no real one is found: runs `-c` commands against a URL and prints their rows."""

import asyncio
import sys
from typing import Any, Final

import msgspec

from ordergate.config import Paths
from ordergate.supervisor.addresses import kept

USAGE: Final = "psql [URL] [-t] [-A] [-X] [-q] [-c SQL]...   (a small stand-in; commands also from standard input)"


class Options(msgspec.Struct):
    """psql's own words: tuples only, unaligned."""

    url: str | None = None
    commands: list[str] = []
    tuples_only: bool = False
    unaligned: bool = False


class Usage(Exception):
    """Options that this stand-in does not know."""


def main(arguments: list[str]) -> int:
    """The data directory, then psql's own arguments; psql's exit codes: 1 SQL error, 2 no connection."""
    known = kept(Paths(arguments[0]).servers)
    try:
        options = read_options(arguments[1:])
    except Usage as error:
        print(f"psql: {error}\n{USAGE}", file=sys.stderr)
        return 2
    url = options.url or (known.postgres.url if known else None)
    if url is None:
        print(f"psql: ordergate has not run on {arguments[0]} yet: `ordergate up`", file=sys.stderr)
        return 2
    return asyncio.run(_run(url, options.commands or [sys.stdin.read()], options))


def read_options(arguments: list[str]) -> Options:
    """The options that runbooks use. Raises Usage for others, rather than doing something else."""
    options = Options()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in ("-c", "--command", "-d", "--dbname"):
            if not rest:
                raise Usage(f"{word} needs a value")
            if word in ("-c", "--command"):
                options.commands.append(rest.pop(0))
            else:
                options.url = rest.pop(0)
        elif word.startswith("--"):
            _flag(options, {"--tuples-only": "t", "--no-align": "A", "--no-psqlrc": "X", "--quiet": "q"}.get(word, "-"))
        elif word.startswith("-") and len(word) > 1:
            letters, mark, command = word[1:].partition("c")
            for letter in letters:
                _flag(options, letter)
            if mark:
                options.commands.append(command if command else rest.pop(0) if rest else "")
        elif options.url is None:
            options.url = word
        else:
            raise Usage(f"unexpected argument {word!r}")
    return options


def _flag(options: Options, letter: str) -> None:
    if letter == "t":
        options.tuples_only = True
    elif letter == "A":
        options.unaligned = True
    elif letter not in "Xq1":
        raise Usage(f"option -{letter} is not known here")


async def _run(url: str, commands: list[str], options: Options) -> int:
    from ordergate.persistence.connection import TROUBLE, connect

    try:
        connection = await connect(url, "psql", limit_s=5.0)
    except TROUBLE as error:
        print(f"psql: error: {error}", file=sys.stderr)
        return 2
    try:
        for command in commands:
            for row in await _rows(connection, command, options):
                print(row)
    except TROUBLE as error:
        print(f"ERROR:  {error}", file=sys.stderr)
        return 1
    finally:
        await connection.close()
    return 0


async def _rows(connection: Any, command: str, options: Options) -> list[str]:
    # Every value as the server's own text, as psql shows it.
    for kind in ("timestamptz", "timestamp", "date", "numeric", "float8", "json", "jsonb", "bytea", "interval", "uuid"):
        await connection.set_type_codec(kind, schema="pg_catalog", encoder=str, decoder=str, format="text")
    try:
        statement = await connection.prepare(command)
    except Exception as error:
        if "multiple commands" not in str(error):
            raise
        return [] if options.tuples_only else [str(await connection.execute(command))]
    columns = [attribute.name for attribute in statement.get_attributes()]
    records = await statement.fetch()
    if not columns:
        return [] if options.tuples_only else [str(statement.get_statusmsg())]
    return table(columns, [[cell(value) for value in record.values()] for record in records], options)


def cell(value: Any) -> str:
    """A value as psql prints it."""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, list):
        return "{" + ",".join(cell(item) for item in value) + "}"
    return "" if value is None else str(value)


def table(columns: list[str], rows: list[list[str]], options: Options) -> list[str]:
    """Aligned under a header with a count below, or bare, as psql does it."""
    count = [f"({len(rows)} row{'' if len(rows) == 1 else 's'})"]
    if options.unaligned:
        lines = ["|".join(row) for row in rows]
        return lines if options.tuples_only else ["|".join(columns), *lines, *count]
    widths = [max(len(row[place]) for row in [columns, *rows]) for place in range(len(columns))]
    lines = [" " + " | ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)) for row in rows]
    if options.tuples_only:
        return [*lines, ""]
    header = " " + " | ".join(name.center(width) for name, width in zip(columns, widths, strict=True)) + " "
    return [header, "-" + "-+-".join("-" * width for width in widths) + "-", *lines, *count, ""]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
