"""Problem documents: the one table of codes."""

import json

import pytest

from ordergate.http import problem

RETRY_CODES = {
    "request_in_progress": "1",
    "rate_limited": "1",
    "request_key_quota": "60",
    "change_request_quota": "60",
    "kill_switch_unreadable": "1",
    "venue_unavailable": "1",
    "flush_stalled": "1",
    "overloaded": "1",
    "journal_full": "10",
    "answer_unreadable": "1",
    "history_unavailable": "1",
    "shutting_down": "5",
}


@pytest.mark.parametrize("code", sorted(problem.TABLE))
def test_each_code_has_a_complete_document(code: str) -> None:
    status, headers, body = problem.reply(code, "r-1")
    document = json.loads(body)
    assert document == {
        "type": "urn:ordergate:problem:" + code,
        "title": problem.TABLE[code].title,
        "status": status,
        "detail": problem.TABLE[code].title,
        "code": code,
        "requestId": "r-1",
        "errors": [],
    }
    names = [name for name, _ in headers]
    assert len(names) == len(set(names))
    assert dict(headers)["content-type"] == "application/problem+json"
    assert dict(headers).get("retry-after") == RETRY_CODES.get(code)


def test_waiting_times_are_rounded_up_to_seconds() -> None:
    for ms, seconds in ((0, "1"), (1, "1"), (1000, "1"), (1001, "2")):
        assert dict(problem.reply("rate_limited", "r", retry_after_ms=ms)[1])["retry-after"] == seconds


def test_killed_never_says_when_to_come_back() -> None:
    assert "retry-after" not in dict(problem.reply("killed", "r", retry_after_ms=100)[1])


def test_an_internal_refusal_is_never_shown() -> None:
    assert json.loads(problem.reply("kill_switch_stale", "r")[2])["code"] == "kill_switch_unreadable"
