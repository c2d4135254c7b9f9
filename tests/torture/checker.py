"""Holds client log, journal, Postgres, portfolio and API against each other; AssertionError names what differs.

The market goes on while this looks, so everything is compared as of one sequence: where Postgres's watermark stands in
one repeatable-read snapshot. The journal is folded from its first record to exactly there, by the gateway's own fold,
and made into rows again, which must be the rows that Postgres has. The numbers are those of the reliability notes: I1
nothing acknowledged is lost, I4 and I7 sums, I5 holds, I6 legal transitions, I8 repeats, I9 chains, I10 nothing is
admitted while the kill switch cannot be read, I11 outbox, I12 state hashes. (I2 and I3 need an exchange: live_checker.)
"""

import asyncio
import hashlib
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from json import loads
from random import Random
from typing import Any

from ordergate import _core
from tests.acceptance.agreement import EXACT, SATOSHI, TERMINAL, ZERO, check_balances, check_orders, check_positions
from tests.acceptance.system import System, last_words, request
from tests.torture.faults import Stage, connected
from tests.torture.load import History, Trader, order_id, read_back

QUIET_S = 60.0
"""For everything that was durable to be in Postgres and the portfolio, and for every order to have come to rest."""
LONGEST_BATCH = 5000
RESTING = TERMINAL | {"NEW", "PARTIALLY_FILLED"}
ASKED_AGAIN = 400
"""Requests repeated at each check: the newest ones and a sample of all."""

Row = tuple[Any, ...]


@dataclass
class Figures:
    """What was compared."""

    seq: int = 0
    orders: int = 0
    fills: int = 0
    requests: int = 0
    unanswered: int = 0
    repeats: int = 0
    hash_agreed: int = 0


# --- Postgres, as of one sequence -----------------------------------------------------------------------------------

COLUMNS = {
    "execution.orders": "id, account_id, client_order_id, idempotency_key, mode, symbol, side, type, time_in_force,"
    " quantity, price, status, filled_quantity, filled_quote, avg_fill_price, rejected_by, reason, strategy_id,"
    " venue_order_id, last_seq",
    "execution.order_events": "seq, order_id, account_id, kind, payload, prev_hash, hash",
    "execution.fills": "venue, account_id, symbol, exchange_fill_id, order_id, mode, side, price, quantity,"
    " quote_quantity, fee, fee_asset, maker, seq",
    "execution.portfolio_events_outbox": "seq, account_id, mode, kind, payload",
    "execution.alarms": "seq, order_id, kind, code, detail",
    "portfolio.balances": "account_id, asset, total",
    "portfolio.positions": "account_id, symbol, bought_quantity, bought_quote, sold_quantity, sold_quote, quantity,"
    " fills",
}
"""What is compared of each table. Decimals and JSON are read as text, digit by digit."""
AS_TEXT = {"quantity", "price", "filled_quantity", "filled_quote", "avg_fill_price", "quote_quantity", "fee", "payload"}
AS_TEXT |= {"total", "bought_quantity", "bought_quote", "sold_quantity", "sold_quote"}

PROGRESS = """
SELECT (SELECT last_seq FROM execution.watermark) AS watermark,
       (SELECT count(*) FROM execution.portfolio_events_outbox WHERE processed_at IS NULL) AS unprocessed,
       (SELECT count(*) FROM execution.orders WHERE NOT status = ANY ($1)) AS restless"""


@dataclass
class Stored:
    """What Postgres holds up to `seq`."""

    seq: int
    chunk_hash: bytes
    event_hash: bytes
    tables: dict[str, list[Row]]


def stored(stage: Stage, at_least: int) -> Stored:
    """Waits until Postgres holds `at_least`, all of it in the portfolio and every order at rest; then reads it all."""
    return asyncio.run(_stored(stage.environment["DATABASE_URL"], stage.system, at_least))


