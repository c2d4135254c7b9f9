"""The known answers of the exchange's public documents, and keys of the other two kinds."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ordergate.exchange.config import Credential
from ordergate.exchange.signatures import split, valid

DOCUMENTED = Credential(
    "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
    "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
)
"""The example key of the documents: known to everybody, and good for nothing."""
AFTER_SYMBOL = "&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"

VECTORS = {
    "query or body": (
        f"symbol=LTCBTC{AFTER_SYMBOL}",
        "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
    ),
    "query and body, nothing between": (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTCquantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
        "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77",
    ),
    "percent-encoded symbol": (
        f"symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96{AFTER_SYMBOL}",
        "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
    ),
    "WS-API, sorted by name": (
        "apiKey=vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A&price=52000.00&quantity=0.01000000"
        "&recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT",
        "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
    ),
    "WS-API, with one parameter more": (
        "apiKey=vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A&newOrderRespType=ACK&price=52000.00"
        "&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT",
        "cc15477742bd704c29492d96c7ead9414dfd8e0ec4a00f947bb5bb454ddbd08a",
    ),
}


@pytest.mark.parametrize(("payload", "signature"), VECTORS.values(), ids=VECTORS)
def test_known_answers_of_the_documents(payload: str, signature: str) -> None:
    assert valid(DOCUMENTED, payload.encode(), signature)
    assert valid(DOCUMENTED, payload.encode(), signature.upper())
    assert not valid(DOCUMENTED, payload.encode() + b" ", signature)
    assert not valid(DOCUMENTED, payload.encode(), signature[:-1] + ("0" if signature[-1] != "0" else "1"))


def test_the_signature_pair_is_taken_out_wherever_it_stands() -> None:
    assert split(b"a=1&signature=ff&b=2") == (b"a=1&b=2", b"ff")
    assert split(b"signature=ff") == (b"", b"ff")
    assert split(b"a=%2B+1") == (b"a=%2B+1", None)


def pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_ed25519_and_rsa_keys() -> None:
    payload = f"symbol=LTCBTC{AFTER_SYMBOL}".encode()
    edwards = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    signature = base64.b64encode(edwards.sign(payload)).decode()
    assert valid(Credential("k", public_key=pem(edwards)), payload, signature)
    assert not valid(Credential("k", public_key=pem(edwards)), payload, signature.swapcase())
    large = rsa.generate_private_key(65537, 2048)
    signature = base64.b64encode(large.sign(payload, padding.PKCS1v15(), hashes.SHA256())).decode()
    assert valid(Credential("k", public_key=pem(large)), payload, signature)
    assert not valid(Credential("k", public_key=pem(large)), payload + b"&a=1", signature)
    assert not valid(Credential("k", public_key=pem(edwards)), payload, signature)
    assert not valid(Credential("k", public_key="no key"), payload, signature)
