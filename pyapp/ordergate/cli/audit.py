"""`ordergate audit verify`."""

import asyncio
import sys
import time
from typing import Final

import click

from ordergate.cli.db import database_url
from ordergate.cli.terms import data_dir_option, refuse
from ordergate.config import Paths

TELL_EVERY_S: Final = 2.0


@click.group()
def audit() -> None:
    """Show that nobody has touched the audit trail."""


@audit.command()
@data_dir_option
def verify(paths: Paths) -> None:
    """Compare execution.order_events, row by row, with archive and journal, and their hash chain with the anchors.

    Also while everything runs: what is compared is what Postgres held at the start. Exit code 0 when all agree, 1 when
    something differs (the first row is named), 2 when it could not be compared.
    """
    from ordergate._core import Follower, FollowerStopped
    from ordergate.persistence.anchors import BadAnchors, read_anchors
    from ordergate.persistence.audit import verify_trail
    from ordergate.persistence.connection import TROUBLE, describe

    url = database_url(paths)
    told = time.monotonic()

    def tell(done: int, of: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_EVERY_S:
            told = time.monotonic()
            click.echo(f"{done:>12,} of {of:,} records compared")

    try:
        anchors = read_anchors(paths.anchors)
        journal = Follower(str(paths.journal), archive_dir=str(paths.archive))
        verdict = asyncio.run(verify_trail(url, journal, anchors, tell))
    except BadAnchors as error:
        refuse(str(error), 1)
    except FollowerStopped as error:
        refuse(f"archive and journal cannot be read: {error}")
    except TROUBLE as error:
        refuse(f"the database does not answer ({describe(error)}): is `ordergate up` running?")
    what = (
        f"{verdict.rows:,} rows up to record {verdict.last_seq:,} of {journal.committed_seq():,}, "
        f"{verdict.anchors:,} of {len(anchors):,} anchors"
    )
    if verdict.difference is None:
        click.echo(f"all agree: {what}")
        return
    click.echo(f"DIFFERS at record {verdict.difference.seq}: {verdict.difference.text}")
    click.echo(f"before that all agree: {what}")
    sys.exit(1)
