"""The verbs of limits, approvals, strategies, restricted symbols and hours. Operators may change everybody's."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from ordergate import _core
from ordergate.gateway.verbs import Arguments, Json, Nothing, Refused

Done = TypeVar("Done")


class LimitSet(Arguments):
    """One limit: an absent value takes it away. `scope` is firm, account, strategy or key."""

    scope: str
    kind: str
    by: str
    reason: str
    target: str = ""
    symbol: str | None = None
    value: str | None = None
    unit: str | None = None


class OverrideAsk(Arguments):
    """One order of the account that need not pass these kinds of limits."""

    account: str
    kinds: list[str]
    by: str
    reason: str
    symbol: str | None = None
    valid_for_ms: int = 600_000


class Decide(Arguments):
    """Who approves or rejects a change."""

    id: int
    by: str


class StrategyCreate(Arguments):
    """A strategy of an account; it begins STOPPED."""

    name: str
    account: str
    by: str
    reason: str = "created"


class StrategyTurn(Arguments):
    """The strategy to start or stop."""

    name: str
    by: str
    reason: str = "no reason given"


class Restrict(Arguments):
    """A symbol in which new orders are refused, or no longer; without an account for everybody."""

    symbol: str
    by: str
    reason: str
    restricted: bool = True
    account: str | None = None


class Schedule(Arguments):
    """When new orders are taken: bit 0 of `weekdays` is Monday, minutes of the UTC day."""

    weekdays: int
    from_minute: int
    to_minute: int
    by: str
    reason: str
    account: str | None = None


class PeakSet(Arguments):
    """The peak of an account's equity that drawdowns are measured from; absent: its worth of now."""

    account: str
    mode: str
    by: str
    reason: str
    peak: str | None = None


def done(answer: Done | _core.Refusal) -> Done:
    """The answer. Raises Refused when it is none."""
    if isinstance(answer, _core.Refusal):
        raise Refused(answer.code, answer.detail)
    return answer


def changed(answer: tuple[str, int] | _core.Refusal) -> Json:
    """In force, waiting or unchanged. Raises Refused."""
    status, seq = done(answer)
    return {"status": status, "seq": seq}


def _limit_set(gateway: _core.Gateway, args: LimitSet) -> Json:
    return changed(
        gateway.set_limit(args.scope, args.target, args.symbol, args.kind, args.value, args.unit, args.by, args.reason)
    )


def _override(gateway: _core.Gateway, args: OverrideAsk) -> Json:
    return changed(
        gateway.request_override(args.account, args.symbol, args.kinds, args.valid_for_ms, args.by, args.reason)
    )


def _approve(gateway: _core.Gateway, args: Decide) -> Json:
    return {"seq": done(gateway.approve(args.id, args.by))}


def _reject(gateway: _core.Gateway, args: Decide) -> Json:
    return {"seq": done(gateway.reject(args.id, args.by))}


def _strategies_create(gateway: _core.Gateway, args: StrategyCreate) -> Json:
    return {"seq": done(gateway.create_strategy(args.name, args.account, args.by, "cli", args.reason))}


def _strategies_start(gateway: _core.Gateway, args: StrategyTurn) -> Json:
    return {"seq": done(gateway.start_strategy(args.name, args.by, "cli", args.reason))}


def _strategies_stop(gateway: _core.Gateway, args: StrategyTurn) -> Json:
    return {"seq": done(gateway.stop_strategy(args.name, args.by, "cli", args.reason))}


def _restrict(gateway: _core.Gateway, args: Restrict) -> Json:
    return {"seq": done(gateway.restrict(args.account, args.symbol, args.restricted, args.by, args.reason))}


def _peak(gateway: _core.Gateway, args: PeakSet) -> Json:
    return {"seq": done(gateway.set_peak(args.account, args.mode, args.peak, args.by, args.reason))}


def _schedule(gateway: _core.Gateway, args: Schedule) -> Json:
    return {
        "seq": done(
            gateway.set_schedule(args.account, args.weekdays, args.from_minute, args.to_minute, args.by, args.reason)
        )
    }


def _limits_list(gateway: _core.Gateway, args: Nothing) -> Any:
    return msgspec.json.decode(gateway.limits()) | msgspec.json.decode(gateway.trading_rules())


def _requests_list(gateway: _core.Gateway, args: Nothing) -> Any:
    return msgspec.json.decode(gateway.change_requests())


def _strategies_list(gateway: _core.Gateway, args: Nothing) -> Any:
    return msgspec.json.decode(gateway.strategies())


VERBS: Final[dict[str, tuple[type[Arguments], Callable[[_core.Gateway, Any], Any]]]] = {
    "risk.approve": (Decide, _approve),
    "risk.limits": (Nothing, _limits_list),
    "risk.override": (OverrideAsk, _override),
    "risk.peak.set": (PeakSet, _peak),
    "risk.reject": (Decide, _reject),
    "risk.requests": (Nothing, _requests_list),
    "risk.restrict": (Restrict, _restrict),
    "risk.schedule": (Schedule, _schedule),
    "risk.set": (LimitSet, _limit_set),
    "strategies.create": (StrategyCreate, _strategies_create),
    "strategies.list": (Nothing, _strategies_list),
    "strategies.start": (StrategyTurn, _strategies_start),
    "strategies.stop": (StrategyTurn, _strategies_stop),
}
