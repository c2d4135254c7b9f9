"""The verbs of LIVE: orders in doubt, differences from the exchange, and going on after a crash."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ordergate import _core
from ordergate.gateway.rule_administration import changed, done
from ordergate.gateway.verbs import Arguments, Json, Nothing


class Requery(Arguments):
    """An order in doubt that the venue is to look for once more."""

    order: int
    by: str


class Attach(Arguments):
    """The venue's id of an order in doubt."""

    order: int
    venue_order_id: str
    by: str
    reason: str


class DeclareAbsent(Arguments):
    """An order in doubt that, once a second person agrees, is not at the exchange."""

    order: int
    by: str
    reason: str


class Resume(Arguments):
    """Who lets LIVE go on after a crash."""

    by: str
    reason: str


def _list(gateway: _core.Gateway, args: Nothing) -> Json:
    return {"doubts": msgspec.json.decode(gateway.doubts()), "drifts": msgspec.json.decode(gateway.drifts())}


def _requery(gateway: _core.Gateway, args: Requery) -> Json:
    return {"seq": done(gateway.requery_doubt(args.order, args.by))}


def _attach(gateway: _core.Gateway, args: Attach) -> Json:
    return {"seq": done(gateway.attach_venue_id(args.order, args.venue_order_id, args.by, args.reason))}


def _declare_absent(gateway: _core.Gateway, args: DeclareAbsent) -> Json:
    return changed(gateway.request_absent(args.order, args.by, args.reason))


def _resume(gateway: _core.Gateway, args: Resume) -> Json:
    return {"seq": done(gateway.resume(args.by, args.reason))}


VERBS: Final[dict[str, tuple[type[Arguments], Callable[[_core.Gateway, Any], Any]]]] = {
    "doubt.attach": (Attach, _attach),
    "doubt.declare-absent": (DeclareAbsent, _declare_absent),
    "doubt.list": (Nothing, _list),
    "doubt.requery": (Requery, _requery),
    "live.resume": (Resume, _resume),
}
