"""The kill verbs of a running gateway: Redis has to agree, and the poller speaks for it."""

from collections.abc import Awaitable, Callable
from typing import Any

from ordergate import _core
from ordergate.gateway import administration
from ordergate.gateway.admin_socket import Json, LiveVerb
from ordergate.gateway.durability import Durability
from ordergate.gateway.kill_poller import KillPoller
from ordergate.gateway.verbs import Nothing, Refused

Work = Callable[[Any], Awaitable[Json]]


def live_verbs(gateway: _core.Gateway, durability: Durability, kill: KillPoller) -> dict[str, LiveVerb]:
    """By name; they come before those of `administration`."""

    async def durably(answer: Json) -> Json:
        """Whoever cleared or adopted something may rely on it. Killing alone waits for nothing."""
        await durability.wait(gateway.last_seq)
        return answer

    async def kill_on(change: administration.KillChange) -> Json:
        scope = administration.existing(gateway, change)
        return {"ok": {"seq": await kill.activate(change.reason, change.by, "admin", scope, change.level)}}

    async def kill_off(change: administration.KillChange) -> Json:
        refusal = await kill.clear(change.by, "admin", change.place())
        if refusal:
            return administration.error("kill_switch_unreadable", refusal)
        return await durably({"ok": {"seq": gateway.last_seq}})

    async def kill_adopt(adoption: administration.KillAdopt) -> Json:
        refusal = await kill.adopt(adoption.by)
        if refusal:
            return administration.error("nothing_adopted", refusal)
        return await durably({"ok": _status(gateway, kill)})

    async def kill_status(_: Nothing) -> Json:
        return {"ok": _status(gateway, kill)}

    return {
        "kill.adopt-redis": _verb(administration.KillAdopt, kill_adopt),
        "kill.off": _verb(administration.KillChange, kill_off),
        "kill.on": _verb(administration.KillChange, kill_on),
        "kill.status": _verb(Nothing, kill_status),
    }


def _verb(model: type[Any], work: Work) -> LiveVerb:
    async def verb(args: Json) -> Json:
        try:
            return await work(administration.convert(args, model))
        except Refused as refused:
            return administration.error(*refused.args)

    return verb


def _status(gateway: _core.Gateway, kill: KillPoller) -> Json:
    """The state in force, and why Redis has no say at the moment (null when it has)."""
    status: Json = administration.execute(gateway, "kill.status", {})["ok"]
    foreign = f"redis holds the kill switch of install {kill.foreign}" if kill.foreign else None
    return status | {"redisProblem": kill.problem or foreign, "readingAgeMs": gateway.status().get("killReadingAgeMs")}
