"""Every method with parameters that make no sense: always an answer in the exchange's words, never an exception."""

import asyncio
import random

from ordergate.exchange import api
from ordergate.exchange.config import of_tree
from ordergate.exchange.engine import made_id
from ordergate.exchange.methods import METHODS
from ordergate.exchange.request import Request
from ordergate.exchange.server import Server, opened

REQUESTS = 6_000
VALUES = (
    "", " ", "0", "1", "-1", "0.01", "0.0000000001", "1e5", "99999999999999999999", "999999999999999999999999", "NaN",
    "BTCUSDT", "ETHUSDT", "btcusdt", "BUY", "SELL", "LIMIT", "MARKET", "STOP_LOSS_LIMIT", "LIMIT_MAKER", "GTC", "IOC",
    "60000", "59000.5", "60000.001", "[]", '["BTCUSDT"]', '["BTCUSDT","BTCUSDT"]', "[1]", "{", "true", "null", "1m",
    "1d", "١٢", "ſ", "\x00", "a" * 37, "mine", "NONE", "EXPIRE_BOTH", "ACK", "FULL", "STOP_ON_FAILURE",
    "ALLOW_FAILURE", "ONLY_NEW",
)  # fmt: skip
LIKELY = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "60000",
    "newQty": "0.005", "cancelReplaceMode": "ALLOW_FAILURE", "interval": "1m", "orderId": "1", "limit": "5",
}  # fmt: skip
"""What keeps a request alive for longer, so that the other parameters are looked at."""


async def ask(server: Server, dice: random.Random, number: int) -> api.Answer:
    method = METHODS[dice.choice([name for name in METHODS if not name.startswith(("session", "userData"))])]
    names = sorted(method.params or ())
    params = {name: dice.choice(VALUES) for name in dice.sample(names, dice.randint(0, min(len(names), 6)))}
    params |= {name: value for name, value in LIKELY.items() if name in names and dice.random() < 0.7}
    params["timestamp"] = dice.choice((str(server.clock.now()), *["", "x", "1"][: dice.random() < 0.05]))
    if dice.random() < 0.8:
        params.pop("recvWindow", None)
    key = dice.choice(list(server.keys))
    request = Request(method.name, params, b"", made_id(number), key, "127.0.0.1", logged_on=dice.random() < 0.95)
    return await api.call(server, request)


def test_nonsense_is_refused_in_words() -> None:
    async def go() -> dict[int, int]:
        limits = {"weight": 10**9, "ordersTenSeconds": 10**9, "ordersDay": 10**9}
        server = opened(of_tree({"limits": limits}), None)
        dice, seen = random.Random(11), dict[int, int]()
        for number in range(REQUESTS):
            answer = await ask(server, dice, number)
            code = answer.error.code if answer.error else 0
            assert answer.status == 200 or answer.status in {400, 401, 409}, answer
            assert (answer.status == 200) is (code == 0)
            seen[code] = seen.get(code, 0) + 1
        return seen

    seen = asyncio.run(go())
    assert seen[0] > 500
    assert len(seen) >= 20, sorted(seen)
