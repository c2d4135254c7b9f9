"""The account's own events, over the exchange's WebSocket API: every raw event, in order, into the inbound path.

A subscription is replaced before it is cut: by age, or when the exchange announces its end, the new one stands before
the old one is closed. One that is silent is no subscription: each is asked to answer often enough to be found out.
"""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ordergate.venues.binance import booking, dialect, trades
from ordergate.venues.binance.answer import decode
from ordergate.venues.binance.credentials import Credential
from ordergate.venues.binance.desk import AccountDesk, Desk, log, room, spawn, wish
from ordergate.venues.binance.dialect import Malformed
from ordergate.venues.binance.transport import ListedHosts

CONNECT_TIMEOUT_S: Final = 10.0
DRAIN_S: Final = 0.5
"""How long a replaced subscription is still heard: what it was about to say."""
AGAIN_S: Final = (0.05, 5.0)
"""First and longest wait before another attempt."""
WEIGHT: Final = 4
"""Of a connection and its subscription."""
LONGEST_MESSAGE: Final = 1 << 20

_numbers = itertools.count(1)


class StreamLost(Exception):
    """The subscription does not stand, or never did."""


@dataclass(slots=True, eq=False)
class Subscription:
    """One connection with its subscription."""

    socket: aiohttp.ClientWebSocketResponse
    opened_s: float
    retire: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when another one has to take its place."""
    lost: str | None = None
    """Why nothing comes over it any more."""
    reading: asyncio.Task[Any] | None = None


def open_http(allowed: frozenset[str]) -> aiohttp.ClientSession:
    """A client for connections that stay, to allowed hosts only."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=ListedHosts(allowed)),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        trust_env=False,
    )


async def keep(desk: Desk, side: AccountDesk, http: aiohttp.ClientSession, url: str) -> None:
    """Keeps a subscription of the account for the session's life."""
    old: Subscription | None = None
    wait_s = AGAIN_S[0]
    while desk.link.open:
        try:
            new = await subscribe(desk, side, http, url)
        except StreamLost as error:
            if old is None or old.lost is not None:
                _down(side, str(error))
            log.warning("user stream not subscribed", account=side.account, reason=str(error))
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, AGAIN_S[1])
            continue
        new.reading = spawn(desk, _read(desk, side, new))
        side.stream_up, side.stream_why = True, ""
        desk.link.wake.set()
        if old is not None and old.lost is None:
            # Both are heard for a moment; what comes twice counts once.
            spawn(desk, _close(old, DRAIN_S))
        spawn(desk, trades.catch_up(desk, side))
        await new.retire.wait()
        old = new
        # One that stood for a while was not refused: try again at once.
        young = asyncio.get_running_loop().time() - new.opened_s < AGAIN_S[1]
        wait_s = min(wait_s * 2, AGAIN_S[1]) if young else AGAIN_S[0]
        if new.lost is not None:
            _down(side, new.lost)
            if young:
                await asyncio.sleep(wait_s / 2)


async def subscribe(desk: Desk, side: AccountDesk, http: aiohttp.ClientSession, url: str) -> Subscription:
    """A new connection with a subscription that the exchange has confirmed. Raises StreamLost."""
    ticket = side.budget.take("reconcile", WEIGHT)
    if isinstance(ticket, int):
        raise StreamLost(f"no room in the budget for {ticket} ms")
    side.budget.settle(ticket, None)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            socket = await http.ws_connect(url, max_msg_size=LONGEST_MESSAGE)
            try:
                number = f"subscribe-{next(_numbers)}"
                await socket.send_str(_request(number, signed(side.credential, desk.clock.now_ms())))
                while True:
                    told = _told(await socket.receive())
                    if told.get("id") == number:
                        break
                if told.get("status") != "200":
                    raise StreamLost(f"refused: {json.dumps(told.get('error'))[:200]}")
            except BaseException:
                await socket.close()
                raise
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise StreamLost(f"{type(error).__name__} {error}".strip()) from error
    return Subscription(socket, asyncio.get_running_loop().time())


def signed(credential: Credential, now_ms: int) -> dict[str, Any]:
    """The parameters of `userDataStream.subscribe.signature`, with the signature over them in order of their names."""
    params = {"apiKey": credential.api_key, "timestamp": now_ms}
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params)).encode()
    return params | {"signature": signature(credential.secret, payload)}


