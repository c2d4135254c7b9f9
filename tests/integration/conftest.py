"""Fixtures of the integration tests."""

from collections.abc import Iterator

import pytest

from tests.integration.postgres_server import PostgresServer, running_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that every test may use and none may stop."""
    with running_server() as server:
        yield server


@pytest.fixture
def dsn(postgres: PostgresServer) -> str:
    """A new empty database."""
    return postgres.create_database()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server of this test's own, to be stopped, frozen and killed."""
    with running_server() as server:
        yield server
