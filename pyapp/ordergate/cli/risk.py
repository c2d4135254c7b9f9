"""`ordergate risk set|show|requests|approve|reject|override|restrict|schedule`, and what `risk_views` shows."""

import json
from typing import Any, Final

import click

from ordergate.cli import risk_views
from ordergate.cli.gateway_door import ask
from ordergate.cli.kill import by_option
from ordergate.cli.terms import data_dir_option, print_table, refuse
from ordergate.config import Paths

SCOPES: Final = ("firm", "account", "strategy", "key")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES: Final = 1440

json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why, for the journal.")
symbol_option = click.option("--symbol", metavar="SYMBOL", help="Only in this symbol.")


@click.group()
def risk() -> None:
    """Limits: who may risk how much, and since when. Each change is journaled and in force without a restart.

    A limit belongs to the firm, an account, a strategy or a key, everywhere or in one symbol; the strictest wins. A
    limit cannot be looser than that of a wider scope. Loosening by much (risk.loosen_percent, 10) and taking a limit
    away need a second person:

    \b
      ordergate risk set account desk-a MAX_ORDER_QTY 2 --reason "new trader"
      ordergate risk set account desk-a MAX_ORDER_QTY 5 --reason "trained"      waits as request 1042
      ordergate risk approve 1042 --by bob
    """


for command in (
    risk_views.history, risk_views.state, risk_views.set_state, risk_views.set_peak,
    risk_views.kinds, risk_views.self_trade_group,
):  # fmt: skip
    risk.add_command(command)


@risk.command(name="set", context_settings={"ignore_unknown_options": True})  # a negative value is no option
@click.argument("scope", type=click.Choice(SCOPES))
@click.argument("words", nargs=-1, required=True, metavar="[TARGET] KIND VALUE")
@symbol_option
@click.option("--unit", metavar="UNIT", help="To be sure: refused when the kind is measured in another unit.")
@reason_option
@by_option
@data_dir_option
def set_(
    scope: str, words: tuple[str, ...], symbol: str | None, unit: str | None, reason: str, by: str, paths: Paths
) -> None:
    """Set a limit, or take it away with the value `none`. TARGET is left out for the firm.

    \b
      ordergate risk set firm MAX_OPEN_ORDERS 500 --reason start
      ordergate risk set key 3 MAX_ORDER_NOTIONAL 1000 --reason "test key"
      ordergate risk set account desk-a MAX_LONG_POSITION 2 --symbol BTCUSDT --reason start
    """
    if len(words) != (2 if scope == "firm" else 3):
        refuse("give KIND and VALUE for the firm, TARGET, KIND and VALUE for everything else")
    *target, kind, value = words
    arguments: dict[str, Any] = {"scope": scope, "kind": kind, "by": by, "reason": reason, "target": "".join(target)}
    arguments |= {} if value == "none" else {"value": value}
    arguments |= {name: given for name, given in (("symbol", symbol), ("unit", unit)) if given is not None}
    _tell(ask(paths, "risk.set", arguments), f"{kind} is {value}")


@risk.command()
@json_option
@data_dir_option
def show(as_json: bool, paths: Paths) -> None:
    """Show every limit, restricted symbol and schedule in force."""
    found = ask(paths, "risk.limits", {})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    columns = ["scope", "target", "symbol", "kind", "value", "unit"]
    print_table(columns, [[limit[column] or "" for column in columns] for limit in found["limits"]])
    for restriction in found["restrictions"]:
        click.echo(f"restricted: {restriction['symbol']} for {restriction['account'] or 'everybody'}")
    for hours in found["schedules"]:
        days = ",".join(day for bit, day in enumerate(DAYS) if hours["weekdays"] & 1 << bit)
        span = f"{_clock(hours['fromMinute'])}-{_clock(hours['toMinute'])} UTC"
        click.echo(f"hours: {days} {span} for {hours['account'] or 'everybody'}")


@risk.command()
@json_option
@data_dir_option
def requests(as_json: bool, paths: Paths) -> None:
    """Show the changes that wait for a second person."""
    found = ask(paths, "risk.requests", {})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = []
    for asked in found:
        change = asked["limit"] or asked["override"]
        what = " ".join(str(value) for value in change.values() if value is not None)
        rows.append([asked["id"], "limit" if asked["limit"] else "override", what, asked["by"], asked["reason"]])
    print_table(["id", "change", "what", "by", "reason"], rows)


