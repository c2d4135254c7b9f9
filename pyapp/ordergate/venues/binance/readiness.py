"""Whether an account's orders can be sent now, derived from what its session knows, and told when it changes."""

import asyncio
from typing import Final

from ordergate.venues.binance.desk import AccountDesk, Desk, report

DOUBTS_MAX: Final = 3
"""So many outcomes at once that are not known: something is wrong with the exchange or the way to it."""

Unready = tuple[str, int]
"""Why not, and after how many milliseconds trying again may help; 0 when nobody knows."""


def unready(desk: Desk, side: AccountDesk) -> Unready | None:
    """The first reason not to take orders for this account."""
    if side.refused is not None:
        return side.refused
    if not desk.clock.good:
        return "the exchange's time is not known well enough", 0
    wait_ms = side.budget.wait_ms("new", 1, side.account)
    if wait_ms:
        return "RATE_LIMITED: the exchange takes no orders", wait_ms
    if not side.reconciled:
        return "reconciling", 0
    if not side.stream_up and asyncio.get_running_loop().time() - side.stream_down_s > desk.times.stream_grace_s:
        return f"no user stream: {side.stream_why}", 0
    if len(side.doubts) >= DOUBTS_MAX:
        return f"{DOUBTS_MAX} or more orders are in doubt", 0
    return None


def tell(desk: Desk, *, budget: bool) -> None:
    """Reports what has changed of readiness, and with `budget` of the room for new orders."""
    for side in desk.accounts.values():
        why = unready(desk, side)
        # The milliseconds run down by themselves: only a new reason is news.
        told = (why is None, why[0] if why is not None else "")
        if told != side.told_ready:
            side.told_ready = told
            report(desk, ("READY", side.account, told[0], told[1][:300], why[1] if why is not None else 0))
        if budget:
            _tell_budget(desk, side)


def _tell_budget(desk: Desk, side: AccountDesk) -> None:
    windows = side.budget.state()["orders"].get(side.account, {})
    left = min((window["limit"] - window["used"] for window in windows.values()), default=None)
    if left is None:
        return
    told = (max(0, left), side.budget.wait_ms("new", 1, side.account))
    if told != side.told_budget:
        side.told_budget = told
        report(desk, ("BUDGET", side.account, *told))
