"""Rejections and idle circuits cost next to nothing, however many there are."""

from __future__ import annotations

import gc
import traceback
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from cqrs.circuit_breaker import CircuitBreaker, CircuitBreakerPolicy, CircuitBreakers, CircuitOpenError
from cqrs.testing import FakeClock

from .support import Boom, breaker, count_policy, rejection, trip


def growth(action: Callable[[], Any]) -> int:
    """Return how many bytes ``action`` leaves behind."""
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    kept = action()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    del kept
    return after - before


@pytest.fixture
def traced() -> Any:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_every_rejection_is_a_fresh_exception(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    trip(circuit)
    errors = [rejection(circuit) for _ in range(100)]
    assert len({id(error) for error in errors}) == 100


def test_a_rejection_does_not_grow_its_traceback(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    trip(circuit)

    def depth() -> int:
        with pytest.raises(CircuitOpenError) as rejected:
            circuit.call(print)
        assert rejected.value.__context__ is None
        return len(traceback.extract_tb(rejected.value.__traceback__))

    assert len({depth() for _ in range(100)}) == 1


def test_rejections_with_large_arguments_leave_nothing_behind(clock: FakeClock, traced: None) -> None:
    circuit = breaker(count_policy(1), clock)
    with pytest.raises(Boom):
        circuit.call(_boom_with, "x" * 10_000)

    def reject(times: int) -> None:
        for number in range(times):
            try:
                circuit.call(print, f"{number:010d}" * 1000, keyword=[number] * 100)
            except CircuitOpenError:
                pass

    reject(100)
    few = growth(lambda: reject(1000))
    many = growth(lambda: reject(100_000))
    assert many < few + 4096  # a hundred times the calls, the same memory: one leaked argument is 10 kB
    assert circuit.snapshot().rejected == 101_100


def test_rejections_in_half_open_leave_nothing_behind(clock: FakeClock, traced: None) -> None:
    circuit = breaker(clock=clock)
    trip(circuit)
    clock.advance(5)
    probe = circuit.acquire()

    def reject(times: int) -> None:
        for _ in range(times):
            assert circuit.try_acquire() is None

    reject(100)
    assert growth(lambda: reject(10_000)) < 4096
    assert probe.settled is False


@pytest.mark.parametrize("fields", [{}, {"slow_call_duration_threshold": 2.0}])
def test_healthy_calls_leave_nothing_behind(clock: FakeClock, traced: None, fields: dict[str, Any]) -> None:
    circuit = breaker(CircuitBreakerPolicy(**fields), clock)

    def healthy(times: int) -> None:
        for _ in range(times):
            circuit.call(len, "x" * 100)
            clock.advance(0.125)

    healthy(1000)
    assert growth(lambda: healthy(20_000)) < 4096


def test_calls_behind_one_that_hangs_leave_nothing_behind(clock: FakeClock, traced: None) -> None:
    circuit = breaker(CircuitBreakerPolicy(slow_call_duration_threshold=2.0), clock)
    hung = circuit.acquire()

    def healthy(times: int) -> None:
        for _ in range(times):
            circuit.call(len, "x" * 100)
            clock.advance(0.125)

    healthy(1000)
    assert growth(lambda: healthy(20_000)) < 8192
    assert hung.settled is False


@pytest.mark.parametrize(
    "policy", [CircuitBreakerPolicy(), CircuitBreakerPolicy.consecutive()], ids=["window", "row"]
)
@pytest.mark.parametrize("used", [False, True], ids=["unused", "used"])
def test_l15_an_idle_circuit_takes_at_most_a_kilobyte(
    traced: None, policy: CircuitBreakerPolicy, used: bool
) -> None:
    names = [f"tenant {number}" for number in range(2000)]

    def make() -> list[CircuitBreaker]:
        circuits = [CircuitBreaker(name, policy) for name in names]
        if used:
            for circuit in circuits:
                circuit.call(len, "")
        return circuits

    make()
    assert growth(make) / 2000 <= 1024


def test_l15_an_idle_circuit_of_a_registry_takes_at_most_a_kilobyte(traced: None) -> None:
    breakers = CircuitBreakers()
    names = [f"tenant {number}" for number in range(2000)]

    def make() -> None:
        for name in names:
            breakers[name].call(len, "")

    assert growth(make) / 2000 <= 1024 + 128  # the registry's own entry


def _boom_with(payload: str) -> None:
    raise Boom(payload)
