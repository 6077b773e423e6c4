"""The state machine of one circuit: the only place where states, permits and counts change.

Pure: no I/O, no clock, no lock of its own. Every method that changes something requires the lock of the shell
around it, takes the time as an argument, and leaves what happened in ``events`` for the shell to deliver.
The letters in comments name the invariants that the tests carry.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

from cqrs.circuit_breaker import conditions
from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.circuit_breaker.events import (
    CircuitEvent,
    OverrideChanged,
    PolicyReloaded,
    ProbesLost,
    StateChanged,
    WouldOpen,
)
from cqrs.circuit_breaker.phases import (
    OVERDUE,
    RUNNING,
    SETTLED,
    Grant,
    HalfOpen,
    Lane,
    Phase,
    Probe,
    Shut,
)
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.states import Mode, State
from cqrs.circuit_breaker.totals import NOTHING, Totals
from cqrs.circuit_breaker.verdict import CANCELLED, FAILURE, IGNORED, INCONCLUSIVE, SUCCESS, Trip, Verdict
from cqrs.circuit_breaker.window import NO_COUNTS, make_window, reshaped

_is_gil_enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
LOCK_FREE = _is_gil_enabled()
"""Whether statements without a call are atomic, so that a closed circuit needs no lock."""


class Machine:
    """State, permits and counts of one circuit."""

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

    phase: Phase

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

    # ------------------------------------------------------------------ admission

    def admit(self, now: float) -> Grant | None:
        """Grant a permit or return ``None``: rejected."""
        self._expire_override(now)
        phase = self.phase
        if isinstance(phase, Shut):
            if now < phase.until:
                return None
            self._become(HalfOpen(phase.era + 1, now, phase.last_failure), now, "wait in open is over")
            phase = self.phase
        if isinstance(phase, HalfOpen):
            if now - phase.since < self.policy.max_wait_duration_in_half_open:
                return self._grant_probe(phase, now)
            self._decide_without_probes(now)  # L6
            phase = self.phase
        return self._grant(phase, now) if isinstance(phase, Lane) else None

    def _grant(self, lane: Lane, now: float) -> Grant | None:
        if lane.ramping and conditions.ramp_share(self.policy, lane, now) >= 1.0:
            lane = self._promote(lane, now)
        if lane.linked:
            self._mark_overdue(lane, now)
            lane.window.advance(now, lane.successes)
            if self._evaluate(lane, now):
                return None
        if lane.ramping:  # L10: error diffusion, no coin flips
            lane.credit += conditions.ramp_share(self.policy, lane, now)
            if lane.credit < 1.0 - 1e-9:
                return None
            lane.credit -= 1.0
        permit = Grant(lane, now)
        lane.admitted += 1
        if lane.linked:
            lane.tail.next = permit
            lane.tail = permit
        return permit

    def _grant_probe(self, half: HalfOpen, now: float) -> Grant | None:
        if self._take_back_lost(half, now):
            return None
        policy = self.policy
        live = len(half.live)
        if live >= policy.max_concurrent_probes or half.decided + live >= policy.permitted_calls_in_half_open:
            return None
        half.granted += 1
        probe = Probe(half, now, half.granted, policy.effective_probe_timeout)
        half.live[probe.number] = probe
        self.own_totals().admitted += 1
        return probe

    def _take_back_lost(self, half: HalfOpen, now: float) -> bool:
        """Reclaim the permits of probes that did not finish (L7); return whether that opened the circuit."""
        longest = self.policy.max_probe_duration
        lost = [number for number, permit in half.live.items() if now - permit.started >= longest]
        if not lost:
            return False
        for number in lost:
            del half.live[number]
        half.lost += len(lost)
        self.own_totals().lost += len(lost)
        self._tell(ProbesLost(self.name, half.era, now, len(lost)))
        if half.lost < self.policy.permitted_calls_in_half_open:
            return False
        self._open(now, f"{half.lost} probes in a row were lost", {"lost": half.lost})
        return True

    def rejection(self, now: float) -> CircuitOpenError:
        """Return a fresh error for a call that ``admit`` has just rejected."""
        phase = self.phase
        if isinstance(phase, Shut):
            return phase.rejection(now)
        if isinstance(phase, HalfOpen):
            oldest = min((permit.started for permit in phase.live.values()), default=now)
            wait = min(1.0, max(0.0, oldest + self.policy.max_probe_duration - now))
            reason = f"{len(phase.live)} of {self.policy.permitted_calls_in_half_open} probes are running"
            return CircuitOpenError(
                self.name, State.HALF_OPEN.value, reason, wait, phase.last_failure, "local", phase.era
            )
        ramp = self.policy.recovery_ramp
        left = 0.0 if ramp is None else max(0.0, phase.since + ramp.duration - now)
        reason = f"recovering, {conditions.ramp_share(self.policy, phase, now):.0%} of the calls pass"
        return CircuitOpenError(
            self.name, phase.state.value, reason, min(1.0, left), None, "local", phase.era
        )

    # ------------------------------------------------------------------ settlement

    def settle(self, token: Grant | Lane, now: float, verdict: Verdict | Trip) -> bool:
        """Record the end of a call; ``False`` when its era is over, or it was settled before (L4)."""
        if isinstance(token, Grant):
            if token.mark == SETTLED:
                return False
            overdue, token.mark = token.mark == OVERDUE, SETTLED
            phase: Lane | HalfOpen = token.phase
            slow_after = self.policy.slow_call_duration_threshold
            slow = slow_after is not None and token.duration(now) >= slow_after
        else:
            phase, slow, overdue = token, False, False
        if phase is not self.phase or (isinstance(phase, HalfOpen) and not self._give_back(phase, token)):
            self.own_totals().late += 1
            return False
        trip = verdict if isinstance(verdict, Trip) else None
        outcome = FAILURE if isinstance(verdict, Trip) else verdict
        if outcome is CANCELLED and self.policy.on_cancel == "failure":
            outcome = FAILURE
        if outcome is not SUCCESS or slow:
            self.own_totals().add(outcome, slow)
        if isinstance(phase, HalfOpen):
            self._settle_probe(phase, now, outcome, slow, trip)
        else:
            if overdue:  # L3: the mark is replaced by the outcome
                phase.overdue -= 1
            self._settle_in_lane(phase, now, outcome, slow, trip)
        return True

    def withdraw(self, token: Grant | Lane) -> bool:
        """Take an admission back as if it had not happened: the call was never made."""
        phase = token.phase if isinstance(token, Grant) else token
        if isinstance(token, Grant):
            if token.mark == SETTLED:
                return False
            overdue, token.mark = token.mark == OVERDUE, SETTLED
            if overdue and isinstance(phase, Lane):
                phase.overdue -= 1
        if phase is not self.phase or (isinstance(phase, HalfOpen) and not self._give_back(phase, token)):
            self.own_totals().late += 1
            return False
        if isinstance(phase, Lane):
            phase.admitted -= 1
        else:
            self.own_totals().admitted -= 1
        return True

    @staticmethod
    def _give_back(half: HalfOpen, token: Grant | Lane) -> bool:
        return isinstance(token, Grant) and half.live.pop(token.number, None) is not None

    def _counts_as_slow(self, outcome: Verdict, slow: bool) -> bool:
        """Whether a cancelled call says that the dependency is slow: its caller gave up late."""
        return outcome is CANCELLED and slow and self.policy.on_cancel == "slow_if_exceeded"

    def _settle_in_lane(
        self, lane: Lane, now: float, outcome: Verdict, slow: bool, trip: Trip | None
    ) -> None:
        lane.drop_settled()
        if not lane.records:
            if outcome is SUCCESS:
                lane.successes += 1
            return
        lane.window.advance(now, lane.successes)
        if outcome is SUCCESS:
            lane.consecutive = 0
            if slow:
                self.own_totals().succeeded += 1
                lane.window.add(lane.successes, failed=False, slow=True)
            else:
                lane.successes += 1
        elif outcome is FAILURE:
            lane.consecutive += 1
            lane.window.add(lane.successes, failed=True, slow=slow)
        elif self._counts_as_slow(outcome, slow):
            lane.window.add(lane.successes, failed=False, slow=True)
        if lane.ramping and conditions.ramp_share(self.policy, lane, now) >= 1.0:
            lane = self._promote(lane, now)
        self._evaluate(lane, now, trip)

    def _settle_probe(
        self, half: HalfOpen, now: float, outcome: Verdict, slow: bool, trip: Trip | None
    ) -> None:
        policy = self.policy
        if self._counts_as_slow(outcome, slow):
            outcome = FAILURE  # evidence against recovery, never for it
        if outcome is CANCELLED:
            return
        half.lost = 0
        if outcome is INCONCLUSIVE:
            half.inconclusive += 1
            if half.inconclusive >= policy.permitted_calls_in_half_open:
                evidence = {"inconclusive": half.inconclusive}
                self._open(now, f"{half.inconclusive} probes in a row never reached it", evidence)
            return
        half.inconclusive = 0
        if outcome is IGNORED:
            return
        if outcome is SUCCESS:
            half.good += 1
            self.own_totals().succeeded += 1
        else:
            half.bad += 1
        half.slow += slow
        figures = {"succeeded": half.good, "failed": half.bad, "slow": half.slow}
        why = "a call asked for it" if trip else conditions.probes_say_open(policy, half)
        if why is not None:
            self._open(now, why, figures, trip)
        elif conditions.probes_say_close(policy, half):
            self._close(
                now, f"{half.good} of {policy.permitted_calls_in_half_open} probes succeeded", figures
            )

    def _mark_overdue(self, lane: Lane, now: float) -> None:
        """Count running calls that passed the slow threshold (L3); ``lane.head`` is the cursor."""
        node = lane.head.next
        while node is not None and (
            node.mark == SETTLED or node.answered is not None or now - node.started >= lane.slow_after
        ):
            if node.mark == RUNNING and node.answered is None:
                node.mark = OVERDUE
                lane.overdue += 1
            lane.head.next = None
            lane.head, node = node, node.next

    def _evaluate(self, lane: Lane, now: float, trip: Trip | None = None) -> bool:
        """Open the circuit if the counts justify it (L2); return whether they do."""
        policy = self.policy
        counts = lane.window.counts(lane.successes)
        minimum = conditions.minimum_calls(policy, lane, now)
        why = conditions.why_open(policy, counts, lane.overdue, lane.consecutive, minimum)
        if why is None and trip is None:
            bad = counts.failures or counts.slow or lane.overdue
            few = counts.calls + lane.overdue < minimum
            # A success can open only by completing the minimum; of failures in a row it must be the end.
            watch = lane.consecutive > 0 or bool(bad and few)
            if watch is not lane.watch:
                lane.set_watch(watch)
            return False
        figures = conditions.figures(policy, counts, lane.overdue, lane.consecutive, minimum)
        why = why or "a call asked for it"
        if lane.state is State.METRICS_ONLY:  # L11
            lane.set_watch(False)
            if not lane.would_open:
                lane.would_open = True
                self._tell(WouldOpen(self.name, lane.era, now, why, figures))
            return False
        self._open(now, why, figures, trip)
        return True

    # ------------------------------------------------------------------ transitions

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
        lane = Lane(State.CLOSED, ramping.era + 1, now, ramping.window, ramping.successes)
        lane.configure(self.policy, watch=True)
        lane.consecutive = ramping.consecutive
        self.streak = max(0, self.streak - 1)
        self._become(lane, now, "all traffic has returned")
        return lane

    def _decide_without_probes(self, now: float) -> None:
        why = "the probes did not decide in time"
        if self.policy.on_half_open_timeout == "open":
            self._open(now, why, {})
        else:
            self._close(now, why, {})

    def _new_lane(self, state: State, era: int, now: float) -> Lane:
        records = state is not State.DISABLED
        window = make_window(self.policy.sliding_window, now) if records else NO_COUNTS
        lane = Lane(state, era, now, window, records=records)
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
        if isinstance(before, Lane):
            self.own_totals().absorb(before)
        self._settle_in(phase)
        states = _state_of(before), _state_of(phase)
        self._tell(StateChanged(self.name, phase.era, now, *states, why, evidence or {}))

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
        self, mode: Mode, now: float, ttl: float | None, actor: str | None, reason: str | None
    ) -> None:
        """Put an override in force; it begins with empty counts (L11)."""
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
