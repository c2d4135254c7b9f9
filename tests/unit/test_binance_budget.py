"""The budget of requests: windows, lanes, what the exchange says, and times that a restart does not forget."""

import json
from pathlib import Path

import pytest

from ordergate.venues.binance import answer
from ordergate.venues.binance.answer import Answer
from ordergate.venues.binance.budget import BAN_PAUSE_MS, PAUSE_MAX_MS, Budget, Lane, Ticket

START_MS = 1_790_000_040_000 // 60_000 * 60_000


class World:
    """Time that passes when it is told to; a budget can be made anew, as at a restart."""

    def __init__(self, file: Path | None = None) -> None:
        self.ms = 0
        self.file = file
        self.budget = self.restart()

    def restart(self, boot_ms: int = 5_000) -> Budget:
        self.budget = Budget(
            server_ms=lambda: START_MS + self.ms,
            file=self.file,
            local_ns=lambda: (boot_ms + self.ms) * 1_000_000,
            wall_ms=lambda: float(START_MS + self.ms - 777),
        )
        return self.budget

    def take(self, lane: Lane, weight: int = 1, account: str | None = None) -> Ticket:
        ticket = self.budget.take(lane, weight, account)
        assert isinstance(ticket, Ticket), f"{ticket} ms"
        return ticket

    def ask(self, lane: Lane, weight: int, answered: Answer, account: str | None = None) -> None:
        self.budget.settle(self.take(lane, weight, account), answered)


def ok(used: int | None = None, **counts: int) -> Answer:
    headers = {} if used is None else {"x-mbx-used-weight-1m": str(used), "x-mbx-used-weight": str(used)}
    headers |= {f"x-mbx-order-count-{window}": str(count) for window, count in counts.items()}
    return Answer(True, 200, headers=headers)


def limited(
    status: int = 429, code: int = -1003, msg: str = "Too much request weight used.", after: str = ""
) -> Answer:
    headers = {"retry-after": after} if after else {}
    return answer.read(status, headers, json.dumps({"code": code, "msg": msg}).encode())


def test_lanes_keep_room_for_what_matters_more() -> None:
    world = World()
    for lane, weight in (("read", 3_600), ("new", 1_200), ("reconcile", 600), ("cancel", 480)):
        world.take(lane, weight)  # type: ignore[arg-type]
        assert world.budget.take(lane, 1) == 60_001, lane  # type: ignore[arg-type]
    world.ms += 59_999
    assert world.budget.take("cancel", 1) == 2
    world.ms += 2
    assert world.budget.take("read", 1) == 60_000  # all of it is under way still, and may count in here


def test_what_the_exchange_counts_is_right() -> None:
    world = World()
    world.ask("read", 20, ok(5_900))  # others use the same address
    assert world.budget.take("cancel", 1) == 60_001
    assert world.budget.state()["weight"]["1M"] == {"used": 5_900, "limit": 6_000}
    world.ms += 60_001
    world.ask("read", 20, ok(21))
    assert world.budget.state()["weight"]["1M"]["used"] == 21


def test_answers_that_overtake_each_other_lower_nothing() -> None:
    world = World()
    first, second = world.take("read", 20), world.take("read", 20)
    world.budget.settle(second, ok(40))
    world.budget.settle(first, ok(20))
    assert world.budget.state()["weight"]["1M"]["used"] == 40


def test_a_success_that_weighs_nothing_is_given_back() -> None:
    world = World()
    for _ in range(8_000):  # orders weigh 1 until they succeed
        world.ask("new", 1, ok(3))
    assert world.budget.state()["weight"]["1M"]["used"] == 3


@pytest.mark.parametrize(
    ("answered", "used"), [(None, 20), (Answer(True, error="TimeoutError: "), 20), (Answer(False, error="x"), 0)]
)
def test_without_a_count_what_may_have_left_counts(answered: Answer | None, used: int) -> None:
    world = World()
    world.budget.settle(world.take("read", 20), answered)
    assert world.budget.state()["weight"]["1M"]["used"] == used


def test_a_request_over_the_end_of_a_window_counts_in_the_new_one() -> None:
    world = World()
    ticket = world.take("read", 20)
    world.ms += 60_000
    world.budget.settle(ticket, ok(5_999))  # the old window's count
    assert world.budget.state()["weight"]["1M"]["used"] == 20


@pytest.mark.parametrize("status", [429, 418])
def test_nothing_is_sent_before_the_time_that_was_named(status: int) -> None:
    world = World()
    world.ask("read", 20, limited(status, after="7"))
    for lane in ("cancel", "reconcile", "new", "read"):
        assert world.budget.take(lane, 1) == 7_000  # type: ignore[arg-type]
    state = world.budget.state()
    assert state["blockedForMs"] == 7_000 and f"{status} -1003" in state["blockedWhy"]
    world.ms += 6_999
    assert world.budget.take("cancel", 1) == 1
    world.ms += 1
    assert isinstance(world.budget.take("cancel", 1), Ticket)
    assert world.budget.state()["blockedWhy"] == ""


