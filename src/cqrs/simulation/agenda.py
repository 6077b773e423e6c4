"""What is planned for which moment of virtual time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class VirtualClock:
    """Seconds of the scenario; the agenda moves them."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Agenda:
    """Actions in the order of time; those of one moment in the order in which they were planned."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def plan(self, second: float, action: Callable[[], None]) -> None:
        """Have ``action`` called at a second, which lies not in the past."""
        heapq.heappush(self._entries, (second, next(self._numbers), action))

    def run(self, until: float) -> None:
        """Do what is planned up to and including a second."""
        entries, clock = self._entries, self.clock
        while entries and entries[0][0] <= until:
            clock.now, _, action = heapq.heappop(entries)
            action()