async def _stored(url: str, system: System, at_least: int) -> Stored:
    connection = await connected(url)
    try:
        deadline = time.monotonic() + QUIET_S
        while True:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                progress = await connection.fetchrow(PROGRESS, list(RESTING))
                there = (progress["watermark"] or 0) >= at_least
                if there and progress["unprocessed"] == 0 and progress["restless"] == 0:
                    return await _read(connection)
            assert time.monotonic() < deadline, (
                f"I11: {dict(progress)}, and {at_least} is durable\n{last_words(system)}"
            )
            await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def _read(connection: Any) -> Stored:
    tables: dict[str, list[Row]] = {}
    for name, columns in COLUMNS.items():
        shown = [one + "::text" * (one in AS_TEXT) for one in columns.split(", ")]
        tables[name] = [tuple(row) for row in await connection.fetch(f"SELECT {', '.join(shown)} FROM {name}")]
    seq, chunk_hash, event_hash = await connection.fetchrow(
        "SELECT last_seq, chunk_hash, event_hash FROM execution.watermark"
    )
    return Stored(seq, chunk_hash, event_hash, tables)


# --- the journal, up to the same sequence ---------------------------------------------------------------------------


@dataclass
class Journal:
    """What the journal means, folded from its first record to `seq`."""

    event_hash: bytes
    chunk_hash: bytes
    tables: dict[str, list[Row]]
    orders: dict[str, dict[str, Any]]
    """As memory shows them, and those that have left it as their rows do."""
    balances: list[tuple[str, str, str, str, str]]
    admitted: list[tuple[int, str]]
    """(journal time in ns, id) of every order."""
    acked: list[tuple[int, str]]
    """(journal time in ns, id) of every order that the session which was to send it has sent.

    The record that opens the next session hands over what was not answered: such an order is the venue's from then on.
    """
    hash_agreed: int
    install: str = ""
    """What our ids at an exchange begin with, after `og`."""


PICKED = {
    "orders": ("execution.orders", [*range(19), 24]),
    "order_events": ("execution.order_events", [0, 1, 2, 3, 5, 6, 7]),
    "fills": ("execution.fills", [*range(13), 14]),
    "outbox": ("execution.portfolio_events_outbox", [0, 1, 2, 3, 4]),
    "alarms": ("execution.alarms", [0, 1, 2, 3, 4]),
}
"""The worker's rows: their table, and the places of the columns above."""
CREATED, SENT, ACKED = 19, 21, 22
OPENED = 4
"""When a session was opened."""


def folded(system: System, seq: int) -> Journal:
    """Replays the journal; the fold itself refuses gaps, impossible records, and a state hash that is not its own."""
    follower = _core.Follower(str(system.data_dir / "journal"))
    follower.start_rows(0, b"", bytes(32))
    tables: dict[str, list[Row]] = defaultdict(list)
    newest: dict[object, Row] = {}
    admitted: dict[object, int] = {}
    acked: dict[object, tuple[int, int]] = {}
    opened: list[int] = []
    rows = None
    while follower.seq < seq:
        rows = follower.poll_rows(min(LONGEST_BATCH, seq - follower.seq))
        assert rows is not None, f"I9: the journal ends at {follower.seq}, Postgres holds it up to {seq}"
        if "sessions" in rows.tables:
            opened += map(int, map(str, rows.tables["sessions"][OPENED]))
        for name, (table, places) in PICKED.items():
            columns = rows.tables.get(name, [])
            for row in zip(*columns, strict=True):
                picked = tuple(row[place] for place in places)
                if name == "orders":
                    newest[row[0]] = picked
                    admitted[row[0]] = int(str(row[CREATED]))
                    if row[ACKED] is not None:
                        acked[row[0]] = int(str(row[SENT])), int(str(row[ACKED]))
                else:
                    tables[table].append(picked)
    assert follower.seq == seq and rows is not None, f"I9: no chunk of the journal ends at Postgres's watermark {seq}"
    tables["execution.orders"] = list(newest.values())
    return Journal(
        event_hash=bytes(rows.event_hash),
        chunk_hash=bytes(rows.chunk_hash),
        tables=tables,
        orders=departed(newest.values()) | {one["id"]: one for one in loads(follower.orders())},
        balances=follower.balances(),
        admitted=sorted((at, str(identity)) for identity, at in admitted.items()),
        acked=sorted(
            (at, str(identity)) for identity, (sent, at) in acked.items() if not handed_over(opened, sent, at)
        ),
        hash_agreed=follower.hash_agreed_seq(),
        install=follower.install,
    )


