"""What the paths of the OpenAPI document are made of: problem codes that come together, and one operation."""

from typing import Any, Final

from ordergate.http.problem import TABLE

BODILESS: Final = "headers_too_large"
"""Refused by the HTTP server itself, before there is a request that could be answered."""
AUTH: Final = ("unauthorized", "forbidden", "ip_not_allowed", "rate_limited")
ALWAYS: Final = (
    "not_found",
    "method_not_allowed",
    "headers_too_large",
    "internal_error",
    "overloaded",
    "shutting_down",
)
PLACE: Final = (
    *AUTH,
    "malformed_json",
    "invalid_field",
    "invalid_parameter",
    "idempotency_key_missing",
    "idempotency_key_invalid",
    "request_timeout",
    "request_in_progress",
    "client_order_id_in_use",
    "length_required",
    "body_too_large",
    "unsupported_media_type",
    "idempotency_key_reused",
    "unknown_symbol",
    "invalid_price",
    "invalid_quantity",
    "invalid_notional",
    "symbol_not_trading",
    "symbol_not_allowed",
    "strategy_not_running",
    "restricted_symbol",
    "outside_schedule",
    "override_invalid",
    "order_rejected",
    "request_key_quota",
    "killed",
    "halted",
    "kill_switch_unreadable",
    "venue_unavailable",
    "journal_full",
    "answer_unreadable",
)
REPLACE: Final = (
    *(code for code in PLACE if code != "override_invalid"),
    "not_replaceable",
    "already_filled",
    "already_ended",
    "history_unavailable",
)
READ: Final = (*AUTH, "invalid_parameter", "flush_stalled")
CANCEL: Final = (*AUTH, "invalid_parameter", "already_filled", "already_ended", "flattening", "history_unavailable")
CHANGE: Final = (*AUTH, "invalid_parameter")
BODY: Final = ("malformed_json", "invalid_field", "request_timeout", "length_required", "body_too_large")
PREVIEW: Final = (
    *READ,
    "malformed_json",
    "invalid_field",
    "request_timeout",
    "client_order_id_in_use",
    "length_required",
    "body_too_large",
    "unknown_symbol",
    "invalid_price",
    "invalid_quantity",
    "invalid_notional",
    "symbol_not_trading",
    "killed",
    "kill_switch_unreadable",
    "venue_unavailable",
    "journal_full",
)

Json = dict[str, Any]


def ref(kind: str, name: str) -> Json:
    """A reference to one of the document's components."""
    return {"$ref": f"#/components/{kind}/{name}"}


def content(schema: str, media_type: str = "application/json") -> Json:
    """A body of this schema."""
    return {media_type: {"schema": ref("schemas", schema)}}


def ok(description: str, schema: str, **headers: Json) -> Json:
    """A response that is no problem."""
    return {
        "description": description,
        "headers": {"X-Request-Id": ref("headers", "RequestId"), **headers},
        "content": content(schema),
    }


def problems(codes: tuple[str, ...]) -> Json:
    """One response per status; it lists every code that may come with it."""
    by_status: dict[int, list[str]] = {}
    for code in (*codes, *ALWAYS):
        by_status.setdefault(TABLE[code].status, []).append(code)
    responses: Json = {}
    for status, members in sorted(by_status.items()):
        described = "\n".join(f"- `{code}`: {TABLE[code].title}" for code in members)
        schema: Json = ref("schemas", "Problem")
        if "order_rejected" in members:
            schema = {"anyOf": [schema, ref("schemas", "OrderRejected")]}
        headers = {"X-Request-Id": ref("headers", "RequestId")}
        if any(TABLE[code].retry_after_s is not None for code in members):
            headers["Retry-After"] = ref("headers", "RetryAfter")
        if members == [BODILESS]:
            responses[str(status)] = {"description": described + ". Comes without a body."}
            continue
        responses[str(status)] = {
            "description": described,
            "headers": headers,
            "content": {"application/problem+json": {"schema": schema}},
        }
    return responses


def operation(identifier: str, summary: str, ok: Json, codes: tuple[str, ...] = (), **more: Any) -> Json:
    """One method of a path with everything that it may answer."""
    return {
        "operationId": identifier,
        "summary": summary,
        "parameters": [ref("parameters", "RequestId"), *more.pop("parameters", ())],
        "responses": {**ok, **problems(codes)},
        **more,
    }


def query(name: str, description: str, schema: Json) -> Json:
    """An optional parameter of the query."""
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
