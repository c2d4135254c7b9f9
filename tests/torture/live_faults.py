"""What is done to a system that trades LIVE: the table of faults of its processes, of its exchange, and of the stream.

Faults of the exchange are rules of its control port: what they match, in which phase of a request or an event, what
happens then. While one acts, some answers prove nothing, some events are missing; afterwards everything has to agree
with what the exchange has, to the last digit.
"""

import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from tests.torture.exchange import LOST, LocalExchange
from tests.torture.faults import (
    FAULTS,
    FREEZE_S,
    KILL,
    STOP,
    Fault,
    Stage,
    find,
    frozen,
    nothing,
    send,
    signaled,
    thaw,
)

SHORT = {
    "recv_window_ms": 1_000,
    "timeout_ms": 1_500,
    "doubt_engine_timeout_ms": 1_000,
    "doubt_read_lag_ms": 500,
    "doubt_queries": 2,
    "doubt_query_gap_ms": 200,
    "reconcile_every_s": 3,
    "stream_silence_s": 3,
}
"""Settings of `[binance]` with which a doubt ends within some six seconds, and a silent stream is found in two."""
LATE_MS = 900
"""Below the engine's time-out above: what comes later than that has not been accepted, as the exchange promises."""
LAG_MS = 400
"""Below the read lag above."""
RULES_S = (0.5, 2.5)
OUTAGE_S = (2.0, 6.0)
BEYOND_DOUBT_S = (7.0, 9.0)
"""Longer than any doubt could last, if questions without an answer counted."""

Rule = dict[str, Any]
PLACE, CANCEL = {"method": "order.place"}, {"method": "order.cancel"}
ANY: Rule = {}
REPORT = {"event": "executionReport"}
TRADED = {"execution": "TRADE"}
NOT_FOUND: Rule = {"status": 400, "code": -2013, "msg": "Order does not exist."}


def rule(match: Rule, phase: str, kind: str, times: int | None = 3, **action: Any) -> Rule:
    """One rule; `times` None: as long as the fault lasts."""
    return {"match": match, "phase": phase, "times": times, "action": {"kind": kind, **action}}


def half(match: Rule) -> Rule:
    """Every other of those that match."""
    return match | {"probability": 0.5}


def exchange_of(stage: Stage) -> LocalExchange:
    """Of a LIVE run there is one."""
    assert stage.exchange is not None
    return stage.exchange


def ruled(*rules: Rule) -> Callable[[Stage], None]:
    """From now on these rules act."""

    def apply(stage: Stage) -> None:
        with suppress(*() if stage.alone else LOST):
            for one in rules:
                exchange_of(stage).rule(one)

    return apply


def told(where: str, **tree: Any) -> Callable[[Stage], None]:
    """One deed of the exchange."""

    def apply(stage: Stage) -> None:
        with suppress(*() if stage.alone else LOST):
            exchange_of(stage).ask("POST", where, tree)

    return apply


def cut_again_and_again(stage: Stage) -> None:
    """The stream is cut, and the next one as soon as it has told something."""
    told("/ws", do="reset", path="ws-api")(stage)
    ruled(rule(half(REPORT), "event", "close", 4))(stage)


def exchange_signaled(number: signal.Signals) -> Callable[[Stage], None]:
    """Stops or kills the exchange."""

    def apply(stage: Stage) -> None:
        exchange_of(stage).signal(number)

    return apply


def killed_exchange_and_venue(stage: Stage) -> None:
    """What was sent last, nobody remembers but the exchange's ledger."""
    exchange_of(stage).signal(KILL)
    signaled("venue binance", KILL)(stage)


def killed_mid_answer(role: str) -> Callable[[Stage], None]:
    """Answers hang, so that what is killed has certainly sent something and heard nothing."""

    def apply(stage: Stage) -> None:
        ruled(rule(PLACE, "post_commit", "hang", 20))(stage)
        members = find(stage, role)
        send(members, KILL)

    return apply


def mended(stage: Stage) -> None:
    """The exchange is there again and does nothing wrong any more."""
    exchange = exchange_of(stage)
    if exchange.process is None or exchange.process.poll() is not None:
        exchange.start()
    exchange.signal(signal.SIGCONT)
    exchange.faultless()
    thaw(stage)


TAKEN_OVER = {
    "kill-gateway",
    "kill-worker",
    "kill-supervisor",
    "term-gateway",
    "freeze-gateway",
    "freeze-worker",
    "freeze-postgres",
    "kill-postgres",
    "kill-valkey",
    "freeze-valkey",
    "kill-switch",
    "kill-switch-kill-gateway",
}
"""Rows of the PAPER table that say as much about LIVE."""

