"""`ordergate kill on` while the gateway accepts the connection and then says nothing."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from ordergate.cli import main, past_gateway
from ordergate.config import Paths
from ordergate.supervisor.addresses import Address, Addresses, keep
from tests.unit.test_kill_switch_redis import Valkey
from tests.unit.test_kill_switch_redis import valkey as started

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


def test_an_operators_key_is_not_overwritten(paths: Paths, valkey: Valkey) -> None:
    valkey.ask("SET", "kill_switch:global", '{"active":true,"reason":"first"}')
    assert past_gateway.stop(paths, "global", "", 1, "second", "ann")[1] == "a kill key stands there already"
    assert b"first" in valkey.get("kill_switch:global")
    assert past_gateway.stop(paths, "account", "desk", 1, "third", "ann")[1] == "the key is written"
    valkey.stop()
    assert "was not written" in past_gateway.stop(paths, "global", "", 1, "fourth", "ann")[1]
    assert len(paths.kill_file.read_text().splitlines()) == 3
