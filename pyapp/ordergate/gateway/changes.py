"""News of single orders, for requests that asked to wait for the venue (`Prefer: wait`)."""

import asyncio
from collections.abc import Iterable


class Changes:
    """Futures by order id. Ids that nobody waits for cost one lookup."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    def announce(self, ids: Iterable[int]) -> None:
        """These orders have changed; what changed may be read once it is durable."""
        if not self._waiting:
            return
        for order_id in ids:
            for future in self._waiting.pop(str(order_id), ()):
                if not future.done():
                    future.set_result(None)

    async def wait(self, order_id: str, seconds: float) -> None:
        """Returns at the next change of the order, or after `seconds`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(order_id, []).append(future)
        try:
            await asyncio.wait((future,), timeout=seconds)
        finally:
            left = [other for other in self._waiting.pop(order_id, ()) if other is not future]
            if left:
                self._waiting[order_id] = left
