"""Settings: every source, every kind of mistake, and what is shown of secrets."""

from pathlib import Path

import pytest

from ordergate.config import Settings, SettingsError, load_settings
from ordergate.config.settings import read_settings, shown


def problems(directory: Path, toml: str = "", **environment: str) -> list[str]:
    (directory / "ordergate.toml").write_text(toml)
    with pytest.raises(SettingsError) as caught:
        load_settings(directory, environment=environment)
    return [str(problem) for problem in caught.value.problems]


def test_defaults_need_nothing(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "absent", environment={}) == Settings()
    assert Settings().http.port == 3000
    assert Settings().paper.prices == "synthetic"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "ordergate.toml").write_text(
        '[http]\nport = 3001\nhost = "0.0.0.0"\n[paper]\nfee_rate = 0.00075\nreplay_speed = 2\n[log]\nlevel = "debug"\n'
    )
    settings, places = read_settings(tmp_path, environment={"ORDERGATE_HTTP__PORT": "3002"})
    assert (settings.http.host, settings.http.port) == ("0.0.0.0", 3002)
    assert settings.paper.fee_rate == "0.00075"  # the digits of the file, not a float's
    assert settings.paper.replay_speed == 2.0
    assert places["http.port"] == "ORDERGATE_HTTP__PORT"
    assert places["http.host"] == str(tmp_path / "ordergate.toml")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("HTTP__PORT", "0", "expected `int` >= 1"),
        ("HTTP__PORT", "65536", "expected `int` <= 65535"),
        ("HTTP__PORT", "abc", "expected `int`"),
        ("HTTP__PORT", "", "expected `int`"),
        ("HTTP__HOST", "", "length >= 1"),
        ("HTTP__PROT", "1", "unknown setting; did you mean http.port?"),
        ("HTTPS__PORT", "1", "unknown setting; did you mean http.port?"),
        ("HTTP_PORT", "1", "not read: write it as ORDERGATE_HTTP__PORT"),
        ("DATADIR", "/x", "unknown variable; did you mean ORDERGATE_DATA_DIR?"),
        ("SPEED", "1", "unknown variable"),
        ("HTTP__HOST", "no-such-host.invalid", "neither an IP address nor a name that resolves"),
        ("HTTP__HOST", "[::1]", "neither an IP address nor a name that resolves"),
        ("HTTP__HOST", "1.2.3.4.5", "neither an IP address nor a name that resolves"),
        ("HTTP__HOST", "a" * 80, "neither an IP address nor a name that resolves"),
        ("LOG__LEVEL", "loud", "invalid enum value 'loud'"),
        ("RISK__LOOSEN_PERCENT", "-1", "expected `int` >= 0"),
        ("RISK__WARN_PERCENT", "0", "expected `int` >= 1"),
        ("RISK__WARN_PERCENT", "101", "expected `int` <= 100"),
        ("RISK__BREACH_ACTION", "PRAY", "invalid enum value 'PRAY'"),
        ("RISK__CURRENCY", "EUR", "unknown setting"),
        ("PAPER__FEE_RATE", "1", "below 1"),
        ("PAPER__FEE_RATE", "-0.1", "at least 0"),
        ("PAPER__FEE_RATE", "NaN", "at least 0"),
        ("PAPER__FEE_RATE", "0.000000001", "at most 8 decimals"),
        ("PAPER__FEE_RATE", "much", "expected a decimal fraction"),
        ("PAPER__PRICES", "file:x", "expected synthetic, ccxt:binance or replay:<directory>"),
        ("PAPER__PRICES", "replay:", "expected synthetic, ccxt:binance or replay:<directory>"),
        ("PAPER__PRICES", "replay:/nonexistent", "/nonexistent is not a directory"),
        ("PAPER__REPLAY_SPEED", "nan", "nan"),
        ("PAPER__REPLAY_SPEED", "0", "> 0"),
        ("PAPER__LATENCY_MS", "1.5", "expected `int`"),
        ("PAPER__SEED", "-1", ">= 0"),
        ("JOURNAL__SEGMENT_MIB", "5000", "<= 1024"),
        ("REDIS__PORT", "70000", "<= 65535"),
        ("REDIS__URL", "http://x", "begins with redis:// or rediss:// or unix://"),
        ("REDIS__URL", "redis://h:port/0", "the port is not a number from 1 to 65535"),
        ("REDIS__URL", "redis://h:0/0", "the port is not a number from 1 to 65535"),
        ("REDIS__URL", "redis://h:6379/zero", "the database is not a number"),
        ("REDIS__URL", "unix:///s?db=x", "the database is not a number"),
        ("REDIS__URL", "unix://", "the path of a socket"),
        ("REDIS__URL", "redis://[::1:6379/0", "not a URL"),
        ("POSTGRES__URL", "postgresql://h:5432x/d", "the port is not a number from 1 to 65535"),
        ("POSTGRES__URL", "postgresql://h:5432,g:99999/d", "the port is not a number from 1 to 65535"),
        ("POSTGRES__URL", "postgresql:///d?host=/s&port=no", "the port is not a number from 1 to 65535"),
        ("POSTGRES__URL", "postgresql://me:pa#ss@h/d", "written as %xx"),
        ("POSTGRES__URL", "", "missing secret"),
        ("POSTGRES__URL_FILE", "/nonexistent", "missing secret: /nonexistent cannot be read"),
        ("POSTGRES__BIN_DIR", "/nonexistent", "not a directory"),
        ("BINANCE__REST_URL", "http://api.binance.com", "only for this machine: use https://"),
        ("BINANCE__REST_URL", "https://api.binance.com/api/v3", "a path after the host"),
        ("BINANCE__REST_URL", "https://me:x@api.binance.com", "without user, password"),
        ("BINANCE__REST_URL", "https://api.binance.com?a=b", "without user, password and query"),
        ("BINANCE__REST_URL", "wss://api.binance.com", "begins with https:// or http://"),
        ("BINANCE__REST_URL", "https://", "expected a host"),
        ("BINANCE__REST_URL", "https://api.binance.con", "api.binance.con is not in binance.allowed_hosts"),
        ("BINANCE__REST_URL", "http://127.0.0.1:9000", "127.0.0.1 is not in binance.allowed_hosts"),
        ("BINANCE__WS_API_URL", "ws://ws-api.binance.com/ws-api/v3", "use wss://"),
        ("BINANCE__WS_API_URL", "wss://ws-api.binance.com:x/ws-api/v3", "the port is not a number"),
        ("BINANCE__STREAM_URL", "wss://elsewhere.example", "elsewhere.example is not in binance.allowed_hosts"),
        ("BINANCE__ALLOWED_HOSTS", "https://api.binance.com", "expected a host name"),
        ("BINANCE__ALLOWED_HOSTS", "127.0.0.1:80", "without port"),
        ("BINANCE__SYMBOLS", "btcusdt", "expected a symbol"),
        ("BINANCE__SYMBOLS", "BTCUSDT,BTCUSDT", "each once"),
        ("BINANCE__SYMBOLS", "", "at least one symbol"),
        ("BINANCE__RESUME", "perhaps", "invalid enum value"),
        ("BINANCE__RECV_WINDOW_MS", "60001", "<= 60000"),
    ],
)
def test_each_mistake_names_its_place_and_reason(tmp_path: Path, name: str, value: str, reason: str) -> None:
    (only,) = problems(tmp_path, **{f"ORDERGATE_{name}": value})
    assert reason in only
    assert f"(ORDERGATE_{name})" in only


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("[http]\nprot = 1\n", "http.prot"),
        ("[htp]\nport = 1\n", "unknown section; did you mean http?"),
        ("http = 3\n", "is a section: write it as [http]"),
        ("port = 3\n", "unknown section"),
        ("[http]\nport = [1]\n", "expected `int`"),
        ("[http]\nport = true\n", "expected `int`"),
        ("[http\n", "cannot be read"),
        ('[postgres]\nurl = ""\n', "missing secret"),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, toml: str, reason: str) -> None:
    (only,) = problems(tmp_path, toml)
    assert reason in only
    assert str(tmp_path / "ordergate.toml") in only


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "[http]\nport = 0\nx = 1\n[log]\nlevel = 'x'\n", ORDERGATE_PAPER__SEED="x")
    assert len(found) == 4


