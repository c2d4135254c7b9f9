"""What one event of the outbox does to balances and positions, as exact decimal text."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

# `\Z`, since `$` also matches before a line end.
Decimal = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,40}(\.[0-9]{1,40})?\Z")]
Positive = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,40}(\.[0-9]{1,40})?\Z")]
Code = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,64}\Z")]


class Fill(msgspec.Struct, frozen=True, rename="camel"):
    """Payload of FILL."""

    symbol: Code
    base: Code
    quote: Code
    side: Literal["BUY", "SELL"]
    price: Positive
    quantity: Positive
    quote_quantity: Positive
    fee: Decimal
    fee_asset: Code


class Adjustment(msgspec.Struct, frozen=True):
    """Payload of BALANCE_ADJUSTED."""

    asset: Code
    delta: Decimal


@dataclass(frozen=True, slots=True)
class Poison:
    """Why an event cannot be applied."""

    reason: str


_KINDS: Final[dict[str, msgspec.json.Decoder[Fill] | msgspec.json.Decoder[Adjustment]]] = {
    "FILL": msgspec.json.Decoder(Fill),
    "BALANCE_ADJUSTED": msgspec.json.Decoder(Adjustment),
}


def decode(kind: str, payload: str) -> Fill | Adjustment | Poison:
    """The event, checked: no number but a plain decimal, no missing member."""
    decoder = _KINDS.get(kind)
    if decoder is None:
        return Poison(f"events of kind {kind!r} are not known to this build")
    try:
        return decoder.decode(payload)
    except msgspec.MsgspecError as error:
        return Poison(str(error))


def balance_changes(event: Fill | Adjustment) -> list[tuple[str, str]]:
    """(asset, signed change) of each balance that the event moves."""
    if isinstance(event, Adjustment):
        return [(event.asset, event.delta)]
    bought, sold = (event.quantity, event.quote_quantity), (negated(event.quantity), negated(event.quote_quantity))
    base, quote = (bought[0], sold[1]) if event.side == "BUY" else (sold[0], bought[1])
    return [(event.base, base), (event.quote, quote), (event.fee_asset, negated(event.fee))]


def negated(decimal: str) -> str:
    """The same number with the other sign, digit by digit."""
    return decimal[1:] if decimal.startswith("-") else f"-{decimal}"