def handed_over(opened: Sequence[int], sent: int, acked: int) -> bool:
    """Whether another session was opened in between."""
    return bisect_right(opened, sent) != bisect_right(opened, acked)


def departed(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Orders that have ended, by their rows: beyond a hundred thousand of them the oldest leave memory."""
    words = {"symbol": 5, "side": 6, "quantity": 9, "price": 10, "status": 11, "filledQuantity": 12, "avgFillPrice": 14}
    ended = [row for row in rows if row[11] in TERMINAL]
    return {str(row[0]): {word: row[place] for word, place in words.items()} for row in ended}


# --- the check ------------------------------------------------------------------------------------------------------


def check(stage: Stage, traders: Sequence[Trader], random: Random) -> Figures:
    """Everything, once; nobody may be trading."""
    postgres, journal = agreeing(stage)
    legal(postgres)
    alarms = postgres.tables["execution.alarms"]
    assert not alarms, f"I6: {len(alarms)} alarms: {alarms[:3]}"
    unsent(stage, journal)
    return told(stage, traders, random, postgres, journal)


def agreeing(stage: Stage) -> tuple[Stored, Journal]:
    """What Postgres and the journal hold up to the same sequence, which is the same and has its chains."""
    durable = int(request(stage.system, "GET", "/api/v1/health").json()["durableSeq"])
    postgres = stored(stage, durable)
    journal = folded(stage.system, postgres.seq)
    same_history(postgres, journal)
    chained(postgres)
    shut(stage, journal)
    return postgres, journal


def told(stage: Stage, traders: Sequence[Trader], random: Random, postgres: Stored, journal: Journal) -> Figures:
    """Every account's sums, and what its trader was told."""
    figures = Figures(postgres.seq, len(journal.orders), len(postgres.tables["execution.fills"]))
    figures.hash_agreed = journal.hash_agreed
    for trader in traders:
        sums(trader.account, postgres, journal, stage.mode)
        history = read_back(trader.log)
        promised(trader, history, postgres, journal)
        ask_again(stage.system, trader, history, random)
        figures.requests += len(history.requests)
        figures.unanswered += sum(not told.answers for told in history.requests.values())
        figures.repeats += history.repeats
    return figures


def same_history(postgres: Stored, journal: Journal) -> None:
    """I4, I9, I11: the journal made into rows again is what Postgres has."""
    assert postgres.event_hash == journal.event_hash, "I9: the audit trail's head is not the journal's"
    assert postgres.chunk_hash == journal.chunk_hash, "I9: the watermark names another chunk"
    for table, _ in PICKED.values():
        ours, theirs = map(tabled, (journal.tables[table], postgres.tables[table]))
        assert ours == theirs, f"{table}: only in journal or Postgres: {sorted(ours ^ theirs, key=str)[:4]}"
        assert len(ours) == len(postgres.tables[table]) == len(journal.tables[table]), f"{table}: a row twice"


def tabled(rows: Iterable[Row]) -> set[Row]:
    """As values that compare."""
    return {tuple(bytes(one) if isinstance(one, bytearray | memoryview) else one for one in row) for row in rows}


def chained(postgres: Stored) -> None:
    """I9: every event's hash covers its text and its predecessor, without a gap, up to the watermark's."""
    head = bytes(32)
    for seq, _, _, kind, payload, previous, found in sorted(postgres.tables["execution.order_events"]):
        assert previous == head, f"I9: event {seq} does not follow on the one before"
        head = hashlib.sha256(head + seq.to_bytes(8) + kind.encode() + b"\0" + payload.encode()).digest()
        assert found == head, f"I9: event {seq} is not what was hashed"
    assert head == postgres.event_hash, "I9: the last event is not the watermark's"


WORKS = {"FILL", "CANCEL_REQUESTED", "CANCELED", "EXPIRED", "CANCEL_REJECTED"}
FOLLOWS = {
    "": {"ORDER_ACCEPTED", "ORDER_DENIED"},
    "ORDER_ACCEPTED": {"SUBMIT_STARTED", "CANCELED", "NOT_SENT"},
    "ORDER_DENIED": set(),
    "SUBMIT_STARTED": {"ACKED", "REJECTED", "NOT_SENT", "CANCEL_REQUESTED", "CANCELED"},
    "ACKED": WORKS,
    "FILL": WORKS,
    "CANCEL_REQUESTED": {"ACKED", "FILL", "CANCELED", "CANCEL_REJECTED", "EXPIRED", "NOT_SENT", "REJECTED"},
    "CANCEL_REJECTED": {"FILL", "CANCEL_REQUESTED", "CANCELED", "EXPIRED"},
    "CANCELED": set(),
    "NOT_SENT": set(),
    "REJECTED": set(),
    "EXPIRED": set(),
}
"""What may come after what in the life of a PAPER order. PAPER has no doubts, and nothing comes after an end."""
ENDS = {
    "ORDER_DENIED": "REJECTED",
    "CANCELED": "CANCELED",
    "NOT_SENT": "REJECTED",
    "REJECTED": "REJECTED",
    "EXPIRED": "EXPIRED",
}


def legal(postgres: Stored) -> None:
    """I6: the audit trail of every order is a possible life, and its row tells how that life ended."""
    lives: dict[int, list[str]] = defaultdict(list)
    for _, order, _, kind, *_ in sorted(postgres.tables["execution.order_events"]):
        lives[order].append(kind)
    rows = {row[0]: row for row in postgres.tables["execution.orders"]}
    assert lives.keys() == rows.keys(), f"orders with events or rows only: {sorted(lives.keys() ^ rows.keys())[:5]}"
    for order, life in lives.items():
        for before, after in zip(["", *life], life, strict=False):
            assert after in FOLLOWS[before], f"I6: order {order}: {after} after {before or 'nothing'} in {life}"
        assert life.count("SUBMIT_STARTED") <= 1 and life.count("ACKED") <= 1, f"I6: order {order}: {life}"
        quantity, status, filled = rows[order][9], rows[order][11], Decimal(rows[order][12])
        if filled == Decimal(quantity):
            expected = "FILLED"
        else:
            expected = ENDS.get(life[-1], "PARTIALLY_FILLED" if filled else "NEW")
        assert status == expected, f"I6: order {order} is {status}, its events {life} make it {expected}"


def shut(stage: Stage, journal: Journal) -> None:
    """I10: no order was admitted while the kill switch could not be read."""
    for begin, end in stage.shut:
        inside = [identity for at, identity in journal.admitted if begin < at / 1e9 < end]
        assert not inside, f"I10: admitted between {begin:.2f} and {end:.2f}, without a reading: {inside[:5]}"


def unsent(stage: Stage, journal: Journal) -> None:
    """I10: nothing reached the PAPER venue while it was killed. (What an exchange was asked when, it tells itself.)"""
    for begin, end in stage.unsent:
        inside = [identity for at, identity in journal.acked if begin < at / 1e9 < end]
        assert not inside, f"I10: reached the venue between {begin:.2f} and {end:.2f}, killed: {inside[:5]}"


def sums(account: str, postgres: Stored, journal: Journal, mode: str) -> None:
    """I4, I5, I7: orders, balances, holds and positions of one account are the sums of its fills."""
    names = [name.strip() for name in COLUMNS["execution.fills"].split(",")]
    rows = [row for row in postgres.tables["execution.fills"] if row[1] == account]
    fills = [{name: str(value) for name, value in zip(names, row, strict=True)} for row in rows]
    ours = {str(row[0]): row for row in postgres.tables["execution.orders"] if row[1] == account}
    orders = {identity: journal.orders[identity] for identity in ours}
    check_orders(orders, {key: [row[11], row[9], row[12], row[13], row[14] or ""] for key, row in ours.items()}, fills)
    held: dict[str, Decimal] = defaultdict(Decimal)
    for order in orders.values():
        asset, amount = hold(order)
        held[asset] += amount
    balances = []
    for name, of, asset, total, found in journal.balances:
        if (name, of) == (account, mode):
            assert Decimal(found) == held[asset], f"I5: {account} holds {found} {asset}, its open orders {held[asset]}"
            balances.append({"mode": of, "asset": asset, "total": total, "held": "0", "free": total})
    totals = {row[1]: Decimal(row[2]) for row in postgres.tables["portfolio.balances"] if row[0] == account}
    check_balances(account, {"balances": balances}, totals, fills, mode)
    positions = {row[1]: row[2:] for row in postgres.tables["portfolio.positions"] if row[0] == account}
    words = ["boughtQuantity", "boughtQuote", "soldQuantity", "soldQuote", "quantity"]
    shown = [{"symbol": symbol, **dict(zip(words, row, strict=False))} for symbol, row in positions.items()]
    check_positions(
        {"positions": shown}, {symbol: [Decimal(one) for one in row] for symbol, row in positions.items()}, fills
    )


def hold(order: dict[str, Any]) -> tuple[str, Decimal]:
    """What an order at rest holds: the rest of its quantity, or that at its price, rounded up."""
    base, quote = order["symbol"].removesuffix("USDT"), "USDT"
    asset = quote if order["side"] == "BUY" else base
    if order["status"] in TERMINAL:
        return asset, ZERO
    left = EXACT.subtract(Decimal(order["quantity"]), Decimal(order["filledQuantity"]))
    if order["side"] == "SELL":
        return asset, left
    return asset, EXACT.multiply(left, Decimal(order["price"])).quantize(SATOSHI, ROUND_CEILING, EXACT)


def promised(trader: Trader, history: History, postgres: Stored, journal: Journal) -> None:
    """I1, I8: what the client was told is so; what it was not told happened at most once; nothing else happened."""
    rows = [row for row in postgres.tables["execution.orders"] if row[1] == trader.account]
    by_key = {row[3]: str(row[0]) for row in rows}
    assert len(by_key) == len(rows), f"I8: {trader.account}: two orders for one request key"
    unasked = by_key.keys() - history.requests.keys()
    assert not unasked, f"{trader.account}: orders that nobody sent: {sorted(unasked)[:5]}"
    for key, told in history.requests.items():
        kept = told.stored
        if kept is None:
            assert not told.answers or key not in by_key, f"I8: {key} was refused with a free key, and is an order"
            continue
        assert len(told.answers) == 1, f"I8: {key} was answered differently: {told.answers}"
        assert by_key.get(key) == order_id(kept), f"I1: {key} was answered {kept}, and there is {by_key.get(key)}"
    open_still = [one for one in history.canceled if journal.orders[one]["status"] not in TERMINAL]
    assert not open_still, f"I1: canceled, and still open: {open_still[:5]}"


def ask_again(system: System, trader: Trader, history: History, random: Random) -> None:
    """I1, I8: a repeated request gets the bytes of its first answer, and the API shows the order."""
    kept = [(key, told.body, told.stored) for key, told in history.requests.items() if told.stored]
    newest = kept[-ASKED_AGAIN // 4 :]
    sample = random.sample(kept, min(len(kept), ASKED_AGAIN // 4))
    for key, body, answer in newest + sample:
        assert answer is not None
        again = request(system, "POST", "/api/v1/orders", token=trader.client.token, body=body.encode(), key=key)
        assert (again.status, again.body.decode()) == answer, f"I8: {key} was answered {answer}, and now {again}"
        shown = request(system, "GET", f"/api/v1/orders/{order_id(answer)}", token=trader.client.token)
        assert shown.status == 200, f"I1: {key} was answered {answer}, and the API says {shown}"
