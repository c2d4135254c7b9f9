"""Request bodies: of announced length, at most 64 KiB, within 10 seconds, without a timer per request."""

import asyncio
import json
from asyncio import current_task
from time import monotonic
from typing import Any, Final, TypeVar

import msgspec

from ordergate.http import problem
from ordergate.http.deps import Headers, HttpProtocol, Request
from ordergate.http.problem import Reply

BODY_BYTES_MAX: Final = 65_536
BODY_SECONDS_MAX: Final = 10.0
Document = TypeVar("Document", bound=msgspec.Struct)


class Bodies:
    """Reads bodies and ends those that take too long: one sweep a second looks at the oldest reader only."""

    __slots__ = ("_client_left", "_ended", "_readers")

    def __init__(self, client_left: type[Exception]) -> None:
        self._client_left = client_left
        # In order of arrival, so that the sweep stops at the first reader that still has time.
        self._readers: dict[asyncio.Task[object] | None, float] = {}
        self._ended: dict[asyncio.Task[object] | None, str] = {}

    async def read(self, headers: Headers, proto: HttpProtocol) -> bytes | tuple[str, str]:
        """The whole body, or (code, detail) of the problem."""
        length = headers.get("content-length")
        if length is None:
            # granian ends a chunked body that breaks off like a whole one: what it holds may be half an order.
            return ("length_required", "") if "transfer-encoding" in headers else b""
        if len(length) > 4 and int(length) > BODY_BYTES_MAX:
            return "body_too_large", ""
        task = current_task()
        self._readers[task] = monotonic()
        try:
            # hyper never hands out more than the announced length, and less of it is an error.
            return await proto()
        except self._client_left:
            return "malformed_json", "The body ended early."
        except asyncio.CancelledError:
            code = self._ended.pop(task, None)
            if code is None or task is None:
                raise
            task.uncancel()
            return code, ""
        finally:
            del self._readers[task]

    def sweep(self, now: float) -> None:
        """Ends the reading of bodies that began more than 10 seconds before `now` (monotonic seconds): 408."""
        for task, began in self._readers.items():
            if now - began < BODY_SECONDS_MAX:
                return
            self._end(task, "request_timeout")

    def end_all(self) -> None:
        """Ends every reading at once, because the gateway stops: 503."""
        for task in self._readers:
            self._end(task, "shutting_down")

    def _end(self, task: asyncio.Task[object] | None, code: str) -> None:
        if task is not None and task not in self._ended:
            self._ended[task] = code
            task.cancel()


async def decoded(bodies: Bodies, request: Request, model: type[Document]) -> Document | Reply:
    """The body as `model`, or the problem that it is; a member given twice is one. Orders are decoded in Rust."""
    if request.headers.get("authorization") is None:
        return problem.reply("unauthorized", request.id, headers=[problem.CLOSE])
    body = await bodies.read(request.headers, request.proto)
    if isinstance(body, tuple):
        return problem.reply(body[0], request.id, body[1])
    try:
        document = msgspec.json.decode(body, type=model)
        json.loads(body, object_pairs_hook=_each_once)
    except msgspec.ValidationError as invalid:
        return problem.reply("invalid_field", request.id, str(invalid))
    except (ValueError, RecursionError) as malformed:
        return problem.reply("malformed_json", request.id, str(malformed))
    return document


def _each_once(members: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in members]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)}: given twice")
