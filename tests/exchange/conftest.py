"""One exchange for the tests of a file; each test uses client ids of its own."""

from collections.abc import Iterator

import pytest

from tests.exchange.running import Running


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    with Running() as running:
        yield running


@pytest.fixture
def exchange(shared: Running) -> Iterator[Running]:
    """With an order book of its own: 59,990 to 60,010 and nothing else of the house's."""
    levels = {"bids": [["59990", "5"], ["59980", "5"]], "asks": [["60010", "5"], ["60020", "5"]]}
    shared.tell("/book", {"symbol": "BTCUSDT", **levels})
    shared.tell("/trade", {"symbol": "BTCUSDT", "price": "60000", "quantity": "0.001"})
    yield shared
    shared.tell("/rules", verb="DELETE")
    shared.tell("/clock", {"offsetMs": 0, "driftPpm": 0, "freeze": False})
