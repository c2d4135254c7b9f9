"""The table of administration verbs, shared by the admin socket and by the CLI when no gateway runs.

Every change is a journal record. `execute` returns after the append: whoever answers waits for the flush.
"""

import hashlib
import re
import secrets
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from ordergate import _core
from ordergate.gateway import doubt_administration, rule_administration
from ordergate.gateway.kill_scopes import SCOPES, key_of, scope_of
from ordergate.gateway.kill_switch import LEVELS
from ordergate.gateway.verbs import Arguments, Json, Nothing, Refused

TOKEN_PREFIX: Final = "og_"
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_CHARACTERS: Final = 43  # 62**43 > 2**256
_CHECK_CHARACTERS: Final = 6  # 62**6 > 2**32
# Stand in `instruments.toml` beside the filters, for the PAPER venue's price source.
_OF_THE_VENUE: Final = frozenset({"openingPrice"})
_JOURNAL_TIME_MAX_NS: Final = (1 << 64) - 1
_amount = re.compile(r"(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,8})?").fullmatch
_asset = re.compile(r"[A-Z0-9]{1,20}").fullmatch


class AccountsCreate(Arguments):
    """A new account; `paper` is what it starts with, by asset."""

    name: str
    paper: dict[str, str] = msgspec.field(default_factory=dict)


class KeysCreate(Arguments):
    """A new API key. `rate_per_second` 0 means no limit; `expires_at` is RFC 3339; empty lists allow everything."""

    account: str
    owner: str
    name: str
    scopes: list[str]
    rate_per_second: int
    expires_at: str | None = None
    symbols: list[str] = msgspec.field(default_factory=list)
    ip_allow: list[str] = msgspec.field(default_factory=list)


class KeysRevoke(Arguments):
    """The key that is no longer accepted."""

    id: int


class TradingStateChange(Arguments):
    """ACTIVE, REDUCE_ONLY or HALTED for a scope; an absent mode is both."""

    scope: str
    state: str
    by: str
    reason: str
    target: str = ""
    mode: str | None = None


class StpGroupChange(Arguments):
    """The group of accounts that this one must not trade with; empty is its own."""

    account: str
    group: str
    by: str
    reason: str


class InstrumentsLoad(Arguments):
    """Instruments with their filters; those that did not change are not journaled again."""

    instruments: list[dict[str, str]]


class KillChange(Arguments):
    """Who stops or starts trading, and why."""

    by: str
    reason: str = "no reason given"
    scope: str = "global"
    target: str = ""
    level: int = 1

    def place(self) -> tuple[str, str]:
        """Scope and target. Raises Refused for what cannot be stopped."""
        if self.scope not in ("global", *SCOPES):
            raise Refused("not_found", f"scope {self.scope!r} is none of global, account, strategy, symbol")
        if self.scope != "global" and scope_of(key_of((self.scope, self.target)).encode("utf-8", "replace")) is None:
            raise Refused("not_found", f"target {self.target[:64]!r} cannot be a name of that")
        if self.scope == "global" and self.target:
            raise Refused("invalid_field", "global has no target")
        if self.level not in LEVELS:
            raise Refused("invalid_field", "level must be 1, 2 or 3")
        return self.scope, self.target


class HeartbeatEnd(Arguments):
    """A watch that nobody beats any more, and the operator who ends it."""

    scope: str
    target: str
    by: str


class KillAdopt(Arguments):
    """Who says that this Redis is ours from now on."""

    by: str


Model = TypeVar("Model", bound=Arguments)


def make_token() -> str:
    """A new API token: `og_`, 256 random bits in base 62, and a checksum that lets scanners recognise a leaked one."""
    body = TOKEN_PREFIX + _base62(secrets.randbits(256), _SECRET_CHARACTERS)
    return body + _base62(zlib.crc32(body.encode()), _CHECK_CHARACTERS)


