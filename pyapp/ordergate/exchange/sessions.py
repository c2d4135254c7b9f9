"""Sessions of the WS-API: log on once per connection, and subscribe to user data. Handlers, as `api.py` lists them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ordergate.exchange import errors
from ordergate.exchange.errors import ApiError, bad
from ordergate.exchange.params import whole_of
from ordergate.exchange.publish import Subscriber
from ordergate.exchange.request import Request
from ordergate.exchange.server import Server
from ordergate.exchange.sockets import ABORT, Socket, end, say
from ordergate.exchange.state import Event
from ordergate.exchange.ws_frames import event

Handled = tuple[int, Any]
MOST_SUBSCRIPTIONS: Final = 1_000
QUEUED: Final = 16_384
NO_HMAC_LOGON: Final = bad(-4056, "HMAC_SHA256 API key is not supported.")
NOT_LOGGED_ON: Final = ApiError(401, -1002, "You are not authorized to execute this request.")
ACTIVE: Final = bad(-2035, "User Data Stream subscription already active.")
INACTIVE: Final = bad(-2036, "User Data Stream subscription not active.")
TOO_MANY: Final = bad(-1000, "Too many subscriptions.")


@dataclass(slots=True)
class Subscription:
    """One account's user data. `queue`: what was published and has not been said yet."""

    number: int
    account: str
    api_key: str
    queue: Subscriber
    task: asyncio.Task[None]


@dataclass(slots=True)
class Session:
    """One connection to the WS-API. `api_key`: logged on with it since `since`; None: not logged on.

    `microseconds`: gives an event the times that the connection has asked for.
    """

    server: Server
    socket: Socket
    microseconds: Callable[[Any], Any] | None = None
    api_key: str | None = None
    since: int | None = None
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    next_number: int = 0


def _of(request: Request) -> Session:
    assert isinstance(request.session, Session), "only the WS-API reaches these methods"
    return request.session


async def logon(server: Server, request: Request) -> Handled:
    """Authenticates the connection: later requests need neither key nor signature."""
    session, key = _of(request), server.keys[request.api_key or ""]
    if key.credential.secret is not None and not server.config.hmac_logon:
        return 400, NO_HMAC_LOGON
    session.api_key, session.since = request.api_key, server.clock.now()
    return 200, _status(session)


async def status(server: Server, request: Request) -> Handled:
    del server
    return 200, _status(_of(request))


async def logout(server: Server, request: Request) -> Handled:
    """Forgets the key; subscriptions by signature stay, those of the session's key end."""
    del server
    session = _of(request)
    for one in list(session.subscriptions.values()):
        if one.api_key == session.api_key:
            terminate(session, one)
    session.api_key = session.since = None
    return 200, _status(session)


async def subscriptions(server: Server, request: Request) -> Handled:
    del server
    return 200, [{"subscriptionId": number} for number in _of(request).subscriptions]


async def subscribe(server: Server, request: Request) -> Handled:
    """User data of the account that is logged on."""
    session = _of(request)
    if session.api_key is None:
        return 401, NOT_LOGGED_ON
    key = server.keys[session.api_key]
    if key.revoked or "USER_STREAM" not in key.permissions:
        return 401, errors.BAD_KEY
    return _subscribed(session, key.account, session.api_key)


async def subscribe_by_signature(server: Server, request: Request) -> Handled:
    """User data of the account whose key has signed this request; the connection stays as it is."""
    if "USER_STREAM" not in server.keys[request.api_key or ""].permissions:
        return 401, errors.BAD_KEY
    return _subscribed(_of(request), request.account or "", request.api_key or "")


async def unsubscribe(server: Server, request: Request) -> Handled:
    """Ends one subscription, or without an id all of them."""
    del server
    session, number = _of(request), whole_of(request.params, "subscriptionId")
    if isinstance(number, ApiError):
        return 400, number
    chosen = list(session.subscriptions) if number is None else [number]
    if not chosen or any(one not in session.subscriptions for one in chosen):
        return 400, INACTIVE
    for one in chosen:
        drop(session, session.subscriptions[one])
    return 200, {}


def _status(session: Session) -> dict[str, Any]:
    return {
        "apiKey": session.api_key,
        "authorizedSince": session.since,
        "connectedSince": session.socket.opened_ms,
        "returnRateLimits": True,
        "serverTime": session.server.clock.now(),
        "userDataStream": bool(session.subscriptions),
    }


def _subscribed(session: Session, account: str, api_key: str) -> Handled:
    if any(one.account == account for one in session.subscriptions.values()):
        return 400, ACTIVE
    if len(session.subscriptions) >= MOST_SUBSCRIPTIONS:
        return 400, TOO_MANY
    return 200, {"subscriptionId": add(session, account, api_key).number}


def add(session: Session, account: str, api_key: str) -> Subscription:
    """Subscribes, even where there is a subscription to the account already."""
    queue: Subscriber = asyncio.Queue(QUEUED)
    number = session.next_number
    one = Subscription(number, account, api_key, queue, asyncio.create_task(_pump(session, number, queue)))
    session.next_number += 1
    session.subscriptions[number] = one
    session.socket.accounts.add(account)
    session.server.hub.subscribe(account, queue)
    return one


def drop(session: Session, one: Subscription) -> None:
    """Ends a subscription. What was published before is still said."""
    session.server.hub.unsubscribe(one.queue)
    say_all(session, one)
    del session.subscriptions[one.number]
    one.task.cancel()
    if not any(other.account == one.account for other in session.subscriptions.values()):
        session.socket.accounts.discard(one.account)


def terminate(session: Session, one: Subscription) -> None:
    """The exchange ends a subscription by itself, and says so."""
    say_all(session, one)
    body = {"e": "eventStreamTerminated", "E": session.server.clock.now()}
    _say(session, one.number, Event(one.account, "eventStreamTerminated", body))
    drop(session, one)


def say_all(session: Session, one: Subscription) -> None:
    """Says everything that has been published for a subscription."""
    while not one.queue.empty():
        _say(session, one.number, one.queue.get_nowait())


async def _pump(session: Session, number: int, queue: Subscriber) -> None:
    while True:
        _say(session, number, await queue.get())


def _say(session: Session, number: int, told: Event | None) -> None:
    if told is None:
        # It was too slow, and has been cut off from its events.
        end(session.socket, ABORT)
        return
    body = told.body if session.microseconds is None else session.microseconds(told.body)
    say(session.socket, event(number, body))
