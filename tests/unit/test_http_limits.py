"""Bad input and overload over HTTP: each a problem document with its code, nothing journaled, no 500."""

import asyncio
import json
import time

from tests.unit.http_parts import ORDER, on_uvloop, running

POST = b"POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nIdempotency-Key: k\r\n"


@on_uvloop
async def test_what_is_too_large_is_refused_and_the_connection_closed() -> None:
    async with running() as server:
        announced = await server.talk(POST + b"Content-Length: 65537\r\n\r\n{", seconds=2)
        assert announced.code == "body_too_large" and announced.headers["connection"] == "close"
        assert (await server.place(body=b" " * (65_536 - len(ORDER)) + ORDER)).status == 201
        assert server.gateway.last_seq == 1


@on_uvloop
async def test_a_body_in_chunks_is_refused_whole_or_broken_off() -> None:
    async with running() as server:
        chunk = f"{len(ORDER):x}\r\n".encode() + ORDER + b"\r\n"
        for ending in (b"0\r\n\r\n", b"5\r\n ", b"zz\r\n", b""):
            for more in (b"", b"Content-Length: %d\r\n" % len(ORDER)):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(POST + more + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + ending)
                writer.write_eof()
                answer = await asyncio.wait_for(reader.read(), 5)
                writer.close()
                assert answer == b"" or answer.split()[1] in (b"400", b"411"), answer
        refused = await server.talk(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk, seconds=2)
        assert refused.code == "length_required" and refused.headers["connection"] == "close"
        assert server.gateway.records == [] and server.app.in_flight == 0


@on_uvloop
async def test_an_announced_body_that_breaks_off_places_nothing() -> None:
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % (len(ORDER) + 1) + ORDER)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert server.gateway.records == []


@on_uvloop
async def test_strangers_are_refused_before_their_body_comes() -> None:
    async with running() as server:
        stranger = b"POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"
        answer = await server.talk(stranger, seconds=2)
        assert answer.code == "unauthorized" and answer.headers["connection"] == "close"
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert server.app.in_flight == 0


@on_uvloop
async def test_half_a_body_is_a_408_after_ten_seconds() -> None:
    async with running() as server:
        half = asyncio.create_task(server.talk(POST + b"Content-Length: 10\r\n\r\nabc", seconds=5))
        later = asyncio.create_task(server.talk(POST + b"Content-Length: 70\r\n\r\n{", seconds=5))
        await asyncio.sleep(0.2)
        server.app.sweep(time.monotonic() + 9.0)
        await asyncio.sleep(0.1)
        assert not half.done() and not later.done()
        server.app.sweep(time.monotonic() + 10.1)
        for answer in (await half, await later):
            assert answer.code == "request_timeout" and answer.headers["connection"] == "close"
        assert server.app.in_flight == 0
        assert (await server.place()).status == 201


@on_uvloop
async def test_a_client_that_leaves_half_way_costs_nothing() -> None:
    async with running() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(POST + b"Content-Length: 10\r\n\r\nabc")
        await asyncio.sleep(0.1)
        assert server.app.in_flight == 1
        writer.close()
        await asyncio.sleep(0.2)
        assert server.app.in_flight == 0


