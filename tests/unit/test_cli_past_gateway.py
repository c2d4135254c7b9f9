"""`ordergate kill on` while the gateway accepts the connection and then says nothing."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ordergate.cli import main, past_gateway
from ordergate.config import Paths
from ordergate.supervisor.addresses import Address, Addresses, keep
from tests.unit.test_kill_switch_redis import Valkey
from tests.unit.test_kill_switch_redis import valkey as started
from tests.unit.test_kill_switch_scopes import there

valkey = started


@pytest.fixture
def paths(valkey: Valkey, tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "data")
    paths.prepare()
    server = Address(url=valkey.url, own_url=valkey.url, embedded=True)
    keep(paths.servers, Addresses(postgres=server, redis=server, http=""))
    return paths


def test_it_stops_the_venues_and_writes_the_key_itself(paths: Paths, valkey: Valkey) -> None:
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(paths.admin_socket))
        hung.listen()
        words = ["kill", "on", "--data-dir", str(paths.data), "--by", "ann", "--reason", "hung", "--level", "2"]
        done = CliRunner().invoke(main, words)
    assert done.exit_code == 0 and "no venue sends anything" in done.output and "the key is written" in done.output
    [line] = paths.kill_file.read_text().splitlines()
    assert json.loads(line) == {"scope": "global", "target": "", "level": 2, "reason": "hung", "by": "ann"}
    assert b'"level":2' in valkey.get("kill_switch:global")


def test_it_stops_the_venues_while_the_gateway_starts_or_stops(paths: Paths, valkey: Valkey) -> None:
    """Then it holds the journal and does not listen."""
    from ordergate import _core

    gateway = _core.Gateway.open(str(paths.journal), str(paths.snapshots), segment_bytes=1 << 20)
    try:
        wanted = gateway.create_account("desk")
        while gateway.durable_seq() < wanted:
            gateway.drain()
        words = ["kill", "on", "--data-dir", str(paths.data), "--by", "ann", "--reason", "now"]
        done = CliRunner().invoke(main, words)
    finally:
        gateway.close()
    assert done.exit_code == 0 and "starting or stopping" in done.output and "the key is written" in done.output
    assert json.loads(paths.kill_file.read_text())["reason"] == "now"
    assert b"now" in valkey.get("kill_switch:global")


def redis_cli(paths: Paths, script: str | None, *words: str) -> tuple[int, str]:
    """The shim's code and output, of one command or of a script on its standard input."""
    command = [sys.executable, "-m", "ordergate.cli.redis_cli", str(paths.data), *words]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stdout + done.stderr


def test_redis_cli_finds_scoped_keys_in_scripts_and_with_several_keys(paths: Paths, valkey: Valkey) -> None:
    desk, global_ = "kill_switch:account:desk", "kill_switch:global"
    script = f"SET {desk} a\nSET {global_} b\nGET {desk}\nDEL {global_} {desk}\nEXISTS {desk} {desk}\n"
    code, told = redis_cli(paths, script)
    assert code == 1 and "another database" in told, "one command mixed both, and did nothing"
    assert told.split()[:4] == ["OK", "OK", "a", "2"]
    assert b"a" in there(valkey, "GET", desk) and b"$-1" in valkey.get(desk)
    assert b"b" in valkey.get(global_)
    assert redis_cli(paths, None, "DEL", desk, "kill_switch:symbol:BTCUSDT") == (0, "1\n")
    assert redis_cli(paths, None, "-n", "0", "SET", desk, "x")[0] == 0
    assert b"x" in valkey.get(desk), "whoever chooses a database gets it"
    assert redis_cli(paths, f"SELECT 1\nSET {global_} c\n")[0] == 0
    assert b"c" in there(valkey, "GET", global_)


def test_an_operators_key_is_not_overwritten(paths: Paths, valkey: Valkey) -> None:
    valkey.ask("SET", "kill_switch:global", '{"active":true,"reason":"first"}')
    assert past_gateway.stop(paths, "global", "", 1, "second", "ann")[1] == "a kill key stands there already"
    assert b"first" in valkey.get("kill_switch:global")
    assert past_gateway.stop(paths, "account", "desk", 1, "third", "ann")[1] == "the key is written"
    valkey.stop()
    assert "was not written" in past_gateway.stop(paths, "global", "", 1, "fourth", "ann")[1]
    assert len(paths.kill_file.read_text().splitlines()) == 3
