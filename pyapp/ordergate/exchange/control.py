"""The second port: faults, prices, fills, the exchange's own acts, and everything it knows. Not for clients."""

import json
from collections import Counter
from typing import Any, Final

from aiohttp import web

from ordergate.exchange import limits
from ordergate.exchange.amounts import shown
from ordergate.exchange.errors import ApiError
from ordergate.exchange.faults import Rule
from ordergate.exchange.ledger import KEPT_REQUESTS
from ordergate.exchange.reports import own_trade, queried
from ordergate.exchange.rest import SERVER
from ordergate.exchange.server import Server
from ordergate.exchange.state import HOUSE


def app(server: Server) -> web.Application:
    """All of `/__emu`."""
    found = web.Application()
    found[SERVER] = server
    found.add_routes(
        [
            web.get("/__emu/rules", rules),
            web.post("/__emu/rules", add_rules),
            web.delete("/__emu/rules", drop_rules),
            web.delete("/__emu/rules/{id:[0-9]+}", drop_rules),
            web.post("/__emu/clock", set_clock),
            web.get("/__emu/state", state),
            web.get("/__emu/ledger", ledger),
            web.post("/__emu/key", set_key),
            web.post("/__emu/limits", set_limits),
            web.get("/__emu/ws", websockets),
            web.post("/__emu/ws", websockets),
            web.post("/__emu/{act:[a-z-]+}", act),
        ]
    )
    return found


async def _json(request: web.Request, *, exact: bool = False) -> Any:
    """The body; `exact`: its numbers as the text that was sent."""
    text, kept = await request.text(), str if exact else None
    try:
        return json.loads(text, parse_float=kept, parse_int=kept) if text else {}
    except ValueError as error:
        raise web.HTTPBadRequest(text=json.dumps({"error": str(error)}), content_type="application/json") from error


def _refused(text: str) -> web.Response:
    return web.json_response({"error": text}, status=400)


async def rules(request: web.Request) -> web.Response:
    """Rules that can still act, and how often each has."""
    return web.json_response([rule.shown() for rule in request.app[SERVER].faults.rules.values()])


async def add_rules(request: web.Request) -> web.Response:
    """One rule, or a list of them: all or none."""
    server, tree = request.app[SERVER], await _json(request)
    added: list[Rule] = []
    for one in tree if isinstance(tree, list) else [tree]:
        rule = server.faults.add(one) if isinstance(one, dict) else "a rule is an object"
        if isinstance(rule, str):
            for earlier in added:
                server.faults.rules.pop(earlier.number, None)
            return _refused(rule)
        added.append(rule)
    return web.json_response([rule.shown() for rule in added])


async def drop_rules(request: web.Request) -> web.Response:
    """One rule, or all of them."""
    server, number = request.app[SERVER], request.match_info.get("id")
    if number is None:
        server.faults.rules.clear()
    else:
        server.faults.rules.pop(int(number), None)
    return web.json_response({})


async def set_clock(request: web.Request) -> web.Response:
    """`offsetMs`, `driftPpm`, `freeze` (true, or a time), `advanceMs`; any of them."""
    clock, tree = request.app[SERVER].clock, await _json(request)
    if "offsetMs" in tree:
        clock.offset_ms = int(tree["offsetMs"])
    if "driftPpm" in tree:
        drifted = clock.now() if clock.frozen_ms is None else clock.frozen_ms
        clock.drift_ppm = int(tree["driftPpm"])
        clock.since_ms = drifted - clock.offset_ms
    if "freeze" in tree:
        frozen = tree["freeze"]
        clock.frozen_ms = None if frozen is False else clock.now() if frozen is True else int(frozen)
    if "advanceMs" in tree:
        if clock.frozen_ms is not None:
            clock.frozen_ms += int(tree["advanceMs"])
        else:
            clock.offset_ms += int(tree["advanceMs"])
    return web.json_response({"now": clock.now(), "offsetMs": clock.offset_ms, "frozen": clock.frozen_ms is not None})


async def state(request: web.Request) -> web.Response:
    """Every client's orders, trades and balances, and the symbols."""
    ex = request.app[SERVER].ex
    body: dict[str, Any] = {"now": request.app[SERVER].clock.now(), "accounts": {}, "symbols": {}}
    for name, account in ex.accounts.items():
        if name == HOUSE:
            continue
        body["accounts"][name] = {
            "canTrade": account.can_trade,
            "balances": {
                asset: {"free": shown(account.free.get(asset, 0)), "locked": shown(account.locked.get(asset, 0))}
                for asset in sorted({*account.free, *account.locked})
            },
            "orders": [
                queried(order)
                for (owner, _), orders in ex.account_orders.items()
                if owner == name
                for order in orders.values()
            ],
            "trades": [
                own_trade(fill) for (owner, _), fills in ex.account_fills.items() if owner == name for fill in fills
            ],
        }
    for symbol in ex.symbols.values():
        body["symbols"][symbol.name] = {
            "status": symbol.status,
            "lastPrice": shown(symbol.last_price),
            "lastTradeId": symbol.next_trade - 1,
            "waitingStops": len(symbol.stops),
        }
    body["fees"] = {asset: shown(amount) for asset, amount in sorted(ex.fees.items())}
    body["supply"] = {asset: shown(amount) for asset, amount in sorted(ex.supply.items())}
    return web.json_response(body)


