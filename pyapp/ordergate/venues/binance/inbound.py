"""The one inbound path: whatever shows an order or a trade, from the stream, an answer or a query, ends here.

Reports are made so that their order does not matter: trades count by id, an end is told only when every trade that
belongs to it was told, and an older picture never takes back a newer one.
"""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from ordergate.venues.binance.dialect import MS, Malformed, Seen, Trade, amount
from ordergate.venues.reports import Report

TRACKS_KEPT: Final = 20_000
"""Orders remembered beyond the fold. One that is dropped is read from the fold again."""


class Facts(msgspec.Struct, rename="camel", frozen=True):
    """An order as the journal has it: `Follower.order`."""

    id: int
    account: str
    mode: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    quantity: str | None
    filled: str
    status: str
    client_id_at_venue: str
    open: bool
    price: str | None = None
    stop_price: str | None = None
    quote_quantity: str | None = None
    venue_order_id: str | None = None
    submitted_ns: int | None = None
    session: int | None = None
    in_doubt: bool = False
    doubt_since_ns: int | None = None
    cancel_pending: bool = False
    cancel_wanted: bool = False
    replace: object = None
    external: bool = False
    trade_ids: list[str] = []


def read_facts(found: bytes | None) -> Facts | None:
    """The facts of an order that is in memory."""
    return None if found is None else msgspec.json.decode(found, type=Facts)


@dataclass(slots=True)
class Track:
    """What this session has learnt of one order: the fold at first sight, and what was reported since."""

    order: int
    filled: int = 0
    """Units of 10^-8: the fold's trades and those reported since."""
    counted: set[str] = field(default_factory=set)
    """Their ids."""
    executed: int = 0
    """The most that the exchange has shown as traded."""
    acked: bool = False
    final: bool = False
    """The exchange itself has shown its end, which it never takes back."""
    ending: Report | None = None
    """Its end, which waits for the trades before it."""
    seen: Seen | None = None
    """The last picture of it that was asked for."""
    quote_quantity: bool = False
    """What was asked is an amount of quote: only the exchange can say that all of it was traded."""

    @property
    def missing(self) -> int:
        """Units of 10^-8 that the exchange has traded and nobody has told us as trades."""
        return self.executed - self.filled


def track_of(order: int, facts: Facts | None) -> Track:
    """A track that begins with what the journal has."""
    if facts is None:
        # It has left memory, or is not folded yet: what is known of it is told again, and counts once.
        return Track(order)
    ended = not facts.open
    return Track(
        order,
        filled=amount(facts.filled),
        counted=set(facts.trade_ids),
        executed=amount(facts.filled),
        acked=facts.venue_order_id is not None,
        # An end without the exchange's id is our own conclusion, and evidence may overrule it.
        final=ended and facts.venue_order_id is not None and facts.status != "REJECTED",
        quote_quantity=facts.quote_quantity is not None,
    )


def take_trade(track: Track, trade: Trade, quote_asset: str) -> list[Report]:
    """The reports of a trade: none when it was told before."""
    if trade.trade_id in track.counted:
        return []
    track.counted.add(trade.trade_id)
    try:
        track.filled += amount(trade.quantity)
    except Malformed:
        # The gateway parks it with its digits; it does not count, so that the order stays suspect.
        pass
    # Where no fee is paid the shapes differ in the asset they name.
    asset = trade.fee_asset if trade.fee_asset and trade.fee.strip("0.") else quote_asset
    fill: Report = (
        "FILL", track.order, trade.trade_id, trade.price, trade.quantity, trade.quote, trade.fee, asset,
        trade.maker, trade.time_ms * MS,
    )  # fmt: skip
    return [fill, *_end(track)]


def take_seen(track: Track, seen: Seen, *, asked: bool = False) -> list[Report]:
    """The reports of an order as it was shown; `asked`: by an answer to a question, which can end a doubt."""
    track.executed = max(track.executed, amount(seen.executed))
    reports: list[Report] = []
    if asked:
        track.seen = seen
    if asked and not track.final:
        reports.append(("FOUND", track.order, seen.venue_order_id, seen.working, seen.executed))
        track.acked = True
    elif not track.acked and seen.status != "REJECTED":
        reports.append(("ACK", track.order, seen.venue_order_id))
        track.acked = True
    if not seen.working and not track.final:
        track.final = True
        track.ending = _ending(track, seen)
    return [*reports, *_end(track)]


def _ending(track: Track, seen: Seen) -> Report | None:
    order, reason = track.order, seen.reason
    match seen.status:
        case "FILLED":
            return ("DONE", order) if track.quote_quantity else None
        case "CANCELED":
            return ("CANCELED", order, "", reason)
        case "EXPIRED_IN_MATCH":
            return ("EXPIRED", order, "STP", reason or "it would have traded with an order of the same group")
        case "REJECTED":
            return ("REJECT", order, reason or "REJECTED", "refused by the exchange's engine")
        case _:
            return ("EXPIRED", order, reason or "EXPIRED", "ended by the exchange's rules")


def _end(track: Track) -> list[Report]:
    if track.ending is None or track.missing > 0:
        return []
    ending, track.ending = track.ending, None
    return [ending]
