"""When a fleet opens: by what all processes see together, and not by what one sick process sees."""

from __future__ import annotations

import itertools
import random

import pytest

from cqrs.circuit_breaker import Trip, Verdict
from cqrs.testing import Fleet
from tests.fleet.support import (
    SPREAD,
    Boom,
    attempt,
    circuit,
    fail,
    rate_policy,
    record,
    rejection,
    row_policy,
    succeed,
    touch,
    until,
)


def traffic(fleet: Fleet, sick: set[int], rounds: int = 30, step: float = 0.2, sick_calls: int = 1) -> None:
    """Have every node call, the sick ones in vain."""
    for _ in range(rounds):
        for node in fleet.living():
            for _ in range(sick_calls if node.number in sick else 1):
                attempt(node, Boom() if node.number in sick else None)
        fleet.advance(step)


# ---------------------------------------------------------------------- rates


@pytest.mark.parametrize("calls", [1, 90])
def test_one_poisoned_process_of_ten_opens_for_itself_alone(calls: int) -> None:
    fleet = Fleet(10, rate_policy(minimum=10, wait_duration_in_open=60.0))
    traffic(fleet, {3}, sick_calls=calls)
    states = fleet.states("payments")
    assert states.pop(3) == "open"
    assert states == ["closed"] * 9
    assert rejection(fleet.nodes[3]).source == "local"
    assert record(fleet).st == "closed"


@pytest.mark.parametrize("sick", [6, 10])
def test_six_of_ten_open_the_fleet(sick: int) -> None:
    fleet = Fleet(10, rate_policy(minimum=10))
    traffic(fleet, set(range(sick)))
    assert fleet.states("payments") == ["open"] * 10
    assert rejection(fleet.nodes[9]).source == "fleet"
    entry = next(entry for entry in fleet.audit("payments") if entry["to"] == "open")
    assert entry["unhealthy"] >= entry["reporters"] / 2


def test_four_of_ten_do_not() -> None:
    fleet = Fleet(10, rate_policy(minimum=10, wait_duration_in_open=60.0))
    traffic(fleet, {0, 1, 2, 3})
    assert record(fleet).st == "closed"
    assert fleet.states("payments")[4:] == ["closed"] * 6


def test_the_first_voices_do_not_decide_for_those_who_have_not_spoken() -> None:
    """The sick processes report first; the healthy ones follow only once the circuit is watched."""
    fleet = Fleet(10, rate_policy(minimum=10, wait_duration_in_open=60.0))
    for _ in range(5):
        for node in fleet.nodes[4:]:
            succeed(node, 4)
        fleet.advance(0.3)
    for node in fleet.nodes[:4]:
        fail(node, 10) if circuit(node).state == "closed" else None
        for _ in range(9):
            attempt(node, Boom())
    for _ in range(20):
        for node in fleet.nodes[4:]:
            succeed(node)
        fleet.advance(0.2)
    assert record(fleet).st == "closed"


def test_processes_without_traffic_have_no_voice() -> None:
    fleet = Fleet(10, rate_policy(minimum=10))
    touch(fleet)
    for _ in range(12):
        attempt(fleet.nodes[0], Boom())
        attempt(fleet.nodes[1], Boom())
    until(fleet, lambda: record(fleet).st == "open", 2 * 1.1 + 1.2)
    assert fleet.states("payments") == ["open"] * 10


def test_a_fleet_with_little_traffic_each_opens_by_what_it_sees_together() -> None:
    """Fault 17: 40 processes, one call in 5 s each, total outage; minimum 20."""
    fleet = Fleet(40, rate_policy(minimum=20), seed=3)
    touch(fleet)
    order = random.Random(1)
    when = sorted(order.uniform(0.0, 5.0) for _ in fleet.nodes)
    begin, calls, opened_at = fleet.clock(), 0, None
    for node, moment in zip(order.sample(fleet.nodes, 40), when, strict=True):
        fleet.advance(max(0.0, begin + moment - fleet.clock()))
        calls += attempt(node, Boom()) == "failed"
        if calls == 20 and opened_at is None:
            opened_at = fleet.clock()
        if record(fleet).st == "open":
            break
    assert opened_at is not None
    until(fleet, lambda: record(fleet).st == "open", opened_at + 2.3 - fleet.clock())
    fleet.advance(0.0)
    assert fleet.states("payments") == ["open"] * 40


def test_360_failures_over_20_processes_open() -> None:
    fleet = Fleet(20, rate_policy(minimum=20))
    for _ in range(18):
        for node in fleet.nodes:
            attempt(node, Boom())
    fleet.advance(2.3)
    assert fleet.states("payments") == ["open"] * 20


