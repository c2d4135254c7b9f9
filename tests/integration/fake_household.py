"""`ordergate up` with real servers and small stand-ins for our own processes. Run as a program by the tests.

fake_household.py DATA_DIR PORT          the supervisor
fake_household.py gateway DATA_DIR PORT  the stand-ins, started by it
"""

import http.server
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ordergate.config import Paths
from ordergate.supervisor import administration, up
from ordergate.supervisor.processes import Child, Household
from ordergate.supervisor.table import STOP_BY_S

SCOPES = ["read", "trade"]


def note(paths: Paths, text: str) -> None:
    """One line in a file that the tests read: who began and ended, in which order."""
    with (paths.data / "notes").open("a") as notes:
        notes.write(f"{time.monotonic():.6f} {text} {os.getpid()}\n")


def until_told(paths: Paths, name: str, over: Callable[[], bool] = lambda: False) -> None:
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    note(paths, f"{name} begins")
    if os.environ.get("FAKE_DEAF") == name:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while not told.wait(0.05):
        if over():
            os._exit(1)
    note(paths, f"{name} ends")
    os._exit(0)


def gateway(paths: Paths, port: int) -> None:
    code = os.environ.get("FAKE_GATEWAY_CODE")
    if code:
        print("the journal refuses to start: segment 7", flush=True)
        os._exit(int(code))

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            while (paths.data / "hang").exists():
                time.sleep(0.05)
            session = (paths.run / "session").exists()
            body = json.dumps({"ready": session, "reasons": [] if session else ["PAPER: not connected"]}).encode()
            self.send_response(200 if session else 503)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

    threading.Thread(target=Server(("127.0.0.1", port), Answers).serve_forever, daemon=True).start()
    paths.admin_socket.unlink(missing_ok=True)
    (paths.run / "session").unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(paths.admin_socket))
    door.listen()
    threading.Thread(target=administer, args=(paths, door), daemon=True).start()
    until_told(paths, "gateway")


def administer(paths: Paths, door: socket.socket) -> None:
    book = paths.data / "book.json"
    while True:
        link, _ = door.accept()
        with link, link.makefile("rw") as lines:
            for line in lines:
                known = json.loads(book.read_text()) if book.exists() else {"accounts": [], "keys": [], "asked": []}
                asked = json.loads(line)
                known["asked"].append(asked)
                answer: object = {}
                if asked["verb"] == "accounts.list":
                    answer = known["accounts"]
                elif asked["verb"] == "keys.list":
                    answer = known["keys"]
                elif asked["verb"] == "accounts.create":
                    known["accounts"].append({"name": asked["args"]["name"]})
                elif asked["verb"] == "keys.create":
                    known["keys"].append({"id": 1})
                    answer = {"id": 1, "token": "og_" + "a" * 49}
                book.write_text(json.dumps(known))
                lines.write(json.dumps({"ok": answer}) + "\n")
                lines.flush()


def venue(paths: Paths, port: int) -> None:
    session = paths.run / "session"
    session.write_text("")
    until_told(paths, "venue", over=lambda: not session.exists())


def rows(paths: Paths, environment: Mapping[str, str]) -> list[Child]:
    def row(name: str, needs: tuple[str, ...] = ()) -> Child:
        return Child(
            name=name,
            command=(sys.executable, __file__, name, str(paths.data), environment["ORDERGATE_HTTP__PORT"]),
            environment=environment,
            log=paths.log / f"{name}.log",
            ready=(lambda: administration.listening(paths.admin_socket)) if name == "gateway" else (lambda: True),
            needs=needs,
            stop_signals=((signal.SIGTERM, STOP_BY_S[name]),),
            fatal_codes=frozenset({2, 78}),
            essential=name == "gateway",
            attempts=3 if name == "gateway" else None,
        )

    return [row("gateway"), row("venue", ("gateway",)), row("worker")]


async def no_migration(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS started (at timestamptz DEFAULT now())")
    await connection.execute("INSERT INTO started DEFAULT VALUES")
    await connection.close()


def early_stop(*arguments: Any) -> Household:
    """A Ctrl-C after the event loop's start, before the supervisor's own handlers are there."""
    os.kill(os.getpid(), signal.SIGINT)
    return Household(*arguments)


def main(arguments: list[str]) -> int:
    if arguments[0] in ("gateway", "venue", "worker"):
        name, data, port = arguments
        plays = {"gateway": gateway, "venue": venue, "worker": lambda paths, _: until_told(paths, "worker")}
        plays[name](Paths(Path(data)), int(port))
        return 0
    data, port = arguments
    if os.environ.get("FAKE_IMPATIENT"):
        up.WATCH_EVERY_S, up.SILENT_GATEWAY = 0.2, 1  # type: ignore[misc]
    if os.environ.get("FAKE_EARLY_STOP"):
        up.Household = early_stop  # type: ignore[assignment, misc]
    chosen = {"ORDERGATE_HTTP__PORT": port}
    try:
        return up.run(data, chosen, up.Plan(rows, lambda: SCOPES, no_migration))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
