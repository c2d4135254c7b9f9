"""The kill switch's table: one test per row, then the sequences of events that broke simpler rules."""

import msgspec
import pytest

from ordergate.gateway.kill_switch import (
    Action,
    Found,
    Key,
    Observation,
    Outage,
    SwitchState,
    decide,
    read_key,
    write_key,
)

with_ = msgspec.structs.replace
OURS = "abcdefgh"
OPEN = SwitchState(install=OURS, bound=True, killed=False, run_id="run1")
KILLED = SwitchState(install=OURS, bound=True, killed=True, run_id="run1")
CLIENTS = with_(KILLED, clients_own=True, level=2)
SEEN = Observation(readable=True, run_id="run1", sentinel=OURS)
GONE = Observation(readable=False)


ROWS = [
    # row 1: unreadable
    ("unreadable, not yet a second", with_(GONE, unreadable_seconds=0.99), OPEN, Action.BLOCK),
    ("unreadable for a second", with_(GONE, unreadable_seconds=1.0), OPEN, Action.KILL_UNREACHABLE),
    ("unreadable, already killed", with_(GONE, unreadable_seconds=9.0), KILLED, Action.BLOCK),
    # row 2: another server process
    ("restarted", with_(SEEN, run_id="run2"), OPEN, Action.KILL_RESTARTED),
    ("restarted while killed", with_(SEEN, run_id="run2", key=Key.ACTIVE), KILLED, Action.KILL_RESTARTED),
    ("restarted and foreign: restarted first", with_(SEEN, run_id="run2", sentinel="x"), OPEN, Action.KILL_RESTARTED),
    ("first connection of this start", with_(SEEN, run_id="run2"), with_(OPEN, run_id=None), Action.STAY),
    # row 3: another install
    ("foreign, never bound", with_(SEEN, sentinel="other"), with_(OPEN, bound=False), Action.EXIT_FOREIGN),
    ("foreign, bound", with_(SEEN, sentinel="other"), OPEN, Action.KILL_FOREIGN),
    ("foreign with an active key", with_(SEEN, sentinel="other", key=Key.ACTIVE), KILLED, Action.KILL_FOREIGN),
    # row 4: no sentinel
    ("first start", with_(SEEN, sentinel=None), with_(OPEN, bound=False), Action.BIND),
    ("first start with a key", with_(SEEN, sentinel=None, key=Key.ACTIVE), with_(OPEN, bound=False), Action.BIND),
    ("emptied", with_(SEEN, sentinel=None), OPEN, Action.KILL_STATE_LOST),
    ("emptied while killed", with_(SEEN, sentinel=None), KILLED, Action.KILL_STATE_LOST),
    ("died between sentinel and record", SEEN, with_(OPEN, bound=False), Action.BIND),
    # row 5: key present
    ("key", with_(SEEN, key=Key.ACTIVE), OPEN, Action.KILL),
    ("key while killed", with_(SEEN, key=Key.ACTIVE), KILLED, Action.STAY),
    ("key of a higher level", with_(SEEN, key=Key.ACTIVE, level=2), KILLED, Action.KILL),
    ("key of a lower level", with_(SEEN, key=Key.ACTIVE, level=1), with_(KILLED, level=3), Action.STAY),
    ("somebody's key over a client's kill", with_(SEEN, key=Key.ACTIVE, by="ann"), CLIENTS, Action.KILL),
    ("our own key of a client's kill", with_(SEEN, key=Key.ACTIVE, by="ordergate"), CLIENTS, Action.STAY),
    ("a client's kill, no key", with_(SEEN), CLIENTS, Action.REWRITE),
    # row 6: absent and open
    ("nothing", SEEN, OPEN, Action.STAY),
    # row 7: an operator's DEL
    ("deleted", SEEN, with_(KILLED, active_seen=True, kill_age_seconds=1.01), Action.OPEN),
    ("deleted, killed by the key itself", SEEN, with_(KILLED, active_seen=True), Action.OPEN),
    # row 8: everything else
    ("absent in our settling second", SEEN, with_(KILLED, active_seen=True, kill_age_seconds=1.0), Action.REWRITE),
    ("absent on a new connection", SEEN, with_(KILLED, kill_age_seconds=60.0), Action.REWRITE),
    ("absent at start, killed in the journal", SEEN, with_(KILLED, run_id=None), Action.REWRITE),
]


