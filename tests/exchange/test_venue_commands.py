"""`ordergate venue add|test|list|remove` against the local exchange, with a real journal for the accounts."""

import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ordergate import _core
from ordergate.cli import main
from ordergate.config import Paths
from tests.exchange.running import ALPHA, BETA, Running


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    public = ED25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    keys = [
        {"apiKey": ALPHA[0], "secret": ALPHA[1]},
        {"apiKey": "ed25519-key-0001", "publicKey": public},
        {"apiKey": "withdrawing-0001", "secret": "canary-withdrawing", "enableWithdrawals": True},
    ]
    config = tmp_path_factory.mktemp("exchange") / "exchange.json"
    config.write_text(json.dumps({"accounts": [{"name": "alpha", "keys": keys, "balances": {"USDT": "1000"}}]}))
    with Running(config=config) as running:
        yield running


ED25519 = Ed25519PrivateKey.generate()
PEM = ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
GOOD = "\n".join(ALPHA)


@pytest.fixture
def data(tmp_path: Path, exchange: Running, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with two accounts, on an exchange of this machine."""
    for name in ("ORDERGATE_MASTER_KEY", "ORDERGATE_DATA_DIR", "ORDERGATE_ENV_FOR", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    paths = Paths(tmp_path / "d")
    paths.prepare()
    gateway = _core.Gateway.open(str(paths.journal), str(paths.snapshots), segment_bytes=1 << 20)
    for account in ("desk-a", "desk-b"):
        gateway.create_account(account)
    gateway.close()
    paths.settings_file.write_text(
        f'[binance]\nrest_url = "{exchange.rest}"\nws_api_url = "{exchange.ws_api}"\n'
        f'stream_url = "{exchange.streams}"\nallowed_hosts = ["127.0.0.1"]\n'
        "[journal]\nsegment_mib = 1\nreserve_bytes = 0\n"
    )
    return paths.data


def run(data: Path, line: str, typed: str = "", **environment: str) -> Result:
    words = [*line.split(), "--data-dir", str(data)]
    return CliRunner().invoke(main, words, input=typed, env=environment)


def test_a_key_is_added_tested_listed_replaced_and_removed(data: Path) -> None:
    refused = run(data, "venue add binance --account desk-a", GOOD)
    assert refused.exit_code == 1 and "--generate-master-key makes" in refused.output
    added = run(data, "venue add binance --account desk-a --generate-master-key", GOOD)
    assert added.exit_code == 0, added.output
    assert "no withdrawals\tok\tthe key cannot withdraw" in added.output
    assert "desk-a: HMAC key demo… added" in added.output and "LIVE is off" in added.output
    tested = run(data, "venue test binance --account desk-a")
    assert tested.exit_code == 0 and "addresses\twarning\tthe key may be used from everywhere" in tested.output
    source = data / "key.txt"
    source.write_text(f"ed25519-key-0001\n{PEM}")
    assert "desk-b: ED25519 key ed25…" in run(data, f"venue add binance --account desk-b --from {source}").output
    assert run(data, "venue test binance --account desk-b").exit_code == 0
    listed = [line.split("\t") for line in run(data, "venue list").output.splitlines()]
    assert [row[:4] for row in listed] == [
        ["venue", "account", "kind", "key"],
        ["binance", "desk-a", "HMAC", "demo…"],
        ["binance", "desk-b", "ED25519", "ed25…"],
    ]
    assert "HMAC key demo… replaced" in run(data, "venue add binance --account desk-b --from -", GOOD).output
    removed = run(data, "venue remove binance --account desk-b")
    assert removed.exit_code == 0 and "delete it at the exchange" in removed.output
    assert run(data, "venue remove binance --account desk-b").exit_code == 1
    missing = run(data, "venue test binance --account desk-b")
    assert missing.exit_code == 1 and "desk-b has no binance key" in missing.output
    for name in ("credentials.enc", "master.key"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600


def test_a_key_that_can_withdraw_is_not_kept(data: Path) -> None:
    told = run(data, "venue add binance --account desk-a --generate-master-key", "withdrawing-0001\ncanary-withdrawing")
    assert told.exit_code == 1 and "no withdrawals\tfailed\tthe key can withdraw" in told.output
    assert "the key was not kept" in told.output and not (data / "credentials.enc").exists()
    assert "canary" not in told.output


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("\n".join(BETA), "KEY_REFUSED"),
        (f"{ALPHA[0]}\n{'x' * 64}", "WRONG_SIGNATURE"),
        (ALPHA[0], "the secret has not the form"),
        ("", "the API key has not the form"),
        (f"{ALPHA[0]}\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "the private key cannot be read"),
    ],
)
def test_what_the_exchange_does_not_take_is_not_kept(data: Path, typed: str, words: str) -> None:
    told = run(data, "venue add binance --account desk-a --generate-master-key", typed)
    assert told.exit_code == 1 and words in told.output
    assert not (data / "credentials.enc").exists()


def test_unchecked_asks_nobody(data: Path, exchange: Running) -> None:
    before = len(exchange.see("/ledger")["requests"])
    key = {"ORDERGATE_MASTER_KEY": "ab" * 32}
    told = run(data, "venue add binance --account desk-a --unchecked", "\n".join(BETA), **key)
    assert told.exit_code == 0, told.output
    assert len(exchange.see("/ledger")["requests"]) == before
    assert not (data / "master.key").exists()
    assert "KEY_REFUSED" in run(data, "venue test binance --account desk-a", **key).output
    other = run(data, "venue test binance --account desk-a", ORDERGATE_MASTER_KEY="cd" * 32)
    assert other.exit_code == 1 and "sealed with another master key" in other.output


def test_a_lost_master_key_is_not_replaced_behind_its_credentials(data: Path) -> None:
    run(data, "venue add binance --account desk-a --generate-master-key", GOOD)
    (data / "master.key").unlink()
    told = run(data, "venue add binance --account desk-b --generate-master-key", GOOD)
    assert told.exit_code == 1 and "a new one does not open" in told.output and not (data / "master.key").exists()


def test_an_account_that_is_not_there_gets_no_key(data: Path) -> None:
    told = run(data, "venue add binance --account desk-z --generate-master-key", GOOD)
    assert told.exit_code == 1 and "there is no account desk-z" in told.output


@pytest.mark.parametrize(
    ("url", "words"), [("http://127.0.0.1:9", "NO_CONNECTION"), ("https://127.0.0.1:9", "NO_CONNECTION")]
)
def test_an_exchange_that_is_not_there_says_what_to_look_at(data: Path, url: str, words: str) -> None:
    told = run(data, "venue add binance --account desk-a --generate-master-key", GOOD, ORDERGATE_BINANCE__REST_URL=url)
    assert told.exit_code == 1 and words in told.output and "look at binance.rest_url" in told.output


def test_a_host_that_is_not_listed_is_not_asked(data: Path) -> None:
    told = run(data, "venue list")
    assert told.exit_code == 0
    url = {"ORDERGATE_BINANCE__REST_URL": "https://api.binance.com"}
    told = run(data, "venue add binance --account desk-a --generate-master-key", GOOD, **url)
    assert told.exit_code == 2 and "api.binance.com is not in binance.allowed_hosts" in told.output


@pytest.mark.parametrize("line", ["venue add kraken --account desk-a", "venue add binance", "venue nonsense", "venue"])
def test_wrong_use_ends_with_2(data: Path, line: str) -> None:
    assert CliRunner().invoke(main, line.split()).exit_code == 2


def test_no_secret_is_written_or_told(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = run(data, "venue add binance --account desk-a --generate-master-key", GOOD).output
    told += run(data, "venue test binance --account desk-a").output + run(data, "venue list").output + caplog.text
    files = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file() and path.suffix != ".seg")
    for secret in (ALPHA[0], ALPHA[1]):
        assert secret not in told and secret.encode() not in files
    assert (data / "master.key").read_text().strip() not in told
