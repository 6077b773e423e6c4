"""Threads and event loops at once over one fleet: limits hold, nothing is lost, nobody waits for another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.testing import Fleet, FleetNode
from tests.fleet.support import (
    Boom,
    attempt,
    circuit,
    half_opened,
    live_permits,
    rate_policy,
    record,
    row_policy,
)

THREADS = 8


class Dependency:
    """Counts who is in it at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = self.most = self.calls = 0

    def __call__(self) -> str:
        with self.lock:
            self.calls += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
        for _ in range(50):
            pass
        with self.lock:
            self.inside -= 1
        return "ok"


def at_once(*actions: Callable[[], object]) -> list[object]:
    """Run all from one starting gun; errors are raised."""
    ready = threading.Barrier(len(actions))

    def run(action: Callable[[], object]) -> object:
        ready.wait(10)
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


def test_10_000_callers_in_threads_reach_a_half_open_dependency_three_times_one_at_a_time() -> None:
    fleet = half_opened(Fleet(4, rate_policy(failure_rate_threshold=0.1, max_probe_duration=50.0)))
    dependency = Dependency()
    reached: list[int] = []

    def caller(node: FleetNode) -> Callable[[], None]:
        def call() -> None:
            for _ in range(1250):
                if record(fleet).st == "half_open":
                    reached.append(dependency.calls)
                try:
                    circuit(node).call(dependency)
                except CircuitOpenError:
                    pass

        return call

    fleet.clock.advance(0.2)
    at_once(*[caller(fleet.nodes[number % 4]) for number in range(THREADS)])
    entries = [entry for entry in fleet.audit("payments") if entry["from"] == "half_open"]
    assert len(entries) <= 1
    if entries:
        assert entries[0]["ok"] == 3
    else:
        assert dependency.calls <= 3
        assert dependency.most <= 1
    assert live_permits(fleet) == 0


def test_failures_from_many_threads_are_all_counted() -> None:
    fleet = Fleet(4, row_policy(1000, 30.0))

    def caller(node: FleetNode) -> Callable[[], None]:
        return lambda: [attempt(node, Boom()) for _ in range(100)] and None

    at_once(*[caller(fleet.nodes[number % 4]) for number in range(THREADS)])
    fleet.advance(2.5)
    for _ in range(199):
        attempt(fleet.nodes[0], Boom())
    fleet.advance(2.5)
    assert fleet.states("payments") == ["closed"] * 4
    for _ in range(2):
        attempt(fleet.nodes[1], Boom())
    fleet.advance(2.5)
    assert fleet.states("payments") == ["open"] * 4


def test_time_may_move_while_threads_call() -> None:
    fleet = Fleet(3, rate_policy(minimum=10))
    stop = threading.Event()

    def caller(node: FleetNode) -> Callable[[], int]:
        def call() -> int:
            made = 0
            while not stop.is_set():
                attempt(node, Boom() if made % 3 else None)
                made += 1
            return made

        return call

    def time() -> None:
        for _ in range(150):
            fleet.advance(0.3)
        stop.set()

    at_once(time, *[caller(node) for node in fleet.nodes])
    fleet.advance(2.5)
    for node in fleet.nodes:
        assert circuit(node).snapshot().in_flight == 0
    for _ in range(400):
        if {attempt(node) for node in fleet.nodes} == {"ok"} and fleet.states("payments") == ["closed"] * 3:
            break
        fleet.advance(0.25)
    assert fleet.states("payments") == ["closed"] * 3


def test_threads_and_event_loops_share_the_permits() -> None:
    fleet = half_opened(Fleet(2, rate_policy(permit_lease=60.0)))
    fleet.clock.advance(0.2)
    held: list[object] = []

    def blocking() -> None:
        for _ in range(50):
            permit = circuit(fleet.nodes[0]).try_acquire()
            held.extend([] if permit is None else [permit])

    def looping() -> None:
        async def ask() -> None:
            try:
                held.append(await circuit(fleet.nodes[1]).permit().__aenter__())
            except CircuitOpenError:
                pass

        async def main() -> None:
            await asyncio.gather(*[ask() for _ in range(50)])

        asyncio.run(main())

    at_once(blocking, looping, blocking, looping)
    assert len(held) <= 1
    assert live_permits(fleet) == len(held)
