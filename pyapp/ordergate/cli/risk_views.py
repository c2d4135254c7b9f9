"""`ordergate risk history|state|set-state|kinds|self-trade-group`: how limits came about, and what they have done."""

import json
from datetime import UTC, datetime
from typing import Any, Final

import click

from ordergate.cli.db import database_url
from ordergate.cli.gateway_door import ask
from ordergate.cli.kill import by_option
from ordergate.cli.terms import data_dir_option, print_table, refuse
from ordergate.config import Paths
from ordergate.persistence.limit_history import PAGE_MAX, VERSION_MAX

PAGE: Final = 50
STATES: Final = ("ACTIVE", "REDUCE_ONLY", "HALTED")
CHANGE: Final = ("version", "at", "scope", "target", "symbol", "kind", "old", "new", "by", "approvedBy", "reason")


@click.command()
@click.option("--scope", type=click.Choice(["firm", "account", "strategy", "key"]), help="Only limits of these.")
@click.option("--target", metavar="NAME", help="Only this account or strategy, or the key with this number.")
@click.option("--symbol", metavar="SYMBOL", help="Only limits in this symbol.")
@click.option("--kind", metavar="KIND", help="Only this kind, for example MAX_ORDER_QTY.")
@click.option("--before", type=click.IntRange(1, VERSION_MAX), metavar="VERSION", help="The page of older changes.")
@click.option("--limit", type=click.IntRange(1, PAGE_MAX), default=PAGE, show_default=True, help="Changes on one page.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@data_dir_option
def history(
    scope: str | None, target: str | None, symbol: str | None, kind: str | None, before: int | None, limit: int,
    as_json: bool, paths: Paths,
) -> None:  # fmt: skip
    """Show who changed which limit, when, from what to what, and why; newest first.

    Each change has a version of its own. An empty `old`: there was no limit before; an empty `new`: it was taken away;
    `approvedBy` is the second person, when one was needed. Comes from Postgres (risk.limits), which is a moment behind.

    \b
      ordergate risk history --scope account --target desk-a
      ordergate risk history --kind MAX_ORDER_QTY --before 120        the page after version 120
    """
    import asyncio

    from ordergate.persistence import limit_history
    from ordergate.persistence.connection import TROUBLE, describe

    url = database_url(paths)
    wanted = limit_history.Wanted(None, scope, target, symbol, kind, before, limit)
    try:
        found = json.loads(asyncio.run(limit_history.fetch(url, wanted)))
    except TROUBLE as error:
        refuse(f"the database does not answer ({describe(error)}): is `ordergate up` running?", 1)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    print_table(list(CHANGE), [[_text(change[name]) for name in CHANGE] for change in found])
    if len(found) >= limit:
        click.echo(f"older ones: --before {found[-1]['version']}", err=True)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@data_dir_option
def state(as_json: bool, paths: Paths) -> None:
    """Show what may not trade freely, today's figures, and how near the watched limits are.

    \b
    state    REDUCE_ONLY takes only orders that make a position smaller, HALTED takes none; cancels always pass.
             What is not listed is ACTIVE. Source `limit`: a limit was breached, the reason is its kind.
    day      since midnight UTC, by firm, account and strategy, in the reporting currency. `stale`: a price behind
             the result is old.
    limit    MAX_DAILY_LOSS and MAX_DRAWDOWN, judged four times a second: ok, breached, or unknown while a price is
             stale and the last price known does not show a breach.

    Without a running gateway there are no new prices: everything is valued at the prices of the last trades.
    """
    found = ask(paths, "risk.state", {})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    states = [
        [_named(one), one["mode"], one["state"], one["reason"], one["by"], one["source"], _time(one["sinceNs"])]
        for one in found["states"]
    ]
    print_table(["state of", "mode", "state", "reason", "by", "source", "since"], states)
    day = "not begun" if found["dayStartNs"] is None else _time(found["dayStartNs"])[:10]
    columns = [f"day {day}", "mode", "orders", "cancels", "fills", f"turnover {found['currency']}", "result", "prices"]
    figures = [
        [_named(one), one["mode"], *(_text(one[name]) for name in ("orders", "cancels", "fills", "turnover", "result")),
         "fresh" if one["fresh"] else "stale"]
        for one in found["figures"]
    ]  # fmt: skip
    print_table(columns, figures)
    watched = [
        [_named(one), one["mode"], one["kind"], _text(one["value"]), one["limit"], _judgement(one),
         "" if one["warnedAtNs"] is None else _time(one["warnedAtNs"])]
        for one in found["watched"]
    ]  # fmt: skip
    print_table(["limit of", "mode", "kind", "now", "limit", "is", "warned"], watched)


@click.command()
def kinds() -> None:
    """Show what can be limited, in which unit, and for whom.

    base: units of the symbol's base asset; reportingCurrency: USDT; ratio: 0.05 is five percent.
    """
    from ordergate import _core

    rows = [
        [kind, unit, ",".join(whose), "yes" if symbol else "", text]
        for kind, unit, whose, symbol, text in _core.LIMIT_KINDS
    ]
    print_table(["kind", "unit", "of", "per symbol", "what"], rows)


@click.command(name="set-state")
@click.argument("scope", type=click.Choice(["global", "account", "strategy", "symbol"]))
@click.argument("words", nargs=-1, required=True, metavar="[TARGET] STATE")
@click.option("--mode", type=click.Choice(["PAPER", "LIVE"]), help="Only in this mode.  [default: both]")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for the journal.")
@by_option
@data_dir_option
def set_state(scope: str, words: tuple[str, ...], mode: str | None, reason: str, by: str, paths: Paths) -> None:
    """Let a scope trade freely (ACTIVE), only reduce (REDUCE_ONLY), or not at all (HALTED).

    TARGET is left out for global. Open orders stay, cancels always pass.

    After a breach ACTIVE lets it trade again; while the limit is still breached the next look sets the state anew.

    \b
      ordergate risk set-state account desk-a ACTIVE --mode PAPER --reason "looked into it"
      ordergate risk set-state symbol BTCUSDT REDUCE_ONLY --reason "delisting soon"
    """
    if len(words) != (1 if scope == "global" else 2) or words[-1] not in STATES:
        refuse(f"give STATE for global, TARGET and STATE for everything else; STATE is one of {', '.join(STATES)}")
    arguments: dict[str, Any] = {"scope": scope, "target": "".join(words[:-1]), "state": words[-1], "reason": reason}
    done = ask(paths, "risk.state.set", arguments | {"by": by} | ({} if mode is None else {"mode": mode}))
    click.echo(f"{' '.join((scope, *words[:-1]))}: {words[-1]}" if done["seq"] else "it was so already")


@click.command(name="set-peak")
@click.argument("account")
@click.argument("peak", required=False)
@click.option("--mode", type=click.Choice(["PAPER", "LIVE"]), required=True, help="Which book of the account.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for the journal.")
@by_option
@data_dir_option
def set_peak(account: str, peak: str | None, mode: str, reason: str, by: str, paths: Paths) -> None:
    """Correct the highest worth of an account, from which its drawdown (MAX_DRAWDOWN) is measured.

    PEAK is an amount of the reporting currency; without it the account's worth of now is taken, which needs fresh
    prices of everything it has.

    \b
      ordergate risk set-peak desk-a 14250.50 --mode PAPER --reason "a tick out of line"
    """
    arguments: dict[str, Any] = {"account": account, "mode": mode, "reason": reason, "by": by}
    ask(paths, "risk.peak.set", arguments | ({} if peak is None else {"peak": peak}))
    click.echo(f"account {account}: its peak is {peak or 'what it is worth now'}")


@click.command(name="self-trade-group")
@click.argument("account")
@click.argument("group", default="")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for the journal.")
@by_option
@data_dir_option
def self_trade_group(account: str, group: str, reason: str, by: str, paths: Paths) -> None:
    """Put an account into a group whose orders must not trade with each other.

    Without GROUP the account is a group of its own again, as at first.

    \b
      ordergate risk self-trade-group desk-a family --reason "one owner"
    """
    done = ask(paths, "stp-group.set", {"account": account, "group": group, "by": by, "reason": reason})
    now = f"in group {group}" if group else "a group of its own"
    click.echo(f"account {account}: {now}" if done["seq"] else "it was so already")


def _named(one: dict[str, Any]) -> str:
    return " ".join(word for word in (one["scope"], one["target"], one.get("symbol")) if word)


def _judgement(one: dict[str, Any]) -> str:
    return "breached" if one["breached"] else "ok" if one["judged"] else "unknown"


def _time(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(value: Any) -> str:
    return "" if value is None else str(value)