def test_a_ban_names_its_end_in_words_too() -> None:
    world = World()
    world.ask("read", 1, limited(418, msg=f"Way too much request weight used; IP banned until {START_MS + 200_000}."))
    assert world.budget.take("cancel", 1) == 200_000


@pytest.mark.parametrize(("status", "pause_ms"), [(429, 60_000), (418, 120_000)])
@pytest.mark.parametrize("after", ["", "soon", "-5", "Fri, 01 Jan 2027 00:00:00 GMT"])
def test_without_a_time_it_waits_a_window_or_the_shortest_ban(status: int, pause_ms: int, after: str) -> None:
    world = World()
    world.ask("read", 1, limited(status, after=after))
    assert world.budget.take("cancel", 1) == pause_ms


def test_a_shorter_time_does_not_end_a_longer_one() -> None:
    world = World()
    first, second = world.take("read"), world.take("read")
    world.budget.settle(first, limited(after="100"))
    world.budget.settle(second, limited(after="1"))
    assert world.budget.take("cancel", 1) == 100_000


def test_a_restart_does_not_forget(tmp_path: Path) -> None:
    world = World(tmp_path / "limits.json")
    world.ask("read", 1, limited(418, after="300"))
    world.ms += 100_000
    world.restart(boot_ms=9)  # the steady clock may have begun anew
    assert world.budget.take("cancel", 1) == 200_000
    assert "418" in world.budget.state()["blockedWhy"]
    world.ms += 200_000
    world.restart()
    assert isinstance(world.budget.take("cancel", 1), Ticket)


def test_too_many_orders_stop_new_orders_of_that_account_only(tmp_path: Path) -> None:
    world = World(tmp_path / "limits.json")
    world.ask("new", 1, limited(429, -1015, "Too many new orders.", "9"), "desk")
    for budget in (world.budget, world.restart()):
        assert budget.take("new", 1, "desk") == 9_000
        assert isinstance(budget.take("new", 1, "desk-b"), Ticket)
        assert isinstance(budget.take("cancel", 1), Ticket)


@pytest.mark.parametrize(
    ("text", "wait_ms"),
    [
        ("", BAN_PAUSE_MS),
        ("[]", BAN_PAUSE_MS),
        ('{"": 5}', BAN_PAUSE_MS),
        ('{"": {"untilMs": "x", "why": ""}}', BAN_PAUSE_MS),
        ('{"": {"untilMs": 9e99, "why": ""}}', PAUSE_MAX_MS),
        ("{}", 0),
    ],
)
def test_a_damaged_file_stops_us_for_a_while(tmp_path: Path, text: str, wait_ms: int) -> None:
    (tmp_path / "limits.json").write_text(text)
    assert World(tmp_path / "limits.json").budget.wait_ms("cancel") == wait_ms


def test_unfilled_orders_are_counted_per_account() -> None:
    world = World()
    for number in range(100):
        world.ask("new", 1, ok(1, **{"10s": number + 1, "1d": number + 1}), "desk")
    assert world.budget.take("new", 1, "desk") == 10_001
    assert isinstance(world.budget.take("new", 1, "desk-b"), Ticket)
    assert isinstance(world.budget.take("cancel", 1), Ticket)
    assert world.budget.state()["orders"]["desk"]["1D"] == {"used": 100, "limit": 200_000}
    world.ms += 10_001
    assert isinstance(world.budget.take("new", 1, "desk"), Ticket)


def test_a_fill_gives_room_back() -> None:
    world = World()
    for _ in range(300):
        world.ask("new", 1, ok(1, **{"10s": 1, "1d": 1}), "desk")  # each was filled at once
    assert world.budget.state()["orders"]["desk"]["10S"]["used"] == 1


def test_a_refused_order_does_not_count_and_a_lost_answer_does() -> None:
    world = World()
    world.ask("new", 1, limited(400, -2010, "no"), "desk")
    assert world.budget.state()["orders"]["desk"]["10S"]["used"] == 0
    world.ask("new", 1, Answer(True, error="TimeoutError: "), "desk")
    assert world.budget.state()["orders"]["desk"]["10S"]["used"] == 1


def test_the_exchange_s_own_limits_are_taken() -> None:
    world = World()
    world.take("new", 1, "desk")
    world.budget.learn([
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": "1", "limit": "1200"},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": "10", "limit": "2"},
        {"rateLimitType": "ORDERS", "interval": "FORTNIGHT", "intervalNum": "1", "limit": "2"},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": "5", "limit": "61000"},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": "1", "limit": "0"},
        {},
    ])  # fmt: skip
    assert world.budget.take("read", 721) == 60_001
    world.take("new", 1, "desk")
    assert world.budget.take("new", 1, "desk") == 10_001
    assert world.budget.state()["weight"].keys() == {"1M"}
    assert world.budget.state()["orders"]["desk"]["1D"]["limit"] == 200_000
