"""Our own Postgres by itself, for a command that works on the database while nothing else runs."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ordergate.config import Paths, Settings
from ordergate.supervisor import leftovers, placement, postgres, programs, table
from ordergate.supervisor.processes import Household
from ordergate.supervisor.up import Refused, hold_directory, stop_leftover

REFUSALS = (Refused, placement.PlacementError, postgres.ClusterError, programs.ProgramMissing)
"""What `only_postgres` raises when it cannot start: the message is for people."""


@asynccontextmanager
async def only_postgres(paths: Paths, settings: Settings, say: Callable[[str], None]) -> AsyncIterator[str]:
    """Runs it for the length of the block; its URL. Raises one of REFUSALS, also when `ordergate up` runs."""
    os.umask(0o077)
    with hold_directory(paths):
        cluster = placement.place(paths, programs.postgres_bin_dir(settings.postgres.bin_dir))
        stop_leftover(leftovers.postmaster(cluster.data))
        await postgres.make_cluster(cluster)
        patience = table.STOP_BY_S["postgres"], table.STOP_BY_S["postgres now"]
        household = Household([postgres.child(paths, cluster, patience)], paths.children, say)
        household.start("postgres")
        try:
            if not await household.wait_ready("postgres"):
                raise Refused(household.failure.message if household.failure else "Postgres did not start")
            yield postgres.database_url(cluster.sockets)
        finally:
            await household.stop(("postgres",))
