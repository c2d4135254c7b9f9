"""What leaves for the exchange, and what is known afterwards: every byte is looked at."""

import asyncio
import gzip
import hashlib
import hmac
import json
import logging
import socket
import ssl
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ordergate.config.settings import Binance
from ordergate.venues.binance import rest, transport
from ordergate.venues.binance.answer import Answer
from ordergate.venues.binance.budget import Budget
from ordergate.venues.binance.clock import Clock
from ordergate.venues.binance.credentials import Credential, checked
from ordergate.venues.binance.rest import Rest, UrlSet
from tests.unit.exchange_stub import HANG, Request, Stub, exchange, http

LOCAL = frozenset({"127.0.0.1"})
HMAC = Credential("desk", "apikeyAPIKEY0123", "canarySECRET4567")
OURS = "og7-42"
ORDER = {"symbol": "BTCUSDT", "orderId": 28, "clientOrderId": OURS, "price": "40000.00000000", "status": "NEW"}
PLACE = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.00010000",
    "price": "40000.10", "newClientOrderId": OURS, "newOrderRespType": "FULL",
}  # fmt: skip


def urls(port: int, host: str = "127.0.0.1", scheme: str = "http") -> UrlSet:
    place = f"{host}:{port}"
    return UrlSet(f"{scheme}://{place}", f"ws://{place}/ws-api/v3", f"ws://{place}", LOCAL)


def connect(found: UrlSet, credential: Credential = HMAC, timeout_ms: int = 5_000) -> Rest:
    clock = Clock()
    clock.heard(clock.local_ns(), clock.local_ns(), int(time.time() * 1_000))
    return rest.open(found, credential, clock, Budget(clock.now_ms), timeout_ms=timeout_ms)


def play(scene: Callable[[Stub, Rest], Awaitable[None]], *, timeout_ms: int = 5_000, **answers: Any) -> None:
    async def run() -> None:
        async with exchange(**answers) as stub:
            asked = connect(urls(stub.port), timeout_ms=timeout_ms)
            try:
                await scene(stub, asked)
            finally:
                await asked.close()

    asyncio.run(run())


def place_against(port: int, scheme: str = "http", host: str = "127.0.0.1", timeout_ms: int = 5_000) -> Answer:
    async def run() -> Answer:
        asked = connect(urls(port, host, scheme), timeout_ms=timeout_ms)
        try:
            return await asked.place(PLACE)
        finally:
            await asked.close()

    return asyncio.run(run())


