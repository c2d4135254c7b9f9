"""`ordergate kill on|off|status|adopt-redis`."""

import getpass
from typing import Any, Final

import click

from ordergate.cli import drill as drills
from ordergate.cli import past_gateway
from ordergate.cli.gateway_door import Unopened, ask, without_gateway
from ordergate.cli.terms import data_dir_option, print_table, refuse
from ordergate.config import Paths
from ordergate.supervisor import administration

KILL_TIMEOUT_S: Final = 1.0
"""A gateway that has not answered by then is taken to hang."""


def _myself() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return "cli"


by_option = click.option(
    "--by", default=_myself, show_default="your user name", metavar="PERSON", help="Who does it, for the journal."
)


scope_option = click.option(
    "--scope", type=click.Choice(["global", "account", "strategy", "symbol"]), default="global", show_default=True
)
target_option = click.option("--target", default="", metavar="NAME", help="Which account, strategy or symbol.")


@click.group()
def kill() -> None:
    """The kill switch: stops all trading, or that of one account, strategy or symbol.

    L1 refuses new orders and cancels those not yet sent. L2 also cancels what works at the exchange. L3 also sells
    what was bought. Clearing it starts no strategy again.

    Without a running gateway `on` and `off` go to the journal, for the next start; a kill key at Redis has its say
    then, too. When the gateway runs and does not answer within a second, `on` writes the key itself and stops the
    venues directly.
    """


@kill.command()
@click.option("--reason", required=True, metavar="TEXT", help="Shown to everybody whose orders are refused.")
@scope_option
@target_option
@click.option("--level", type=click.IntRange(1, 3), default=1, show_default=True)
@by_option
@data_dir_option
def on(reason: str, scope: str, target: str, level: int, by: str, paths: Paths) -> None:
    """Stop trading, at once."""
    arguments: dict[str, Any] = {"by": by, "reason": reason}
    if scope != "global" or level != 1:
        arguments |= {"scope": scope, "target": target, "level": level}
    try:
        administration.ask(paths.admin_socket, "kill.on", arguments, KILL_TIMEOUT_S)
    except administration.NotRunning:
        # While it starts or stops it holds the journal and does not listen; and what the journal refuses to open for,
        # is no reason to let venues send.
        try:
            without_gateway(paths, "kill.on", arguments)
        except Unopened as why:
            click.echo(why.args[0], err=True)
            _stop_past(paths, scope, target, level, reason, by)
    except administration.AdministrationError as error:
        if error.code != "unavailable":
            refuse(f"{error} ({error.code})", 1)
        _stop_past(paths, scope, target, level, reason, by)
    click.echo(f"killed: {reason}")


def _stop_past(paths: Paths, scope: str, target: str, level: int, reason: str, by: str) -> None:
    for line in past_gateway.stop(paths, scope, target, level, reason, by):
        click.echo(line, err=True)


@kill.command()
@scope_option
@target_option
@by_option
@data_dir_option
def off(scope: str, target: str, by: str, paths: Paths) -> None:
    """Clear the kill: removes the key at Redis, and journals who did it."""
    ask(paths, "kill.off", {"by": by} if scope == "global" else {"by": by, "scope": scope, "target": target})
    click.echo("open: not killed" if scope == "global" else f"open: {scope} {target} is not killed")


@kill.command()
@data_dir_option
def status(paths: Paths) -> None:
    """Show whether trading is stopped, and whether Redis can be read."""
    _show(ask(paths, "kill.status", {}))


@kill.command()
@click.option("--level", type=click.IntRange(1, 3), default=1, show_default=True)
@data_dir_option
def drill(level: int, paths: Paths) -> None:
    """Stop the demo account in the middle of PAPER orders, measure it, and clear it again.

    At level 3 everything that the demo account has bought in PAPER is sold. Refused while a LIVE venue is connected.
    """
    seen = drills.run(paths, level)
    rows = [["first order refused", f"{seen.blocked_s:.3f}"], ["last order at the venue", f"{seen.last_sent_s:.3f}"]]
    if seen.flat_s is not None:
        rows.append(["flat", f"{seen.flat_s:.3f}"])
    print_table(["after SET", "seconds"], rows)
    click.echo(f"{seen.orders} orders were placed; the kill is cleared")


@kill.command(name="adopt-redis")
@by_option
@data_dir_option
def adopt_redis(by: str, paths: Paths) -> None:
    """Take over a Redis that another install has used, after a kill `redis_foreign`.

    Only when no other gateway uses that Redis any more: two of them would clear each other's kills. Trading stays
    stopped until `ordergate kill off`.
    """
    _show(ask(paths, "kill.adopt-redis", {"by": by}))


def _show(state: dict[str, Any]) -> None:
    rows = [
        ["killed", "yes" if state.get("killed") else "no"],
        ["level", str(state.get("level", ""))],
        ["reason", str(state.get("reason", ""))],
    ]
    if "redisProblem" in state:  # a running gateway
        rows.append(["redis", state["redisProblem"] or "read and written"])
    for one in state.get("scoped", ()):
        rows.append([f"{one['scope']} {one['target']}", f"killed at level {one['level']}: {one['reason']}"])
    for one in state.get("notFlat", ()):
        rows.append([f"not flat: {one['account']} {one['mode']} {one['symbol']}", f"{one['quantity']}, {one['why']}"])
    print_table(["what", "is"], rows)
