"""A stand-in for the compiled engine, with the surface of `_core.pyi`: it journals to a list, flushes when told to."""

import importlib
import json
import os
import sys
import time
import types
from collections.abc import Callable
from typing import Any


class Refusal(types.SimpleNamespace):
    """As the engine's, but made by tests."""

    def __init__(self, code: str, detail: str = "", errors: Any = (), retry_after_ms: int | None = None) -> None:
        super().__init__(code=code, detail=detail, errors=list(errors), retry_after_ms=retry_after_ms)


class Kills:
    """The kill switch without a Redis."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    async def activate(
        self, reason: str, by: str, source: str, scope: tuple[str, str] = ("global", ""), level: int = 1
    ) -> int:
        seq: int = self._gateway.kill_on(*scope, level, reason, by, source)
        return seq

    async def clear_own(self, by: str, scope: tuple[str, str], may_clear: Callable[[], Any]) -> Any:
        refused = may_clear()
        if refused is not None:
            return refused
        self._gateway.kill_off(*scope, by, "api")
        return ""


class Gateway:
    """Orders are dicts; each command appends one record. `flush` makes everything durable and rings the eventfd."""

    def __init__(self, *, auto_flush: bool = True, last_seq: int = 0) -> None:
        self.install = "abcdefgh"
        self.epoch = 1
        self.last_seq = last_seq
        self.redis_bound = False
        self.auto_flush = auto_flush
        self.failure: BaseException | None = None
        self.records: list[tuple[Any, ...]] = []
        self.stored: dict[str, tuple[int, int, bytes, bytes]] = {}
        self.by_id: dict[str, dict[str, Any]] = {}
        self.left: set[str] = set()
        self.awaited: dict[int, int] = {}
        self.reloaded: list[int] = []
        self.refuse_place: Callable[[], Refusal | None] = lambda: None
        self.readings = 0
        self.kill_states: dict[tuple[str, str], tuple[int, str, int]] = {}
        self.kill_words: dict[tuple[str, str], tuple[str, str, str, float]] = {}
        self.reading_age_ms = 0.0
        self.frames: list[tuple[int, bytes]] = []
        self.sessions: dict[str, int] = {}
        self.closed_sessions: list[int] = []
        self.changed: list[int] = []
        self.space = "ok"
        self.closed = False
        self._durable = last_seq
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    # --- the journal
    def append(self, *record: Any) -> int:
        self.last_seq += 1
        self.records.append(record)
        if self.auto_flush:
            os.eventfd_write(self._fd, 1)
        return self.last_seq

    def flush(self, seq: int | None = None) -> None:
        self._durable = self.last_seq if seq is None else seq
        os.eventfd_write(self._fd, 1)

    def wake_fd(self) -> int:
        return self._fd

    def drain(self) -> int:
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            pass
        if self.failure is not None:
            raise self.failure
        if self.auto_flush:
            self._durable = self.last_seq
        return self._durable

    def durable_seq(self) -> int:
        return self._durable

    def close(self) -> None:
        self.closed = True
        os.close(self._fd)

    # --- requests
    def place(
        self,
        authorization: str | None,
        idempotency_key: str | None,
        request_id: str,
        body: bytes,
        peer: str | None = None,
    ) -> Any:
        if authorization != "Bearer good":
            return Refusal("unauthorized", "No such key.")
        refusal = self.refuse_place()
        if refusal is not None:
            return refusal
        try:
            order = json.loads(body)
        except ValueError as error:
            return Refusal("malformed_json", str(error))
        if not idempotency_key:
            return Refusal("idempotency_key_missing")
        if not idempotency_key.isprintable():
            return Refusal("idempotency_key_invalid")
        known = self.stored.get(idempotency_key)
        if known is not None:
            status, seq, answer, before = known
            return (status, seq, answer) if before == body else Refusal("idempotency_key_reused")
        seq = self.append("ORDER", idempotency_key)
        status = 422 if order.get("quantity") == "999" else 201
        order = {"id": str(seq), **order, "status": "PENDING_NEW" if status == 201 else "REJECTED"}
        self.by_id[str(seq)] = order
        answer = json.dumps(order).encode()
        self.stored[idempotency_key] = (status, seq, answer, body)
        return status, seq, answer

    def cancel(self, authorization: str | None, order_id: str, peer: str | None = None) -> Any:
        if order_id in self.left:
            return Refusal("order_left")
        if order_id not in self.by_id:
            return Refusal("not_found", f"No order {order_id}.")
        if self.by_id[order_id]["status"] == "FILLED":
            return Refusal("already_filled", "The order is filled.")
        return 202, self.append("CANCEL", order_id), json.dumps(self.by_id[order_id]).encode()

    def replace(
        self,
        authorization: str | None,
        idempotency_key: str | None,
        order_id: str,
        body: bytes,
        peer: str | None = None,
    ) -> Any:
        if not idempotency_key:
            return Refusal("idempotency_key_missing")
        if idempotency_key in self.stored:
            status, _, answer, _ = self.stored[idempotency_key]
            return status, 0, answer
        if order_id in self.left:
            return Refusal("order_left")
        if order_id not in self.by_id:
            return Refusal("not_found", f"No order {order_id}.")
        if self.by_id[order_id]["status"] == "FILLED":
            return Refusal("already_filled", "The order is filled.")
        self.by_id[order_id] |= {"status": "PENDING_REPLACE"}
        answer, seq = json.dumps(self.by_id[order_id]).encode(), self.append("REPLACE", order_id, body)
        self.stored[idempotency_key] = (202, seq, answer, body)
        return 202, seq, answer

    def cancel_all(self, authorization: str | None, symbol: str, peer: str | None = None) -> Any:
        if symbol != "BTCUSDT":
            return Refusal("unknown_symbol")
        listed = list(self.by_id.values())
        return 202, self.append("CANCEL_ALL", symbol), json.dumps({"orders": listed, "more": False}).encode()

    def order(self, authorization: str | None, order_id: str, peer: str | None = None) -> Any:
        if authorization != "Bearer good":
            return Refusal("unauthorized")
        if order_id in self.left:
            return Refusal("order_left")
        if order_id not in self.by_id:
            return Refusal("not_found", f"No order {order_id}.")
        return 200, self.last_seq, json.dumps(self.by_id[order_id]).encode()

    def past_order(self, authorization: str | None, facts: bytes, durable_at: int | None) -> Any:
        return (200, 0, facts) if authorization == "Bearer good" else Refusal("not_found")

    def past_cancel(self, authorization: str | None, facts: bytes, durable_at: int | None) -> Any:
        return Refusal("already_filled") if b"FILLED" in facts else self.past_order(authorization, facts, durable_at)

    def awaited_orders(self) -> list[tuple[int, int]]:
        return list(self.awaited.items())

    def reload(self, order: int, facts: bytes | None) -> None:
        if facts == b"bad":
            raise ValueError("facts that do not decode")
        self.append("RELOAD", order, facts)
        del self.awaited[order]
        self.reloaded.append(self.last_seq)

    def reloaded_seqs(self) -> list[int]:
        return self.reloaded

    def release(self, watermark: int) -> None:
        self.append("RELEASE", watermark)
        self.reloaded = [seq for seq in self.reloaded if seq > watermark]

    def orders(
        self,
        authorization: str | None,
        cursor: str | None,
        limit: str | None,
        symbol: str | None,
        status: str | None,
        peer: str | None = None,
    ) -> Any:
        if limit == "0":
            return Refusal("invalid_parameter", errors=[("limit", "must be 1 to 1000")])
        page: dict[str, Any] = {"orders": [], "nextCursor": "a b" if cursor is None else None}
        return 200, 0, json.dumps(page).encode(), page["nextCursor"]

    def portfolio(self, authorization: str | None, peer: str | None = None) -> Any:
        return 200, 0, b'{"account":"demo","asOfSeq":0,"balances":[],"positions":[]}'

    def preview(self, authorization: str | None, body: bytes, peer: str | None = None) -> Any:
        return (200, 0, b'{"accepted":true}') if authorization == "Bearer good" else Refusal("unauthorized")

    def headroom(self, authorization: str | None, symbol: str, peer: str | None = None) -> Any:
        return (200, 0, b'{"limits":[]}') if symbol == "BTCUSDT" else Refusal("unknown_symbol")

    def decision(self, authorization: str | None, order_id: str, peer: str | None = None) -> Any:
        if order_id not in self.by_id:
            return Refusal("not_found", f"No order {order_id}.")
        durable = int(order_id) <= self._durable
        return 200, 0 if durable else int(order_id), b'{"accepted":true}' if durable else b""

    # --- venues
    def open_session(self, venue: str, mode: str, pid: int) -> tuple[int, int]:
        if venue != "paper":
            raise ValueError(f"unknown venue {venue}")
        seq = self.append("SESSION", venue, mode, pid)
        self.sessions[venue] = seq
        return seq, seq

    def close_session(self, session: int) -> None:
        self.closed_sessions.append(session)

    def reports(self, session: int, frame: bytes) -> list[int]:
        if frame == b"bad":
            raise ValueError("not MessagePack")
        self.frames.append((session, frame))
        return []

    def session_of(self, venue: str) -> int | None:
        return self.sessions.get(venue)

    # --- time
    def tick(self) -> list[int]:
        changed, self.changed = self.changed, []
        return changed

    def now_ns(self) -> int:
        return 1_000_000_000_000

    # --- kill switch
    def kill_reading(self, age_ms: float = 0.0) -> None:
        self.readings += 1
        self.reading_age_ms = age_ms

    @property
    def killed(self) -> tuple[int, str, int] | None:
        """The global kill."""
        return self.kill_states.get(("global", ""))

    @killed.setter
    def killed(self, state: tuple[int, str, int] | None) -> None:
        self.kill_states.pop(("global", ""), None)
        if state is not None:
            self.kill_states["global", ""] = state

    def kill_on(
        self, scope: str, target: str, level: int, reason: str, by: str, source: str, cause: str = "asked"
    ) -> int:
        seq = self.append("KILL_ON", scope, target, level, reason, by, source)
        before = self.kill_states.get((scope, target), (0, "", 0))[0]
        self.kill_states[scope, target] = (max(level, before), reason, seq)
        self.kill_words[scope, target] = (by, source, cause, time.monotonic())
        return seq

    def kill_changes(self) -> int:
        return sum(record[0] in ("KILL_ON", "KILL_OFF") for record in self.records)

    def kill_off(self, scope: str, target: str, by: str, source: str) -> int:
        self.kill_states.pop((scope, target), None)
        return self.append("KILL_OFF", scope, target, by, source)

    def kill_state(self, scope: str, target: str) -> tuple[int, str, int] | None:
        return self.kill_states.get((scope, target))

    def kills(self) -> bytes:
        kills = []
        for (scope, target), (level, reason, seq) in self.kill_states.items():
            by, source, cause, at = self.kill_words.get((scope, target), ("x", "x", "asked", 0.0))
            words = {"by": by, "source": source, "cause": cause, "ageMs": int((time.monotonic() - at) * 1e3)}
            kills.append({"scope": scope, "target": target, "level": level, "reason": reason, "seq": str(seq), **words})
        return json.dumps({"kills": kills, "notFlat": []}).encode()

    def kill_target_exists(self, scope: str, target: str) -> bool:
        return scope == "global" or target == "desk"

    def bind_redis(self) -> int:
        self.redis_bound = True
        return self.append("REDIS_BOUND")

    # --- administration
    def create_account(self, name: str) -> int:
        if not name.islower():
            raise ValueError(f"account {name!r}: lower case only")
        return self.append("ACCOUNT", name)

    def adjust_balance(self, account: str, mode: str, asset: str, delta: str, reason: str) -> int:
        return self.append("BALANCE", account, mode, asset, delta, reason)

    def create_key(
        self,
        account: str,
        owner: str,
        name: str,
        token_sha256: bytes,
        scopes: list[str],
        rate_per_second: int,
        expires_at_ns: int | None,
        symbols: list[str] | None = None,
        ip_allow: list[str] | None = None,
    ) -> int:
        if expires_at_ns is not None and expires_at_ns >= 1 << 64:
            raise OverflowError("int too big to convert")
        self.append("KEY", account, owner, name, token_sha256, tuple(scopes), rate_per_second, expires_at_ns)
        return 0

    def revoke_key(self, key: int) -> int:
        if not 0 <= key < 1 << 32:
            raise OverflowError("can't convert negative int to unsigned")
        return self.append("KEY_REVOKED", key)

    def set_instrument(self, fields: dict[str, str]) -> int:
        return self.append("INSTRUMENT", fields)

    def set_loosen_percent(self, percent: int) -> None: ...
    def set_warn_percent(self, percent: int) -> None: ...
    def set_breach_action(self, action: str) -> None: ...
    def set_doubt_reduces(self, reduces: bool) -> None: ...
    def set_resume_manual(self, manual: bool) -> None: ...

    def live_accounts(self) -> list[tuple[str, bool, str, int]]:
        return []

    def client_doubts(self, authorization: str | None, peer: str | None = None) -> Any:
        return 200, 0, b'{"doubts":[]}'

    def set_limit(self, *limit: Any) -> Any:
        return "IN_FORCE", self.append("LIMIT", *limit)

    def accounts(self) -> bytes:
        return b'[{"name":"demo"}]'

    def keys(self) -> bytes:
        return b"[]"

    # --- looking in
    def state_hash(self) -> str:
        return "0" * 32

    def status(self) -> dict[str, Any]:
        return {
            "lastSeq": self.last_seq,
            "durableSeq": self._durable,
            "epoch": self.epoch,
            "openOrders": len(self.by_id),
            "inDoubtOrders": 0,
            "killLevel": 0 if self.killed is None else self.killed[0],
            "killReason": None if self.killed is None else self.killed[1],
            "killReadingAgeMs": 10 if self.readings else None,
            "paperSession": self.sessions.get("paper"),
            "journalSpace": self.space,
        }

    def metrics(self) -> bytes:
        return b"ordergate_orders_total 0\n"


def install() -> None:
    """Takes the place of `ordergate._core` where that has not been built. Called before anything imports it."""
    try:
        importlib.import_module("ordergate._core")
    except ImportError:
        module: Any = types.ModuleType("ordergate._core")
        for name in ("JournalRefused", "JournalLocked", "JournalFailed", "EnginePoisoned", "FollowerStopped"):
            setattr(module, name, type(name, (Exception,), {}))
        module.FOLD_VERSION = 3
        module.Refusal = Refusal
        module.Gateway = Gateway
        sys.modules["ordergate._core"] = module
        package: Any = importlib.import_module("ordergate")
        package._core = module
