"""The key that an account trades with at the exchange."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """`secret`: of HMAC, or an Ed25519 private key as PEM. Its representation shows neither key nor secret."""

    account: str
    api_key: str
    secret: str

    def __repr__(self) -> str:
        return f"Credential(account={self.account!r}, api_key={self.api_key[:4]}…)"
