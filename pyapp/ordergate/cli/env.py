"""`ordergate env`."""

import fcntl
import shlex

import click

from ordergate.cli.shims import write_shims
from ordergate.cli.terms import data_dir_option, refuse
from ordergate.config import Paths
from ordergate.supervisor.addresses import MARK, kept
from ordergate.supervisor.first_start import demo_token


@click.command()
@data_dir_option
def env(paths: Paths) -> None:
    """Print shell exports for the gateway of this data directory.

    \b
      eval "$(ordergate env)"

    \b
    DATABASE_URL, REDIS_URL    its servers
    ORDERGATE_TOKEN            the demo account's key
    ORDERGATE_DATA_DIR         so that the other commands (not `up`) find it from any directory
    PATH                       first its own psql, redis-cli and uuidgen: an emergency stop by `redis-cli`
                               reaches this gateway's server and no other
    """
    addresses = kept(paths.servers)
    if addresses is None:
        refuse(f"ordergate has not run on {paths.data} yet: start it with `ordergate up`, then ask again")
    write_shims(paths, addresses)
    token = demo_token(paths)
    exports = {
        "DATABASE_URL": addresses.postgres.url,
        "REDIS_URL": addresses.redis.url,
        "ORDERGATE_DATA_DIR": str(paths.data),
        MARK: str(paths.data),
        **({"ORDERGATE_TOKEN": token} if token else {}),
    }
    for name, value in exports.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    shims = shlex.quote(str(paths.shims))
    click.echo(f'case "$PATH" in {shims}:*) ;; *) export PATH={shims}:"$PATH" ;; esac')
    click.echo("hash -r 2>/dev/null || true")
    if token is None:
        click.echo(f"ordergate: no demo key is kept in {paths.demo_key}: ORDERGATE_TOKEN is not set", err=True)
    if not _running(paths):
        click.echo(f"ordergate: nothing is running on {paths.data} now: start it with `ordergate up`", err=True)


def _running(paths: Paths) -> bool:
    try:
        with paths.supervisor_lock.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
