"""F13: processes with different policies: said once, the stricter applies, and a finished deploy heals."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs.circuit_breaker import Backoff, CircuitBreakerPolicy, Mode, SettingsDiffer
from cqrs.testing import Fleet, FleetNode
from tests.fleet.support import (
    Boom,
    acquired,
    attempt,
    circuit,
    half_opened,
    opened,
    rate_policy,
    record,
    touch,
    until,
)


def differences(node: FleetNode) -> list[Any]:
    told: list[Any] = []
    node.breakers.add_listener(lambda event: told.append(event), inline=True)
    return told


def only(told: list[Any]) -> list[SettingsDiffer]:
    return [event for event in told if isinstance(event, SettingsDiffer)]


@pytest.mark.parametrize("push", [True, False])
def test_f13_a_difference_is_told_once_to_each_process_that_has_another_policy(push: bool) -> None:
    fleet = Fleet(3, [rate_policy(), rate_policy(), rate_policy(minimum=6)], push=push)
    told = [differences(node) for node in fleet.nodes]
    opened(fleet)
    for _ in range(40):
        for node in fleet.nodes:
            attempt(node)
        fleet.advance(0.5)
    assert [len(only(each)) for each in told][2] == 1
    assert sum(len(only(each)) for each in told[:2]) <= 2
    event = only(told[2])[0]
    assert "6+ calls" in event.ours
    assert "4+ calls" in event.theirs


def test_f13_equal_policies_are_no_difference() -> None:
    fleet = Fleet(2, [rate_policy(), rate_policy()])
    told = differences(fleet.nodes[1])
    opened(fleet)
    assert only(told) == []


def test_f13_the_longer_wait_applies() -> None:
    short = rate_policy(wait_duration_in_open=5.0)
    long = rate_policy(wait_duration_in_open=30.0)
    fleet = Fleet(2, [short, long])
    touch(fleet)
    fleet.nodes[1].breakers.override("payments", Mode.ENABLED)  # so the store knows both
    fleet.advance(1.2)
    opened(fleet)
    assert record(fleet).wait == 30_000_000


def test_f13_the_greater_number_of_probes_applies() -> None:
    few = rate_policy(permitted_calls_in_half_open=1)
    many = rate_policy(permitted_calls_in_half_open=4)
    fleet = Fleet(2, [many, few])
    half_opened(fleet)
    acquired(fleet, 0).success()
    assert record(fleet).st == "half_open"
    acquired(fleet, 1).success()
    assert record(fleet).st == "half_open"
    acquired(fleet, 1).success()
    assert record(fleet).st == "closed"


def test_f13_a_rolling_deploy_ends_with_the_new_policy() -> None:
    old = rate_policy(wait_duration_in_open=Backoff(20.0, 1.0, 20.0, 0.0))
    new = rate_policy(wait_duration_in_open=Backoff(5.0, 1.0, 5.0, 0.0))
    fleet = opened(Fleet(3, old))
    for number in range(3):
        fleet.restart(number, new)
        fleet.advance(0.5)
    until(fleet, lambda: [attempt(n) for n in fleet.nodes] and record(fleet).st == "closed", 25.0)
    fleet.advance(12.0)
    told = [differences(node) for node in fleet.nodes]
    opened(fleet)
    assert record(fleet).wait == 5_000_000
    fleet.advance(6.0)
    for node in fleet.nodes:
        attempt(node)
    assert [only(each) for each in told] == [[], [], []]


def test_f13_a_reload_reaches_the_store_with_the_next_decision() -> None:
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    for node in fleet.nodes:
        node.breakers.reload(rate_policy(minimum=10))
    for _ in range(3):
        for node in fleet.nodes:
            attempt(node, Boom())
    fleet.advance(2.5)
    assert fleet.states("payments") == ["closed"] * 2
    opened(fleet)
    assert "10+ calls" in record(fleet).cfg


def test_f13_one_process_with_a_ramp_and_one_without() -> None:
    ramp = CircuitBreakerPolicy()
    plain = ramp.replace(recovery_ramp=None, minimum_number_of_calls=4)
    fleet = Fleet(2, [ramp.replace(minimum_number_of_calls=4), plain])
    half_opened(fleet)
    until(fleet, lambda: [attempt(n) for n in fleet.nodes] and record(fleet).st == "closed", 25.0)
    until(
        fleet,
        lambda: [attempt(n) for n in fleet.nodes] and fleet.states("payments") == ["closed"] * 2,
        12.0,
    )
    assert circuit(fleet.nodes[0]).state == "closed"


def test_f13_who_is_denied_is_told_of_the_difference_and_changes_nothing() -> None:
    """F4: a denial writes nothing. The settings that apply are those of who opened it, and of who probes."""
    lax, strict = (rate_policy(permitted_calls_in_half_open=need) for need in (1, 3))
    fleet = Fleet(2, [lax, strict])
    touch(fleet)
    told = differences(fleet.nodes[1])
    for _ in range(4):
        attempt(fleet.nodes[0], Boom())
    fleet.advance(13.0)
    assert fleet.states("payments") == ["half_open"] * 2
    permit = acquired(fleet, 0)
    before = record(fleet).copy()
    until(fleet, lambda: attempt(fleet.nodes[1]) == "rejected" and fleet.operations["acquire"] == 2, 1.0)
    assert record(fleet) == before
    assert len(only(told)) == 1
    permit.success()
    assert fleet.states("payments") == ["closed"] * 2
