"""What the last `up` of a data directory used: read by `ordergate env`, by the shims, and by the next `up`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from ordergate.config.paths import Paths

MARK: Final = "ORDERGATE_ENV_FOR"
"""Exported by `ordergate env`: the data directory that the exported URLs belong to."""


class Address(msgspec.Struct, frozen=True):
    """One server. `url` is for people's tools, `own_url` for our processes; `embedded`: `up` runs it."""

    url: str
    own_url: str
    embedded: bool


class Addresses(msgspec.Struct, frozen=True):
    """Everything that a client on this machine needs to know."""

    postgres: Address
    redis: Address
    http: str
    bin_dir: str | None = None
    """Postgres's programs, for `psql`."""


class ForeignUrls(Exception):
    """The environment's URLs were exported for another data directory; the message says what to do."""


def keep(file: Path, addresses: Addresses) -> None:
    """Replaces the file; 0600, since a URL may hold a password."""
    fresh = file.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(msgspec.json.encode(addresses))
    fresh.replace(file)


def kept(file: Path) -> Addresses | None:
    """What the last `up` wrote; None when there was none."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Addresses)
    except (OSError, msgspec.DecodeError):
        return None


def exported_data_dir(environment: Mapping[str, str]) -> bool:
    """Whether ORDERGATE_DATA_DIR is what `ordergate env` exported, and not a choice of the person's."""
    data, mark = environment.get("ORDERGATE_DATA_DIR"), environment.get(MARK)
    return bool(data and mark) and os.path.realpath(str(data)) == os.path.realpath(str(mark))


def own_environment(environment: Mapping[str, str], data: Path) -> dict[str, str]:
    """The environment as `up` should see it: without what `ordergate env` exported for this data directory.

    Raises ForeignUrls when it holds what was exported for another one: trading would go to the other's servers.
    """
    result = {name: value for name, value in environment.items() if name not in (MARK, "ORDERGATE_TOKEN")}
    mark = environment.get(MARK)
    if not mark:
        return result
    marked = Path(os.path.realpath(mark))
    exported = kept(Paths(marked).servers)
    for name, kind in (("DATABASE_URL", "postgres"), ("REDIS_URL", "redis")):
        address: Address | None = getattr(exported, kind) if exported else None
        value = environment.get(name)
        if not value or (address is not None and (not address.embedded or value != address.url)):
            continue  # the person's own URL: theirs from the start, or set after the export
        if marked != data:
            raise ForeignUrls(
                f"{name} was exported by `ordergate env` for {marked}, and this is {data}: open a new shell, or "
                f"`unset DATABASE_URL REDIS_URL ORDERGATE_DATA_DIR ORDERGATE_TOKEN {MARK}`"
            )
        del result[name]
    return result