def test_an_order_leaves_with_our_own_digits_signed_over_its_very_bytes() -> None:
    async def scene(stub: Stub, asked: Rest) -> None:
        answer = await asked.place(PLACE | {"timestamp": "1790000000123"})
        assert (answer.sent, answer.status, answer.code, answer.error) == (True, 200, None, None)
        assert answer.body == ORDER | {"orderId": "28"}
        (request,) = stub.requests
        assert (request.method, request.path, request.query) == ("POST", "/api/v3/order", "")
        assert {name: request.params[name] for name in PLACE} == PLACE
        assert request.params["timestamp"] == "1790000000123"
        assert request.params["recvWindow"] == "2000"
        payload, _, signature = request.body.rpartition("&signature=")
        assert signature == hmac.new(HMAC.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        assert request.headers["x-mbx-apikey"] == HMAC.api_key
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.params.keys() == PLACE.keys() | {"timestamp", "recvWindow", "signature"}

    play(scene, order=http(200, ORDER))


def test_an_ed25519_key_signs_too() -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    async def run() -> None:
        async with exchange(order=http(200, ORDER)) as stub:
            asked = connect(urls(stub.port), checked("desk", "apikeyAPIKEY0123", pem))
            await asked.order("BTCUSDT", client_id=OURS)
            await asked.close()
            payload, _, signature = stub.requests[0].query.rpartition("&signature=")
            key.public_key().verify(b64decode(unquote(signature)), payload.encode())

    asyncio.run(run())


def test_each_request_has_its_place_and_words() -> None:
    async def scene(stub: Stub, asked: Rest) -> None:
        await asked.cancel({"symbol": "BTCUSDT", "origClientOrderId": OURS})
        await asked.amend({"symbol": "BTCUSDT", "origClientOrderId": OURS, "newQty": "0.5"})
        await asked.order("BTCUSDT", order_id="28")
        await asked.open_orders("BTCUSDT")
        await asked.open_orders()
        await asked.all_orders("BTCUSDT", order_id="7")
        await asked.my_trades("BTCUSDT", from_id=9)
        await asked.my_trades("BTCUSDT", order_id="28", limit=5)
        await asked.account()
        await asked.exchange_info(["BTCUSDT", "ETHUSDT"])
        await asked.restrictions()
        await asked.time()
        seen = [(request.method, request.path, set(request.params)) for request in stub.requests]
        signed = {"timestamp", "recvWindow", "signature"}
        assert seen == [
            ("DELETE", "/api/v3/order", {"symbol", "origClientOrderId"} | signed),
            ("PUT", "/api/v3/order/amend/keepPriority",
             {"symbol", "origClientOrderId", "newQty", "newClientOrderId"} | signed),
            ("GET", "/api/v3/order", {"symbol", "orderId"} | signed),
            ("GET", "/api/v3/openOrders", {"symbol"} | signed),
            ("GET", "/api/v3/openOrders", signed),
            ("GET", "/api/v3/allOrders", {"symbol", "orderId", "limit"} | signed),
            ("GET", "/api/v3/myTrades", {"symbol", "fromId", "limit"} | signed),
            ("GET", "/api/v3/myTrades", {"symbol", "orderId", "limit"} | signed),
            ("GET", "/api/v3/account", signed),
            ("GET", "/api/v3/exchangeInfo", {"symbols"}),
            ("GET", "/sapi/v1/account/apiRestrictions", signed),
            ("GET", "/api/v3/time", set()),
        ]  # fmt: skip
        assert stub.requests[1].params["newClientOrderId"] == OURS  # an amended order would get another id
        assert stub.requests[9].params["symbols"] == '["BTCUSDT","ETHUSDT"]'
        weights = 1 + 4 + 4 + 6 + 80 + 20 + 20 + 5 + 20 + 20 + 1 + 1
        assert asked.budget.state()["weight"]["1M"]["used"] == weights

    play(scene)


SAID: list[tuple[str, bytes, dict[str, Any]]] = [
    ("an order", http(200, ORDER), {"status": 200, "error": None}),
    ("a refusal", http(400, {"code": -2010, "msg": "no"}), {"status": 400, "code": -2010, "msg": "no"}),
    ("truncated JSON", http(200, json.dumps(ORDER)[:-5]), {"status": 200, "body": None}),
    ("HTML with 200", http(200, "<html>", {"Content-Type": "text/html"}), {"status": 200, "body": None}),
    ("half a body", http(200, ORDER, {"Content-Length": "9999"})[:-20], {"status": 200, "body": None}),
    ("bad gzip", http(200, ORDER, {"Content-Encoding": "gzip"}), {"status": 200, "body": None}),
    ("gzip", http(200, gzip.compress(json.dumps(ORDER).encode()), {"Content-Encoding": "gzip"}), {"status": 200}),
    ("wrong type", http(200, ORDER, {"Content-Type": "text/html"}), {"status": 200, "error": None}),
    ("wrong charset", http(200, json.dumps(ORDER).encode("utf-16")), {"status": 200, "body": None}),
    ("empty 502", http(502, ""), {"status": 502, "body": None}),
    ("504", http(504, {"code": -1007, "msg": "Timeout"}), {"status": 504, "code": -1007}),
    ("a redirect", http(307, "", {"Location": "/api/v3/elsewhere"}), {"status": 307}),
    ("no HTTP", b"SSH-2.0-x\r\n\r\nContent-Length", {"status": None}),
    ("a header without end", b"HTTP/1.1 200 OK\r\nContent-Le", {"status": None}),
    ("nothing", b"", {"status": None}),
    ("silence", HANG, {"status": None}),
]


@pytest.mark.parametrize(("raw", "known"), [row[1:] for row in SAID], ids=[row[0] for row in SAID])
def test_nothing_of_an_answer_is_lost_or_guessed_and_nothing_is_sent_twice(raw: bytes, known: dict[str, Any]) -> None:
    async def scene(stub: Stub, asked: Rest) -> None:
        answer = await asked.place(PLACE)
        assert answer.sent
        assert {name: getattr(answer, name) for name in known} == known
        if answer.body is None or answer.status is None:
            assert answer.error
        assert len(stub.requests) == 1

    play(scene, timeout_ms=400, order=raw, elsewhere=http(200, ORDER))


def test_a_body_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "BODY_MAX", 1_000)

    async def scene(stub: Stub, asked: Rest) -> None:
        answer = await asked.place(PLACE)
        assert (answer.status, answer.body) == (200, None) and "more than 1000 bytes" in str(answer.error)

    play(scene, order=http(200, "x" * 5_000))


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_where_nobody_listens_no_byte_left() -> None:
    answer = place_against(closed_port())
    assert (answer.sent, answer.status) == (False, None) and "ClientConnectorError" in str(answer.error)


