"""The one table of problems: stable code -> HTTP status, title, waiting hint (RFC 9457)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ordergate.http.schemas import FieldProblem, Problem

Headers = list[tuple[str, str]]
Reply = tuple[int, Headers, bytes]
"""Status, headers, body: what every handler returns."""

TYPE_PREFIX: Final = "urn:ordergate:problem:"
CONTENT_TYPE: Final = ("content-type", "application/problem+json")
CLOSE: Final = ("connection", "close")
"""The rest of the request is not wanted: hyper ends the connection after the answer."""
NO_STORE: Final = ("cache-control", "no-store")


class Row(msgspec.Struct, frozen=True):
    """One code of the API: never renamed, never reused."""

    status: int
    title: str
    retry_after_s: int | None = None
    """Given to clients when the refusal itself names no time."""


TABLE: Final[dict[str, Row]] = {
    # 400: the request cannot be understood; nothing was stored, the Idempotency-Key is free
    "malformed_json": Row(400, "The body is not one JSON object in UTF-8"),
    "invalid_field": Row(400, "A field is missing, unknown, repeated or out of range"),
    "idempotency_key_missing": Row(400, "The Idempotency-Key header is required"),
    "idempotency_key_invalid": Row(400, "The Idempotency-Key must be 1 to 255 printable ASCII characters"),
    "invalid_cursor": Row(400, "The cursor was not issued by this API"),
    "invalid_parameter": Row(400, "A query parameter or header is unknown or out of range"),
    "unauthorized": Row(401, "The API key is missing, unknown, expired or revoked"),
    "forbidden": Row(403, "The API key lacks the scope"),
    "ip_not_allowed": Row(403, "The API key may not be used from this address"),
    "second_person_needed": Row(403, "Somebody else than whoever asked must approve it"),
    "not_found": Row(404, "There is no such thing here"),
    "method_not_allowed": Row(405, "The resource has no such method"),
    "request_timeout": Row(408, "The body did not arrive within 10 seconds"),
    "request_in_progress": Row(409, "The first request with this Idempotency-Key is still running", 1),
    "client_order_id_in_use": Row(409, "A working order has this clientOrderId"),
    "already_filled": Row(409, "The order is filled"),
    "already_ended": Row(409, "The order has ended"),
    "not_replaceable": Row(409, "The order cannot be changed as it stands"),
    "flattening": Row(409, "The gateway sells this for a kill or a breached limit"),
    "strategy_exists": Row(409, "There is a strategy with this name"),
    "length_required": Row(411, "The body must come with a Content-Length, not in chunks"),
    "body_too_large": Row(413, "The body is larger than 64 KiB"),
    "unsupported_media_type": Row(415, "The body must be application/json"),
    "idempotency_key_reused": Row(422, "Another request was made with this Idempotency-Key"),
    "unknown_symbol": Row(422, "The symbol is not known"),
    "invalid_price": Row(422, "The price does not fit the instrument"),
    "invalid_quantity": Row(422, "The quantity does not fit the instrument"),
    "invalid_notional": Row(422, "Price times quantity does not fit the instrument"),
    "symbol_not_trading": Row(422, "The instrument is not trading"),
    "symbol_not_allowed": Row(422, "The API key may not trade this symbol"),
    "strategy_not_running": Row(422, "The strategy is unknown, another account's, or not RUNNING"),
    "restricted_symbol": Row(422, "New orders in this symbol are not taken"),
    "outside_schedule": Row(422, "New orders are not taken at this time"),
    "override_invalid": Row(422, "The override is unknown, used, expired, or granted for something else"),
    "invalid_limit": Row(422, "The limit cannot be set so"),
    "order_rejected": Row(422, "The order was rejected by the risk checks"),
    "rate_limited": Row(429, "Too many requests with this API key", 1),
    "request_key_quota": Row(429, "The account has too many live Idempotency-Keys", 60),
    "change_request_quota": Row(429, "Too many changes wait for a second person", 60),
    "headers_too_large": Row(431, "More than 100 headers or 16 KiB of them"),
    "internal_error": Row(500, "The gateway failed to answer"),
    # 503: try again, except `killed` and `halted`: clients must not queue up orders for later
    "killed": Row(503, "Trading is stopped by the kill switch"),
    "halted": Row(503, "New orders are not taken: the account, strategy, symbol or everything is HALTED"),
    "kill_switch_unreadable": Row(503, "The kill switch cannot be read", 1),
    "venue_unavailable": Row(503, "The venue is not connected", 1),
    "flush_stalled": Row(503, "The journal does not flush in time", 1),
    "overloaded": Row(503, "Too many requests or orders are waiting", 1),
    "history_unavailable": Row(503, "What is asked for is in Postgres, which cannot show it now", 1),
    "journal_full": Row(503, "The disk is nearly full; cancels are still taken", 10),
    "answer_unreadable": Row(503, "The stored answer cannot be read now", 1),
    "shutting_down": Row(503, "The gateway is stopping", 5),
}

# Refusals that only this process sees; what a client sees instead.
INTERNAL: Final[dict[str, str]] = {"kill_switch_stale": "kill_switch_unreadable", "order_left": "not_found"}

_EXTRA: Final[dict[str, Headers]] = {
    "unauthorized": [("www-authenticate", 'Bearer realm="ordergate"')],
    "request_timeout": [CLOSE],
    "length_required": [CLOSE],
    "body_too_large": [CLOSE],
    "headers_too_large": [CLOSE],
    "shutting_down": [CLOSE],
    "method_not_allowed": [],
}
_encode = msgspec.json.Encoder().encode


def reply(
    code: str,
    request_id: str,
    detail: str = "",
    *,
    errors: Sequence[tuple[str, str]] = (),
    retry_after_ms: int | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> Reply:
    """The problem document for `code`. `retry_after_ms` (milliseconds) is rounded up to whole seconds, as RFC 9110
    wants them; a code that must not be retried has none, whatever is asked."""
    code = INTERNAL.get(code, code)
    row = TABLE[code]
    document = Problem(
        type=TYPE_PREFIX + code,
        title=row.title,
        status=row.status,
        detail=detail or row.title,
        code=code,
        request_id=request_id,
        errors=[FieldProblem(field, message) for field, message in errors],
    )
    out: Headers = [CONTENT_TYPE, ("x-request-id", request_id), NO_STORE, *_EXTRA.get(code, ()), *headers]
    seconds = -(-retry_after_ms // 1000) if retry_after_ms is not None else row.retry_after_s
    if seconds is not None and code not in ("killed", "halted"):
        out.append(("retry-after", str(max(1, seconds))))
    return row.status, out, _encode(document)
