"""What every request goes through, whichever way it came: faults, limits, key, signature, time, handler, answer."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from ordergate.exchange import errors, limits, trading
from ordergate.exchange.errors import ApiError, bad
from ordergate.exchange.methods import METHODS, Method
from ordergate.exchange.request import Answer, Request
from ordergate.exchange.server import Server
from ordergate.exchange.signatures import valid

KEY: Final = re.compile(r"^[a-zA-Z0-9_-]{1,128}$", re.ASCII)
SIGNED: Final = frozenset({"TRADE", "USER_DATA"})


@dataclass(slots=True)
class _Course:
    """What one request has met so far."""

    method: Method
    number: int
    error: ApiError | None = None
    retry_after: int | None = None
    signature: str = "none"
    delivery: str = "send"
    raw: bytes | None = None
    status: int = 200
    content_type: str = "application/json;charset=UTF-8"


async def call(server: Server, request: Request) -> Answer:
    """Takes one request through authentication, limits, faults and its handler to its answer."""
    method = METHODS[request.method]
    server.asked += 1
    arrived, course = server.clock.now(), _Course(method, server.asked)
    value: Any = None
    known = server.keys.get(request.api_key or "")
    request.account = known.account if known else None
    await _faults(server, request, course, "pre_auth")
    if course.error is None and course.raw is None:
        course.error = _admitted(server, request, course)
    if course.error is None and course.raw is None:
        await _faults(server, request, course, "pre_engine")
    if course.error is None and course.raw is None:
        course.error = _in_time(server, request) if method.security in SIGNED else None
    if course.error is None and course.raw is None and course.delivery == "send":
        value = await _handled(server, request, course)
        await _faults(server, request, course, "post_commit")
    await _faults(server, request, course, "post_answer")
    answer = _answered(server, request, course, value)
    _note(server, request, course, answer, arrived)
    return answer


def _weight(method: Method, request: Request) -> int:
    return method.weight if isinstance(method.weight, int) else method.weight(request.params)


def _admitted(server: Server, request: Request, course: _Course) -> ApiError | None:
    method, now = course.method, server.clock.now()
    refused = limits.admit(server.counters, request.address, _weight(method, request), now)
    if refused is not None:
        course.retry_after = refused[1]
        return refused[0]
    if method.security != "NONE" and (error := _authenticated(server, request, course)):
        return error
    if request.repeated is not None:
        return bad(-1101, "Duplicate values for a parameter detected.")
    # ccxt's orders by the WS-API carry one that the exchange does not know, and are taken all the same.
    if server.config.strict and method.params is not None and request.transport == "REST":
        unread = request.params.keys() - method.params
        if unread:
            read, sent = len(request.params) - len(unread), len(request.params)
            return bad(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")
    if method.security in SIGNED and (error := _in_time(server, request)):
        return error
    return None


def _authenticated(server: Server, request: Request, course: _Course) -> ApiError | None:
    text = request.api_key or ""
    if not KEY.match(text):
        return errors.BAD_KEY_FORMAT
    key = server.keys.get(text)
    if key is None or key.revoked or course.method.security not in key.permissions:
        return errors.BAD_KEY
    if key.ips and request.address not in key.ips:
        return errors.BAD_KEY
    if request.logged_on or course.method.security not in SIGNED:
        return None
    if not request.signature:
        return errors.missing("signature")
    good = valid(key.credential, request.payload, request.signature)
    course.signature = "valid" if good else "invalid"
    return None if good else errors.BAD_SIGNATURE


def _in_time(server: Server, request: Request) -> ApiError | None:
    """The rule for `timestamp` and `recvWindow`, in whole microseconds. Checked at receipt and before the engine."""
    text, window = request.params.get("timestamp", ""), request.params.get("recvWindow", "5000")
    if not text.isascii() or not text.isdecimal():
        return errors.missing("timestamp")
    whole, _, fraction = window.partition(".")
    if (
        not (whole + fraction).isascii()
        or not whole.isdecimal()
        or len(fraction) > 3
        or (fraction and not fraction.isdecimal())
    ):
        return errors.missing("recvWindow")
    wide = int(whole) * 1000 + int(fraction.ljust(3, "0"))
    if wide > 60_000_000:
        return errors.BAD_WINDOW
    stamp = int(text) if len(text) > 14 else int(text) * 1000
    now = server.clock.now() * 1000
    if stamp >= now + 1_000_000:
        return errors.EARLY
    return errors.LATE if now - stamp > wide else None


async def _handled(server: Server, request: Request, course: _Course) -> Any:
    if course.method.places:
        course.error = limits.admit_order(server.counters, request.account or "", server.clock.now())
        if course.error is not None:
            return None
    status, value = await course.method.handler(server, request)
    if isinstance(value, ApiError):
        course.error = value
        if course.method.places and value.code not in {-2021, -2022}:
            limits.give_back(server.counters, request.account or "", server.clock.now())
        return None
    course.status = status
    if course.method.free:
        server.counters.address(request.address).weight.add(-_weight(course.method, request), server.clock.now())
    return value


async def _faults(server: Server, request: Request, course: _Course, phase: str) -> None:
    for action in server.faults.pick(phase, request.facts()):
        await _happen(server, request, course, action)


async def _happen(server: Server, request: Request, course: _Course, action: dict[str, Any]) -> None:
    match action["kind"]:
        case "delay":
            await asyncio.sleep(server.faults.length(action) / 1000)
        case "error":
            _refuse(course, action)
        case "html":
            course.raw = str(action.get("text", "<html><body>Error</body></html>")).encode()
            course.status, course.content_type, course.error = int(action.get("status", 503)), "text/html", None
        case "empty":
            course.raw, course.status, course.error = b"", int(action.get("status", 502)), None
        case "content_type":
            course.content_type = str(action.get("type", "text/plain"))
        case "close" | "reset" | "hang" | "half" | "truncate" as delivery:
            course.delivery = delivery
        case "late":
            _refuse(course, {"status": 504, "code": -1007, **action})
            server.spawn(_later(server, request, course.method, course.number, int(action.get("ms", 1000))))
        case "lag":
            request.as_of = server.clock.now() - int(action.get("ms", 1000))
        case "fill":
            await trading.fill_of(server, request, action.get("quantity"), action.get("price"))
        case "fills":
            server.spawn(trading.fills_of(server, request, action.get("script", [])))
        case "ban":
            limits.ban(server.counters, request.address, server.clock.now(), action.get("seconds"))


TEXTS: Final = {
    -1000: "An unknown error occurred while processing the request.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1003: "Too many requests queued.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    -1008: "Server is currently overloaded with other requests. Please try again in a few minutes.",
    -1015: "Too many new orders.",
    -1021: errors.LATE.msg,
    -1022: errors.BAD_SIGNATURE.msg,
    -2015: errors.BAD_KEY.msg,
}


def _refuse(course: _Course, action: Mapping[str, Any]) -> None:
    code = int(action.get("code", -1000))
    text = str(action.get("msg", TEXTS.get(code, TEXTS[-1000])))
    course.error = ApiError(int(action.get("status", 500)), code, text)
    course.raw = None
    if "retryAfter" in action:
        course.retry_after = int(action["retryAfter"])


async def _later(server: Server, request: Request, method: Method, number: int, ms: int) -> None:
    """Commits after the answer has been given: the order was on its way all the time."""
    await asyncio.sleep(ms / 1000)
    await method.handler(server, request)
    now = server.clock.now()
    server.ledger.note(
        {
            "n": number,
            "t": now,
            "method": method.name,
            "late": True,
            "commit": request.commit,
            "account": request.account,
            "clientOrderId": request.client_order_id(),
        }
    )


def _answered(server: Server, request: Request, course: _Course, value: Any) -> Answer:
    now = server.clock.now()
    error = course.error
    status = error.status if error else course.status
    used = server.counters.address(request.address).weight.at(now)
    headers = {"X-MBX-USED-WEIGHT": str(used), "X-MBX-USED-WEIGHT-1M": str(used), "Server": "nginx"}
    if course.method.places and error is None and request.account:
        short, day = server.counters.of_account(request.account)
        headers |= {"X-MBX-ORDER-COUNT-10S": str(short.at(now)), "X-MBX-ORDER-COUNT-1D": str(day.at(now))}
    if course.retry_after is not None:
        headers["Retry-After"] = str(course.retry_after)
    body = error.body() if error else value
    if request.microseconds and error is None:
        body = in_microseconds(body)
    raw = orjson.dumps(body) if course.raw is None else course.raw
    delivery = course.delivery
    if delivery == "truncate":
        raw, delivery = raw[: len(raw) // 2], "send"
        course.raw = raw
    return Answer(
        status, body, raw, course.raw is not None, headers, course.content_type, delivery, error, course.retry_after
    )


TIMES: Final = frozenset(
    {
        "time", "updateTime", "transactTime", "workingTime", "serverTime", "transactionTime", "openTime", "closeTime",
        "E", "T", "O", "W", "C",
    }
)  # fmt: skip


def in_microseconds(body: Any) -> Any:
    """The same with its times as clients see them that ask for `MICROSECOND`."""
    if isinstance(body, list):
        return [in_microseconds(one) for one in body]
    if not isinstance(body, dict):
        return body
    return {
        name: value * 1000 if name in TIMES and isinstance(value, int) and value > 0 else in_microseconds(value)
        for name, value in body.items()
    }


def _note(server: Server, request: Request, course: _Course, answer: Answer, arrived: int) -> None:
    server.ledger.note(
        {
            "n": course.number,
            "t": arrived,
            "method": request.method,
            "transport": request.transport,
            "account": request.account,
            "symbol": request.params.get("symbol"),
            "clientOrderId": request.client_order_id(),
            "params": {name: value for name, value in request.params.items() if name not in {"signature", "apiKey"}},
            "signature": "session" if request.logged_on else course.signature,
            "commit": request.commit,
            "status": answer.status,
            "code": answer.error.code if answer.error else None,
            "answer": "sent" if answer.delivery == "send" and not answer.garbled else f"lost: {answer.delivery}",
        }
    )
