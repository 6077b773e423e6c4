"""What the built-in scenarios are there to show."""

from __future__ import annotations

import dataclasses

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, Ramp
from cqrs.simulation import SCENARIOS, Scenario, SimulationResult, simulate
from cqrs.simulation.scenarios import brown_out, cold_recovery

CLASSICAL = CircuitBreakerPolicy.consecutive()
TIMED = CircuitBreakerPolicy(slow_call_duration_threshold=1.0)


def answered_in_the_end(result: SimulationResult) -> float:
    last = result.slots[-20:]
    return sum(slot.answered for slot in last) / sum(slot.sent + slot.rejected for slot in last)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_names_are_those_of_the_scenarios(name: str) -> None:
    assert SCENARIOS[name]().name == name


@pytest.mark.parametrize("policy", [CircuitBreakerPolicy(), CLASSICAL, TIMED])
def test_in_quiet_times_no_circuit_opens(policy: CircuitBreakerPolicy) -> None:
    result = simulate(policy, SCENARIOS["healthy"](), processes=30)
    assert result.opened == result.rejected == 0


@pytest.mark.parametrize("policy", [CircuitBreakerPolicy(), CLASSICAL])
def test_an_outage_opens_every_circuit_and_every_circuit_comes_back(policy: CircuitBreakerPolicy) -> None:
    result = simulate(policy, SCENARIOS["outage"](), processes=30)
    assert result.time_to_open is not None
    assert result.time_to_recover is not None
    assert result.time_to_open.count == result.time_to_recover.count == 30
    assert result.unrecovered == result.retrips == 0
    assert answered_in_the_end(result) == 1.0


def test_when_all_callers_go_away_only_a_policy_that_times_calls_opens() -> None:  # fault 18
    assert simulate(CircuitBreakerPolicy(), brown_out(), processes=20).opened == 0
    assert simulate(TIMED, brown_out(), processes=20).opened == 20
    assert simulate(TIMED.replace(on_cancel="ignore"), brown_out(), processes=20).opened == 0


def test_flapping_opens_again_and_again() -> None:
    result = simulate(CLASSICAL, SCENARIOS["flapping"](), processes=20)
    assert result.trips >= 2 * 20


def test_too_little_traffic_for_a_rate_needs_a_row_of_failures() -> None:  # fault 17, one process each
    assert simulate(CircuitBreakerPolicy(), SCENARIOS["low-traffic"](), processes=30).opened == 0
    both = CircuitBreakerPolicy(consecutive_failures=5)
    assert simulate(both, SCENARIOS["low-traffic"](), processes=30).opened == 30


@pytest.mark.parametrize("policy", [CircuitBreakerPolicy(), CLASSICAL])
def test_a_poisoned_process_opens_alone(
    policy: CircuitBreakerPolicy,
) -> None:  # fault 16, circuits not shared
    result = simulate(policy, SCENARIOS["poison-node"](), processes=100)
    assert result.opened == 1
    assert result.availability() > 0.98


def test_without_a_breaker_a_cold_dependency_stays_down_for_good() -> None:
    result = simulate(None, cold_recovery(), processes=20)
    assert answered_in_the_end(result) == 0.0


@pytest.mark.parametrize("processes", [10, 40])
@pytest.mark.parametrize("seed", [1, 2])
def test_recovery_loops_without_a_ramp_and_not_with_one(processes: int, seed: int) -> None:  # fault 22
    def run(ramp: Ramp | None) -> SimulationResult:
        policy = CLASSICAL.replace(recovery_ramp=ramp)
        return simulate(policy, cold_recovery(), processes=processes, seed=seed)

    without, with_ramp = run(None), run(Ramp())
    assert without.retrips >= 3 * processes
    assert with_ramp.retrips == with_ramp.unrecovered == 0
    assert answered_in_the_end(with_ramp) == 1.0


def test_a_ramp_quicker_than_the_dependency_warms_up_loops_too() -> None:
    slower = slow_to_warm_up()
    assert simulate(CLASSICAL.replace(recovery_ramp=Ramp(5.0)), slower, processes=20).retrips > 20
    assert simulate(CLASSICAL.replace(recovery_ramp=Ramp(40.0)), slower, processes=20).retrips == 0


def slow_to_warm_up() -> Scenario:
    scenario = cold_recovery()
    last = scenario.phases[-1]
    assert last.capacity is not None
    capacity = dataclasses.replace(last.capacity, warm_up_calls=22.0)
    phases = [*scenario.phases[:-1], dataclasses.replace(last, capacity=capacity)]
    return dataclasses.replace(scenario, phases=phases)
