"""The real engine behind the real server: two accounts, a key for each thing that a key can be, PAPER connected."""

import contextlib
import hashlib
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from ordergate import _core
from ordergate.venues.instruments import shipped_tables
from tests.unit.http_parts import Answer, Running, running

ADMIN: Final = ["read", "risk-admin"]
KEYS: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "ann": ("desk", "ann", {"scopes": ADMIN}),
    "ann again": ("desk", "Ann", {"scopes": ADMIN}),
    "bob": ("desk", "bob", {"scopes": ADMIN}),
    "eve": ("lab", "eve", {"scopes": [*ADMIN, "trade", "kill"]}),
    "read": ("desk", "rae", {"scopes": ["read"]}),
    "trade": ("desk", "tom", {"scopes": ["trade"]}),
    "cancel": ("desk", "cat", {"scopes": ["cancel"]}),
    "risk-admin": ("desk", "ria", {"scopes": ["risk-admin"]}),
    "kill": ("desk", "kim", {"scopes": ["kill"]}),
    "one symbol": ("desk", "tom", {"scopes": ["trade"], "symbols": ["ETHUSDT"]}),
    "slow": ("desk", "tom", {"scopes": ["trade"], "rate": 1}),
    "from here": ("desk", "tom", {"scopes": ["trade", "kill", "risk-admin"], "ip_allow": ["127.0.0.0/8", "::1"]}),
    "from afar": ("desk", "tom", {"scopes": ["trade", "kill", "risk-admin"], "ip_allow": ["10.0.0.0/8"]}),
    "expired": ("desk", "tom", {"scopes": ["trade", "kill", "risk-admin"], "expired": True}),
    "revoked": ("desk", "tom", {"scopes": ["trade", "kill", "risk-admin"], "revoked": True}),
}
"""Token -> account, owner, what the key may do. Numbers of keys are their places here."""
ORDER: Final = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "quantity": "0.1",
    "price": "1000",
    "mode": "PAPER",
}


class Desk:
    """What the tests ask the server."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.gateway: _core.Gateway = server.gateway
        self._orders = 0

    async def ask(self, who: str, method: str, path: str, body: Any = None) -> Answer:
        """One request with somebody's key; bytes are sent as they are."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        return await self.server.ask(method, f"/api/v1{path}", data, authorization=f"Bearer {who}")

    async def told(self, who: str, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """(status, code of the problem, or what the answer says of itself)."""
        answer = await self.ask(who, method, path, body)
        if answer.status >= 400:
            return answer.status, answer.code
        return answer.status, str(answer.json.get("status", ""))

    async def order(self, who: str = "trade", **terms: Any) -> Answer:
        """A new order, unlike every other."""
        self._orders += 1
        self.gateway.kill_reading()
        body = json.dumps(ORDER | terms).encode()
        return await self.server.place(f"k{self._orders}", body, authorization=f"Bearer {who}")

    async def placed(self, who: str = "trade", **terms: Any) -> tuple[int, str]:
        """The same: (status, code or status of the order)."""
        answer = await self.order(who, **terms)
        return answer.status, answer.code if answer.status >= 400 else answer.json["status"]


@contextlib.asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    with tempfile.TemporaryDirectory() as data:
        gateway = _core.Gateway.open(f"{data}/journal", f"{data}/snapshots", segment_bytes=1 << 20)
        furnish(gateway)
        async with running(gateway) as server:
            yield Desk(server)
        gateway.close()
        assert Path(data).exists()


def furnish(gateway: _core.Gateway) -> None:
    """Accounts with money, instruments, every key, a PAPER session."""
    for table in shipped_tables():
        gateway.set_instrument({name: value for name, value in table.items() if name != "openingPrice"})
    for account in ("desk", "lab"):
        gateway.create_account(account)
        gateway.adjust_balance(account, "PAPER", "USDT", "1000000", "opening")
    for token, (account, owner, may) in KEYS.items():
        key = gateway.create_key(
            account,
            owner,
            token,
            hashlib.sha256(token.encode()).digest(),
            may["scopes"],
            may.get("rate", 0),
            gateway.now_ns() if may.get("expired") else None,
            may.get("symbols", []),
            may.get("ip_allow", []),
        )
        if may.get("revoked"):
            gateway.revoke_key(key)
    gateway.open_session("paper", "PAPER", 1)
