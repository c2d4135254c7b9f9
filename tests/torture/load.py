"""The load of a torture run: traders that write down, on disk, what they sent and what they were told.

Most requests are repeated until they are answered. Some are given up after one short try: such an order may have
happened, at most once. Old requests are sent again at any time, so that a repeat often meets another gateway process
than its original; what all answers to one key have to say is the checker's question.
"""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from random import Random

from tests.acceptance.clients import Client, write_down
from tests.acceptance.market import OPENING, some_order
from tests.acceptance.system import Answer, System, open_account, request, run_strategy
from tests.torture.faults import Stage

TRADERS = 6
PAUSE_S = 0.02
"""Mean think time: some requests are under way at any moment, and the faults get processor time too."""
PLACE, IMPATIENT, REPEAT, CANCEL = "place", "impatient", "repeat", "cancel"
STEPS = {PLACE: 55, IMPATIENT: 10, REPEAT: 15, CANCEL: 20}
"""What a trader does next, by weight."""
IMPATIENCE_S = (0.001, 0.05)
QUIET_TIMEOUT_S = 120.0
REFUSED_FREE = {"invalid_price"}
"""Codes of the refusals that leave the key free and that this load provokes."""
NOT_NOW = {"strategy_not_running"}
"""Codes of the refusals that say nothing for good: a kill stops strategies, and afterwards a person starts them."""


@dataclass
class Trader:
    """One account with its client, its log on disk, and what it may ask about again."""

    account: str
    client: Client
    log: Path
    mode: str = "PAPER"
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    busy: threading.Lock = field(default_factory=threading.Lock)

    def note(self, key: str, answer: Answer) -> None:
        """An answer to a request with that key, on disk before anything follows from it."""
        if code_of(answer) in NOT_NOW:
            return
        write_down(self.log, answered=key, status=answer.status, answer=answer.body.decode())
        if answer.status == 201:
            self.orders.append(answer.json()["id"])


@dataclass
class Load:
    """All traders. `going` is cleared while somebody looks, `over` ends them."""

    traders: list[Trader]
    going: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    failure: list[BaseException] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def check(self) -> None:
        """Raises what ended a trader, if one has ended."""
        if self.failure:
            raise self.failure[0]


def begin(stage: Stage, directory: Path, seed: int) -> Load:
    """Opens an account for each trader of PAPER and lets them trade."""
    return let_trade([trader(stage.system, directory, seed, number, OPENING) for number in range(TRADERS)])


def let_trade(traders: list[Trader]) -> Load:
    """Each trades until the load is ended."""
    load = Load(traders)
    load.going.set()
    for trader in load.traders:
        thread = threading.Thread(target=_trade, args=(load, trader), name=trader.account, daemon=True)
        thread.start()
        load.threads.append(thread)
    return load


def end(load: Load) -> None:
    """Ends the traders after what they are doing."""
    load.over.set()
    load.going.set()
    for thread in load.threads:
        thread.join(QUIET_TIMEOUT_S)


@contextmanager
def quiet(load: Load) -> Iterator[None]:
    """No request is under way within this block."""
    load.going.clear()
    try:
        for trader in load.traders:
            assert trader.busy.acquire(timeout=QUIET_TIMEOUT_S), f"{trader.account} waits for an answer"
            trader.busy.release()
        load.check()
        yield
    finally:
        load.going.set()


def account_of(number: int) -> str:
    """The account of a trader."""
    return f"torture-{number}"


def trader(
    system: System, directory: Path, seed: int, number: int, paper: dict[str, str], mode: str = "PAPER"
) -> Trader:
    """A new account, with a strategy that runs, and who trades with it."""
    account, log = account_of(number), directory / f"trader-{number}.log"
    token = open_account(system, account, paper)
    client = Client(system, token, run_strategy(system, account), Random(f"{seed}/trader/{number}"), log)
    return Trader(account, client, log, mode)