def is_token(text: str) -> bool:
    """Whether the text has a token's shape and checksum. Says nothing about whether it is accepted."""
    body, check = text[:-_CHECK_CHARACTERS], text[-_CHECK_CHARACTERS:]
    return (
        len(text) == len(TOKEN_PREFIX) + _SECRET_CHARACTERS + _CHECK_CHARACTERS
        and text.startswith(TOKEN_PREFIX)
        and _base62(zlib.crc32(body.encode()), _CHECK_CHARACTERS) == check
    )


def execute(gateway: _core.Gateway, verb: str, args: Json) -> Json:
    """Carries out one verb: `{"ok": …}` or `{"error": {"code", "detail"}}`. What was journaled is not yet durable."""
    row = VERBS.get(verb)
    if row is None:
        return error("unknown_verb", f"There is no verb {verb[:64]!r}; known: {', '.join(sorted(VERBS))}.")
    model, action = row
    try:
        return {"ok": action(gateway, convert(args, model))}
    except Refused as refused:
        return error(*refused.args)
    except ValueError as invalid:  # the engine's own words
        return error("invalid_field", str(invalid))
    except OverflowError:
        return error("invalid_field", "a number is out of range: negative, or too large")


def convert(args: Json, model: type[Model]) -> Model:
    """The arguments of a verb. Raises Refused, naming the field."""
    try:
        return msgspec.convert(args, model)
    except msgspec.ValidationError as invalid:
        raise Refused("invalid_field", str(invalid)) from None


def error(code: str, detail: str) -> Json:
    """An answer that refuses."""
    return {"error": {"code": code, "detail": detail}}


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _accounts_create(gateway: _core.Gateway, args: AccountsCreate) -> Json:
    # Everything is checked before the first record: a half-made account would stay.
    for asset, amount in args.paper.items():
        if _asset(asset) is None or _amount(amount) is None:
            raise Refused("invalid_field", f"paper: {asset}={amount} is not an asset with a decimal amount")
    gateway.create_account(args.name)
    for asset, amount in args.paper.items():
        gateway.adjust_balance(args.name, "PAPER", asset, amount, "opening balance")
    return {"account": args.name}


def _accounts_list(gateway: _core.Gateway, args: Nothing) -> Any:
    return msgspec.json.decode(gateway.accounts())


def _keys_create(gateway: _core.Gateway, args: KeysCreate) -> Json:
    if not 0 <= args.rate_per_second <= 1_000_000:
        raise Refused("invalid_field", "ratePerSecond must be 0 to 1,000,000")
    expires_ns = None if args.expires_at is None else _journal_time(gateway, args.expires_at)
    token = make_token()
    digest = hashlib.sha256(token.encode()).digest()
    key = gateway.create_key(
        args.account,
        args.owner,
        args.name,
        digest,
        args.scopes,
        args.rate_per_second,
        expires_ns,
        args.symbols,
        args.ip_allow,
    )
    return {"id": key, "token": token}


