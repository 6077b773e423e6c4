"""When a circuit opens: one place for the decision and for its explanation (L2, L17)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from cqrs.circuit_breaker.phases import HalfOpen, Lane
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.window import Counts


def minimum_calls(policy: CircuitBreakerPolicy, lane: Lane, now: float) -> int:
    """Return how many calls a rate needs; fewer while only a share of the traffic passes (L10)."""
    minimum = policy.minimum_number_of_calls
    if not lane.ramping:
        return minimum
    return max(min(3, minimum), math.ceil(minimum * ramp_share(policy, lane, now)))


def ramp_share(policy: CircuitBreakerPolicy, lane: Lane, now: float) -> float:
    """Return the share of traffic that a ramping lane admits at ``now``."""
    ramp = policy.recovery_ramp
    return 1.0 if ramp is None else ramp.share(now - lane.since)


def failures_met(policy: CircuitBreakerPolicy, counts: Counts, minimum: int) -> bool:
    """Whether the share of failures justifies opening."""
    calls = counts.calls
    return calls >= minimum and counts.failures / calls >= policy.failure_rate_threshold


def slowness_met(policy: CircuitBreakerPolicy, counts: Counts, overdue: int, minimum: int) -> bool:
    """Whether the share of slow calls does, running ones past the threshold included.

    They count towards the minimum as well: calls that never return must be able to open the circuit.
    """
    calls = counts.calls + overdue
    if policy.slow_call_duration_threshold is None or calls < minimum:
        return False
    return (counts.slow + overdue) / calls >= policy.slow_call_rate_threshold


def row_met(policy: CircuitBreakerPolicy, consecutive: int) -> bool:
    """Whether failures in a row do."""
    limit = policy.consecutive_failures
    return limit is not None and consecutive >= limit


def why_open(
    policy: CircuitBreakerPolicy, counts: Counts, overdue: int, consecutive: int, minimum: int
) -> str | None:
    """Return why the circuit must open, or ``None``."""
    if counts.calls + overdue >= minimum:
        if failures_met(policy, counts, minimum):
            return f"{counts.failures} of {counts.calls} calls failed"
        if slowness_met(policy, counts, overdue, minimum):
            return f"{counts.slow + overdue} of {counts.calls + overdue} calls were slow"
    if row_met(policy, consecutive):
        return "1 failure" if consecutive == 1 else f"{consecutive} failures in a row"
    return None


def figures(
    policy: CircuitBreakerPolicy, counts: Counts, overdue: int, consecutive: int, minimum: int
) -> dict[str, Any]:
    """Return the evidence of an opening: what was counted, and what it was held against."""
    evidence: dict[str, Any] = {}
    if policy.sliding_window is not None:
        evidence |= {"calls": counts.calls, "failures": counts.failures, "minimum": minimum}
        if counts.calls:
            evidence["failure_rate"] = counts.failures / counts.calls
        evidence["failure_rate_threshold"] = policy.failure_rate_threshold
    if _times(policy):
        evidence |= {"slow": counts.slow, "overdue": overdue}
        if counts.calls + overdue:
            evidence["slow_rate"] = (counts.slow + overdue) / (counts.calls + overdue)
        evidence["slow_call_rate_threshold"] = policy.slow_call_rate_threshold
    if policy.consecutive_failures is not None:
        evidence |= {"consecutive": consecutive, "consecutive_failures": policy.consecutive_failures}
    return evidence


def probes_say_open(policy: CircuitBreakerPolicy, half: HalfOpen) -> str | None:
    """Return why the probes so far rule out recovery, or ``None`` (L8)."""
    permitted = policy.permitted_calls_in_half_open
    if half.bad / permitted >= policy.failure_rate_threshold:
        return f"{half.bad} of {permitted} probes failed"
    if _times(policy) and half.slow / permitted >= policy.slow_call_rate_threshold:
        return f"{half.slow} of {permitted} probes were slow"
    return None


def probes_say_close(policy: CircuitBreakerPolicy, half: HalfOpen) -> bool:
    """Whether the outstanding probes can no longer rule out recovery (L8)."""
    permitted = policy.permitted_calls_in_half_open
    remaining = max(0, permitted - half.decided)
    if (half.bad + remaining) / permitted >= policy.failure_rate_threshold:
        return False
    return not _times(policy) or (half.slow + remaining) / permitted < policy.slow_call_rate_threshold


def _times(policy: CircuitBreakerPolicy) -> bool:
    return policy.slow_call_duration_threshold is not None


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition with its present value.

    Attributes:
        name: the policy field that sets the threshold, or what is waited for.
        value: present value; ``None`` while there are too few calls for a rate.
        threshold: the value from which the condition holds.
        met: whether it holds now.
    """

    name: str
    value: float | None
    threshold: float
    met: bool

    def __str__(self) -> str:
        value = "too few calls" if self.value is None else f"{self.value:.4g}"
        return f"{self.name}: {value} of {self.threshold:.4g}{' (met)' if self.met else ''}"


def opening_conditions(
    policy: CircuitBreakerPolicy, counts: Counts, overdue: int, consecutive: int, minimum: int
) -> list[Condition]:
    """Return every condition that can open the circuit."""
    found: list[Condition] = []
    if policy.sliding_window is not None:
        enough = counts.calls >= minimum
        found.append(Condition("minimum_number_of_calls", counts.calls, minimum, enough))
        rate = counts.failures / counts.calls if enough else None
        met = failures_met(policy, counts, minimum)
        found.append(Condition("failure_rate_threshold", rate, policy.failure_rate_threshold, met))
    if _times(policy):
        calls = counts.calls + overdue
        rate = (counts.slow + overdue) / calls if calls >= minimum else None
        met = slowness_met(policy, counts, overdue, minimum)
        found.append(Condition("slow_call_rate_threshold", rate, policy.slow_call_rate_threshold, met))
    if policy.consecutive_failures is not None:
        met = row_met(policy, consecutive)
        found.append(Condition("consecutive_failures", consecutive, policy.consecutive_failures, met))
    return found
