"""The planted bugs keep up with the tree: a patch that no longer applies tests nothing."""

import subprocess
from pathlib import Path

import pytest

from tests.torture.mutants import PLANTED

TOP = Path(__file__).resolve().parents[2]
PATCHES = Path(__file__).parent / "planted"


def test_every_planted_bug_has_its_patch() -> None:
    assert {bug.name for bug in PLANTED} == {patch.stem for patch in PATCHES.glob("*.patch")}


@pytest.mark.parametrize("patch", sorted(PATCHES.glob("*.patch")), ids=lambda patch: patch.stem)
def test_the_patch_still_applies(patch: Path) -> None:
    done = subprocess.run(["git", "apply", "--check", str(patch)], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
