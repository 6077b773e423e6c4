"""Everything that is measured during a run, as it happens; nothing is judged here."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum

from cqrs.demo.schedule import Kind, Phase


class Service(StrEnum):
    """The two identical shops."""

    WITH = "with breaker"
    WITHOUT = "without breaker"


class Answer(StrEnum):
    """How a request ended; each request ends in exactly one way."""

    PRIMARY = "primary"
    #: The primary was called, failed, and the fallback answered.
    FALLBACK = "fallback"
    #: The circuit rejected the call, so the upstream was spared, and the fallback answered.
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True)
class Done:
    """A finished request: when it was sent (seconds since the start), how long it took, how it ended."""

    service: Service
    kind: Kind
    sent: float
    seconds: float
    answer: Answer
    phase: int
    error: str | None = None

    @property
    def at(self) -> float:
        """When it ended, in seconds since the start."""
        return self.sent + self.seconds


@dataclass(frozen=True)
class Called:
    """A call to the upstream that started."""

    service: Service
    kind: Kind
    at: float
    phase: int


@dataclass(frozen=True)
class Switched:
    """A circuit changed state: closed, open, probing or ramping (the last two are half-open)."""

    kind: Kind
    at: float
    from_state: str
    to_state: str
    reason: str


@dataclass(frozen=True)
class Entered:
    """The upstream entered a phase."""

    phase: Phase
    at: float


@dataclass
class Trace:
    """Follows one request through the shop: which dependencies it really called."""

    called: set[Kind] = field(default_factory=set[Kind])


_trace: ContextVar[Trace | None] = ContextVar("cqrs_demo_trace", default=None)


class Recorder:
    """Collects the facts of a run.

    Args:
        clock: seconds, monotonic; the same clock as the circuits'.

    Attributes:
        submitted: requests and events handed to each service.
        lag: the longest that the event loop was late, in seconds: how busy the machine was.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._origin = clock()
        self.done: list[Done] = []
        self.called: list[Called] = []
        self.switched: list[Switched] = []
        self.entered: list[Entered] = []
        self.submitted: dict[Service, int] = dict.fromkeys(Service, 0)
        self.ended: float | None = None
        self.lag = 0.0

    def now(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._origin

    @property
    def phase(self) -> int:
        """Index of the current phase, -1 before the first."""
        return len(self.entered) - 1

    def enter(self, phase: Phase) -> None:
        """Note that the upstream behaves as ``phase`` says from now on."""
        self.entered.append(Entered(phase, self.now()))

    def submit(self, service: Service) -> None:
        """Note a request or event before it is sent."""
        self.submitted[service] += 1

    def finish(
        self, service: Service, kind: Kind, sent: float, answer: Answer, error: str | None = None
    ) -> None:
        """Note how a request ended; ``sent`` is its start in seconds since the start of the run."""
        self.done.append(Done(service, kind, sent, self.now() - sent, answer, self.phase, error))

    def call(self, service: Service, kind: Kind) -> None:
        """Note a call to the upstream, for the run and for the request that makes it."""
        self.called.append(Called(service, kind, self.now(), self.phase))
        trace = _trace.get()
        if trace is not None:
            trace.called.add(kind)

    def switch(self, kind: Kind, to_state: str, reason: str, at: float) -> None:
        """Note a circuit's change of state; ``at`` is read from the circuits' clock."""
        from_state = next((s.to_state for s in reversed(self.switched) if s.kind is kind), "closed")
        self.switched.append(Switched(kind, at - self._origin, from_state, to_state, reason))

    def note_lag(self, seconds: float) -> None:
        """Note how late the event loop was."""
        self.lag = max(self.lag, seconds)

    def end(self) -> None:
        """Note the end of the load."""
        self.ended = self.now()


def follow() -> Trace:
    """Start following the current task's request."""
    trace = Trace()
    _trace.set(trace)
    return trace
