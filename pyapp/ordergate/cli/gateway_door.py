"""Administration from the command line: through the running gateway, or by the journal itself when none runs."""

import time
from typing import Any, Final

from ordergate.cli.terms import refuse
from ordergate.config import Paths, SettingsError, load_settings
from ordergate.supervisor import administration

FLUSH_TIMEOUT_S: Final = 10.0


class Unopened(Exception):
    """Why the journal cannot be used, and the code that the command ends with."""


def ask(paths: Paths, verb: str, arguments: dict[str, Any]) -> Any:
    """The answer, durable. Ends the command with a message when it is refused."""
    try:
        return administration.ask(paths.admin_socket, verb, arguments)
    except administration.NotRunning:
        try:
            return without_gateway(paths, verb, arguments)
        except Unopened as why:
            refuse(*why.args)
    except administration.AdministrationError as error:
        refuse(f"{error} ({error.code})", 1)


def without_gateway(paths: Paths, verb: str, arguments: dict[str, Any]) -> Any:
    """The answer, durable, by the journal itself. Raises Unopened when that cannot be used now."""
    if not any(paths.journal.glob("*.seg")):
        refuse(f"ordergate has not run on {paths.data} yet: start it with `ordergate up --data-dir {paths.data}`")
    from ordergate import _core
    from ordergate.gateway import administration as gateway_side

    try:
        settings = load_settings(paths.data, environment={})
        gateway = _core.Gateway.open(
            str(paths.journal),
            str(paths.snapshots),
            segment_bytes=settings.journal.segment_mib << 20,
            state_hash_every=settings.journal.state_hash_every,
        )
        gateway.set_loosen_percent(settings.risk.loosen_percent)
    except SettingsError as error:
        raise Unopened(str(error), 2) from error
    except _core.JournalLocked:
        raise Unopened("the gateway is starting or stopping: try again in a moment", 1) from None
    except _core.JournalRefused as error:
        raise Unopened(str(error), 78) from error
    try:
        answer = _executed(gateway_side, gateway, verb, arguments)
        until = time.monotonic() + FLUSH_TIMEOUT_S
        while gateway.durable_seq() < gateway.last_seq:
            gateway.drain()
            if time.monotonic() > until:
                raise Unopened("the journal was not flushed in time: nothing is certain, look again with `list`", 1)
            time.sleep(0.002)
        return answer
    except _core.JournalFailed as error:
        raise Unopened(f"the journal cannot be written: {error}", 70) from error
    finally:
        gateway.close()


def _executed(gateway_side: Any, gateway: Any, verb: str, arguments: dict[str, Any]) -> Any:
    """`execute` answers like the socket does ({"ok": …} or {"error": …}), or with the bare result."""
    answer = gateway_side.execute(gateway, verb, arguments)
    if isinstance(answer, dict) and answer.keys() <= {"ok", "error"} and answer:
        if "ok" in answer:
            return answer["ok"]
        refuse(f"{answer['error'].get('detail')} ({answer['error'].get('code')})", 1)
    return answer