LIVE_FAULTS: tuple[Fault, ...] = (
    *(fault for fault in FAULTS if fault.name in TAKEN_OVER),
    Fault("kill-venue", 14, signaled("venue binance", KILL), nothing),
    Fault("freeze-venue", 4, frozen("venue binance"), thaw, FREEZE_S),
    Fault("kill-exchange", 8, exchange_signaled(KILL), mended, (0.0, 2.0)),
    Fault("freeze-exchange", 5, exchange_signaled(STOP), mended, (0.2, 4.0)),
    Fault("kill-exchange-and-venue", 4, killed_exchange_and_venue, mended, (0.0, 1.0)),
    Fault("kill-venue-unanswered", 6, killed_mid_answer("venue binance"), mended, (0.0, 1.0)),
    Fault("kill-gateway-unanswered", 6, killed_mid_answer("gateway"), mended, (0.0, 1.0)),
    Fault("answer-closed", 5, ruled(rule(PLACE, "post_commit", "close")), mended, RULES_S),
    Fault("answer-reset", 5, ruled(rule(PLACE, "post_commit", "reset")), mended, RULES_S),
    Fault("answer-hangs", 5, ruled(rule(PLACE, "post_commit", "hang")), mended, RULES_S),
    Fault("answer-half", 3, ruled(rule(PLACE, "post_answer", "half")), mended, RULES_S),
    Fault("answer-truncated", 3, ruled(rule(PLACE, "post_answer", "truncate")), mended, RULES_S),
    Fault("answer-504", 5, ruled(rule(PLACE, "post_commit", "error", status=504, code=-1007)), mended, RULES_S),
    Fault("answer-500", 3, ruled(rule(PLACE, "post_commit", "error", status=500, code=-1006)), mended, RULES_S),
    Fault("answer-503", 3, ruled(rule(PLACE, "post_commit", "html", status=503)), mended, RULES_S),
    Fault("overloaded", 3, ruled(rule(PLACE, "pre_engine", "error", status=503, code=-1008)), mended, RULES_S),
    Fault("request-lost", 4, ruled(rule(PLACE, "pre_engine", "close")), mended, RULES_S),
    Fault(
        "rate-limited",
        3,
        ruled(rule(PLACE, "pre_auth", "error", status=429, code=-1003, retryAfter=1)),
        mended,
        RULES_S,
    ),
    Fault("banned", 2, ruled(rule(PLACE, "pre_auth", "ban", 1, seconds=2)), mended, RULES_S),
    Fault("late-accept", 5, ruled(rule(PLACE, "pre_engine", "late", ms=LATE_MS)), mended, RULES_S),
    Fault(
        "reads-lag",
        3,
        ruled(rule(PLACE, "post_commit", "close"), rule({"verb": "GET"}, "pre_engine", "lag", None, ms=LAG_MS)),
        mended,
        RULES_S,
    ),
    Fault(
        "queries-fail",
        3,
        ruled(rule(PLACE, "post_commit", "close"), rule({"method": "order.status"}, "pre_engine", "html", 10)),
        mended,
        RULES_S,
    ),
    Fault(
        "not-found-yet",
        3,
        ruled(
            rule(PLACE, "post_commit", "close", 2),
            rule(REPORT, "event", "drop", None),
            rule(
                {"method": "order.status"},
                "pre_engine",
                "error",
                4,
                status=400,
                code=-2013,
                msg="Order does not exist.",
            ),
        ),
        mended,
        (0.2, 1.0),
    ),
    Fault("all-5xx", 4, ruled(rule(ANY, "post_commit", "error", None, status=503, code=-1001)), mended, OUTAGE_S),
    Fault(
        "nothing-heard",
        3,
        ruled(rule(ANY, "post_commit", "error", None, status=503, code=-1001), rule(ANY, "event", "drop", None)),
        mended,
        BEYOND_DOUBT_S,
    ),
    Fault("cancel-meets-fill", 5, ruled(rule(CANCEL, "pre_engine", "fill", 5)), mended, RULES_S),
    Fault("cancel-meets-part", 4, ruled(rule(CANCEL, "pre_engine", "fill", 5, quantity="0.0001")), mended, RULES_S),
    Fault("cancel-unanswered", 4, ruled(rule(CANCEL, "post_commit", "close")), mended, RULES_S),
    Fault("cancel-lost", 3, ruled(rule(CANCEL, "pre_engine", "close")), mended, RULES_S),
    Fault(
        "fill-after-cancel",
        3,
        ruled(
            rule(CANCEL, "pre_engine", "fill", 4, quantity="0.0001"),
            rule(TRADED, "event", "delay", None, ms=500),
        ),
        mended,
        RULES_S,
    ),
    Fault("events-twice", 4, ruled(rule(half(ANY), "event", "duplicate", None, last=4)), mended, RULES_S),
    Fault(
        "events-renumbered", 2, ruled(rule(half(REPORT), "event", "duplicate", None, renumber=True)), mended, RULES_S
    ),
    Fault("events-reordered", 4, ruled(rule(half(ANY), "event", "swap", None, past=2)), mended, RULES_S),
    Fault("events-dropped", 5, ruled(rule(half(ANY), "event", "drop", None)), mended, RULES_S),
    Fault("events-late", 3, ruled(rule(half(ANY), "event", "delay", None, ms=700)), mended, RULES_S),
    Fault("stream-cut", 6, cut_again_and_again, mended, RULES_S),
    Fault("stream-silent", 3, told("/ws", do="half_open", path="ws-api"), mended, (0.5, 3.0)),
    Fault("stream-ended", 3, told("/ws", do="terminate", path="ws-api"), mended, RULES_S),
    Fault("stream-shutdown", 2, told("/ws", do="shutdown", path="ws-api"), mended, RULES_S),
)

LIVE_KILLS: Sequence[str] = (
    "kill-gateway",
    "kill-worker",
    "kill-venue",
    "kill-supervisor",
    "kill-exchange",
    "kill-exchange-and-venue",
    "kill-venue-unanswered",
    "kill-gateway-unanswered",
)
"""SIGKILL in the middle of orders."""