def test_a_file_that_was_named_has_to_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(tmp_path, file=tmp_path / "other.toml", environment={})


def test_urls_and_their_order(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://file@h/d\n")
    file = {"ORDERGATE_POSTGRES__URL_FILE": str(secret)}
    assert load_settings(tmp_path, environment=file).postgres.url == "postgresql://file@h/d"
    plain = file | {"DATABASE_URL": "postgres://env@h/d", "REDIS_URL": "unix:///r.sock"}
    assert load_settings(tmp_path, environment=plain).postgres.url == "postgres://env@h/d"
    assert load_settings(tmp_path, environment=plain).redis.url == "unix:///r.sock"
    assert load_settings(tmp_path, environment={"DATABASE_URL": ""}).postgres.url is None
    (only,) = problems(tmp_path, **file, ORDERGATE_POSTGRES__URL="postgresql://x@h/d")
    assert "keep one" in only
    secret.write_text(" \n")
    (only,) = problems(tmp_path, **file)
    assert "is empty" in only


def test_a_host_becomes_an_address(tmp_path: Path) -> None:
    for host, address in {"localhost": "127.0.0.1", "::": "::", "0:0::1": "::1", "0.0.0.0": "0.0.0.0"}.items():
        assert load_settings(tmp_path, environment={"ORDERGATE_HTTP__HOST": host}).http.host == address


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("DATABASE_URL", "postgresql://me:p%40ss@h:5433,[::1]:5434,g/d?sslmode=require"),
        ("DATABASE_URL", "postgresql://o@/ordergate?host=/run/a%20b&port=5432"),
        ("DATABASE_URL", "postgres://%2Frun%2Fpg/d"),
        ("REDIS_URL", "rediss://:hush@[::1]:6380/3"),
        ("REDIS_URL", "redis://h"),
        ("REDIS_URL", "unix:///run/v.sock?db=0"),
    ],
)
def test_urls_that_are_understood(tmp_path: Path, variable: str, url: str) -> None:
    settings = load_settings(tmp_path, environment={variable: url})
    assert url in (settings.postgres.url, settings.redis.url)


