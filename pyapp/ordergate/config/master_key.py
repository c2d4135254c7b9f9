"""The key that opens the exchange credentials: from the environment or from a file that only we can read."""

import binascii
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ordergate.config.paths import Paths
from ordergate.config.settings import Settings

VARIABLE: Final = "ORDERGATE_MASTER_KEY"
KEY_BYTES: Final = 32


class MasterKeyError(Exception):
    """There is no usable master key; the message says where it was looked for, and never what was found."""


class MasterKeyMissing(MasterKeyError):
    """Nobody has made one yet."""


def file_of(settings: Settings, paths: Paths) -> Path:
    """Where the key is, unless it is in the environment."""
    named = settings.binance.master_key_file
    return paths.master_key if named is None else Path(named)


def read(settings: Settings, paths: Paths, environment: Mapping[str, str] | None = None) -> bytes:
    """The key: 64 hexadecimal digits in `ORDERGATE_MASTER_KEY`, or else in the file. Raises MasterKeyError."""
    given = (os.environ if environment is None else environment).get(VARIABLE)
    if given:
        return _key(given, VARIABLE)
    file = file_of(settings, paths)
    try:
        found = file.stat()
        text = file.read_text(encoding="ascii")
    except FileNotFoundError:
        raise MasterKeyMissing(f"there is no master key: neither {VARIABLE} nor {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise MasterKeyError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or 'not text'}") from None
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise MasterKeyError(f"{file}: others can read it: chmod 600 {file}, and change the keys at the exchange")
    return _key(text, str(file))


def generate(file: Path) -> None:
    """Makes a new key in a file of its own (0600). Raises MasterKeyError when something is there already."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise MasterKeyError(f"{file}: cannot be made: {error.strerror}") from None
    with open(descriptor, "w", encoding="ascii") as out:
        out.write(secrets.token_hex(KEY_BYTES) + "\n")
        out.flush()
        os.fsync(out.fileno())


def _key(text: str, place: str) -> bytes:
    try:
        key = binascii.unhexlify(text.strip())
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise MasterKeyError(f"{place}: expected {2 * KEY_BYTES} hexadecimal digits")
    return key
