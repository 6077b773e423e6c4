"""What a simulation found: figures with their units, immutable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A duration over several processes.

    Attributes:
        count: processes that it was measured for.
        first: seconds of the quickest.
        median: seconds; half of them were quicker.
        p99: seconds; 1 % were slower (the slowest, for fewer than 100).
        last: seconds of the slowest.
    """

    count: int
    first: float
    median: float
    p99: float
    last: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Return the spread of some values by nearest rank; ``None`` without any.

        >>> Spread.of([4.0, 1.0, 2.0])
        Spread(count=3, first=1.0, median=2.0, p99=4.0, last=4.0)
        """
        if not values:
            return None
        ordered = sorted(values)
        median, p99 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.99))
        return cls(len(ordered), ordered[0], median, p99, ordered[-1])


@dataclass(frozen=True, slots=True)
class Slot:
    """One second of the scenario; calls count in the second in which they arrived.

    Attributes:
        second: from 0; the last one may be shorter.
        sent: calls that reached for the dependency.
        rejected: calls that an open circuit stopped.
        answered: calls sent that were answered.
        failed: calls sent that ended in an error or a timeout.
        cancelled: calls sent whose caller went away.
        not_closed: circuits that were not closed as the second began.
        open: of those, the ones that were open; the others let probes or a part of the traffic through.
        degraded: processes that had lost the store as the second began.
        commands: commands sent to the store.
    """

    second: int
    sent: int
    rejected: int
    answered: int
    failed: int
    cancelled: int
    not_closed: int
    open: int
    degraded: int
    commands: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUse:
    """What a run asked of the store of shared circuits.

    Attributes:
        commands: sent by all processes; one exchange of a process is one command.
        commands_per_second: mean over the scenario.
        peak: commands in the busiest second.
        unanswered: commands without an answer in time.
        published: changes that the store published; with ``push`` each goes to every process.
        openings: openings of the circuit by the store, for all processes at once.
    """

    commands: int
    commands_per_second: float
    peak: int
    unanswered: int
    published: int
    openings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationResult:
    """What the settings did in the scenario.

    ``arrivals == answered + rejected + failed + cancelled``, and ``sent`` is the sum without ``rejected``.

    Attributes:
        scenario: name of the scenario.
        processes: number of processes.
        seed: seed of the run.
        duration: seconds of all phases.
        guarded: ``False`` for the run without circuit breakers.
        arrivals: calls that the processes wanted to make.
        answered: calls that the dependency answered in time.
        rejected: calls that an open circuit stopped.
        failed: calls that were sent and ended in an error or a timeout.
        timed_out: of the failed ones, those whose client gave up.
        cancelled: calls that were sent and whose caller went away before.
        leaked: calls sent while the dependency was unhealthy.
        needless_rejections: calls rejected while it was healthy (false positives, and the price of recovery).
        waited: seconds that callers spent waiting, all together.
        time_to_open: from the start of the first unhealthy phase to the first opening in it, over the
            processes whose circuit opened then; ``None``: none did, or there is no such phase.
        time_to_recover: from the end of the last unhealthy phase to the moment since which the circuit is
            closed for good, over the processes whose circuit was not closed at that end or opened later,
            and is closed in the end; ``None``: there are none.
        unrecovered: processes whose circuit is not closed in the end.
        opened: processes whose circuit opened at all.
        openings: openings of all processes, also by failed probes.
        trips: of those, the ones from closed or from the ramp.
        retrips: of the trips, those after the last unhealthy phase: the dependency was well, but the circuit
            cut traffic off again. Many of them are a loop.
        probes: calls sent to find out whether the dependency is well again.
        store: what was asked of the store; ``None``: each process had a circuit of its own.
        slots: the course, second by second.
    """

    scenario: str
    processes: int
    seed: int
    duration: float
    guarded: bool
    arrivals: int
    answered: int
    rejected: int
    failed: int
    timed_out: int
    cancelled: int
    leaked: int
    needless_rejections: int
    waited: float
    time_to_open: Spread | None
    time_to_recover: Spread | None
    unrecovered: int
    opened: int
    openings: int
    trips: int
    retrips: int
    probes: int
    store: StoreUse | None
    slots: tuple[Slot, ...]

    @property
    def sent(self) -> int:
        """Calls that reached for the dependency."""
        return self.arrivals - self.rejected

    @property
    def mean_wait(self) -> float:
        """Seconds that a call took its caller on average, rejections (0 s) included."""
        return self.waited / self.arrivals if self.arrivals else 0.0

    @property
    def degraded(self) -> int:
        """Processes without their store in the worst second."""
        return max(slot.degraded for slot in self.slots)

    def availability(self, fallback: float = 0.0) -> float:
        """Return the share of calls with an answer; 1 without any call.

        Args:
            fallback: share of the rejected and failed calls that a fallback answers; 0 to 1. Nobody is left
                to take a fallback's answer to a cancelled call.
        """
        if not self.arrivals:
            return 1.0
        return (self.answered + fallback * (self.rejected + self.failed)) / self.arrivals
