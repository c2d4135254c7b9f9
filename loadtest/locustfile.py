"""A hundred traders with think time: makers, takers, and some who change their minds. Run it with `make loadtest`.

Every order that was sent is noted with its key and its answer; `run.py` holds the notes against Postgres afterwards.
"""

import json
import os
import random
import uuid
from pathlib import Path
from typing import Any

from locust import FastHttpUser, between, events, task

TOKENS = Path(os.environ["LOADTEST_TOKENS"]).read_text().split()
NOTES = Path(os.environ["LOADTEST_NOTES"]).open("w")  # noqa: SIM115 - open as long as locust runs
MID = 39_500


def order(side: str, order_type: str, **terms: Any) -> dict[str, Any]:
    """The body of one small order."""
    quantity = f"0.{random.randint(20, 900):05d}"
    return {"symbol": "BTCUSDT", "side": side, "type": order_type, "quantity": quantity, "mode": "PAPER"} | terms


class Trader(FastHttpUser):
    """What all of them do: place an order under a new key, and write down what became of it."""

    abstract = True
    wait_time = between(0.05, 0.35)
    network_timeout = 10.0
    connection_timeout = 10.0

    tokens = TOKENS[0::3]
    """Those who quote, who only buy, and who only sell have accounts of their own: nobody meets an order of its own."""

    def on_start(self) -> None:
        self.authorization = {"Authorization": f"Bearer {random.choice(self.tokens)}"}

    def place(self, body: dict[str, Any]) -> str | None:
        """The order's id, when it was taken."""
        key = str(uuid.uuid4())
        headers = self.authorization | {"Idempotency-Key": key}
        with self.client.post("/api/v1/orders", json=body, headers=headers, catch_response=True) as response:
            identity = None
            if response.status_code == 201:
                identity = json.loads(response.text)["id"]
                response.success()
            else:
                response.failure(f"{response.status_code}: {(response.text or '')[:200]}")
            NOTES.write(json.dumps({"key": key, "status": response.status_code, "id": identity}) + "\n")
            return identity

    def cancel(self, identity: str) -> None:
        """Cancels; too late (409) is an answer as good as any."""
        path = f"/api/v1/orders/{identity}"
        with self.client.delete(
            path, headers=self.authorization, name="/api/v1/orders/{id}", catch_response=True
        ) as response:
            if response.status_code in {200, 202, 409}:
                response.success()
            else:
                response.failure(f"{response.status_code}: {(response.text or '')[:200]}")

    def look(self, path: str) -> None:
        """One read."""
        self.client.get(path, headers=self.authorization, name=path.partition("?")[0])


class Maker(Trader):
    """Quotes around the market and takes its quotes back."""

    weight = 4

    @task(5)
    def quote(self) -> None:
        side = random.choice(["BUY", "SELL"])
        away = random.randint(2_000, 80_000) / 100
        price = f"{MID - away if side == 'BUY' else MID + away:.2f}"
        identity = self.place(order(side, "LIMIT", price=price))
        if identity is not None and random.random() < 0.8:
            self.cancel(identity)

    @task(1)
    def look_at_orders(self) -> None:
        self.look("/api/v1/orders?limit=20")


class Taker(Trader):
    """Crosses the market and looks at what it has."""

    weight = 4

    def on_start(self) -> None:
        self.side = random.choice(["BUY", "SELL"])
        self.tokens = TOKENS[1::3] if self.side == "BUY" else TOKENS[2::3]
        super().on_start()

    @task(4)
    def cross(self) -> None:
        price = f"{MID * (1.02 if self.side == 'BUY' else 0.98):.2f}"
        self.place(order(self.side, "LIMIT", price=price, timeInForce=random.choice(["GTC", "IOC"])))

    @task(1)
    def look_at_portfolio(self) -> None:
        self.look("/api/v1/portfolio")


class Canceller(Trader):
    """Places far from the market, only to cancel a moment later, some of them twice."""

    weight = 2

    @task
    def change_of_mind(self) -> None:
        identity = self.place(order("BUY", "LIMIT", price=f"{MID * 0.9:.2f}"))
        if identity is not None:
            self.cancel(identity)
            if random.random() < 0.2:
                self.cancel(identity)


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def write_figures(environment: Any, **_: Any) -> None:
    """The figures that the run is judged by."""
    NOTES.close()
    total = environment.stats.total
    placement = environment.stats.get("/api/v1/orders", "POST")
    figures = {
        "requests": total.num_requests,
        "failures": total.num_failures,
        "rate": round(total.total_rps, 1),
        "p50_ms": total.get_response_time_percentile(0.5),
        "p95_ms": total.get_response_time_percentile(0.95),
        "p99_ms": total.get_response_time_percentile(0.99),
        "placement_p95_ms": placement.get_response_time_percentile(0.95),
        "errors": [
            f"{error.name}: {error.error} ({error.occurrences}x)" for error in environment.stats.errors.values()
        ],
    }
    Path(os.environ["LOADTEST_FIGURES"]).write_text(json.dumps(figures))
