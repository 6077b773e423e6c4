"""L17: a circuit says how far each condition is from being met."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.circuit_breaker import CircuitBreaker, Mode, Ramp, State, Verdict
from cqrs.testing import FakeClock

from .support import breaker, count_policy, fail, half_open, settle, succeed, trip


def condition(circuit: CircuitBreaker, name: str) -> tuple[float | None, float, bool]:
    found = [condition for condition in circuit.explain().conditions if condition.name == name]
    assert len(found) == 1, circuit.explain()
    return found[0].value, found[0].threshold, found[0].met


def test_l17_explain_shows_each_condition_of_a_closed_circuit(clock: FakeClock) -> None:
    policy = count_policy(
        4, consecutive_failures=3, slow_call_duration_threshold=2.0, slow_call_rate_threshold=0.75
    )
    circuit = breaker(policy, clock)
    assert condition(circuit, "failure_rate_threshold") == (None, 0.5, False)
    succeed(circuit, 3)
    fail(circuit)
    assert condition(circuit, "minimum_number_of_calls") == (4, 4, True)
    assert condition(circuit, "failure_rate_threshold") == (0.25, 0.5, False)
    assert condition(circuit, "slow_call_rate_threshold") == (0.0, 0.75, False)
    assert condition(circuit, "consecutive_failures") == (1, 3, False)


def test_l17_overdue_calls_are_part_of_the_slow_rate(clock: FakeClock) -> None:
    policy = count_policy(4, slow_call_duration_threshold=2.0, slow_call_rate_threshold=0.75)
    circuit = breaker(policy, clock)
    succeed(circuit, 3)
    hung = circuit.acquire()
    clock.advance(3)
    assert condition(circuit, "slow_call_rate_threshold") == (0.25, 0.75, False)
    assert circuit.snapshot().slow_rate == 0.25
    hung.settle(Verdict.SUCCESS)
    assert condition(circuit, "slow_call_rate_threshold") == (0.25, 0.75, False)


@given(verdicts=st.lists(st.sampled_from([Verdict.SUCCESS, Verdict.FAILURE, Verdict.IGNORED]), max_size=30))
def test_l17_a_closed_circuit_opens_exactly_when_a_condition_is_met(verdicts: list[Verdict]) -> None:
    """With the thresholds out of reach of the engine, the conditions tell when it would have opened."""
    clock = FakeClock()
    policy = count_policy(6, minimum_number_of_calls=4, consecutive_failures=3)
    real = breaker(policy, clock)
    watched = breaker(policy, clock)
    watched.override(Mode.METRICS_ONLY)
    for verdict in verdicts:
        settle(real, verdict)
        settle(watched, verdict)
        met = [
            condition.name
            for condition in watched.explain().conditions
            if condition.met and condition.name != "minimum_number_of_calls"
        ]
        assert (real.state is State.OPEN) == bool(met)
        if real.state is State.OPEN:
            break


def test_l17_an_open_circuit_explains_why_and_for_how_long(clock: FakeClock) -> None:
    circuit = breaker(count_policy(4), clock)
    trip(circuit)
    clock.advance(2)
    explanation = circuit.explain()
    assert (explanation.name, explanation.state) == ("payments", State.OPEN)
    assert "4 of 4" in str(explanation)
    assert "payments" in str(explanation)
    value, threshold, met = condition(circuit, "wait_duration_in_open")
    assert (value, threshold, met) == (2.0, 5.0, False)


def test_l17_a_half_open_circuit_explains_its_probes(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, permitted_calls_in_half_open=4), clock)
    half_open(circuit, clock)
    fail(circuit)
    clock.advance(3)
    assert condition(circuit, "probes_failed") == (0.25, 0.5, False)
    assert condition(circuit, "max_wait_duration_in_half_open") == (3.0, 60.0, False)


def test_l17_a_ramping_circuit_explains_the_share(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, recovery_ramp=Ramp(8.0, 0.5)), clock)
    half_open(circuit, clock)
    succeed(circuit)
    clock.advance(4)
    assert condition(circuit, "recovery_ramp") == (0.75, 1.0, False)


@pytest.mark.parametrize("mode", [Mode.FORCED_OPEN, Mode.DISABLED, Mode.METRICS_ONLY])
def test_l17_an_overridden_circuit_explains_itself(mode: Mode) -> None:
    circuit = breaker()
    circuit.override(mode, reason="INC-42")
    explanation = circuit.explain()
    assert explanation.state.value == mode.value
    assert mode.value.replace("_", " ") in str(explanation)


def test_l17_rates_are_absent_below_the_minimum() -> None:
    circuit = breaker(count_policy(4, slow_call_duration_threshold=2.0))
    fail(circuit, 3)
    seen = circuit.snapshot()
    assert (seen.failure_rate, seen.slow_rate) == (None, None)
    circuit = breaker(count_policy(4))
    succeed(circuit, 4)
    seen = circuit.snapshot()
    assert (seen.failure_rate, seen.slow_rate) == (0.0, None)


def test_snapshot_counts_everything(clock: FakeClock) -> None:
    circuit = breaker(count_policy(100, slow_call_duration_threshold=2.0), clock)
    settle(circuit, *[Verdict.SUCCESS] * 5, *[Verdict.FAILURE] * 4, *[Verdict.IGNORED] * 3)
    settle(circuit, *[Verdict.CANCELLED] * 2, Verdict.INCONCLUSIVE)
    slow = circuit.acquire()
    running = circuit.acquire()
    clock.advance(3)
    slow.settle(Verdict.SUCCESS)
    seen = circuit.snapshot()
    assert (seen.admitted, seen.succeeded, seen.failed, seen.ignored) == (17, 6, 4, 3)
    assert (seen.cancelled, seen.inconclusive, seen.slow, seen.in_flight) == (2, 1, 1, 1)
    assert (seen.rejected, seen.late, seen.lost, seen.open_remaining) == (0, 0, 0, None)
    assert (seen.window_calls, seen.window_failures, seen.window_slow) == (10, 4, 1)
    trip(circuit)
    assert circuit.try_acquire() is None
    assert running.settle(Verdict.SUCCESS) is False
    seen = circuit.snapshot()
    assert (seen.rejected, seen.late, seen.in_flight, seen.open_remaining) == (1, 1, 0, 5.0)


def test_repr_names_the_circuit_and_its_state() -> None:
    circuit = breaker()
    assert "payments" in repr(circuit)
    assert "closed" in repr(circuit)


def test_l17_slow_and_failed_calls_are_rated_against_the_minimum_each_by_its_own_calls(
    clock: FakeClock,
) -> None:
    policy = count_policy(4, slow_call_duration_threshold=2.0, slow_call_rate_threshold=0.75)
    circuit = breaker(policy, clock)
    hung = [circuit.acquire(), circuit.acquire()]
    clock.advance(2)
    fail(circuit)
    assert condition(circuit, "slow_call_rate_threshold") == (None, 0.75, False)
    succeed(circuit)
    assert condition(circuit, "minimum_number_of_calls") == (2, 4, False)
    assert condition(circuit, "failure_rate_threshold") == (None, 0.5, False)
    assert condition(circuit, "slow_call_rate_threshold") == (0.5, 0.75, False)
    assert [permit.success() for permit in hung] == [True] * 2


def test_l17_each_condition_reads_as_a_sentence_with_its_value(clock: FakeClock) -> None:
    circuit = breaker(count_policy(3, consecutive_failures=9), clock)
    circuit.override(Mode.METRICS_ONLY)
    assert str(circuit.explain()).splitlines()[1:] == [
        "  minimum_number_of_calls: 0 of 3",
        "  failure_rate_threshold: too few calls of 0.5",
        "  consecutive_failures: 0 of 9",
    ]
    succeed(circuit)
    fail(circuit, 2)
    assert str(circuit.explain()).splitlines()[1:] == [
        "  minimum_number_of_calls: 3 of 3 (met)",
        "  failure_rate_threshold: 0.6667 of 0.5 (met)",
        "  consecutive_failures: 2 of 9",
    ]


@pytest.mark.parametrize(
    ("verdict", "met"), [(Verdict.SUCCESS, (False, True)), (Verdict.FAILURE, (True, True))]
)
def test_l17_slow_and_failed_calls_meet_their_own_thresholds(
    clock: FakeClock, verdict: Verdict, met: tuple[bool, bool]
) -> None:
    circuit = breaker(count_policy(2, slow_call_duration_threshold=2.0, slow_call_rate_threshold=1.0), clock)
    circuit.override(Mode.METRICS_ONLY)
    permits = [circuit.acquire(), circuit.acquire()]
    clock.advance(2)
    for permit in permits:
        permit.settle(verdict)
    assert condition(circuit, "failure_rate_threshold")[2] is met[0]
    assert condition(circuit, "slow_call_rate_threshold")[2] is met[1]
