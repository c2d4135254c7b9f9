"""A request as it came, by REST or WS-API, and the answer to it."""

from dataclasses import dataclass
from typing import Any

from ordergate.exchange.errors import ApiError


@dataclass(slots=True)
class Request:
    """`params`: every parameter's text. `payload`: the bytes that the signature is over.

    `logged_on`: by session.logon, so no signature is needed. `as_of`: answer queries as they stood then. `account` and
    `commit` (the place in the ledger) are found on the way. `repeated`: a parameter that was sent twice. `session`: of
    the WS-API's connection.
    """

    method: str
    params: dict[str, str]
    payload: bytes
    signature: str | None
    api_key: str | None
    address: str
    transport: str = "REST"
    verb: str = ""
    path: str = ""
    logged_on: bool = False
    microseconds: bool = False
    repeated: str | None = None
    account: str | None = None
    as_of: int | None = None
    commit: int | None = None
    session: object = None

    def client_order_id(self) -> str | None:
        """The client's id of the order that this is about, as far as it says."""
        for name in ("newClientOrderId", "origClientOrderId", "cancelOrigClientOrderId"):
            if self.method != "order.cancel" or name != "newClientOrderId":
                found = self.params.get(name)
                if found is not None:
                    return found
        return None

    def facts(self) -> dict[str, Any]:
        """What a fault rule can match."""
        return {
            "method": self.method,
            "verb": self.verb or None,
            "path": self.path or None,
            "transport": self.transport,
            "symbol": self.params.get("symbol"),
            "side": self.params.get("side"),
            "type": self.params.get("type"),
            "clientOrderId": self.client_order_id(),
            "account": self.account,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` as values, `raw` as bytes; `garbled`: `raw` is not `body`'s JSON.

    `delivery`: `send`, or `close` (nothing, FIN), `reset` (RST), `hang` (nothing, ever), `half` (half of it, then FIN).
    """

    status: int
    body: Any
    raw: bytes
    garbled: bool
    headers: dict[str, str]
    content_type: str
    delivery: str
    error: ApiError | None
    retry_after: int | None
