"""What a process tells its fleet about a shared circuit: figures of its window, failures in a row.

Nothing is told while nothing fails. Pure like ``Machine``: the session asks, when it has something to send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cqrs.circuit_breaker.fleet.row import NO_BATCH, Batch
from cqrs.circuit_breaker.fleet.view import NOTHING_KNOWN, FleetView
from cqrs.circuit_breaker.machine import Machine
from cqrs.circuit_breaker.phases import Grant, Lane, Phase, Shut
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.states import Mode, State
from cqrs.circuit_breaker.timing import TimeWindow
from cqrs.circuit_breaker.verdict import CANCELLED, FAILURE, SUCCESS, Trip, Verdict
from cqrs.circuit_breaker.window import Counts

NO_COUNTS = Counts(0, 0, 0)


class Frozen(NamedTuple):
    """What the window held when the local circuit opened: its report, as long as it lasts."""

    at: float
    counts: Counts
    overdue: int
    trip: float | None
    """Seconds that a ``Trip`` asked for (-1: none in particular), ``None`` if it was none."""


class ReportingMachine(Machine):
    """A circuit that keeps account of what others should hear of it."""

    __slots__ = ("batch", "dirty", "frozen", "keen", "numbers", "owing", "sent", "urgent", "view")

    view: FleetView
    """What the fleet said last."""

    def __init__(
        self,
        name: str,
        policy: CircuitBreakerPolicy,
        now: float,
        random: Callable[[], float],
        numbers: Iterator[int],
    ) -> None:
        self.view = NOTHING_KNOWN
        self.keen = False
        self.owing = False  # a success, after a failure of this process: the row at the store waits for it
        self.dirty = self.urgent = False  # there is something to report; at once
        self.frozen: Frozen | None = None
        self.numbers = numbers
        self.batch = Batch(next(numbers))
        self.sent: Batch | None = None
        super().__init__(name, policy, now, random)

    # ------------------------------------------------------------------ what happens to calls

    def admit(self, now: float) -> Grant | None:
        before = self.phase
        grant = super().admit(now)
        phase = self.phase
        if phase is not before:
            self._opened(before, now, None)
        elif isinstance(phase, Lane) and phase.overdue:
            self.dirty = True  # hung calls are evidence before they return
        return grant

    def settle(self, now: float, token: Grant | Lane, verdict: Verdict | Trip) -> bool:
        before, slow = self.phase, self.totals.slow
        settled = super().settle(now, token, verdict)
        if settled and self.mode is Mode.ENABLED and self.view.state is State.CLOSED:
            self.dirty |= self.totals.slow != slow
            self._note(verdict)
            if self.phase is not before:
                self._opened(before, now, verdict)
        return settled

    def _note(self, verdict: Verdict | Trip) -> None:
        in_a_row = self.policy.consecutive_failures is not None
        if isinstance(verdict, Trip) or verdict is FAILURE or self._counts_as_failure(verdict):
            self.dirty = True
            if in_a_row:  # every failure at once, whichever process it happens in
                self.batch.failure()
                self.urgent = self.owing = True
                self._be_keen(True)
        elif verdict is SUCCESS and self.keen:
            self.batch.success()
            self.owing = False
            self.dirty = self.urgent = True
            self._be_keen(False)

    def _counts_as_failure(self, verdict: Verdict) -> bool:
        return verdict is CANCELLED and self.policy.on_cancel == "failure"

    def _be_keen(self, keen: bool) -> None:
        self.keen = keen
        lane = self.phase
        if (
            isinstance(lane, Lane)
            and lane.records
            and keen is not lane.watch
            and (keen or not lane.consecutive)
        ):
            lane.set_watch(keen or self.policy.sliding_window is not None)

    def _opened(self, before: Phase, now: float, verdict: Verdict | Trip | None) -> None:
        """Keep what the window held when this process opened by itself: the fleet should hear of it."""
        shut = self.phase
        if not isinstance(shut, Shut) or shut.state is not State.OPEN:
            return
        self.dirty = self.urgent = True
        found = shut.evidence
        counts = Counts(found.get("calls", 0), found.get("failures", 0), found.get("slow", 0))
        trip = None
        if isinstance(verdict, Trip):
            trip = -1.0 if verdict.for_ is None else verdict.for_
        if isinstance(before, Lane):
            self.frozen = Frozen(now, counts, found.get("overdue", 0), trip)

    # ------------------------------------------------------------------ what the fleet hears

    def report(self, now: float) -> dict[str, Any] | None:
        """Return the figures of this process for the store; ``None``: they are none of its business."""
        if self.mode is not Mode.ENABLED or self.view.state is not State.CLOSED:
            return None
        phase = self.phase
        opened, trip = 0, None
        if isinstance(phase, Lane):
            if phase.linked:
                self._mark_overdue(phase, now)
            phase.window.advance(now, phase.successes)
            counts, overdue = phase.window.counts(phase.successes), phase.overdue
        else:
            opened, counts, overdue = 1, NO_COUNTS, 0
            frozen = self.frozen
            if frozen is not None and now - frozen.at < self._report_lasts:
                counts, overdue, trip = frozen.counts, frozen.overdue, frozen.trip
        return {
            "t": counts.calls,
            "f": counts.failures,
            "s": counts.slow + overdue,
            "d": overdue,
            "o": opened,
            "trip": int(trip is not None),
            "trip_us": -1 if trip is None or trip < 0 else round(trip * 1e6),
            **self._take_batch(now),
        }

    def start_over(self) -> None:
        """Forget what was to be reported: it belongs to an epoch that is over."""
        self.sent, self.batch = None, Batch(next(self.numbers))
        self.frozen = None
        self.keen = self.owing = False
        self.dirty = False

    def take_flags(self) -> bool:
        """Tell whether what there is to report is urgent; from here on it is the session's business."""
        urgent = self.urgent
        self.dirty = self.urgent = False
        return urgent

    def troubled(self, now: float) -> bool:
        """Whether the store should go on hearing from this process."""
        phase = self.phase
        if not isinstance(phase, Lane):
            return self.mode is Mode.ENABLED
        if self.view.row > 0:
            return True
        counts = phase.window.counts_at(now, phase.successes)
        return counts.failures > 0 or counts.slow > 0 or phase.overdue > 0

    @property
    def _report_lasts(self) -> float:
        window = self.policy.sliding_window
        return window.seconds if isinstance(window, TimeWindow) else 60.0

    def _take_batch(self, now: float) -> dict[str, Any]:
        if self.sent is not None and now - self.sent.sent_at >= self._report_lasts:
            self.sent = None  # the store may have forgotten its number, and would count it twice
        if self.sent is None and self.batch:
            self.sent, self.batch = self.batch, Batch(next(self.numbers))
            self.sent.sent_at = now
        return NO_BATCH if self.sent is None else self.sent.fields()

    def acknowledge(self, number: int) -> None:
        """Forget a batch that the store has taken, or will never take."""
        if self.sent is not None and self.sent.number == number:
            self.sent = None
