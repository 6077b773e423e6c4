"""L10: how traffic returns after an outage."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs.circuit_breaker import CircuitBreaker, CircuitBreakerPolicy, CircuitOpenError, Ramp, State, Verdict
from cqrs.testing import FakeClock, TransitionRecorder, assert_trace

from .support import breaker, count_policy, fail, half_open, rejection, succeed, time_policy


def ramp_policy(ramp: Ramp | None = None, **fields: Any) -> CircuitBreakerPolicy:
    return time_policy(8.0, minimum=4, recovery_ramp=ramp or Ramp(8.0, 0.25), **fields)


def ramping(clock: FakeClock, policy: CircuitBreakerPolicy | None = None, **kwargs: Any) -> CircuitBreaker:
    circuit = breaker(policy or ramp_policy(), clock, **kwargs)
    half_open(circuit, clock)
    succeed(circuit)
    assert (circuit.state, circuit.phase) == (State.HALF_OPEN, "ramping")
    return circuit


def offer(circuit: CircuitBreaker, calls: int, verdict: Verdict = Verdict.SUCCESS) -> int:
    """Offer calls at one instant and return how many were admitted."""
    admitted = 0
    for _ in range(calls):
        permit = circuit.try_acquire()
        if permit is not None:
            admitted += 1
            permit.settle(verdict)
    return admitted


def test_l10_the_ramp_admits_a_growing_share(clock: FakeClock) -> None:
    circuit = ramping(clock)
    shares = []
    for _ in range(4):
        shares.append(offer(circuit, 64))
        clock.advance(2)
    # p = 1/4 + 3/4 * t/8 at t = 0, 2, 4, 6
    assert shares == [16, 28, 40, 52]
    assert (circuit.state, circuit.phase) == (State.CLOSED, None)


@pytest.mark.parametrize("initial", [0.1, 0.25, 0.5, 0.9])
def test_l10_the_share_is_diffused_not_drawn(clock: FakeClock, initial: float) -> None:
    circuit = ramping(clock, ramp_policy(Ramp(8.0, initial)), random=lambda: 0.5)
    admitted, wanted = 0, 0.0
    for _ in range(400):
        clock.advance(1 / 64)
        wanted += initial + (1 - initial) * (clock() - 1005.0) / 8.0
        admitted += offer(circuit, 1)
        assert abs(admitted - wanted) < 1 + 1e-9


def test_l10_a_rejection_of_the_ramp_says_when_to_come_back(clock: FakeClock) -> None:
    circuit = ramping(clock)
    error = rejection(circuit)
    assert error.state == "half_open"
    assert error.retry_after is not None
    assert 0 <= error.retry_after <= 8.0


def test_l10_after_the_ramp_everything_is_admitted_and_the_window_kept(clock: FakeClock) -> None:
    circuit = ramping(clock)
    clock.advance(7.5)
    admitted = offer(circuit, 20)
    clock.advance(0.5)
    assert circuit.state is State.CLOSED
    assert offer(circuit, 20) == 20
    assert circuit.snapshot().window_calls == admitted + 20


def test_l10_failures_just_before_the_end_of_the_ramp_count_after_it(clock: FakeClock) -> None:
    circuit = ramping(clock, ramp_policy(minimum_number_of_calls=100))
    clock.advance(7.875)
    assert offer(circuit, 4, Verdict.FAILURE) in (3, 4)
    clock.advance(0.125)
    assert circuit.snapshot().window_failures >= 3


@pytest.mark.parametrize(
    "fields", [{}, {"slow_call_duration_threshold": 60.0, "count_in_flight_slow": False}], ids=["", "timed"]
)
def test_l10_a_success_after_the_ramp_may_complete_the_minimum(
    clock: FakeClock, fields: dict[str, Any]
) -> None:
    policy = count_policy(5, recovery_ramp=Ramp(8.0, 0.25), failure_rate_threshold=0.25, **fields)
    circuit = ramping(clock, policy)
    assert offer(circuit, 8, Verdict.FAILURE) == 2
    clock.advance(8)
    for expected in [State.CLOSED, State.CLOSED, State.OPEN]:
        assert circuit.state is State.CLOSED
        circuit.call(int)
        assert circuit.state is expected


def test_l10_the_ramp_starts_with_a_fresh_window(clock: FakeClock) -> None:
    circuit = ramping(clock)
    assert circuit.snapshot().window_calls == 0


def test_l10_failures_in_the_ramp_reopen_from_few_calls(clock: FakeClock) -> None:
    circuit = ramping(
        clock, time_policy(8.0, minimum=20, recovery_ramp=Ramp(8.0, 0.1), failure_rate_threshold=0.5)
    )
    recorder = TransitionRecorder()
    circuit.add_listener(recorder, inline=True)
    failures = 0
    for _ in range(60):
        failures += offer(circuit, 1, Verdict.FAILURE)
        if circuit.state is State.OPEN:
            break
    assert failures == 3  # max(3, 20 * 0.1)
    assert_trace(recorder, ["half_open -> open"])


def test_l10_one_failure_in_the_ramp_does_not_reopen(clock: FakeClock) -> None:
    circuit = ramping(clock)
    assert offer(circuit, 4, Verdict.FAILURE) == 1
    assert circuit.phase == "ramping"


def test_l10_closes_by_itself_when_nobody_calls(clock: FakeClock) -> None:
    circuit = ramping(clock)
    clock.advance(8)
    assert (circuit.state, circuit.phase) == (State.CLOSED, None)


def test_l10_no_ramp_closes_at_once(clock: FakeClock) -> None:
    circuit = breaker(time_policy(8.0, minimum=4, recovery_ramp=None), clock)
    half_open(circuit, clock)
    succeed(circuit)
    assert circuit.state is State.CLOSED
    assert offer(circuit, 50) == 50


def test_l10_a_ramp_from_full_share_closes_at_once_or_admits_everything(clock: FakeClock) -> None:
    circuit = breaker(ramp_policy(Ramp(8.0, 1.0)), clock)
    half_open(circuit, clock)
    succeed(circuit)
    assert offer(circuit, 50) == 50


def test_l10_the_trace_of_a_recovery_goes_through_the_ramp(clock: FakeClock) -> None:
    recorder = TransitionRecorder()
    circuit = breaker(ramp_policy(), clock)
    circuit.add_listener(recorder, inline=True)
    half_open(circuit, clock)
    succeed(circuit)
    clock.advance(8)
    succeed(circuit)
    trace = [step for step in recorder.trace() if step != "half_open -> half_open"]
    assert trace == ["closed -> open", "open -> half_open", "half_open -> closed"]


def test_l10_the_event_says_that_the_half_open_circuit_is_ramping(clock: FakeClock) -> None:
    recorder = TransitionRecorder()
    circuit = breaker(ramp_policy(), clock)
    circuit.add_listener(recorder, inline=True)
    half_open(circuit, clock)
    succeed(circuit)
    clock.advance(8)
    succeed(circuit)
    assert [change.phase for change in recorder.changes] == [None, "probing", "ramping", None]


def test_l10_a_straggler_of_the_probing_phase_does_not_count_in_the_ramp(clock: FakeClock) -> None:
    policy = ramp_policy(permitted_calls_in_half_open=3, max_concurrent_probes=3)
    circuit = breaker(policy, clock)
    half_open(circuit, clock)
    first, second, straggler = (circuit.acquire() for _ in range(3))
    first.settle(Verdict.SUCCESS)
    second.settle(Verdict.SUCCESS)
    assert circuit.phase == "ramping"
    assert straggler.settle(Verdict.FAILURE) is False
    assert circuit.snapshot().window_calls == 0


def test_l10_a_clock_that_steps_back_in_the_ramp_does_not_go_below_the_initial_share(
    clock: FakeClock,
) -> None:
    circuit = ramping(clock)
    clock.step_back(100)
    assert offer(circuit, 64) >= 16
    clock.advance(200)
    assert circuit.state is State.CLOSED
    fail(circuit, 4)
    assert circuit.state is State.OPEN


def test_l10_the_wait_of_a_rejection_is_the_rest_of_the_ramp_but_a_second_at_most(clock: FakeClock) -> None:
    circuit = ramping(clock)
    error = rejection(circuit)
    assert (error.reason, error.retry_after) == ("recovering, 25% of the calls pass", 1.0)
    assert (error.source, error.epoch) == ("local", circuit.era)
    clock.advance(6)
    assert next_rejection(circuit).retry_after == 1.0
    clock.advance(1.5)
    error = next_rejection(circuit)
    assert (error.reason, error.retry_after) == ("recovering, 95% of the calls pass", 0.5)


def next_rejection(circuit: CircuitBreaker) -> CircuitOpenError:
    """Call until the ramp rejects a call; return its error."""
    while True:
        try:
            circuit.acquire().settle(Verdict.SUCCESS)
        except CircuitOpenError as error:
            return error


def test_l10_a_policy_without_a_ramp_ends_the_ramp(clock: FakeClock) -> None:
    circuit = ramping(clock)
    assert [condition.name for condition in circuit.explain().conditions][-1] == "recovery_ramp"
    circuit.reload(ramp_policy().replace(recovery_ramp=None))
    assert (circuit.state, circuit.phase) == (State.CLOSED, None)
    found = {each.name: each for each in circuit.explain().conditions}
    assert found["minimum_number_of_calls"].threshold == 4
    assert (found["recovery_ramp"].value, found["recovery_ramp"].met) == (1.0, True)
    assert offer(circuit, 20) == 20
    assert circuit.state is State.CLOSED


@pytest.mark.parametrize(("after", "minimum"), [(0.0, 5), (4.0, 13), (5.0, 15), (8.0, 20)])
def test_l10_the_minimum_grows_with_the_share_and_is_whole_after_it(
    clock: FakeClock, after: float, minimum: int
) -> None:
    circuit = ramping(clock, ramp_policy(minimum_number_of_calls=20))
    clock.advance(after)
    found = {each.name: each for each in circuit.explain().conditions}
    assert found["minimum_number_of_calls"].threshold == minimum


def test_l10_a_circuit_that_was_never_open_needs_the_whole_minimum(clock: FakeClock) -> None:
    circuit = breaker(ramp_policy(minimum_number_of_calls=20), clock)
    found = {each.name: each for each in circuit.explain().conditions}
    assert found["minimum_number_of_calls"].threshold == 20


@pytest.mark.parametrize("minimum", [1, 2, 3, 4])
def test_l10_the_minimum_of_a_ramp_is_three_calls_unless_fewer_do(clock: FakeClock, minimum: int) -> None:
    circuit = ramping(clock, ramp_policy(Ramp(8.0, 0.1), minimum_number_of_calls=minimum))
    found = {each.name: each for each in circuit.explain().conditions}
    assert found["minimum_number_of_calls"].threshold == min(3, minimum)


def test_l10_the_first_call_after_the_ramp_ends_it_when_it_is_admitted(clock: FakeClock) -> None:
    recorder = TransitionRecorder()
    circuit = ramping(clock)
    circuit.add_listener(recorder, inline=True)
    clock.advance(8)
    permit = circuit.acquire()
    assert_trace(recorder, ["half_open -> closed"])
    assert recorder.changes[0].reason == "all traffic has returned"
    assert permit.era == circuit.era
    assert permit.success() is True


def test_l10_a_call_of_the_ramp_that_ends_after_it_belongs_to_an_era_that_is_over(clock: FakeClock) -> None:
    circuit = ramping(clock, ramp_policy(Ramp(8.0, 0.5)))
    assert circuit.try_acquire() is None
    straggler = circuit.acquire()
    clock.advance(8)
    succeed(circuit)
    assert straggler.failure() is False
    assert circuit.snapshot().window_failures == 0


@pytest.mark.parametrize("verdict", [Verdict.SUCCESS, Verdict.FAILURE])
def test_l10_a_call_of_the_ramp_that_ends_after_it_ends_the_ramp(clock: FakeClock, verdict: Verdict) -> None:
    recorder = TransitionRecorder()
    circuit = ramping(clock, ramp_policy(Ramp(8.0, 0.5)))
    circuit.add_listener(recorder, inline=True)
    assert circuit.try_acquire() is None
    permit = circuit.acquire()
    clock.advance(8)
    assert permit.settle(verdict) is True
    assert_trace(recorder, ["half_open -> closed"])
    seen = circuit.snapshot()
    assert (seen.window_calls, seen.opened_in_a_row) == (1, 0)
