from __future__ import annotations

from typing import Any

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, Mode, Outcome, Trip
from cqrs.exceptions import ConfigurationTypeError, PolicyError
from cqrs.simulation import Capacity, NodeFault, ResponseTime, compare, simulate
from tests.unit.simulation.support import AT_ONCE, down, scenario, up

THREE = CircuitBreakerPolicy.consecutive(3, ttl=1000.0)


def test_without_breaker_and_fault_every_call_is_answered_after_its_response_time() -> None:
    result = simulate(None, scenario(up()), processes=5)
    assert result.answered == result.arrivals == result.sent > 100
    assert result.mean_wait == pytest.approx(0.1)
    assert result.availability() == 1.0
    assert (result.guarded, result.opened, result.time_to_open) == (False, 0, None)


def test_each_circuit_leaks_as_many_calls_as_its_threshold_says() -> None:
    result = simulate(THREE, scenario(up(response_time=AT_ONCE), down(60.0)), processes=7)
    assert result.leaked == result.failed == 7 * 3
    assert result.opened == result.openings == result.trips == result.unrecovered == 7
    assert result.needless_rejections == 0
    assert result.time_to_open is not None
    assert result.time_to_open.count == 7


def test_the_third_failure_opens_the_circuit_when_it_ends() -> None:
    outage = scenario(down(60.0), calls_per_second=1.0)
    one = simulate(THREE, outage, processes=1)
    assert one.time_to_open is not None
    sent = [slot.second for slot in one.slots if slot.sent]
    assert sent[-1] <= one.time_to_open.median <= sent[-1] + 1.1
    assert sum(slot.sent for slot in one.slots) == 3


def test_a_fixed_wait_and_one_probe_close_the_circuit_at_the_first_call_after_it() -> None:
    policy = CircuitBreakerPolicy.consecutive(1, ttl=15.0)
    busy = scenario(up(1.0), down(10.0), up(30.0), calls_per_second=50.0)
    result = simulate(policy, busy, processes=4)
    assert result.time_to_open is not None
    assert result.time_to_recover is not None
    opened, closed = 1.0 + result.time_to_open.p99, 11.0 + result.time_to_recover.p99
    assert closed - opened == pytest.approx(15.0 + 0.1, abs=0.2)  # the wait, and the probe
    assert result.openings == 4
    assert result.retrips == 0


def test_a_client_that_gives_up_is_a_failure_that_lasted_its_timeout() -> None:
    hang = down(error_rate=0.0, response_time=ResponseTime(30.0))
    result = simulate(None, scenario(hang, timeout=0.5), processes=3)
    assert result.timed_out == result.failed == result.arrivals
    assert result.mean_wait == pytest.approx(0.5)


@pytest.mark.parametrize("timeout", [None, 3.0])
def test_a_caller_that_goes_away_first_is_a_cancellation(timeout: float | None) -> None:
    hang = down(error_rate=0.0, response_time=ResponseTime(30.0))
    result = simulate(THREE, scenario(hang, timeout=timeout, deadline=2.0), processes=3)
    assert result.cancelled == result.arrivals
    assert result.opened == 0
    assert result.availability(fallback=1.0) == 0.0
    assert result.mean_wait == pytest.approx(2.0)


def test_a_probe_is_given_up_after_the_policys_time() -> None:
    slow = CircuitBreakerPolicy(
        slow_call_duration_threshold=1.0, minimum_number_of_calls=5, permitted_calls_in_half_open=1
    )
    hang = down(60.0, error_rate=0.0, response_time=ResponseTime(30.0))
    result = simulate(slow, scenario(hang, timeout=None, deadline=5.0), processes=3)
    assert result.timed_out == result.openings - result.trips > 0


def test_a_queue_lets_through_what_the_dependency_can_do() -> None:
    narrow = up(100.0, capacity=Capacity(1.0, max_queue=2.0))
    result = simulate(None, scenario(narrow, calls_per_second=3.0, timeout=None), processes=10)
    assert result.answered == pytest.approx(10 * 100, abs=10 * 2 + 10)
    assert result.failed == result.arrivals - result.answered


def test_calls_in_the_queue_cost_patience_and_work_that_nobody_waits_for() -> None:
    narrow = up(60.0, capacity=Capacity(1.0, max_queue=10.0))
    result = simulate(None, scenario(narrow, calls_per_second=3.0, timeout=1.0), processes=10)
    assert sum(slot.answered for slot in result.slots[-20:]) == 0
    assert result.timed_out > 0


def test_enough_capacity_delays_nobody_for_long() -> None:
    wide = up(60.0, capacity=Capacity(200.0))
    result = simulate(None, scenario(wide), processes=10)
    assert result.answered == result.arrivals
    assert result.mean_wait == pytest.approx(0.1, abs=0.001)