async def ledger(request: web.Request) -> web.Response:
    """The requests since the start, and how many orders each client id has: the oracle for "exactly once".

    `?clientOrderId=` and `?after=` (a request's number) narrow the requests down.
    """
    server = request.app[SERVER]
    wanted, after = request.query.get("clientOrderId"), int(request.query.get("after", 0))
    commits: Counter[str] = Counter()
    for orders in server.ex.account_orders.values():
        commits.update(order.first_client_id for order in orders.values())
    return web.json_response(
        {
            "sequence": server.ledger.sequence,
            "kept": KEPT_REQUESTS,
            "eventsSent": server.hub.sent,
            "commits": {name: count for name, count in commits.items() if wanted in {None, name}},
            "requests": [
                one
                for one in server.ledger.requests
                if one["n"] > after and (wanted is None or one["clientOrderId"] == wanted)
            ],
        }
    )


async def set_key(request: web.Request) -> web.Response:
    """What one API key may do: `apiKey`, and `permissions`, `enableWithdrawals`, `ips`, `revoked`."""
    server, tree = request.app[SERVER], await _json(request)
    key = server.keys.get(tree.get("apiKey", ""))
    if key is None:
        return _refused("apiKey: there is no such key")
    key.permissions = set(tree.get("permissions", key.permissions))
    key.withdrawals = bool(tree.get("enableWithdrawals", key.withdrawals))
    key.ips = set(tree.get("ips", key.ips))
    key.revoked = bool(tree.get("revoked", key.revoked))
    if server.websockets is not None and (key.revoked or "USER_STREAM" not in key.permissions):
        server.websockets.on_request({"do": "terminate", "apiKey": tree["apiKey"]})
    return web.json_response({"account": key.account, "permissions": sorted(key.permissions), "revoked": key.revoked})


async def set_limits(request: web.Request) -> web.Response:
    """`usedWeight` of an address (`address`, 127.0.0.1), `banSeconds` for it (0 lifts a ban)."""
    server, tree = request.app[SERVER], await _json(request)
    address, now = tree.get("address", "127.0.0.1"), server.clock.now()
    one = server.counters.address(address)
    if "usedWeight" in tree:
        one.weight.add(int(tree["usedWeight"]) - one.weight.at(now), now)
    if "banSeconds" in tree:
        limits.ban(server.counters, address, now, int(tree["banSeconds"]))
    return web.json_response({"usedWeight": one.weight.at(now), "bannedUntil": one.banned_until})


async def websockets(request: web.Request) -> web.Response:
    """The open WebSockets; a POST does something (`do`) to some of them (`path`, `account`)."""
    doors = request.app[SERVER].websockets
    if doors is None:
        return web.json_response([])
    if request.method == "GET":
        return web.json_response(doors.shown())
    found = doors.on_request(await _json(request))
    return _refused(found) if isinstance(found, str) else web.json_response(found)


ACTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "fill": ("fill", {}),
    "trade": ("print", {}),
    "price": ("move", {}),
    "book": ("quote", {"bids": [], "asks": []}),
    "rest": ("rest", {}),
    "take": ("take", {}),
    "step": ("step", {"seed": "1"}),
    "expire": ("exchange_cancel", {}),
    "order": ("place", {}),
    "cancel": ("cancel", {}),
    "deposit": ("transfer", {}),
    "withdraw": ("transfer", {}),
    "lock": ("lock", {}),
    "symbol": ("set_symbol", {}),
    "delist": ("delist", {}),
    "account": ("set_account", {}),
}
"""Path → command, and what it takes when nothing is said. `order` and `cancel` are a person's, from outside."""
BY_PARAMS: Final = frozenset({"fill", "exchange_cancel", "place", "cancel"})
RENAMED: Final = {"canTrade": "can_trade", "feesIn": "fees_in"}


async def act(request: web.Request) -> web.Response:
    """One of the exchange's own acts; the body's members are its arguments."""
    server, name = request.app[SERVER], request.match_info["act"]
    if name not in ACTS:
        return _refused(f"{name}: one of {', '.join(sorted(ACTS))}")
    command, usual = ACTS[name]
    tree = usual | {RENAMED.get(key, key): value for key, value in (await _json(request, exact=True)).items()}
    if name == "withdraw":
        tree["amount"] = "-" + str(tree.get("amount", ""))
    if command in BY_PARAMS:
        account = tree.pop("account", None)
        more = {"reason": tree.pop("reason")} if command == "exchange_cancel" and "reason" in tree else {}
        tree = {"account": account, "params": {key: str(value) for key, value in tree.items()}, **more}
    if "account" in tree and tree["account"] not in server.ex.accounts:
        return _refused(f"account: one of {', '.join(sorted(server.ex.accounts))}")
    try:
        result, sequence = await server.execute(command, tree)
    except (TypeError, ValueError, KeyError) as error:
        return _refused(str(error))
    if isinstance(result, ApiError):
        return web.json_response(result.body(), status=result.status)
    return web.json_response({"sequence": sequence, "result": result})
