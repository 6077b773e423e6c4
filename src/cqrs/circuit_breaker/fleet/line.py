"""The breaker of the line to a store: it is guarded by the same engine as everything else."""

from __future__ import annotations

import math
from collections.abc import Callable

from cqrs.circuit_breaker.breaker import CircuitBreaker
from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.states import State
from cqrs.circuit_breaker.timing import Backoff

PACE = 0.4
"""Seconds between attempts to reach a store that is away, at most, where exchanges are more frequent."""


def line_breaker(
    settings: StoreSettings, clock: Callable[[], float], random: Callable[[], float]
) -> CircuitBreaker:
    """Return the breaker of one process and store (F8).

    Three exchanges that fail in a row open it; its permits belong to an era, so that the late success of an
    old command cannot make the store seem well. What it waits bounds how stale a process is when the store is
    back (F6): less than an interval, or ``PACE`` if that is more, so that an outage costs some four attempts
    a second at most. The jitter keeps processes that have lost the store together from coming back in step.
    """
    shortest = 0.8 * settings.sync_interval
    wait = Backoff(shortest, 2.0, max(shortest, PACE), jitter=0.4)
    policy = CircuitBreakerPolicy.consecutive(3, wait_duration_in_open=wait, max_probe_duration=30.0)
    return CircuitBreaker(f"store of {settings.namespace}", policy, clock=clock, random=random)


def closed(line: CircuitBreaker) -> bool:
    """Whether the store is not known to be away."""
    return line.state is State.CLOSED


def pause(line: CircuitBreaker) -> float:
    """Return the seconds until the store may be sought again; infinite if that is not a matter of time."""
    left = line.snapshot().open_remaining
    return math.inf if left is None else left
