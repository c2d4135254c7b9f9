"""Frames of the WS-API: a request read with its numbers as they were written, and answers put together.

A signature is over the text that was sent: `0.10` is not `0.1`, and a number that went through a float is lost.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

import orjson

from ordergate.exchange.errors import ApiError, bad

NO_JSON: Final = bad(-1135, "Invalid JSON request.")
NO_OBJECT: Final = bad(-1135, "Invalid JSON request; expected an object.")
NO_METHOD: Final = bad(-1135, "Invalid 'method' in JSON request; expected a string.")
NO_PARAMS: Final = bad(-1135, "Invalid 'params' in JSON request; expected an object.")
NO_ID: Final = bad(-1135, "Invalid 'id' in JSON request; expected an integer, a string or null.")
MAX_ID: Final = 36


class Number(str):
    """A JSON number, as it was written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """A request. `params` are the texts that REST would have sent; `id` is JSON, to be repeated as it came."""

    id: str
    method: str
    params: dict[str, str]
    rate_limits: bool
    """Whether the answer tells its rate limits."""


def read(text: str) -> Frame | tuple[str, ApiError]:
    """The request of a text frame, or the id to answer to and why it is none."""
    try:
        whole = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return "null", NO_JSON
    if not isinstance(whole, dict):
        return "null", NO_OBJECT
    name = _id(whole.get("id"))
    if name is None:
        return "null", NO_ID
    method, params = whole.get("method"), whole.get("params", {})
    if not isinstance(method, str) or isinstance(method, Number):
        return name, NO_METHOD
    if not isinstance(params, dict):
        return name, NO_PARAMS
    shown = params.get("returnRateLimits", True)
    texts = {key: written(value) for key, value in params.items() if value is not None}
    return Frame(name, method.removeprefix("v3/"), texts, shown is not False)


def payload(params: dict[str, str]) -> bytes:
    """What a request's signature is over: every other parameter, by name, as `name=value` joined by `&`."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature").encode()


def answer(name: str, status: int, body: Any, limits: list[dict[str, Any]] | None) -> str:
    """The frame that answers request `name` (JSON): a result, or with another status than 200 an error."""
    told = "result" if status == 200 else "error"
    rest = "" if limits is None else f',"rateLimits":{compact(limits)}'
    return f'{{"id":{name},"status":{status},"{told}":{compact(body)}{rest}}}'


def event(subscription: int, body: Any) -> str:
    """The frame that tells a user data event."""
    return f'{{"subscriptionId":{subscription},"event":{compact(body)}}}'


def compact(value: Any) -> str:
    """JSON without spaces."""
    return orjson.dumps(value).decode()


def written(value: Any) -> str:
    """A parameter as text: what the client wrote, of a list or object its JSON."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _json(value)


def _json(value: Any) -> str:
    match value:
        case Number():
            return str(value)
        case list():
            return "[" + ",".join(map(_json, value)) + "]"
        case dict():
            return "{" + ",".join(f"{json.dumps(key)}:{_json(one)}" for key, one in value.items()) + "}"
        case _:
            return compact(value)


def _id(value: Any) -> str | None:
    match value:
        case None:
            return "null"
        case Number():
            return str(value) if value.lstrip("-").isdigit() else None
        case str():
            return json.dumps(value) if len(value) <= MAX_ID else None
        case _:
            return None


def _refuse(name: str) -> Any:
    raise ValueError(name)
