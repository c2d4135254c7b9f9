"""What an empty gateway is given at its first start: a demo account with play money, instruments, and one key."""

import os
import tomllib
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

from ordergate.config.paths import Paths

ACCOUNT: Final = "demo"
PAPER: Final = {"USDT": "1000000", "BTC": "10"}
RATE_PER_SECOND: Final = 5000
NOT_FOR_THE_GATEWAY: Final = frozenset({"openingPrice"})
"""Only the PAPER venue's price generator reads it."""

Ask = Callable[[str, dict[str, Any]], Any]
"""(verb, arguments) -> the gateway's answer."""


def furnish(ask: Ask, paths: Paths, scopes: list[str]) -> str | None:
    """Makes what is missing, if this gateway has never been used; the demo account's token when there is one.

    Safe to repeat after a crash between its steps: it goes on only while the demo account is the only one and has no
    key yet.
    """
    known = demo_token(paths)
    if known is not None:
        return known
    accounts = {account_name(account) for account in listed(ask("accounts.list", {}))}
    if accounts - {ACCOUNT} or listed(ask("keys.list", {})):
        return None
    if not accounts:
        ask("accounts.create", {"name": ACCOUNT, "paper": PAPER})
    ask("instruments.load", {"instruments": packaged_instruments()})
    made = ask(
        "keys.create",
        {"account": ACCOUNT, "owner": ACCOUNT, "name": ACCOUNT, "scopes": scopes, "ratePerSecond": RATE_PER_SECOND},
    )
    token = str(made["token"])
    _keep(paths, token)
    return token


def demo_token(paths: Paths) -> str | None:
    """The token kept for `ordergate env`."""
    try:
        return paths.demo_key.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def packaged_instruments() -> list[dict[str, str]]:
    """The [[instrument]] tables that come with ordergate; every value as text, so that digits stay what they are."""
    text = (files("ordergate.venues") / "instruments.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text, parse_float=str)["instrument"]
    return [{name: str(value) for name, value in table.items() if name not in NOT_FOR_THE_GATEWAY} for table in tables]


def account_name(account: dict[str, Any]) -> str:
    """What an entry of `accounts.list` calls the account."""
    return str(next((account[key] for key in ("name", "account", "id") if key in account), ""))


def listed(answer: Any) -> list[dict[str, Any]]:
    """Lists come bare or under one name."""
    if isinstance(answer, dict):
        answer = next((value for value in answer.values() if isinstance(value, list)), [])
    return list(answer or [])


def _keep(paths: Paths, token: str) -> None:
    fresh = paths.demo_key.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(paths.demo_key)
