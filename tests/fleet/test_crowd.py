"""Failures in a row in a crowd: while the last of them is heard of, others have had successes."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, State
from cqrs.circuit_breaker.fleet.wire import CROWD
from cqrs.testing import Fleet

POLICY = CircuitBreakerPolicy.consecutive(threshold=5, ttl=30.0)


def down() -> None:
    raise ConnectionError


def fail(fleet: Fleet, *nodes: int) -> None:
    for node in nodes:
        with pytest.raises(ConnectionError):
            fleet.nodes[node].breakers["payments"].call(down)


def succeed(fleet: Fleet, *nodes: int) -> None:
    for node in nodes:
        assert fleet.nodes[node].breakers["payments"].call(int) == 0


def crowd(**settings: bool) -> Fleet:
    fleet = Fleet(CROWD + 1, POLICY, **settings)
    for node in fleet.nodes:
        node.breakers["payments"]
    fleet.advance(2.5)  # the store counts who lives
    return fleet


def test_a_row_that_nobody_breaks_opens_after_a_moment() -> None:
    fleet = crowd()
    fail(fleet, *range(5))
    assert set(fleet.states("payments")) == {State.CLOSED}
    fleet.advance(0.2)
    assert set(fleet.states("payments")) == {State.OPEN}


def test_a_success_that_comes_meanwhile_is_heard_of() -> None:
    fleet = crowd()
    fail(fleet, *range(5))
    succeed(fleet, 40)
    fleet.advance(5.0)
    assert set(fleet.states("payments")) == {State.CLOSED}


def test_after_such_a_success_it_takes_a_whole_row_again() -> None:
    fleet = crowd()
    fail(fleet, *range(5))
    succeed(fleet, 40)
    fail(fleet, *range(10, 14))
    fleet.advance(5.0)
    assert set(fleet.states("payments")) == {State.CLOSED}
    fail(fleet, 14)
    fleet.advance(0.2)
    assert set(fleet.states("payments")) == {State.OPEN}


def test_a_crowd_is_not_told_of_every_failure() -> None:
    fleet = crowd()
    before = fleet.nodes[50].breakers["payments"].snapshot().fleet
    fail(fleet, 0, 1, 2, 3)
    assert fleet.nodes[50].breakers["payments"].snapshot().fleet == before


def test_a_small_fleet_opens_at_once() -> None:
    fleet = Fleet(20, POLICY)
    fail(fleet, *range(5))
    assert fleet.nodes[0].breakers["payments"].state is State.OPEN


def test_without_push_everybody_gets_the_time_of_an_exchange() -> None:
    fleet = Fleet(3, POLICY, push=False)
    fail(fleet, 0, 1, 2, 0, 1)
    fleet.advance(1.0)
    succeed(fleet, 2)  # which has heard of the row by now, and says so at once
    fleet.advance(10.0)
    assert set(fleet.states("payments")) == {State.CLOSED}
    fail(fleet, 0, 1, 2, 0, 1)
    fleet.advance(3.0)
    assert set(fleet.states("payments")) == {State.OPEN}


def test_one_failure_needs_no_confirmation() -> None:
    fleet = Fleet(3, CircuitBreakerPolicy.consecutive(threshold=1), push=False)
    fail(fleet, 0)
    assert fleet.nodes[0].breakers["payments"].snapshot().fleet.state is State.OPEN  # type: ignore[union-attr]
