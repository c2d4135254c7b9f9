"""Dry runs, headroom and decisions over HTTP."""

from tests.unit.http_parts import ORDER, on_uvloop, running


@on_uvloop
async def test_a_dry_run_needs_a_key_and_no_idempotency_key() -> None:
    async with running() as server:
        before = server.gateway.last_seq
        answer = await server.ask("POST", "/api/v1/risk/preview", ORDER)
        assert (answer.status, answer.json) == (200, {"accepted": True})
        assert server.gateway.last_seq == before, "nothing is stored"
        assert (await server.ask("POST", "/api/v1/risk/preview", ORDER, authorization=None)).status == 401
        assert (await server.ask("GET", "/api/v1/risk/preview")).status == 405


@on_uvloop
async def test_headroom_needs_a_symbol_that_is_known() -> None:
    async with running() as server:
        assert (await server.ask("GET", "/api/v1/risk/headroom?symbol=BTCUSDT")).status == 200
        missing = await server.ask("GET", "/api/v1/risk/headroom")
        assert (missing.status, missing.code) == (400, "invalid_parameter")
        unknown = await server.ask("GET", "/api/v1/risk/headroom?symbol=NOPE")
        assert (unknown.status, unknown.code) == (422, "unknown_symbol")


@on_uvloop
async def test_a_decision_is_shown_once_it_is_durable() -> None:
    async with running() as server:
        order = (await server.place()).json["id"]
        answer = await server.ask("GET", f"/api/v1/orders/{order}/decision")
        assert (answer.status, answer.json) == (200, {"accepted": True})
        assert (await server.ask("GET", "/api/v1/orders/999/decision")).status == 404
        assert (await server.ask("POST", f"/api/v1/orders/{order}/decision", b"")).status == 405