def test_successes_are_pooled_too() -> None:
    fleet = Fleet(4, rate_policy(minimum=10))
    for _ in range(20):
        succeed(fleet.nodes[0], 2)
        succeed(fleet.nodes[1], 2)
        if circuit(fleet.nodes[2]).state == "closed":
            fail(fleet.nodes[2])
        if circuit(fleet.nodes[3]).state == "closed":
            fail(fleet.nodes[3])
        fleet.advance(0.2)
    assert record(fleet).st == "closed"  # half of the processes are unhealthy, but not half of the calls


@pytest.mark.parametrize("how", ["rate", "trip"])
def test_with_quorum_0_one_process_is_enough(how: str) -> None:
    fleet = Fleet(5, rate_policy(), quorum=0.0)
    touch(fleet)
    for node in fleet.nodes[1:]:
        succeed(node, 20)
    if how == "rate":
        fail(fleet.nodes[0], 4)
    else:
        circuit(fleet.nodes[0]).acquire().settle(Trip(7.0))
    fleet.advance(SPREAD)
    assert fleet.states("payments") == ["open"] * 5
    assert rejection(fleet.nodes[4]).source == "fleet"


def test_a_trip_opens_its_own_process_if_the_quorum_wants_more() -> None:
    fleet = Fleet(5, rate_policy())
    touch(fleet)
    circuit(fleet.nodes[0]).acquire().settle(Trip(7.0))
    fleet.advance(2.5)
    assert fleet.states("payments") == ["open"] + ["closed"] * 4


def test_old_figures_leave_the_pool_with_the_window() -> None:
    fleet = Fleet(3, rate_policy(minimum=9))
    for node in fleet.nodes:
        fail(node, 2)
    fleet.advance(15.0)
    for node in fleet.nodes:
        fail(node, 1)
    fleet.advance(2.5)
    assert record(fleet).st == "closed"


def test_figures_of_a_process_that_died_leave_the_pool() -> None:
    fleet = Fleet(3, rate_policy(minimum=9))
    fail(fleet.nodes[0], 3)
    fail(fleet.nodes[1], 3)
    fleet.advance(1.2)
    fleet.kill([0, 1])
    fleet.advance(12.0)
    fail(fleet.nodes[2], 3)
    fleet.advance(2.5)
    assert record(fleet).st == "closed"


# ---------------------------------------------------------------------- hung and slow calls


def slow_policy() -> object:
    return rate_policy(minimum=6, slow_call_duration_threshold=1.0, slow_call_rate_threshold=0.8)


def test_hung_calls_open_the_fleet_before_they_return() -> None:
    fleet = Fleet(3, slow_policy())  # type: ignore[arg-type]
    held = [circuit(node).acquire() for node in fleet.nodes for _ in range(2)]
    fleet.advance(1.1)
    held += [circuit(node).acquire() for node in fleet.nodes]  # it is looked at when calls come
    until(fleet, lambda: record(fleet).st == "open", 2.3)
    assert fleet.states("payments") == ["open"] * 3
    assert "slow" in record(fleet).why
    assert all(permit.success() is False for permit in held)


def test_slow_calls_of_all_open_the_fleet() -> None:
    fleet = Fleet(3, slow_policy())  # type: ignore[arg-type]
    for _ in range(2):
        held = [circuit(node).acquire() for node in fleet.nodes]
        fleet.advance(1.5)
        for permit in held:
            permit.success()
    until(fleet, lambda: record(fleet).st == "open", 2.3)
    assert fleet.states("payments") == ["open"] * 3


# ---------------------------------------------------------------------- failures in a row


@pytest.mark.parametrize("processes", [1, 2, 4, 7])
def test_failures_in_a_row_count_across_processes(processes: int) -> None:
    fleet = Fleet(processes, row_policy(5, 30.0))
    touch(fleet)
    turn = itertools.cycle(fleet.nodes)
    for _ in range(4):
        fail(next(turn))
    assert fleet.states("payments") == ["closed"] * processes
    fail(next(turn))
    assert fleet.states("payments") == ["open"] * processes


def test_a_success_in_another_process_ends_the_row() -> None:
    fleet = Fleet(7, row_policy(5, 30.0))  # in turn, so that no process has five failures of its own
    touch(fleet)
    for number, node in zip(range(350), itertools.cycle(fleet.nodes), strict=False):
        succeed(node) if number % 5 == 4 else fail(node)
    assert fleet.states("payments") == ["closed"] * 7


def test_a_process_with_a_row_of_its_own_opens_for_itself() -> None:
    fleet = Fleet(2, row_policy(3, 30.0))
    touch(fleet)
    for _ in range(3):
        fail(fleet.nodes[0])
        succeed(fleet.nodes[1])
    assert fleet.states("payments") == ["open", "closed"]
    assert record(fleet).st == "closed"