def _trade(load: Load, trader: Trader) -> None:
    random = trader.client.random
    try:
        while not load.over.is_set():
            load.going.wait()
            with trader.busy:
                if load.going.is_set():
                    _step(trader)
            time.sleep(random.uniform(0, 2 * PAUSE_S))
    except BaseException as failure:
        load.failure.append(failure)


def _step(trader: Trader) -> None:
    random = trader.client.random
    [what] = random.choices(list(STEPS), list(STEPS.values()))
    if what == REPEAT and trader.asked:
        recent = trader.asked[-20:] if random.random() < 0.5 else trader.asked
        _send(trader, *random.choice(recent))
    elif what == CANCEL and trader.orders:
        identity = random.choice(trader.orders[-10:])
        answer = trader.client.ask("DELETE", f"/api/v1/orders/{identity}")
        write_down(trader.log, canceled=identity, status=answer.status)
        assert answer.status in {200, 202, 409}, f"{answer.status} {answer.body!r}"
    else:
        key, body = str(uuid.UUID(int=random.getrandbits(128))), _order(trader)
        write_down(trader.log, sent=key, body=body.decode())
        if what == IMPATIENT:
            _try_once(trader, key, body)
        else:
            _send(trader, key, body)
            trader.asked.append((key, body))


def _order(trader: Trader) -> bytes:
    order = json.loads(some_order(trader.client.random, trader.client.strategy))
    return json.dumps(order | {"mode": trader.mode}).encode()


def _send(trader: Trader, key: str, body: bytes) -> None:
    answer = trader.client.ask("POST", "/api/v1/orders", body=body, key=key)
    trader.note(key, answer)
    assert answer.status == 201 or code_of(answer) in {"order_rejected"} | REFUSED_FREE | NOT_NOW, (
        f"{answer.status} {answer.body!r} to {body!r}"
    )


def code_of(answer: Answer) -> str:
    """The refusal's code; empty for an order."""
    return "" if answer.status == 201 else str(answer.json().get("code"))


def _try_once(trader: Trader, key: str, body: bytes) -> None:
    """Leaves soon, answered or not. Every other time the request is forgotten, else it may be repeated later."""
    client = trader.client
    with suppress(OSError, HTTPException):
        patience = client.random.uniform(*IMPATIENCE_S)
        answer = request(
            client.system, "POST", "/api/v1/orders", token=client.token, body=body, key=key, timeout_s=patience
        )
        if answer.status in {201, 422}:
            trader.note(key, answer)
    if client.random.random() < 0.5:
        trader.asked.append((key, body))


# --- what the log says ----------------------------------------------------------------------------------------------


@dataclass
class Told:
    """One request key: what was sent, and every answer to it that says something for good."""

    body: str
    answers: set[tuple[int, str]] = field(default_factory=set)

    @property
    def stored(self) -> tuple[int, str] | None:
        """The answer that the gateway must keep: an order, or a refusal by risk."""
        kept = [one for one in self.answers if one[0] == 201 or json.loads(one[1])["code"] == "order_rejected"]
        return kept[0] if kept else None


@dataclass
class History:
    """One trader's log, read back from the disk."""

    requests: dict[str, Told] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    repeats: int = 0


def read_back(log: Path) -> History:
    """What one trader sent and was told."""
    history = History()
    for line in log.read_text().splitlines() if log.exists() else []:
        fact = json.loads(line)
        if "sent" in fact:
            history.requests[fact["sent"]] = Told(fact["body"])
        elif "answered" in fact:
            told = history.requests[fact["answered"]]
            history.repeats += bool(told.answers)
            told.answers.add((fact["status"], fact["answer"]))
        else:
            history.canceled.add(fact["canceled"])
    return history


def order_id(answer: tuple[int, str]) -> str:
    """The order's id in a stored answer."""
    document = json.loads(answer[1])
    found: str = document["id"] if answer[0] == 201 else document["orderId"]
    return found
