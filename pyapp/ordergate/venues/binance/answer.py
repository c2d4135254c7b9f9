"""One answer of the exchange, or what came instead of it: nothing is lost, nothing is guessed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

LONGEST_MESSAGE: Final = 300
"""Characters of an exchange's message that are kept: they go into the journal and in front of people."""


class Number(str):
    """A JSON number as the exchange wrote it, to be told from a JSON string."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known after a request.

    `sent`: False only where it is proven that no byte left. `status`: of HTTP, when its head was read. `code`, `msg`:
    the exchange's own, from a JSON object with both. `body`: the decoded JSON, its numbers as `Number`; None when the
    body was not read to its end, is no JSON or is not UTF-8. `headers`: their names in lower case. `error`: what went
    wrong before, instead of or in the body; None when nothing did. `retry_after_ms`: how long the exchange, or our own
    budget, wants nothing more to be sent; 0 when it does not say.
    """

    sent: bool
    status: int | None = None
    code: int | None = None
    msg: str = ""
    body: object | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    retry_after_ms: int = 0


def not_sent(why: str, retry_after_ms: int = 0) -> Answer:
    """The answer to a request that never left: our own refusal."""
    return Answer(sent=False, error=why, retry_after_ms=retry_after_ms)


def read(status: int, headers: Mapping[str, str], raw: bytes) -> Answer:
    """The answer whose head and whole body have been read."""
    retry_after_ms = _seconds(headers.get("retry-after", "")) * 1_000
    try:
        body = decode(raw)
    except ValueError as error:
        return Answer(True, status, headers=headers, error=f"no JSON: {error}", retry_after_ms=retry_after_ms)
    code, msg = _refusal(body)
    return Answer(True, status, code, msg, body, headers, None, retry_after_ms)


def decode(raw: bytes) -> Any:
    """JSON with exact numbers. Raises ValueError for what is no JSON, not UTF-8, NaN, or names a member twice."""
    try:
        return json.loads(
            raw.decode("utf-8"),
            parse_int=Number,
            parse_float=Number,
            parse_constant=_no_number,
            object_pairs_hook=_members,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at {error.pos} of {len(raw)} bytes") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at {error.start} of {len(raw)} bytes") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refusal(body: object) -> tuple[int | None, str]:
    """Code and message of an error; (None, "") for everything else."""
    if not isinstance(body, dict):
        return None, ""
    code, msg = body.get("code"), body.get("msg")
    if not isinstance(code, Number) or not isinstance(msg, str) or isinstance(msg, Number):
        return None, ""
    try:
        return int(code), msg[:LONGEST_MESSAGE]
    except ValueError:
        return None, ""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _seconds(text: str) -> int:
    """Of a Retry-After in seconds; the date form is not used by this exchange."""
    return min(int(text), 7 * 86_400) if text.isascii() and text.isdigit() else 0
