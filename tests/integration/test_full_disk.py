"""The disk fills up under the real journal: orders stop first, everything that follows from old ones goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def test_a_full_disk_stops_new_orders_and_nothing_else(tmp_path: Path) -> None:
    """On a file system of 4 MiB, mounted in a namespace of its own (root there, whoever runs the tests)."""
    directory = tmp_path / "small"
    directory.mkdir()
    command = ["unshare", "--mount", "--map-root-user", sys.executable, "-m", "tests.integration.full_disk", directory]
    done = subprocess.run(
        [str(part) for part in command],
        cwd=TOP,
        env={**os.environ, "PYTHONPATH": f"{TOP / 'pyapp'}:{TOP}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["placed"] > 500 and counts["canceled"] > 20 and counts["trades"] == counts["canceled"], counts