@risk.command()
@click.argument("request", type=int)
@by_option
@data_dir_option
def approve(request: int, by: str, paths: Paths) -> None:
    """Approve a change that somebody else asked for. In force at once."""
    ask(paths, "risk.approve", {"id": request, "by": by})
    click.echo(f"request {request} approved")


@risk.command()
@click.argument("request", type=int)
@by_option
@data_dir_option
def reject(request: int, by: str, paths: Paths) -> None:
    """Reject a change, or take back your own."""
    ask(paths, "risk.reject", {"id": request, "by": by})
    click.echo(f"request {request} rejected")


@risk.command()
@click.argument("account")
@click.argument("kinds", nargs=-1, required=True, metavar="KIND...")
@symbol_option
@click.option("--minutes", type=click.IntRange(1, DAY_MINUTES), default=10, show_default=True, help="Once granted.")
@reason_option
@by_option
@data_dir_option
def override(
    account: str, kinds: tuple[str, ...], symbol: str | None, minutes: int, reason: str, by: str, paths: Paths
) -> None:
    """Ask a second person to let one order of an account pass in spite of these limits.

    Once approved, the order names it: "overrideId" is the number of the request. It is used once, and never excuses
    a lack of money or a kill.
    """
    arguments: dict[str, Any] = {"account": account, "kinds": list(kinds), "by": by, "reason": reason}
    arguments |= {"validForMs": minutes * 60_000} | ({} if symbol is None else {"symbol": symbol})
    _tell(ask(paths, "risk.override", arguments), "granted")


@risk.command()
@click.argument("symbol")
@click.option("--account", metavar="NAME", help="Only for this account.")
@click.option("--lift", is_flag=True, help="Take the restriction away.")
@reason_option
@by_option
@data_dir_option
def restrict(symbol: str, account: str | None, lift: bool, reason: str, by: str, paths: Paths) -> None:
    """Refuse new orders in a symbol; cancels always pass."""
    arguments: dict[str, Any] = {"symbol": symbol, "restricted": not lift, "by": by, "reason": reason}
    ask(paths, "risk.restrict", arguments | ({} if account is None else {"account": account}))
    click.echo(f"{symbol}: {'no longer restricted' if lift else 'restricted'}")


@risk.command()
@click.option("--days", default="mon,tue,wed,thu,fri,sat,sun", show_default=True, metavar="DAYS")
@click.option("--from", "begin", default="00:00", show_default=True, metavar="HH:MM", help="UTC.")
@click.option("--to", "end", default="24:00", show_default=True, metavar="HH:MM", help="UTC; earlier: the next day.")
@click.option("--account", metavar="NAME", help="Only for this account.")
@reason_option
@by_option
@data_dir_option
def schedule(days: str, begin: str, end: str, account: str | None, reason: str, by: str, paths: Paths) -> None:
    """Take new orders in these hours only. Without --days, --from and --to: always, as if there were no schedule."""
    named = days.split(",")
    if not set(named) <= set(DAYS):
        refuse(f"--days: {days} is not a list of {', '.join(DAYS)}")
    arguments: dict[str, Any] = {
        "weekdays": sum(1 << DAYS.index(day) for day in set(named)),
        "fromMinute": _minute("--from", begin),
        "toMinute": _minute("--to", end),
        "by": by,
        "reason": reason,
    }
    ask(paths, "risk.schedule", arguments | ({} if account is None else {"account": account}))
    click.echo(f"hours: {days} {begin}-{end} UTC for {account or 'everybody'}")


def _minute(option: str, text: str) -> int:
    hours, _, minutes = text.partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and len(minutes) == 2 and int(minutes) < 60):
        refuse(f"{option}: {text} is not HH:MM")
    return int(hours) * 60 + int(minutes)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _tell(change: dict[str, Any], in_force: str) -> None:
    match change["status"]:
        case "WAITING":
            click.echo(f"waits for a second person: ordergate risk approve {change['seq']} --by PERSON")
        case "UNCHANGED":
            click.echo("it was so already")
        case _:
            click.echo(in_force)
