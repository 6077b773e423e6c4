"""Shared circuits: the real session, gates and coordinator in virtual time."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cqrs.circuit_breaker import CircuitBreakerPolicy, Mode, Ramp
from cqrs.exceptions import ConfigurationTypeError
from cqrs.simulation import NodeFault, Scenario, SharedStore, SimulationResult, StoreUse, simulate
from cqrs.simulation.scenarios import brown_out, cold_recovery
from tests.unit.simulation.support import AT_ONCE, down, scenario, up
from tests.unit.simulation.test_properties import POLICIES
from tests.unit.simulation.test_properties import SCENARIOS as ANY_SCENARIO

STORE = SharedStore()
THREE = CircuitBreakerPolicy.consecutive(3, ttl=10.0)
CLASSICAL = CircuitBreakerPolicy.consecutive(5, ttl=30.0)
TIMED = CircuitBreakerPolicy(slow_call_duration_threshold=1.0)


def use(result: SimulationResult) -> StoreUse:
    assert result.store is not None
    return result.store


# ---------------------------------------------------------------------- what sharing is for


def test_all_processes_open_within_a_round_trip_of_the_failure_that_decides() -> None:
    result = simulate(THREE, scenario(up(10.0), down(30.0), up(20.0)), processes=40, store=STORE)
    opening = result.time_to_open
    assert opening is not None
    assert opening.count == 40
    assert opening.last - opening.first < 0.01
    assert result.leaked < 3 + 6 + 4  # threshold, calls under way meanwhile, probes
    assert use(result).openings == 3  # by failures, and by the probes after 10 s and 20 s
    assert result.time_to_recover is not None
    assert result.time_to_recover.last - result.time_to_recover.first < 0.01


def test_without_push_others_hear_of_it_with_their_next_exchange() -> None:
    store = SharedStore(push=False)
    result = simulate(THREE, scenario(up(10.0), down(30.0)), processes=40, store=store)
    opening = result.time_to_open
    assert opening is not None
    assert opening.last - opening.median > 0.5
    assert (
        opening.last < 1.0 + 1.1 + 1.1 + 0.05
    )  # a row stands for an interval, and is heard within another (F6)


def test_one_probe_at_a_time_however_many_callers_there_are() -> None:  # fault 15
    policy = CircuitBreakerPolicy.consecutive(1, ttl=10.0)
    outage = scenario(up(1.0), down(60.0), calls_per_second=10.0)
    shared = simulate(policy, outage, processes=20, store=STORE)
    assert shared.probes == use(shared).openings - 1 == 5
    assert use(shared).peak <= 20 + 20 * 2  # exchanges, and at each deadline a few candidates
    assert simulate(policy, outage, processes=20).probes >= 20 * 5


def test_a_fleet_with_little_traffic_opens_where_single_processes_never_do() -> None:  # fault 17
    outage = scenario(up(30.0), down(60.0), calls_per_second=0.2)
    own, shared = (
        simulate(CircuitBreakerPolicy(), outage, processes=30, store=store) for store in (None, STORE)
    )
    assert own.opened == 0
    assert shared.opened == 30
    assert shared.leaked < own.leaked / 3


def test_without_a_healthy_past_a_fleet_opens_as_soon_as_the_minimum_is_pooled() -> None:  # fault 17
    outage = scenario(down(60.0), calls_per_second=0.2)
    result = simulate(CircuitBreakerPolicy(), outage, processes=100, store=STORE)
    assert result.time_to_open is not None
    pooled = 20 / (100 * 0.2)
    assert result.time_to_open.last <= pooled + 2 * 1.1 + 1.0  # the calls are Poisson


def test_a_brown_out_opens_the_fleet_and_only_with_a_policy_that_times_calls() -> None:  # fault 18
    assert simulate(CircuitBreakerPolicy(), brown_out(), processes=10, store=STORE).opened == 0
    assert use(simulate(TIMED, brown_out(), processes=10, store=STORE)).openings > 0


@pytest.mark.parametrize("policy", [CircuitBreakerPolicy(), TIMED, CLASSICAL])
def test_in_quiet_times_no_circuit_opens_and_each_process_sends_one_command_per_interval(
    policy: CircuitBreakerPolicy,
) -> None:
    quiet = scenario(up(60.0, error_rate=0.01))
    result = simulate(policy, quiet, processes=20, store=SharedStore(sync_interval=2.0))
    assert result.opened == result.rejected == result.probes == 0
    urgent = 0 if policy is not CLASSICAL else use(result).published  # beginnings and ends of a row
    assert use(result).commands - urgent == pytest.approx(20 * 60 / 2.0, rel=0.05)
    assert use(result).peak <= 20


# ---------------------------------------------------------------------- sick processes, fault 16


POISON = scenario(up(20.0, error_rate=0.01), up(40.0, error_rate=0.01, node_fault=NodeFault(0.01)))


@pytest.mark.parametrize("policy", [CircuitBreakerPolicy(), CLASSICAL])
def test_a_poisoned_process_opens_alone(policy: CircuitBreakerPolicy) -> None:
    result = simulate(policy, POISON, processes=25, store=STORE)
    assert result.opened == 1
    assert use(result).openings == 0
    assert result.availability() > 0.95


def test_a_poisoned_process_with_most_of_the_traffic_opens_alone() -> None:
    sick = scenario(up(20.0), up(40.0, node_fault=NodeFault(0.05, load=171.0)))  # 90 %
    result = simulate(CircuitBreakerPolicy(), sick, processes=20, store=STORE)
    assert result.opened == 1


def test_without_a_quorum_a_poisoned_process_opens_the_fleet() -> None:
    result = simulate(CircuitBreakerPolicy(), POISON, processes=25, store=SharedStore(quorum=0.0))
    assert result.opened == 25


@pytest.mark.parametrize(
    ("share", "quorum", "opens"), [(0.8, 0.5, True), (0.8, 0.9, False), (0.4, 0.5, False)]
)
def test_the_fleet_opens_when_enough_are_sick_and_the_calls_of_all_together_fail(
    share: float, quorum: float, opens: bool
) -> None:
    sick = scenario(up(5.0), up(40.0, node_fault=NodeFault(share)))
    policy = CircuitBreakerPolicy(failure_rate_threshold=0.3)
    result = simulate(policy, sick, processes=20, store=SharedStore(quorum=quorum))
    assert (use(result).openings > 0) is opens
    assert result.opened == (20 if opens else 20 * share)


# ---------------------------------------------------------------------- recovery, fault 22


@pytest.mark.parametrize("seed", [1, 2])
def test_recovery_loops_without_a_ramp_and_not_with_one(seed: int) -> None:
    def run(ramp: Ramp | None) -> SimulationResult:
        policy = CircuitBreakerPolicy(recovery_ramp=ramp)
        return simulate(policy, cold_recovery(), processes=20, seed=seed, store=STORE)

    without, with_ramp = run(None), run(Ramp(20.0))
    assert without.retrips >= 3 * 20
    assert with_ramp.retrips == with_ramp.unrecovered == 0
    assert sum(slot.answered for slot in with_ramp.slots[-20:]) == sum(
        slot.sent + slot.rejected for slot in with_ramp.slots[-20:]
    )


def test_circuits_of_their_own_return_one_by_one_and_a_shared_one_all_at_once() -> None:
    policy = CircuitBreakerPolicy(recovery_ramp=None)
    own, shared = (simulate(policy, cold_recovery(), processes=20, store=store) for store in (None, STORE))
    assert own.retrips == 0
    assert shared.retrips >= 3 * 20


# ---------------------------------------------------------------------- the store


def test_a_store_that_is_lost_leaves_each_process_to_itself() -> None:
    outage = scenario(up(10.0), down(30.0), up(60.0))
    lost = SharedStore(outages=[(0.0, 1000.0)])
    result, own = (simulate(CLASSICAL, outage, processes=20, store=store) for store in (lost, None))
    assert result.degraded == result.slots[-1].degraded == 20
    assert use(result).commands == use(result).unanswered > 0
    assert use(result).commands_per_second < 20 / 0.48  # F6, F8: sought so often at most
    assert result.opened == own.opened == 20
    assert result.unrecovered == 0
    assert result.leaked == pytest.approx(own.leaked, rel=0.2)


@pytest.mark.parametrize("forgets", [False, True])
def test_after_an_outage_of_the_store_all_are_together_again(forgets: bool) -> None:
    store = SharedStore(outages=[(20.0, 30.0)], forgets=forgets)
    outage = scenario(up(10.0), down(30.0), up(100.0), calls_per_second=5.0)
    result = simulate(THREE.replace(recovery_ramp=Ramp()), outage, processes=10, store=store)
    assert [result.slots[second].degraded for second in (15, 28, 45)] == [0, 10, 0]
    assert result.unrecovered == result.slots[-1].not_closed == 0


def test_losing_the_store_warns_nobody_and_leaves_the_loggers_as_they_were(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = SharedStore(outages=[(5.0, 15.0)])
    assert simulate(THREE, scenario(up(20.0)), processes=3, store=store).degraded == 3
    assert caplog.records == []
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    assert [logger for logger in loggers if logger.name.startswith("cqrs.") and logger.filters] == []


def test_a_store_that_is_slower_than_a_candidate_waits_does_not_keep_the_circuit_open() -> None:
    slow = SharedStore(latency=0.08, jitter=0.0)
    result = simulate(CLASSICAL, scenario(up(5.0), down(20.0), up(60.0)), processes=10, store=slow)
    assert result.unrecovered == result.degraded == 0
    assert result.time_to_recover is not None
    assert result.time_to_recover.last < 30.0


def test_a_busy_store_answers_late_and_a_saturated_one_not_at_all() -> None:
    quiet = scenario(up(30.0))
    enough = simulate(THREE, quiet, processes=20, store=SharedStore(service_time=0.01))
    too_little = simulate(THREE, quiet, processes=20, store=SharedStore(service_time=0.2))
    assert (use(enough).unanswered, enough.degraded) == (0, 0)
    assert use(too_little).unanswered > 0
    assert too_little.degraded > 10


def test_a_call_that_asks_for_a_probe_waits_for_the_answer_only() -> None:
    outage = scenario(up(1.0), down(12.0), up(30.0, response_time=AT_ONCE), calls_per_second=50.0)
    waits = [
        simulate(THREE, outage, processes=2, store=SharedStore(latency=latency, jitter=0.0)).waited
        for latency in (0.002, 0.03)
    ]
    assert 0.02 < waits[1] - waits[0] < 1.0


def test_a_caller_with_less_patience_than_the_store_needs_is_rejected() -> None:
    outage = scenario(up(1.0, response_time=AT_ONCE), down(60.0), calls_per_second=50.0, deadline=0.01)
    result = simulate(THREE, outage, processes=2, store=SharedStore(latency=0.03, jitter=0.0))
    assert result.probes == 0
    assert result.cancelled == 0


# ---------------------------------------------------------------------- what holds for all


@settings(max_examples=40)
@given(
    ANY_SCENARIO,
    POLICIES,
    st.integers(1, 6),
    st.builds(
        SharedStore,
        sync_interval=st.sampled_from([0.2, 1.0]),
        quorum=st.sampled_from([0.0, 0.5, 1.0]),
        push=st.booleans(),
        latency=st.sampled_from([0.0, 0.001, 0.03, 0.2]),
        service_time=st.sampled_from([0.0, 0.01]),
        outages=st.sampled_from([(), ((0.0, 4.0),), ((2.0, 3.0), (5.0, 12.0))]),
        forgets=st.booleans(),
    ),
)
def test_no_call_is_lost_and_the_same_arguments_give_the_same_run(
    any_scenario: Scenario, policy: CircuitBreakerPolicy | None, processes: int, store: SharedStore
) -> None:
    result = simulate(policy, any_scenario, processes=processes, store=store)
    assert result.arrivals == result.answered + result.rejected + result.failed + result.cancelled
    assert result.probes <= result.sent
    for slot in result.slots:
        assert slot.sent == slot.answered + slot.failed + slot.cancelled
        assert 0 <= slot.open <= slot.not_closed <= processes
        assert 0 <= slot.degraded <= processes
    assert (result.store is None) is (policy is None)
    if result.store is not None:
        assert result.store.commands == sum(slot.commands for slot in result.slots)
    assert simulate(policy, any_scenario, processes=processes, store=store) == result


@pytest.mark.parametrize("mode", [Mode.FORCED_OPEN, Mode.DISABLED, Mode.METRICS_ONLY])
def test_an_initial_mode_is_in_force_in_a_fleet_as_well(mode: Mode) -> None:
    policy = THREE.replace(initial_mode=mode)
    result = simulate(policy, scenario(up(10.0), down(10.0)), processes=4, store=STORE)
    assert result.rejected == (result.arrivals if mode is Mode.FORCED_OPEN else 0)
    assert use(result).openings == 0


def test_what_is_no_store_is_refused() -> None:
    wrong: Any = "redis://"
    with pytest.raises(ConfigurationTypeError, match="SharedStore"):
        simulate(THREE, scenario(up()), store=wrong)
