"""`ordergate doubt list|requery|attach|declare-absent`, `ordergate resume` and `ordergate reconciliations`."""

import json
from typing import Any, Final

import click

from ordergate.cli.db import database_url
from ordergate.cli.gateway_door import ask
from ordergate.cli.kill import by_option
from ordergate.cli.terms import data_dir_option, print_table, refuse
from ordergate.config import Paths
from ordergate.persistence.reconciliations import PAGE_MAX

PAGE: Final = 20
reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why, for the journal.")
order_argument = click.argument("order", type=click.IntRange(min=1))


@click.group()
def doubt() -> None:
    """Orders whose outcome is not known: sent, and the exchange's answer was lost or proves nothing.

    Such an order keeps its hold, and its account may only reduce in that symbol (risk.doubt_reduce_only). The venue
    process looks for it by itself until it is found or proved absent; after five minutes it is for a person.
    """


@doubt.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@data_dir_option
def list_(as_json: bool, paths: Paths) -> None:
    """Show the orders in doubt, and the differences from the exchange that are not explained."""
    found = ask(paths, "doubt.list", {})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    columns = ["order", "account", "symbol", "side", "quantity", "for s", "id there", "client id there", "last look"]
    rows = [
        [one["id"], one["account"], one["symbol"], one["side"], one["quantity"],
         f"{one['ageMs'] // 1000}{' !' if one['alarm'] else ''}", one["venueOrderId"] or "", one["clientIdAtVenue"],
         one["lastLook"] or "not yet"]
        for one in found["doubts"]
    ]  # fmt: skip
    print_table(columns, rows)
    if found["drifts"]:
        print_table(
            ["difference of", "symbol", "class", "what"],
            [[one["account"], one["symbol"] or "everywhere", one["class"], one["detail"]] for one in found["drifts"]],
        )


@doubt.command()
@order_argument
@by_option
@data_dir_option
def requery(order: int, by: str, paths: Paths) -> None:
    """Let the venue process look for an order in doubt once more, from the beginning."""
    ask(paths, "doubt.requery", {"order": order, "by": by})
    click.echo(f"order {order}: it is looked for")


@doubt.command()
@order_argument
@click.argument("venue_order_id")
@reason_option
@by_option
@data_dir_option
def attach(order: int, venue_order_id: str, reason: str, by: str, paths: Paths) -> None:
    """Say which of the exchange's orders an order in doubt is.

    Nothing is taken for granted: the venue process looks for VENUE_ORDER_ID, and what it finds ends the doubt.

    \b
      ordergate doubt attach 1042 28457 --reason "seen in the exchange's order history"
    """
    ask(paths, "doubt.attach", {"order": order, "venueOrderId": venue_order_id, "by": by, "reason": reason})
    click.echo(f"order {order}: it is looked for as {venue_order_id}")


@doubt.command("declare-absent")
@order_argument
@reason_option
@by_option
@data_dir_option
def declare_absent(order: int, reason: str, by: str, paths: Paths) -> None:
    """Say that an order in doubt is not at the exchange; a second person must agree (ordergate risk approve).

    Then it is REJECTED with both names in the journal, and what it held is free. Refused once the exchange has shown
    that it has the order. Late evidence re-opens it like any other.
    """
    done: dict[str, Any] = ask(paths, "doubt.declare-absent", {"order": order, "by": by, "reason": reason})
    click.echo(f"waits for a second person: ordergate risk approve {done['seq']}")


@click.command()
@click.option("--reason", default="looked into it", show_default=True, metavar="TEXT", help="Why, for the journal.")
@by_option
@data_dir_option
def resume(reason: str, by: str, paths: Paths) -> None:
    """Let LIVE go on after a crash, where `binance.resume = "manual"` keeps it waiting."""
    done = ask(paths, "live.resume", {"by": by, "reason": reason})
    click.echo("LIVE goes on once the exchange has been compared" if done["seq"] else "nothing waits to be resumed")


@click.command()
@click.option("--account", metavar="NAME", help="Only of this account.")
@click.option("--before", type=click.IntRange(min=1), metavar="ID", help="The page of older ones.")
@click.option("--limit", type=click.IntRange(1, PAGE_MAX), default=PAGE, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@data_dir_option
def reconciliations(account: str | None, before: int | None, limit: int, as_json: bool, paths: Paths) -> None:
    """Show comparisons of the exchange with what was booked, newest first; from Postgres, which is a moment behind."""
    import asyncio

    from ordergate.persistence import reconciliations as runs
    from ordergate.persistence.connection import TROUBLE, describe

    try:
        found = json.loads(asyncio.run(runs.fetch(database_url(paths), account, before, limit)))
    except TROUBLE as error:
        refuse(f"the database does not answer ({describe(error)}): is `ordergate up` running?", 1)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = [
        [one["id"], one["startedAt"], one["account"], one["trigger"], "yes" if one["complete"] else "no",
         str(one["durationMs"]), " ".join(f"{kind}={count}" for kind, count in one["counts"].items()),
         one["error"] or ""]
        for one in found
    ]  # fmt: skip
    print_table(["id", "started", "account", "trigger", "complete", "ms", "counts", "error"], rows)
