"""What a circuit is at one moment: a lane that lets calls through, shut, or half-open.

Every transition, reset or override makes a new phase object, and a permit belongs to the phase that granted
it. So "same era" is "same object", and what a call of an earlier era does lands where nobody reads.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Protocol

from cqrs.circuit_breaker.errors import CircuitOpenError, quick_rejection
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.states import State
from cqrs.circuit_breaker.window import Window

RUNNING, OVERDUE, SETTLED = 0, 1, 2
"""Marks of a grant."""


class Lane:
    """Calls pass: closed, ramping, metrics-only or disabled.

    ``admitted``, ``successes``, ``tail`` and the advance of ``head`` are also written without the lock, by
    statements that CPython does not interrupt (no call and no backward jump between load and store).
    The running calls that are timed form a linked list from ``head`` (exclusive) to ``tail`` in the order of
    admission; settled ones at its front are dropped as soon as they are seen.
    """

    __slots__ = (
        "admitted",
        "consecutive",
        "credit",
        "era",
        "head",
        "judged",
        "linked",
        "overdue",
        "quick",
        "ramping",
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
    bars = False
    limit: float | None = None
    waits = False

    def __init__(self, state: State, era: int, now: float, window: Window, successes: int = 0) -> None:
        self.state = state
        self.ramping = state is State.HALF_OPEN  # traffic returns step by step
        self.era = era
        self.since = now
        self.window = window
        self.admitted = 0
        self.successes = successes
        self.consecutive = 0
        self.overdue = 0
        self.would_open = False
        self.credit = 0.0  # of the ramp's error diffusion
        self.head = self.tail = NO_GRANT

    def configure(self, policy: CircuitBreakerPolicy, *, watch: bool = False) -> None:
        """Take over what the path without a lock needs to know of the policy."""
        slow = policy.slow_call_duration_threshold
        self.slow_after = math.inf if slow is None else slow
        self.timed = slow is not None
        self.linked = self.timed and self.records and policy.count_in_flight_slow
        if self.linked and self.head is NO_GRANT:
            self.head = self.tail = _sentinel()
        self.judged = policy.judge.judges_results
        self.set_watch(watch)

    @property
    def records(self) -> bool:
        """Whether outcomes are recorded in the window."""
        return self.state is not State.DISABLED

    def drop_settled(self) -> None:
        """Move ``head`` past settled calls; each lets go of the next: one that hangs holds nothing."""
        while True:
            # Others may do the same without the lock. Tested in the loop's condition, what was read would be
            # stale: CPython lets other threads in between the condition and the body.
            passed = self.head
            first = passed.next
            if first is None or first.mark != SETTLED:
                return
            self.head = first
            passed.next = None

    def set_watch(self, watch: bool) -> None:
        """Say whether the next success must be evaluated under the lock."""
        self.watch = watch
        self.quick = not (watch or self.timed or self.judged or self.window.timed)


class Grant:
    """A permit as the state machine knows it: the right to one call, from the phase that granted it."""

    __slots__ = ("answered", "mark", "next", "phase", "started")

    quick = False
    limit: float | None = None
    number = 0
    waits = False
    """Whether somebody else has yet to agree; see ``Gate.complete``."""

    def __init__(self, phase: Lane | HalfOpen, started: float) -> None:
        self.phase = phase
        self.started = started
        self.mark = RUNNING
        self.answered: float | None = None  # a stream's time to its first item
        self.next: Grant | None = None

    @property
    def kind(self) -> str:
        """``"probe"`` or ``"lane"``."""
        return self.phase.kind

    def duration(self, now: float) -> float:
        """Seconds that count: until the first item of a stream, else until now."""
        return max(0.0, now - self.started) if self.answered is None else self.answered


def _sentinel() -> Grant:
    """Return the front of a list of grants; nobody else refers to it, so that what lies behind can go."""
    sentinel = Grant.__new__(Grant)
    sentinel.mark = SETTLED
    sentinel.next = None
    return sentinel


NO_GRANT = _sentinel()
"""Front of the list of a lane that keeps none."""


class Probe(Grant):
    """The grant of a half-open circuit; ``limit`` is its time in seconds, if it has one."""

    __slots__ = ("limit", "number")

    def __init__(self, phase: HalfOpen, started: float, number: int, limit: float | None) -> None:
        super().__init__(phase, started)
        self.number = number
        self.limit = limit


class Shut:
    """Calls are rejected: open until a deadline, or forced open."""

    bars = True
    """Whether calls before ``until`` are rejected."""

    __slots__ = (
        "concurrent",
        "era",
        "evidence",
        "last_failure",
        "name",
        "reason",
        "since",
        "source",
        "state",
        "until",
        "word",
    )

    def __init__(self, name: str, state: State, era: int, since: float, until: float, reason: str) -> None:
        self.name = name
        self.since = since
        self.state = state
        self.word = state.value
        self.era = era
        self.until = until
        self.reason = reason
        self.evidence: dict[str, Any] = {}
        self.last_failure: str | None = None
        self.source = "local"
        self.concurrent: int | None = None  # probes at once afterwards, if not as the policy says

    def rejection(self, now: float, source: str | None = None) -> CircuitOpenError:
        """Return a fresh error for one rejected call."""
        left = self.until - now
        wait = None if left == math.inf else left if left > 0.0 else 0.0
        who = source or self.source
        return quick_rejection(self.name, self.word, self.reason, wait, self.last_failure, who, self.era)


class HalfOpen:
    """A few probes decide."""

    bars = False

    __slots__ = (
        "bad",
        "concurrent",
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
        self.concurrent: int | None = None

    @property
    def decided(self) -> int:
        """Probes that ended in SUCCESS or FAILURE."""
        return self.good + self.bad


Phase = Lane | Shut | HalfOpen


class Barrier(Protocol):
    """What others may put before a circuit, whatever its own phase is."""

    bars: ClassVar[bool]
    """Whether a call before ``until`` may be rejected by a look."""

    until: float
    """Monotonic moment."""

    @property
    def state(self) -> State:
        """``OPEN`` or ``HALF_OPEN``."""
        ...

    def explain(self, now: float) -> tuple[str, list[tuple[str, float, float]]]:
        """Return why it stands, and each condition for its end: name, present value, threshold."""
        ...

    def effective(self, now: float) -> tuple[State, str | None]:
        """Return the state and sub-phase that a call at ``now`` would find."""
        ...

    def rejection(self, now: float, source: str = ...) -> CircuitOpenError:
        """Return a fresh error for one rejected call."""
        ...
