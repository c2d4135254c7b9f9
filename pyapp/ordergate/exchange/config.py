"""The exchange's settings: accounts, symbols, limits. TOML or JSON; without a file, a small market to rehearse on."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ordergate.exchange import filters
from ordergate.exchange.amounts import exact
from ordergate.exchange.book import Book
from ordergate.exchange.state import HOUSE, Account, Exchange, Symbol

Text = Annotated[str, Meta(min_length=1)]
HOUSE_FUNDS = 10**12 * 10**8
"""What the house has of every asset: enough for any market."""


class ConfigError(Exception):
    """The settings cannot be used; the text says why."""


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One API key. `secret` for HMAC, else `public_key`: a PEM of an Ed25519 or RSA key."""

    api_key: Text
    secret: str | None = None
    public_key: str | None = None
    permissions: tuple[Literal["TRADE", "USER_DATA", "USER_STREAM"], ...] = ("TRADE", "USER_DATA", "USER_STREAM")
    enable_withdrawals: bool = False
    ips: tuple[str, ...] = ()


class AccountConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Fees are rates (`"0.001"`); `fees_in`: the asset that is received, always the quote or base asset, or BNB."""

    name: Text
    keys: tuple[Credential, ...]
    balances: dict[str, str] = {}
    maker: str = "0.001"
    taker: str = "0.001"
    fees_in: Literal["received", "quote", "base", "BNB"] = "received"


class SymbolConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`filters`: as in `exchangeInfo`, by their type. `price`: what it traded at last, before this began."""

    name: Text
    base: Text
    quote: Text
    filters: dict[str, dict[str, Any]]
    price: str
    status: str = "TRADING"
    stp: str = "EXPIRE_MAKER"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Request weight a minute per address; new orders without a fill per account in 10 seconds and a UTC day.

    `connections`: WebSockets that an address may open in five minutes.
    """

    weight: int = 6_000
    raw_requests: int = 300_000
    orders_ten_seconds: int = 100
    orders_day: int = 200_000
    ban_seconds: int = 120
    connections: int = 300


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`strict`: a parameter that is not known is refused. `hmac_logon`: session.logon with an HMAC key is taken."""

    accounts: tuple[AccountConfig, ...]
    symbols: tuple[SymbolConfig, ...]
    limits: Limits = Limits()
    strict: bool = True
    hmac_logon: bool = False
    session_hours: int = 24


def _symbol(base: str, quote: str, price: str, step: str, most: str) -> SymbolConfig:
    return SymbolConfig(
        base + quote,
        base,
        quote,
        {
            "PRICE_FILTER": {"minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
            "LOT_SIZE": {"minQty": step, "maxQty": most, "stepSize": step},
            "ICEBERG_PARTS": {"limit": 100},
            "MARKET_LOT_SIZE": {"minQty": "0", "maxQty": most, "stepSize": "0"},
            "TRAILING_DELTA": {
                "minTrailingAboveDelta": 10,
                "maxTrailingAboveDelta": 2000,
                "minTrailingBelowDelta": 10,
                "maxTrailingBelowDelta": 2000,
            },
            "PERCENT_PRICE_BY_SIDE": {
                "bidMultiplierUp": "5",
                "bidMultiplierDown": "0.2",
                "askMultiplierUp": "5",
                "askMultiplierDown": "0.2",
                "avgPriceMins": 5,
            },
            "NOTIONAL": {
                "minNotional": "5",
                "applyMinToMarket": True,
                "maxNotional": "9000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            "MAX_NUM_ORDERS": {"maxNumOrders": 2000},
            "MAX_NUM_ORDER_LISTS": {"maxNumOrderLists": 20},
            "MAX_NUM_ALGO_ORDERS": {"maxNumAlgoOrders": 100},
            "MAX_NUM_ORDER_AMENDS": {"maxNumOrderAmends": 10},
        },
        price,
    )


def _demo(name: str) -> AccountConfig:
    """Known to everybody, and good for nothing but this exchange."""
    key = Credential(f"demo-{name}-key".ljust(64, "0"), f"demo-{name}-secret".ljust(64, "0"))
    return AccountConfig(name, (key,), {"USDT": "1000000", "BTC": "10", "ETH": "100", "BNB": "100"})


DEFAULT = Config(
    (_demo("alpha"), _demo("beta")),
    (
        _symbol("BTC", "USDT", "60000", "0.00001", "9000"),
        _symbol("ETH", "USDT", "3000", "0.0001", "9000"),
        _symbol("BNB", "USDT", "600", "0.001", "9000"),
    ),
)


def read(path: Path | None) -> Config:
    """The settings in a file, by its suffix `.toml` or `.json`. Raises ConfigError."""
    if path is None:
        return DEFAULT
    try:
        text = path.read_text(encoding="utf-8")
        tree = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return of_tree(tree)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error


def of_tree(tree: Any) -> Config:
    """The settings in plain values, with the parts that are not given as they are by default. Raises ConfigError."""
    tree = {"accounts": msgspec.to_builtins(DEFAULT.accounts), "symbols": msgspec.to_builtins(DEFAULT.symbols)} | tree
    try:
        config = msgspec.convert(tree, Config)
        open_exchange(config)
    except (msgspec.ValidationError, ValueError, KeyError) as error:
        raise ConfigError(str(error)) from error
    return config


def open_exchange(config: Config) -> Exchange:
    """A fresh exchange with these accounts and symbols. Raises ValueError for amounts and filters that cannot be."""
    symbols = {
        one.name: Symbol(
            one.name,
            one.base,
            one.quote,
            one.status,
            filters.read(one.filters),
            Book(),
            last_price=exact(one.price),
            stp_default=one.stp,
        )
        for one in config.symbols
    }
    accounts = {
        one.name: Account(
            one.name,
            exact(one.maker),
            exact(one.taker),
            one.fees_in,
            free={asset: exact(amount) for asset, amount in one.balances.items()},
        )
        for one in config.accounts
    }
    assets = {one.base for one in config.symbols} | {one.quote for one in config.symbols}
    accounts[HOUSE] = Account(HOUSE, 0, 0, free=dict.fromkeys(assets, HOUSE_FUNDS))
    supply: dict[str, int] = {}
    for account in accounts.values():
        for asset, amount in account.free.items():
            supply[asset] = supply.get(asset, 0) + amount
    ex = Exchange(symbols, accounts, {name: {} for name in symbols}, supply=supply)
    ex.market = {one.name: {"mid": exact(one.price)} for one in config.symbols}
    return ex
