"""What a venue hears of order types and replaced orders, and what Postgres keeps: core, journal, follower, all real."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from ordergate import _core
from ordergate.persistence.migrate import migrate
from ordergate.persistence.watermark import NOTHING_YET
from ordergate.persistence.write_behind import Writer
from tests.integration.test_past_orders import BEARER, flush, opened, placed, told, write_everything
from tests.integration.test_write_behind import fetch

FAR_MS = 4_102_444_800_000
"""2100-01-01."""


def body(ord_type: str, side: str = "BUY", **members: Any) -> bytes:
    return json.dumps({"symbol": "BTCUSDT", "side": side, "type": ord_type, "mode": "PAPER"} | members).encode()


def order_id(answer: Any) -> int:
    return int(json.loads(answer[2])["id"])


def changed(gateway: _core.Gateway, key: str, order: int, **terms: str) -> Any:
    gateway.kill_reading()
    return gateway.replace(BEARER, key, str(order), json.dumps(terms).encode())


def shown(gateway: _core.Gateway, order: int) -> Any:
    answer = gateway.order(BEARER, str(order))
    assert isinstance(answer, tuple), answer
    return json.loads(answer[2])


def test_a_venue_hears_every_type_and_rows_and_facts_keep_it(dsn: str, tmp_path: Path) -> None:
    migrate(dsn)
    gateway, writer = opened(tmp_path), Writer(dsn, NOTHING_YET)
    session, _ = gateway.open_session("paper", "PAPER", 1)
    told(gateway, session, ["PRICE", "BTCUSDT", "100", "101", "100.5", 1])
    follower = _core.Follower(str(tmp_path / "journal"))

    def work() -> list[Any]:
        flush(gateway)
        return [list(item) for item in follower.poll_work("paper", session, 1_000)]

    gateway.kill_reading()
    gtd = order_id(placed(gateway, "gtd", body("LIMIT", quantity="2", price="99", timeInForce="GTD", expireAt=FAR_MS)))
    amount = order_id(placed(gateway, "amount", body("MARKET", quoteOrderQty="50.5")))
    stop = order_id(placed(gateway, "stop", body("STOP_LOSS_LIMIT", "SELL", quantity="1", price="89", stopPrice="90")))
    heard = {item[1]: item[5:11] + item[14:] for item in work()}
    assert heard == {
        gtd: ["BUY", "LIMIT", "GTC", "2", "0", "99", None, None],
        amount: ["BUY", "MARKET", "IOC", "0", "0", None, None, "50.5"],
        stop: ["SELL", "STOP_LOSS_LIMIT", "GTC", "1", "0", "89", "90", None],
    }

    fill = ["FILL", amount, "1", "101", "0.5", "50.5", "0", "USDT", False, 1]
    told(gateway, session, ["ACK", gtd, "v1"], ["ACK", stop, "v2"], ["ACK", amount, "v3"], fill, ["DONE", amount])
    assert (shown(gateway, amount)["status"], shown(gateway, amount)["quantity"]) == ("FILLED", "0.5")
    work()
    first = changed(gateway, "smaller", gtd, quantity="1.5")
    assert first[0] == 202 and json.loads(first[2])["status"] == "PENDING_REPLACE"
    assert [item[:2] + item[4:] for item in work()] == [["AMEND", gtd, "1.5"]]
    assert changed(gateway, "smaller", gtd, quantity="1.50")[2] == first[2], "the stored answer, from its record"
    # A session that begins now is asked again.
    session, _ = gateway.open_session("paper", "PAPER", 2)
    flush(gateway)
    follower.catch_up()
    handed = [item[0] for item in follower.open_work("paper", session)]
    assert handed == ["SUBMIT", "SUBMIT", "AMEND"]
    told(gateway, session, ["REPLACED", gtd, "1.5", "99"])
    work()

    assert changed(gateway, "price", gtd, price="98")[0] == 202
    assert [item[:2] for item in work()] == [["CANCEL", gtd]]
    gateway.kill_reading()
    told(gateway, session, ["CANCELED", gtd, "", ""])
    ((word, new, *terms),) = work()
    assert (word, terms[3:9]) == ("SUBMIT", ["BUY", "LIMIT", "GTC", "1.5", "0", "98"])
    assert (shown(gateway, gtd)["replacedBy"], shown(gateway, new)["replaces"]) == (str(new), str(gtd))
    assert shown(gateway, new)["expireAt"] == "2100-01-01T00:00:00.000000Z"

    write_everything(gateway, tmp_path, writer)
    columns = "id, status, quantity, stop_price, quote_order_qty, expire_at, replaces, replaced_by, facts"
    rows = {row["id"]: row for row in fetch(dsn, f"SELECT {columns} FROM execution.orders")}
    assert (rows[gtd]["status"], rows[gtd]["replaced_by"], rows[new]["replaces"]) == ("CANCELED", new, gtd)
    assert rows[new]["expire_at"].isoformat() == "2100-01-01T00:00:00+00:00"
    assert (rows[stop]["stop_price"], rows[stop]["quote_order_qty"]) == (Decimal(90), None)
    assert (rows[amount]["quote_order_qty"], rows[amount]["quantity"]) == (Decimal("50.5"), Decimal("0.5"))
    for ended in (gtd, amount):
        past = gateway.past_order(BEARER, rows[ended]["facts"], None)
        assert isinstance(past, tuple)
        assert json.loads(past[2]) | {"durableAt": None} == shown(gateway, ended) | {"durableAt": None}

    canceled = gateway.cancel_all(BEARER, "BTCUSDT")
    assert isinstance(canceled, tuple)
    assert [order["id"] for order in json.loads(canceled[2])["orders"]] == [str(stop), str(new)]
    assert sorted(item[:2] for item in work()) == [["CANCEL", stop], ["CANCEL", new]]
    digest = gateway.state_hash()
    flush(gateway)
    follower.catch_up()
    assert follower.state_hash() == digest
    gateway.close()
