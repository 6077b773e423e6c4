"""The dependency: what it makes of a call in the present phase, and the queue in front of it."""

from __future__ import annotations

from collections import deque

from cqrs.simulation.calls import Call
from cqrs.simulation.scenario import Capacity, Phase


class Dependency:
    """One dependency that all processes share."""

    def __init__(self, processes: int, phase: Phase) -> None:
        self._processes = processes
        self.phase = phase
        self.queue: deque[Call] = deque()
        self._warmth = 1.0
        self._warmth_at = 0.0
        self._faulty = 0
        self.begin(phase, 0.0)

    def begin(self, phase: Phase, now: float) -> None:
        """Enter a phase; what waits in the queue stays there."""
        self.phase = phase
        capacity = phase.capacity
        self._warmth = 1.0 if capacity is None or capacity.cold is None else 0.0
        self._warmth_at = now
        self._faulty = 0 if phase.node_fault is None else phase.node_fault.count(self._processes)

    def interval(self, now: float) -> float:
        """Return the seconds until the next call can be begun; 0 without a limit."""
        capacity = self.phase.capacity
        if capacity is None:
            return 0.0
        rate = capacity.calls_per_second
        if capacity.cold is not None:
            rate = capacity.cold + (rate - capacity.cold) * self._cooled(capacity, now)
        return 1.0 / (rate * self._processes)

    def is_full(self, capacity: Capacity) -> bool:
        """Return whether one more call must be refused."""
        return len(self.queue) >= capacity.max_queue * self._processes

    def warm(self, now: float) -> None:
        """Note an answer that somebody waited for."""
        capacity = self.phase.capacity
        if capacity is not None:
            gained = 1.0 / (capacity.warm_up_calls * self._processes)
            self._warmth = min(1.0, self._cooled(capacity, now) + gained)
            self._warmth_at = now

    def _cooled(self, capacity: Capacity, now: float) -> float:
        if capacity.cool_down is None:
            return self._warmth
        return max(0.0, self._warmth - (now - self._warmth_at) / capacity.cool_down)

    def has_fault(self, process: int) -> bool:
        """Return whether a process fails by itself; the first ones do."""
        return process < self._faulty

    def fails(self, call: Call) -> bool:
        """Return whether a call that begins now ends in an error."""
        fault = self.phase.node_fault
        if fault is not None and self.has_fault(call.process):
            return call.luck < fault.error_rate
        return call.luck < self.phase.error_rate
