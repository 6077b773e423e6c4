"""What workers run: many callers that all want to be the probe."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import Any

from cqrs.circuit_breaker import CircuitOpenError
from tests.integration.fleet.member import Member


def rush(
    member: Member, name: str, callers: int, threads: int, lasts: float, seconds: float
) -> dict[str, Any]:
    """Make calls from many tasks and some threads until one finds the circuit closed.

    Args:
        callers: tasks that call at the same time.
        threads: threads that do, too.
        lasts: seconds that a call of the dependency takes.
        seconds: after which everybody gives up.

    Returns:
        The intervals in which the dependency was called while the circuit was not closed.
    """
    circuit = member.breakers[name]
    over = threading.Event()
    ends = time.monotonic() + seconds
    probes: list[tuple[float, float]] = []
    strange: list[str] = []
    rejected = 0

    def enter() -> bool:
        """Whether this call is a probe."""
        if circuit.state.value == "closed":
            over.set()
        return not over.is_set()

    def act() -> None:
        began = time.monotonic()
        if enter():
            over.wait(lasts)
            probes.append((began, time.monotonic()))

    async def act_async() -> None:
        began = time.monotonic()
        if enter():
            await asyncio.sleep(lasts)
            probes.append((began, time.monotonic()))

    def call() -> None:
        nonlocal rejected
        while not over.is_set() and time.monotonic() < ends:
            try:
                circuit.call(act)
            except CircuitOpenError:
                rejected += 1
                over.wait(0.02)
            except BaseException as error:
                strange.append(repr(error))

    async def call_async() -> None:
        nonlocal rejected
        while not over.is_set() and time.monotonic() < ends:
            try:
                await circuit.call(act_async)
            except CircuitOpenError:
                rejected += 1
                await asyncio.sleep(random.uniform(0.1, 0.9))  # 10 000 callers, but not 200 000 calls/s
            except Exception as error:
                strange.append(repr(error))

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(call_async())

    workers = [threading.Thread(target=call) for _ in range(threads)]
    for worker in workers:
        worker.start()
    asyncio.run(run())
    for worker in workers:
        worker.join()
    return {"probes": probes, "rejected": rejected, "strange": strange, "closed": over.is_set()}


def most_at_once(intervals: list[tuple[float, float]]) -> int:
    """Return how many intervals overlapped at most."""
    moments = sorted([(began, 1) for began, _ in intervals] + [(ended, -1) for _, ended in intervals])
    most = running = 0
    for _, change in moments:
        running += change
        most = max(most, running)
    return most
