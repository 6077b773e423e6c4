"""The states of one circuit and the ways from one to another.

Pure, like ``Machine``, which decides when to take which way. The letters in comments name the invariants that
the tests carry.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cqrs.circuit_breaker import conditions
from cqrs.circuit_breaker.events import CircuitEvent, OverrideChanged, PolicyReloaded, StateChanged
from cqrs.circuit_breaker.phases import HalfOpen, Lane, Phase, Shut
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.states import Mode, State
from cqrs.circuit_breaker.totals import NOTHING, Totals
from cqrs.circuit_breaker.verdict import Trip
from cqrs.circuit_breaker.window import NO_COUNTS, make_window, reshaped

if TYPE_CHECKING:
    from cqrs.circuit_breaker.fleet.view import FleetView

_is_gil_enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
LOCK_FREE = _is_gil_enabled()
"""Whether statements without a call are atomic, so that a closed circuit needs no lock."""


class Transitions:
    """The phase of one circuit, its past openings, its totals."""

    __slots__ = (
        "events",
        "lane",
        "mode",
        "mode_until",
        "name",
        "phase",
        "policy",
        "random",
        "streak",
        "totals",
    )

    lane: Lane | None
    """The present phase, if calls may pass through it without the lock."""

    keen = False
    """Whether every success must be looked at, because others wait for one."""

    phase: Phase

    barrier: Any = None
    """What others that share the circuit have put before it: a ``phases.Barrier``."""

    def __init__(
        self, name: str, policy: CircuitBreakerPolicy, now: float, random: Callable[[], float]
    ) -> None:
        self.name = name
        self.policy = policy
        self.random = random
        self.totals = NOTHING
        self.streak = 0
        self.mode = policy.initial_mode
        self.mode_until: float | None = None
        self.events: list[CircuitEvent] | None = None
        self._settle_in(self._phase_of_mode(self.mode, 0, now, "initial mode"))

    # ------------------------------------------------------------------ between states

    def _open(self, now: float, why: str, figures: dict[str, Any], trip: Trip | None = None) -> None:
        policy = self.policy
        backoff = policy.backoff
        phase = self.phase
        if isinstance(phase, Lane) and not phase.ramping and now - phase.since >= backoff.max:
            self.streak = 0  # L9: long enough healthy
        self.streak += 1
        wait = backoff.duration(self.streak, self.random())
        if trip is not None and trip.for_ is not None:
            wait = min(backoff.max, max(backoff.initial, trip.for_))
        evidence = {**figures, "wait": wait, "streak": self.streak}
        shut = Shut(self.name, State.OPEN, phase.era + 1, now, now + wait, why)
        shut.evidence = evidence
        if isinstance(phase, HalfOpen):
            shut.last_failure = phase.last_failure
        self._become(shut, now, why, evidence)

    def _close(self, now: float, why: str, figures: dict[str, Any]) -> None:
        state = State.CLOSED if self.policy.recovery_ramp is None else State.HALF_OPEN
        if state is State.CLOSED:
            self.streak = max(0, self.streak - 1)
        self._become(self._new_lane(state, self.phase.era + 1, now), now, why, figures)

    def _promote(self, ramping: Lane, now: float) -> Lane:
        """End the ramp: closed, with the window that the ramp has filled (L10)."""
        ramp = self.policy.recovery_ramp
        since = now if ramp is None else min(now, ramping.since + ramp.duration)  # when all could pass again
        lane = Lane(State.CLOSED, ramping.era + 1, since, ramping.window, ramping.successes)
        lane.configure(self.policy, watch=True)
        lane.consecutive = ramping.consecutive
        self.streak = max(0, self.streak - 1)
        self._become(lane, now, "all traffic has returned")
        self.own_totals().succeeded -= ramping.successes  # the new lane goes on counting from there
        return lane

    def _decide_without_probes(self, now: float) -> None:
        why = "the probes did not decide in time"
        if self.policy.on_half_open_timeout == "open":
            self._open(now, why, {})
        else:
            self._close(now, why, {})

    def _new_lane(self, state: State, era: int, now: float) -> Lane:
        window = NO_COUNTS if state is State.DISABLED else make_window(self.policy.sliding_window, now)
        lane = Lane(state, era, now, window)
        lane.configure(self.policy)
        return lane

    def _phase_of_mode(self, mode: Mode, era: int, now: float, why: str) -> Phase:
        if mode is Mode.FORCED_OPEN:
            until = math.inf if self.mode_until is None else self.mode_until
            return Shut(self.name, State.FORCED_OPEN, era, now, until, why)
        state = State.CLOSED if mode is Mode.ENABLED else State(mode.value)
        return self._new_lane(state, era, now)

    def _become(self, phase: Phase, now: float, why: str, evidence: dict[str, Any] | None = None) -> None:
        before = self.phase
        self.lane = None  # from here on nobody counts in the old lane without the lock
        if isinstance(before, Lane):
            self.own_totals().absorb(before)
        self._settle_in(phase)
        states = _state_of(before), _state_of(phase)
        word = "probing" if isinstance(phase, HalfOpen) else None
        if isinstance(phase, Lane) and phase.ramping:
            word = "ramping"
        self._tell(StateChanged(self.name, phase.era, now, *states, why, word, evidence or {}))

    def own_totals(self) -> Totals:
        """Return the totals to write to; a circuit that only ever succeeded needs none."""
        if self.totals is NOTHING:
            self.totals = Totals()
        return self.totals

    def _tell(self, event: CircuitEvent) -> None:
        if self.events is None:
            self.events = []
        self.events.append(event)

    def _settle_in(self, phase: Phase) -> None:
        self.phase = phase
        if isinstance(phase, Shut):
            self.own_totals()  # rejections are counted without the lock
        free = LOCK_FREE and isinstance(phase, Lane) and not phase.ramping and self.mode_until is None
        self.lane = phase if free and isinstance(phase, Lane) else None

    # ------------------------------------------------------------------ orders from outside

    def set_mode(
        self,
        mode: Mode,
        now: float,
        ttl: float | None,
        actor: str | None,
        reason: str | None,
        local: bool = False,
    ) -> None:
        """Put an override in force; it begins with empty counts (L11). ``local`` is for shared circuits."""
        self.mode = mode
        self.mode_until = None if ttl is None else now + ttl
        why = reason or f"override: {mode.value}"
        phase = self._phase_of_mode(mode, self.phase.era + 1, now, why)
        self._become(phase, now, why)
        self._tell(OverrideChanged(self.name, phase.era, now, mode, ttl, actor, reason))

    def clear_mode(self, now: float, actor: str | None, reason: str | None) -> None:
        """Return to the policy's initial mode, if another is in force."""
        if self.mode is not self.policy.initial_mode or self.mode_until is not None:
            self.set_mode(self.policy.initial_mode, now, None, actor, reason or "override cleared")

    def _expire_override(self, now: float) -> None:
        if self.mode_until is not None and now >= self.mode_until:
            self.set_mode(self.policy.initial_mode, now, None, None, "override expired")

    def reset(self, now: float) -> None:
        """Start afresh in the policy's initial mode: empty counts, no memory of past openings."""
        self.streak = 0
        self.set_mode(self.policy.initial_mode, now, None, None, "reset")

    def reload(self, policy: CircuitBreakerPolicy, now: float) -> None:
        """Take another policy; keeps state, permits and what both windows can hold (L16)."""
        self.policy = policy
        phase = self.phase
        if isinstance(phase, Lane):
            if phase.records:
                phase.window = reshaped(phase.window, policy.sliding_window, now, phase.successes)
            phase.configure(policy, watch=phase.records)  # the next outcome meets the new thresholds
        self._tell(PolicyReloaded(self.name, phase.era, now))

    # ------------------------------------------------------------------ reading (no lock, no side effects)

    def fleet_view(self) -> FleetView | None:
        """Return what is known of the fleet's side of a shared circuit."""
        return None

    def at_rest(self) -> bool:
        """Whether there is nothing that others who share the circuit wait for."""
        return True

    def effective(self, now: float) -> tuple[State, str | None]:
        """Return the state and sub-phase that a call at ``now`` would find (L6)."""
        if self.mode_until is not None and now >= self.mode_until:
            mode = self.policy.initial_mode
            return (State.CLOSED if mode is Mode.ENABLED else State(mode.value)), None
        phase = self.phase
        if isinstance(phase, Shut):
            return (phase.state, None) if now < phase.until else (State.HALF_OPEN, "probing")
        if isinstance(phase, HalfOpen):
            if now - phase.since < self.policy.max_wait_duration_in_half_open:
                return State.HALF_OPEN, "probing"
            if self.policy.on_half_open_timeout == "open":
                return State.OPEN, None
            return (State.CLOSED, None) if self.policy.recovery_ramp is None else (State.HALF_OPEN, "ramping")
        if phase.ramping:
            done = conditions.ramp_share(self.policy, phase, now) >= 1.0
            return (State.CLOSED, None) if done else (State.HALF_OPEN, "ramping")
        return phase.state, None


def _state_of(phase: Phase) -> State:
    return State.HALF_OPEN if isinstance(phase, HalfOpen) else phase.state