def _journal_time(gateway: _core.Gateway, text: str) -> int:
    """Journal time runs beside the wall clock: what is asked for is so far from now on either."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused("invalid_field", f"expiresAt: {text!r} is not RFC 3339") from None
    if moment.tzinfo is None:
        raise Refused("invalid_field", "expiresAt needs a time zone")
    left = (moment - datetime.now(UTC)).total_seconds()
    if left <= 0:
        raise Refused("invalid_field", "expiresAt has passed")
    expires_ns = gateway.now_ns() + int(left * 1_000_000_000)
    if expires_ns > _JOURNAL_TIME_MAX_NS:
        raise Refused("invalid_field", "expiresAt is too far away: leave it out for a key that never expires")
    return expires_ns


def _keys_list(gateway: _core.Gateway, args: Nothing) -> Any:
    return msgspec.json.decode(gateway.keys())


def _keys_revoke(gateway: _core.Gateway, args: KeysRevoke) -> Json:
    return {"seq": gateway.revoke_key(args.id)}


def _instruments_load(gateway: _core.Gateway, args: InstrumentsLoad) -> Json:
    changed = []
    for fields in args.instruments:
        terms = {name: value for name, value in fields.items() if name not in _OF_THE_VENUE}
        if gateway.set_instrument(terms):
            changed.append(fields.get("symbol", ""))
    return {"changed": changed}


def _trading_state_set(gateway: _core.Gateway, args: TradingStateChange) -> Json:
    words = (args.scope, args.target, args.mode, args.state, args.reason, args.by)
    return {"seq": gateway.set_trading_state(*words, "admin")}


def _risk_state(gateway: _core.Gateway, args: Nothing) -> Any:
    return msgspec.json.decode(gateway.risk_state())


def _stp_group_set(gateway: _core.Gateway, args: StpGroupChange) -> Json:
    return {"seq": gateway.set_stp_group(args.account, args.group, args.by, args.reason)}


def _kill_on(gateway: _core.Gateway, args: KillChange) -> Json:
    scope, target = existing(gateway, args)
    return {"seq": gateway.kill_on(scope, target, args.level, args.reason, args.by, "admin")}


def existing(gateway: _core.Gateway, args: KillChange) -> tuple[str, str]:
    """Scope and target of a kill, which must be there. Raises Refused."""
    scope, target = args.place()
    if not gateway.kill_target_exists(scope, target):
        raise Refused("not_found", f"there is no {scope} {target}")
    return scope, target


def _kill_off(gateway: _core.Gateway, args: KillChange) -> Json:
    scope, target = args.place()
    if gateway.kill_state(scope, target) is None:
        return {"seq": 0}
    return {"seq": gateway.kill_off(scope, target, args.by, "admin")}


def _kill_status(gateway: _core.Gateway, args: Nothing) -> Json:
    state = gateway.kill_state("global", "")
    scoped = msgspec.json.decode(gateway.kills())
    others = {
        "scoped": [kill for kill in scoped["kills"] if kill["scope"] != "global"],
        "notFlat": scoped["notFlat"],
    }
    if state is None:
        return {"killed": False, **others}
    level, reason, seq = state
    return {"killed": True, "level": level, "reason": reason, "seq": seq, **others}


def _kill_adopt(gateway: _core.Gateway, args: KillAdopt) -> Json:
    raise Refused("gateway_not_running", "only a running gateway can adopt a redis: start it, then ask again")


def _heartbeats_list(gateway: _core.Gateway, args: Nothing) -> Any:
    return msgspec.json.decode(gateway.heartbeats())


def _heartbeats_end(gateway: _core.Gateway, args: HeartbeatEnd) -> Json:
    seq = gateway.end_heartbeat(args.scope, args.target, args.by)
    if isinstance(seq, _core.Refusal):
        raise Refused(seq.code, seq.detail)
    if not seq:
        raise Refused("not_found", f"{args.scope} {args.target} is not watched")
    return {"seq": seq}


def _status(gateway: _core.Gateway, args: Nothing) -> Json:
    return dict(gateway.status())


Action = Callable[[_core.Gateway, Any], Any]
VERBS: Final[dict[str, tuple[type[Arguments], Action]]] = {
    "accounts.create": (AccountsCreate, _accounts_create),
    "accounts.list": (Nothing, _accounts_list),
    "heartbeats.end": (HeartbeatEnd, _heartbeats_end),
    "heartbeats.list": (Nothing, _heartbeats_list),
    "instruments.load": (InstrumentsLoad, _instruments_load),
    "keys.create": (KeysCreate, _keys_create),
    "keys.list": (Nothing, _keys_list),
    "keys.revoke": (KeysRevoke, _keys_revoke),
    "kill.adopt-redis": (KillAdopt, _kill_adopt),
    # Without a gateway these journal only: a key at Redis has its say at the next start.
    "kill.off": (KillChange, _kill_off),
    "kill.on": (KillChange, _kill_on),
    "kill.status": (Nothing, _kill_status),
    **doubt_administration.VERBS,
    **rule_administration.VERBS,
    "risk.state": (Nothing, _risk_state),
    "risk.state.set": (TradingStateChange, _trading_state_set),
    "status": (Nothing, _status),
    "stp-group.set": (StpGroupChange, _stp_group_set),
}