def test_a_rehearsal_lists_this_machine(tmp_path: Path) -> None:
    """Each address with its host, lists in the environment by commas, in the file as lists."""
    (tmp_path / "ordergate.toml").write_text('[binance]\nsymbols = ["ETHUSDT"]\nenabled = true\n')
    here = {
        "ORDERGATE_BINANCE__REST_URL": "http://127.0.0.1:9001",
        "ORDERGATE_BINANCE__WS_API_URL": "ws://localhost:9001/ws-api/v3",
        "ORDERGATE_BINANCE__STREAM_URL": "ws://[::1]:9001",
        "ORDERGATE_BINANCE__ALLOWED_HOSTS": "127.0.0.1, localhost,::1",
    }
    binance = load_settings(tmp_path, environment=here).binance
    assert binance.allowed_hosts == ("127.0.0.1", "localhost", "::1")
    assert (binance.symbols, binance.enabled) == (("ETHUSDT",), True)
    assert shown(load_settings(tmp_path, environment=here))["binance.symbols"] == '["ETHUSDT"]'


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path) -> None:
    exported = {"ORDERGATE_DATA_DIR": "/x", "ORDERGATE_TOKEN": "og_x", "ORDERGATE_ENV_FOR": "/x", "HOME": "/h"}
    assert load_settings(tmp_path, environment=exported) == Settings()


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    url = "postgresql://me:hush@db:5432/x?sslpassword=hush&sslmode=require"
    values = shown(load_settings(tmp_path, environment={"DATABASE_URL": url, "REDIS_URL": "redis://:hush@r/0"}))
    assert values["postgres.url"] == "postgresql://me:***@db:5432/x?sslmode=require"
    assert values["redis.url"] == "redis://:***@r/0"
    (only,) = problems(tmp_path, ORDERGATE_POSTGRES__URL="mysql://me:hush@db/x")
    assert "hush" not in only
    (only,) = problems(tmp_path, ORDERGATE_POSTGRES__URL="postgresql://me:hu/sh@db/x")  # an unencoded slash
    assert "hu" not in only
