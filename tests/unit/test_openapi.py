"""The OpenAPI document is valid and complete."""

import json

from openapi_spec_validator import OpenAPIV31SpecValidator

from ordergate.http import app, openapi
from ordergate.http.problem import TABLE

DOCUMENT = json.loads(openapi.document())


def test_it_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_and_method_is_described() -> None:
    served = {(path, method.lower()) for path, (methods, _) in app.STATIC.items() for method in methods}
    served |= {(path + "/{id}", method.lower()) for path, (methods, _) in app.DYNAMIC.items() for method in methods}
    served |= {
        (f"{head}/{{id}}/{tail}", method.lower())
        for (head, tail), (methods, _) in app.NESTED.items()
        for method in methods
    }
    described = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}
    assert described == served


def test_every_problem_code_is_described_at_its_status() -> None:
    described = {
        (code, status)
        for item in DOCUMENT["paths"].values()
        for operation in item.values()
        for status, response in operation["responses"].items()
        for code in TABLE
        if f"`{code}`" in response["description"]
    }
    assert described == {(code, str(row.status)) for code, row in TABLE.items()}


def test_query_parameters_are_those_the_router_knows() -> None:
    for path, (methods, known) in app.STATIC.items():
        if "GET" in methods:
            parameters = DOCUMENT["paths"][path]["get"]["parameters"]
            assert {p["name"] for p in parameters if p.get("in") == "query"} == known


def test_orders_need_a_key_and_an_idempotency_key() -> None:
    place = DOCUMENT["paths"]["/api/v1/orders"]["post"]
    assert {"$ref": "#/components/parameters/IdempotencyKey"} in place["parameters"]
    assert DOCUMENT["components"]["parameters"]["IdempotencyKey"]["required"]
    assert DOCUMENT["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    assert "security" not in place and DOCUMENT["security"] == [{"apiKey": []}]
    assert DOCUMENT["paths"]["/api/v1/health"]["get"]["security"] == []


def test_the_document_says_what_the_server_does() -> None:
    page, place = DOCUMENT["paths"]["/api/v1/orders"]["get"], DOCUMENT["paths"]["/api/v1/orders"]["post"]
    (limit,) = [p["schema"] for p in page["parameters"] if p.get("name") == "limit"]
    assert (limit["minimum"], limit["maximum"]) == (1, 500)
    assert "`answer_unreadable`" in place["responses"]["503"]["description"]
    assert "`length_required`" in place["responses"]["411"]["description"]
    assert "content" not in place["responses"]["431"]
    assert "without a body" in DOCUMENT["info"]["description"]
