"""The breaker of the line to a store: it is guarded by the same engine as everything else."""

from __future__ import annotations

from collections.abc import Callable

from cqrs.circuit_breaker.breaker import CircuitBreaker
from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.timing import Backoff

LONGEST_PAUSE = 5.0
"""Seconds between attempts to reach a store that is away, at most."""


def line_breaker(
    settings: StoreSettings, clock: Callable[[], float], random: Callable[[], float]
) -> CircuitBreaker:
    """Return the breaker of one process and store (F8).

    Three exchanges that fail in a row open it; its permits belong to an era, so that the late success of an
    old command cannot make the store seem well.
    """
    shortest = settings.sync_interval
    longest = max(shortest, min(LONGEST_PAUSE, 8 * shortest))
    wait = Backoff(shortest, 2.0, longest, jitter=0.5)
    policy = CircuitBreakerPolicy.consecutive(3, wait_duration_in_open=wait, max_probe_duration=30.0)
    return CircuitBreaker(f"store of {settings.namespace}", policy, clock=clock, random=random)
