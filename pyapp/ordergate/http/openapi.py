"""OpenAPI 3.1 from the msgspec types: every route, every problem code, in one place."""

import functools
from typing import Final

import msgspec

from ordergate.http import live_schemas, rule_schemas, schemas
from ordergate.http.openapi_parts import (
    AUTH,
    CANCEL,
    PLACE,
    PREVIEW,
    READ,
    REPLACE,
    Json,
    content,
    ok,
    operation,
    query,
    ref,
)
from ordergate.http.openapi_rules import kill_paths, live_paths, risk_paths
from ordergate.http.problem import TABLE

_FRAMING: Final = (
    "Every problem is an RFC 9457 document with a stable `code`, except those of framing, which the HTTP server "
    "refuses itself: a request that is no HTTP/1.1 or has a bad Content-Length gets a bare 400, too many or too large "
    "headers get a bare 431. Both come without a body and end the connection."
)
_MODELS: Final = (
    schemas.NewOrder,
    schemas.Order,
    schemas.OrderPage,
    schemas.NewTerms,
    schemas.CanceledOrders,
    schemas.Portfolio,
    schemas.Problem,
    schemas.OrderRejected,
    schemas.RiskPreview,
    schemas.RiskHeadroom,
    schemas.Decision,
    schemas.Health,
    schemas.KillOrder,
    schemas.Kills,
    schemas.Kill,
    schemas.KillCleared,
    schemas.Heartbeat,
    live_schemas.Doubts,
    live_schemas.Reconciliations,
    *rule_schemas.MODELS,
)


def _paths() -> Json:
    order_id = {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "The order's id.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    }
    statuses = {"type": "string", "enum": list(schemas.OrderStatus.__args__)}  # type: ignore[attr-defined]
    place = operation(
        "placeOrder",
        "Place an order",
        {
            "201": ok(
                "The order is durable. The same Idempotency-Key and request get this answer again, byte for byte.",
                "Order",
                **{
                    "Idempotency-Replayed": ref("headers", "Replayed"),
                    "Preference-Applied": ref("headers", "PreferenceApplied"),
                },
            )
        },
        PLACE,
        parameters=[ref("parameters", "IdempotencyKey"), ref("parameters", "Prefer")],
        requestBody={"required": True, "content": content("NewOrder")},
        tags=["orders"],
    )
    page = operation(
        "listOrders",
        "List orders, newest first",
        {"200": ok("One page.", "OrderPage", Link=ref("headers", "Link"))},
        (*READ, "invalid_cursor"),
        parameters=[
            query("cursor", "From the `Link` header of the page before.", {"type": "string"}),
            query("limit", "Orders on one page.", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}),
            query("symbol", "Only this instrument.", {"type": "string"}),
            query("status", "Only this status.", statuses),
        ],
        tags=["orders"],
    )
    show = operation(
        "getOrder",
        "Show one order",
        {"200": ok("The order.", "Order")},
        (*READ, "history_unavailable"),
        parameters=[order_id],
        tags=["orders"],
    )
    cancel = operation(
        "cancelOrder",
        "Cancel an order",
        {
            "200": ok("It had been canceled or had expired already.", "Order"),
            "202": ok("The cancel is durable and on its way. Cancels pass a kill switch.", "Order"),
        },
        CANCEL,
        parameters=[order_id],
        tags=["orders"],
    )
    replace = operation(
        "replaceOrder",
        "Change an order",
        {
            "202": ok(
                "The request is durable; the order as it stands then. A new order that takes over is named by "
                "`replacedBy` once it is placed. The same Idempotency-Key and request get this answer again.",
                "Order",
                **{"Idempotency-Replayed": ref("headers", "Replayed")},
            )
        },
        REPLACE,
        parameters=[ref("parameters", "IdempotencyKey"), order_id],
        requestBody={"required": True, "content": content("NewTerms")},
        tags=["orders"],
    )
    cancel_symbol = operation(
        "cancelOrders",
        "Cancel every open order of a symbol",
        {"202": ok("The cancels are durable and on their way. Cancels pass a kill switch.", "CanceledOrders")},
        (*AUTH, "invalid_parameter", "unknown_symbol"),
        parameters=[{**query("symbol", "The instrument.", {"type": "string"}), "required": True}],
        tags=["orders"],
    )
    portfolio = operation(
        "getPortfolio", "Balances and positions", {"200": ok("By mode.", "Portfolio")}, READ, tags=["account"]
    )
    preview = operation(
        "previewOrder",
        "What the risk checks would say of an order",
        {"200": ok("Every check; nothing was stored, reserved or sent.", "RiskPreview")},
        PREVIEW,
        requestBody={"required": True, "content": content("NewOrder")},
        tags=["risk"],
    )
    headroom = operation(
        "getHeadroom",
        "What is left of the limits",
        {"200": ok("Every limit that would bind an order of the symbol.", "RiskHeadroom")},
        (*READ, "unknown_symbol"),
        parameters=[{**query("symbol", "The instrument.", {"type": "string"}), "required": True}],
        tags=["risk"],
    )
    decision = operation(
        "getDecision",
        "Why an order was accepted or rejected",
        {"200": ok("The figures that decided.", "Decision")},
        (*READ, "answer_unreadable", "history_unavailable"),
        parameters=[order_id],
        tags=["risk"],
    )
    health = operation(
        "getHealth",
        "Live, ready, ready to trade",
        {"200": ok("Ready.", "Health")},
        tags=["operation"],
        security=[],
    )
    # Health answers whatever the load, with its own body in place of a problem.
    health["responses"]["503"] = ok("Not ready; `reasons` says why.", "Health")
    metrics = operation(
        "getMetrics",
        "Prometheus metrics",
        {"200": {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
        tags=["operation"],
        security=[],
    )
    document_ = operation(
        "getOpenApi",
        "This document",
        {"200": {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": {"type": "object"}}}}},
        tags=["operation"],
        security=[],
    )
    return {
        "/api/v1/orders": {"post": place, "get": page, "delete": cancel_symbol},
        "/api/v1/orders/{id}": {"get": show, "delete": cancel, "patch": replace},
        "/api/v1/orders/{id}/decision": {"get": decision},
        "/api/v1/risk/preview": {"post": preview},
        "/api/v1/risk/headroom": {"get": headroom},
        "/api/v1/portfolio": {"get": portfolio},
        **live_paths(),
        **kill_paths(),
        "/api/v1/health": {"get": health},
        **risk_paths(order_id),
        "/metrics": {"get": metrics},
        "/openapi.json": {"get": document_},
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
