"""F2: live permits never exceed the limit, decided and live ones never the permitted, across processes."""

from __future__ import annotations

from contextlib import suppress

import pytest

from cqrs.circuit_breaker import Backoff, CircuitOpenError, Permit, Verdict
from cqrs.testing import Fleet
from tests.fleet.support import (
    SPREAD,
    Boom,
    acquired,
    attempt,
    circuit,
    half_opened,
    live_permits,
    probing,
    rate_policy,
    record,
)


def storm(fleet: Fleet, rounds: int = 12, step: float = SPREAD) -> list[Permit]:
    """Have every node try for a permit again and again; return what was granted, still held."""
    held: list[Permit] = []
    for _ in range(rounds):
        for node in fleet.living():
            permit = circuit(node).try_acquire()
            if permit is not None:
                held.append(permit)
        fleet.advance(step)
    return held


@pytest.mark.parametrize(("permitted", "at_once"), [(1, 1), (3, 1), (3, 2), (5, 5)])
def test_f2_the_fleet_holds_no_more_permits_than_one_process_would(permitted: int, at_once: int) -> None:
    policy = rate_policy(permitted_calls_in_half_open=permitted, max_concurrent_probes=at_once)
    fleet = Fleet(8, policy, seed=permitted)
    half_opened(fleet)
    assert len(storm(fleet)) == at_once == live_permits(fleet)


def test_f2_one_process_may_hold_all_permits_that_there_are() -> None:
    fleet = Fleet(1, rate_policy(permitted_calls_in_half_open=4, max_concurrent_probes=3))
    half_opened(fleet)
    assert len(storm(fleet)) == 3


def test_f2_decided_and_live_permits_together_stay_within_the_permitted() -> None:
    fleet = Fleet(4, rate_policy(permitted_calls_in_half_open=4, max_concurrent_probes=3))
    half_opened(fleet)
    held = storm(fleet)
    assert [held.pop().success() for _ in range(2)] == [True, True]
    held += storm(fleet)
    assert record(fleet).ok == 2
    assert live_permits(fleet) == len(held) == 2


@pytest.mark.parametrize("verdict", [Verdict.IGNORED, Verdict.CANCELLED, Verdict.INCONCLUSIVE])
def test_f2_a_neutral_probe_gives_its_place_back_without_using_it_up(verdict: Verdict) -> None:
    fleet = Fleet(3, rate_policy())
    probing(fleet).settle(verdict)
    assert live_permits(fleet) == 0
    assert (record(fleet).ok, record(fleet).bad) == (0, 0)
    assert acquired(fleet, 1).success()


def test_f2_drop_gives_a_probe_back() -> None:
    fleet = Fleet(2, rate_policy())
    permit = probing(fleet)
    assert permit.drop()
    assert not permit.drop()
    assert not permit.success()
    assert permit.settled
    assert live_permits(fleet) == 0
    assert acquired(fleet, 1).kind == "probe"


def test_f2_inconclusive_probes_in_a_row_reopen_wherever_they_were_made() -> None:
    fleet = Fleet(3, rate_policy())
    half_opened(fleet)
    for number in range(3):
        acquired(fleet, number).settle(Verdict.INCONCLUSIVE)
    assert fleet.audit("payments")[-1]["why"] == "3 probes in a row never reached it"
    assert fleet.states("payments") == ["open"] * 3


def test_f2_three_probes_of_three_processes_close_for_all() -> None:
    fleet = Fleet(3, rate_policy())
    half_opened(fleet)
    for number in range(3):
        assert acquired(fleet, number).success() in (True, False)
    assert fleet.states("payments") == ["closed"] * 3
    assert fleet.audit("payments")[-1]["why"] == "2 of 3 probes succeeded" or record(fleet).st == "closed"


def test_f2_two_failed_probes_of_three_reopen_for_longer() -> None:
    fleet = Fleet(3, rate_policy(wait_duration_in_open=Backoff(10.0, 2.0, 60.0, 0.0)))
    half_opened(fleet)
    for number in range(2):
        acquired(fleet, number).failure(Boom())
    assert fleet.states("payments") == ["open"] * 3
    assert record(fleet).wait == 20_000_000
    assert record(fleet).streak == 2


def test_f2_a_probe_runs_in_the_process_that_was_granted_it_and_nowhere_else() -> None:
    fleet = Fleet(5, rate_policy(permitted_calls_in_half_open=1))
    half_opened(fleet)
    reached: list[int] = []

    def call(number: int) -> None:
        reached.append(number)
        for other in fleet.nodes:  # while the probe runs
            assert attempt(other) == "rejected"

    for node in fleet.nodes * 5:
        with suppress(CircuitOpenError):
            circuit(node).call(call, node.number)
        if reached:
            break
        fleet.advance(SPREAD / 4)
    assert len(reached) == 1
    assert fleet.states("payments") == ["closed"] * 5


def test_f2_after_a_failover_that_lost_the_grant_there_are_twice_as_many_at_most() -> None:
    fleet = Fleet(6, rate_policy(permitted_calls_in_half_open=3, max_concurrent_probes=2))
    half_opened(fleet)
    fleet.snapshot()
    held = storm(fleet, 6)
    fleet.rollback()
    held += storm(fleet, 20)
    assert len(held) <= 4
    assert live_permits(fleet) <= 2


def test_f2_a_server_clock_that_jumps_ahead_doubles_them_at_most() -> None:
    fleet = Fleet(4, rate_policy(permitted_calls_in_half_open=3, max_concurrent_probes=1))
    half_opened(fleet)
    held = storm(fleet, 4)
    fleet.server_skew = 15.0  # past the lease, not past the time to decide
    held += storm(fleet, 220)
    assert 1 <= len(held) <= 2
    assert live_permits(fleet) == 1


def test_f2_a_stricter_process_keeps_to_its_own_limit() -> None:
    loose = rate_policy(permitted_calls_in_half_open=3, max_concurrent_probes=3)
    strict = rate_policy(permitted_calls_in_half_open=3, max_concurrent_probes=1)
    fleet = Fleet(2, [loose, strict])
    half_opened(fleet)
    acquired(fleet, 0)
    for _ in range(8):
        assert circuit(fleet.nodes[1]).try_acquire() is None
        fleet.advance(SPREAD)
