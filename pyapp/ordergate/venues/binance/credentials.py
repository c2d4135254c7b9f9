"""The keys that accounts trade with at the exchange, each sealed on its own in one file that only we can read.

AES-256-GCM with a random nonce; what is authenticated with it names venue and account, so that an entry that was moved
to another account does not open. The file alone is worth nothing: the master key is kept elsewhere.
"""

import fcntl
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

VENUE: Final = "binance"
VERSION: Final = 1
NONCE_BYTES: Final = 12
HINT_LENGTH: Final = 4
WORD: Final = re.compile(r"[A-Za-z0-9_-]{8,256}")
"""What the exchange's keys and HMAC secrets are made of."""

KeyKind = Literal["HMAC", "ED25519"]


class CredentialsError(Exception):
    """The credentials cannot be read, opened or kept; the message never shows a part of one."""


class NoCredential(CredentialsError):
    """This account has none."""


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """`secret`: of HMAC, or an Ed25519 private key as PEM. Its representation shows neither key nor secret."""

    account: str
    api_key: str
    secret: str

    def __repr__(self) -> str:
        return f"Credential(account={self.account!r}, api_key={hint(self.api_key)})"


@dataclass(frozen=True, slots=True)
class Entry:
    """What may be shown of a kept credential."""

    venue: str
    account: str
    kind: KeyKind
    hint: str
    added_at: str


def hint(api_key: str) -> str:
    """The beginning of a key, to tell keys apart."""
    return api_key[:HINT_LENGTH] + "…"


def checked(account: str, api_key: str, secret: str) -> Credential:
    """A credential of the right form, its PEM normalised. Raises CredentialsError, which does not repeat it."""
    api_key, secret = api_key.strip(), secret.strip()
    if not WORD.fullmatch(api_key):
        raise CredentialsError("the API key has not the form of one: letters and digits, without spaces")
    if "PRIVATE KEY" in secret:
        return Credential(account, api_key, _ed25519(secret))
    if not WORD.fullmatch(secret):
        raise CredentialsError("the secret has not the form of one: letters and digits, or a PEM of an Ed25519 key")
    return Credential(account, api_key, secret)


def kind_of(credential: Credential) -> KeyKind:
    """How it signs."""
    return "ED25519" if "PRIVATE KEY" in credential.secret else "HMAC"


def entries(file: Path, venue: str = VENUE) -> list[Entry]:
    """What is kept for a venue, by account; needs no master key. Raises CredentialsError."""
    return [
        Entry(one["venue"], one["account"], one["kind"], one["hint"], one["addedAt"])
        for one in _kept(file)
        if one["venue"] == venue
    ]


def unseal(file: Path, master: bytes, account: str, venue: str = VENUE) -> Credential:
    """The account's credential. Raises NoCredential, CredentialsError."""
    for one in _kept(file):
        if (one["venue"], one["account"]) == (venue, account):
            return _opened(one, master, file)
    raise NoCredential(f"{account} has no {venue} key: add one with `ordergate venue add {venue} --account {account}`")


def keep(file: Path, master: bytes, credential: Credential, venue: str = VENUE) -> bool:
    """Seals and keeps it; True when it replaced another of the account. Raises CredentialsError."""
    with _alone(file):
        kept = _kept(file)
        for one in kept:
            # Two master keys in one file would lock people out of half of it later.
            _opened(one, master, file)
        others = [one for one in kept if (one["venue"], one["account"]) != (venue, credential.account)]
        nonce = secrets.token_bytes(NONCE_BYTES)
        plain = json.dumps({"apiKey": credential.api_key, "secret": credential.secret}).encode()
        sealed = AESGCM(master).encrypt(nonce, plain, _bound_to(venue, credential.account))
        entry = {
            "venue": venue,
            "account": credential.account,
            "kind": kind_of(credential),
            "hint": hint(credential.api_key),
            "addedAt": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "nonce": nonce.hex(),
            "sealed": sealed.hex(),
        }
        _write(file, sorted([*others, entry], key=lambda one: (one["venue"], one["account"])))
        return len(others) != len(kept)


def remove(file: Path, account: str, venue: str = VENUE) -> bool:
    """Forgets the account's credential; False when there was none. Raises CredentialsError."""
    with _alone(file):
        kept = _kept(file)
        left = [one for one in kept if (one["venue"], one["account"]) != (venue, account)]
        if len(left) == len(kept):
            return False
        _write(file, left)
        return True


def _ed25519(pem: str) -> str:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError) as error:
        # A message of the library may quote the input.
        raise CredentialsError(f"the private key cannot be read ({type(error).__name__}): PEM, unencrypted") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise CredentialsError("the private key is not an Ed25519 key")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()


def _bound_to(venue: str, account: str) -> bytes:
    return json.dumps(["ordergate credential", VERSION, venue, account]).encode()


def _opened(entry: dict[str, Any], master: bytes, file: Path) -> Credential:
    try:
        nonce, sealed = bytes.fromhex(entry["nonce"]), bytes.fromhex(entry["sealed"])
        plain = json.loads(AESGCM(master).decrypt(nonce, sealed, _bound_to(entry["venue"], entry["account"])))
    except (InvalidTag, ValueError):
        raise CredentialsError(
            f"{file}: the entry of {entry['account']} does not open: it was sealed with another master key, or changed"
        ) from None
    return Credential(entry["account"], plain["apiKey"], plain["secret"])


def _kept(file: Path) -> list[dict[str, Any]]:
    try:
        found = file.stat()
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise CredentialsError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or 'damaged'}") from None
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise CredentialsError(f"{file}: others can read it: chmod 600 {file}")
    names = {"venue", "account", "kind", "hint", "addedAt", "nonce", "sealed"}
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise CredentialsError(f"{file}: not a file of credentials of version {VERSION}")
    kept = document.get("credentials")
    if not isinstance(kept, list) or not all(isinstance(one, dict) and one.keys() >= names for one in kept):
        raise CredentialsError(f"{file}: damaged")
    return kept


def _write(file: Path, kept: list[dict[str, Any]]) -> None:
    partial = file.with_name(file.name + ".new")
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as out:
            json.dump({"version": VERSION, "credentials": kept}, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        os.replace(partial, file)
    except OSError as error:
        raise CredentialsError(f"{file}: cannot be written: {error.strerror}") from None


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One writer at a time: its directory is locked, so that no lock file is left."""
    try:
        descriptor = os.open(file.parent, os.O_RDONLY)
    except OSError as error:
        raise CredentialsError(f"{file.parent}: cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
