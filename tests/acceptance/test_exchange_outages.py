"""The two runs against an exchange in trouble, with small parameters; by hand they last longer (see the modules)."""

from pathlib import Path

import pytest

from tests.acceptance import exchange_errors, stream_cuts


@pytest.mark.timeout(300)
def test_every_doubt_of_an_exchange_that_answers_with_errors_ends_by_evidence(tmp_path: Path) -> None:
    seen = exchange_errors.short(tmp_path)
    assert int(str(seen["inDoubt"])) >= 1  # it really was gone
    assert int(str(seen["orders"])) > 20


@pytest.mark.timeout(300)
def test_no_fill_is_missed_or_doubled_by_a_stream_that_is_cut(tmp_path: Path) -> None:
    seen = stream_cuts.short(tmp_path)
    assert int(str(seen["cuts"])) >= 5
