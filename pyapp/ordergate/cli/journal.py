"""`ordergate journal verify|dump|repair`."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from ordergate.cli.terms import data_dir_option, print_table, refuse
from ordergate.config import Paths, SettingsError, load_settings
from ordergate.supervisor.addresses import ForeignUrls, kept, own_environment

EXIT_DAMAGED: Final = 1
WATERMARK_SECONDS_MAX: Final = 3.0
PROGRESS_SECONDS: Final = 2.0
LAST_SEQ: Final = 2**64 - 1


@click.group()
def journal() -> None:
    """The journal holds every order and everything that happened to it; all else can be made from it again.

    \b
    verify  looks at every byte of it and says what a start would do   any time
    dump    shows its records as JSON lines                            any time
    repair  cuts the unfinished write of a crash, keeping a copy       only while ordergate is stopped

    A start repairs an unfinished write by itself and refuses everything worse (exit code 78). docs/journal.md has the
    whole table.
    """


@journal.command()
@click.option("--json", "as_json", is_flag=True, help="Everything that was found, for programs.")
@data_dir_option
def verify(as_json: bool, paths: Paths) -> None:
    """Read every segment, changing nothing, and say what a start would do.

    Beside a running gateway it reads what is acknowledged; on a stopped one, everything. The snapshot and, when it
    answers, Postgres are asked as a start asks them.

    Exit code 0: good, also when a crash left an unfinished write that nobody was told of. 1: damaged; the lines name
    file, byte, the last good record, and what to do. 2: there is no journal.

    \b
    Example, every night:
      ordergate journal verify --json > verify.json || mail -s "journal" ops < verify.json
    """
    from ordergate import _core

    _present(paths)
    watermark, read, told = _watermark(paths)
    try:
        found = _core.journal_verify(str(paths.journal), str(paths.snapshots), watermark=watermark, postgres_read=read)
    except (_core.JournalRefused, OSError) as error:
        refuse(str(error), EXIT_DAMAGED)
    report = json.loads(found)
    if as_json:
        click.echo(json.dumps(report | {"postgres": told}, indent=2))
    else:
        _show(report, told)
    sys.exit(0 if report["good"] else EXIT_DAMAGED)


@journal.command()
@click.option("--from", "first", type=click.IntRange(0), default=0, metavar="SEQ", help="First record.  [default: all]")
@click.option("--to", "last", type=click.IntRange(0, LAST_SEQ), default=LAST_SEQ, metavar="SEQ", help="Last record.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only these, for example FILL; may be repeated.")
@data_dir_option
def dump(first: int, last: int, kinds: tuple[str, ...], paths: Paths) -> None:
    """Show records as JSON lines: sequence, journal time, kind, and the body with the names of its fields.

    Of API keys it shows the hash, never a token. Beside a running gateway it ends with what is acknowledged. Damage
    ends it with exit code 1, after everything before that place.

    \b
    Examples:
      ordergate journal dump --from 1000 --to 1100
      ordergate journal dump --kind FILL --kind CANCELED | jq -r '.body.order'
    """
    from ordergate import _core

    _present(paths)
    progress = _Progress()
    try:
        end = _core.journal_dump(str(paths.journal), first, last, [kind.upper() for kind in kinds], progress.write)
    except ValueError as error:
        refuse(str(error))
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (_core.JournalRefused, OSError) as error:
        refuse(str(error), EXIT_DAMAGED)
    outcome = json.loads(end)
    if outcome["decision"] == "cut":
        click.echo("ordergate: an unfinished write follows the last record; a start would cut it", err=True)
    if outcome["decision"] == "refuse":
        refuse(f"the dump is not complete: {_place(outcome)}: {outcome['reason']}. {outcome['advice']}.", EXIT_DAMAGED)


@journal.command()
@click.option("--yes", is_flag=True, help="Do it. Without this it only says what it would do.")
@click.option(
    "--last-acknowledged",
    type=click.IntRange(0, LAST_SEQ),
    metavar="SEQ",
    help="Your word that no client was answered for a record after this one. Taken only when neither the commit file "
    "nor Postgres can say it.",
)
@data_dir_option
def repair(yes: bool, last_acknowledged: int | None, paths: Paths) -> None:
    """Cut the unfinished write of a crash from the end of the journal, keeping a copy.

    Only what a start would cut by itself: bytes after the last good record that nobody was told of. Everything else is
    refused with the reason (exit code 1): damage with good records after it, missing records, a journal that ends
    before what was acknowledged. Restore those from a backup. It never changes or drops a record.

    When the commit file is lost, nobody knows what was acknowledged, and a start refuses. Make Postgres reachable, or
    give your word with --last-acknowledged: the highest orderId or event sequence that any client has been answered.

    \b
    Example:
      ordergate journal repair                 says what it would do
      ordergate journal repair --yes           does it
    """
    from ordergate import _core

    _present(paths)
    watermark, read, told = _watermark(paths)
    try:
        done = _core.journal_repair(
            str(paths.journal),
            str(paths.snapshots),
            watermark=watermark,
            postgres_read=read,
            last_acknowledged=last_acknowledged,
            act=yes,
        )
    except _core.JournalLocked:
        refuse("ordergate runs on this data directory: stop it first, nothing was changed")
    except _core.JournalRefused as error:
        asked = "" if read or "Postgres" not in str(error) else f" (Postgres was {told})"
        refuse(f"nothing was changed. {error}{asked}", EXIT_DAMAGED)
    except OSError as error:
        refuse(str(error), EXIT_DAMAGED)
    _show_repair(json.loads(done))


def _present(paths: Paths) -> None:
    if not paths.journal.is_dir() or not any(paths.journal.iterdir()):
        refuse(f"there is no journal in {paths.journal}: ordergate has not run on this data directory yet")


def _watermark(paths: Paths) -> tuple[tuple[int, bytes] | None, bool, str]:
    """What Postgres says, whether it was read, and that in words; as a start asks, but without starting a server."""
    from ordergate.persistence import PostgresUnreadable, read_watermark

    try:
        url = load_settings(paths.data, environment=own_environment(os.environ, paths.data)).postgres.url
    except (SettingsError, ForeignUrls) as error:
        refuse(str(error))
    addresses = kept(paths.servers)
    if url is None and addresses is not None:
        url = addresses.postgres.url
    if url is None:
        return None, False, "not asked: no database is known"
    try:
        found = read_watermark(url, WATERMARK_SECONDS_MAX)
    except PostgresUnreadable as error:
        return None, False, f"not read: {error}"
    return found, True, f"holds records up to {found[0]}" if found else "holds no record"


class _Progress:
    """Writes what it is handed, and every few seconds says on standard error how far it is."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def write(self, lines: bytes, last_seq: int) -> None:
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()
        if time.monotonic() - self._said > PROGRESS_SECONDS:
            self._said = time.monotonic()
            click.echo(f"at record {last_seq}", err=True)