def signature(secret: str, payload: bytes) -> str:
    """HMAC-SHA256 in hex, or Ed25519 in base64 where the secret is a private key."""
    if "PRIVATE KEY" not in secret:
        return hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
    key = load_pem_private_key(secret.encode(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("only Ed25519 private keys are supported")
    return base64.b64encode(key.sign(payload)).decode()


async def _read(desk: Desk, side: AccountDesk, one: Subscription) -> None:
    """Takes what a subscription says until it is lost or replaced."""
    loop = asyncio.get_running_loop()
    quiet_s = desk.times.stream_silence_s / 3
    asked = False
    try:
        while one.lost is None and desk.link.open:
            if loop.time() - one.opened_s > desk.times.stream_lifetime_s:
                one.retire.set()
            try:
                async with asyncio.timeout(quiet_s):
                    message = await one.socket.receive()
            except TimeoutError:
                if asked:
                    one.lost = f"silent for {2 * quiet_s:.0f} s"
                else:
                    # A connection that is half open would be quiet for ever.
                    asked = True
                    await one.socket.send_str(json.dumps({"id": f"ping-{next(_numbers)}", "method": "ping"}))
                continue
            asked = False
            try:
                hear(desk, side, one, _told(message))
            except Malformed as error:
                log.error("an event that is not understood", account=side.account, reason=str(error))
                wish(side, "malformed_event")
            await room(desk)
    except (StreamLost, aiohttp.ClientError, OSError, ValueError) as error:
        one.lost = str(error) or type(error).__name__
    finally:
        one.lost = one.lost or "closed"
        one.retire.set()
        await _close(one, 0)


def hear(desk: Desk, side: AccountDesk, one: Subscription, told: Mapping[str, Any]) -> None:
    """One message. Raises Malformed."""
    event = told.get("event", told)
    if not isinstance(event, dict):
        raise Malformed("an event that is no object")
    match event.get("e"):
        case "executionReport":
            execution(desk, side, event)
        case "balanceUpdate":
            wish(side, "deposit")
        case "eventStreamTerminated":
            one.lost = "terminated by the exchange"
            one.retire.set()
        case "serverShutdown":
            one.retire.set()
        case _:
            # Positions and locks follow from trades; lists are not ours; answers to pings are signs of life.
            pass


def execution(desk: Desk, side: AccountDesk, event: Mapping[str, Any]) -> None:
    """One executionReport. Raises Malformed."""
    if event.get("X") == "PENDING_NEW":
        # A waiting leg of an order list.
        return
    seen, trade = dialect.seen_in_event(event), dialect.trade_in_event(event)
    order = booking.known(desk, side, seen.symbol, seen.venue_order_id, seen.client_id)
    told = [] if trade is None else [trade]
    if order is not None:
        booking.take(desk, side, order, seen, told)
    else:
        spawn(desk, _stranger(desk, side, seen, told))


async def _stranger(desk: Desk, side: AccountDesk, seen: dialect.Seen, told: list[dialect.Trade]) -> None:
    try:
        await booking.take_any(desk, side, seen, told)
    except (booking.Unanswered, Malformed) as error:
        log.warning("an order from outside is not taken in", order=seen.venue_order_id, reason=str(error))
        wish(side, "external")


def _down(side: AccountDesk, why: str) -> None:
    if side.stream_up or not side.stream_why:
        side.stream_down_s = asyncio.get_running_loop().time()
    side.stream_up, side.stream_why = False, why


def _told(message: aiohttp.WSMessage) -> Mapping[str, Any]:
    """The object in a message. Raises StreamLost at the connection's end, ValueError for what is no JSON."""
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise StreamLost(f"closed by the exchange: {message.type.name} {message.data or ''}".strip())
    told = decode(message.data.encode())
    if not isinstance(told, dict):
        raise Malformed("a message that is no object")
    return told


def _request(number: str, params: Mapping[str, Any]) -> str:
    return json.dumps({"id": number, "method": "userDataStream.subscribe.signature", "params": params})


async def _close(one: Subscription, after_s: float) -> None:
    await asyncio.sleep(after_s)
    one.lost = one.lost or "replaced"
    if not one.socket.closed:
        await one.socket.close()