@on_uvloop
async def test_too_many_or_too_large_headers_are_a_431() -> None:
    async with running() as server:
        many = b"".join(b"X-%d: 1\r\n" % n for n in range(101))
        assert (await server.talk(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n")).status == 431
        large = b"X: " + b"a" * 17_000 + b"\r\n"
        assert (await server.talk(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n" + large + b"\r\n")).status == 431


@on_uvloop
async def test_bad_requests_are_problems() -> None:
    async with running() as server:
        assert (await server.place(authorization=None)).code == "unauthorized"
        assert (await server.place(authorization=None)).headers["www-authenticate"].startswith("Bearer")
        assert (await server.place(key=None)).code == "idempotency_key_missing"
        assert (await server.place(body=b"")).code == "malformed_json"
        assert (await server.place(content_type="text/plain")).code == "unsupported_media_type"
        assert (await server.place(content_type="application/json; charset=utf-8")).status == 201
        assert (await server.ask("GET", "/api/v1/nothing")).code == "not_found"
        assert (await server.ask("GET", "/api/v1/orders/")).code == "not_found"
        assert (await server.ask("GET", "/api/v1/orders/a/b")).code == "not_found"
        assert server.gateway.last_seq == 1


@on_uvloop
async def test_header_values_that_are_not_text_are_not_a_500() -> None:
    async with running() as server:
        for header in (b"Authorization", b"Idempotency-Key", b"X-Request-Id", b"Content-Type", b"Prefer"):
            answer = await server.talk(
                b"POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n" + header + b": \xff\xfe\r\n\r\n{}"
            )
            assert 400 <= answer.status < 500, header


@on_uvloop
async def test_an_idempotency_key_that_is_not_one_readable_value_is_invalid() -> None:
    async with running() as server:
        length = b"Content-Length: %d\r\n" % len(ORDER)
        start = b"POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n" + length
        for keys in ((b"\xc3\xa9",), (b"a", b"b"), (b"\xff", b"\xfe")):
            lines = b"".join(b"Idempotency-Key: " + key + b"\r\n" for key in keys)
            assert (await server.talk(start + lines + b"\r\n" + ORDER)).code == "idempotency_key_invalid", keys
        assert (await server.talk(start + b"\r\n" + ORDER)).code == "idempotency_key_missing"
        assert server.gateway.records == []
        twice = start + b"Idempotency-Key: a\r\n" * 2 + b"\r\n" + ORDER
        assert (await server.talk(twice)).status == 201


@on_uvloop
async def test_other_methods_are_a_405_that_names_the_right_ones() -> None:
    async with running() as server:
        for method in ("HEAD", "PUT", "PATCH", "OPTIONS", "BREW"):
            answer = await server.ask(method, "/api/v1/orders")
            assert answer.status == 405
            assert answer.headers["allow"] == "DELETE, POST, GET"
        assert (await server.ask("POST", "/api/v1/orders/1", b"{}")).headers["allow"] == "GET, DELETE, PATCH"


@on_uvloop
async def test_unknown_query_parameters_are_refused() -> None:
    async with running() as server:
        for path in ("/api/v1/orders?page=2", "/api/v1/orders/1?x=1", "/api/v1/portfolio?x=1", "/api/v1/health?x"):
            assert (await server.ask("GET", path)).code == "invalid_parameter", path
        assert (await server.ask("GET", "/api/v1/orders?limit=1&limit=2")).code == "invalid_parameter"
        assert (await server.ask("GET", "/api/v1/orders?symbol=%FF")).code == "invalid_parameter"
        assert (await server.ask("POST", "/api/v1/orders?limit=1", ORDER)).code == "invalid_parameter"


@on_uvloop
async def test_request_ids_are_echoed_when_sane() -> None:
    async with running() as server:
        assert (await server.place(x_request_id="Aa0._-")).headers["x-request-id"] == "Aa0._-"
        made = set()
        for insane in ("a" * 65, "a b", "x\u00e9".encode().decode("latin-1"), "<script>", None, None):
            echoed = (await server.ask("GET", "/api/v1/portfolio", x_request_id=insane)).headers["x-request-id"]
            assert echoed != insane
            made.add(echoed)
        assert len(made) == 6


@on_uvloop
async def test_load_is_shed_but_health_answers() -> None:
    async with running(auto_flush=False) as server:
        server.app._limit = 3
        waiting = [asyncio.create_task(server.place(f"k{n}")) for n in range(3)]
        await asyncio.sleep(0.1)
        shed = await server.place("k9")
        assert (shed.code, shed.headers["retry-after"]) == ("overloaded", "1")
        assert (await server.ask("GET", "/api/v1/health")).status == 200
        server.gateway.flush()
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [201] * 3
        assert (server.app.in_flight, server.app.shed) == (0, 1)


@on_uvloop
async def test_cancels_have_a_higher_bound() -> None:
    async with running() as server:
        order = (await server.place()).json["id"]
        server.gateway.auto_flush = False
        server.app._limit, server.app._cancel_limit = 1, 2
        waiting = [asyncio.create_task(server.place("k2"))]
        await asyncio.sleep(0.1)
        assert (await server.place("k3")).code == "overloaded"
        waiting.append(asyncio.create_task(server.ask("DELETE", f"/api/v1/orders/{order}")))
        await asyncio.sleep(0.1)
        assert (await server.ask("DELETE", f"/api/v1/orders/{order}")).code == "overloaded"
        server.app.stop()
        assert (await server.ask("DELETE", f"/api/v1/orders/{order}")).code == "shutting_down"
        server.gateway.flush()
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [201, 202]


@on_uvloop
async def test_a_stopping_gateway_finishes_what_is_in_flight_and_refuses_the_rest() -> None:
    async with running(auto_flush=False) as server:
        waiting = asyncio.create_task(server.place())
        half = asyncio.create_task(server.talk(POST + b"Content-Length: 10\r\n\r\nabc"))
        await asyncio.sleep(0.1)
        server.app.stop()
        refused = await server.place("k2")
        assert (refused.code, refused.headers["connection"]) == ("shutting_down", "close")
        assert (await half).code == "shutting_down"
        health = await server.ask("GET", "/api/v1/health")
        assert (health.status, health.json["status"]) == (503, "stopping")
        server.gateway.flush()
        assert (await waiting).status == 201


@on_uvloop
async def test_an_unexpected_error_is_a_500_without_its_text() -> None:
    async with running() as server:

        def fail() -> None:
            raise RuntimeError("secret")

        server.gateway.refuse_place = fail
        answer = await server.place()
        assert answer.code == "internal_error"
        assert b"secret" not in answer.body
        server.gateway.refuse_place = lambda: None
        assert (await server.place()).status == 201


@on_uvloop
async def test_health_says_what_is_missing() -> None:
    async with running() as server:
        ready = await server.ask("GET", "/api/v1/health", authorization=None)
        assert ready.status == 200
        assert ready.json["tradingReady"] == {"PAPER": True, "LIVE": False}
        server.gateway.killed = (1, "drill", 3)
        killed = await server.ask("GET", "/api/v1/health")
        assert (killed.status, killed.json["status"]) == (200, "degraded")
        assert "killed: drill" in killed.json["reasons"] and not killed.json["tradingReady"]["PAPER"]
        server.gateway.killed = None
        for space, reason, trading in (("soft", "filling up", True), ("hard", "orders are refused", False)):
            server.gateway.space = space
            full = await server.ask("GET", "/api/v1/health")
            assert full.status == 200 and full.json["tradingReady"]["PAPER"] is trading, space
            assert any(told.startswith("journal: ") and told.endswith(reason) for told in full.json["reasons"]), space
        server.gateway.sessions.clear()
        lost = await server.ask("GET", "/api/v1/health")
        assert lost.status == 503 and not lost.json["ready"]
        assert any(reason.startswith("PAPER") for reason in lost.json["reasons"])


@on_uvloop
async def test_metrics_and_document_need_no_key() -> None:
    async with running() as server:
        metrics = await server.ask("GET", "/metrics", authorization=None)
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert b"\nordergate_http_requests_in_flight 1\n" in metrics.body
        assert b"# TYPE ordergate_http_requests_shed_total counter\n" in metrics.body
        assert b"write_behind" not in metrics.body
        server.deps.write_behind_lag = lambda: (7, 0.25, 2)
        metrics = await server.ask("GET", "/metrics")
        assert b"\nordergate_write_behind_lag_records 7\n" in metrics.body
        assert b"\nordergate_write_behind_lag_seconds 0.25\n" in metrics.body
        assert b"\nordergate_write_behind_parked_records 2\n" in metrics.body
        document = await server.ask("GET", "/openapi.json", authorization=None)
        assert json.loads(document.body)["openapi"].startswith("3.1")
