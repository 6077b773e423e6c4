"""F4: whatever becomes of those who hold permits, others get their turn within a lease."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy
from cqrs.testing import Fleet
from tests.fleet.support import (
    SPREAD,
    attempt,
    circuit,
    half_opened,
    live_permits,
    probing,
    rate_policy,
    record,
    rejection,
    row_policy,
    until,
)


def a_probe_passes(fleet: Fleet) -> bool:
    return any(attempt(node) == "ok" for node in fleet.living())


@pytest.mark.parametrize("lease", [2.0, 10.0])
@pytest.mark.parametrize("push", [True, False])
def test_f4_a_killed_prober_is_replaced_within_the_lease(lease: float, push: bool) -> None:
    fleet = Fleet(4, rate_policy(permit_lease=lease), push=push)
    probing(fleet)
    fleet.advance(1.0)
    fleet.kill(0)
    assert until(fleet, lambda: a_probe_passes(fleet), lease + 0.2) >= lease / 2


def test_f4_all_holders_die_at_once() -> None:
    fleet = Fleet(4, rate_policy(permitted_calls_in_half_open=5, max_concurrent_probes=3, permit_lease=5.0))
    half_opened(fleet)
    held = []
    for _ in range(10):
        for node in fleet.nodes[:3]:
            permit = circuit(node).try_acquire()
            held += [] if permit is None else [permit]
        fleet.advance(SPREAD)
    assert len(held) == 3
    fleet.kill([0, 1, 2])
    until(fleet, lambda: a_probe_passes(fleet), 5.2)


def test_f4_traffic_does_not_prolong_a_lost_permit() -> None:
    fleet = Fleet(3, rate_policy(permit_lease=4.0))
    probing(fleet)
    fleet.kill(0)
    passed = until(fleet, lambda: any(a_probe_passes(fleet) for _ in range(5)), 4.2, step=0.01)
    assert passed > 3.0


def test_f4_a_living_probe_keeps_its_permit_beyond_the_lease() -> None:
    fleet = Fleet(3, rate_policy(permit_lease=3.0))
    permit = probing(fleet)
    for _ in range(100):
        assert not a_probe_passes(fleet)
        fleet.advance(0.1)
    assert permit.success()
    assert record(fleet).ok == 1


@pytest.mark.parametrize("lease", [0.5, 1.0])
def test_f4_a_lease_shorter_than_the_sync_interval_is_renewed_in_time(lease: float) -> None:
    fleet = Fleet(2, rate_policy(permit_lease=lease), sync_interval=5.0)
    permit = probing(fleet)
    for _ in range(40):
        fleet.advance(lease / 10)
        assert live_permits(fleet) == 1
    assert permit.success()
    assert record(fleet).ok == 1


def test_f4_a_hung_probe_is_given_up_after_max_probe_duration_and_reopens_after_the_permitted() -> None:
    policy = rate_policy(
        permit_lease=2.0,
        max_probe_duration=8.0,
        max_wait_duration_in_half_open=300.0,
        permitted_calls_in_half_open=2,
    )
    fleet = Fleet(2, policy)
    probing(fleet)
    fleet.advance(7.5)
    assert live_permits(fleet) == 1
    fleet.advance(2.8)
    assert live_permits(fleet) == 0
    until(fleet, lambda: circuit(fleet.nodes[1]).try_acquire(), 0.3)  # another hangs as well
    fleet.advance(10.5)
    until(fleet, lambda: attempt(fleet.nodes[0]) == "rejected" and record(fleet).st == "open", 0.5)
    assert fleet.audit("payments")[-1]["why"] == "2 probes in a row were lost"


@pytest.mark.parametrize(("then", "state"), [("open", "open"), ("closed", "closed")])
def test_f4_half_open_ends_by_itself(then: str, state: str) -> None:
    policy = rate_policy(
        max_wait_duration_in_half_open=12.0,
        on_half_open_timeout=then,
        max_probe_duration=100.0,
    )
    fleet = Fleet(2, policy)
    probing(fleet)
    fleet.advance(12.0)
    until(fleet, lambda: [attempt(node) for node in fleet.nodes] and record(fleet).st == state, 11.0)
    assert fleet.audit("payments")[-1]["why"] == "the probes did not decide in time"
    assert fleet.states("payments") == [state] * 2


def test_f4_with_one_permitted_probe_a_lost_one_reopens() -> None:
    fleet = Fleet(3, row_policy(2, 5.0, permit_lease=3.0))
    probing(fleet)
    fleet.kill(0)
    until(fleet, lambda: a_probe_passes(fleet), 3.2 + 5.2)
    assert fleet.states("payments") == ["closed"] * 2


def test_f4_a_granted_permit_whose_answer_was_lost_comes_back_soon() -> None:
    """Fault 13: the permit was granted, and nobody knows; it is given back with a later exchange."""
    fleet = Fleet(2, rate_policy(permit_lease=30.0))
    half_opened(fleet)
    with fleet.nodes[0].store.drop_reply():
        assert attempt(fleet.nodes[0]) == "rejected"
        fleet.advance(SPREAD)
        assert attempt(fleet.nodes[0]) == "rejected"
    assert live_permits(fleet) == 1
    until(fleet, lambda: live_permits(fleet) == 0, 2.5)
    until(fleet, lambda: attempt(fleet.nodes[1]) == "ok", 0.2)


def test_f4_a_denial_extends_no_lease_and_no_key() -> None:
    fleet = Fleet(2, rate_policy())
    probing(fleet)
    before = record(fleet).copy()
    for _ in range(3):
        attempt(fleet.nodes[1])
        fleet.advance(SPREAD)
    assert fleet.operations["acquire"] >= 2
    assert record(fleet) == before


def test_f4_every_process_dies_and_new_ones_recover() -> None:
    fleet = Fleet(3, rate_policy(permit_lease=5.0))
    probing(fleet)
    fleet.restart([0, 1, 2])
    for node in fleet.nodes:
        assert rejection(node).state == "half_open"  # they know what their predecessors knew
    until(fleet, lambda: a_probe_passes(fleet) and record(fleet).st == "closed", 6.0)


def test_f4_a_restarted_process_does_not_reset_an_open_circuit() -> None:
    fleet = half_opened(Fleet(2, CircuitBreakerPolicy.consecutive(2, 20.0)))
    fleet.clock.step_back(10.0)
    fleet.restart(0)
    assert rejection(fleet.nodes[0]).state == "open"
    assert fleet.states("payments") == ["open", "open"]
