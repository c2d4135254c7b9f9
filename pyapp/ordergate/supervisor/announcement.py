"""What `up` prints once everything is ready."""

import os
import shlex
from pathlib import Path

from ordergate.config.paths import Paths
from ordergate.supervisor.addresses import Addresses
from ordergate.supervisor.first_start import ACCOUNT, PAPER

ORDER = '{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":0.001,"price":40000,"mode":"PAPER"}'


def announcement(paths: Paths, addresses: Addresses, token: str | None) -> str:
    """One block. Its curl line works when pasted into any shell, again and again: each time is another order."""
    directory = (
        "" if paths.data == Path(os.path.realpath(".ordergate")) else f" --data-dir {shlex.quote(str(paths.data))}"
    )
    money = ", ".join(f"{amount} {asset}" for asset, amount in PAPER.items())
    account = (
        [f"  Account   {ACCOUNT} (PAPER: {money})", f"  API key   {token}   (kept in {paths.demo_key})"]
        if token
        else ["  API key   none is kept here; make one: ordergate keys create --account NAME --owner NAME"]
    )
    curl = (
        f'curl -X POST {addresses.http}/api/v1/orders -H "Authorization: Bearer {token or "$ORDERGATE_TOKEN"}" '
        f'-H "Idempotency-Key: $(date +%s%N)" -H "Content-Type: application/json" -d \'{ORDER}\''
    )
    lines = [
        "",
        f"  ordergate is READY at {addresses.http}",
        "",
        *account,
        f"  Servers   {_server('Postgres', addresses.postgres.embedded, '')}, "
        f"{_server('Valkey', addresses.redis.embedded, addresses.redis.url)}",
        f"  Logs      {paths.log}",
        "",
        f'  psql, redis-cli and $ORDERGATE_TOKEN in a shell:  eval "$(ordergate env{directory})"',
        "  Place an order (each time you paste it, a new one):",
        "",
        curl,
        "",
        "  Stop everything with Ctrl-C.",
        "",
    ]
    return "\n".join(lines)


def _server(name: str, embedded: bool, place: str) -> str:
    return f"{name} (ours{', ' if place else ''}{place})" if embedded else f"{name} (yours)"
