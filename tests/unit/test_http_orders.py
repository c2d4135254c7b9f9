"""Orders over HTTP: what a client sees, with the engine faked and the server real."""

import asyncio
import json
import time

from tests.unit.fake_core import Refusal
from tests.unit.http_parts import ORDER, on_uvloop, running


@on_uvloop
async def test_an_order_is_answered_with_201_once_it_is_durable() -> None:
    async with running(auto_flush=False) as server:
        waiting = asyncio.create_task(server.place())
        await asyncio.sleep(0.1)
        assert server.gateway.last_seq == 1 and not waiting.done()
        server.gateway.flush()
        answer = await waiting
        assert (answer.status, answer.headers["content-type"]) == (201, "application/json")
        assert answer.json["id"] == "1"
        assert "idempotency-replayed" not in answer.headers


@on_uvloop
async def test_answers_leave_in_batches_and_never_before_their_own_flush() -> None:
    async with running(auto_flush=False) as server:
        waiting = [asyncio.create_task(server.place(f"k{n}")) for n in range(20)]
        while server.gateway.last_seq < 20:
            await asyncio.sleep(0.01)
        server.gateway.flush(10)
        await asyncio.sleep(0.1)
        assert sum(task.done() for task in waiting) == 10
        server.gateway.flush()
        assert sorted(int(task.json["id"]) for task in await asyncio.gather(*waiting)) == list(range(1, 21))


@on_uvloop
async def test_a_repeat_gets_the_same_bytes_and_says_so() -> None:
    async with running() as server:
        first = await server.place()
        other = await server.place("k2")
        again = await server.place()
        assert again.body == first.body and again.status == 201
        assert again.headers["idempotency-replayed"] == "true"
        assert "idempotency-replayed" not in other.headers
        assert (await server.place(body=ORDER.replace(b"BUY", b"SELL"))).code == "idempotency_key_reused"


@on_uvloop
async def test_a_repeat_after_a_restart_is_known_as_one() -> None:
    async with running(last_seq=7) as server:
        server.gateway.stored["old"] = (201, 5, b"{}", ORDER)
        assert (await server.place("old")).headers["idempotency-replayed"] == "true"
        assert "idempotency-replayed" not in (await server.place("new")).headers


@on_uvloop
async def test_risk_refusals_are_problem_documents() -> None:
    async with running() as server:
        answer = await server.place(body=ORDER.replace(b"0.001", b'"999"'))
        assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")


@on_uvloop
async def test_refusals_become_problems_with_their_fields_and_waiting_time() -> None:
    async with running() as server:
        refusals = [
            (Refusal("invalid_price", "price", [("price", "is off the tick of 0.01")]), (422, None)),
            (Refusal("rate_limited", "", (), 1200), (429, "2")),
            (Refusal("request_in_progress"), (409, "1")),
            (Refusal("venue_unavailable"), (503, "1")),
            (Refusal("killed", "drill", (), 5000), (503, None)),
        ]
        for refusal, (status, retry_after) in refusals:
            server.gateway.refuse_place = lambda refusal=refusal: refusal
            answer = await server.place()
            assert answer.code == refusal.code
            assert answer.status == status
            assert answer.headers.get("retry-after") == retry_after, refusal.code
            assert [(e["field"], e["message"]) for e in answer.json["errors"]] == refusal.errors


@on_uvloop
async def test_a_stale_kill_reading_makes_the_order_wait_for_the_next() -> None:
    async with running() as server:
        stale = [Refusal("kill_switch_stale")]
        server.gateway.refuse_place = lambda: stale.pop() if stale else None
        assert (await server.place()).status == 201
        server.gateway.refuse_place = lambda: Refusal("kill_switch_stale")
        answer = await server.place("k2")
        assert (answer.code, answer.status, answer.headers["retry-after"]) == ("kill_switch_unreadable", 503, "1")


@on_uvloop
async def test_prefer_wait_answers_when_the_venue_has() -> None:
    async with running() as server:
        waiting = asyncio.create_task(server.place(prefer="respond-async, wait=20"))
        while not server.gateway.by_id:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        server.gateway.by_id["1"]["status"] = "SUBMITTED"
        server.changes.announce([1])
        await asyncio.sleep(0.05)
        assert not waiting.done()
        server.gateway.by_id["1"]["status"] = "FILLED"
        server.changes.announce([2, 1])
        answer = await waiting
        assert (answer.status, answer.json["status"]) == (201, "FILLED")
        assert answer.headers["preference-applied"] == "wait=20"
        repeat = await server.place(prefer="wait=20")
        assert repeat.json["status"] == "PENDING_NEW"
        assert "preference-applied" not in repeat.headers