def test_a_peer_that_does_not_speak_tls_gets_nothing() -> None:
    async def run() -> None:
        async with exchange(order=http(200, ORDER)) as stub:
            asked = connect(urls(stub.port, scheme="https"), timeout_ms=300)
            answer = await asked.place(PLACE)
            assert not answer.sent and not stub.requests
            await asked.close()

    asyncio.run(run())


def test_a_certificate_that_nobody_vouches_for_lets_no_byte_out(tmp_path: Path) -> None:
    read: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await reader.read())
        writer.close()

    async def run() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed(tmp_path))
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        asked = connect(urls(server.sockets[0].getsockname()[1], scheme="https"))
        answer = await asked.place(PLACE)
        await asked.close()
        server.close()
        assert not answer.sent and "Certificate" in str(answer.error)
        assert not any(read)

    asyncio.run(run())


def self_signed(directory: Path) -> Path:
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, None)
    )
    file = directory / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + made.public_bytes(Encoding.PEM))
    return file


def test_a_host_that_is_not_listed_is_not_even_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_up(*_: object) -> None:
        raise AssertionError("looked up")

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    for host in ("api.binance.com", "127.0.0.2", "127.0.0.1.example"):
        answer = place_against(closed_port(), host=host)
        assert not answer.sent and f"HOST_REFUSED: {host}" in str(answer.error)


def test_the_resolver_is_the_last_door() -> None:
    async def run() -> None:
        http_session = transport.open_http(LOCAL, 1_000)
        answer = await transport.carry(http_session, "https://api.binance.com/api/v3/time", "GET", None, None)
        await http_session.close()
        assert not answer.sent and "not in binance.allowed_hosts" in str(answer.error)

    asyncio.run(run())


def test_a_listed_name_that_does_not_resolve_lets_no_byte_out() -> None:
    async def run() -> None:
        http_session = transport.open_http(frozenset({"nowhere.invalid"}), 5_000)
        answer = await transport.carry(http_session, "http://nowhere.invalid/", "POST", None, "x")
        await http_session.close()
        assert not answer.sent and answer.error

    asyncio.run(run())


def test_no_address_of_the_library_is_left() -> None:
    wire = transport.Wire(urls(9), "k", "s", 2_000, lambda: 0)

    def all_of(found: Any) -> list[str]:
        if isinstance(found, dict):
            return [text for value in found.values() for text in all_of(value)]
        return [found]

    hosts = {urlsplit(text).hostname for text in all_of(wire.urls["api"])}
    assert hosts == {"127.0.0.1"} and len(all_of(wire.urls["api"])) > 20
    own = UrlSet(Binance().rest_url, Binance().ws_api_url, Binance().stream_url, frozenset(Binance().allowed_hosts))
    theirs = transport.rewritten(wire.urls["api"], own)
    assert theirs["private"] == "https://api.binance.com/api/v3" and theirs["sapi"] == "https://api.binance.com/sapi/v1"
    assert {urlsplit(text).hostname for text in all_of(theirs)} <= own.allowed_hosts


@pytest.mark.parametrize("method", ["cancel", "amend", "order", "place"])
def test_a_kept_connection_that_was_closed_is_not_tried_twice(method: str) -> None:
    """The library would repeat DELETE, PUT and GET by itself."""

    async def scene(stub: Stub, asked: Rest) -> None:
        await asked.time()
        stub.close_after = 1
        stub.answers["order"] = stub.answers["keepPriority"] = b""
        ask = {
            "cancel": lambda: asked.cancel({"symbol": "BTCUSDT", "origClientOrderId": OURS}),
            "amend": lambda: asked.amend({"symbol": "BTCUSDT", "origClientOrderId": OURS, "newQty": "1"}),
            "order": lambda: asked.order("BTCUSDT", client_id=OURS),
            "place": lambda: asked.place(PLACE),
        }[method]
        answer = await ask()
        assert answer.sent and answer.status is None
        assert len(stub.requests) == 2

    play(scene, time=http(200, {"serverTime": 1_790_000_000_000}))


