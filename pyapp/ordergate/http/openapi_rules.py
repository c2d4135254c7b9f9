"""Paths of the OpenAPI document about kills, limits, strategies and LIVE."""

from typing import Any

from ordergate.http import live_schemas, rule_schemas
from ordergate.http.openapi_parts import BODY, CHANGE, READ, Json, content, ok, operation, query


def kill_paths() -> Json:
    scope = query("scope", "`account` or `strategy` (GET shows global and symbol, too).", {"type": "string"})
    target = query("target", "The strategy's name; of an account it may be left out.", {"type": "string"})
    who = ("unauthorized", "forbidden", "ip_not_allowed", "invalid_parameter")
    body = (*who, "malformed_json", "invalid_field", "body_too_large", "request_timeout", "length_required")

    def asking(schema: str) -> Json:
        return {"required": True, "content": content(schema)}

    return {
        "/api/v1/kill": {
            "get": operation(
                "getKills",
                "What stops the caller's orders",
                {"200": ok("Every kill in force that may.", "Kills")},
                who,
                tags=["kill"],
                parameters=[scope, target],
            ),
            "post": operation(
                "kill",
                "Stop an account or a strategy of one's own; in force when it is answered",
                {"200": ok("Stopped.", "Kill")},
                body,
                tags=["kill"],
                requestBody=asking("KillOrder"),
            ),
            "delete": operation(
                "clearKill",
                "End what a client or its silence began",
                {"200": ok("Trading may go on; strategies stay stopped.", "KillCleared")},
                (*who, "kill_switch_unreadable"),
                tags=["kill"],
                parameters=[scope, target],
            ),
        },
        "/api/v1/heartbeat": {
            "post": operation(
                "heartbeat",
                "A sign of life; a missed one stops the scope at level 2",
                {"200": ok("The next one is due within `timeoutMs`.", "Heartbeat")},
                body,
                tags=["kill"],
                requestBody=asking("Heartbeat"),
            )
        },
    }


def live_paths() -> Json:
    """Orders in doubt, and comparisons of the exchange with what was booked."""
    return {
        "/api/v1/doubts": {
            "get": operation(
                "listDoubts",
                "Orders whose outcome is not known",
                {"200": ok("The account's, oldest first.", "Doubts")},
                READ,
                tags=["orders"],
            )
        },
        "/api/v1/reconciliations": {
            "get": operation(
                "listReconciliations",
                "Comparisons of the exchange with what was booked, newest first",
                {"200": ok("One page.", "Reconciliations")},
                (*READ, "history_unavailable"),
                parameters=live_schemas.PAGE_PARAMETERS,
                tags=["account"],
            )
        },
    }


def risk_paths(identifier: Json) -> Json:
    """Limits, the changes that wait for a second person, and strategies."""

    def read(name: str, summary: str, schema: str) -> Json:
        return {"get": operation(name, summary, {"200": ok("Now.", schema)}, READ, tags=["risk"])}

    def change(name: str, summary: str, ok: Json, body: str | None, *codes: str, **more: Any) -> Json:
        takes = {} if body is None else {"requestBody": {"required": True, "content": content(body)}}
        known = CHANGE if body is None else (*CHANGE, *BODY)
        return {"post": operation(name, summary, ok, (*known, *codes), tags=["risk"], **takes, **more)}

    quota, needed = ("invalid_limit", "change_request_quota"), "second_person_needed"
    changed = {"200": ok("In force, or so already.", "Changed"), "202": ok("Waits for a second person.", "Changed")}
    waits, decided = {"202": changed["202"]}, {"200": ok("It waits no longer.", "Decided")}
    created, turned = {"201": ok("Created.", "StrategyTurned")}, {"200": ok("Its status.", "StrategyTurned")}
    number: Json = {"parameters": [{**identifier, "description": "The request's id."}]}
    named: Json = {"parameters": [{**identifier, "description": "Its id.", "schema": {"type": "string"}}]}
    return {
        "/api/v1/risk/limits": read("listLimits", "Limits that bind the account", "Limits")
        | change("setLimit", "Set a limit", changed, "LimitChange", *quota),
        "/api/v1/risk/limits/history": {
            "get": operation(
                "listLimitChanges",
                "Changes of limits, newest first",
                {"200": ok("One page.", "LimitHistory")},
                (*READ, "history_unavailable"),
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
