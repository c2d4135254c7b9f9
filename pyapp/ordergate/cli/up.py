"""`ordergate up`."""

import os
import sys

import click

from ordergate.cli.terms import own_data_dir_option
from ordergate.config import Paths


@click.command()
@own_data_dir_option
@click.option(
    "--prices",
    metavar="SOURCE",
    help="Prices of the PAPER exchange: `synthetic` (default; needs nothing), `replay:DIR` with recorded data, or "
    "`ccxt:binance`, live, from the public streams of the exchange that [binance] names.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="HTTP port.  [default: 3000]")
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1, this machine only]")
def up(paths: Paths, prices: str | None, port: int | None, host: str | None) -> None:
    """Start everything here, and keep it running until Ctrl-C.

    Postgres and Valkey come with ordergate and run below the data directory; set DATABASE_URL or REDIS_URL to use
    servers of your own. What dies is started again. One Ctrl-C (or SIGTERM) stops all of it in order, within 10 s;
    nothing stays behind, even after kill -9. The data directory that `ordergate env` has exported is for the other
    commands: `up` starts the one of this directory, or that of --data-dir.

    \b
    Examples:
      ordergate up
      ordergate up --data-dir /srv/desk-b --port 3001          a second one, beside the first
      ordergate up --prices replay:../shared/data/btcusdt
    """
    from ordergate.supervisor import up as supervisor

    if prices is not None and prices.startswith("replay:"):
        prices = "replay:" + os.path.abspath(prices.removeprefix("replay:"))
    wanted = {"PAPER__PRICES": prices, "HTTP__PORT": port, "HTTP__HOST": host}
    chosen = {f"ORDERGATE_{name}": str(value) for name, value in wanted.items() if value is not None}
    try:
        sys.exit(supervisor.run(paths.data, chosen))
    except KeyboardInterrupt:
        sys.exit(130)
