"""F11: one order for the fleet: it reaches all, it is audited, and it is weighed against local orders."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, Mode, OverrideChanged
from cqrs.testing import Fleet
from tests.fleet.support import (
    Boom,
    attempt,
    circuit,
    fail,
    opened,
    probing,
    ramp_policy,
    rate_policy,
    record,
    rejection,
    row_policy,
    succeed,
    touch,
    until,
)


@pytest.mark.parametrize("push", [True, False])
@pytest.mark.parametrize("mode", list(Mode))
def test_f11_an_override_holds_in_all_processes_and_in_those_that_come(mode: Mode, push: bool) -> None:
    fleet = Fleet(3, rate_policy(), push=push)
    touch(fleet)
    fleet.nodes[0].breakers.override("payments", mode, actor="ann", reason="INC-42")
    fleet.advance(1.15)
    fleet.restart(2)
    wanted = "closed" if mode is Mode.ENABLED else mode.value
    assert [circuit(node).state for node in fleet.nodes] == [wanted] * 3
    assert {circuit(node).snapshot().mode for node in fleet.nodes} == {mode}


def test_f11_it_is_audited_with_actor_and_reason() -> None:
    fleet = Fleet(2, rate_policy())
    fleet.nodes[0].breakers.override("payments", Mode.FORCED_OPEN, ttl=60, actor="ann", reason="INC-42")
    entry = fleet.audit("payments")[-1]
    assert (entry["by"], entry["mode"], entry["why"]) == ("ann", "forced_open", "INC-42")
    fleet.nodes[1].breakers.clear_override("payments", actor="bob")
    assert fleet.audit("payments")[-1]["by"] == "bob"


def test_f11_a_rejection_names_the_reason() -> None:
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    fleet.nodes[0].breakers.override("payments", Mode.FORCED_OPEN, ttl=60, actor="ann", reason="INC-42")
    error = rejection(fleet.nodes[1])
    assert (error.state, error.source, error.reason) == ("forced_open", "fleet", "INC-42")
    assert error.retry_after == pytest.approx(60.0)


def test_f11_listeners_are_told_once_who_did_it() -> None:
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    told: list[Any] = []
    circuit(fleet.nodes[1]).add_listener(told.append, inline=True)
    fleet.nodes[0].breakers.override("payments", Mode.DISABLED, ttl=60, actor="ann", reason="load test")
    fleet.advance(5.0)
    changed = [event for event in told if isinstance(event, OverrideChanged)]
    assert [(event.mode, event.actor, event.reason) for event in changed] == [
        (Mode.DISABLED, "ann", "load test")
    ]


@pytest.mark.parametrize("push", [True, False])
def test_f11_it_ends_by_itself_at_the_same_time_everywhere(push: bool) -> None:
    fleet = Fleet(3, rate_policy(), push=push)
    touch(fleet)
    fleet.nodes[0].breakers.override("payments", Mode.FORCED_OPEN, ttl=30)
    fleet.advance(29.9)
    assert fleet.states("payments") == ["forced_open"] * 3
    fleet.advance(0.15)
    assert fleet.states("payments") == ["closed"] * 3
    for node in fleet.nodes:
        succeed(node)


@pytest.mark.parametrize("mode", [Mode.FORCED_OPEN, Mode.DISABLED, Mode.METRICS_ONLY])
def test_f11_after_it_has_ended_the_fleet_opens_as_ever(mode: Mode) -> None:
    fleet = Fleet(3, row_policy(6, 10.0))
    touch(fleet)
    fleet.nodes[0].breakers.override("payments", mode, ttl=30)
    fleet.advance(30.1)
    for _ in range(6):
        for node in fleet.nodes:
            attempt(node, Boom())
    assert fleet.states("payments") == ["open"] * 3


def test_f11_enabled_by_order_the_fleet_opens_as_ever() -> None:
    fleet = Fleet(2, row_policy(4, 10.0, initial_mode=Mode.METRICS_ONLY))
    touch(fleet)
    fleet.nodes[0].breakers.override("payments", Mode.ENABLED)
    for _ in range(4):
        for node in fleet.nodes:
            attempt(node, Boom())
    assert fleet.states("payments") == ["open"] * 2


STRICTER = [
    (Mode.FORCED_OPEN, Mode.DISABLED, "forced_open"),
    (Mode.DISABLED, Mode.FORCED_OPEN, "forced_open"),
    (Mode.METRICS_ONLY, Mode.DISABLED, "metrics_only"),
    (Mode.DISABLED, Mode.METRICS_ONLY, "metrics_only"),
    (Mode.ENABLED, Mode.DISABLED, "closed"),
    (Mode.ENABLED, Mode.FORCED_OPEN, "forced_open"),
]


@pytest.mark.parametrize(("local", "order", "state"), STRICTER)
@pytest.mark.parametrize("first", ["local", "fleet"])
def test_f11_the_stricter_of_the_local_and_the_fleets_order_wins(
    local: Mode, order: Mode, state: str, first: str
) -> None:
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    if first == "local":
        circuit(fleet.nodes[0]).override(local)
    fleet.nodes[1].breakers.override("payments", order)
    if first == "fleet":
        circuit(fleet.nodes[0]).override(local)
    assert circuit(fleet.nodes[0]).state == state
    assert circuit(fleet.nodes[1]).state == ("closed" if order is Mode.ENABLED else order.value)


@pytest.mark.parametrize("local", list(Mode))
@pytest.mark.parametrize("order", list(Mode))
def test_f11_a_local_order_that_insists_wins(local: Mode, order: Mode) -> None:
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    circuit(fleet.nodes[0]).override(local, local=True)
    fleet.nodes[1].breakers.override("payments", order)
    fleet.nodes[1].breakers.override(None, order)
    assert circuit(fleet.nodes[0]).snapshot().mode is local


def test_f11_when_the_local_order_ends_that_of_the_fleet_is_in_force() -> None:
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    fleet.nodes[1].breakers.override("payments", Mode.DISABLED)
    circuit(fleet.nodes[0]).override(Mode.FORCED_OPEN, ttl=10.0)
    assert circuit(fleet.nodes[0]).state == "forced_open"
    fleet.advance(10.1)
    assert circuit(fleet.nodes[0]).state == "disabled"
    for _ in range(20):
        fail(fleet.nodes[0])
    circuit(fleet.nodes[0]).override(Mode.FORCED_OPEN)
    circuit(fleet.nodes[0]).clear_override()
    assert circuit(fleet.nodes[0]).state == "disabled"


def test_f11_when_the_fleets_order_ends_the_local_one_is_in_force() -> None:
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    circuit(fleet.nodes[0]).override(Mode.DISABLED)
    fleet.nodes[1].breakers.override("payments", Mode.FORCED_OPEN, ttl=10.0)
    assert circuit(fleet.nodes[0]).state == "forced_open"
    fleet.advance(10.1)
    assert circuit(fleet.nodes[0]).state == "disabled"
    assert circuit(fleet.nodes[1]).state == "closed"


def test_f11_one_order_for_all_circuits_also_for_those_to_come() -> None:
    fleet = Fleet(3, rate_policy(), shards=4)
    for name in ("a", "b", "c"):
        touch(fleet, name)
    fleet.nodes[0].breakers.override(None, Mode.FORCED_OPEN, actor="ann")
    fleet.advance(1.2)
    touch(fleet, "d")
    for name in ("a", "b", "c", "d"):
        assert fleet.states(name) == ["forced_open"] * 3
    fleet.restart(1)
    assert circuit(fleet.nodes[1], "e").state == "forced_open"
    fleet.nodes[2].breakers.clear_override(None)
    fleet.advance(1.2)
    assert [fleet.states(name) for name in "abc"] == [["closed"] * len(fleet.states(name)) for name in "abc"]


def test_f11_an_order_for_one_circuit_goes_before_that_for_all() -> None:
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    fleet.nodes[0].breakers.override(None, Mode.FORCED_OPEN)
    fleet.nodes[0].breakers.override("payments", Mode.ENABLED)
    assert fleet.states("payments") == ["closed"] * 2
    fleet.nodes[1].breakers.clear_override("payments")
    assert fleet.states("payments") == ["forced_open"] * 2


def test_f11_an_order_for_all_that_has_ended_can_be_given_again() -> None:
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    for _ in range(2):
        fleet.nodes[0].breakers.override(None, Mode.FORCED_OPEN, ttl=30, actor="ann")
        assert fleet.states("payments") == ["forced_open"] * 2
        fleet.advance(31.0)
        assert fleet.states("payments") == ["closed"] * 2


def test_f11_an_order_for_all_can_be_prolonged() -> None:
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    fleet.nodes[0].breakers.override(None, Mode.FORCED_OPEN, ttl=30, actor="ann")
    fleet.nodes[0].breakers.override(None, Mode.FORCED_OPEN, ttl=300, actor="ann")
    fleet.advance(31.0)
    assert fleet.states("payments") == ["forced_open"] * 2


def test_f11_prolonging_an_order_for_one() -> None:
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    fleet.nodes[0].breakers.override("payments", Mode.FORCED_OPEN, ttl=30)
    fleet.advance(20.0)
    fleet.nodes[1].breakers.override("payments", Mode.FORCED_OPEN, ttl=30)
    fleet.advance(20.0)
    assert fleet.states("payments") == ["forced_open"] * 2
    fleet.advance(11.0)
    assert fleet.states("payments") == ["closed"] * 2


@pytest.mark.parametrize("state", ["open", "probing", "ramping"])
def test_f11_disabling_frees_all_whatever_the_state_and_clearing_begins_afresh(state: str) -> None:
    fleet = Fleet(3, ramp_policy(duration=60.0))
    permit = None
    if state == "open":
        opened(fleet)
    else:
        permit = probing(fleet)
    if state == "ramping" and permit is not None:
        permit.success()
    fleet.nodes[0].breakers.override("payments", Mode.DISABLED)
    for node in fleet.nodes:
        for _ in range(20):
            succeed(node)
    if permit is not None:
        permit.failure(Boom())
    fleet.nodes[0].breakers.clear_override("payments")
    assert fleet.states("payments") == ["closed"] * 3
    for node in fleet.nodes:
        for _ in range(10):
            succeed(node)


def test_f11_reset_closes_for_all_and_forgets_past_openings() -> None:
    fleet = opened(Fleet(3, rate_policy()))
    fleet.nodes[2].breakers.reset("payments")
    assert fleet.states("payments") == ["closed"] * 3
    assert record(fleet).streak == 0
    for node in fleet.nodes:
        succeed(node)


def test_f11_a_local_reset_does_not_open_the_way_through_the_fleets_state() -> None:
    fleet = opened(Fleet(2, rate_policy()))
    circuit(fleet.nodes[0]).reset()
    assert attempt(fleet.nodes[0]) == "rejected"
    assert fleet.states("payments") == ["open"] * 2


def test_f11_after_a_local_override_the_fleets_state_is_in_force_again() -> None:
    fleet = opened(Fleet(2, rate_policy()))
    circuit(fleet.nodes[0]).override(Mode.DISABLED, ttl=3.0, local=True)
    succeed(fleet.nodes[0])
    fleet.advance(3.1)
    assert circuit(fleet.nodes[0]).state == "open"
    assert attempt(fleet.nodes[0]) == "rejected"


def test_f11_metrics_only_processes_go_on_while_the_fleet_is_open_and_do_not_vote() -> None:
    watcher: CircuitBreakerPolicy = rate_policy(initial_mode=Mode.METRICS_ONLY)
    fleet = Fleet(3, [watcher, rate_policy(), rate_policy()])
    touch(fleet)
    for _ in range(10):
        fail(fleet.nodes[0])
    fleet.advance(2.5)
    assert fleet.states("payments") == ["metrics_only", "closed", "closed"]
    assert record(fleet).st == "closed"
    for node in fleet.nodes[1:] * 4:
        attempt(node, Boom())
    fleet.advance(1.2)
    assert fleet.states("payments") == ["metrics_only", "open", "open"]
    succeed(fleet.nodes[0])


def test_f11_while_degraded_an_override_is_kept_and_then_what_was_missed_is_adopted() -> None:
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    fleet.nodes[1].breakers.override("payments", Mode.FORCED_OPEN)
    fleet.partition(0)
    fleet.advance(10.0)
    fleet.nodes[1].breakers.clear_override("payments")
    assert fleet.states("payments") == ["forced_open", "closed"]
    fleet.heal()
    until(fleet, lambda: fleet.states("payments") == ["closed"] * 2, 6.2)
