"""A gateway on a file system of 4 MiB that fills up; run in a mount namespace of its own: `<mount point>`."""

import contextlib
import json
import os
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from ordergate import _core
from tests.integration.real_journal import BTCUSDT

MIB = 1 << 20
SEGMENT = MIB // 8
RESERVE = 2 * SEGMENT
INSTRUMENT = BTCUSDT | {"minQty": "0.001", "stepSize": "0.001", "marketMaxQty": "0", "maxNotional": "0"}
BODY = b'{"mode":"PAPER","symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":"0.1","price":"100"}'
BEARER = "Bearer full"


class Desk:
    """The gateway, and what it has answered durably."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ballast = directory / "ballast"
        self.placed: list[str] = []
        self.canceled: list[str] = []
        self.trades = 0
        self.open()

    def open(self) -> None:
        self.gateway = _core.Gateway.open(
            str(self.directory / "journal"),
            str(self.directory / "snapshots"),
            segment_bytes=SEGMENT,
            soft_free_bytes=2 * MIB,
            hard_free_bytes=MIB,
            reserve_bytes=RESERVE,
        )
        self.gateway.kill_reading()
        self.session = self.gateway.open_session("paper", "PAPER", 1)[0]

    def set_up(self) -> None:
        self.gateway.set_instrument(INSTRUMENT)
        self.gateway.create_account("desk")
        self.gateway.adjust_balance("desk", "PAPER", "USDT", "1000000000", "opening")
        self.gateway.create_key("desk", "ann", "k", sha256(b"full").digest(), ["trade"], 0, None)

    def durable(self, seq: int) -> None:
        deadline = time.monotonic() + 20
        while self.gateway.drain() < seq:
            assert time.monotonic() < deadline, "the flush takes for ever"
            time.sleep(0.0005)

    def place(self) -> str | None:
        """An order that is acknowledged; or the refusal's code."""
        self.gateway.kill_reading()
        key = f"k{time.monotonic_ns()}"
        answer = self.gateway.place(BEARER, key, "r", BODY)
        if isinstance(answer, _core.Refusal):
            assert answer.code != "journal_full" or answer.retry_after_ms, "says when to try again"
            return answer.code
        status, seq, body = answer
        assert status == 201, body
        self.durable(seq)
        order = json.loads(body)["id"]
        self.report("ACK", int(order), "v")
        self.placed.append(order)
        return None

    def cancel(self) -> None:
        """A cancel that is acknowledged, and the venue's answer to it."""
        order = self.placed[len(self.canceled)]
        answer = self.gateway.cancel(BEARER, order)
        assert not isinstance(answer, _core.Refusal), answer
        status, seq, _ = answer
        assert status == 202
        self.durable(seq)
        self.canceled.append(order)
        self.trade(int(order))
        self.report("CANCELED", int(order), "", "x" * 400)

    def trade(self, order: int) -> None:
        self.trades += 1
        self.report("FILL", order, f"t{self.trades}", "100", "0.01", "1", "0", "USDT", True, 1)

    def report(self, *report: Any) -> None:
        self.gateway.reports(self.session, msgspec.msgpack.encode([report]))

    def space(self, wanted: str) -> None:
        deadline = time.monotonic() + 20
        while (seen := self.gateway.status())["journalSpace"] != wanted:
            assert time.monotonic() < deadline, (wanted, seen["journalSpace"], seen["journalFreeBytes"])
            time.sleep(0.02)

    def fill(self) -> None:
        """Somebody else takes what is left."""
        with contextlib.suppress(OSError), self.ballast.open("ab", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        assert os.statvfs(self.directory).f_bavail == 0


def main(directory: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", directory], check=True)
    desk = Desk(directory)
    desk.set_up()
    desk.space("ok")
    # Nothing leaves the journal, as while Postgres is down: the orders themselves fill the disk.
    passed, code = set(), None
    while code is None:
        seen = desk.gateway.status()["journalSpace"]
        code = desk.place()
        passed |= {seen} if code is None else set()
    assert (code, passed) == ("journal_full", {"ok", "soft"}), "a warning refuses nothing"
    desk.space("hard")
    known = desk.gateway.last_seq
    assert desk.place() == "journal_full"
    assert desk.gateway.last_seq == known, "a refusal leaves no record"
    assert b"ordergate_journal_space 2" in desk.gateway.metrics()

    # Not a byte is left for others, and still everything that follows from old orders is acknowledged.
    desk.fill()
    desk.gateway.kill_on("global", "", 2, "drill", "ann", "cli")
    desk.gateway.kill_off("global", "", "ann", "cli")
    reserve = directory / "journal" / "reserve"
    assert reserve.stat().st_size == RESERVE
    while reserve.exists():
        desk.cancel()
    for _ in range(20):
        desk.cancel()
    assert desk.place() == "journal_full"

    # Room again, on a larger volume: the reserve is laid anew before orders are taken.
    subprocess.run(["mount", "-o", "remount,size=16m", directory], check=True)
    desk.space("ok")
    assert reserve.stat().st_size == RESERVE
    assert desk.place() is None
    digest, last = desk.gateway.state_hash(), desk.gateway.last_seq
    while desk.gateway.durable_seq() < last:
        time.sleep(0.001)
        desk.gateway.drain()
    follower = _core.Follower(str(directory / "journal"))
    follower.catch_up(last)
    assert (follower.seq, follower.state_hash()) == (last, digest)
    desk.gateway.close()
    orders = {order["id"]: order["status"] for order in json.loads(follower.orders())}
    assert set(desk.placed) <= orders.keys(), "an acknowledged order is lost"
    assert {orders[order] for order in desk.canceled} == {"CANCELED"}
    print(json.dumps({"placed": len(desk.placed), "canceled": len(desk.canceled), "trades": desk.trades}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
