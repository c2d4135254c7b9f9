"""What the type of a setting does not say: each check returns the value to use, or raises ValueError with the reason.

No reason repeats a URL or a part of it: it may hold a password.
"""

import ipaddress
import os
import re
import socket
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, urlsplit

HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|[0-9a-f:]{2,45}")
SYMBOL: Final = re.compile(r"[A-Z0-9]{2,32}")
ENCODE: Final = "reserved characters in user and password are written as %xx"


def host(text: str) -> str:
    """An address to bind: the HTTP server takes no names, so `localhost` becomes 127.0.0.1."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(text, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise ValueError(f"{text!r}: neither an IP address nor a name that resolves ({reason})") from None
    by_family = {family: str(address[0]) for family, _, _, _, address in reversed(found)}
    address = by_family.get(socket.AF_INET) or by_family.get(socket.AF_INET6)
    if address is None:
        raise ValueError(f"{text!r}: resolves to no IP address")
    return address


def fee_rate(text: str) -> str:
    """A fraction with the eight decimals that fees have."""
    try:
        rate = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r}: expected a decimal fraction such as 0.001") from None
    exponent = rate.as_tuple().exponent
    if not rate.is_finite() or not isinstance(exponent, int) or not 0 <= rate < 1 or exponent < -8:
        raise ValueError(f"{text!r}: expected a fraction of at least 0, below 1, with at most 8 decimals")
    return text


def prices(text: str) -> str:
    """A price source; a directory that is replayed has to be there."""
    source, _, rest = text.partition(":")
    place = rest.partition("?")[0]  # options follow, checked where they are read
    if text in ("synthetic", "ccxt:binance"):
        return text
    if source != "replay" or not place:
        raise ValueError(f"{text!r}: expected synthetic, ccxt:binance or replay:<directory>")
    if not Path(place).is_dir():
        raise ValueError(f"{text!r}: {os.path.abspath(place)} is not a directory")
    return text


def directory(text: str) -> str:
    """A directory that is there."""
    if not Path(text).is_dir():
        raise ValueError(f"{text!r}: not a directory")
    return text


def postgres_url(text: str) -> str:
    """As asyncpg reads it: several hosts are separated by commas, and `host` and `port` may stand in the query."""
    parts = _split(text, "postgresql", "postgres")
    places = parts.netloc.rpartition("@")[2].split(",")
    in_query = [port for ports in parse_qs(parts.query).get("port", ()) for port in ports.split(",")]
    _check_ports([*map(_port_of, places), *in_query])
    return text


def redis_url(text: str) -> str:
    """As redis-py reads it; a database that is no number would be silently taken as 0."""
    parts = _split(text, "redis", "rediss", "unix")
    if parts.scheme == "unix" and not parts.path:
        raise ValueError("expected the path of a socket after unix://")
    if parts.scheme != "unix":
        _check_ports([_port_of(parts.netloc.rpartition("@")[2])])
    number = parts.path.strip("/") if parts.scheme != "unix" else ""
    for database in (number, *parse_qs(parts.query).get("db", ())):
        if database and not (database.isascii() and database.isdigit()):
            raise ValueError("the database is not a number")
    return text


def exchange_url(*schemes: str, path: bool = False) -> Callable[[str], str]:
    """The check of an address of the exchange: encrypted, unless it is on this machine (a rehearsal)."""

    def check(text: str) -> str:
        parts = _split(text, *schemes)
        host = parts.hostname or ""
        if not host or "@" in parts.netloc or parts.query:
            raise ValueError("expected a host, without user, password and query")
        _check_ports([_port_of(parts.netloc)])
        if parts.path.strip("/") and not path:
            raise ValueError("not expected: a path after the host")
        if parts.scheme in ("http", "ws") and not _is_loopback(host):
            raise ValueError(f"{parts.scheme}:// is only for this machine: use {parts.scheme}s://")
        return text

    return check


def hosts(names: tuple[str, ...]) -> tuple[str, ...]:
    """Host names or IP addresses, as they stand in the addresses."""
    for name in names:
        if not HOST.fullmatch(name):
            raise ValueError(f"{name!r}: expected a host name in lower case or an IP address, without port")
    return names


def symbols(names: tuple[str, ...]) -> tuple[str, ...]:
    """Symbols of the exchange, each once."""
    if not names or len(set(names)) != len(names):
        raise ValueError("expected at least one symbol, each once")
    for name in names:
        if not SYMBOL.fullmatch(name):
            raise ValueError(f"{name!r}: expected a symbol such as BTCUSDT")
    return names


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(text: str, *schemes: str) -> SplitResult:
    if text.partition("://")[0] not in schemes or "://" not in text:
        raise ValueError("expected a URL that begins with " + " or ".join(f"{scheme}://" for scheme in schemes))
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(f"not a URL: {ENCODE}, an IPv6 address in brackets") from None
    if parts.fragment:
        raise ValueError(f"not expected: a # ({ENCODE})")
    return parts


def _port_of(place: str) -> str:
    """What follows the host; empty when nothing does."""
    return (place.rpartition("]")[2] if place.startswith("[") else place).partition(":")[2]


def _check_ports(ports: list[str]) -> None:
    for port in ports:
        if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
            raise ValueError(f"the port is not a number from 1 to 65535 ({ENCODE})")


CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "http.host": host,
    "postgres.url": postgres_url,
    "postgres.bin_dir": directory,
    "redis.url": redis_url,
    "paper.fee_rate": fee_rate,
    "paper.prices": prices,
    "binance.rest_url": exchange_url("https", "http"),
    "binance.ws_api_url": exchange_url("wss", "ws", path=True),
    "binance.stream_url": exchange_url("wss", "ws"),
    "binance.allowed_hosts": hosts,
    "binance.symbols": symbols,
}
"""Setting -> its check."""
