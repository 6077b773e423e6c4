"""What a circuit is at one moment: a lane that lets calls through, shut, or half-open.

Every transition, reset or override makes a new phase object, and a permit belongs to the phase that granted
it. So "same era" is "same object", and what a call of an earlier era does lands where nobody reads.
"""

from __future__ import annotations

import math
from typing import Any

from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.states import State
from cqrs.circuit_breaker.window import Window


class Lane:
    """Calls pass: closed, ramping, metrics-only or disabled.

    ``admitted``, ``successes``, ``tail`` and the advance of ``head`` are also written without the lock, by
    statements that CPython does not interrupt (no call and no backward jump between load and store).
    The running calls that are timed form a linked list from ``head`` (exclusive) to ``tail`` in the order of
    admission; settled ones at its front are dropped as soon as they are seen.
    """

    __slots__ = (
        "admitted",
        "carried",
        "consecutive",
        "credit",
        "era",
        "head",
        "linked",
        "next",
        "overdue",
        "records",
        "since",
        "slow_after",
        "state",
        "successes",
        "tail",
        "timed",
        "watch",
        "window",
        "would_open",
    )

    kind = "lane"
    limit: float | None = None

    def __init__(
        self, state: State, era: int, now: float, window: Window, successes: int = 0, *, records: bool = True
    ) -> None:
        self.state = state
        self.era = era
        self.since = now
        self.window = window
        self.records = records
        self.admitted = 0
        self.successes = successes
        self.carried = successes  # of them, counted by the lane before
        self.consecutive = 0
        self.overdue = 0
        self.watch = False  # the next success must be evaluated
        self.would_open = False
        self.credit = 0.0  # of the ramp's error diffusion
        self.slow_after = math.inf
        self.timed = False
        self.linked = False
        self.next: Grant | None = None
        self.head: Lane | Grant = self
        self.tail: Lane | Grant = self

    @property
    def ramping(self) -> bool:
        """Whether traffic is returning step by step."""
        return self.state is State.HALF_OPEN

    def configure(self, policy: CircuitBreakerPolicy) -> None:
        """Take over what the path without a lock needs to know of the policy."""
        slow = policy.slow_call_duration_threshold if self.records else None
        self.slow_after = math.inf if slow is None else slow
        self.timed = slow is not None
        self.linked = self.timed and policy.count_in_flight_slow


class Grant:
    """A permit as the state machine knows it: the right to one call, from the phase that granted it."""

    __slots__ = ("answered", "kind", "limit", "next", "number", "overdue", "phase", "settled", "started")

    def __init__(self, phase: Lane | HalfOpen, started: float) -> None:
        self.phase = phase
        self.started = started
        self.settled = False
        self.overdue = False
        self.answered: float | None = None  # a stream's time to its first item
        self.next: Grant | None = None
        self.kind = phase.kind
        self.limit: float | None = None
        self.number = 0

    @property
    def era(self) -> int:
        """Era of the circuit in which the permit was granted."""
        return self.phase.era

    def duration(self, now: float) -> float:
        """Seconds that count: until the first item of a stream, else until now."""
        return max(0.0, now - self.started) if self.answered is None else self.answered


class Shut:
    """Calls are rejected: open until a deadline, or forced open."""

    __slots__ = ("era", "evidence", "last_failure", "name", "reason", "state", "until")

    def __init__(
        self, name: str, state: State, era: int, until: float, reason: str, evidence: dict[str, Any]
    ):
        self.name = name
        self.state = state
        self.era = era
        self.until = until
        self.reason = reason
        self.evidence = evidence
        self.last_failure: str | None = None

    def rejection(self, now: float, source: str = "local") -> CircuitOpenError:
        """Return a fresh error for one rejected call."""
        wait = None if self.until == math.inf else max(0.0, self.until - now)
        return CircuitOpenError(
            self.name, self.state.value, self.reason, wait, self.last_failure, source, self.era
        )


class HalfOpen:
    """A few probes decide."""

    __slots__ = (
        "bad",
        "era",
        "good",
        "granted",
        "inconclusive",
        "last_failure",
        "live",
        "lost",
        "since",
        "slow",
    )

    kind = "probe"

    def __init__(self, era: int, now: float, last_failure: str | None) -> None:
        self.era = era
        self.since = now
        self.last_failure = last_failure
        self.live: dict[int, Grant] = {}
        self.granted = 0
        self.good = 0
        self.bad = 0
        self.slow = 0
        self.lost = 0  # in a row
        self.inconclusive = 0  # in a row

    @property
    def decided(self) -> int:
        """Probes that ended in SUCCESS or FAILURE."""
        return self.good + self.bad


Phase = Lane | Shut | HalfOpen
