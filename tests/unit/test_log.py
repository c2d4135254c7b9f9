"""The log of a process: one JSON object a line, whoever speaks, from the level that was set."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PACKAGES = Path(__file__).resolve().parents[2] / "pyapp"

SPEECH = """
import logging, sys
import structlog
early = structlog.get_logger("early")
from ordergate.observability.log import configure
configure(sys.argv[1])
configure(sys.argv[1])
early.debug("quiet")
early.info("written", seq=7, path=object)
logging.getLogger("asyncio").debug("quiet, too")
logging.getLogger("asyncio").warning("slow by %d ms", 30, extra={"task": "poll"})
try:
    1 / 0
except ZeroDivisionError:
    early.exception("failed", big=2**80, half="\\ud800")
    logging.getLogger("x").error("failed as well", exc_info=True)
"""


def spoken(level: str) -> list[dict[str, Any]]:
    told = subprocess.run(
        [sys.executable, "-c", SPEECH, level],
        env={"PYTHONPATH": f"{PACKAGES}:{':'.join(sys.path)}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == ""
    return [json.loads(line) for line in told.stderr.splitlines()]


def test_one_json_object_a_line_from_structlog_and_logging() -> None:
    written, slow, failed, as_well = spoken("info")
    assert written.pop("timestamp").endswith("Z")
    assert written == {"event": "written", "seq": 7, "path": "<class 'object'>", "level": "info", "logger": "early"}
    assert (slow["event"], slow["level"], slow["logger"], slow["task"]) == (
        "slow by 30 ms", "warning", "asyncio", "poll",
    )  # fmt: skip
    assert str(2**80) in failed["big"]
    assert "ZeroDivisionError" in failed["exception"]
    assert "ZeroDivisionError" in as_well["exception"]


@pytest.mark.parametrize(("level", "lines"), [("debug", 6), ("warning", 3), ("error", 2)])
def test_the_level_counts_for_all(level: str, lines: int) -> None:
    assert len(spoken(level)) == lines
