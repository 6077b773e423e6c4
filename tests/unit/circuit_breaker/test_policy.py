"""Policies refuse what makes no sense, and say which field, which value and what is legal."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from cqrs.circuit_breaker import (
    Backoff,
    CircuitBreaker,
    CircuitBreakerPolicy,
    CountWindow,
    Mode,
    Ramp,
    State,
    TimeWindow,
    Trip,
    Verdict,
)
from cqrs.exceptions import ConfigurationError, PolicyError
from cqrs.testing import FakeClock

from .support import Boom, boom, breaker, fail, succeed

NAN, INFINITE = float("nan"), float("inf")
NO_NUMBER: list[Any] = ["1", None, True, [1], object()]
NO_COUNT: list[Any] = [0, -1, 1.5, 3.0, NAN, *NO_NUMBER]
NO_RATIO: list[Any] = [0, 0.0, -0.5, 1.0001, 2, NAN, INFINITE, *NO_NUMBER]
NO_DURATION: list[Any] = [0, -1.0, NAN, INFINITE, timedelta(0), timedelta(seconds=-1), *NO_NUMBER]


def without_none(values: list[Any]) -> list[Any]:
    return [value for value in values if value is not None]


ILLEGAL: dict[str, list[Any]] = {
    "sliding_window": [100, "30s", TimeWindow, (30, 10)],
    "minimum_number_of_calls": NO_COUNT,
    "failure_rate_threshold": NO_RATIO,
    "consecutive_failures": without_none(NO_COUNT),
    "slow_call_duration_threshold": without_none(NO_DURATION),
    "slow_call_rate_threshold": NO_RATIO,
    "count_in_flight_slow": [1, 0, None, "yes"],
    "wait_duration_in_open": NO_DURATION,
    "permitted_calls_in_half_open": NO_COUNT,
    "max_concurrent_probes": [*NO_COUNT, 4],
    "probe_timeout": without_none(NO_DURATION),
    "max_probe_duration": NO_DURATION,
    "permit_lease": NO_DURATION,
    "max_wait_duration_in_half_open": NO_DURATION,
    "on_half_open_timeout": ["OPEN", "half_open", "", None, 1, State.OPEN.name],
    "recovery_ramp": [10.0, (10, 0.1), "linear"],
    "record": [(), ConnectionError(), (ConnectionError, 5), ("TimeoutError",), 5, int, (int,)],
    "ignore": [ConnectionError(), (ConnectionError, 5), ("TimeoutError",), 5, int, (int,)],
    "record_result": [5, "status", (500,)],
    "classify": [5, "classify", (1,)],
    "on_cancel": ["slow", "", None, True],
    "on_classifier_error": ["success", "", None, True],
    "initial_mode": ["disabled", None, 1, State.DISABLED],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in ILLEGAL.items() for value in values]
)
def test_an_illegal_value_names_the_field_the_value_and_the_legal_range(field: str, value: Any) -> None:
    with pytest.raises(PolicyError) as refused:
        CircuitBreakerPolicy(**{field: value})
    error = refused.value
    assert error.field == field
    assert error.value is value or (isinstance(value, tuple) and error.value in value)
    assert error.legal
    assert field in str(error)
    assert repr(error.value) in str(error)
    assert error.legal in str(error)
    assert isinstance(error, ConfigurationError)
    assert isinstance(error, ValueError)


def test_every_field_is_checked() -> None:
    assert set(ILLEGAL) == {field.name for field in dataclasses.fields(CircuitBreakerPolicy) if field.init}


@pytest.mark.parametrize(
    ("make", "field"),
    [
        *[(lambda bad=bad: TimeWindow(bad), "TimeWindow.seconds") for bad in NO_DURATION],
        *[(lambda bad=bad: TimeWindow(30.0, buckets=bad), "TimeWindow.buckets") for bad in NO_COUNT],
        *[(lambda bad=bad: CountWindow(bad), "CountWindow.size") for bad in NO_COUNT],
        *[(lambda bad=bad: Backoff(bad), "Backoff.initial") for bad in NO_DURATION],
        *[(lambda bad=bad: Backoff(1.0, bad), "Backoff.multiplier") for bad in [0.5, -1, NAN, INFINITE, "2"]],
        *[(lambda bad=bad: Backoff(5.0, 2.0, bad), "Backoff.max") for bad in [4.0, *NO_DURATION]],
        *[(lambda bad=bad: Backoff(jitter=bad), "Backoff.jitter") for bad in [-0.1, 1.0, 2, NAN, "full"]],
        *[(lambda bad=bad: Ramp(bad), "Ramp.duration") for bad in NO_DURATION],
        *[(lambda bad=bad: Ramp(10.0, bad), "Ramp.initial") for bad in NO_RATIO],
        *[(lambda bad=bad: Trip(for_=bad), "Trip.for_") for bad in [-1.0, NAN, INFINITE, "60", True]],
    ],
)
def test_the_parts_of_a_policy_are_checked_too(make: Any, field: str) -> None:
    with pytest.raises(PolicyError) as refused:
        make()
    assert refused.value.field == field


def test_a_circuit_that_nothing_can_open_is_refused() -> None:
    with pytest.raises(PolicyError) as refused:
        CircuitBreakerPolicy(sliding_window=None)
    assert refused.value.field in ("sliding_window", "consecutive_failures")


def test_a_count_window_that_can_never_reach_the_minimum_is_refused() -> None:
    with pytest.raises(PolicyError) as refused:
        CircuitBreakerPolicy(sliding_window=CountWindow(19), minimum_number_of_calls=20)
    assert refused.value.field in ("sliding_window", "minimum_number_of_calls")
    assert CircuitBreakerPolicy(sliding_window=CountWindow(20), minimum_number_of_calls=20)


def test_a_slow_threshold_without_a_window_is_refused() -> None:
    with pytest.raises(PolicyError):
        CircuitBreakerPolicy(sliding_window=None, consecutive_failures=3, slow_call_duration_threshold=1.0)


def test_more_probes_at_once_than_permitted_in_all_are_refused() -> None:
    with pytest.raises(PolicyError) as refused:
        CircuitBreakerPolicy(permitted_calls_in_half_open=2, max_concurrent_probes=3)
    assert refused.value.field == "max_concurrent_probes"


def test_base_exceptions_cannot_be_recorded() -> None:
    for error in [BaseException, KeyboardInterrupt, (Exception, GeneratorExit)]:
        with pytest.raises(PolicyError):
            CircuitBreakerPolicy(record=error)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["nonsense", "sliding_windw"])
def test_an_unknown_field_is_refused(field: str) -> None:
    with pytest.raises(TypeError, match=field):
        CircuitBreakerPolicy(**{field: 1})


@pytest.mark.parametrize(
    "field", ["slow_call_duration_threshold", "wait_duration_in_open", "probe_timeout", "max_probe_duration"]
)
def test_durations_may_be_timedeltas_or_whole_numbers(field: str) -> None:
    for value in (timedelta(seconds=2), 2, 2.0):
        policy = CircuitBreakerPolicy(**{field: value})
        assert getattr(policy, field) == 2.0
        assert isinstance(getattr(policy, field), float)


def test_the_defaults_are_the_documented_ones() -> None:
    policy = CircuitBreakerPolicy()
    assert policy.sliding_window == TimeWindow(30.0, buckets=10)
    assert policy.wait_duration_in_open == Backoff(5.0, 2.0, 120.0, jitter=0.2)
    assert policy.recovery_ramp == Ramp(10.0, 0.1)
    plain = {
        "minimum_number_of_calls": 20,
        "failure_rate_threshold": 0.5,
        "consecutive_failures": None,
        "slow_call_duration_threshold": None,
        "slow_call_rate_threshold": 0.8,
        "count_in_flight_slow": True,
        "permitted_calls_in_half_open": 3,
        "max_concurrent_probes": 1,
        "probe_timeout": None,
        "max_probe_duration": 60.0,
        "permit_lease": 10.0,
        "max_wait_duration_in_half_open": 60.0,
        "on_half_open_timeout": "open",
        "record": None,
        "ignore": (),
        "record_result": None,
        "classify": None,
        "on_cancel": "slow_if_exceeded",
        "on_classifier_error": "failure",
        "initial_mode": Mode.ENABLED,
    }
    assert {name: getattr(policy, name) for name in plain} == plain


def test_policies_are_immutable_and_comparable() -> None:
    policy = CircuitBreakerPolicy()
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.minimum_number_of_calls = 3  # type: ignore[misc]
    assert policy == CircuitBreakerPolicy()
    assert policy != CircuitBreakerPolicy(minimum_number_of_calls=3)


def test_the_classical_breaker_opens_after_consecutive_failures_and_probes_once(clock: FakeClock) -> None:
    circuit = breaker(CircuitBreakerPolicy.consecutive(threshold=3, ttl=30.0), clock, random=lambda: 0.99)
    fail(circuit, 2)
    succeed(circuit)
    fail(circuit, 3)
    assert circuit.state is State.OPEN
    clock.advance(29.875)
    assert circuit.try_acquire() is None
    clock.advance(0.125)
    probe = circuit.acquire()
    assert circuit.try_acquire() is None
    probe.settle(Verdict.FAILURE)
    assert circuit.state is State.OPEN
    assert circuit.snapshot().open_remaining == 30.0
    clock.advance(30)
    succeed(circuit)
    assert (circuit.state, circuit.phase) == (State.CLOSED, None)


def test_the_classical_breaker_defaults_to_five_failures_and_thirty_seconds(clock: FakeClock) -> None:
    circuit = breaker(CircuitBreakerPolicy.consecutive(), clock)
    fail(circuit, 5)
    assert circuit.snapshot().open_remaining == 30.0


def test_every_other_field_can_be_set_on_the_classical_breaker() -> None:
    policy = CircuitBreakerPolicy.consecutive(2, 10.0, ignore=(KeyError,), permitted_calls_in_half_open=4)
    assert (policy.ignore, policy.permitted_calls_in_half_open) == ((KeyError,), 4)
    with pytest.raises(PolicyError):
        CircuitBreakerPolicy.consecutive(threshold=0)
    with pytest.raises(PolicyError):
        CircuitBreakerPolicy.consecutive(ttl=-1)


def test_the_sequence_503_503_503_503_404_repeated_opens_a_classical_circuit_with_threshold_5() -> None:
    policy = CircuitBreakerPolicy.consecutive(
        threshold=5,
        classify=lambda outcome: (
            Verdict.FAILURE if outcome.result >= 500 else Verdict.IGNORED if outcome.result >= 400 else None
        ),
    )
    circuit = breaker(policy)
    for status in [503, 503, 503, 503, 404]:
        circuit.call(lambda status=status: status)
    assert circuit.state is State.CLOSED
    circuit.call(lambda: 503)
    assert circuit.state is State.OPEN


@pytest.mark.parametrize("argument", [{"clock": 5}, {"random": 0.5}, {"policy": "default"}, {"policy": {}}])
def test_a_circuit_refuses_what_it_cannot_use(argument: dict[str, Any]) -> None:
    with pytest.raises((ConfigurationError, TypeError)):
        CircuitBreaker("payments", **argument)


def test_a_circuit_has_the_default_policy_unless_told() -> None:
    circuit = CircuitBreaker("payments")
    assert circuit.policy == CircuitBreakerPolicy()
    with pytest.raises(Boom):
        circuit.call(boom)
    assert circuit.state is State.CLOSED
