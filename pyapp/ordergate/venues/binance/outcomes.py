"""What an answer of the exchange proves about an order.

An allow-list: what is not in a table here is UNKNOWN, whatever it looks like, and nobody may conclude anything from
it. Classes of a library's exceptions are no evidence: none of them tells `not placed` from `unknown`.
"""

from dataclasses import dataclass
from typing import Literal

from ordergate.venues.binance.answer import Answer

Kind = Literal[
    "ACK", "REJECT", "NOT_SENT", "ADOPT", "UNKNOWN", "CANCELED", "AMENDED", "GONE", "REFUSED", "FOUND", "ABSENT"
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is proven. `reason`: a stable word for programs; `text`: what the exchange said, for people.

    `retry_after_ms`: how long to wait before anything else is sent, 0 for not at all. `again`: the same intent may be
    sent again as a new attempt, since this one was certainly not accepted and the cause passes.
    """

    kind: Kind
    reason: str
    text: str
    retry_after_ms: int = 0
    again: bool = False


def of_place(answer: Answer, client_id: str) -> Outcome:
    """Of POST order: ACK, REJECT, NOT_SENT, ADOPT (an order of that id is there: look), UNKNOWN."""
    raise NotImplementedError


def of_cancel(answer: Answer, client_id: str) -> Outcome:
    """Of DELETE order: CANCELED, GONE (nothing open there: look), REFUSED (it works on), NOT_SENT, UNKNOWN."""
    raise NotImplementedError


def of_amend(answer: Answer, client_id: str) -> Outcome:
    """Of PUT order/amend/keepPriority: AMENDED, GONE (look), REFUSED (unchanged), NOT_SENT, UNKNOWN."""
    raise NotImplementedError


def of_query(answer: Answer, client_id: str | None = None, order_id: str | None = None) -> Outcome:
    """Of GET order: FOUND, ABSENT (one evidence of several that a proof needs), UNKNOWN (the query itself failed)."""
    raise NotImplementedError
