"""What the exchange refuses, with its own codes and texts."""

from dataclasses import dataclass
from typing import Any, Final

from ordergate.exchange.amounts import LEGAL


@dataclass(frozen=True, slots=True)
class ApiError:
    """A refusal as a value: HTTP status, error code, text, and what else the body holds."""

    status: int
    code: int
    msg: str
    data: dict[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        """The JSON object of the answer."""
        found: dict[str, Any] = {"code": self.code, "msg": self.msg}
        return found if self.data is None else {**found, "data": self.data}


def bad(code: int, msg: str) -> ApiError:
    """A refusal that is the caller's fault: HTTP 400."""
    return ApiError(400, code, msg)


def missing(name: str) -> ApiError:
    return bad(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str, legal: str = LEGAL) -> ApiError:
    return bad(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def unwanted(name: str) -> ApiError:
    return bad(-1106, f"Parameter '{name}' sent when not required.")


def filtered(name: str) -> ApiError:
    return bad(-1013, f"Filter failure: {name}")


BAD_SYMBOL: Final = bad(-1121, "Invalid symbol.")
BAD_SIDE: Final = bad(-1117, "Invalid side.")
BAD_TYPE: Final = bad(-1116, "Invalid orderType.")
BAD_TIF: Final = bad(-1115, "Invalid timeInForce.")
BAD_RESTRICTION: Final = bad(-1145, "Invalid cancelRestrictions")
DUPLICATE: Final = bad(-2010, "Duplicate order sent.")
NO_BALANCE: Final = bad(-2010, "Account has insufficient balance for requested action.")
CLOSED: Final = bad(-2010, "Market is closed.")
CANCEL_CLOSED: Final = bad(-2011, "Market is closed.")
WOULD_TAKE: Final = bad(-2010, "Order would immediately match and take.")
WOULD_TRIGGER: Final = bad(-2010, "Order would trigger immediately.")
MAY_NOT: Final = bad(-2010, "This account may not place or cancel orders.")
CANCEL_MAY_NOT: Final = bad(-2011, "This account may not place or cancel orders.")
NO_LIQUIDITY: Final = bad(-2010, "Order book liquidity is less than symbol minimum quantity.")
TOO_THIN: Final = bad(-2010, "Order book liquidity is less than `LOT_SIZE` filter minimum quantity.")
UNKNOWN_ORDER: Final = bad(-2011, "Unknown order sent.")
RESTRICTED: Final = bad(-2011, "Order was not canceled due to cancel restrictions.")
AMEND_UNKNOWN: Final = bad(-2038, "Unknown order sent.")
AMEND_MORE: Final = bad(-2038, "Order amend (quantity increase) is not supported.")
AMEND_LESS: Final = bad(-2038, "Order amend is not possible: the quantity has been executed.")
AMEND_OFTEN: Final = bad(-2038, "Filter failure: MAX_NUM_ORDER_AMENDS")
AMEND_CLOSED: Final = bad(-2038, "Market is closed.")
NO_SUCH_ORDER: Final = bad(-2013, "Order does not exist.")
PAIR_MISMATCH: Final = bad(-2039, "Client order ID is not correct for this order ID.")
BAD_KEY_FORMAT: Final = ApiError(401, -2014, "API-key format invalid.")
BAD_KEY: Final = ApiError(401, -2015, "Invalid API-key, IP, or permissions for action.")
BAD_SIGNATURE: Final = bad(-1022, "Signature for this request is not valid.")
LATE: Final = bad(-1021, "Timestamp for this request is outside of the recvWindow.")
EARLY: Final = bad(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
BAD_WINDOW: Final = bad(-1131, "recvWindow must be less than 60000")
UNKNOWN_METHOD: Final = ApiError(404, -1000, "An unknown error occurred while processing the request.")
