"""L9: how long a circuit stays open."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import Backoff, CircuitBreaker, Ramp, State, Verdict
from cqrs.testing import FakeClock

from .support import breaker, count_policy, fail, settle, succeed, trip

BACKOFF = Backoff(4.0, 2.0, 20.0, jitter=0.0)


def reopen(circuit: CircuitBreaker, clock: FakeClock) -> float:
    """Let one probe fail and return the length of the wait that follows."""
    clock.advance(circuit.snapshot().open_remaining)
    settle(circuit, Verdict.FAILURE)
    assert circuit.state is State.OPEN
    return circuit.snapshot().open_remaining


def test_l09_the_wait_grows_with_every_opening_up_to_its_maximum(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, wait_duration_in_open=BACKOFF), clock)
    trip(circuit)
    assert circuit.snapshot().open_remaining == 4.0
    assert [reopen(circuit, clock) for _ in range(4)] == [8.0, 16.0, 20.0, 20.0]


def test_l09_a_thousand_reopenings_do_not_overflow(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, wait_duration_in_open=BACKOFF), clock)
    trip(circuit)
    assert {reopen(circuit, clock) for _ in range(1200)} <= {8.0, 16.0, 20.0}


@pytest.mark.parametrize(("drawn", "expected"), [(0.0, 4.0), (0.5, 3.0), (0.75, 2.5)])
def test_l09_jitter_shortens_the_wait(clock: FakeClock, drawn: float, expected: float) -> None:
    policy = count_policy(2, wait_duration_in_open=Backoff(4.0, 2.0, 20.0, jitter=0.5))
    circuit = breaker(policy, clock, random=lambda: drawn)
    trip(circuit)
    assert circuit.snapshot().open_remaining == expected


def test_l09_jitter_is_drawn_once_for_each_opening(clock: FakeClock) -> None:
    draws = iter([0.5, 0.25])
    policy = count_policy(2, wait_duration_in_open=Backoff(4.0, 2.0, 20.0, jitter=0.5))
    circuit = breaker(policy, clock, random=lambda: next(draws))
    trip(circuit)
    for _ in range(5):
        assert circuit.snapshot().open_remaining == 3.0
        assert circuit.try_acquire() is None
    assert reopen(circuit, clock) == 7.0


def test_l09_a_plain_number_waits_the_same_every_time(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, wait_duration_in_open=6.0), clock, random=lambda: 0.9)
    trip(circuit)
    assert circuit.snapshot().open_remaining == 6.0
    assert [reopen(circuit, clock) for _ in range(3)] == [6.0, 6.0, 6.0]


def test_l09_stragglers_neither_postpone_nor_lengthen(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, wait_duration_in_open=BACKOFF), clock)
    stragglers = [circuit.acquire() for _ in range(50)]
    trip(circuit)
    clock.advance(1)
    for straggler in stragglers:
        straggler.settle(Verdict.FAILURE)
        assert circuit.try_acquire() is None
    assert circuit.snapshot().open_remaining == 3.0
    assert reopen(circuit, clock) == 8.0


def test_l09_rejections_do_not_postpone(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, wait_duration_in_open=BACKOFF), clock)
    trip(circuit)
    for _ in range(31):
        assert circuit.try_acquire() is None
        clock.advance(0.125)
    clock.advance(0.125)
    assert circuit.state is State.HALF_OPEN


def test_l09_a_close_takes_one_step_back(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, wait_duration_in_open=BACKOFF), clock)
    trip(circuit)
    assert [reopen(circuit, clock), reopen(circuit, clock)] == [8.0, 16.0]
    clock.advance(16)
    succeed(circuit)
    assert circuit.state is State.CLOSED
    trip(circuit)
    assert circuit.snapshot().open_remaining == 16.0  # the third step again: three, minus one, plus one


def test_l09_health_for_the_longest_wait_forgets_every_step(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, wait_duration_in_open=BACKOFF), clock)
    trip(circuit)
    assert [reopen(circuit, clock), reopen(circuit, clock)] == [8.0, 16.0]
    clock.advance(16)
    succeed(circuit)
    clock.advance(20)
    trip(circuit)
    assert circuit.snapshot().open_remaining == 4.0


def test_l09_less_health_than_that_does_not(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, wait_duration_in_open=BACKOFF), clock)
    trip(circuit)
    assert [reopen(circuit, clock), reopen(circuit, clock)] == [8.0, 16.0]
    clock.advance(16)
    succeed(circuit)
    clock.advance(19.875)
    trip(circuit)
    assert circuit.snapshot().open_remaining == 16.0


def test_l09_a_ramp_that_fails_waits_longer_than_before(clock: FakeClock) -> None:
    policy = count_policy(4, wait_duration_in_open=BACKOFF, recovery_ramp=Ramp(10.0, 0.5))
    circuit = breaker(policy, clock)
    trip(circuit)
    clock.advance(4)
    succeed(circuit)
    assert circuit.phase == "ramping"
    failures = 0
    while circuit.state is State.HALF_OPEN:
        permit = circuit.try_acquire()
        if permit is not None:
            permit.settle(Verdict.FAILURE)
            failures += 1
    assert failures == 3
    assert circuit.snapshot().open_remaining == 8.0


def test_l09_a_clock_that_steps_back_cannot_keep_a_circuit_open_for_ever(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, wait_duration_in_open=BACKOFF), clock)
    trip(circuit)
    clock.step_back(5)
    assert circuit.try_acquire() is None
    clock.advance(5 + 4)
    assert circuit.state is State.HALF_OPEN


def test_l09_opening_again_after_a_reset_starts_from_the_first_step(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, wait_duration_in_open=BACKOFF), clock)
    trip(circuit)
    reopen(circuit, clock)
    circuit.reset()
    assert circuit.state is State.CLOSED
    fail(circuit, 2)
    assert circuit.snapshot().open_remaining == 4.0
