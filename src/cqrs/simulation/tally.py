"""Counting while the simulation runs."""

from __future__ import annotations

import math

from cqrs.simulation.calls import Call, End
from cqrs.simulation.result import Slot

_FIELDS = {End.ANSWERED: 2, End.FAILED: 3, End.TIMED_OUT: 3, End.CANCELLED: 4}


class Tally:
    """What became of all calls, by the second of their arrival; conserved in every single second."""

    def __init__(self, duration: float) -> None:
        # sent, rejected, answered, failed, cancelled
        self._slots = [[0, 0, 0, 0, 0] for _ in range(max(1, math.ceil(duration)))]
        self._not_closed = [0] * (len(self._slots) + 1)
        self.leaked = 0
        self.needless = 0
        self.timed_out = 0
        self.waited = 0.0

    def rejected(self, call: Call, healthy: bool) -> None:
        """Count a call that its circuit did not let through."""
        self._slots[int(call.arrived)][1] += 1
        self.needless += healthy

    def sent(self, call: Call, healthy: bool) -> None:
        """Count a call that reaches for the dependency."""
        self._slots[int(call.arrived)][0] += 1
        self.leaked += not healthy

    def ended(self, call: Call, end: End, now: float) -> None:
        """Count the end of a call that was sent."""
        self._slots[int(call.arrived)][_FIELDS[end]] += 1
        self.timed_out += end is End.TIMED_OUT
        self.waited += now - call.arrived

    def circuit(self, now: float, *, closed: bool) -> None:
        """Count a circuit that stopped or began to be closed."""
        self._not_closed[min(math.ceil(now), len(self._slots))] += -1 if closed else 1

    def slots(self) -> tuple[Slot, ...]:
        """Return the counts of each second."""
        found: list[Slot] = []
        not_closed = 0
        for second, (sent, rejected, answered, failed, cancelled) in enumerate(self._slots):
            not_closed += self._not_closed[second]
            found.append(Slot(second, sent, rejected, answered, failed, cancelled, not_closed))
        return tuple(found)
