"""The `ordergate` command: each subcommand is imported only when it is used."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "up": ("ordergate.cli.up:up", "Start everything here, and keep it running until Ctrl-C."),
    "env": ("ordergate.cli.env:env", "Print shell exports: URLs, demo token, psql and redis-cli."),
    "accounts": ("ordergate.cli.accounts:accounts", "Create and list trading accounts."),
    "keys": ("ordergate.cli.keys:keys", "Create, list and revoke API keys."),
    "kill": ("ordergate.cli.kill:kill", "Stop and start all trading, and show whether it is stopped."),
    "heartbeats": (
        "ordergate.cli.heartbeats:heartbeats",
        "Show and end the watches of programs that must not fall silent.",
    ),
    "risk": ("ordergate.cli.risk:risk", "Set and show limits, approve changes, restrict trading."),
    "strategies": ("ordergate.cli.strategies:strategies", "Create, start, stop and list strategies."),
    "venue": ("ordergate.cli.venue:venue", "Add, test, list and remove the keys of accounts at an exchange."),
    "doubt": ("ordergate.cli.doubt:doubt", "Show orders of unknown outcome, and help to find them."),
    "resume": ("ordergate.cli.doubt:resume", "Let LIVE go on after a crash."),
    "reconciliations": (
        "ordergate.cli.doubt:reconciliations",
        "Show comparisons of the exchange with what was booked.",
    ),
    "config": ("ordergate.cli.config:config", "Check settings from ordergate.toml and the environment."),
    "db": ("ordergate.cli.db:db", "Bring the database up to date, or show where it is."),
    "audit": ("ordergate.cli.audit:audit", "Check the audit trail against journal, archive and anchors."),
    "journal": ("ordergate.cli.journal:journal", "Verify, show and repair the journal with all orders."),
    "exchange": ("ordergate.cli.exchange:exchange", "Serve a local Binance Spot to rehearse with."),
    "live-demo": ("ordergate.cli.live_demo:live_demo", "Trade LIVE on a local exchange, once, to see how it works."),
    "version": ("ordergate.cli.version:version", "Show the version of ordergate and of its compiled core."),
    "gateway": ("ordergate.cli.processes:gateway", ""),
    "worker": ("ordergate.cli.processes:worker", ""),
}
"""Name -> where it is, and its line in the help; without one it is for the supervisor, not for people."""


class Lazy(click.Group):
    """A group that knows its commands by name and imports the one that is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        return [name for name, (_, line) in COMMANDS.items() if line]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items() if line])


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Each command explains itself: ordergate up --help",
)
def main() -> None:
    """Ordergate takes orders from trading programs and sends each of them to an exchange at most once.

    \b
    The first three minutes:
      ordergate up                        starts everything below ./.ordergate and prints a demo key
      eval "$(ordergate env)"             in another shell: psql, redis-cli, $ORDERGATE_TOKEN
      psql $DATABASE_URL -c "SELECT id, status FROM execution.orders"
      redis-cli SET kill_switch:global '{"active":true,"reason":"drill"}'     stops all trading; DEL clears it

    \b
    Exit codes: 0 done; 1 failed; 2 wrong use, wrong settings, a port or a data directory in use;
    78 the journal refuses to start.
    """
