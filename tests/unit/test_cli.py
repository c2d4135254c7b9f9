"""The command line: help, refusals, and administration through a small stand-in for the admin socket."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ordergate.cli import COMMANDS, main
from ordergate.config import Paths
from ordergate.supervisor import addresses, first_start
from ordergate.supervisor import up as supervisor
from ordergate.supervisor.addresses import Address, Addresses, ForeignUrls, own_environment


class Door:
    """Answers on the admin socket, and keeps what was asked."""

    def __init__(self, paths: Paths) -> None:
        paths.prepare()
        self.asked: list[dict[str, Any]] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(paths.admin_socket))
        self.socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            link, _ = self.socket.accept()
            with link, link.makefile("rw") as lines:
                for line in lines:
                    asked = json.loads(line)
                    self.asked.append(asked)
                    lines.write(json.dumps(self.answers.get(asked["verb"], {"ok": {}})) + "\n")
                    lines.flush()


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    import shutil
    import tempfile

    for name in list(os.environ):
        if name.startswith("ORDERGATE_") or name in ("DATABASE_URL", "REDIS_URL"):
            monkeypatch.delenv(name)
    directory = tempfile.mkdtemp(prefix="og-")
    yield Path(directory) / "d"
    shutil.rmtree(directory)


@pytest.fixture
def door(data: Path) -> Door:
    return Door(Paths(data))


def run(data: Path, *words: str, **environment: str) -> Result:
    return CliRunner().invoke(main, [*words, "--data-dir", str(data)], env=environment)


def test_help_names_every_command_for_people() -> None:
    told = CliRunner().invoke(main, ["--help"])
    assert told.exit_code == 0
    for name, (_, line) in COMMANDS.items():
        assert (f"  {name}  " in told.output) == bool(line), name
        # Narrow terminals break it into two, at a hyphen as well.
        assert "".join(line.split()) in "".join(told.output.split())
    for name in COMMANDS:
        assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


@pytest.mark.parametrize("words", [["nonsense"], ["up", "--port", "0"], ["keys", "revoke", "x"], ["keys", "create"]])
def test_wrong_use_ends_with_2(words: list[str]) -> None:
    assert CliRunner().invoke(main, words).exit_code == 2


def test_accounts_create(data: Path, door: Door) -> None:
    told = run(data, "accounts", "create", "desk-a", "--paper", "USDT=100000", "--paper", "BTC=1e-1")
    assert (told.exit_code, told.output) == (0, "account desk-a created with 100000 USDT, 0.1 BTC PAPER\n")
    assert door.asked == [
        {"verb": "accounts.create", "args": {"name": "desk-a", "paper": {"USDT": "100000", "BTC": "0.1"}}}
    ]


@pytest.mark.parametrize("paper", ["USDT", "USDT=", "USDT=x", "=1", "usdt=1", "USDT=-1", "USDT=0", "USDT=inf"])
def test_accounts_create_refuses_what_is_no_amount(data: Path, door: Door, paper: str) -> None:
    assert run(data, "accounts", "create", "a", "--paper", paper).exit_code == 2
    assert door.asked == []


def test_keys_create_gives_only_the_token_to_standard_output(data: Path, door: Door) -> None:
    door.answers["keys.create"] = {"ok": {"id": 7, "token": "og_secret"}}
    told = run(data, "keys", "create", "--account", "a", "--owner", "ana", "--scope", "read", "--rate", "50")
    assert (told.exit_code, told.stdout) == (0, "og_secret\n")
    assert "not shown again" in told.stderr
    expected = {"account": "a", "owner": "ana", "name": "ana", "scopes": ["read"], "ratePerSecond": 50}
    assert door.asked == [{"verb": "keys.create", "args": expected}]


def test_lists_for_programs_are_tab_separated(data: Path, door: Door) -> None:
    balances = [{"mode": "PAPER", "asset": "USDT", "total": "10", "held": "1"}]
    door.answers["accounts.list"] = {"ok": [{"name": "a", "balances": balances}, {"name": "b", "balances": []}]}
    assert run(data, "accounts", "list").output.splitlines()[1:] == ["a\tPAPER\tUSDT\t10\t1", "b\t\t\t\t"]
    key = {"id": 1, "account": "a", "scopes": ["read", "kill"], "createdAtNs": 1795509151520882061, "revokedAtNs": None}
    door.answers["keys.list"] = {"ok": [key]}
    told = run(data, "keys", "list").output.splitlines()
    assert told == [
        "id\taccount\towner\tname\tscopes\trate/s\tsymbols\tfrom\tcreated\texpires\trevoked",
        "1\ta\t\t\tread,kill\t\t\t\t2026-11-24T08:32:31Z\t\t",
    ]


def test_a_refusal_of_the_gateway_is_passed_on(data: Path, door: Door) -> None:
    door.answers["keys.revoke"] = {"error": {"code": "not_found", "detail": "there is no key 9"}}
    told = run(data, "keys", "revoke", "9")
    assert (told.exit_code, told.stderr) == (1, "ordergate: there is no key 9 (not_found)\n")


def test_without_a_gateway_and_without_a_journal(data: Path) -> None:
    told = run(data, "accounts", "list")
    assert told.exit_code == 2
    assert "start it with `ordergate up" in told.stderr
    assert not data.exists()


@pytest.mark.parametrize("verb", ["verify", "dump", "repair"])
def test_journal_tools_without_a_journal(data: Path, verb: str) -> None:
    told = run(data, "journal", verb)
    assert (told.exit_code, told.stdout) == (2, "")
    assert "has not run on this data directory" in told.stderr
    assert not data.exists()


def test_config_check(data: Path) -> None:
    data.mkdir()
    (data / "ordergate.toml").write_text("[http]\nport = 3009\n")
    told = run(data, "config", "check", DATABASE_URL="postgresql://me:hush@h/d")
    assert told.exit_code == 0
    assert "hush" not in told.output
    assert f"port = 3009                              # {data}/ordergate.toml" in told.output
    assert "url = postgresql://me:***@h/d" in told.output
    wrong = run(data, "config", "check", ORDERGATE_HTTP__HOST="", ORDERGATE_LOG__LVL="x")
    assert wrong.exit_code == 2
    assert wrong.stderr.splitlines() == [
        "log.lvl: unknown setting; did you mean log.level?  (ORDERGATE_LOG__LVL)",
        "http.host: '': expected `str` of length >= 1  (ORDERGATE_HTTP__HOST)",
    ]


def test_env_before_the_first_start(data: Path) -> None:
    told = run(data, "env")
    assert (told.exit_code, told.stdout) == (2, "")
    assert "has not run" in told.stderr


def test_db_without_a_database(data: Path) -> None:
    assert run(data, "db", "status").exit_code == 2


def known(data: Path, *, embedded: bool = True) -> Addresses:
    database = Address("postgresql://o@/ordergate?host=/s&port=5432", "postgresql://own", embedded)
    return Addresses(database, Address("redis://127.0.0.1:6379/0", "unix:///v", True), "http://localhost:3000")


def test_exported_urls_belong_to_one_data_directory(data: Path) -> None:
    paths, elsewhere = Paths(data), Paths(data.parent / "other")
    paths.prepare()
    addresses.keep(paths.servers, known(data))
    exported = {
        "DATABASE_URL": known(data).postgres.url, "REDIS_URL": known(data).redis.url, "ORDERGATE_ENV_FOR": str(data),
        "HOME": "/h",
    }  # fmt: skip
    assert own_environment(exported, paths.data) == {"HOME": "/h"}
    with pytest.raises(ForeignUrls, match="DATABASE_URL was exported"):
        own_environment(exported, elsewhere.data)
    # Set by the person after the export: theirs, at home and elsewhere.
    theirs = exported | {"DATABASE_URL": "postgresql://mine", "REDIS_URL": "redis://mine"}
    for place in (paths.data, elsewhere.data):
        assert own_environment(theirs, place)["DATABASE_URL"] == "postgresql://mine"
    # A server of their own stays theirs, although `env` exported it, too.
    addresses.keep(paths.servers, known(data, embedded=False))
    assert own_environment(exported, paths.data)["DATABASE_URL"] == exported["DATABASE_URL"]
    # The data directory is gone: at home forgotten, elsewhere still refused.
    paths.servers.unlink()
    assert "DATABASE_URL" not in own_environment(exported, paths.data)
    with pytest.raises(ForeignUrls):
        own_environment(exported, elsewhere.data)


def test_up_does_not_follow_the_data_directory_that_env_exported(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[Path] = []

    def start(directory: Path, _: dict[str, str]) -> int:
        opened.append(directory)
        return 0

    monkeypatch.setattr(supervisor, "run", start)
    monkeypatch.chdir(tmp_path)
    exported = {"ORDERGATE_DATA_DIR": str(data), "ORDERGATE_ENV_FOR": str(data)}
    chosen = {"ORDERGATE_DATA_DIR": str(data), "ORDERGATE_ENV_FOR": str(data.parent / "other")}
    for environment in (exported, chosen, {"ORDERGATE_DATA_DIR": str(data)}):
        assert CliRunner().invoke(main, ["up"], env=environment).exit_code == 0
    assert run(data, "up", **exported).exit_code == 0
    assert opened == [tmp_path / ".ordergate", Paths(data).data, Paths(data).data, Paths(data).data]
    # The other commands do.
    assert str(Paths(data).data) in CliRunner().invoke(main, ["env"], env=exported).stderr


@pytest.mark.parametrize(
    ("accounts", "keys", "asked"),
    [
        ([], [], ["accounts.list", "keys.list", "accounts.create", "instruments.load", "keys.create"]),
        ([{"name": "demo"}], [], ["accounts.list", "keys.list", "instruments.load", "keys.create"]),
        ([{"name": "demo"}], [{"id": 1}], ["accounts.list", "keys.list"]),
        ([{"name": "demo"}, {"name": "b"}], [], ["accounts.list"]),
        ([{"name": "b"}], [], ["accounts.list"]),
    ],
)
def test_first_start_goes_on_where_a_crash_left_it(
    data: Path, accounts: list[dict[str, Any]], keys: list[dict[str, Any]], asked: list[str]
) -> None:
    paths = Paths(data)
    paths.prepare()
    verbs: list[str] = []

    def ask(verb: str, arguments: dict[str, Any]) -> Any:
        verbs.append(verb)
        return {"accounts.list": accounts, "keys.list": keys, "keys.create": {"id": 1, "token": "og_t"}}.get(verb, {})

    token = first_start.furnish(ask, paths, ["read"])
    assert verbs == asked
    assert token == ("og_t" if "keys.create" in asked else None)
    if token:
        assert first_start.furnish(ask, paths, ["read"]) == token
        assert verbs == asked


def test_kill_says_who_and_why(data: Path, door: Door) -> None:
    door.answers["kill.status"] = {"ok": {"killed": False, "redisProblem": None}}
    foreign = "redis holds the kill switch of install other"
    state = {"killed": True, "level": 1, "reason": "redis_foreign", "seq": 3, "redisProblem": foreign}
    door.answers["kill.adopt-redis"] = {"ok": state}
    assert run(data, "kill", "on", "--by", "ann", "--reason", "drill").output == "killed: drill\n"
    assert run(data, "kill", "off", "--by", "ann").output == "open: not killed\n"
    told = run(data, "kill", "status").output.splitlines()
    assert told[1:] == ["killed\tno", "level\t", "reason\t", "redis\tread and written"]
    told = run(data, "kill", "adopt-redis", "--by", "ann").output.splitlines()
    assert told[1:] == ["killed\tyes", "level\t1", "reason\tredis_foreign", f"redis\t{foreign}"]
    assert door.asked == [
        {"verb": "kill.on", "args": {"by": "ann", "reason": "drill"}},
        {"verb": "kill.off", "args": {"by": "ann"}},
        {"verb": "kill.status", "args": {}},
        {"verb": "kill.adopt-redis", "args": {"by": "ann"}},
    ]
    assert run(data, "kill", "on").exit_code == 2
    assert "L1" in CliRunner().invoke(main, ["kill", "--help"]).output
