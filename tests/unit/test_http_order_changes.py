"""PATCH /api/v1/orders/{id} and DELETE /api/v1/orders?symbol= over a real server, with the fake engine behind it."""

import asyncio

from tests.unit.http_parts import ORDER, Running, on_uvloop, running

TERMS = b'{"quantity":"0.0005"}'


async def placed(server: Running) -> str:
    answer = await server.ask("POST", "/api/v1/orders", ORDER, idempotency_key="place")
    return str(answer.json["id"])


@on_uvloop
async def test_a_change_is_answered_with_202_once_it_is_durable_and_a_repeat_the_same() -> None:
    async with running() as server:
        path = f"/api/v1/orders/{await placed(server)}"
        server.gateway.auto_flush = False
        asking = asyncio.create_task(server.ask("PATCH", path, TERMS, idempotency_key="k"))
        await asyncio.sleep(0.05)
        assert not asking.done()
        server.gateway.flush()
        first = await asking
        assert (first.status, first.json["status"]) == (202, "PENDING_REPLACE")
        assert "idempotency-replayed" not in first.headers
        again = await server.ask("PATCH", path, TERMS, idempotency_key="k")
        assert (again.status, again.body, again.headers["idempotency-replayed"]) == (202, first.body, "true")


@on_uvloop
async def test_what_cannot_be_changed_is_a_problem() -> None:
    async with running() as server:
        order = await placed(server)
        missing = await server.ask("PATCH", f"/api/v1/orders/{order}", TERMS)
        assert (missing.status, missing.code) == (400, "idempotency_key_missing")
        unknown = await server.ask("PATCH", "/api/v1/orders/999", TERMS, idempotency_key="k")
        assert (unknown.status, unknown.code) == (404, "not_found")
        server.gateway.by_id[order]["status"] = "FILLED"
        filled = await server.ask("PATCH", f"/api/v1/orders/{order}", TERMS, idempotency_key="k")
        assert (filled.status, filled.code) == (409, "already_filled")
        text = await server.ask(
            "PATCH", f"/api/v1/orders/{order}", TERMS, idempotency_key="k", content_type="text/plain"
        )
        assert (text.status, text.code) == (415, "unsupported_media_type")
        stranger = await server.ask("PATCH", f"/api/v1/orders/{order}", TERMS, authorization=None)
        assert (stranger.status, stranger.code) == (401, "unauthorized")


@on_uvloop
async def test_every_open_order_of_a_symbol_is_canceled_and_the_symbol_must_be_named() -> None:
    async with running() as server:
        order = await placed(server)
        canceled = await server.ask("DELETE", "/api/v1/orders?symbol=BTCUSDT")
        assert canceled.status == 202
        assert [listed["id"] for listed in canceled.json["orders"]] == [order]
        assert canceled.json["more"] is False
        for query, field in (("", "symbol"), ("?symbol=BTCUSDT&limit=5", "limit")):
            refused = await server.ask("DELETE", f"/api/v1/orders{query}")
            assert (refused.status, refused.code) == (400, "invalid_parameter")
            assert refused.json["errors"][0]["field"] == field
        unknown = await server.ask("DELETE", "/api/v1/orders?symbol=NOPE")
        assert (unknown.status, unknown.code) == (422, "unknown_symbol")
