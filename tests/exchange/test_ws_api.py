"""The WS-API of the local exchange: frames, sessions, user data, and the table it shares with REST."""

import base64
import time
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ordergate.exchange.config import DEFAULT, Config, Credential
from tests.exchange.ws_parts import ALPHA, BETA, LIMIT, Wire, exchange, run, signed, wire

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
ED25519 = Credential("e" * 64, public_key=PUBLIC)


def with_ed25519(**changes: Any) -> Config:
    alpha, beta = DEFAULT.accounts
    return msgspec.structs.replace(
        DEFAULT, accounts=(msgspec.structs.replace(alpha, keys=(*alpha.keys, ED25519)), beta), **changes
    )


def ed_signed(**params: Any) -> dict[str, Any]:
    whole = {**params, "apiKey": ED25519.api_key, "timestamp": time.time_ns() // 1_000_000}
    text = "&".join(f"{name}={whole[name]}" for name in sorted(whole))
    return {**whole, "signature": base64.b64encode(PRIVATE.sign(text.encode())).decode()}


def now() -> int:
    return time.time_ns() // 1_000_000


async def events(api: Wire, count: int) -> list[Any]:
    return [await api.hear() for _ in range(count)]


def test_public_methods_and_the_block_of_rate_limits() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as api:
            told = await api.ask("v3/time")
            assert told["status"] == 200 and abs(told["result"]["serverTime"] - now()) < 5_000
            (weight,) = [one for one in told["rateLimits"] if one["rateLimitType"] == "REQUEST_WEIGHT"]
            assert (weight["interval"], weight["intervalNum"], weight["limit"]) == ("MINUTE", 1, 6000)
            assert weight["count"] >= 3, "connecting costs 2, the request 1"
            silent = await api.ask("ping", {"returnRateLimits": False})
            assert silent == {"id": 2, "status": 200, "result": {}}
            info = await api.ask("exchangeInfo", {"symbols": ["BTCUSDT", "ETHUSDT"]})
            assert [one["symbol"] for one in info["result"]["symbols"]] == ["BTCUSDT", "ETHUSDT"]

    run(scenario)


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("no json", 400, -1135),
        ('{"id":1,"method":"order.what"}', 400, -1020),
        ('{"id":1,"method":"GET /sapi/v1/system/status"}', 400, -1020),
        ('{"id":1,"method":"depth"}', 400, -1102),
        ('{"id":1,"method":"depth","params":{"symbol":"NOPE"}}', 400, -1121),
        ('{"id":1,"method":"account.status"}', 401, -2014),
        ('{"id":1,"method":"account.status","params":{"apiKey":"' + "x" * 64 + '"}}', 401, -2015),
        ('{"id":1,"method":"userDataStream.subscribe"}', 401, -1002),
        ('{"id":1,"method":"userDataStream.unsubscribe"}', 400, -2036),
    ],
)
def test_refusals(text: str, status: int, code: int) -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as api:
            await api.socket.send_str(text)
            told = await api.hear()
            assert (told["status"], told["error"]["code"]) == (status, code), told

    run(scenario)


def test_orders_are_signed_over_the_text_that_was_sent() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as api:
            placed = await api.ask("order.place", signed({**LIMIT, "newClientOrderId": "og1-5"}))
            assert (placed["status"], placed["result"]["status"]) == (200, "NEW"), placed
            assert {one["rateLimitType"] for one in placed["rateLimits"]} == {"REQUEST_WEIGHT", "ORDERS"}
            again = await api.ask("order.place", signed({**LIMIT, "newClientOrderId": "og1-5"}))
            assert (again["status"], again["error"]["code"], again["error"]["msg"]) == (
                400, -2010, "Duplicate order sent.",
            )  # fmt: skip
            # JSON numbers: what was written is what counts, trailing zeros and all.
            params = signed({**LIMIT, "quantity": "0.10", "price": "50000.0"})
            written = ",".join(
                f'"{name}":{value}' if name in ("quantity", "price", "timestamp") else f'"{name}":"{value}"'
                for name, value in params.items()
            )
            await api.socket.send_str(f'{{"id":"x","method":"order.place","params":{{{written}}}}}')
            assert (await api.hear())["status"] == 200
            forged = signed(LIMIT) | {"quantity": "0.2"}
            refused = await api.ask("order.place", forged)
            assert (refused["status"], refused["error"]["code"]) == (400, -1022)
            gone = await api.ask("order.cancel", signed({"symbol": "BTCUSDT", "origClientOrderId": "og1-5"}))
            assert gone["result"]["status"] == "CANCELED"
            found = await api.ask("order.status", signed({"symbol": "BTCUSDT", "origClientOrderId": "og1-5"}))
            assert (found["result"]["status"], found["result"]["orderId"]) == ("CANCELED", placed["result"]["orderId"])

    run(scenario)


