"""Whether a request was signed by the key that it names: HMAC-SHA256, Ed25519, RSA PKCS#1 v1.5, over the bytes sent."""

import base64
import binascii
import hmac
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ordergate.exchange.config import Credential

SIGNATURE: Final = b"signature="


def split(raw: bytes) -> tuple[bytes, bytes | None]:
    """Query string or body without its signature pair, as it was sent, and the signature as it was sent."""
    kept, found = [], None
    for pair in raw.split(b"&"):
        if pair.startswith(SIGNATURE):
            found = pair[len(SIGNATURE) :]
        else:
            kept.append(pair)
    return b"&".join(kept), found


def valid(credential: Credential, payload: bytes, signature: str) -> bool:
    """`signature` with percent-encoding undone; hexadecimal in any case for HMAC, base64 for the others."""
    if credential.secret is not None:
        wanted = hmac.digest(credential.secret.encode(), payload, "sha256").hex()
        return hmac.compare_digest(wanted.encode(), signature.lower().encode())
    try:
        key = load_pem_public_key((credential.public_key or "").encode())
        raw = base64.b64decode(signature, validate=True)
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(raw, payload)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(raw, payload, padding.PKCS1v15(), hashes.SHA256())
        else:
            return False
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
