"""One call, and the stream of calls that arrive at all processes."""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Iterator
from typing import Any

from cqrs.simulation.scenario import Scenario


class End(enum.Enum):
    """How a call that was sent ended for its caller."""

    ANSWERED = "answered"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"


class Call:
    """A call that arrived.

    Attributes:
        arrived: second of the scenario.
        process: number of the process that makes it.
        luck: uniform in [0, 1); decides whether it fails.
        pace: standard normal; decides how long it takes.
        began: second at which it was sent, later if it had to ask first.
        token: what its breaker admitted it with.
        error: class of the exception if it fails.
        ended: whether its caller has an answer or has given up.
    """

    __slots__ = ("arrived", "began", "ended", "error", "luck", "pace", "process", "token")

    def __init__(self, arrived: float, process: int, luck: float, pace: float) -> None:
        self.arrived = self.began = arrived
        self.process = process
        self.luck = luck
        self.pace = pace
        self.token: Any = None
        self.error: type[Exception] = ConnectionError
        self.ended = False


def arrivals(scenario: Scenario, processes: int, seed: int) -> Iterator[Call]:
    """Yield the calls of all processes in the order of time.

    One Poisson stream whose calls go to processes at random is the same as independent ones, and cheaper.
    Luck and pace are drawn here: every policy meets the same calls, and what differs is its own doing.
    """
    source = random.Random(f"holdfast arrivals {seed}")
    uniform, normal = source.random, source.gauss
    for start, phase in zip(scenario.starts, scenario.phases, strict=True):
        now, end = start, start + phase.duration
        fault = phase.node_fault
        faulty = 0 if fault is None else fault.count(processes)
        load = 1.0 if fault is None else fault.load
        weight = processes if load == 1.0 else processes - faulty + faulty * load
        rate = scenario.calls_per_second * phase.load * weight
        while True:
            now -= math.log(1.0 - uniform()) / rate
            if now >= end:  # the process has no memory: the next phase begins to wait afresh
                break
            process = uniform() * weight
            if load != 1.0:
                busy = faulty * load
                process = process / load if process < busy else min(faulty + process - busy, processes - 1)
            yield Call(now, int(process), uniform(), normal(0.0, 1.0))
