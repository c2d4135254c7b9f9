"""What `ordergate db rebuild` says and does."""

import asyncio
import os
import time
from contextlib import nullcontext
from typing import Final

import click

from ordergate.cli.terms import refuse
from ordergate.config import Paths, PathsError, Settings, SettingsError, load_settings
from ordergate.supervisor.addresses import ForeignUrls, own_environment
from ordergate.supervisor.only_postgres import REFUSALS, only_postgres

TELL_EVERY_S: Final = 2.0


class Told:
    """Progress lines, not more often than people read."""

    def __init__(self) -> None:
        self.at_s = time.monotonic()
        self.what = "read"

    def __call__(self, what: str, done: int, of: int) -> None:
        """Prints when the last line is old enough, and the first and last of each step."""
        if done >= of or what != self.what or time.monotonic() - self.at_s >= TELL_EVERY_S:
            self.at_s, self.what = time.monotonic(), what
            click.echo(f"{done:>12,} of {of:,} records {what}")


def rebuild_database(paths: Paths, yes: bool) -> None:
    """The command, once its options are read."""
    from ordergate._core import FollowerStopped
    from ordergate.persistence.connection import TROUBLE, describe
    from ordergate.persistence.migrate import MigrationRefused
    from ordergate.persistence.write_behind import Fenced
    from ordergate.portfolio.outbox import OutboxGap
    from ordergate.worker.main import take_lock

    if not yes:
        refuse("this drops every table of execution, portfolio, identity, risk and strategy: say --yes to do it")
    try:
        settings = load_settings(paths.data, environment=own_environment(os.environ, paths.data))
        paths.prepare()
    except (SettingsError, ForeignUrls, PathsError) as error:
        refuse(str(error))
    lock = take_lock(paths.worker_lock)
    if lock is None:
        refuse(f"the worker is running (process {paths.worker_lock.read_text().strip()}): stop `ordergate up` first")
    try:
        last_seq = asyncio.run(_rebuild(paths, settings))
    except (MigrationRefused, *REFUSALS) as error:
        refuse(str(error))
    except FollowerStopped as error:
        refuse(f"archive and journal do not hold every record: {error}", 1)
    except (Fenced, OutboxGap) as error:
        refuse(str(error), 1)
    except TROUBLE as error:
        refuse(f"not finished ({describe(error)}): call it again and it goes on", 1)
    finally:
        os.close(lock)
    click.echo(f"rebuilt up to record {last_seq:,}")


async def _rebuild(paths: Paths, settings: Settings) -> int:
    from ordergate.worker.rebuild import rebuild

    url = settings.postgres.url
    async with only_postgres(paths, settings, click.echo) if url is None else nullcontext(url) as address:
        return await rebuild(address, paths, Told())
