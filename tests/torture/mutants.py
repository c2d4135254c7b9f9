"""Plants known bugs in a copy of the tree, one at a time, and runs what should find each: `make mutants`.

A check that finds nothing proves nothing, so the copy without a bug has to pass the same commands first. The copy and
what is built from it live in `target/mutants`; the tree itself is never touched.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PATCHES = Path(__file__).with_name("planted")
SCRATCH = TOP / "target" / "mutants"
TREE = SCRATCH / "tree"
EXTENSION = "pyapp/ordergate/_core.abi3.so"
LONGEST_S = 1500.0


@dataclass(frozen=True)
class Check:
    """A command that passes on a good tree, and what its output says when it has found something."""

    command: tuple[str, ...]
    evidence: re.Pattern[str]
    shown: str
    """How the groups of the evidence are told."""


PYTHON = sys.executable
TORTURE = (PYTHON, "-m", "tests.torture", "--seed", "1", "--cycles", "30", "--check-every", "3", "--faults")
LIVE = (PYTHON, "-m", "tests.torture", "--live", "--seed", "1", "--cycles", "12", "--check-every", "2", "--faults")
FAILED_TEST = re.compile(r"^thread 'tests::(\S+)'.* panicked at .*:\n(.*)", re.MULTILINE)
FAILED_MODEL = re.compile(r"^thread '(\S+)'.* panicked at .*:\n(.*)", re.MULTILINE)
MODEL = ("cargo", "test", "--locked", "-p", "ordergate-core", "--test", "model", "any_history")
JOURNAL = ("cargo", "test", "--locked", "-p", "ordergate-journal", "--lib", "--no-fail-fast", "--")
FAILED_CYCLE = re.compile(r"\A(?:  .*\n)*(.*)(?:.*\n)*?seed \d+, cycle (\d+);")

CHECKS = {
    "power": Check((*JOURNAL, "tests::power::"), FAILED_TEST, "{0}: {1}"),
    "damage": Check((*JOURNAL, "tests::damage::"), FAILED_TEST, "{0}: {1}"),
    "write-behind": Check(
        (PYTHON, "-m", "pytest", "-q", "tests/integration/test_write_behind.py"),
        re.compile(r"^FAILED \S+::(\S+)", re.MULTILINE),
        "{0}",
    ),
    "kills": Check((*TORTURE, "kill-gateway,kill-worker"), FAILED_CYCLE, "cycle {1}: {0}"),
    "stops": Check((*TORTURE, "flush-valkey,kill-switch"), FAILED_CYCLE, "cycle {1}: {0}"),
    "cuts": Check((*TORTURE, "cut-commit"), FAILED_CYCLE, "cycle {1}: {0}"),
    "lost answers": Check((*LIVE, "answer-closed,answer-reset"), FAILED_CYCLE, "cycle {1}: {0}"),
    "late accepts": Check((*LIVE, "late-accept"), FAILED_CYCLE, "cycle {1}: {0}"),
    "silence": Check((*LIVE, "nothing-heard"), FAILED_CYCLE, "cycle {1}: {0}"),
    "model": Check(MODEL, FAILED_MODEL, "{0}: {1}"),
}


@dataclass(frozen=True)
class Planted:
    """A bug of `planted/`, and the check that has to find it."""

    name: str
    what: str
    found_by: str


PLANTED = (
    Planted("B1", "an order is answered before its fdatasync", "power"),
    Planted("B2", "a new segment's name is not flushed", "power"),
    Planted("B3", "a failed flush is tried again", "power"),
    Planted("B4", "a fill is marked as processed before it is booked", "cuts"),
    Planted("B5", "an order whose answer was lost is sent again", "lost answers"),
    Planted("B6", "an order that is not found is taken for refused at once", "late accepts"),
    Planted("B7", "a question without an answer counts as not found", "silence"),
    Planted("B8", "a missing sentinel is taken for open", "stops"),
    Planted("B9", "the kill switch is looked at only when an order is taken", "stops"),
    Planted("B10", "the outbox has two writers, and its reader goes by the highest number it sees", "kills"),
    Planted("B11", "an older state of an order replaces a newer one in Postgres", "write-behind"),
    Planted("B12", "request keys are not restored from the journal", "kills"),
    Planted("B13", "an order in doubt holds nothing", "model"),
    Planted("B14", "damage in the middle of the journal is taken for a torn tail", "damage"),
)


def environment() -> dict[str, str]:
    """The copy's own package, built from the copy's own crates."""
    return os.environ | {
        "CARGO_TARGET_DIR": str(SCRATCH / "target"),
        "PYTHONPATH": str(TREE / "pyapp"),
        "PYO3_PYTHON": PYTHON,
        "PYO3_BUILD_EXTENSION_MODULE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def copy_tree() -> None:
    """Everything that is, or would be, committed, and the extension that was built from it."""
    shutil.rmtree(TREE, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=TOP,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in [*filter(None, listed.split("\0")), EXTENSION]:
        if (TOP / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, TREE / name)


@contextmanager
def planted(bug: Planted) -> Iterator[None]:
    """The copy with the bug, its extension built anew where the bug is in Rust and Python runs it."""
    patch = PATCHES / f"{bug.name}.patch"
    rust = "core_rs/" in patch.read_text() and CHECKS[bug.found_by].command[0] == PYTHON
    run_quietly("git", "apply", str(patch))
    good = (TREE / EXTENSION).read_bytes()
    try:
        if rust:
            run_quietly("cargo", "build", "--quiet", "--release", "--locked", "-p", "ordergate-bindings")
            shutil.copy(SCRATCH / "target" / "release" / "lib_core.so", TREE / EXTENSION)
        yield
    finally:
        run_quietly("git", "apply", "--reverse", str(patch))
        (TREE / EXTENSION).write_bytes(good)


def run_quietly(*command: str) -> None:
    """Runs in the copy; what it said only when it failed. The copy is no repository: patches apply by path alone."""
    done = subprocess.run(
        command,
        cwd=TREE,
        env=environment() | {"GIT_CEILING_DIRECTORIES": str(SCRATCH)},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def ask(check: Check) -> tuple[str | None, str, float]:
    """(what was found, or None; all that was said; seconds). A failure without evidence is a broken check: exits."""
    began = time.monotonic()
    done = subprocess.run(check.command, cwd=TREE, env=environment(), capture_output=True, text=True, timeout=LONGEST_S)
    said, took = done.stdout + done.stderr, time.monotonic() - began
    if done.returncode == 0:
        return None, said, took
    found = check.evidence.findall(said)
    if not found:
        sys.exit(f"{' '.join(check.command)} failed, and found nothing:\n{said[-4000:]}")
    groups = found[0] if isinstance(found[0], tuple) else (found[0],)
    return check.shown.format(*groups)[:160] + (f" (and {len(found) - 1} more)" if len(found) > 1 else ""), said, took


def main() -> int:
    """0: every bug was found, and nothing was found without one."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="names of bugs, with commas; default: all")
    options = parser.parse_args()
    bugs = [bug for bug in PLANTED if not options.only or bug.name in options.only.split(",")]
    copy_tree()
    for name in dict.fromkeys(bug.found_by for bug in bugs):
        found, said, took = ask(CHECKS[name])
        if found is not None:
            print(f"{name} fails without any bug: {found}\n{said[-4000:]}", file=sys.stderr)
            return 1
        print(f"     {name} passes without a bug ({took:.0f} s)", flush=True)
    missed = 0
    for bug in bugs:
        with planted(bug):
            found, _, took = ask(CHECKS[bug.found_by])
        missed += found is None
        print(f"{bug.name:4} {bug.what}: {found or 'NOT FOUND'} [{bug.found_by}, {took:.0f} s]", flush=True)
    print(f"{len(bugs) - missed} of {len(bugs)} planted bugs found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
