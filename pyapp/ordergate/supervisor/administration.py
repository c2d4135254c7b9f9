"""The client side of `run/admin.sock`: one JSON line there, one JSON line back."""

import json
import socket
from pathlib import Path
from typing import Any, Final

ANSWER_TIMEOUT_S: Final = 15.0
"""An answer waits for the journal's flush and, at most, for a gateway that is busy."""
ANSWER_LIMIT: Final = 64 * 1024 * 1024


class NotRunning(Exception):
    """Nobody listens on the socket: no gateway is running on this data directory."""


class AdministrationError(Exception):
    """The gateway refused; `code` is stable, the text is for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def listening(address: Path) -> bool:
    """Whether a gateway accepts connections there."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(1.0)
            link.connect(str(address))
    except OSError:
        return False
    return True


def ask(address: Path, verb: str, arguments: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
    """The gateway's answer. Raises NotRunning, or AdministrationError with the gateway's own words."""
    line = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(timeout_s)
            try:
                link.connect(str(address))
            except (FileNotFoundError, ConnectionRefusedError) as error:
                raise NotRunning(f"no gateway listens on {address}") from error
            link.sendall(json.dumps({"verb": verb, "args": arguments}).encode() + b"\n")
            while not line.endswith(b"\n") and len(line) < ANSWER_LIMIT:
                chunk = link.recv(1 << 20)
                if not chunk:
                    break
                line += chunk
    except PermissionError as error:
        raise AdministrationError("forbidden", f"{address}: only the user that runs ordergate may do this") from error
    except OSError as error:
        raise AdministrationError("unavailable", f"the gateway did not answer: {error}") from error
    return result(line)


def result(line: bytes) -> Any:
    """What an answer line says. Raises AdministrationError."""
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise AdministrationError("unavailable", "the gateway ended before it answered: ask again") from error
    if isinstance(answer, dict) and "ok" in answer:
        return answer["ok"]
    refused = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(refused, dict):
        raise AdministrationError(str(refused.get("code", "refused")), str(refused.get("detail", refused)))
    raise AdministrationError("unreadable", f"the gateway's answer is not understood: {line[:200]!r}")