def test_load_scales_the_arrivals_of_a_phase() -> None:
    result = simulate(None, scenario(up(100.0), up(100.0, load=3.0)), processes=10)
    before, after = (sum(slot.sent for slot in result.slots[at : at + 100]) for at in (0, 100))
    assert after / before == pytest.approx(3.0, rel=0.1)


@pytest.mark.parametrize(
    ("processes", "share", "poisoned"), [(1, 0.01, 1), (10, 0.01, 1), (150, 0.01, 2), (100, 0.07, 7)]
)
def test_only_poisoned_processes_open_their_circuits(processes: int, share: float, poisoned: int) -> None:
    phases = up(5.0, response_time=AT_ONCE), up(30.0, response_time=AT_ONCE, node_fault=NodeFault(share))
    result = simulate(THREE, scenario(*phases), processes=processes)
    assert result.opened == poisoned
    assert result.leaked == 3 * poisoned
    assert result.needless_rejections == 0


def test_a_busy_fault_makes_more_calls_and_the_others_as_many_as_before() -> None:
    phases = [up(100.0, node_fault=NodeFault(0.1, load=load)) for load in (1.0, 9.0)]
    once, often = (simulate(None, scenario(phase), processes=10) for phase in phases)
    assert often.leaked == often.failed == pytest.approx(9 * once.leaked, rel=0.15)
    assert often.answered == pytest.approx(once.answered, rel=0.05)


class Refused(Exception):
    pass


def trip_at_once(outcome: Outcome) -> Trip | None:
    return Trip() if outcome.exception is not None else None


@pytest.mark.parametrize(
    ("fields", "opens"),
    [
        ({"record": (Refused,)}, True),
        ({"record": (TimeoutError,)}, False),
        ({"ignore": Refused}, False),
        ({"classify": trip_at_once, "consecutive_failures": 1000}, True),
        ({"record_result": lambda result: result is None, "ignore": Refused}, False),
        ({"initial_mode": Mode.METRICS_ONLY}, False),
    ],
)
def test_the_real_rules_of_the_policy_decide(fields: dict[str, Any], opens: bool) -> None:
    policy = THREE.replace(**fields)
    result = simulate(policy, scenario(up(), down(error=Refused)), processes=4)
    assert result.opened == (4 if opens else 0)


def test_a_circuit_that_is_forced_open_never_recovers() -> None:
    result = simulate(THREE.replace(initial_mode=Mode.FORCED_OPEN), scenario(up()), processes=4)
    assert result.needless_rejections == result.rejected == result.arrivals
    assert result.unrecovered == 4
    assert {slot.not_closed for slot in result.slots} == {4}


def test_policies_are_compared_with_the_same_calls() -> None:
    outage = scenario(up(), down(), up(error_rate=0.2))
    results = compare({"none": None, "three": THREE, "default": CircuitBreakerPolicy()}, outage, processes=9)
    assert list(results) == ["none", "three", "default"]
    courses = {tuple(slot.sent + slot.rejected for slot in result.slots) for result in results.values()}
    assert len(courses) == 1


@pytest.mark.parametrize("bad", [0, -1, 2.5, True])
def test_a_number_of_processes_that_cannot_be_is_refused(bad: Any) -> None:
    with pytest.raises(PolicyError, match="processes"):
        simulate(None, scenario(up()), processes=bad)


def test_arguments_of_the_wrong_kind_are_refused() -> None:
    arguments: list[tuple[Any, Any, Any]] = [
        ("default", scenario(up()), 1),
        (None, "outage", 1),
        (None, scenario(up()), "x"),
    ]
    for policy, chosen, seed in arguments:
        with pytest.raises(ConfigurationTypeError):
            simulate(policy, chosen, seed=seed)


def test_time_to_open_is_about_the_first_fault_only() -> None:
    false_alarm = scenario(up(error_rate=1.0), down(error_rate=0.0))
    second_fault = scenario(down(error_rate=0.0), up(), down())
    for chosen in (false_alarm, second_fault):
        result = simulate(THREE, chosen, processes=4)
        assert result.opened == 4
        assert result.time_to_open is None


def test_time_to_recover_leaves_out_circuits_that_the_last_fault_did_not_open() -> None:
    quick = CircuitBreakerPolicy.consecutive(3, ttl=2.0)
    result = simulate(quick, scenario(down(), up(), down(error_rate=0.0), up()), processes=4)
    assert result.opened == 4
    assert result.unrecovered == result.retrips == 0
    assert result.time_to_recover is None
