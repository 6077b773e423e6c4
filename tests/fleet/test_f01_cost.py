"""F1: what a shared circuit costs the store. Nothing while it is closed or open, little while it probes."""

from __future__ import annotations

import pytest

from cqrs.testing import Fleet
from tests.fleet.manual import Bench
from tests.fleet.support import (
    SPREAD,
    Boom,
    acquired,
    attempt,
    circuit,
    fail,
    half_opened,
    opened,
    probing,
    rate_policy,
    rejection,
    row_policy,
    succeed,
    touch,
)


def test_f1_calls_of_a_closed_circuit_cost_nothing() -> None:
    fleet = Fleet(3, rate_policy(minimum=100))
    touch(fleet)
    before = fleet.commands
    for node in fleet.nodes:
        succeed(node, 50)
        fail(node, 3)
    assert fleet.commands == before


def test_f1_rejections_of_an_open_circuit_cost_nothing() -> None:
    fleet = opened(Fleet(3, rate_policy()))
    before = fleet.commands
    for node in fleet.nodes:
        for _ in range(100):
            assert attempt(node) == "rejected"
    assert fleet.commands == before


def test_f1_background_cost_does_not_depend_on_the_number_of_healthy_circuits() -> None:
    fleet = Fleet(2, rate_policy())
    for number in range(200):
        touch(fleet, f"circuit {number}")
    before = fleet.commands
    fleet.advance(10.0)
    assert 16 <= fleet.commands - before <= 24  # one each per second, give or take a tenth
    assert not fleet.operations


def test_f1_a_hundred_failing_circuits_are_reported_in_one_exchange() -> None:
    fleet = Fleet(1, rate_policy())
    for number in range(100):
        fail(fleet.nodes[0], name=f"circuit {number}")
    before = fleet.commands
    fleet.advance(1.2)
    assert fleet.commands - before <= 2
    assert fleet.operations["report"] >= 100


def test_f1_after_the_window_is_clean_nothing_is_reported_any_more() -> None:
    fleet = Fleet(2, rate_policy(minimum=100))
    fail(fleet.nodes[0])
    succeed(fleet.nodes[1], 5)
    fleet.advance(14.0)
    before = fleet.operations["report"]
    fleet.advance(20.0)
    assert fleet.operations["report"] == before


def test_f1_half_open_costs_by_processes_and_not_by_calls() -> None:
    fleet = Fleet(10, rate_policy(permit_lease=30.0))
    probing(fleet)
    before = fleet.operations["acquire"]
    for _ in range(200):  # 5 s, in which one probe runs
        for node in fleet.nodes[1:]:
            for _ in range(5):
                assert attempt(node) == "rejected"
        fleet.advance(0.025)
    assert fleet.operations["acquire"] - before <= 2 * 9


def test_f1_a_denied_process_asks_once_and_not_before_the_time_it_was_told() -> None:
    fleet = Fleet(2, rate_policy(permit_lease=30.0))
    probing(fleet)
    for _ in range(4):
        assert attempt(fleet.nodes[1]) == "rejected"
        fleet.advance(SPREAD)
    told = fleet.operations["acquire"]
    for _ in range(250):
        assert attempt(fleet.nodes[1]) == "rejected"
        fleet.advance(0.1)
    assert fleet.operations["acquire"] == told


def test_f1_the_holder_of_the_only_permit_does_not_ask_for_another() -> None:
    fleet = Fleet(1, rate_policy(permit_lease=9.0))
    probing(fleet)
    before = fleet.operations["acquire"]
    for _ in range(100):
        assert attempt(fleet.nodes[0]) == "rejected"
        fleet.advance(0.08)
    assert fleet.operations["acquire"] - before <= 1


def test_f1_renewals_of_a_long_probe_bring_no_further_questions() -> None:
    fleet = Fleet(1, rate_policy(permit_lease=3.0))
    probing(fleet)
    fleet.advance(3.2)
    before = fleet.operations["acquire"]
    for _ in range(300):
        assert attempt(fleet.nodes[0]) == "rejected"
        fleet.advance(0.1)
    assert fleet.operations["renew"] >= 25
    assert fleet.operations["acquire"] - before <= 30 / 3.0 + 1


def test_f1_one_acquire_at_a_time_however_many_calls_come() -> None:
    fleet = Fleet(2, rate_policy())
    half_opened(fleet)
    bench = Bench(rate_policy(), fleet.server, fleet.clock)
    tokens = []
    for _ in range(50):
        try:
            tokens.append(bench.breakers["payments"].gate.enter())
        except Exception:
            fleet.clock.advance(0.005)
    assert len(tokens) == 1
    assert len(bench.transport.requests) == 1
    (token,) = tokens
    bench.transport.only("acquire").answer()
    assert bench.breakers["payments"].gate.complete(token) is token


def test_f1_500_processes_at_the_deadline_get_one_permit() -> None:
    fleet = Fleet(60, rate_policy(permit_lease=30.0), sync_interval=5.0)
    half_opened(fleet)
    before, admitted = fleet.operations["acquire"], 0
    held = []
    for _ in range(20):
        for node in fleet.nodes:
            permit = circuit(node).try_acquire()
            if permit is not None:
                admitted += 1
                held.append(permit)
        fleet.advance(0.01)
    assert admitted == 1
    assert fleet.operations["acquire"] - before <= 2 * 60


def test_f1_a_process_may_probe_again_as_soon_as_its_probe_has_ended() -> None:
    fleet = Fleet(1, rate_policy())
    for _ in range(2):
        permit = probing(fleet) if not fleet.operations["settle"] else acquired(fleet)
        assert permit.success()
        fleet.advance(SPREAD)


@pytest.mark.parametrize("push", [True, False])
def test_f1_a_rejection_says_when_to_come_back(push: bool) -> None:
    fleet = opened(Fleet(2, row_policy(2, 10.0), push=push))
    error = rejection(fleet.nodes[1])
    assert error.source == "fleet"
    assert error.retry_after is not None
    assert 7.0 < error.retry_after <= 10.0
    assert Boom.__name__ not in str(error)  # the failure was seen by the others too, and is theirs to tell
