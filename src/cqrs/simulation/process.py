"""One process: its circuit, and what became of that circuit over time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cqrs.circuit_breaker import CircuitBreaker, CircuitBreakerPolicy, State
from cqrs.simulation.calls import End

_AT_REST = (State.CLOSED, State.DISABLED, State.METRICS_ONLY)


class VirtualClock:
    """Seconds of the scenario; the event loop moves them."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class History:
    """Openings and closings of one circuit.

    Attributes:
        openings: seconds at which it opened, after failed probes too.
        trips: of those, the ones that ended traffic: from closed or from the ramp.
        closed_at: second at which it last became closed; 0 if it always was, ``None`` while it is not.
    """

    __slots__ = ("closed_at", "openings", "ramping", "trips")

    def __init__(self) -> None:
        self.openings: list[float] = []
        self.trips: list[float] = []
        self.closed_at: float | None = 0.0
        self.ramping = False

    def note(self, now: float, state: State, phase: str | None) -> None:
        """Note a state that the circuit has just entered."""
        if state is State.OPEN:
            self.openings.append(now)
            if self.closed_at is not None or self.ramping:
                self.trips.append(now)
        self.ramping = phase == "ramping"
        if state not in _AT_REST:
            self.closed_at = None
        elif self.closed_at is None:
            self.closed_at = now


class Process:
    """A caller with a circuit of its own: the real engine under a virtual clock."""

    __slots__ = ("_breaker", "_era", "_gate", "history")

    def __init__(
        self, name: str, policy: CircuitBreakerPolicy, clock: VirtualClock, random: Callable[[], float]
    ) -> None:
        self._breaker = CircuitBreaker(name, policy, clock=clock, random=random)
        self._gate = self._breaker.gate
        self._era = self._breaker.era
        self.history = History()
        self.history.note(clock.now, self._breaker.state, None)

    def enter(self) -> Any:
        """Admit a call, or raise ``CircuitOpenError``; ``limit`` of what is returned bounds a probe."""
        return self._gate.enter()

    def settle(self, token: Any, end: End, error: type[Exception]) -> None:
        """Tell the circuit how a call ended, as the guarded function would have."""
        if end is End.ANSWERED:
            self._gate.succeed(token)
        elif end is End.FAILED:
            self._gate.fail(token, error("simulated failure"))
        elif end is End.TIMED_OUT:
            self._gate.fail(token, TimeoutError("simulated timeout"))
        else:
            self._gate.fail(token, asyncio.CancelledError())

    def look(self, now: float) -> None:
        """Note whether the circuit has changed its state."""
        breaker = self._breaker
        if breaker.era != self._era:
            self._era = breaker.era
            self.history.note(now, breaker.state, breaker.phase)


class Unguarded:
    """A caller without a circuit breaker: what the others are compared with."""

    __slots__ = ("history",)

    limit: float | None = None

    def __init__(self) -> None:
        self.history = History()

    def enter(self) -> Any:
        """Admit every call."""
        return self

    def settle(self, token: Any, end: End, error: type[Exception]) -> None:
        """Nobody is told."""

    def look(self, now: float) -> None:
        """Nothing ever changes."""
