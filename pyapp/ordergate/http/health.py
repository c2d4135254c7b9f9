"""Health, metrics and the API's own document: no key needed, never waiting."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ordergate.http import openapi
from ordergate.http.body import Bodies
from ordergate.http.deps import Deps, Request
from ordergate.http.orders import JSON
from ordergate.http.problem import NO_STORE, Reply
from ordergate.http.schemas import Health, LiveAccount

KILL_READING_MS_MAX: Final = 300
DOUBT_S: Final = 300
"""People look at an order that has been in doubt for so long."""
_encode = msgspec.json.Encoder().encode
_METRICS_TYPE: Final = ("content-type", "text/plain; version=0.0.4; charset=utf-8")


async def health(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /api/v1/health: 200 when ready, else 503; the body says why."""
    gateway = deps.gateway
    live = gateway.live_accounts()
    report = judge(gateway.status(), live, stalled=deps.durability.stalled(), stopping=deps.stopping)
    return (
        200 if report.ready else 503,
        [JSON, ("x-request-id", request.id), NO_STORE],
        _encode(report),
    )


async def metrics(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /metrics: Prometheus text; the hot counters are rendered by the engine."""
    in_flight, shed = deps.load()
    lines = [
        _metric("http_requests_in_flight", "gauge", "Requests that are being answered.", in_flight),
        _metric("http_requests_shed_total", "counter", "Requests refused because too many were in flight.", shed),
    ]
    lag = deps.write_behind_lag()
    if lag is not None:
        lines += [
            _metric("write_behind_lag_records", "gauge", "Journal records that Postgres does not hold yet.", lag[0]),
            _metric("write_behind_lag_seconds", "gauge", "Time since Postgres last held every record.", lag[1]),
            _metric("write_behind_parked_records", "gauge", "Rows that Postgres refused for what they hold.", lag[2]),
        ]
    body = deps.gateway.metrics() + "".join(lines).encode()
    return 200, [_METRICS_TYPE, ("x-request-id", request.id), NO_STORE], body


async def openapi_document(deps: Deps, bodies: Bodies, request: Request) -> Reply:
    """GET /openapi.json."""
    return 200, [JSON, ("x-request-id", request.id)], openapi.document()


def _metric(name: str, kind: str, meaning: str, value: float) -> str:
    return f"# HELP ordergate_{name} {meaning}\n# TYPE ordergate_{name} {kind}\nordergate_{name} {value}\n"


def judge(
    status: dict[str, int | str | bool | None],
    live: Sequence[tuple[str, bool, str, int]] = (),
    *,
    stalled: bool,
    stopping: bool,
) -> Health:
    """What the engine's figures mean. READY is HTTP, journal and PAPER; LIVE is ready by account."""

    def number(name: str) -> int:
        value = status.get(name)
        return value if isinstance(value, int) else 0

    not_ready = []
    if stopping:
        not_ready.append("stopping")
    if stalled:
        not_ready.append("journal: flushes take more than a second")
    if status.get("paperSession") is None:
        not_ready.append("PAPER: the venue is not connected")
    blocked = []
    space = status.get("journalSpace")
    if space == "hard":
        blocked.append("journal: the disk is nearly full, new orders are refused")
    filling = ["journal: the disk is filling up"] if space == "soft" else []
    age = status.get("killReadingAgeMs")
    if number("killLevel") > 0:
        blocked.append(f"killed: {status.get('killReason')}")
    elif not isinstance(age, int) or age > KILL_READING_MS_MAX:
        blocked.append("kill switch: no reading within 0.3 s")
    ready = not not_ready
    trading = ready and not blocked
    not_live = _not_live(status, live)
    doubtful = number("inDoubtOldestMs") // 1_000
    doubts = [f"an order has been in doubt for {doubtful} s: see ordergate doubt list"] if doubtful >= DOUBT_S else []
    return Health(
        status="stopping" if stopping else "ok" if trading else "degraded",
        live=True,
        ready=ready,
        trading_ready={"PAPER": trading, "LIVE": trading and not not_live},
        reasons=[*not_ready, *blocked, *filling, *doubts, *not_live],
        epoch=number("epoch"),
        last_seq=number("lastSeq"),
        durable_seq=number("durableSeq"),
        kill_level=number("killLevel"),
        open_orders=number("openOrders"),
        in_doubt_orders=number("inDoubtOrders"),
        in_doubt_oldest_seconds=doubtful,
        live_accounts=[LiveAccount(account, told, reason) for account, told, reason, _ in live],
    )


def _not_live(status: dict[str, int | str | bool | None], live: Sequence[tuple[str, bool, str, int]]) -> list[str]:
    """Why LIVE orders would be refused, by account."""
    if status.get("liveSession") is None:
        return ["LIVE: no venue is connected"]
    if status.get("waitsForResume"):
        return ["LIVE: waits for ordergate resume after a crash"]
    if not live:
        return ["LIVE: the venue has not told that an account is ready"]
    return [
        f"LIVE: account {account} is not ready: {reason or 'no reason told'}"
        for account, told, reason, _ in live
        if not told
    ]
