"""Credentials at rest: what opens, what does not, and that nothing of them is ever shown."""

import json
import os
import stat
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ordergate.config import Paths, Settings, load_settings, master_key
from ordergate.venues.binance import credentials
from ordergate.venues.binance.credentials import CredentialsError, NoCredential, checked

KEY, OTHER = bytes(range(32)), bytes(32)
HMAC = checked("desk", "apikeyAPIKEY0123", "canarySECRET4567")


def pem(key: Ed25519PrivateKey | rsa.RSAPrivateKey | None = None) -> str:
    made = key or Ed25519PrivateKey.generate()
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_what_is_kept_opens_again(tmp_path: Path) -> None:
    file = tmp_path / "credentials.enc"
    ed25519 = checked("desk-b", "otherkey99", pem().replace("\n", "\r\n"))
    assert not credentials.keep(file, KEY, HMAC)
    assert not credentials.keep(file, KEY, ed25519)
    assert credentials.unseal(file, KEY, "desk") == HMAC
    assert credentials.unseal(file, KEY, "desk-b") == ed25519
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = {(one.account, one.kind, one.hint) for one in credentials.entries(file)}
    assert shown == {("desk", "HMAC", "apik…"), ("desk-b", "ED25519", "othe…")}
    assert credentials.keep(file, KEY, checked("desk", "newkey0001", "newsecret01"))
    assert credentials.unseal(file, KEY, "desk").api_key == "newkey0001"
    assert credentials.remove(file, "desk") and not credentials.remove(file, "desk")
    with pytest.raises(NoCredential, match="desk has no binance key"):
        credentials.unseal(file, KEY, "desk")
    assert os.listdir(tmp_path) == ["credentials.enc"]


def test_the_same_secret_never_looks_the_same(tmp_path: Path) -> None:
    file = tmp_path / "c"
    seen = set()
    for _ in range(3):
        credentials.keep(file, KEY, HMAC)
        seen.add(json.loads(file.read_text())["credentials"][0]["sealed"])
    assert len(seen) == 3


def test_an_entry_opens_with_its_key_at_its_place_only(tmp_path: Path) -> None:
    file = tmp_path / "c"
    credentials.keep(file, KEY, HMAC)
    with pytest.raises(CredentialsError, match="another master key"):
        credentials.unseal(file, OTHER, "desk")
    with pytest.raises(CredentialsError, match="another master key"):
        credentials.keep(file, OTHER, checked("desk-b", "otherkey99", "othersecret"))
    document = json.loads(file.read_text())
    for change in ({"account": "thief"}, {"venue": "elsewhere"}, {"nonce": "00" * 12}, {"sealed": "zz"}, {"nonce": ""}):
        file.write_text(json.dumps({"version": 1, "credentials": [document["credentials"][0] | change]}))
        entry = change.get("account", "desk"), change.get("venue", "binance")
        with pytest.raises(CredentialsError, match="does not open"):
            credentials.unseal(file, KEY, *entry)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "damaged"),
        ("{", "damaged"),
        ("[]", "not a file of credentials"),
        ('{"version": 2, "credentials": []}', "not a file of credentials of version 1"),
        ('{"version": 1}', "damaged"),
        ('{"version": 1, "credentials": [{"venue": "binance"}]}', "damaged"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "c"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(CredentialsError, match=reason):
        credentials.entries(file)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c"
    credentials.keep(file, KEY, HMAC)
    file.chmod(0o640)
    with pytest.raises(CredentialsError, match="others can read it"):
        credentials.unseal(file, KEY, "desk")


@pytest.mark.parametrize(
    ("api_key", "secret", "reason"),
    [
        ("", "canarySECRET4567", "the API key"),
        ("with space", "canarySECRET4567", "the API key"),
        ("apikeyAPIKEY0123", "", "the secret"),
        ("apikeyAPIKEY0123", "canary SECRET", "the secret"),
        ("apikeyAPIKEY0123", "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----", "cannot be read"),
        ("apikeyAPIKEY0123", pem(rsa.generate_private_key(65537, 2048)), "not an Ed25519 key"),
    ],
)
def test_what_has_not_the_form_is_refused_and_not_repeated(api_key: str, secret: str, reason: str) -> None:
    with pytest.raises(CredentialsError, match=reason) as caught:
        checked("desk", api_key, secret)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_nothing_of_it_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "c"
    credentials.keep(file, KEY, HMAC)
    everywhere = file.read_text() + repr(HMAC) + str(HMAC) + repr(credentials.entries(file)) + f"{[HMAC]}"
    assert "canary" not in everywhere and "apikeyAPI" not in everywhere


def test_the_master_key(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "data")
    paths.prepare()
    with pytest.raises(master_key.MasterKeyMissing, match="neither ORDERGATE_MASTER_KEY nor"):
        master_key.read(Settings(), paths, {})
    assert master_key.read(Settings(), paths, {"ORDERGATE_MASTER_KEY": KEY.hex()}) == KEY
    wrong = {"ORDERGATE_MASTER_KEY": HMAC.secret}
    with pytest.raises(master_key.MasterKeyError, match="expected 64 hexadecimal digits") as caught:
        master_key.read(Settings(), paths, wrong)
    assert HMAC.secret not in "".join(traceback.format_exception(caught.value))
    master_key.generate(paths.master_key)
    made = master_key.read(Settings(), paths, {})
    assert len(made) == 32 and stat.S_IMODE(paths.master_key.stat().st_mode) == 0o600
    with pytest.raises(master_key.MasterKeyError, match="File exists"):
        master_key.generate(paths.master_key)
    assert master_key.read(Settings(), paths, {}) == made
    paths.master_key.chmod(0o644)
    with pytest.raises(master_key.MasterKeyError, match="others can read it"):
        master_key.read(Settings(), paths, {})
    elsewhere = tmp_path / "elsewhere.key"
    master_key.generate(elsewhere)
    settings = load_settings(paths.data, environment={"ORDERGATE_BINANCE__MASTER_KEY_FILE": str(elsewhere)})
    assert master_key.file_of(settings, paths) == elsewhere
    assert master_key.read(settings, paths, {}) not in (made, KEY)


def test_the_master_key_is_no_setting(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, environment={"ORDERGATE_MASTER_KEY": KEY.hex()})
    assert settings == Settings() and KEY.hex() not in repr(settings)
