"""Unit tests of the Python rooms run without a build, too: the fake engine stands in for a missing compiled module."""

from tests.unit import fake_core

fake_core.install()
