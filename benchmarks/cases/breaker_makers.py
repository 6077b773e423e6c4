"""How each breaker library is set up: as its own documentation recommends, with the same numbers."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

_names = (f"circuit-{number}" for number in itertools.count())

FAILURES = 5
"""Consecutive failures that open a circuit."""
OPEN_SECONDS = 3600.0
"""How long it stays open: longer than any run."""


def _window(**fields: Any) -> Any:
    from cqrs.circuit_breaker import CircuitBreakerPolicy

    return CircuitBreakerPolicy(wait_duration_in_open=OPEN_SECONDS, **fields)


def holdfast_window() -> Any:
    """Every rule of the window on: failure rate, slow calls, calls in flight."""
    from cqrs.circuit_breaker import CircuitBreaker

    return CircuitBreaker(next(_names), _window(slow_call_duration_threshold=2.0))


def holdfast_default() -> Any:
    """The default policy: time window and failure rate, no slow-call threshold."""
    from cqrs.circuit_breaker import CircuitBreaker

    return CircuitBreaker(next(_names), _window())


def holdfast_consecutive() -> Any:
    """The classical breaker."""
    from cqrs.circuit_breaker import CircuitBreaker, CircuitBreakerPolicy

    return CircuitBreaker(
        next(_names), CircuitBreakerPolicy.consecutive(threshold=FAILURES, ttl=OPEN_SECONDS)
    )


def interlock_window() -> Any:
    """Time window, failure rate and slow calls, with Holdfast's default numbers."""
    from interlock import CircuitBreaker, Config
    from interlock.window import WindowType

    config = Config(
        window_type=WindowType.TIME_BASED,
        window_size=30,
        minimum_number_of_calls=20,
        failure_rate_threshold=0.5,
        slow_call_duration_threshold=2.0,
        slow_call_rate_threshold=0.8,
        wait_duration_in_open=OPEN_SECONDS,
    )
    return CircuitBreaker(name=next(_names), config=config)


def aiobreaker_breaker() -> Any:
    from aiobreaker import CircuitBreaker

    return CircuitBreaker(
        fail_max=FAILURES, timeout_duration=datetime.timedelta(seconds=OPEN_SECONDS), name=next(_names)
    )


def pybreaker_breaker() -> Any:
    from pybreaker import CircuitBreaker

    return CircuitBreaker(fail_max=FAILURES, reset_timeout=OPEN_SECONDS, name=next(_names))


def circuitbreaker_breaker() -> Any:
    from circuitbreaker import CircuitBreaker

    return CircuitBreaker(failure_threshold=FAILURES, recovery_timeout=int(OPEN_SECONDS), name=next(_names))


def purgatory_sync() -> Any:
    """A decorator of purgatory's synchronous factory."""
    from purgatory import SyncCircuitBreakerFactory

    return SyncCircuitBreakerFactory(default_threshold=FAILURES, default_ttl=OPEN_SECONDS)(next(_names))


def purgatory_async() -> Any:
    """A decorator of purgatory's asynchronous factory."""
    from purgatory import AsyncCircuitBreakerFactory

    return AsyncCircuitBreakerFactory(default_threshold=FAILURES, default_ttl=OPEN_SECONDS)(next(_names))