@on_uvloop
async def test_prefer_wait_ends_with_its_time_or_with_the_gateway() -> None:
    async with running() as server:
        began = time.monotonic()
        assert (await server.place(prefer="wait=1")).json["status"] == "PENDING_NEW"
        assert 0.9 < time.monotonic() - began < 1.5
        assert (await server.place("k2", prefer="wait=nonsense")).status == 201
        waiting = asyncio.create_task(server.place("k3", prefer="wait=99999"))
        await asyncio.sleep(0.2)
        server.app.stop()
        assert (await waiting).headers["preference-applied"] == "wait=30"


@on_uvloop
async def test_reads_wait_for_the_flush_at_most_a_second() -> None:
    async with running(auto_flush=False) as server:
        placing = asyncio.create_task(server.place())
        await asyncio.sleep(0.05)
        began = time.monotonic()
        stalled = await server.ask("GET", "/api/v1/orders/1")
        assert stalled.code == "flush_stalled"
        assert 0.9 < time.monotonic() - began < 1.5
        server.durability.watch()
        server.gateway.flush()
        assert (await server.ask("GET", "/api/v1/orders/1")).status == 200
        assert (await placing).status == 201


@on_uvloop
async def test_cancel_waits_for_the_flush() -> None:
    async with running(auto_flush=False) as server:
        placing = asyncio.create_task(server.place())
        await asyncio.sleep(0.05)
        canceling = asyncio.create_task(server.ask("DELETE", "/api/v1/orders/1"))
        await asyncio.sleep(0.1)
        assert not canceling.done()
        server.gateway.flush()
        assert (await canceling).status == 202
        await placing
        assert (await server.ask("DELETE", "/api/v1/orders/77")).code == "not_found"


@on_uvloop
async def test_pages_link_to_the_next_and_keep_their_filters() -> None:
    async with running() as server:
        page = await server.ask("GET", "/api/v1/orders?limit=5&symbol=BTCUSDT")
        assert page.headers["link"] == '</api/v1/orders?limit=5&symbol=BTCUSDT&cursor=a%20b>; rel="next"'
        last = await server.ask("GET", "/api/v1/orders?limit=5&symbol=BTCUSDT&cursor=a%20b")
        assert last.status == 200 and "link" not in last.headers
        assert (await server.ask("GET", "/api/v1/orders?limit=0")).json["errors"][0]["field"] == "limit"


@on_uvloop
async def test_after_a_failed_flush_nothing_is_answered() -> None:
    from ordergate import _core

    async with running(auto_flush=False) as server:
        waiting = asyncio.create_task(server.place())
        await asyncio.sleep(0.05)
        server.gateway.failure = _core.JournalFailed("fdatasync: EIO")
        server.gateway.flush()
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert [str(end) for end in server.ended] == ["fdatasync: EIO"]
        waiting.cancel()


@on_uvloop
async def test_a_poisoned_engine_ends_the_process() -> None:
    from ordergate import _core

    async with running() as server:

        def poison() -> None:
            raise _core.EnginePoisoned("held does not add up")

        server.gateway.refuse_place = poison
        await server.place()
        assert [type(end) for end in server.ended] == [_core.EnginePoisoned]


@on_uvloop
async def test_keep_alive_carries_many_orders() -> None:
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for n in range(50):
            writer.write(
                b"POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n"
                + f"Idempotency-Key: k{n}\r\nContent-Length: {len(ORDER)}\r\n\r\n".encode()
                + ORDER
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert json.loads(await reader.readexactly(length))["id"] == str(n + 1)
        writer.close()


@on_uvloop
async def test_a_refused_cancel_tells_no_fact_before_it_is_durable() -> None:
    async with running() as server:
        order = (await server.place()).json["id"]
        server.gateway.auto_flush = False
        server.gateway.by_id[order]["status"] = "FILLED"
        server.gateway.append("FILL", order)
        asking = asyncio.create_task(server.ask("DELETE", f"/api/v1/orders/{order}"))
        await asyncio.sleep(0.1)
        assert not asking.done()
        server.gateway.flush()
        assert (await asking).code == "already_filled"
