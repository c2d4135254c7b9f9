"""OpenAPI 3.1 from the msgspec types: every route, every problem code, in one place."""

import functools
from typing import Any, Final

import msgspec

from ordergate.http import rule_schemas, schemas
from ordergate.http.problem import TABLE

_BODILESS: Final = "headers_too_large"
"""Refused by the HTTP server itself, before there is a request that could be answered."""
_FRAMING: Final = (
    "Every problem is an RFC 9457 document with a stable `code`, except those of framing, which the HTTP server "
    "refuses itself: a request that is no HTTP/1.1 or has a bad Content-Length gets a bare 400, too many or too large "
    "headers get a bare 431. Both come without a body and end the connection."
)
_AUTH: Final = ("unauthorized", "forbidden", "ip_not_allowed", "rate_limited")
_ALWAYS: Final = (
    "not_found",
    "method_not_allowed",
    "headers_too_large",
    "internal_error",
    "overloaded",
    "shutting_down",
)
_PLACE: Final = (
    *_AUTH,
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
_READ: Final = (*_AUTH, "invalid_parameter", "flush_stalled")
_CANCEL: Final = (*_AUTH, "invalid_parameter", "already_filled", "already_ended", "history_unavailable")
_CHANGE: Final = (*_AUTH, "invalid_parameter")
_BODY: Final = ("malformed_json", "invalid_field", "request_timeout", "length_required", "body_too_large")
_MODELS: Final = (
    schemas.NewOrder,
    schemas.Order,
    schemas.OrderPage,
    schemas.Portfolio,
    schemas.Problem,
    schemas.OrderRejected,
    schemas.Health,
    schemas.KillOrder,
    schemas.Kills,
    schemas.Kill,
    schemas.KillCleared,
    schemas.Heartbeat,
    *rule_schemas.MODELS,
)

Json = dict[str, Any]


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _content(schema: str, media_type: str = "application/json") -> Json:
    return {media_type: {"schema": _ref("schemas", schema)}}


def _ok(description: str, schema: str, **headers: Json) -> Json:
    return {
        "description": description,
        "headers": {"X-Request-Id": _ref("headers", "RequestId"), **headers},
        "content": _content(schema),
    }


def _problems(codes: tuple[str, ...]) -> Json:
    """One response per status; it lists every code that may come with it."""
    by_status: dict[int, list[str]] = {}
    for code in (*codes, *_ALWAYS):
        by_status.setdefault(TABLE[code].status, []).append(code)
    responses: Json = {}
    for status, members in sorted(by_status.items()):
        described = "\n".join(f"- `{code}`: {TABLE[code].title}" for code in members)
        schema: Json = _ref("schemas", "Problem")
        if "order_rejected" in members:
            schema = {"anyOf": [schema, _ref("schemas", "OrderRejected")]}
        headers = {"X-Request-Id": _ref("headers", "RequestId")}
        if any(TABLE[code].retry_after_s is not None for code in members):
            headers["Retry-After"] = _ref("headers", "RetryAfter")
        if members == [_BODILESS]:
            responses[str(status)] = {"description": described + ". Comes without a body."}
            continue
        responses[str(status)] = {
            "description": described,
            "headers": headers,
            "content": {"application/problem+json": {"schema": schema}},
        }
    return responses


def _operation(identifier: str, summary: str, ok: Json, codes: tuple[str, ...] = (), **more: Any) -> Json:
    return {
        "operationId": identifier,
        "summary": summary,
        "parameters": [_ref("parameters", "RequestId"), *more.pop("parameters", ())],
        "responses": {**ok, **_problems(codes)},
        **more,
    }


def _query(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _paths() -> Json:
    order_id = {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "The order's id.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    }
    statuses = {"type": "string", "enum": list(schemas.OrderStatus.__args__)}  # type: ignore[attr-defined]
    place = _operation(
        "placeOrder",
        "Place an order",
        {
            "201": _ok(
                "The order is durable. The same Idempotency-Key and request get this answer again, byte for byte.",
                "Order",
                **{
                    "Idempotency-Replayed": _ref("headers", "Replayed"),
                    "Preference-Applied": _ref("headers", "PreferenceApplied"),
                },
            )
        },
        _PLACE,
        parameters=[_ref("parameters", "IdempotencyKey"), _ref("parameters", "Prefer")],
        requestBody={"required": True, "content": _content("NewOrder")},
        tags=["orders"],
    )
    page = _operation(
        "listOrders",
        "List orders, newest first",
        {"200": _ok("One page.", "OrderPage", Link=_ref("headers", "Link"))},
        (*_READ, "invalid_cursor"),
        parameters=[
            _query("cursor", "From the `Link` header of the page before.", {"type": "string"}),
            _query("limit", "Orders on one page.", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}),
            _query("symbol", "Only this instrument.", {"type": "string"}),
            _query("status", "Only this status.", statuses),
        ],
        tags=["orders"],
    )
    show = _operation(
        "getOrder",
        "Show one order",
        {"200": _ok("The order.", "Order")},
        (*_READ, "history_unavailable"),
        parameters=[order_id],
        tags=["orders"],
    )
    cancel = _operation(
        "cancelOrder",
        "Cancel an order",
        {
            "200": _ok("It had been canceled or had expired already.", "Order"),
            "202": _ok("The cancel is durable and on its way. Cancels pass a kill switch.", "Order"),
        },
        _CANCEL,
        parameters=[order_id],
        tags=["orders"],
    )
    portfolio = _operation(
        "getPortfolio", "Balances and positions", {"200": _ok("By mode.", "Portfolio")}, _READ, tags=["account"]
    )
    health = _operation(
        "getHealth",
        "Live, ready, ready to trade",
        {"200": _ok("Ready.", "Health")},
        tags=["operation"],
        security=[],
    )
    # Health answers whatever the load, with its own body in place of a problem.
    health["responses"]["503"] = _ok("Not ready; `reasons` says why.", "Health")
    metrics = _operation(
        "getMetrics",
        "Prometheus metrics",
        {"200": {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
        tags=["operation"],
        security=[],
    )
    document_ = _operation(
        "getOpenApi",
        "This document",
        {"200": {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": {"type": "object"}}}}},
        tags=["operation"],
        security=[],
    )
    return {
        "/api/v1/orders": {"post": place, "get": page},
        "/api/v1/orders/{id}": {"get": show, "delete": cancel},
        "/api/v1/portfolio": {"get": portfolio},
        **_kill_paths(),
        "/api/v1/health": {"get": health},
        **_risk_paths(order_id),
        "/metrics": {"get": metrics},
        "/openapi.json": {"get": document_},
    }


def _kill_paths() -> Json:
    scope = _query("scope", "`account` or `strategy` (GET shows global and symbol, too).", {"type": "string"})
    target = _query("target", "The strategy's name; of an account it may be left out.", {"type": "string"})
    who = ("unauthorized", "forbidden", "ip_not_allowed", "invalid_parameter")
    body = (*who, "malformed_json", "invalid_field", "body_too_large", "request_timeout", "length_required")

    def asking(schema: str) -> Json:
        return {"required": True, "content": _content(schema)}

    return {
        "/api/v1/kill": {
            "get": _operation(
                "getKills",
                "What stops the caller's orders",
                {"200": _ok("Every kill in force that may.", "Kills")},
                who,
                tags=["kill"],
                parameters=[scope, target],
            ),
            "post": _operation(
                "kill",
                "Stop an account or a strategy of one's own; in force when it is answered",
                {"200": _ok("Stopped.", "Kill")},
                body,
                tags=["kill"],
                requestBody=asking("KillOrder"),
            ),
            "delete": _operation(
                "clearKill",
                "End what a client or its silence began",
                {"200": _ok("Trading may go on; strategies stay stopped.", "KillCleared")},
                (*who, "kill_switch_unreadable"),
                tags=["kill"],
                parameters=[scope, target],
            ),
        },
        "/api/v1/heartbeat": {
            "post": _operation(
                "heartbeat",
                "A sign of life; a missed one stops the scope at level 2",
                {"200": _ok("The next one is due within `timeoutMs`.", "Heartbeat")},
                body,
                tags=["kill"],
                requestBody=asking("Heartbeat"),
            )
        },
    }


def _risk_paths(identifier: Json) -> Json:
    """Limits, the changes that wait for a second person, and strategies."""

    def read(name: str, summary: str, schema: str) -> Json:
        return {"get": _operation(name, summary, {"200": _ok("Now.", schema)}, _READ, tags=["risk"])}

    def change(name: str, summary: str, ok: Json, body: str | None, *codes: str, **more: Any) -> Json:
        content = {} if body is None else {"requestBody": {"required": True, "content": _content(body)}}
        known = _CHANGE if body is None else (*_CHANGE, *_BODY)
        return {"post": _operation(name, summary, ok, (*known, *codes), tags=["risk"], **content, **more)}

    quota, needed = ("invalid_limit", "change_request_quota"), "second_person_needed"
    changed = {"200": _ok("In force, or so already.", "Changed"), "202": _ok("Waits for a second person.", "Changed")}
    waits, decided = {"202": changed["202"]}, {"200": _ok("It waits no longer.", "Decided")}
    created, turned = {"201": _ok("Created.", "StrategyTurned")}, {"200": _ok("Its status.", "StrategyTurned")}
    number: Json = {"parameters": [{**identifier, "description": "The request's id."}]}
    named: Json = {"parameters": [{**identifier, "description": "Its id.", "schema": {"type": "string"}}]}
    return {
        "/api/v1/risk/limits": read("listLimits", "Limits that bind the account", "Limits")
        | change("setLimit", "Set a limit", changed, "LimitChange", *quota),
        "/api/v1/risk/limits/history": {
            "get": _operation(
                "listLimitChanges",
                "Changes of limits, newest first",
                {"200": _ok("One page.", "LimitHistory")},
                (*_READ, "history_unavailable"),
                parameters=rule_schemas.HISTORY_PARAMETERS,
                tags=["risk"],
            )
        },
        "/api/v1/risk/state": read("getRiskState", "Trading states, the day, how near limits are", "RiskState"),
        "/api/v1/risk/requests": read("listChanges", "Changes that wait for a second person", "ChangeRequests"),
        "/api/v1/risk/requests/{id}/approve": change(
            "approveChange", "Approve a change", decided, None, needed, *quota, **number
        ),
        "/api/v1/risk/requests/{id}/reject": change("rejectChange", "Reject a change", decided, None, **number),
        "/api/v1/risk/overrides": change("askOverride", "Ask to let one order pass", waits, "OverrideRequest", *quota),
        "/api/v1/strategies": read("listStrategies", "The account's strategies", "Strategies")
        | change("createStrategy", "Create a strategy, STOPPED", created, "NewStrategy", "strategy_exists"),
        "/api/v1/strategies/{id}/start": change("startStrategy", "Start a strategy", turned, None, "killed", **named),
        "/api/v1/strategies/{id}/stop": change("stopStrategy", "Stop a strategy", turned, None, **named),
    }


def _text_header(description: str) -> Json:
    return {"description": description, "schema": {"type": "string"}}


def _parameters() -> Json:
    return {
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "1 to 255 printable ASCII characters, new for every new order; kept for 24 hours.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
            "example": "5b1fbf0a-8d0e-4a4e-8b1e-0f3c1d1f2a77",
        },
        "Prefer": {
            "name": "Prefer",
            "in": "header",
            "required": False,
            "description": "`wait=N`: answer when the venue has answered, at most N seconds (30) later.",
            "schema": {"type": "string"},
            "example": "wait=2",
        },
        "RequestId": {
            "name": "X-Request-Id",
            "in": "header",
            "required": False,
            "description": "Echoed when it is 1 to 64 characters of `A-Za-z0-9._-`; else one is made.",
            "schema": {"type": "string"},
        },
    }


def build() -> Json:
    """The document as plain data."""
    _, components = msgspec.json.schema_components(_MODELS, ref_template="#/components/schemas/{name}")
    components["LimitChange"] = rule_schemas.LIMIT_CHANGE
    components["Problem"]["properties"]["code"]["enum"] = list(TABLE)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ordergate",
            "version": "1",
            "summary": "Places crypto orders durably, sends them at most once, books every fill exactly once.",
            "description": _FRAMING,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This gateway"}],
        "security": [{"apiKey": []}],
        "tags": [{"name": "orders"}, {"name": "account"}, {"name": "risk"}, {"name": "kill"}, {"name": "operation"}],
        "paths": _paths(),
        "components": {
            "schemas": components,
            "parameters": _parameters(),
            "headers": {
                "RequestId": _text_header("The request's id."),
                "RetryAfter": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}},
                "Replayed": _text_header("`true` when this is the stored answer of an earlier request."),
                "PreferenceApplied": _text_header("`wait=N` when the answer waited for the venue."),
                "Link": _text_header('The next page, `rel="next"`; absent on the last.'),
            },
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "og_…"}},
        },
    }


@functools.cache
def document() -> bytes:
    """The document as JSON; made once."""
    return msgspec.json.format(msgspec.json.encode(build()), indent=2)
