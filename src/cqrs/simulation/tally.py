"""Counting while the simulation runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cqrs.simulation.calls import Call, End
from cqrs.simulation.result import Slot

_FIELDS = {End.ANSWERED: 2, End.FAILED: 3, End.TIMED_OUT: 3, End.CANCELLED: 4}


class Tally:
    """What became of all calls, by the second of their arrival; conserved in every single second."""

    def __init__(self, duration: float) -> None:
        # sent, rejected, answered, failed, cancelled
        self._slots = [[0, 0, 0, 0, 0] for _ in range(max(1, math.ceil(duration)))]
        # how many circuits more than in the second before: not closed, open, without their store
        self._changes = [[0, 0, 0] for _ in range(len(self._slots) + 1)]
        self.leaked = 0
        self.needless = 0
        self.probes = 0
        self.timed_out = 0
        self.waited = 0.0

    def rejected(self, call: Call, healthy: bool, now: float) -> None:
        """Count a call that its circuit did not let through, maybe after asking the store."""
        self._slots[int(call.arrived)][1] += 1
        self.needless += healthy
        self.waited += now - call.arrived

    def sent(self, call: Call, healthy: bool, *, probe: bool) -> None:
        """Count a call that reaches for the dependency."""
        self._slots[int(call.arrived)][0] += 1
        self.leaked += not healthy
        self.probes += probe

    def ended(self, call: Call, end: End, now: float) -> None:
        """Count the end of a call that was sent."""
        self._slots[int(call.arrived)][_FIELDS[end]] += 1
        self.timed_out += end is End.TIMED_OUT
        self.waited += now - call.arrived

    def circuit(self, now: float, *, was: tuple[bool, bool], closed: bool, is_open: bool) -> None:
        """Count a circuit that is closed or open, or neither; ``was`` is what it was before."""
        change = self._changes[min(math.ceil(now), len(self._slots))]
        change[0] += was[0] - closed
        change[1] += is_open - was[1]

    def degraded(self, now: float, is_degraded: bool) -> None:
        """Count a process that has lost its store, or found it again."""
        self._changes[min(math.ceil(now), len(self._slots))][2] += 1 if is_degraded else -1

    def slots(self, commands: Sequence[int] | None) -> tuple[Slot, ...]:
        """Return the counts of each second; with those of the commands that the store got."""
        found: list[Slot] = []
        not_closed = is_open = degraded = 0
        for second, (sent, rejected, answered, failed, cancelled) in enumerate(self._slots):
            more_not_closed, more_open, more_degraded = self._changes[second]
            not_closed += more_not_closed
            is_open += more_open
            degraded += more_degraded
            slot = Slot(
                second=second,
                sent=sent,
                rejected=rejected,
                answered=answered,
                failed=failed,
                cancelled=cancelled,
                not_closed=not_closed,
                open=is_open,
                degraded=degraded,
                commands=0 if commands is None else commands[second],
            )
            found.append(slot)
        return tuple(found)
