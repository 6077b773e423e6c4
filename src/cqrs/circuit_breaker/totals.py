"""Running totals of a circuit since it was made, for metrics; no decision reads them."""

from __future__ import annotations

from cqrs.circuit_breaker.phases import Lane
from cqrs.circuit_breaker.verdict import CANCELLED, FAILURE, IGNORED, INCONCLUSIVE, Verdict


class Totals:
    """Counts that only grow. The present lane keeps its own admissions and quick successes."""

    __slots__ = (
        "admitted",
        "cancelled",
        "failed",
        "ignored",
        "inconclusive",
        "late",
        "lost",
        "rejected",
        "slow",
        "succeeded",
    )

    def __init__(self) -> None:
        self.admitted = 0
        self.succeeded = 0
        self.failed = 0
        self.ignored = 0
        self.cancelled = 0
        self.inconclusive = 0
        self.slow = 0
        self.rejected = 0
        self.late = 0
        self.lost = 0

    def add(self, outcome: Verdict, slow: bool) -> None:
        """Count a settled call, except a success: whoever settles it knows where those are counted."""
        self.slow += slow
        if outcome is FAILURE:
            self.failed += 1
        elif outcome is IGNORED:
            self.ignored += 1
        elif outcome is CANCELLED:
            self.cancelled += 1
        elif outcome is INCONCLUSIVE:
            self.inconclusive += 1

    def absorb(self, lane: Lane) -> None:
        """Take over the counts of a lane that ends."""
        self.admitted += lane.admitted
        self.succeeded += lane.successes


class _Nothing(Totals):
    """Zeros that nobody can write to."""

    __slots__ = ("_sealed",)

    def __init__(self) -> None:
        super().__init__()
        self._sealed = True

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, "_sealed"):
            raise AttributeError(f"{name}: these zeros are shared; write to Machine.own_totals()")
        super().__setattr__(name, value)


NOTHING: Totals = _Nothing()
"""Shared by circuits that have nothing to count yet."""
