"""A small stand-in for the gateway and its journal: takes reports, keeps the facts that the LIVE venue reads.

It knows just enough of the life cycle to run a venue against the local exchange inside one test's event loop; the real
gateway is in the tests of the whole system.
"""

import asyncio
import struct
import time
import traceback
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from ordergate.venues.link import Work, frame

SESSION = 42
INSTALL = "7f"
SYMBOLS = {"BTCUSDT": ("BTC", "USDT"), "ETHUSDT": ("ETH", "USDT")}


def plain(value: Decimal) -> str:
    return format(value.normalize(), "f") if value else "0"


@dataclass
class Fold:
    """The facts, and `Follower` as the venue sees it."""

    install: str = INSTALL
    seq: int = 1_000_000
    next_order: int = 1_000
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    fills: dict[tuple[str, str, str], list[Any]] = field(default_factory=dict)
    """(account, symbol, trade id) -> the report."""
    work: list[Work] = field(default_factory=list)
    reports: list[list[Any]] = field(default_factory=list)
    balances: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    confirmed: dict[tuple[str, str], int] = field(default_factory=dict)
    ready: dict[str, tuple[bool, str, int]] = field(default_factory=dict)
    prices: dict[str, list[str]] = field(default_factory=dict)
    odd: list[Any] = field(default_factory=list)
    """Reports that contradict what was booked."""
    base_ns: int = field(default_factory=lambda: time.time_ns() - time.monotonic_ns())

    # --- what the venue reads
    def now_ns(self) -> int:
        return self.base_ns + time.monotonic_ns()

    def catch_up(self, seq: int | None = None) -> int:
        return self.seq

    def committed_seq(self) -> int:
        return self.seq

    def open_work(self, venue: str, session: int) -> list[Work]:
        return [
            ("CANCEL", order, self.now_ns(), facts["clientIdAtVenue"])
            for order, facts in self.orders.items()
            if facts["open"] and (facts["cancelPending"] or facts["cancelWanted"])
        ]

    def poll_work(self, venue: str, session: int, max_records: int) -> list[Work]:
        given, self.work = self.work, []
        return given

    def instruments(self) -> bytes:
        return msgspec.json.encode(
            [
                {
                    "symbol": symbol,
                    "base": base,
                    "quote": quote,
                    "tickSize": "0.01",
                    "stepSize": "0.00001",
                    "minNotional": "5",
                }
                for symbol, (base, quote) in SYMBOLS.items()
            ]
        )

    def order(self, order_id: int) -> bytes | None:
        facts = self.orders.get(order_id)
        return None if facts is None else msgspec.json.encode(facts)

    def live_orders(self, venue: str) -> list[int]:
        return [order for order, facts in self.orders.items() if facts["open"]]

    def doubts(self, venue: str) -> list[int]:
        return [order for order, facts in self.orders.items() if facts["inDoubt"]]

    def order_by_venue_id(self, venue: str, account: str, symbol: str, venue_order_id: str) -> int | None:
        wanted = (account, symbol, venue_order_id)
        for order, facts in self.orders.items():
            if (facts["account"], facts["symbol"], facts["venueOrderId"]) == wanted:
                return order
        return None

    def confirmed_trade(self, venue: str, account: str, symbol: str) -> int:
        return self.confirmed.get((account, symbol), 0)

    def balance(self, account: str, mode: str, asset: str) -> str:
        return plain(self.balances.get((account, asset), Decimal()))

    # --- what a client does
    def place(self, account: str, started_ns: int | None = None, **terms: Any) -> int:
        """Accepts an order and lets the venue send it; its number."""
        self.seq += 1
        order = self._number()
        sent_ns = self.now_ns() if started_ns is None else started_ns
        facts = self._new(order, account, terms) | {"submittedNs": sent_ns, "session": SESSION}
        self.orders[order] = facts
        self.work.append(
            ("SUBMIT", order, sent_ns, account, facts["symbol"], facts["side"], facts["type"], facts["timeInForce"],
             facts["quantity"], "0", facts["price"], facts["clientIdAtVenue"], None, False, facts["stopPrice"],
             facts["quoteQuantity"])
        )  # fmt: skip
        return order

    def cancel(self, order: int) -> None:
        facts = self.orders[order]
        facts["cancelWanted" if facts["inDoubt"] else "cancelPending"] = True
        self.work.append(("CANCEL", order, self.now_ns(), facts["clientIdAtVenue"]))

    def restart(self) -> None:
        """A new session: what has no outcome is in doubt."""
        self.work.clear()
        self.ready.clear()
        for facts in self.orders.values():
            if facts["open"] and facts["venueOrderId"] is None:
                facts |= {"inDoubt": True, "status": "IN_DOUBT", "doubtSinceNs": self.now_ns()}

    # --- what the gateway does with a report
    def apply(self, report: list[Any]) -> None:
        if report[0] == "HEARTBEAT":
            return
        if report[0] == "PRICE":
            self.prices[report[1]] = report[2:5]
            return
        self.seq += 1
        self.reports.append(report)
        kind, *rest = report
        match kind:
            case "READY":
                self.ready[rest[0]] = (rest[1], rest[2], rest[3])
            case "CONFIRMED":
                account, symbol, trade = rest
                assert trade > self.confirmed.get((account, symbol), 0)
                self.confirmed[account, symbol] = trade
            case "BALANCE":
                self.balances[rest[0], rest[1]] = Decimal(rest[2])
            case "EXTERNAL":
                self._external(rest)
            case "BUDGET" | "DOUBT_SEEN" | "RECONCILED" | "DRIFT" | "DRIFT_EXPLAINED" | "INSTRUMENT":
                pass
            case _:
                self._about_order(kind, self.orders[rest[0]], rest)

    def _number(self) -> int:
        self.next_order += 1
        return self.next_order - 1

    def _new(self, order: int, account: str, terms: dict[str, Any]) -> dict[str, Any]:
        usual = {
            "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": None, "price": None,
            "stopPrice": None, "quoteQuantity": None,
        }  # fmt: skip
        return usual | terms | {
            "id": order, "account": account, "mode": "LIVE", "filled": "0", "cumQuote": "0", "status": "SUBMITTED",
            "venueOrderId": None, "clientIdAtVenue": f"og{INSTALL}-{order}", "open": True, "inDoubt": False,
            "doubtSinceNs": None, "cancelPending": False, "cancelWanted": False, "replace": None, "external": False,
            "tradeIds": [], "submittedNs": None, "session": None,
        }  # fmt: skip

    def _external(self, told: list[Any]) -> None:
        account, symbol, venue_order_id, client_id, side, kind, time_in_force, quantity, done, price, stop = told
        assert self.order_by_venue_id("binance", account, symbol, venue_order_id) is None
        terms = {"symbol": symbol, "side": side, "type": kind, "timeInForce": time_in_force, "quantity": quantity,
                 "price": price, "stopPrice": stop}  # fmt: skip
        order = self._number()
        self.orders[order] = self._new(order, account, terms) | {
            "venueOrderId": venue_order_id, "clientIdAtVenue": client_id, "external": True, "filled": done,
            "status": "NEW",
        }  # fmt: skip
        self.work.append(("EXTERNAL", order, account, symbol, venue_order_id))

    def _about_order(self, kind: str, facts: dict[str, Any], rest: list[Any]) -> None:
        ended = not facts["open"]
        match kind:
            case "ACK" | "FOUND":
                facts["venueOrderId"] = facts["venueOrderId"] or rest[1]
                working = kind == "ACK" or rest[2]
                if ended and working and facts["status"] == "REJECTED":
                    facts |= {"open": True, "status": "NEW"}
                elif ended and working and kind == "FOUND":
                    self.odd.append((facts["id"], facts["status"], kind))
                elif working and facts["status"] in ("SUBMITTED", "IN_DOUBT"):
                    facts["status"] = "NEW"
                if working:
                    self._doubt_over(facts)
            case "FILL":
                self._fill(facts, rest)
            case "UNKNOWN":
                if not ended and facts["venueOrderId"] is None:
                    facts |= {"inDoubt": True, "status": "IN_DOUBT", "doubtSinceNs": self.now_ns()}
            case "CANCELED" | "EXPIRED" | "REJECT" | "NOT_SENT" | "ABSENT" | "DONE":
                status = {"CANCELED": "CANCELED", "EXPIRED": "EXPIRED", "DONE": "FILLED"}.get(kind, "REJECTED")
                facts |= {"open": False, "inDoubt": False, "cancelPending": False, "cancelWanted": False}
                facts["status"] = status if facts["status"] != "FILLED" else "FILLED"
                facts["reason"] = rest[1] if len(rest) > 1 else ""
            case "CANCEL_REJECT":
                facts["cancelPending"] = False
            case "CANCEL_UNKNOWN":
                pass
            case "REPLACED":
                facts["quantity"] = rest[1]
            case _:
                self.odd.append((facts["id"], kind))

    def _doubt_over(self, facts: dict[str, Any]) -> None:
        facts |= {"inDoubt": False}
        if facts["cancelWanted"] and facts["open"]:
            facts |= {"cancelWanted": False}
            self.cancel(facts["id"])

    def _fill(self, facts: dict[str, Any], rest: list[Any]) -> None:
        _, trade, price, quantity, quote, fee, fee_asset, _, _ = rest
        key = (facts["account"], facts["symbol"], trade)
        digits = [Decimal(one) for one in (price, quantity, quote, fee)] + [fee_asset]
        if key in self.fills:
            if self.fills[key] != digits:
                self.odd.append((facts["id"], "FILL_CONFLICT", self.fills[key], digits))
            return
        self.fills[key] = digits
        facts["tradeIds"].append(trade)
        facts["filled"] = plain(Decimal(facts["filled"]) + Decimal(quantity))
        base, paid = SYMBOLS[facts["symbol"]]
        sign = 1 if facts["side"] == "BUY" else -1
        for asset, amount in ((base, sign * digits[1]), (paid, -sign * digits[2]), (fee_asset, -digits[3])):
            self.balances[facts["account"], asset] = self.balances.get((facts["account"], asset), Decimal()) + amount
        whole = facts["quantity"] is not None and Decimal(facts["filled"]) >= Decimal(facts["quantity"])
        if whole:
            facts |= {"open": False, "status": "FILLED", "inDoubt": False}
        elif facts["status"] == "REJECTED":
            facts |= {"open": True, "status": "PARTIALLY_FILLED"}
        elif facts["open"]:
            facts |= {"status": "PARTIALLY_FILLED", "inDoubt": False}


@dataclass
class Gateway:
    """The other end of `run/venue.sock`: what it hears goes into the fold, and doorbells ring."""

    fold: Fold
    listener: asyncio.Server | None = None
    writer: asyncio.StreamWriter | None = None
    broken: BaseException | None = None

    async def open(self, path: Path) -> None:
        self.listener = await asyncio.start_unix_server(self._serve, path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        try:
            hello = await self._frame(reader)
            assert hello[:3] == ["HELLO", "binance", "LIVE"]
            writer.write(frame(["HELLO", SESSION, self.fold.seq]))
            while True:
                for report in await self._frame(reader):
                    self.fold.apply(report)
                writer.write(b"\x01")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        except BaseException as error:
            self.broken = error
            traceback.print_exc()
            writer.close()
            raise

    async def _frame(self, reader: asyncio.StreamReader) -> Any:
        (length,) = struct.unpack("<I", await reader.readexactly(4))
        return msgspec.msgpack.decode(await reader.readexactly(length))

    def ring(self) -> None:
        if self.writer is not None:
            self.writer.write(b"\x01")

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        if self.listener is not None:
            self.listener.close()
