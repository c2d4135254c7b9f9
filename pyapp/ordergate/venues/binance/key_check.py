"""What a key must be able to do, and must not: looked at when it is added and before LIVE trades with it.

What the exchange does not say plainly counts as not so: a key is refused unless it says that it cannot withdraw.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from ordergate.venues.binance import outcomes
from ordergate.venues.binance.answer import Answer
from ordergate.venues.binance.clock import Clock
from ordergate.venues.binance.rest import Rest

Result = Literal["ok", "warning", "failed", "unknown"]
CLOCK_OFF_MS: Final = 1_000.0
"""From here on people should look after this machine's clock, although we sign with the exchange's time."""
MOVES_MONEY: Final = ("enableInternalTransfer", "permitsUniversalTransfer")

NO_WITHDRAWAL: Final = "no withdrawals"
"""The name of the finding that no trading may begin without."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `advice`: what a person does about it; empty when nothing is to be done."""

    name: str
    result: Result
    text: str
    advice: str = ""


def refuses(findings: list[Finding]) -> bool:
    """Whether LIVE must not trade with this key (now): anything failed or could not be looked at."""
    return any(one.result in ("failed", "unknown") for one in findings)


async def examine(rest: Rest) -> list[Finding]:
    """Asks the exchange; stops where further questions would only repeat the first failure."""
    answer = await rest.time()
    found = [_reachable(answer)]
    if found[0].result != "ok":
        return found
    found.append(_clock(rest.clock))
    restrictions = await rest.restrictions()
    found.append(_key(restrictions))
    if found[-1].result != "ok":
        return found
    account = await rest.account()
    said = restrictions.body if isinstance(restrictions.body, dict) else {}
    return [*found, _no_withdrawal(said), _may_trade(said, account), _transfers(said), _addresses(said)]


def _reachable(answer: Answer) -> Finding:
    if answer.status == 200 and answer.body is not None:
        return Finding("reachable", "ok", "the exchange answers")
    seen = outcomes.of_query(answer)
    advice = "look at binance.rest_url, binance.allowed_hosts, name resolution and firewalls; then try again"
    if answer.retry_after_ms:
        advice = f"the exchange wants nothing sent for {answer.retry_after_ms // 1_000 + 1} s: try again then"
    return Finding("reachable", "unknown", f"{seen.reason}: {seen.text}", advice)


def _clock(clock: Clock) -> Finding:
    text = f"the exchange is {clock.offset_ms / 1_000:+.3f} s from this machine, known to {clock.bound_ms:.0f} ms"
    if not clock.good:
        return Finding("clock", "unknown", text, "its answers take too long to tell its time: look at the connection")
    if abs(clock.offset_ms) > CLOCK_OFF_MS:
        return Finding("clock", "warning", text, "orders carry the exchange's time; keep this machine's by NTP anyway")
    return Finding("clock", "ok", text)


KEY_ADVICE: Final = {
    "KEY_REFUSED": "the key is wrong or withdrawn, has no right to read, or this machine's address is not on its list: "
    "look at it in the exchange's API management; after making a new one, `ordergate venue add` again",
    "WRONG_SIGNATURE": "the secret does not belong to this key: `ordergate venue add` again",
    "WRONG_TIME": "the exchange takes our time for wrong: try again; if it stays so, look at the connection",
    "RATE_LIMITED": "too much was asked from this address: try again later",
}


def _key(answer: Answer) -> Finding:
    if answer.status == 200 and isinstance(answer.body, dict):
        return Finding("key", "ok", "the exchange knows it, and takes our signature")
    seen = outcomes.of_query(answer)
    result: Result = "failed" if seen.reason in ("KEY_REFUSED", "WRONG_SIGNATURE") else "unknown"
    return Finding("key", result, f"{seen.reason}: {seen.text}", KEY_ADVICE.get(seen.reason, "try again"))


def _no_withdrawal(said: dict[str, Any]) -> Finding:
    can = said.get("enableWithdrawals")
    if can is False:
        return Finding(NO_WITHDRAWAL, "ok", "the key cannot withdraw")
    text = "the key can withdraw" if can is True else "the exchange does not say that the key cannot withdraw"
    return Finding(
        NO_WITHDRAWAL, "failed", text, "switch withdrawals off for this key: whoever steals it could empty the account"
    )


def _may_trade(said: dict[str, Any], account: Answer) -> Finding:
    members = account.body if account.status == 200 and isinstance(account.body, dict) else None
    if members is None:
        seen = outcomes.of_query(account)
        return Finding("trading", "unknown", f"{seen.reason}: {seen.text}", "try again")
    checks: list[tuple[str, Callable[[], bool], str]] = [
        (
            "the key may trade",
            lambda: said.get("enableSpotAndMarginTrading") is True,
            "allow spot trading for this key",
        ),
        ("the account may trade", lambda: members.get("canTrade") is True, "ask the exchange why the account may not"),
    ]
    for text, holds, advice in checks:
        if not holds():
            return Finding("trading", "failed", text.replace("may trade", "may not trade"), advice)
    return Finding("trading", "ok", "key and account may trade")


def _transfers(said: dict[str, Any]) -> Finding:
    able = [name for name in MOVES_MONEY if said.get(name) is True]
    if able:
        text = f"the key can move money between accounts ({', '.join(able)})"
        return Finding("transfers", "warning", text, "switch it off: ordergate does not use it")
    return Finding("transfers", "ok", "the key moves no money between accounts")


def _addresses(said: dict[str, Any]) -> Finding:
    if said.get("ipRestrict") is True:
        return Finding("addresses", "ok", "the key is bound to addresses")
    text = "the key may be used from everywhere"
    return Finding("addresses", "warning", text, "bind it to this machine's address in the exchange's API management")