def _show(report: dict[str, Any], postgres: str) -> None:
    print_table(
        ["segment", "first", "last", "chunks", "epochs", "bytes"],
        [_segment_row(segment) for segment in report["segments"]],
    )
    commit, chunks = report["commit"], sum(segment["chunks"] for segment in report["segments"])
    read = f"up to record {commit['seq']}" if commit["state"] == "read" else commit["state"]
    state = "runs: read up to what is acknowledged" if report["running"] else "stopped: read to the end"
    click.echo(f"gateway      {state}")
    click.echo(f"records      up to {report['lastSeq']}, {chunks} chunks, epoch {report['epoch']}")
    click.echo(f"last hash    {report['hash']}")
    click.echo(f"commit       {read}")
    click.echo(f"postgres     {postgres}")
    click.echo(f"snapshot     {'up to record ' + str(report['snapshotSeq']) if report['snapshotSeq'] else 'none'}")
    for name, outcome in (("start", report["start"]), ("everything", report["everything"])):
        if name == "start" or outcome["decision"] != report["start"]["decision"]:
            label = "a start" if name == "start" else "all segments"
            click.echo(f"{label:<12} {_told(outcome, report)}")
    click.echo("good" if report["good"] else "DAMAGED")


def _segment_row(segment: dict[str, Any]) -> list[str]:
    name, first = Path(segment["file"]).name, str(segment["firstSeq"])
    if segment["end"] == 0:
        return [name, first, "not read: its start is damaged, or what stands before it", "", "", ""]
    epochs = "-".join(str(epoch) for epoch in sorted(set(segment["epochs"])))
    return [name, first, str(segment["lastSeq"]), str(segment["chunks"]), epochs, str(segment["end"])]


def _told(outcome: dict[str, Any], report: dict[str, Any]) -> str:
    if outcome["decision"] == "start":
        again = report["unprovenChunks"]
        more = f", after writing {again} chunks again that may not be on the disk" if again else ""
        return f"goes on after record {report['lastSeq']}{more}"
    if outcome["decision"] == "cut":
        return f"cuts an unfinished write that nobody was told of: {_torn(outcome['torn'])}"
    return f"is refused: {_place(outcome)}: {outcome['reason']}. {outcome['advice']}."


def _place(outcome: dict[str, Any]) -> str:
    offset = "" if outcome["offset"] is None else f" at byte {outcome['offset']}"
    after = "" if outcome["afterSeq"] is None else f", after record {outcome['afterSeq']}"
    return f"{outcome['file']}{offset}{after}"


def _torn(torn: list[dict[str, Any]]) -> str:
    return "; ".join(f"{part['bytes']} bytes of {Path(part['file']).name} from byte {part['from']}" for part in torn)


def _show_repair(report: dict[str, Any]) -> None:
    if not report["needed"]:
        click.echo(f"nothing to repair: a start goes on after record {report['lastSeq']}")
        return
    past = report["done"]
    for part in report["torn"]:
        click.echo(f"{'cut' if past else 'would cut'}: {_torn([part])}")
        if part["copy"]:
            click.echo(f"kept: {part['copy']}")
    if report["commit"]:
        made = "made anew" if past else "would make anew"
        click.echo(f"{made}: the commit file, with record {report['lastSeq']} as the last")
        if report["commitCopy"]:
            click.echo(f"kept: {report['commitCopy']}")
    click.echo(f"the journal {'ends' if past else 'would end'} with record {report['lastSeq']}")
    if not past:
        click.echo("nothing was changed: add --yes")
        sys.exit(EXIT_DAMAGED)
