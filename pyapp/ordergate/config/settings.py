"""Settings: what can be set, from which places, and what is wrong with what was set.

Later places win: the defaults here, `ordergate.toml` in the data directory, then the environment
(`ORDERGATE_<SECTION>__<KEY>`; `DATABASE_URL` and `REDIS_URL` stand for the two URLs). A secret may also be named by
`<key>_file`, so that it need not stand in a file that others read or in the environment.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ordergate.config.checks import CHECKS

PREFIX: Final = "ORDERGATE_"
URL_VARIABLES: Final = {"DATABASE_URL": "postgres.url", "REDIS_URL": "redis.url"}
OTHER_VARIABLES: Final = frozenset(
    {"ORDERGATE_DATA_DIR", "ORDERGATE_TOKEN", "ORDERGATE_ENV_FOR", "ORDERGATE_MASTER_KEY"}
)
"""No settings: the command line's data directory, what `ordergate env` exports, and the key to the credentials, which
only those read who need it (`config.master_key`)."""
SECRETS: Final = frozenset({"postgres.url", "redis.url"})

PortNumber = Annotated[int, Meta(ge=1, le=65535)]
Text = Annotated[str, Meta(min_length=1)]
Bytes = Annotated[int, Meta(ge=0, le=1 << 50)]


class Http(msgspec.Struct, frozen=True):
    """Where the gateway answers. `host`: a name that was set has become its address."""

    host: Text = "127.0.0.1"
    port: PortNumber = 3000


class Postgres(msgspec.Struct, frozen=True):
    """No `url`: ordergate runs its own server. `bin_dir`: the server programs to use for that."""

    url: Text | None = None
    bin_dir: Text | None = None


class Redis(msgspec.Struct, frozen=True):
    """No `url`: ordergate runs its own Valkey. `port`: its loopback port (6379: another one when that is taken)."""

    url: Text | None = None
    port: PortNumber = 6379


class Journal(msgspec.Struct, frozen=True):
    """Sizes of the journal: a segment's file in MiB, and records between two state hashes.

    Free bytes on its file system below which people are warned (soft) and new orders refused (hard), and the size of
    the reserve for what follows from orders taken before (at least a segment); 0 switches each off.
    """

    segment_mib: Annotated[int, Meta(ge=1, le=1024)] = 64
    state_hash_every: Annotated[int, Meta(ge=1, le=10_000_000)] = 10_000
    soft_free_bytes: Bytes = 1 << 30
    hard_free_bytes: Bytes = 256 << 20
    reserve_bytes: Bytes = 128 << 20


class Archive(msgspec.Struct, frozen=True):
    """How many days archived segments are kept; 0: for ever. Without all of them there is no `ordergate db rebuild`."""

    keep_days: Annotated[int, Meta(ge=0, le=36_500)] = 0


class Paper(msgspec.Struct, frozen=True):
    """The PAPER venue: price source, answer latency, fee as a fraction, seed, speed.

    `prices`: `synthetic`, `replay:<dir>`, or `ccxt:binance` for the live prices of the exchange that [binance] names.
    """

    prices: Text = "synthetic"
    latency_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0
    fee_rate: Text = "0.001"
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 1
    replay_speed: Annotated[float, Meta(gt=0, le=1e6)] = 1.0


class Binance(msgspec.Struct, frozen=True):
    """LIVE on Binance Spot. `enabled`: whether its venue is started. Addresses, and the hosts that may be asked at all.

    `symbols`: the instruments that are loaded. `recv_window_ms`: how long after its timestamp the exchange may still
    take an order. `timeout_ms`: of one request. `doubt_*`: what a proof of absence needs: the exchange's own time-out,
    how late its reads may be, how many times it must have said so and how far apart. `reconcile_every_s`,
    `stream_silence_s` (an alarm after it), `stream_lifetime_s` (connect anew before the exchange's own cut).
    `resume`: whether new orders are taken by themselves after an unclean stop. `master_key_file`: the key to
    credentials.enc (master.key in the data directory when it is not set).
    """

    enabled: bool = False
    rest_url: Text = "https://api.binance.com"
    ws_api_url: Text = "wss://ws-api.binance.com:443/ws-api/v3"
    stream_url: Text = "wss://stream.binance.com:9443"
    allowed_hosts: tuple[Text, ...] = (
        "api.binance.com",
        "ws-api.binance.com",
        "stream.binance.com",
    )
    symbols: tuple[Text, ...] = ("BTCUSDT", "ETHUSDT")
    master_key_file: Text | None = None
    recv_window_ms: Annotated[int, Meta(ge=1, le=60_000)] = 2_000
    timeout_ms: Annotated[int, Meta(ge=1, le=120_000)] = 10_000
    doubt_engine_timeout_ms: Annotated[int, Meta(ge=0, le=600_000)] = 10_000
    doubt_read_lag_ms: Annotated[int, Meta(ge=0, le=600_000)] = 5_000
    doubt_queries: Annotated[int, Meta(ge=1, le=100)] = 3
    doubt_query_gap_ms: Annotated[int, Meta(ge=1, le=600_000)] = 2_000
    reconcile_every_s: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    stream_silence_s: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    stream_lifetime_s: Annotated[float, Meta(gt=0, le=86_400)] = 82_800.0
    resume: Literal["auto", "manual"] = "auto"


class Risk(msgspec.Struct, frozen=True):
    """By how many percent of itself a limit may be loosened without a second person.

    For the limits that are judged between trades (daily loss, drawdown): from how many percent on people are warned
    (100: only when it is reached), and what a breach does to its scope: it may only reduce, is halted, or is halted
    with its working orders canceled. Whether an order in doubt leaves only reducing orders of its account in its symbol
    (LIVE).
    """

    loosen_percent: Annotated[int, Meta(ge=0, le=1_000)] = 10
    warn_percent: Annotated[int, Meta(ge=1, le=100)] = 80
    breach_action: Literal["REDUCE_ONLY", "HALT", "FLATTEN"] = "REDUCE_ONLY"
    doubt_reduce_only: bool = True


class Log(msgspec.Struct, frozen=True):
    """How much the processes write into the log directory."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(msgspec.Struct, frozen=True):
    """Everything that can be set; each value has been checked."""

    http: Http = Http()
    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    journal: Journal = Journal()
    archive: Archive = Archive()
    paper: Paper = Paper()
    binance: Binance = Binance()
    risk: Risk = Risk()
    log: Log = Log()


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: which setting, where it was set, and why it cannot be used."""

    setting: str
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.setting} ({self.place}): {self.reason}"


class SettingsError(Exception):
    """At least one setting is wrong: all of them are in `problems`."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Value(msgspec.Struct, frozen=True):
    """A value as found, and where."""

    raw: Any
    place: str


SECTIONS: Final[dict[str, type[msgspec.Struct]]] = get_type_hints(Settings)
TYPES: Final[dict[str, Any]] = {
    f"{section}.{key}": hint
    for section, struct in SECTIONS.items()
    for key, hint in get_type_hints(struct, include_extras=True).items()
}
LISTS: Final = frozenset({"binance.allowed_hosts", "binance.symbols"})
"""In the environment their parts are separated by commas."""


def load_settings(
    data_dir: str | os.PathLike[str],
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """The checked settings of a data directory. Raises SettingsError with every problem found, not only the first."""
    return read_settings(data_dir, file=file, environment=environment)[0]


def read_settings(
    data_dir: str | os.PathLike[str],
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[Settings, dict[str, str]]:
    """Like `load_settings`, with the place that each setting which is not a default came from."""
    problems: list[Problem] = []
    found = _from_file(Path(data_dir) / "ordergate.toml", False, problems) if file is None else {}
    if file is not None:
        found = _from_file(file, True, problems)
    found |= _from_environment(os.environ if environment is None else environment, problems)
    found = _with_secret_files(found, problems)
    good: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, value in found.items():
        section, _, key = name.partition(".")
        try:
            good[section][key] = _checked(name, value.raw)
        except ValueError as error:
            problems.append(Problem(name, value.place, str(error)))
    if problems:
        raise SettingsError(problems)
    sections: dict[str, Any] = {section: SECTIONS[section](**values) for section, values in good.items()}
    places = {name: value.place for name, value in found.items()}
    problems += _unlisted_hosts(sections["binance"], places)
    if problems:
        raise SettingsError(problems)
    return Settings(**sections), places


def shown(settings: Settings) -> dict[str, str]:
    """Every effective setting as text, secrets masked."""
    values: dict[str, str] = {}
    for section in SECTIONS:
        for key in SECTIONS[section].__struct_fields__:
            value = getattr(getattr(settings, section), key)
            name = f"{section}.{key}"
            values[name] = _masked(value) if name in SECRETS and value else msgspec.json.encode(value).decode()
    return values


def _unlisted_hosts(binance: Binance, places: Mapping[str, str]) -> list[Problem]:
    """A host is asked only when it is listed as well: a mistyped address then reaches nobody."""
    problems: list[Problem] = []
    for key in ("rest_url", "ws_api_url", "stream_url"):
        host = urlsplit(getattr(binance, key)).hostname
        if host not in binance.allowed_hosts:
            reason = f"{host} is not in binance.allowed_hosts"
            problems.append(Problem(f"binance.{key}", places.get(f"binance.{key}", "default"), reason))
    return problems


def _from_file(file: Path, required: bool, problems: list[Problem]) -> dict[str, Value]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"), parse_float=str)
    except FileNotFoundError:
        if required:
            problems.append(Problem("file", str(file), "does not exist"))
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(Problem("file", str(file), f"cannot be read: {getattr(error, 'strerror', None) or error}"))
        return {}
    found: dict[str, Value] = {}
    for section, table in document.items():
        if section in SECTIONS and isinstance(table, dict):
            for key, raw in table.items():
                _accept(f"{section}.{key}", Value(raw, str(file)), found, problems)
        elif section in SECTIONS:
            problems.append(Problem(section, str(file), f"is a section: write it as [{section}]"))
        else:
            problems.append(Problem(section, str(file), "unknown section" + _meant(section, SECTIONS)))
    return found


def _from_environment(environment: Mapping[str, str], problems: list[Problem]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for variable, name in URL_VARIABLES.items():
        if environment.get(variable):
            found[name] = Value(environment[variable], variable)
    for variable, raw in environment.items():
        if not variable.startswith(PREFIX):
            continue
        section, double, key = variable.removeprefix(PREFIX).lower().partition("__")
        if double:
            _accept(f"{section}.{key}", Value(raw, variable), found, problems)
        elif section.replace("_", ".", 1) in TYPES:
            right = PREFIX + variable.removeprefix(PREFIX).replace("_", "__", 1)
            problems.append(Problem(section.replace("_", ".", 1), variable, f"not read: write it as {right}"))
        elif variable not in OTHER_VARIABLES:
            problems.append(Problem(section, variable, "unknown variable" + _meant(variable, _variables())))
    return found


def _variables() -> list[str]:
    settings = [PREFIX + name.replace(".", "__").upper() for name in TYPES]
    return [*settings, *sorted(OTHER_VARIABLES)]


def _accept(name: str, value: Value, found: dict[str, Value], problems: list[Problem]) -> None:
    if name in TYPES or name.removesuffix("_file") in SECRETS:
        found[name] = value
    else:
        problems.append(Problem(name, value.place, "unknown setting" + _meant(name, TYPES)))


def _meant(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _with_secret_files(found: dict[str, Value], problems: list[Problem]) -> dict[str, Value]:
    result = {name: value for name, value in found.items() if name in TYPES}
    for name in sorted(found.keys() - result.keys()):
        value, target = found[name], name.removesuffix("_file")
        try:
            secret = Path(str(value.raw)).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            problems.append(Problem(name, value.place, f"missing secret: {value.raw} cannot be read: {reason}"))
            continue
        if not secret:
            problems.append(Problem(name, value.place, f"missing secret: {value.raw} is empty"))
        elif target in result and result[target].place not in URL_VARIABLES:
            problems.append(Problem(name, value.place, f"{target} is set as well ({result[target].place}): keep one"))
        elif target not in result:
            result[target] = Value(secret, f"{value.place}: {value.raw}")
    return result


def _checked(name: str, raw: Any) -> Any:
    if name in SECRETS and raw == "":
        raise ValueError("missing secret: it is empty")
    if name in LISTS and isinstance(raw, str):
        raw = [part.strip() for part in raw.split(",") if part.strip()]
    try:
        value = msgspec.convert(raw, TYPES[name], strict=False)
    except msgspec.ValidationError as error:
        told = "the value" if name in SECRETS else repr(raw)
        raise ValueError(f"{told}: {str(error)[:1].lower()}{str(error)[1:]}") from None
    return CHECKS[name](value) if name in CHECKS and value is not None else value


def _masked(url: str) -> str:
    """A URL without its password; the rest helps to see which server is meant."""
    scheme, _, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    place, question, query = place.partition("?")
    kept = "&".join(part for part in query.split("&") if not part.startswith(("password=", "sslpassword=")))
    return f"{scheme}://{user}{':***' if colon else ''}{at}{place}{question}{kept}"