def test_logging_on_takes_an_ed25519_key() -> None:
    async def scenario() -> None:
        async with exchange(with_ed25519()) as local, wire(local) as api:
            before = await api.ask("session.status")
            assert before["result"]["apiKey"] is None
            refused = await api.ask("session.logon", signed())
            assert (refused["status"], refused["error"]["code"]) == (400, -4056), "documented for Ed25519 keys only"
            told = await api.ask("session.logon", ed_signed())
            assert told["result"]["apiKey"] == ED25519.api_key and told["result"]["authorizedSince"]
            placed = await api.ask("order.place", {**LIMIT, "timestamp": now()})
            assert placed["result"]["status"] == "NEW", "neither key nor signature"
            other = await api.ask("account.status", signed(key=BETA))
            assert other["status"] == 200, "a request of its own may still bring another key"
            assert (await api.ask("userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
            assert (await api.ask("userDataStream.subscribe"))["error"]["code"] == -2035
            assert (await api.ask("session.subscriptions"))["result"] == [{"subscriptionId": 0}]
            assert (await api.ask("session.status"))["result"]["userDataStream"] is True
            await api.socket.send_str('{"id":99,"method":"session.logout"}')
            ended, out = await events(api, 2)
            assert (ended["subscriptionId"], ended["event"]["e"]) == (0, "eventStreamTerminated")
            assert out["result"]["apiKey"] is None and out["result"]["userDataStream"] is False
            assert (await api.ask("order.place", {**LIMIT, "timestamp": now()}))["error"]["code"] == -2014

    run(scenario)


def test_hmac_logon_where_the_settings_take_it() -> None:
    async def scenario() -> None:
        async with exchange(with_ed25519(hmac_logon=True)) as local, wire(local) as api:
            assert (await api.ask("session.logon", signed()))["status"] == 200
            assert (await api.ask("account.status", {"timestamp": now()}))["status"] == 200

    run(scenario)


def test_user_data_by_signature() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as api, wire(local) as other:
            await local.book()
            assert (await api.ask("userDataStream.subscribe.signature", signed()))["result"] == {"subscriptionId": 0}
            assert (await api.ask("userDataStream.subscribe.signature", signed()))["error"]["code"] == -2035
            told = await api.ask("userDataStream.subscribe.signature", signed(key=BETA))
            assert told["result"] == {"subscriptionId": 1}, "one for each account on a connection"
            placed = await other.ask("order.place", signed({**LIMIT, "price": "60001", "newClientOrderId": "og1-1"}))
            new, trade, position = await events(api, 3)
            assert [one["subscriptionId"] for one in (new, trade, position)] == [0, 0, 0]
            assert [(one["event"]["e"], one["event"].get("x")) for one in (new, trade, position)] == [
                ("executionReport", "NEW"), ("executionReport", "TRADE"), ("outboundAccountPosition", None),
            ]  # fmt: skip
            report = trade["event"]
            assert (report["c"], report["X"], report["l"], report["z"], report["L"]) == (
                "og1-1", "FILLED", "0.10000000", "0.10000000", "60001.00000000",
            )  # fmt: skip
            assert report["t"] == placed["result"]["fills"][0]["tradeId"]
            assert {one["a"] for one in position["event"]["B"]} == {"BTC", "USDT"}
            assert (await api.ask("userDataStream.unsubscribe", {"subscriptionId": 0}))["result"] == {}
            await local.act("deposit", account="alpha", asset="USDT", amount="5")
            await local.act("deposit", account="beta", asset="USDT", amount="7")
            update, _ = await events(api, 2)
            assert (update["subscriptionId"], update["event"]["d"]) == (1, "7.00000000"), (
                "alpha's is not heard any more"
            )

    run(scenario)


def test_times_in_microseconds() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local, "/ws-api/v3?timeUnit=MICROSECOND") as api:
            assert len(str((await api.ask("time"))["result"]["serverTime"])) == 16
            await api.ask("userDataStream.subscribe.signature", signed())
            await local.act("deposit", account="alpha", asset="USDT", amount="5")
            assert len(str((await api.hear())["event"]["E"])) == 16

    run(scenario)


def test_a_limit_says_when_to_come_back() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as api:
            await local.act("limits", usedWeight=6_000)
            told = await api.ask("time")
            assert (told["status"], told["error"]["code"]) == (429, -1003)
            assert told["error"]["data"]["retryAfter"] > now()
            await local.act("limits", banSeconds=60)
            assert (await api.ask("time"))["status"] == 418

    run(scenario)


def test_a_key_that_is_withdrawn_ends_its_user_data() -> None:
    async def scenario() -> None:
        async with exchange() as local, wire(local) as api:
            await api.ask("userDataStream.subscribe.signature", signed())
            await local.act("key", apiKey=ALPHA.api_key, revoked=True)
            assert (await api.hear())["event"]["e"] == "eventStreamTerminated"
            assert (await api.ask("account.status", signed()))["error"]["code"] == -2015

    run(scenario)
