"""`ordergate exchange`: a local Binance Spot to rehearse with."""

import sys
from pathlib import Path

import click


@click.command()
@click.option("--config", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="TOML or JSON settings.")
@click.option("--ledger", type=click.Path(file_okay=False, path_type=Path), help="Keep everything in this directory.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="a free one", help="For clients.")
@click.option("--control-port", type=click.IntRange(0, 65535), default=0, show_default="a free one", help="For you.")
@click.option("--market", type=int, metavar="SEED", help="Move prices, quote and trade; the same seed, the same walk.")
@click.option("--step-seconds", type=click.FloatRange(0.01, 3600), default=0.5, show_default=True, help="Of the walk.")
@click.option("--tether", is_flag=True, help="End when standard input closes.")
def exchange(
    config: Path | None,
    ledger: Path | None,
    port: int,
    control_port: int,
    market: int | None,
    step_seconds: float,
    tether: bool,
) -> None:
    """Serve a local Binance Spot: REST, WS-API and streams on one loopback port, its controls on another.

    Prints one line of JSON with the addresses, and for the built-in demo accounts their keys.
    """
    from ordergate.exchange import main

    options = main.Options(
        config, ledger, port=port, control_port=control_port, market=market, step_seconds=step_seconds, tether=tether
    )

    def announce(line: str) -> None:
        click.echo(line)
        sys.stdout.flush()

    sys.exit(main.run(options, announce))