@pytest.mark.parametrize(("name", "seen", "state", "action"), ROWS, ids=[row[0] for row in ROWS])
def test_row(name: str, seen: Observation, state: SwitchState, action: Action) -> None:
    assert decide(seen, state) is action


@pytest.mark.parametrize(
    ("value", "meaning", "reason"),
    [
        (None, Key.ABSENT, ""),
        (b'{"active":false}', Key.ABSENT, ""),
        (b'{"active":false,"reason":7}', Key.ABSENT, ""),
        (b'{"active":true,"reason":"drill","activatedAt":"now","activatedBy":"ann"}', Key.ACTIVE, "drill"),
        (b'{"active":true}', Key.ACTIVE, "no reason given"),
        (b'{"active":true,"reason":7}', Key.ACTIVE, "unreadable"),
        (b'{"active":"false"}', Key.ACTIVE, "unreadable"),
        (b'{"active":0}', Key.ACTIVE, "unreadable"),
        (b"{}", Key.ACTIVE, "unreadable"),
        (b"", Key.ACTIVE, "unreadable"),
        (b"false", Key.ACTIVE, "unreadable"),
        (b'{"active":true,\xe2\x80\xa6}', Key.ACTIVE, "unreadable"),
        (b"\xff\xfe", Key.ACTIVE, "unreadable"),
    ],
)
def test_whatever_is_not_plainly_inactive_kills(value: bytes | None, meaning: Key, reason: str) -> None:
    found = read_key(value)
    assert (found.key, found.reason) == (meaning, reason)
    assert bool(found.by) == (meaning is Key.ACTIVE)


@pytest.mark.parametrize(
    ("level", "asked"),
    [("1", 1), ("2", 2), ("3", 3), ("0", 1), ("4", 1), ("-3", 1), ("2.0", 1), ('"3"', 1), ("true", 1), ("null", 1)],
)
def test_a_level_that_is_none_asks_for_the_first(level: str, asked: int) -> None:
    value = b'{"active":true,"reason":"r","activatedBy":"ann","level":%s}' % level.encode()
    assert read_key(value) == Found(Key.ACTIVE, "r", "ann", asked)


def test_what_we_write_is_read_as_active() -> None:
    for level in (1, 2, 3):
        value = write_key("limit", "2026-11-24T07:00:00Z", "ordergate", level)
        assert read_key(value) == Found(Key.ACTIVE, "limit", "ordergate", level)


def test_an_outage_counts_from_the_first_failed_probe() -> None:
    outage = Outage()
    outage.good(10.0)
    assert outage.failed(10.1, 10.1, 0.3) == 0.0
    assert outage.failed(10.2, 10.5, 0.3) == pytest.approx(0.4)
    assert outage.failed(10.6, 11.2, 0.9) == pytest.approx(1.1)
    outage.good(11.3)
    assert outage.failed(11.4, 11.4, 0.3) == 0.0


def test_our_own_late_tick_is_no_evidence() -> None:
    outage = Outage()
    outage.good(10.0)
    # The loop stood still for five seconds, and the first probe after it failed.
    assert outage.failed(15.0, 15.3, 0.3) == 0.0
    assert outage.failed(15.4, 15.7, 0.3) == pytest.approx(0.4)
    # It stood still during a probe: its time-out proves nothing.
    assert outage.failed(15.8, 20.0, 0.3) == 0.0
    assert outage.failed(20.1, 21.0, 0.9) == pytest.approx(1.0)
