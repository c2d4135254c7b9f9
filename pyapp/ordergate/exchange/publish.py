"""Who hears what: an account's events to its user data streams, a symbol's trades and books to market streams."""

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from ordergate.exchange.faults import Faults
from ordergate.exchange.state import Event

Subscriber = asyncio.Queue[Event | None]
"""Bounded by who makes it. None in it: this subscriber was too slow, and has been cut off."""
REMEMBERED: Final = 50
HELD_MS: Final = 2_000
"""How long an event that is to change places waits for the next one."""
RENUMBERED: Final = 10**12
"""Added to the execution id of an event that is repeated under a new one."""


class Ends(Protocol):
    """What a fault rule can do to the connections that would have heard an event."""

    def at_event(self, action: dict[str, Any], event: Event) -> None: ...


@dataclass(slots=True)
class Hub:
    """Subscribers by account, and by stream (`btcusdt@trade`, `btcusdt@depth`, `btcusdt@bookTicker`)."""

    faults: Faults
    users: dict[str, list[Subscriber]] = field(default_factory=dict)
    markets: dict[str, list[Subscriber]] = field(default_factory=dict)
    last: dict[str, deque[Event]] = field(default_factory=dict)
    held: dict[str, list[list[Any]]] = field(default_factory=dict)
    """By account or symbol: events that wait, each with the number of others that are to pass it."""
    sent: int = 0
    ends: "Ends | None" = None
    """Ends connections in place of an event; None: there are none."""

    def subscribe(self, account: str, queue: Subscriber) -> None:
        self.users.setdefault(account, []).append(queue)

    def subscribe_market(self, stream: str, queue: Subscriber) -> None:
        self.markets.setdefault(stream, []).append(queue)

    def unsubscribe(self, queue: Subscriber) -> None:
        """From everything."""
        for table in (self.users, self.markets):
            for name, queues in list(table.items()):
                table[name] = [one for one in queues if one is not queue]
                if not table[name]:
                    del table[name]

    def publish(self, events: list[Event]) -> None:
        """Tells what one command did, in order, unless a fault says otherwise."""
        for event in events:
            phase = "stream" if event.account is None else "event"
            deliveries = [(event, 0)]
            for action in self.faults.pick(phase, event_facts(event)):
                deliveries = self._changed(action, event, deliveries)
            for one, delay in deliveries:
                if delay:
                    asyncio.get_running_loop().call_later(delay / 1000, self._deliver, one)
                else:
                    self._deliver(one)

    def _changed(
        self, action: dict[str, Any], event: Event, deliveries: list[tuple[Event, int]]
    ) -> list[tuple[Event, int]]:
        match action["kind"]:
            case "drop":
                return []
            case "delay":
                return [(one, delay + self.faults.length(action)) for one, delay in deliveries]
            case "duplicate":
                past = [*self.last.get(event.account or "", ()), event][-int(action.get("last", 1)) :]
                return deliveries + [(_renumbered(one) if action.get("renumber") else one, 0) for one in past]
            case "close" | "reset" | "half_open" | "terminate":
                if self.ends is not None:
                    self.ends.at_event(action, event)
            case "swap":
                name = event.account or event.symbol or ""
                waiting = [[one, int(action.get("past", 1))] for one, _ in deliveries]
                self.held.setdefault(name, []).extend(waiting)
                asyncio.get_running_loop().call_later(HELD_MS / 1000, self._let_go, name, waiting)
                return []
        return deliveries

    def _let_go(self, name: str, waiting: list[list[Any]]) -> None:
        """Delivers held events that still wait."""
        for one in waiting:
            held = self.held.get(name, [])
            if any(one is other for other in held):
                self.held[name] = [other for other in held if other is not one]
                self._send(one[0])

    def _deliver(self, event: Event) -> None:
        """Sends an event, and what waited for it to pass."""
        self._send(event)
        name = event.account or event.symbol or ""
        for one in self.held.get(name, []):
            one[1] -= 1
        self._let_go(name, [one for one in self.held.get(name, []) if one[1] <= 0])

    def _send(self, event: Event) -> None:
        if event.account is None:
            kind = {"trade": "trade", "depth": "depth", "bookTicker": "bookTicker"}[event.kind]
            queues = self.markets.get(f"{(event.symbol or '').lower()}@{kind}", ())
        else:
            queues = self.users.get(event.account, ())
            self.last.setdefault(event.account, deque(maxlen=REMEMBERED)).append(event)
        for queue in list(queues):
            try:
                queue.put_nowait(event)
                self.sent += 1
            except asyncio.QueueFull:
                self._cut(queue)

    def _cut(self, queue: Subscriber) -> None:
        self.unsubscribe(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)


def _renumbered(event: Event) -> Event:
    if "I" not in event.body:
        return event
    return replace(event, body=event.body | {"I": event.body["I"] + RENUMBERED})


def event_facts(event: Event) -> dict[str, Any]:
    """What a rule can match of an event."""
    body = event.body
    facts = {"account": event.account, "event": event.kind, "symbol": event.symbol}
    if event.kind == "executionReport":
        own = body["C"] or body["c"]
        facts |= {
            "execution": body["x"],
            "status": body["X"],
            "clientOrderId": own,
            "side": body["S"],
            "type": body["o"],
        }
    return facts
