"""What a circuit tells about itself: a snapshot for metrics, an explanation for people."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cqrs.circuit_breaker import conditions
from cqrs.circuit_breaker.conditions import Condition
from cqrs.circuit_breaker.machine import Machine
from cqrs.circuit_breaker.phases import RUNNING, Barrier, HalfOpen, Lane, Shut
from cqrs.circuit_breaker.states import Mode, State
from cqrs.circuit_breaker.window import Counts

if TYPE_CHECKING:
    from cqrs.circuit_breaker.fleet.view import FleetView


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The figures of a circuit at one moment.

    Attributes:
        name: name of the circuit.
        state: effective state.
        phase: ``"probing"`` or ``"ramping"`` when half-open, else ``None``.
        era: number of transitions, resets and overrides so far.
        mode: operating mode in force.
        admitted: calls let through since the circuit was made; the outcomes below are of these.
        succeeded: of them, successes; likewise ``failed``, ``ignored``, ``cancelled``, ``inconclusive``.
        slow: of them, slow ones, whatever the outcome.
        late: of them, settled after their era was over; they count nowhere else.
        lost: probes that did not finish in time.
        in_flight: calls that have not settled yet.
        rejected: calls not let through.
        window_calls: settled calls in the window; likewise ``window_failures`` and ``window_slow``.
        overdue: running calls past the slow threshold.
        consecutive_failures: failures since the last success.
        failure_rate: share of failures in the window, ``None`` below the minimum number of calls.
        slow_rate: share of slow calls, running ones included, ``None`` below the minimum.
        open_remaining: seconds until a probe may pass, ``None`` when not open or forced open for good.
        opened_in_a_row: how often it opened without closing for good in between.
        last_failure: what opened it, as text.
        fleet: what the fleet that shares the circuit said last, ``None`` for a circuit of this process alone.
    """

    name: str
    state: State
    phase: str | None
    era: int
    mode: Mode
    admitted: int
    succeeded: int
    failed: int
    ignored: int
    cancelled: int
    inconclusive: int
    slow: int
    late: int
    lost: int
    in_flight: int
    rejected: int
    window_calls: int
    window_failures: int
    window_slow: int
    overdue: int
    consecutive_failures: int
    failure_rate: float | None
    slow_rate: float | None
    open_remaining: float | None
    opened_in_a_row: int
    last_failure: str | None
    fleet: FleetView | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a circuit is in its state, and what would change it. ``str()`` gives it as text.

    Attributes:
        conditions: every condition that matters in this state, with its present value.
        fleet: what the fleet that shares the circuit said last, ``None`` for a circuit of this process alone.
    """

    name: str
    state: State
    phase: str | None
    reason: str
    conditions: tuple[Condition, ...]
    fleet: FleetView | None = None

    def __str__(self) -> str:
        head = f"circuit {self.name!r} is {self.state.value.replace('_', ' ')}"
        if self.phase:
            head += f", {self.phase}"
        lines = [f"{head}: {self.reason}" if self.reason else head]
        lines += map(str, self.conditions)
        if self.fleet is not None:
            lines.append(f"the fleet: {self.fleet}")
        return "\n  ".join(lines)


def snapshot(machine: Machine, now: float) -> Snapshot:
    """Read the figures of a circuit. Requires the lock; changes nothing."""
    state, phase_word = machine.effective(now)
    totals, phase, policy = machine.totals, machine.phase, machine.policy
    admitted, succeeded = totals.admitted, totals.succeeded
    counts, overdue, consecutive = Counts(0, 0, 0), 0, 0
    failure_rate: float | None = None
    slow_rate: float | None = None
    if isinstance(phase, Lane):
        admitted += phase.admitted
        succeeded += phase.successes
        counts, overdue, consecutive = _counts(phase, now), _overdue(phase, now), phase.consecutive
        minimum = conditions.minimum_calls(policy, phase, now)
        if counts.calls >= minimum:
            failure_rate = counts.failures / counts.calls
        if policy.slow_call_duration_threshold is not None and counts.calls + overdue >= minimum:
            slow_rate = (counts.slow + overdue) / (counts.calls + overdue)
    settled = (
        succeeded + totals.failed + totals.ignored + totals.cancelled + totals.inconclusive + totals.late
    )
    remaining = None
    if isinstance(phase, Shut) and phase.until != math.inf and state in (State.OPEN, State.FORCED_OPEN):
        remaining = max(0.0, phase.until - now)
    elif state is State.OPEN and (barrier := machine.barrier) is not None:
        remaining = barrier.rejection(now).retry_after
    return Snapshot(
        name=machine.name,
        state=state,
        phase=phase_word,
        era=phase.era,
        mode=machine.mode,
        admitted=admitted,
        succeeded=succeeded,
        failed=totals.failed,
        ignored=totals.ignored,
        cancelled=totals.cancelled,
        inconclusive=totals.inconclusive,
        slow=totals.slow,
        late=totals.late,
        lost=totals.lost,
        in_flight=admitted - settled,
        rejected=totals.rejected,
        window_calls=counts.calls,
        window_failures=counts.failures,
        window_slow=counts.slow,
        overdue=overdue,
        consecutive_failures=consecutive,
        failure_rate=failure_rate,
        slow_rate=slow_rate,
        open_remaining=remaining,
        opened_in_a_row=machine.streak,
        last_failure=None if isinstance(phase, Lane) else phase.last_failure,
        fleet=machine.fleet_view(),
    )


def explain(machine: Machine, now: float) -> Explanation:
    """Say why a circuit is in its state. Requires the lock; changes nothing."""
    state, phase_word = machine.effective(now)
    phase, policy = machine.phase, machine.policy
    found: list[Condition] = []
    reason = ""
    barrier: Barrier | None = machine.barrier
    if barrier is not None and not isinstance(phase, Shut) and (state, phase_word) == barrier.effective(now):
        reason, ends = barrier.explain(now)
        found += [Condition(name, value, limit, value >= limit) for name, value, limit in ends]
    elif isinstance(phase, Shut):
        reason = phase.reason
        if phase.until != math.inf:
            name = "wait_duration_in_open" if phase.state is State.OPEN else "ttl"
            wait = phase.until - phase.since
            found.append(Condition(name, now - phase.since, wait, now >= phase.until))
    elif isinstance(phase, HalfOpen):
        reason = f"{len(phase.live)} probes running, {phase.good} succeeded, {phase.bad} failed"
        permitted = policy.permitted_calls_in_half_open
        met = conditions.probes_say_open(policy, phase) is not None
        found.append(Condition("probes_failed", phase.bad / permitted, policy.failure_rate_threshold, met))
        if policy.slow_call_duration_threshold is not None:
            rate = phase.slow / permitted
            found.append(Condition("probes_slow", rate, policy.slow_call_rate_threshold, met))
        waited, longest = now - phase.since, policy.max_wait_duration_in_half_open
        found.append(Condition("max_wait_duration_in_half_open", waited, longest, waited >= longest))
    elif phase.records:
        minimum = conditions.minimum_calls(policy, phase, now)
        counts, overdue = _counts(phase, now), _overdue(phase, now)
        found += conditions.opening_conditions(policy, counts, overdue, phase.consecutive, minimum)
        if phase.ramping:
            share = conditions.ramp_share(policy, phase, now)
            found.append(Condition("recovery_ramp", share, 1.0, share >= 1.0))
            reason = "traffic is returning"
    else:
        reason = "everything is admitted, nothing is recorded"
    return Explanation(machine.name, state, phase_word, reason, tuple(found), machine.fleet_view())


def _counts(lane: Lane, now: float) -> Counts:
    """What the window would hold at ``now``, without moving it: reading has no side effects."""
    return lane.window.counts_at(now, lane.successes)


def _overdue(lane: Lane, now: float) -> int:
    """Running calls past the threshold, those included that no admission has looked at yet."""
    found = lane.overdue
    node = lane.head.next
    while node is not None:
        if node.mark == RUNNING and node.answered is None and now - node.started >= lane.slow_after:
            found += 1
        node = node.next
    return found
