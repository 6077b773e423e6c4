"""Circuits and shorthands for the tests of the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cqrs.circuit_breaker import (
    CircuitBreaker,
    CircuitBreakerPolicy,
    CircuitOpenError,
    CountWindow,
    State,
    TimeWindow,
    Verdict,
)
from cqrs.testing import FakeClock


class Boom(Exception):
    """The dependency failed."""


class Missing(Exception):
    """An answer that is no failure of the dependency."""


def count_policy(size: int = 4, **fields: Any) -> CircuitBreakerPolicy:
    """A small count window; opens for 5 s; one probe decides; no ramp."""
    defaults: dict[str, Any] = {
        "sliding_window": CountWindow(size),
        "minimum_number_of_calls": size,
        "wait_duration_in_open": 5.0,
        "permitted_calls_in_half_open": 1,
        "recovery_ramp": None,
    }
    return CircuitBreakerPolicy(**(defaults | fields))


def time_policy(
    seconds: float = 8.0, buckets: int = 4, minimum: int = 4, **fields: Any
) -> CircuitBreakerPolicy:
    """A small time window; otherwise like :func:`count_policy`."""
    window = TimeWindow(seconds, buckets=buckets)
    return count_policy(minimum, **({"sliding_window": window} | fields))


def breaker(
    policy: CircuitBreakerPolicy | None = None,
    clock: FakeClock | None = None,
    random: Callable[[], float] = lambda: 0.0,
    name: str = "payments",
    **kwargs: Any,
) -> CircuitBreaker:
    """A circuit on a fake clock, without jitter."""
    return CircuitBreaker(
        name,
        policy or count_policy(),
        clock=clock if clock is not None else FakeClock(),
        random=random,
        **kwargs,
    )


def settle(circuit: CircuitBreaker, *verdicts: Verdict) -> None:
    """Run one instantaneous call per verdict; each must be admitted."""
    for verdict in verdicts:
        assert circuit.acquire().settle(verdict) is True


def fail(circuit: CircuitBreaker, times: int = 1) -> None:
    """Run failing calls."""
    settle(circuit, *[Verdict.FAILURE] * times)


def succeed(circuit: CircuitBreaker, times: int = 1) -> None:
    """Run successful calls; unlike :func:`settle`, on the path that takes no lock."""
    for _ in range(times):
        with circuit.permit():
            pass


def trip(circuit: CircuitBreaker) -> None:
    """Fail until the circuit is open."""
    for _ in range(1000):
        if circuit.state is State.OPEN:
            return
        fail(circuit)
    raise AssertionError("a thousand failures did not open the circuit")


def half_open(circuit: CircuitBreaker, clock: FakeClock) -> None:
    """Open the circuit and wait until it would let a probe through."""
    trip(circuit)
    clock.advance(circuit.snapshot().open_remaining)
    assert circuit.state is State.HALF_OPEN


def is_rejected(circuit: CircuitBreaker) -> bool:
    """Tell whether a call is rejected now; one that is admitted is given back unused."""
    permit = circuit.try_acquire()
    if permit is None:
        return True
    permit.settle(Verdict.IGNORED)
    return False


def rejection(circuit: CircuitBreaker) -> CircuitOpenError:
    """Return the error of a call that must be rejected."""
    try:
        circuit.acquire()
    except CircuitOpenError as error:
        return error
    raise AssertionError(f"the call was admitted while {circuit.state}")


def do_nothing() -> None:
    """A call that succeeds."""


def boom() -> None:
    """A call that fails."""
    raise Boom("down")


__all__ = [
    "Boom",
    "Missing",
    "boom",
    "breaker",
    "count_policy",
    "do_nothing",
    "fail",
    "half_open",
    "is_rejected",
    "rejection",
    "settle",
    "succeed",
    "time_policy",
    "trip",
]