def test_the_time_is_told_to_the_clock_and_a_refusal_for_it_makes_it_stale() -> None:
    async def scene(stub: Stub, asked: Rest) -> None:
        asked.clock.forget()
        ahead = int(time.time() * 1_000) + 3_000
        stub.answers["time"] = http(200, {"serverTime": ahead})
        await asked.time()
        assert asked.clock.good and abs(asked.clock.offset_ms - 3_000) < 500
        await asked.order("BTCUSDT", client_id=OURS)
        assert 0 <= int(stub.to("order")[0].params["timestamp"]) - ahead < 1_000
        stub.answers["order"] = http(400, {"code": -1021, "msg": "Timestamp for this request is outside."})
        answer = await asked.place(PLACE)
        assert answer.code == -1021 and not asked.clock.good and asked.clock.stale.is_set()

    play(scene, order=http(200, ORDER))


@pytest.mark.parametrize(
    "body", [{}, {"serverTime": "1790000000000"}, {"serverTime": 17}, {"serverTime": 1.79e12}, [], "<html>"]
)
def test_what_is_no_time_is_not_taken_for_one(body: Any) -> None:
    async def scene(stub: Stub, asked: Rest) -> None:
        asked.clock.forget()
        await asked.time()
        assert not asked.clock.good

    play(scene, time=http(200, body))


def test_after_a_ban_nothing_is_sent_before_its_end() -> None:
    async def scene(stub: Stub, asked: Rest) -> None:
        await asked.open_orders("BTCUSDT")
        before = len(stub.requests)
        for answer in (
            await asked.place(PLACE),
            await asked.cancel({"symbol": "BTCUSDT", "origClientOrderId": OURS}),
            await asked.order("BTCUSDT", client_id=OURS),
            await asked.account(),
            await asked.time(),
        ):
            assert not answer.sent and str(answer.error).startswith("RATE_LIMITED: ")
            assert 90_000 < answer.retry_after_ms <= 100_000
        assert len(stub.requests) == before == 1

    play(scene, openOrders=http(418, {"code": -1003, "msg": "banned"}, {"Retry-After": "100"}))


def test_what_can_wait_waits_for_the_time_that_was_named() -> None:
    async def scene(stub: Stub, asked: Rest) -> None:
        limited = await asked.account()
        stub.answers["account"] = http(200, {})
        began = time.monotonic()
        answer = await asked.account()
        assert (limited.status, answer.status) == (429, 200)
        assert 0.9 < time.monotonic() - began < 4
        assert not (await asked.place(PLACE)).error

    play(scene, account=http(429, {"code": -1003, "msg": "x"}, {"Retry-After": "1"}), order=http(200, ORDER))


def test_a_call_that_is_broken_off_counts() -> None:
    async def scene(stub: Stub, asked: Rest) -> None:
        placing = asyncio.create_task(asked.place(PLACE))
        while not stub.requests:
            await asyncio.sleep(0)
        placing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await placing
        state = asked.budget.state()
        assert state["weight"]["1M"]["used"] == 1 and state["orders"]["desk"]["10S"]["used"] == 1

    play(scene, order=HANG)


def test_an_order_without_its_id_does_not_leave() -> None:
    async def scene(stub: Stub, asked: Rest) -> None:
        for params in ({}, {"newClientOrderId": ""}):
            answer = await asked.place({**{k: v for k, v in PLACE.items() if k != "newClientOrderId"}, **params})
            assert not answer.sent and "INVALID" in str(answer.error)
        assert not (await asked.amend({"symbol": "BTCUSDT", "orderId": "28", "newQty": "1"})).sent
        await asked.close()
        closed = await asked.place(PLACE)
        assert not closed.sent and "CLOSED" in str(closed.error) and not stub.requests

    play(scene, order=http(200, ORDER))


def test_limits_that_the_exchange_lists_go_into_the_budget() -> None:
    limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1200}]

    async def scene(stub: Stub, asked: Rest) -> None:
        await asked.exchange_info()
        assert asked.budget.state()["weight"]["1M"] == {"used": 33, "limit": 1200}

    play(scene, exchangeInfo=http(200, {"rateLimits": limits}, {"X-MBX-USED-WEIGHT-1M": "33"}))


def test_a_new_connection_asks_nothing_by_itself() -> None:
    async def scene(stub: Stub, asked: Rest) -> None:
        await asyncio.sleep(0.05)
        assert not stub.requests

    play(scene)


def test_no_secret_reaches_a_log(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)

    def echo(request: Request) -> bytes:
        return http(418, {"code": -1003, "msg": "banned"}, {"Retry-After": "1"})

    async def scene(stub: Stub, asked: Rest) -> None:
        answer = await asked.place(PLACE)
        logging.getLogger("test").info("%r %r", answer, asked)

    play(scene, order=echo)
    out, err = capsys.readouterr()
    everything = caplog.text + out + err
    assert everything and HMAC.secret not in everything and HMAC.api_key not in everything
