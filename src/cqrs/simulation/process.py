"""One process: its circuit, and what became of that circuit over time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cqrs.circuit_breaker import CircuitBreaker, CircuitBreakerPolicy, State
from cqrs.circuit_breaker.gate import Gate
from cqrs.simulation.agenda import VirtualClock
from cqrs.simulation.calls import End

_AT_REST = (State.CLOSED, State.DISABLED, State.METRICS_ONLY)


class History:
    """Openings and closings of one circuit.

    Attributes:
        openings: seconds at which it opened, after failed probes too.
        trips: of those, the ones that ended traffic: from closed or from the ramp.
        closed_at: second at which it last became closed; 0 if it always was, ``None`` while it is not.
        is_open: whether it rejects all calls.
    """

    __slots__ = ("closed_at", "is_open", "openings", "ramping", "trips")

    def __init__(self) -> None:
        self.openings: list[float] = []
        self.trips: list[float] = []
        self.closed_at: float | None = 0.0
        self.ramping = False
        self.is_open = False

    def note(self, now: float, state: State, phase: str | None) -> None:
        """Note a state that the circuit has just entered."""
        if state is State.OPEN:
            self.openings.append(now)
            if self.closed_at is not None or self.ramping:
                self.trips.append(now)
        self.ramping = phase == "ramping"
        self.is_open = state in (State.OPEN, State.FORCED_OPEN)
        if state not in _AT_REST:
            self.closed_at = None
        elif self.closed_at is None:
            self.closed_at = now


class Process:
    """A caller with a circuit: the real engine under a virtual clock."""

    __slots__ = ("_gate", "history")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.history = History()

    def look(self, now: float) -> None:
        """Note whether the circuit has changed its state."""
        raise NotImplementedError

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


class LocalProcess(Process):
    """A caller with a circuit of its own."""

    __slots__ = ("_breaker", "_era")

    def __init__(
        self, name: str, policy: CircuitBreakerPolicy, clock: VirtualClock, random: Callable[[], float]
    ) -> None:
        breaker = self._breaker = CircuitBreaker(name, policy, clock=clock, random=random)
        super().__init__(breaker.gate)
        self._era = breaker.era
        self.history.note(clock.now, breaker.state, None)

    def look(self, now: float) -> None:
        breaker = self._breaker
        if breaker.era != self._era:
            self._era = breaker.era
            self.history.note(now, breaker.state, breaker.phase)


class Unguarded:
    """A caller without a circuit breaker: what the others are compared with."""

    __slots__ = ("history",)

    kind = "lane"
    limit: float | None = None
    waits = False

    def __init__(self) -> None:
        self.history = History()

    def enter(self) -> Any:
        """Admit every call."""
        return self

    def settle(self, token: Any, end: End, error: type[Exception]) -> None:
        """Nobody is told."""

    def look(self, now: float) -> None:
        """Nothing ever changes."""
