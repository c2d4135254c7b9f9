"""What the exchange lists of our symbols, asked so that one symbol cannot hide the others, and what has changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from ordergate.venues.binance import instruments
from ordergate.venues.binance.answer import Answer
from ordergate.venues.binance.instruments import Listed
from ordergate.venues.binance.rest import Rest
from ordergate.venues.reports import Report

UNKNOWN_SYMBOL: Final = -1121
NOT_LISTED: Final = "NOT_LISTED"
"""Our status of a symbol that the exchange does not list any more: no new order is taken for it."""

log = structlog.get_logger("ordergate.venues.binance")


@dataclass(slots=True)
class Known:
    """What was told last, by symbol; and what was found unusable, so that it is said once."""

    fields: dict[str, Mapping[str, str]] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    amendable: frozenset[str] = frozenset()


def hints_at_a_change(reason: str) -> bool:
    """Whether an outcome's reason says that the instrument may not be what we think."""
    return reason.startswith("FILTER_") or reason in ("SYMBOL_NOT_TRADING", "UNKNOWN_SYMBOL", "TOO_PRECISE")


async def load(rest: Rest, symbols: Sequence[str]) -> Listed | Answer:
    """What the exchange lists of these symbols; its answer when it gave none that can be used.

    One symbol that it does not know makes it refuse the whole list: then each is asked for by itself.
    """
    answer = await rest.exchange_info(list(symbols))
    if answer.status == 200 and isinstance(answer.body, dict) and isinstance(answer.body.get("symbols"), list):
        return instruments.listed(answer.body, symbols)
    if answer.status != 400 or answer.code != UNKNOWN_SYMBOL:
        return answer
    if len(symbols) == 1:
        return instruments.listed({}, symbols)
    parts: list[Listed] = []
    for symbol in symbols:
        part = await load(rest, [symbol])
        if isinstance(part, Answer):
            return part
        parts.append(part)
    return Listed(
        {name: fields for part in parts for name, fields in part.fields.items()},
        {name: why for part in parts for name, why in part.unusable.items()},
        frozenset().union(*(part.amendable for part in parts)),
    )


def changes(known: Known, found: Listed) -> list[Report]:
    """What is to be reported now, and remembers it. A symbol that cannot be read stays as it was."""
    reports: list[Report] = []
    for symbol, fields in found.fields.items():
        known.unusable.pop(symbol, None)
        if known.fields.get(symbol) != fields:
            known.fields[symbol] = dict(fields)
            reports.append(("INSTRUMENT", dict(fields)))
    for symbol, why in found.unusable.items():
        if known.unusable.get(symbol) != why:
            known.unusable[symbol] = why
            log.warning("a symbol cannot be used", symbol=symbol, reason=why)
        before = known.fields.get(symbol)
        if why == instruments.NOT_THERE and before is not None and before["status"] != NOT_LISTED:
            known.fields[symbol] = {**before, "status": NOT_LISTED}
            reports.append(("INSTRUMENT", dict(known.fields[symbol])))
    known.amendable = found.amendable
    return reports
