"""The fleet in one process, as a tool."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitOpenError
from cqrs.exceptions import PolicyError
from cqrs.testing import Fleet

POLICY = CircuitBreakerPolicy.consecutive(threshold=2, ttl=10.0)


def fail(fleet: Fleet, number: int) -> None:
    with pytest.raises(ZeroDivisionError):
        fleet.nodes[number].breakers["payments"].call(lambda: 1 // 0)


def story(seed: int) -> list[object]:
    fleet = Fleet(4, POLICY, seed=seed, push=False)
    told: list[object] = []
    for node in fleet.nodes:
        told.append(node.breakers["payments"].state)
    fail(fleet, 0)
    fail(fleet, 1)
    for _ in range(200):
        fleet.advance(0.1)
        for node in fleet.nodes:
            try:
                node.breakers["payments"].call(abs, 1)
            except CircuitOpenError as error:
                told.append(error.retry_after)
        told.append((fleet.commands, *fleet.states("payments")))
    return told


def test_two_runs_with_one_seed_do_the_same_and_with_another_not() -> None:
    assert story(1) == story(1)
    assert story(1) != story(2)


def test_advance_moves_the_clock_exactly_that_far() -> None:
    fleet = Fleet(3, POLICY, start=50.0)
    fleet.advance(2.5)
    fleet.advance(timedelta(seconds=1))
    assert fleet.clock() == pytest.approx(53.5)


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_advance_refuses_what_is_no_duration(wrong: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        Fleet(1).advance(wrong)


def test_every_node_exchanges_about_once_per_interval() -> None:
    fleet = Fleet(5, POLICY, sync_interval=2.0)
    before = fleet.commands
    fleet.advance(60.0)
    assert fleet.commands - before == pytest.approx(5 * 30, rel=0.1)


def test_a_dead_node_is_silent_and_its_objects_harm_nobody() -> None:
    fleet = Fleet(2, POLICY)
    dead = fleet.nodes[1]
    fleet.kill(dead)
    before = fleet.commands
    fail(fleet, 1)
    assert fleet.commands == before
    assert fleet.living() == [fleet.nodes[0]]
    fleet.heal()
    fail(fleet, 1)
    assert fleet.commands == before
    assert "1 alive" in repr(fleet)
    assert "dead" in repr(dead)


def test_a_restarted_node_is_another_process_in_the_same_place() -> None:
    newer = CircuitBreakerPolicy.consecutive(threshold=7)
    fleet = Fleet(2, POLICY)
    fleet.nodes[1].skew = 5.0
    old = fleet.nodes[1]
    fleet.restart([1], newer)
    new = fleet.nodes[1]
    assert new is not old
    assert (old.alive, new.alive, new.number, new.skew) == (False, True, 1, 5.0)
    assert new.breakers["payments"].policy is newer
    assert new.store.health().node != old.store.health().node


def test_each_node_may_have_its_own_policy() -> None:
    other = CircuitBreakerPolicy.consecutive(threshold=9)
    fleet = Fleet(2, [POLICY, other])
    assert [node.breakers["payments"].policy for node in fleet.nodes] == [POLICY, other]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Fleet(0)
    with pytest.raises(ValueError, match="1 policies for 2 nodes"):
        Fleet(2, [POLICY])
    with pytest.raises(PolicyError):
        Fleet(1, quorum=1.5)
    with pytest.raises(ValueError, match="no snapshot"):
        Fleet(1).rollback()


def test_rollback_takes_the_store_back() -> None:
    fleet = Fleet(2, POLICY)
    fail(fleet, 0)
    fleet.snapshot()
    fail(fleet, 1)
    assert [entry["to"] for entry in fleet.audit("payments")] == ["open"]
    fleet.rollback()
    assert fleet.audit() == []


def test_operations_are_counted_by_kind() -> None:
    fleet = Fleet(2, POLICY)
    fail(fleet, 0)
    fail(fleet, 1)
    assert fleet.operations == {"report": 2}
    fleet.operations.clear()
    assert fleet.operations == {"report": 2}  # a copy
