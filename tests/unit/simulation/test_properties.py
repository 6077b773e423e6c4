"""What holds for every scenario, policy and seed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cqrs.circuit_breaker import CircuitBreakerPolicy
from cqrs.simulation import Capacity, NodeFault, Phase, ResponseTime, Scenario, simulate
from tests.unit.simulation.support import down, scenario, up

PHASES = st.builds(
    Phase,
    st.just("any"),
    st.floats(0.5, 12.0),
    st.builds(ResponseTime, st.floats(0.01, 3.0)),
    error_rate=st.sampled_from([0.0, 0.3, 1.0]),
    healthy=st.booleans(),
    load=st.floats(0.2, 3.0),
    capacity=st.none()
    | st.builds(
        Capacity, st.floats(0.5, 5.0), st.floats(0.5, 5.0), st.none() | st.just(0.4), st.floats(1, 20)
    ),
    node_fault=st.none() | st.builds(NodeFault, st.floats(0.1, 1.0)),
)
SCENARIOS = st.builds(
    Scenario,
    st.lists(PHASES, min_size=1, max_size=4),
    timeout=st.none() | st.just(0.7),
    deadline=st.none() | st.just(1.1),
)
POLICIES = st.sampled_from(
    [
        None,
        CircuitBreakerPolicy(minimum_number_of_calls=5),
        CircuitBreakerPolicy(minimum_number_of_calls=5, slow_call_duration_threshold=0.5),
        CircuitBreakerPolicy.consecutive(2, ttl=2.0),
        CircuitBreakerPolicy.consecutive(2, ttl=2.0, on_cancel="failure"),
    ]
)


@settings(max_examples=60)
@given(SCENARIOS, POLICIES, st.integers(1, 6), st.integers(0, 5))
def test_no_call_is_lost_and_none_is_counted_twice(
    any_scenario: Scenario, policy: CircuitBreakerPolicy | None, processes: int, seed: int
) -> None:
    result = simulate(policy, any_scenario, processes=processes, seed=seed)
    assert result.arrivals == result.answered + result.rejected + result.failed + result.cancelled
    assert result.timed_out <= result.failed
    assert result.leaked <= result.sent
    assert result.needless_rejections <= result.rejected
    assert result.retrips <= result.trips <= result.openings
    for slot in result.slots:
        assert slot.sent == slot.answered + slot.failed + slot.cancelled
        assert 0 <= slot.not_closed <= processes
    assert sum(slot.sent + slot.rejected for slot in result.slots) == result.arrivals
    if policy is None:
        assert result.rejected == 0
    assert simulate(policy, any_scenario, processes=processes, seed=seed) == result


def test_another_seed_is_another_run() -> None:
    assert simulate(None, scenario(up()), seed=1).slots != simulate(None, scenario(up()), seed=2).slots


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_higher_threshold_leaks_more(seed: int) -> None:
    policies = [CircuitBreakerPolicy.consecutive(threshold, ttl=1000.0) for threshold in (1, 2, 5, 20)]
    leaks = [simulate(policy, scenario(down(60.0)), processes=5, seed=seed).leaked for policy in policies]
    assert leaks == [5, 10, 25, 100]


def test_a_longer_outage_leaks_more_without_a_breaker_and_hardly_with_one() -> None:
    def leaked(policy: CircuitBreakerPolicy | None, seconds: float) -> int:
        return simulate(policy, scenario(down(seconds)), processes=5).leaked

    policy = CircuitBreakerPolicy.consecutive(3, ttl=1000.0)
    without = [leaked(None, seconds) for seconds in (20.0, 40.0, 80.0)]
    assert without == sorted(set(without))
    assert [leaked(policy, seconds) for seconds in (20.0, 40.0, 80.0)] == [15, 15, 15]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_breaker_never_leaks_more_than_none(seed: int) -> None:
    outage = scenario(up(), down(40.0), up(30.0))
    without = simulate(None, outage, processes=10, seed=seed)
    for policy in (CircuitBreakerPolicy(), CircuitBreakerPolicy.consecutive()):
        guarded = simulate(policy, outage, processes=10, seed=seed)
        assert guarded.leaked < without.leaked
        assert guarded.answered <= without.answered  # without a queue, a breaker only ever takes away
        assert guarded.waited < without.waited
