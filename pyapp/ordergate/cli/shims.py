"""Writes D/shims: small programs that people and runbooks call by their usual names, bound to our own servers."""

import os
import shlex
import sys
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import ordergate
from ordergate.config import Paths
from ordergate.supervisor.addresses import Addresses

UUIDGEN = """\
if [ -r /proc/sys/kernel/random/uuid ]; then exec cat /proc/sys/kernel/random/uuid; fi
exec {python} -c 'import uuid; print(uuid.uuid4())'
"""


def write_shims(paths: Paths, addresses: Addresses) -> None:
    """Replaces what is there; each is a shell script, since a `#!` line cannot hold a long path."""
    _write(paths.shims / "redis-cli", _python("ordergate.cli.redis_cli", paths))
    _write(paths.shims / "uuidgen", UUIDGEN.format(python=shlex.quote(sys.executable)))
    _write(paths.shims / "psql", _psql(paths, addresses))


def _psql(paths: Paths, addresses: Addresses) -> str:
    program = Path(addresses.bin_dir or "/nonexistent") / "psql"
    if not os.access(program, os.X_OK):
        found = _on_path(paths, "psql")
        if found is None:
            return _python("ordergate.cli.psql", paths)
        program = found
    lines = []
    if addresses.postgres.embedded:
        # Without any argument, too, it is our server that answers.
        url = urlsplit(addresses.postgres.url)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        defaults = {
            "PGHOST": query["host"],
            "PGPORT": query["port"],
            "PGUSER": unquote(url.username or ""),
            "PGDATABASE": unquote(url.path.lstrip("/")),
        }
        lines = [f": ${{{name}:={shlex.quote(value)}}}; export {name}\n" for name, value in defaults.items()]
    return "".join(lines) + f'exec {shlex.quote(str(program))} "$@"\n'


def _python(module: str, paths: Paths) -> str:
    root = shlex.quote(str(Path(ordergate.__file__).resolve().parents[1]))
    python = f"{shlex.quote(sys.executable)} -P -m {module} {shlex.quote(str(paths.data))}"
    return f'PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}}\nexport PYTHONPATH\nexec {python} "$@"\n'


def _on_path(paths: Paths, name: str) -> Path | None:
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        candidate = Path(directory or ".") / name
        if candidate.parent.resolve() != paths.shims and os.access(candidate, os.X_OK) and candidate.is_file():
            return candidate.absolute()
    return None


def _write(file: Path, body: str) -> None:
    text = f"#!/bin/sh\n# Written by `ordergate env`.\n{body}"
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return
    fresh = file.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o700)
    fresh.replace(file)
