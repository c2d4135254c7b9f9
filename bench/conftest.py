"""A benchmark of a debug build would mislead."""

import pytest

from ordergate import _core


def pytest_configure(config: pytest.Config) -> None:
    """Refuses to start on anything but a release build."""
    if _core.BUILD_PROFILE != "release":
        raise pytest.UsageError(f"the extension is a {_core.BUILD_PROFILE} build: run `make build`")
