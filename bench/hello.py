"""The least that an RSGI application can do, on the gateway's own server: what durable placement is held against.

A POST's body is read, as any service must; a GET is answered at once.

`python bench/hello.py PORT` serves until SIGTERM.
"""

import asyncio
import signal
import sys
from typing import Any

import uvloop

from ordergate.config import Settings
from ordergate.config.settings import Http
from ordergate.gateway.main import _server

ANSWER = b'{"hello":"world"}'
HEADERS = [("content-type", "application/json")]


class Hello:
    """Small JSON in, small JSON out."""

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.method == "POST":
            await protocol()
        protocol.response_bytes(200, HEADERS, ANSWER)


async def serve(port: int) -> None:
    """Serves until SIGTERM, on the very settings of the gateway's server."""
    server = _server(Hello(), Settings(http=Http(port=port)))  # type: ignore[arg-type]
    serving = asyncio.ensure_future(server.serve())
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait((serving,), timeout=0.5)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