def test_a_success_of_the_same_process_ends_the_row() -> None:
    fleet = Fleet(2, row_policy(3, 30.0))
    touch(fleet)
    for _ in range(10):
        fail(fleet.nodes[0], 2)
        succeed(fleet.nodes[0])
        fail(fleet.nodes[1], 2)
        succeed(fleet.nodes[1])
    assert fleet.states("payments") == ["closed"] * 2


def test_without_push_a_success_is_heard_of_by_then_at_the_latest() -> None:
    fleet = Fleet(3, row_policy(2, 30.0), push=False)
    touch(fleet)
    fail(fleet.nodes[0])
    fleet.advance(1.2)
    succeed(fleet.nodes[1])
    fail(fleet.nodes[2])
    assert fleet.states("payments") == ["closed"] * 3


def test_200_failures_in_4_processes_open_at_threshold_5() -> None:
    fleet = Fleet(4, row_policy(5, 30.0))
    reached = 0
    for _ in range(50):
        for node in fleet.nodes:
            reached += attempt(node, Boom()) == "failed"
    assert reached == 5
    assert fleet.states("payments") == ["open"] * 4


def test_200_failures_that_all_run_at_once_open() -> None:
    fleet = Fleet(4, row_policy(5, 30.0))
    held = [circuit(node).acquire() for node in fleet.nodes for _ in range(50)]
    counted = sum(permit.failure(Boom()) for permit in held)
    assert 5 <= counted <= 20
    assert fleet.states("payments") == ["open"] * 4


def test_a_failure_whose_report_was_lost_counts_once() -> None:
    fleet = Fleet(2, row_policy(3, 30.0))
    touch(fleet)
    with fleet.nodes[0].store.drop_reply():
        fail(fleet.nodes[0])
        fleet.advance(0.2)
    fleet.advance(3.0)
    fail(fleet.nodes[1])
    assert fleet.states("payments") == ["closed"] * 2
    fail(fleet.nodes[1])
    assert fleet.states("payments") == ["open"] * 2


def test_a_failure_whose_report_did_not_arrive_counts_later() -> None:
    fleet = Fleet(2, row_policy(3, 30.0))
    touch(fleet)
    with fleet.nodes[0].store.partition():
        fail(fleet.nodes[0], 2)
    fleet.advance(2.5)
    fail(fleet.nodes[1])
    assert fleet.states("payments") == ["open"] * 2


@pytest.mark.parametrize("verdict", [Verdict.IGNORED, Verdict.CANCELLED, Verdict.INCONCLUSIVE])
def test_neutral_outcomes_neither_add_to_a_row_nor_end_it(verdict: Verdict) -> None:
    fleet = Fleet(2, row_policy(3, 30.0))
    touch(fleet)
    fail(fleet.nodes[0], 2)
    for node in fleet.nodes:
        for _ in range(5):
            circuit(node).acquire().settle(verdict)
    assert fleet.states("payments") == ["closed"] * 2
    fail(fleet.nodes[1])
    assert fleet.states("payments") == ["open"] * 2


def test_a_row_ends_with_a_success_however_long_ago_its_failures_were() -> None:
    fleet = Fleet(2, row_policy(3, 30.0))
    touch(fleet)
    fail(fleet.nodes[0], 2)
    fleet.advance(600.0)
    fail(fleet.nodes[1])
    assert fleet.states("payments") == ["open"] * 2


def test_healthy_successes_cost_nothing_while_no_row_is_pending() -> None:
    fleet = Fleet(2, row_policy(3, 30.0))
    touch(fleet)
    fail(fleet.nodes[0])
    succeed(fleet.nodes[1])
    before = fleet.operations["report"]
    for node in fleet.nodes:
        succeed(node, 100)
    assert fleet.operations["report"] == before


@pytest.mark.parametrize("window", [True, False])
def test_f9_a_quick_success_ends_the_row_of_others_also_after_calls_that_say_nothing(window: bool) -> None:
    policy = rate_policy(100, consecutive_failures=3) if window else row_policy(3)
    fleet = Fleet(3, policy)
    touch(fleet)
    fail(fleet.nodes[0])
    fail(fleet.nodes[2])
    fleet.advance(0.1)
    permit = circuit(fleet.nodes[1]).try_acquire()
    assert permit is not None
    permit.ignore()
    succeed(fleet.nodes[1])
    fleet.advance(0.1)
    fail(fleet.nodes[0])
    fleet.advance(0.1)
    assert fleet.states("payments") == ["closed"] * 3
    fail(fleet.nodes[2])
    fail(fleet.nodes[1])
    assert record(fleet).st == "open"
