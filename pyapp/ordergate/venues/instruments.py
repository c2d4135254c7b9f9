"""What the simulated exchange knows of an instrument; read from instruments.toml and from the folded journal."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

import msgspec

from ordergate.venues.paper.fixed import units


@dataclass(frozen=True, slots=True)
class Listing:
    """One instrument as the venue needs it. Values in units of 10^-8."""

    symbol: str
    base: str
    quote: str
    tick: int
    step: int
    min_notional: int
    opening_price: int | None = None
    """Where the price generator starts; None: no generated prices."""


def shipped_tables() -> list[dict[str, str]]:
    """The `[[instrument]]` tables that ship with the package."""
    text = files("ordergate.venues").joinpath("instruments.toml").read_text("utf-8")
    tables: list[dict[str, str]] = tomllib.loads(text)["instrument"]
    return tables


def listings(tables: Iterable[Mapping[str, str]]) -> dict[str, Listing]:
    """Listings by symbol. Raises ValueError for a value that is not a decimal, KeyError for a missing key."""
    return {
        table["symbol"]: Listing(
            symbol=table["symbol"],
            base=table["base"],
            quote=table["quote"],
            tick=units(table["tickSize"]),
            step=units(table["stepSize"]),
            min_notional=units(table["minNotional"]),
            opening_price=units(table["openingPrice"]) if "openingPrice" in table else None,
        )
        for table in tables
    }


def shipped_listings() -> dict[str, Listing]:
    """Listings of the shipped instruments."""
    return listings(shipped_tables())


def folded_listings(instruments_json: bytes) -> dict[str, Listing]:
    """Listings of the journal's instruments (`Follower.instruments()`), in which no opening price is kept."""
    tables = msgspec.json.decode(instruments_json, type=list[dict[str, object]])
    return listings({key: str(value) for key, value in table.items()} for table in tables)
